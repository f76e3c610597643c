package plot

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Spot is one named point.
type Spot struct {
	Name  string
	Style int
	X, Y  float64
	// Low and High, if they are not NaN, are the ends of an interval of Y.
	Low, High float64
}

// Scatter draws points with their names beside them, over a logarithmic X axis
// where the values span more than a factor of ten.
type Scatter struct {
	Title, Subtitle, XLabel, YLabel string
	Spots                           []Spot
}

// Figure lays the chart out.
func (s Scatter) Figure() *Figure {
	return &Figure{Width: 640, Height: 420, draw: func(c draw.Canvas) {
		c = frame(c, s.Title, s.Subtitle, nil)
		p := axes(s.XLabel, s.YLabel)
		xmin, xmax := math.Inf(1), math.Inf(-1)
		ymin, ymax := math.Inf(1), math.Inf(-1)
		for _, t := range s.Spots {
			xmin, xmax = math.Min(xmin, t.X), math.Max(xmax, t.X)
			for _, y := range []float64{t.Y, t.Low, t.High} {
				if !math.IsNaN(y) {
					ymin, ymax = math.Min(ymin, y), math.Max(ymax, y)
				}
			}
		}
		if len(s.Spots) == 0 {
			xmin, xmax, ymin, ymax = 0, 1, 0, 1
		}
		pad := math.Max((ymax-ymin)*0.12, 0.01)
		p.Y.Min, p.Y.Max = ymin-pad, ymax+pad
		p.Y.Tick.Marker = niceTicks{}
		if xmin > 0 && xmax/xmin > 10 {
			p.X.Scale = plot.LogScale{}
			p.X.Min, p.X.Max = xmin/1.6, xmax*2
			p.X.Tick.Marker = logTicks{}
		} else {
			pad := math.Max((xmax-xmin)*0.15, math.Abs(xmax)*0.05+1e-9)
			p.X.Min, p.X.Max = math.Min(xmin, math.Max(0, xmin-pad)), xmax+pad
			p.X.Tick.Marker = niceTicks{}
		}
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			gridLines(c, p, true, true)
			tx, ty := p.Transforms(&c)
			sty := textStyle(labelSize, ink, false)
			var taken []vg.Rectangle
			at := make([]vg.Point, len(s.Spots))
			for i, t := range s.Spots {
				at[i] = vg.Point{X: tx(t.X), Y: ty(t.Y)}
				taken = append(taken, vg.Rectangle{Min: vg.Point{X: at[i].X - 4, Y: at[i].Y - 4}, Max: vg.Point{X: at[i].X + 4, Y: at[i].Y + 4}})
			}
			for i, t := range s.Spots {
				style := lineStyle(t.Style)
				if !math.IsNaN(t.Low) && !math.IsNaN(t.High) {
					c.StrokeLine2(draw.LineStyle{Color: tint(style.Color, 0.5), Width: 1.2}, at[i].X, ty(t.Low), at[i].X, ty(t.High))
				}
				c.DrawGlyph(draw.GlyphStyle{Color: style.Color, Radius: 4, Shape: draw.CircleGlyph{}}, at[i])
			}
			for i, t := range s.Spots {
				box := place(c.Rectangle, at[i], sty.Width(t.Name), labelSize, taken)
				taken = append(taken, box)
				c.FillText(aligned(sty, draw.XLeft, draw.YCenter), vg.Point{X: box.Min.X, Y: (box.Min.Y+box.Max.Y)/2 + 1}, t.Name)
			}
		}))
		p.Draw(c)
	}}
}

// place finds room for a label beside a point: the first of eight places that
// overlaps nothing, else the one that overlaps least.
func place(area vg.Rectangle, at vg.Point, w, h vg.Length, taken []vg.Rectangle) vg.Rectangle {
	const d = 7
	var best vg.Rectangle
	least := math.Inf(1)
	for _, o := range []vg.Point{
		{X: d, Y: -h / 2},
		{X: -d - w, Y: -h / 2},
		{X: -w / 2, Y: d},
		{X: -w / 2, Y: -d - h},
		{X: d, Y: d - 2},
		{X: d, Y: -d - h + 2},
		{X: -d - w, Y: d - 2},
		{X: -d - w, Y: -d - h + 2},
	} {
		box := vg.Rectangle{Min: vg.Point{X: at.X + o.X, Y: at.Y + o.Y}}
		box.Max = vg.Point{X: box.Min.X + w, Y: box.Min.Y + h}
		cost := 0.0
		for _, t := range taken {
			cost += overlap(box, t)
		}
		inside := overlap(box, area)
		cost += 4 * (float64(w*h) - inside)
		if cost < least-1e-6 {
			best, least = box, cost
		}
	}
	return best
}

func overlap(a, b vg.Rectangle) float64 {
	w := min(a.Max.X, b.Max.X) - max(a.Min.X, b.Min.X)
	h := min(a.Max.Y, b.Max.Y) - max(a.Min.Y, b.Min.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return float64(w * h)
}

// logTicks labels 1, 2 and 5 times the powers of ten.
type logTicks struct{}

func (logTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	if !(low > 0) {
		return nil
	}
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, f := range []float64{1, 2, 5} {
			v := f * math.Pow(10, e)
			if v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: trimmed(v)})
			}
		}
	}
	return ticks
}
