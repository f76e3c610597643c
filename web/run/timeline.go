package run

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxBars bounds the bars of a timeline: more than a screen has room for would be
// read by nobody.
const maxBars = 600

// maxLinks bounds the bars that are links of their own; above, a script says which step
// lies under the pointer.
const maxLinks = 120

// maxMarks bounds the marks above the bars, and maxPoints those of the score.
const (
	maxMarks  = 200
	maxPoints = 200
)

// lapse is what a timeline knows of a step.
type lapse struct {
	step    int
	group   string
	seconds float64
	head    string
}

// bar is one bar of a timeline: steps that follow each other.
type bar struct {
	from, to int // steps, both included
	group    string
	seconds  float64
	head     string
	x, width float64 // in thousandths of the whole
}

// mark is a sign above the bars.
type mark struct {
	Step  int
	Page  string // that the step is on, "" for this one
	Kind  string // "validate", "submit", "fault", "resume"
	Title string
	// X in percent, by share and by time.
	Share, Time float64
}

// timeline is what the template of one draws.
type timeline struct {
	Share  []drawn
	Time   []drawn
	Legend []legend
	Marks  []mark
	Steps  int
	// Left is how many marks were left out.
	Left int
	// Index says to a script which step a place belongs to.
	Index index
}

// index lists where the bars begin: the step, and the place in thousandths.
type index struct {
	Share places `json:"share"`
	Time  places `json:"time"`
}

type places struct {
	Step []int     `json:"step"`
	X    []float64 `json:"x"`
}

// drawn are bars of a group as one path, or a single one with its link.
type drawn struct {
	Class string
	Path  template.HTMLAttr
	// Step and Title where it is one bar.
	Step  int
	Page  string // that it is on, "" for this one
	Title string
}

type legend struct {
	Name, Class string
	Steps       int
	Percent     float64
}

// newTimeline draws the steps of a run. The page of a step is what pageOf says.
func newTimeline(steps []lapse, marks []mark, pageOf func(step int) string) timeline {
	t := timeline{Steps: len(steps), Index: index{Share: places{Step: []int{}, X: []float64{}}, Time: places{Step: []int{}, X: []float64{}}}}
	if len(steps) == 0 {
		return t
	}
	share := equalBars(steps)
	timed := timedBars(steps)
	t.Share, t.Time = draw(share, pageOf), draw(timed, pageOf)
	t.Index = index{Share: begin(share), Time: begin(timed)}

	if len(marks) > maxMarks {
		t.Left = len(marks) - maxMarks
		marks = spread(marks, maxMarks)
	}
	for _, m := range marks {
		m.Share, m.Time, m.Page = place(share, m.Step), place(timed, m.Step), pageOf(m.Step)
		t.Marks = append(t.Marks, m)
	}

	counts := map[string]int{}
	for _, s := range steps {
		counts[s.group]++
	}
	for name, n := range counts {
		t.Legend = append(t.Legend, legend{name, groupClass(name), n, float64(n) / float64(len(steps))})
	}
	slices.SortFunc(t.Legend, func(a, b legend) int {
		if a.Steps != b.Steps {
			return b.Steps - a.Steps
		}
		return strings.Compare(a.Name, b.Name)
	})
	return t
}

// spread keeps n of many, evenly, with the first and the last.
func spread[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	out := make([]T, 0, n)
	for i := range n {
		out = append(out, all[i*(len(all)-1)/(n-1)])
	}
	return out
}

// equalBars gives each step the same width, and as many steps to a bar as it takes to
// have at most maxBars.
func equalBars(steps []lapse) []bar {
	each := (len(steps) + maxBars - 1) / maxBars
	var out []bar
	for i := 0; i < len(steps); i += each {
		b := merge(steps[i:min(i+each, len(steps))])
		b.x = 1000 * float64(i) / float64(len(steps))
		b.width = 1000 * float64(b.to-b.from+1) / float64(len(steps))
		out = append(out, b)
	}
	return out
}

// timedBars gives each step a width by its duration; steps too short to be seen
// share a bar with those after them.
func timedBars(steps []lapse) []bar {
	total := 0.0
	for _, s := range steps {
		total += duration(s)
	}
	if total == 0 {
		return equalBars(steps)
	}
	var out []bar
	least := total / (maxBars / 2)
	begin, sum, done := 0, 0.0, 0.0
	for i, s := range steps {
		sum += duration(s)
		if sum < least && i < len(steps)-1 {
			continue
		}
		b := merge(steps[begin : i+1])
		b.x, b.width = 1000*done/total, 1000*sum/total
		out = append(out, b)
		done += sum
		begin, sum = i+1, 0
	}
	return out
}

// duration is what a timeline takes a step's duration for: a record may hold
// anything.
func duration(s lapse) float64 {
	if !(s.seconds > 0) || math.IsInf(s.seconds, 0) {
		return 0
	}
	return min(s.seconds, 1e9)
}

// merge makes one bar of steps. Its group is the one that took the longest, or, where
// nothing took time, has the most steps.
func merge(steps []lapse) bar {
	b := bar{from: steps[0].step, to: steps[len(steps)-1].step, head: steps[0].head}
	weight := map[string]float64{}
	for _, s := range steps {
		b.seconds += duration(s)
		weight[s.group] += duration(s) + 1e-6
	}
	best := -1.0
	for _, s := range steps { // in order, so that the result does not depend on the map
		if w := weight[s.group]; w > best {
			best, b.group = w, s.group
		}
	}
	return b
}

