package report

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mlgym/stats"
)

// shared finds the published runs that lie beside the repository; the test
// skips where they are absent.
func shared(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "shared", "evaluation"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the published runs are not here: %v", err)
	}
	return path
}

// oracle is the part of dev.json that is compared field by field.
type oracle struct {
	Sets map[string]struct {
		Models []string
		Scores map[string]struct {
			Baseline   *float64
			BestScores map[string]*float64 `json:"best_attempt"`
			LastScores map[string]*float64 `json:"best_submission"`
			PerRun     map[string][]struct {
				Run, Attempts int
				BestIndex     *int `json:"best_index"`
				Best, Last    *float64
			} `json:"per_run"`
		}
		Ranks map[string]struct {
			PerTask map[string]struct {
				Ranked, Unscored []string
			} `json:"per_task"`
			Combined map[string]struct {
				MeanRank map[string]float64 `json:"mean_rank"`
				Borda    map[string]float64
				Order    []string
			}
		}
		Performance struct {
			Limit  int     `json:"max_ratio_ceil"`
			MaxTau float64 `json:"max_tau"`
			Best   oraclePerformance
			Last   oraclePerformance
		}
		Strict []struct {
			Task, Model       string
			Reference, Strict *float64
		} `json:"strict_submission_changes"`
		MetricSummary map[string]map[string]*MetricSummary `json:"metric_summary"`
		FailedResults struct {
			PerModel Counts `json:"per_model"`
			PerTask  Counts `json:"per_task"`
		} `json:"failed_from_results"`
		FromTraj struct {
			RunsUsed    int      `json:"runs_used"`
			RunsWithout []string `json:"runs_without_traj"`
			Exit        struct {
				Total    Counts   `json:"categories_total"`
				PerModel CountsBy `json:"categories_per_model"`
				PerTask  CountsBy `json:"categories_per_task"`
				Keys     Counts   `json:"keys_total"`
				KeysPer  CountsBy `json:"keys_per_model"`
				KeysTask CountsBy `json:"keys_per_task"`
			}
			FailedPerModel     Counts `json:"failed_per_model"`
			IncompletePerModel Counts `json:"incomplete_per_model"`
			FailedPerTask      Counts `json:"failed_per_task"`
			IncompletePerTask  Counts `json:"incomplete_per_task"`
			NotCleanPerModel   Counts `json:"not_clean_exit_per_model"`
			NotCleanPerTask    Counts `json:"not_clean_exit_per_task"`
			Actions            struct {
				Total    int
				Counts   Counts
				PerModel CountsBy        `json:"per_model"`
				PerTask  CountsBy        `json:"per_task"`
				PerStep  json.RawMessage `json:"per_step"`
			}
			Cost map[string]map[string]any
		} `json:"from_trajectories"`
	}
	Runs []oracleRun
	Trim []oracleRun `json:"trimmed_runs"`
}

type oraclePerformance struct {
	Ratios      map[string]map[string]*float64
	Feasible    map[string][]string
	Ceil        map[string]int      `json:"ratio_ceil"`
	Steps       map[string][][2]int `json:"profile_steps"`
	AUP         map[string]float64
	Rounded     map[string]float64 `json:"aup_rounded3"`
	StepArea    map[string]float64 `json:"aup_exact_step_area"`
	NeverCounts map[string]float64 `json:"aup_exact_if_infeasible_never_counts"`
}

type oracleRun struct {
	Dir, Model, Task string
	Run, Attempts    int
	BestIndex        *int `json:"best_index"`
	Best, Last       *float64
	Baseline         *float64
	HasTraj          bool `json:"has_traj"`
	Steps            *int
	ExitStatus       *string  `json:"exit_status"`
	ExitKey          *string  `json:"exit_key"`
	ExitCategories   []string `json:"exit_categories"`
	Sent             *float64 `json:"tokens_sent"`
	Received         *float64 `json:"tokens_received"`
	Calls            *float64 `json:"api_calls"`
	Actions          map[string]int
}

func readOracle(t testing.TB) *oracle {
	t.Helper()
	text, err := os.ReadFile(shared(t, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	var o oracle
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return &o
}

var near = cmp.Options{
	cmp.Comparer(func(a, b float64) bool {
		if math.IsNaN(a) || math.IsNaN(b) {
			return math.IsNaN(a) && math.IsNaN(b)
		}
		return a == b || math.Abs(a-b) <= 1e-12 || math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b))
	}),
	cmp.Comparer(func(a, b Number) bool {
		x, y := float64(a), float64(b)
		if math.IsNaN(x) || math.IsNaN(y) {
			return math.IsNaN(x) && math.IsNaN(y)
		}
		return x == y || math.Abs(x-y) <= 1e-12 || math.Abs(x-y) <= 1e-9*math.Max(math.Abs(x), math.Abs(y))
	}),
	cmpopts.EquateEmpty(),
}

func devStudy(t testing.TB) (*oracle, *Study) {
	t.Helper()
	o := readOracle(t)
	s, err := Collect(context.Background(), []string{shared(t, "runs", "trajectories")}, Options{Models: o.Sets["dev5"].Models})
	if err != nil {
		t.Fatal(err)
	}
	return o, s
}

