package sandboxtest

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mlgym/internal/cachedir"
	"mlgym/internal/shim"
)

// ordinaryUser is a user that has no entry in /etc/passwd and no files.
const ordinaryUser = 61234

// AsOrdinaryUser runs a test of this binary again as a user who is not root,
// with a home, a cache and a temporary folder of his own, and reports its
// result as that of t. Where the tests do not run as root, it calls run
// directly. The test must reach AsOrdinaryUser both times.
func AsOrdinaryUser(t *testing.T, run func(t *testing.T)) {
	if os.Geteuid() != 0 {
		run(t)
		return
	}
	home, err := os.MkdirTemp("", "mlgymuser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	binary := filepath.Join(home, "sandbox.test")
	for target, source := range map[string]string{binary: os.Args[0], filepath.Join(home, shim.Name): os.Getenv(shim.EnvShim)} {
		if err := copyProgram(target, source); err != nil {
			t.Fatal(err)
		}
	}
	tmp := filepath.Join(home, "tmp")
	if err := errors.Join(os.Mkdir(tmp, 0o700), os.Chown(tmp, ordinaryUser, ordinaryUser), os.Chmod(home, 0o755), os.Chown(home, ordinaryUser, ordinaryUser)); err != nil { //nolint:gosec // a home
		t.Fatal(err)
	}
	args := []string{"-test.run", "^" + t.Name() + "$", "-test.v"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	if skip := flag.Lookup("test.skip"); skip != nil && skip.Value.String() != "" {
		args = append(args, "-test.skip", skip.Value.String())
	}
	cmd := exec.CommandContext(t.Context(), binary, args...) //nolint:gosec // ourselves
	cmd.Dir = home
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + tmp,
		cachedir.EnvVar + "=" + filepath.Join(home, "cache"), shim.EnvShim + "=" + filepath.Join(home, shim.Name),
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinaryUser, Gid: ordinaryUser}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		// What failed comes first: whoever shows a long output shows its beginning.
		t.Errorf("as an ordinary user: %v\n%s", err, failed(string(out)))
	}
	t.Logf("as user %d:\n%s", ordinaryUser, out)
	switch {
	case err != nil:
	case strings.Contains(string(out), "\n--- SKIP: "+t.Name()) || strings.HasPrefix(string(out), "--- SKIP: "+t.Name()):
		t.Skip("SKIPPED as an ordinary user, for the reason above")
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Error("as an ordinary user, the test did not run")
	}
}

// failed picks from the output of a verbose test what the failed ones said. Where
// none failed (the program was killed), it is the end of the output.
func failed(out string) string {
	bad := map[string]bool{}
	said := map[string][]string{}
	current := ""
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 3 && words[0] == "===":
			current = words[2]
		case len(words) >= 3 && words[0] == "---":
			if words[1] == "FAIL:" {
				bad[words[2]] = true
			}
		case current != "":
			said[current] = append(said[current], line)
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		fmt.Fprintf(&b, "failed: %s\n%s", name, strings.Join(said[name], ""))
	}
	if b.Len() == 0 {
		const most = 4 << 10
		return out[max(0, len(out)-most):]
	}
	return b.String()
}

func copyProgram(target, source string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) //nolint:gosec // a program
	if err != nil {
		return err
	}
	_, copyErr := io.Copy(out, in)
	return errors.Join(copyErr, out.Chmod(0o755), out.Close()) //nolint:gosec // a program
}
