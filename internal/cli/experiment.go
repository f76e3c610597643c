package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/experiment"
	"mlgym/experiment/metrics"
	"mlgym/machine"
	"mlgym/task"
)

func (a *app) experimentCommand() *cobra.Command {
	return a.group("experiment", "Run a grid of episodes: tasks × agents × seeds",
		`An experiment is a directory. Every command takes it up where it is: episodes that
are done are never run again, cut ones go on from their last step.

Exit codes of run, resume and retry: 0 every episode has its result; 1 some were
given up or are left; 2 wrong usage.`,
		`  mlgym experiment run --tasks prisonersDilemma,blotto --agents demo,baseline --seeds 4 --variant small --out exp
  mlgym experiment run grid.yaml --dry-run
  mlgym experiment status exp --json
  mlgym experiment resume exp
  mlgym experiment report exp`,
		a.experimentRunCommand(), a.experimentStatusCommand(), a.experimentResumeCommand(), a.experimentStopCommand(), a.experimentRetryCommand(),
		a.experimentReportCommand(), a.experimentWorkerCommand())
}

func (a *app) experimentRunCommand() *cobra.Command {
	var o experimentOptions
	cmd := &cobra.Command{
		Use: "run [FILE]", Short: "Run an experiment, or what is left of it", Args: args(cobra.MaximumNArgs(1)),
		Long: `run makes an experiment of a YAML file, of flags, or of both (flags win), prints the
plan, and runs what has no result yet. Run again, with the same or a changed grid, it
goes on: an episode is known by a digest of all that decides it (task and data, agent,
scaffold, model, prices, limits, seed, mode, sandbox), and is never run twice.

Ctrl-C once finishes the steps under way and saves; twice stops at once. Both leave
everything to go on with.`,
		Example: `  mlgym experiment run --tasks prisonersDilemma,blotto --agents demo,baseline --seeds 4 --variant small --out exp
  mlgym experiment run --tasks blotto --models anthropic/claude-sonnet-4-5,openai/gpt-5 --seeds 4 --budget-usd 50 --out exp
  mlgym experiment run grid.yaml --dry-run
  mlgym experiment run grid.yaml --parallel 8 --json > events.jsonl
  mlgym experiment run grid.yaml --on slurm --partition gpu --slurm-time 4h`,
		RunE: func(cmd *cobra.Command, given []string) error {
			from := ""
			if len(given) > 0 {
				from = given[0]
			}
			file, err := o.file(cmd.Flags(), from)
			if err != nil {
				return err
			}
			return a.conduct(cmd.Context(), &o, file, o.outDir(file))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.gridFlags(f)
	o.partFlags(f)
	f.StringVarP(&o.out, "out", "o", "", "directory of the experiment (default experiments/NAME)")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan and run nothing")
	return cmd
}

func (a *app) experimentResumeCommand() *cobra.Command {
	var o experimentOptions
	cmd := &cobra.Command{
		Use: "resume DIR", Short: "Go on with an experiment", Args: args(cobra.ExactArgs(1)),
		Long: `resume runs what has no result yet, as DIR/experiment.yaml says. Flags change how it is
run from now on, such as a larger budget; the grid stays.`,
		Example: "  mlgym experiment resume exp\n  mlgym experiment resume exp --budget-usd 80 --parallel 4",
		RunE: func(cmd *cobra.Command, given []string) error {
			file, err := o.again(cmd, given[0])
			if err != nil {
				return err
			}
			return a.conduct(cmd.Context(), &o, file, given[0])
		},
	}
	cmd.Flags().SortFlags = false
	o.partFlags(cmd.Flags())
	return cmd
}

// again reads the experiment of a directory, with the flags over it.
func (o *experimentOptions) again(cmd *cobra.Command, dir string) (*experiment.File, error) {
	store, err := experiment.Open(dir)
	if err != nil {
		return nil, usage(err)
	}
	file, err := store.File()
	if err != nil {
		return nil, usage(err)
	}
	if err := o.overlay(cmd.Flags(), file); err != nil {
		return nil, err
	}
	return file, usage(file.Check())
}

func (a *app) experimentRetryCommand() *cobra.Command {
	var o experimentOptions
	var only string
	cmd := &cobra.Command{
		Use: "retry DIR --only failed|unscored", Short: "Run episodes of an experiment once more", Args: args(cobra.ExactArgs(1)),
		Long: `retry runs those episodes once more that were given up after faults that are not the
agent's (failed), or also those that ended without a score (unscored), and then goes
on as resume does. What they had stays beside them. A failed one goes on from its last
step; an unscored one starts anew.

An agent that hands in nothing has a result, which is that it failed: to run such
episodes again until they succeed, and to count only the last, is not honest.`,
		Example: "  mlgym experiment retry exp --only failed",
		RunE: func(cmd *cobra.Command, given []string) error {
			if only != "failed" && only != "unscored" {
				return usagef("--only %q: say failed or unscored", only)
			}
			file, err := o.again(cmd, given[0])
			if err != nil {
				return err
			}
			names, err := a.setAside(cmd.Context(), given[0], only)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "%d episodes are tried again%s\n", len(names), listed(names))
			return a.conduct(cmd.Context(), &o, file, given[0])
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&only, "only", "", "failed or unscored")
	o.partFlags(cmd.Flags())
	return cmd
}

func listed(names []string) string {
	const most = 5
	switch {
	case len(names) == 0:
		return ""
	case len(names) > most:
		return fmt.Sprintf(": %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return ": " + strings.Join(names, ", ")
}

func (a *app) setAside(ctx context.Context, dir, only string) (_ []string, err error) {
	store, err := experiment.Open(dir)
	if err != nil {
		return nil, usage(err)
	}
	lock, err := store.Lock()
	if err != nil {
		return nil, usage(err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return store.Retry(ctx, only)
}

// conduct plans an experiment and runs what is left of it.
func (a *app) conduct(ctx context.Context, o *experimentOptions, file *experiment.File, dir string) (err error) {
	secret, err := mlgym.InstallationSecret()
	if err != nil {
		return err
	}
	host, err := openMachine(ctx, file)
	if err != nil {
		return usage(err)
	}
	planner := &experiment.Planner{Secret: secret, GPUs: len(host.GPUs())}
	if file.On == "slurm" {
		planner.GPUs = -1
	}
	var missing []string
	planner.Provide = func(ctx context.Context, t *task.Task, variant string) (mlgym.Provided, error) {
		if !o.dryRun {
			return a.prepareTask(ctx, t, variant, unaskedDownload, o.quiet || o.asJSON)
		}
		given, err := a.ready(t, variant) //nolint:contextcheck // it only looks
		if _, lacks := errors.AsType[*mlgym.NotReadyError](err); lacks {
			missing = append(missing, fmt.Sprintf("%s (%s) is not prepared yet: run prepares it first; its episodes count as new here", t.ID, variant))
			return mlgym.Provided{}, nil
		}
		return given, err
	}
	plan, err := planner.Plan(ctx, file)
	if err != nil {
		return usage(err)
	}
	plan.Notes = append(plan.Notes, missing...)
	if o.dryRun {
		overview, err := experiment.Preview(ctx, dir, plan)
		if err != nil {
			return usage(err)
		}
		return a.printPlan(o, a.out, file, dir, plan, overview)
	}
	store, err := experiment.Create(dir)
	if err != nil {
		return usage(err)
	}
	lock, err := store.Lock()
	if err != nil {
		return usage(err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := store.Save(file, plan); err != nil {
		return err
	}
	overview, err := experiment.Preview(ctx, dir, plan)
	if err != nil {
		return err
	}
	if !o.asJSON {
		if err := a.printPlan(o, a.err, file, dir, plan, overview); err != nil {
			return err
		}
	}
	if file.On == "slurm" {
		return a.conductOnSlurm(ctx, o, file, store, plan)
	}
	runner := &experiment.Episodes{Provide: a.ready, Secret: secret, Version: version(), Redact: redactor(), RequestRetries: file.MaxRequestRetries()}
	show := a.newShow(o)
	stop := a.gently()
	s, err := experiment.NewScheduler(ctx, experiment.Options{
		Store: store, Plan: plan, Runner: runner, Machine: host, Parallel: file.Parallel, Gradings: file.Gradings, Retries: file.MaxRetries(),
		Limits: file.Budget, Stop: stop, Events: show.event, Log: show.log,
	})
	if err != nil {
		return err
	}
	return a.watch(ctx, o, show, s, store)
}

// conductor is what runs an experiment: here, or on a cluster.
type conductor interface {
	Run(ctx context.Context) error
	Snapshot() experiment.Status
	Why() string
}

// watch runs an experiment and shows it.
func (a *app) watch(ctx context.Context, o *experimentOptions, show *show, c conductor, store *experiment.Store) (err error) {
	if o.metricsAddr != "" {
		serving, stop := context.WithCancel(ctx)
		bound, wait, err := metrics.Serve(serving, o.metricsAddr, c.Snapshot)
		if err != nil {
			stop()
			return usagef("--metrics-addr: %w", err)
		}
		fmt.Fprintf(a.err, "metrics: http://%s/metrics\n", bound)
		defer func() { stop(); err = errors.Join(err, wait()) }()
	}
	show.begin(c.Snapshot)
	err = c.Run(ctx)
	show.end()
	st := c.Snapshot()
	st.Active = false
	if !o.asJSON {
		a.printEnd(st, c.Why(), store.Dir())
	}
	if err != nil {
		return err
	}
	if st.Done+st.Skipped < st.Total && !o.detach {
		return errReported
	}
	return nil
}

// ready finds what a task needs on this machine.
func (a *app) ready(t *task.Task, variant string) (mlgym.Provided, error) {
	if t.Environment == "" && len(t.Datasets) == 0 {
		return mlgym.Provided{}, nil
	}
	provider, err := mlgym.NewProvider(nil)
	if err != nil {
		return mlgym.Provided{}, err
	}
	return provider.Ready(t, variant)
}

// sharing is how many times the processors of a machine are promised where
// nobody says how many episodes run at once: agents wait for models, and their
// programs for one another.
const sharing = 4

func openMachine(ctx context.Context, f *experiment.File) (*machine.Machine, error) {
	o := machine.Options{MemoryBytes: f.Machine.MemoryMB << 20, CPUs: f.Machine.CPUs, GPUs: f.Machine.GPUs}
	if f.Parallel == 0 {
		o.CPUFactor = sharing
	}
	return machine.Open(ctx, o)
}
