package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mlgym"
	"mlgym/experiment"
	"mlgym/internal/board"
	"mlgym/internal/cachedir"
	"mlgym/machine"
	"mlgym/slurm"
	"mlgym/task"
)

func (a *app) experimentStatusCommand() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use: "status DIR", Short: "Say where an experiment stands", Args: args(cobra.ExactArgs(1)),
		Long: `status reads where an experiment stands, from any machine that sees its directory,
while it runs or not. Jobs of a cluster are shown beside what the directory says.`,
		Example: "  mlgym experiment status exp\n  mlgym experiment status exp --json\n  mlgym experiment status exp --watch",
		RunE: func(cmd *cobra.Command, given []string) error {
			store, err := experiment.Open(given[0])
			if err != nil {
				return usage(err)
			}
			if watch {
				return a.watchStatus(cmd.Context(), store)
			}
			st, err := a.status(cmd.Context(), store)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(st)
			}
			width, height := 100, len(st.Episodes)+30
			const most = 60
			for _, line := range board.Render(*st, board.Options{Width: width, Height: min(height, most), Now: time.Now()}) {
				fmt.Fprintln(a.out, line)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: total, done, running, waiting, failed, cost_usd, and each episode")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it until it ends or is interrupted")
	return cmd
}

// status reads the directory and asks the cluster where there is one. That it
// does not answer is said, and no reason to say nothing.
func (a *app) status(ctx context.Context, store *experiment.Store) (*experiment.Status, error) {
	st, err := store.Status(ctx)
	if err != nil || !store.HasJobs() {
		return st, err
	}
	if err := store.Join(ctx, slurm.NewClient(slurm.Options{Logger: a.log}), st); err != nil {
		fmt.Fprintf(a.err, "what the cluster says is missing: %v\n", err)
	}
	return st, nil
}

// watchStatus shows the directory again and again.
func (a *app) watchStatus(ctx context.Context, store *experiment.Store) error {
	f, ok := a.err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return usagef("--watch needs a terminal; without one, run status again, or read %s", filepath.Join(store.Dir(), experiment.EventsName))
	}
	st, err := a.status(ctx, store)
	if err != nil {
		return err
	}
	const every = 2 * time.Second
	shown := make(chan experiment.Status, 1)
	shown <- *st
	live := board.NewLive(f, os.Getenv("NO_COLOR") == "", func() experiment.Status {
		now := <-shown
		shown <- now
		return now
	})
	defer live.Close()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // the person has seen enough
		case <-ticker.C:
		}
		st, err := a.status(ctx, store)
		if err != nil {
			return err
		}
		<-shown
		shown <- *st
		if !st.Active && st.Running == 0 {
			return nil
		}
	}
}

func (a *app) experimentStopCommand() *cobra.Command {
	var hard, noWait bool
	cmd := &cobra.Command{
		Use: "stop DIR", Short: "Stop an experiment so that it can go on", Args: args(cobra.ExactArgs(1)),
		Long: `stop asks whoever runs the experiment, wherever that is, to finish the steps under way,
save and end, takes waiting jobs from a cluster's queue, and waits until that is done.
With --now the steps are cut; they are executed again when the experiment goes on.`,
		Example: "  mlgym experiment stop exp\n  mlgym experiment stop exp --now",
		RunE: func(cmd *cobra.Command, given []string) error {
			store, err := experiment.Open(given[0])
			if err != nil {
				return usage(err)
			}
			st, err := store.Status(cmd.Context())
			if err != nil {
				return err
			}
			if !st.Active && st.Running == 0 && !store.HasJobs() {
				fmt.Fprintf(a.out, "Nothing runs in %s.\n", store.Dir())
				return nil
			}
			if store.HasJobs() {
				err = experiment.StopJobs(cmd.Context(), store, slurm.NewClient(slurm.Options{Logger: a.log}), hard)
				if unavailable := (*slurm.UnavailableError)(nil); errors.As(err, &unavailable) {
					err = fmt.Errorf("jobs that run were asked through the folder to stop, and those that wait are still in the queue; stop again when Slurm answers: %w", err)
				}
			} else {
				err = store.AskStop(hard)
			}
			if err != nil || noWait {
				return err
			}
			return a.awaitStop(cmd.Context(), store)
		},
	}
	cmd.Flags().BoolVar(&hard, "now", false, "do not finish the steps under way")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until it has ended")
	return cmd
}

