package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"mlgym/internal/flock"
)

// Watcher reads where an experiment stands again and again, each time only what
// changed in between, for pages that are shown while it runs. It writes nothing
// into the directory, and what cannot be read of one episode does not hide the
// others. It is for one goroutine at a time.
type Watcher struct {
	store *Store

	plan    *storedPlan // nil before there is one
	planAt  stamp
	planErr string
	cells   []watched
	index   map[ID]int
	next    int // where the sweep goes on

	lockAt stamp
	holder Process
	began  time.Time // of the part under way: when the lock was taken

	clockAt stamp
	events  tail
	status  Status
}

// Details are what a [Watcher] knows of an episode beside its status.
type Details struct {
	// Dir is the name of its folder below cells.
	Dir string
	// Process runs or ran the last attempt, which began as From says at Started.
	Process Process
	From    From
	Started time.Time
	// Ending is how the last attempt ended, "" where nobody said.
	Ending Class
	// Beat is when the last sign of life of a running one was seen.
	Beat time.Time
	// Problem says what of it cannot be read, "" for nothing; what is said of it is
	// then what was known before.
	Problem string
}

// watched is what is remembered of an episode from one look to the next.
type watched struct {
	Details
	at stamp // of its folder; zero to be read again
	// open says that its last attempt may be under way, as far as is known.
	open       bool
	try        try
	progressAt stamp
}

// Sight is what one look found.
type Sight struct {
	// Replanned says that the plan is another one: everything is new.
	Replanned bool
	// Changed are the numbers of the episodes of which something changed, in the
	// order of the plan.
	Changed []int
	// Events that were told since the last look, the newest ones where there are
	// very many; the first look finds the last ones there were.
	Events []Event
	// Totals says that the status beside the episodes changed.
	Totals bool
}

// stamp tells one content of a file or folder from another.
type stamp struct {
	changed int64
	size    int64
	inode   uint64
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{changed: info.ModTime().UnixNano(), size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s
}

// settling is how long after a change a folder is read again although its time is
// the same: there are file systems that count whole seconds.
const settling = 2 * time.Second

// NewWatcher watches the directory of an experiment, which need not be one yet.
func NewWatcher(dir string) (*Watcher, error) {
	store, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	return &Watcher{store: store, events: tail{path: store.path(EventsName)}, status: Status{Dir: store.dir, Name: filepath.Base(store.dir)}}, nil
}

// Found reports whether a folder is the directory of an experiment, whole or in
// the making.
func Found(dir string) bool {
	there := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	}
	return there(planName) && (there(FileName) || there(CellsName)) || there(FileName) && there(lockName) && there(CellsName)
}

// Store is the directory that is watched.
func (w *Watcher) Store() *Store { return w.store }

// Status is where the experiment stood at the last look. It changes with the next
// look and must not be changed.
func (w *Watcher) Status() *Status { return &w.status }

// Details of an episode by its number in the order of the plan.
func (w *Watcher) Details(i int) Details { return w.cells[i].Details }

// Runner is the process that runs the experiment, if Status says that one does,
// and when it began.
func (w *Watcher) Runner() (Process, time.Time) { return w.holder, w.began }

// Planned is when the plan was made, zero before there is one.
func (w *Watcher) Planned() time.Time {
	if w.plan == nil {
		return time.Time{}
	}
	return w.plan.Planned
}

// Worst is what the models of the episodes that have no outcome may cost by the
// limits of each, and how many nothing bounds.
func (w *Watcher) Worst() (usd float64, unbounded int) {
	for i := range w.status.Episodes {
		switch worst := w.plan.Episodes[i].WorstUSD; {
		case w.status.Episodes[i].State != Waiting && w.status.Episodes[i].State != Running:
		case worst == nil:
			unbounded++
		default:
			usd += *worst
		}
	}
	return usd, unbounded
}

// Problems are sentences about what cannot be read of the experiment as a whole.
func (w *Watcher) Problems() []string {
	var out []string
	if w.planErr != "" {
		out = append(out, w.planErr)
	}
	if w.events.bad > 0 {
		out = append(out, fmt.Sprintf("%s has %s that cannot be read", EventsName, some(w.events.bad, "line")))
	}
	if w.events.err != "" {
		out = append(out, w.events.err)
	}
	return out
}

