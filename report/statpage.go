package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"mlgym/plot"
)

func (e Estimate) spot(name string, style int) plot.Spot {
	s := plot.Spot{Name: name, Style: style, X: float64(e.Value), Y: math.NaN(), Low: math.NaN(), High: math.NaN()}
	ci := e.Runs
	if ci == nil {
		ci = e.TasksAndRuns
	}
	if ci != nil {
		s.Low, s.High = float64(ci[0]), float64(ci[1])
	}
	return s
}

// statisticsFigures are the figures that the published evaluation lacks.
func (r *Report) statisticsFigures() []*Figure {
	st := r.Statistics
	if st == nil || len(st.Models) == 0 {
		return nil
	}
	var figures []*Figure
	if n := r.Definitions[MLGym]; n != nil && len(n.perform.Best.AUP) > len(r.Models) {
		f := r.dotFigure("aup_intervals", "Area under the profile, with intervals",
			"Area as published, best attempt; bars are 95 % intervals over runs. Dashed: the baseline", n.perform.Best.AUP[len(r.Models)],
			func(m *ModelStats) Estimate { return m.PublishedAUP }, "AUP (as published)")
		f.Definition = MLGym
		figures = append(figures, f)
	}
	figures = append(
		figures,
		r.dotFigure("aup_intervals", "Area under the profile, with intervals",
			"Corrected area, best attempt; bars are 95 % intervals over runs. Dashed: the baseline", float64(st.baselineAUP),
			func(m *ModelStats) Estimate { return m.AUP }, "AUP (corrected)"),
		r.dotFigure("iqm_intervals", "A typical run: interquartile mean",
			"0 is the starter, 1 the best score published; bars are 95 % intervals over runs", 0,
			func(m *ModelStats) Estimate { return m.IQM }, "interquartile mean of normalised scores"),
		r.dotFigure("plackett_luce", "Strength: a fitted Plackett–Luce model",
			"Log strength, mean zero; bars are 95 % intervals over tasks and runs", math.NaN(),
			func(m *ModelStats) Estimate { return m.PlackettLuce }, "log strength"),
		r.bandFigure(), r.differenceFigure(), r.distributionFigure(),
	)
	for _, unit := range []string{"steps", "seconds", "tokens", "usd"} {
		if a := st.Anytime[unit]; a != nil {
			figures = append(figures, r.anytimeFigure(a))
		}
	}
	return figures
}

func (r *Report) dotFigure(name, title, subtitle string, reference float64, of func(*ModelStats) Estimate, label string) *Figure {
	f := &Figure{Name: name, Title: title, Definition: Corrected}
	f.Numbers = &Table{Name: name, Title: title, Text: 1, Header: []string{"model", "value", "low", "high"}}
	chart := plot.Dots{Title: title, Subtitle: subtitle, XLabel: label, Reference: reference}
	for p, m := range r.Models {
		s := of(r.Statistics.Models[m.ID]).spot(m.Short, p)
		chart.Spots = append(chart.Spots, s)
		f.Numbers.Rows = append(f.Numbers.Rows, []string{m.ID, plain(s.X), plain(s.Low), plain(s.High)})
	}
	f.lay(chart)
	return f
}

