package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/trajectory"
)

// Replay executes the actions of a record once more in a fresh environment and
// returns where the outcome differs. Parts that vary by nature are masked, see
// [trajectory.MaskVolatile]. The error is a fault of the environment.
func Replay(ctx context.Context, env gym.Env, rec *trajectory.Recorded) ([]trajectory.Difference, error) {
	again := reexecution{env: env, rec: rec}
	err := again.reset(ctx)
	if err == nil {
		err = again.run(ctx, 0)
	}
	diffs, last := again.diffs, again.last
	if err != nil {
		return diffs, err
	}
	end := rec.Summary.End
	if end == nil || end.Cause == "" || end.Transition == nil {
		return diffs, nil
	}
	finisher, ok := env.(gym.Finisher)
	if !ok || last.Done() {
		return append(diffs, trajectory.Difference{Step: len(rec.Steps) + 1, Field: "missing", Recorded: string(end.Cause), Got: "the episode had ended already"}), nil
	}
	got, err := finisher.Finish(ctx, end.Cause)
	if err != nil {
		return diffs, fmt.Errorf("replay the end: %w", err)
	}
	return append(diffs, trajectory.CompareTransitions(len(rec.Steps)+1, *end.Transition, got)...), nil
}

// reexecution executes the actions of a record once more.
type reexecution struct {
	env gym.Env
	rec *trajectory.Recorded
	// before and after a step are called where they are not nil; after ends the
	// re-execution with its error.
	before func()
	after  func(step int, took time.Duration) error

	diffs []trajectory.Difference
	last  gym.Transition
}

// reset resets the environment.
func (x *reexecution) reset(ctx context.Context) error {
	if x.rec.Reset == nil {
		return errors.New("the record has no reset: nothing was run")
	}
	obs, err := x.env.Reset(ctx, gym.ResetOptions{Seed: x.rec.Reset.Seed})
	if err != nil {
		return fmt.Errorf("replay the reset: %w", err)
	}
	x.last.Observation = obs
	x.diffs = trajectory.CompareObservations(0, x.rec.Reset.Observation, obs)
	return nil
}

// run runs the recorded actions after a step. It stops early when the episode
// ends earlier than the record, which is a difference.
func (x *reexecution) run(ctx context.Context, from int) error {
	steps := x.rec.Steps
	for i := from; i < len(steps); i++ {
		if x.before != nil {
			x.before()
		}
		began := time.Now()
		var err error
		if x.last, err = x.env.Step(ctx, steps[i].Action); err != nil {
			return fmt.Errorf("replay step %d: %w", i+1, err)
		}
		x.diffs = append(x.diffs, trajectory.CompareTransitions(i+1, steps[i].Transition, x.last)...)
		if x.last.Done() && i+1 < len(steps) {
			x.diffs = append(x.diffs, trajectory.Difference{
				Step: i + 2, Field: "missing",
				Recorded: fmt.Sprintf("%d more steps", len(steps)-i-1),
				Got:      "the episode had ended already",
			})
			return nil
		}
		if x.after != nil && !x.last.Done() {
			if err := x.after(i+1, time.Since(began)); err != nil {
				return err
			}
		}
	}
	return nil
}

// resume brings the fresh environment to where the record ends, from a checkpoint
// where there is one, by executing the recorded actions after it, and records how
// that went. It returns what begin returns; the agent is brought back before it
// is asked the next time.
func (r *runner) resume(ctx context.Context) (gym.Observation, *agent.Turn, error) {
	rec := r.Resume
	var none gym.Observation
	if _, ok := r.Agent.(agent.Resumer); !ok && len(rec.Turns) > 0 {
		return none, nil, fmt.Errorf("resume: this agent (%T) cannot be brought back into a cut episode; start a new run", r.Agent)
	}
	r.Seed = rec.Reset.Seed
	r.out.Totals = rec.Summary.Totals
	r.out.Evaluations = rec.Summary.Evaluations
	r.before = rec.Summary.Totals.Seconds
	r.past = rec
	began := time.Now()
	r.progress(Replaying, nil)
	again := reexecution{env: r.Env, rec: rec, before: func() { r.progress(Replaying, nil) }}
	again.after = func(step int, took time.Duration) error {
		r.worked(ctx, step, took)
		if step < len(rec.Steps) && r.stopped() {
			return r.stop(ctx, step, true)
		}
		return nil
	}
	from, obs, err := r.restore(ctx, rec)
	again.last.Observation = obs
	if err == nil && from == 0 {
		err = again.reset(ctx)
	}
	if err == nil {
		err = again.run(ctx, from)
	}
	if errors.Is(err, ErrStopped) {
		return none, nil, err
	}
	last := again.last
	if err == nil && last.Done() && !recordedDone(rec) {
		err = fmt.Errorf("the re-executed episode ended early, at step %d: %s", last.Observation.Step, last.Info.ExitStatus)
	}
	if err != nil {
		return none, nil, r.cut(ctx, trajectory.Fault{Source: trajectory.FromEnv, Resuming: true}, fmt.Errorf("resume: %w", err))
	}
	err = r.record(trajectory.Event{Resume: &trajectory.Resume{
		Checkpoint: from, Steps: len(rec.Steps) - from, Observation: last.Observation, Differences: again.diffs,
		Seconds: time.Since(began).Seconds(),
	}})
	r.start = time.Now() // the re-execution does not count
	if err != nil {
		return none, nil, err
	}
	if rec.Pending != nil {
		return none, &rec.Pending.Turn, nil
	}
	return *rec.LastObservation(), nil, nil
}

// recordedDone reports whether the last recorded step ended the episode, as
// one in which the sandbox was lost does.
func recordedDone(rec *trajectory.Recorded) bool {
	return len(rec.Steps) > 0 && rec.Steps[len(rec.Steps)-1].Transition.Done()
}

// resumeAgent brings the agent back. Where a recorded turn had not been
// executed when the episode was cut, obs is what it has led to now.
func (r *runner) resumeAgent(ctx context.Context, obs gym.Observation) error {
	rec := r.past
	r.past = nil
	if rec == nil {
		return nil
	}
	turns := make([]agent.Turn, 0, len(rec.Turns)+1)
	observations := make([]gym.Observation, 0, len(rec.Turns)+1)
	for i, turn := range rec.Turns {
		turns = append(turns, turn.Turn)
		observations = append(observations, rec.Steps[i].Transition.Observation)
	}
	if rec.Pending != nil {
		turns = append(turns, rec.Pending.Turn)
		observations = append(observations, obs)
	}
	if len(turns) == 0 {
		return nil
	}
	resumer, ok := r.Agent.(agent.Resumer)
	if !ok {
		return fmt.Errorf("this agent (%T) cannot be brought back into a cut episode; start a new run", r.Agent)
	}
	return resumer.Resume(ctx, rec.Reset.Observation, turns, observations)
}
