package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mlgym/gym"
	"mlgym/server/session"
	"mlgym/server/session/sessiontest"
)

// bubble runs a test in which time passes only while everybody waits, with a table
// that is closed in the end; nothing may be open then.
func bubble(t *testing.T, opts session.Options, test func(t *testing.T, works *sessiontest.Works, table *session.Table)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		works := &sessiontest.Works{}
		opts.Make = works.Make
		table := session.NewTable(opts)
		defer func() {
			table.Close()
			table.Close() // again
			if n := works.Open(); n != 0 {
				t.Errorf("%d environments are open after Close", n)
			}
			if active, _ := table.Active(); active != 0 {
				t.Errorf("%d sessions are there after Close", active)
			}
		}()
		test(t, works, table)
	})
}

func open(t *testing.T, table *session.Table) *session.Session {
	t.Helper()
	s, err := table.Open("client", false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// begun opens a session and begins an episode in it.
func begun(t *testing.T, table *session.Table) *session.Session {
	t.Helper()
	s := open(t, table)
	reset(t, s, session.Request{Task: "words", Seed: new(uint64(7))})
	return s
}

func reset(t *testing.T, s *session.Session, r session.Request) session.Reply {
	t.Helper()
	reply, err := s.Reset(t.Context(), r)
	if err != nil {
		t.Fatalf("reset %+v: %v", r, err)
	}
	return reply
}

func do(command string) gym.Action { return gym.Action{Command: command} }

func step(t *testing.T, s *session.Session, command string) session.Reply {
	t.Helper()
	reply, err := s.Step(t.Context(), do(command), session.StepOptions{})
	if err != nil {
		t.Fatalf("step %q: %v", command, err)
	}
	return reply
}

// wantText fails unless the observation's text starts with want, and the command
// still runs or not.
func wantText(t *testing.T, r session.Reply, want string, running bool) {
	t.Helper()
	if !strings.HasPrefix(r.Observation.Text, want) || r.Running != running {
		t.Errorf("the reply is %q (running %t), want %q (running %t)", r.Observation.Text, r.Running, want, running)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
}

func TestPatience(t *testing.T) {
	const grace = 24 * time.Hour // out of the way
	for _, c := range []struct {
		name            string
		server          time.Duration
		episode, single *time.Duration
		want            time.Duration
	}{
		{name: "the server's", server: 10 * time.Second, want: 10 * time.Second},
		{name: "the default", want: 45 * time.Second},
		{name: "the episode's", server: 10 * time.Second, episode: new(20 * time.Second), want: 20 * time.Second},
		{name: "the step's", server: 10 * time.Second, episode: new(20 * time.Second), single: new(30 * time.Second), want: 30 * time.Second},
		{name: "for ever", server: 10 * time.Second, episode: new(time.Duration(0)), want: 30 * time.Minute},
		{name: "the server's without end", server: -1, want: 30 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, session.Options{Patience: c.server, Grace: grace, Idle: grace}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
				s := open(t, table)
				reset(t, s, session.Request{Task: "words", Patience: c.episode})
				began := time.Now()
				reply, err := s.Step(t.Context(), do("sleep 30m"), session.StepOptions{Patience: c.single})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != c.want || reply.Running != (c.want < 30*time.Minute) {
					t.Errorf("after %s, want %s: %+v", took, c.want, reply)
				}
			})
		})
	}
}

