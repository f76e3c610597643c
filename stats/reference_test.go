package stats

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// reference holds what scripts/stats_reference.py computed with scipy, rliable,
// statsmodels and choix.
type reference struct {
	Aggregates []struct {
		Values            [][]float64
		IQM, Mean, Median float64
		OptimalityGap     float64 `json:"optimality_gap"`
		Quantiles         []float64
		PopulationStd     float64 `json:"population_std"`
		Taus, Profile     []float64
	}
	Improvement []struct {
		X, Y [][]float64
		P    float64
	}
	Bootstrap []struct {
		Distribution []float64
		Estimate     float64
		LeftOut      [][]float64 `json:"left_out"`
		Percentile   [2]float64
		BCa          [2]float64
	}
	BestAtK []struct {
		Values            []float64
		K                 int
		Largest, Smallest float64
		Passed            int
		Pass              float64
	} `json:"best_at_k"`
	Strengths []struct {
		N             int
		Rankings, Top [][]int
		PlackettLuce  []float64 `json:"plackett_luce"`
		Wins          [][]float64
		BradleyTerry  []float64 `json:"bradley_terry"`
	}
	Tests struct {
		Permutation []struct {
			Differences []float64
			P           float64
		}
		Holm []struct {
			P, Adjusted []float64
		}
		Friedman []struct {
			Values       [][]float64
			Statistic, P float64
		}
		Range []struct {
			K    int
			P, Q float64
		} `json:"studentized_range"`
		Wilson []struct {
			K, N     int
			Level    float64
			Interval [2]float64
		}
		Power []struct {
			Effect, Alpha, Power float64
			N                    int
		}
		Ranks []struct {
			Values, Ranks []float64
		}
	}
}

func readReference(t *testing.T) reference {
	t.Helper()
	text, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func check(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if got == want || math.IsNaN(got) && math.IsNaN(want) {
		return
	}
	if !(math.Abs(got-want) <= tolerance*math.Max(1, math.Abs(want))) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func checkAll(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %d values, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		check(t, what, got[i], want[i], tolerance)
	}
}

func TestAggregatesAgainstRliable(t *testing.T) {
	for _, c := range readReference(t).Aggregates {
		all := Flatten(c.Values)
		check(t, "IQM", IQM(all), c.IQM, 1e-12)
		check(t, "mean", Mean(all), c.Mean, 1e-12)
		check(t, "median", Median(all), c.Median, 1e-12)
		check(t, "optimality gap", OptimalityGap(all, 1), c.OptimalityGap, 1e-12)
		check(t, "population deviation", Summarize(all).PopStd, c.PopulationStd, 1e-12)
		var quantiles []float64
		for _, p := range []float64{0.025, 0.1, 0.5, 0.77, 0.975} {
			quantiles = append(quantiles, Quantile(all, p))
		}
		checkAll(t, "quantiles", quantiles, c.Quantiles, 1e-12)
		checkAll(t, "profile", ScoreProfile(all, c.Taus), c.Profile, 1e-12)
	}
}

func TestImprovementAgainstRliable(t *testing.T) {
	for _, c := range readReference(t).Improvement {
		check(t, "probability of improvement", ImprovementProbability(c.X, c.Y), c.P, 1e-12)
		check(t, "and the other way round", ImprovementProbability(c.Y, c.X), 1-c.P, 1e-12)
	}
}

func TestIntervalsAgainstScipy(t *testing.T) {
	for _, c := range readReference(t).Bootstrap {
		p := Percentile(c.Distribution, 0.95)
		checkAll(t, "percentile interval", []float64{p.Low, p.High}, c.Percentile[:], 1e-10)
		b := BCa(c.Distribution, c.Estimate, Acceleration(c.LeftOut), 0.95)
		checkAll(t, "BCa interval", []float64{b.Low, b.High}, c.BCa[:], 1e-10)
	}
}

func TestBestAtKAgainstAllSubsets(t *testing.T) {
	for _, c := range readReference(t).BestAtK {
		check(t, "largest", BestAtK(c.Values, c.K, Maximize), c.Largest, 1e-12)
		check(t, "smallest", BestAtK(c.Values, c.K, Minimize), c.Smallest, 1e-12)
		check(t, "pass", PassAtK(len(c.Values), c.Passed, c.K), c.Pass, 1e-12)
	}
}

func TestStrengthsAgainstChoix(t *testing.T) {
	for _, c := range readReference(t).Strengths {
		everyone := make([]int, c.N)
		for i := range everyone {
			everyone[i] = i
		}
		var who [][]int
		var orders []Tiers
		for _, ranking := range append(c.Rankings, c.Top...) {
			var tiers Tiers
			for _, p := range ranking {
				tiers = append(tiers, []int{p})
			}
			who, orders = append(who, everyone), append(orders, tiers)
		}
		got, err := PlackettLuce(c.N, who, orders, Fit{})
		if err != nil {
			t.Fatal(err)
		}
		checkAll(t, "Plackett-Luce", got, c.PlackettLuce, 1e-6)
		if c.Wins == nil {
			continue
		}
		got, err = BradleyTerry(c.Wins, Fit{})
		if err != nil {
			t.Fatal(err)
		}
		checkAll(t, "Bradley-Terry", got, c.BradleyTerry, 1e-6)
	}
}

func TestTestsAgainstScipyAndStatsmodels(t *testing.T) {
	r := readReference(t).Tests
	for _, c := range r.Permutation {
		check(t, "permutation", PairedPermutation(c.Differences, 0, 0), c.P, 1e-12)
	}
	for _, c := range r.Holm {
		checkAll(t, "Holm", Holm(c.P), c.Adjusted, 1e-12)
	}
	for _, c := range r.Friedman {
		var ranks [][]float64
		for _, task := range c.Values {
			ranks = append(ranks, TiedRanks(task, Minimize))
		}
		statistic, p := Friedman(ranks)
		check(t, "Friedman's statistic", statistic, c.Statistic, 1e-10)
		check(t, "Friedman's p", p, c.P, 1e-10)
	}
	for _, c := range r.Range {
		check(t, "studentized range", StudentizedRangeQuantile(c.P, c.K), c.Q, 1e-5)
	}
	for _, c := range r.Wilson {
		got := Wilson(c.K, c.N, c.Level)
		checkAll(t, "Wilson", []float64{got.Low, got.High}, c.Interval[:], 1e-10)
	}
	for _, c := range r.Power {
		// Exact power needs the noncentral t; the formula is within one run.
		check(t, "runs needed", RunsNeeded(c.Effect, 1, c.Alpha, c.Power), float64(c.N), 1/float64(c.N)+1e-9)
	}
	for _, c := range r.Ranks {
		checkAll(t, "tied ranks", TiedRanks(c.Values, Maximize), c.Ranks, 0)
	}
}
