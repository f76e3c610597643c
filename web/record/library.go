package record

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/runstore"
	"mlgym/search"
)

// LibraryOptions say which runs a library has.
type LibraryOptions struct {
	// Roots are the folders at and below which the runs lie.
	Roots []string
	// Index is not closed by the library.
	Index *search.Index
	// Metric returns the metric by which runs on a task are compared, for runs that
	// do not say it themselves; nil knows none. It is that of [search.Options].
	Metric func(task string) (string, runstore.Direction)
	// Only chooses among the runs there by task, model, agent, exit status, mode and
	// variant; the other parts of the filter are not looked at.
	Only search.Filter
	// Every is how often the folders are looked at, at most, while somebody looks at
	// pages; 0 means every two seconds.
	Every time.Duration
	// CacheBytes is about how much memory opened runs may take; 0 means 64 MB.
	CacheBytes int64
}

// Library is the runs at and below some folders.
type Library struct {
	options LibraryOptions
	roots   []root
	touched chan struct{}
	first   chan struct{} // closed after the first update
	started sync.Once

	mu       sync.Mutex
	progress Progress
	paths    map[Key]string
	names    []string // of agents of these runs
	listed   bool     // paths are those of the index
	counted  int      // runs of the folders when paths were made
	standing standing // of the list, at the last look
	// lastListed is when paths were made.
	lastListed time.Time
	opened     map[Key]*list.Element
	recent     *list.List // of *opening, the one used last first
	listeners  map[chan struct{}]struct{}
	// looking ends when the background has; nil before Start.
	looking chan struct{}
	stop    context.CancelFunc
}

// root is a folder of the library, and what the names of runs below it begin with.
type root struct{ path, name string }

// Progress says how far the list of runs is.
type Progress struct {
	// Indexing says that the first look at all runs, or one for changes, is under way;
	// Waiting that another process is at it.
	Indexing bool `json:"indexing"`
	Waiting  bool `json:"waiting"`
	// Runs that were read, of all that have to be in this look, and Bytes of their files.
	Runs     int   `json:"runs"`
	AllRuns  int   `json:"all_runs"`
	Bytes    int64 `json:"bytes"`
	AllBytes int64 `json:"all_bytes"`
	// Done says that the first look has ended.
	Done bool `json:"done"`
	// Err says why the last look failed, "" where it did not.
	Err string `json:"err,omitempty"`
	// Problems are folders that could not be looked into.
	Problems []search.Problem `json:"problems,omitempty"`
	// Generation grows with each change of the list.
	Generation int64 `json:"generation"`
}

// NewLibrary makes a library. Nothing is read before [Library.Start].
func NewLibrary(o LibraryOptions) *Library {
	if o.CacheBytes <= 0 {
		o.CacheBytes = 64 << 20
	}
	if o.Every <= 0 {
		o.Every = updateEvery
	}
	l := &Library{
		options: o, touched: make(chan struct{}, 1), first: make(chan struct{}),
		paths: map[Key]string{}, opened: map[Key]*list.Element{}, recent: list.New(),
		listeners: map[chan struct{}]struct{}{},
	}
	named := map[string]int{}
	l.options.Roots = nil
	for _, path := range o.Roots {
		abs, err := filepath.Abs(path)
		if err != nil {
			abs = path // there is no current folder; the first look will say so
		}
		name := ""
		if len(o.Roots) > 1 {
			name = filepath.Base(abs)
			if named[name]++; named[name] > 1 {
				name += "#" + strconv.Itoa(named[name])
			}
			name += "/"
		}
		l.roots = append(l.roots, root{abs, name})
		l.options.Roots = append(l.options.Roots, abs)
	}
	return l
}

// Roots returns the folders of the library, absolute.
func (l *Library) Roots() []string { return append([]string{}, l.options.Roots...) }

// name is a path as lists show it: below its root.
func (l *Library) name(path string) string {
	for _, r := range l.roots {
		rel, ok := strings.CutPrefix(path, strings.TrimSuffix(r.path, "/")+"/")
		if path == r.path {
			return strings.TrimSuffix(r.name+filepath.Base(path), "/")
		}
		if ok {
			return r.name + rel
		}
	}
	return path
}

// Key returns the key of the run in a folder.
func (l *Library) Key(path string) Key { return keyOf(l.name(path)) }

// entry is a run as lists have it.
func (l *Library) entry(run *search.Run) Entry {
	name := l.name(run.Path)
	return Entry{Key: keyOf(name), Name: name, Run: *run}
}

