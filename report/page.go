package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Section is a part of the page that people read.
type Section struct {
	ID, Title string
	// Text is a paragraph of plain text.
	Text    string
	Tables  []*Table
	Figures []*Figure
	// Folded sections are closed at first.
	Folded bool
}

var definitionText = map[Definition]string{
	MLGym:     "mlgym: as published",
	Corrected: "corrected",
}

// Sections are what the page of the report holds, in order. The tables in them are
// those for people: names in place of ids, and shorter numbers than those of
// [Report.EveryTable].
func (r *Report) Sections() []Section { return r.sections(r.EveryFigure()) }

// sections are what page and Markdown hold, in order.
func (r *Report) sections(figures []*Figure) []Section {
	of := func(names ...string) (out []*Figure) {
		for _, name := range names {
			for _, f := range figures {
				if f.Name == name {
					out = append(out, f)
				}
			}
		}
		return out
	}
	each := func(tables func(n *Numbers, d Definition) []*Table) (out []*Table) {
		for _, d := range r.order {
			out = append(out, tables(r.Definitions[d], d)...)
		}
		return out
	}
	list := []Section{
		{ID: "summary", Title: "At a glance", Text: r.inputText(), Tables: r.headline(), Figures: of("aup_intervals")},
		{ID: "profiles", Title: "Performance profiles", Text: r.profileText(), Figures: of("performance_profile", "profile_intervals", "aup_vs_cost")},
		{
			ID: "scores", Title: "Scores", Text: "The best of all runs of a model on a task. An empty cell is a model without a score. The best score of each task stands out.",
			Tables: each(func(n *Numbers, d Definition) []*Table {
				return []*Table{r.readableScores(n, d, Best), r.readableScores(n, d, Last)}
			}),
		},
		{
			ID: "ranks", Title: "Rankings", Text: "Best first. The row that the publication calls “Plackett-Luce” is a mean rank; no such model is fitted there. A fitted one is below, under Statistics.",
			Tables: each(func(n *Numbers, d Definition) []*Table {
				return []*Table{r.readableRanks(n, d, Best), r.readableRanks(n, d, Last)}
			}),
		},
	}
	list = append(list, r.statisticsSections(of)...)
	list = append(list, r.auditSections()...)
	summaries := r.SummaryTables()
	list = append(list,
		Section{
			ID: "ends", Title: "How runs end", Text: fmt.Sprintf("From the %d of %d runs whose record of steps could be read.", r.Runs.WithRecord, r.Runs.Used),
			Figures: of("exit_status_per_model", "failed_incomplete_per_model", "failed_incomplete_per_task"),
		},
		Section{ID: "actions", Title: "What agents do", Figures: of("actions", "actions_per_model", "actions_per_step", "actions_per_task")},
		Section{
			ID: "cost", Title: "Tokens and cost", Text: "Dollars are computed from the recorded tokens and the price table; a model without a price has no cost rather than a cost of zero.",
			Tables: []*Table{r.readableCost()},
		},
		Section{ID: "runs", Title: "Every metric, per task and model", Tables: []*Table{readableSummary(summaries[0])}, Folded: true},
		Section{ID: "valid", Title: "Runs with a file of scores", Tables: []*Table{summaries[1]}, Folded: true},
		Section{ID: "left-out", Title: "Left out, and why", Text: r.exclusionText(), Tables: r.exclusionTables()},
	)
	return list
}

func (r *Report) inputText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs of %d models on %d tasks; %d have a file of scores, %d a readable record of their steps.",
		r.Runs.Used, len(r.Models), len(r.Tasks), r.Runs.WithResults, r.Runs.WithRecord)
	if r.Runs.Excluded > 0 {
		fmt.Fprintf(&b, " %d folders or files were left out; the reasons are at the end.", r.Runs.Excluded)
	}
	if r.Runs.Untouched > 0 {
		fmt.Fprintf(&b, " %d runs neither edited nor ran anything: a score of theirs is that of the starter files.", r.Runs.Untouched)
	}
	if r.Runs.Used == 0 {
		b.WriteString(" There is nothing to compare.")
	}
	return b.String()
}

func (r *Report) profileText() string {
	var b strings.Builder
	for _, d := range r.order {
		n := r.Definitions[d]
		fmt.Fprintf(&b, "In the definitions “%s” the axis ends at T = %s. ", d, plain(n.perform.MaxTau))
		for _, k := range []Kind{Best, Last} {
			for ti, err := range n.perform.of(k).Problems {
				if err != nil {
					fmt.Fprintf(&b, "%s has no ratios for the %s, since %s; nobody reaches it. ", r.Tasks[ti].Name, kindTitle[k], err)
				}
			}
		}
	}
	b.WriteString("Areas of different lists of models cannot be compared unless T is fixed.")
	return b.String()
}

// headline is the table to look at first.
func (r *Report) headline() []*Table {
	t := &Table{Name: "headline", Title: "Area under the performance profile (AUP)", Text: 1, Header: []string{"Model"}}
	t.About = "mlgym: as published, an infeasible participant counts 1.05 times the worst feasible one. corrected: it never reaches the task, and a submission counts only if one was evaluated."
	type column struct {
		name   string
		values []float64
	}
	var columns []column
	for _, d := range r.order {
		n := r.Definitions[d]
		best, last := n.perform.Best.AUP, n.perform.Last.AUP
		if d == Corrected {
			best, last = n.perform.Best.NeverCounts, n.perform.Last.NeverCounts
		}
		columns = append(columns, column{"best attempt, " + string(d), best}, column{"best submission, " + string(d), last})
	}
	for p := range len(r.Models) + 1 {
		row := []string{r.long(p)}
		if p < len(r.Models) {
			row = []string{r.Models[p].Name}
		}
		for _, c := range columns {
			v := math.NaN()
			if p < len(c.values) {
				v = c.values[p]
			}
			row = append(row, human(v))
		}
		t.Rows = append(t.Rows, row)
	}
	for i, c := range columns {
		t.Header = append(t.Header, c.name)
		t.mark(i+1, func(p int) float64 {
			if p < len(c.values) {
				return c.values[p]
			}
			return math.NaN()
		}, false)
	}
	return []*Table{t}
}