// awaitStop waits until nothing runs any more.
func (a *app) awaitStop(ctx context.Context, store *experiment.Store) error {
	told := -1
	for {
		st, err := store.Status(ctx)
		if err != nil {
			return err
		}
		if !st.Active && st.Running == 0 {
			fmt.Fprintf(a.out, "Stopped: %d of %d done. It goes on with: mlgym experiment resume %s\n", st.Done, st.Total, store.Dir())
			return nil
		}
		if st.Running != told {
			told = st.Running
			fmt.Fprintf(a.err, "waiting for %d episodes to finish their steps ...\n", told)
		}
		select {
		case <-time.After(500 * time.Millisecond): // the directory is all there is to look at
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (a *app) experimentReportCommand() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use: "report DIR", Short: "Make tables, figures and a page of an experiment", Args: args(cobra.ExactArgs(1)),
		Long: `report is mlgym report of exactly those runs that count: one for each episode of the
grid that is done. It says how many are missing.`,
		Example: "  mlgym experiment report exp\n  mlgym experiment report exp --out paper --format csv,pdf",
		RunE: func(cmd *cobra.Command, given []string) error {
			store, err := experiment.Open(given[0])
			if err != nil {
				return usage(err)
			}
			st, err := store.Status(cmd.Context())
			if err != nil {
				return err
			}
			if missing := st.Total - st.Done; missing > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d episodes have no result yet: the report is one of a part\n", missing, st.Total)
			}
			dirs, err := store.RunDirs(cmd.Context())
			if err != nil {
				return err
			}
			if len(dirs) == 0 {
				return usagef("%s has no episode that is done; go on with: mlgym experiment resume %s", store.Dir(), given[0])
			}
			if !cmd.Flags().Changed("out") {
				o.out = filepath.Join(store.Dir(), "report")
			}
			return o.run(cmd, dirs)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().Lookup("out").Usage = "write below this folder (default DIR/report)"
	return cmd
}

// conductOnSlurm runs an experiment as jobs of the cluster.
func (a *app) conductOnSlurm(ctx context.Context, o *experimentOptions, file *experiment.File, store *experiment.Store, plan *experiment.Plan) error {
	client := slurm.NewClient(slurm.Options{Logger: a.log})
	if _, err := client.Available(ctx); err != nil {
		return usage(err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	show := a.newShow(o)
	c, err := experiment.NewCluster(ctx, experiment.ClusterOptions{
		Store: store, Plan: plan, File: file, Engine: client, Worker: []string{program, "experiment", "worker", "--planned-by", version()}, Env: workerEnv(),
		Poll: o.slurmPoll, Stop: a.gently(), Events: show.event, Detach: o.detach, Log: show.log,
	})
	if err != nil {
		return err
	}
	return a.watch(ctx, o, show, c, store)
}

// workerEnv are the variables that decide where mlgym finds its things, so that
// workers find the same, also where a site hands no environment on.
func workerEnv() map[string]string {
	env := map[string]string{}
	for _, name := range []string{cachedir.EnvVar, mlgym.EnvState, experiment.EnvStale} {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		if name != experiment.EnvStale {
			if abs, err := filepath.Abs(value); err == nil {
				value = abs
			}
		}
		env[name] = value
	}
	return env
}

func (a *app) experimentWorkerCommand() *cobra.Command {
	var plannedBy string
	cmd := &cobra.Command{
		Use: "worker DIR SUBMISSION", Short: "Run the episodes of one job of a cluster", Args: args(cobra.ExactArgs(2)), Hidden: true,
		RunE: func(cmd *cobra.Command, given []string) error {
			number, err := strconv.Atoi(given[1])
			if err != nil {
				return usagef("%q is no number of a submission", given[1])
			}
			if plannedBy != "" && plannedBy != version() {
				return fmt.Errorf("this node has mlgym %s, and the experiment was submitted by mlgym %s: install one of them where all nodes see it", version(), plannedBy)
			}
			return a.work(cmd.Context(), given[0], number)
		},
	}
	cmd.Flags().StringVar(&plannedBy, "planned-by", "", "version of the mlgym that submitted the job")
	return cmd
}

// errRequeue asks the cluster to run a job again.
var errRequeue = errors.New("saved, to go on in another job")

// work runs the episodes of one task of an array.
func (a *app) work(ctx context.Context, dir string, number int) (err error) {
	at, ok := slurm.FromEnviron(os.Environ())
	if !ok {
		return usagef("experiment worker is for jobs of Slurm; use mlgym experiment resume %s", dir)
	}
	store, err := experiment.Open(dir)
	if err != nil {
		return err
	}
	cells, err := store.Unit(number, at.Index)
	if err != nil {
		return err
	}
	file, err := store.File()
	if err != nil {
		return err
	}
	secret, err := mlgym.InstallationSecret()
	if err != nil {
		return err
	}
	host, leave, err := openJob(ctx, os.Environ())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	stop := a.gently()
	s, err := experiment.NewScheduler(ctx, experiment.Options{
		Store: store, Plan: &experiment.Plan{Cells: cells}, Machine: host, Parallel: 1, Gradings: file.Gradings, Retries: file.MaxRetries(), Limits: file.Budget,
		Runner: &experiment.Episodes{Provide: a.readyOnNode, Secret: secret, Version: version(), Redact: redactor()},
		Worker: true, Stop: stop, Log: a.log,
		Events: func(e experiment.Event) { _ = board.WriteJSON(a.out, e) },
	})
	if err != nil {
		return err
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	if s.Snapshot().Waiting == 0 {
		return nil
	}
	select {
	case <-stop:
		return errRequeue
	default:
	}
	if why := s.Why(); why != "" {
		return fmt.Errorf("not all was run: %s", why)
	}
	return nil
}

// openJob is the part of a node that Slurm gave to this job. Slurm keeps the jobs
// apart, so that it needs no leases but its own.
func openJob(ctx context.Context, environ []string) (_ *machine.Machine, leave func() error, err error) {
	grant := slurm.GrantFromEnviron(environ)
	dir, err := os.MkdirTemp("", "mlgym-job-")
	if err != nil {
		return nil, nil, err
	}
	m, err := machine.Open(ctx, machine.Options{
		Dir: dir, MemoryBytes: max(0, grant.MemoryBytes-experiment.BesideWorker), CPUs: float64(grant.CPUs), GPUs: grant.GPUs,
	})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return m, func() error { return os.RemoveAll(dir) }, nil
}

// readyOnNode is ready for a machine among others: what it lacks, another one
// may have.
func (a *app) readyOnNode(t *task.Task, variant string) (mlgym.Provided, error) {
	given, err := a.ready(t, variant)
	if err != nil {
		err = &experiment.UnfitError{Err: fmt.Errorf("%w; prepare it where all nodes see it (%s)", err, cachedir.EnvVar)}
	}
	return given, err
}
