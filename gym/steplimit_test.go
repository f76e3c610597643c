package gym_test

import (
	"context"
	"testing"

	"mlgym/gym"
)

// endless is an environment whose agent is graded when it is finished.
type endless struct{ steps int }

func (e *endless) Reset(context.Context, gym.ResetOptions) (gym.Observation, error) {
	e.steps = 0
	return gym.Observation{Text: "go", StepsLeft: -1}, nil
}

func (e *endless) Step(context.Context, gym.Action) (gym.Transition, error) {
	e.steps++
	return gym.Transition{
		Observation: gym.Observation{Text: "ok", Step: e.steps, StepsLeft: -1},
		Reward:      1,
		Info:        gym.Info{Evaluations: []gym.Evaluation{{Kind: gym.Validate, Step: e.steps, Scores: gym.Scores{"n": 1}}}},
	}, nil
}

func (e *endless) Finish(_ context.Context, cause gym.Cause) (gym.Transition, error) {
	final := gym.Evaluation{Kind: gym.Submit, Step: e.steps, Scores: gym.Scores{"n": 2}}
	return gym.Transition{
		Observation: gym.Observation{Text: "over", Step: e.steps, StepsLeft: -1},
		Reward:      0.5, Truncated: true,
		Info: gym.Info{ExitStatus: gym.EndedBy(cause, final), Evaluations: []gym.Evaluation{final}},
	}, nil
}

func (e *endless) Close() error { return nil }

func TestLimitStepsGradesAfterTheLastAction(t *testing.T) {
	inner := &endless{}
	env := gym.LimitSteps(inner, 3)
	for episode := range 2 {
		obs, err := env.Reset(t.Context(), gym.ResetOptions{})
		if err != nil || obs.StepsLeft != 3 {
			t.Fatalf("Reset = %+v, %v; want 3 steps left", obs, err)
		}
		for n := 1; n <= 3; n++ {
			tr, err := env.Step(t.Context(), gym.Action{Command: "x"})
			if err != nil {
				t.Fatalf("episode %d, step %d: %v", episode, n, err)
			}
			if got, want := tr.Observation.StepsLeft, 3-n; got != want {
				t.Errorf("steps left after step %d = %d, want %d", n, got, want)
			}
			if got, want := tr.Truncated, n == 3; got != want {
				t.Errorf("truncated after step %d = %v, want %v", n, got, want)
			}
			if n < 3 {
				continue
			}
			if got, want := tr.Info.ExitStatus.String(), "autosubmission (max_steps)"; got != want {
				t.Errorf("exit status = %q, want %q", got, want)
			}
			if tr.Reward != 1.5 || len(tr.Info.Evaluations) != 2 || tr.Observation.Text != "ok\nover" {
				t.Errorf("last transition = %+v; want action and end together", tr)
			}
		}
		if inner.steps != 3 {
			t.Errorf("%d actions ran, want 3", inner.steps)
		}
	}
}
