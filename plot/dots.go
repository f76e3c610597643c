package plot

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Dots draws one value with its interval per row, the first row at the top.
type Dots struct {
	Title, Subtitle, XLabel string
	// Spots use X, and Low and High as the ends of its interval.
	Spots []Spot
	// Reference, if it is not NaN, is a value to compare with.
	Reference float64
}

// Figure lays the chart out.
func (d Dots) Figure() *Figure {
	height := vg.Length(96 + 20*max(len(d.Spots), 1))
	return &Figure{Width: 560, Height: height, draw: func(c draw.Canvas) {
		c = frame(c, d.Title, d.Subtitle, nil)
		p := axes(d.XLabel, "")
		low, high := math.Inf(1), math.Inf(-1)
		var ticks plot.ConstantTicks
		for i, s := range d.Spots {
			ticks = append(ticks, plot.Tick{Value: float64(len(d.Spots) - 1 - i), Label: s.Name})
			for _, v := range []float64{s.X, s.Low, s.High} {
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					low, high = math.Min(low, v), math.Max(high, v)
				}
			}
		}
		if !math.IsNaN(d.Reference) {
			low, high = math.Min(low, d.Reference), math.Max(high, d.Reference)
		}
		if low > high {
			low, high = 0, 1
		}
		pad := math.Max((high-low)*0.06, 1e-6)
		p.X.Min, p.X.Max = low-pad, high+pad
		p.Y.Min, p.Y.Max = -0.6, float64(max(len(d.Spots), 1))-0.4
		p.X.Tick.Marker, p.Y.Tick.Marker = niceTicks{}, ticks
		p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
		p.Y.Tick.Label = aligned(textStyle(labelSize, ink, false), draw.XRight, draw.YCenter)
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			gridLines(c, p, true, false)
			tx, ty := p.Transforms(&c)
			if !math.IsNaN(d.Reference) {
				c.StrokeLine2(draw.LineStyle{Color: grey, Width: 1, Dashes: []vg.Length{3, 2}}, tx(d.Reference), c.Min.Y, tx(d.Reference), c.Max.Y)
			}
			for i, s := range d.Spots {
				if math.IsNaN(s.X) || math.IsInf(s.X, 0) {
					continue
				}
				y := ty(float64(len(d.Spots) - 1 - i))
				col := lineStyle(s.Style).Color
				if !math.IsNaN(s.Low) && !math.IsNaN(s.High) {
					c.StrokeLine2(draw.LineStyle{Color: tint(col, 0.55), Width: 4}, tx(s.Low), y, tx(s.High), y)
				}
				c.DrawGlyph(draw.GlyphStyle{Color: col, Radius: 4, Shape: draw.CircleGlyph{}}, vg.Point{X: tx(s.X), Y: y})
			}
		}))
		p.Draw(c)
	}}
}
