package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mlgym/gym"
	"mlgym/rollout"
	"mlgym/runstore"
)

// printedResult is a result as run --json prints it: every evaluation carries
// its metrics also beside its kind, as {"kind": "validate", "Score": 1.2, …}.
type printedResult struct {
	runstore.Result
	Scores []map[string]any `json:"scores"`
	Reason string           `json:"reason,omitempty"`
}

func printable(r runstore.Result, reason string) (printedResult, error) {
	p := printedResult{Result: r, Scores: []map[string]any{}, Reason: reason}
	for _, evaluation := range r.Scores {
		text, err := json.Marshal(evaluation)
		if err != nil {
			return p, err
		}
		line := map[string]any{}
		if err := json.Unmarshal(text, &line); err != nil {
			return p, err
		}
		for name, value := range evaluation.Scores {
			if _, taken := line[name]; !taken {
				line[name] = value
			}
		}
		p.Scores = append(p.Scores, line)
	}
	return p, nil
}

func (a *app) printResult(o *runOptions, r runstore.Result, outcome rollout.Outcome) error {
	if o.asJSON {
		p, err := printable(r, outcome.Reason)
		if err != nil {
			return err
		}
		return a.printJSON(p)
	}
	fmt.Fprintln(a.out)
	a.printSummary(r)
	fmt.Fprintf(a.out, "\nRead it: mlgym show %s\n", r.RunDir)
	return nil
}

// printSummary prints a result for people.
func (a *app) printSummary(r runstore.Result) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.out, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	who := r.Agent
	if r.Model != "" {
		who += " with " + r.Model
	}
	line("task", "%s, version %s, %s, %s", r.Task, r.TaskVersion, r.Variant, r.Mode)
	line("agent", "%s, seed %d", who, r.Seed)
	line("ended", "%s after %d steps, %s", status(r), r.Steps, seconds(r.Seconds).Round(100*time.Millisecond))
	if r.Fault != "" {
		line("fault", "%s", r.Fault)
	}
	line("baseline", "%s", scoresLine(r.Baseline, r.PrimaryMetric))
	if r.Best != nil {
		line("best", "%s (%s in step %d)", scoresLine(r.Best, r.PrimaryMetric), r.BestKind, r.BestStep)
	}
	line("submission", "%s%s", scoresLine(r.Submission, r.PrimaryMetric), compared(r))
	line("reward", "%.4g", r.Reward)
	if r.Model != "" {
		cost := "cost unknown (no price)"
		if r.CostUSD != nil {
			cost = fmt.Sprintf("$%.4f", *r.CostUSD)
		}
		line("model", "%d requests, %d tokens in, %d out, %s", r.Requests, r.TokensIn, r.TokensOut, cost)
	}
	line("record", "%s", r.RunDir)
}

func status(r runstore.Result) string {
	if r.Interrupted {
		return "not yet (cut short)"
	}
	return r.ExitStatus.String()
}

// compared says how the submission stands against the baseline.
func compared(r runstore.Result) string {
	got, ok := r.Submission[r.PrimaryMetric]
	base, okBase := r.Baseline[r.PrimaryMetric]
	if !ok || !okBase {
		return ""
	}
	switch {
	case r.Direction.Better(got, base):
		return ", better than the baseline"
	case got == base:
		return ", equal to the baseline"
	default:
		return ", not better than the baseline"
	}
}

// scoresLine writes the primary metric first, then the others.
func scoresLine(s gym.Scores, primary string) string {
	if s == nil {
		return "none"
	}
	names := slices.Sorted(maps.Keys(s))
	slices.SortStableFunc(names, func(x, y string) int {
		switch {
		case x == primary:
			return -1
		case y == primary:
			return 1
		}
		return 0
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %.5g", name, s[name]))
	}
	return strings.Join(parts, ", ")
}
