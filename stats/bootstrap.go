package stats

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a confidence interval.
type Interval struct{ Low, High float64 }

// Resample draws from the strata and hands over each draw's indices; see
// [Stratified] and [TwoLevel].
type Resample struct {
	// Sizes has the number of runs of each task.
	Sizes []int
	// Tasks says that tasks are drawn as well as runs within them.
	Tasks bool
	// Draws is the number of resamples, Seed what they depend on.
	Draws int
	Seed  uint64
}

// Draw is one resample: the tasks that take part, in order, and for each of
// them the runs, by index. Both may repeat.
type Draw struct {
	Tasks []int
	Runs  [][]int
}

// blockDraws is how many draws share a generator, so that results do not
// depend on the number of CPUs.
const blockDraws = 64

// Values draws and computes a statistic of each draw, with all CPUs. The
// statistic is called from several goroutines.
//
// Without Tasks this is the stratified bootstrap over runs of Agarwal et al.
// (2021), section 4.1: the benchmark is fixed, runs are drawn with replacement
// within each task. With Tasks it is the two-level (cluster) bootstrap of
// Davison and Hinkley, "Bootstrap Methods and their Application" (1997),
// section 3.8: tasks are drawn with replacement, then runs within each drawn
// task, for statements about tasks that are like these.
func (r Resample) Values(statistic func(Draw) float64) []float64 {
	all := r.Vectors(1, func(d Draw, out []float64) { out[0] = statistic(d) })
	return all[0]
}

// Vectors is [Resample.Values] for several statistics of the same draws: one
// list of values for each of the n statistics.
func (r Resample) Vectors(n int, statistics func(d Draw, out []float64)) [][]float64 {
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, r.Draws)
	}
	blocks := (r.Draws + blockDraws - 1) / blockDraws
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), blocks) {
		wg.Go(func() {
			row := make([]float64, n)
			d := Draw{Tasks: make([]int, len(r.Sizes)), Runs: make([][]int, len(r.Sizes))}
			room := make([][]int, len(r.Sizes))
			for b := range next {
				rng := rand.New(rand.NewPCG(r.Seed, uint64(b))) //nolint:gosec // draws are to be repeatable
				for i := b * blockDraws; i < min((b+1)*blockDraws, r.Draws); i++ {
					for t := range r.Sizes {
						from := t
						if r.Tasks {
							from = rng.IntN(len(r.Sizes))
						}
						size := r.Sizes[from]
						if cap(room[t]) < size {
							room[t] = make([]int, size)
						}
						runs := room[t][:size]
						for j := range runs {
							runs[j] = rng.IntN(size)
						}
						d.Tasks[t], d.Runs[t] = from, runs
					}
					statistics(d, row)
					for k, v := range row {
						out[k][i] = v
					}
				}
			}
		})
	}
	for b := range blocks {
		next <- b
	}
	close(next)
	wg.Wait()
	return out
}

// Pick returns the values that a draw selects from values by task and run.
func (d Draw) Pick(values [][]float64) [][]float64 {
	out := make([][]float64, len(d.Tasks))
	for i, t := range d.Tasks {
		out[i] = make([]float64, len(d.Runs[i]))
		for j, r := range d.Runs[i] {
			out[i][j] = values[t][r]
		}
	}
	return out
}

// Percentile is the interval between two quantiles of a bootstrap distribution.
// Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3.
// Values that are NaN, of draws on which the statistic is not defined, are left
// out.
func Percentile(distribution []float64, level float64) Interval {
	sorted := finite(distribution)
	return Interval{SortedQuantile(sorted, (1-level)/2), SortedQuantile(sorted, (1+level)/2)}
}

func finite(values []float64) []float64 {
	var kept []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			kept = append(kept, v)
		}
	}
	slices.Sort(kept)
	return kept
}

// BCa is the bias-corrected and accelerated interval of a bootstrap
// distribution with the given estimate and acceleration. Efron and Tibshirani
// 1993, equations 14.9 to 14.14. Where the distribution lies wholly on one side
// of the estimate the correction is not defined and the interval is NaN.
func BCa(distribution []float64, estimate, acceleration, level float64) Interval {
	sorted := finite(distribution)
	below, equal := 0, 0
	for _, v := range sorted {
		switch {
		case v < estimate:
			below++
		case v == estimate:
			equal++
		}
	}
	z0 := distuv.UnitNormal.Quantile((float64(below) + float64(equal)/2) / float64(len(sorted)))
	at := func(p float64) float64 {
		z := z0 + distuv.UnitNormal.Quantile(p)
		return distuv.UnitNormal.CDF(z0 + z/(1-acceleration*z))
	}
	return Interval{SortedQuantile(sorted, at((1-level)/2)), SortedQuantile(sorted, at((1+level)/2))}
}

// Acceleration is the acceleration of a statistic of several samples, from the
// values of the statistic with one observation left out at a time (one list a
// sample). Davison and Hinkley 1997, section 5.3.2 and problem 3.7.
func Acceleration(leftOut [][]float64) float64 {
	var cubes, squares float64
	for _, sample := range leftOut {
		n := float64(len(sample))
		mean := Mean(sample)
		var cube, square float64
		for _, v := range sample {
			u := (n - 1) * (mean - v)
			cube += u * u * u
			square += u * u
		}
		if len(sample) > 1 {
			cubes += cube / (n * n * n)
			squares += square / (n * n)
		}
	}
	if squares == 0 {
		return 0
	}
	return cubes / (6 * math.Pow(squares, 1.5))
}

// LeaveOneOut computes a statistic with each run left out in turn, for
// [Acceleration]. A task with a single run has nothing to leave out.
func LeaveOneOut(values [][]float64, statistic func([][]float64) float64) [][]float64 {
	out := make([][]float64, len(values))
	part := slices.Clone(values)
	for t, runs := range values {
		if len(runs) < 2 {
			continue
		}
		for i := range runs {
			part[t] = slices.Concat(runs[:i], runs[i+1:])
			out[t] = append(out[t], statistic(part))
		}
		part[t] = runs
	}
	return out
}
