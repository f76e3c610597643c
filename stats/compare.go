package stats

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// exactPairs is up to how many pairs all sign flips are tried.
const exactPairs = 20

// PairedPermutation is the two-sided p value of the hypothesis that the
// differences are symmetric about zero, for their mean: all 2^n ways to flip
// their signs are tried for up to 20 differences, else draws random ones, the
// observed one counted among them. Fisher, "The Design of Experiments" (1935),
// section 21; Phipson and Smyth (2010) for the counting.
func PairedPermutation(differences []float64, draws int, seed uint64) float64 {
	n := len(differences)
	if n == 0 {
		return math.NaN()
	}
	sum := 0.0
	size := 0.0
	for _, d := range differences {
		sum += d
		size += math.Abs(d)
	}
	// Sums that differ by rounding only are equal.
	bound := math.Abs(sum) - 1e-12*size
	if n <= exactPairs {
		hits, total := 0, 1<<n
		// Gray code: each step flips one sign.
		signs := make([]float64, n)
		current := sum
		for i := range signs {
			signs[i] = 1
		}
		for i := range total {
			if i > 0 {
				bit := trailingZeros(i)
				current -= 2 * signs[bit] * differences[bit]
				signs[bit] = -signs[bit]
			}
			if math.Abs(current) >= bound {
				hits++
			}
		}
		return float64(hits) / float64(total)
	}
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // draws are to be repeatable
	hits := 1
	for range draws {
		s := 0.0
		for _, d := range differences {
			if rng.Uint64()&1 == 0 {
				s += d
			} else {
				s -= d
			}
		}
		if math.Abs(s) >= bound {
			hits++
		}
	}
	return float64(hits) / float64(draws+1)
}

func trailingZeros(i int) int {
	n := 0
	for i&1 == 0 {
		i >>= 1
		n++
	}
	return n
}

// Holm adjusts p values of several comparisons so that the chance of any false
// finding stays within the level. Holm, "A Simple Sequentially Rejective
// Multiple Test Procedure", Scand. J. Statist. 6 (1979). NaN stays NaN and does
// not count.
func Holm(p []float64) []float64 {
	var order []int
	for i, v := range p {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(p[a], p[b]) })
	out := slices.Clone(p)
	highest := 0.0
	for i, at := range order {
		highest = max(highest, min(1, float64(len(order)-i)*p[at]))
		out[at] = highest
	}
	return out
}

// Friedman tests whether the participants' ranks differ over tasks (tasks ×
// participants, ties sharing the mean rank): the statistic, corrected for ties,
// and its p value by the chi-squared distribution. Friedman (1937); the
// correction is that of Conover, "Practical Nonparametric Statistics" (1999),
// section 5.8.
func Friedman(ranks [][]float64) (statistic, p float64) {
	n := float64(len(ranks))
	if n == 0 || len(ranks[0]) < 2 {
		return math.NaN(), math.NaN()
	}
	k := float64(len(ranks[0]))
	sums := make([]float64, len(ranks[0]))
	squares := 0.0
	for _, task := range ranks {
		for i, r := range task {
			sums[i] += r
			squares += r * r
		}
	}
	between := 0.0
	for _, s := range sums {
		between += s * s
	}
	constant := n * k * (k + 1) * (k + 1) / 4
	statistic = (k - 1) * (between - n*constant) / (squares - constant)
	return statistic, distuv.ChiSquared{K: k - 1}.Survival(statistic)
}

// CriticalDifference is how far two mean ranks over n tasks must lie apart to
// differ at level alpha among k participants (Nemenyi's test). Demšar,
// "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7
// (2006), section 3.2.2.
func CriticalDifference(k, n int, alpha float64) float64 {
	if k < 2 || n < 1 {
		return math.NaN()
	}
	kf := float64(k)
	return StudentizedRangeQuantile(1-alpha, k) / math.Sqrt2 * math.Sqrt(kf*(kf+1)/(6*float64(n)))
}

// StudentizedRange is the distribution function of the range of k independent
// standard normal values (infinitely many degrees of freedom):
// k ∫ φ(z) [Φ(z) − Φ(z−q)]^(k−1) dz.
func StudentizedRange(q float64, k int) float64 {
	if q <= 0 {
		return 0
	}
	// Simpson's rule; outside ±9 the density adds less than 1e-18.
	const low, high, steps = -9.0, 9.0, 2000
	h := (high - low) / steps
	f := func(z float64) float64 {
		density := math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
		return density * math.Pow(normalCDF(z)-normalCDF(z-q), float64(k-1))
	}
	sum := f(low) + f(high)
	for i := 1; i < steps; i++ {
		sum += f(low+float64(i)*h) * float64(2+2*(i%2))
	}
	return min(1, float64(k)*sum*h/3)
}

func normalCDF(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }

// StudentizedRangeQuantile inverts [StudentizedRange] by bisection.
func StudentizedRangeQuantile(p float64, k int) float64 {
	low, high := 0.0, 20.0
	for high-low > 1e-10 {
		mid := (low + high) / 2
		if StudentizedRange(mid, k) < p {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// Wilson is the score interval of a rate of k in n. Wilson, "Probable
// Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927).
func Wilson(k, n int, level float64) Interval {
	if n == 0 {
		return Interval{0, 1}
	}
	z := distuv.UnitNormal.Quantile((1 + level) / 2)
	nf := float64(n)
	p := float64(k) / nf
	mid := (p + z*z/(2*nf)) / (1 + z*z/nf)
	half := z / (1 + z*z/nf) * math.Sqrt(p*(1-p)/nf+z*z/(4*nf*nf))
	return Interval{max(0, mid-half), min(1, mid+half)}
}

// RunsNeeded is how many runs of each of two agents are needed to find a true
// difference of their means, given the standard deviation of a run, by a
// two-sided t test at level alpha with the given power. The normal formula
// 2((z₁+z₂)σ/δ)² plus z₁²/4 for the estimated deviation: Guenther, "Sample Size
// Formulas for Normal Theory T Tests", The American Statistician 35 (1981).
// +Inf where there is no difference to find.
func RunsNeeded(difference, deviation, alpha, power float64) float64 {
	switch {
	case difference == 0 || math.IsNaN(difference) || math.IsNaN(deviation):
		return math.Inf(1)
	case deviation == 0:
		return 2
	}
	z1, z2 := distuv.UnitNormal.Quantile(1-alpha/2), distuv.UnitNormal.Quantile(power)
	ratio := (z1 + z2) * deviation / difference
	return max(2, math.Ceil(2*ratio*ratio+z1*z1/4))
}
