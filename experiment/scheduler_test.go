package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mlgym/episode"
	"mlgym/gym"
	"mlgym/machine"
	"mlgym/model"
	"mlgym/rollout"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/trajectory"
)

const mib = int64(1) << 20

// runnerFunc is a Runner of a test.
type runnerFunc func(ctx context.Context, u Unit) (runstore.Result, error)

func (f runnerFunc) Run(ctx context.Context, u Unit) (runstore.Result, error) { return f(ctx, u) }

// newGrid is a plan of n episodes of a task, which change may alter.
func newGrid(n int, change func(i int, c *Cell)) *Plan {
	p := &Plan{}
	for i := range n {
		c := &Cell{
			FormatVersion: storeVersion, ID: ID(fmt.Sprintf("%08x00000000", i+1)), Name: fmt.Sprintf("t.a.s%d", i), Agent: "a",
			Spec: episode.Spec{Task: "t", Agent: "baseline", Seed: uint64(i)}, Metric: "Score", Needs: machine.Resources{MemoryBytes: mib},
		}
		if change != nil {
			change(i, c)
		}
		p.Cells = append(p.Cells, c)
	}
	return p
}

// world is an experiment's directory with a machine of its own.
type world struct {
	store   *Store
	plan    *Plan
	machine *machine.Machine
	limits  Limits
	retries int
	// parallel is 0 for as many as have room.
	parallel int
	worker   bool
	stop     chan struct{}
	pace     pace

	mu     sync.Mutex
	events []Event
}

