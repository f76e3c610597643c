package plot

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Bars draws horizontal bars, one row a name, the first at the top.
type Bars struct {
	Title, Subtitle, XLabel string
	Rows                    []string
	// Parts are the segments of the bars; Values has one number a row.
	Parts []Part
	// Grouped bars stand below each other instead of being stacked.
	Grouped bool
	// Labels, if given, stand at the end of each row instead of the total.
	Labels []string
	// Single colours every row alike and shows no legend.
	Single bool
	Width  vg.Length
}

// Part is one kind of segment.
type Part struct {
	Name string
	// Color picks from the palette, from 1; 0 takes the place in the list.
	Color  int
	Values []float64
}

func (p Part) color(place int) color.RGBA {
	if p.Color > 0 {
		place = p.Color - 1
	}
	return barColor(place)
}

// Figure lays the chart out.
func (b Bars) Figure() *Figure {
	var keys []key
	for i, p := range b.Parts {
		if !b.Single {
			keys = append(keys, key{name: p.Name, color: p.color(i)})
		}
	}
	width := b.Width
	if width == 0 {
		width = 640
	}
	row := vg.Length(22)
	if b.Grouped {
		row = vg.Length(12*len(b.Parts) + 9)
	}
	height := 104 + row*vg.Length(max(len(b.Rows), 1))
	if !b.Single && len(b.Parts) > 6 {
		height += lineHeight
	}
	return &Figure{Width: width, Height: height, draw: func(c draw.Canvas) {
		b.draw(frame(c, b.Title, b.Subtitle, keys))
	}}
}

func (b Bars) longest() float64 {
	longest := 0.0
	for i := range b.Rows {
		total := 0.0
		for _, p := range b.Parts {
			if b.Grouped {
				longest = max(longest, p.Values[i])
			}
			total += p.Values[i]
		}
		if !b.Grouped {
			longest = max(longest, total)
		}
	}
	return longest
}

func (b Bars) draw(c draw.Canvas) {
	p := axes(b.XLabel, "")
	p.X.Min, p.X.Max = 0, max(b.longest()*1.1, 1)
	p.Y.Min, p.Y.Max = -0.5, float64(max(len(b.Rows), 1))-0.5
	p.X.Tick.Marker = niceTicks{whole: true}
	p.Y.LineStyle.Width = 0
	p.Y.Tick.LineStyle.Width = 0
	p.Y.Tick.Label = aligned(textStyle(labelSize, ink, false), draw.XRight, draw.YCenter)
	var ticks plot.ConstantTicks
	for i, name := range b.Rows {
		ticks = append(ticks, plot.Tick{Value: float64(len(b.Rows) - 1 - i), Label: name})
	}
	p.Y.Tick.Marker = ticks
	p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
		gridLines(c, p, true, false)
		tx, ty := p.Transforms(&c)
		inside := aligned(textStyle(smallSize, ink, false), draw.XCenter, draw.YCenter)
		after := aligned(textStyle(smallSize, grey, false), draw.XLeft, draw.YCenter)
		for i := range b.Rows {
			mid := ty(float64(len(b.Rows) - 1 - i))
			sum := 0.0
			for j, part := range b.Parts {
				v := part.Values[i]
				col := part.color(j)
				if b.Grouped {
					top := mid + vg.Length(len(b.Parts))*6 - vg.Length(j)*12
					if v > 0 {
						fillBox(c, col, tx(0), top-11, tx(v), top)
					}
					c.FillText(after, vg.Point{X: tx(v) + 4, Y: top - 4.5}, trimmed(v))
					continue
				}
				if v <= 0 {
					continue
				}
				x0, x1 := tx(sum), tx(sum+v)
				sum += v
				fillBox(c, col, x0, mid-8, x1, mid+8)
				if j > 0 {
					c.StrokeLine2(draw.LineStyle{Color: tint(ink, 0), Width: 0.8}, x0, mid-8, x0, mid+8)
				}
				label := trimmed(v)
				if !b.Single && x1-x0 > inside.Width(label)+4 {
					inside.Color = onColor(col)
					c.FillText(inside, vg.Point{X: (x0 + x1) / 2, Y: mid + 1}, label)
				}
			}
			if b.Grouped {
				continue
			}
			label := trimmed(sum)
			if i < len(b.Labels) {
				label = b.Labels[i]
			}
			c.FillText(after, vg.Point{X: tx(sum) + 4, Y: mid + 1}, label)
		}
	}))
	p.Draw(c)
}
