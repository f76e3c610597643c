package leaderboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"mlgym/report"
	"mlgym/search"
	"mlgym/web/record"
)

const (
	// keptResults and keptStudies are how many are held in memory.
	keptResults = 12
	keptStudies = 3
	// maxWaiting is how many choices of filters may wait to be computed.
	maxWaiting = 16
	// restShare bounds the share of the time that is spent on following changes:
	// after numbers were computed, at least that many times as long passes before
	// they are again.
	restShare = 5
)

var (
	// errBusy says that too many choices are asked for at once.
	errBusy = errors.New("too many different tables are being computed; try again in a moment")
	// errClosed says that nothing is computed any more.
	errClosed = errors.New("the viewer is ending")
)

// board computes reports behind the scenes and keeps the latest.
type board struct {
	lib *record.Library
	log *slog.Logger

	cancel context.CancelFunc
	ended  chan struct{} // closed when the worker has ended
	queue  chan *work
	// resamples of the statistics, the default where it is 0.
	resamples int
	// computing is held while a job computes.
	computing sync.Mutex

	mu      sync.Mutex
	closed  bool
	entries map[string]*entry
	studies []*study
}

// work is a job that waits for the worker.
type work struct {
	entry    *entry
	job      *job
	settings settings
}

// entry is what is known for one choice of settings.
type entry struct {
	key    string
	result *result // the latest, which may be of an earlier state
	err    error   // of the last job, nil if it went well
	job    *job    // that runs, or waits for its turn
	ended  time.Time
	took   time.Duration
	asked  time.Time
	state  int64 // the generation that the last job saw
}

// job is one computation.
type job struct {
	done chan struct{}

	mu       sync.Mutex
	phase    string
	read, of int
}

// progress of a job.
type progress struct {
	Phase string `json:"phase"`
	Done  int    `json:"done"`
	All   int    `json:"all"`
}

func (j *job) say(phase string, read, of int) {
	j.mu.Lock()
	j.phase, j.read, j.of = phase, read, of
	j.mu.Unlock()
}

// study is the runs of one mode and variant, read.
type study struct {
	key        string
	generation int64
	*report.Study
	chosen choice
}

// choice says which runs were read.
type choice struct {
	// Roots that could be read, and why the others could not.
	Roots    []string
	Problems []string
	// Apart are variants that were left out, since they never share a table with
	// those that were read, with the number of their runs.
	Apart []search.Count
	// Modes and Variants that there are.
	Modes, Variants []search.Count
}

// result is a report with what pages show of it.
type result struct {
	settings   settings
	generation int64
	at         time.Time
	took       time.Duration
	chosen     choice
	// all are the models and tasks before they were filtered, flagged the number of
	// runs that the audit flagged among them.
	allModels []report.Model
	allTasks  []report.Task
	flagged   int
	unknown   []string

	report   *report.Report
	sections []report.Section
	figures  []*report.Figure
	tables   []*report.Table
}

func newBoard(lib *record.Library, log *slog.Logger) *board {
	ctx, cancel := context.WithCancel(context.Background())
	b := &board{lib: lib, log: log, cancel: cancel, ended: make(chan struct{}), queue: make(chan *work, maxWaiting), entries: map[string]*entry{}}
	go func() {
		defer close(b.ended)
		for {
			select {
			case w := <-b.queue:
				b.run(ctx, w.entry, w.job, w.settings)
			case <-ctx.Done():
				b.drop(ctx)
				return
			}
		}
	}()
	return b
}

// drop ends the jobs that still wait, after the board was closed.
func (b *board) drop(ctx context.Context) {
	for {
		select {
		case w := <-b.queue:
			b.run(ctx, w.entry, w.job, w.settings)
		default:
			return
		}
	}
}

// close ends the work and waits for it.
func (b *board) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	<-b.ended
}

// state is what there is for a choice of settings.
type state struct {
	// Result is the latest, nil if there was none yet.
	Result *result
	// Stale says that the runs have changed since.
	Stale bool
	// Job is under way, nil if none is.
	Job *job
	Err error
}

