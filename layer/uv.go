package layer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"mlgym/internal/cachedir"
)

// EnvUV names uv, where it is not found by itself.
const EnvUV = "MLGYM_UV"

// findUV finds uv: the option, the variable, beside this program, where
// scripts/install.sh puts the version that is known to work, the search path.
func (b *Builder) findUV() (string, error) {
	if path := cmp.Or(b.opts.UV, os.Getenv(EnvUV)); path != "" {
		if !isProgram(path) {
			return "", &Error{Reason: path + ", which is to be uv, is no program", Fix: fixUV}
		}
		return filepath.Abs(path)
	}
	var places []string
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(self), "uv"))
	}
	if dir, err := cachedir.Dir(); err == nil {
		places = append(places, filepath.Join(dir, "tools", "bin", "uv"))
	}
	places = append(places, "/var/cache/mlgym/tools/bin/uv")
	if path, err := exec.LookPath("uv"); err == nil {
		places = append(places, path)
	}
	for _, path := range places {
		if isProgram(path) {
			return filepath.Abs(path)
		}
	}
	return "", &Error{Reason: "uv, which installs Python packages, was not found", Fix: fixUV}
}

const fixUV = "install uv (pip install uv, or https://docs.astral.sh/uv), or name it with " + EnvUV

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// passed are the variables of ours that uv is given: how the network and the
// package index are reached. Everything else, such as another virtual
// environment, would only mislead it.
var passed = []string{
	"HOME", "XDG_CONFIG_HOME", "LANG", "NETRC",
	"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
	"UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_OFFLINE", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER",
	"UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_CONFIG_FILE", "UV_NO_CONFIG", "UV_REQUEST_TIMEOUT",
}

// passedPrefixes begin the names of more of them.
var passedPrefixes = []string{"UV_INDEX", "UV_DEFAULT_INDEX", "UV_HTTP_", "UV_CONCURRENT_"}

// pip's variables, which uv does not read, and what it calls them.
var fromPip = []struct{ pip, uv string }{
	{"PIP_INDEX_URL", "UV_DEFAULT_INDEX"},
	{"PIP_EXTRA_INDEX_URL", "UV_INDEX"},
	{"PIP_CERT", "SSL_CERT_FILE"},
	{"PIP_TRUSTED_HOST", "UV_INSECURE_HOST"},
	{"PIP_DEFAULT_TIMEOUT", "UV_HTTP_TIMEOUT"},
}

// environment is that of uv, made from ours. Temporary files go into tmp.
func environment(ours []string, cache, tmp string) []string {
	env := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "TMPDIR=" + tmp, "UV_CACHE_DIR=" + cache, "UV_NO_PROGRESS=1", "UV_PYTHON_DOWNLOADS=never", "NO_COLOR=1",
	}
	set := map[string]string{}
	for _, kv := range ours {
		name, value, _ := strings.Cut(kv, "=")
		set[name] = value
		prefixed := slices.ContainsFunc(passedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if value != "" && (prefixed || slices.Contains(passed, name)) {
			env = append(env, kv)
		}
	}
	for _, v := range fromPip {
		if set[v.pip] != "" && set[v.uv] == "" && (v.uv != "UV_DEFAULT_INDEX" || set["UV_INDEX_URL"] == "") {
			env = append(env, v.uv+"="+set[v.pip])
		}
	}
	return env
}

// tool runs the programs of one build, one after the other.
type tool struct {
	dir  string // in which they run
	env  []string
	line func(text string) // gets every line that they print, where it is set
	said tail
}

// run runs a program to its end. What it prints on standard output goes to
// stdout, or where that is nil to the lines. When ctx ends, the program is killed with all
// that it started; when we are killed, the kernel kills the program.
func (t *tool) run(ctx context.Context, stdout io.Writer, name string, args ...string) error {
	// Whatever the user's umask, other users must be able to read the files.
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `umask 022; exec "$@"`, "sh", name}, args...)...) //nolint:gosec // uv and Python
	cmd.Dir, cmd.Env = t.dir, t.env
	cmd.Stderr = &lines{t: t}
	if cmd.Stdout = stdout; stdout == nil {
		cmd.Stdout = cmd.Stderr
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killWait
	// The kernel takes the end of the starting thread for ours.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// killWait bounds how long the output of a killed program is waited for.
const killWait = 5 * time.Second

// lines hands what is written to it on, line by line.
type lines struct {
	t    *tool
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	_, _ = l.t.said.Write(p)
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if l.t.line != nil {
			l.t.line(strings.TrimSpace(string(line)))
		}
		l.rest = rest
	}
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 4 << 10
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(p), nil
}

