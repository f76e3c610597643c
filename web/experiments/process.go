package experiments

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"mlgym/experiment"
)

// OutputName is the file in an experiment's directory that keeps what the commands
// that [Process] starts print.
const OutputName = "viewer.log"

// Process is the [Control] that runs mlgym's commands on this machine. What goes on
// with an experiment is a process of its own, which outlives this one.
type Process struct {
	// Program is the executable of mlgym, and Env its environment; nil is that of
	// this process.
	Program string
	Env     []string
	// Patience is how long a command that is started is watched for an early end; 0
	// means a second and a half.
	Patience time.Duration

	mu      sync.Mutex
	started map[string]*child // the last one of each directory
}

// child is a command that was started.
type child struct {
	name  string
	pid   int
	ended chan struct{} // closed when it has ended, with what follows
	err   error
	said  string // the end of what it printed
	wrong bool   // it ended by an error, and not only with episodes that have no result
}

// Stop implements [Control]: it asks through the directory, and through the cluster
// where there are jobs of one.
func (c *Process) Stop(ctx context.Context, dir string, hard bool) error {
	store, err := experiment.Open(dir)
	if err != nil {
		return err
	}
	if !store.HasJobs() {
		return store.AskStop(hard)
	}
	const most = time.Minute
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	args := []string{"experiment", "stop", dir, "--no-wait"}
	if hard {
		args = append(args, "--now")
	}
	cmd := exec.CommandContext(ctx, c.Program, args...)
	cmd.Env = c.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, lastLines(out))
	}
	return nil
}

// Resume implements [Control].
func (c *Process) Resume(_ context.Context, dir string) error {
	return c.start(dir, "resume", "experiment", "resume", dir)
}

// Retry implements [Control].
func (c *Process) Retry(_ context.Context, dir, only string) error {
	return c.start(dir, "retry", "experiment", "retry", dir, "--only", only)
}

// start runs a command that goes on by itself. One that ends early with an error is
// an error.
func (c *Process) start(dir, name string, args ...string) error {
	if _, err := experiment.Open(dir); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if was := c.started[dir]; was != nil && !was.over() {
		return fmt.Errorf("%s is under way as process %d, which was started from this page", was.name, was.pid)
	}
	out, err := os.OpenFile(filepath.Join(dir, OutputName), os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return fmt.Errorf("keep what it prints: %w", err)
	}
	defer out.Close()
	fmt.Fprintf(out, "%s mlgym %s\n", time.Now().UTC().Format(time.RFC3339), strings.Join(args, " "))
	info, err := out.Stat()
	if err != nil {
		return err
	}
	cmd := exec.Command(c.Program, args...) //nolint:noctx // it outlives the request, and this process
	cmd.Env, cmd.Stdout, cmd.Stderr = c.Env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt of this process is not its
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start mlgym: %w", err)
	}
	got := &child{name: name, pid: cmd.Process.Pid, ended: make(chan struct{})}
	if c.started == nil {
		c.started = map[string]*child{}
	}
	c.started[dir] = got
	go func() {
		got.err = cmd.Wait()
		printed := tailOf(filepath.Join(dir, OutputName), info.Size())
		got.said = lastLines(printed)
		got.wrong = got.err != nil && (cmd.ProcessState.ExitCode() != exitFailed || bytes.HasPrefix(lastLine(printed), []byte("mlgym: ")))
		close(got.ended)
	}()
	patience := c.Patience
	if patience == 0 {
		patience = 1500 * time.Millisecond
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-got.ended:
		if got.wrong {
			delete(c.started, dir) // it is said now
			return got.failure()
		}
	case <-timer.C:
	}
	return nil
}

func (c *child) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

func (c *child) failure() error {
	err := fmt.Errorf("%s ended: %w", c.name, c.err)
	if c.said != "" {
		err = fmt.Errorf("%w: %s", err, c.said)
	}
	return err
}

// Tell implements [Teller].
func (c *Process) Tell(dir string) (text string, bad bool) {
	c.mu.Lock()
	got := c.started[dir]
	c.mu.Unlock()
	switch {
	case got == nil:
		return "", false
	case !got.over():
		return fmt.Sprintf("%s runs as process %d; what it prints is in %s", got.name, got.pid, OutputName), false
	case got.wrong:
		return fmt.Sprintf("%v (all of it is in %s)", got.failure(), OutputName), true
	case got.err != nil:
		return fmt.Sprintf("%s has ended with episodes that have no result; what it printed is in %s", got.name, OutputName), false
	}
	return "", false
}

// exitFailed is the exit code of a command that has episodes without a result, and
// of one that ended by an error of its own, which it prints last.
const exitFailed = 1

// tailOf reads the end of what a command printed.
func tailOf(path string, from int64) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	const most = 8192
	info, err := file.Stat()
	if err != nil {
		return nil
	}
	text, _ := io.ReadAll(io.NewSectionReader(file, max(from, info.Size()-most), most)) // as much as there is
	return bytes.TrimSpace(text)
}

func lastLine(out []byte) []byte { return out[bytes.LastIndexByte(out, '\n')+1:] }

// lastLines are the last words of a command, in one line.
func lastLines(out []byte) string {
	const lines, most = 6, 800
	all := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	text := strings.Join(strings.Fields(string(bytes.Join(all[max(0, len(all)-lines):], []byte(" ")))), " ")
	if len(text) > most {
		text = "…" + strings.ToValidUTF8(text[len(text)-most:], "")
	}
	return text
}
