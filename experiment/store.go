package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mlgym/experiment/budget"
	"mlgym/internal/atomicfile"
	"mlgym/internal/flock"
)

// storeVersion is the version of the files of an experiment's directory.
const storeVersion = 1

// The names of what is in an experiment's directory.
const (
	FileName   = "experiment.yaml"
	planName   = "plan.json"
	lockName   = "lock"
	EventsName = "events.jsonl"
	stopName   = "stop"
	clockName  = "clock.json"
	jobsName   = "jobs.json"
	budgetName = "budget"
	CellsName  = "cells"
)

// Store is an experiment's directory. It is safe for concurrent use.
type Store struct {
	dir  string
	pace pace
}

// Entry is an episode of the stored plan.
type Entry struct {
	ID      ID     `json:"id"`
	Dir     string `json:"dir"`
	Name    string `json:"name"`
	Task    string `json:"task"`
	Variant string `json:"variant"`
	Agent   string `json:"agent"`
	Model   string `json:"model,omitempty"`
	Seed    uint64 `json:"seed"`
	Metric  string `json:"metric"`
	Skip    string `json:"skip,omitempty"`
	// WorstUSD is as in Cell.
	WorstUSD *float64 `json:"worst_usd"`
}

// storedPlan is plan.json.
type storedPlan struct {
	FormatVersion int       `json:"format_version"`
	Name          string    `json:"name"`
	Planned       time.Time `json:"planned"`
	Budget        Limits    `json:"budget"`
	Episodes      []Entry   `json:"episodes"`
}

// ErrNoExperiment says that a directory holds no experiment.
var ErrNoExperiment = errors.New("no experiment")

// Open opens the directory of an experiment.
func Open(dir string) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, planName)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w: it has no %s; start one with mlgym experiment run --out %s", dir, ErrNoExperiment, planName, dir)
		}
		return nil, fmt.Errorf("open the experiment: %w", err)
	}
	return openStore(dir)
}

// Create opens the directory of an experiment and makes it where it is not
// there. A folder with other things in it is refused.
func Create(dir string) (*Store, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make the experiment: %w", err)
	}
	// A process that is killed early leaves an empty list of cells.
	begun := len(entries) == 1 && entries[0].Name() == CellsName
	if len(entries) > 0 && !begun {
		if _, err := os.Stat(filepath.Join(dir, lockName)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("make the experiment: %s is not empty and holds no experiment; choose another folder with --out", dir)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, CellsName), dirPerm); err != nil {
		return nil, fmt.Errorf("make the experiment: %w", err)
	}
	return openStore(dir)
}

func openStore(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	p, err := paceFromEnv()
	if err != nil {
		return nil, err
	}
	return &Store{dir: abs, pace: p}, nil
}

// Dir is the experiment's directory, absolute.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(name ...string) string {
	return filepath.Join(append([]string{s.dir}, name...)...)
}

func (s *Store) cell(dir string) cellDir { return cellDir{s.path(CellsName, dir), s.pace} }

// LockedError says that another process runs the experiment.
type LockedError struct {
	Dir     string
	Process Process
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s: process %d on %s runs this experiment; wait for it, or end it with: mlgym experiment stop %s", e.Dir, e.Process.PID, e.Process.Host, e.Dir)
}

// Lock makes this process the one that runs the experiment, until the lock is
// let go of or the process ends.
func (s *Store) Lock() (*flock.File, error) {
	lock, held, err := flock.TryLock(s.path(lockName))
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, &LockedError{Dir: s.dir, Process: s.runner()}
	}
	text, err := json.Marshal(thisProcess())
	if err == nil {
		err = lock.Replace(append(text, '\n'))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return lock, nil
}

func (s *Store) runner() Process {
	var p Process
	_ = readJSON(s.path(lockName), &p) // for people; it may be being written
	return p
}