// bandFigure shows the corrected profile of each participant with its band,
// the others in the background.
func (r *Report) bandFigure() *Figure {
	f := &Figure{Name: "profile_intervals", Title: "Performance profiles with intervals", Definition: Corrected}
	f.Numbers = &Table{Name: f.Name, Title: f.Title, Text: 2, Header: []string{"kind", "participant", "tau", "low", "fraction", "high"}}
	b := r.Statistics.Bands
	chart := plot.Lines{
		Title: f.Title, Subtitle: "Share of the tasks against τ; best attempt, corrected; bands are pointwise 95 % intervals over runs",
		YMax: 1.02, Percent: true, NoLegend: true, Columns: 4,
	}
	for _, g := range b.Grid {
		chart.XMax = max(chart.XMax, float64(g))
	}
	if chart.XMax <= 0 {
		chart.XMax = 1
	}
	floats := func(ns []Number) []float64 {
		out := make([]float64, len(ns))
		for i, n := range ns {
			out[i] = float64(n)
		}
		return out
	}
	people := len(r.Models) + 1
	for p := range people {
		panel := plot.Panel{Title: r.short(p)}
		for q := range people {
			if q != p {
				panel.Series = append(panel.Series, plot.Series{Faint: true, X: floats(b.Grid), Y: floats(b.Mid[Best][r.study.participant(q)])})
			}
		}
		id := r.study.participant(p)
		panel.Series = append(panel.Series, plot.Series{
			Name: r.short(p), Style: r.style(p), X: floats(b.Grid),
			Y: floats(b.Mid[Best][id]), Low: floats(b.Low[Best][id]), High: floats(b.High[Best][id]),
		})
		chart.Panels = append(chart.Panels, panel)
	}
	for _, k := range []Kind{Best, Last} {
		for p := range people {
			id := r.study.participant(p)
			for i, tau := range b.Grid {
				f.Numbers.Rows = append(f.Numbers.Rows, []string{
					string(k), id, plain(float64(tau)),
					plain(float64(b.Low[k][id][i])), plain(float64(b.Mid[k][id][i])), plain(float64(b.High[k][id][i])),
				})
			}
		}
	}
	f.lay(chart)
	return f
}

// distributionFigure shows the share of runs with a score above each value.
func (r *Report) distributionFigure() *Figure {
	f := &Figure{Name: "score_profile", Title: "How the scores of runs are distributed", Definition: Corrected}
	f.Numbers = &Table{Name: f.Name, Title: f.Title, Text: 1, Header: []string{"model", "score", "fraction"}}
	chart := plot.Lines{
		Title: f.Title, Subtitle: "Share of all runs with a normalised score above each value; 0 is the starter, 1 the reference",
		XLabel: "normalised score", YLabel: "share of runs", XMin: ClipLow, XMax: ClipHigh, YMax: 1.02, Percent: true, Width: 640, Height: 360,
	}
	var panel plot.Panel
	grid := r.Statistics.DistributionGrid
	for p, m := range r.Models {
		s := plot.Series{Name: m.Short, Style: p}
		for i, v := range r.Statistics.Models[m.ID].Distribution {
			s.X, s.Y = append(s.X, float64(grid[i])), append(s.Y, float64(v))
			f.Numbers.Rows = append(f.Numbers.Rows, []string{m.ID, plain(float64(grid[i])), plain(float64(v))})
		}
		panel.Series = append(panel.Series, s)
	}
	chart.Panels = []plot.Panel{panel}
	f.lay(chart)
	return f
}

func (r *Report) differenceFigure() *Figure {
	st := r.Statistics
	f := &Figure{Name: "critical_difference", Title: "Mean ranks and what tells them apart", Definition: Corrected}
	f.Numbers = &Table{Name: f.Name, Title: f.Title, Text: 1, Header: []string{"model", "mean_rank", "low", "high"}}
	chart := plot.Ranks{
		Title: f.Title, Difference: float64(st.CriticalDifference),
		Subtitle: fmt.Sprintf("Friedman p = %s over %d tasks; models joined by a bar do not differ (Nemenyi, 5 %%)", human(float64(st.FriedmanP)), len(r.Tasks)),
	}
	for p, m := range r.Models {
		s := st.Models[m.ID].MeanRank.spot(m.Short, p)
		if len(r.Models) < 2 {
			continue
		}
		chart.Spots = append(chart.Spots, s)
		f.Numbers.Rows = append(f.Numbers.Rows, []string{m.ID, plain(s.X), plain(s.Low), plain(s.High)})
	}
	f.lay(chart)
	return f
}

var unitLabel = map[string]string{"steps": "steps", "seconds": "seconds of running commands", "tokens": "tokens", "usd": "US dollars"}