// draw makes what the template draws of bars.
func draw(bars []bar, pageOf func(step int) string) []drawn {
	if len(bars) <= maxLinks {
		out := make([]drawn, 0, len(bars))
		for _, b := range bars {
			title := fmt.Sprintf("step %d · %s · %s s", b.from, b.group, strconv.FormatFloat(b.seconds, 'g', 3, 64))
			if b.to != b.from {
				title = fmt.Sprintf("steps %d to %d · %s · %s s", b.from, b.to, b.group, strconv.FormatFloat(b.seconds, 'g', 3, 64))
			}
			if b.head != "" && b.to == b.from {
				title += "\n" + b.head
			}
			out = append(out, drawn{groupClass(b.group), pathOf([]bar{b}), b.from, pageOf(b.from), title})
		}
		return out
	}
	groups := map[string][]bar{}
	for _, b := range bars {
		class := groupClass(b.group)
		groups[class] = append(groups[class], b)
	}
	var out []drawn
	for class, of := range groups {
		out = append(out, drawn{Class: class, Path: pathOf(of)})
	}
	slices.SortFunc(out, func(a, b drawn) int { return strings.Compare(a.Class, b.Class) })
	return out
}

// pathOf is the shape of bars, in a picture 1000 wide and 10 high.
func pathOf(bars []bar) template.HTMLAttr {
	var out strings.Builder
	out.WriteString(`d="`)
	for _, b := range bars {
		gap := min(0.6, b.width/4)
		out.WriteString("M" + number(b.x) + " 0h" + number(b.width-gap) + "v10h-" + number(b.width-gap) + "z")
	}
	out.WriteByte('"')
	return template.HTMLAttr(out.String()) //nolint:gosec // digits
}

// number writes a place shortly.
func number(x float64) string {
	text := strconv.FormatFloat(x, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// begin lists where bars begin.
func begin(bars []bar) places {
	var p places
	for _, b := range bars {
		p.Step = append(p.Step, b.from)
		p.X = append(p.X, math.Round(b.x*10)/10)
	}
	return p
}

// place is where the middle of a step lies, in percent.
func place(bars []bar, step int) float64 {
	i, _ := slices.BinarySearchFunc(bars, step, func(b bar, step int) int { return b.to - step })
	if i >= len(bars) {
		i = len(bars) - 1
	}
	b := bars[i]
	within := (float64(step-b.from) + 0.5) / float64(b.to-b.from+1)
	return math.Round(min(max(b.x+b.width*within, 0), 1000)*10) / 100
}

// groupClasses are the classes of the groups of actions; a name that is not among them is
// shown as another one.
var groupClasses = map[string]string{
	"Edit": "g-edit", "View": "g-view", "Validate": "g-validate", "Submit": "g-submit", "Search": "g-search",
	"Python": "g-python", "Bash": "g-bash", "Memory": "g-memory", "Limit": "g-limit",
}

func groupClass(name string) string {
	if class, ok := groupClasses[name]; ok {
		return class
	}
	return "g-other"
}

// chart is a small picture of the score over the steps.
type chart struct {
	Metric   string
	Lines    []segment
	Points   []point
	Baseline float64 // in percent from the top
	HasBase  bool
	// What stands beside the axes.
	Top, Bottom, Base string
	Steps             int
}

type segment struct{ X1, Y1, X2, Y2 float64 }

type point struct {
	X, Y  float64
	Step  int
	Page  string // that the step is on, "" for this one
	Class string
	Title string
}

// measured is one score of a run.
type measured struct {
	step  int
	kind  string
	value float64
}

// newChart draws scores. The page of a step is what pageOf says. It returns nil where there are fewer than two, which need
// no picture.
func newChart(metric string, scores []measured, baseline *float64, steps int, title func(measured) string, pageOf func(step int) string) *chart {
	scores = slices.DeleteFunc(slices.Clone(scores), func(m measured) bool { return !finite(m.value) })
	if len(scores) < 2 {
		return nil
	}
	scores = spread(scores, maxPoints)
	low, high := math.Inf(1), math.Inf(-1)
	for _, m := range scores {
		low, high = min(low, m.value), max(high, m.value)
	}
	c := &chart{Metric: metric, Steps: steps}
	if baseline != nil && finite(*baseline) {
		// A baseline far away would press the scores into one line.
		c.HasBase = true
		low, high = min(low, *baseline), max(high, *baseline)
		c.Base = short(*baseline)
	}
	c.Top, c.Bottom = short(high), short(low)
	y := func(v float64) float64 {
		// Halves, so that the difference of two huge numbers stays finite.
		whole := high/2 - low/2
		if whole == 0 {
			return 50
		}
		return math.Round(1000*(8+84*((high/2-v/2)/whole))) / 1000
	}
	x := func(step int) float64 {
		if steps <= 1 {
			return 50
		}
		return math.Round(1000*min(max(100*float64(step)/float64(steps), 0), 100)) / 1000
	}
	if c.HasBase {
		c.Baseline = y(*baseline)
	}
	for i, m := range scores {
		c.Points = append(c.Points, point{x(m.step), y(m.value), m.step, pageOf(m.step), "s-" + m.kind, title(m)})
		if i > 0 {
			p := c.Points[i-1]
			c.Lines = append(c.Lines, segment{p.X, p.Y, x(m.step), y(m.value)})
		}
	}
	return c
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// short writes a score for an axis.
func short(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }
