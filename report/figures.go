package report

import (
	"math"
	"slices"
	"strconv"

	"mlgym/plot"
)

// Figure is a chart with the numbers that it shows.
type Figure struct {
	Name, Title string
	Definition  Definition
	// Numbers in long form.
	Numbers *Table
	Chart   *plot.Figure
	// Source is what Chart was laid out from, with every value that it shows: a
	// [plot.Lines], [plot.Bars], [plot.Columns], [plot.Scatter], [plot.Dots] or
	// [plot.Ranks].
	Source any
}

// lay lays the chart of the figure out.
func (f *Figure) lay(source interface{ Figure() *plot.Figure }) {
	f.Source, f.Chart = source, source.Figure()
}

// shownSteps is how many steps the chart of actions per step shows.
const shownSteps = 50

// Figures are the figures of the published evaluation, in one definition.
func (r *Report) Figures(d Definition) []*Figure {
	n := r.Definitions[d]
	if n == nil {
		return nil
	}
	figures := []*Figure{r.profileFigure(n, d), r.costFigure(n, d), r.exitFigure(n)}
	figures = append(figures, r.failureFigures(n)...)
	figures = append(figures, r.actionFigures(n, d)...)
	for _, f := range figures {
		f.Definition = d
		f.Numbers.Name, f.Numbers.Definition = f.Name, d
		if f.Numbers.Title == "" {
			f.Numbers.Title = f.Title
		}
	}
	return figures
}

func (r *Report) short(p int) string {
	if p < len(r.Models) {
		return r.Models[p].Short
	}
	return "Baseline"
}

// style is the look of a participant, the same in all figures of a report.
func (r *Report) style(p int) int {
	if p < len(r.Models) {
		return p
	}
	return -1
}

func (r *Report) profileFigure(n *Numbers, d Definition) *Figure {
	f := &Figure{Name: "performance_profile", Title: "Performance profiles"}
	f.Numbers = &Table{Header: []string{"kind", "participant", "tau", "fraction"}, Text: 2}
	chart := plot.Lines{
		Title:    f.Title,
		Subtitle: "Share of the tasks on which a model is at most 10^τ times worse than the best; higher is better",
		XLabel:   "τ = log10 of the performance ratio", YLabel: "share of the tasks",
		XMax: n.perform.MaxTau, YMax: 1.02, Percent: true,
	}
	if chart.XMax <= 0 {
		chart.XMax = 1
	}
	for _, k := range []Kind{Best, Last} {
		panel := plot.Panel{Title: "Best Attempt"}
		if k == Last {
			panel.Title = "Best Submission"
		}
		profiles := n.perform.of(k).Profiles
		if d == Corrected {
			profiles = n.perform.of(k).NeverProfiles
		}
		for p, profile := range profiles {
			for i, v := range profile {
				f.Numbers.Rows = append(f.Numbers.Rows, []string{string(k), r.study.participant(p), plain(n.perform.Grid[i]), plain(v)})
			}
			panel.Series = append(panel.Series, plot.Series{Name: r.short(p), Style: r.style(p), X: n.perform.Grid, Y: profile})
		}
		chart.Panels = append(chart.Panels, panel)
	}
	chart.Width, chart.Height = 760, 380
	f.lay(chart)
	return f
}

func (r *Report) costFigure(n *Numbers, d Definition) *Figure {
	f := &Figure{Name: "aup_vs_cost", Title: "Performance against cost"}
	f.Numbers = &Table{Header: []string{"model", "aup", "cost_usd"}, Text: 1}
	chart := plot.Scatter{
		Title:    f.Title,
		Subtitle: "Area under the profile of the best attempt, and the average price of a run; up and left is better",
		XLabel:   "US dollars a run", YLabel: "AUP@" + strconv.Itoa(r.runsPerCell()),
	}
	aup := n.perform.Best.AUP
	if d == Corrected {
		aup = n.perform.Best.NeverCounts
	}
	for p, m := range r.Models {
		c := r.Cost[m.ID]
		if c == nil || p >= len(aup) {
			continue
		}
		usd := c.AvgUSD
		if d == Corrected {
			usd = c.AvgUSDNonZero
		}
		if usd.IsNone() {
			continue
		}
		v := scaleRound(aup[p])
		f.Numbers.Rows = append(f.Numbers.Rows, []string{m.ID, plain(v), plain(float64(usd))})
		chart.Spots = append(chart.Spots, plot.Spot{Name: m.Short, Style: p, X: float64(usd), Y: v, Low: math.NaN(), High: math.NaN()})
	}
	f.lay(chart)
	return f
}

