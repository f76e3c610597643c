// Package nearest finds the known names that are closest to a name somebody
// got wrong, for messages such as "unknown task; did you mean …".
package nearest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// most is how many names are offered at most.
const most = 3

// Names returns those of the known names that are close to got, the closest
// first, at most three. Case does not count as a difference of note. Names that
// are far from got (more than a third of the longer name, and at least two
// letters) are left out, unless got is a part of them.
func Names(got string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	lower := strings.ToLower(got)
	var found []candidate
	for _, name := range known {
		other := strings.ToLower(name)
		d := Distance(lower, other)
		limit := max(2, max(len([]rune(lower)), len([]rune(other)))/3)
		switch {
		case d <= limit:
		case len(lower) >= 3 && strings.Contains(other, lower):
			d = limit + 1 // a part of the name: offered after the misspelt ones
		default:
			continue
		}
		found = append(found, candidate{name, d})
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, c := range found[:min(most, len(found))] {
		names = append(names, c.name)
	}
	return names
}

// Hint turns nearest names into the end of a sentence: "" where nothing is
// close, else `; did you mean "a" or "b"?`.
func Hint(got string, known []string) string {
	names := Names(got, known)
	if len(names) == 0 {
		return ""
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return "; did you mean " + strings.Join(quoted, " or ") + "?"
}

// Distance is the number of letters to be inserted, removed, replaced or
// swapped with their neighbour to turn a into b (the restricted
// Damerau-Levenshtein distance).
func Distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before := make([]int, len(y)+1)
	row := make([]int, len(y)+1)
	next := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		next[0] = i + 1
		for j := range y {
			change := row[j]
			if x[i] != y[j] {
				change++
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, change)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(y)]
}
