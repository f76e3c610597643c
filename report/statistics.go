package report

import (
	"math"
	"slices"

	"mlgym/stats"
)

// Choices of the statistics beyond the published ones.
const (
	// Level of all intervals.
	Level = 0.95
	// ClipLow is the least normalised score: one run away at −1e13 must not
	// decide a mean.
	ClipLow = -1
	// ClipHigh is the greatest normalised score.
	ClipHigh = 2
	// DefaultResamples of a bootstrap.
	DefaultResamples = 2000
	// strengthPrior is the weight of the imagined draws that keep strengths
	// finite when somebody always wins.
	strengthPrior = 0.1
	// Alpha and power of the question how many runs are needed.
	alpha, power = 0.05, 0.8
	// bandPoints is at how many points of the axis a profile has intervals.
	bandPoints = 61
)

// Statistics are what the published evaluation leaves out. Scores are the best
// attempt of each run, normalised so that a task's declared baseline is 0 and
// its declared reference 1, clipped to [ClipLow, ClipHigh]; a run without a
// score hands in nothing better than the starter and counts as 0.
type Statistics struct {
	About     string   `json:"about"`
	Level     float64  `json:"level"`
	Resamples int      `json:"resamples"`
	Seed      uint64   `json:"seed"`
	Tasks     []string `json:"tasks"`
	// NotNormalised says which tasks have no declared baseline and reference.
	NotNormalised []string               `json:"not_normalised,omitempty"`
	Models        map[string]*ModelStats `json:"models"`
	// Pairs compare two models each.
	Pairs []*Pair `json:"pairs"`
	// Friedman tests whether the ranks differ at all; two mean ranks differ
	// if they lie CriticalDifference or more apart.
	Friedman           Number `json:"friedman_chi_squared"`
	FriedmanP          Number `json:"friedman_p"`
	CriticalDifference Number `json:"critical_difference"`
	// Strengths note: the prior of the fits.
	StrengthPrior float64             `json:"strength_prior"`
	Sensitivity   []*Sensitivity      `json:"sensitivity"`
	Anytime       map[string]*Anytime `json:"anytime"`
	Bands         *Bands              `json:"profile_bands"`
	// DistributionGrid are the scores at which models' distributions are given.
	DistributionGrid []Number `json:"distribution_grid"`

	baselineAUP Number
}

// Estimate is a value with its intervals.
type Estimate struct {
	Value Number `json:"value"`
	// Runs is the stratified bootstrap over runs, of percentiles; BCa the same,
	// corrected for bias and skew; TasksAndRuns the two-level bootstrap.
	Runs         *[2]Number `json:"runs,omitempty"`
	BCa          *[2]Number `json:"runs_bca,omitempty"`
	TasksAndRuns *[2]Number `json:"tasks_and_runs,omitempty"`
}

// Rate is a share with its Wilson interval.
type Rate struct {
	K        int       `json:"k"`
	N        int       `json:"n"`
	Value    Number    `json:"value"`
	Interval [2]Number `json:"interval"`
}

// ModelStats are the statistics of one model.
type ModelStats struct {
	IQM           Estimate `json:"iqm"`
	Mean          Estimate `json:"mean"`
	Median        Estimate `json:"median"`
	OptimalityGap Estimate `json:"optimality_gap"`
	// AUP is the exact area when an infeasible participant never counts;
	// PublishedAUP the left sum as published.
	AUP          Estimate `json:"aup_corrected"`
	PublishedAUP Estimate `json:"aup_mlgym"`
	// BestAtK is the mean over tasks of the expected best of k runs, from k=1.
	BestAtK []Number `json:"best_at_k"`
	// PassAtK is the mean over tasks of the probability that one of k runs is
	// better than the baseline, from k=1.
	PassAtK []Number `json:"pass_at_k"`
	// MeanRank is over tasks, of the best scores, ties sharing ranks; Borda
	// the matching sum. PlackettLuce and BradleyTerry are log strengths.
	MeanRank     Estimate `json:"mean_rank"`
	Borda        Number   `json:"borda"`
	PlackettLuce Estimate `json:"plackett_luce"`
	BradleyTerry Estimate `json:"bradley_terry"`
	// Rates of runs.
	Scored        Rate   `json:"rate_scored"`
	BeatsBaseline Rate   `json:"rate_beats_baseline"`
	EndedWell     Rate   `json:"rate_submitted"`
	RunDeviation  Number `json:"run_standard_deviation"`
	// Distribution is the share of all runs with a score above each point of
	// the distribution grid.
	Distribution []Number `json:"distribution"`
}

