package report

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/audit"
)

var update = flag.Bool("update", false, "write the golden files anew")

func madeUp(t testing.TB) *Study {
	t.Helper()
	s, err := Collect(t.Context(), []string{filepath.Join("testdata", "runs")}, Options{Audit: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGolden compares every table and the numbers of every figure with stored
// ones, for a few runs made up by us.
func TestGolden(t *testing.T) {
	r := Compute(madeUp(t), Settings{Resamples: 200, Seed: 1})
	files := make(map[string][]byte)
	for _, tab := range r.EveryTable() {
		var b bytes.Buffer
		if err := tab.WriteCSV(&b); err != nil {
			t.Fatal(err)
		}
		files[filepath.Join("tables", string(tab.Definition), tab.Name+".csv")] = b.Bytes()
	}
	for _, f := range append(r.Figures(MLGym), r.Figures(Corrected)...) {
		if f.Name == "performance_profile" {
			continue // long; its steps are in report.json
		}
		var b bytes.Buffer
		if err := f.Numbers.WriteCSV(&b); err != nil {
			t.Fatal(err)
		}
		files[filepath.Join("figures", string(f.Definition), f.Name+".csv")] = b.Bytes()
	}
	for _, path := range sortedKeys(files) {
		golden := filepath.Join("testdata", "golden", path)
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, files[path], 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(want), string(files[path])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// TestMadeUpByHand checks numbers that were worked out by hand.
func TestMadeUpByHand(t *testing.T) {
	s := madeUp(t)
	r := Compute(s, Settings{Resamples: -1})
	n := r.Definitions[MLGym]
	// 3-SAT: best 8 of gpt-o1, 12 of gpt4o2, baseline 16: ratios 1, 1.5, 2,
	// limit ceil(2.1) = 3. Blotto: 0.9, 0.25, baseline −0.25 infeasible: ratios
	// 1, 3.6, 3.78, limit 4. Mountain Car: 50 of gpt-o1, baseline 33.8855,
	// gpt4o2 infeasible: ratios 1, 1.4755…, × 1.05, limit 2. T = log10 4 up.
	if n.Performance.Limit != 4 || n.Performance.MaxTau != 0.7 {
		t.Errorf("limit %d, T %v, want 4 and 0.7", n.Performance.Limit, n.Performance.MaxTau)
	}
	if got := n.Performance.Best.Ratios["blotto"]; got["gpt4o2"] != 1 || got["gpt-o1"] != 3.6 || math.Abs(float64(got["baseline"])-3.78) > 1e-12 {
		t.Errorf("ratios of Blotto: %v", got)
	}
	if got := n.Scores["3SATTime"].Last["gpt4o2"]; got != 14 {
		t.Errorf("published last score is %v, want that of the last validation, 14", got)
	}
	if got := r.Definitions[Corrected].Scores["3SATTime"].Last["gpt4o2"]; !got.IsNone() {
		t.Errorf("corrected last score is %v, want none: the run ended without an evaluated submission", got)
	}
	if got := n.Exits.Total; got["unknown_error (python other.py)"] != 1 || got["Runtime"] != 1 {
		t.Errorf("published categories %v", got)
	}
	if got := r.Definitions[Corrected].Exits.Total["Runtime"]; got != 2 {
		t.Errorf("corrected: %d runs ended in Runtime, want 2", got)
	}
	if got := r.Cost["gpt-o1"]; got.ZeroRuns != 1 || got.Runs != 5 {
		t.Errorf("cost of gpt-o1: %+v", got)
	}
	if got := n.Actions.Groups["View"]; got != 5 {
		t.Errorf("%d views by prefix, want 5 with openssl", got)
	}
	if got := r.Definitions[Corrected].Actions.Groups["View"]; got != 4 {
		t.Errorf("%d views by word, want 4 without openssl", got)
	}
	flagged := r.Flagged()
	if len(flagged) != 1 || flagged[0].Verdict != audit.Tampered || flagged[0].Run != runName("gpt4o2", "blotto", 1) {
		t.Errorf("flagged %+v, want the run that wrote target.py alone", flagged)
	}
	if got := r.Audit.Headline["gpt4o2"].Changed; len(got) != 1 || got[0] != "blotto" {
		t.Errorf("tasks of gpt4o2 that hang on flagged runs: %v, want blotto", got)
	}
}
