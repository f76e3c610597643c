package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a table. Zero fields take the defaults that are named.
type Options struct {
	// Make makes the environments.
	Make Maker
	// Max bounds the sessions at a time; 64.
	Max int
	// MaxPerClient bounds those of one client; 0 means no bound of its own.
	MaxPerClient int
	// Patience is how long a step is waited for; 45 s, less than the minute after
	// which common clients give up. Below 0 it is waited for without end.
	Patience time.Duration
	// Grace is how long a session whose connection was lost is kept; 1 min.
	Grace time.Duration
	// Idle is how long a session without any request is kept; 1 h.
	Idle time.Duration
	// Snapshots bound the saved states.
	Snapshots SnapshotLimits
	Log       *slog.Logger
}

// The reasons why the server itself ends a session.
var (
	errIdle    = errors.New("the session was idle for too long")
	errLost    = errors.New("the client did not come back")
	errEvicted = errors.New("the session was unattended, and another client needed its place")
)

// Table holds the sessions of a server. It is safe for concurrent use.
type Table struct {
	opts      Options
	snapshots *snapshots
	now       func() time.Time

	mu       sync.Mutex
	sessions map[string]*Session
	draining atomic.Bool // set while mu is held

	// workers end sessions. One is added with mu held, by whoever takes the session
	// off the list.
	workers sync.WaitGroup
	stop    chan struct{}
	once    sync.Once
}

// NewTable returns a table whose sessions are looked after until [Table.Close].
func NewTable(opts Options) *Table {
	if opts.Max == 0 {
		opts.Max = 64
	}
	if opts.Patience == 0 {
		opts.Patience = 45 * time.Second
	}
	if opts.Grace == 0 {
		opts.Grace = time.Minute
	}
	if opts.Idle == 0 {
		opts.Idle = time.Hour
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	t := &Table{opts: opts, snapshots: newSnapshots(opts.Snapshots), now: time.Now, sessions: map[string]*Session{}, stop: make(chan struct{})}
	t.workers.Go(t.watch)
	return t
}

func (t *Table) log() *slog.Logger { return t.opts.Log }

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// Open opens a session for a client, held by the caller's connection where there is
// one (streamed); it is then to be given back with [Table.Leave]. It returns a
// [*CapacityError] where there is no room.
func (t *Table) Open(client string, streamed bool) (*Session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.draining.Load() {
		return nil, ErrDraining
	}
	own := 0
	for _, other := range t.sessions {
		if other.client == client {
			own++
		}
	}
	if most := t.opts.MaxPerClient; most > 0 && own >= most {
		return nil, &CapacityError{Active: own, Max: most, Client: true}
	}
	if len(t.sessions) >= t.opts.Max {
		evicted := t.unattended()
		if evicted == nil {
			return nil, &CapacityError{Active: len(t.sessions), Max: t.opts.Max}
		}
		t.remove(evicted, errEvicted)
	}
	s := &Session{
		id: newID(), client: client, table: t, turn: make(chan struct{}, 1),
		held: streamed, streamed: streamed, used: t.now(),
	}
	s.life, s.end = context.WithCancelCause(context.Background())
	t.sessions[s.id] = s
	return s, nil
}

// unattended finds the session that is missed least: no connection holds it,
// nothing runs in it, and nobody asked anything of it for the grace period. The
// caller holds mu.
func (t *Table) unattended() *Session {
	var oldest *Session
	var since time.Time
	for _, s := range t.sessions {
		s.mu.Lock()
		free := !s.held && (s.running == nil || s.running.finished()) && len(s.turn) == 0 && t.now().Sub(s.used) > t.opts.Grace
		used := s.used
		s.mu.Unlock()
		if free && (oldest == nil || used.Before(since)) {
			oldest, since = s, used
		}
	}
	return oldest
}

// Find returns a session by its id.
func (t *Table) Find(id string) (*Session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.sessions[id]
	if !ok {
		return nil, ErrUnknown
	}
	return s, nil
}

// Attach takes hold of a session that no connection holds.
func (t *Table) Attach(id string) (*Session, error) {
	s, err := t.Find(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrUnknown
	case s.held:
		return nil, ErrTaken
	}
	s.held, s.used = true, t.now()
	return s, nil
}

// Leave gives back the hold of a connection that ended.
func (t *Table) Leave(s *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.used = false, t.now()
}

// Held reports whether a connection holds the session.
func (t *Table) Held(s *Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// close removes a session and frees it, beside the caller.
func (t *Table) close(s *Session, cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions[s.id] == s {
		t.remove(s, cause)
	}
}

// remove takes a session off the list and frees it, beside the caller, who holds mu.
func (t *Table) remove(s *Session, cause error) {
	delete(t.sessions, s.id)
	t.workers.Go(func() { s.shut(cause) })
}

// watch ends the sessions that nobody needs.
func (t *Table) watch() {
	every := min(max(t.opts.Grace/4, 10*time.Millisecond), time.Second)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
		for s, cause := range t.overdue() {
			t.log().Info("ending a session", "session", s.id, "because", cause)
			t.close(s, cause)
		}
		t.snapshots.expire()
	}
}

func (t *Table) overdue() map[*Session]error {
	t.mu.Lock()
	defer t.mu.Unlock()
	late := map[*Session]error{}
	for _, s := range t.sessions {
		s.mu.Lock()
		rest := t.now().Sub(s.used)
		busy := len(s.turn) > 0
		lost := s.streamed && !s.held
		runs := s.running != nil && !s.running.finished()
		s.mu.Unlock()
		switch {
		case busy:
		case lost && rest > t.opts.Grace:
			late[s] = errLost
		case !runs && rest > t.opts.Idle:
			late[s] = errIdle
		}
	}
	return late
}

// Idle is how long a session without any request is kept.
func (t *Table) Idle() time.Duration { return t.opts.Idle }

// Active returns how many sessions there are, and how many there may be.
func (t *Table) Active() (active, most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sessions), t.opts.Max
}

// Drain refuses further sessions, episodes and actions, and waits until no action
// runs any more, or ctx ends. It reports how many were still running.
func (t *Table) Drain(ctx context.Context) (running int) {
	t.mu.Lock()
	t.draining.Store(true)
	t.mu.Unlock()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		running = 0
		t.mu.Lock()
		for _, s := range t.sessions {
			s.mu.Lock()
			if s.running != nil && !s.running.finished() || len(s.turn) > 0 {
				running++
			}
			s.mu.Unlock()
		}
		t.mu.Unlock()
		if running == 0 {
			return 0
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return running
		}
	}
}

// Draining reports whether the table takes no more sessions.
func (t *Table) Draining() bool { return t.draining.Load() }

// Forget removes a saved state.
func (t *Table) Forget(snapshot string) error { return t.snapshots.forget(snapshot) }

// Close ends every session and returns when all they held is freed. It is
// idempotent.
func (t *Table) Close() {
	t.once.Do(func() {
		t.mu.Lock()
		t.draining.Store(true)
		for _, s := range t.sessions {
			t.remove(s, ErrDraining)
		}
		t.mu.Unlock()
		close(t.stop)
	})
	t.workers.Wait()
	t.snapshots.close()
}
