package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mlgym/internal/cachedir"
	"mlgym/internal/nearest"
	"mlgym/search"
)

// searchCommand makes `mlgym search`.
func (a *app) searchCommand() *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "search RUNS... TEXT",
		Short: "Find the steps of runs in which something happened",
		Long: `Search looks through every action, thought and observation of the runs at and below
the given folders: runs of mlgym, also those still going on, and run folders as
MLGym publishes them. The last argument is what is looked for:

  learning rate      steps with both words, whatever the case
  "learning rate"    with these words one after the other (quote the quotes: '"learning rate"')
  optim*             with a word that begins so
  -error             without this word; put -- before a text that begins with a dash
  adam OR sgd        with either
  np.random          with exactly this; so ./train.py, --epochs, loss=0.5, '!='

The first search reads the runs into an index in the cache; later ones read what
changed. Exit code 0 also when nothing is found; use --json to act on it.`,
		Example: `  mlgym search runs/ "out of memory"
  mlgym search trajectories/mlgym_bench_v0 'train.py -validate' --in action --task blotto
  mlgym search runs/ --exit autosubmission --json '"early stopping" OR patience'`,
		Args: args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, given []string) error { return o.run(cmd.Context(), a, given) },
	}
	o.flags(cmd.Flags())
	return cmd
}

type searchOptions struct {
	in, after             string
	tasks, models, agents []string
	exits, states         []string
	minScore, maxScore    string
	limit, perRun         int
	asJSON                bool
}

func (o *searchOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.in, "in", "", "look in this part of the steps only: action, thought or observation")
	f.StringSliceVar(&o.tasks, "task", nil, "in runs on these tasks")
	f.StringSliceVar(&o.models, "model", nil, "in runs of these models")
	f.StringSliceVar(&o.agents, "agent", nil, "in runs of these agents, or of those that an experiment calls so")
	f.StringSliceVar(&o.exits, "exit", nil, `in runs that ended so, such as "submitted" or "autosubmission (max_steps)"; autosubmission alone means all of them`)
	f.StringSliceVar(&o.states, "state", nil, "in runs that are running, cut, finished or broken")
	f.StringVar(&o.minScore, "min-score", "", "in runs with this score or more")
	f.StringVar(&o.maxScore, "max-score", "", "in runs with this score or less")
	f.IntVar(&o.limit, "limit", 20, "print this many steps")
	f.IntVar(&o.perRun, "per-run", 0, "print this many steps of one run; 0 means all")
	f.StringVar(&o.after, "after", "", "go on where an earlier search ended, with the word that it printed")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
}

// query makes the question of the flags, as far as it does not depend on the
// runs.
func (o *searchOptions) query(roots []string, text string) (search.Query, error) {
	q := search.Query{
		Text: text, In: search.Field(o.in), Limit: o.limit, PerRun: o.perRun, After: o.after,
		Filter: search.Filter{Roots: roots, Tasks: o.tasks, Models: o.models, Agents: o.agents, ExitStatus: o.exits},
	}
	if o.in != "" && !slices.Contains(search.Fields(), q.In) {
		return q, usagef("--in %q is none of action, thought, observation", o.in)
	}
	if o.limit < 1 || o.perRun < 0 {
		return q, usagef("--limit must be 1 or more, and --per-run 0 or more")
	}
	if strings.TrimSpace(text) == "" {
		return q, usagef("the text to look for is empty")
	}
	for _, s := range o.states {
		if !slices.Contains(search.States(), search.State(s)) {
			return q, usagef("--state %q is none of running, cut, finished, broken", s)
		}
		q.States = append(q.States, search.State(s))
	}
	for _, bound := range []struct {
		flag, text string
		to         **float64
	}{{"--min-score", o.minScore, &q.MinScore}, {"--max-score", o.maxScore, &q.MaxScore}} {
		if bound.text == "" {
			continue
		}
		x, err := strconv.ParseFloat(bound.text, 64)
		if err != nil {
			return q, usagef("%s %q is not a number", bound.flag, bound.text)
		}
		*bound.to = &x
	}
	return q, nil
}

// openIndex opens the index that all commands share.
func openIndex(ctx context.Context) (*search.Index, error) {
	dir, err := cachedir.Dir("search")
	if err != nil {
		return nil, err
	}
	return search.Open(ctx, dir, search.Options{Metric: metricOf()})
}

