// Package gymtest is the conformance suite of [gym.Env]. Every environment,
// and every wrapper around one, passes it.
//
//	func TestConformance(t *testing.T) {
//		gymtest.Run(t, gymtest.Suite{
//			New:    func(t *testing.T) gym.Env { … },
//			Action: gym.Action{Command: "true"},
//			End:    gym.Action{Command: "submit"},
//		})
//	}
package gymtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"mlgym/gym"
)

// Suite says how the environment under test is made and what it can be asked.
type Suite struct {
	// New makes a fresh environment. The suite closes it.
	New func(t *testing.T) gym.Env
	// Action does something harmless and does not end the episode.
	Action gym.Action
	// Mistake is an action that fails through a fault of the agent, such as a
	// command that does not exist. Zero: the tests of it are skipped.
	Mistake gym.Action
	// End terminates the episode. Zero: the tests of it are skipped.
	End gym.Action
	// Slow takes minutes unless it is interrupted. Zero: the tests of it are
	// skipped.
	Slow gym.Action
	// Patience is how long an interrupted call may take to return; 0 means
	// 30 s. It is a bound for hangs, not a measurement.
	Patience time.Duration
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	if s.Patience == 0 {
		s.Patience = 30 * time.Second
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, Suite)
	}{
		{"reset gives the first observation", testReset},
		{"the same seed gives the same statement", testSeed},
		{"step before reset is refused", testStepBeforeReset},
		{"steps are counted", testSteps},
		{"an empty action is no fault", testEmptyAction},
		{"a mistake is an observation", testMistake},
		{"the end is told and nothing follows", testEnd},
		{"reset begins a further episode", testSecondEpisode},
		{"finish ends the episode for its cause", testFinish},
		{"an episode goes on from a snapshot", testSnapshot},
		{"what is no snapshot is refused", testSnapshotRefused},
		{"close is idempotent", testClose},
		{"close before reset", testCloseFirst},
		{"close ends a running step", testCloseDuringStep},
		{"a cancelled context ends a running step", testCancel},
		{"an interrupt ends the action and not the episode", testInterrupt},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// seed of all episodes but those that ask for another.
const seed = 7

func (s Suite) start(t *testing.T) gym.Env {
	t.Helper()
	env := s.New(t)
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return env
}

func (s Suite) reset(t *testing.T) gym.Env {
	t.Helper()
	env := s.start(t)
	resetEnv(t, env)
	return env
}

func resetEnv(t *testing.T, env gym.Env) gym.Observation {
	t.Helper()
	obs, err := env.Reset(t.Context(), gym.ResetOptions{Seed: seed})
	if err != nil {
		t.Fatalf("Reset: %v", err)
	}
	checkObservation(t, obs)
	return obs
}

func step(t *testing.T, env gym.Env, a gym.Action) gym.Transition {
	t.Helper()
	transition, err := env.Step(t.Context(), a)
	if err != nil {
		t.Fatalf("Step(%+v): %v", a, err)
	}
	CheckTransition(t, transition)
	return transition
}

// CheckTransition reports what every transition must hold.
func CheckTransition(t *testing.T, tr gym.Transition) {
	t.Helper()
	checkObservation(t, tr.Observation)
	if math.IsNaN(tr.Reward) || math.IsInf(tr.Reward, 0) {
		t.Errorf("reward is %v, want a finite number", tr.Reward)
	}
	if tr.Terminated && tr.Truncated {
		t.Error("terminated and truncated are both true")
	}
	if tr.Done() == tr.Info.ExitStatus.IsZero() {
		t.Errorf("done is %v and the exit status is %q; it must be set exactly at the end", tr.Done(), tr.Info.ExitStatus)
	}
	if text := tr.Info.ExitStatus.String(); text != "" {
		if _, err := gym.ParseExitStatus(text); err != nil {
			t.Errorf("exit status: %v", err)
		}
	}
	if tr.Info.Seconds < 0 {
		t.Errorf("the step took %v s", tr.Info.Seconds)
	}
	for i, e := range tr.Info.Evaluations {
		checkEvaluation(t, i, e)
	}
}

func checkObservation(t *testing.T, obs gym.Observation) {
	t.Helper()
	if !utf8.ValidString(obs.Text) {
		t.Errorf("the observation is not valid UTF-8: %q", obs.Text)
	}
	if obs.Step < 0 || obs.StepsLeft < -1 {
		t.Errorf("the observation has step %d and %d steps left", obs.Step, obs.StepsLeft)
	}
}

func checkEvaluation(t *testing.T, i int, e gym.Evaluation) {
	t.Helper()
	if e.Kind != gym.Validate && e.Kind != gym.Submit {
		t.Errorf("evaluation %d has kind %q", i, e.Kind)
	}
	if scored := e.Problem == gym.Scored; scored == (len(e.Scores) == 0) {
		t.Errorf("evaluation %d has problem %q and %d scores; it must have one or the other", i, e.Problem, len(e.Scores))
	}
	for name, x := range e.Scores {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Errorf("evaluation %d: %s is %v, want a finite number", i, name, x)
		}
	}
}