// runsPerCell is the largest number of runs of one model on one task.
func (r *Report) runsPerCell() int {
	n := 0
	counts := make(map[[2]string]int)
	for _, row := range r.Rows {
		key := [2]string{row.Model, row.Task}
		counts[key]++
		n = max(n, counts[key])
	}
	return n
}

// mainCategories come first, in this order; others follow by name.
var mainCategories = []string{"Evaluation", "Format", "Context", "Cost", "Submit", "Runtime", "Permission", "Time"}

func (r *Report) exitFigure(n *Numbers) *Figure {
	f := &Figure{Name: "exit_status_per_model", Title: "Termination errors by model"}
	f.Numbers = &Table{Header: []string{"model", "category", "count"}, Text: 2}
	chart := plot.Bars{
		Title:    f.Title,
		Subtitle: "How runs ended that did not end well; submissions, step limits and API failures are left out",
		XLabel:   "runs (a run may count twice)", Rows: r.shortNames(),
	}
	categories := slices.Clone(mainCategories)
	for _, c := range sortedKeys(n.Exits.Total) {
		if !slices.Contains(categories, c) {
			categories = append(categories, c)
		}
	}
	for _, m := range r.Models {
		for _, c := range categories {
			if count := n.Exits.PerModel[m.ID][c]; count > 0 {
				f.Numbers.Rows = append(f.Numbers.Rows, []string{m.ID, c, strconv.Itoa(count)})
			}
		}
	}
	rare := plot.Part{Name: "other", Color: len(mainCategories), Values: make([]float64, len(r.Models))}
	hasRare := false
	for _, c := range categories {
		if hidden(c) || n.Exits.Total[c] == 0 {
			continue
		}
		part := plot.Part{Name: c, Color: slices.Index(mainCategories, c) + 1}
		for i, m := range r.Models {
			v := float64(n.Exits.PerModel[m.ID][c])
			part.Values = append(part.Values, v)
			if !slices.Contains(mainCategories, c) {
				rare.Values[i] += v
				hasRare = true
			}
		}
		if slices.Contains(mainCategories, c) {
			chart.Parts = append(chart.Parts, part)
		}
	}
	if hasRare {
		chart.Parts = append(chart.Parts, rare)
	}
	f.lay(chart)
	return f
}

func (r *Report) shortNames() []string {
	var names []string
	for _, m := range r.Models {
		names = append(names, m.Short)
	}
	return names
}

func (r *Report) taskNames() []string {
	var names []string
	for _, t := range r.Tasks {
		names = append(names, t.Short)
	}
	return names
}

func (r *Report) failureFigures(n *Numbers) []*Figure {
	models, tasks := make([]string, 0), make([]string, 0)
	for _, m := range r.Models {
		models = append(models, m.ID)
	}
	for _, t := range r.Tasks {
		tasks = append(tasks, t.ID)
	}
	make1 := func(name, title, column string, ids, names []string, failed, incomplete Counts) *Figure {
		f := &Figure{Name: name, Title: title, Numbers: &Table{Header: []string{column, "failed", "incomplete"}, Text: 1}}
		chart := plot.Bars{
			Title: title, Rows: names, XLabel: "runs", Grouped: true,
			Subtitle: "Failed: nothing was ever scored.  Incomplete: something was, but the run did not end in a submission",
			Parts:    []plot.Part{{Name: "failed"}, {Name: "incomplete"}},
		}
		for _, id := range ids {
			f.Numbers.Rows = append(f.Numbers.Rows, []string{id, strconv.Itoa(failed[id]), strconv.Itoa(incomplete[id])})
			chart.Parts[0].Values = append(chart.Parts[0].Values, float64(failed[id]))
			chart.Parts[1].Values = append(chart.Parts[1].Values, float64(incomplete[id]))
		}
		f.lay(chart)
		return f
	}
	return []*Figure{
		make1("failed_incomplete_per_model", "Failed and incomplete runs by model", "model", models, r.shortNames(), n.Failures.FailedPerModel, n.Failures.IncompletePerModel),
		make1("failed_incomplete_per_task", "Failed and incomplete runs by task", "task", tasks, r.taskNames(), n.Failures.FailedPerTask, n.Failures.IncompletePerTask),
	}
}