func (r *Report) long(p int) string {
	if p < len(r.Models) {
		return r.Models[p].Name
	}
	return "Baseline"
}

// mark lets the best cells of a column stand out.
func (t *Table) mark(column int, value func(row int) float64, smallest bool) {
	best := math.NaN()
	for i := range t.Rows {
		v := value(i)
		if math.IsNaN(best) || v > best && !smallest || v < best && smallest {
			best = v
		}
	}
	for i := range t.Rows {
		if value(i) == best {
			t.strong(i, column)
		}
	}
}

func (t *Table) strong(row, column int) {
	if t.Strong == nil {
		t.Strong = make(map[[2]int]bool)
	}
	t.Strong[[2]int{row, column}] = true
}

func (r *Report) readableScores(n *Numbers, d Definition, k Kind) *Table {
	t := r.scoreTable(n, d, k)
	t.Header = []string{"Task", "Baseline"}
	for _, m := range r.Models {
		t.Header = append(t.Header, m.Short)
	}
	for ti, task := range r.Tasks {
		scores := n.scores.of(k)[ti]
		arrow := " ↑"
		if task.DirectionName == "minimize" {
			arrow = " ↓"
		}
		t.Rows[ti][0] = task.Name + arrow
		t.Rows[ti][1] = human(scores[len(r.Models)])
		for m := range r.Models {
			t.Rows[ti][m+2] = human(scores[m])
		}
		if best := task.Direction.Best(scores[:len(r.Models)]); best >= 0 {
			for m := range r.Models {
				if scores[m] == scores[best] {
					t.strong(ti, m+2)
				}
			}
		}
	}
	t.About = "↑ larger is better, ↓ smaller is better."
	return t
}

func (r *Report) readableRanks(n *Numbers, d Definition, k Kind) *Table {
	t := r.rankTable(n, d, k)
	name := make(map[string]string)
	for _, m := range r.Models {
		name[m.ID] = m.Short
	}
	for i, row := range t.Rows {
		for j, cell := range row {
			if j == 0 {
				continue
			}
			short, ok := name[cell]
			if !ok {
				short = "Baseline"
			}
			if i < len(r.Tasks) && j > len(n.rankings[k].PerTask[i].Scored) {
				short = "(" + short + ")"
			}
			row[j] = short
		}
	}
	t.About = "In brackets: without a score. Its place is the order of the list (mlgym) or shared (corrected)."
	return t
}

func (r *Report) readableCost() *Table {
	t := &Table{
		Name: "cost", Title: "Average run of each model", Text: 1,
		Header: []string{"Model", "runs", "tokens in", "tokens out", "dollars, all runs", "runs without a model call", "dollars, other runs"},
	}
	for _, m := range r.Models {
		c := r.Cost[m.ID]
		if c == nil {
			t.Rows = append(t.Rows, []string{m.Name, "0", "–", "–", "–", "–", "–"})
			continue
		}
		whole := func(v Number) string { return strconv.FormatFloat(math.Round(float64(v)), 'f', -1, 64) }
		t.Rows = append(t.Rows, []string{
			m.Name, strconv.Itoa(c.Runs), whole(c.AvgSent), whole(c.AvgReceived),
			human(float64(c.AvgUSD)), strconv.Itoa(c.ZeroRuns), human(float64(c.AvgUSDNonZero)),
		})
	}
	return t
}

func readableSummary(t *Table) *Table {
	short := *t
	short.Header = t.Header[:len(t.Header)-1]
	short.Rows = nil
	for _, row := range t.Rows {
		short.Rows = append(short.Rows, row[:len(row)-1])
	}
	return &short
}

func (r *Report) exclusionText() string {
	if len(r.Excluded) == 0 && len(r.Notes) == 0 {
		return "Nothing was left out, and nothing in the input was amiss."
	}
	return fmt.Sprintf("%d folders or files were left out, and there are %d notes on inputs that were used. The same reason is listed once, with an example; report.json has all.",
		len(r.Excluded), len(r.Notes))
}

func (r *Report) exclusionTables() []*Table {
	var tables []*Table
	group := func(name, title, column string, n int, at func(i int) (path, text string)) {
		if n == 0 {
			return
		}
		t := &Table{Name: name, Title: title, Text: 2, Header: []string{column, "example", "how many"}}
		count := make(map[string]int)
		first := make(map[string]string)
		var order []string
		for i := range n {
			path, text := at(i)
			if count[text] == 0 {
				order = append(order, text)
				first[text] = path
			}
			count[text]++
		}
		for _, text := range order {
			t.Rows = append(t.Rows, []string{text, first[text], strconv.Itoa(count[text])})
		}
		tables = append(tables, t)
	}
	group("excluded", "Left out", "reason", len(r.Excluded), func(i int) (string, string) { return r.Excluded[i].Path, r.Excluded[i].Reason })
	group("notes", "Used, with a note", "note", len(r.Notes), func(i int) (string, string) { return r.Notes[i].Path, r.Notes[i].Text })
	return tables
}
