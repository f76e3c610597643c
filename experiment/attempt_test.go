package experiment

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mlgym/gym"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// claimerDir makes this test program one that claims an episode and lives until
// it is killed.
const claimerDir = "MLGYM_TEST_CLAIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(claimerDir); dir != "" {
		c, err := cellDir{dir, usualPace}.claim("an-id", "")
		if err != nil {
			os.Stdout.WriteString("refused: " + err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("attempt " + strconv.Itoa(c.N) + "\n")
		select {}
	}
	if dir := os.Getenv(workerDir); dir != "" {
		os.Exit(workerMain(dir))
	}
	os.Exit(m.Run())
}

// claimer starts another process that claims the episode, and returns what it
// says.
func claimer(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), claimerDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 500)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(string(buf[:n]))
}

func newCell(t *testing.T) cellDir {
	t.Helper()
	return cellDir{t.TempDir(), usualPace}
}

func TestOneOfManyClaims(t *testing.T) {
	d := newCell(t)
	var won []*claim
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c, err := d.claim("an-id", "")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, c)
			case !errors.Is(err, errBusy):
				t.Errorf("a claim that came too late got %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || won[0].N != 1 || won[0].From.How != New {
		t.Fatalf("%d of 20 claims won: %+v", len(won), won)
	}
	entries, err := os.ReadDir(d.path)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want the attempt alone", entries, err)
	}
}

// TestKilledClaim takes over at once from a process that was killed, and not
// before.
func TestKilledClaim(t *testing.T) {
	d := newCell(t)
	other, said := claimer(t, d.path)
	if said != "attempt 1" {
		t.Fatalf("the other process said %q", said)
	}
	if _, err := d.claim("an-id", ""); !errors.Is(err, errBusy) {
		t.Errorf("a claim beside a live process got %v, want errBusy", err)
	}
	if _, said := claimer(t, d.path); !strings.Contains(said, "refused") {
		t.Errorf("a third process said %q", said)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Not yet waited for, so that it is a zombie: dead all the same.
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := d.claim("an-id", "")
		if err == nil {
			if c.N != 2 {
				t.Errorf("the attempt after the killed one is number %d", c.N)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a minute after its death the episode is still %v", err)
		}
		time.Sleep(10 * time.Millisecond) // the kernel takes a moment to end a process
	}
	_ = other.Wait() // killed
}

// TestFrozenClaim takes over from a process that gives no sign of life, which
// then finds out.
func TestFrozenClaim(t *testing.T) {
	d := newCell(t)
	frozen, err := d.claim("an-id", "")
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * d.pace.stale)
	if err := os.Chtimes(filepath.Join(frozen.dir, progressName), old, old); err != nil {
		t.Fatal(err)
	}
	next, err := d.claim("an-id", "")
	if err != nil || next.N != 2 {
		t.Fatalf("got %+v, %v; want attempt 2", next, err)
	}
	if err := frozen.beat(); !errors.Is(err, ErrFenced) {
		t.Errorf("the sign of life of the old attempt: %v, want ErrFenced", err)
	}
	if err := frozen.settle(Outcome{}); !errors.Is(err, ErrFenced) {
		t.Errorf("the outcome of the old attempt: %v, want ErrFenced", err)
	}
	if err := next.beat(); err != nil {
		t.Errorf("the sign of life of the new one: %v", err)
	}
	if err := next.settle(Outcome{State: Done, Attempt: 2}); err != nil {
		t.Fatal(err)
	}
	if err := next.settle(Outcome{State: Failed}); !errors.Is(err, errDone) {
		t.Errorf("a second outcome: %v, want errDone", err)
	}
	if o, err := d.outcome(); err != nil || o.State != Done {
		t.Errorf("the outcome is %+v, %v", o, err)
	}
	if _, err := d.claim("an-id", ""); !errors.Is(err, errDone) {
		t.Errorf("a claim after the outcome: %v, want errDone", err)
	}
}