func newWorld(t testing.TB, p *Plan, has machine.Options) *world {
	t.Helper()
	if has.MemoryBytes == 0 {
		has.MemoryBytes = 1000 * mib
	}
	has.Dir, has.CPUs = t.TempDir(), 4
	if has.GPUs == nil {
		has.GPUs = []int{}
	}
	m, err := machine.Open(t.Context(), has)
	if err != nil {
		t.Fatal(err)
	}
	store, err := Create(filepath.Join(t.TempDir(), "exp"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: store, plan: p, machine: m, stop: make(chan struct{}), retries: 3, pace: usualPace}
	w.save(t)
	return w
}

// save plans the grid again.
func (w *world) save(t testing.TB) {
	t.Helper()
	lock, err := w.store.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Save(&File{Format: FileFormat, Name: "exp"}, w.plan); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func (w *world) scheduler(t testing.TB, run runnerFunc) *Scheduler {
	t.Helper()
	w.store.pace = w.pace
	s, err := NewScheduler(t.Context(), Options{
		Store: w.store, Plan: w.plan, Runner: run, Machine: w.machine, Parallel: w.parallel, Retries: w.retries, Limits: w.limits, Worker: w.worker,
		Stop: w.stop, Pause: func(int) time.Duration { return 0 },
		Events: func(e Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a part of the experiment and returns how it ended.
func (w *world) run(t testing.TB, run runnerFunc) *Scheduler {
	t.Helper()
	s := w.scheduler(t, run)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.agree(t, s)
	return s
}

// agree checks that the scheduler and the directory say the same.
func (w *world) agree(t testing.TB, s *Scheduler) {
	t.Helper()
	inside, outside := s.Snapshot(), w.status(t)
	if inside.Counts != outside.Counts {
		t.Errorf("the scheduler counts %+v, the directory %+v", inside.Counts, outside.Counts)
	}
	addsUp(t, "snapshot", inside.Counts, len(w.plan.Cells))
}

func (w *world) status(t testing.TB) *Status {
	t.Helper()
	st, err := w.store.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addsUp(t, "status", st.Counts, len(w.plan.Cells))
	return st
}

func addsUp(t testing.TB, what string, c Counts, n int) {
	t.Helper()
	if c.Total != n || c.Done+c.Failed+c.Running+c.Waiting+c.Skipped != n {
		t.Errorf("%s: %+v does not add up to %d", what, c, n)
	}
}

func (w *world) outcome(t testing.TB, i int) *Outcome {
	t.Helper()
	o, err := w.store.cell(w.plan.Cells[i].Dir()).outcome()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// told counts the events of a type.
func (w *world) told(kind EventType) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// submitted is the result of an episode that went well.
func submitted(u Unit) runstore.Result {
	cost := 0.0
	return runstore.Result{
		ExitStatus: gym.ExitStatus{Outcome: gym.Submitted}, Steps: 1, PrimaryMetric: "Score", CostUSD: &cost, Seconds: 1,
		Submission: gym.Scores{"Score": float64(u.Cell.Spec.Seed)}, Best: gym.Scores{"Score": float64(u.Cell.Spec.Seed)}, RunDir: u.Dir,
	}
}

// stopped is how an episode ends that is cut from outside.
func stopped() error {
	return &rollout.FaultError{Fault: trajectory.Fault{Source: trajectory.FromOutside, Message: "stopped", Resumable: true}, Err: errors.New("stopped")}
}

func succeeds(_ context.Context, u Unit) (runstore.Result, error) { return submitted(u), nil }

func TestAllEpisodesRunOnce(t *testing.T) {
	w := newWorld(t, newGrid(40, func(i int, c *Cell) {
		if i == 7 {
			c.Skip = "there is no GPU"
		}
	}), machine.Options{})
	var mu sync.Mutex
	runs := map[ID]int{}
	s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		runs[u.Cell.ID]++
		return submitted(u), nil
	})
	if got, want := s.Snapshot().Counts, (Counts{Total: 40, Done: 39, Skipped: 1}); got != want || s.Why() != "" {
		t.Errorf("it ended with %+v, %q; want %+v", got, s.Why(), want)
	}
	for i, c := range w.plan.Cells {
		if want := 1 - min(1, len(c.Skip)); runs[c.ID] != want {
			t.Errorf("%s ran %d times, want %d", c.Name, runs[c.ID], want)
		}
		if o := w.outcome(t, i); c.Skip == "" && (*o.Submission != float64(i) || o.Attempts != 1 || o.ID != c.ID) {
			t.Errorf("the outcome of %s is %+v", c.Name, o)
		}
	}
	if w.told(Started) != 39 || w.told(Ended) != 39 || w.told(Planned) != 1 || w.told(Stopped) != 1 {
		t.Errorf("told were %d started, %d ended", w.told(Started), w.told(Ended))
	}
	w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		t.Errorf("%s ran again", u.Cell.Name)
		return submitted(u), nil
	})
}

// TestFaults says what is tried again, and what becomes of it.
func TestFaults(t *testing.T) {
	server := errors.New("the model's server is gone")
	tests := []struct {
		name string
		// run is the runner of attempt n.
		run              func(n int, u Unit) (runstore.Result, error)
		state            State
		attempts, faults int
		message, status  string
	}{
		{"two faults and a success", func(n int, u Unit) (runstore.Result, error) {
			if n <= 2 {
				return runstore.Result{}, server
			}
			return submitted(u), nil
		}, Done, 3, 2, "", "submitted"},
		{"a fault for ever", func(int, Unit) (runstore.Result, error) { return runstore.Result{}, server }, Failed, 3, 3, server.Error(), ""},
		{"the agent fails", func(_ int, u Unit) (runstore.Result, error) {
			return runstore.Result{ExitStatus: gym.ExitStatus{Outcome: gym.SubmissionNotFound, Cause: gym.CauseSteps}, PrimaryMetric: "Score", RunDir: u.Dir}, nil
		}, Done, 1, 0, "", "submission_not_found (max_steps)"},
		{"the user's mistake", func(int, Unit) (runstore.Result, error) {
			return runstore.Result{}, &episode.UserError{Err: errors.New("no such model")}
		}, Failed, 1, 0, "no such model", ""},
		{"it has changed", func(_ int, u Unit) (runstore.Result, error) {
			return runstore.Result{}, fmt.Errorf("open: %w", &ChangedError{Cell: u.Cell.Name})
		}, Failed, 1, 0, "have changed since it was planned", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newGrid(2, nil), machine.Options{})
			w.retries = 2
			var n atomic.Int64
			w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
				if u.Cell.Spec.Seed == 1 {
					return submitted(u), nil // the others do not mind
				}
				return tt.run(int(n.Add(1)), u)
			})
			o := w.outcome(t, 0)
			if o == nil || o.State != tt.state || o.Attempts != tt.attempts || o.Faults != tt.faults || !strings.Contains(o.Message, tt.message) || o.ExitStatus != tt.status {
				t.Errorf("got %+v, want %s after %d attempts, %d faults, %q, %q", o, tt.state, tt.attempts, tt.faults, tt.message, tt.status)
			}
			if int(n.Load()) != tt.attempts || w.told(Retrying) != tt.attempts-1 {
				t.Errorf("it ran %d times and %d retries were told, want %d and %d", n.Load(), w.told(Retrying), tt.attempts, tt.attempts-1)
			}
			if o := w.outcome(t, 1); o == nil || o.State != Done {
				t.Errorf("the other episode: %+v", o)
			}
		})
	}
}

// TestUnavailable stops an experiment where nothing can run, and gives nothing
// up.
func TestUnavailable(t *testing.T) {
	w := newWorld(t, newGrid(20, nil), machine.Options{})
	w.parallel = 1
	s := w.run(t, func(context.Context, Unit) (runstore.Result, error) {
		return runstore.Result{}, &sandbox.UnavailableError{Driver: "bubblewrap", Reason: "bwrap is not installed"}
	})
	if st := s.Snapshot(); st.Waiting != 20 || !strings.Contains(s.Why(), "bwrap is not installed") {
		t.Errorf("%+v, %q; want 20 waiting and why", st.Counts, s.Why())
	}
}