func (r *Report) anytimeFigure(a *Anytime) *Figure {
	f := &Figure{Name: "anytime_" + a.Unit, Title: "Score against " + unitLabel[a.Unit], Definition: Corrected}
	f.Numbers = &Table{Name: f.Name, Title: f.Title, Text: 1, Header: []string{"model", a.Unit, "mean"}}
	chart := plot.Lines{
		Title: f.Title, Subtitle: "Mean over runs of the best normalised score so far; 0 is the starter",
		XLabel: unitLabel[a.Unit], YLabel: "normalised score", XMax: float64(a.Grid[len(a.Grid)-1]), YMax: 0.1, Width: 640, Height: 360,
	}
	var panel plot.Panel
	for p, m := range r.Models {
		mean, ok := a.Mean[m.ID]
		if !ok {
			continue
		}
		s := plot.Series{Name: m.Short + " (" + strconv.Itoa(a.Runs[m.ID]) + " runs)", Style: p}
		for i, v := range mean {
			s.X, s.Y = append(s.X, float64(a.Grid[i])), append(s.Y, float64(v))
			chart.YMax = max(chart.YMax, float64(v)*1.05)
			f.Numbers.Rows = append(f.Numbers.Rows, []string{m.ID, plain(float64(a.Grid[i])), plain(float64(v))})
		}
		panel.Series = append(panel.Series, s)
	}
	chart.Panels = []plot.Panel{panel}
	f.lay(chart)
	return f
}

// ranged writes an estimate with its interval.
func (e Estimate) ranged() string {
	ci := e.Runs
	if ci == nil {
		ci = e.TasksAndRuns
	}
	if ci == nil {
		return human(float64(e.Value))
	}
	return fmt.Sprintf("%s [%s, %s]", two(e.Value), two(ci[0]), two(ci[1]))
}

func two(n Number) string {
	if n.IsNone() {
		return "–"
	}
	return strconv.FormatFloat(float64(n), 'f', 2, 64)
}

func percent(r Rate) string {
	if r.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %% [%.0f, %.0f] of %d", 100*float64(r.Value), 100*float64(r.Interval[0]), 100*float64(r.Interval[1]), r.N)
}

// statisticsTables are the tables of the statistics, for people and files.
func (r *Report) statisticsTables() []*Table {
	st := r.Statistics
	if st == nil || len(st.Models) == 0 {
		return nil
	}
	models := &Table{
		Name: "statistics", Title: "Scores of runs, with 95 % intervals over runs", Text: 1, Definition: Corrected,
		About: "Normalised: 0 is the declared baseline, 1 the declared reference; a run without a score counts as 0. " +
			"Published AUP: the interval around the published number.",
		Header: []string{"Model", "interquartile mean", "mean", "median", "optimality gap", "AUP corrected", "AUP published"},
	}
	several := &Table{
		Name: "best_of_k", Title: "What more runs buy: expected best of k runs, and chance that one of k beats the baseline", Text: 1, Definition: Corrected,
		About:  "Unbiased estimates from all runs; published tables show the largest k only.",
		Header: []string{"Model"},
	}
	ranks := &Table{
		Name: "strength", Title: "Ranks and strengths, with 95 % intervals over tasks and runs", Text: 1, Definition: Corrected,
		About:  fmt.Sprintf("Ties and missing scores share ranks. Strengths are logarithms with mean zero, fitted with a prior of %v draws.", st.StrengthPrior),
		Header: []string{"Model", "mean rank", "Borda", "Plackett–Luce", "Bradley–Terry"},
	}
	rates := &Table{
		Name: "rates", Title: "Rates of runs, with 95 % Wilson intervals", Text: 1, Definition: Corrected,
		Header: []string{"Model", "has a score", "beats the baseline", "ended by submitting"},
	}
	most := 0
	for _, m := range r.Models {
		most = max(most, len(st.Models[m.ID].BestAtK))
	}
	for k := 1; k <= most; k++ {
		several.Header = append(several.Header, fmt.Sprintf("best@%d", k))
	}
	for k := 1; k <= most; k++ {
		several.Header = append(several.Header, fmt.Sprintf("pass@%d", k))
	}
	at := func(ns []Number, i int) string {
		if i >= len(ns) {
			return "–"
		}
		return two(ns[i])
	}
	for _, m := range r.Models {
		s := st.Models[m.ID]
		models.Rows = append(models.Rows, []string{m.Name, s.IQM.ranged(), s.Mean.ranged(), s.Median.ranged(), s.OptimalityGap.ranged(), s.AUP.ranged(), s.PublishedAUP.ranged()})
		row := []string{m.Name}
		for i := range most {
			row = append(row, at(s.BestAtK, i))
		}
		for i := range most {
			row = append(row, at(s.PassAtK, i))
		}
		several.Rows = append(several.Rows, row)
		ranks.Rows = append(ranks.Rows, []string{m.Name, s.MeanRank.ranged(), human(float64(s.Borda)), s.PlackettLuce.ranged(), s.BradleyTerry.ranged()})
		rates.Rows = append(rates.Rows, []string{m.Name, percent(s.Scored), percent(s.BeatsBaseline), percent(s.EndedWell)})
	}
	tables := []*Table{models, several, ranks, rates}
	if len(st.Pairs) > 0 {
		tables = append(tables, r.pairTable())
	}
	if len(st.Sensitivity) > 0 {
		tables = append(tables, r.sensitivityTable())
	}
	return tables
}