func testReset(t *testing.T, s Suite) {
	obs := resetEnv(t, s.start(t))
	if obs.Step != 0 {
		t.Errorf("step after Reset is %d, want 0", obs.Step)
	}
	if obs.Text == "" {
		t.Error("Reset gives no task statement")
	}
}

func testSeed(t *testing.T, s Suite) {
	first := resetEnv(t, s.start(t))
	second := resetEnv(t, s.start(t))
	if first != second {
		t.Errorf("two resets with seed %d differ:\n%+v\n%+v", seed, first, second)
	}
}

func testStepBeforeReset(t *testing.T, s Suite) {
	wantRefused(t, s.start(t), s.Action, "before Reset")
}

func wantRefused(t *testing.T, env gym.Env, a gym.Action, when string) {
	t.Helper()
	if _, err := env.Step(t.Context(), a); err == nil {
		t.Errorf("Step %s: no error, want one", when)
	} else if err.Error() == "" {
		t.Errorf("Step %s: the error says nothing", when)
	}
}

func testSteps(t *testing.T, s Suite) {
	env := s.start(t)
	before := resetEnv(t, env)
	for n := 1; n <= 2; n++ {
		tr := step(t, env, s.Action)
		if tr.Done() {
			t.Fatalf("step %d ended the episode: %s", n, tr.Info.ExitStatus)
		}
		if tr.Observation.Step != n {
			t.Errorf("observation after step %d says step %d", n, tr.Observation.Step)
		}
		if left := tr.Observation.StepsLeft; before.StepsLeft >= 0 && left != before.StepsLeft-1 {
			t.Errorf("steps left went from %d to %d", before.StepsLeft, left)
		}
		before = tr.Observation
	}
}

func testEmptyAction(t *testing.T, s Suite) {
	step(t, s.reset(t), gym.Action{})
}

func testMistake(t *testing.T, s Suite) {
	if s.Mistake.IsZero() {
		t.Skip("the suite names no mistake")
	}
	env := s.reset(t)
	if tr := step(t, env, s.Mistake); tr.Done() || tr.Observation.Text == "" && tr.Info.ExitCode == 0 {
		t.Errorf("a mistake led to %+v; want a transition that tells of it and goes on", tr)
	}
	step(t, env, s.Action)
}

func testEnd(t *testing.T, s Suite) {
	if s.End.IsZero() {
		t.Skip("the suite names no action that ends the episode")
	}
	env := s.reset(t)
	if tr := step(t, env, s.End); !tr.Terminated {
		t.Errorf("the end is not terminated: %+v", tr)
	}
	wantRefused(t, env, s.Action, "after the end")
}