// Look reads what changed. Episodes that run and those of new events are looked at
// each time, and of the others at most sweep, in turns. The error is that of ctx.
func (w *Watcher) Look(ctx context.Context, sweep int) (Sight, error) {
	var sight Sight
	now := time.Now()
	before := w.status
	sight.Replanned = w.replan()
	sight.Events = w.events.read()
	if sight.Replanned {
		if err := w.store.each(ctx, w.plan.Episodes, func(i int, _ Entry) error { w.look(i, now); return nil }); err != nil {
			w.planAt = stamp{} // all of it once more
			return sight, err
		}
	}
	if !sight.Replanned {
		due := w.due(sight.Events, sweep)
		for n, i := range due {
			if n > 0 && due[n-1] == i {
				continue
			}
			if err := ctx.Err(); err != nil {
				return sight, err
			}
			if w.look(i, now) {
				sight.Changed = append(sight.Changed, i)
			}
		}
	}
	w.conducted(now, sight.Replanned || len(sight.Changed) > 0)
	after := w.status
	before.Episodes, after.Episodes = nil, nil
	sight.Totals = sight.Replanned || !reflect.DeepEqual(before, after)
	return sight, nil
}

// replan reads the plan where it changed.
func (w *Watcher) replan() bool {
	info, err := os.Stat(w.store.path(planName))
	if err != nil {
		w.planErr = fmt.Sprintf("the plan cannot be read: %v", err)
		if errors.Is(err, fs.ErrNotExist) {
			w.planErr = "there is no " + planName + ": the experiment is being planned, or its planning was cut; run it again to have it planned"
		}
		w.planAt = stamp{}
		return false
	}
	at := stampOf(info)
	if at == w.planAt {
		return false
	}
	w.planAt = at
	plan, err := w.store.plan()
	if err != nil {
		w.planErr = err.Error()
		return false
	}
	w.planErr = ""
	w.plan, w.next = plan, 0
	w.cells = make([]watched, len(plan.Episodes))
	w.index = make(map[ID]int, len(plan.Episodes))
	w.status.Name, w.status.Budget = plan.Name, plan.Budget
	w.status.Episodes = make([]EpisodeStatus, len(plan.Episodes))
	for i, e := range plan.Episodes {
		w.index[e.ID] = i
		w.cells[i].Dir = e.Dir
		w.status.Episodes[i] = e.waiting()
	}
	return true
}

func (e Entry) waiting() EpisodeStatus {
	return EpisodeStatus{
		ID: e.ID, Name: e.Name, Task: e.Task, Variant: e.Variant, Agent: e.Agent, Model: e.Model, Seed: e.Seed, Metric: e.Metric, State: Waiting,
	}
}

// due are the numbers of the episodes to look at, in order; some may be there
// twice.
func (w *Watcher) due(events []Event, sweep int) []int {
	n := len(w.cells)
	marks := make([]bool, n)
	for _, e := range events {
		if i, ok := w.index[e.ID]; ok && e.Type != Stepped && e.Type != Evaluated {
			marks[i] = true
		}
	}
	for range min(sweep, n) {
		marks[w.next] = true
		w.next = (w.next + 1) % n
	}
	var due []int
	for i := range marks {
		if marks[i] || w.cells[i].open {
			due = append(due, i)
		}
	}
	return due
}

// look reads an episode where it changed, and reports whether it did.
func (w *Watcher) look(i int, now time.Time) bool {
	c := &w.cells[i]
	if name := c.Dir; name == "." || name == "" || !filepath.IsLocal(name) || filepath.Base(name) != name {
		changed := c.Problem == ""
		c.Problem = fmt.Sprintf("%q is no name of a folder of an episode", name)
		return changed
	}
	dir := w.store.cell(c.Dir)
	info, err := os.Stat(dir.path)
	var at stamp
	switch {
	case err == nil:
		at = stampOf(info)
		if age := now.Sub(info.ModTime()); age > -settling && age < settling {
			at.size = -1 // equal to nothing: it is read once more
		}
	case !errors.Is(err, fs.ErrNotExist):
		changed := c.Problem != err.Error()
		c.Problem = err.Error()
		return changed
	}
	if err == nil && at == c.at {
		return c.open && w.beat(i, now)
	}
	if at.size >= 0 {
		c.at = at
	}
	return w.read(i, now)
}

// read reads an episode anew, and reports whether anything of it changed.
func (w *Watcher) read(i int, now time.Time) bool {
	entry, c := w.plan.Episodes[i], &w.cells[i]
	var st EpisodeStatus
	var fresh watched
	var err error
	for range 3 {
		// What is put aside while it is looked at is looked at again.
		st, fresh = entry.waiting(), watched{Details: Details{Dir: c.Dir}, at: c.at}
		if err = w.readCell(&st, &fresh, entry, c, now); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		changed := c.Problem != err.Error()
		c.Problem, c.at = err.Error(), stamp{}
		return changed
	}
	changed := c.Details != fresh.Details || !reflect.DeepEqual(w.status.Episodes[i], st)
	*c, w.status.Episodes[i] = fresh, st
	return changed
}

