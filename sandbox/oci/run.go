package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mlgym/sandbox"
)

// How long each step of ending a sandbox is waited for before the next,
// rougher one.
const (
	politeWait = 3 * time.Second
	killWait   = 5 * time.Second
)

// running is the runtime at work in the foreground, and the connection to the
// shim inside over its standard input and output.
type running struct {
	driver    *Driver
	id        string
	cmd       *exec.Cmd
	stdin     *os.File
	stdout    *os.File
	diagnosis *tail
	greeted   atomic.Bool // something came from inside
	exited    chan struct{}
	exit      error
	stop      sync.Once
	stopErr   error
}

// start writes the bundle and starts the runtime.
func (d *Driver) start(program, dir string, spec sandbox.Spec, p *plan) (*running, error) {
	state, err := d.stateDir()
	if err != nil {
		return nil, err
	}
	r := &running{driver: d, id: spec.ID, diagnosis: &tail{}, exited: make(chan struct{})}
	childIn, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer childIn.Close()
	stdout, childOut, err := os.Pipe()
	if err != nil {
		_ = stdin.Close()
		return nil, err
	}
	defer childOut.Close()
	r.stdin, r.stdout = stdin, stdout

	args := append(d.globalArgs(state), "run", "--bundle", dir, containerName(spec.ID))
	r.cmd = exec.Command(program, args...) //nolint:noctx // its end is the end of the sandbox
	r.cmd.Dir = dir
	r.cmd.Env = runtimeEnv()
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = childIn, childOut, r.diagnosis
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r.cmd.WaitDelay = time.Second

	err = d.privately(func() error {
		if err := d.furnish(dir, spec, p); err != nil {
			return err
		}
		return r.cmd.Start()
	})
	if err != nil {
		_ = stdin.Close()
		_ = stdout.Close()
		return nil, err
	}
	go func() {
		r.exit = r.cmd.Wait()
		close(r.exited)
	}()
	return r, nil
}

// furnish makes the root file system, the home and the bundle in dir. As root
// it is called where its mounts are private.
func (d *Driver) furnish(dir string, spec sandbox.Spec, p *plan) error {
	rootfs, beside := filepath.Join(dir, "rootfs"), filepath.Join(dir, "files")
	for _, sub := range []string{rootfs, beside} {
		if err := mkdir(sub); err != nil {
			return err
		}
	}
	who := d.newIdentity()
	var home *specs.Mount
	if d.asRoot {
		// In memory, so that nothing of it is left after a crash.
		if err := unix.Mount("tmpfs", rootfs, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, "size=64m,mode=0755"); err != nil {
			return fmt.Errorf("mount the root file system: %w", err)
		}
		source := filepath.Join(dir, "home")
		if err := d.makeHome(source, spec.Limits, who, p.mounts); err != nil {
			return err
		}
		home = &specs.Mount{Destination: sandbox.HomeDir, Type: "bind", Source: source, Options: []string{"rbind", "rw", "nosuid", "nodev"}}
	}
	binds, err := p.build(rootfs, beside)
	if err != nil {
		return fmt.Errorf("make the root file system: %w", err)
	}
	config, err := d.bundle(dir, spec, who, binds, p, home)
	if err != nil {
		return err
	}
	return writeBundle(dir, config)
}

