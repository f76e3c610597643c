package report

import (
	"math"

	"mlgym/stats"
)

// BaselineID is the id of the baseline among the participants.
const BaselineID = "baseline"

// Kind says which of a run's evaluations counts.
type Kind string

// The kinds: the best of a run, or its last (in figures, "best submission").
const (
	Best Kind = "best"
	Last Kind = "last"
)

// Scores are the scores of all participants on all tasks: the models in list
// order, then the baseline.
type Scores struct {
	Definition Definition
	// Best and Last are tasks × participants; NaN is unscored.
	Best, Last [][]float64
	// Supplier is the position of the model whose run gave a task's baseline,
	// −1 for none: the baseline then stands last.
	Supplier []int
}

func (s *Scores) of(k Kind) [][]float64 {
	if k == Last {
		return s.Last
	}
	return s.Best
}

// Score computes the scores of a study.
func Score(s *Study, cells [][][]*Row, d Definition) *Scores {
	n := len(s.Models)
	out := &Scores{Definition: d, Supplier: make([]int, len(s.Tasks))}
	for ti, t := range s.Tasks {
		best, last := missing(n+1), missing(n+1)
		supplier := -1
		for m, runs := range cells[ti] {
			for _, r := range runs {
				if supplier < 0 && r.hasBaseline() {
					supplier = m
					best[n] = float64(r.Baseline)
				}
				pick(&best[m], float64(r.Best), t.Direction)
				if d == Corrected && r.HasRecord && !ranToItsEnd(r.ExitKey) {
					continue // its last evaluation is no submission
				}
				pick(&last[m], float64(r.Last), t.Direction)
			}
		}
		if d == Corrected && t.Baseline != nil {
			best[n] = *t.Baseline
		}
		last[n] = best[n]
		out.Best, out.Last = append(out.Best, best), append(out.Last, last)
		out.Supplier[ti] = supplier
	}
	return out
}

func missing(n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = math.NaN()
	}
	return xs
}

func pick(have *float64, v float64, d stats.Direction) {
	if d.Better(v, d.Worst()) && (math.IsNaN(*have) || d.Better(v, *have)) {
		*have = v
	}
}

// Rankings are the orders of the participants on each task, and over all.
type Rankings struct {
	PerTask  []stats.Ranking
	Combined map[string]stats.Combined
}

// unscoredRules are the rules under which combined rankings are reported.
var unscoredRules = []struct {
	name string
	rule stats.UnscoredRule
}{
	{"list_order", stats.ListOrder},
	{"midrank", stats.Midrank},
	{"lowest", stats.LowestRank},
	{"highest", stats.HighestRank},
}

// Rank orders the participants. Ties keep the order of insertion: models in
// list order, the baseline just before the model whose run supplied it.
func (s *Scores) Rank(tasks []Task, k Kind) Rankings {
	r := Rankings{Combined: make(map[string]stats.Combined)}
	for ti, scores := range s.of(k) {
		n := len(scores) - 1
		insertion := make([]int, 0, n+1)
		for m := range n {
			if m == s.Supplier[ti] {
				insertion = append(insertion, n)
			}
			insertion = append(insertion, m)
		}
		if s.Supplier[ti] < 0 {
			insertion = append(insertion, n)
		}
		r.PerTask = append(r.PerTask, stats.Rank(scores, tasks[ti].Direction, insertion))
	}
	for _, u := range unscoredRules {
		var positions [][]float64
		for _, task := range r.PerTask {
			positions = append(positions, task.Positions(u.rule))
		}
		var tieBreak []int
		if len(r.PerTask) > 0 {
			tieBreak = r.PerTask[0].Order()
		}
		r.Combined[u.name] = stats.Combine(positions, tieBreak)
	}
	return r
}

// Performance holds ratios, profiles and areas under them.
type Performance struct {
	Limit  int
	MaxTau float64
	Grid   []float64
	Best   KindPerformance
	Last   KindPerformance
}

