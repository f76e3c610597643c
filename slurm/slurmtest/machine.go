package slurmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// first is the first process of a machine. It runs the daemon, collects orphans
// as a first process has to, and lives until its standard input ends; the kernel
// then kills what is left in the namespace. The daemon has other descriptors.
const first = `mount -t proc proc /proc || exit 71
"$@" </dev/null &
while read -r _; do :; done`

// machine is a process namespace: a daemon, and what it started.
type machine struct {
	cmd   *exec.Cmd
	stdin io.Closer // its end is the end of the machine
	done  chan struct{}
}

// startMachine starts a daemon in a namespace of its own.
func (c *Cluster) startMachine(name, daemon string, args ...string) error {
	path, err := program(daemon)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("the cluster is stopped")
	}
	if m := c.machines[name]; m != nil {
		return fmt.Errorf("%s is running already", name)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log", name+"-out.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("bash", append([]string{"-c", first, "first", path}, args...)...) //nolint:noctx // it lives until Stop
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "SLURM_CONF="+c.conf)
	cmd.Stdout, cmd.Stderr = log, log
	// Mounts are unshared, not cloned, since that makes them private first: the
	// machine's /proc must not appear outside.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
			return &UnsupportedError{fmt.Sprintf("process namespaces are refused: %v", err)}
		}
		return err
	}
	m := &machine{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		_ = cmd.Wait() // it was killed, or its standard input ended
	}()
	c.machines[name] = m
	return nil
}

// kill ends a machine and waits until every process of it is gone.
func (c *Cluster) kill(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.machines[name]; m != nil {
		m.kill()
		delete(c.machines, name)
	}
}

func (m *machine) kill() {
	_ = m.cmd.Process.Kill() // it may be gone
	<-m.done                 // a namespace's first process is waited for after all others
	_ = m.stdin.Close()
}

// signalNode sends a signal to the processes of a node: to all, to those of some
// names, or to all but some ("!name"). What is started meanwhile gets it too.
func (c *Cluster) signalNode(name string, signal syscall.Signal, programs []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[name]
	if m == nil {
		return fmt.Errorf("node %s is not running", name)
	}
	sent := map[int]bool{}
	for more := true; more; {
		more = false
		processes, err := descendants(m.cmd.Process.Pid)
		if err != nil {
			return err
		}
		for pid, program := range processes {
			if sent[pid] || !matches(programs, program) {
				continue
			}
			sent[pid] = true
			more = true
			if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("signal a process of node %s: %w", name, err)
			}
		}
	}
	if len(sent) == 0 {
		return fmt.Errorf("node %s has no process to signal", name)
	}
	return nil
}

// matches says whether a program is meant by a list.
func matches(programs []string, program string) bool {
	if len(programs) == 0 || slices.Contains(programs, program) {
		return true
	}
	return strings.HasPrefix(programs[0], "!") && !slices.Contains(programs, "!"+program)
}

// descendants returns the processes below one, with the names of their programs.
// Every process of a namespace, and of those nested in it, is below its first.
func descendants(root int) (map[int]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children, programs := map[int][]int{}, map[int]string{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // it ended
		}
		// "12 (name) S 1 …", where the name may hold anything.
		open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if open < 0 || end < open {
			continue
		}
		fields := bytes.Fields(stat[end+1:])
		if len(fields) < 2 {
			continue
		}
		parent, err := strconv.Atoi(string(fields[1]))
		if err != nil {
			continue
		}
		children[parent] = append(children[parent], pid)
		programs[pid] = string(stat[open+1 : end])
	}
	found := map[int]string{}
	queue := children[root]
	for len(queue) > 0 {
		pid := queue[0]
		queue = append(queue[1:], children[pid]...)
		found[pid] = programs[pid]
	}
	return found, nil
}
