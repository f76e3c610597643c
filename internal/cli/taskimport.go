package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mlgym/task"
	"mlgym/taskimport"
)

// taskImportCommand makes `mlgym task import`.
func (a *app) taskImportCommand() *cobra.Command {
	return a.group("import", "Turn tasks of other systems into task folders",
		"Import writes a task folder of ours, and says of every key of the source whether it was\nkept, changed (how) or left out (why).",
		"  mlgym task import mlgym configs/tasks/NAME.yaml --out tasks/\n  mlgym task import harbor ./some-task",
		a.taskImportMLGymCommand(), a.taskImportHarborCommand())
}

// importFlags are those of both kinds.
func importFlags(cmd *cobra.Command, o *taskimport.Options, asJSON *bool) {
	f := cmd.Flags()
	f.StringVarP(&o.Out, "out", "o", ".", "write the task's folder below this one")
	f.StringVar(&o.Environment, "environment", "", "Python environment of the task: tabular, torch, jax, one of its own, or none for the system's Python")
	f.StringSliceVar(&o.Metrics, "metric", nil, "name of a metric that the evaluation gives, the primary one first; may be repeated")
	f.StringSliceVar(&o.Submit, "submit", nil, "a file that is handed in, or a folder (ends in /; ./ is the whole workspace); may be repeated")
	f.BoolVar(asJSON, "json", false, "print the report as JSON")
}

func direction(text string) (task.Direction, error) {
	var d task.Direction
	if text == "" {
		return "", nil
	}
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return "", usagef("--direction: %w", err)
	}
	return d, nil
}

func (a *app) taskImportMLGymCommand() *cobra.Command {
	var o taskimport.Options
	var asJSON bool
	var way string
	var inlineMB int64
	cmd := &cobra.Command{
		Use: "mlgym CONFIG.yaml", Short: "Import a task of MLGym", Args: args(cobra.ExactArgs(1)),
		Long: `mlgym reads the YAML of a task of MLGym with the data sets, starter files, evaluation
script and baseline that it names, and writes a task folder. The evaluation script, secret
files, and files that only the evaluation names go where no agent gets them; the report
says which. Local data up to 32 MB are copied, larger ones become a data set that
"mlgym data prepare --from" fills.`,
		Example: "  mlgym task import mlgym configs/tasks/NAME.yaml --out my-tasks\n  mlgym task import mlgym NAME.yaml --datasets-root ~/src/mlgym --metric accuracy --json",
		RunE: func(_ *cobra.Command, given []string) error {
			var err error
			if o.Direction, err = direction(way); err != nil {
				return err
			}
			o.InlineBytes = inlineMB << 20
			report, err := taskimport.MLGym(given[0], o)
			return a.tellImport(report, err, asJSON)
		},
	}
	importFlags(cmd, &o, &asJSON)
	f := cmd.Flags()
	f.StringVar(&o.Root, "datasets-root", "", "folder that the paths of the configuration begin at: MLGym's checkout; without it the one above configs/")
	f.StringVar(&way, "direction", "", "maximize or minimize the primary metric; without it, by its name")
	f.StringSliceVar(&o.Hide, "hide", nil, "a file of the workspace that the agent does not get; may be repeated")
	f.StringSliceVar(&o.Show, "show", nil, "a file of the workspace that the agent gets, whatever the rule says; may be repeated")
	f.Int64Var(&inlineMB, "copy-mb", 32, "copy local data up to so many MB into the task; larger ones become a data set")
	return cmd
}

func (a *app) taskImportHarborCommand() *cobra.Command {
	var o taskimport.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use: "harbor DIR", Short: "Import a task of Harbor", Args: args(cobra.ExactArgs(1)),
		Long: `harbor reads a task's directory of Harbor (task.toml, instruction.md, environment/, tests/,
solution/) and writes a task folder. The tests run in a sandbox of the grader's, on what
the agent handed in, and their reward.json or reward.txt is the score. The absolute places
that Harbor's tasks name (/app, /tests, /logs) are there as links.`,
		Example: "  mlgym task import harbor ./hello-world --out my-tasks\n  mlgym task import harbor ./some-task --submit ./ --json",
		RunE: func(_ *cobra.Command, given []string) error {
			report, err := taskimport.Harbor(given[0], o)
			return a.tellImport(report, err, asJSON)
		},
	}
	importFlags(cmd, &o, &asJSON)
	return cmd
}

// tellImport prints what an import did.
func (a *app) tellImport(r *taskimport.Report, err error, asJSON bool) error {
	if err != nil {
		return usage(err)
	}
	if asJSON {
		return a.printJSON(r)
	}
	fmt.Fprintf(a.out, "%s: imported from %s (%s) into %s\n", r.Task, r.From, r.Source, filepath.Clean(r.Folder))
	for _, o := range []taskimport.Outcome{taskimport.Kept, taskimport.Changed, taskimport.Left} {
		for _, e := range r.Entries {
			if e.Outcome == o {
				fmt.Fprintf(a.out, "  %-8s %s: %s\n", o, e.Key, e.Text)
			}
		}
	}
	fmt.Fprintf(a.out, "%d keys kept, %d changed, %d left out; the same stands in %s\n",
		r.Count(taskimport.Kept), r.Count(taskimport.Changed), r.Count(taskimport.Left), filepath.Join(r.Folder, "IMPORT.md"))
	fmt.Fprintf(a.out, "Go on with:\n  %s\n", strings.Join(r.Next, "\n  "))
	return nil
}
