package leaderboard

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"mlgym/plot"
	"mlgym/report"
)

// chart is what static/charts.js draws: the values of a figure of package report, under
// the same names as in package plot. A number that is none is null.
type chart struct {
	// Kind is lines, bars, columns, points or scatter.
	Kind     string `json:"kind"`
	Title    string `json:"title"`
	Subtitle string `json:"subtitle,omitempty"`
	XLabel   string `json:"xLabel,omitempty"`
	YLabel   string `json:"yLabel,omitempty"`

	// Of lines: the ends of the axes, and the panels.
	XMin    *report.Number `json:"xMin,omitempty"`
	XMax    *report.Number `json:"xMax,omitempty"`
	YMin    *report.Number `json:"yMin,omitempty"`
	YMax    *report.Number `json:"yMax,omitempty"`
	Percent bool           `json:"percent,omitempty"`
	Panels  []panel        `json:"panels,omitempty"`

	// Of bars and columns.
	Rows    []string `json:"rows,omitempty"`
	Parts   []part   `json:"parts,omitempty"`
	Labels  []string `json:"labels,omitempty"`
	Grouped bool     `json:"grouped,omitempty"`
	Single  bool     `json:"single,omitempty"`

	// Of points and scatter.
	Spots []spot `json:"spots,omitempty"`
	// Reference is a value to compare the points with.
	Reference *report.Number `json:"reference,omitempty"`
	// Front has the positions of the spots that no other beats in both ways, from the
	// cheapest on.
	Front []int `json:"front,omitempty"`
	LogX  bool  `json:"logX,omitempty"`

	whole []panel // lines before thinning
	what  string  // rows and points are, such as "model"
}

type panel struct {
	Title  string   `json:"title,omitempty"`
	Series []series `json:"series"`
}

// series is a step curve: a value holds from its X on.
type series struct {
	Name  string          `json:"name"`
	Style int             `json:"style"`
	X     []report.Number `json:"x"`
	Y     []report.Number `json:"y"`
	// BandX, Low and High are an interval around it.
	BandX []report.Number `json:"bandX,omitempty"`
	Low   []report.Number `json:"low,omitempty"`
	High  []report.Number `json:"high,omitempty"`
}

type part struct {
	Name string `json:"name"`
	// Color is a place in the palette, from 1.
	Color  int             `json:"color"`
	Values []report.Number `json:"values"`
}

type spot struct {
	Name  string        `json:"name"`
	Style int           `json:"style"`
	X     report.Number `json:"x"`
	Y     report.Number `json:"y"`
	Low   report.Number `json:"low"`
	High  report.Number `json:"high"`
}

// chartOf returns what a figure shows, nil for one of an unknown kind.
func chartOf(f *report.Figure) *chart {
	c := sourceChart(f)
	if c != nil && f.Numbers != nil && len(f.Numbers.Header) > 0 {
		c.what = f.Numbers.Header[0]
	}
	return c
}

func sourceChart(f *report.Figure) *chart {
	switch s := f.Source.(type) {
	case plot.Lines:
		if f.Name == "profile_intervals" && s.XLabel == "" { // its small panels have no room for them
			s.XLabel, s.YLabel = "τ = log10 of the performance ratio", "share of the tasks"
		}
		return linesChart(s)
	case plot.Bars:
		c := &chart{Kind: "bars", Title: s.Title, Subtitle: s.Subtitle, XLabel: s.XLabel, Rows: s.Rows, Labels: s.Labels, Grouped: s.Grouped, Single: s.Single}
		c.Parts = parts(s.Parts, len(s.Rows))
		return c
	case plot.Columns:
		c := &chart{Kind: "columns", Title: s.Title, Subtitle: s.Subtitle, XLabel: s.XLabel, YLabel: s.YLabel}
		for i := s.First; i <= s.Last; i++ {
			c.Rows = append(c.Rows, strconv.Itoa(i))
		}
		c.Parts = parts(s.Parts, len(c.Rows))
		return c
	case plot.Scatter:
		return scatterChart(s)
	case plot.Dots:
		c := &chart{Kind: "points", Title: s.Title, Subtitle: s.Subtitle, XLabel: s.XLabel, Spots: spots(s.Spots)}
		if !math.IsNaN(s.Reference) {
			c.Reference = number(s.Reference)
		}
		return c
	case plot.Ranks:
		return ranksChart(s)
	default:
		return nil
	}
}

