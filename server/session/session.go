package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mlgym/gym"
)

// The words by which a client that was told to wait goes on. They mean this only
// while a command runs; otherwise they are shell text like any other.
const (
	WordWait      = "wait"
	WordInterrupt = "interrupt"
)

// Session is one client's place: an environment and the episode in it. Its methods
// may be called concurrently; what cannot be served at the same time is refused.
type Session struct {
	id     string
	client string
	table  *Table
	life   context.Context //nolint:containedctx // ends with the session
	end    context.CancelCauseFunc

	turn chan struct{} // holds a token while a request is served

	mu       sync.Mutex // guards what follows
	made     Made
	request  Request
	state    State
	patience time.Duration
	running  *action
	first    *Reply
	last     *Reply
	answered []answer // of named requests, the oldest first
	closed   bool
	held     bool // by a connection
	streamed bool // it began with a connection, so that it is missed when that ends
	used     time.Time

	// closing are environments of earlier episodes. One is added by whoever has the
	// turn, so that the end of the session, which takes the turn for good, waits for
	// all of them.
	closing  sync.WaitGroup
	closings atomic.Int32 // how many they are
}

// mostClosing bounds the environments that close beside the episode under way, so
// that a client which does nothing but reset holds no more sandboxes than others.
const mostClosing = 2

// action is one that is executed.
type action struct {
	id         string // of the request that began it
	done       chan struct{}
	transition gym.Transition
	err        error
}

// finished reports whether an action is over, though nobody took its result yet.
func (a *action) finished() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// answer is the reply to a request that had a name.
type answer struct {
	id    string
	reply Reply
}

// The answers that are kept for clients that repeat a request.
const (
	mostAnswers     = 64
	mostAnswerBytes = 1 << 20 // of text
)

// ID names the session. It cannot be guessed, and whoever knows it may act on it.
func (s *Session) ID() string { return s.id }

// State returns where the session stands.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	state.SessionID = s.id
	state.Running = s.running != nil
	return state
}

// Record returns the folder in which the episode is recorded, "" where it is not.
func (s *Session) Record() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made.Record == nil {
		return ""
	}
	return s.made.Record()
}

// Last returns the last reply again, for a client that may have missed it; false
// where there is none.
func (s *Session) Last() (Reply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return Reply{}, false
	}
	return *s.last, true
}

// First returns the reply to the reset again; false where there is no episode.
func (s *Session) First() (Reply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		return Reply{}, false
	}
	return *s.first, true
}

// take makes the caller the one that is served.
func (s *Session) take() (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	select {
	case s.turn <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	s.used = s.table.now()
	return func() {
		s.mu.Lock()
		s.used = s.table.now()
		s.mu.Unlock()
		<-s.turn
	}, nil
}

// Reset ends the episode under way, and begins another one.
func (s *Session) Reset(ctx context.Context, r Request) (Reply, error) {
	release, err := s.take()
	if err != nil {
		return Reply{}, err
	}
	defer release()
	if s.table.Draining() {
		return Reply{}, ErrDraining
	}
	// The client's going away ends a reset: there is nothing to lose yet.
	ctx, stop := s.within(ctx)
	defer stop()
	var saved *saved
	if r.Snapshot != "" {
		if saved, err = s.table.snapshots.find(r.Snapshot); err != nil {
			return Reply{}, err
		}
		defer saved.release()
		r = saved.asked(r)
	}
	if r.Seed == nil {
		r.Seed = new(rand.Uint64() >> 12) //nolint:gosec // not a secret; 52 bits survive every JSON reader
	}
	if r.EpisodeID == "" {
		r.EpisodeID = newID()
	}
	made, err := s.table.opts.Make(ctx, r)
	if err != nil {
		return Reply{}, err
	}
	if s.closings.Load() >= mostClosing {
		s.closing.Wait()
	}
	s.retire(ErrClosed)
	var obs gym.Observation
	total := 0.0
	err = s.safely(func() (err error) {
		if saved != nil {
			obs, err = saved.restore(ctx, made.Env, *r.Seed)
			total = saved.total
			return err
		}
		obs, err = made.Env.Reset(ctx, gym.ResetOptions{Seed: *r.Seed})
		return err
	})
	if err != nil {
		if s.life.Err() != nil {
			err = ErrClosed
		}
		return Reply{}, errors.Join(err, made.Env.Close())
	}
	patience := s.table.opts.Patience
	if r.Patience != nil {
		patience = *r.Patience
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.leave(made.Env, nil, ErrClosed)
		return Reply{}, ErrClosed
	}
	s.made, s.request, s.patience = made, r, patience
	s.state = State{
		EpisodeID: r.EpisodeID, Task: made.Task, Variant: made.Variant, Mode: made.Mode, Reward: made.Reward,
		Seed: *r.Seed, Low: made.Low, High: made.High, MaxSteps: made.MaxSteps, TotalReward: total,
	}
	reply := Reply{SessionID: s.id, EpisodeID: r.EpisodeID, Task: made.Task, Observation: obs}
	s.first, s.last = &reply, &reply
	return reply, nil
}

// retire closes the environment of the episode so far, beside what follows.
func (s *Session) retire(cause error) {
	s.mu.Lock()
	env, running := s.made.Env, s.running
	s.made, s.running, s.first, s.last, s.answered = Made{}, nil, nil, nil, nil
	s.state = State{}
	s.mu.Unlock()
	if env != nil {
		s.leave(env, running, cause)
	}
}

// leave closes an environment beside what follows. The caller has the turn.
func (s *Session) leave(env gym.Env, running *action, cause error) {
	s.closings.Add(1)
	s.closing.Go(func() {
		defer s.closings.Add(-1)
		if err := s.safely(env.Close); err != nil {
			s.table.log().Warn("close an environment", "session", s.id, "because", cause, "error", err)
		}
		if running != nil {
			<-running.done
		}
	})
}

// safely makes a fault of an environment that panics, so that the sessions beside
// this one go on.
func (s *Session) safely(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.table.log().Error("an environment panicked", "session", s.id, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the environment panicked: %v", p)
		}
	}()
	return call()
}

