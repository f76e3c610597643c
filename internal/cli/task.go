package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/task"
)

func (a *app) taskCommand() *cobra.Command {
	return a.group("task", "List and show tasks", "", "  mlgym task list\n  mlgym task show blotto", a.taskListCommand(), a.taskShowCommand())
}

// findTask finds a task that ships, or loads the folder of the user's own.
func findTask(name string) (*task.Task, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		info, err := os.Stat(name)
		if err != nil {
			return nil, usagef("task folder: %w", err)
		}
		if !info.IsDir() {
			name = filepath.Dir(name)
		}
		t, err := task.Load(os.DirFS(filepath.Dir(filepath.Clean(name))), filepath.Base(filepath.Clean(name)))
		return t, usage(err)
	}
	catalog, err := mlgym.Tasks()
	if err != nil {
		return nil, err
	}
	return catalog.Find(task.ID(name))
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
	Digest    task.Digest        `json:"digest"`
}

func lineOf(t *task.Task) taskLine {
	line := taskLine{
		ID: t.ID, Version: t.Version, Name: t.Name, Summary: strings.TrimSpace(t.Summary), Metric: t.Primary().Name,
		Direction: t.Primary().Direction, Variants: t.VariantNames(), Modes: t.Modes, Digest: t.Digest,
	}
	if t.Baseline != nil {
		line.Baseline = t.Baseline.Scores
	}
	if t.PublishedBaseline != nil {
		line.Published = t.PublishedBaseline.Scores
	}
	if t.Reference != nil {
		line.Reference = t.Reference.Scores
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

func (a *app) taskShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show TASK|FOLDER", Short: "Show a task: what the agent reads, how it is scored", Args: args(cobra.ExactArgs(1)),
		Example: "  mlgym task show prisonersDilemma\n  mlgym task show ./my-tasks/maze --json",
		RunE: func(_ *cobra.Command, given []string) error {
			t, err := findTask(given[0])
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
			fmt.Fprintf(w, "baseline\t%s (published: %s)\n", number(line.Baseline, line.Metric), number(line.Published, line.Metric))
			fmt.Fprintf(w, "reference\t%s\n", number(line.Reference, line.Metric))
			fmt.Fprintf(w, "variants\t%s\n", strings.Join(line.Variants, ", "))
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