func TestWaitAndInterrupt(t *testing.T) {
	bubble(t, session.Options{Patience: 10 * time.Second}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := begun(t, table)
		// Where nothing runs, the words are shell text.
		wantText(t, step(t, s, "wait"), "wait\n", false)
		wantText(t, step(t, s, "interrupt"), "interrupt\n", false)

		reply := step(t, s, "sleep 25s")
		wantText(t, reply, "The command is still running after 10s.", true)
		if reply.Reward == nil || *reply.Reward != 0 || reply.Done() || reply.Observation.Step != 2 || reply.Observation.WorkingDir != "/home" {
			t.Errorf("while it runs: %+v", reply)
		}
		if !s.State().Running {
			t.Error("the state says that nothing runs")
		}
		wantText(t, step(t, s, "ls"), "A command is still running, and this one was not run.", true)
		wantText(t, step(t, s, " wait\n"), "The command is still running after 10s.", true)
		began := time.Now()
		wantText(t, step(t, s, ""), "slept\n", false) // nothing to do is waiting, too
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the last wait took %s, want 5s", took)
		}

		wantText(t, step(t, s, "hold"), "The command is still running", true)
		reply = step(t, s, "interrupt")
		wantText(t, reply, "interrupted\n", false)
		if reply.Info.Deadline != "cancelled" {
			t.Errorf("interrupted: %+v", reply)
		}
		// Nothing of it is left for the next one.
		wantText(t, step(t, s, "sleep 1s"), "slept\n", false)
		if st := s.State(); st.Steps != 9 || st.Running {
			t.Errorf("in the end: %+v, want 9 steps", st)
		}
	})
}

// TestResultWithoutAWaiter: what ended while nobody waited is told to whoever comes
// next, whatever they ask for.
func TestResultWithoutAWaiter(t *testing.T) {
	for _, word := range []string{"wait", "interrupt", "ls", "validate"} {
		t.Run(word, func(t *testing.T) {
			bubble(t, session.Options{Patience: time.Second}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
				s := begun(t, table)
				wantText(t, step(t, s, "sleep 5s"), "The command is still running", true)
				time.Sleep(10 * time.Second)
				reply := step(t, s, word)
				wantText(t, reply, "slept\n", false)
				notRun := word != "wait" && word != "interrupt"
				if got := strings.Contains(reply.Observation.Text, "was not run"); got != notRun {
					t.Errorf("%q is answered %q", word, reply.Observation.Text)
				}
				if len(reply.Info.Evaluations) != 0 || *reply.Reward != 0 {
					t.Errorf("%q was run: %+v", word, reply)
				}
				wantText(t, step(t, s, "count"), "seed 7, 1 actions\n", false)
			})
		})
	}
}

func TestAtTheWrongTime(t *testing.T) {
	bubble(t, session.Options{}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := open(t, table)
		ctx := t.Context()
		_, err := s.Step(ctx, do("ls"), session.StepOptions{})
		wantError(t, err, session.ErrNotReset)
		_, err = s.Snapshot(ctx)
		wantError(t, err, session.ErrNotReset)
		if _, ok := s.Last(); ok {
			t.Error("there is a last reply before the first")
		}
		_, err = s.Reset(ctx, session.Request{Task: "refused"})
		if _, ok := errors.AsType[*session.RequestError](err); !ok {
			t.Errorf("a refused reset: %v", err)
		}

		reset(t, s, session.Request{Task: "words"})
		if reply := step(t, s, "submit"); !reply.Terminated || *reply.Reward != 0.25 || reply.Info.ExitStatus.String() != "submitted" {
			t.Errorf("submit: %+v", reply)
		}
		_, err = s.Step(ctx, do("ls"), session.StepOptions{})
		wantError(t, err, session.ErrDone)
		_, err = s.Snapshot(ctx)
		wantError(t, err, session.ErrDone)

		first := reset(t, s, session.Request{Task: "words", EpisodeID: "mine"})
		if first.EpisodeID != "mine" || first.Reward != nil || s.State().Steps != 0 || s.State().Done {
			t.Errorf("the second episode begins with %+v, %+v", first, s.State())
		}
		// What is refused leaves the episode as it was.
		if _, err = s.Reset(ctx, session.Request{Task: "refused"}); err == nil {
			t.Error("a refused reset was not refused")
		}
		wantText(t, step(t, s, "ls"), "ls\n", false)

		s.Close()
		s.Close()
		synctest.Wait()
		for _, call := range []func() error{
			func() error { _, err := s.Step(ctx, do("ls"), session.StepOptions{}); return err },
			func() error { _, err := s.Reset(ctx, session.Request{}); return err },
			func() error { _, err := s.Snapshot(ctx); return err },
		} {
			wantError(t, call(), session.ErrClosed)
		}
		_, err = table.Find(s.ID())
		wantError(t, err, session.ErrUnknown)
	})
}