func testSecondEpisode(t *testing.T, s Suite) {
	env := s.reset(t)
	step(t, env, s.Action)
	if !s.End.IsZero() {
		step(t, env, s.End)
	}
	if obs := resetEnv(t, env); obs.Step != 0 {
		t.Errorf("step after a second Reset is %d, want 0", obs.Step)
	}
	if tr := step(t, env, s.Action); tr.Observation.Step != 1 {
		t.Errorf("first step of the second episode is %d", tr.Observation.Step)
	}
}

func testFinish(t *testing.T, s Suite) {
	env := s.reset(t)
	finisher, ok := env.(gym.Finisher)
	if !ok {
		t.Skip("the environment is no gym.Finisher")
	}
	step(t, env, s.Action)
	tr, err := finisher.Finish(t.Context(), gym.CauseSteps)
	if errors.Is(err, gym.ErrNoFinish) {
		t.Skip("the wrapped environment is no gym.Finisher")
	}
	if err != nil {
		t.Fatalf("Finish: %v", err)
	}
	CheckTransition(t, tr)
	if !tr.Truncated || tr.Info.ExitStatus.Cause != gym.CauseSteps {
		t.Errorf("Finish(%s): truncated %v, exit status %q", gym.CauseSteps, tr.Truncated, tr.Info.ExitStatus)
	}
	wantRefused(t, env, s.Action, "after Finish")
}

