package session_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mlgym/server/session"
	"mlgym/server/session/sessiontest"
)

func TestCapacity(t *testing.T) {
	bubble(t, session.Options{Max: 3, MaxPerClient: 2, Grace: time.Minute}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		var all []*session.Session
		for _, client := range []string{"a", "a", "b"} {
			s, err := table.Open(client, true)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		full := func(client string, want session.CapacityError) {
			t.Helper()
			_, err := table.Open(client, true)
			if got, ok := errors.AsType[*session.CapacityError](err); !ok || *got != want {
				t.Errorf("client %s: %v, want %+v", client, err, want)
			}
		}
		full("a", session.CapacityError{Active: 2, Max: 2, Client: true})
		full("b", session.CapacityError{Active: 3, Max: 3})
		all[0].Close()
		if _, err := table.Open("a", true); err != nil {
			t.Errorf("after one was closed: %v", err)
		}
		if active, most := table.Active(); active != 3 || most != 3 {
			t.Errorf("%d of %d", active, most)
		}
	})
}

// TestEviction: a session that nobody looks after gives its place to a client that
// needs one; those that run something, are held or were used lately keep theirs.
func TestEviction(t *testing.T) {
	bubble(t, session.Options{Max: 4, Patience: time.Second, Grace: time.Minute, Idle: time.Hour}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
		held, err := table.Open("client", true)
		if err != nil {
			t.Fatal(err)
		}
		runs, forgotten, lately := begun(t, table), begun(t, table), begun(t, table)
		step(t, runs, "hold")
		step(t, forgotten, "sleep 10s") // it ends, and nobody asks for the result
		time.Sleep(2 * time.Minute)
		step(t, lately, "ls")
		if _, err := table.Open("other", true); err != nil {
			t.Fatalf("nobody gave way: %v", err)
		}
		<-forgotten.Ended()
		synctest.Wait()
		if why := forgotten.Why().Error(); why != "the session was unattended, and another client needed its place" {
			t.Errorf("it ended because %s", why)
		}
		for _, s := range []*session.Session{held, runs, lately} {
			if s.Why() != nil {
				t.Errorf("a session gave way that was looked after: %v", s.Why())
			}
		}
		if n := works.Open(); n != 2 {
			t.Errorf("%d environments are open, want 2", n)
		}
		if _, err := table.Open("other", true); err == nil {
			t.Error("there was a fifth place of 4")
		}
		step(t, runs, "interrupt")
	})
}

func TestGrace(t *testing.T) {
	bubble(t, session.Options{Grace: time.Minute, Patience: 10 * time.Minute}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
		s, err := table.Open("client", true)
		if err != nil {
			t.Fatal(err)
		}
		reset(t, s, session.Request{Task: "words"})
		_, err = table.Attach(s.ID())
		wantError(t, err, session.ErrTaken)
		_, err = table.Attach("nobody's")
		wantError(t, err, session.ErrUnknown)
		time.Sleep(10 * time.Minute) // as long as it is held, it is there
		table.Leave(s)
		time.Sleep(50 * time.Second)
		again, err := table.Attach(s.ID())
		if err != nil || again != s || !table.Held(s) {
			t.Fatalf("within the grace period: %v", err)
		}
		// A command runs, and the client is lost: the session goes with it.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		failed := make(chan error)
		go func() {
			_, err := s.Step(ctx, do("hold"), session.StepOptions{})
			failed <- err
		}()
		synctest.Wait()
		cancel()
		<-failed
		table.Leave(s)
		began := time.Now()
		<-s.Ended()
		if took := time.Since(began); took < time.Minute || took > time.Minute+2*time.Second {
			t.Errorf("a lost session was kept for %s, want a minute", took)
		}
		synctest.Wait()
		if n := works.Open(); n != 0 {
			t.Errorf("%d environments are open", n)
		}
		_, err = table.Attach(s.ID())
		wantError(t, err, session.ErrUnknown)
	})
}

