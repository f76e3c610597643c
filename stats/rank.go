package stats

import (
	"math"
	"slices"
)

// Ranking is the order of the participants of one task. Numbers are positions
// in the list of participants that was given.
type Ranking struct {
	// Scored participants, best first; Unscored ones in list order.
	Scored, Unscored []int
}

// Rank orders participants by score, best first, NaN meaning unscored. Equal
// scores keep the order of insertion, which is the list order unless insertion
// gives another permutation of the participants.
func Rank(scores []float64, d Direction, insertion []int) Ranking {
	if insertion == nil {
		insertion = make([]int, len(scores))
		for i := range insertion {
			insertion[i] = i
		}
	}
	var r Ranking
	for _, i := range insertion {
		if !math.IsNaN(scores[i]) {
			r.Scored = append(r.Scored, i)
		}
	}
	slices.SortStableFunc(r.Scored, func(a, b int) int {
		switch {
		case d.Better(scores[a], scores[b]):
			return -1
		case d.Better(scores[b], scores[a]):
			return 1
		}
		return 0
	})
	for i, s := range scores {
		if math.IsNaN(s) {
			r.Unscored = append(r.Unscored, i)
		}
	}
	return r
}

// Order is the whole order, unscored participants last.
func (r Ranking) Order() []int { return slices.Concat(r.Scored, r.Unscored) }

// UnscoredRule says which position the unscored participants of a task get.
type UnscoredRule int

// The rules for unscored participants.
const (
	// ListOrder gives each its own position, in list order.
	ListOrder UnscoredRule = iota
	// Midrank gives all the mean of the positions they fill.
	Midrank
	// LowestRank gives all the first of these positions.
	LowestRank
	// HighestRank gives all the last of these positions.
	HighestRank
)

// Positions returns the 1-based position of each participant. Scored
// participants with equal scores keep different positions here, as MLGym has
// it; see [TiedRanks] for ranks that share.
func (r Ranking) Positions(rule UnscoredRule) []float64 {
	n, scored := len(r.Scored)+len(r.Unscored), len(r.Scored)
	pos := make([]float64, n)
	for i, p := range r.Scored {
		pos[p] = float64(i + 1)
	}
	for i, p := range r.Unscored {
		switch rule {
		case Midrank:
			pos[p] = float64(scored+1+n) / 2
		case LowestRank:
			pos[p] = float64(scored + 1)
		case HighestRank:
			pos[p] = float64(n)
		case ListOrder:
			pos[p] = float64(scored + 1 + i)
		}
	}
	return pos
}

// TiedRanks returns the 1-based rank of each score, best first; equal scores,
// and all missing ones at the end, share the mean of the ranks that they fill.
func TiedRanks(scores []float64, d Direction) []float64 {
	order := Rank(scores, d, nil).Order()
	ranks := make([]float64, len(scores))
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && same(scores[order[i]], scores[order[j]]) {
			j++
		}
		for _, p := range order[i:j] {
			ranks[p] = float64(i+1+j) / 2
		}
		i = j
	}
	return ranks
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// Combined is the ranking over several tasks.
type Combined struct {
	// MeanRank is the mean position over the tasks. MLGym's tables call it
	// "Plackett-Luce", although no such model is fitted.
	MeanRank []float64
	// Borda is the sum over the tasks of (participants − position + 1).
	Borda []float64
	// ByMeanRank and ByBorda are the participants, best first. Equal ones keep
	// the order of tieBreak.
	ByMeanRank, ByBorda []int
}

// Combine makes one ranking of the positions on each task (tasks × participants).
// Since every task ranks the same participants, both orders agree but for
// rounding. tieBreak is the order in which equal ones are listed; nil means
// list order.
func Combine(positions [][]float64, tieBreak []int) Combined {
	if len(positions) == 0 {
		return Combined{}
	}
	n := len(positions[0])
	c := Combined{MeanRank: make([]float64, n), Borda: make([]float64, n)}
	sums := make([]float64, n)
	for _, task := range positions {
		for p, pos := range task {
			sums[p] += pos
			c.Borda[p] += float64(n) - pos + 1
		}
	}
	for p, sum := range sums {
		c.MeanRank[p] = sum / float64(len(positions))
	}
	if tieBreak == nil {
		for p := range n {
			tieBreak = append(tieBreak, p)
		}
	}
	// Positions are halves of whole numbers, so these sums are exact.
	c.ByMeanRank = slices.Clone(tieBreak)
	slices.SortStableFunc(c.ByMeanRank, func(a, b int) int { return compare(sums[a], sums[b]) })
	c.ByBorda = slices.Clone(tieBreak)
	slices.SortStableFunc(c.ByBorda, func(a, b int) int { return compare(c.Borda[b], c.Borda[a]) })
	return c
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
