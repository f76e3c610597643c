package shim

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"mlgym/internal/cachedir"
	"mlgym/internal/shim/wire"
)

// The environment variables that name the helpers, where they do not lie
// beside the mlgym binary.
const (
	EnvShim = "MLGYM_SHIM"
	EnvRuff = "MLGYM_RUFF"
)

// OwnThreads is what drivers add to the limit on processes; see [wire.OwnThreads].
const OwnThreads = wire.OwnThreads

// Name of the binary.
const Name = "mlgym-shim"

// commands are the names under which the shim's binary can be called inside.
var commands = []string{
	"open", "goto", "scroll_up", "scroll_down", "create", "edit", "insert",
	"search_dir", "search_file", "find_file", "job", "validate", "submit",
}

// fallbacks is a folder in that of the shim, the last one on PATH. It has what people
// and models type by habit and some systems lack: python, where there is python3 alone.
const fallbacks = "fallbacks"

// Dir returns a folder of the host that every user can read, with mlgym-shim,
// ruff where there is one, and a link for every command that the shim serves
// inside. Drivers mount it read-only at sandbox.ShimDir.
func Dir() (string, error) {
	shimPath, err := find(EnvShim, Name)
	if err != nil {
		return "", fmt.Errorf("%w; build it with go build -o bin/ ./cmd/mlgym-shim", err)
	}
	sources := map[string]string{Name: shimPath}
	if ruff, err := Ruff(); err == nil {
		sources["ruff"] = ruff
	}
	key, err := fingerprint(sources)
	if err != nil {
		return "", err
	}
	dir, err := cachedir.Dir("shim")
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, key)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	return target, install(dir, target, sources)
}

// Ruff returns the path of ruff on the host. What is found must be the program
// itself: a script that starts it would find nothing inside a sandbox.
func Ruff() (string, error) {
	path, err := find(EnvRuff, "ruff")
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("ruff: %w", err)
	}
	defer f.Close()
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != elf.ELFMAG {
		return "", fmt.Errorf("%s is not the program but a script that starts it (%s can name the program)", path, EnvRuff)
	}
	return path, nil
}

// find looks for a helper: the variable, beside this program, the search path.
func find(env, name string) (string, error) {
	if path := os.Getenv(env); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s: %w", env, err)
		}
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s was found neither beside this program nor on PATH (%s can name it)", name, env)
	}
	return path, nil
}

// fingerprint is cheap: it looks at sizes and times, not at contents.
func fingerprint(sources map[string]string) (string, error) {
	var key strings.Builder
	for _, name := range []string{Name, "ruff"} {
		path, ok := sources[name]
		if !ok {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&key, "%s%x-%x-", name[:1], info.Size(), info.ModTime().UnixNano())
	}
	return key.String() + strconv.Itoa(len(commands)) + "-" + fallbacks, nil
}

// install fills a folder beside the target and renames it into place, so that
// two processes may do it at once.
func install(dir, target string, sources map[string]string) (err error) {
	tmp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("install the shim: %w", err)
		}
		_ = os.RemoveAll(tmp)
	}()
	for name, path := range sources {
		if err := copyFile(filepath.Join(tmp, name), path); err != nil {
			return err
		}
	}
	for _, name := range commands {
		if err := os.Symlink(Name, filepath.Join(tmp, name)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(tmp, fallbacks), 0o755); err != nil { //nolint:gosec // sandboxes of other users read it
		return err
	}
	if err := os.Chmod(filepath.Join(tmp, fallbacks), 0o755); err != nil { //nolint:gosec // whatever the umask
		return err
	}
	if err := os.Symlink("/usr/bin/python3", filepath.Join(tmp, fallbacks, "python")); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // sandboxes of other users read it
		return err
	}
	if err := os.Rename(tmp, target); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, statErr := os.Stat(target); statErr != nil {
			return err
		}
	}
	return nil
}

func copyFile(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) //nolint:gosec // a program
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