// Pair compares two models.
type Pair struct {
	A string `json:"a"`
	B string `json:"b"`
	// Improvement is the probability that a run of A beats a run of B on the
	// same task.
	Improvement Estimate `json:"probability_of_improvement"`
	// Difference of the mean normalised scores, averaged over tasks, with the
	// p value of a paired permutation test over tasks, and that after Holm.
	Difference Number `json:"difference"`
	P          Number `json:"p"`
	HolmP      Number `json:"p_holm"`
	// RunsNeeded per task and model to find this difference with power 0.8.
	RunsNeeded Number `json:"runs_needed"`
}

// Sensitivity is the ranking without one task or one model.
type Sensitivity struct {
	What string `json:"what"` // "task" or "model"
	ID   string `json:"id"`
	// Order is by published AUP of the best attempt, with T recomputed as
	// published; ByArea by corrected area on the axis of the full report.
	Order  []string          `json:"order_mlgym"`
	ByArea []string          `json:"order_corrected"`
	MaxTau Number            `json:"max_tau"`
	AUP    map[string]Number `json:"aup_mlgym"`
	Area   map[string]Number `json:"aup_corrected"`
}

// Anytime is the mean normalised score of runs against what was spent.
type Anytime struct {
	Unit string              `json:"unit"`
	Grid []Number            `json:"grid"`
	Mean map[string][]Number `json:"mean"`
	// Area is the mean height of each curve: the score when stopped at a
	// random moment. Runs counts the runs behind it.
	Area map[string]Number `json:"area"`
	Runs map[string]int    `json:"runs"`
}

// Bands are pointwise intervals of the corrected profiles.
type Bands struct {
	Grid []Number                     `json:"grid"`
	Low  map[Kind]map[string][]Number `json:"low"`
	Mid  map[Kind]map[string][]Number `json:"profile"`
	High map[Kind]map[string][]Number `json:"high"`
}

// normalisedRuns are the normalised scores of a study's runs.
type normalisedRuns struct {
	s     *Study
	tasks []int // positions in the study of the tasks that can be normalised
	// scores by model, task (in the order of tasks) and run.
	scores [][][]float64
	// best and last scores as recorded, and whether the last one is that of a
	// submission, by task of the study, model and run.
	best, last [][][]float64
	// supplied are the baselines that the runs supply, which the published
	// definitions use in place of the declared ones.
	supplied []float64
}

func normalise(s *Study, cells [][][]*Row) *normalisedRuns {
	n := &normalisedRuns{s: s, scores: make([][][]float64, len(s.Models))}
	for _, task := range Score(s, cells, MLGym).Best {
		n.supplied = append(n.supplied, task[len(s.Models)])
	}
	for ti, t := range s.Tasks {
		var best, last [][]float64
		for m := range s.Models {
			var b, l []float64
			for _, r := range cells[ti][m] {
				b = append(b, float64(r.Best))
				end := float64(r.Last)
				if r.HasRecord && !ranToItsEnd(r.ExitKey) {
					end = math.NaN()
				}
				l = append(l, end)
			}
			best, last = append(best, b), append(last, l)
		}
		n.best, n.last = append(n.best, best), append(n.last, last)
		if t.Baseline == nil || t.Reference == nil || *t.Baseline == *t.Reference {
			continue
		}
		n.tasks = append(n.tasks, ti)
		for m := range s.Models {
			var runs []float64
			for _, v := range best[m] {
				x := stats.Normalize(v, *t.Baseline, *t.Reference, ClipLow, ClipHigh)
				if math.IsNaN(x) {
					x = 0
				}
				runs = append(runs, x)
			}
			n.scores[m] = append(n.scores[m], runs)
		}
	}
	return n
}

