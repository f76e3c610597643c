package stats

import (
	"errors"
	"math"
)

// ErrNotConnected says that the strengths have no finite maximum-likelihood
// estimate: some participants never lost to (or never met) the others.
var ErrNotConnected = errors.New("some participants always beat the others, so their strength has no finite estimate without a prior")

// Tiers is the order on one task: groups of participants, best first; those in
// one group are tied. Participants that are missing below the last group lost
// to all that are listed, and their order is not known.
type Tiers [][]int

// maxRounds ends an iteration that does not settle.
const maxRounds = 10000

// Fit says how strengths are fitted.
type Fit struct {
	// Prior of p adds, for every participant, p wins and p losses against an
	// imagined one of strength 1, which keeps estimates finite. With 0 the
	// estimate is that of maximum likelihood, and ErrNotConnected says that
	// there is none.
	Prior float64
	// Tolerance is the relative change at which the iteration ends; 0 means
	// 1e-9.
	Tolerance float64
}

// PlackettLuce fits the model in which an order arises by choosing the best of
// those that are left, again and again, each with probability proportional to
// its strength. It returns the logarithms of the strengths, with mean zero.
//
// The likelihood is maximised by the MM algorithm of Hunter, "MM algorithms for
// generalized Bradley–Terry models", Annals of Statistics 32 (2004), equation
// 30. Members of a tied group are each chosen from all that are left, as in
// Breslow's treatment of ties. participants[t] lists who takes part on task t.
func PlackettLuce(n int, participants [][]int, orders []Tiers, fit Fit) ([]float64, error) {
	// An order is kept as one list, best first, with the length of each tier;
	// who is in no tier stands at the end.
	type order struct {
		list  []int
		tiers []int
	}
	all := make([]order, len(orders))
	wins := make([]float64, n)
	beats := make([][]bool, n)
	for i := range beats {
		beats[i] = make([]bool, n)
	}
	for t, tiers := range orders {
		o := order{list: make([]int, 0, len(participants[t]))}
		placed := make([]bool, n)
		for _, tier := range tiers {
			for _, p := range tier {
				placed[p] = true
			}
			o.list = append(o.list, tier...)
			o.tiers = append(o.tiers, len(tier))
		}
		for _, p := range participants[t] { //nolint:gosec // one list for each order
			if !placed[p] {
				o.list = append(o.list, p)
			}
		}
		at := 0
		for _, size := range o.tiers {
			if len(o.list)-at < 2 {
				break // the last one is chosen from nobody else
			}
			for _, a := range o.list[at : at+size] {
				wins[a]++
				for _, b := range o.list[at:] {
					if a != b {
						beats[a][b] = true
					}
				}
			}
			at += size
		}
		all[t] = o
	}
	if fit.Prior <= 0 && !connected(beats) {
		return nil, ErrNotConnected
	}
	left := make([]float64, n+1)
	return fit.iterate(n, wins, func(strength, weight []float64) {
		for _, o := range all {
			// left[i] is the strength of all from place i on.
			left[len(o.list)] = 0
			for i := len(o.list) - 1; i >= 0; i-- {
				left[i] = left[i+1] + strength[o.list[i]]
			}
			share, at := 0.0, 0
			for _, size := range o.tiers {
				if len(o.list)-at < 2 {
					break
				}
				share += float64(size) / left[at]
				for _, p := range o.list[at : at+size] {
					weight[p] += share
				}
				at += size
			}
			for _, p := range o.list[at:] {
				weight[p] += share
			}
		}
	})
}

// BradleyTerry fits the model in which i beats j with probability proportional
// to its strength. wins[i][j] counts how often i beat j; a tie is half a win
// for both. It returns the logarithms of the strengths, with mean zero, by
// equation 3 of Hunter 2004.
func BradleyTerry(wins [][]float64, fit Fit) ([]float64, error) {
	n := len(wins)
	beats := make([][]bool, n)
	total := make([]float64, n)
	for i := range wins {
		beats[i] = make([]bool, n)
		for j, w := range wins[i] {
			beats[i][j] = w > 0
			total[i] += w
		}
	}
	if fit.Prior <= 0 && !connected(beats) {
		return nil, ErrNotConnected
	}
	return fit.iterate(n, total, func(strength, weight []float64) {
		for i := range n {
			for j := range n {
				if games := wins[i][j] + wins[j][i]; i != j && games > 0 {
					weight[i] += games / (strength[i] + strength[j])
				}
			}
		}
	})
}

// iterate sets strength = wins / weight until nothing moves.
func (f Fit) iterate(n int, wins []float64, weigh func(strength, weight []float64)) ([]float64, error) {
	prior, tolerance := f.Prior, f.Tolerance
	if tolerance <= 0 {
		tolerance = 1e-9
	}
	strength, weight := make([]float64, n), make([]float64, n)
	for i := range strength {
		strength[i] = 1
	}
	for range maxRounds {
		clear(weight)
		weigh(strength, weight)
		moved := 0.0
		for i := range strength {
			w, g := wins[i], weight[i]
			if prior > 0 {
				w += prior
				g += 2 * prior / (strength[i] + 1)
			}
			if g == 0 {
				continue
			}
			next := w / g
			moved = max(moved, math.Abs(next-strength[i])/strength[i])
			strength[i] = next
		}
		if prior <= 0 {
			// Only ratios matter; keep them from drifting.
			sum := 0.0
			for _, s := range strength {
				sum += s
			}
			for i := range strength {
				strength[i] *= float64(n) / sum
			}
		}
		if moved < tolerance {
			break
		}
	}
	mean := 0.0
	for i, s := range strength {
		strength[i] = math.Log(s)
		mean += strength[i] / float64(n)
	}
	for i := range strength {
		strength[i] -= mean
	}
	return strength, nil
}

// connected reports whether everyone can be reached from everyone along wins:
// Ford's condition, assumption 1 of Hunter 2004.
func connected(beats [][]bool) bool {
	n := len(beats)
	reach := func(edge func(a, b int) bool) bool {
		seen := make([]bool, n)
		stack := []int{0}
		seen[0] = true
		count := 1
		for len(stack) > 0 {
			a := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for b := range n {
				if !seen[b] && edge(a, b) {
					seen[b] = true
					count++
					stack = append(stack, b)
				}
			}
		}
		return count == n
	}
	return n == 0 || reach(func(a, b int) bool { return beats[a][b] }) && reach(func(a, b int) bool { return beats[b][a] })
}
