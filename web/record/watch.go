package record

import (
	"context"
	"sync"
	"time"
)

// pollEvery is how often the files of a run that somebody watches are looked at.
const pollEvery = 500 * time.Millisecond

// watchers are those who want to know when a run grows.
type watchers struct {
	mu   sync.Mutex
	list map[chan struct{}]struct{}
	stop context.CancelFunc
}

// Watch sends on the channel when the run has grown or changed otherwise; what its
// methods say is up to date then. Whoever is slow misses nothing but how often.
// The channel is closed after ctx has ended. All who watch a run share one look at
// its files twice a second; nobody looks when nobody watches.
func Watch(ctx context.Context, run *Run) <-chan struct{} {
	ch := make(chan struct{}, 1)
	w := &run.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		w.list = map[chan struct{}]struct{}{}
	}
	w.list[ch] = struct{}{}
	if w.stop == nil {
		var polling context.Context
		polling, w.stop = context.WithCancel(context.WithoutCancel(ctx))
		go run.poll(polling)
	}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.list, ch)
		close(ch)
		if len(w.list) == 0 {
			w.stop()
			w.stop = nil
		}
	})
	return ch
}

// poll looks at the files until ctx ends.
func (r *Run) poll(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := r.Refresh(ctx)
		if err != nil || !changed {
			continue
		}
		r.tell()
	}
}

// tell tells all who watch.
func (r *Run) tell() {
	w := &r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.list {
		select {
		case ch <- struct{}{}:
		default: // it has not looked yet
		}
	}
}
