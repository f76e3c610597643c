package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mlgym/audit"
	"mlgym/export"
	"mlgym/report"
)

// exportOptions are the flags of export.
type exportOptions struct {
	format, out         string
	encoding            string
	filter              export.Filter
	minScore, minReward float64
	audit               string
	minGap              float64
	pairs               int
	requireTokens       bool
	asJSON              bool
}

func (a *app) exportCommand() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use: "export RUNS... --format NAME", Short: "Turn runs into data to train on", Args: args(cobra.MinimumNArgs(1)),
		Long: `export writes runs, or the runs of an experiment, as JSON Lines or Parquet:

  sft               a conversation for each run: what the agent said and was told
  dpo               preference pairs: a better and a worse attempt on the same task
  openai-messages   each request to a model as it was sent, with its answer
  turns             each request with token ids, log-probabilities and loss mask (TrainingTurn)
  transitions       each step: observation, action, reward, next observation, end
  atif              ATIF v1.7 trajectories, one for each run; JSON Lines only

A --out that ends in .parquet is written as Parquet, whose columns are named as the JSON's keys.
Token ids are there where mlgym run --record-tokens had the model's server tell them.

Runs that a fault of the infrastructure ended, that have not ended, or that have no final
score (but for --unscored) are left out. Folders of MLGym's published runs become runs with
mlgym import mlgym ROOT --out RUNS. docs/format/export.md describes each line.`,
		Example: `  mlgym export runs/ --format sft --best 2 --out sft.jsonl
  mlgym export exp --format dpo --task blotto --min-gap 0.1 --out pairs.jsonl
  mlgym export runs/ --format turns --require-tokens --min-reward 0.1 --out turns.parquet
  mlgym export runs/ --format transitions --exit-status submitted | head`,
		RunE: func(cmd *cobra.Command, roots []string) error {
			if cmd.Flags().Changed("min-score") {
				o.filter.MinScore = &o.minScore
			}
			if cmd.Flags().Changed("min-reward") {
				o.filter.MinReward = &o.minReward
			}
			return a.export(cmd.Context(), &o, roots)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.format, "format", "", "sft, dpo, openai-messages, turns, transitions or atif")
	f.StringVarP(&o.out, "out", "o", "", "file to write (default standard output)")
	f.StringVar(&o.encoding, "encoding", "", "jsonl or parquet (default: parquet where --out ends in .parquet, else jsonl)")
	f.StringSliceVar(&o.filter.Tasks, "task", nil, "of these tasks")
	f.StringSliceVar(&o.filter.Agents, "agent", nil, "of these agents or models")
	f.StringSliceVar(&o.filter.Variants, "variant", nil, "of these variants")
	f.StringSliceVar(&o.filter.Modes, "mode", nil, "of these modes")
	f.Float64Var(&o.minScore, "min-score", 0, "whose final score is at least as good as this")
	f.Float64Var(&o.minReward, "min-reward", 0, "whose sum of rewards is at least this")
	f.StringSliceVar(&o.filter.ExitStatus, "exit-status", nil, "that ended so, such as submitted")
	f.StringVar(&o.audit, "audit", "", "clean: leave out runs whose score should not be believed")
	f.IntVar(&o.filter.Best, "best", 0, "the best so many of each task, variant, mode and version")
	f.BoolVar(&o.filter.Dedupe, "dedupe", false, "one of runs in which the agent did the same")
	f.BoolVar(&o.filter.Unscored, "unscored", false, "also runs without a final score")
	f.BoolVar(&o.requireTokens, "require-tokens", false, "leave out requests, of sft and atif runs, whose token ids and log-probabilities are not all known")
	f.Float64Var(&o.minGap, "min-gap", 0, "of dpo: how far the two scores differ at least")
	f.IntVar(&o.pairs, "pairs", 0, "of dpo: at most so many pairs for each task; 0 means no bound")
	f.BoolVar(&o.asJSON, "json", false, "say what was done as one JSON object on standard error")
	return cmd
}

func (a *app) export(ctx context.Context, o *exportOptions, roots []string) (err error) {
	if o.format == "" {
		return usagef("--format is missing: one of %v", export.Formats())
	}
	format, err := export.ParseFormat(o.format)
	if err != nil {
		return usage(err)
	}
	encoding, err := export.ParseEncoding(o.encoding, o.out)
	if err != nil {
		return usagef("--encoding: %w", err)
	}
	how := export.Options{Format: format, Encoding: encoding, RequireTokens: o.requireTokens, MinGap: o.minGap, Pairs: o.pairs}
	if err := how.Check(); err != nil {
		return usage(err)
	}
	for _, root := range roots {
		if _, err := os.Stat(root); err != nil {
			return usage(err)
		}
	}
	if o.filter.Verdict, err = a.believed(ctx, o.audit, roots); err != nil {
		return err
	}
	chosen, left, err := export.Choose(roots, o.filter)
	if err != nil {
		return err
	}
	progress := newCounter(a.err, "runs written")
	how.Progress = progress.show
	stats, err := a.writeExport(ctx, o.out, chosen, how)
	progress.end()
	if err != nil {
		return err
	}
	return a.sayExported(o, stats, append(left, stats.Left...))
}

// writeExport writes to the file, which appears when it is whole, or to standard
// output.
func (a *app) writeExport(ctx context.Context, path string, chosen []*export.Chosen, o export.Options) (stats export.Stats, err error) {
	if path == "" {
		out := bufio.NewWriter(a.out)
		stats, err = export.Write(ctx, out, chosen, o)
		return stats, errors.Join(err, out.Flush())
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return stats, usagef("--out: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	out := bufio.NewWriter(file)
	stats, err = export.Write(ctx, io.Writer(out), chosen, o)
	if err = errors.Join(err, out.Flush(), file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return stats, err
	}
	return stats, os.Rename(file.Name(), path)
}

func (a *app) sayExported(o *exportOptions, stats export.Stats, left []export.LeftOut) error {
	why := map[string]int{}
	for _, l := range left {
		why[l.Why]++
	}
	if o.asJSON {
		return writeJSON(a.err, map[string]any{"runs": stats.Runs, "lines": stats.Lines, "left_out": why, "out": o.out})
	}
	fmt.Fprintf(a.err, "%d lines of %d runs", stats.Lines, stats.Runs)
	if o.out != "" {
		fmt.Fprintf(a.err, " in %s", o.out)
	}
	fmt.Fprintln(a.err)
	for _, l := range left {
		if n := why[l.Why]; n > 0 {
			fmt.Fprintf(a.err, "left out: %d, such as %s: %s\n", n, l.Dir, l.Why)
			why[l.Why] = 0
		}
	}
	if stats.Lines == 0 {
		fmt.Fprintln(a.err, "nothing was written")
	}
	return nil
}

// believed asks the audit which runs are clean.
func (a *app) believed(ctx context.Context, want string, roots []string) (func(string) bool, error) {
	switch want {
	case "":
		return nil, nil
	case "clean":
	default:
		return nil, usagef("--audit %q: say clean", want)
	}
	catalog, err := readCatalog("")
	if err != nil {
		return nil, err
	}
	progress := newCounter(a.err, "runs audited")
	study, err := report.Collect(ctx, roots, report.Options{Catalog: catalog, Audit: true, EveryModel: true, Progress: progress.show})
	progress.end()
	if err != nil {
		return nil, explainReport(err)
	}
	flagged := map[string]bool{}
	for i, v := range verdicts(study) {
		if v.Verdict != audit.Clean {
			flagged[study.Rows[i].Path] = true
		}
	}
	return func(dir string) bool { return !flagged[dir] }, nil
}
