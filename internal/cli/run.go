package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/episode"
	"mlgym/machine"
	"mlgym/model/price"
	"mlgym/runstore"
	"mlgym/trajectory"
)

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run --task ID --agent NAME",
		Short: "Run one episode: an agent works on a task",
		Long: `run puts an agent before a task in a fresh sandbox, records every step, and grades
what the agent hands in. Standard output gets the result; progress goes to standard
error. A run that is cut (Ctrl-C, a dead model server, a crash) is kept and can go on
with --resume.

Keys of model providers are taken from the environment: OPENAI_API_KEY,
ANTHROPIC_API_KEY, GEMINI_API_KEY.

Exit codes: 0 the episode ended, whatever its score; 1 it was cut by a fault or an
interrupt; 2 wrong usage.`,
		Example: `  mlgym run --task prisonersDilemma --agent demo
  mlgym run --task blotto --agent llm --model anthropic/claude-sonnet-4-5 --cost-limit 2
  mlgym run --task 3SATTime --agent llm --model openai/local --base-url http://127.0.0.1:8080/v1
  mlgym run --task battleOfSexes --agent baseline --variant small --json
  mlgym run --resume runs/blotto/llm-openai_local/20260101T120000Z-a1b2c3`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.finish(cmd.Flags()); err != nil {
				return err
			}
			return a.run(cmd.Context(), &o)
		},
	}
	cmd.Flags().SortFlags = false
	o.flags(cmd.Flags())
	return cmd
}

// run runs an episode, or goes on with one.
func (a *app) run(ctx context.Context, o *runOptions) (err error) {
	var past *runstore.Run
	if o.resume != "" {
		if past, err = runstore.Open(o.resume); err != nil {
			return usage(err)
		}
		defer func() { err = errors.Join(err, past.Close()) }()
		if err := o.Restore(past.Manifest()); err != nil {
			return usage(err)
		}
	}
	e, err := a.plan(ctx, o)
	if err != nil {
		return err
	}
	for _, note := range e.Notes {
		fmt.Fprintln(a.err, note)
	}
	if past == nil {
		return a.runNew(ctx, o, e)
	}
	if changed := e.Changed(past.Manifest()); changed != "" {
		return usagef("%s has changed since the run began: it cannot go on; start it anew", changed)
	}
	rec, err := past.Recorded()
	if err != nil {
		return err
	}
	if err := rec.Resumable(); err != nil {
		return usagef("%s: %w", o.resume, err)
	}
	agent, err := e.Agent(ctx, a.agentOptions(o, rec.Summary.Totals.Seconds))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.Close()) }()
	return a.episode(ctx, o, e, past, agent, rec)
}

// plan makes an episode of the options, after what its task needs was made.
func (a *app) plan(ctx context.Context, o *runOptions) (*episode.Episode, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	t, err := episode.FindTask(o.Task)
	if err != nil {
		return nil, err
	}
	if _, err := t.Variant(o.Variant); err != nil {
		return nil, usage(err)
	}
	prices, err := price.ForUser(o.prices)
	if err != nil {
		return nil, usage(err)
	}
	given, err := a.provide(ctx, t, o.Variant, o.quiet)
	if err != nil {
		return nil, err
	}
	return episode.New(o.Spec, t, given, prices)
}

func (a *app) agentOptions(o *runOptions, elapsed float64) episode.AgentOptions {
	out := a.out
	if o.asJSON {
		out = a.err // standard output is for the result alone
	}
	return episode.AgentOptions{
		In: a.in, Out: out, Attempts: o.retries + 1, Record: o.record, Elapsed: elapsed, Log: a.log,
	}
}

func (a *app) runNew(ctx context.Context, o *runOptions, e *episode.Episode) (err error) {
	// The agent first: what is wrong with it should not leave a run behind.
	agent, err := e.Agent(ctx, a.agentOptions(o, 0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.Close()) }()
	secret, err := mlgym.InstallationSecret()
	if err != nil {
		return err
	}
	m, err := e.Manifest(secret, version())
	if err != nil {
		return err
	}
	dir := o.out
	if dir == "" {
		dir = runstore.DefaultDir("runs", m)
	}
	store, err := runstore.Create(dir, m)
	if err != nil {
		return usage(err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return a.episode(ctx, o, e, store, agent, nil)
}

// episode runs the episode and prints its result.
func (a *app) episode(ctx context.Context, o *runOptions, e *episode.Episode, store *runstore.Run, agent *episode.Agent, past *trajectory.Recorded) error {
	leave, err := a.reserve(ctx, o, e)
	if err != nil {
		return err
	}
	defer leave()
	board := a.newProgress(o)
	result, outcome, err := e.Run(ctx, store, episode.RunOptions{
		Agent: agent, Past: past, GPUs: o.gpus, Progress: board.event, Redact: redactor(), Log: a.log,
	})
	board.end()
	if result.RunDir != "" {
		if printErr := a.printResult(o, result, outcome); printErr != nil {
			err = errors.Join(err, printErr)
		}
	}
	if outcome.Fault == nil {
		return err
	}
	if unavailable(err) {
		fmt.Fprintln(a.err, "mlgym doctor says what works on this machine.")
	}
	if result.Interrupted {
		fmt.Fprintf(a.err, "The run is kept and can go on: mlgym run --resume %s\n", store.Dir())
	}
	return err
}

// reserve claims what the episode takes of the machine, so that experiments make
// room for it. A GPU that another process has is refused; memory that is promised
// to others is only told of, since whoever asks for one run means it.
func (a *app) reserve(ctx context.Context, o *runOptions, e *episode.Episode) (leave func(), err error) {
	m, err := machine.Open(ctx, machine.Options{GPUs: o.gpus})
	if err != nil {
		return nil, err
	}
	owner := fmt.Sprintf("run of %s on %s", o.Agent, e.Task.ID)
	var leases []*machine.Lease
	leave = func() {
		for _, l := range leases {
			_ = l.Release() // it ends with the process
		}
	}
	if len(o.gpus) > 0 {
		lease, ok, err := m.TryClaim(machine.Request{Want: o.gpus, Owner: owner}) //nolint:contextcheck // it does not wait
		if err != nil {
			return nil, usage(err)
		}
		if !ok {
			return nil, usagef("--gpus %s: another process has one of them (mlgym doctor says which); wait for it, or choose another", strings.Trim(fmt.Sprint(o.gpus), "[]"))
		}
		leases = append(leases, lease)
	}
	needs := min(e.Spec.Limits(e.Task).MemoryBytes+e.GradingMemory(), m.Has().MemoryBytes)
	lease, ok, err := m.TryClaim(machine.Request{Resources: machine.Resources{MemoryBytes: needs}, Owner: owner}) //nolint:contextcheck // it does not wait
	switch {
	case err != nil:
		leave()
		return nil, err
	case ok:
		leases = append(leases, lease)
	case !o.quiet:
		fmt.Fprintln(a.err, "The memory of this machine is promised to other runs (mlgym doctor says to which): it may become short.")
	}
	return leave, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func trajectoryPath(dir string) string { return filepath.Join(dir, runstore.TrajectoryName) }
