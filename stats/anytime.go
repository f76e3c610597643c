package stats

import "math"

// Curve is the best score so far against what was spent: steps, seconds,
// tokens, dollars. X ascends; Y[i] holds from X[i] on.
type Curve struct{ X, Y []float64 }

// At is the value at x: start before the first point.
func (c Curve) At(x, start float64) float64 {
	v := start
	for i, at := range c.X {
		if at > x {
			break
		}
		v = c.Y[i]
	}
	return v
}

// MeanCurve averages curves at each point of a grid, each standing at start
// before its first point. NaN where there are no curves.
func MeanCurve(curves []Curve, grid []float64, start float64) []float64 {
	out := make([]float64, len(grid))
	for i, x := range grid {
		sum := 0.0
		for _, c := range curves {
			sum += c.At(x, start)
		}
		out[i] = sum / float64(len(curves))
	}
	return out
}

// Area is the mean height of a curve between 0 and end: what an agent would
// score on average if it were stopped at a random moment. NaN for an end that
// is not positive.
func (c Curve) Area(end, start float64) float64 {
	if !(end > 0) {
		return math.NaN()
	}
	sum, from, v := 0.0, 0.0, start
	for i, x := range c.X {
		if x >= end {
			break
		}
		sum += (max(x, 0) - from) * v
		from, v = max(x, 0), c.Y[i]
	}
	return (sum + (end-from)*v) / end
}