func TestTwoRequestsAtOnce(t *testing.T) {
	bubble(t, session.Options{Patience: time.Minute}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := begun(t, table)
		done := make(chan session.Reply)
		go func() { done <- step(t, s, "sleep 30s") }()
		synctest.Wait()
		ctx := t.Context()
		_, err := s.Step(ctx, do("wait"), session.StepOptions{})
		wantError(t, err, session.ErrBusy)
		_, err = s.Reset(ctx, session.Request{Task: "words"})
		wantError(t, err, session.ErrBusy)
		_, err = s.Snapshot(ctx)
		wantError(t, err, session.ErrBusy)
		s.Interrupt() // this may always come
		wantText(t, <-done, "interrupted\n", false)
	})
}

// TestClientGoesAway: the action goes on, and its result is found.
func TestClientGoesAway(t *testing.T) {
	bubble(t, session.Options{Patience: time.Minute}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := begun(t, table)
		away := errors.New("away")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, away)
		defer cancel()
		_, err := s.Step(ctx, do("sleep 10s"), session.StepOptions{RequestID: "a"})
		wantError(t, err, away)
		if st := s.State(); !st.Running || st.Steps != 0 {
			t.Errorf("after the client went: %+v", st)
		}
		if _, err := s.Snapshot(t.Context()); !errors.Is(err, session.ErrRunning) {
			t.Errorf("a snapshot while it runs: %v", err)
		}
		if last, ok := s.Last(); !ok || last.Observation.Text != "the statement\n" {
			t.Errorf("the last reply is %+v", last)
		}
		reply := step(t, s, "wait")
		wantText(t, reply, "slept\n", false)
		if last, _ := s.Last(); last.Observation.Text != "slept\n" || last.Observation.Step != 1 {
			t.Errorf("the last reply is %+v", last)
		}
		// A client that goes away in a reset loses nothing.
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if _, err = s.Reset(ctx, session.Request{Task: "words"}); !errors.Is(err, context.Canceled) {
			t.Errorf("a reset whose client is gone: %v", err)
		}
		reset(t, s, session.Request{Task: "words"})
	})
}

func TestRequestID(t *testing.T) {
	bubble(t, session.Options{Patience: 10 * time.Second}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := begun(t, table)
		ask := func(id, command string) session.Reply {
			t.Helper()
			reply, err := s.Step(t.Context(), do(command), session.StepOptions{RequestID: id})
			if err != nil {
				t.Fatalf("%s %q: %v", id, command, err)
			}
			return reply
		}
		for range 3 {
			wantText(t, ask("1", "count"), "seed 7, 0 actions\n", false)
		}
		wantText(t, ask("2", "count"), "seed 7, 1 actions\n", false)
		// The calls of one message come again from the first on.
		wantText(t, ask("1", "count"), "seed 7, 0 actions\n", false)
		wantText(t, ask("2", "count"), "seed 7, 1 actions\n", false)
		// While it runs, the same request waits for it.
		wantText(t, ask("3", "sleep 15s"), "The command is still running", true)
		wantText(t, ask("4", "ls"), "A command is still running, and this one was not run", true)
		wantText(t, ask("4", "ls"), "A command is still running, and this one was not run", true)
		wantText(t, ask("3", "sleep 15s"), "slept\n", false)
		wantText(t, ask("3", "sleep 15s"), "slept\n", false)
		wantText(t, ask("4", "ls"), "A command is still running, and this one was not run", true)
		// The end of an episode comes again as well.
		if a, b := ask("5", "submit"), ask("5", "submit"); !b.Done() || *a.Reward != *b.Reward {
			t.Errorf("the end is %+v, and then %+v", a, b)
		}
		if st := s.State(); st.Steps != 6 || st.TotalReward != 0.25 {
			t.Errorf("the state is %+v, want 6 steps and a reward of 0.25", st)
		}
		// Another episode knows none of it.
		reset(t, s, session.Request{Task: "words", Seed: new(uint64(8))})
		wantText(t, ask("1", "count"), "seed 8, 0 actions\n", false)
	})
}

