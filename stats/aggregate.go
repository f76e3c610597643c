package stats

import (
	"math"
	"slices"
)

// Normalize puts a score on the scale on which the baseline is 0 and the
// reference 1, whatever the direction, and clips it to [low, high]. It is NaN
// where the score is, or where baseline and reference are equal.
func Normalize(score, baseline, reference, low, high float64) float64 {
	if math.IsNaN(score) || baseline == reference {
		return math.NaN()
	}
	// The quotient has the right sign in both directions.
	return min(max((score-baseline)/(reference-baseline), low), high)
}

// IQM is the interquartile mean: the mean of what is left when a quarter of the
// values (rounded down) is cut off at each end. Agarwal et al., "Deep
// Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS
// 2021, section 4.3; the same as scipy.stats.trim_mean(x, 0.25).
func IQM(values []float64) float64 {
	cut := len(values) / 4
	if cut == 0 {
		return Mean(values)
	}
	sorted := slices.Sorted(slices.Values(values))
	return Mean(sorted[cut : len(sorted)-cut])
}

// OptimalityGap is the mean of how far the values fall short of target; what
// lies above it earns nothing. Agarwal et al. 2021, section 4.3.
func OptimalityGap(values []float64, target float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += target - min(v, target)
	}
	return sum / float64(len(values))
}

// ImprovementProbability is the probability that a run of x is better than a
// run of y on the same task, ties counting half, averaged over tasks: the mean
// of the tasks' Mann–Whitney statistics. Agarwal et al. 2021, section 4.3,
// equation 2. Both hold one list of values a task, larger being better; tasks
// on which either has none are passed over.
func ImprovementProbability(x, y [][]float64) float64 {
	sum, tasks := 0.0, 0
	for t := range x {
		if len(x[t]) == 0 || len(y[t]) == 0 {
			continue
		}
		wins := 0.0
		for _, a := range x[t] {
			for _, b := range y[t] {
				switch {
				case a > b:
					wins++
				case a == b:
					wins += 0.5
				}
			}
		}
		sum += wins / float64(len(x[t])*len(y[t]))
		tasks++
	}
	return sum / float64(tasks)
}

// ScoreProfile is the run-score distribution: for each point tau the share of
// all runs with a value above it. Agarwal et al. 2021, section 4.2, equation 1.
func ScoreProfile(values, taus []float64) []float64 {
	sorted := slices.Sorted(slices.Values(values))
	out := make([]float64, len(taus))
	for i, tau := range taus {
		above, found := slices.BinarySearchFunc(sorted, tau, func(v, tau float64) int {
			if v <= tau {
				return -1
			}
			return 1
		})
		_ = found
		out[i] = float64(len(sorted)-above) / float64(len(sorted))
	}
	return out
}

// Flatten joins the values of all tasks.
func Flatten(values [][]float64) []float64 { return slices.Concat(values...) }