// TestFailedEpisodeKeepsItsCost counts what was told before the server went.
func TestFailedEpisodeKeepsItsCost(t *testing.T) {
	w := newWorld(t, newGrid(1, nil), machine.Options{})
	w.retries = 0
	cost := 1.25
	s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		u.Progress(rollout.Event{Phase: rollout.Stepped, Step: 3, Totals: trajectory.Totals{CostUSD: &cost, TokensIn: 10}})
		return runstore.Result{}, errors.New("the server is gone")
	})
	if o := w.outcome(t, 0); o.State != Failed || o.CostUSD == nil || *o.CostUSD != cost || o.Steps != 3 || o.TokensIn != 10 {
		t.Errorf("the outcome is %+v, want a cost of %v", o, cost)
	}
	if st := s.Snapshot(); st.Spent.USD != cost || st.Spent.Unpriced != 0 {
		t.Errorf("spent is %+v", st.Spent)
	}
}

// TestStops leaves what is not done to go on with, however it is stopped.
func TestStops(t *testing.T) {
	tests := []struct {
		name string
		hard bool
		ask  func(t *testing.T, w *world, cancel func())
		why  string
	}{
		{"gently", false, func(_ *testing.T, w *world, _ func()) { close(w.stop) }, "a stop was asked for"},
		{"by its context", true, func(_ *testing.T, _ *world, cancel func()) { cancel() }, "it was interrupted"},
		{"gently by another process", false, func(t *testing.T, w *world, _ func()) { askElsewhere(t, w, false) }, "a stop was asked for"},
		{"hard by another process", true, func(t *testing.T, w *world, _ func()) { askElsewhere(t, w, true) }, "a stop was asked for"},
		{"first gently, then hard", true, func(t *testing.T, w *world, _ func()) {
			close(w.stop)
			askElsewhere(t, w, true)
		}, "a stop was asked for"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newGrid(6, nil), machine.Options{})
			w.parallel = 2
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			begun := make(chan struct{}, 6)
			s := w.scheduler(t, func(ctx context.Context, u Unit) (runstore.Result, error) {
				begun <- struct{}{}
				u.Progress(rollout.Event{Phase: rollout.Stepped, Step: 1})
				if tt.hard {
					<-ctx.Done()
					return runstore.Result{}, ctx.Err()
				}
				<-u.Stop
				return runstore.Result{}, stopped()
			})
			done := make(chan error)
			go func() { done <- s.Run(ctx) }()
			<-begun
			<-begun
			tt.ask(t, w, cancel)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			w.agree(t, s)
			if st := s.Snapshot(); st.Waiting != 6 || len(begun) != 0 || !strings.Contains(s.Why(), tt.why) {
				t.Errorf("%+v, %d more begun, why %q; want 6 waiting, none, %q", st.Counts, len(begun), s.Why(), tt.why)
			}
			if _, err := os.Stat(w.store.path(stopName)); err == nil {
				t.Error("the request to stop was left behind")
			}
			w.stop = make(chan struct{})
			s = w.run(t, succeeds)
			if st := s.Snapshot(); st.Done != 6 {
				t.Errorf("afterwards %+v, want 6 done", st.Counts)
			}
			attempts := 0
			for i := range w.plan.Cells {
				attempts += w.outcome(t, i).Attempts
			}
			if attempts != 8 {
				t.Errorf("there were %d attempts, want 8", attempts)
			}
		})
	}
}

// askElsewhere asks for a stop as another process does.
func askElsewhere(t *testing.T, w *world, hard bool) {
	t.Helper()
	other, err := Open(w.store.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.AskStop(hard); err != nil {
		t.Fatal(err)
	}
}

// TestFencedAttemptEnds when another process takes its episode over, whose
// result counts.
func TestFencedAttemptEnds(t *testing.T) {
	w := newWorld(t, newGrid(1, nil), machine.Options{})
	w.pace = pace{beat: time.Millisecond, stale: time.Hour, again: time.Millisecond}
	dir := w.store.cell(w.plan.Cells[0].Dir())
	s := w.run(t, func(ctx context.Context, u Unit) (runstore.Result, error) {
		tries, err := dir.tries()
		if err != nil || len(tries) != 1 {
			t.Errorf("%v, %v; want one attempt, and none after the other one has ended", tries, err)
			return submitted(u), nil
		}
		c, err := dir.begin(u.Cell.ID, 2, &tries[0], "")
		if err != nil {
			t.Error(err)
			return runstore.Result{}, err
		}
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), ErrFenced) {
			t.Errorf("the attempt was ended because of %v, want ErrFenced", context.Cause(ctx))
		}
		if err := c.settle(Outcome{State: Done, Attempt: 2, Attempts: 2, Submission: new(float64)}); err != nil {
			t.Error(err)
		}
		return submitted(u), nil // it had not heard
	})
	if st := s.Snapshot(); st.Done != 1 || st.Episodes[0].Attempt != 2 || *st.Episodes[0].Submission != 0 {
		t.Errorf("got %+v, want the other one's outcome", st.Episodes[0])
	}
}