func statistics(s *Study, cells [][][]*Row, set Settings) *Statistics {
	draws := set.Resamples
	if draws == 0 {
		draws = DefaultResamples
	}
	n := normalise(s, cells)
	st := &Statistics{
		About: "best attempt of each run, normalised so that the declared baseline is 0 and the declared reference 1, clipped to [-1, 2]; a run without a score counts as 0; intervals are percentiles of bootstraps",
		Level: Level, Resamples: draws, Seed: set.Seed, Models: make(map[string]*ModelStats),
		StrengthPrior: strengthPrior, Anytime: make(map[string]*Anytime),
		Friedman: none, FriedmanP: none, CriticalDifference: none,
	}
	normal := make(map[int]bool)
	for _, ti := range n.tasks {
		normal[ti] = true
		st.Tasks = append(st.Tasks, s.Tasks[ti].ID)
	}
	for ti, t := range s.Tasks {
		if !normal[ti] {
			st.NotNormalised = append(st.NotNormalised, t.ID)
		}
	}
	if len(s.Models) == 0 || len(s.Tasks) == 0 {
		return st
	}
	for m, model := range s.Models {
		st.Models[model.ID] = n.model(m, draws, set.Seed)
	}
	st.DistributionGrid = numbers(distributionGrid())
	n.rates(st, cells)
	n.pairs(st, draws, set.Seed)
	maxTau := set.MaxTau
	if maxTau <= 0 {
		maxTau = Score(s, cells, MLGym).Perform(s.Tasks, set.Rounding, 0).MaxTau
	}
	n.areas(st, maxTau, draws, set.Seed)
	n.ranks(st, draws, set.Seed)
	st.Sensitivity = sensitivity(s, set, maxTau)
	n.anytime(st, cells)
	return st
}

// distributionGrid are the points at which distributions of scores are given.
func distributionGrid() []float64 {
	const points = 121
	grid := make([]float64, points)
	for i := range grid {
		grid[i] = ClipLow + (ClipHigh-ClipLow)*float64(i)/(points-1)
	}
	return grid
}

func interval(i stats.Interval) *[2]Number { return &[2]Number{Number(i.Low), Number(i.High)} }

// model computes what depends on the runs of one model alone.
func (n *normalisedRuns) model(m, draws int, seed uint64) *ModelStats {
	out := &ModelStats{RunDeviation: none}
	values := n.scores[m]
	var sizes []int
	most := 0
	for _, runs := range values {
		sizes = append(sizes, len(runs))
		most = max(most, len(runs))
	}
	statistic := []func([]float64) float64{stats.IQM, stats.Mean, stats.Median, func(v []float64) float64 { return stats.OptimalityGap(v, 1) }}
	estimates := []*Estimate{&out.IQM, &out.Mean, &out.Median, &out.OptimalityGap}
	all := stats.Flatten(values)
	out.Distribution = numbers(stats.ScoreProfile(all, distributionGrid()))
	compute := func(d stats.Draw, row []float64) {
		picked := stats.Flatten(d.Pick(values))
		slices.Sort(picked)
		for i, f := range statistic {
			row[i] = f(picked)
		}
	}
	runs := stats.Resample{Sizes: sizes, Draws: draws, Seed: seed}.Vectors(len(statistic), compute)
	both := stats.Resample{Sizes: sizes, Draws: draws, Seed: seed, Tasks: true}.Vectors(len(statistic), compute)
	for i, f := range statistic {
		v := f(all)
		e := estimates[i]
		e.Value = Number(v)
		if len(all) == 0 {
			continue
		}
		e.Runs, e.TasksAndRuns = interval(stats.Percentile(runs[i], Level)), interval(stats.Percentile(both[i], Level))
		a := stats.Acceleration(stats.LeaveOneOut(values, func(v [][]float64) float64 { return f(stats.Flatten(v)) }))
		e.BCa = interval(stats.BCa(runs[i], v, a, Level))
	}
	for k := 1; k <= most; k++ {
		best, pass, tasks := 0.0, 0.0, 0
		for _, runs := range values {
			if len(runs) < k {
				continue
			}
			tasks++
			best += stats.BestAtK(runs, k, stats.Maximize)
			passed := 0
			for _, v := range runs {
				if v > 0 {
					passed++
				}
			}
			pass += stats.PassAtK(len(runs), passed, k)
		}
		out.BestAtK = append(out.BestAtK, Number(best/float64(tasks)))
		out.PassAtK = append(out.PassAtK, Number(pass/float64(tasks)))
	}
	// Spread of runs within tasks, pooled.
	squares, freedom := 0.0, 0
	for _, runs := range values {
		if len(runs) > 1 {
			d := stats.Summarize(runs).SampleStd
			squares += d * d * float64(len(runs)-1)
			freedom += len(runs) - 1
		}
	}
	if freedom > 0 {
		out.RunDeviation = Number(math.Sqrt(squares / float64(freedom)))
	}
	return out
}

