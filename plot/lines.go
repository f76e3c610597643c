package plot

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is one curve.
type Series struct {
	Name string
	// Style picks colour and dashes; negative for a baseline.
	Style int
	X, Y  []float64
	// Low and High, if given, bound a band around the curve.
	Low, High []float64
	// Faint series stand in the background and in no legend.
	Faint bool
}

// Panel is one coordinate system.
type Panel struct {
	Title  string
	Series []Series
}

// Lines draws step curves in one or more panels with common axes.
type Lines struct {
	Title, Subtitle, XLabel, YLabel string
	Panels                          []Panel
	// Columns of panels; 0 means all in one row.
	Columns int
	// XMax and YMax are the ends of the axes, which start at XMin and YMin.
	XMin, XMax, YMin, YMax float64
	// Interpolate joins points by straight lines instead of steps.
	Interpolate bool
	// Percent writes the ticks of the Y axis in percent.
	Percent bool
	// NoLegend leaves the legend out, where panel titles name the curves.
	NoLegend      bool
	Width, Height vg.Length
}

// Figure lays the chart out.
func (l Lines) Figure() *Figure {
	columns := l.Columns
	if columns <= 0 {
		columns = len(l.Panels)
	}
	columns = max(columns, 1)
	rows := (len(l.Panels) + columns - 1) / columns
	var keys []key
	seen := make(map[string]bool)
	for _, p := range l.Panels {
		for _, s := range p.Series {
			if s.Faint || seen[s.Name] || l.NoLegend {
				continue
			}
			seen[s.Name] = true
			style := lineStyle(s.Style)
			keys = append(keys, key{name: s.Name, line: &style})
		}
	}
	width, height := l.Width, l.Height
	if width == 0 {
		width = 720
	}
	if height == 0 {
		height = vg.Length(110 + 220*max(rows, 1))
	}
	return &Figure{Width: width, Height: height, draw: func(c draw.Canvas) {
		c = frame(c, l.Title, l.Subtitle, keys)
		const gap = 16
		w := (c.Max.X - c.Min.X - gap*vg.Length(columns-1)) / vg.Length(columns)
		h := (c.Max.Y - c.Min.Y - gap*vg.Length(rows-1)) / vg.Length(max(rows, 1))
		for i, p := range l.Panels {
			row, col := i/columns, i%columns
			cell := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
				Min: vg.Point{X: c.Min.X + vg.Length(col)*(w+gap), Y: c.Max.Y - vg.Length(row)*(h+gap) - h},
			}}
			cell.Max = vg.Point{X: cell.Min.X + w, Y: cell.Min.Y + h}
			l.panel(p, cell, col == 0)
		}
	}}
}

func (l Lines) panel(panel Panel, c draw.Canvas, left bool) {
	xLabel, yLabel := l.XLabel, l.YLabel
	if !left {
		yLabel = ""
	}
	if panel.Title != "" {
		c.FillText(aligned(textStyle(labelSize, ink, true), draw.XLeft, draw.YTop), vg.Point{X: c.Min.X, Y: c.Max.Y}, panel.Title)
		c.Max.Y -= lineHeight + 2
	}
	p := axes(xLabel, yLabel)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = l.XMin, l.XMax, l.YMin, l.YMax
	p.X.Tick.Marker = niceTicks{}
	p.Y.Tick.Marker = niceTicks{percent: l.Percent}
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		gridLines(c, p, true, true)
		for _, s := range panel.Series {
			l.curve(c, p, s)
		}
	}))
	p.Draw(c)
}

func (l Lines) curve(c draw.Canvas, p *plot.Plot, s Series) {
	tx, ty := p.Transforms(&c)
	path := func(ys []float64) []vg.Point {
		var pts []vg.Point
		last := math.NaN()
		for i, x := range s.X {
			y := ys[i]
			if math.IsNaN(y) || math.IsNaN(x) {
				continue
			}
			// A run of equal values needs its two ends only.
			if i > 0 && i+1 < len(s.X) && y == last && ys[i+1] == y {
				continue
			}
			if !l.Interpolate && !math.IsNaN(last) && y != last {
				pts = append(pts, vg.Point{X: tx(x), Y: ty(clamp(last, p.Y.Min, p.Y.Max))})
			}
			pts = append(pts, vg.Point{X: tx(x), Y: ty(clamp(y, p.Y.Min, p.Y.Max))})
			last = y
		}
		return pts
	}
	style := lineStyle(s.Style)
	if s.Faint {
		style.Color, style.Width = tint(grey, 0.35), 0.8
	}
	if len(s.Low) == len(s.X) && len(s.High) == len(s.X) && len(s.X) > 0 {
		band := path(s.High)
		low := path(s.Low)
		for _, point := range slices.Backward(low) {
			band = append(band, point)
		}
		if len(band) > 2 {
			c.FillPolygon(tint(style.Color, 0.22), c.ClipPolygonXY(band))
		}
	}
	c.StrokeLines(style, c.ClipLinesXY(path(s.Y))...)
}

func clamp(v, low, high float64) float64 { return math.Max(low, math.Min(high, v)) }

// niceTicks puts labels at round values.
type niceTicks struct {
	percent bool
	whole   bool
}

func (n niceTicks) Ticks(low, high float64) []plot.Tick {
	span := high - low
	if !(span > 0) || math.IsInf(span, 0) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(span/4)))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if span/(step*f) <= 6 {
			step *= f
			break
		}
	}
	if n.whole && step < 1 {
		step = 1
	}
	var ticks []plot.Tick
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		v := i * step
		label := trimmed(v)
		if n.percent {
			label = trimmed(v*100) + " %"
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	return ticks
}
