package board

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"mlgym/experiment"
)

// Options say how a picture is drawn.
type Options struct {
	// Width and Height are the columns and lines that there are; a picture takes
	// no more. Values below 1 mean 80 and 24.
	Width, Height int
	// Color adds SGR sequences; nothing is told by colours alone.
	Color bool
	// Now is the time that ends are counted from, in the zone in which they are
	// told. The zero time leaves them out.
	Now time.Time
}

// Heights from which a picture has more parts.
const (
	mostForHeadings = 12 // below it, rows alone
	airyHeight      = 20 // from it, empty lines
	matrixHeight    = 30 // from it, the matrix of tasks and agents
)

// silence is after how long without progress a running episode is said to be
// silent. Progress is written every few seconds.
const silence = time.Minute

// Render draws where an experiment stands: what it is, a bar, money and time,
// then an episode a line, the running ones first. The lines have no line ends.
// They are valid UTF-8 without control characters (but for SGR sequences with
// Color), and at most Width columns wide.
func Render(s experiment.Status, o Options) []string {
	if o.Width < 1 {
		o.Width = 80
	}
	if o.Height < 1 {
		o.Height = 24
	}
	p := picture{status: s, opts: o}
	p.head()
	p.body()
	if len(p.lines) > o.Height {
		p.lines = p.lines[:o.Height]
	}
	out := make([]string, len(p.lines))
	for i, l := range p.lines {
		out[i] = l.render(o.Width, o.Color)
	}
	return out
}

type picture struct {
	status experiment.Status
	opts   Options
	lines  []line
}

func (p *picture) add(lines ...line) { p.lines = append(p.lines, lines...) }

// head draws what is known of the experiment as a whole.
func (p *picture) head() {
	s, columns, height := p.status, p.opts.Width, p.opts.Height
	word, how := p.condition()
	var facts []line
	if s.Spent.Hours > 0 {
		text := duration(s.Spent.Hours * 3600)
		if s.Budget.Hours > 0 {
			text += " of " + duration(s.Budget.Hours*3600)
		}
		facts = append(facts, line{{text, ordinary}})
	}
	switch {
	case s.Active && s.Parallel > 0:
		facts = append(facts, line{{fmt.Sprintf("%d at a time", s.Parallel), ordinary}})
	case s.Running > 0:
		facts = append(facts, line{{fmt.Sprintf("%d at a time", s.Running), ordinary}})
	}
	state := line{{word, how}}
	// The name may be long, and the rest matters more.
	room := columns - state.width() - 3
	for len(facts) > 0 && flow(facts, math.MaxInt, 1)[0].width()+3+min(12, columns/3) > room {
		facts = facts[:len(facts)-1]
	}
	for _, fact := range facts {
		room -= fact.width() + 3
	}
	name := plain(s.Name)
	if name == "" {
		name = "experiment"
	}
	items := append([]line{{{clipMiddle(name, max(room, min(8, columns))), bold}}, state}, facts...)
	p.add(flow(items, columns, 1)...)
	if s.Stopping != "" && height > 6 {
		p.add(line{{"stopping: " + plain(s.Stopping), careful}})
	}

	p.add(p.bar())
	if height < 4 {
		return
	}
	most := 1
	if height >= 8 {
		most = 2
	}
	p.add(flow(p.legend(), columns, most)...)
	most = 1
	switch {
	case height >= 16:
		most = 3
	case height >= 10:
		most = 2
	}
	p.add(flow(append(p.money(), p.pace()...), columns, most)...)
}

// condition says in a word what the experiment is doing.
func (p *picture) condition() (word string, how style) {
	s := p.status
	ended := s.Done + s.Failed + s.Skipped
	switch {
	case s.Stopping != "":
		return "stopping", careful
	case s.Active:
		return "running", lively
	case s.Total > 0 && ended >= s.Total && s.Failed > 0:
		return "finished with failures", alarming
	case s.Total > 0 && ended >= s.Total:
		return "finished", good
	case ended+s.Running == 0:
		return "not begun", ordinary
	default:
		return "not running", careful
	}
}

// kind is one state of episodes in bar and legend.
type kind struct {
	state  experiment.State
	number int
	glyph  string
	style  style
}

func (p *picture) kinds() []kind {
	c := p.status.Counts
	return []kind{
		{experiment.Done, c.Done, "█", good},
		{experiment.Failed, c.Failed, "×", alarming},
		{experiment.Skipped, c.Skipped, "-", careful},
		{experiment.Running, c.Running, "▒", lively},
		{experiment.Waiting, c.Waiting, "░", faint},
	}
}