func (t *tail) String() string {
	return strings.ToValidUTF8(strings.TrimSpace(string(t.text)), "\uFFFD")
}

// Error says why a layer could not be built.
type Error struct {
	// Name is that of the lock.
	Name   string
	Reason string
	// Fix is a sentence or a command.
	Fix string
	// Output is the end of what uv said.
	Output string
}

func (e *Error) Error() string {
	text := "Python environment"
	if e.Name != "" {
		text += " " + e.Name
	}
	text += ": " + e.Reason
	if e.Fix != "" {
		text += "; to mend it: " + e.Fix
	}
	if e.Output != "" {
		text += "\n" + e.Output
	}
	return text
}

// explain turns the failure of a build into an error that says what to do. said
// is the end of what uv printed.
func explain(err error, said string) error {
	if known := (*Error)(nil); errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Error{Reason: "the disk is full", Fix: fixSpace()}
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		return err
	}
	e := &Error{Reason: "uv could not install the packages", Fix: "see what it said", Output: said}
	has := func(text string) bool { return strings.Contains(said, text) }
	name := func(before, after string) string {
		_, rest, _ := strings.Cut(said, before)
		found, _, ok := strings.Cut(rest, after)
		if !ok || strings.ContainsAny(found, "\n ") {
			return ""
		}
		return found
	}
	switch {
	case has("No space left on device"), has("Disk quota exceeded"):
		e.Reason, e.Fix = "the disk is full", fixSpace()
	case has("Hash mismatch for"):
		e.Reason = fmt.Sprintf("the package index has another file of %s than the one that was locked", name("Hash mismatch for `", "`"))
		e.Fix = "use an index that does not change files (UV_DEFAULT_INDEX names it); a lock of your own can be made again with uv pip compile --generate-hashes"
	case has("network was disabled"):
		e.Reason = fmt.Sprintf("%s is not among the downloads that are here, and UV_OFFLINE is set", cmp.Or(name("Because ", " was not found"), "a package"))
		e.Fix = "unset UV_OFFLINE for the first build"
	case has("Failed to fetch"), has("error sending request"):
		e.Reason = fmt.Sprintf("%s could not be fetched", cmp.Or(name("/simple/", "/"), name("Failed to download `", "`"), "a package"))
		e.Fix = "connect this machine to the package index, or name a mirror: UV_DEFAULT_INDEX=https://…/simple (pip's configuration files are not read); proxies are taken from HTTPS_PROXY"
	case has("was not found in the package registry"):
		e.Reason = fmt.Sprintf("the package index has no %s", name("Because ", " was not found"))
		e.Fix = "correct the lock file, or use an index that has it (UV_DEFAULT_INDEX)"
	case has("there is no version of"):
		e.Reason = fmt.Sprintf("the package index has no %s", name("there is no version of ", " and"))
		e.Fix = "correct the lock file, or use an index that has it (UV_DEFAULT_INDEX)"
	case has("no trusted hash was provided for"):
		e.Reason = fmt.Sprintf("a package has to be built from source with %s, which is not locked", name("no trusted hash was provided for: `", "`"))
		e.Fix = "lock a version that has a wheel for this Python, or one that is built with setuptools"
	case has("must have a hash"):
		e.Reason, e.Fix = "the lock file has lines without a hash", "make it with uv pip compile --generate-hashes"
	case has("unexpected argument"):
		e.Reason, e.Fix = "this uv is too old", "pip install -U uv, or name a newer one with "+EnvUV
	}
	return e
}

func fixSpace() string {
	dir, _ := cachedir.Dir()
	return fmt.Sprintf("free some of %s, or choose another place with %s", dir, cachedir.EnvVar)
}