// ask returns what there is, and begins to compute what is missing or out of date.
func (b *board) ask(s settings) state {
	p := b.lib.Progress()
	key := s.query()
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[key]
	if e == nil {
		e = &entry{key: key}
		b.entries[key] = e
		b.forget(e)
	}
	now := time.Now()
	e.asked = now
	stale := e.result == nil || !p.Done || e.result.generation != p.Generation
	rested := e.ended.IsZero() || now.Sub(e.ended) >= restShare*e.took
	if e.err != nil {
		rested = e.state != p.Generation || now.Sub(e.ended) > 10*time.Second
	}
	if e.job == nil && stale && rested && !b.closed {
		j := &job{done: make(chan struct{}), phase: "waiting for its turn"}
		select {
		case b.queue <- &work{e, j, s}:
			e.job = j
		default:
			return state{Result: e.result, Stale: true, Err: errBusy}
		}
	}
	return state{Result: e.result, Stale: stale, Job: e.job, Err: e.err}
}

// forget drops the results that nobody asked for longest.
func (b *board) forget(but *entry) {
	for len(b.entries) > keptResults {
		var oldest *entry
		for _, e := range b.entries {
			if e != but && e.job == nil && (oldest == nil || e.asked.Before(oldest.asked)) {
				oldest = e
			}
		}
		if oldest == nil {
			return
		}
		delete(b.entries, oldest.key)
	}
}

