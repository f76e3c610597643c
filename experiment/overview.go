package experiment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Overview says what running a plan would mean.
type Overview struct {
	// Grid says what the plan is made of: "2 tasks × 3 agents × 4 seeds".
	Grid  string `json:"grid"`
	Total int    `json:"total"`
	// Done and Failed have their outcome, Begun were cut and go on, New were never
	// begun, Skipped cannot run on this machine.
	Done    int `json:"done"`
	Failed  int `json:"failed"`
	Begun   int `json:"begun"`
	New     int `json:"new"`
	Skipped int `json:"skipped"`
	// Unplanned cells in the directory belong to no episode of the plan.
	Unplanned int `json:"unplanned"`
	// WorstUSD is what the models of those that are to be run may cost by the
	// limits of each; Unbounded counts those whose cost nothing bounds.
	WorstUSD  float64 `json:"worst_usd"`
	Unbounded int     `json:"unbounded"`
}

// Preview looks at a directory, which need not be there, as running the plan in it
// would find it.
func Preview(ctx context.Context, dir string, p *Plan) (Overview, error) {
	v := Overview{Total: len(p.Cells)}
	tasks, agents, seeds := map[string]bool{}, map[string]bool{}, map[uint64]bool{}
	known := map[string]bool{}
	store, err := openStore(dir)
	if err != nil {
		return v, err
	}
	for _, c := range p.Cells {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		tasks[c.Spec.Task], agents[c.Agent], seeds[c.Spec.Seed], known[c.Dir()] = true, true, true, true
		st, err := store.episode(c.entry())
		if err != nil {
			return v, fmt.Errorf("%s: %w", c.Name, err)
		}
		switch {
		case st.State == Done:
			v.Done++
			continue
		case st.State == Failed:
			v.Failed++
			continue
		case st.State == Skipped:
			v.Skipped++
			continue
		case st.Attempt > 0:
			v.Begun++
		default:
			v.New++
		}
		if c.WorstUSD == nil {
			v.Unbounded++
		} else {
			v.WorstUSD += *c.WorstUSD
		}
	}
	v.Grid = fmt.Sprintf("%s × %s × %s", some(len(tasks), "task"), some(len(agents), "agent"), some(len(seeds), "seed"))
	entries, err := os.ReadDir(filepath.Join(store.dir, CellsName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	for _, e := range entries {
		if !known[e.Name()] && !strings.HasPrefix(e.Name(), ".") {
			v.Unplanned++
		}
	}
	return v, nil
}

func some(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// WorstText is the worst cost for people.
func (v Overview) WorstText() string {
	text := fmt.Sprintf("$%.2f", v.WorstUSD)
	if v.Unbounded > 0 {
		text += fmt.Sprintf(", and %s whose cost nothing limits (no price is known, or cost_limit is 0)", some(v.Unbounded, "episode"))
	}
	return text
}

// String is the limits for people, "" where there is none.
func (l Limits) String() string {
	var parts []string
	if l.USD > 0 {
		parts = append(parts, fmt.Sprintf("$%.2f", l.USD))
	}
	if l.Tokens > 0 {
		parts = append(parts, fmt.Sprintf("%d tokens", l.Tokens))
	}
	if l.Hours > 0 {
		parts = append(parts, fmt.Sprintf("%g h", l.Hours))
	}
	return strings.Join(parts, ", ")
}