// TestBudget has 20 episodes draw on one budget at once: it is never exceeded,
// and a larger one lets them go on.
func TestBudget(t *testing.T) {
	const each, worst, limit, requests = 0.01, 0.03, 0.5, 10
	w := newWorld(t, newGrid(20, func(_ int, c *Cell) { c.Spec.Agent = "llm" }), machine.Options{})
	w.limits.USD = limit
	var mu sync.Mutex
	paid := map[ID]int{}
	var s *Scheduler
	run := func(ctx context.Context, u Unit) (runstore.Result, error) {
		for {
			mu.Lock()
			n := paid[u.Cell.ID]
			mu.Unlock()
			if n == requests {
				return submitted(u), nil
			}
			w, c := worst, each
			r, err := u.Account.Reserve(ctx, model.Charge{Tokens: 1, CostUSD: &w})
			if err != nil {
				return runstore.Result{}, fmt.Errorf("ask: %w", err)
			}
			mu.Lock()
			paid[u.Cell.ID]++
			total := 0
			for _, n := range paid {
				total += n
			}
			mu.Unlock()
			if spent := each * float64(total); spent > s.o.Limits.USD+1e-9 {
				t.Errorf("$%.2f were paid, the limit is $%.2f", spent, s.o.Limits.USD)
			}
			if err := r.Settle(model.Charge{Tokens: 1, CostUSD: &c}); err != nil {
				return runstore.Result{}, err
			}
		}
	}
	part := func() {
		t.Helper()
		s = w.scheduler(t, run)
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.agree(t, s)
	}
	part()
	spent, err := s.ledger.Spent()
	if err != nil || spent.USD > limit || spent.USD < limit-worst {
		t.Errorf("$%v of $%v are spent, %v", spent.USD, limit, err)
	}
	if st := s.Snapshot(); s.Why() != "the budget is used up" || st.Waiting == 0 || st.Failed > 0 {
		t.Errorf("it ended because of %q with %+v", s.Why(), st.Counts)
	}
	w.limits.USD = 10
	part()
	if spent, err := s.ledger.Spent(); err != nil || spent.Requests != 20*requests || s.Snapshot().Done != 20 {
		t.Errorf("with a larger budget: %+v, %v, %+v", spent, err, s.Snapshot().Counts)
	}
}

// TestBudgetOfTheDead does not wait for what a killed process has set aside for
// episodes that are behind those that wait.
func TestBudgetOfTheDead(t *testing.T) {
	w := newWorld(t, newGrid(4, func(_ int, c *Cell) { c.Spec.Agent = "llm" }), machine.Options{})
	w.parallel = 1
	w.limits.Tokens = 100
	ledger, err := w.store.ledger(t.Context(), w.limits)
	if err != nil {
		t.Fatal(err)
	}
	last := w.plan.Cells[3].Dir()
	dead, err := w.store.cell(last).claim(w.plan.Cells[3].ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Account(holder(last, 1)).Reserve(t.Context(), model.Charge{Tokens: 60}); err != nil {
		t.Fatal(err)
	}
	dead.StartTicks = "1" // of a process that is gone
	if err := writeJSON(filepath.Join(dead.dir, attemptName), dead.Attempt); err != nil {
		t.Fatal(err)
	}
	s := w.scheduler(t, func(ctx context.Context, u Unit) (runstore.Result, error) {
		r, err := u.Account.Reserve(ctx, model.Charge{Tokens: 50})
		if err != nil {
			return runstore.Result{}, err
		}
		return submitted(u), r.Settle(model.Charge{Tokens: 10})
	})
	if reserved, err := ledger.Reserved(); err != nil || len(reserved) > 0 {
		t.Fatalf("before the first episode %v are set aside, %v; want nothing", reserved, err)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if spent, err := ledger.Spent(); err != nil || spent.PresumedTokens != 60 || spent.Tokens != 60 || s.Why() != "the budget is used up" {
		t.Errorf("spent %+v, %v, why %q; want what the dead one had set aside", spent, err, s.Why())
	}
}

// TestStopWhileWaitingForABudget is a stop, and does not say that the budget is
// used up.
func TestStopWhileWaitingForABudget(t *testing.T) {
	w := newWorld(t, newGrid(2, func(_ int, c *Cell) { c.Spec.Agent = "llm" }), machine.Options{})
	w.limits.Tokens = 100
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 2)
	s := w.scheduler(t, func(ctx context.Context, u Unit) (runstore.Result, error) {
		asked <- struct{}{}
		r, err := u.Account.Reserve(ctx, model.Charge{Tokens: 60})
		if err != nil {
			return runstore.Result{}, err
		}
		<-ctx.Done()
		return runstore.Result{}, errors.Join(ctx.Err(), r.Release())
	})
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	<-asked
	<-asked
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, e := range w.status(t).Episodes {
		if e.State != Waiting || e.ending != ClassStopped {
			t.Errorf("%s: %s, ended as %q; want a stop", e.Name, e.State, e.ending)
		}
	}
}

func TestHours(t *testing.T) {
	w := newWorld(t, newGrid(3, nil), machine.Options{})
	if err := w.store.setClock(clock{Hours: 2}); err != nil {
		t.Fatal(err)
	}
	w.limits.Hours = 1.5
	s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		t.Error("an episode ran after the hours were used up")
		return submitted(u), nil
	})
	if s.Snapshot().Waiting != 3 || !strings.Contains(s.Why(), "the budget of 1.5 hours is used up") {
		t.Errorf("%+v, %q", s.Snapshot().Counts, s.Why())
	}
	w.limits.Hours = 3
	if s := w.run(t, succeeds); s.Snapshot().Done != 3 || s.Snapshot().Spent.Hours < 2 {
		t.Errorf("with more hours %+v, %v hours", s.Snapshot().Counts, s.Snapshot().Spent.Hours)
	}
}

