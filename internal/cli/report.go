package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mlgym/internal/nearest"
	"mlgym/report"
	"mlgym/stats"
)

// reportCommand makes `mlgym report`.
func (a *app) reportCommand() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report RUNS...",
		Short: "Make tables, figures and a page of runs",
		Long: `Report reads runs of mlgym, or run folders as MLGym publishes them, and writes
every table and figure of the paper, exact to the last digit, beside corrected
definitions and statistics with intervals:

  DIR/report.html     one page to send to a colleague
  DIR/report.md       the same as Markdown
  DIR/report.json     every number behind it (docs/format/report.md)
  DIR/tables/         CSV and LaTeX; corrected definitions in tables/corrected/
  DIR/figures/        SVG, PNG, PDF, each with its numbers as CSV

What cannot be read is named in the report and never stops the rest.`,
		Example: `  mlgym report runs/ --out report/
  mlgym report trajectories/mlgym_bench_v0 --out paper/ --format csv,pdf --definitions mlgym
  mlgym report runs/ --out report/ --models gpt4o2,gpt-o1 --tasks blotto`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, roots []string) error { return o.run(cmd, roots) },
	}
	o.flags(cmd.Flags())
	return cmd
}

func (o *reportOptions) flags(f *pflag.FlagSet) {
	f.StringVarP(&o.out, "out", "o", "report", "write below this folder")
	f.StringSliceVar(&o.models, "models", nil, "compare these models, in this order (default: those of the published list of which there are runs)")
	f.StringSliceVar(&o.tasks, "tasks", nil, "on these tasks, in this order (default: all of which there are runs)")
	f.StringSliceVar(&o.formats, "format", nil, "write these formats only: csv,md,tex,html,svg,png,pdf,json")
	f.StringVar(&o.definitions, "definitions", "both", "mlgym (as published), corrected, or both")
	f.StringVar(&o.rounding, "tau", "decimal", "round the end of the profiles' axis up to a decimal, as published, or to a whole number, as in the first release")
	f.Float64Var(&o.maxTau, "max-tau", 0, "fix the end of the profiles' axis, to compare reports on different models")
	f.IntVar(&o.resamples, "resamples", report.DefaultResamples, "draws of each bootstrap; 0 leaves the statistics beyond the paper out")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the bootstraps")
	f.StringVar(&o.catalog, "catalog", "", "a JSON file with further tasks, models or prices (docs/format/report.md)")
	f.BoolVar(&o.noAudit, "no-audit", false, "do not look for runs whose score should not be believed")
	f.BoolVar(&o.asJSON, "json", false, "print what was done as one JSON object")
}

type reportOptions struct {
	out, definitions, rounding, catalog string
	models, tasks, formats              []string
	maxTau                              float64
	resamples                           int
	seed                                uint64
	noAudit, asJSON                     bool
}

func (o *reportOptions) settings() (report.Settings, []report.Format, error) {
	set := report.Settings{MaxTau: o.maxTau, Resamples: o.resamples, Seed: o.seed}
	switch o.definitions {
	case "mlgym":
		set.Definitions = []report.Definition{report.MLGym}
	case "corrected":
		set.Definitions = []report.Definition{report.Corrected}
	case "both":
	default:
		return set, nil, usagef("--definitions %q is none of mlgym, corrected, both", o.definitions)
	}
	switch o.rounding {
	case "decimal":
	case "whole":
		set.Rounding = stats.ToWhole
	default:
		return set, nil, usagef("--tau %q is neither decimal nor whole", o.rounding)
	}
	if o.maxTau < 0 {
		return set, nil, usagef("--max-tau %v is negative", o.maxTau)
	}
	if o.resamples <= 0 {
		set.Resamples = -1
	}
	var formats []report.Format
	for _, name := range o.formats {
		f := report.Format(strings.TrimSpace(name))
		if !slices.Contains(report.Formats(), f) {
			var known []string
			for _, k := range report.Formats() {
				known = append(known, string(k))
			}
			return set, nil, usagef("--format %q is none of %s", name, strings.Join(known, ", "))
		}
		formats = append(formats, f)
	}
	return set, formats, nil
}

func (o *reportOptions) run(cmd *cobra.Command, roots []string) error {
	set, formats, err := o.settings()
	if err != nil {
		return err
	}
	catalog, err := readCatalog(o.catalog)
	if err != nil {
		return err
	}
	progress := newCounter(cmd.ErrOrStderr(), "runs read")
	study, err := report.Collect(cmd.Context(), roots, report.Options{
		Catalog: catalog, Models: o.models, Tasks: o.tasks, Audit: !o.noAudit, Progress: progress.show,
	})
	progress.end()
	if err != nil {
		return explainReport(err)
	}
	r := report.Compute(study, set)
	r.Inputs = roots
	if err := r.WriteDir(cmd.Context(), o.out, formats); err != nil {
		return err
	}
	return o.say(cmd.OutOrStdout(), r)
}

// say tells what was done, in a few lines.
func (o *reportOptions) say(w io.Writer, r *report.Report) error {
	if o.asJSON {
		return writeJSON(w, map[string]any{
			"out": o.out, "runs": r.Runs.Used, "models": len(r.Models), "tasks": len(r.Tasks),
			"excluded": len(r.Excluded), "notes": len(r.Notes), "flagged": r.Flagged(),
		})
	}
	fmt.Fprintf(w, "%d runs of %d models on %d tasks\n", r.Runs.Used, len(r.Models), len(r.Tasks))
	if n := len(r.Excluded); n > 0 {
		fmt.Fprintf(w, "%d folders or files left out, such as %s: %s\n", n, r.Excluded[0].Path, r.Excluded[0].Reason)
	}
	if n := len(r.Notes); n > 0 {
		fmt.Fprintf(w, "%d notes on inputs, such as %s: %s\n", n, r.Notes[0].Path, r.Notes[0].Text)
	}
	if flagged := r.Flagged(); len(flagged) > 0 {
		fmt.Fprintf(w, "%d runs whose score should not be believed without a look; see “Integrity” in the report\n", len(flagged))
	}
	if r.Runs.Used == 0 {
		fmt.Fprintln(w, "there is nothing to compare; the report says so")
	}
	fmt.Fprintln(w, filepath.Join(o.out, "report.html"))
	return nil
}

// readCatalog is the published catalogue with what a file adds to it.
func readCatalog(path string) (*report.Catalog, error) {
	c := report.MLGymBench()
	if path == "" {
		return c, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("catalogue: %w", err)
	}
	defer f.Close()
	if err := c.Extend(f); err != nil {
		return nil, usagef("catalogue %s: %w", path, err)
	}
	return c, nil
}

// explainReport sorts errors into those that the user can mend.
func explainReport(err error) error {
	var unknown *report.UnknownError
	switch {
	case errors.As(err, &unknown):
		return usagef("no %s is named %q%s", unknown.What, unknown.Name, nearest.Hint(unknown.Name, unknown.Known))
	case errors.Is(err, report.ErrTwice), errors.Is(err, fs.ErrNotExist), errors.Is(err, report.ErrNotFolder):
		return usage(err)
	}
	return err
}