// TestRequestIDWhoseAnswerWasLost: the client vanished while the action ran.
func TestRequestIDWhoseAnswerWasLost(t *testing.T) {
	bubble(t, session.Options{Patience: time.Minute}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := begun(t, table)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o := session.StepOptions{RequestID: "x"}
		if _, err := s.Step(ctx, do("sleep 10s"), o); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // it has ended since
		reply, err := s.Step(t.Context(), do("sleep 10s"), o)
		if err != nil {
			t.Fatal(err)
		}
		wantText(t, reply, "slept\n", false)
		if strings.Contains(reply.Observation.Text, "not run") {
			t.Errorf("the request's own result is told as another's: %q", reply.Observation.Text)
		}
		wantText(t, step(t, s, "count"), "seed 7, 1 actions\n", false)
	})
}

// TestAnswersAreBounded: neither many requests nor long ones fill the memory.
func TestAnswersAreBounded(t *testing.T) {
	bubble(t, session.Options{}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := begun(t, table)
		ask := func(id, command string) session.Reply {
			reply, err := s.Step(t.Context(), do(command), session.StepOptions{RequestID: id})
			if err != nil {
				t.Fatal(err)
			}
			return reply
		}
		for i := range 70 {
			ask(fmt.Sprint(i), "count")
		}
		wantText(t, ask("6", "count"), "seed 7, 6 actions\n", false)   // one of the last 64
		wantText(t, ask("5", "count"), "seed 7, 70 actions\n", false)  // forgotten, so run again
		wantText(t, ask("big", "big 2000000"), "xxx", false)           // alone it is more than all may be
		wantText(t, ask("big", "count"), "xxx", false)                 // the last one is always known
		wantText(t, ask("69", "count"), "seed 7, 72 actions\n", false) // nothing beside it
	})
}

// TestFaults: of the environment, told and masked, and without harm to others.
func TestFaults(t *testing.T) {
	for _, word := range []string{"fault", "panic"} {
		t.Run(word, func(t *testing.T) {
			bubble(t, session.Options{}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
				s, other := begun(t, table), begun(t, table)
				step(t, s, "ls")
				reply := step(t, s, word)
				if !reply.Truncated || reply.Terminated || !reply.Mask || *reply.Reward != 0 || reply.Info.Fault == "" || reply.Observation.Step != 2 {
					t.Errorf("a fault is told as %+v", reply)
				}
				if got := reply.Info.ExitStatus.Outcome; got != gym.UnknownError {
					t.Errorf("the episode ended by %q", got)
				}
				_, err := s.Step(t.Context(), do("ls"), session.StepOptions{})
				wantError(t, err, session.ErrDone)
				synctest.Wait()
				if n := works.Open(); n != 1 {
					t.Errorf("%d environments are open, want that of the other session", n)
				}
				wantText(t, step(t, other, "ls"), "ls\n", false)
				reset(t, s, session.Request{Task: "words"})
				wantText(t, step(t, s, "ls"), "ls\n", false)
			})
		})
	}
}

func TestFaultsOfResetAndSnapshot(t *testing.T) {
	broken := errors.New("broken")
	bubble(t, session.Options{}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
		s := begun(t, table)
		for _, how := range []func(context.Context) error{
			func(context.Context) error { return broken },
			func(context.Context) error { panic("a mistake") },
		} {
			works.OnSnapshot = how
			if _, err := s.Snapshot(t.Context()); err == nil {
				t.Error("a failed snapshot has no error")
			}
			wantText(t, step(t, s, "ls"), "ls\n", false)
		}
		for _, how := range []func(context.Context) error{
			func(context.Context) error { return broken },
			func(context.Context) error { panic("a mistake") },
		} {
			works.OnReset = how
			if _, err := s.Reset(t.Context(), session.Request{Task: "words"}); err == nil {
				t.Error("a failed reset has no error")
			}
			_, err := s.Step(t.Context(), do("ls"), session.StepOptions{})
			wantError(t, err, session.ErrNotReset)
		}
		works.OnReset = nil
		reset(t, s, session.Request{Task: "words"})
		synctest.Wait()
		if n := works.Open(); n != 1 {
			t.Errorf("%d environments are open, want 1", n)
		}
	})
}

