package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/stats"
)

type synthetic struct {
	BestAttempt []struct {
		Case      string
		Attempts  []map[string]any
		Metric    string
		Direction string
		Index     outcome
	} `json:"best_attempt"`
	Task []struct {
		Case    string
		Task    string
		Models  []string
		Results map[string][]json.RawMessage
		Want    outcome `json:"best_and_last_ranking"`
	}
	Ratios []struct {
		Case      string
		Scores    map[string]any
		Direction string
		Want      outcome `json:"ratios_and_ceil"`
	}
	Actions []struct {
		Action *string
		Group  string
	}
	Exit []struct {
		Case    string
		Info    json.RawMessage
		History json.RawMessage
		Result  *struct {
			Categories         []*string
			Incomplete, Failed int
		}
		Crash string
	}
}

type outcome struct {
	Result json.RawMessage
	Crash  string
}

func readSynthetic(t *testing.T) *synthetic {
	t.Helper()
	text, err := os.ReadFile(shared(t, "synthetic_cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s synthetic
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// value reads a number that the cases may write as a text.
func value(t *testing.T, v any) float64 {
	t.Helper()
	switch v := v.(type) {
	case float64:
		return v
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Fatalf("%v is no number", v)
	return 0
}

func direction(name string) stats.Direction {
	if name == "minimize" {
		return stats.Minimize
	}
	return stats.Maximize
}

// pythonJSON undoes the texts that stand for what JSON cannot hold.
func pythonJSON(text []byte) []byte {
	return []byte(strings.NewReplacer(`"nan"`, "NaN", `"-inf"`, "-Infinity", `"inf"`, "Infinity").Replace(string(text)))
}

func TestSyntheticBestAttempt(t *testing.T) {
	wanted := map[string]int{"None value": -1, "string value": -1, "bool value": 1}
	for _, c := range readSynthetic(t).BestAttempt {
		t.Run(c.Case, func(t *testing.T) {
			if c.Direction != "maximize" && c.Direction != "minimize" {
				t.Skipf("direction %q cannot be written here", c.Direction)
			}
			attempts, _ := json.Marshal(c.Attempts)
			text := fmt.Sprintf(`{"agent": %s, "baseline": {}}`, attempts)
			if c.Case == "string value" {
				text = `{"agent": [{"s": "0.5"}], "baseline": {}}`
			} else {
				text = string(pythonJSON([]byte(text)))
			}
			s := testStudy(t, []string{"m"}, Task{ID: "t", Metric: "s", Direction: direction(c.Direction)}, map[string][]string{"m": {text}})
			want, ok := wanted[c.Case]
			if !ok {
				var got any
				if err := json.Unmarshal(c.Index.Result, &got); err != nil {
					t.Fatal(err)
				}
				want = int(value(t, got))
			} else if len(s.Notes) == 0 {
				t.Error("there is no note about the value")
			}
			if got := s.Rows[0].BestIndex; got != want {
				t.Errorf("%s: got %d, want %d", text, got, want)
			}
		})
	}
}

// testStudy writes run folders and collects them.
func testStudy(t *testing.T, models []string, task Task, results map[string][]string) *Study {
	t.Helper()
	root := t.TempDir()
	for model, runs := range results {
		for i, text := range runs {
			dir := filepath.Join(root, runName(model, task.ID, i))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if text == "" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, "results.json"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := Collect(t.Context(), []string{root}, Options{Catalog: &Catalog{Tasks: []Task{task}}, Models: models})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func runName(model, task string, n int) string {
	return fmt.Sprintf("metagen-%s__%s__default__t-0.00__p-0.95__c-4.00__install-0__parallel_agents_run_%d", model, task, n)
}

func TestSyntheticTasks(t *testing.T) {
	type pair struct {
		ID    string
		Score float64
	}
	nan := math.NaN()
	// What is wanted where the reference raises, or mixes NaN into a sort.
	wanted := map[string][2][]pair{
		"last entry lacks the metric": {{{"a", 7}, {"baseline", 5}}, {{"a", 7}, {"baseline", 5}}},
		"last entry is NaN":           {{{"a", 7}, {"b", 6}, {"baseline", 5}}, {{"b", 6}, {"baseline", 5}, {"a", nan}}},
		"baseline is null":            {{{"a", 7}, {"baseline", nan}}, {{"a", 7}, {"baseline", nan}}},
		"agent is null":               {{{"baseline", 5}, {"a", nan}}, {{"baseline", 5}, {"a", nan}}},
		"agent holds a non-object":    {{{"baseline", 5}, {"a", nan}}, {{"baseline", 5}, {"a", nan}}},
	}
	for _, c := range readSynthetic(t).Task {
		t.Run(c.Case, func(t *testing.T) {
			task, ok := MLGymBench().Task(c.Task)
			if !ok {
				t.Fatalf("task %s is not declared", c.Task)
			}
			results := make(map[string][]string)
			for model, runs := range c.Results {
				for _, r := range runs {
					if string(r) == "null" {
						r = nil
					}
					results[model] = append(results[model], string(pythonJSON(r)))
				}
			}
			s := testStudy(t, c.Models, task, results)
			scores := Score(s, s.cells(), MLGym)
			want, special := wanted[c.Case]
			if !special {
				var raw [2][][2]any
				if err := json.Unmarshal(c.Want.Result, &raw); err != nil {
					t.Fatal(err)
				}
				for k, list := range raw {
					for _, p := range list {
						want[k] = append(want[k], pair{p[0].(string), value(t, p[1])})
					}
				}
			}
			for i, k := range []Kind{Best, Last} {
				var got []pair
				for _, p := range scores.Rank(s.Tasks, k).PerTask[0].Order() {
					got = append(got, pair{s.participant(p), scores.of(k)[0][p]})
				}
				if diff := cmp.Diff(want[i], got, near); diff != "" {
					t.Errorf("%s (-want +got):\n%s", k, diff)
				}
			}
			if special && len(s.Notes) == 0 {
				t.Error("there is no note about this")
			}
		})
	}
}

func TestSyntheticRatios(t *testing.T) {
	for _, c := range readSynthetic(t).Ratios {
		t.Run(c.Case, func(t *testing.T) {
			var ids []string
			for id := range c.Scores {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			var scores []float64
			for _, id := range ids {
				scores = append(scores, value(t, c.Scores[id]))
			}
			got, err := stats.MLGymRatios(scores, value(t, c.Scores["baseline"]), direction(c.Direction))
			if c.Want.Crash != "" {
				if err == nil {
					t.Errorf("got %v, want an error instead of %s", got.Ratio, c.Want.Crash)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var raw [2]json.RawMessage
			var want map[string]float64
			var limit int
			for _, err := range []error{json.Unmarshal(c.Want.Result, &raw), json.Unmarshal(raw[0], &want), json.Unmarshal(raw[1], &limit)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			for i, id := range ids {
				if diff := cmp.Diff(want[id], got.Ratio[i], near); diff != "" {
					t.Errorf("ratio of %s: %s", id, diff)
				}
			}
			if got.Limit != limit {
				t.Errorf("limit: got %d, want %d", got.Limit, limit)
			}
		})
	}
}

func TestSyntheticActions(t *testing.T) {
	for _, c := range readSynthetic(t).Actions {
		if c.Action == nil {
			continue // an empty action here, which is another case
		}
		if got := GroupMLGym([]byte(*c.Action)).String(); got != c.Group {
			t.Errorf("%q: got %s, want %s", *c.Action, got, c.Group)
		}
	}
}

func TestSyntheticExits(t *testing.T) {
	wanted := map[string][]string{
		"null status": {"unknown_error"}, "status key absent": {"unknown_error"}, "assistant turn without action": {Success},
	}
	for _, c := range readSynthetic(t).Exit {
		t.Run(c.Case, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, runName("m", "blotto", 0))
			traj := fmt.Sprintf(`{"environment":"x","history":%s,"trajectory":[],"info":%s}`, c.History, c.Info)
			for _, err := range []error{
				os.Mkdir(dir, 0o755),
				os.WriteFile(filepath.Join(dir, "results.json"), []byte(`{"agent":[{"Score":1}],"baseline":{"Score":0}}`), 0o644),
				os.WriteFile(filepath.Join(dir, "blotto.traj"), []byte(traj), 0o644),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			s, err := Collect(t.Context(), []string{root}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			want, special := wanted[c.Case]
			incomplete := 1
			if special {
				if want[0] == Success {
					incomplete = 0
				}
			} else {
				for _, p := range c.Result.Categories {
					want = append(want, *p)
				}
				incomplete = c.Result.Incomplete
			}
			if diff := cmp.Diff(want, ExitCategories(s.Rows[0].ExitKey, MLGym)); diff != "" {
				t.Errorf("categories (-want +got):\n%s", diff)
			}
			f := failures(s, MLGym)
			if got := f.IncompletePerModel["m"]; got != incomplete {
				t.Errorf("incomplete: got %d, want %d", got, incomplete)
			}
		})
	}
}