// within bounds a context by the life of the session.
func (s *Session) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// StepOptions are about a single step.
type StepOptions struct {
	// Patience takes the place of the episode's, where it is not nil.
	Patience *time.Duration
	// RequestID names the request: the same one again is answered as the first time
	// and runs nothing, as long as its episode lasts and its answer is among the last
	// 64. "" means that each request is its own.
	RequestID string
}

// Step runs an action, or goes on with one that runs. The error is never the
// agent's: it is one of this package's, or that of ctx, whose end leaves the action
// running.
func (s *Session) Step(ctx context.Context, a gym.Action, o StepOptions) (Reply, error) {
	release, err := s.take()
	if err != nil {
		return Reply{}, err
	}
	defer release()
	if reply, again := s.repeated(o.RequestID); again {
		return reply, nil
	}
	run, told, err := s.proceed(a, o.RequestID)
	if err != nil {
		return Reply{}, err
	}
	if run == nil {
		return s.stillRunning(told, o.RequestID), nil
	}
	s.mu.Lock()
	patience := s.patience
	s.mu.Unlock()
	if o.Patience != nil {
		patience = *o.Patience
	}
	var enough <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		enough = timer.C
	}
	if run.finished() {
		return s.settle(run, told, o.RequestID)
	}
	select {
	case <-run.done:
		return s.settle(run, "", o.RequestID)
	case <-s.life.Done():
		return Reply{}, ErrClosed
	case <-enough:
		return s.stillRunning(fmt.Sprintf(
			"The command is still running after %s. What it printed comes when it ends. Send %q to wait for it, %q to stop it.\n",
			patience, WordWait, WordInterrupt), o.RequestID), nil
	case <-ctx.Done():
		return Reply{}, context.Cause(ctx)
	}
}

// repeated looks whether a request was answered before. One whose action goes on
// has no answer yet, though its client was told so.
func (s *Session) repeated(id string) (Reply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" || s.running != nil && s.running.id == id {
		return Reply{}, false
	}
	for _, a := range slices.Backward(s.answered) {
		if a.id == id {
			return a.reply, true
		}
	}
	return Reply{}, false
}

// remember keeps the last reply, and the answer to a request that has a name. The
// caller holds mu.
func (s *Session) remember(id string, reply Reply) {
	s.last = &reply
	if id == "" {
		return
	}
	s.answered = append(s.answered, answer{id, reply})
	bytes := 0
	for _, a := range s.answered {
		bytes += len(a.reply.Observation.Text)
	}
	for len(s.answered) > 1 && (len(s.answered) > mostAnswers || bytes > mostAnswerBytes) {
		bytes -= len(s.answered[0].reply.Observation.Text)
		s.answered[0] = answer{}
		s.answered = s.answered[1:]
	}
}

// Count adds a step that the environment did not see, such as a question for the
// list of tools.
func (s *Session) Count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made.Env != nil {
		s.state.Steps++
	}
}

// proceed starts an action, or finds the one that runs. told is what to say of an
// action that was not run, beside the result of the one that was running, or where
// run is nil.
func (s *Session) proceed(a gym.Action, id string) (run *action, told string, err error) {
	draining := s.table.Draining()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, "", ErrClosed
	case s.made.Env == nil:
		return nil, "", ErrNotReset
	case s.state.Done:
		return nil, "", ErrDone
	case s.running == nil && draining:
		return nil, "", ErrDraining
	case s.running == nil:
		run := &action{id: id, done: make(chan struct{})}
		s.running = run
		go s.execute(run, s.made.Env, a)
		return run, "", nil
	}
	switch word := strings.TrimSpace(a.Command); {
	case a.IsZero() || word == WordWait || id != "" && s.running.id == id:
		return s.running, "", nil
	case s.running.finished():
		if word == WordInterrupt {
			return s.running, "", nil
		}
		return s.running, "(This is the result of the command that was running before. Your last command was not run: send it again.)\n", nil
	case word == WordInterrupt:
		if env, ok := s.made.Env.(gym.Interrupter); ok {
			env.Interrupt()
			return s.running, "", nil
		}
		return nil, "This environment's commands cannot be interrupted: wait for the one that runs.\n", nil
	default:
		return nil, fmt.Sprintf("A command is still running, and this one was not run. Send %q to wait for it, %q to stop it.\n", WordWait, WordInterrupt), nil
	}
}

