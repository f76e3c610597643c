package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mlgym/audit"
	"mlgym/internal/flock"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/trajectory/mlgym"
)

// ErrNoRun says that no run has a key.
var ErrNoRun = errors.New("there is no such run")

// ErrNoStep says that a run has no step of a number.
var ErrNoStep = errors.New("the run has no such step")

// ErrChanged says that a run's files were written anew while they were read.
var ErrChanged = errors.New("the run's record was written anew meanwhile; ask again")

// Entry is a run in a list.
type Entry struct {
	// Key names the run in addresses.
	Key Key `json:"key"`
	// Name is the run's path relative to the folder that was given, with slashes;
	// it may hold any byte but NUL.
	Name string `json:"name"`
	search.Run
}

// Run is one run that is looked at. What its methods say is what stood in its
// files at the last [Run.Refresh].
type Run struct {
	dir string
	// name is that of one of MLGym's folders, nil for a run of ours.
	name   *mlgym.Name
	metric func(task string) (string, runstore.Direction)
	entry  Entry
	state  atomic.Pointer[state]

	// refreshing is held while the files are read; it guards what follows.
	refreshing sync.Mutex
	manifest   manifestFile
	own        recordFile
	folder     [2]fileState // of a published run
	lockAsked  time.Time

	watch watchers

	auditing sync.Mutex // guards what follows
	audited  *state
	auditKey fileState
	verdict  audit.Result
	auditErr error
}

// OpenFolder opens the run in a folder that no library needs to know. Metric is
// that of [LibraryOptions] and may be nil. The folder must be there, and be that
// of a run.
func OpenFolder(ctx context.Context, dir string, metric func(task string) (string, runstore.Direction)) (*Run, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(abs)
	if _, published := mlgym.ParseName(name); !published {
		_, noManifest := os.Lstat(filepath.Join(abs, runstore.ManifestName))
		_, noRecord := os.Lstat(filepath.Join(abs, runstore.TrajectoryName))
		if noManifest != nil && noRecord != nil {
			return nil, fmt.Errorf("%w: %s has neither %s nor %s", ErrNoRun, abs, runstore.ManifestName, runstore.TrajectoryName)
		}
	}
	return openRun(ctx, Entry{Key: keyOf(name), Name: name, Run: search.Run{Path: abs}}, metric)
}

func openRun(ctx context.Context, entry Entry, metric func(task string) (string, runstore.Direction)) (*Run, error) {
	r := &Run{dir: entry.Path, entry: entry, metric: metric}
	info, err := os.Stat(r.dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNoRun, err)
	case !info.IsDir():
		return nil, fmt.Errorf("%w: %s is not a folder", ErrNoRun, r.dir)
	}
	if name, ok := mlgym.ParseName(filepath.Base(r.dir)); ok {
		r.name = &name
	}
	r.state.Store(newState())
	if _, err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Entry returns what a list says of the run, brought up to date.
func (r *Run) Entry() Entry {
	e := r.entry
	h := r.Header()
	e.ID, e.Source, e.Task, e.Agent, e.AgentName, e.Model, e.Scaffold = h.ID, h.Source, h.Task, h.Agent, h.AgentName, h.Model, h.Scaffold
	e.Seed, e.Mode, e.Variant, e.State, e.ExitStatus = h.Seed, h.Mode, h.Variant, h.State, h.ExitStatus
	e.Metric, e.Direction, e.Score, e.Best, e.Baseline = h.Metric, h.Direction, h.Score, h.Best, h.BaselineScore
	e.CostUSD, e.TokensIn, e.TokensOut, e.Steps, e.Seconds = h.CostUSD, h.TokensIn, h.TokensOut, h.Steps, h.Seconds
	e.Started, e.Ended = h.Started, h.Ended
	e.Fault = ""
	if h.Fault != nil {
		e.Fault = h.Fault.Message
	}
	if h.Modified.After(e.Modified) {
		e.Modified = h.Modified
	}
	if len(h.Problems) > 0 && h.State == search.Broken {
		e.Reason = h.Problems[0]
	}
	return e
}

// Key returns the run's key.
func (r *Run) Key() Key { return r.entry.Key }

// Dir returns the folder of the run.
func (r *Run) Dir() string { return r.dir }

// Published reports whether the run is one that MLGym published.
func (r *Run) Published() bool { return r.name != nil }

// Refresh looks whether the files changed, and reads what was appended to them.
// It reports whether anything that the other methods say may have changed. The
// error is that of ctx; whatever else goes wrong is told by [Header].Problems.
func (r *Run) Refresh(ctx context.Context) (changed bool, err error) {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	if r.name != nil {
		return r.refreshPublished(ctx)
	}
	return r.refreshOwn(ctx)
}

// memory is about how many bytes the run takes.
func (r *Run) memory() int64 {
	s := r.state.Load()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.memory + int64(cap(s.steps))*stepBytes + int64(cap(s.chain))*linkBytes + 8<<10
}

// fileState is what tells that a file changed. The zero value is that of a file
// that is not there, or is no regular one.
type fileState struct {
	size, mtime int64
	inode       uint64
}

// look returns the state of a file. The error says why it cannot be read.
func look(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	// Asked before opening: a named pipe would keep us waiting for ever.
	if !info.Mode().IsRegular() {
		return fileState{}, errNotRegular
	}
	return stateOf(info), nil
}

var errNotRegular = errors.New("is not a regular file")

func stateOf(info os.FileInfo) fileState {
	s := fileState{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s
}

// How often the lock of a run is asked for: asking takes the lock for a moment, in
// which nobody else gets it.
const (
	lockEvery = 10 * time.Second
	// aliveFor is how long after it wrote a writer is taken to live.
	aliveFor = 5 * time.Second
)

// liveness tells a run without an end that somebody writes from one that was cut.
func (r *Run) liveness(before search.State, grown bool, age time.Duration) search.State {
	switch {
	case before == search.Running && (grown || age >= 0 && age < aliveFor):
		return before
	case before != "" && !grown && time.Since(r.lockAsked) < lockEvery:
		return before
	}
	r.lockAsked = time.Now()
	if held, err := flock.Held(filepath.Join(r.dir, runstore.LockName)); err == nil && held {
		return search.Running
	}
	return search.Cut
}
