package demo

import (
	"fmt"
	"regexp"
	"strings"
)

// candidate is a program to be tried.
type candidate struct {
	// name is unique within an episode; "" is the starting point.
	name string
	// idea says in a sentence why it may be worth a try.
	idea   string
	source string
	score  *float64
	// split is how an allocation divides what there is.
	split []int
}

const (
	gameFunction      = "row_strategy"
	heuristicFunction = "heuristic_fn"
)

func knows(function string) bool {
	return function == gameFunction || function == heuristicFunction
}

var allocationWords = regexp.MustCompile(`(?i)\b(battle-?fields?|soldiers|troops)\b`)

// candidates chooses the family of programs by the function that is asked for
// and by what the statement and the starting point say about its answer.
func candidates(function, text, starter string) ([]candidate, func(candidate) []candidate) {
	switch {
	case function == heuristicFunction:
		return branchingRules(), nil
	case function == gameFunction && allocationWords.MatchString(text+starter):
		fields := count(text, `battle-?fields?|fields`)
		total := count(text, `soldiers|troops|units`)
		if fields < 2 || fields > 1000 || total < fields {
			return nil, nil
		}
		return allocations(fields, total), refineAllocation
	case function == gameFunction:
		return moves(), nil
	}
	return nil, nil
}

// program makes a source file of one function. The first line says what it is.
func program(name, head, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n\n%s\n", name, head)
	for line := range strings.SplitSeq(strings.Trim(body, "\n"), "\n") {
		b.WriteString(strings.TrimRight("    "+line, " ") + "\n")
	}
	return b.String()
}

// moves are strategies of a repeated game with the moves 0 and 1, whose history
// is a list of (my move, their move).
func moves() []candidate {
	var out []candidate
	for _, row := range []struct{ name, idea, body string }{
		{"always 0", "the simplest strategy there is, and a yardstick for all others.", `
return 0`},
		{"always 1", "the other constant.", `
return 1`},
		{"copy", "do what the partner did last, starting with 0. It answers kindness with kindness.", `
return history[-1][1] if history else 0`},
		{"contrary", "do the opposite of what the partner did last.", `
return 1 - history[-1][1] if history else 1`},
		{"stay or change", "keep my move as long as the partner plays 0, change it after a 1.", `
if not history:
    return 0
mine, theirs = history[-1]
return mine if theirs == 0 else 1 - mine`},
		{"majority", "do what the partner has done most often in this game.", `
theirs = [partner for _, partner in history]
return 1 if 2 * sum(theirs) > len(theirs) else 0`},
	} {
		out = append(out, candidate{
			name: row.name, idea: row.idea,
			source: program(row.name, "def row_strategy(history):", row.body),
		})
	}
	return out
}

// allocations divide a total over fields, evenly over some of them.
func allocations(fields, total int) []candidate {
	var out []candidate
	for held := fields; held >= max(2, fields-3); held-- {
		split := even(fields, total, held)
		idea := fmt.Sprintf("concentrate on %d of %d fields and give up the rest.", held, fields)
		if held == fields {
			idea = "the same on every field."
		}
		out = append(out, allocation(fmt.Sprintf("even over %d", held), idea, split))
	}
	return out
}

func even(fields, total, held int) []int {
	split := make([]int, fields)
	for i := range held {
		split[i] = total / held
		if i < total%held {
			split[i]++
		}
	}
	return split
}

func allocation(name, idea string, split []int) candidate {
	text := strings.ReplaceAll(fmt.Sprint(split), " ", ", ")
	return candidate{
		name: name, idea: idea, split: split,
		source: program(name, "def row_strategy(history):", "return "+text),
	}
}

// refineAllocation makes neighbours of the best allocation.
func refineAllocation(best candidate) []candidate {
	held := 0
	for _, n := range best.split {
		if n > 0 {
			held++
		}
	}
	var out []candidate
	if held >= 3 && best.split[held-1] >= held {
		split := append([]int(nil), best.split...)
		split[held-1] -= held - 1
		for i := range held - 1 {
			split[i]++
		}
		out = append(out, allocation(best.name+", one weaker",
			"near the best one: one field a little weaker, the others a little stronger.", split))
	}
	if empty := len(best.split) - held; empty > 0 && best.split[held-1] > 2*empty {
		split := append([]int(nil), best.split...)
		for i := range empty {
			split[held+i] += 2
			split[i%held] -= 2
		}
		out = append(out, allocation(best.name+", two on the rest",
			"near the best one: a few on the fields that were given up, in case they come for nothing.", split))
	}
	return out
}

// branchingRules choose a variable and a value for a 3-SAT solver. A literal is
// open when its variable has no value yet.
func branchingRules() []candidate {
	const head = "def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):"
	const tally = `
best, most = None, 0.0
for literal, weight in weights.items():
    both = weight + weights.get(-literal, 0.0)
    if both > most or both == most and weight > weights.get(best, 0.0):
        best, most = literal, both
return (None, True) if best is None else (abs(best), best > 0)`
	var out []candidate
	for _, row := range []struct{ name, idea, body string }{
		{"first literal", "make the first open literal true: nearly no work for each decision.", `
for clause in clauses:
    for literal in clause:
        if abs(literal) not in assignments:
            return abs(literal), literal > 0
return None, True`},
		{"most frequent", "the variable that occurs most, with the sign it has most often.", `
weights = {}
for clause in clauses:
    for literal in clause:
        if abs(literal) not in assignments:
            weights[literal] = weights.get(literal, 0.0) + 1.0` + tally},
		{"Jeroslow-Wang", "as before, but a clause counts twice as much with each literal less: short clauses are urgent.", `
weights = {}
for clause in clauses:
    open_literals = [x for x in clause if abs(x) not in assignments]
    weight = 0.5 ** len(open_literals)
    for literal in open_literals:
        weights[literal] = weights.get(literal, 0.0) + weight` + tally},
		{"shortest clause", "the first open literal of a clause with the fewest open literals.", `
best = None
for clause in clauses:
    open_literals = [x for x in clause if abs(x) not in assignments]
    if open_literals and (best is None or len(open_literals) < len(best)):
        best = open_literals
        if len(best) <= 2:
            break
return (abs(best[0]), best[0] > 0) if best else (None, True)`},
		{"conflicts first", "most frequent, and variables that took part in conflicts count more.", `
weights = {}
for clause in clauses:
    for literal in clause:
        if abs(literal) not in assignments:
            gain = 1.0 + conflict_count.get(abs(literal), 0)
            weights[literal] = weights.get(literal, 0.0) + gain` + tally},
	} {
		out = append(out, candidate{name: row.name, idea: row.idea, source: program(row.name, head, row.body)})
	}
	return out
}
