package experiments

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"hash/maphash"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/web/page"
)

// feed is what the browsers that look at one page share: the newest patches, by
// number. It is safe for concurrent use.
type feed struct {
	mu sync.Mutex
	// epoch tells the numbers of this feed from those of one before.
	epoch   string
	version int64
	patches []patch // consecutive, the newest last
	size    int     // of the patches, in bytes
	// listeners are told that there is something new.
	listeners map[chan struct{}]bool
	polling   bool
	served    time.Time

	seed   maphash.Seed
	hashes map[string]uint64 // of the parts that were sent
}

type patch struct {
	version int64
	data    string
}

const (
	pollEvery = time.Second
	// mostPatches and mostPatchBytes are kept for browsers that come back; one that
	// was away for longer loads its page again.
	mostPatches    = 60
	mostPatchBytes = 1 << 20
	mostListeners  = 200
	// warm is how long after a page was served its browser is expected to listen.
	warm = 15 * time.Second
)

func newFeed() *feed {
	return &feed{epoch: rand.Text()[:12], listeners: map[chan struct{}]bool{}, seed: maphash.MakeSeed(), hashes: map[string]uint64{}}
}

// mark is how far a page that is rendered now is.
func (f *feed) mark() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.served = time.Now()
	return f.markOf(f.version)
}

func (f *feed) markOf(version int64) string { return f.epoch + "." + strconv.FormatInt(version, 10) }

// wanted reports whether patches are of use to anybody.
func (f *feed) wanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.listeners) > 0 || time.Since(f.served) < warm
}

// parts collects what changed, by the ids of elements.
type parts struct {
	feed *feed
	html map[string]string
}

func (f *feed) parts() *parts { return &parts{f, map[string]string{}} }

// add is for one goroutine for each feed. What was sent before is left out.
func (p *parts) add(id, html string) {
	hash := maphash.String(p.feed.seed, html)
	if had, ok := p.feed.hashes[id]; ok && had == hash {
		return
	}
	p.feed.hashes[id] = hash
	p.html[id] = html
}

// publish hands parts to all who listen.
func (f *feed) publish(p *parts) {
	if len(p.html) == 0 {
		return
	}
	data, err := json.Marshal(p.html)
	if err != nil {
		return // strings always can
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.patches = append(f.patches, patch{f.version, string(data)})
	f.size += len(data)
	for len(f.patches) > mostPatches || f.size > mostPatchBytes && len(f.patches) > 1 {
		f.size -= len(f.patches[0].data)
		f.patches = f.patches[1:]
	}
	f.tell()
}

// reset makes all pages load again.
func (f *feed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.patches, f.size = nil, 0
	clear(f.hashes)
	f.tell()
}

func (f *feed) tell() {
	for c := range f.listeners {
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
}

// since are the patches after a mark; false where they are not there any more.
func (f *feed) since(mark string) ([]patch, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	epoch, number, _ := strings.Cut(mark, ".")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil || epoch != f.epoch || version > f.version || version < f.version-int64(len(f.patches)) {
		return nil, false
	}
	return append([]patch(nil), f.patches[len(f.patches)-int(f.version-version):]...), true
}

// listen begins to poll where nobody did. The channel gets a sign when there is
// something new; false says that too many listen.
func (f *feed) listen(ctx context.Context, poll func(ctx context.Context)) (changed chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listeners) >= mostListeners {
		return nil, false
	}
	changed = make(chan struct{}, 1)
	f.listeners[changed] = true
	if !f.polling {
		f.polling = true
		go f.poll(context.WithoutCancel(ctx), poll)
	}
	return changed, true
}

func (f *feed) leave(changed chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, changed)
}

// poll goes on while anybody listens.
func (f *feed) poll(ctx context.Context, poll func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		poll(ctx)
		<-ticker.C
		f.mu.Lock()
		if len(f.listeners) == 0 {
			f.polling = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
	}
}

// serve answers with the patches from where the browser's page is.
func (f *feed) serve(w http.ResponseWriter, r *http.Request, poll func(ctx context.Context)) {
	changed, ok := f.listen(r.Context(), poll)
	if !ok {
		http.Error(w, "too many pages listen to this; close some", http.StatusServiceUnavailable)
		return
	}
	defer f.leave(changed)
	stream := page.NewStream(w, r)
	mark := stream.Last
	if mark == "" {
		mark = r.URL.Query().Get("since")
	}
	_ = stream.Follow(r.Context(), changed, func() error { // the browser is gone
		patches, ok := f.since(mark)
		if !ok {
			mark = f.mark()
			return stream.Send(mark, "reload", "")
		}
		for _, p := range patches {
			mark = f.markOf(p.version)
			if err := stream.Send(mark, "patch", p.data); err != nil {
				return err
			}
		}
		return nil
	})
}
