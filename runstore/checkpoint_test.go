package runstore_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/gym"
	"mlgym/runstore"
	"mlgym/trajectory"
)

func saveText(t *testing.T, c *runstore.Checkpoints, step int, text string) {
	t.Helper()
	if err := c.Save(step, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// latest returns the step and the text of the checkpoint that counts.
func latest(t *testing.T, c *runstore.Checkpoints) (int, string) {
	t.Helper()
	step, state, err := c.Latest()
	if err != nil {
		t.Fatal(err)
	}
	if state == nil {
		return step, ""
	}
	text, err := io.ReadAll(state)
	if err := errors.Join(err, state.Close()); err != nil {
		t.Fatal(err)
	}
	return step, string(text)
}

func folder(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCheckpoints(t *testing.T) {
	run := create(t, manifest())
	c := run.Checkpoints()
	if step, text := latest(t, c); step != 0 || text != "" {
		t.Errorf("before the first: %d, %q; want none", step, text)
	}
	long := strings.Repeat("state ", 1<<20)
	saveText(t, c, 3, long)
	if step, text := latest(t, c); step != 3 || text != long {
		t.Errorf("the first: step %d, %d bytes; want step 3, %d bytes", step, len(text), len(long))
	}
	saveText(t, c, 7, "later")
	saveText(t, c, 7, "the same step again")
	// Another process sees the same.
	if step, text := latest(t, run.Checkpoints()); step != 7 || text != "the same step again" {
		t.Errorf("the newest: %d, %q", step, text)
	}
	dir := filepath.Join(run.Dir(), runstore.CheckpointName)
	if names := folder(t, dir); len(names) != 2 {
		t.Errorf("the folder holds %q, want the index and one state", names)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder: %v, %v", info.Mode(), err)
	}
	if err := c.Discard(); err != nil {
		t.Fatal(err)
	}
	if step, text := latest(t, c); step != 0 || text != "" {
		t.Errorf("after Discard: %d, %q; want none", step, text)
	}
}

func TestAFailedCheckpointLeavesTheOneBefore(t *testing.T) {
	c := create(t, manifest()).Checkpoints()
	saveText(t, c, 1, "good")
	err := c.Save(2, func(w io.Writer) error {
		if _, err := io.WriteString(w, strings.Repeat("half ", 1<<20)); err != nil {
			return err
		}
		return gym.ErrNoSnapshot
	})
	if !errors.Is(err, gym.ErrNoSnapshot) {
		t.Errorf("Save: %v, want an error that wraps that of write", err)
	}
	if step, text := latest(t, c); step != 1 || text != "good" {
		t.Errorf("afterwards: %d, %q; want the one before", step, text)
	}
}

func TestDamagedCheckpoints(t *testing.T) {
	for name, damage := range map[string]func(index, state string) error{
		"torn":            func(_, state string) error { return os.Truncate(state, 3) },
		"longer":          func(_, state string) error { return os.WriteFile(state, []byte("a state and more"), 0o600) },
		"another content": func(_, state string) error { return os.WriteFile(state, []byte("A state"), 0o600) },
		"gone":            func(_, state string) error { return os.Remove(state) },
		"no index":        func(index, _ string) error { return os.WriteFile(index, []byte("{"), 0o600) },
		"another version": func(index, _ string) error { return edit(index, `"format_version": 1`, `"format_version": 2`) },
		"another folder":  func(index, _ string) error { return edit(index, `"file": "`, `"file": "../checkpoint/`) },
		"no file":         func(index, _ string) error { return edit(index, `"file"`, `"other"`) },
	} {
		t.Run(name, func(t *testing.T) {
			run := create(t, manifest())
			c := run.Checkpoints()
			saveText(t, c, 4, "a state")
			dir := filepath.Join(run.Dir(), runstore.CheckpointName)
			index := filepath.Join(dir, "checkpoint.json")
			states, err := filepath.Glob(filepath.Join(dir, "4-*.snapshot"))
			if err != nil || len(states) != 1 {
				t.Fatalf("states %q, %v", states, err)
			}
			if err := damage(index, states[0]); err != nil {
				t.Fatal(err)
			}
			if step, state, err := c.Latest(); err == nil {
				t.Errorf("Latest = %d, %v; want an error", step, state)
			}
			// The next one mends it.
			saveText(t, c, 5, "new")
			if step, text := latest(t, c); step != 5 || text != "new" {
				t.Errorf("after the next: %d, %q", step, text)
			}
		})
	}
}

func edit(path, from, to string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte(from)) {
		return errors.New("nothing to edit")
	}
	return os.WriteFile(path, bytes.Replace(text, []byte(from), []byte(to), 1), 0o600)
}

func TestWhichRunsKeepTheirCheckpoints(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name string
		end  *trajectory.End
		want []string
	}{
		{"cut", nil, []string{"checkpoint"}},
		{"the sandbox was lost", &trajectory.End{ExitStatus: gym.ExitStatus{Outcome: gym.EarlyExit}}, []string{"checkpoint"}},
		{"ended", &trajectory.End{ExitStatus: gym.ExitStatus{Outcome: gym.Forfeit}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			run := create(t, manifest())
			events := []trajectory.Event{{At: at, Reset: &trajectory.Reset{}}}
			if test.end != nil {
				events = append(events, trajectory.Event{At: at, End: test.end})
			}
			record(t, run, events...)
			saveText(t, run.Checkpoints(), 1, "state")
			if _, err := run.Seal(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, name := range folder(t, run.Dir()) {
				if name == runstore.CheckpointName {
					got = append(got, name)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("checkpoints after Seal (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCopyWhileCheckpointsAreSaved: the copy of a run that is still written has a
// checkpoint that is whole, or is told that it has none.
func TestCopyWhileCheckpointsAreSaved(t *testing.T) {
	run := create(t, manifest())
	record(t, run, trajectory.Event{Reset: &trajectory.Reset{}})
	stop, saved := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for step := 1; err == nil; step++ {
			select {
			case <-stop:
				saved <- nil
				return
			default:
			}
			err = run.Checkpoints().Save(step, func(w io.Writer) error {
				_, err := io.WriteString(w, strings.Repeat("state", step))
				return err
			})
			if step%10 == 0 {
				err = errors.Join(err, run.Checkpoints().Discard())
			}
		}
		saved <- err
	}()
	for range 100 {
		to := filepath.Join(t.TempDir(), "copy")
		if err := runstore.Copy(run.Dir(), to); err != nil {
			t.Error(err)
			break
		}
		copied, err := runstore.Open(to)
		if err != nil {
			t.Fatal(err)
		}
		if step, state, err := copied.Checkpoints().Latest(); err == nil && state != nil {
			text, readErr := io.ReadAll(state)
			if err := errors.Join(readErr, state.Close()); err != nil || len(text) != step*len("state") {
				t.Errorf("the copy's checkpoint of step %d has %d bytes, %v", step, len(text), err)
			}
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-saved; err != nil {
		t.Error(err)
	}
}