// How often the folders are looked at while somebody looks at pages.
const (
	updateEvery = 2 * time.Second
	// updateShare is which part of the time a look may take, and updateMost how
	// long is waited at most for that.
	updateShare = 20
	updateMost  = 30 * time.Second
)

// Start begins to read the runs into the index, in the background, and keeps it up
// to date until ctx ends or [Library.Close]: after a [Library.Touch], at most as
// often as the options say, and less often where the folders take long to look at. A
// further call does nothing.
func (l *Library) Start(ctx context.Context) {
	l.started.Do(func() {
		ctx, stop := context.WithCancel(ctx)
		l.mu.Lock()
		l.stop, l.looking = stop, make(chan struct{})
		l.mu.Unlock()
		go func() {
			defer close(l.looking)
			l.run(ctx)
		}()
	})
}

// Close ends what goes on in the background, and waits for it; the index can be
// closed then. It is idempotent, and does nothing before Start.
func (l *Library) Close() {
	l.mu.Lock()
	stop, looking := l.stop, l.looking
	l.mu.Unlock()
	if stop != nil {
		stop()
		<-looking
	}
}

func (l *Library) run(ctx context.Context) {
	for first := true; ; first = false {
		if !first {
			select {
			case <-l.touched:
			case <-ctx.Done():
				return
			}
		}
		begin := time.Now()
		l.update(ctx, first)
		if ctx.Err() != nil {
			return
		}
		if first {
			close(l.first)
			continue
		}
		wait := max(min(updateShare*time.Since(begin), updateMost), l.options.Every)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// Touch says that a page was asked for, so that changes are looked for soon. It
// never waits.
func (l *Library) Touch() {
	select {
	case l.touched <- struct{}{}:
	default:
	}
}

// Progress returns how far the list of runs is.
func (l *Library) Progress() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// Wait waits until all runs were looked at once. The error is that of ctx, or what
// stopped the look.
func (l *Library) Wait(ctx context.Context) error {
	select {
	case <-l.first:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p := l.Progress(); p.Err != "" {
		return errors.New(p.Err)
	}
	return nil
}

// update looks at the folders once.
func (l *Library) update(ctx context.Context, first bool) {
	l.mu.Lock()
	p := &l.progress
	p.Indexing, p.Waiting, p.Runs, p.AllRuns, p.Bytes, p.AllBytes = true, false, 0, 0, 0, 0
	known := l.counted
	l.mu.Unlock()
	told := time.Now()
	sum, err := l.options.Index.Update(ctx, l.options.Roots, func(u search.Progress) {
		l.mu.Lock()
		p.Waiting, p.Runs, p.AllRuns, p.Bytes, p.AllBytes = u.Waiting, u.Runs, u.AllRuns, u.Bytes, u.AllBytes
		if first && time.Since(told) > time.Second { // there are more runs already
			told = time.Now()
			l.changed()
		}
		l.mu.Unlock()
	})
	if ctx.Err() != nil {
		return
	}
	var listErr error
	l.mu.Lock()
	stale := !l.listed
	l.mu.Unlock()
	if err == nil && (stale || sum.Removed > 0 || sum.Runs != known) {
		if listErr = l.list(ctx); listErr == nil {
			l.mu.Lock()
			l.counted = sum.Runs
			l.mu.Unlock()
		}
	}
	now, standErr := l.stands(ctx)
	listErr = errors.Join(listErr, standErr)
	l.mu.Lock()
	defer l.mu.Unlock()
	other := now != l.standing
	l.standing = now
	failed := p.Err != ""
	p.Indexing, p.Waiting, p.Done, p.Err, p.Problems = false, false, true, "", sum.Problems
	if err = errors.Join(err, listErr); err != nil {
		p.Err = err.Error()
	}
	if first || sum.Read > 0 || sum.Removed > 0 || sum.Rebuilt != "" || other || failed != (err != nil) {
		l.changed()
	}
}

// standing is what tells that a list is not what it was, also where the index was
// brought up to date by another process, or where a run's writer died, by which
// nothing but its state changes.
type standing struct {
	runs, alive int
	youngest    time.Time
}

// stands asks the index how the list stands.
func (l *Library) stands(ctx context.Context) (standing, error) {
	every, err := l.filter(search.Filter{})
	if err != nil {
		return standing{}, err
	}
	all, err := l.options.Index.Runs(ctx, search.RunQuery{Filter: every, Sort: search.ByModified, Limit: 1})
	if err != nil {
		return standing{}, err
	}
	every.States = []search.State{search.Running}
	alive, err := l.options.Index.Runs(ctx, search.RunQuery{Filter: every, Limit: 1})
	s := standing{runs: all.Total, alive: alive.Total}
	if len(all.Runs) > 0 {
		s.youngest = all.Runs[0].Modified
	}
	return s, err
}

// changed tells all who watch the list. The caller holds mu.
func (l *Library) changed() {
	l.progress.Generation++
	for ch := range l.listeners {
		select {
		case ch <- struct{}{}:
		default: // it has not looked yet
		}
	}
}

// list learns the keys of the runs that the index has.
func (l *Library) list(ctx context.Context) error {
	every, err := l.filter(search.Filter{})
	if err != nil {
		return err
	}
	page, err := l.options.Index.Runs(ctx, search.RunQuery{Filter: every})
	if err != nil {
		return err
	}
	paths := make(map[Key]string, len(page.Runs))
	agents := map[string]bool{}
	for i := range page.Runs {
		run := &page.Runs[i]
		paths[l.Key(run.Path)] = run.Path
		agents[run.Agent], agents[run.AgentName] = true, true
	}
	delete(agents, "")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paths, l.listed, l.lastListed = paths, true, time.Now()
	l.names = slices.Collect(maps.Keys(agents))
	return nil
}

// filter keeps a filter within the library.
func (l *Library) filter(f search.Filter) (search.Filter, error) {
	only := &l.options.Only
	for _, part := range []struct {
		asked *[]string
		only  []string
	}{
		{&f.Tasks, only.Tasks},
		{&f.Models, only.Models},
		{&f.Agents, l.agents(f.Agents)},
		{&f.ExitStatus, only.ExitStatus},
		{&f.Modes, only.Modes},
		{&f.Variants, only.Variants},
	} {
		*part.asked = within(*part.asked, part.only)
	}
	if len(f.Roots) == 0 {
		f.Roots = l.options.Roots
		return f, nil
	}
	roots := make([]string, 0, len(f.Roots))
	for _, path := range f.Roots {
		abs, err := filepath.Abs(path)
		if err != nil {
			return f, err
		}
		inside := false
		for _, r := range l.roots {
			inside = inside || abs == r.path || strings.HasPrefix(abs, strings.TrimSuffix(r.path, "/")+"/")
		}
		if !inside {
			return f, fmt.Errorf("%s is not below the folders that are looked at", path)
		}
		roots = append(roots, abs)
	}
	f.Roots = roots
	return f, nil
}

// agents returns which agents may be asked for: those that are to be looked at, or
// where some of them were chosen, all names of theirs. An agent goes by its kind and
// by what an experiment calls it.
func (l *Library) agents(asked []string) []string {
	only := l.options.Only.Agents
	if len(only) == 0 || len(asked) == 0 {
		return only
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(slices.Clone(only), l.names...)
}

// within returns what was asked for as far as it may be: all that may be where
// nothing was asked for, and a value that no run has where nothing is left.
func within(asked, only []string) []string {
	switch {
	case len(only) == 0:
		return asked
	case len(asked) == 0:
		return only
	}
	var both []string
	for _, a := range asked {
		for _, o := range only {
			switch { // an outcome stands for all causes
			case a == o, strings.HasPrefix(a, o+" ("):
				both = append(both, a)
			case strings.HasPrefix(o, a+" ("):
				both = append(both, o)
			}
		}
	}
	if len(both) == 0 {
		return []string{"\x00"}
	}
	return both
}

// Runs lists runs, as the last look at the folders found them, and says how many
// there are in all.
func (l *Library) Runs(ctx context.Context, q search.RunQuery) ([]Entry, int, error) {
	var err error
	if q.Filter, err = l.filter(q.Filter); err != nil {
		return nil, 0, err
	}
	page, err := l.options.Index.Runs(ctx, q)
	if err != nil {
		return nil, 0, l.noticed(err)
	}
	entries := make([]Entry, len(page.Runs))
	for i := range page.Runs {
		entries[i] = l.entry(&page.Runs[i])
	}
	return entries, page.Total, nil
}

// noticed has a damaged index made anew.
func (l *Library) noticed(err error) error {
	if errors.Is(err, search.ErrDamaged) {
		l.Touch()
	}
	return err
}

// Search finds steps.
func (l *Library) Search(ctx context.Context, q search.Query) (search.Page, error) {
	var err error
	if q.Filter, err = l.filter(q.Filter); err != nil {
		return search.Page{}, err
	}
	page, err := l.options.Index.Query(ctx, q)
	return page, l.noticed(err)
}

// Values returns the values by which runs can be filtered.
func (l *Library) Values(ctx context.Context, f search.Filter) (search.Values, error) {
	f, err := l.filter(f)
	if err != nil {
		return search.Values{}, err
	}
	values, err := l.options.Index.Values(ctx, f)
	return values, l.noticed(err)
}

// path returns where a run is.
func (l *Library) path(ctx context.Context, key Key) (string, error) {
	l.mu.Lock()
	path, ok := l.paths[key]
	// While the runs are read for the first time, there are more from moment to moment.
	again := !ok && key.Valid() && !l.progress.Done && time.Since(l.lastListed) > time.Second
	l.mu.Unlock()
	if again {
		if err := l.list(ctx); err != nil {
			return "", l.noticed(err)
		}
		l.mu.Lock()
		path, ok = l.paths[key]
		l.mu.Unlock()
	}
	if !ok {
		return "", fmt.Errorf("%w: %q", ErrNoRun, string(key))
	}
	return path, nil
}

// Entry returns a run as lists have it. Where no run has the key, the error wraps
// [ErrNoRun].
func (l *Library) Entry(ctx context.Context, key Key) (Entry, error) {
	path, err := l.path(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	page, err := l.options.Index.Runs(ctx, search.RunQuery{Filter: search.Filter{Roots: []string{path}}})
	if err != nil {
		return Entry{}, l.noticed(err)
	}
	for i := range page.Runs {
		if page.Runs[i].Path == path {
			return l.entry(&page.Runs[i]), nil
		}
	}
	return Entry{}, fmt.Errorf("%w: %q", ErrNoRun, string(key))
}

// opening is a run that is open, or is being opened.
type opening struct {
	key   Key
	ready chan struct{}
	run   *Run
	err   error
	size  int64
}

// Open opens a run, or returns the one that is open already, with what its files
// hold now. A run that nobody used for long is forgotten when others need the
// memory; whoever still holds it can go on using it.
func (l *Library) Open(ctx context.Context, key Key) (*Run, error) {
	for {
		l.mu.Lock()
		element, ok := l.opened[key]
		var o *opening
		if ok {
			o, _ = element.Value.(*opening)
			l.recent.MoveToFront(element)
		} else {
			o = &opening{key: key, ready: make(chan struct{})}
			element = l.recent.PushFront(o)
			l.opened[key] = element
		}
		l.mu.Unlock()
		if !ok {
			o.run, o.err = l.open(ctx, key)
			close(o.ready)
			if o.err != nil {
				l.forget(o)
				return nil, o.err
			}
			l.account(o)
			return o.run, nil
		}
		select {
		case <-o.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if o.err != nil {
			if ctx.Err() == nil && (errors.Is(o.err, context.Canceled) || errors.Is(o.err, context.DeadlineExceeded)) {
				continue // only the other one had enough
			}
			return nil, o.err
		}
		if _, err := l.path(ctx, key); err != nil {
			l.forget(o)
			return nil, err
		}
		if _, err := o.run.Refresh(ctx); err != nil {
			return nil, err
		}
		l.account(o)
		return o.run, nil
	}
}

func (l *Library) open(ctx context.Context, key Key) (*Run, error) {
	entry, err := l.Entry(ctx, key)
	if err != nil {
		return nil, err
	}
	return openRun(ctx, entry, l.options.Metric)
}

// forget takes a run out of those that are open.
func (l *Library) forget(o *opening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if element, ok := l.opened[o.key]; ok && element.Value == o {
		l.recent.Remove(element)
		delete(l.opened, o.key)
	}
}

// account forgets the runs that were used longest ago, until the others take no
// more memory than they may. The one in use stays.
func (l *Library) account(used *opening) {
	size := used.run.memory()
	l.mu.Lock()
	defer l.mu.Unlock()
	used.size = size
	var sum int64
	for e := l.recent.Front(); e != nil; {
		next := e.Next()
		o, _ := e.Value.(*opening)
		sum += o.size
		if sum > l.options.CacheBytes && o != used && o.size > 0 {
			l.recent.Remove(e)
			delete(l.opened, o.key)
			sum -= o.size
		}
		e = next
	}
}

// Watch sends on the channel when the list of runs changed, which is looked at
// while anybody watches. The channel is closed after ctx has ended.
func (l *Library) Watch(ctx context.Context) <-chan struct{} {
	ch := make(chan struct{}, 1)
	l.mu.Lock()
	l.listeners[ch] = struct{}{}
	l.mu.Unlock()
	go func() {
		tick := time.NewTicker(l.options.Every)
		defer tick.Stop()
		for {
			l.Touch()
			select {
			case <-tick.C:
			case <-ctx.Done():
				l.mu.Lock()
				delete(l.listeners, ch)
				close(ch)
				l.mu.Unlock()
				return
			}
		}
	}()
	return ch
}