// TestResetClosesTheOneBefore: beside the new episode, and no more of them than a few.
func TestResetClosesTheOneBefore(t *testing.T) {
	bubble(t, session.Options{}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
		works.OnClose = func() { time.Sleep(10 * time.Second) }
		s := begun(t, table)
		began := time.Now()
		reset(t, s, session.Request{Task: "words"})
		if took := time.Since(began); took != 0 {
			t.Errorf("a reset waited %s for the environment before", took)
		}
		for range 20 {
			reset(t, s, session.Request{Task: "words"})
		}
		if n := works.Most(); n > 4 {
			t.Errorf("%d environments of one session were open at a time", n)
		}
		// A command that runs ends with its episode.
		if _, err := s.Step(t.Context(), do("hold"), session.StepOptions{Patience: new(time.Second)}); err != nil {
			t.Fatal(err)
		}
		reset(t, s, session.Request{Task: "words"})
		wantText(t, step(t, s, "ls"), "ls\n", false)
		time.Sleep(time.Minute)
		if n := works.Open(); n != 1 {
			t.Errorf("%d environments are open, want 1", n)
		}
	})
}

// TestClosedInTheMiddle: of a step, a reset and a snapshot.
func TestClosedInTheMiddle(t *testing.T) {
	until := func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for name, call := range map[string]func(ctx context.Context, s *session.Session) error{
		"step": func(ctx context.Context, s *session.Session) error {
			_, err := s.Step(ctx, do("hold"), session.StepOptions{})
			return err
		},
		"reset": func(ctx context.Context, s *session.Session) error {
			_, err := s.Reset(ctx, session.Request{Task: "words"})
			return err
		},
		"snapshot": func(ctx context.Context, s *session.Session) error {
			_, err := s.Snapshot(ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, session.Options{}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
				s := begun(t, table)
				works.OnReset, works.OnSnapshot = until, until
				failed := make(chan error)
				go func() { failed <- call(t.Context(), s) }()
				synctest.Wait()
				s.Close()
				began := time.Now()
				wantError(t, <-failed, session.ErrClosed)
				<-s.Ended()
				if err := s.Why(); !errors.Is(err, session.ErrClosed) {
					t.Errorf("it ended because of %v", err)
				}
				synctest.Wait()
				if n := works.Open(); n != 0 || time.Since(began) != 0 {
					t.Errorf("after %s %d environments are open", time.Since(began), n)
				}
			})
		})
	}
}

func TestSnapshots(t *testing.T) {
	bubble(t, session.Options{Snapshots: session.SnapshotLimits{Max: 3}}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := open(t, table)
		reset(t, s, session.Request{Task: "words", Variant: "small", Mode: "m", Reward: "r", MaxSteps: 9, Seed: new(uint64(42)), EpisodeID: "parent"})
		step(t, s, "validate")
		saved, err := s.Snapshot(t.Context())
		if err != nil || saved.Step != 1 || saved.Bytes != 8 {
			t.Fatalf("%+v, %v", saved, err)
		}
		step(t, s, "ls")
		// Two at once, in one session and in another.
		for range 2 {
			child := open(t, table)
			reply := reset(t, child, session.Request{Snapshot: saved.ID, Task: "other", Seed: new(uint64(1)), EpisodeID: "child"})
			st := child.State()
			if reply.EpisodeID != "child" || st.Task != "words" || st.Variant != "small" || st.Mode != "m" || st.Reward != "r" || st.MaxSteps != 9 || st.Seed != 42 || st.TotalReward != 0.5 {
				t.Errorf("the child begins with %+v, %+v", reply, st)
			}
			if reply.Observation.Step != 1 {
				t.Errorf("the child's step is %d, want 1", reply.Observation.Step)
			}
			wantText(t, step(t, child, "count"), "seed 42, 1 actions\n", false)
		}
		wantText(t, step(t, s, "count"), "seed 42, 2 actions\n", false)
		// The state of a child can be saved as well.
		reset(t, s, session.Request{Snapshot: saved.ID})
		again, err := s.Snapshot(t.Context())
		if err != nil || again.ID == saved.ID || again.Step != 1 {
			t.Errorf("%+v, %v", again, err)
		}
		if _, err = s.Snapshot(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err = s.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "there are 3, the most") {
			t.Errorf("a fourth of 3: %v", err)
		}
		if err := table.Forget(saved.ID); err != nil {
			t.Error(err)
		}
		for _, err := range []error{
			table.Forget(saved.ID),
			func() error { _, err := s.Reset(t.Context(), session.Request{Snapshot: saved.ID}); return err }(),
		} {
			if _, ok := errors.AsType[*session.RequestError](err); !ok {
				t.Errorf("a snapshot that is gone: %v", err)
			}
		}
		wantText(t, step(t, s, "count"), "seed 42, 1 actions\n", false) // the refused reset did no harm
	})
}

