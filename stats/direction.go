package stats

import "math"

// Direction says which scores are good.
type Direction int

// The directions.
const (
	Maximize Direction = iota
	Minimize
)

func (d Direction) String() string {
	if d == Minimize {
		return "minimize"
	}
	return "maximize"
}

// Better reports whether a is strictly better than b. NaN is never better, and
// nothing is better than NaN.
func (d Direction) Better(a, b float64) bool {
	if d == Minimize {
		return a < b
	}
	return a > b
}

// Worst is the infinity that every score is better than.
func (d Direction) Worst() float64 {
	if d == Minimize {
		return math.Inf(1)
	}
	return math.Inf(-1)
}

// Best returns the index of the first value that is strictly better than all
// before it and than the worst infinity, or -1 if there is none.
func (d Direction) Best(values []float64) int {
	best, at := d.Worst(), -1
	for i, v := range values {
		if d.Better(v, best) {
			best, at = v, i
		}
	}
	return at
}
