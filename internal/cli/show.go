package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mlgym/episode"
	"mlgym/runstore"
	"mlgym/trajectory"
)

func (a *app) showCommand() *cobra.Command {
	var asJSON, exchanges bool
	var lines int
	cmd := &cobra.Command{
		Use: "show RUNDIR", Short: "Show a run: transcript, steps, scores, cost", Args: args(cobra.ExactArgs(1)),
		Long:    "show also reads a run that is still going on, or that was cut.",
		Example: "  mlgym show runs/prisonersDilemma/demo/20260101T120000Z-a1b2c3\n  mlgym show RUNDIR --exchanges --lines -1\n  mlgym show RUNDIR --json",
		RunE: func(_ *cobra.Command, given []string) error {
			result, err := runstore.Summarise(given[0])
			if err != nil {
				return usage(err)
			}
			if asJSON {
				p, err := printable(result, "")
				if err != nil {
					return err
				}
				return a.printJSON(p)
			}
			return a.show(given[0], result, trajectory.RenderOptions{MaxLines: lines, Exchanges: exchanges})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON (the steps are in trajectory.jsonl)")
	cmd.Flags().BoolVar(&exchanges, "exchanges", false, "also show what was sent to the model and what it answered")
	cmd.Flags().IntVar(&lines, "lines", 40, "lines shown of each text; -1 shows all")
	return cmd
}

func (a *app) show(dir string, result runstore.Result, opts trajectory.RenderOptions) (err error) {
	if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		opts.Color = true
	}
	r, err := trajectory.Open(trajectoryPath(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := trajectory.Render(a.out, r, opts); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	a.printSummary(result)
	return nil
}

// replayReport is what "replay --json" prints.
type replayReport struct {
	RunDir      string                  `json:"run_dir"`
	Steps       int                     `json:"steps"`
	Differences []trajectory.Difference `json:"differences"`
}

func (a *app) replayCommand() *cobra.Command {
	var asJSON bool
	var taskName, driverName string
	cmd := &cobra.Command{
		Use: "replay RUNDIR", Short: "Execute a record once more and report each difference", Args: args(cobra.ExactArgs(1)),
		Long: `replay makes a fresh environment with the record's task, seed and limits, executes
the recorded actions and compares what they lead to. Times, process numbers and
names of temporary files are masked. It exits with 1 where something differs.`,
		Example: "  mlgym replay runs/prisonersDilemma/demo/20260101T120000Z-a1b2c3",
		RunE: func(cmd *cobra.Command, given []string) error {
			report, err := a.replay(cmd, given[0], taskName, driverName)
			if err != nil {
				return err
			}
			if asJSON {
				if err := a.printJSON(report); err != nil {
					return err
				}
			} else {
				a.printReplay(report)
			}
			if len(report.Differences) > 0 {
				return errReported
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&taskName, "task", "", "the task's folder, where it is not one that ships")
	cmd.Flags().StringVar(&driverName, "sandbox", "", "another sandbox than the record's")
	return cmd
}

func (a *app) replay(cmd *cobra.Command, dir, taskName, driverName string) (report replayReport, err error) {
	m, err := runstore.ReadManifest(dir)
	if err != nil {
		return report, usage(err)
	}
	if m.GraderKey, err = runstore.ReadGraderKey(dir); err != nil {
		return report, err
	}
	if m.GraderKey == nil {
		fmt.Fprintln(a.err, "The record has no grader.key: scores of random tasks will differ.")
		m.GraderKey = runstore.NewGraderKey()
	}
	rec, err := episode.LoadRecord(dir)
	if err != nil {
		return report, err
	}
	if taskName == "" {
		taskName = m.Task
	}
	if driverName == "" {
		driverName = m.Sandbox.Driver
	}
	t, err := episode.FindTask(taskName)
	if err != nil {
		return report, err
	}
	if string(t.Digest) != m.TaskDigest {
		fmt.Fprintf(a.err, "The task has changed since: it was %s and is %s.\n", m.TaskDigest, t.Digest)
	}
	given, err := a.provide(cmd.Context(), t, m.Variant, false)
	if err != nil {
		return report, err
	}
	if changed := episode.ChangedDigest(m.Digests, given.Digests); changed != "" {
		fmt.Fprintf(a.err, "%s has changed since.\n", changed)
	}
	e := &episode.Episode{Spec: episode.Spec{Sandbox: driverName}, Task: t, Provided: given}
	report = replayReport{RunDir: dir, Steps: len(rec.Steps), Differences: []trajectory.Difference{}}
	found, err := e.Replay(cmd.Context(), m, rec, a.log)
	report.Differences = append(report.Differences, found...)
	return report, err
}

func (a *app) printReplay(r replayReport) {
	for _, d := range r.Differences {
		fmt.Fprintf(a.out, "step %d, %s:\n  recorded: %s\n  now:      %s\n", d.Step, d.Field, d.Recorded, d.Got)
	}
	if len(r.Differences) == 0 {
		fmt.Fprintf(a.out, "All %d steps led to the same.\n", r.Steps)
		return
	}
	fmt.Fprintf(a.out, "%d differences in %d steps.\n", len(r.Differences), r.Steps)
}
