package tasks

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"mlgym/runstore"
	"mlgym/search"
	"mlgym/task"
	"mlgym/web/markup"
	"mlgym/web/record"
)

// standing is what the runs made of one task.
type standing struct {
	Task string
	Runs int
	// Boards are one for each variant and mode, whose scores are not compared with
	// each other.
	Boards []*board
}

// board is what the runs in one variant and mode made of a task.
type board struct {
	Variant, Mode string
	Metric        string
	Direction     runstore.Direction
	Runs          int
	// Best is the run with the best final score, nil where there is none.
	Best *record.Entry
	// Rows are the models and agents, the best first, and Beyond the runs whose score
	// is one that honest work does not reach: they count in no row.
	Rows   []*row
	Beyond []outlier
	// Others is how many further rows there are.
	Others int
}

// outlier is a run whose score honest work does not reach.
type outlier struct {
	Key       record.Key
	Score     *float64
	Label, ID string
}

// row is one model and agent.
type row struct {
	Model, Agent string
	// Runs there are, Going those that go on, Scored those with a final score.
	Runs, Going, Scored int
	Best                *record.Entry
	// Median of the final scores, nil where there is none.
	Median *float64

	scores []float64
}

// shownRunes bounds names that stand in runs.
const shownRunes = 100

// mostRows bounds the table of a page.
const mostRows = 50

// overview is what the runs made of all tasks, at one generation of the list.
type overview struct {
	generation int64
	at         time.Time
	took       time.Duration
	byTask     map[string]*standing
}

// idleShare bounds the time for overviews of a list that changes all the time: after
// each, so many times as long passes before the next.
const idleShare = 4

// overview returns what the runs made of the tasks. It is computed again when the
// list of runs has changed, but not too often.
func (p *Pages) overview(ctx context.Context) (*overview, error) {
	generation := p.lib.Progress().Generation
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.latest; l != nil && (l.generation == generation || time.Since(l.at) < idleShare*l.took) {
		return l, nil
	}
	began := time.Now()
	entries, _, err := p.lib.Runs(ctx, search.RunQuery{})
	if err != nil {
		return nil, err
	}
	p.latest = &overview{generation: generation, byTask: p.standings(entries)}
	p.latest.at, p.latest.took = time.Now(), time.Since(began)
	return p.latest, nil
}

// standings sorts runs by task, variant, mode, model and agent.
func (p *Pages) standings(entries []record.Entry) map[string]*standing {
	type place struct{ task, variant, mode string }
	type who struct {
		place
		model, agent string
	}
	byTask, boards, rows := map[string]*standing{}, map[place]*board{}, map[who]*row{}
	for i := range entries {
		e := &entries[i]
		at := place{e.Task, e.Variant, e.Mode}
		if e.Source == search.MLGym {
			// What MLGym publishes are its tasks as they are, validated on the test.
			at.variant, at.mode = task.Full, string(task.Published)
		}
		s := byTask[e.Task]
		if s == nil {
			s = &standing{Task: e.Task}
			byTask[e.Task] = s
		}
		b := boards[at]
		if b == nil {
			b = &board{Variant: markup.Head(at.variant, shownRunes), Mode: markup.Head(at.mode, shownRunes)}
			boards[at], s.Boards = b, append(s.Boards, b)
		}
		b.Metric, b.Direction = cmp.Or(b.Metric, markup.Head(e.Metric, shownRunes)), cmp.Or(b.Direction, e.Direction)
		s.Runs++
		b.Runs++
		if p.beyond(e) {
			b.Beyond = append(b.Beyond, outlier{e.Key, e.Score, markup.Head(cmp.Or(e.Model, e.AgentName, e.Agent), shownRunes), markup.Head(e.ID, shownRunes)})
			continue
		}
		by := who{at, e.Model, cmp.Or(e.AgentName, e.Agent)}
		r := rows[by]
		if r == nil {
			r = &row{Model: markup.Head(by.model, shownRunes), Agent: markup.Head(by.agent, shownRunes)}
			rows[by], b.Rows = r, append(b.Rows, r)
		}
		r.add(e, b)
	}
	for _, s := range byTask {
		s.sort()
	}
	return byTask
}

// beyond reports whether a run's final score is one that its task calls an alarm. An
// alarm is meant of full data: on less of them, honest scores scatter beyond it.
func (p *Pages) beyond(e *record.Entry) bool {
	t := p.tasks[e.Task]
	if t == nil || e.Score == nil || e.Variant != "" && e.Variant != task.Full {
		return false
	}
	m, ok := t.Metric(e.Metric)
	return ok && m.Suspicious(*e.Score)
}

func (r *row) add(e *record.Entry, b *board) {
	r.Runs++
	if e.State == search.Running {
		r.Going++
	}
	if e.Score == nil {
		return
	}
	r.Scored++
	r.scores = append(r.scores, *e.Score)
	if r.Best == nil || b.Direction.Better(*e.Score, *r.Best.Score) {
		r.Best = e
	}
	if b.Best == nil || b.Direction.Better(*e.Score, *b.Best.Score) {
		b.Best = e
	}
}

// sort brings boards and rows into the order in which they are shown.
func (s *standing) sort() {
	slices.SortFunc(s.Boards, func(a, b *board) int {
		return cmp.Or(cmp.Compare(rank(a.Variant), rank(b.Variant)), strings.Compare(a.Variant, b.Variant), strings.Compare(a.Mode, b.Mode))
	})
	for _, b := range s.Boards {
		for _, r := range b.Rows {
			r.Median = median(r.scores)
		}
		slices.SortStableFunc(b.Rows, func(x, y *row) int {
			switch {
			case x.Best == nil || y.Best == nil:
				return cmp.Or(boolRank(x.Best == nil)-boolRank(y.Best == nil), y.Runs-x.Runs, strings.Compare(x.Model+x.Agent, y.Model+y.Agent))
			case b.Direction.Better(*x.Best.Score, *y.Best.Score):
				return -1
			case b.Direction.Better(*y.Best.Score, *x.Best.Score):
				return 1
			}
			return strings.Compare(x.Model+x.Agent, y.Model+y.Agent)
		})
		if len(b.Rows) > mostRows {
			b.Others = len(b.Rows) - mostRows
			b.Rows = b.Rows[:mostRows]
		}
	}
}

// rank puts full before small before the others.
func rank(variant string) int {
	switch variant {
	case task.Full:
		return 0
	case task.Small:
		return 1
	}
	return 2
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// median of some numbers, nil of none.
func median(x []float64) *float64 {
	if len(x) == 0 {
		return nil
	}
	x = slices.Sorted(slices.Values(x))
	m := x[len(x)/2]
	if len(x)%2 == 0 {
		m = (m + x[len(x)/2-1]) / 2
	}
	return &m
}

// variant returns the boards of a variant.
func (s *standing) variant(name string) []*board {
	if s == nil {
		return nil
	}
	var out []*board
	for _, b := range s.Boards {
		if b.Variant == name {
			out = append(out, b)
		}
	}
	return out
}

// unknown lists the tasks that only runs name, sorted.
func (o *overview) unknown(p *Pages) []*standing {
	var out []*standing
	for _, id := range slices.Sorted(maps.Keys(o.byTask)) {
		if p.tasks[id] == nil {
			out = append(out, o.byTask[id])
		}
	}
	return out
}
