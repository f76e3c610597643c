package board

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mlgym/experiment"
)

// section is a list of episodes under a heading.
type section struct {
	title string
	how   style
	total int
	shown []*experiment.EpisodeStatus
}

// add keeps the episode if it is among the most that are shown. Episodes come
// in the order of the plan; latest puts those that were heard of last first.
func (s *section) add(e *experiment.EpisodeStatus, most int, latest bool) {
	s.total++
	if !latest {
		if len(s.shown) < most {
			s.shown = append(s.shown, e)
		}
		return
	}
	at, _ := slices.BinarySearchFunc(s.shown, e, func(a, b *experiment.EpisodeStatus) int { return b.At.Compare(a.At) })
	if at >= most {
		return
	}
	if len(s.shown) == most {
		s.shown = s.shown[:most-1]
	}
	s.shown = slices.Insert(s.shown, at, e)
}

// body draws the episodes into the lines that are left.
func (p *picture) body() {
	height := p.opts.Height
	if height >= matrixHeight {
		p.add(p.matrix(height / 3)...)
	}
	room := height - len(p.lines)
	if room < 1 {
		return
	}
	running := section{title: "running", how: lively}
	failed := section{title: "in trouble", how: alarming}
	ended := section{title: "ended", how: good}
	for i := range p.status.Episodes {
		switch e := &p.status.Episodes[i]; e.State {
		case experiment.Running:
			running.add(e, room, false)
		case experiment.Failed, experiment.Skipped:
			failed.add(e, room, true)
		case experiment.Done:
			ended.add(e, room, true)
		case experiment.Waiting:
			if e.Attempt > 0 || e.Message != "" {
				failed.add(e, room, true)
			}
		}
	}
	sections := []*section{&running, &failed, &ended}
	sections = slices.DeleteFunc(sections, func(s *section) bool { return s.total == 0 })
	if height >= airyHeight && room > 1 && len(sections) > 0 {
		p.add(line{})
		room--
	}
	headings := height >= mostForHeadings
	rows := share(sections, room, headings)

	var all []row
	for i, s := range sections {
		for _, e := range s.shown[:min(rows[i].episodes, len(s.shown))] {
			all = append(all, p.row(e))
		}
	}
	drawn := table(all, p.opts.Width)
	for i, s := range sections {
		if rows[i].episodes == 0 && !rows[i].more {
			continue
		}
		if headings {
			p.add(line{{s.title, s.how}, {fmt.Sprintf(" %d", s.total), faint}})
		}
		n := min(rows[i].episodes, len(s.shown))
		p.add(drawn[:n]...)
		drawn = drawn[n:]
		if rows[i].more {
			p.add(line{{fmt.Sprintf("  … %d more %s", s.total-n, s.title), faint}})
		}
	}
}

// lot is what a section gets of the room: so many episodes, and a line that says
// how many more there are.
type lot struct {
	episodes int
	more     bool
}

// share divides the room between sections: a line for each in turn, so that no
// section hides another one, then what is left to the first ones.
func share(sections []*section, room int, headings bool) []lot {
	const few = 3
	given := make([]int, len(sections)) // lines, headings apart
	for turn := range few {
		for i, s := range sections {
			price := 1
			if turn == 0 && headings {
				price = 2
			}
			if given[i] == turn && s.total > turn && room >= price {
				given[i]++
				room -= price
			}
		}
	}
	lots := make([]lot, len(sections))
	for i, s := range sections {
		if given[i] > 0 {
			more := min(s.total-given[i], room)
			given[i] += more
			room -= more
		}
		lots[i].episodes = given[i]
		// The line that says how many more takes the place of an episode. Where
		// there is room for one line only, the episode is worth more.
		if s.total > given[i] && given[i] > 1 {
			lots[i] = lot{given[i] - 1, true}
		}
	}
	return lots
}

// row is an episode in a table: columns of which some may be left out, and a
// message that takes the place of the last ones.
type row struct {
	mark    span
	name    string
	columns [columnCount]span
	message span
}

// The columns between the name and the message, in their order.
const (
	columnAttempt = iota
	columnPhase
	columnStep
	columnMetric
	columnScore
	columnCost
	columnTime
	columnCount
)

// dispensable columns, the first one first.
var dispensable = []int{columnMetric, columnTime, columnAttempt, columnCost, columnPhase, columnStep, columnScore}

// rightAligned columns hold numbers.
var rightAligned = [columnCount]bool{columnStep: true, columnScore: true, columnCost: true, columnTime: true}

