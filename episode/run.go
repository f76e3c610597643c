package episode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"mlgym"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/internal/redact"
	"mlgym/rollout"
	"mlgym/runstore"
	"mlgym/task"
	"mlgym/taskenv"
	"mlgym/trajectory"
)

// RunOptions say how an episode is run this time; they do not decide it.
type RunOptions struct {
	Agent *Agent
	// Past is the record of a cut episode that goes on, nil for a new one.
	Past *trajectory.Recorded
	// GPUs are the numbers of the devices that agent and grader see.
	GPUs []int
	// Gate is waited for before each grading, and what it returns is called after
	// it; nil lets all of them begin at once.
	Gate func(ctx context.Context) (release func(), err error)
	// Stop cuts the episode after the step under way when it is closed; see
	// [rollout.Episode].
	Stop <-chan struct{}
	// Progress is told what the episode does; see [rollout.Episode].
	Progress func(rollout.Event)
	// Redact keeps secrets out of the record; it may be nil.
	Redact *redact.Redactor
	Log    *slog.Logger
}

// Run runs the episode, or goes on with it, in the run's directory, and seals
// it. The result is filled in also where there is an error, as far as it can be;
// one of the episode itself is a [*rollout.FaultError].
func (e *Episode) Run(ctx context.Context, store *runstore.Run, o RunOptions) (runstore.Result, rollout.Outcome, error) {
	if o.Agent == nil {
		return runstore.Result{}, rollout.Outcome{}, errNoAgent
	}
	keeper := NewKeeper(store)
	env, err := e.env(store.Manifest(), o, keeper)
	if err != nil {
		return runstore.Result{}, rollout.Outcome{}, wrong(err)
	}
	writer, err := store.Trajectory(o.Redact)
	if err != nil {
		return runstore.Result{}, rollout.Outcome{}, errors.Join(err, env.Close())
	}
	outcome, runErr := rollout.Run(ctx, rollout.Episode{
		Env: env, Agent: o.Agent.Agent, Recorder: writer, Seed: e.Spec.Seed, Resume: o.Past,
		Limits: rollout.Limits{MaxSteps: e.Spec.MaxSteps, Wall: e.Spec.Wall}, Progress: o.Progress, Checkpoints: store.Checkpoints(), Stop: o.Stop,
	})
	err = errors.Join(env.Close(), writer.Close(), keeper.Err())
	result, sealErr := store.Seal()
	return result, outcome, errors.Join(runErr, err, sealErr)
}

// env makes the environment of a run with this manifest.
func (e *Episode) env(m runstore.Manifest, o RunOptions, keeper *Keeper) (*taskenv.Env, error) {
	driver, err := mlgym.OpenDriver(e.Spec.Sandbox)
	if err != nil {
		return nil, err
	}
	given := e.Provided.Provisions
	given.GPUs = o.GPUs
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var judge taskenv.Grader = grader.New(driver, grader.Options{Log: log})
	if o.Gate != nil {
		judge = Gated(judge, o.Gate)
	}
	config := taskenv.Config{
		Task: e.Task, Driver: driver, Grader: judge,
		Mode: task.Mode(m.Mode), Variant: m.Variant, Reward: taskenv.Reward(m.Reward),
		Limits: m.Sandbox.Limits, Root: m.Sandbox.Root, Provisions: given,
		Key: func(uint64) []byte { return m.GraderKey },
	}
	if keeper != nil {
		config.Keep = keeper.Keep
	}
	return taskenv.New(config)
}

// Gated returns a grader before which each grading waits for gate, and calls what
// it returns when it is over.
func Gated(judge taskenv.Grader, gate func(ctx context.Context) (release func(), err error)) taskenv.Grader {
	return gated{judge, gate}
}

// gated is a grader before which each grading waits for its turn.
type gated struct {
	taskenv.Grader
	gate func(ctx context.Context) (func(), error)
}

// Grade waits, and grades.
func (g gated) Grade(ctx context.Context, req grader.Request) (gym.Evaluation, error) {
	release, err := g.gate(ctx)
	if err != nil {
		return gym.Evaluation{}, fmt.Errorf("wait for a place to grade in: %w", err)
	}
	defer release()
	return g.Grader.Grade(ctx, req)
}

// GradingMemory is what the sandboxes of one grading may take together, in
// bytes.
func (e *Episode) GradingMemory() int64 {
	bytes := e.Task.Grading.World.Limits().WithDefaults().MemoryBytes
	if p := e.Task.Grading.Player; p != nil {
		bytes += p.World.Limits().WithDefaults().MemoryBytes
	}
	return bytes
}

// Replay executes the record of a run once more in a fresh environment, and
// returns where it differs.
func (e *Episode) Replay(ctx context.Context, m runstore.Manifest, rec *trajectory.Recorded, log *slog.Logger) (_ []trajectory.Difference, err error) {
	env, err := e.env(m, RunOptions{Log: log}, nil)
	if err != nil {
		return nil, wrong(err)
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	return rollout.Replay(ctx, env, rec)
}