func number(x float64) *report.Number { n := report.Number(x); return &n }

func numbers(xs []float64) []report.Number {
	out := make([]report.Number, len(xs))
	for i, x := range xs {
		out[i] = report.Number(x)
	}
	return out
}

func linesChart(l plot.Lines) *chart {
	c := &chart{
		Kind: "lines", Title: l.Title, Subtitle: l.Subtitle, XLabel: l.XLabel, YLabel: l.YLabel, Percent: l.Percent,
		XMin: number(l.XMin), XMax: number(l.XMax), YMin: number(l.YMin), YMax: number(l.YMax),
	}
	for _, p := range l.Panels {
		thin, whole := panel{Title: p.Title, Series: []series{}}, panel{Title: p.Title}
		for _, s := range p.Series {
			if s.Faint {
				continue
			}
			all := series{Name: s.Name, Style: s.Style, X: numbers(s.X), Y: numbers(s.Y)}
			if len(s.Low) == len(s.X) && len(s.High) == len(s.X) {
				all.BandX, all.Low, all.High = all.X, numbers(s.Low), numbers(s.High)
			}
			whole.Series = append(whole.Series, all)
			thin.Series = append(thin.Series, thinned(all))
		}
		c.Panels, c.whole = append(c.Panels, thin), append(c.whole, whole)
	}
	if l.NoLegend { // one curve in each of many panels: here they share one
		c.Panels, c.whole = []panel{merged(c.Panels)}, []panel{merged(c.whole)}
		c.Subtitle += "; seen where up to three curves are shown, and at the curve whose name is pointed at"
	}
	return c
}

func merged(panels []panel) panel {
	out := panel{Series: []series{}}
	for _, p := range panels {
		out.Series = append(out.Series, p.Series...)
	}
	return out
}

// thinned leaves out the points of a step curve at which nothing changes.
func thinned(s series) series {
	out := s
	out.X, out.Y = []report.Number{}, []report.Number{}
	for i, y := range s.Y {
		same := i > 0 && (y == s.Y[i-1] || y.IsNone() && s.Y[i-1].IsNone())
		if !same || i == len(s.Y)-1 {
			out.X, out.Y = append(out.X, s.X[i]), append(out.Y, y)
		}
	}
	return out
}

func parts(from []plot.Part, rows int) []part {
	out := []part{}
	for i, p := range from {
		color := p.Color
		if color == 0 {
			color = i + 1
		}
		values := numbers(p.Values)
		out = append(out, part{p.Name, color, values[:min(len(values), rows)]})
	}
	return out
}

func spots(from []plot.Spot) []spot {
	out := []spot{}
	for _, s := range from {
		out = append(out, spot{s.Name, s.Style, report.Number(s.X), report.Number(s.Y), report.Number(s.Low), report.Number(s.High)})
	}
	return out
}

func scatterChart(s plot.Scatter) *chart {
	c := &chart{Kind: "scatter", Title: s.Title, Subtitle: s.Subtitle, XLabel: s.XLabel, YLabel: s.YLabel, Spots: spots(s.Spots)}
	low, high := math.Inf(1), math.Inf(-1)
	order := []int{}
	for i, p := range s.Spots {
		if math.IsNaN(p.X) || math.IsNaN(p.Y) {
			continue
		}
		low, high = math.Min(low, p.X), math.Max(high, p.X)
		order = append(order, i)
	}
	c.LogX = low > 0 && high/low > 10
	// From left to right; of those that cost the same the best first.
	slices.SortStableFunc(order, func(a, b int) int {
		p, q := s.Spots[a], s.Spots[b]
		switch {
		case p.X < q.X, p.X == q.X && p.Y > q.Y:
			return -1
		case p.X == q.X && p.Y == q.Y:
			return 0
		}
		return 1
	})
	best := math.Inf(-1)
	for _, i := range order {
		if y := s.Spots[i].Y; y > best {
			best = y
			c.Front = append(c.Front, i)
		}
	}
	return c
}

