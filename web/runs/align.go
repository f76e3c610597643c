package runs

import "slices"

// sign is what an action is compared by: numbers that are equal where the actions
// are the same, begin with the same line, or are of the same kind.
type sign struct{ exact, head, kind int32 }

// kinds of pairs.
const (
	same      = "same"      // the same action
	similar   = "similar"   // actions that begin with the same line, or are of one kind
	different = "different" // actions that took each other's place
	alone     = "alone"     // an action of one run only
)

// pair is a row of a comparison: the places of two actions in their lists, −1
// where a run has none.
type pair struct {
	left, right int
	kind        string
}

// maxCells bounds what aligning may cost: a byte each, and about 5 ns.
const maxCells = 4_000_000

// weights of pairs. One of the same action counts for more than any number of weak
// ones that it is likely to stand against.
const (
	exactWeight = 16
	headWeight  = 8
	kindWeight  = 1
)

func (a sign) weight(b sign) int32 {
	switch {
	case a.exact == b.exact:
		return exactWeight
	case a.head == b.head:
		return headWeight
	case a.kind == b.kind:
		return kindWeight
	default:
		return 0
	}
}

func (a sign) pairKind(b sign) string {
	switch a.weight(b) {
	case exactWeight:
		return same
	case headWeight, kindWeight:
		return similar
	default:
		return different
	}
}

// align pairs the actions of two runs, so that those that are the same or alike
// stand beside each other, and none is out of order. Prefix is how many are the same
// from the start. Where the runs are so long that comparing each with each would
// take too long, those that follow the prefix are paired by their numbers, and
// byNumber is true.
func align(left, right []sign) (pairs []pair, prefix int, byNumber bool) {
	for prefix < min(len(left), len(right)) && left[prefix].exact == right[prefix].exact {
		pairs = append(pairs, pair{prefix, prefix, same})
		prefix++
	}
	l, r := left[prefix:], right[prefix:]
	suffix := 0
	for suffix < min(len(l), len(r)) && l[len(l)-1-suffix].exact == r[len(r)-1-suffix].exact {
		suffix++
	}
	l, r = l[:len(l)-suffix], r[:len(r)-suffix]
	if len(l)*len(r) > maxCells {
		return append(pairs, numbered(left, right, prefix)...), prefix, true
	}
	for _, p := range match(l, r) {
		if p.left >= 0 {
			p.left += prefix
		}
		if p.right >= 0 {
			p.right += prefix
		}
		pairs = append(pairs, p)
	}
	for i := suffix; i > 0; i-- {
		pairs = append(pairs, pair{len(left) - i, len(right) - i, same})
	}
	return pairs, prefix, false
}

// numbered pairs actions by their numbers, from one on.
func numbered(left, right []sign, from int) []pair {
	var out []pair
	for i := from; i < max(len(left), len(right)); i++ {
		switch {
		case i >= len(left):
			out = append(out, pair{-1, i, alone})
		case i >= len(right):
			out = append(out, pair{i, -1, alone})
		default:
			out = append(out, pair{i, i, left[i].pairKind(right[i])})
		}
	}
	return out
}

// match finds the pairing of the greatest weight.
func match(l, r []sign) []pair {
	const (
		diagonal = iota
		up       // the action on the left stands alone
		back     // the one on the right
	)
	width := len(r) + 1
	steps := make([]byte, (len(l)+1)*width)
	before, now := make([]int32, width), make([]int32, width)
	for i := range l {
		row := steps[(i+1)*width:]
		for j := range r {
			best, step := before[j+1], byte(up)
			if now[j] > best {
				best, step = now[j], back
			}
			if w := l[i].weight(r[j]); w > 0 && before[j]+w >= best {
				best, step = before[j]+w, diagonal
			}
			now[j+1], row[j+1] = best, step
		}
		before, now = now, before
	}
	var out []pair // from the end
	i, j := len(l), len(r)
	for i > 0 || j > 0 {
		switch {
		case i == 0:
			j--
			out = append(out, pair{-1, j, alone})
		case j == 0:
			i--
			out = append(out, pair{i, -1, alone})
		default:
			switch steps[i*width+j] {
			case diagonal:
				i, j = i-1, j-1
				out = append(out, pair{i, j, l[i].pairKind(r[j])})
			case up:
				i--
				out = append(out, pair{i, -1, alone})
			default:
				j--
				out = append(out, pair{-1, j, alone})
			}
		}
	}
	slices.Reverse(out)
	return beside(out)
}

// beside puts actions that stand alone at the same place beside each other.
func beside(pairs []pair) []pair {
	var out []pair
	for at := 0; at < len(pairs); {
		if pairs[at].kind != alone {
			out = append(out, pairs[at])
			at++
			continue
		}
		var lefts, rights []int
		for ; at < len(pairs) && pairs[at].kind == alone; at++ {
			if pairs[at].left >= 0 {
				lefts = append(lefts, pairs[at].left)
			} else {
				rights = append(rights, pairs[at].right)
			}
		}
		for i := range max(len(lefts), len(rights)) {
			p := pair{-1, -1, alone}
			if i < len(lefts) {
				p.left = lefts[i]
			}
			if i < len(rights) {
				p.right = rights[i]
			}
			if p.left >= 0 && p.right >= 0 {
				p.kind = different
			}
			out = append(out, p)
		}
	}
	return out
}