// KindPerformance is the performance for one kind of score.
type KindPerformance struct {
	// Tasks has the ratios of each task; a task whose Problem is not nil has
	// none and is reached by nobody.
	Tasks    []stats.Ratios
	Problems []error
	// By participant.
	Profiles [][]float64
	// AUP as published: a left sum on the grid.
	AUP []float64
	// StepArea is the exact area; NeverCounts the exact area when an
	// infeasible participant never reaches the task; Shifted moreover judges
	// scores below zero by the baseline alone.
	StepArea, NeverCounts, Shifted []float64
	// NeverProfiles are the profiles behind NeverCounts.
	NeverProfiles [][]float64
}

func (p *Performance) of(k Kind) *KindPerformance {
	if k == Last {
		return &p.Last
	}
	return &p.Best
}

// Perform computes the performance of the participants. fixedTau, if positive,
// is used as the upper end of the grid, so that lists can be compared.
func (s *Scores) Perform(tasks []Task, rounding stats.Rounding, fixedTau float64) *Performance {
	p := &Performance{}
	for _, k := range []Kind{Best, Last} {
		kp := p.of(k)
		for ti, scores := range s.of(k) {
			r, err := stats.MLGymRatios(scores, scores[len(scores)-1], tasks[ti].Direction)
			kp.Tasks, kp.Problems = append(kp.Tasks, r), append(kp.Problems, err)
			if err == nil {
				p.Limit = max(p.Limit, r.Limit)
			}
		}
	}
	p.MaxTau = stats.MaxTau(p.Limit, rounding)
	if fixedTau > 0 {
		p.MaxTau = fixedTau
	}
	p.Grid = stats.Grid(p.MaxTau)
	for _, k := range []Kind{Best, Last} {
		p.of(k).fill(p, tasks, s.of(k))
	}
	return p
}

func (kp *KindPerformance) fill(p *Performance, tasks []Task, scores [][]float64) {
	if len(scores) == 0 {
		return
	}
	shifted := make([][]float64, len(scores))
	for ti, task := range scores {
		shifted[ti] = shiftedRatios(tasks[ti], task)
	}
	for who := range scores[0] {
		ratios, never, shift := missing(len(scores)), missing(len(scores)), missing(len(scores))
		for ti := range scores {
			shift[ti] = shifted[ti][who]
			if kp.Problems[ti] != nil {
				continue
			}
			ratios[ti] = kp.Tasks[ti].Ratio[who]
			if kp.Tasks[ti].Feasible[who] {
				never[ti] = ratios[ti]
			}
		}
		profile := stats.Profile(ratios, p.Grid)
		kp.Profiles = append(kp.Profiles, profile)
		kp.NeverProfiles = append(kp.NeverProfiles, stats.Profile(never, p.Grid))
		kp.AUP = append(kp.AUP, stats.LeftSum(p.Grid, profile))
		kp.StepArea = append(kp.StepArea, stats.StepArea(ratios, p.MaxTau))
		kp.NeverCounts = append(kp.NeverCounts, stats.StepArea(never, p.MaxTau))
		kp.Shifted = append(kp.Shifted, stats.StepArea(shift, p.MaxTau))
	}
}

// shiftedRatios are the ratios of a task in which only the baseline decides.
// Where a participant that is feasible has a score that is not positive, scores
// are counted from the lowest possible one; where none is declared, the task
// has no such ratios.
func shiftedRatios(t Task, scores []float64) []float64 {
	baseline := scores[len(scores)-1]
	floor := 0.0
	if t.Direction == stats.Maximize {
		for _, s := range scores {
			if s <= 0 && !t.Direction.Better(baseline, s) {
				if t.Low == nil {
					return missing(len(scores))
				}
				floor = *t.Low
			}
		}
	}
	r, err := stats.ShiftedRatios(scores, baseline, floor, t.Direction)
	if err != nil {
		return missing(len(scores))
	}
	return r.Ratio
}

func (r *Row) hasBaseline() bool { return r.baselineGiven }
