package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/runstore"
	"mlgym/trajectory"
	"mlgym/trajectory/mlgym"
)

// importAll makes runs of ours of the made-up run folders.
func importAll(t *testing.T, from, to string) {
	t.Helper()
	entries, _, err := mlgym.Find(from)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2025, 2, 13, 0, 0, 0, 0, time.UTC)
	for _, e := range entries {
		m := ImportManifest(mlgym.ReadRun(e, mlgym.Options{}, nil), MLGymBench())
		m.Created = start
		run, err := runstore.Create(runstore.DefaultDir(to, m), m)
		if err != nil {
			t.Fatal(err)
		}
		w, err := run.Trajectory(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mlgym.Convert(e, start, w); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := run.Seal(); err != nil {
			t.Fatal(err)
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestImportedRunsGiveTheSame: the tables and figures of imported runs are
// those of the folders that they came from, but for what only the presence of
// files decides.
func TestImportedRunsGiveTheSame(t *testing.T) {
	to := t.TempDir()
	importAll(t, filepath.Join("testdata", "runs"), to)
	s, err := Collect(t.Context(), []string{to}, Options{Audit: true})
	if err != nil {
		t.Fatal(err)
	}
	want, got := Compute(madeUp(t), Settings{Resamples: -1}), Compute(s, Settings{Resamples: -1})
	for _, d := range []Definition{MLGym, Corrected} {
		w, g := want.Definitions[d], got.Definitions[d]
		for name, pair := range map[string][2]any{
			"scores": {w.Scores, g.Scores}, "ranks": {w.Ranks, g.Ranks}, "performance": {w.Performance, g.Performance},
			"exits": {w.Exits, g.Exits}, "failures": {w.Failures, g.Failures}, "actions": {w.Actions, g.Actions},
		} {
			if diff := cmp.Diff(pair[0], pair[1], near); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", d, name, diff)
			}
		}
	}
	if diff := cmp.Diff(want.MetricSummary, got.MetricSummary, near); diff != "" {
		t.Errorf("summaries (-want +got):\n%s", diff)
	}
	if len(got.Flagged()) != 1 {
		t.Errorf("flagged %+v, want the same one run", got.Flagged())
	}
}

// writeOwn writes a run of ours.
func writeOwn(t *testing.T, root string, m runstore.Manifest, events ...trajectory.Event) {
	t.Helper()
	run, err := runstore.Create(filepath.Join(root, m.RunID), m)
	if err != nil {
		t.Fatal(err)
	}
	w, err := run.Trajectory(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOwnRuns(t *testing.T) {
	root := t.TempDir()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	manifest := func(id, agentName, mode string) runstore.Manifest {
		return runstore.Manifest{
			RunID: id, Created: start, Task: "blotto", TaskVersion: "1", Mode: mode, Variant: "full", Agent: agentName,
			PrimaryMetric: "Score", Direction: runstore.Maximize, Baseline: gym.Scores{"Score": -0.3},
		}
	}
	usd := 0.25
	action := gym.Action{Command: "rm target.py"}
	exchange := agent.Exchange{Response: &model.Response{Usage: model.Usage{InputTokens: 100, OutputTokens: 10}, CostUSD: &usd}}
	validated := gym.Evaluation{Kind: gym.Validate, Step: 1, Scores: gym.Scores{"Score": 0.2}, At: start.Add(3 * time.Second)}
	final := gym.Evaluation{Kind: gym.Submit, Step: 1, Scores: gym.Scores{"Score": 0.1}, At: start.Add(5 * time.Second)}
	writeOwn(t, root, manifest("r1", "llm", "hardened"),
		trajectory.Event{At: start, Reset: &trajectory.Reset{Observation: gym.Observation{WorkingDir: "/home/agent/workspace"}}},
		trajectory.Event{At: start, Turn: &trajectory.Turn{Step: 1, Turn: agent.Turn{Action: action, Exchanges: []agent.Exchange{exchange}}}},
		trajectory.Event{At: start, Step: &trajectory.Step{Step: 1, Action: action, Transition: gym.Transition{Info: gym.Info{Evaluations: []gym.Evaluation{validated}}}}},
		trajectory.Event{At: start, End: &trajectory.End{
			ExitStatus: gym.EndedBy(gym.CauseSteps, final), Final: &final,
			Transition: &gym.Transition{Truncated: true, Info: gym.Info{Evaluations: []gym.Evaluation{final}}},
		}},
	)
	writeOwn(t, root, manifest("r2", "baseline", "hardened"), trajectory.Event{At: start, Reset: &trajectory.Reset{}})
	writeOwn(t, root, manifest("r3", "demo", "published"), trajectory.Event{At: start, Reset: &trajectory.Reset{}})
	if err := os.MkdirAll(filepath.Join(root, "r4"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "r4", "manifest.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Collect(t.Context(), []string{root}, Options{Audit: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rows) != 2 {
		t.Fatalf("got %d runs, want the two of mode hardened", len(s.Rows))
	}
	row := s.Rows[0]
	if row.Best != 0.2 || row.Last != 0.1 || row.ExitKey != "autosubmission (max_steps)" || row.TokensIn != 100 || row.CostUSD != 0.25 || row.Verdict != "clean" {
		t.Errorf("row %+v", row)
	}
	if want := (Point{Step: 1, Seconds: 3, Tokens: 110, USD: 0.25, Score: 0.2}); len(row.curve) != 1 || row.curve[0] != want {
		t.Errorf("curve %+v, want %+v", row.curve, want)
	}
	if s.Rows[1].Model != "baseline-agent" {
		t.Errorf("the agent that submits the starter takes part as %q", s.Rows[1].Model)
	}
	if *s.Tasks[0].Baseline != -0.3 {
		t.Errorf("the declared baseline is %v, want that of the runs", *s.Tasks[0].Baseline)
	}
	var reasons []string
	for _, e := range s.Excluded {
		reasons = append(reasons, e.Reason)
	}
	all := strings.Join(reasons, "\n")
	for _, want := range []string{"mode published", "not a manifest"} {
		if !strings.Contains(all, want) {
			t.Errorf("the exclusions do not say %q: %s", want, all)
		}
	}
	Compute(s, Settings{Resamples: 20})

	s, err = Collect(t.Context(), []string{root}, Options{Keep: func(mode, _ string) bool { return mode == "published" }})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rows) != 1 || s.Rows[0].ID != "r3" {
		t.Errorf("of mode published alone there are %d runs, want r3", len(s.Rows))
	}
}

// TestNoiseOfSmallData: the bound of what can be expected (0.3 for blotto) is widened by
// the standard error of gradings on small data, and not on full data.
func TestNoiseOfSmallData(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for variant, want := range map[string]string{"small": "clean", "full": "suspicious", "": "suspicious"} {
		root := t.TempDir()
		final := gym.Evaluation{Kind: gym.Submit, Scores: gym.Scores{"Score": 0.32}, Details: map[string]float64{"standard_error": 0.013}, At: start}
		writeOwn(t, root, runstore.Manifest{
			RunID: "r", Created: start, Task: "blotto", Mode: "hardened", Variant: variant, Agent: "llm", PrimaryMetric: "Score", Direction: runstore.Maximize,
		},
			trajectory.Event{At: start, Reset: &trajectory.Reset{}},
			trajectory.Event{At: start, End: &trajectory.End{
				ExitStatus: gym.EndedBy(gym.CauseSteps, final), Final: &final,
				Transition: &gym.Transition{Truncated: true, Info: gym.Info{Evaluations: []gym.Evaluation{final}}},
			}},
		)
		s, err := Collect(t.Context(), []string{root}, Options{Audit: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Rows) != 1 || s.Rows[0].Verdict != want {
			t.Errorf("variant %q: %d rows, the first %+v; want it %s", variant, len(s.Rows), s.Rows, want)
		}
	}
}