// TestBreaker stops when nothing goes well any more, and not while something
// does.
func TestBreaker(t *testing.T) {
	for _, steps := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d steps before each fault", steps), func(t *testing.T) {
			w := newWorld(t, newGrid(12, nil), machine.Options{})
			w.parallel, w.retries = 1, 4
			var runs atomic.Int64
			s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
				runs.Add(1)
				for i := range steps {
					u.Progress(rollout.Event{Phase: rollout.Stepped, Step: i + 1, Transition: &gym.Transition{}})
				}
				return runstore.Result{}, errors.New("the server is gone")
			})
			st := s.Snapshot()
			if steps == 0 && (runs.Load() != 8 || st.Failed != 0 || st.Waiting != 12 || !strings.Contains(s.Why(), "8 attempts in a row failed without one step, the last one: the server is gone")) {
				t.Errorf("%d attempts, %+v, %q; want 8 attempts and nothing given up", runs.Load(), st.Counts, s.Why())
			}
			if steps > 0 && (st.Failed != 12 || runs.Load() != 60) {
				t.Errorf("%d attempts, %+v, %q; want 60, all given up", runs.Load(), st.Counts, s.Why())
			}
		})
	}
}

// TestMemory fills a machine of 1000 MiB with agents of 100 that are graded in
// 200, all at once: the bound holds, as many run as can, and nobody waits for
// ever.
func TestMemory(t *testing.T) {
	const atOnce = 8
	w := newWorld(t, newGrid(24, func(_ int, c *Cell) { c.Needs.MemoryBytes, c.GradingBytes = 100*mib, 200*mib }), machine.Options{MemoryBytes: 1000 * mib})
	var mu sync.Mutex
	var held, most int64
	take := func(bytes int64) {
		mu.Lock()
		defer mu.Unlock()
		held += bytes
		most = max(most, held)
	}
	var gate sync.WaitGroup // for the first ones, who come together
	gate.Add(atOnce)
	var first atomic.Int64
	s := w.run(t, func(ctx context.Context, u Unit) (runstore.Result, error) {
		take(u.Cell.Needs.MemoryBytes)
		defer take(-u.Cell.Needs.MemoryBytes)
		if first.Add(1) <= atOnce {
			gate.Done()
			gate.Wait()
		}
		for range 2 {
			release, err := u.Gate(ctx)
			if err != nil {
				return runstore.Result{}, err
			}
			take(u.Cell.GradingBytes)
			take(-u.Cell.GradingBytes)
			release()
		}
		return submitted(u), nil
	})
	if s.Snapshot().Done != 24 || most > 1000*mib {
		t.Errorf("%+v, at most %d MiB were in use; want 24 done within 1000", s.Snapshot().Counts, most/mib)
	}
	if holders, err := w.machine.Holders(); err != nil || len(holders) > 0 {
		t.Errorf("at the end there are leases: %v, %v", holders, err)
	}
}

