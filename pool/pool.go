package pool

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/taskenv"
)

// Thing is what a pool keeps. Its methods may be called concurrently.
type Thing interface {
	// Alive reports whether it can still be used.
	Alive() bool
	// Done is closed when it has died by itself; nil where that is not known.
	Done() <-chan struct{}
	// Close frees it. It is idempotent.
	Close() error
}

// Pool keeps sandboxes that are ready for an episode.
type Pool = Of[*taskenv.Ready]

// New returns a pool that keeps nothing yet; see [Of.Set].
func New(opts Options) *Pool { return newOf[*taskenv.Ready](opts) }

// Options of a pool. The zero value is usable.
type Options struct {
	// Builders is how many things are made at once; 0 means 2.
	Builders int
	// ReserveBytes is how much of the machine's memory is left alone: where less is
	// available, nothing is made. 0 means 1 GiB, a negative number no reserve.
	ReserveBytes int64
	// AvailableBytes says how much memory the machine has to give; where nil,
	// MemAvailable of the kernel. Without an answer it is taken to have enough.
	AvailableBytes func() (int64, error)
	// Log is told of what could not be made or closed; it may be nil.
	Log *slog.Logger
}

// The times of a pool.
const (
	// quiet is for how long no claim must have come before something is made that
	// the next claim does not need.
	quiet = 20 * time.Millisecond
	// firstPause is the pause after a failure; each further one doubles it, up to
	// maxPause.
	firstPause = time.Second
	maxPause   = time.Minute
	// memoryPause is how long is waited for memory to become free, of which nobody
	// tells.
	memoryPause = time.Second
)

// Of is a pool of any things. It is safe for concurrent use.
type Of[T Thing] struct {
	opts   Options
	ctx    context.Context //nolint:containedctx // the life of the pool, for its builders
	cancel context.CancelFunc
	wake   chan struct{}  // something changed
	work   sync.WaitGroup // the keeper, the builders, who closes and who watches

	mu       sync.Mutex
	shelves  map[string]*shelf[T]
	building int
	claimed  time.Time // the last claim
	low      bool      // memory is short
	closed   bool
	closeErr error
	changed  chan struct{} // closed, and made anew, when something was made or failed
}

// shelf is what there is for one key.
type shelf[T Thing] struct {
	want     int
	prepare  func(context.Context) (T, error)
	ready    []item[T] // the oldest first
	building int
	stats    Stats
	err      error // of the last builder, nil after a success
	pause    time.Duration
	notUntil time.Time
}

// item is one ready thing.
type item[T Thing] struct {
	thing T
	taken chan struct{} // closed when it is no longer the pool's
}

// Stats says how a key fares.
type Stats struct {
	// Want is how many are to be ready, Ready how many are, Building how many are
	// being made.
	Want     int `json:"want"`
	Ready    int `json:"ready"`
	Building int `json:"building"`
	// Claimed counts the claims that were served, Misses those for which nothing
	// was ready, Failures what could not be made, Died what died while it waited.
	Claimed  int64 `json:"claimed"`
	Misses   int64 `json:"misses"`
	Failures int64 `json:"failures"`
	Died     int64 `json:"died"`
	// LastError says why the last one could not be made, "" after a success.
	LastError string `json:"last_error,omitempty"`
	// LowMemory says that none are made since the machine's memory is short.
	LowMemory bool `json:"low_memory,omitempty"`
}

func newOf[T Thing](opts Options) *Of[T] {
	opts.Builders = cmp.Or(opts.Builders, 2)
	opts.ReserveBytes = cmp.Or(opts.ReserveBytes, 1<<30)
	if opts.AvailableBytes == nil {
		opts.AvailableBytes = memAvailable
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	p := &Of[T]{opts: opts, wake: make(chan struct{}, 1), shelves: map[string]*shelf[T]{}, changed: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background()) //nolint:gosec // Close calls it
	p.work.Go(p.keep)
	return p
}

// Set says how many things of a key are to be kept ready, and how one is made;
// prepare must make the same kind of thing for the same key each time, since what
// is ready stays when the number changes. 0 means none: what is there is closed.
// It returns at once.
func (p *Of[T]) Set(key string, n int, prepare func(context.Context) (T, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shelves[key]
	if s == nil {
		s = &shelf[T]{}
		p.shelves[key] = s
	}
	s.want, s.prepare = max(0, n), prepare
	p.notify()
}

// Claim takes what is ready for a key, the oldest first; it is the caller's then.
// It returns at once, and false where nothing is ready, the key is unknown, the
// pool is closed or ctx has ended.
func (p *Of[T]) Claim(ctx context.Context, key string) (T, bool) {
	var none T
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shelves[key]
	if s == nil || p.closed || ctx.Err() != nil {
		return none, false
	}
	p.claimed = time.Now()
	p.notify()
	for len(s.ready) > 0 {
		thing, alive := p.first(s)
		if alive {
			s.stats.Claimed++
			return thing, true
		}
	}
	s.stats.Misses++
	return none, false
}

// first takes the oldest thing of a shelf and says whether it is alive; a dead one
// is closed. The caller holds the lock.
func (p *Of[T]) first(s *shelf[T]) (thing T, alive bool) {
	it := s.ready[0]
	s.ready = s.ready[1:]
	close(it.taken)
	if it.thing.Alive() {
		return it.thing, true
	}
	s.stats.Died++
	p.discard(it.thing)
	return it.thing, false
}

// Wait returns when as many things are ready for a key as there are to be, or with
// the error that one could not be made, or with that of ctx.
func (p *Of[T]) Wait(ctx context.Context, key string) error {
	p.mu.Lock()
	s := p.shelves[key]
	if s == nil {
		p.mu.Unlock()
		return fmt.Errorf("the pool knows nothing of %q", key)
	}
	for failures := s.stats.Failures; ; {
		changed := p.changed
		switch {
		case p.closed:
			p.mu.Unlock()
			return errClosed
		case len(s.ready) >= s.want:
			p.mu.Unlock()
			return nil
		case s.stats.Failures > failures:
			defer p.mu.Unlock()
			return fmt.Errorf("make %s ready: %w", key, s.err)
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p.mu.Lock()
	}
}

var errClosed = errors.New("the pool is closed")

// Stats says how each key fares.
func (p *Of[T]) Stats() map[string]Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]Stats, len(p.shelves))
	for key, s := range p.shelves {
		stats := s.stats
		stats.Want, stats.Ready, stats.Building = s.want, len(s.ready), s.building
		stats.LowMemory = p.low && len(s.ready)+s.building < s.want
		if s.err != nil {
			stats.LastError = s.err.Error()
		}
		all[key] = stats
	}
	return all
}