func (w *Watcher) readCell(st *EpisodeStatus, c *watched, entry Entry, before *watched, now time.Time) error {
	dir := w.store.cell(entry.Dir)
	o, err := dir.outcome()
	if err != nil {
		return err
	}
	if o != nil {
		st.settled(*o, entry)
		if _, err := os.Stat(w.store.path(st.RunDir)); errors.Is(err, fs.ErrNotExist) {
			aside := filepath.Join(CellsName, entry.Dir, fmt.Sprintf(".%s%d", attemptPart, o.Attempt), runName)
			if _, err := os.Stat(w.store.path(aside)); err == nil {
				st.RunDir = aside
			}
		}
		t := try{n: o.Attempt, dir: filepath.Dir(w.store.path(st.RunDir))}
		if a, err := t.attempt(); err == nil {
			c.Process, c.From, c.Started = a.Process, a.From, a.Started
		}
		if end, err := t.ending(); err == nil && end != nil {
			c.Ending = Class(end.Why)
		}
		return nil
	}
	if entry.Skip != "" {
		st.State, st.Message = Skipped, entry.Skip
		return nil
	}
	tries, err := dir.tries()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(tries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	last := tries[len(tries)-1]
	a, err := last.attempt()
	if err != nil {
		return err
	}
	st.Attempt, st.Host = a.N, a.Host
	st.RunDir = filepath.Join(CellsName, entry.Dir, filepath.Base(last.dir), runName)
	c.Process, c.From, c.Started = a.Process, a.From, a.Started
	info, err := os.Stat(last.file(progressName))
	if err != nil {
		return err
	}
	if err := readJSON(last.file(progressName), &st.Progress); err != nil {
		return err
	}
	end, err := last.ending()
	if err != nil {
		return err
	}
	if end != nil {
		c.Ending, st.ending, st.Message = Class(end.Why), Class(end.Why), end.Why
		if end.Message != "" {
			st.Message += ": " + end.Message
		}
		return nil
	}
	c.open, c.try, c.progressAt = true, last, stampOf(info)
	// Machines need not agree on the time: a sign counts from when it was seen, and
	// only that of the first look by its own time.
	c.Beat = now.Add(-max(0, now.Sub(info.ModTime())))
	if before.try == last && before.progressAt == c.progressAt {
		c.Beat = before.Beat
	}
	w.settleState(st, c, now)
	return nil
}

// silent is what is said of an attempt of which nothing is heard any more.
const silent = "its process ended without a word"

// settleState says whether an attempt that has not ended is under way.
func (w *Watcher) settleState(st *EpisodeStatus, c *watched, now time.Time) {
	const sure = 3 * time.Second // it gives signs more often than it is looked for
	quiet := now.Sub(c.Beat)
	if quiet >= sure {
		if gone, known := c.Process.gone(); known && gone {
			c.open = false
			st.State, st.Message = Waiting, silent
			return
		}
	}
	if quiet >= w.store.pace.stale {
		st.State, st.Message = Waiting, silent
		return
	}
	st.State, st.Message = Running, ""
}

// beat looks for signs of life of an attempt.
func (w *Watcher) beat(i int, now time.Time) bool {
	c, st := &w.cells[i], &w.status.Episodes[i]
	if _, err := os.Lstat(c.try.file(endedName)); err == nil {
		return w.read(i, now)
	}
	info, err := os.Stat(c.try.file(progressName))
	if err != nil {
		return w.read(i, now)
	}
	if at := stampOf(info); at != c.progressAt {
		var p Progress
		if err := readJSON(c.try.file(progressName), &p); err != nil {
			return false // it is being replaced, where that can be seen
		}
		st.Progress, c.progressAt, c.Beat, c.Problem = p, at, now, ""
		st.State, st.Message = Running, ""
		return true
	}
	was, open := st.State, c.open
	w.settleState(st, c, now)
	return was != st.State || open != c.open
}

// conducted fills in what is said of the experiment as a whole.
func (w *Watcher) conducted(now time.Time, changed bool) {
	st := &w.status
	st.Active = w.active()
	st.Stopping = ""
	if asked, hard := w.store.stopAsked(); asked && (st.Active || st.Running > 0) {
		st.Stopping = "a stop was asked for"
		if hard {
			st.Stopping += ", at once"
		}
	}
	if info, err := os.Stat(w.store.path(clockName)); err == nil && stampOf(info) != w.clockAt {
		w.clockAt = stampOf(info)
		st.Spent.Hours = w.store.clock().Hours
	}
	if changed {
		st.sum()
	}
	if !st.Active && st.Running == 0 || w.began.IsZero() {
		st.pace(0, 0)
		return
	}
	ended := 0
	for i := range st.Episodes {
		if e := &st.Episodes[i]; (e.State == Done || e.State == Failed) && e.At.After(w.began) {
			ended++
		}
	}
	if st.PerHour == 0 || changed {
		st.pace(now.Sub(w.began), ended)
	}
}

// active reports whether a process runs the experiment. The lock is tried only
// where it is likely to be held, so as not to be in the way of whoever takes it.
func (w *Watcher) active() bool {
	info, err := os.Stat(w.store.path(lockName))
	if err != nil {
		w.lockAt, w.holder, w.began = stamp{}, Process{}, time.Time{}
		return false
	}
	if at := stampOf(info); at != w.lockAt || w.holder.PID == 0 {
		w.lockAt, w.holder, w.began = at, w.store.runner(), info.ModTime()
	}
	gone, known := w.holder.gone()
	if known && gone {
		return false
	}
	held, err := flock.Held(w.store.path(lockName))
	if err != nil {
		return known // who may only look, or has no locks, knows that the process is there
	}
	return held
}

// tail reads lines as they are appended to a file.
type tail struct {
	path   string
	inode  uint64
	offset int64
	torn   []byte // the beginning of a line that is being written
	bad    int
	err    string
}

const (
	// firstTail is how much of a list of events that is there is read.
	firstTail = 256 << 10
	// mostTail is how much is read at once of what was appended.
	mostTail = 1 << 20
)

// read returns the events that were appended since the last call.
func (t *tail) read() (out []Event) {
	t.err = ""
	file, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.err = err.Error()
		return nil
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.err = err.Error()
		return nil
	}
	if !info.Mode().IsRegular() {
		t.err = EventsName + " is no file"
		return nil
	}
	at, most := stampOf(info), int64(mostTail)
	if at.inode != t.inode || at.size < t.offset {
		t.inode, t.offset, t.torn, t.bad = at.inode, 0, nil, 0
		most = firstTail
	}
	skip := false
	if at.size-t.offset > most {
		t.offset, t.torn, skip = at.size-most, nil, true
	}
	text, err := io.ReadAll(io.NewSectionReader(file, t.offset, at.size-t.offset))
	t.offset += int64(len(text))
	if err != nil {
		t.err = err.Error()
	}
	text = append(t.torn, text...)
	if skip {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	for {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			break
		}
		text = rest
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.bad++
			continue
		}
		out = append(out, e)
	}
	t.torn = bytes.Clone(text)
	if len(t.torn) > mostTail {
		t.torn, t.bad = nil, t.bad+1
	}
	return out
}