// names turns positions of participants into ids.
func participants(s *Study, positions []int) []string {
	var out []string
	for _, p := range positions {
		out = append(out, s.participant(p))
	}
	return out
}

func ptr(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}

func TestPublishedRunsEachRun(t *testing.T) {
	o, s := devStudy(t)
	if got, want := len(s.Rows), len(o.Runs); got != want {
		t.Fatalf("got %d runs, want %d", got, want)
	}
	rows := make(map[string]*Row)
	for _, r := range s.Rows {
		rows[r.ID] = r
	}
	check := func(t *testing.T, rows map[string]*Row, want oracleRun) {
		r := rows[want.Dir]
		if r == nil {
			t.Errorf("run %s was not read", want.Dir)
			return
		}
		got := oracleRun{
			Dir: r.ID, Model: r.Model, Task: r.Task, Run: r.Number, Attempts: r.Attempts,
			Best: ptr(float64(r.Best)), Last: ptr(float64(r.Last)), Baseline: ptr(float64(r.Baseline)), HasTraj: r.HasRecord,
		}
		if r.BestIndex >= 0 {
			got.BestIndex = &r.BestIndex
		}
		if r.HasRecord {
			got.Steps, got.ExitKey = &r.Steps, &r.ExitKey
			got.ExitCategories = ExitCategories(r.ExitKey, MLGym)
			got.Sent, got.Received, got.Calls = ptr(float64(r.TokensIn)), ptr(float64(r.TokensOut)), ptr(float64(r.APICalls))
			got.Actions = r.Actions
		}
		want.ExitStatus = nil
		if diff := cmp.Diff(want, got, near); diff != "" {
			t.Errorf("run %s (-want +got):\n%s", want.Dir, diff)
		}
	}
	for _, want := range o.Runs {
		check(t, rows, want)
	}
	trimmed, err := Collect(context.Background(), []string{shared(t, "runs", "trimmed")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	rows = make(map[string]*Row)
	for _, r := range trimmed.Rows {
		rows[r.ID] = r
	}
	for _, want := range o.Trim {
		check(t, rows, want)
	}
}

func TestPublishedScoresAndRanks(t *testing.T) {
	o, s := devStudy(t)
	set := o.Sets["dev5"]
	scores := Score(s, s.cells(), MLGym)
	for ti, task := range s.Tasks {
		want := set.Scores[task.ID]
		for p := range scores.Best[ti] {
			id := s.participant(p)
			wantBest, wantLast := want.BestScores[id], want.LastScores[id]
			if id == BaselineID {
				wantBest, wantLast = want.Baseline, want.Baseline
			}
			if diff := cmp.Diff(wantBest, ptr(scores.Best[ti][p]), near); diff != "" {
				t.Errorf("best of %s on %s: %s", id, task.ID, diff)
			}
			if diff := cmp.Diff(wantLast, ptr(scores.Last[ti][p]), near); diff != "" {
				t.Errorf("last of %s on %s: %s", id, task.ID, diff)
			}
		}
	}
	for _, k := range []Kind{Best, Last} {
		got, want := scores.Rank(s.Tasks, k), set.Ranks[string(k)]
		for ti, task := range s.Tasks {
			w := want.PerTask[task.ID]
			if diff := cmp.Diff(w.Ranked, participants(s, got.PerTask[ti].Scored), near); diff != "" {
				t.Errorf("%s ranking of %s (-want +got):\n%s", k, task.ID, diff)
			}
			if diff := cmp.Diff(w.Unscored, participants(s, got.PerTask[ti].Unscored), near); diff != "" {
				t.Errorf("%s unscored of %s (-want +got):\n%s", k, task.ID, diff)
			}
		}
		for rule, w := range want.Combined {
			c := got.Combined[rule]
			if diff := cmp.Diff(w.Order, participants(s, c.ByMeanRank)); diff != "" {
				t.Errorf("%s combined order, %s:\n%s", k, rule, diff)
			}
			for p, mean := range c.MeanRank {
				id := s.participant(p)
				if diff := cmp.Diff(w.MeanRank[id], mean, near); diff != "" {
					t.Errorf("%s mean rank of %s, %s: %s", k, id, rule, diff)
				}
				if diff := cmp.Diff(w.Borda[id], c.Borda[p], near); diff != "" {
					t.Errorf("%s Borda of %s, %s: %s", k, id, rule, diff)
				}
			}
		}
	}
	strict := Score(s, s.cells(), Corrected)
	for ti, task := range s.Tasks {
		for p := range s.Models {
			id := s.participant(p)
			want := ptr(scores.Last[ti][p])
			for _, c := range set.Strict {
				if c.Task == task.ID && c.Model == id {
					want = c.Strict
				}
			}
			if diff := cmp.Diff(want, ptr(strict.Last[ti][p]), near); diff != "" {
				t.Errorf("strict last of %s on %s: %s", id, task.ID, diff)
			}
		}
	}
}

func TestPublishedPerformance(t *testing.T) {
	o, s := devStudy(t)
	want := o.Sets["dev5"].Performance
	got := Score(s, s.cells(), MLGym).Perform(s.Tasks, stats.ToDecimal, 0)
	if got.Limit != want.Limit || got.MaxTau != want.MaxTau {
		t.Errorf("got limit %d and T %v, want %d and %v", got.Limit, got.MaxTau, want.Limit, want.MaxTau)
	}
	for _, k := range []Kind{Best, Last} {
		kp, w := got.of(k), want.Best
		if k == Last {
			w = want.Last
		}
		for ti, task := range s.Tasks {
			r := kp.Tasks[ti]
			if r.Limit != w.Ceil[task.ID] {
				t.Errorf("%s limit of %s: got %d, want %d", k, task.ID, r.Limit, w.Ceil[task.ID])
			}
			var feasible []string
			for p := range r.Ratio {
				id := s.participant(p)
				if diff := cmp.Diff(w.Ratios[task.ID][id], ptr(r.Ratio[p]), near); diff != "" {
					t.Errorf("%s ratio of %s on %s: %s", k, id, task.ID, diff)
				}
				if r.Feasible[p] {
					feasible = append(feasible, id)
				}
			}
			slices.Sort(feasible)
			if diff := cmp.Diff(w.Feasible[task.ID], feasible); diff != "" {
				t.Errorf("%s feasible on %s: %s", k, task.ID, diff)
			}
		}
		for p := range kp.AUP {
			id := s.participant(p)
			for _, c := range []struct {
				name      string
				want, got float64
			}{
				{"AUP", w.AUP[id], kp.AUP[p]},
				{"rounded AUP", w.Rounded[id], scaleRound(kp.AUP[p])},
				{"step area", w.StepArea[id], kp.StepArea[p]},
				{"never counts", w.NeverCounts[id], kp.NeverCounts[p]},
			} {
				if diff := cmp.Diff(c.want, c.got, near); diff != "" {
					t.Errorf("%s %s of %s: %s", k, c.name, id, diff)
				}
			}
			var steps [][2]int
			for i, v := range kp.Profiles[p] {
				n := int(math.Round(v * float64(len(s.Tasks))))
				if len(steps) == 0 || steps[len(steps)-1][1] != n {
					steps = append(steps, [2]int{i, n})
				}
			}
			if diff := cmp.Diff(w.Steps[id], steps); diff != "" {
				t.Errorf("%s profile of %s: %s", k, id, diff)
			}
		}
	}
}

func TestPublishedCounts(t *testing.T) {
	o, s := devStudy(t)
	set := o.Sets["dev5"]
	want := set.FromTraj
	e, f, a := exits(s, MLGym), failures(s, MLGym), actions(s, MLGym)
	for _, c := range []struct {
		name      string
		want, got any
	}{
		{"categories_total", want.Exit.Total, e.Total},
		{"categories_per_model", want.Exit.PerModel, e.PerModel},
		{"categories_per_task", want.Exit.PerTask, e.PerTask},
		{"keys_total", want.Exit.Keys, e.Keys},
		{"keys_per_model", want.Exit.KeysPer, e.KeysPer},
		{"keys_per_task", want.Exit.KeysTask, e.KeysTask},
		{"failed_per_model", want.FailedPerModel, f.FailedPerModel},
		{"incomplete_per_model", want.IncompletePerModel, f.IncompletePerModel},
		{"failed_per_task", want.FailedPerTask, f.FailedPerTask},
		{"incomplete_per_task", want.IncompletePerTask, f.IncompletePerTask},
		{"not_clean_exit_per_model", want.NotCleanPerModel, f.NotCleanPerModel},
		{"not_clean_exit_per_task", want.NotCleanPerTask, f.NotCleanPerTask},
		{"no best per model", set.FailedResults.PerModel, f.NoBestPerModel},
		{"no best per task", set.FailedResults.PerTask, f.NoBestPerTask},
		{"actions total", want.Actions.Total, a.Total},
		{"actions", want.Actions.Counts, a.Groups},
		{"actions_per_model", want.Actions.PerModel, a.PerModel},
		{"actions_per_task", want.Actions.PerTask, a.PerTask},
		{"metric_summary", set.MetricSummary, metricSummaries(s, s.cells())},
	} {
		if diff := cmp.Diff(c.want, c.got, near); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	var perStep map[string]Counts
	if err := json.Unmarshal(want.Actions.PerStep, &perStep); err != nil {
		t.Fatalf("per_step: %v in %.200s", err, want.Actions.PerStep)
	}
	for i, got := range a.PerStep {
		if diff := cmp.Diff(perStep[strconv.Itoa(i+1)], got, near); diff != "" {
			t.Errorf("actions at step %d: %s", i+1, diff)
		}
	}
	if len(perStep) != len(a.PerStep) {
		t.Errorf("got %d steps, want %d", len(a.PerStep), len(perStep))
	}
	text, err := json.Marshal(costs(s))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for model, w := range want.Cost {
		for key, value := range w {
			if diff := cmp.Diff(value, got[model][key], near); diff != "" {
				t.Errorf("cost of %s, %s: %s", model, key, diff)
			}
		}
	}
}
