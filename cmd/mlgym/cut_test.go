package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mlgym/internal/cli"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/trajectory"
)

// TestKilled kills mlgym with -9 in the middle of an episode: the record stays
// readable, nothing goes on running, and the run goes on where it was.
func TestKilled(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asMlgym+"=1")
	cmd.Args = []string{"mlgym", "run", "--task", "prisonersDilemma", "--agent", "demo", "--variant", "small", "--out", dir}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const steps = 6
	deadline := time.Now().Add(2 * time.Minute)
	for recordedSteps(dir) < steps {
		if time.Now().After(deadline) {
			t.Fatalf("after 2 minutes the record has %d steps, want %d", recordedSteps(dir), steps)
		}
		time.Sleep(20 * time.Millisecond) // there is nothing to wait for but the file
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed

	var out, errs bytes.Buffer
	if code := cli.Main([]string{"show", dir}, nil, &out, &errs); code != 0 || !strings.Contains(out.String(), "cut short") {
		t.Errorf("show of the killed run: exit code %d\n%s%s", code, out.String(), errs.String())
	}
	out.Reset()
	if code := cli.Main([]string{"sandbox", "prune", "--json"}, nil, &out, &errs); code != 0 {
		t.Errorf("prune: exit code %d\n%s", code, errs.String())
	}
	out.Reset()
	if code := cli.Main([]string{"sandbox", "list", "--json"}, nil, &out, &errs); code != 0 {
		t.Errorf("list: exit code %d\n%s", code, errs.String())
	}
	var left []sandbox.Leftover
	if err := json.Unmarshal(out.Bytes(), &left); err != nil {
		t.Fatal(err)
	}
	for _, l := range left {
		if l.OwnerPID == cmd.Process.Pid {
			t.Errorf("left over after prune: %+v", l)
		}
	}

	before := recordedSteps(dir)
	result := run(t, "run", "--resume", dir, "--json", "--quiet")
	if result.ExitStatus.String() != "submitted" || result.Steps <= before || result.Resumes != 1 {
		t.Errorf("the resumed run ended as %+v, it had %d steps before", result, before)
	}
}

func recordedSteps(dir string) int {
	rec, err := trajectory.Load(filepath.Join(dir, runstore.TrajectoryName))
	if err != nil {
		return 0
	}
	return len(rec.Steps)
}

// TestNoSandbox says what to install.
func TestNoSandbox(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	var out, errs bytes.Buffer
	code := cli.Main([]string{"run", "--task", "blotto", "--agent", "baseline", "--out", filepath.Join(t.TempDir(), "run")}, nil, &out, &errs)
	if code != 1 || !strings.Contains(errs.String(), "apt-get install bubblewrap") {
		t.Errorf("exit code %d, want 1 and what to install:\n%s", code, errs.String())
	}
}

// TestFullDisk fills the disk that the record is on: a clear message, and what
// was recorded is kept.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: mounting a small file system needs root")
	}
	t.Setenv("MLGYM_STATE", t.TempDir())
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=40k"); err != nil {
		t.Skipf("SKIPPED: no small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(mount, "run")
	var out, errs bytes.Buffer
	code := cli.Main([]string{"run", "--task", "prisonersDilemma", "--agent", "demo", "--variant", "small", "--out", dir}, nil, &out, &errs)
	if code != 1 || !strings.Contains(errs.String(), "no space left on device") || !strings.Contains(errs.String(), dir) {
		t.Errorf("exit code %d, want 1 and a message that names the place:\n%s", code, errs.String())
	}
	if _, err := trajectory.Load(filepath.Join(dir, runstore.TrajectoryName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was recorded cannot be read: %v", err)
	}
}
