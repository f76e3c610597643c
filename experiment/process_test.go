package experiment

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mlgym/machine"
	"mlgym/runstore"
)

// workerDir makes this test program one that works on the experiment in a folder,
// as workerMode says: "works"; "hangs" in its first episode; "locks" the experiment
// and waits.
const (
	workerDir    = "MLGYM_TEST_WORK"
	workerMode   = "MLGYM_TEST_WORK_MODE"
	workerLeases = "MLGYM_TEST_WORK_LEASES"
	sharedCells  = 40
)

func workerMain(dir string) int {
	if err := work(dir, os.Getenv(workerMode)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func work(dir, mode string) error {
	ctx := context.Background()
	store, err := Open(dir)
	if err != nil {
		return err
	}
	// Nobody is taken for dead because this machine is busy.
	store.pace = pace{beat: time.Second, stale: time.Hour, again: time.Millisecond}
	if mode == "locks" {
		if _, err := store.Lock(); err != nil {
			return err
		}
		fmt.Println("locked")
		select {}
	}
	m, err := machine.Open(ctx, machine.Options{Dir: os.Getenv(workerLeases), MemoryBytes: 20 * mib, CPUs: 4, GPUs: []int{}})
	if err != nil {
		return err
	}
	s, err := NewScheduler(ctx, Options{
		Store: store, Plan: newGrid(sharedCells, nil), Machine: m, Parallel: 4, Worker: true,
		Runner: runnerFunc(func(ctx context.Context, u Unit) (runstore.Result, error) {
			if mode == "hangs" {
				fmt.Println("hangs in " + u.Cell.Name)
				select {}
			}
			return submitted(u), note(filepath.Join(dir, "ran.txt"), u.Cell.Name)
		}),
	})
	if err != nil {
		return err
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	if st := s.Snapshot(); st.Done != sharedCells {
		return fmt.Errorf("it ended with %+v", st.Counts)
	}
	return nil
}

// note adds a line to a file that several processes write.
func note(path, line string) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, filePerm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = file.WriteString(line + "\n")
	return err
}

// worker starts another process, whose output the reader gets.
func worker(t *testing.T, dir, leases, mode string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), workerDir+"="+dir, workerMode+"="+mode, workerLeases+"="+leases)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// TestProcessesShareEpisodes has three processes work on the same episodes, and a
// fourth one killed in the middle of four of them: each runs to its end once.
func TestProcessesShareEpisodes(t *testing.T) {
	w := newWorld(t, newGrid(sharedCells, nil), machine.Options{})
	dir, leases := w.store.Dir(), t.TempDir()
	dead, out := worker(t, dir, leases, "hangs")
	const hanging = 4
	for range hanging {
		if _, err := out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	var living []*exec.Cmd
	for range 3 {
		cmd, _ := worker(t, dir, leases, "works")
		living = append(living, cmd)
	}
	if st := w.status(t); st.Running < hanging || st.Active {
		t.Errorf("while they run: %+v, active %t; want at least %d running, and nobody who conducts them", st.Counts, st.Active, hanging)
	}
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait() // killed
	for _, cmd := range living {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if st := w.status(t); st.Done != sharedCells {
		t.Errorf("at the end: %+v", st.Counts)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ran.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for line := range strings.Lines(string(text)) {
		ran[strings.TrimSpace(line)]++
	}
	taken := 0
	for i, c := range w.plan.Cells {
		o := w.outcome(t, i)
		if ran[c.Name] != 1 || o == nil {
			t.Errorf("%s ran to its end %d times, outcome %+v", c.Name, ran[c.Name], o)
			continue
		}
		taken += o.Attempts - 1
		if _, err := os.Stat(filepath.Join(dir, CellsName, c.Dir(), fmt.Sprintf("attempt-%d", o.Attempt))); err != nil {
			t.Errorf("the attempt that counts: %v", err)
		}
	}
	if taken != hanging {
		t.Errorf("%d attempts were taken over, want the %d of the killed process", taken, hanging)
	}
}

// TestOneConducts lets one process at a time conduct an experiment, and says who
// it is.
func TestOneConducts(t *testing.T) {
	w := newWorld(t, newGrid(1, nil), machine.Options{})
	other, out := worker(t, w.store.Dir(), "", "locks")
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_, err := w.store.Lock()
	if locked, ok := errors.AsType[*LockedError](err); !ok || locked.Process.PID != other.Process.Pid {
		t.Errorf("a lock beside another process: %v, want one that names process %d", err, other.Process.Pid)
	}
	if active, who, err := w.store.Active(); !active || who.PID != other.Process.Pid || err != nil {
		t.Errorf("active %t, %+v, %v", active, who, err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	lock, err := w.store.Lock()
	if err != nil {
		t.Fatalf("after its death: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

// manyDone makes an experiment of n episodes that have ended.
func manyDone(t testing.TB, n int) *world {
	t.Helper()
	w := newWorld(t, newGrid(n, nil), machine.Options{})
	for i, c := range w.plan.Cells {
		score, cost := float64(i), 0.5
		o := Outcome{FormatVersion: storeVersion, ID: c.ID, Name: c.Name, State: Done, Attempt: 1, Attempts: 1, Metric: c.Metric, Submission: &score, CostUSD: &cost, TokensIn: 2}
		if i%100 == 99 {
			o.State, o.Submission = Failed, nil
		}
		text, err := json.Marshal(o)
		if err == nil {
			err = os.WriteFile(w.store.cell(c.Dir()).file(outcomeName), text, filePerm)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func TestTenThousandEpisodes(t *testing.T) {
	const n = 10_000
	w := manyDone(t, n)
	st := w.status(t)
	if st.Done != n-n/100 || st.Failed != n/100 || st.CostUSD != n/2 || st.Spent.Tokens != 2*n {
		t.Errorf("%+v, $%v, %+v", st.Counts, st.CostUSD, st.Spent)
	}
	for i, e := range st.Episodes {
		if e.ID != w.plan.Cells[i].ID || e.State == Done && *e.Submission != float64(i) {
			t.Fatalf("episode %d is %+v", i, e)
		}
	}
	s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		t.Errorf("%s ran again", u.Cell.Name)
		return submitted(u), nil
	})
	if s.Snapshot().Done != st.Done {
		t.Errorf("after resuming: %+v", s.Snapshot().Counts)
	}
}

func BenchmarkStatus10000(b *testing.B) {
	w := manyDone(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.store.Status(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEpisode is what the scheduler adds to an episode that does nothing.
func BenchmarkEpisode(b *testing.B) {
	w := newWorld(b, newGrid(b.N, nil), machine.Options{})
	w.parallel = 2
	b.ReportAllocs()
	b.ResetTimer()
	w.run(b, succeeds)
}
