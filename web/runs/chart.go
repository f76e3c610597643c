package runs

import (
	"fmt"
	"math"
	"strconv"
)

// series is a line of a chart.
type series struct {
	Label string
	// Color is its number, from 1.
	Color int
	Dots  []dot
}

// dot is a point of a line.
type dot struct {
	X, Y float64
	// Title tells of it.
	Title string
}

// chart is a chart as it is drawn without a script: lines, ticks and names, in
// units of a picture of fixed size.
type chart struct {
	ID, Title     string
	XName, YName  string
	Width, Height int
	// Left, Right, Top, Bottom bound the area of the lines; Middle is between the first.
	Left, Right, Top, Bottom, Middle int
	XTicks, YTicks                   []tick
	Lines                            []line
	// Level is the y of a dashed line (the baseline), drawn where HasLevel.
	Level     float64
	HasLevel  bool
	LevelName string
	// Data is what a script draws instead.
	Data chartData
}

type tick struct {
	At   float64
	Name string
}

type line struct {
	Label string
	Color int
	Path  string
	Dots  []dot
}

// chartData is a chart for the script.
type chartData struct {
	XName  string      `json:"x"`
	YName  string      `json:"y"`
	XUnit  string      `json:"x_unit"`
	YUnit  string      `json:"y_unit"`
	Level  *float64    `json:"level,omitempty"`
	Name   string      `json:"level_name,omitempty"`
	Series []chartLine `json:"series"`
}

type chartLine struct {
	Label  string       `json:"label"`
	Color  int          `json:"color"`
	Points [][2]float64 `json:"points"`
	Titles []string     `json:"titles,omitempty"`
}

// Units of axes.
const (
	plainUnit  = ""
	timeUnit   = "seconds"
	dollarUnit = "usd"
)

const (
	chartWidth  = 560
	chartHeight = 240
	chartLeft   = 64
	chartRight  = 12
	chartTop    = 12
	chartBottom = 40
)

// draw makes a chart. It is nil where no line has a dot.
func draw(id, title, xName, yName, xUnit, yUnit string, lines []series, level *float64, levelName string) *chart {
	var xs, ys bounds
	for _, s := range lines {
		for _, d := range s.Dots {
			xs.add(d.X)
			ys.add(d.Y)
		}
	}
	if !xs.set {
		return nil
	}
	if level != nil {
		ys.add(*level)
	}
	xs.add(0)
	xTicks, yTicks := xs.ticks(6, xUnit), ys.ticks(5, yUnit)
	c := &chart{
		ID: id, Title: title, XName: xName, YName: yName, Width: chartWidth, Height: chartHeight,
		Left: chartLeft, Right: chartWidth - chartRight, Top: chartTop, Bottom: chartHeight - chartBottom, Middle: (chartLeft + chartWidth - chartRight) / 2,
		Data: chartData{XName: xName, YName: yName, XUnit: xUnit, YUnit: yUnit, Level: level, Name: levelName, Series: []chartLine{}},
	}
	x := func(v float64) float64 {
		return round(chartLeft + (v-xs.low)/(xs.high-xs.low)*(chartWidth-chartLeft-chartRight))
	}
	y := func(v float64) float64 {
		return round(chartTop + (ys.high-v)/(ys.high-ys.low)*(chartHeight-chartTop-chartBottom))
	}
	for _, t := range xTicks {
		c.XTicks = append(c.XTicks, tick{x(t.At), t.Name})
	}
	for _, t := range yTicks {
		c.YTicks = append(c.YTicks, tick{y(t.At), t.Name})
	}
	if level != nil {
		c.Level, c.HasLevel, c.LevelName = y(*level), true, levelName
	}
	for _, s := range lines {
		l, data := line{Label: s.Label, Color: s.Color}, chartLine{Label: s.Label, Color: s.Color, Points: [][2]float64{}}
		for i, d := range s.Dots {
			if i > 0 {
				l.Path += " "
			}
			l.Path += num(x(d.X)) + "," + num(y(d.Y))
			data.Points = append(data.Points, [2]float64{d.X, d.Y})
			if d.Title != "" {
				l.Dots = append(l.Dots, dot{x(d.X), y(d.Y), d.Title})
				data.Titles = append(data.Titles, d.Title)
			}
		}
		if len(data.Titles) != len(data.Points) {
			data.Titles = nil
		}
		c.Lines = append(c.Lines, l)
		c.Data.Series = append(c.Data.Series, data)
	}
	return c
}

func round(x float64) float64 { return math.Round(x*10) / 10 }

func num(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// bounds is a range of values.
type bounds struct {
	low, high float64
	set       bool
}

func (s *bounds) add(x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	if !s.set {
		s.low, s.high, s.set = x, x, true
		return
	}
	s.low, s.high = min(s.low, x), max(s.high, x)
}

// ticks widens the range to whole steps and returns about n of them.
func (s *bounds) ticks(n int, unit string) []tick {
	if s.low == s.high {
		pad := max(math.Abs(s.low)*0.1, 1e-9)
		if s.low == 0 {
			pad = 1
		}
		s.low, s.high = s.low-pad, s.high+pad
		if s.low < 0 && s.low+pad >= 0 {
			s.low = 0
		}
	}
	step := niceStep((s.high-s.low)/float64(n), unit)
	s.low, s.high = math.Floor(s.low/step)*step, math.Ceil(s.high/step)*step
	var out []tick
	for i := 0; i <= 4*n; i++ {
		at := s.low + float64(i)*step
		if at > s.high+step/2 {
			break
		}
		out = append(out, tick{at, tickName(at, step, unit)})
	}
	return out
}

// niceStep is a round number not below x: in hours and minutes for times.
func niceStep(x float64, unit string) float64 {
	if unit == timeUnit && x > 1 {
		for _, s := range []float64{2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 6 * 3600, 12 * 3600, 24 * 3600} {
			if s >= x {
				return s
			}
		}
		return math.Ceil(x/86400) * 86400
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= x*0.999 {
			return m * power
		}
	}
	return 10 * power
}

func tickName(x, step float64, unit string) string {
	switch unit {
	case timeUnit:
		switch {
		case x == 0:
			return "0"
		case step >= 3600:
			return strconv.FormatFloat(x/3600, 'g', 4, 64) + " h"
		case step >= 60:
			return strconv.FormatFloat(x/60, 'g', 4, 64) + " min"
		default:
			return strconv.FormatFloat(x, 'g', 4, 64) + " s"
		}
	case dollarUnit:
		return "$" + strconv.FormatFloat(x, 'f', digits(step), 64)
	}
	if a := math.Abs(x); a >= 1e6 || step < 1e-5 {
		return fmt.Sprintf("%.3g", x)
	}
	return strconv.FormatFloat(x+0, 'f', digits(step), 64)
}

// digits after the point that tell steps apart.
func digits(step float64) int {
	if step >= 1 {
		return 0
	}
	return int(math.Ceil(-math.Log10(step) - 1e-9))
}