// TestGradingsTakeTurns where the machine is full, and where only one may run.
func TestGradingsTakeTurns(t *testing.T) {
	for _, tt := range []struct {
		name  string
		most  int
		bytes int64 // of the machine
	}{{"by memory", 4, 400 * mib}, {"by number", 1, 4000 * mib}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newGrid(2, func(_ int, c *Cell) { c.Needs.MemoryBytes, c.GradingBytes = 100*mib, 200*mib }), machine.Options{MemoryBytes: tt.bytes})
			r := newRoom(w.machine, "test", tt.most)
			var places []*place
			for _, c := range w.plan.Cells {
				p, err := r.take(c)
				if err != nil || p == nil {
					t.Fatalf("a place for %s: %v, %v", c.Name, p, err)
				}
				places = append(places, p)
			}
			release, err := places[0].grade(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if ok, _, err := r.admit(places[1].grading); ok || err != nil {
				t.Errorf("a second grading beside the first: %t, %v; want that it waits", ok, err)
			}
			release()
			if ok, _, err := r.admit(places[1].grading); !ok || err != nil {
				t.Errorf("a second grading after the first: %t, %v", ok, err)
			}
		})
	}
}

// TestLargerThanTheMachine runs what needs more than there is, alone.
func TestLargerThanTheMachine(t *testing.T) {
	w := newWorld(t, newGrid(9, func(i int, c *Cell) {
		c.Needs.MemoryBytes, c.GradingBytes = 100*mib, 50*mib
		if i == 4 {
			c.Needs = machine.Resources{MemoryBytes: 5000 * mib, CPUs: 64}
		}
	}), machine.Options{})
	var running atomic.Int64
	s := w.run(t, func(ctx context.Context, u Unit) (runstore.Result, error) {
		n := running.Add(1)
		defer running.Add(-1)
		if u.Cell.Spec.Seed == 4 && n > 1 {
			t.Errorf("%d others run beside the one that needs the whole machine", n-1)
		}
		release, err := u.Gate(ctx)
		if err != nil {
			return runstore.Result{}, err
		}
		release()
		if u.Cell.Spec.Seed == 4 && running.Load() > 1 {
			t.Errorf("%d others have come beside the one that needs the whole machine", running.Load()-1)
		}
		return submitted(u), nil
	})
	if s.Snapshot().Done != 9 {
		t.Errorf("%+v", s.Snapshot().Counts)
	}
}

// TestStarvation lets small ones overtake a large one, but not for ever.
func TestStarvation(t *testing.T) {
	w := newWorld(t, newGrid(120, func(i int, c *Cell) {
		c.Needs.MemoryBytes = 100 * mib
		if i == 20 {
			c.Needs.MemoryBytes = 1000 * mib
		}
	}), machine.Options{})
	var mu sync.Mutex
	var order []uint64
	s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, u.Cell.Spec.Seed)
		return submitted(u), nil
	})
	if s.Snapshot().Done != 120 {
		t.Fatalf("%+v", s.Snapshot().Counts)
	}
	// Those before it, those that may overtake it, and those that start in the
	// same breath.
	if at := slices.Index(order, 20); at > 20+maxOvertaken+10 {
		t.Errorf("the large episode was number %d to run, want it after at most %d overtook it", at, maxOvertaken)
	}
}

// TestPausedEpisodeStarvesNobody counts only those overtaken that could have
// run but for room.
func TestPausedEpisodeStarvesNobody(t *testing.T) {
	w := newWorld(t, newGrid(3, nil), machine.Options{})
	s := w.scheduler(t, succeeds)
	paused := s.queue[0]
	paused.after = time.Now().Add(time.Hour)
	s.teller = &teller{}
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.drain()
	if len(s.queue) != 1 || paused.overtaken != 0 {
		t.Errorf("%d are left and the paused one was overtaken %d times; want it alone, and 0", len(s.queue), paused.overtaken)
	}
}

func TestGPUsAreExclusive(t *testing.T) {
	w := newWorld(t, newGrid(8, func(i int, c *Cell) { c.Needs.GPUs = 1 + i%2 }), machine.Options{GPUs: []int{2, 5, 7}})
	var mu sync.Mutex
	held := map[int]bool{}
	s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		mu.Lock()
		if len(u.GPUs) != u.Cell.Needs.GPUs {
			t.Errorf("%s has the GPUs %v, and needs %d", u.Cell.Name, u.GPUs, u.Cell.Needs.GPUs)
		}
		for _, g := range u.GPUs {
			if held[g] || g != 2 && g != 5 && g != 7 {
				t.Errorf("GPU %d was given to %s while another one has it: %t", g, u.Cell.Name, held[g])
			}
			held[g] = true
		}
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			for _, g := range u.GPUs {
				delete(held, g)
			}
		}()
		return submitted(u), nil
	})
	if s.Snapshot().Done != 8 {
		t.Errorf("%+v", s.Snapshot().Counts)
	}
}

