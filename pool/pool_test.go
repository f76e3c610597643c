package pool

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// thing is what the pools of these tests keep.
type thing struct {
	n      int
	once   sync.Once
	done   chan struct{}
	closed atomic.Bool
}

func (t *thing) Done() <-chan struct{} { return t.done }
func (t *thing) die()                  { t.once.Do(func() { close(t.done) }) }

func (t *thing) Alive() bool {
	select {
	case <-t.done:
		return false
	default:
		return true
	}
}

func (t *thing) Close() error {
	t.closed.Store(true)
	t.die()
	return nil
}

// maker makes things; each takes a second.
type maker struct {
	mu    sync.Mutex
	made  []*thing
	now   int // builders at work
	most  int
	began int
	fail  error
}

func (m *maker) make(ctx context.Context) (*thing, error) {
	m.mu.Lock()
	m.began++
	m.now++
	m.most = max(m.most, m.now)
	m.mu.Unlock()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
	if err = errors.Join(err, m.fail); err != nil {
		return nil, err
	}
	made := &thing{n: len(m.made) + 1, done: make(chan struct{})}
	m.made = append(m.made, made)
	return made, nil
}

// counts returns how many were begun, and how many builders there were at most.
func (m *maker) counts() (began, most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.began, m.most
}

func (m *maker) failing(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// open reports how many of the things that were made are not closed.
func (m *maker) open() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.made {
		if !t.closed.Load() {
			n++
		}
	}
	return n
}

// inBubble runs a test with a pool in a time of its own.
func inBubble(t *testing.T, opts Options, run func(t *testing.T, p *Of[*thing], m *maker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if opts.ReserveBytes == 0 {
			opts.ReserveBytes = -1
		}
		p, m := newOf[*thing](opts), &maker{}
		run(t, p, m)
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, ok := p.Claim(t.Context(), "a"); ok {
			t.Error("a closed pool gave something away")
		}
		if err := p.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
	})
}

func claim(t *testing.T, p *Of[*thing]) *thing {
	t.Helper()
	got, ok := p.Claim(t.Context(), "a")
	if !ok {
		t.Fatalf("nothing was ready: %+v", p.Stats())
	}
	return got
}

func TestKeepsReadyAndRebuilds(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, p *Of[*thing], m *maker) {
		if _, ok := p.Claim(t.Context(), "a"); ok {
			t.Error("an unknown key has something")
		}
		p.Set("a", 4, m.make)
		if _, ok := p.Claim(t.Context(), "a"); ok {
			t.Error("something was ready before it was made")
		}
		began := time.Now()
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		// Two builders, four things of a second each.
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("four things took %v, want 2s", took)
		}
		first := claim(t, p)
		if first.n != 1 && first.n != 2 || first.closed.Load() {
			t.Errorf("claimed %+v, want one of the oldest, open", first.n)
		}
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if n := m.open(); n != 1 {
			t.Errorf("after Close %d things are open, want the claimed one", n)
		}
		if _, most := m.counts(); most != 2 {
			t.Errorf("%d builders at once, want 2", most)
		}
		if got := p.Stats()["a"]; got.Claimed != 1 || got.Misses != 1 || got.Ready != 0 || got.Building != 0 {
			t.Errorf("stats %+v", got)
		}
	})
}

// TestClaimsComeFirst: while claims come and something is ready, nothing is made.
func TestClaimsComeFirst(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, p *Of[*thing], m *maker) {
		p.Set("a", 10, m.make)
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		for range 9 {
			claim(t, p)
			time.Sleep(quiet / 2)
			synctest.Wait()
			if began, _ := m.counts(); began != 10 {
				t.Fatalf("a builder was started between two claims (%d)", began)
			}
		}
		claim(t, p) // the last one: now the next claim would wait in vain
		synctest.Wait()
		if began, _ := m.counts(); began == 10 {
			t.Error("nothing is being made although nothing is ready")
		}
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTheDeadAreReplaced(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, p *Of[*thing], m *maker) {
		p.Set("a", 2, m.make)
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		dead := m.made[0]
		m.mu.Unlock()
		dead.die()
		// Not even a claim right now gets it.
		if got := claim(t, p); got == dead {
			t.Error("a dead thing was given away")
		}
		synctest.Wait()
		if !dead.closed.Load() {
			t.Error("the dead thing was not closed")
		}
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		// One that dies when nobody looks is replaced too.
		m.mu.Lock()
		dead = m.made[3]
		m.mu.Unlock()
		dead.die()
		synctest.Wait()
		if got := p.Stats()["a"]; got.Died != 2 || got.Ready != 1 || got.Building != 1 {
			t.Errorf("stats %+v, want one ready, one being made, two died", got)
		}
	})
}

func TestFailures(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, p *Of[*thing], m *maker) {
		cause := errors.New("no bwrap")
		m.failing(cause)
		p.Set("a", 1, m.make)
		if err := p.Wait(t.Context(), "a"); !errors.Is(err, cause) {
			t.Errorf("Wait: %v, want %v", err, cause)
		}
		// Failing takes 1 s, the pauses 1, 2, 4 … 60, 60 s.
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		began, _ := m.counts()
		if began < 12 || began > 17 {
			t.Errorf("%d attempts in ten minutes, want pauses that grow up to a minute", began)
		}
		got := p.Stats()["a"]
		if got.LastError != "no bwrap" || got.Failures < int64(began-1) {
			t.Errorf("stats %+v", got)
		}
		m.failing(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := p.Stats()["a"]; got.LastError != "" || got.Ready != 1 {
			t.Errorf("stats after a success: %+v", got)
		}
		// And the next failure begins with a short pause again.
		m.failing(cause)
		claim(t, p)
		before, _ := m.counts()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if after, _ := m.counts(); after-before < 2 {
			t.Errorf("%d attempts after another failure, want 2", after-before)
		}
	})
}