// TestOutcomeOfAnAttemptPutAside finds the run of an attempt that wrote its
// outcome just after another one had begun.
func TestOutcomeOfAnAttemptPutAside(t *testing.T) {
	s := &Store{dir: t.TempDir(), pace: usualPace}
	d := s.cell("c")
	if err := os.MkdirAll(d.path, 0o750); err != nil {
		t.Fatal(err)
	}
	first, err := d.claim("an-id", "")
	if err != nil {
		t.Fatal(err)
	}
	record(t, first.runDir(), 1, true)
	old := time.Now().Add(-2 * d.pace.stale)
	if err := os.Chtimes(filepath.Join(first.dir, progressName), old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := d.claim("an-id", ""); err != nil {
		t.Fatal(err)
	}
	if err := writeOnce(d.file(outcomeName), Outcome{State: Done, Attempt: 1}); err != nil { // it had looked before
		t.Fatal(err)
	}
	st, err := s.episode(Entry{Dir: "c"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, st.RunDir, runstore.TrajectoryName)); err != nil {
		t.Errorf("the run that counts: %v", err)
	}
}

// TestClaimTidies removes what a process that was killed was making, and leaves
// what another one is making now.
func TestClaimTidies(t *testing.T) {
	d := newCell(t)
	for name, age := range map[string]time.Duration{".new-old": 2 * d.pace.stale, ".new-now": 0} {
		if err := os.Mkdir(d.file(name), 0o750); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(d.file(name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.claim("an-id", ""); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(d.file(".new-*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != ".new-now" {
		t.Errorf("left are %v, %v; want what is being made now", left, err)
	}
}

// TestForeignClaim believes a process of another machine as long as it gives
// signs of life, and its process number says nothing.
func TestForeignClaim(t *testing.T) {
	d := newCell(t)
	c, err := d.claim("an-id", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Boot, c.PID, c.Host = "another", 999999, "elsewhere"
	if err := writeJSON(filepath.Join(c.dir, attemptName), c.Attempt); err != nil {
		t.Fatal(err)
	}
	if _, err := d.claim("an-id", ""); !errors.Is(err, errBusy) || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("got %v, want errBusy with the host", err)
	}
}

func TestProcessNumberUsedAgain(t *testing.T) {
	p := thisProcess()
	if gone, known := p.gone(); gone || !known {
		t.Errorf("this process is gone %v, known %v", gone, known)
	}
	p.StartTicks = "1"
	if gone, known := p.gone(); !gone || !known {
		t.Errorf("another process with this number: gone %v, known %v; want gone", gone, known)
	}
}

// record makes a run with a reset and a number of steps.
func record(t *testing.T, dir string, steps int, end bool) {
	t.Helper()
	run, err := runstore.Create(dir, runstore.Manifest{Task: "t", Agent: "a", PrimaryMetric: "Score"})
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	w, err := run.Trajectory(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	events := []trajectory.Event{{Reset: &trajectory.Reset{}}}
	for i := range steps {
		events = append(events, trajectory.Event{Turn: &trajectory.Turn{Step: i + 1}}, trajectory.Event{Step: &trajectory.Step{Step: i + 1}})
	}
	if end {
		final := gym.Evaluation{Kind: gym.Submit, Scores: gym.Scores{"Score": 2}}
		events = append(events, trajectory.Event{End: &trajectory.End{ExitStatus: gym.EndedBy(gym.CauseSubmit, final), Final: &final}})
	}
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTakeOver says how the next attempt begins.
func TestTakeOver(t *testing.T) {
	tests := []struct {
		name  string
		leave func(t *testing.T, d cellDir, c *claim)
		want  From
	}{
		{"nothing was run", func(*testing.T, cellDir, *claim) {}, From{How: New}},
		{"an empty record", func(t *testing.T, _ cellDir, c *claim) {
			if err := os.MkdirAll(c.runDir(), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.runDir(), runstore.TrajectoryName), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, From{How: New}},
		{"three steps", func(t *testing.T, _ cellDir, c *claim) { record(t, c.runDir(), 3, false) }, From{How: Continued, Step: 3}},
		{"the end was recorded, the outcome not", func(t *testing.T, _ cellDir, c *claim) { record(t, c.runDir(), 2, true) }, From{How: Continued, Step: 2}},
		{"a retry of what had no score", func(t *testing.T, d cellDir, c *claim) {
			record(t, c.runDir(), 2, true)
			if err := os.WriteFile(d.file(".outcome-1.json"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, From{How: StartedOver, Why: "it was to be tried again"}},
		{"a record that is no record", func(t *testing.T, _ cellDir, c *claim) {
			record(t, c.runDir(), 1, false)
			if err := os.WriteFile(filepath.Join(c.runDir(), runstore.TrajectoryName), []byte("nonsense\nnonsense\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, From{How: StartedOver, Why: "the record of attempt 1 cannot be read"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newCell(t)
			first, err := d.claim("an-id", "")
			if err != nil {
				t.Fatal(err)
			}
			tt.leave(t, d, first)
			if err := first.end(Ending{Why: string(ClassStopped)}); err != nil {
				t.Fatal(err)
			}
			next, err := d.claim("an-id", "")
			if err != nil {
				t.Fatal(err)
			}
			if next.From.How != tt.want.How || next.From.Step != tt.want.Step || !strings.Contains(next.From.Why, tt.want.Why) {
				t.Errorf("the next attempt begins %+v, want %+v", next.From, tt.want)
			}
			if _, err := os.Stat(next.runDir()); (err == nil) != next.past {
				t.Errorf("past is %v, and the run's directory: %v", next.past, err)
			}
			if _, err := os.Stat(d.file(".attempt-1")); err != nil {
				t.Errorf("the first attempt was not put aside: %v", err)
			}
		})
	}
}

// TestClaimOnAFullDisk leaves no half attempt behind.
func TestClaimOnAFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can make a full disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skipf("SKIPPED: a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 8<<10), 0o600); err == nil {
		t.Log("the filler fitted")
	}
	d := cellDir{dir, usualPace}
	if c, err := d.claim("an-id", ""); err == nil || errors.Is(err, errBusy) {
		t.Fatalf("a claim on a full disk gave %+v, %v", c, err)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	if c, err := d.claim("an-id", ""); err != nil || c.N != 1 {
		t.Errorf("with room again: %+v, %v; want attempt 1", c, err)
	}
}
