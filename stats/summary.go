package stats

import (
	"math"
	"slices"
)

// Summary describes a list of values. Its fields are NaN where the list is
// empty.
type Summary struct {
	N              int
	Min, Max, Mean float64
	// PopStd has the divisor n, SampleStd the divisor n−1 (NaN for n < 2).
	PopStd, SampleStd float64
}

// Summarize describes values in two passes. NaN among them makes all but N NaN.
func Summarize(values []float64) Summary {
	s := Summary{N: len(values), Min: math.NaN(), Max: math.NaN(), Mean: math.NaN(), PopStd: math.NaN(), SampleStd: math.NaN()}
	if s.N == 0 {
		return s
	}
	s.Min, s.Max, s.Mean = slices.Min(values), slices.Max(values), Mean(values)
	square := 0.0
	for _, v := range values {
		square += (v - s.Mean) * (v - s.Mean)
	}
	s.PopStd = math.Sqrt(square / float64(s.N))
	if s.N > 1 {
		s.SampleStd = math.Sqrt(square / float64(s.N-1))
	}
	return s
}

// Mean is the arithmetic mean; NaN of nothing.
func Mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Median is the middle value, or the mean of the two middle ones; NaN of
// nothing. values is left as it is.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Quantile interpolates linearly between the order statistics at (n−1)p: type 7
// of Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American
// Statistician 50 (1996). values is left as it is.
func Quantile(values []float64, p float64) float64 {
	return SortedQuantile(slices.Sorted(slices.Values(values)), p)
}

// SortedQuantile is [Quantile] of values that are sorted already.
func SortedQuantile(sorted []float64, p float64) float64 {
	n := len(sorted)
	if n == 0 || math.IsNaN(p) {
		return math.NaN()
	}
	h := min(max(p, 0), 1) * float64(n-1)
	low := int(h)
	if low == n-1 {
		return sorted[low]
	}
	return sorted[low] + (h-float64(low))*(sorted[low+1]-sorted[low])
}