// AttemptStatus is one attempt at an episode, as a person asks for it.
type AttemptStatus struct {
	Attempt
	Progress Progress
	// Ending is nil where its process did not say how it ended.
	Ending *Ending
	// Newest says that no later attempt has begun.
	Newest bool
	// RunDir and Log are paths below the experiment's directory, "" where they are
	// not there.
	RunDir, Log string
	// Problem says what cannot be read, "" for nothing.
	Problem string
}

// History returns the attempts at an episode, by the name of its folder, and the
// outcomes that it had, the one that counts last.
func (s *Store) History(dir string) ([]AttemptStatus, []Outcome, error) {
	cell := s.cell(dir)
	tries, err := cell.tries()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	attempts := make([]AttemptStatus, 0, len(tries))
	var outcomes []Outcome
	var problems error
	for i, t := range tries {
		a := AttemptStatus{Newest: i == len(tries)-1}
		var errs [3]error
		a.Attempt, errs[0] = t.attempt()
		a.N = t.n
		errs[1] = readJSON(t.file(progressName), &a.Progress)
		a.Ending, errs[2] = t.ending()
		if err := errors.Join(errs[:]...); err != nil {
			a.Problem = err.Error()
		}
		below := filepath.Join(CellsName, dir, filepath.Base(t.dir))
		if _, err := os.Stat(t.file(runName)); err == nil {
			a.RunDir = filepath.Join(below, runName)
		}
		if _, err := os.Stat(t.file(logName)); err == nil {
			a.Log = filepath.Join(below, logName)
		}
		attempts = append(attempts, a)
		var aside Outcome
		if err := readJSON(cell.file(fmt.Sprintf(".outcome-%d.json", t.n)), &aside); err == nil {
			outcomes = append(outcomes, aside)
		} else if !errors.Is(err, fs.ErrNotExist) {
			problems = errors.Join(problems, err)
		}
	}
	switch o, err := cell.outcome(); {
	case err != nil:
		problems = errors.Join(problems, err)
	case o != nil:
		outcomes = append(outcomes, *o)
	}
	return attempts, outcomes, problems
}