// TestCountsAddUpAtAllTimes looks from inside and from outside while episodes
// fail, are cut and end.
func TestCountsAddUpAtAllTimes(t *testing.T) {
	const n = 30
	w := newWorld(t, newGrid(n, nil), machine.Options{})
	var runs atomic.Int64
	s := w.scheduler(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		u.Progress(rollout.Event{Phase: rollout.Stepped, Step: 1, Transition: &gym.Transition{}})
		if runs.Add(1)%3 == 0 {
			return runstore.Result{}, errors.New("a fault")
		}
		return submitted(u), nil
	})
	done := make(chan error)
	go func() { done <- s.Run(t.Context()) }()
	looks, before := 0, 0
	for over := false; !over; looks++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			over = true
		default:
		}
		addsUp(t, "snapshot", s.Snapshot().Counts, n)
		st := w.status(t)
		if st.Done+st.Failed < before {
			t.Errorf("%d had ended, now %d have", before, st.Done+st.Failed)
		}
		before = st.Done + st.Failed
	}
	w.agree(t, s)
	for _, e := range w.events {
		if e.Counts != nil {
			addsUp(t, string(e.Type), *e.Counts, n)
		}
	}
	t.Logf("%d looks while %d attempts ran", looks, runs.Load())
}

// TestChangedGrid runs what is new, and leaves what is not in it any more.
func TestChangedGrid(t *testing.T) {
	w := newWorld(t, newGrid(4, nil), machine.Options{})
	w.run(t, succeeds)
	old := w.plan.Cells[0]
	w.plan = &Plan{Cells: append(newGrid(6, nil).Cells[2:], &Cell{ID: "ffffffffffffffff", Name: "t.b.s0", Agent: "b", Metric: "Score", Spec: episode.Spec{Task: "t"}})}
	w.save(t)
	var mu sync.Mutex
	var ran []string
	s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, u.Cell.Name)
		return submitted(u), nil
	})
	slices.Sort(ran)
	if got := strings.Join(ran, " "); got != "t.a.s4 t.a.s5 t.b.s0" || s.Snapshot().Done != 5 {
		t.Errorf("ran %s, %+v; want those that are new", got, s.Snapshot().Counts)
	}
	dirs, err := w.store.RunDirs(t.Context())
	if err != nil || len(dirs) != 5 || strings.Contains(strings.Join(dirs, " "), old.Dir()) {
		t.Errorf("the runs that count are %v, %v", dirs, err)
	}
	if o, err := w.store.cell(old.Dir()).outcome(); err != nil || o == nil {
		t.Errorf("the outcome of what was left out: %v, %v", o, err)
	}
	if v, err := Preview(t.Context(), w.store.Dir(), w.plan); err != nil || v.Unplanned != 2 || v.Done != 5 {
		t.Errorf("the preview says %+v, %v", v, err)
	}
}

func TestRetry(t *testing.T) {
	w := newWorld(t, newGrid(4, nil), machine.Options{})
	w.retries = 0
	broken := func(_ context.Context, u Unit) (runstore.Result, error) {
		record(t, u.Dir, 2, u.Cell.Spec.Seed != 1)
		switch u.Cell.Spec.Seed {
		case 1:
			return runstore.Result{}, errors.New("a fault")
		case 2:
			return runstore.Result{ExitStatus: gym.ExitStatus{Outcome: gym.SubmissionNotFound}, PrimaryMetric: "Score", RunDir: u.Dir}, nil
		}
		return submitted(u), nil
	}
	w.run(t, broken)
	for _, tt := range []struct {
		only, ran string
		how       From
	}{
		{"failed", "t.a.s1", From{How: Continued, Step: 2}},
		{"failed", "", From{}},
		{"unscored", "t.a.s2", From{How: StartedOver, Why: "it was to be tried again"}},
		{"unscored", "", From{}},
	} {
		names, err := w.store.Retry(t.Context(), tt.only)
		if err != nil || strings.Join(names, " ") != tt.ran {
			t.Fatalf("retry %s: %v, %v; want %q", tt.only, names, err, tt.ran)
		}
		var ran []string
		s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
			ran = append(ran, u.Cell.Name)
			if u.Past != (tt.how.How == Continued) {
				t.Errorf("past is %t", u.Past)
			}
			return submitted(u), nil
		})
		if strings.Join(ran, " ") != tt.ran || s.Snapshot().Done < 3 || s.Snapshot().Waiting > 0 {
			t.Errorf("retry %s ran %v, %+v", tt.only, ran, s.Snapshot().Counts)
		}
		for i, c := range w.plan.Cells {
			if c.Name != tt.ran {
				continue
			}
			if o := w.outcome(t, i); o.State != Done || o.Attempt != 2 || o.From != tt.how || o.Submission == nil {
				t.Errorf("%s afterwards: %+v, want %+v", c.Name, o, tt.how)
			}
		}
	}
}