// execute runs an action on the session's own time.
func (s *Session) execute(run *action, env gym.Env, a gym.Action) {
	defer close(run.done)
	run.err = s.safely(func() (err error) {
		run.transition, err = env.Step(s.life, a)
		return err
	})
}

// stillRunning answers a request whose action goes on, or was not begun.
func (s *Session) stillRunning(text, id string) Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Steps++
	reply := Reply{
		SessionID: s.id, EpisodeID: s.state.EpisodeID, Task: s.state.Task, Running: true, Reward: new(float64),
		Observation: gym.Observation{Text: text, StepsLeft: -1},
	}
	if s.last != nil {
		before := s.last.Observation
		reply.Observation.Step, reply.Observation.StepsLeft = before.Step, before.StepsLeft
		reply.Observation.WorkingDir, reply.Observation.OpenFile = before.WorkingDir, before.OpenFile
	}
	s.remember(id, reply)
	return reply
}

// settle takes the result of an action, for the request with the id. told is said
// after it.
func (s *Session) settle(run *action, told, id string) (Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.running != run {
		return Reply{}, ErrClosed
	}
	s.running = nil
	s.state.Steps++
	reply := Reply{SessionID: s.id, EpisodeID: s.state.EpisodeID, Task: s.state.Task}
	t := run.transition
	if run.err != nil {
		t = fault(run.err)
		if s.last != nil {
			t.Observation.Step, t.Observation.StepsLeft = s.last.Observation.Step+1, s.last.Observation.StepsLeft
		}
		s.table.log().Warn("an episode ended by a fault", "session", s.id, "task", s.state.Task, "error", run.err)
	}
	if told != "" {
		if text := t.Observation.Text; text != "" && !strings.HasSuffix(text, "\n") {
			told = "\n" + told
		}
		t.Observation.Text += told
	}
	reply.Observation, reply.Reward, reply.Info = t.Observation, &t.Reward, t.Info
	reply.Terminated, reply.Truncated, reply.Mask = t.Terminated, t.Truncated, t.Info.Fault != ""
	s.state.TotalReward += t.Reward
	s.state.Done = t.Done()
	s.remember(id, reply)
	if s.state.Done {
		s.leave(s.made.Env, nil, ErrDone) // its sandbox is not needed any more
	}
	return reply, nil
}

// fault is the transition of an episode that the infrastructure ended.
func fault(err error) gym.Transition {
	return gym.Transition{
		Observation: gym.Observation{Text: "The environment failed; this is no fault of yours. The episode is over.\n"},
		Truncated:   true,
		Info:        gym.Info{Fault: err.Error(), ExitStatus: gym.ExitStatus{Outcome: gym.UnknownError}},
	}
}

// Snapshot saves the state of the episode between two steps. An error that wraps
// [gym.ErrNoSnapshot] says why this state cannot be saved; the episode goes on.
func (s *Session) Snapshot(ctx context.Context) (Snapshot, error) {
	release, err := s.take()
	if err != nil {
		return Snapshot{}, err
	}
	defer release()
	ctx, stop := s.within(ctx)
	defer stop()
	s.mu.Lock()
	env, running, state, request, last := s.made.Env, s.running, s.state, s.request, s.last
	s.mu.Unlock()
	switch {
	case env == nil:
		return Snapshot{}, ErrNotReset
	case running != nil:
		return Snapshot{}, ErrRunning
	case state.Done:
		return Snapshot{}, ErrDone
	}
	snapshotter, ok := env.(gym.Snapshotter)
	if !ok {
		return Snapshot{}, fmt.Errorf("%w: this environment cannot be saved", gym.ErrNoSnapshot)
	}
	request.Task, request.Variant, request.Mode, request.Reward, request.MaxSteps = state.Task, state.Variant, state.Mode, state.Reward, state.MaxSteps
	return s.table.snapshots.save(request, last.Observation.Step, state.TotalReward, func(w io.Writer) error {
		return s.safely(func() error { return snapshotter.Snapshot(ctx, w) })
	})
}

// Interrupt stops the command that runs, if there is one.
func (s *Session) Interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if env, ok := s.made.Env.(gym.Interrupter); ok && s.running != nil {
		env.Interrupt()
	}
}

// Close ends the session and everything in it.
func (s *Session) Close() { s.table.close(s, ErrClosed) }

// Ended is closed when the session has ended.
func (s *Session) Ended() <-chan struct{} { return s.life.Done() }

// Why says why the session ended, nil while it lives.
func (s *Session) Why() error {
	if s.life.Err() == nil {
		return nil
	}
	return context.Cause(s.life)
}

// shut frees what the session holds. It returns when all of it is gone.
func (s *Session) shut(cause error) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end(cause)
	s.turn <- struct{}{} // whoever is served leaves now that life has ended
	s.retire(cause)
	s.closing.Wait()
}