func rate(k, n int) Rate {
	w := stats.Wilson(k, n, Level)
	return Rate{k, n, Number(float64(k) / float64(n)), [2]Number{Number(w.Low), Number(w.High)}}
}

func (n *normalisedRuns) rates(st *Statistics, cells [][][]*Row) {
	for m, model := range n.s.Models {
		var runs, scored, judged, beats, records, well int
		for ti, t := range n.s.Tasks {
			for _, r := range cells[ti][m] {
				runs++
				if r.BestIndex >= 0 {
					scored++
				}
				if t.Baseline != nil {
					judged++
					if t.Direction.Better(float64(r.Best), *t.Baseline) {
						beats++
					}
				}
				if r.HasRecord {
					records++
					if r.ExitKey == "submitted" {
						well++
					}
				}
			}
		}
		ms := st.Models[model.ID]
		ms.Scored, ms.BeatsBaseline, ms.EndedWell = rate(scored, runs), rate(beats, judged), rate(well, records)
	}
}

func (n *normalisedRuns) pairs(st *Statistics, draws int, seed uint64) {
	var p []float64
	for a := range n.s.Models {
		for b := a + 1; b < len(n.s.Models); b++ {
			x, y := n.scores[a], n.scores[b]
			pair := &Pair{A: n.s.Models[a].ID, B: n.s.Models[b].ID, HolmP: none}
			pair.Improvement.Value = Number(stats.ImprovementProbability(x, y))
			if !pair.Improvement.Value.IsNone() {
				// Runs of both are drawn independently within each task.
				sizes := make([]int, 0, 2*len(x))
				for t := range x {
					sizes = append(sizes, len(x[t]), len(y[t]))
				}
				drawn := stats.Resample{Sizes: sizes, Draws: draws, Seed: seed}.Values(func(d stats.Draw) float64 {
					return drawnImprovement(x, y, d)
				})
				pair.Improvement.Runs = interval(stats.Percentile(drawn, Level))
			}
			var differences []float64
			for t := range x {
				if len(x[t]) > 0 && len(y[t]) > 0 {
					differences = append(differences, stats.Mean(x[t])-stats.Mean(y[t]))
				}
			}
			difference := stats.Mean(differences)
			pair.Difference, pair.P = Number(difference), Number(stats.PairedPermutation(differences, 10000, seed))
			da, db := float64(st.Models[pair.A].RunDeviation), float64(st.Models[pair.B].RunDeviation)
			// The mean over tasks of n runs each has a variance T times less.
			deviation := math.Sqrt((da*da+db*db)/2) / math.Sqrt(float64(max(len(differences), 1)))
			pair.RunsNeeded = Number(stats.RunsNeeded(difference, deviation, alpha, power))
			if math.IsNaN(deviation) {
				pair.RunsNeeded = none
			}
			p = append(p, float64(pair.P))
			st.Pairs = append(st.Pairs, pair)
		}
	}
	for i, adjusted := range stats.Holm(p) {
		st.Pairs[i].HolmP = Number(adjusted)
	}
}

func drawnImprovement(x, y [][]float64, d stats.Draw) float64 {
	sum, tasks := 0.0, 0
	for t := range x {
		a, b := d.Runs[2*t], d.Runs[2*t+1]
		if len(a) == 0 || len(b) == 0 {
			continue
		}
		wins := 0.0
		for _, i := range a {
			for _, j := range b {
				switch {
				case x[t][i] > y[t][j]:
					wins++
				case x[t][i] == y[t][j]:
					wins += 0.5
				}
			}
		}
		sum += wins / float64(len(a)*len(b))
		tasks++
	}
	return sum / float64(tasks)
}

// drawnBest is the best score of each participant on each task of a draw over
// the runs of all models: the strata are tasks × models.
func (n *normalisedRuns) drawnBest(values [][][]float64, d stats.Draw, out [][]float64) {
	models := len(n.s.Models)
	for ti, t := range n.s.Tasks {
		for m := range models {
			best := math.NaN()
			for _, i := range d.Runs[ti*models+m] {
				pick(&best, values[ti][m][i], t.Direction)
			}
			out[ti][m] = best
		}
		out[ti][models] = math.NaN()
		if t.Baseline != nil {
			out[ti][models] = *t.Baseline
		}
	}
}

