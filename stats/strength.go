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

// maxRounds and tolerance end the iterations.
const (
	maxRounds = 10000
	tolerance = 1e-9
)

// PlackettLuce fits the model in which an order arises by choosing the best of
// those that are left, again and again, each with probability proportional to
// its strength. It returns the logarithms of the strengths, with mean zero.
//
// The likelihood is maximised by the MM algorithm of Hunter, "MM algorithms for
// generalized Bradley–Terry models", Annals of Statistics 32 (2004), equation
// 30. Members of a tied group are each chosen from all that are left, as in
// Breslow's treatment of ties. participants[t] lists who takes part on task t.
// A prior of p adds, for every participant, p wins and p losses against an
// imagined one of strength 1, which keeps estimates finite; with 0 the estimate
// is that of maximum likelihood, and ErrNotConnected says that there is none.
func PlackettLuce(n int, participants [][]int, orders []Tiers, prior float64) ([]float64, error) {
	type stage struct {
		left   []int
		chosen []int
	}
	var stages []stage
	beats := make([][]bool, n)
	for i := range beats {
		beats[i] = make([]bool, n)
	}
	for t, order := range orders {
		left := participants[t]
		for _, tier := range order {
			if len(left) > 1 {
				stages = append(stages, stage{left, tier})
			}
			in := make(map[int]bool, len(tier))
			for _, p := range tier {
				in[p] = true
			}
			var rest []int
			for _, p := range left {
				if !in[p] {
					rest = append(rest, p)
				}
			}
			for _, a := range tier {
				for _, b := range rest {
					beats[a][b] = true
				}
				for _, b := range tier {
					if a != b {
						beats[a][b] = true
					}
				}
			}
			left = rest
		}
	}
	if prior <= 0 && !connected(beats) {
		return nil, ErrNotConnected
	}
	wins := make([]float64, n)
	for _, s := range stages {
		for _, p := range s.chosen {
			wins[p]++
		}
	}
	return mm(n, wins, prior, func(strength, weight []float64) {
		for _, s := range stages {
			sum := 0.0
			for _, p := range s.left {
				sum += strength[p]
			}
			share := float64(len(s.chosen)) / sum
			for _, p := range s.left {
				weight[p] += share
			}
		}
	})
}

// BradleyTerry fits the model in which i beats j with probability proportional
// to its strength. wins[i][j] counts how often i beat j; a tie is half a win
// for both. It returns the logarithms of the strengths, with mean zero, by
// equation 3 of Hunter 2004. The prior is that of [PlackettLuce].
func BradleyTerry(wins [][]float64, prior float64) ([]float64, error) {
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
	if prior <= 0 && !connected(beats) {
		return nil, ErrNotConnected
	}
	return mm(n, total, prior, func(strength, weight []float64) {
		for i := range n {
			for j := range n {
				if games := wins[i][j] + wins[j][i]; i != j && games > 0 {
					weight[i] += games / (strength[i] + strength[j])
				}
			}
		}
	})
}

// mm iterates strength = wins / weight until nothing moves.
func mm(n int, wins []float64, prior float64, weigh func(strength, weight []float64)) ([]float64, error) {
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
