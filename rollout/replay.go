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
	diffs, last, err := reexecute(ctx, env, rec, nil)
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

// reexecute resets the environment and runs the recorded actions. It stops
// early when the episode ends earlier than the record, which is a difference.
func reexecute(ctx context.Context, env gym.Env, rec *trajectory.Recorded, each func(step int)) ([]trajectory.Difference, gym.Transition, error) {
	var last gym.Transition
	if rec.Reset == nil {
		return nil, last, errors.New("the record has no reset: nothing was run")
	}
	obs, err := env.Reset(ctx, gym.ResetOptions{Seed: rec.Reset.Seed})
	if err != nil {
		return nil, last, fmt.Errorf("replay the reset: %w", err)
	}
	last.Observation = obs
	diffs := trajectory.CompareObservations(0, rec.Reset.Observation, obs)
	for i, step := range rec.Steps {
		if each != nil {
			each(i + 1)
		}
		last, err = env.Step(ctx, step.Action)
		if err != nil {
			return diffs, last, fmt.Errorf("replay step %d: %w", i+1, err)
		}
		diffs = append(diffs, trajectory.CompareTransitions(i+1, step.Transition, last)...)
		if last.Done() && i+1 < len(rec.Steps) {
			diffs = append(diffs, trajectory.Difference{
				Step: i + 2, Field: "missing",
				Recorded: fmt.Sprintf("%d more steps", len(rec.Steps)-i-1),
				Got:      "the episode had ended already",
			})
			break
		}
	}
	return diffs, last, nil
}

// resume executes the recorded actions in the fresh environment and records
// how that went. It returns what begin returns; the agent is brought back
// before it is asked the next time.
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
	diffs, last, err := reexecute(ctx, r.Env, rec, func(int) { r.progress(Replaying, nil) })
	if err == nil && last.Done() && !recordedDone(rec) {
		err = fmt.Errorf("the re-executed episode ended early, at step %d: %s", last.Observation.Step, last.Info.ExitStatus)
	}
	if err != nil {
		return none, nil, r.cut(ctx, trajectory.Fault{Source: trajectory.FromEnv, Resuming: true}, fmt.Errorf("resume: %w", err))
	}
	err = r.record(trajectory.Event{Resume: &trajectory.Resume{
		Steps: len(rec.Steps), Observation: last.Observation, Differences: diffs,
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
