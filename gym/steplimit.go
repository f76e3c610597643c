package gym

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// LimitSteps returns an Env that ends each episode after n actions, as
// [CauseSteps]; n must be positive. Where env is a [Finisher], what is in the
// workspace is then graded within the last Step, whose transition holds both
// what the action did and what finishing led to.
//
// It is for those who step an environment themselves, such as RL trainers;
// package rollout keeps its own limit. The Env returned is an [Interrupter] where
// env is one.
func LimitSteps(env Env, n int) Env {
	limited := &stepLimit{env: env, limit: n}
	if inner, ok := env.(Interrupter); ok {
		return interruptibleLimit{limited, inner}
	}
	return limited
}

// interruptibleLimit is a stepLimit around an Interrupter.
type interruptibleLimit struct {
	*stepLimit
	Interrupter
}

// ErrNoFinish is returned by the Finish of a wrapper around an Env that is no
// [Finisher].
var ErrNoFinish = errors.New("this environment cannot be told to finish")

type stepLimit struct {
	env   Env
	limit int
	taken int
}

func (s *stepLimit) Reset(ctx context.Context, opts ResetOptions) (Observation, error) {
	s.taken = 0
	obs, err := s.env.Reset(ctx, opts)
	return s.withLeft(obs), err
}

func (s *stepLimit) Step(ctx context.Context, a Action) (Transition, error) {
	transition, err := s.env.Step(ctx, a)
	if err != nil {
		return transition, err
	}
	s.taken++
	transition.Observation = s.withLeft(transition.Observation)
	if transition.Done() || s.taken < s.limit {
		return transition, nil
	}
	last, err := s.Finish(ctx, CauseSteps)
	if errors.Is(err, ErrNoFinish) {
		transition.Truncated = true
		transition.Info.ExitStatus = ExitStatus{SubmissionNotFound, CauseSteps}
		return transition, nil
	}
	if err != nil {
		return transition, err
	}
	return joined(transition, last), nil
}

// joined returns what an action and the end that followed it led to together.
func joined(action, end Transition) Transition {
	both := action
	if text := end.Observation.Text; text != "" {
		if both.Observation.Text != "" {
			both.Observation.Text += "\n"
		}
		both.Observation.Text += text
	}
	both.Reward += end.Reward
	both.Terminated, both.Truncated = end.Terminated, !end.Terminated
	both.Info.ExitStatus = end.Info.ExitStatus
	both.Info.Evaluations = append(slices.Clip(both.Info.Evaluations), end.Info.Evaluations...)
	both.Info.Seconds += end.Info.Seconds
	if both.Info.Fault == "" {
		both.Info.Fault = end.Info.Fault
	}
	return both
}

// Finish implements [Finisher].
func (s *stepLimit) Finish(ctx context.Context, cause Cause) (Transition, error) {
	finisher, ok := s.env.(Finisher)
	if !ok {
		return Transition{}, ErrNoFinish
	}
	transition, err := finisher.Finish(ctx, cause)
	transition.Observation = s.withLeft(transition.Observation)
	return transition, err
}

func (s *stepLimit) Close() error { return s.env.Close() }

func (s *stepLimit) withLeft(obs Observation) Observation {
	left := max(0, s.limit-s.taken)
	if obs.StepsLeft < 0 || obs.StepsLeft > left {
		obs.StepsLeft = left
	}
	return obs
}

// Snapshot implements [Snapshotter].
func (s *stepLimit) Snapshot(ctx context.Context, dst io.Writer) error {
	inner, ok := s.env.(Snapshotter)
	if !ok {
		return fmt.Errorf("%w: the wrapped environment is no Snapshotter", ErrNoSnapshot)
	}
	return inner.Snapshot(ctx, dst)
}

// Restore implements [Snapshotter]. The steps before the snapshot count.
func (s *stepLimit) Restore(ctx context.Context, opts ResetOptions, src io.Reader) (Observation, error) {
	inner, ok := s.env.(Snapshotter)
	if !ok {
		return Observation{}, fmt.Errorf("%w: the wrapped environment is no Snapshotter", ErrNoSnapshot)
	}
	obs, err := inner.Restore(ctx, opts, src)
	s.taken = obs.Step
	return s.withLeft(obs), err
}
