package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMaxTau(t *testing.T) {
	for _, c := range []struct {
		limit    int
		rounding Rounding
		want     float64
	}{
		{0, ToDecimal, 0},
		{1, ToDecimal, 0},
		{2, ToDecimal, 0.4},
		{10, ToDecimal, 1},
		{15, ToDecimal, 1.2},
		{28, ToDecimal, 1.5},
		{100, ToDecimal, 2},
		{101, ToDecimal, 2.1},
		{1000, ToDecimal, 3},
		{100000, ToDecimal, 5},
		{15, ToWhole, 2},
		{10, ToWhole, 1},
		{11, ToWhole, 2},
		{1000, ToWhole, 3},
	} {
		if got := MaxTau(c.limit, c.rounding); got != c.want {
			t.Errorf("MaxTau(%d, %v): got %v, want %v", c.limit, c.rounding, got, c.want)
		}
	}
}

func TestLeftSumFallsShortOfStepAreaByLessThanOneStep(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		ratios := make([]float64, 1+rng.IntN(20))
		for i := range ratios {
			ratios[i] = math.Pow(10, rng.Float64()*1.4)
		}
		const maxTau = 1.5
		grid := Grid(maxTau)
		low, exact := LeftSum(grid, Profile(ratios, grid)), StepArea(ratios, maxTau)
		if low > exact+1e-12 || exact-low > maxTau/499+1e-12 {
			t.Fatalf("left sum %v, exact area %v of %v", low, exact, ratios)
		}
	}
}

func TestProfileNeverFallsAndRatiosDoNotDependOnScale(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		scores := make([]float64, 6)
		for i := range scores {
			scores[i] = 1 + 9*rng.Float64()
		}
		for _, d := range []Direction{Maximize, Minimize} {
			r, err := MLGymRatios(scores, scores[5], d)
			if err != nil {
				t.Fatal(err)
			}
			scaled := make([]float64, 6)
			for i := range scores {
				scaled[i] = 4 * scores[i]
			}
			again, err := MLGymRatios(scaled, scaled[5], d)
			if err != nil {
				t.Fatal(err)
			}
			checkAll(t, "ratios of scaled scores", again.Ratio, r.Ratio, 1e-12)
			if slices.Min(r.Ratio) != 1 {
				t.Errorf("the best ratio is %v, want 1", slices.Min(r.Ratio))
			}
			if p := Profile(r.Ratio, Grid(2)); !slices.IsSorted(p) {
				t.Errorf("profile %v falls", p)
			}
		}
	}
}

func TestRanksShareTies(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name         string
		scores, want []float64
	}{
		{"all different", []float64{1, 3, 2}, []float64{3, 1, 2}},
		{"two tie", []float64{3, 3, 2}, []float64{1.5, 1.5, 3}},
		{"unscored share the end", []float64{nan, 3, nan}, []float64{2.5, 1, 2.5}},
		{"nobody scored", []float64{nan, nan}, []float64{1.5, 1.5}},
		{"infinity is a score", []float64{1, math.Inf(1)}, []float64{2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkAll(t, "ranks", TiedRanks(c.scores, Maximize), c.want, 0)
		})
	}
}

func TestPositionsUnderEachRule(t *testing.T) {
	r := Ranking{Scored: []int{2}, Unscored: []int{0, 1}}
	for _, c := range []struct {
		rule UnscoredRule
		want []float64
	}{
		{ListOrder, []float64{2, 3, 1}},
		{Midrank, []float64{2.5, 2.5, 1}},
		{LowestRank, []float64{2, 2, 1}},
		{HighestRank, []float64{3, 3, 1}},
	} {
		checkAll(t, "positions", r.Positions(c.rule), c.want, 0)
	}
}

func TestResamplesStayWithinTheirTaskAndAreReproducible(t *testing.T) {
	r := Resample{Sizes: []int{4, 1, 7}, Draws: 300, Seed: 5}
	sum := func(d Draw) float64 {
		total := 0.0
		for i, task := range d.Tasks {
			if !r.Tasks && task != i {
				t.Errorf("task %d at place %d of a draw over runs", task, i)
			}
			if len(d.Runs[i]) != r.Sizes[task] {
				t.Errorf("%d runs of task %d, which has %d", len(d.Runs[i]), task, r.Sizes[task])
			}
			for _, run := range d.Runs[i] {
				total += float64(100*task + run)
			}
		}
		return total
	}
	first := r.Values(sum)
	if again := r.Values(sum); !slices.Equal(first, again) {
		t.Error("the same seed gives other draws")
	}
	r.Seed = 6
	if other := r.Values(sum); slices.Equal(first, other) {
		t.Error("another seed gives the same draws")
	}
	r.Tasks = true
	r.Values(sum)
}