func (p *picture) row(e *experiment.EpisodeStatus) row {
	name := plain(e.Name)
	if name == "" {
		name = plain(string(e.ID))
	}
	r := row{name: name}
	if e.Attempt > 1 {
		r.columns[columnAttempt] = span{fmt.Sprintf("try %d", e.Attempt), careful}
	}
	switch e.State {
	case experiment.Running:
		r.mark = span{"R", lively}
		r.columns[columnPhase] = p.phase(e)
		r.columns[columnScore] = span{scoreOr(e.Score, "-"), ordinary}
	case experiment.Done:
		r.mark = span{"D", good}
		r.columns[columnPhase] = span{clip(cause(e.ExitStatus), mostPhase), ordinary}
		r.columns[columnScore] = span{scoreOr(e.Submission, "none"), bold}
	case experiment.Failed:
		r.mark = span{"F", alarming}
	case experiment.Skipped:
		r.mark = span{"S", careful}
	case experiment.Waiting:
		r.mark = span{"W", faint}
	default:
		r.mark = span{"?", faint}
	}
	if e.State != experiment.Running && e.State != experiment.Done {
		r.message = span{plain(e.Message), ordinary}
		if r.message.text == "" {
			r.message.text = string(e.State)
		}
		return r
	}
	if e.Step > 0 || e.MaxSteps > 0 {
		r.columns[columnStep] = span{strconv.Itoa(e.Step), ordinary}
		if e.MaxSteps > 0 && e.State == experiment.Running {
			r.columns[columnStep].text += fmt.Sprintf("/%d", e.MaxSteps)
		}
	}
	if r.columns[columnScore].text != "-" && r.columns[columnScore].text != "none" {
		r.columns[columnMetric] = span{clip(plain(e.Metric), 16), faint}
	}
	r.columns[columnCost] = span{usdOr(e.CostUSD), ordinary}
	r.columns[columnTime] = span{duration(e.Seconds), ordinary}
	return r
}

const mostPhase = 12

// phase says what a running episode does, or for how long it has not been heard
// of.
func (p *picture) phase(e *experiment.EpisodeStatus) span {
	if !e.At.IsZero() && !p.opts.Now.IsZero() {
		if quiet := p.opts.Now.Sub(e.At); quiet >= silence {
			return span{"silent " + duration(quiet.Seconds()), careful}
		}
	}
	text := strings.ReplaceAll(plain(e.Phase), "_", " ")
	if text == "" {
		text = "starting"
	}
	return span{clip(text, mostPhase), lively}
}

// cause says in a word or two why an episode ended: "autosubmission
// (max_steps)" is "max steps".
func cause(exitStatus string) string {
	text := plain(exitStatus)
	if _, rest, ok := strings.Cut(text, " ("); ok {
		text = strings.TrimSuffix(rest, ")")
	}
	return strings.ReplaceAll(strings.TrimPrefix(text, "exit_"), "_", " ")
}

// fairName is a width that most names can be told apart by.
const fairName = 24

// table aligns the rows. Columns are left out, the least needed ones first,
// until the names have room.
func table(rows []row, columns int) []line {
	longestName := 0
	var widths [columnCount]int
	for _, r := range rows {
		longestName = max(longestName, width(r.name))
		for i, c := range r.columns {
			widths[i] = max(widths[i], width(c.text))
		}
	}
	const mark, gap = 2, 2
	room := func() int {
		left := columns - mark
		for _, w := range widths {
			if w > 0 {
				left -= w + gap
			}
		}
		return left
	}
	for _, i := range dispensable {
		if room() >= min(longestName, fairName) {
			break
		}
		widths[i] = 0
	}
	nameWidth := max(min(longestName, room()), 1)
	out := make([]line, len(rows))
	for n, r := range rows {
		l := line{r.mark, {" ", ordinary}}
		if r.message.text != "" {
			// A message needs more than the columns leave, and a name less.
			most := nameWidth
			if columns-mark-most-gap < columns/2 {
				most = min(most, fairName)
			}
			l = append(l, span{pad(clipMiddle(r.name, most), most, false), ordinary})
			if attempt := r.columns[columnAttempt]; attempt.text != "" && columns >= 60 {
				l = append(l, span{"  ", ordinary}, attempt)
			}
			l = append(l, span{"  ", ordinary}, r.message)
			out[n] = l
			continue
		}
		l = append(l, span{pad(clipMiddle(r.name, nameWidth), nameWidth, false), ordinary})
		for i, c := range r.columns {
			if widths[i] > 0 {
				l = append(l, span{"  ", ordinary}, span{pad(c.text, widths[i], rightAligned[i]), c.style})
			}
		}
		out[n] = l
	}
	return out
}