func groups(d Definition) []Group {
	out := []Group{Edit, View, Validate, Submit, Search, Python, Bash}
	if d == Corrected {
		out = append(out, Memory, Limit)
	}
	return out
}

func (r *Report) actionFigures(n *Numbers, d Definition) []*Figure {
	a := n.Actions
	all := &Figure{Name: "actions", Title: "What agents do", Numbers: &Table{Header: []string{"group", "count"}, Text: 1}}
	sorted := slices.Clone(groups(d))
	slices.SortStableFunc(sorted, func(x, y Group) int { return a.Groups[y.String()] - a.Groups[x.String()] })
	bars := plot.Bars{
		Title: all.Title, Subtitle: "All actions of all runs: " + strconv.Itoa(a.Total), XLabel: "actions", Single: true,
		Parts: []plot.Part{{Name: "actions"}},
	}
	for _, g := range sorted {
		count := a.Groups[g.String()]
		if count == 0 {
			continue
		}
		all.Numbers.Rows = append(all.Numbers.Rows, []string{g.String(), strconv.Itoa(count)})
		bars.Rows = append(bars.Rows, g.String())
		bars.Parts[0].Values = append(bars.Parts[0].Values, float64(count))
		share := math.RoundToEven(1000*float64(count)/float64(a.Total)) / 10
		bars.Labels = append(bars.Labels, strconv.FormatFloat(share, 'f', 1, 64)+" %  ("+strconv.Itoa(count)+")")
	}
	all.lay(bars)
	figures := []*Figure{all}

	stacked := func(name, title, column string, ids, names []string, counts CountsBy) *Figure {
		f := &Figure{Name: name, Title: title, Numbers: &Table{Header: []string{column, "group", "count"}, Text: 2}}
		chart := plot.Bars{Title: title, Subtitle: "Number of actions of each kind", XLabel: "actions", Rows: names}
		for _, id := range ids {
			for _, g := range groups(d) {
				if c := counts[id][g.String()]; c > 0 {
					f.Numbers.Rows = append(f.Numbers.Rows, []string{id, g.String(), strconv.Itoa(c)})
				}
			}
		}
		for _, g := range groups(d) {
			if a.Groups[g.String()] == 0 {
				continue
			}
			part := plot.Part{Name: g.String(), Color: int(g) + 1}
			for _, id := range ids {
				part.Values = append(part.Values, float64(counts[id][g.String()]))
			}
			chart.Parts = append(chart.Parts, part)
		}
		f.lay(chart)
		return f
	}
	var models, tasks []string
	for _, m := range r.Models {
		models = append(models, m.ID)
	}
	for _, t := range r.Tasks {
		tasks = append(tasks, t.ID)
	}
	figures = append(figures,
		stacked("actions_per_model", "Actions by model", "model", models, r.shortNames(), a.PerModel),
		r.stepFigure(d),
		stacked("actions_per_task", "Actions by task", "task", tasks, r.taskNames(), a.PerTask))
	return figures
}

func (r *Report) stepFigure(d Definition) *Figure {
	f := &Figure{Name: "actions_per_step", Title: "Actions by step", Numbers: &Table{Header: []string{"step", "group", "count"}, Text: 2}}
	perStep := r.Definitions[d].Actions.PerStep
	chart := plot.Columns{
		Title: f.Title, Subtitle: "What runs do at each step; runs that have ended no longer count",
		XLabel: "step", YLabel: "runs", First: 1, Last: min(max(len(perStep), 1), shownSteps),
	}
	for i, counts := range perStep {
		for _, g := range groups(d) {
			if c := counts[g.String()]; c > 0 {
				f.Numbers.Rows = append(f.Numbers.Rows, []string{strconv.Itoa(i + 1), g.String(), strconv.Itoa(c)})
			}
		}
	}
	for _, g := range groups(d) {
		part := plot.Part{Name: g.String(), Color: int(g) + 1}
		some := false
		for _, counts := range perStep {
			part.Values = append(part.Values, float64(counts[g.String()]))
			some = some || counts[g.String()] > 0
		}
		if some {
			chart.Parts = append(chart.Parts, part)
		}
	}
	f.lay(chart)
	return f
}
