package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/rollout"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/taskenv"
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
			o.costSet = cmd.Flags().Changed("cost-limit")
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
		if err := o.restore(past.Manifest()); err != nil {
			return usage(err)
		}
	}
	if err := o.check(); err != nil {
		return err
	}
	t, err := findTask(o.Task)
	if err != nil {
		return err
	}
	if _, err := t.Variant(o.variant); err != nil {
		return usage(err)
	}
	if past != nil && string(t.Digest) != past.Manifest().TaskDigest {
		return usagef("the task %s has changed since the run began: it cannot go on; start it anew", t.ID)
	}
	given, err := a.provide(ctx, t, o.variant, o.quiet)
	if err != nil {
		return err
	}
	given.GPUs = o.gpus
	if past == nil {
		return a.runNew(ctx, o, t, given)
	}
	if changed := changedDigest(past.Manifest().Digests, given.Digests); changed != "" {
		return usagef("%s has changed since the run began: it cannot go on; start it anew", changed)
	}
	rec, err := past.Recorded()
	if err != nil {
		return err
	}
	if err := rec.Resumable(); err != nil {
		return usagef("%s: %w", o.resume, err)
	}
	agent, err := a.makeAgent(ctx, o, t, rec.Summary.Totals.Seconds)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.close()) }()
	return a.episode(ctx, o, t, given, past, agent, rec)
}

func (a *app) runNew(ctx context.Context, o *runOptions, t *task.Task, given mlgym.Provided) (err error) {
	// The agent first: what is wrong with it should not leave a run behind.
	agent, err := a.makeAgent(ctx, o, t, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.close()) }()
	secret, err := mlgym.InstallationSecret()
	if err != nil {
		return err
	}
	m, err := o.manifest(t, given, secret)
	if err != nil {
		return err
	}
	m.Prices = agent.prices
	dir := o.out
	if dir == "" {
		dir = runstore.DefaultDir("runs", m)
	}
	store, err := runstore.Create(dir, m)
	if err != nil {
		return usage(err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return a.episode(ctx, o, t, given, store, agent, nil)
}

// episode runs the episode and prints its result.
func (a *app) episode(ctx context.Context, o *runOptions, t *task.Task, given mlgym.Provided, store *runstore.Run, agent made, past *trajectory.Recorded) error {
	driver, err := mlgym.OpenDriver(o.sandbox)
	if err != nil {
		return usage(err)
	}
	keeper := &keeper{store: store}
	env, err := newEnv(t, given, driver, store.Manifest(), a, keeper.keep)
	if err != nil {
		return usage(err)
	}
	writer, err := store.Trajectory(redactor())
	if err != nil {
		return errors.Join(err, env.Close())
	}
	board := a.newProgress(o)
	outcome, runErr := rollout.Run(ctx, rollout.Episode{
		Env: env, Agent: agent.agent, Recorder: writer, Seed: o.seed, Resume: past,
		Limits: rollout.Limits{MaxSteps: o.maxSteps, Wall: o.timeLimit}, Progress: board.event,
	})
	board.end()
	err = errors.Join(env.Close(), writer.Close(), keeper.err)
	result, sealErr := store.Seal()
	err = errors.Join(err, sealErr)
	if sealErr == nil {
		if printErr := a.printResult(o, result, outcome); printErr != nil {
			err = errors.Join(err, printErr)
		}
	}
	if runErr == nil {
		return err
	}
	if unavailable(runErr) {
		fmt.Fprintln(a.err, "mlgym doctor says what works on this machine.")
	}
	if result.Interrupted {
		fmt.Fprintf(a.err, "The run is kept and can go on: mlgym run --resume %s\n", store.Dir())
	}
	return errors.Join(runErr, err)
}

// newEnv makes the environment of a run.
func newEnv(t *task.Task, given mlgym.Provided, driver sandbox.Driver, m runstore.Manifest, a *app, keep keepFunc) (*taskenv.Env, error) {
	return taskenv.New(taskenv.Config{
		Task: t, Driver: driver, Grader: grader.New(driver, grader.Options{Log: a.log}),
		Mode: task.Mode(m.Mode), Variant: m.Variant, Reward: taskenv.Reward(m.Reward),
		Limits: m.Sandbox.Limits, Root: m.Sandbox.Root, Keep: keep, Provisions: given.Provisions,
		Key: func(uint64) []byte { return m.GraderKey },
	})
}

type keepFunc func(kind gym.Kind, attempt int) (string, func([]grader.File))

// keeper keeps what evaluations leave behind with the run.
type keeper struct {
	store *runstore.Run
	err   error
}

func (k *keeper) keep(kind gym.Kind, attempt int) (string, func([]grader.File)) {
	places, err := k.store.Evaluation(attempt, kind)
	if err != nil {
		k.err = errors.Join(k.err, err)
		return "", nil
	}
	logDir := strings.TrimSuffix(places.LogPath, ".log")
	if err := os.Mkdir(logDir, 0o755); err != nil { //nolint:gosec // a record is for reading
		k.err = errors.Join(k.err, fmt.Errorf("keep the grader's logs: %w", err))
		logDir = ""
	}
	return logDir, func(files []grader.File) {
		if err := unpack(places, files); err != nil {
			k.err = errors.Join(k.err, err)
		}
	}
}

// unpack keeps the files of a submission. Those of the agent's models may be
// large, so they pass through a pipe.
func unpack(places runstore.Artefacts, files []grader.File) error {
	var total int64
	for _, f := range files {
		total += f.Bytes
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(writeTar(w, files)) }() // ends when r is read or closed
	_, err := places.Unpack(r, total)
	_ = r.Close() // never fails
	return err
}

func writeTar(w io.Writer, files []grader.File) error {
	out := tar.NewWriter(w)
	for _, f := range files {
		if err := out.WriteHeader(&tar.Header{Name: f.Path, Mode: 0o644, Size: f.Bytes, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		content, err := f.Open()
		if err != nil {
			return err
		}
		_, err = io.CopyN(out, content, f.Bytes)
		if err = errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return out.Close()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func trajectoryPath(dir string) string { return filepath.Join(dir, runstore.TrajectoryName) }
