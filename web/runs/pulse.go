package runs

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

// pulse looks at a library from time to time, for all who listen together, and not
// at all while nobody does.
type pulse struct {
	every time.Duration
	look  func() news

	mu        sync.Mutex
	listeners map[chan struct{}]bool
	stop      context.CancelFunc
	stopped   chan struct{}
}

// listen returns a channel on which something comes when the library changed, and
// what ends that.
func (p *pulse) listen() (changed <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners == nil {
		p.listeners = map[chan struct{}]bool{}
	}
	p.listeners[c] = true
	if len(p.listeners) == 1 {
		ctx, stop := context.WithCancel(context.Background())
		p.stop, p.stopped = stop, make(chan struct{})
		go p.beat(ctx, p.stopped)
	}
	return c, func() { p.leave(c) }
}

func (p *pulse) leave(c chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.listeners[c] {
		return
	}
	delete(p.listeners, c)
	if len(p.listeners) == 0 {
		p.stop()
	}
}

func (p *pulse) beat(ctx context.Context, stopped chan struct{}) {
	defer close(stopped)
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	last := p.look()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := p.look()
		if now == last {
			continue
		}
		last = now
		p.mu.Lock()
		for c := range p.listeners {
			select {
			case c <- struct{}{}:
			default: // it has not looked since the last one
			}
		}
		p.mu.Unlock()
	}
}

// news is what an event tells, and what the page says of the reading of runs.
type news struct {
	Generation int64 `json:"generation"`
	// Reading says that runs are being read, many of them or for the first time; a
	// look for changes takes no time worth showing.
	Reading bool `json:"reading"`
	// Waiting says that another process reads them.
	Waiting  bool   `json:"waiting"`
	Runs     int    `json:"runs"`
	AllRuns  int    `json:"all_runs"`
	Bytes    int64  `json:"bytes"`
	AllBytes int64  `json:"all_bytes"`
	Error    string `json:"error,omitempty"`
	// Lost is how many folders could not be looked into, and LostText tells of one.
	Lost     int    `json:"lost,omitempty"`
	LostText string `json:"lost_text,omitempty"`
}

// manyRuns is from how many runs on reading them is shown.
const manyRuns = 20

func newsOf(p record.Progress) news {
	n := news{Generation: p.Generation, Error: p.Err, Lost: len(p.Problems)}
	if n.Lost > 0 {
		n.LostText = markup.Head(p.Problems[0].Path+": "+p.Problems[0].Text, 300)
	}
	if n.Reading = p.Indexing && (!p.Done || p.AllRuns-p.Runs >= manyRuns) || !p.Done && p.Err == ""; n.Reading {
		n.Waiting, n.Runs, n.AllRuns, n.Bytes, n.AllBytes = p.Waiting, p.Runs, p.AllRuns, p.Bytes, p.AllBytes
	}
	return n
}

// events tells whenever the list of runs changed, and how far the index is.
func (p *Pages) events(w http.ResponseWriter, r *http.Request) {
	changed, leave := p.pulse.listen() //nolint:contextcheck // it looks for others too, and ends with the last of them
	defer leave()
	stream := page.NewStream(w, r)
	_ = stream.Follow(r.Context(), changed, func() error { // ends when the browser is gone
		n := newsOf(p.lib.Progress())
		return stream.Send(strconv.FormatInt(n.Generation, 10), "list", n)
	})
}
