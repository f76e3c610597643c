package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"mlgym/gym"
)

// SnapshotLimits bound the saved states of a table. Zero fields take the defaults
// that are named.
type SnapshotLimits struct {
	// Max bounds their number; 1024.
	Max int
	// Bytes bounds all of them together; 8 GiB.
	Bytes int64
	// Keep is how long one that nobody starts from is kept; 1 h.
	Keep time.Duration
	// Dir is where the large ones lie, without a name; "" means the system's
	// folder for temporary files.
	Dir string
}

// Snapshot describes a saved state.
type Snapshot struct {
	ID    string
	Bytes int64
	// Step counts the actions before it.
	Step int
}

// inMemory bounds the states that lie in memory rather than in a file.
const inMemory = 4 << 20

// snapshots holds saved states.
type snapshots struct {
	limits SnapshotLimits

	mu      sync.Mutex
	saved   map[string]*saved
	writing int   // states that are being written
	bytes   int64 // of all, and of what is being written
}

// saved is one state. It is freed when it was removed and nobody reads it.
type saved struct {
	Snapshot
	owner   *snapshots
	request Request
	total   float64
	data    []byte
	file    *os.File

	// Guarded by owner.mu.
	used    time.Time
	readers int
	removed bool
}

func newSnapshots(limits SnapshotLimits) *snapshots {
	limits.Max = cmp.Or(limits.Max, 1024)
	limits.Bytes = cmp.Or(limits.Bytes, 8<<30)
	limits.Keep = cmp.Or(limits.Keep, time.Hour)
	return &snapshots{limits: limits, saved: map[string]*saved{}}
}

// errSnapshotsFull is wrapped where no further state can be kept.
var errSnapshotsFull = errors.New("no room for another snapshot: delete some that are not needed any more")

// save keeps what write writes.
func (p *snapshots) save(r Request, step int, total float64, write func(io.Writer) error) (Snapshot, error) {
	p.mu.Lock()
	if len(p.saved)+p.writing >= p.limits.Max {
		p.mu.Unlock()
		return Snapshot{}, fmt.Errorf("%w (there are %d, the most)", errSnapshotsFull, p.limits.Max)
	}
	p.writing++
	p.mu.Unlock()
	s := &saved{Snapshot: Snapshot{ID: newID(), Step: step}, owner: p, request: r, total: total}
	w := &spill{owner: p, saved: s}
	err := write(w)
	if err == nil {
		err = w.err
	}
	s.data = w.buf.Bytes()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing--
	if err != nil {
		p.free(s)
		return Snapshot{}, err
	}
	s.used = time.Now()
	p.saved[s.ID] = s
	return s.Snapshot, nil
}

// spill writes to memory, and from a certain size on to a file without a name.
type spill struct {
	owner *snapshots
	saved *saved
	buf   bytes.Buffer
	err   error
}

func (w *spill) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n := int64(len(b))
	p := w.owner
	p.mu.Lock()
	full := p.bytes+n > p.limits.Bytes
	if !full {
		p.bytes += n
		w.saved.Bytes += n
	}
	p.mu.Unlock()
	if full {
		w.err = fmt.Errorf("%w (all together have at most %d bytes)", errSnapshotsFull, p.limits.Bytes)
		return 0, w.err
	}
	if w.saved.file == nil && w.buf.Len()+len(b) <= inMemory {
		return w.buf.Write(b)
	}
	if w.saved.file == nil {
		if w.saved.file, w.err = nameless(p.limits.Dir); w.err != nil {
			return 0, w.err
		}
		if _, w.err = w.saved.file.Write(w.buf.Bytes()); w.err != nil {
			return 0, w.err
		}
		w.buf = bytes.Buffer{}
	}
	written, err := w.saved.file.Write(b)
	if err != nil {
		w.err = fmt.Errorf("keep a snapshot: %w", err)
	}
	return written, w.err
}

// nameless makes a file that vanishes with the process.
func nameless(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, "mlgym-snapshot-*")
	if err != nil {
		return nil, fmt.Errorf("keep a snapshot: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("keep a snapshot: %w", err), file.Close())
	}
	return file, nil
}

// find returns a state for reading; it has to be released.
func (p *snapshots) find(id string) (*saved, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.saved[id]
	if !ok {
		return nil, Refuse("snapshot", "there is no snapshot %q (one that nobody starts from is kept for %s)", id, p.limits.Keep)
	}
	s.readers++
	s.used = time.Now()
	return s, nil
}

func (s *saved) release() {
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	s.readers--
	s.used = time.Now()
	if s.removed && s.readers == 0 {
		s.owner.free(s)
	}
}

// asked is the request of an episode that starts from the state.
func (s *saved) asked(r Request) Request {
	out := s.request
	out.EpisodeID, out.Patience, out.Snapshot, out.Agent = r.EpisodeID, r.Patience, r.Snapshot, r.Agent
	return out
}

// restore brings an environment to the state.
func (s *saved) restore(ctx context.Context, env gym.Env, seed uint64) (gym.Observation, error) {
	snapshotter, ok := env.(gym.Snapshotter)
	if !ok {
		return gym.Observation{}, fmt.Errorf("%w: this environment cannot be restored", gym.ErrNoSnapshot)
	}
	var src io.Reader = bytes.NewReader(s.data)
	if s.file != nil {
		src = io.NewSectionReader(s.file, 0, s.Bytes)
	}
	return snapshotter.Restore(ctx, gym.ResetOptions{Seed: seed}, src)
}

func (p *snapshots) forget(id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.saved[id]
	if !ok {
		return Refuse("snapshot", "there is no snapshot %q", id)
	}
	p.remove(s)
	return nil
}

// remove takes a state off the list. The caller holds mu.
func (p *snapshots) remove(s *saved) {
	delete(p.saved, s.ID)
	s.removed = true
	if s.readers == 0 {
		p.free(s)
	}
}

// free gives back what a state takes. The caller holds mu.
func (p *snapshots) free(s *saved) {
	p.bytes -= s.Bytes
	s.data = nil
	if s.file != nil {
		_ = s.file.Close() // it has no name: nothing is left
	}
}

func (p *snapshots) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.saved {
		if s.readers == 0 && time.Since(s.used) > p.limits.Keep {
			p.remove(s)
		}
	}
}

func (p *snapshots) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.saved {
		p.remove(s)
	}
}
