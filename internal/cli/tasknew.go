package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mlgym/task"
	"mlgym/taskimport"
)

// taskNewCommand makes `mlgym task new`.
func (a *app) taskNewCommand() *cobra.Command {
	var out, kind string
	cmd := &cobra.Command{
		Use: "new ID", Short: "Write a complete example of a task, to be changed", Args: args(cobra.ExactArgs(1)),
		Long: `new writes a task that works as it is: what the agent reads and begins with, a grader, and
tests with a submission without work, a good one, and ten that cheat. "mlgym task check"
passes; the comments and the README say what to change.

Of kind files the submission is data that the grader reads, of kind program it is code that
runs in a sandbox of its own and answers the grader.`,
		Example: "  mlgym task new rain --out my-tasks\n  mlgym task new chess --kind program",
		RunE: func(_ *cobra.Command, given []string) error {
			folder, err := taskimport.New(given[0], task.Kind(kind), out)
			if err != nil {
				return usage(err)
			}
			if !strings.Contains(folder, "/") {
				folder = "./" + folder
			}
			fmt.Fprintf(a.out, "%s is a task that works as it is. Go on with:\n  mlgym task check %[1]s\n  mlgym run --task %[1]s --agent baseline\nthen change it as its README.md says.\n", folder)
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", ".", "write the task's folder below this one")
	cmd.Flags().StringVar(&kind, "kind", string(task.Files), "what is handed in: files, or a program")
	return cmd
}