// Close ends everything that the pool holds and returns when nothing of it is left.
// What was claimed is not touched. The errors are those of closing.
func (p *Of[T]) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		for _, s := range p.shelves {
			p.shrink(s, 0)
		}
		p.tell()
	}
	p.mu.Unlock()
	p.cancel()
	p.work.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closeErr
}

// notify wakes the keeper.
func (p *Of[T]) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// tell lets those go on who wait for a change. The caller holds the lock.
func (p *Of[T]) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// shrink closes what a shelf has beyond n. The caller holds the lock.
func (p *Of[T]) shrink(s *shelf[T], n int) {
	for len(s.ready) > n {
		if thing, alive := p.first(s); alive {
			p.discard(thing)
		}
	}
}

// discard closes a thing behind the scenes. The caller holds the lock.
func (p *Of[T]) discard(thing T) {
	p.work.Go(func() {
		if err := thing.Close(); err != nil {
			p.opts.Log.Warn("close what was kept ready", "error", err)
			p.mu.Lock()
			p.closeErr = errors.Join(p.closeErr, err)
			p.mu.Unlock()
		}
	})
}

// keep starts builders until the pool is closed.
func (p *Of[T]) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if again := p.tend(); again > 0 {
			timer.Reset(again)
		} else {
			timer.Stop()
		}
		select {
		case <-p.wake:
		case <-timer.C:
		case <-p.ctx.Done():
			return
		}
	}
}

// tend removes what is dead or too much and starts the builders that may be
// started. It returns when to look again, 0 where there is nothing to wait for but
// a change.
func (p *Of[T]) tend() (again time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0
	}
	for _, s := range p.shelves {
		p.sweep(s)
		p.shrink(s, s.want)
	}
	now := time.Now()
	for p.building < p.opts.Builders {
		s, wait := p.neediest(now)
		if s == nil {
			return wait
		}
		if p.low = p.short(); p.low {
			return memoryPause
		}
		p.build(s)
	}
	return 0
}

// sweep closes the dead of a shelf. The caller holds the lock.
func (p *Of[T]) sweep(s *shelf[T]) {
	live := s.ready[:0:0]
	for _, it := range s.ready {
		if it.thing.Alive() {
			live = append(live, it)
			continue
		}
		close(it.taken)
		s.stats.Died++
		p.discard(it.thing)
	}
	s.ready = live
}

// neediest returns the shelf that has least of what it is to have, of those for
// which something may be made now; or for how long none may. The caller holds the
// lock.
func (p *Of[T]) neediest(now time.Time) (most *shelf[T], wait time.Duration) {
	least := 1.0
	for _, s := range p.shelves {
		has := len(s.ready) + s.building
		if has >= s.want {
			continue
		}
		from := s.notUntil
		if calm := p.claimed.Add(quiet); len(s.ready) > 0 && calm.After(from) {
			from = calm
		}
		if left := from.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		if part := float64(has) / float64(s.want); part < least {
			most, least = s, part
		}
	}
	return most, wait
}

// short reports whether the memory is.
func (p *Of[T]) short() bool {
	if p.opts.ReserveBytes < 0 {
		return false
	}
	available, err := p.opts.AvailableBytes()
	if err != nil {
		p.opts.Log.Debug("ask for the machine's memory", "error", err)
		return false
	}
	return available < p.opts.ReserveBytes
}

// build starts a builder. The caller holds the lock.
func (p *Of[T]) build(s *shelf[T]) {
	s.building++
	p.building++
	prepare := s.prepare
	p.work.Go(func() {
		thing, err := prepare(p.ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		s.building--
		p.building--
		defer p.notify()
		defer p.tell()
		if err != nil {
			if p.ctx.Err() == nil {
				p.failed(s, err)
			}
			return
		}
		s.err, s.pause = nil, 0
		if p.closed || len(s.ready) >= s.want {
			p.discard(thing)
			return
		}
		it := item[T]{thing, make(chan struct{})}
		s.ready = append(s.ready, it)
		p.work.Go(func() {
			select {
			case <-it.taken:
			case <-thing.Done():
				p.notify()
			}
		})
	})
}

// failed notes that something could not be made. The caller holds the lock.
func (p *Of[T]) failed(s *shelf[T], err error) {
	s.stats.Failures++
	s.err = err
	s.pause = min(max(2*s.pause, firstPause), maxPause)
	s.notUntil = time.Now().Add(s.pause)
	p.opts.Log.Warn("make a sandbox ready", "error", err, "again_after", s.pause)
}

// memAvailable is what the kernel thinks can be had without swapping.
func memAvailable() (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo has no MemAvailable")
}
