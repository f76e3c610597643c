package runs

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mlgym/gym"
	"mlgym/search"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

// maxCompared is how many runs are compared at once.
const maxCompared = 6

// readKeys reads the keys of runs out of an address.
func readKeys(text string) ([]record.Key, error) {
	var keys []record.Key
	for k := range strings.SplitSeq(text, ",") {
		if k == "" {
			continue
		}
		key := record.Key(k)
		switch {
		case !key.Valid():
			return nil, fmt.Errorf("%w: %q is no key of a run", record.ErrNoRun, markup.Head(k, 40))
		case slices.Contains(keys, key):
			continue
		case len(keys) == maxCompared:
			return nil, badf("at most %d runs are compared at once: choose fewer", maxCompared)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, badf("no run is named")
	}
	return keys, nil
}

// side is one of the runs that are compared.
type side struct {
	row
	// Letter names it on the page, Color is its number from 1.
	Letter string
	Color  int
	// First puts the run before the others, "" where it is there.
	First string
	run   *record.Run
	head  record.Header
}

// fact is a row of the table of facts.
type fact struct {
	ID, Name string
	// Kind says how the values are written: "text", "num", "score", "usd", "seconds", "when".
	Kind   string
	Values []any
	// Differs says that not all values are the same, and that it matters.
	Differs bool
	// Best is the place of the best value, −1 for none.
	Best int
}

type factGroup struct {
	Title string
	Facts []fact
}

// comparePage is what the page of a comparison is made of.
type comparePage struct {
	Keys    string
	Sides   []side
	Facts   []factGroup
	Notices []string
	Charts  []*chart
	Scores  []scoreRow
	Steps   steps
	// Pairs are the comparisons of two of several runs, in a static site.
	Pairs []pairLink
	Files string
}

type pairLink struct{ Title, Link string }

// scoreRow is an evaluation in the table of all.
type scoreRow struct {
	Side    *side
	Step    int
	Kind    gym.Kind
	Score   *float64
	Problem string
	Best    bool
	Final   bool
	Seconds float64
	Link    string
}

// opened opens the runs that an address names.
func (p *Pages) opened(ctx context.Context, text string, most int) ([]side, error) {
	keys, err := readKeys(text)
	if err != nil {
		return nil, err
	}
	if len(keys) < 2 {
		return nil, badf("a comparison needs two runs: tick another one in the list of runs")
	}
	keys = keys[:min(len(keys), most)]
	var sides []side
	for i, key := range keys {
		run, err := p.lib.Open(ctx, key)
		if err != nil {
			return nil, err
		}
		entry := run.Entry()
		s := side{row: rowOf(&entry), Letter: string(rune('A' + i)), Color: i + 1, run: run, head: run.Header()}
		if i > 0 {
			rest := slices.DeleteFunc(slices.Clone(keys), func(k record.Key) bool { return k == key })
			s.First = "compare/" + strings.Join(words(append([]record.Key{key}, rest...)), ",") + "/"
		}
		sides = append(sides, s)
	}
	return sides, nil
}

func keysOf(sides []side) string {
	keys := make([]string, len(sides))
	for i := range sides {
		keys[i] = string(sides[i].Key)
	}
	return strings.Join(keys, ",")
}

func (p *Pages) compare(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	data, err := p.comparison(r)
	if err != nil {
		p.fail(w, r, runsSection, err)
		return
	}
	path := "compare/" + data.Keys + "/"
	if data.Steps.First != 1 {
		path += "rows/" + itoa(data.Steps.First) + "/"
	}
	p.room.Render(w, r, page.Page{
		Title: "Compare " + itoa(len(data.Sides)) + " runs", Section: runsSection, Path: path, Template: "compare", Data: data,
		Scripts: []string{"assets/chart.js", "runs/compare.js"}, Styles: []string{"markup/markup.css", "runs/runs.css"}, Wide: true,
	})
}

func (p *Pages) comparison(r *http.Request) (*comparePage, error) {
	ctx := r.Context()
	sides, err := p.opened(ctx, r.PathValue("keys"), maxCompared)
	if err != nil {
		return nil, err
	}
	from := 1
	if text := r.PathValue("from"); text != "" {
		if from, err = strconv.Atoi(text); err != nil || from < 1 {
			return nil, badf("%q is no number of a row", markup.Head(text, 20))
		}
	}
	data := &comparePage{Keys: keysOf(sides), Sides: sides, Facts: facts(sides), Notices: notices(sides)}
	data.Files = "compare/" + data.Keys + "/files/"
	times := make([]*clock, len(sides))
	for i := range sides {
		times[i] = newClock(sides[i].run)
	}
	data.Charts = charts(sides, times)
	data.Scores = p.scoreTable(sides, times)
	if data.Steps, err = p.steps(ctx, &sides[0], &sides[1], from, data.Keys); err != nil {
		return nil, err
	}
	if p.site.Static() && len(sides) > 2 {
		for i := range sides {
			for j := i + 1; j < len(sides); j++ {
				data.Pairs = append(data.Pairs, pairLink{
					Title: sides[i].Letter + " and " + sides[j].Letter, Link: "compare/" + keysOf([]side{sides[i], sides[j]}) + "/",
				})
			}
		}
	}
	return data, nil
}

// notices say what makes the runs hard to compare.
func notices(sides []side) []string {
	var out []string
	all := func(get func(*record.Header) string) bool {
		for i := range sides {
			if get(&sides[i].head) != get(&sides[0].head) {
				return false
			}
		}
		return true
	}
	switch {
	case !all(func(h *record.Header) string { return h.Task }):
		out = append(out, "These runs are on different tasks, so their scores do not compare.")
	case !all(func(h *record.Header) string { return h.Metric }):
		out = append(out, "These runs are scored by different metrics, so their scores do not compare.")
	case !all(func(h *record.Header) string { return h.Variant }):
		out = append(out, "These runs are of different variants of the task, so their scores do not compare.")
	}
	for i := range sides {
		s := &sides[i]
		if s.head.State == search.Running {
			out = append(out, s.Letter+" goes on; load the page again to see more of it.")
		}
		for _, problem := range s.head.Problems {
			out = append(out, s.Letter+": "+markup.Head(problem, 300))
		}
	}
	return out
}

// facts are the tables of what the runs are and what they came to.
func facts(sides []side) []factGroup {
	text := func(id, name string, get func(*record.Header) string) fact {
		f := fact{ID: id, Name: name, Kind: "text", Best: -1}
		for i := range sides {
			f.Values = append(f.Values, markup.Head(get(&sides[i].head), 200))
			f.Differs = f.Differs || f.Values[i] != f.Values[0]
		}
		return f
	}
	number := func(id, name, kind string, get func(*record.Header) any) fact {
		f := fact{ID: id, Name: name, Kind: kind, Best: -1}
		for i := range sides {
			f.Values = append(f.Values, get(&sides[i].head))
		}
		return f
	}
	score := func(id, name string, get func(*record.Header) *float64) fact {
		f := number(id, name, "score", func(h *record.Header) any { return get(h) })
		h := &sides[0].head
		for i := range sides {
			x := get(&sides[i].head)
			if x == nil || sides[i].head.Task != h.Task || sides[i].head.Metric != h.Metric {
				continue
			}
			switch best := f.Best; {
			case best < 0:
				f.Best = i
			case h.Direction.Better(*x, *get(&sides[best].head)):
				f.Best = i
			}
		}
		return f
	}
	setup := factGroup{Title: "What they are", Facts: []fact{
		text("task", "Task", func(h *record.Header) string { return h.Task }),
		text("version", "Task version", func(h *record.Header) string { return h.TaskVersion }),
		text("variant", "Variant", func(h *record.Header) string { return h.Variant }),
		text("mode", "Mode", func(h *record.Header) string { return h.Mode }),
		text("agent", "Agent", func(h *record.Header) string {
			if h.AgentName != "" && h.AgentName != h.Agent {
				return h.AgentName + " (" + h.Agent + ")"
			}
			return h.Agent
		}),
		text("model", "Model", func(h *record.Header) string { return h.Model }),
		text("scaffold", "Scaffold", func(h *record.Header) string { return h.Scaffold }),
		text("seed", "Seed", func(h *record.Header) string { return strconv.FormatUint(h.Seed, 10) }),
		text("limits", "Limits", func(h *record.Header) string { return limits(h) }),
		text("sandbox", "Sandbox", func(h *record.Header) string { return h.Sandbox.Driver }),
		text("reward", "Reward", func(h *record.Header) string { return h.RewardKind }),
		text("software", "Software", func(h *record.Header) string { return h.Software }),
		number("started", "Started", "when", func(h *record.Header) any { return h.Started }),
	}}
	setup.Facts = slices.DeleteFunc(setup.Facts, func(f fact) bool {
		return !slices.ContainsFunc(f.Values, func(v any) bool { return v != "" && v != time.Time{} })
	})
	result := factGroup{Title: "What they came to", Facts: []fact{
		text("state", "State", func(h *record.Header) string { return string(h.State) }),
		text("exit", "Exit status", func(h *record.Header) string { return h.ExitStatus }),
		text("metric", "Metric", func(h *record.Header) string {
			if h.Metric == "" {
				return ""
			}
			return fmt.Sprintf("%s, %s", h.Metric, h.Direction)
		}),
		score("score", "Final score", func(h *record.Header) *float64 { return h.Score }),
		score("best", "Best score", func(h *record.Header) *float64 { return h.Best }),
		number("baseline", "Baseline", "score", func(h *record.Header) any { return h.BaselineScore }),
		number("evaluations", "Evaluations", "num", func(h *record.Header) any { return len(h.Evaluations) }),
		number("steps", "Steps", "num", func(h *record.Header) any { return h.Steps }),
		number("seconds", "Time", "seconds", func(h *record.Header) any { return h.Seconds }),
		number("cost", "Cost", "usd", func(h *record.Header) any { return h.CostUSD }),
		number("tokens-in", "Tokens in", "num", func(h *record.Header) any { return h.TokensIn }),
		number("tokens-cached", "of them cached", "num", func(h *record.Header) any { return h.TokensCached }),
		number("tokens-out", "Tokens out", "num", func(h *record.Header) any { return h.TokensOut }),
		number("requests", "Requests", "num", func(h *record.Header) any { return h.Requests }),
		number("faults", "Faults", "num", func(h *record.Header) any { return h.Faults }),
		number("resumes", "Resumed", "num", func(h *record.Header) any { return h.Resumes }),
	}}
	result.Facts = slices.DeleteFunc(result.Facts, func(f fact) bool {
		switch f.ID {
		case "faults", "resumes", "tokens-cached", "requests", "tokens-in", "tokens-out":
			return !slices.ContainsFunc(f.Values, func(v any) bool { return fmt.Sprint(v) != "0" })
		default:
			return false
		}
	})
	return []factGroup{setup, result}
}

// clock says how much time of a run had passed after a step, and what it had cost.
type clock struct {
	seconds []float64
	cost    []float64
	tokens  []float64
	// priced says that all requests have a price, and at least one is not 0.
	priced bool
}

func newClock(run *record.Run) *clock {
	n := run.Len()
	c := &clock{seconds: make([]float64, 1, n+1), cost: make([]float64, 1, n+1), tokens: make([]float64, 1, n+1)}
	known := true
	for b := range briefs(run) {
		last := len(c.seconds) - 1
		cost := 0.0
		switch {
		case b.CostUSD != nil:
			cost = *b.CostUSD
		case b.Requests > 0:
			known = false
		}
		c.seconds = append(c.seconds, c.seconds[last]+b.Think+b.Seconds)
		c.cost = append(c.cost, c.cost[last]+cost)
		c.tokens = append(c.tokens, c.tokens[last]+float64(b.TokensIn+b.TokensOut))
	}
	c.priced = known && c.cost[len(c.cost)-1] > 0
	return c
}

// at is the seconds after a step; those of the last one where there are not so many.
func (c *clock) at(step int) float64 {
	return c.seconds[min(max(step, 0), len(c.seconds)-1)]
}

// briefs goes through the steps of a run from 1 on, a part at a time.
func briefs(run *record.Run) func(yield func(record.Brief) bool) {
	const part = 1000
	return func(yield func(record.Brief) bool) {
		for from := 1; ; from += part {
			list := run.Briefs(from, part)
			for _, b := range list {
				if !yield(b) {
					return
				}
			}
			if len(list) < part {
				return
			}
		}
	}
}

// stepOf is the step of an evaluation; the one at the end, which none made, stands
// at the last.
func stepOf(s *side, e *record.Evaluation) int {
	n := s.run.Len()
	if e.Step <= 0 || e.Step > n {
		return n
	}
	return e.Step
}

func charts(sides []side, times []*clock) []*chart {
	var bySteps, byTime, costs, tokens []series
	alike := true
	for i := range sides {
		s, c := &sides[i], times[i]
		label := s.Letter + " · " + s.Who + " · seed " + strconv.FormatUint(s.Seed, 10)
		a, b := series{Label: label, Color: s.Color}, series{Label: label, Color: s.Color}
		alike = alike && s.head.Task == sides[0].head.Task && s.head.Metric == sides[0].head.Metric
		for j := range s.head.Evaluations {
			e := &s.head.Evaluations[j]
			if e.Score == nil {
				continue
			}
			step := stepOf(s, e)
			title := fmt.Sprintf("%s, step %d, %s: %s", s.Letter, step, e.Kind, strconv.FormatFloat(*e.Score, 'g', 6, 64))
			if e.Final {
				title += " (final)"
			}
			a.Dots = append(a.Dots, dot{float64(step), *e.Score, title})
			b.Dots = append(b.Dots, dot{c.at(step), *e.Score, title})
		}
		bySteps, byTime = append(bySteps, a), append(byTime, b)
		if c.priced {
			costs = append(costs, series{Label: label, Color: s.Color, Dots: thin(c.cost)})
		}
		if c.tokens[len(c.tokens)-1] > 0 {
			tokens = append(tokens, series{Label: label, Color: s.Color, Dots: thin(c.tokens)})
		}
	}
	var out []*chart
	add := func(c *chart) {
		if c != nil {
			out = append(out, c)
		}
	}
	if alike {
		name := sides[0].Metric
		if name == "" {
			name = "score"
		}
		var level *float64
		if base := sides[0].head.BaselineScore; base != nil && !math.IsNaN(*base) && !math.IsInf(*base, 0) {
			level = base
		}
		add(draw("scores-steps", "Scores over steps", "step", name, plainUnit, plainUnit, bySteps, level, "baseline"))
		add(draw("scores-time", "Scores over time", "time thinking and acting", name, timeUnit, plainUnit, byTime, level, "baseline"))
	}
	add(draw("cost-steps", "Cost over steps", "step", "cost", plainUnit, dollarUnit, costs, nil, ""))
	if len(costs) == 0 {
		add(draw("tokens-steps", "Tokens over steps", "step", "tokens", plainUnit, plainUnit, tokens, nil, ""))
	}
	return out
}

// thin takes about 200 of the values that grow with the steps.
func thin(values []float64) []dot {
	every := max(1, len(values)/200)
	var out []dot
	for i := 0; i < len(values); i += every {
		out = append(out, dot{X: float64(i), Y: values[i]})
	}
	if last := len(values) - 1; last%every != 0 {
		out = append(out, dot{X: float64(last), Y: values[last]})
	}
	return out
}

// maxScores is how many evaluations of a run the table lists.
const maxScores = 500

func (p *Pages) scoreTable(sides []side, times []*clock) []scoreRow {
	var out []scoreRow
	for i := range sides {
		s := &sides[i]
		list := s.head.Evaluations
		if len(list) > maxScores {
			list = list[len(list)-maxScores:]
		}
		for j := range list {
			e := &list[j]
			step := stepOf(s, e)
			out = append(out, scoreRow{
				Side: s, Step: step, Kind: e.Kind, Score: e.Score, Problem: markup.Head(strings.TrimSpace(string(e.Problem)+" "+problemText(e)), 160), Best: e.Best, Final: e.Final,
				Seconds: times[i].at(step), Link: p.stepPage(s.Key, step),
			})
		}
	}
	return out
}

func problemText(e *record.Evaluation) string {
	if e.Problem == gym.Scored {
		return ""
	}
	return e.Message
}

// steps are the steps of two runs beside each other.
type steps struct {
	Left, Right *side
	// Prefix actions are the same at the beginning.
	Prefix int
	// Same, Similar, Different and Alone count the rows of each kind.
	Same, Similar, Different, Alone int
	ByNumber                        bool
	Groups                          []stepGroup
	// First and Last are the numbers of the rows shown, from 1, of Total.
	First, Last, Total int
	Prev, Next         string
	// Part is the number of the row at which they part, 0 where they do not, and
	// PartLink the page that has it.
	Part     int
	PartLink string
}

// stepGroup is a stretch of rows: one that is the same is folded where it is long.
type stepGroup struct {
	Folded bool
	Title  string
	Rows   []stepRow
}

// stepRow is a row of two steps.
type stepRow struct {
	Number      int
	Kind        string
	Left, Right *stepCell
	// Outcome says that the same action had another outcome.
	Outcome bool
	// Part marks the row at which the runs part.
	Part bool
	// More is the page with both steps whole; Resource is the part of it that a script
	// puts below the row.
	More, Resource string
}

// stepCell is a step in a row.
type stepCell struct {
	record.Brief
	Text string
	Link string
	// Scores are its last evaluations, at most three.
	Scores []record.Evaluation
	// Failed says that it exited with another code than 0, Going that it is being
	// executed.
	Failed, Going bool
}

// How many rows a page has, and from how many on a stretch that is the same is folded.
const (
	rowsSize = 200
	foldFrom = 4
)

func (p *Pages) steps(ctx context.Context, left, right *side, from int, keys string) (steps, error) {
	out := steps{Left: left, Right: right}
	l, r, err := signs(ctx, left.run, right.run)
	if err != nil {
		return out, err
	}
	var pairs []pair
	pairs, out.Prefix, out.ByNumber = align(l, r)
	out.Total = len(pairs)
	for i, pr := range pairs {
		switch pr.kind {
		case same:
			out.Same++
		case similar:
			out.Similar++
		case different:
			out.Different++
		default:
			out.Alone++
		}
		if pr.kind != same && out.Part == 0 {
			out.Part = i + 1
		}
	}
	if from > max(out.Total, 1) {
		return out, badf("the comparison has %d rows, and none with the number %d", out.Total, from)
	}
	out.First = (from-1)/rowsSize*rowsSize + 1
	out.Last = min(out.Total, out.First+rowsSize-1)
	base := "compare/" + keys + "/"
	to := func(first int) string {
		if first == 1 {
			return base
		}
		return base + "rows/" + itoa(first) + "/"
	}
	if out.First > 1 {
		out.Prev = to(out.First - rowsSize)
	}
	if out.Last < out.Total {
		out.Next = to(out.Last + 1)
	}
	if out.Part > 0 {
		out.PartLink = to((out.Part-1)/rowsSize*rowsSize + 1)
	}
	if out.Total == 0 {
		return out, nil
	}
	two := "compare/" + keysOf([]side{*left, *right}) + "/step/"
	var rows []stepRow
	for i := out.First - 1; i < out.Last; i++ {
		pr := pairs[i]
		row := stepRow{Number: i + 1, Kind: pr.kind, Left: p.cell(left, pr.left), Right: p.cell(right, pr.right), Part: i+1 == out.Part}
		place := placeName(pr.left) + "," + placeName(pr.right)
		if !p.site.Static() {
			row.Resource = two + place
		}
		if !p.site.Static() || row.Part {
			row.More = two + place + "/"
		}
		if row.Left != nil && row.Right != nil {
			a, b := row.Left, row.Right
			row.Outcome = pr.kind == same && (a.ObservationBytes != b.ObservationBytes || !slices.Equal(exit(a), exit(b)) || a.Deadline != b.Deadline)
		}
		rows = append(rows, row)
	}
	out.Groups = grouped(rows)
	return out, nil
}

func exit(c *stepCell) []int {
	if c.ExitCode == nil {
		return nil
	}
	return []int{*c.ExitCode}
}

func (p *Pages) cell(s *side, at int) *stepCell {
	if at < 0 {
		return nil
	}
	list := s.run.Briefs(at+1, 1)
	if len(list) == 0 {
		return nil
	}
	c := &stepCell{Brief: list[0], Text: markup.Head(list[0].Head, 160), Link: p.stepPage(s.Key, at+1)}
	if c.Text == "" {
		c.Text = "(no action)"
		if c.Stop != "" {
			c.Text = "stopped: " + string(c.Stop)
		}
	}
	c.Failed = c.ExitCode != nil && *c.ExitCode != 0
	c.Going = c.Pending && s.head.State == search.Running
	if n := len(c.Evaluations); n > 3 {
		c.Scores = c.Evaluations[n-3:]
	} else {
		c.Scores = c.Evaluations
	}
	return c
}

// grouped puts long stretches of rows that are the same together.
func grouped(rows []stepRow) []stepGroup {
	var out []stepGroup
	for at := 0; at < len(rows); {
		end := at
		for end < len(rows) && rows[end].Kind == same {
			end++
		}
		if end-at >= foldFrom {
			others := 0
			for _, row := range rows[at:end] {
				if row.Outcome {
					others++
				}
			}
			title := fmt.Sprintf("%d steps with the same actions", end-at)
			if others > 0 {
				title += fmt.Sprintf(", %d of them with another outcome", others)
			}
			out = append(out, stepGroup{Folded: true, Title: title, Rows: rows[at:end]})
			at = end
			continue
		}
		end = max(end, at+1)
		if n := len(out); n > 0 && !out[n-1].Folded {
			out[n-1].Rows = append(out[n-1].Rows, rows[at:end]...)
		} else {
			out = append(out, stepGroup{Rows: slices.Clone(rows[at:end])})
		}
		at = end
	}
	return out
}

// maxReads is how many actions are read whole to tell whether they are the same.
const maxReads = 4000

// signs returns what the actions of two runs are compared by. Actions of which the
// list of steps has all are compared by that; of others, those that begin alike and
// are as long are read.
func signs(ctx context.Context, left, right *record.Run) (l, r []sign, err error) {
	type part struct {
		head  string
		bytes int
	}
	numbers := map[any]int32{}
	number := func(v any) int32 {
		n, ok := numbers[v]
		if !ok {
			n = int32(len(numbers)) + 1 //nolint:gosec // a few for each step
			numbers[v] = n
		}
		return n
	}
	type exactly string
	type kind string
	sums := maphash.MakeSeed()
	long := map[part][2][]int{} // which steps of both runs begin so
	runs := []*record.Run{left, right}
	lists := [2][]sign{}
	for side, run := range runs {
		for b := range briefs(run) {
			head := strings.Join(strings.Fields(b.Head), " ")
			s := sign{head: number(head), kind: number(kind(b.Group + " " + firstWord(head)))}
			if whole := b.ActionBytes <= len(b.Head)+2; whole {
				s.exact = number(exactly(head))
			} else {
				p := part{b.Head, b.ActionBytes}
				s.exact = number(p)
				steps := long[p]
				steps[side] = append(steps[side], b.Number)
				long[p] = steps
			}
			if b.Stop != "" {
				s.exact = number(b.Stop)
			}
			lists[side] = append(lists[side], s)
		}
	}
	var read [2][]int
	for _, steps := range long {
		if len(steps[0]) > 0 && len(steps[1]) > 0 {
			read[0], read[1] = append(read[0], steps[0]...), append(read[1], steps[1]...)
		}
	}
	for side, run := range runs {
		slices.Sort(read[side])
		for _, n := range read[side][:min(len(read[side]), maxReads)] {
			step, err := run.Step(ctx, n)
			if errors.Is(err, record.ErrNoStep) {
				continue // the record was written anew meanwhile
			}
			if err != nil {
				return nil, nil, err
			}
			lists[side][n-1].exact = number(maphash.String(sums, strings.TrimSpace(step.Action)))
		}
	}
	return lists[0], lists[1], nil
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

// limits writes the limits of a run.
func limits(h *record.Header) string {
	var parts []string
	l := &h.Limits
	if l.MaxSteps > 0 {
		parts = append(parts, itoa(l.MaxSteps)+" steps")
	}
	if l.WallSeconds > 0 {
		parts = append(parts, (time.Duration(l.WallSeconds) * time.Second).String())
	}
	if l.CostUSD > 0 {
		parts = append(parts, "$"+strconv.FormatFloat(l.CostUSD, 'f', 2, 64))
	}
	if l.Tokens > 0 {
		parts = append(parts, short(l.Tokens)+" tokens")
	}
	if l.ActionSeconds > 0 {
		parts = append(parts, (time.Duration(l.ActionSeconds)*time.Second).String()+" an action")
	}
	return strings.Join(parts, ", ")
}

// placeName is the number of a step in an address, from its place in a list; "-"
// where there is none.
func placeName(at int) string {
	if at < 0 {
		return "-"
	}
	return itoa(at + 1)
}

func itoa(n int) string { return strconv.Itoa(n) }