// bar is as long as the line allows, each state with its own glyph. A state that
// has an episode has at least one column, where there are enough.
func (p *picture) bar() line {
	total := 0
	kinds := p.kinds()
	numbers := make([]int, len(kinds))
	for i, k := range kinds {
		numbers[i] = max(k.number, 0)
		total += numbers[i]
	}
	c := p.status.Counts
	percent := "0%"
	if ended := max(c.Done, 0) + max(c.Failed, 0) + max(c.Skipped, 0); total > 0 {
		// 100% is said of nothing that is not over.
		percent = fmt.Sprintf("%d%%", int(100*float64(ended)/float64(total)))
	}
	tail := pad(percent, 5, true) + fmt.Sprintf(" of %d", total)
	length := p.opts.Width - width(tail)
	if length < 10 {
		tail, length = pad(percent, 5, true), p.opts.Width-5
	}
	if length < 5 {
		return line{{strings.TrimSpace(percent), bold}}
	}
	var out line
	for i, columns := range divide(numbers, length) {
		out = append(out, span{strings.Repeat(kinds[i].glyph, columns), kinds[i].style})
	}
	if total == 0 {
		out = line{{strings.Repeat("░", length), faint}}
	}
	return append(out, span{tail, bold})
}

// divide shares columns out in proportion to numbers, at least one for each
// that is not 0 where there are enough. Without any number, all get none.
func divide(numbers []int, columns int) []int {
	out := make([]int, len(numbers))
	total, some := 0.0, 0
	for _, n := range numbers {
		total += float64(n)
		if n > 0 {
			some++
		}
	}
	if total == 0 || columns < some {
		return out
	}
	type rest struct {
		index int
		part  float64
	}
	var rests []rest
	left := columns
	for i, n := range numbers {
		if n == 0 {
			continue
		}
		exact := float64(n) / total * float64(columns)
		out[i] = max(int(exact), 1)
		left -= out[i]
		rests = append(rests, rest{i, exact - float64(out[i])})
	}
	// The largest remainders get what is left; the least pressed give what was
	// taken too much.
	slices.SortStableFunc(rests, func(a, b rest) int { return cmp.Compare(b.part, a.part) })
	for i := 0; left > 0; i = (i + 1) % len(rests) {
		out[rests[i].index]++
		left--
	}
	for left < 0 {
		largest := 0
		for i := range out {
			if out[i] > out[largest] {
				largest = i
			}
		}
		out[largest]--
		left++
	}
	return out
}

func (p *picture) legend() []line {
	var items []line
	for _, k := range p.kinds() {
		if k.number <= 0 && k.state != experiment.Done {
			continue
		}
		text := fmt.Sprintf(" %d %s", k.number, k.state)
		items = append(items, line{{k.glyph, k.style}, {text, ordinary}})
	}
	return items
}

// money tells costs and tokens.
func (p *picture) money() []line {
	s := p.status
	cost := line{{usd(s.Spent.USD), bold}}
	if s.Budget.USD > 0 {
		cost = append(cost, span{" of " + usd(s.Budget.USD), ordinary})
	}
	cost = append(cost, span{" spent", ordinary})
	items := []line{cost}
	if s.RemainingUSD != nil && *s.RemainingUSD > 0 {
		item := line{{"the rest about " + usd(*s.RemainingUSD), ordinary}}
		if s.Budget.USD > 0 && s.Spent.USD+*s.RemainingUSD > s.Budget.USD {
			item = line{{"the rest about " + usd(*s.RemainingUSD) + ", more than is left", careful}}
		}
		items = append(items, item)
	}
	if s.Spent.Unpriced > 0 {
		items = append(items, line{{fmt.Sprintf("%d without a price", s.Spent.Unpriced), careful}})
	}
	if s.Spent.Tokens > 0 || s.Budget.Tokens > 0 {
		text := count(s.Spent.Tokens)
		if s.Budget.Tokens > 0 {
			text += " of " + count(s.Budget.Tokens)
		}
		items = append(items, line{{text + " tokens", ordinary}})
	}
	return items
}

// pace tells how fast it goes, and when it may end.
func (p *picture) pace() []line {
	s := p.status
	var items []line
	if s.PerHour > 0 {
		items = append(items, line{{perHour(s.PerHour), ordinary}})
	}
	if s.Remaining != nil && s.Active {
		text := duration(*s.Remaining) + " to go"
		if end := p.end(*s.Remaining); end != "" {
			text += ", until about " + end
		}
		items = append(items, line{{text, ordinary}})
	}
	return items
}

// end is when so many seconds will have passed, as precise as makes sense.
func (p *picture) end(seconds float64) string {
	now := p.opts.Now
	if now.IsZero() || math.IsNaN(seconds) || seconds < 0 || seconds > longest.Seconds() {
		return ""
	}
	end := now.Add(time.Duration(seconds * float64(time.Second)))
	switch {
	case end.Format(time.DateOnly) == now.Format(time.DateOnly):
		return end.Format("15:04")
	case seconds < 7*24*3600:
		return end.Format("Mon 15:04")
	default:
		return end.Format(time.DateOnly)
	}
}
