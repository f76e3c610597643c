package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/dataset"
	"mlgym/episode"
	"mlgym/layer"
	"mlgym/task"
)

func (a *app) taskCommand() *cobra.Command {
	return a.group("task", "List, show, prepare and check tasks", "", "  mlgym task list\n  mlgym task show blotto\n  mlgym task prepare imageClassificationFMnist --variant small",
		a.taskListCommand(), a.taskShowCommand(), a.taskPrepareCommand(), a.taskCheckCommand(), a.taskImportCommand(), a.taskNewCommand())
}

// taskLine is a task as "task list --json" gives it.
type taskLine struct {
	ID        task.ID            `json:"id"`
	Version   int                `json:"version"`
	Name      string             `json:"name"`
	Summary   string             `json:"summary"`
	Metric    string             `json:"metric"`
	Direction task.Direction     `json:"direction"`
	Baseline  map[string]float64 `json:"baseline,omitempty"`
	Published map[string]float64 `json:"published_baseline,omitempty"`
	Reference map[string]float64 `json:"reference,omitempty"`
	Variants  []string           `json:"variants"`
	Modes     []task.Mode        `json:"modes"`
	// Environment and Datasets are what "task prepare" makes.
	Environment string      `json:"environment,omitempty"`
	Datasets    []string    `json:"datasets,omitempty"`
	Digest      task.Digest `json:"digest"`
}

func lineOf(t *task.Task) taskLine {
	line := taskLine{
		ID: t.ID, Version: t.Version, Name: t.Name, Summary: strings.TrimSpace(t.Summary), Metric: t.Primary().Name,
		Direction: t.Primary().Direction, Variants: t.VariantNames(), Modes: t.Modes, Digest: t.Digest,
		Environment: t.Environment, Datasets: t.Datasets,
	}
	if b := t.Baseline(task.Full); b != nil {
		line.Baseline = b.Scores
	}
	if t.PublishedBaseline != nil {
		line.Published = t.PublishedBaseline.Scores
	}
	if r := t.Reference(task.Full); r != nil {
		line.Reference = r.Scores
	}
	return line
}

func (a *app) taskListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the tasks that ship with mlgym", Args: args(cobra.NoArgs),
		Example: "  mlgym task list\n  mlgym task list --json",
		RunE: func(*cobra.Command, []string) error {
			catalog, err := mlgym.Tasks()
			if err != nil {
				return err
			}
			all, err := catalog.All()
			if err != nil {
				return err
			}
			lines := []taskLine{}
			for _, t := range all {
				lines = append(lines, lineOf(t))
			}
			if asJSON {
				return a.printJSON(lines)
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TASK\tMETRIC\tBASELINE\tREFERENCE\tWHAT IT ASKS")
			for _, l := range lines {
				fmt.Fprintf(w, "%s\t%s (%s)\t%s\t%s\t%s\n", l.ID, l.Metric, l.Direction,
					number(l.Baseline, l.Metric), number(l.Reference, l.Metric), l.Summary)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func number(scores map[string]float64, metric string) string {
	v, ok := scores[metric]
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.4g", v)
}

func measured(m *task.Measured, metric string) string {
	if m == nil {
		return "-"
	}
	return number(m.Scores, metric)
}

func (a *app) taskShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show TASK|FOLDER", Short: "Show a task: what the agent reads, how it is scored", Args: args(cobra.ExactArgs(1)),
		Example: "  mlgym task show prisonersDilemma\n  mlgym task show ./my-tasks/maze --json",
		RunE: func(_ *cobra.Command, given []string) error {
			t, err := episode.FindTask(given[0])
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(struct {
					taskLine
					Description string `json:"description"`
					Submission  any    `json:"submission"`
					Metrics     any    `json:"metrics"`
				}{lineOf(t), t.Description, t.Submission, t.Metrics})
			}
			line := lineOf(t)
			fmt.Fprintf(a.out, "%s, version %d: %s\n%s\n\n", t.ID, t.Version, t.Name, line.Summary)
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "metric\t%s (%s)\n", line.Metric, line.Direction)
			fmt.Fprintf(w, "published\tbaseline %s\n", number(line.Published, line.Metric))
			for _, name := range line.Variants {
				fmt.Fprintf(w, "%s\tbaseline %s, reference %s: %s\n", name, measured(t.Baseline(name), line.Metric), measured(t.Reference(name), line.Metric), t.Variants[name].Summary)
			}
			if t.Environment != "" {
				fmt.Fprintf(w, "environment\t%s\n", t.Environment)
			}
			if len(t.Datasets) > 0 {
				fmt.Fprintf(w, "data sets\t%s\n", strings.Join(t.Datasets, ", "))
			}
			for _, f := range t.Submission.Files {
				fmt.Fprintf(w, "hands in\t%s (at most %d bytes)\n", f.Path, f.MaxBytes)
			}
			fmt.Fprintf(w, "limits\tcommand %s, training %s, grading %s\n", t.CommandTimeout, t.TrainingTimeout, t.Grading.Timeout)
			fmt.Fprintf(w, "digest\t%s\n", t.Digest)
			if err := w.Flush(); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "\nWhat the agent reads:\n\n%s\n", strings.TrimSpace(t.Description))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// preparedTask is what "task prepare --json" prints.
type preparedTask struct {
	Task        task.ID            `json:"task"`
	Variant     string             `json:"variant"`
	Environment *layer.Layer       `json:"environment,omitempty"`
	Datasets    []dataset.Prepared `json:"datasets"`
}

func (a *app) taskPrepareCommand() *cobra.Command {
	var asJSON, quiet bool
	var variant string
	cmd := &cobra.Command{
		Use: "prepare TASK|FOLDER...", Short: "Build the environment and prepare the data sets of tasks", Args: args(cobra.MinimumNArgs(1)),
		Long: `prepare makes all that a task needs, once: its Python environment, from a lock file with
digests, as a read-only layer that all sandboxes share, and its data sets. Afterwards a
reset installs nothing and needs no network. A run does the same by itself, except for
downloads of more than 1 GB.`,
		Example: "  mlgym task prepare imageClassificationFMnist\n  mlgym task prepare titanic rlMetaMazeMisc --variant small",
		RunE: func(cmd *cobra.Command, names []string) error {
			all := []preparedTask{}
			for _, name := range names {
				t, err := episode.FindTask(name)
				if err != nil {
					return err
				}
				if _, err := t.Variant(variant); err != nil {
					return usage(err)
				}
				given, err := a.prepareTask(cmd.Context(), t, variant, 0, quiet)
				if err != nil {
					return err
				}
				done := preparedTask{t.ID, variant, given.Environment, given.Data}
				all = append(all, done)
				if !asJSON {
					a.printPreparedTask(done)
				}
			}
			if asJSON {
				return a.printJSON(all)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&variant, "variant", task.Full, "full or small")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress on standard error")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) printPreparedTask(p preparedTask) {
	fmt.Fprintf(a.out, "%s (%s) is ready\n", p.Task, p.Variant)
	if l := p.Environment; l != nil {
		fmt.Fprintf(a.out, "  environment %s: %d packages, %s, built in %.1f s\n", l.Name, l.Packages, dataset.Size(l.Bytes), l.BuildSeconds)
	}
	for _, d := range p.Datasets {
		fmt.Fprintf(a.out, "  data set %s: %d files, %s, from %s, prepared in %.1f s\n", d.ID, d.Files, dataset.Size(d.Bytes), d.Source.Kind, d.Seconds)
	}
}
