package stats

import (
	"math"
	"slices"
)

// BestAtK is the expected best of k runs drawn without replacement from the
// given ones: an unbiased estimate of the expected best of k fresh runs, for
// k up to the number of runs. With n values in ascending order the i-th is the
// best of k draws in C(i−1, k−1) of C(n, k) ways; it generalises the estimator
// of [PassAtK] to continuous scores. NaN for k out of range.
//
// Taking the best of all n runs, as the published tables do, is the case k = n,
// whose estimate rests on one sample.
func BestAtK(values []float64, k int, d Direction) float64 {
	n := len(values)
	if k < 1 || k > n {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	if d == Minimize {
		slices.Reverse(sorted)
	}
	// weight = C(i−1, k−1) / C(n, k), by recurrence from i = k upwards.
	weight := 1.0
	for i := range k {
		weight *= float64(k-i) / float64(n-i)
	}
	sum := 0.0
	for i := k; i <= n; i++ {
		sum += weight * sorted[i-1]
		weight *= float64(i) / float64(i-k+1)
	}
	return sum
}

// PassAtK is the probability that at least one of k runs passes, estimated
// without bias from c passes in n runs: 1 − C(n−c, k)/C(n, k). Chen et al.,
// "Evaluating Large Language Models Trained on Code" (2021), equation 1. NaN
// for k out of range.
func PassAtK(n, c, k int) float64 {
	if k < 1 || k > n || c < 0 || c > n {
		return math.NaN()
	}
	if n-c < k {
		return 1
	}
	miss := 1.0
	for i := n - c + 1; i <= n; i++ {
		miss *= 1 - float64(k)/float64(i)
	}
	return 1 - miss
}
