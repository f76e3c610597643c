package report_test

import (
	"context"
	"fmt"

	"mlgym/report"
)

// Runs are read one at a time; what was left out is said.
func Example() {
	study, err := report.Collect(context.Background(), []string{"testdata/runs"}, report.Options{Audit: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := report.Compute(study, report.Settings{Resamples: -1})
	fmt.Println(r.Runs.Used, "runs")
	for _, m := range r.Models {
		fmt.Println(m.Name, r.Definitions[report.MLGym].Performance.Best.Rounded[m.ID])
	}
	for _, f := range r.Flagged() {
		fmt.Println(f.Task, f.Verdict, "at step", f.Findings[0].Step)
	}
	// Output:
	// 11 runs
	// GPT-4o 0.577
	// O1-preview 0.514
	// blotto tampered at step 2
}