// ranksChart shows mean ranks, best first, each with half the critical difference to
// either side: two models differ where these do not overlap.
func ranksChart(r plot.Ranks) *chart {
	test, _, _ := strings.Cut(r.Subtitle, ";") // the rest is about the bars of the picture
	c := &chart{
		Kind: "points", Title: r.Title, XLabel: "mean rank, 1 is best",
		Subtitle: test + "; half the critical difference to either side, so that models differ whose bars do not overlap (Nemenyi, 5 %)",
	}
	sorted := slices.Clone(r.Spots)
	slices.SortStableFunc(sorted, func(a, b plot.Spot) int {
		switch {
		case a.X < b.X:
			return -1
		case a.X > b.X:
			return 1
		}
		return 0
	})
	for i := range sorted {
		sorted[i].Low, sorted[i].High = sorted[i].X-r.Difference/2, sorted[i].X+r.Difference/2
	}
	c.Spots = spots(sorted)
	return c
}

// words is a chart as a table, for those who do not see it.
type words struct {
	Caption string
	Header  []string
	Rows    [][]string
	// Thinned says that curves have more points than the rows.
	Thinned bool
}

// curveRows is how many points of a curve stand in its table.
const curveRows = 11

func (c *chart) words() []words {
	switch c.Kind {
	case "lines":
		var out []words
		for _, p := range c.whole {
			out = append(out, c.curveWords(p))
		}
		return out
	case "bars", "columns":
		w := words{Header: []string{c.XLabel}}
		if c.Kind == "bars" {
			w.Header[0] = c.what
		}
		for _, p := range c.Parts {
			w.Header = append(w.Header, p.Name)
		}
		for i, name := range c.Rows {
			row := []string{name}
			for _, p := range c.Parts {
				text := "0"
				if i < len(p.Values) {
					text = short(p.Values[i])
				}
				row = append(row, text)
			}
			w.Rows = append(w.Rows, row)
		}
		return []words{w}
	case "points":
		w := words{Header: []string{c.what, c.XLabel, "from", "to"}}
		for _, s := range c.Spots {
			w.Rows = append(w.Rows, []string{s.Name, short(s.X), short(s.Low), short(s.High)})
		}
		return []words{w}
	default:
		w := words{Header: []string{c.what, c.XLabel, c.YLabel, "not beaten in both"}}
		for i, s := range c.Spots {
			front := ""
			if slices.Contains(c.Front, i) {
				front = "yes"
			}
			w.Rows = append(w.Rows, []string{s.Name, short(s.X), short(s.Y), front})
		}
		return []words{w}
	}
}

func (c *chart) curveWords(p panel) words {
	w := words{Caption: p.Title, Header: []string{c.XLabel}, Thinned: true}
	if w.Header[0] == "" {
		w.Header[0] = "at"
	}
	for _, s := range p.Series {
		w.Header = append(w.Header, s.Name)
	}
	if c.XMin == nil || c.XMax == nil {
		return w
	}
	low, high := float64(*c.XMin), float64(*c.XMax)
	for i := range curveRows {
		x := low + (high-low)*float64(i)/(curveRows-1)
		row := []string{short(report.Number(x))}
		for _, s := range p.Series {
			row = append(row, s.at(x, c.Percent))
		}
		w.Rows = append(w.Rows, row)
	}
	return w
}

// at is the height of a step curve, with its interval where it has one.
func (s series) at(x float64, percent bool) string {
	slack := 1e-9 * math.Max(1, math.Abs(x))
	i := -1
	for j, v := range s.X {
		if float64(v) <= x+slack {
			i = j
		}
	}
	if i < 0 {
		return "–"
	}
	write := short
	if percent {
		write = func(n report.Number) string {
			if n.IsNone() {
				return "–"
			}
			return strconv.FormatFloat(100*float64(n), 'f', 0, 64) + " %"
		}
	}
	text := write(s.Y[i])
	if i < len(s.Low) && i < len(s.High) {
		text += " (" + write(s.Low[i]) + " – " + write(s.High[i]) + ")"
	}
	return text
}

func short(n report.Number) string {
	x := float64(n)
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "–"
	case x == math.Trunc(x) && a < 1e9:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case a >= 1e6 || a < 1e-3:
		return strconv.FormatFloat(x, 'g', 4, 64)
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}
