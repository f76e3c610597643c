package run

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mlgym/search"
	"mlgym/web/page"
	"mlgym/web/record"
)

const (
	// maxGrowth bounds the steps that an event brings; a page that lacks more asks for
	// them as it needs them.
	maxGrowth = 20
	// growthBytes is about how long they may be.
	growthBytes = 200 << 10
	// slowTimeline is from how many steps on the timeline of a run is drawn anew only
	// after redrawAfter: one more step could hardly be seen in it.
	slowTimeline = 5000
	redrawAfter  = 10 * time.Second
)

// growth is an event of a run that goes on.
type growth struct {
	// Total steps, and whether the last of them is pending.
	Total   int  `json:"total"`
	Pending bool `json:"pending"`
	Live    bool `json:"live"`
	// Steps is the HTML of those from From on; "" where there are too many.
	From  int    `json:"from"`
	Steps string `json:"steps"`
	// Head, Timeline, Chart and Closing take the place of those of the page; a timeline
	// that is "" leaves the one that is there.
	Head     string  `json:"head"`
	Timeline string  `json:"timeline"`
	Chart    string  `json:"chart"`
	Closing  string  `json:"closing"`
	Scores   []score `json:"scores"`
}

// events sends what is appended to a run, until it ends. The id of an event is how many
// steps the page has then that do not change any more.
func (p *Pages) events(w http.ResponseWriter, r *http.Request, run *record.Run) {
	if p.site.Static() {
		http.NotFound(w, r)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	changed := record.Watch(ctx, run)
	stream := page.NewStream(w, r)
	has, err := strconv.Atoi(firstOf(stream.Last, r.URL.Query().Get("from")))
	if err != nil || has < 0 {
		has = run.Len()
	}
	sent, drawn := growth{}, time.Time{}
	_ = stream.Follow(ctx, changed, func() error {
		draw := run.Len() <= slowTimeline || time.Since(drawn) > redrawAfter
		g, settled, err := p.growth(ctx, run, has, draw)
		if err != nil {
			return err
		}
		if g.same(&sent) && has == settled {
			return nil
		}
		sent, has = *g, settled
		if draw {
			drawn = time.Now()
		}
		if err := stream.Send(strconv.Itoa(settled), "grow", g); err != nil {
			return err
		}
		if !g.Live {
			if err := stream.Send(strconv.Itoa(settled), "end", "{}"); err != nil {
				return err
			}
			cancel()
		}
		return nil
	}) // whoever is gone does not want to know why
}

func (g *growth) same(h *growth) bool {
	return g.Total == h.Total && g.Pending == h.Pending && g.Live == h.Live && g.Steps == h.Steps && g.Head == h.Head && g.Closing == h.Closing
}

// growth collects what a page does not have that has the given number of steps, with the
// timeline if it is to be drawn, or the run has ended.
func (p *Pages) growth(ctx context.Context, run *record.Run, has int, draw bool) (*growth, int, error) {
	head := p.newHead(run)
	g := &growth{Total: run.Len(), Live: head.State == search.Running, Scores: []score{}}
	if last := run.Briefs(g.Total, 1); len(last) == 1 && g.Total > 0 {
		g.Pending = last[0].Pending
	}
	settled := g.Total
	if g.Pending {
		settled--
	}
	g.From = min(has, settled) + 1
	if g.Total-g.From < maxGrowth {
		var out strings.Builder
		rd := p.reader(run)
		rd.total = g.Total
		err := rd.steps(ctx, g.From, g.Total-g.From+1, func(v *stepView) bool {
			text, err := p.room.Text("step", v)
			if err == nil {
				out.WriteString(text)
			}
			return out.Len() < growthBytes
		})
		if err != nil {
			return nil, 0, err
		}
		if out.Len() < growthBytes {
			g.Steps = out.String()
		}
	}
	for _, e := range head.Evaluations {
		if e.Step > 0 {
			g.Scores = append(g.Scores, score{e.Step, string(e.Kind)})
		}
	}
	var closing []noteView
	for _, e := range run.Closing() {
		closing = append(closing, newNote(e))
	}
	var line timeline
	if draw = draw || !g.Live; draw {
		steps, marks := lapses(run)
		line = newTimeline(steps, marks, p.linked(head.Key, false))
	}
	for _, part := range []struct {
		to   *string
		name string
		data any
	}{
		{&g.Head, "head", head},
		{&g.Timeline, "timeline", line},
		{&g.Chart, "chart", head.chart(p.linked(head.Key, false))},
		{&g.Closing, "closing", closing},
	} {
		text, err := p.room.Text(part.name, part.data)
		if err != nil {
			return nil, 0, err
		}
		*part.to = text
	}
	return g, settled, nil
}
