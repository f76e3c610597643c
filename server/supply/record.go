package supply

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mlgym"
	"mlgym/agent"
	"mlgym/episode"
	"mlgym/gym"
	"mlgym/internal/redact"
	"mlgym/runstore"
	"mlgym/server/session"
	"mlgym/taskenv"
	"mlgym/trajectory"
)

// remote is the name of the agent in the runs of those who decide elsewhere.
const remote = "remote"

// recorded is an environment whose episode is a run on the disk, as an episode of
// `mlgym run` is: a turn is written before it is executed, a step when it is over.
type recorded struct {
	gym.Env
	gym.Interrupter
	snapshotter gym.Snapshotter

	manifest runstore.Manifest
	root     string
	keeper   *lateKeeper
	// dir is that of the run, once there is one.
	dir atomic.Pointer[string]

	// closing is set before mu is taken by Close, which may come while a step is
	// under way and ends it.
	closing atomic.Bool
	mu      sync.Mutex // held while a call is served

	run    *runstore.Run
	writer *trajectory.Writer
	began  time.Time
	events int // written, without the header
	totals trajectory.Totals
	ended  bool
}

// lateKeeper is a keeper whose run is there only once the episode has begun.
type lateKeeper struct{ *episode.Keeper }

// manifest describes the run that a configuration's episode makes.
func (s *Supply) manifest(cfg taskenv.Config, given mlgym.Provided, r session.Request, maxSteps int) (runstore.Manifest, error) {
	t := cfg.Task
	config, err := json.Marshal(map[string]string{"episode_id": r.EpisodeID})
	if err != nil {
		return runstore.Manifest{}, err
	}
	m := runstore.Manifest{
		MlgymVersion: s.opts.Version, Task: string(t.ID), TaskVersion: strconv.Itoa(t.Version), TaskDigest: string(t.Digest), Digests: given.Digests,
		Mode: string(cfg.Mode), Variant: cfg.Variant, Agent: cmp.Or(r.Agent, remote), AgentConfig: config, Seed: *r.Seed,
		Limits: runstore.Limits{
			MaxSteps: maxSteps, ActionSeconds: t.CommandTimeout.Seconds(), TrainingSeconds: t.TrainingTimeout.Seconds(),
		},
		Sandbox:       runstore.Sandbox{Driver: cfg.Driver.Name(), Root: cfg.Root, Limits: cfg.Limits.Or(t.Limits.Limits()).WithDefaults()},
		PrimaryMetric: t.Primary().Name, Direction: runstore.Direction(t.Primary().Direction), Reward: string(cfg.Reward),
		Host: s.host, GraderKey: cfg.Key(*r.Seed),
	}
	if b := t.Baseline(cfg.Variant); b != nil {
		m.Baseline = b.Scores
	}
	return m, nil
}

// begin makes the run.
func (e *recorded) begin() error {
	run, err := runstore.Create(runstore.DefaultDir(e.root, e.manifest), e.manifest)
	if err != nil {
		return err
	}
	writer, err := run.Trajectory(redact.New())
	if err != nil {
		return errors.Join(err, run.Close())
	}
	e.run, e.writer, e.began, e.totals = run, writer, time.Now(), trajectory.NewTotals()
	e.dir.Store(new(run.Dir()))
	e.keeper.Keeper = episode.NewKeeper(run)
	return nil
}

// place is the folder of the run, "" before there is one.
func (e *recorded) place() string {
	if dir := e.dir.Load(); dir != nil {
		return *dir
	}
	return ""
}

func (e *recorded) write(event trajectory.Event) error {
	if err := e.writer.Write(event); err != nil {
		return fmt.Errorf("record the episode: %w", err)
	}
	e.events++
	return nil
}

// Reset implements [gym.Env].
func (e *recorded) Reset(ctx context.Context, opts gym.ResetOptions) (gym.Observation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(); err != nil {
		return gym.Observation{}, err
	}
	obs, err := e.Env.Reset(ctx, opts)
	if err != nil {
		return obs, err
	}
	return obs, e.write(trajectory.Event{Reset: &trajectory.Reset{Seed: opts.Seed, Observation: obs, Seconds: time.Since(e.began).Seconds()}})
}

