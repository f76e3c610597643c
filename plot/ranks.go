package plot

import (
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Ranks draws a critical-difference diagram: mean ranks on a line, and bars
// that join participants whose ranks do not differ. Demšar, JMLR 7 (2006),
// figure 1.
type Ranks struct {
	Title, Subtitle string
	// Spots use X as the mean rank.
	Spots []Spot
	// Difference is the critical difference.
	Difference float64
}

// Groups are the largest runs of spots, in order of rank, whose ends lie less
// than the difference apart. Single spots are in no group.
func (r Ranks) groups(sorted []Spot) [][2]int {
	var groups [][2]int
	for i := range sorted {
		j := i
		for j+1 < len(sorted) && sorted[j+1].X-sorted[i].X < r.Difference {
			j++
		}
		if j > i && (len(groups) == 0 || groups[len(groups)-1][1] < j) {
			groups = append(groups, [2]int{i, j})
		}
	}
	return groups
}

// Figure lays the chart out.
func (r Ranks) Figure() *Figure {
	sorted := slices.Clone(r.Spots)
	slices.SortStableFunc(sorted, func(a, b Spot) int {
		switch {
		case a.X < b.X:
			return -1
		case a.X > b.X:
			return 1
		}
		return 0
	})
	groups := r.groups(sorted)
	left := (len(sorted) + 1) / 2
	height := vg.Length(118 + 9*len(groups) + 17*max(left, 1))
	return &Figure{Width: 640, Height: height, draw: func(c draw.Canvas) {
		c = frame(c, r.Title, r.Subtitle, nil)
		if len(sorted) == 0 {
			return
		}
		low, high := 1.0, math.Max(2, float64(len(sorted)))
		x0, x1 := c.Min.X+150, c.Max.X-150
		at := func(rank float64) vg.Length { return x0 + (x1-x0)*vg.Length((rank-low)/(high-low)) }
		axis := c.Max.Y - 34
		line := draw.LineStyle{Color: ink, Width: 1}
		c.StrokeLine2(line, x0, axis, x1, axis)
		tick := aligned(textStyle(smallSize, grey, false), draw.XCenter, draw.YBottom)
		for v := low; v <= high; v++ {
			c.StrokeLine2(line, at(v), axis, at(v), axis+4)
			c.FillText(tick, vg.Point{X: at(v), Y: axis + 6}, trimmed(v))
		}
		if !math.IsNaN(r.Difference) && r.Difference < high-low {
			y := c.Max.Y - 6
			c.StrokeLine2(draw.LineStyle{Color: ink, Width: 1.6}, x0, y, at(low+r.Difference), y)
			c.FillText(aligned(textStyle(smallSize, ink, false), draw.XLeft, draw.YCenter), vg.Point{X: at(low+r.Difference) + 5, Y: y + 1},
				"critical difference "+trimmed(math.Round(100*r.Difference)/100))
		}
		for i, g := range groups {
			y := axis - 8 - vg.Length(i)*9
			c.StrokeLine2(draw.LineStyle{Color: grey, Width: 3.5}, at(sorted[g[0]].X)-3, y, at(sorted[g[1]].X)+3, y)
		}
		base := axis - 12 - vg.Length(len(groups))*9
		for i, s := range sorted {
			style := lineStyle(s.Style)
			style.Width, style.Dashes = 1, nil
			x := at(s.X)
			name := s.Name + "  " + trimmed(math.Round(100*s.X)/100)
			if i < left {
				y := base - vg.Length(i)*17 - 8
				c.StrokeLines(style, []vg.Point{{X: x, Y: axis}, {X: x, Y: y}, {X: x0 - 6, Y: y}})
				c.FillText(aligned(textStyle(labelSize, ink, false), draw.XRight, draw.YCenter), vg.Point{X: x0 - 10, Y: y + 1}, name)
			} else {
				y := base - vg.Length(len(sorted)-1-i)*17 - 8
				c.StrokeLines(style, []vg.Point{{X: x, Y: axis}, {X: x, Y: y}, {X: x1 + 6, Y: y}})
				c.FillText(aligned(textStyle(labelSize, ink, false), draw.XLeft, draw.YCenter), vg.Point{X: x1 + 10, Y: y + 1}, name)
			}
			c.DrawGlyph(draw.GlyphStyle{Color: lineStyle(s.Style).Color, Radius: 3, Shape: draw.CircleGlyph{}}, vg.Point{X: x, Y: axis})
		}
	}}
}
