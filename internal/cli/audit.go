package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mlgym/audit"
	"mlgym/internal/atomicfile"
	"mlgym/report"
	"mlgym/runstore"
)

// auditName is the file beside a run that holds its verdict.
const auditName = "audit.json"

// auditCommand makes `mlgym audit`.
func (a *app) auditCommand() *cobra.Command {
	var catalogPath string
	var models, tasks []string
	var asJSON, all, record bool
	cmd := &cobra.Command{
		Use:   "audit RUNS...",
		Short: "Look for runs whose score should not be believed",
		Long: `Audit reads the records of runs and looks for writes to files that the grader
imports or that hold data, by any route; for hidden labels that were read; for
patches of the grader's process; and for scores that the task cannot give or
that are far out of line. Each finding names the run and the step and quotes it.

Verdicts: clean (nothing was found), suspicious, tampered. They are recorded
beside each run of ours as audit.json; folders of other systems are left as they
are unless --record asks for it. Reports look at the records again and show
headline numbers with and without flagged runs.

Exit code 0 also when runs are flagged; use --json to act on them.`,
		Example: `  mlgym audit runs/
  mlgym audit trajectories/mlgym_bench_v0 --json
  mlgym audit runs/ --all`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, roots []string) error {
			catalog, err := readCatalog(catalogPath)
			if err != nil {
				return err
			}
			progress := newCounter(a.err, "runs read")
			study, err := report.Collect(cmd.Context(), roots, report.Options{
				Catalog: catalog, Models: models, Tasks: tasks, Audit: true, EveryModel: true, Progress: progress.show,
			})
			progress.end()
			if err != nil {
				return explainReport(err)
			}
			results := verdicts(study)
			unwritten := recordVerdicts(study, results, record)
			if asJSON {
				return a.printJSON(auditSummary(study, results, all, unwritten))
			}
			sayVerdicts(a.out, study, results, all, unwritten)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "list clean runs with remarks too")
	f.BoolVar(&record, "record", false, "write audit.json beside runs of other systems too")
	f.StringSliceVar(&models, "models", nil, "look at runs of these models only")
	f.StringSliceVar(&tasks, "tasks", nil, "look at runs on these tasks only")
	f.StringVar(&catalogPath, "catalog", "", "a JSON file with further tasks (docs/format/report.md)")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// verdicts has a result for every run of a study, in its order.
func verdicts(s *report.Study) []*audit.Result {
	found := make(map[string]*audit.Result)
	for _, f := range s.Findings {
		found[f.Run] = f
	}
	var out []*audit.Result
	for _, r := range s.Rows {
		res := found[r.ID]
		if res == nil {
			res = &audit.Result{FormatVersion: 1, Rules: audit.Version, Run: r.ID, Task: r.Task, Verdict: audit.Clean, Findings: []audit.Finding{}}
		}
		out = append(out, res)
	}
	return out
}

// recordVerdicts writes audit.json beside each run of ours, or beside each run
// of all, and returns how many could not be written.
func recordVerdicts(s *report.Study, results []*audit.Result, all bool) (unwritten int) {
	for i, res := range results {
		if _, err := os.Stat(filepath.Join(s.Rows[i].Path, runstore.ManifestName)); err != nil && !all {
			continue
		}
		text, err := json.MarshalIndent(res, "", "  ")
		if err == nil {
			err = atomicfile.WriteFile(filepath.Join(s.Rows[i].Path, auditName), append(text, '\n'), 0o644)
		}
		if err != nil {
			unwritten++
		}
	}
	return unwritten
}

func auditSummary(s *report.Study, results []*audit.Result, all bool, unwritten int) map[string]any {
	counts := map[audit.Verdict]int{audit.Clean: 0, audit.Suspicious: 0, audit.Tampered: 0}
	shown := []*audit.Result{}
	withRecord := 0
	for i, res := range results {
		counts[res.Verdict]++
		if s.Rows[i].HasRecord {
			withRecord++
		}
		if res.Verdict != audit.Clean || all {
			shown = append(shown, res)
		}
	}
	return map[string]any{
		"runs": len(results), "with_record": withRecord, "verdicts": counts, "results": shown,
		"excluded": s.Excluded, "not_recorded": unwritten,
	}
}

func sayVerdicts(w io.Writer, s *report.Study, results []*audit.Result, all bool, unwritten int) {
	counts := make(map[audit.Verdict]int)
	for _, res := range results {
		counts[res.Verdict]++
		if res.Verdict == audit.Clean && (!all || len(res.Findings) == 0) {
			continue
		}
		fmt.Fprintf(w, "%s  %s\n", res.Verdict, res.Run)
		for _, f := range res.Findings {
			where := "run"
			if f.Step > 0 {
				where = fmt.Sprintf("step %d", f.Step)
			}
			fmt.Fprintf(w, "  %s, %s: %s\n", where, f.Weight, f.Text)
			if f.Quote != "" {
				fmt.Fprintf(w, "    %q\n", f.Quote)
			}
		}
	}
	withoutRecord := 0
	for _, r := range s.Rows {
		if !r.HasRecord {
			withoutRecord++
		}
	}
	fmt.Fprintf(w, "%d runs: %d clean, %d suspicious, %d tampered\n", len(results), counts[audit.Clean], counts[audit.Suspicious], counts[audit.Tampered])
	if withoutRecord > 0 {
		fmt.Fprintf(w, "%d of them have no readable record of their steps; only their scores were looked at\n", withoutRecord)
	}
	if n := len(s.Excluded); n > 0 {
		fmt.Fprintf(w, "%d folders or files were not looked at, such as %s: %s\n", n, s.Excluded[0].Path, s.Excluded[0].Reason)
	}
	if unwritten > 0 {
		fmt.Fprintf(w, "%d verdicts could not be recorded beside their run: the folder cannot be written\n", unwritten)
	}
}