func (n *normalisedRuns) cellSizes() []int {
	var sizes []int
	for ti := range n.s.Tasks {
		for m := range n.s.Models {
			sizes = append(sizes, len(n.best[ti][m]))
		}
	}
	return sizes
}

func matrix(rows, columns int) [][]float64 {
	out := make([][]float64, rows)
	for i := range out {
		out[i] = make([]float64, columns)
	}
	return out
}

// identity is the draw that takes every run once.
func identity(sizes []int) stats.Draw {
	var d stats.Draw
	for i, size := range sizes {
		d.Tasks = append(d.Tasks, i)
		runs := make([]int, size)
		for j := range runs {
			runs[j] = j
		}
		d.Runs = append(d.Runs, runs)
	}
	return d
}

// areas computes intervals of the areas and profiles. The best of drawn runs
// cannot be better than the best of all, so these intervals lean to the low
// side; the expected best of fewer runs, best_at_k, has no such bias.
func (n *normalisedRuns) areas(st *Statistics, maxTau float64, draws int, seed uint64) {
	s := n.s
	people := len(s.Models) + 1
	grid := make([]float64, bandPoints)
	for i := range grid {
		grid[i] = maxTau * float64(i) / (bandPoints - 1)
	}
	fine := stats.Grid(maxTau)
	per := 2 + bandPoints
	compute := func(values [][][]float64) func(stats.Draw, []float64) {
		return func(d stats.Draw, out []float64) {
			scores := matrix(len(s.Tasks), people)
			n.drawnBest(values, d, scores)
			never, published := matrix(people, len(s.Tasks)), matrix(people, len(s.Tasks))
			for ti, t := range s.Tasks {
				r, err := stats.MLGymRatios(scores[ti], scores[ti][people-1], t.Direction)
				scores[ti][people-1] = n.supplied[ti]
				asPublished, problem := stats.MLGymRatios(scores[ti], n.supplied[ti], t.Direction)
				for p := range people {
					never[p][ti], published[p][ti] = math.NaN(), math.NaN()
					if err == nil && r.Feasible[p] {
						never[p][ti] = r.Ratio[p]
					}
					if problem == nil {
						published[p][ti] = asPublished.Ratio[p]
					}
				}
			}
			for p := range people {
				row := out[p*per:]
				row[0] = stats.StepArea(never[p], maxTau)
				row[1] = stats.LeftSum(fine, stats.Profile(published[p], fine))
				copy(row[2:per], stats.Profile(never[p], grid))
			}
		}
	}
	sizes := n.cellSizes()
	st.Bands = &Bands{Grid: numbers(grid), Low: map[Kind]map[string][]Number{}, Mid: map[Kind]map[string][]Number{}, High: map[Kind]map[string][]Number{}}
	for _, k := range []Kind{Best, Last} {
		values := n.best
		if k == Last {
			values = n.last
		}
		f := compute(values)
		whole := make([]float64, people*per)
		f(identity(sizes), whole)
		drawn := stats.Resample{Sizes: sizes, Draws: draws, Seed: seed}.Vectors(people*per, f)
		low, mid, high := map[string][]Number{}, map[string][]Number{}, map[string][]Number{}
		for p := range people {
			id := s.participant(p)
			for i := range bandPoints {
				ci := stats.Percentile(drawn[p*per+2+i], Level)
				low[id] = append(low[id], Number(ci.Low))
				mid[id] = append(mid[id], Number(whole[p*per+2+i]))
				high[id] = append(high[id], Number(ci.High))
			}
			if k == Best && p < len(s.Models) {
				ms := st.Models[id]
				ms.AUP = Estimate{Value: Number(whole[p*per]), Runs: interval(stats.Percentile(drawn[p*per], Level))}
				ms.PublishedAUP = Estimate{Value: Number(whole[p*per+1]), Runs: interval(stats.Percentile(drawn[p*per+1], Level))}
			}
			if k == Best && p == len(s.Models) {
				st.baselineAUP = Number(whole[p*per])
			}
		}
		st.Bands.Low[k], st.Bands.Mid[k], st.Bands.High[k] = low, mid, high
	}
}