func (o *searchOptions) run(ctx context.Context, a *app, given []string) (err error) {
	roots, text := given[:len(given)-1], given[len(given)-1]
	q, err := o.query(roots, text)
	if err != nil {
		return err
	}
	index, err := openIndex(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	begin := time.Now()
	sum, err := a.updateIndex(ctx, index, roots)
	if err != nil {
		return err
	}
	if err := o.known(ctx, index, roots); err != nil {
		return err
	}
	updated := time.Now()
	page, err := index.Query(ctx, q)
	if errors.Is(err, search.ErrDamaged) {
		// The file was spoilt after it was opened; it is made anew, once.
		if _, err := a.updateIndex(ctx, index, roots); err != nil {
			return err
		}
		page, err = index.Query(ctx, q)
	}
	if errors.Is(err, search.ErrCursor) {
		return usagef("--after: %w", err)
	}
	if err != nil {
		return err
	}
	a.log.Debug("searched", "runs", sum.Runs, "read", sum.Read, "update", updated.Sub(begin), "query", time.Since(updated))
	if o.asJSON {
		return a.printJSON(searchReport{
			Query: text, In: search.Field(o.in), SearchedRuns: sum.Runs, BrokenRuns: sum.Broken, Problems: append([]search.Problem{}, sum.Problems...), Page: page,
		})
	}
	sayFound(a.out, roots, page)
	if sum.Broken > 0 {
		fmt.Fprintf(a.out, "%d of the %d runs are broken; what could be read of them was searched (--state broken)\n", sum.Broken, sum.Runs)
	}
	if n := len(sum.Problems); n > 0 {
		fmt.Fprintf(a.out, "%d folders could not be read, such as %s: %s\n", n, sum.Problems[0].Path, sum.Problems[0].Text)
	}
	if sum.Runs == 0 {
		fmt.Fprintln(a.out, "there are no runs in what was given")
	}
	return nil
}

// searchReport is what "search --json" prints.
type searchReport struct {
	Query        string           `json:"query"`
	In           search.Field     `json:"in,omitempty"`
	SearchedRuns int              `json:"searched_runs"`
	BrokenRuns   int              `json:"broken_runs"`
	Problems     []search.Problem `json:"problems"`
	search.Page
}

// updateIndex brings the index up to date and shows how far it is.
func (a *app) updateIndex(ctx context.Context, index *search.Index, roots []string) (search.Summary, error) {
	progress := newCounter(a.err, "runs read")
	last := -1
	sum, err := index.Update(ctx, roots, func(p search.Progress) {
		if p.Waiting {
			a.log.Debug("another process is reading runs into the index; waiting for it")
			return
		}
		// As often as it is worth a look: at each hundredth of the bytes.
		if part := int(100 * p.Bytes / max(1, p.AllBytes)); part != last {
			last = part
			progress.show(p.Runs, p.AllRuns)
		}
	})
	progress.end()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, search.ErrNotFolder):
		if len(roots) > 1 {
			return sum, usagef("%w; what is looked for is the last argument, so put several words between quotes", err)
		}
		return sum, usage(err)
	case err != nil:
		return sum, err
	}
	if sum.Rebuilt != "" {
		fmt.Fprintf(a.err, "The search index was built anew: %s.\n", sum.Rebuilt)
	}
	return sum, nil
}

// known refuses names that no run has, with the nearest that some have.
func (o *searchOptions) known(ctx context.Context, index *search.Index, roots []string) error {
	if len(o.tasks)+len(o.models)+len(o.agents)+len(o.exits) == 0 {
		return nil
	}
	v, err := index.Values(ctx, search.Filter{Roots: roots})
	if err != nil {
		return err
	}
	var kinds []search.Count
	for _, c := range v.ExitStatus {
		outcome, _, _ := strings.Cut(c.Value, " (")
		kinds = append(kinds, search.Count{Value: outcome})
	}
	for _, check := range []struct {
		flag  string
		names []string
		known []search.Count
	}{
		{"task", o.tasks, v.Tasks}, {"model", o.models, v.Models}, {"agent", o.agents, v.Agents}, {"exit", o.exits, append(kinds, v.ExitStatus...)},
	} {
		var known []string
		for _, c := range check.known {
			known = append(known, c.Value)
		}
		slices.Sort(known)
		known = slices.Compact(known)
		for _, name := range check.names {
			if !slices.Contains(known, name) {
				return usagef("--%s %q: no run has it%s", check.flag, name, nearest.Hint(name, known))
			}
		}
	}
	return nil
}

// sayFound prints what was found, run after run.
func sayFound(w io.Writer, roots []string, page search.Page) {
	var run *search.Run
	for _, h := range page.Hits {
		if h.Run != run {
			run = h.Run
			fmt.Fprintf(w, "%s  %s\n", printablePath(relative(roots, run.Path)), aboutRun(run, h.InRun))
		}
		for i, s := range h.Snippets {
			label := fmt.Sprintf("step %d", h.Step)
			if i > 0 {
				label = strings.Repeat(" ", len(label))
			}
			fmt.Fprintf(w, "  %s %-11s %s\n", label, s.Field, dots(s))
		}
	}
	switch {
	case page.Steps == 0:
		fmt.Fprintln(w, "nothing was found")
		return
	case page.Exact:
		fmt.Fprintf(w, "found in %s of %s", amount(page.Steps, "step"), amount(page.Runs, "run"))
	default:
		fmt.Fprintf(w, "found in up to %s of %s", amount(page.Steps, "step"), amount(page.Runs, "run"))
	}
	if page.Next != "" {
		fmt.Fprintf(w, "; more with --after %s, or a larger --limit", page.Next)
	}
	fmt.Fprintln(w)
}

func amount(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// dots marks that a text has more before or after.
func dots(s search.Snippet) string {
	text := s.Text
	if s.Before {
		text = "… " + text
	}
	if s.After {
		text += " …"
	}
	return text
}

// aboutRun says in a few words what a run is.
func aboutRun(r *search.Run, found int) string {
	var parts []string
	for _, part := range []string{r.Task, r.Model, string(r.State), r.ExitStatus} {
		if part != "" && part != string(search.Finished) {
			parts = append(parts, part)
		}
	}
	score := r.Score
	if score == nil {
		score = r.Best
	}
	if score != nil {
		parts = append(parts, fmt.Sprintf("%s %.4g", r.Metric, *score))
	}
	return printablePath(strings.Join(parts, ", ")) + ": " + amount(found, "step")
}

// relative is a run's path as the folders were given.
func relative(roots []string, path string) string {
	for _, root := range roots {
		abs, err := filepath.Abs(root)
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(abs, path); err == nil && filepath.IsLocal(rel) {
			return filepath.Join(root, rel)
		}
	}
	return path
}

// printablePath quotes a name with signs that steer terminals.
func printablePath(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}
