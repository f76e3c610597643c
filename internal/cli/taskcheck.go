package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/episode"
	"mlgym/task"
	"mlgym/taskcheck"
)

func (a *app) taskCheckCommand() *cobra.Command {
	var asJSON, quiet bool
	var variant, driverName string
	var parallel int
	var only []string
	cmd := &cobra.Command{
		Use: "check FOLDER", Short: "Try a task: baseline, leaks, broken submissions, cheats", Args: args(cobra.ExactArgs(1)),
		Long: `check does what a reviewer of a task would: it runs the baseline in an agent's sandbox and
grades it (twice, which must give the same), looks from there for everything that is hidden,
hands in broken submissions, and tries what lies in the folder's tests: null (no work
done), reference (a good submission) and each of cheats. It ends with a verdict: exit code 0
where nothing is wrong, else 1.

With the name of a task that ships, without its folder, only what needs no tests is tried.`,
		Example: "  mlgym task check tasks/titanic\n  mlgym task check ./my-task --variant small --json\n  mlgym task check tasks/blotto --only cheat",
		RunE: func(cmd *cobra.Command, given []string) error {
			t, err := episode.FindTask(given[0])
			if err != nil {
				return err
			}
			if variant == "" {
				if variant = task.Small; !slices.Contains(t.VariantNames(), task.Small) {
					variant = task.Full
				}
			}
			if _, err := t.Variant(variant); err != nil {
				return usage(err)
			}
			driver, err := mlgym.OpenDriver(driverName)
			if err != nil {
				return usage(err)
			}
			provided, err := a.prepareTask(cmd.Context(), t, variant, 0, quiet)
			if err != nil {
				return err
			}
			// Secrets of its own: the cheats learn nothing about later runs.
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails
			cfg := taskcheck.Config{
				Task: t, Tests: testsOf(given[0]), Variant: variant, Driver: driver, Provisions: provided.Provisions, Key: key,
				Parallel: parallel, Only: only,
			}
			if !quiet {
				cfg.Progress = a.printFinding
			}
			report, err := taskcheck.Check(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				if err := a.printJSON(report); err != nil {
					return err
				}
			} else {
				a.printVerdict(report)
			}
			if !report.OK {
				return errReported
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&variant, "variant", "", "full or small; without it small, where the task has it")
	cmd.Flags().StringVar(&driverName, "sandbox", "bubblewrap", "the driver of the sandboxes")
	cmd.Flags().IntVar(&parallel, "parallel", 2, "how many cheats to try side by side")
	cmd.Flags().StringSliceVar(&only, "only", nil, "only parts with this in their name, such as baseline, leaks, cheat")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress on standard error")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// testsOf is the folder tests of a task's folder, nil where there is none.
func testsOf(name string) fs.FS {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		name = filepath.Dir(name)
	}
	dir := filepath.Join(name, "tests")
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil
	}
	return os.DirFS(dir)
}

func (a *app) printFinding(f taskcheck.Finding) {
	mark := "ok    "
	if !f.OK {
		mark = "FAILED"
	}
	fmt.Fprintf(a.err, "%s  %-28s %6.1fs  %s\n", mark, f.Name, f.Seconds, f.Detail)
}

func (a *app) printVerdict(r taskcheck.Report) {
	failed := 0
	var took time.Duration
	for _, f := range r.Findings {
		took += seconds(f.Seconds)
		if !f.OK {
			failed++
		}
	}
	verdict := "passes"
	if failed > 0 {
		verdict = fmt.Sprintf("FAILS in %d of", failed)
	}
	fmt.Fprintf(a.out, "%s, version %d, %s: %s %d checks (%s of work)\n", r.Task, r.Version, r.Variant, verdict, len(r.Findings), took.Round(time.Second))
}
