package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mlgym"
	"mlgym/experiment"
	"mlgym/internal/board"
	"mlgym/slurm"
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
	show, err := a.newShow(ctx, o)
	if err != nil {
		return err
	}
	c, err := experiment.NewCluster(ctx, experiment.ClusterOptions{
		Store: store, Plan: plan, File: file, Engine: client, Worker: []string{program, "experiment", "worker"},
		Stop: a.gently(), Events: show.event, Detach: o.detach, Log: show.log,
	})
	if err != nil {
		return err
	}
	return a.watch(ctx, o, show, c, store)
}

func (a *app) experimentWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "worker DIR SUBMISSION", Short: "Run the episodes of one job of a cluster", Args: args(cobra.ExactArgs(2)), Hidden: true,
		RunE: func(cmd *cobra.Command, given []string) error {
			var number int
			if _, err := fmt.Sscan(given[1], &number); err != nil {
				return usagef("%q is no number of a submission", given[1])
			}
			return a.work(cmd.Context(), given[0], number)
		},
	}
}

// errRequeue asks the cluster to run a job again.
var errRequeue = errors.New("saved, to go on in another job")

// work runs the episodes of one task of an array.
func (a *app) work(ctx context.Context, dir string, number int) error {
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
	host, err := openMachine(ctx, file.Machine)
	if err != nil {
		return err
	}
	stop := a.gently()
	s, err := experiment.NewScheduler(ctx, experiment.Options{
		Store: store, Plan: &experiment.Plan{Cells: cells}, Machine: host, Parallel: 1, Gradings: file.Gradings, Retries: file.MaxRetries(), Limits: file.Budget,
		Runner: &experiment.Episodes{Provide: a.ready, Secret: secret, Version: version(), Redact: redactor()},
		Worker: true, Stop: stop, Log: a.log,
		Events: func(e experiment.Event) { _ = board.WriteJSON(a.out, e) },
	})
	if err != nil {
		return err
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	select {
	case <-stop:
		if s.Snapshot().Waiting > 0 {
			return errRequeue
		}
	default:
	}
	return nil
}