// TestMemory: nothing is made that would take from the reserve, and what is there
// is given away all the same.
func TestMemory(t *testing.T) {
	var available atomic.Int64
	available.Store(3 << 30)
	opts := Options{Builders: 1, ReserveBytes: 1 << 30, AvailableBytes: func() (int64, error) { return available.Load(), nil }}
	inBubble(t, opts, func(t *testing.T, p *Of[*thing], m *maker) {
		p.Set("a", 5, func(ctx context.Context) (*thing, error) {
			available.Add(-1 << 30)
			return m.make(ctx)
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := p.Stats()["a"]; got.Ready != 3 || got.Building != 0 || !got.LowMemory {
			t.Errorf("stats %+v, want three ready and little memory", got)
		}
		claim(t, p)
		available.Store(10 << 30)
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if got := p.Stats()["a"]; got.LowMemory {
			t.Errorf("stats %+v, want enough memory", got)
		}
	})
	// A machine that does not say is taken to have enough.
	opts.AvailableBytes = func() (int64, error) { return 0, errors.New("no such file") }
	inBubble(t, opts, func(t *testing.T, p *Of[*thing], m *maker) {
		p.Set("a", 1, m.make)
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSizesChange(t *testing.T) {
	inBubble(t, Options{Builders: 4}, func(t *testing.T, p *Of[*thing], m *maker) {
		p.Set("a", 4, m.make)
		if err := p.Wait(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		p.Set("a", 1, m.make)
		synctest.Wait()
		if n := m.open(); n != 1 {
			t.Errorf("%d are open after the number went down to 1", n)
		}
		p.Set("a", 3, m.make)
		p.Set("b", 1, m.make)
		synctest.Wait()
		p.Set("a", 0, nil)
		p.Set("b", 0, nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := m.open(); n != 0 {
			t.Errorf("%d are open that nobody wants any more", n)
		}
		if began, _ := m.counts(); began > 7 {
			t.Errorf("%d were begun", began)
		}
	})
}

// TestTheEmptiestFirst: of several keys the one that has least is served.
func TestTheEmptiestFirst(t *testing.T) {
	inBubble(t, Options{Builders: 1}, func(t *testing.T, p *Of[*thing], m *maker) {
		p.Set("b", 10, m.make)
		time.Sleep(3500 * time.Millisecond)
		p.Set("a", 2, m.make)
		time.Sleep(1 * time.Second)
		synctest.Wait()
		if got := p.Stats(); got["a"].Building != 1 {
			t.Errorf("stats %+v, want the empty key to be served next", got)
		}
	})
}

// TestCloseEndsBuilders that are at work, and those who wait.
func TestCloseEndsBuilders(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, p *Of[*thing], m *maker) {
		p.Set("a", 2, m.make)
		waited := make(chan error, 1)
		go func() { waited <- p.Wait(t.Context(), "a") }()
		synctest.Wait()
		began := time.Now()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; !errors.Is(err, errClosed) {
			t.Errorf("Wait: %v, want %v", err, errClosed)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		if got := p.Stats()["a"]; got.Failures != 0 || got.Building != 0 {
			t.Errorf("stats %+v", got)
		}
	})
}

func TestWait(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, p *Of[*thing], m *maker) {
		if err := p.Wait(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("Wait for an unknown key: %v", err)
		}
		p.Set("a", 1, m.make)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.Wait(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v, want the end of its context", err)
		}
		if _, ok := p.Claim(ctx, "a"); ok {
			t.Error("claimed with a context that has ended")
		}
	})
}

// TestMany claims from many sides at once; nothing is given away twice.
func TestMany(t *testing.T) {
	p, m := newOf[*thing](Options{Builders: 8, ReserveBytes: -1}), &maker{}
	var given sync.Map
	p.Set("a", 16, func(context.Context) (*thing, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		made := &thing{done: make(chan struct{})}
		m.made = append(m.made, made)
		return made, nil
	})
	if err := p.Wait(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var served atomic.Int64
	for range 8 {
		wg.Go(func() {
			for range 200 {
				got, ok := p.Claim(t.Context(), "a")
				if !ok {
					continue
				}
				served.Add(1)
				if _, twice := given.LoadOrStore(got, true); twice || got.closed.Load() {
					t.Error("given away twice, or closed")
				}
				if err := got.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := p.Stats()["a"]
	if got.Claimed != served.Load() || got.Claimed+got.Misses != 1600 {
		t.Errorf("stats %+v, served %d of 1600", got, served.Load())
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if n := m.open(); n != 0 {
		t.Errorf("%d are open after Close", n)
	}
}

func TestMemAvailable(t *testing.T) {
	got, err := memAvailable()
	if err != nil || got < 1<<20 {
		t.Errorf("memAvailable: %d, %v", got, err)
	}
}
