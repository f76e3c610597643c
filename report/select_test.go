package report

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asJSON is what report.json holds, as values.
func asJSON(t *testing.T, r *Report) map[string]any {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSelect: a selection of a study gives the numbers that a study of the same runs
// gives.
func TestSelect(t *testing.T) {
	set := Settings{Resamples: 50, Seed: 1}
	if diff := cmp.Diff(asJSON(t, Compute(madeUp(t), set)), asJSON(t, Compute(madeUp(t).Select(nil, nil, nil), set))); diff != "" {
		t.Errorf("everything selected (-whole +selection):\n%s", diff)
	}
	models, tasks := []string{"gpt-o1"}, []string{"rlMountainCarContinuous", "blotto"}
	// In the order of the catalogue, which a selection keeps.
	want, err := Collect(t.Context(), []string{filepath.Join("testdata", "runs")}, Options{Models: models, Tasks: []string{"blotto", "rlMountainCarContinuous"}, Audit: true})
	if err != nil {
		t.Fatal(err)
	}
	w, g := asJSON(t, Compute(want, set)), asJSON(t, Compute(madeUp(t).Select(models, tasks, nil), set))
	for _, key := range []string{"excluded", "notes", "counts"} { // those of the whole
		delete(w, key)
		delete(g, key)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("a part (-collected +selected):\n%s", diff)
	}
	clean := Compute(madeUp(t).Select(nil, nil, (*Row).Clean), set)
	if n := len(clean.Flagged()); n != 0 || len(clean.Rows) != len(madeUp(t).Rows)-1 {
		t.Errorf("of the clean runs %d are flagged, and there are %d", n, len(clean.Rows))
	}
}

// TestFiguresSayWhatTheyShow: whoever draws a figure by other means finds its values.
func TestFiguresSayWhatTheyShow(t *testing.T) {
	figures := Compute(madeUp(t), Settings{Resamples: 50, Seed: 1}).EveryFigure()
	if len(figures) < 15 {
		t.Fatalf("%d figures", len(figures))
	}
	for _, f := range figures {
		if f.Source == nil || f.Chart == nil {
			t.Errorf("figure %s has source %v", f.Name, f.Source)
		}
	}
}