// wait returns a result: the latest, or the first one as soon as it is there.
func (b *board) wait(ctx context.Context, s settings) (*result, error) {
	for {
		st := b.ask(s)
		switch {
		case st.Result != nil:
			return st.Result, nil
		case st.Job == nil && st.Err != nil:
			return nil, st.Err
		case st.Job == nil:
			return nil, errClosed
		}
		select {
		case <-st.Job.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// progressOf says how far a job is.
func (b *board) progressOf(j *job) progress {
	j.mu.Lock()
	defer j.mu.Unlock()
	return progress{j.phase, j.read, j.of}
}

func (b *board) run(ctx context.Context, e *entry, j *job, s settings) {
	var r *result
	var generation int64
	begin := time.Now()
	err := func() (err error) {
		defer func() {
			// A fault here must not end the whole viewer.
			if p := recover(); p != nil {
				b.log.Error("the leaderboard could not be computed", "panic", p, "stack", string(debug.Stack()))
				err = errors.New("a fault while the numbers were computed; the log of mlgym says more")
			}
		}()
		b.computing.Lock()
		defer b.computing.Unlock()
		if ctx.Err() != nil {
			return errClosed
		}
		generation = b.settled(ctx, j)
		begin = time.Now()
		r, err = b.compute(ctx, j, s, generation)
		return err
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	e.job, e.err, e.state = nil, err, generation
	e.ended, e.took = time.Now(), time.Since(begin)
	if r != nil {
		r.took = e.took
		e.result = r
	}
	close(j.done)
}

// settled waits until the list of runs was made once, and returns its generation. A
// list that cannot be made stops nothing: reports are made of the files.
func (b *board) settled(ctx context.Context, j *job) int64 {
	ctx, cancel := context.WithCancel(ctx)
	first := make(chan struct{})
	defer func() { cancel(); <-first }()
	go func() {
		defer close(first)
		_ = b.lib.Wait(ctx) // what is wrong stands on every page
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		p := b.lib.Progress()
		if p.Done {
			return p.Generation
		}
		j.say("looking for runs", p.Runs, p.AllRuns)
		select {
		case <-first:
			return b.lib.Progress().Generation
		case <-tick.C:
		}
	}
}

func (b *board) compute(ctx context.Context, j *job, s settings, generation int64) (*result, error) {
	whole, err := b.read(ctx, j, s, generation)
	if err != nil {
		return nil, err
	}
	j.say("computing the statistics", 0, 0)
	r := &result{settings: s, generation: generation, at: time.Now(), chosen: whole.chosen, allModels: whole.Models, allTasks: whole.Tasks}
	for _, row := range whole.Rows {
		if !row.Clean() {
			r.flagged++
		}
	}
	known := func(what string, names []string, has func(name string) bool) []string {
		if len(names) == 0 {
			return nil
		}
		out := []string{}
		for _, name := range names {
			if has(name) {
				out = append(out, name)
			} else {
				r.unknown = append(r.unknown, fmt.Sprintf("no %s here is named %q", what, name))
			}
		}
		return out
	}
	tasks := known("task", s.Tasks, func(name string) bool {
		return slices.ContainsFunc(whole.Tasks, func(t report.Task) bool { return t.ID == name })
	})
	models := known("model", s.Models, func(name string) bool {
		return slices.ContainsFunc(whole.Models, func(m report.Model) bool { return m.ID == name })
	})
	var keep func(*report.Row) bool
	if s.Clean {
		keep = (*report.Row).Clean
	}
	part := whole.Study
	if tasks != nil || models != nil || keep != nil {
		part = whole.Select(models, tasks, keep)
	}
	r.report = report.Compute(part, report.Settings{Resamples: b.resamples, Seed: 1})
	r.report.Inputs = whole.chosen.Roots
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.say("laying out the figures", 0, 0)
	r.sections, r.figures, r.tables = r.report.Sections(), r.report.EveryFigure(), r.report.EveryTable()
	return r, nil
}

// read returns the runs of the chosen mode and variant. Only the worker calls it.
func (b *board) read(ctx context.Context, j *job, s settings, generation int64) (*study, error) {
	key := s.runs()
	b.mu.Lock()
	at := slices.IndexFunc(b.studies, func(have *study) bool { return have.key == key })
	var have *study
	if at >= 0 {
		have = b.studies[at]
	}
	b.mu.Unlock()
	if have != nil && have.generation == generation {
		return have, nil
	}
	j.say("reading the runs", 0, 0)
	out := &study{key: key, generation: generation}
	keep, err := b.choose(ctx, s, &out.chosen)
	if err != nil {
		return nil, err
	}
	out.Study, err = report.Collect(ctx, out.chosen.Roots, report.Options{
		Audit: true, Keep: keep, Progress: func(done, all int) { j.say("reading the runs", done, all) },
	})
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.studies = slices.DeleteFunc(b.studies, func(have *study) bool { return have.key == key })
	b.studies = append([]*study{out}, b.studies...)
	b.studies = b.studies[:min(len(b.studies), keptStudies)]
	return out, nil
}

// smallVariant is the variant of tasks that is quick to try, whose scores never stand
// beside those of others.
const smallVariant = "small"

// choose decides which runs are read, and says what is left out.
func (b *board) choose(ctx context.Context, s settings, c *choice) (func(mode, variant string) bool, error) {
	for _, root := range b.lib.Roots() {
		if _, err := os.ReadDir(root); err != nil {
			c.Problems = append(c.Problems, err.Error())
			continue
		}
		c.Roots = append(c.Roots, root)
	}
	if len(c.Roots) == 0 && len(c.Problems) > 0 {
		return nil, fmt.Errorf("no folder with runs can be read: %s", c.Problems[0])
	}
	values, err := b.lib.Values(ctx, search.Filter{})
	if err != nil {
		c.Problems = append(c.Problems, "modes and variants of the runs are not known: "+err.Error())
	}
	c.Modes, c.Variants = values.Modes, values.Variants
	withoutSmall := false
	if s.Variant == "" && len(c.Variants) > 1 {
		for _, v := range c.Variants {
			if v.Value == smallVariant {
				withoutSmall = true
				c.Apart = append(c.Apart, v)
			}
		}
	}
	return func(mode, variant string) bool {
		return (s.Mode == "" || mode == s.Mode) && (s.Variant == "" || variant == s.Variant) && !(withoutSmall && variant == smallVariant)
	}, nil
}
