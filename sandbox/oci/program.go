package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mlgym/internal/cachedir"
)

// fixes tell how to get each runtime.
var fixes = map[string]string{
	Runc:  "apt-get install runc",
	Crun:  "apt-get install crun",
	Runsc: "scripts/runsc.sh (builds gVisor once, in a few minutes)",
}

// program finds the runtime.
func (d *Driver) program() (string, error) {
	fix, known := fixes[d.opts.Runtime]
	if !known {
		return "", d.unavailable("choose one of runc, crun, runsc", "no runtime is called %q", d.opts.Runtime)
	}
	if path := d.opts.RuntimePath; path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", d.unavailable(fix, "%v", err)
		}
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath(d.opts.Runtime); err == nil {
		return filepath.Abs(path)
	}
	// An ordinary user's PATH often lacks the folder of system programs.
	if path := filepath.Join("/usr/sbin", d.opts.Runtime); isProgram(path) {
		return path, nil
	}
	if d.opts.Runtime == Runsc {
		if path := builtRunsc(); path != "" {
			return path, nil
		}
	}
	return "", d.unavailable(fix, "%s is not installed", d.opts.Runtime)
}

// builtRunsc finds what scripts/runsc.sh built, the newest version first.
func builtRunsc() string {
	dirs := []string{"/var/cache/mlgym/gvisor"}
	if own, err := cachedir.Dir("gvisor"); err == nil {
		dirs = append([]string{own}, dirs...)
	}
	for _, dir := range dirs {
		// Versions of pseudo-versions sort by date.
		found, _ := filepath.Glob(filepath.Join(dir, "v*", Runsc))
		for _, f := range slices.Backward(found) {
			if isProgram(f) {
				return f
			}
		}
	}
	return ""
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// globalArgs are the runtime's arguments before its command.
func (d *Driver) globalArgs(state string) []string {
	args := []string{"--root", d.runtimeState(state)}
	switch d.opts.Runtime {
	case Crun:
		if !d.cgroups.usable() {
			args = append(args, "--cgroup-manager=disabled")
		}
	case Runsc:
		args = append(args, "--network=none", "--platform=systrap", "--overlay2=none", "--file-access-mounts=exclusive", "--oci-seccomp")
		if !d.cgroups.usable() {
			args = append(args, "--ignore-cgroups")
		}
		if !d.asRoot {
			args = append(args, "--rootless")
		}
	}
	return args
}

// command runs a short command of the runtime, such as kill or delete.
func (d *Driver) command(ctx context.Context, args ...string) error {
	program, err := d.program()
	if err != nil {
		return err
	}
	state, err := d.stateDir()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(d.globalArgs(state), args...)...)
	cmd.Env = runtimeEnv()
	cmd.WaitDelay = time.Second
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	var startErr error
	if err := d.privately(func() error { startErr = cmd.Start(); return startErr }); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return fmt.Errorf("%s %s: %s", d.opts.Runtime, args[0], out.String())
		}
		return fmt.Errorf("%s %s: %w", d.opts.Runtime, args[0], err)
	}
	return nil
}

// commandTimeout bounds kill and delete, which hang where a runtime is broken.
const commandTimeout = 10 * time.Second

// runtimeEnv is what the runtime itself sees of the host's environment.
func runtimeEnv() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		env = append(env, "XDG_RUNTIME_DIR="+dir)
	}
	return env
}

// version is the first line that the runtime says of itself.
func (d *Driver) version(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if d.opts.Runtime == Runsc && strings.Contains(line, "VERSION_MISSING") {
		// go install knows no release; the folder is named after the version.
		return Runsc + " " + filepath.Base(filepath.Dir(program))
	}
	return strings.TrimSpace(line)
}