func TestIdle(t *testing.T) {
	bubble(t, session.Options{Idle: time.Hour, Patience: time.Second}, func(t *testing.T, _ *sessiontest.Works, table *session.Table) {
		quiet, runs, ended := begun(t, table), begun(t, table), begun(t, table)
		step(t, runs, "hold")
		step(t, ended, "sleep 10s") // nobody asks for the result
		began := time.Now()
		<-quiet.Ended()
		<-ended.Ended()
		if took := time.Since(began); took < time.Hour-time.Second || took > time.Hour+2*time.Second {
			t.Errorf("idle sessions were kept for %s, want an hour", took)
		}
		if err := runs.Why(); err != nil {
			t.Errorf("a session whose command runs ended: %v", err)
		}
		step(t, runs, "interrupt")
		<-runs.Ended()
	})
}

func TestDrain(t *testing.T) {
	bubble(t, session.Options{Patience: time.Minute}, func(t *testing.T, works *sessiontest.Works, table *session.Table) {
		s, other, forgotten := begun(t, table), begun(t, table), begun(t, table)
		if _, err := forgotten.Step(t.Context(), do("sleep 1s"), session.StepOptions{Patience: new(time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
		done := make(chan session.Reply)
		go func() { done <- step(t, s, "sleep 20s") }()
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n := table.Drain(ctx); n != 1 || !table.Draining() {
			t.Errorf("after a second %d run, want 1", n)
		}
		_, err := table.Open("late", true)
		wantError(t, err, session.ErrDraining)
		_, err = other.Step(t.Context(), do("ls"), session.StepOptions{})
		wantError(t, err, session.ErrDraining)
		_, err = other.Reset(t.Context(), session.Request{Task: "words"})
		wantError(t, err, session.ErrDraining)
		drained := make(chan int)
		go func() { drained <- table.Drain(t.Context()) }()
		wantText(t, <-done, "slept\n", false)
		if n := <-drained; n != 0 {
			t.Errorf("%d run", n)
		}
		wantText(t, step(t, forgotten, "wait"), "slept\n", false) // results can still be had
		if works.Made() != 3 {
			t.Errorf("%d environments were made, want 3", works.Made())
		}
	})
}

// TestStorm has many clients do everything at once, in real time; the race detector
// and Close are what judges it.
func TestStorm(t *testing.T) {
	for range 5 {
		works := &sessiontest.Works{}
		table := session.NewTable(session.Options{
			Make: works.Make, Max: 8, Patience: time.Millisecond, Grace: 5 * time.Millisecond, Idle: 20 * time.Millisecond,
			Snapshots: session.SnapshotLimits{Max: 4, Keep: 5 * time.Millisecond},
		})
		var clients sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 16 {
			clients.Go(func() { storm(ctx, table, rand.New(rand.NewPCG(1, uint64(i)))) })
		}
		time.Sleep(60 * time.Millisecond) // some of everything happens
		closing, done := context.WithTimeout(t.Context(), 10*time.Millisecond)
		table.Drain(closing)
		done()
		table.Close()
		cancel()
		clients.Wait()
		if n := works.Open(); n != 0 || works.Made() == 0 {
			t.Errorf("of %d environments %d are open", works.Made(), n)
		}
	}
}

// storm is one client of a storm. What it is answered does not matter.
func storm(ctx context.Context, table *session.Table, random *rand.Rand) {
	var s *session.Session
	var err error
	snapshot := ""
	commands := []string{"ls", "sleep 2ms", "sleep 30ms", "hold", "interrupt", "wait", "submit", "fault", "panic", "validate"}
	for ctx.Err() == nil {
		if s == nil || s.Why() != nil {
			if s, err = table.Open("client", random.IntN(2) == 0); err != nil {
				s = nil
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
		}
		short, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(4))*time.Millisecond)
		switch random.IntN(8) {
		case 0:
			_, _ = s.Reset(short, session.Request{Task: "words", Snapshot: snapshot})
		case 1:
			if saved, err := s.Snapshot(short); err == nil {
				snapshot = saved.ID
			}
		case 2:
			table.Leave(s)
			_, _ = table.Attach(s.ID())
		case 3:
			s.Interrupt()
			s.State()
			s.Last()
		case 4:
			if random.IntN(4) == 0 {
				s.Close()
			}
			_ = table.Forget(snapshot)
		default:
			_, _ = s.Step(short, do(commands[random.IntN(len(commands))]), session.StepOptions{RequestID: []string{"", "a", "b"}[random.IntN(3)]})
		}
		cancel()
	}
}