func TestTwoLevelIntervalsAreWider(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	var values [][]float64
	r := Resample{Draws: 1000, Seed: 1}
	for range 8 {
		level := rng.NormFloat64()
		task := make([]float64, 5)
		for i := range task {
			task[i] = level + 0.1*rng.NormFloat64()
		}
		values = append(values, task)
		r.Sizes = append(r.Sizes, len(task))
	}
	mean := func(d Draw) float64 { return Mean(Flatten(d.Pick(values))) }
	runs := Percentile(r.Values(mean), 0.95)
	r.Tasks = true
	tasks := Percentile(r.Values(mean), 0.95)
	if tasks.High-tasks.Low < 3*(runs.High-runs.Low) {
		t.Errorf("over tasks and runs %v, over runs %v: want the first much wider where tasks differ", tasks, runs)
	}
}

// TestStratifiedIntervalCovers checks the meaning of an interval: over many
// made-up studies, it holds the truth about as often as it says.
func TestStratifiedIntervalCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 11))
	const studies = 300
	hits := 0
	for i := range studies {
		values := make([][]float64, 5)
		for task := range values {
			for range 10 {
				values[task] = append(values[task], float64(task)+rng.NormFloat64())
			}
		}
		r := Resample{Sizes: []int{10, 10, 10, 10, 10}, Draws: 400, Seed: uint64(i)}
		ci := Percentile(r.Values(func(d Draw) float64 { return Mean(Flatten(d.Pick(values))) }), 0.9)
		if ci.Low <= 2 && 2 <= ci.High {
			hits++
		}
	}
	if hits < studies*82/100 || hits > studies*95/100 {
		t.Errorf("the truth lies in %d of %d intervals of level 0.9", hits, studies)
	}
}

func TestStrengthsNeedConnection(t *testing.T) {
	everyone := []int{0, 1, 2}
	orders := []Tiers{{{0}, {1}, {2}}, {{0}, {2}, {1}}}
	if _, err := PlackettLuce(3, [][]int{everyone, everyone}, orders, Fit{}); !errors.Is(err, ErrNotConnected) {
		t.Errorf("one who always wins: got %v, want ErrNotConnected", err)
	}
	got, err := PlackettLuce(3, [][]int{everyone, everyone}, orders, Fit{Prior: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if !(got[0] > got[1]) || math.Abs(got[1]-got[2]) > 1e-9 {
		t.Errorf("got %v, want the first strongest and the others equal", got)
	}
}

func TestAllTiedGivesEqualStrength(t *testing.T) {
	got, err := PlackettLuce(3, [][]int{{0, 1, 2}}, []Tiers{{{0, 1, 2}}}, Fit{})
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, "strengths", got, []float64{0, 0, 0}, 1e-12)
}

func TestMonteCarloPermutationIsNearExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 13))
	d := make([]float64, 20)
	for i := range d {
		d[i] = rng.NormFloat64() + 0.4
	}
	exact := PairedPermutation(d, 0, 0)
	// A pair that differs by nothing changes no sum, but makes the list too
	// long for all flips.
	drawn := PairedPermutation(append(slices.Clone(d), 0), 20000, 1)
	if math.Abs(exact-drawn) > 0.01 {
		t.Errorf("exact %v, drawn %v", exact, drawn)
	}
}

func TestNormalize(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name                             string
		score, baseline, reference, want float64
	}{
		{"baseline", 5, 5, 10, 0},
		{"reference", 10, 5, 10, 1},
		{"half way down", 15, 20, 10, 0.5},
		{"worse than baseline when minimizing", 25, 20, 10, -0.5},
		{"clipped", 1e9, 5, 10, 2},
		{"far below", -3e13, 5, 10, -1},
		{"no score", nan, 5, 10, nan},
		{"reference equals baseline", 1, 5, 5, nan},
	} {
		check(t, c.name, Normalize(c.score, c.baseline, c.reference, -1, 2), c.want, 1e-12)
	}
}

func TestCurves(t *testing.T) {
	c := Curve{X: []float64{2, 5}, Y: []float64{1, 3}}
	for x, want := range map[float64]float64{0: -1, 1.9: -1, 2: 1, 4.9: 1, 5: 3, 99: 3} {
		check(t, "At", c.At(x, -1), want, 0)
	}
	check(t, "area", c.Area(10, 0), (0*2+1*3+3*5)/10.0, 1e-12)
	check(t, "area of nothing", Curve{}.Area(10, 0.5), 0.5, 0)
	checkAll(t, "mean", MeanCurve([]Curve{c, {}}, []float64{0, 3, 6}, 0), []float64{0, 0.5, 1.5}, 1e-12)
}

func TestEmptyInputIsNaNNotPanic(t *testing.T) {
	for name, got := range map[string]float64{
		"IQM": IQM(nil), "mean": Mean(nil), "gap": OptimalityGap(nil, 1), "quantile": Quantile(nil, 0.5),
		"improvement": ImprovementProbability(nil, nil), "best": BestAtK(nil, 1, Maximize), "permutation": PairedPermutation(nil, 1, 1),
		"interval": Percentile(nil, 0.9).Low,
	} {
		if !math.IsNaN(got) {
			t.Errorf("%s of nothing: got %v, want NaN", name, got)
		}
	}
}