func TestSnapshotsExpire(t *testing.T) {
	bubble(t, session.Options{Snapshots: session.SnapshotLimits{Keep: time.Hour}, Idle: 24 * time.Hour}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		s := begun(t, table)
		saved, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(59 * time.Minute)
			reset(t, s, session.Request{Snapshot: saved.ID}) // each use counts
		}
		time.Sleep(time.Hour + 2*time.Second)
		if _, err = s.Reset(t.Context(), session.Request{Snapshot: saved.ID}); err == nil {
			t.Error("a snapshot that nobody used for an hour is there")
		}
	})
}

// TestLargeSnapshots: they lie in files without a name, and all of them together
// are bounded.
func TestLargeSnapshots(t *testing.T) {
	dir := t.TempDir()
	const size = 6 << 20
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("SKIPPED, what is open cannot be seen here: %v", err)
		}
		return len(list)
	}
	before := descriptors()
	bubble(t, session.Options{Snapshots: session.SnapshotLimits{Bytes: 2*size + 100, Dir: dir}}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
		works.SnapshotBytes = size
		s := begun(t, table)
		step(t, s, "ls")
		var ids []string
		for range 2 {
			saved, err := s.Snapshot(t.Context())
			if err != nil || saved.Bytes != size+8 {
				t.Fatalf("%+v, %v", saved, err)
			}
			ids = append(ids, saved.ID)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
			t.Errorf("there are files with a name: %v, %v", list, err)
		}
		if n := descriptors(); n != before+2 {
			t.Errorf("%d files are open, want %d", n, before+2)
		}
		_, err := s.Snapshot(t.Context())
		if err == nil || !strings.Contains(err.Error(), "at most") {
			t.Errorf("beyond the bound: %v", err)
		}
		// What failed takes nothing, and what is forgotten gives its place back.
		if n := descriptors(); n != before+2 {
			t.Errorf("after one that failed %d files are open, want %d", n, before+2)
		}
		if err := table.Forget(ids[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Snapshot(t.Context()); err != nil {
			t.Errorf("after one was forgotten: %v", err)
		}
		var forks sync.WaitGroup
		for range 4 {
			forks.Go(func() {
				child := open(t, table)
				reset(t, child, session.Request{Snapshot: ids[1]})
				wantText(t, step(t, child, "count"), "seed 7, 1 actions\n", false)
			})
		}
		forks.Wait()
	})
	if n := descriptors(); n != before {
		t.Errorf("%d files are open in the end, want %d", n, before)
	}
}

// TestSnapshotWithoutAPlace: the folder is not there.
func TestSnapshotWithoutAPlace(t *testing.T) {
	bubble(t, session.Options{Snapshots: session.SnapshotLimits{Dir: "/nowhere"}}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
		works.SnapshotBytes = 5 << 20
		s := begun(t, table)
		if _, err := s.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "/nowhere") {
			t.Errorf("the error is %v", err)
		}
		wantText(t, step(t, s, "ls"), "ls\n", false)
	})
}
