package plot

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
)

// Columns draws stacked columns over whole numbers, such as steps.
type Columns struct {
	Title, Subtitle, XLabel, YLabel string
	// First is the number of the first column.
	First, Last int
	Parts       []Part
}

// Figure lays the chart out.
func (s Columns) Figure() *Figure {
	var keys []key
	for i, p := range s.Parts {
		keys = append(keys, key{name: p.Name, color: p.color(i)})
	}
	return &Figure{Width: 640, Height: 330, draw: func(c draw.Canvas) {
		c = frame(c, s.Title, s.Subtitle, keys)
		p := axes(s.XLabel, s.YLabel)
		highest := 1.0
		for i := range s.Last - s.First + 1 {
			total := 0.0
			for _, part := range s.Parts {
				if i < len(part.Values) {
					total += part.Values[i]
				}
			}
			highest = max(highest, total)
		}
		p.X.Min, p.X.Max = float64(s.First)-0.5, float64(s.Last)+0.5
		p.Y.Min, p.Y.Max = 0, highest*1.05
		p.X.Tick.Marker, p.Y.Tick.Marker = niceTicks{whole: true}, niceTicks{whole: true}
		p.Add(plotFunc(func(c draw.Canvas, p *plot.Plot) {
			gridLines(c, p, false, true)
			tx, ty := p.Transforms(&c)
			for i := range s.Last - s.First + 1 {
				sum := 0.0
				for j, part := range s.Parts {
					if i >= len(part.Values) || part.Values[i] <= 0 {
						continue
					}
					x := float64(s.First + i)
					fillBox(c, part.color(j), tx(x-0.42), ty(sum), tx(x+0.42), ty(sum+part.Values[i]))
					sum += part.Values[i]
				}
			}
		}))
		p.Draw(c)
	}}
}