func testClose(t *testing.T, s Suite) {
	env := s.reset(t)
	for range 2 {
		if err := env.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	wantRefused(t, env, s.Action, "after Close")
	if _, err := env.Reset(t.Context(), gym.ResetOptions{Seed: seed}); err == nil {
		t.Error("Reset after Close: no error, want one")
	}
}

func testCloseFirst(t *testing.T, s Suite) {
	if err := s.start(t).Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func testCloseDuringStep(t *testing.T, s Suite) {
	if s.Slow.IsZero() {
		t.Skip("the suite names no slow action")
	}
	env := s.reset(t)
	s.interrupted(t.Context(), t, env, func() {
		if err := env.Close(); err != nil {
			t.Errorf("Close during Step: %v", err)
		}
	})
}

func testCancel(t *testing.T, s Suite) {
	if s.Slow.IsZero() {
		t.Skip("the suite names no slow action")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.interrupted(ctx, t, s.reset(t), cancel)
}

// headStart lets the slow action really start before it is interrupted. The
// test is right for any interleaving; this makes the interesting one likely.
const headStart = 100 * time.Millisecond

func (s Suite) interrupted(ctx context.Context, t *testing.T, env gym.Env, interrupt func()) {
	t.Helper()
	returned := make(chan error, 1)
	go func() {
		_, err := env.Step(ctx, s.Slow)
		returned <- err
	}()
	select {
	case err := <-returned:
		t.Fatalf("the slow action ended by itself: %v", err)
	case <-time.After(headStart):
	}
	interrupt()
	select {
	case err := <-returned:
		if err == nil {
			t.Error("the interrupted Step returned no error, want one")
		}
	case <-time.After(s.Patience):
		t.Errorf("the interrupted Step did not return within %v", s.Patience)
	}
}

// testInterrupt stops the slow action, and asks for nothing else of its
// observation than that there is one.
func testInterrupt(t *testing.T, s Suite) {
	env := s.reset(t)
	interrupter, ok := env.(gym.Interrupter)
	if !ok {
		t.Skip("the environment is no gym.Interrupter")
	}
	if s.Slow.IsZero() {
		t.Skip("the suite names no slow action")
	}
	interrupter.Interrupt() // nothing runs: no effect, also not on the next step
	step(t, env, s.Action)
	type result struct {
		transition gym.Transition
		err        error
	}
	returned := make(chan result, 1)
	go func() {
		transition, err := env.Step(t.Context(), s.Slow)
		returned <- result{transition, err}
	}()
	select {
	case got := <-returned:
		t.Fatalf("the slow action ended by itself: %+v, %v", got.transition, got.err)
	case <-time.After(headStart):
	}
	interrupter.Interrupt()
	select {
	case got := <-returned:
		if got.err != nil {
			t.Fatalf("the interrupted Step: %v, want no error", got.err)
		}
		CheckTransition(t, got.transition)
		if got.transition.Done() || got.transition.Observation.Step != 2 {
			t.Errorf("the interrupted Step led to %+v, want the second step of an episode that goes on", got.transition)
		}
	case <-time.After(s.Patience):
		t.Fatalf("the interrupted Step did not return within %v", s.Patience)
	}
	if tr := step(t, env, s.Action); tr.Observation.Step != 3 {
		t.Errorf("the step after it is number %d, want 3", tr.Observation.Step)
	}
}

// saved returns the state of an environment, or skips the test.
func saved(t *testing.T, env gym.Env) []byte {
	t.Helper()
	snapshotter, ok := env.(gym.Snapshotter)
	if !ok {
		t.Skip("the environment is no gym.Snapshotter")
	}
	var buf bytes.Buffer
	err := snapshotter.Snapshot(t.Context(), &buf)
	if errors.Is(err, gym.ErrNoSnapshot) {
		t.Skip("SKIPPED: ", err)
	}
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	return buf.Bytes()
}

func testSnapshot(t *testing.T, s Suite) {
	env := s.start(t)
	first := resetEnv(t, env)
	before := step(t, env, s.Action)
	state := saved(t, env)
	if after := step(t, env, s.Action); after.Observation.Step != 2 {
		t.Errorf("the step after Snapshot is %d, want 2", after.Observation.Step)
	}
	// Both a fresh environment and the same one go on from there, as often as one
	// likes.
	for name, other := range map[string]gym.Env{"a fresh one": s.start(t), "another fresh one": s.start(t), "the same": env} {
		obs, err := other.(gym.Snapshotter).Restore(t.Context(), gym.ResetOptions{Seed: seed}, bytes.NewReader(state))
		if err != nil {
			t.Fatalf("%s: Restore: %v", name, err)
		}
		checkObservation(t, obs)
		if obs.Step != 1 || obs.Text != first.Text || obs.StepsLeft != before.Observation.StepsLeft {
			t.Errorf("%s: Restore gives %+v; want the statement, step 1 and %d steps left", name, obs, before.Observation.StepsLeft)
		}
		if tr := step(t, other, s.Action); tr.Observation.Step != 2 || tr.Done() {
			t.Errorf("%s: the step after Restore led to %+v, want step 2", name, tr)
		}
	}
}

func testSnapshotRefused(t *testing.T, s Suite) {
	env := s.reset(t)
	state := saved(t, env)
	if len(state) == 0 {
		t.Fatal("Snapshot wrote nothing")
	}
	other, _ := s.start(t).(gym.Snapshotter)
	for name, torn := range map[string][]byte{"nothing": nil, "half": state[:len(state)/2], "no snapshot": []byte("{}\n{}\n")} {
		if _, err := other.Restore(t.Context(), gym.ResetOptions{Seed: seed}, bytes.NewReader(torn)); err == nil {
			t.Errorf("Restore of %s: no error, want one", name)
		}
		wantRefused(t, other.(gym.Env), s.Action, "after a Restore that failed")
	}
	if _, err := other.Restore(t.Context(), gym.ResetOptions{Seed: seed + 1}, bytes.NewReader(state)); err == nil {
		t.Error("Restore with another seed: no error, want one")
	}
	resetEnv(t, other.(gym.Env))
	step(t, other.(gym.Env), s.Action)
	if err := env.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := env.(gym.Snapshotter).Snapshot(t.Context(), io.Discard); err == nil {
		t.Error("Snapshot after Close: no error, want one")
	}
	if _, err := env.(gym.Snapshotter).Restore(t.Context(), gym.ResetOptions{Seed: seed}, bytes.NewReader(state)); err == nil {
		t.Error("Restore after Close: no error, want one")
	}
}