// TestOutcomeThatCannotBeWritten is tried again, and then left: what is not
// written down did not happen.
func TestOutcomeThatCannotBeWritten(t *testing.T) {
	w := newWorld(t, newGrid(2, nil), machine.Options{})
	dir := w.store.cell(w.plan.Cells[0].Dir())
	runs := 0
	s := w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		if u.Cell.Spec.Seed == 0 {
			runs++
			if err := os.RemoveAll(dir.path); err != nil {
				t.Error(err)
			}
		}
		return submitted(u), nil
	})
	if st := s.Snapshot(); runs != 1 || st.Done != 1 || st.Waiting != 1 || !strings.Contains(st.Episodes[0].Message, "no such file") {
		t.Errorf("%d runs, %+v, %q; want one done, and one left with its reason", runs, st.Counts, st.Episodes[0].Message)
	}
	w.save(t)
	if s := w.run(t, succeeds); s.Snapshot().Done != 2 {
		t.Errorf("afterwards %+v", s.Snapshot().Counts)
	}
}

// TestDamagedFiles names the file, and does not run what it cannot read.
func TestDamagedFiles(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, w *world) string
	}{
		{"plan", func(t *testing.T, w *world) string { return tear(t, w.store.path(planName)) }},
		{"outcome", func(t *testing.T, w *world) string {
			return tear(t, w.store.cell(w.plan.Cells[1].Dir()).file(outcomeName))
		}},
		{"attempt", func(t *testing.T, w *world) string {
			d := w.store.cell(w.plan.Cells[1].Dir())
			remove(t, d.file(outcomeName))
			remove(t, d.file("attempt-1", endedName))
			return tear(t, d.file("attempt-1", attemptName))
		}},
		{"attempt is missing", func(t *testing.T, w *world) string {
			d := w.store.cell(w.plan.Cells[1].Dir())
			remove(t, d.file(outcomeName))
			remove(t, d.file("attempt-1", endedName))
			remove(t, d.file("attempt-1", attemptName))
			return d.file("attempt-1", attemptName)
		}},
		{"ending", func(t *testing.T, w *world) string {
			d := w.store.cell(w.plan.Cells[1].Dir())
			remove(t, d.file(outcomeName))
			return tear(t, d.file("attempt-1", endedName))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, newGrid(3, nil), machine.Options{})
			w.run(t, succeeds)
			path := tt.spoil(t, w)
			if _, err := w.store.Status(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("status: %v, want an error with %s", err, path)
			}
			_, err := NewScheduler(t.Context(), Options{Store: w.store, Plan: w.plan, Runner: runnerFunc(succeeds), Machine: w.machine})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("a scheduler: %v, want an error with %s", err, path)
			}
			c := w.plan.Cells[1]
			_, err = w.store.cell(c.Dir()).claim(c.ID, "")
			if tt.name != "plan" && (err == nil || !strings.Contains(err.Error(), path)) {
				t.Errorf("a claim: %v, want an error with %s", err, path)
			}
		})
	}
	t.Run("cell", func(t *testing.T) {
		w := newWorld(t, newGrid(1, nil), machine.Options{})
		path := tear(t, w.store.cell(w.plan.Cells[0].Dir()).file(cellName))
		if _, err := w.store.ReadCell(w.plan.Cells[0].Dir()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want an error with %s", err, path)
		}
		w.save(t) // plans it again
		if c, err := w.store.ReadCell(w.plan.Cells[0].Dir()); err != nil || c.ID != w.plan.Cells[0].ID {
			t.Errorf("after planning again: %+v, %v", c, err)
		}
	})
}

func tear(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestTornEvent keeps the events after one that a killed process did not finish.
func TestTornEvent(t *testing.T) {
	w := newWorld(t, newGrid(1, nil), machine.Options{})
	if err := os.WriteFile(w.store.path(EventsName), []byte(`{"type":"started","epis`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(t, succeeds)
	text, err := os.ReadFile(w.store.path(EventsName))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil && i > 0 {
			t.Errorf("line %d: %v: %s", i+1, err, line)
		}
		kinds = append(kinds, string(e.Type))
	}
	if got := strings.Join(kinds, " "); got != " planned started ended stopped" {
		t.Errorf("the events are %q", got)
	}
}

// TestKilledBeforeTheLock takes a folder in which nothing but the list of cells
// was made.
func TestKilledBeforeTheLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "exp")
	for range 2 {
		if _, err := Create(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir); err == nil || !strings.Contains(err.Error(), "choose another folder") {
		t.Errorf("a folder with other things in it: %v", err)
	}
}