// makeHome mounts memory for the home, with the workspace and whatever mounts
// below it need, all owned by the user inside: a runtime would make the missing
// folders root's.
func (d *Driver) makeHome(dir string, limits sandbox.Limits, who identity, mounts []sandbox.Mount) error {
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // mounted over
		return err
	}
	options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=0700,uid=%d,gid=%d", limits.DiskBytes, inodes(limits), who.outside, who.outside)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		return fmt.Errorf("mount the home: %w", err)
	}
	mkdirs := func(target string) error {
		at := dir
		for name := range strings.SplitSeq(strings.TrimPrefix(target, sandbox.HomeDir+"/"), "/") {
			at = filepath.Join(at, name)
			if err := mkdir(at); err != nil {
				return err
			}
			if err := os.Chown(at, who.outside, who.outside); err != nil {
				return err
			}
		}
		return nil
	}
	if err := mkdirs(sandbox.WorkDir); err != nil {
		return err
	}
	for _, m := range mounts {
		if !strings.HasPrefix(m.Target, sandbox.HomeDir+"/") {
			continue
		}
		if err := mkdirs(filepath.Dir(m.Target)); err != nil {
			return err
		}
		info, err := os.Stat(m.Source)
		if err != nil {
			return err
		}
		at := filepath.Join(dir, strings.TrimPrefix(m.Target, sandbox.HomeDir))
		if info.IsDir() {
			err = mkdir(at)
		} else {
			err = os.WriteFile(at, nil, 0o644) //nolint:gosec // mounted over
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *running) Read(p []byte) (int, error) {
	n, err := r.stdout.Read(p)
	if n > 0 {
		r.greeted.Store(true)
	}
	return n, err
}

func (r *running) Write(p []byte) (int, error) { return r.stdin.Write(p) }

// said is the end of what the runtime and the shim printed.
func (r *running) said() string { return r.diagnosis.String() }

// Close ends the sandbox and returns when none of its processes is left.
func (r *running) Close() error {
	r.stop.Do(func() { r.stopErr = r.end() })
	return r.stopErr
}

func (r *running) end() error {
	// The shim ends at the end of its input, and everything inside with it. Its
	// output stays open meanwhile, or the runtime would die of writing to it
	// before it has cleaned up.
	_ = r.stdin.Close()
	defer r.stdout.Close()
	if r.wait(politeWait) {
		return nil
	}
	d := r.driver
	killErr := d.command(context.Background(), "kill", containerName(r.id), "KILL")
	if killErr == nil && r.wait(killWait) {
		return nil
	}
	d.log.Warn("the runtime did not end a sandbox and is killed", "id", r.id, "kill", killErr)
	d.cgroups.kill(r.id)
	killTree(r.cmd.Process.Pid)
	if !r.wait(killWait) {
		return fmt.Errorf("the runtime of sandbox %s (pid %d) cannot be killed", r.id, r.cmd.Process.Pid)
	}
	return nil
}

func (r *running) wait(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.exited:
		return true
	case <-timer.C:
		return false
	}
}

// killTree kills a process and all that descend from it, children first, so
// that the first process of a sandbox, whose end is the end of all, is reached
// before its parents are gone.
func killTree(pid int) {
	for _, child := range children(pid) {
		killTree(child)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
}

func children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var pids []int
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for field := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(field); err == nil && !slices.Contains(pids, n) {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// discard removes what is left of a sandbox whose processes have ended or must
// end: the runtime's record of it, its cgroups and its folder.
func (d *Driver) discard(id string) error {
	state, err := d.stateDir()
	if err != nil {
		return err
	}
	var errs []error
	if _, err := os.Stat(filepath.Join(d.runtimeState(state), containerName(id))); err == nil || d.opts.Runtime == Runsc && d.hasRecord(state, id) {
		if err := d.command(context.Background(), "delete", "--force", containerName(id)); err != nil {
			d.log.Warn("delete the runtime's record", "id", id, "err", err)
			d.cgroups.kill(id)
			_ = os.RemoveAll(filepath.Join(d.runtimeState(state), containerName(id)))
		}
	}
	d.cgroups.kill(id)
	errs = append(errs, d.removeCgroups(id))
	if err := os.RemoveAll(filepath.Join(state, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hasRecord says whether runsc, whose files are named after two ids, knows id.
func (d *Driver) hasRecord(state, id string) bool {
	found, _ := filepath.Glob(filepath.Join(d.runtimeState(state), containerName(id)+"*"))
	return len(found) > 0
}

// removeCgroups removes the groups of a sandbox. A group is busy until the
// kernel has buried the last process of it, which it does soon after it killed
// it; inotify tells of that on v2 only, so the removal is repeated.
func (d *Driver) removeCgroups(id string) error {
	var err error
	for pause := time.Millisecond; pause < time.Second; pause *= 2 {
		if err = d.cgroups.remove(id); err == nil || !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(pause)
	}
	return err
}