// Active reports whether a process runs the experiment, and which.
func (s *Store) Active() (bool, Process, error) {
	held, err := flock.Held(s.path(lockName))
	if err != nil || !held {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return false, Process{}, err
	}
	return true, s.runner(), nil
}

// AskStop asks the process that runs the experiment, wherever that is, to finish
// the steps under way and end; at once where hard is set.
func (s *Store) AskStop(hard bool) error {
	how := "gently\n"
	if hard {
		how = "now\n"
	}
	return atomicfile.WriteFile(s.path(stopName), []byte(how), filePerm)
}

// stopAsked reports whether and how a stop was asked for.
func (s *Store) stopAsked() (asked, hard bool) {
	text, err := os.ReadFile(s.path(stopName))
	return err == nil, strings.HasPrefix(string(text), "now")
}

func (s *Store) clearStop() error {
	err := os.Remove(s.path(stopName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Save keeps the file and the plan made of it. Cells that are there stay as
// they are.
func (s *Store) Save(f *File, p *Plan) error {
	name := f.Name
	if name == "" {
		name = filepath.Base(s.dir)
	}
	text, err := f.Encode()
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(s.path(FileName), text, filePerm); err != nil {
		return err
	}
	stored := storedPlan{FormatVersion: storeVersion, Name: name, Planned: now(), Budget: f.Budget}
	for _, c := range p.Cells {
		if err := s.cell(c.Dir()).describe(c); err != nil {
			return err
		}
		stored.Episodes = append(stored.Episodes, c.entry())
	}
	out, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(s.path(planName), append(out, '\n'), filePerm)
}

// describe writes cell.json where it does not say the same already: what decides
// the episode never changes, what it takes of a machine may.
func (d cellDir) describe(c *Cell) error {
	want, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if got, err := os.ReadFile(d.file(cellName)); err == nil && bytes.Equal(bytes.TrimSpace(got), want) {
		return nil
	}
	if err := os.MkdirAll(d.path, dirPerm); err != nil {
		return err
	}
	return replaceJSON(d.file(cellName), c)
}

func (c *Cell) entry() Entry {
	return Entry{
		ID: c.ID, Dir: c.Dir(), Name: c.Name, Task: c.taskID(), Variant: c.Spec.Variant, Agent: c.Agent, Model: c.Spec.Model,
		Seed: c.Spec.Seed, Metric: c.Metric, Skip: c.Skip, WorstUSD: c.WorstUSD,
	}
}

func (c *Cell) taskID() string {
	id, _, _ := strings.Cut(c.Name, ".")
	return id
}

// File reads what was asked for.
func (s *Store) File() (*File, error) { return ReadFile(s.path(FileName)) }

func (s *Store) plan() (*storedPlan, error) {
	var p storedPlan
	if err := readJSON(s.path(planName), &p); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	if p.FormatVersion < 1 || p.FormatVersion > storeVersion {
		return nil, fmt.Errorf("%s: version %d is not known; use a newer mlgym", s.path(planName), p.FormatVersion)
	}
	return &p, nil
}

// ReadCell reads an episode of the plan by the name of its folder.
func (s *Store) ReadCell(dir string) (*Cell, error) {
	var c Cell
	if err := readJSON(s.cell(dir).file(cellName), &c); err != nil {
		return nil, fmt.Errorf("read an episode of the experiment: %w", err)
	}
	return &c, nil
}

// Status reads where the experiment stands. It is what any process sees; the one
// that runs it knows more and sooner.
func (s *Store) Status(ctx context.Context) (*Status, error) {
	p, err := s.plan()
	if err != nil {
		return nil, err
	}
	return s.statusOf(ctx, p, p.Episodes)
}

// statusOf is the status of some of the episodes.
func (s *Store) statusOf(ctx context.Context, p *storedPlan, entries []Entry) (*Status, error) {
	st := &Status{Name: p.Name, Dir: s.dir, Budget: p.Budget, Episodes: make([]EpisodeStatus, len(entries))}
	var err error
	if st.Active, _, err = s.Active(); err != nil {
		return nil, err
	}
	if asked, hard := s.stopAsked(); asked && st.Active {
		st.Stopping = "a stop was asked for"
		if hard {
			st.Stopping += ", at once"
		}
	}
	if err := s.each(ctx, entries, func(i int, e Entry) error {
		var err error
		st.Episodes[i], err = s.episode(e)
		return err
	}); err != nil {
		return nil, err
	}
	st.Spent.Hours = s.clock().Hours
	st.sum()
	return st, nil
}

// each calls fn for every entry, several at once: most of the time goes into
// waiting for the file system.
func (s *Store) each(ctx context.Context, entries []Entry, fn func(i int, e Entry) error) error {
	const workers = 8
	next := make(chan int)
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var first error
			for i := range next {
				if err := fn(i, entries[i]); err != nil && first == nil {
					first = fmt.Errorf("%s: %w", entries[i].Name, err)
				}
			}
			errs <- first
		})
	}
	for i := range entries {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	close(errs)
	joined := ctx.Err()
	for err := range errs {
		joined = errors.Join(joined, err)
	}
	return joined
}

// episode reads where one episode stands.
func (s *Store) episode(e Entry) (st EpisodeStatus, err error) {
	for range mostLooks {
		// What is put aside while it is looked at is looked at again.
		if st, err = s.look(e); !errors.Is(err, fs.ErrNotExist) {
			return st, err
		}
	}
	return st, err
}

func (s *Store) look(e Entry) (EpisodeStatus, error) {
	st := EpisodeStatus{
		ID: e.ID, Name: e.Name, Task: e.Task, Variant: e.Variant, Agent: e.Agent, Model: e.Model, Seed: e.Seed, Metric: e.Metric, State: Waiting,
	}
	dir := s.cell(e.Dir)
	o, err := dir.outcome()
	if err != nil {
		return st, err
	}
	if o != nil {
		st.settled(*o, e)
		if _, err := os.Stat(s.path(st.RunDir)); errors.Is(err, fs.ErrNotExist) {
			// Its process was taken for dead, and woke up to write the outcome first.
			st.RunDir = filepath.Join(CellsName, e.Dir, fmt.Sprintf(".%s%d", attemptPart, o.Attempt), runName)
		}
		return st, nil
	}
	if e.Skip != "" {
		st.State, st.Message = Skipped, e.Skip
		return st, nil
	}
	tries, err := dir.tries()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(tries) == 0 {
		return st, nil
	}
	if err != nil {
		return st, err
	}
	last := tries[len(tries)-1]
	a, err := last.attempt()
	if err != nil {
		return st, err
	}
	st.Attempt, st.Host = a.N, a.Host
	st.RunDir = filepath.Join(CellsName, e.Dir, filepath.Base(last.dir), runName)
	if err := readJSON(last.file(progressName), &st.Progress); err != nil {
		return st, err
	}
	alive, err := last.alive(s.pace)
	if err != nil {
		return st, err
	}
	if alive {
		st.State = Running
		return st, nil
	}
	st.Message = "its process ended without a word"
	if end, err := last.ending(); err == nil && end != nil {
		st.ending, st.Message = Class(end.Why), end.Why
		if end.Message != "" {
			st.Message += ": " + end.Message
		}
	}
	return st, nil
}

// settled fills in what an outcome says.
func (st *EpisodeStatus) settled(o Outcome, e Entry) {
	st.State, st.Message, st.Attempt = o.State, o.Message, o.Attempt
	st.Step, st.CostUSD, st.TokensIn, st.TokensOut, st.Seconds, st.At = o.Steps, o.CostUSD, o.TokensIn, o.TokensOut, o.Seconds, o.Ended
	st.Best, st.Submission, st.Score, st.ExitStatus = o.Best, o.Submission, o.Submission, o.ExitStatus
	st.RunDir = filepath.Join(CellsName, e.Dir, fmt.Sprintf("%s%d", attemptPart, o.Attempt), runName)
}

// sum fills in what follows from the episodes.
func (st *Status) sum() {
	hours := st.Spent.Hours
	st.Counts, st.Spent = Counts{}, Spent{Hours: hours}
	for i := range st.Episodes {
		e := &st.Episodes[i]
		st.Add(e.State)
		st.Spent.Tokens += e.TokensIn + e.TokensOut
		switch {
		case e.CostUSD != nil:
			st.Spent.USD += *e.CostUSD
		case e.Attempt > 0:
			st.Spent.Unpriced++
		}
	}
	st.CostUSD = st.Spent.USD
}

// clock is how long the experiment was run.
type clock struct {
	// Hours of all parts together, as far as they were written down.
	Hours float64 `json:"hours"`
	// Deadline of the part under way, where the budget has hours.
	Deadline time.Time `json:"deadline,omitzero"`
}

func (s *Store) clock() clock {
	var c clock
	_ = readJSON(s.path(clockName), &c) // none before the first part
	return c
}

func (s *Store) setClock(c clock) error { return replaceJSON(s.path(clockName), c) }

// Retry makes episodes run once more: those that failed, or those that have no
// score. What they had is kept beside them. It returns the names.
func (s *Store) Retry(ctx context.Context, only string) ([]string, error) {
	p, err := s.plan()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range p.Episodes {
		if err := ctx.Err(); err != nil {
			return names, err
		}
		dir := s.cell(e.Dir)
		o, err := dir.outcome()
		if err != nil {
			return names, err
		}
		if o == nil || only == "failed" && o.State != Failed || only == "unscored" && o.scored() {
			continue
		}
		if err := os.Rename(dir.file(outcomeName), dir.file(fmt.Sprintf(".outcome-%d.json", o.Attempts))); err != nil {
			return names, fmt.Errorf("retry %s: %w", e.Name, err)
		}
		names = append(names, e.Name)
	}
	return names, nil
}

// RunDirs returns the runs that count: those of the episodes that are done, in
// the order of the plan.
func (s *Store) RunDirs(ctx context.Context) ([]string, error) {
	st, err := s.Status(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range st.Episodes {
		if e.State == Done {
			out = append(out, s.path(e.RunDir))
		}
	}
	return out, nil
}

// ledger opens the budget of the experiment, with these limits from now on.
func (s *Store) ledger(ctx context.Context, l Limits) (*budget.Ledger, error) {
	ledger, err := budget.Open(ctx, s.path(budgetName), budget.Limits{})
	if err != nil {
		return nil, err
	}
	want := budget.Limits{USD: l.USD, Tokens: l.Tokens}
	if had, err := ledger.Limits(); err != nil || had == want {
		return ledger, err
	}
	return ledger, ledger.SetLimits(ctx, want)
}

// anew reports whether attempt n had an outcome that Retry put aside, and that
// was no fault's: its record has ended. One that failed goes on.
func (d cellDir) anew(n int) bool {
	last := d.retried()
	if last < n {
		return false
	}
	var o Outcome
	return readJSON(d.file(fmt.Sprintf(".outcome-%d.json", last)), &o) != nil || o.State != Failed
}

// retried is the number of the last attempt before the outcome was put aside by
// Retry; faults before it do not count.
func (d cellDir) retried() int {
	last := 0
	entries, _ := os.ReadDir(d.path) // what cannot be read shows elsewhere
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), ".outcome-%d.json", &n); err == nil {
			last = max(last, n)
		}
	}
	return last
}

// faults counts the attempts that ended by a fault since the episode was last
// tried anew.
func (d cellDir) faults() (int, error) {
	tries, err := d.tries()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, from := 0, d.retried()
	for _, t := range tries {
		if t.n <= from {
			continue
		}
		e, err := t.ending()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if e != nil && e.Why == string(ClassFault) {
			n++
		}
	}
	return n, nil
}