// Step implements [gym.Env].
func (e *recorded) Step(ctx context.Context, a gym.Action) (gym.Transition, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	step := e.totals.Steps + 1
	if err := e.write(trajectory.Event{Turn: &trajectory.Turn{Step: step, Turn: agent.Turn{Action: a}}}); err != nil {
		return gym.Transition{}, err
	}
	t, err := e.Env.Step(ctx, a)
	if err != nil && e.closing.Load() {
		return t, err // Close records it
	}
	if err != nil {
		// The error is what counts; that it could not be recorded is told with it.
		return t, errors.Join(err, e.lost(step, err))
	}
	e.totals.AddStep(t)
	if err := e.write(trajectory.Event{Step: &trajectory.Step{Step: step, Action: a, Transition: t}}); err != nil {
		return t, err
	}
	if !t.Done() {
		return t, nil
	}
	end := &trajectory.End{ExitStatus: t.Info.ExitStatus}
	for _, evaluation := range t.Info.Evaluations {
		if evaluation.Kind == gym.Submit {
			end.Final = &evaluation
		}
	}
	return t, e.end(end)
}

func (e *recorded) end(end *trajectory.End) error {
	e.ended = true
	e.totals.Seconds = time.Since(e.began).Seconds()
	end.Totals = e.totals
	return e.write(trajectory.Event{End: end})
}

// lost records that the environment failed.
func (e *recorded) lost(step int, err error) error {
	status := gym.ExitStatus{Outcome: gym.EarlyExit}
	return errors.Join(
		e.write(trajectory.Event{Fault: &trajectory.Fault{Step: step, Source: trajectory.FromEnv, Message: err.Error()}}),
		e.end(&trajectory.End{
			ExitStatus: status, Reason: err.Error(),
			Transition: &gym.Transition{Truncated: true, Info: gym.Info{ExitStatus: status, Fault: err.Error()}},
		}),
	)
}

// Close implements [gym.Env]. An episode that its client left is recorded as such.
func (e *recorded) Close() error {
	e.closing.Store(true)
	err := e.Env.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.run == nil {
		return err
	}
	if !e.ended {
		err = errors.Join(err, e.write(trajectory.Event{Fault: &trajectory.Fault{
			Step: e.totals.Steps + 1, Source: trajectory.FromOutside, Message: "the client ended the episode",
		}}))
	}
	err = errors.Join(err, e.keeper.Err(), e.writer.Close())
	if _, sealErr := e.run.Seal(); sealErr != nil {
		err = errors.Join(err, sealErr)
	}
	err = errors.Join(err, e.run.Close())
	e.run = nil
	return err
}

// origin is the first line of a recorded episode's snapshot: where its record lies,
// and how many events of it came before.
type origin struct {
	Record string            `json:"record"`
	Events int               `json:"events"`
	Totals trajectory.Totals `json:"totals"`
}

// Snapshot implements [gym.Snapshotter].
func (e *recorded) Snapshot(ctx context.Context, dst io.Writer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	line, err := json.Marshal(origin{e.run.TrajectoryPath(), e.events, e.totals})
	if err != nil {
		return err
	}
	if _, err := dst.Write(append(line, '\n')); err != nil {
		return err
	}
	return e.snapshotter.Snapshot(ctx, dst)
}

// Restore implements [gym.Snapshotter]: the new run begins with the record of the
// episode that was saved, up to that state.
func (e *recorded) Restore(ctx context.Context, opts gym.ResetOptions, src io.Reader) (gym.Observation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	in := bufio.NewReader(src)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return gym.Observation{}, fmt.Errorf("read the snapshot: %w", err)
	}
	var from origin
	if err := json.Unmarshal(bytes.TrimSpace(line), &from); err != nil {
		return gym.Observation{}, fmt.Errorf("read the snapshot: %w", err)
	}
	if err := e.begin(); err != nil {
		return gym.Observation{}, err
	}
	if err := e.copy(from); err != nil {
		return gym.Observation{}, fmt.Errorf("take over the record of the saved episode: %w", err)
	}
	return e.snapshotter.Restore(ctx, opts, in)
}

// copy repeats the events of another record.
func (e *recorded) copy(from origin) (err error) {
	r, err := trajectory.Open(from.Record)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for e.events < from.Events {
		event, err := r.Next()
		if err != nil {
			return err
		}
		if event.Header != nil {
			continue
		}
		if err := e.write(event); err != nil {
			return err
		}
	}
	e.totals = from.Totals
	e.began = e.began.Add(-time.Duration(from.Totals.Seconds * float64(time.Second)))
	return nil
}
