package stats

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// Epsilon is how far beyond the worst feasible ratio MLGym puts a participant
// that is infeasible, as a share of that ratio.
const Epsilon = 0.05

// GridPoints is the number of points at which MLGym draws a profile.
const GridPoints = 500

// Ratios are the performance ratios of the participants of one task: how many
// times worse each is than the best. Dolan and Moré, "Benchmarking
// optimization software with performance profiles", Math. Program. 91 (2002),
// equation 1.
type Ratios struct {
	// Ratio has one entry a participant, 1 for the best; NaN where none is
	// defined.
	Ratio    []float64
	Feasible []bool
	// Top and Bottom are the best and the worst feasible score, Worst is the
	// ratio of Bottom.
	Top, Bottom, Worst float64
	// Limit is Worst × (1+Epsilon) rounded up to a whole number.
	Limit int
}

// The reasons why a task has no ratios.
var (
	ErrNobodyScored   = errors.New("nobody has a score")
	ErrNobodyFeasible = errors.New("nobody is at least as good as the baseline with a score that is not negative")
	ErrZeroScore      = errors.New("a score of zero cannot stand in a ratio")
	ErrInfiniteScore  = errors.New("an infinite score cannot stand in a ratio")
)

// MLGymRatios computes the ratios of one task as MLGym does. The scores are
// those of all participants, the baseline among them, NaN for one that has
// none; baseline is the threshold, NaN for none.
//
// A participant is infeasible if it has no score, a negative one, or one worse
// than the baseline. Infeasible ones get 1+Epsilon times the worst feasible
// ratio.
func MLGymRatios(scores []float64, baseline float64, d Direction) (Ratios, error) {
	return ratios(scores, d, func(s float64) bool {
		return !math.IsNaN(s) && !(s < 0) && !d.Better(baseline, s)
	})
}

// ShiftedRatios computes ratios in which only the comparison with the baseline
// decides on feasibility, so that rewards and game scores below zero count. The
// scores are moved so that floor, the worst value that the task declares
// possible, becomes zero. Infeasible participants get +Inf: they never reach
// the task, whatever the factor.
func ShiftedRatios(scores []float64, baseline, floor float64, d Direction) (Ratios, error) {
	moved := make([]float64, len(scores))
	for i, s := range scores {
		moved[i] = s - floor
	}
	baseline -= floor
	r, err := ratios(moved, d, func(s float64) bool {
		return !math.IsNaN(s) && !d.Better(baseline, s)
	})
	r.Top, r.Bottom = r.Top+floor, r.Bottom+floor
	for i := range r.Ratio {
		if !r.Feasible[i] {
			r.Ratio[i] = math.Inf(1)
		}
	}
	return r, err
}

func ratios(scores []float64, d Direction, feasible func(float64) bool) (Ratios, error) {
	r := Ratios{
		Ratio: make([]float64, len(scores)), Feasible: make([]bool, len(scores)),
		Top: math.NaN(), Bottom: math.NaN(), Worst: math.NaN(),
	}
	scored, some := false, false
	for i, s := range scores {
		r.Ratio[i] = math.NaN()
		scored = scored || !math.IsNaN(s)
		if r.Feasible[i] = feasible(s); !r.Feasible[i] {
			continue
		}
		if math.IsInf(s, 0) {
			return r, ErrInfiniteScore
		}
		if !some || d.Better(s, r.Top) {
			r.Top = s
		}
		if !some || d.Better(r.Bottom, s) {
			r.Bottom = s
		}
		some = true
	}
	switch {
	case !scored:
		return r, ErrNobodyScored
	case !some:
		return r, ErrNobodyFeasible
	}
	ratio := func(s float64) float64 { return r.Top / s }
	if d == Minimize {
		ratio = func(s float64) float64 { return s / r.Top }
	}
	// With a zero among them every ratio of the task would be infinite or
	// undefined, for the top ones too.
	if d == Maximize && r.Bottom == 0 || d == Minimize && r.Top == 0 {
		return r, ErrZeroScore
	}
	r.Worst = ratio(r.Bottom)
	limit := math.Ceil(r.Worst * (1 + Epsilon))
	if limit >= 1<<53 {
		return r, fmt.Errorf("the worst ratio, %g, is too large to draw", r.Worst)
	}
	r.Limit = int(limit)
	for i, s := range scores {
		if r.Feasible[i] {
			r.Ratio[i] = ratio(s)
		} else {
			r.Ratio[i] = r.Worst * (1 + Epsilon)
		}
	}
	return r, nil
}

// Rounding says how the upper end of the grid is rounded up.
type Rounding int

// The roundings of MLGym's two releases.
const (
	// ToDecimal rounds to one decimal: the release of August 2025.
	ToDecimal Rounding = iota
	// ToWhole rounds to a whole number: the release of February 2025.
	ToWhole
)

// MaxTau is the upper end of MLGym's grid: log10 of the largest limit, rounded
// up. The arithmetic is exact, so that a limit that is a power of ten cannot
// end up one step too far.
func MaxTau(largest int, rounding Rounding) float64 {
	if largest < 1 {
		return 0
	}
	steps := 10
	if rounding == ToWhole {
		steps = 1
	}
	// The smallest k with 10^k >= largest^steps.
	want := new(big.Int).Exp(big.NewInt(int64(largest)), big.NewInt(int64(steps)), nil)
	have := big.NewInt(1)
	k := 0
	for have.Cmp(want) < 0 {
		have.Mul(have, big.NewInt(10))
		k++
	}
	return float64(k) / float64(steps)
}

// Grid returns GridPoints points, equally spaced from 0 to maxTau.
func Grid(maxTau float64) []float64 {
	grid := make([]float64, GridPoints)
	step := maxTau / (GridPoints - 1)
	for i := range grid {
		grid[i] = float64(i) * step
	}
	grid[GridPoints-1] = maxTau
	return grid
}

// Profile is a performance profile: at each point tau of the grid, the share of
// the tasks on which log10 of the participant's ratio is at most tau. A ratio
// of NaN or +Inf is never reached. The share is of all tasks that are given.
func Profile(ratios, grid []float64) []float64 {
	logs := make([]float64, 0, len(ratios))
	for _, r := range ratios {
		if l := math.Log10(r); !math.IsNaN(l) {
			logs = append(logs, l)
		}
	}
	slices.Sort(logs)
	out := make([]float64, len(grid))
	reached := 0
	for i, tau := range grid {
		for reached < len(logs) && logs[reached] <= tau {
			reached++
		}
		if len(ratios) > 0 {
			out[i] = float64(reached) / float64(len(ratios))
		}
	}
	return out
}

// LeftSum is MLGym's area under a profile: over each interval of the grid, its
// width times the value at its left end.
func LeftSum(grid, profile []float64) float64 {
	sum := 0.0
	for i := 0; i+1 < len(grid); i++ {
		sum += (grid[i+1] - grid[i]) * profile[i]
	}
	return sum
}

// StepArea is the exact area under the profile of the given ratios between 0
// and maxTau: the mean over tasks of max(0, maxTau − log10 ratio). Ratios of
// NaN or +Inf add nothing.
func StepArea(ratios []float64, maxTau float64) float64 {
	sum := 0.0
	for _, r := range ratios {
		if l := math.Log10(r); l < maxTau {
			sum += maxTau - l
		}
	}
	if len(ratios) == 0 {
		return 0
	}
	return sum / float64(len(ratios))
}