func (r *Report) pairTable() *Table {
	t := &Table{
		Name: "pairs", Title: "Every pair of models", Text: 2, Definition: Corrected,
		About: "Improvement: the chance that a run of A beats a run of B on the same task. p: paired permutation test of the mean normalised scores over tasks; Holm: after correction for all pairs. " +
			"Runs: how many of each model on each task it takes to find a difference this large (power 0.8, level 0.05).",
		Header: []string{"A", "B", "improvement", "difference", "p", "p (Holm)", "runs"},
	}
	name := make(map[string]string)
	for _, m := range r.Models {
		name[m.ID] = m.Short
	}
	for i, p := range r.Statistics.Pairs {
		runs := "> 10000"
		if v := float64(p.RunsNeeded); math.IsNaN(v) {
			runs = "–"
		} else if v <= 10000 {
			runs = strconv.Itoa(int(v))
		}
		t.Rows = append(t.Rows, []string{name[p.A], name[p.B], p.Improvement.ranged(), two(p.Difference), human(float64(p.P)), human(float64(p.HolmP)), runs})
		if p.HolmP < alpha {
			t.strong(i, 5)
		}
	}
	return t
}

func (r *Report) sensitivityTable() *Table {
	t := &Table{
		Name: "sensitivity", Title: "The order of the models when one task or one model is left out", Text: 4,
		About:  "By published AUP (its axis ends where the remaining ratios say) and by corrected area on the axis of the whole list.",
		Header: []string{"left out", "", "order by published AUP", "order by corrected area", "T"},
	}
	name := make(map[string]string)
	for _, m := range r.Models {
		name[m.ID] = m.Short
	}
	join := func(ids []string) string {
		var out []string
		for _, id := range ids {
			out = append(out, name[id])
		}
		return strings.Join(out, " > ")
	}
	for _, s := range r.Statistics.Sensitivity {
		what := s.ID
		if task, ok := r.study.Catalog.Task(s.ID); ok && s.What == "task" {
			what = task.Name
		} else if n, ok := name[s.ID]; ok {
			what = n
		}
		t.Rows = append(t.Rows, []string{s.What, what, join(s.Order), join(s.ByArea), plain(float64(s.MaxTau))})
	}
	return t
}

func (r *Report) statisticsSections(of func(names ...string) []*Figure) []Section {
	tables := r.statisticsTables()
	if tables == nil {
		return nil
	}
	byName := make(map[string]*Table)
	for _, t := range tables {
		byName[t.Name] = t
	}
	pick := func(names ...string) (out []*Table) {
		for _, n := range names {
			if t := byName[n]; t != nil {
				out = append(out, t)
			}
		}
		return out
	}
	text := fmt.Sprintf("What the published evaluation leaves out. Intervals come from %d resamples. The best of resampled runs cannot exceed the best of all, so intervals of areas lean to the low side.", r.Statistics.Resamples)
	if n := len(r.Statistics.NotNormalised); n > 0 {
		text += " Without a declared baseline and reference, and so in no normalised score: " + strings.Join(r.Statistics.NotNormalised, ", ") + "."
	}
	return []Section{
		{
			ID: "statistics", Title: "Statistics", Text: text, Figures: of("iqm_intervals", "score_profile", "plackett_luce", "critical_difference"),
			Tables: pick("statistics", "best_of_k", "strength", "rates", "pairs"),
		},
		{
			ID: "anytime", Title: "Score against what was spent", Figures: of("anytime_steps", "anytime_seconds", "anytime_tokens", "anytime_usd"),
			Text: "Only runs whose record says when each evaluation was made.",
		},
		{ID: "sensitivity", Title: "How much hangs on one task or model", Tables: pick("sensitivity"), Folded: true},
	}
}
