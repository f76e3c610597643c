package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mlgym/gym"
	"mlgym/internal/atomicfile"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// The names of what is in a cell's folder.
const (
	cellName     = "cell.json"
	outcomeName  = "outcome.json"
	attemptName  = "attempt.json"
	progressName = "progress.json"
	endedName    = "ended.json"
	logName      = "log.txt"
	runName      = "run"
	attemptPart  = "attempt-"
)

const (
	dirPerm  fs.FileMode = 0o755
	filePerm fs.FileMode = 0o644
)

// Attempt is one try at an episode, by one process.
type Attempt struct {
	FormatVersion int `json:"format_version"`
	// N counts the attempts at the episode from 1.
	N  int `json:"attempt"`
	ID ID  `json:"id"`
	// Process that runs it.
	Process
	Started time.Time `json:"started"`
	// From says how it began.
	From From `json:"from"`
}

// How an attempt begins.
const (
	// New: nothing was run before.
	New = "new"
	// Continued: the record of the attempt before goes on.
	Continued = "continued"
	// StartedOver: an attempt before was given up.
	StartedOver = "started over"
)

// From says how an attempt begins.
type From struct {
	// How is New, Continued or StartedOver.
	How string `json:"how"`
	// Step is the last one of the record that goes on.
	Step int `json:"step,omitempty"`
	// Why an episode is started over.
	Why string `json:"why,omitempty"`
}

func (f From) String() string {
	switch f.How {
	case Continued:
		return fmt.Sprintf("continued after step %d", f.Step)
	case StartedOver:
		return fmt.Sprintf("started over: %s", f.Why)
	}
	return f.How
}

// Ending is how an attempt ended, where its process lived to say so.
type Ending struct {
	// Why is a Class, or "outcome".
	Why     string    `json:"why"`
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at"`
}

// Outcome is how an episode of an experiment ended. It is written once.
type Outcome struct {
	FormatVersion int    `json:"format_version"`
	ID            ID     `json:"id"`
	Name          string `json:"name"`
	// State is Done or Failed.
	State State `json:"state"`
	// Attempt is the one whose run counts.
	Attempt int `json:"attempt"`
	// Attempts is how many there were, Faults how many ended by a fault that was
	// not the agent's.
	Attempts int `json:"attempts"`
	Faults   int `json:"faults"`
	// From is how the attempt began.
	From From `json:"from"`
	// Message says why an episode failed.
	Message string    `json:"message,omitempty"`
	Ended   time.Time `json:"ended"`

	ExitStatus string `json:"exit_status,omitempty"`
	Steps      int    `json:"steps"`
	Metric     string `json:"metric"`
	// Best and Submission are values of the metric, null where there is none.
	Best       *float64 `json:"best"`
	Submission *float64 `json:"submission"`
	Reward     float64  `json:"reward"`
	CostUSD    *float64 `json:"cost_usd"`
	TokensIn   int64    `json:"tokens_in"`
	TokensOut  int64    `json:"tokens_out"`
	Seconds    float64  `json:"seconds"`
	// Resumes counts how often the run went on after it was cut.
	Resumes int `json:"resumes"`
}

// scored reports whether the episode has a score that counts.
func (o *Outcome) scored() bool { return o.State == Done && o.Submission != nil }

// ErrFenced ends an attempt that finds a later one: somebody took this process
// for dead.
var ErrFenced = errors.New("another process has taken over this episode")

// The errors of a claim.
var (
	errDone = errors.New("the episode has its outcome")
	errBusy = errors.New("another process runs the episode")
)

// Times of the protocol between processes. Tests make them shorter.
type pace struct {
	// beat is how often a process says that it lives.
	beat time.Duration
	// stale is after how long without a beat it is taken for dead.
	stale time.Duration
	// again is after how long an episode that another process runs is looked at
	// again.
	again time.Duration
}

var usualPace = pace{beat: 5 * time.Second, stale: 45 * time.Second, again: 45 * time.Second}

// cellDir is the folder of a cell.
type cellDir struct {
	path string
	pace pace
}

func (d cellDir) file(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// outcome reads the outcome; nil where there is none.
func (d cellDir) outcome() (*Outcome, error) {
	var o Outcome
	err := readJSON(d.file(outcomeName), &o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &o, nil
}

// tries lists the attempts, superseded ones included, by number.
func (d cellDir) tries() ([]try, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var out []try
	for _, e := range entries {
		name := strings.TrimPrefix(e.Name(), ".")
		number, ok := strings.CutPrefix(name, attemptPart)
		if n, err := strconv.Atoi(number); ok && err == nil && n > 0 && e.IsDir() {
			out = append(out, try{n: n, dir: d.file(e.Name())})
		}
	}
	slices.SortFunc(out, func(a, b try) int { return a.n - b.n })
	return out, nil
}

// try is the folder of one attempt.
type try struct {
	n   int
	dir string
}

func (t try) file(name string) string { return filepath.Join(t.dir, name) }

func (t try) attempt() (Attempt, error) {
	var a Attempt
	return a, readJSON(t.file(attemptName), &a)
}

// ending is nil where the process did not say how the attempt ended.
func (t try) ending() (*Ending, error) {
	var e Ending
	err := readJSON(t.file(endedName), &e)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &e, err
}

// alive reports whether the attempt is under way, as far as can be seen: its
// process has not said that it ended, is there if it should be on this machine,
// and has given a sign of life.
func (t try) alive(p pace) (bool, error) {
	if e, err := t.ending(); err != nil || e != nil {
		return false, err
	}
	a, err := t.attempt()
	if err != nil {
		return false, err
	}
	if gone, known := a.gone(); known && gone {
		return false, nil
	}
	age, err := fileAge(t.file(progressName))
	return age < p.stale, err
}

// fileAge is how long ago a file was written by the clock of its file system,
// which machines that share it need not agree with.
func fileAge(path string) (time.Duration, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".clock-")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return time.Since(info.ModTime()), nil // who may only look has this machine's clock
	}
	if err != nil {
		return 0, err
	}
	defer os.Remove(probe.Name())
	now, err := probe.Stat()
	if err = errors.Join(err, probe.Close()); err != nil {
		return 0, err
	}
	return now.ModTime().Sub(info.ModTime()), nil
}

// claim is an attempt of this process.
type claim struct {
	Attempt
	cell cellDir
	dir  string
	// Past says that the run's directory holds a record that goes on.
	past bool

	mu       sync.Mutex
	progress Progress
	written  time.Time
	closed   bool
}

// mostLooks is how often a folder that changes while it is looked at is looked
// at again; one that is damaged does not change.
const mostLooks = 100

// claim begins the next attempt. The error wraps errDone, or errBusy with who
// runs it. startOver says why a record is not to go on, "" where it is.
func (d cellDir) claim(id ID, startOver string) (*claim, error) {
	for looks := 1; ; looks++ {
		if o, err := d.outcome(); err != nil || o != nil {
			return nil, errors.Join(err, ifNil(err, errDone))
		}
		tries, err := d.tries()
		if err != nil {
			return nil, err
		}
		var last *try
		next := 1
		if len(tries) > 0 {
			last = &tries[len(tries)-1]
			next = last.n + 1
			switch alive, err := last.alive(d.pace); {
			case errors.Is(err, fs.ErrNotExist) && looks < mostLooks:
				continue // it was renamed or removed while it was looked at
			case err != nil:
				return nil, fmt.Errorf("look at attempt %d of %s: %w", last.n, id, err)
			case alive:
				a, _ := last.attempt()
				return nil, fmt.Errorf("%w: attempt %d by process %d on %s", errBusy, last.n, a.PID, a.Host)
			}
		}
		if last != nil && startOver == "" && d.anew(last.n) {
			startOver = "it was to be tried again"
		}
		c, err := d.begin(id, next, last, startOver)
		if errors.Is(err, fs.ErrExist) {
			continue // another process was quicker
		}
		return c, err
	}
}

func ifNil(err, other error) error {
	if err != nil {
		return nil
	}
	return other
}

// begin makes the folder of an attempt in one stroke: it is there whole or not
// at all, and only one process can make it.
func (d cellDir) begin(id ID, n int, last *try, startOver string) (_ *claim, err error) {
	tmp, err := os.MkdirTemp(d.path, ".new-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp) // gone where all went well
	if err := os.Chmod(tmp, dirPerm); err != nil {
		return nil, err
	}
	c := &claim{cell: d, dir: d.file(attemptPart + strconv.Itoa(n))}
	c.Attempt = Attempt{FormatVersion: storeVersion, N: n, ID: id, Process: thisProcess(), Started: now(), From: From{How: New}}
	if last != nil {
		if c.From, err = takeOver(*last, filepath.Join(tmp, runName), startOver); err != nil {
			return nil, err
		}
		c.past = c.From.How == Continued
	}
	c.progress = Progress{Step: c.From.Step, At: now()}
	if c.past {
		c.progress.spent(*last)
	}
	if err := writeJSON(filepath.Join(tmp, attemptName), c.Attempt); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(tmp, progressName), c.progress); err != nil {
		return nil, err
	}
	d.tidy()
	if err := os.Rename(tmp, c.dir); err != nil {
		if _, statErr := os.Stat(c.dir); statErr == nil {
			return nil, fs.ErrExist
		}
		return nil, err
	}
	c.written = time.Now()
	// The attempt before may have ended well just now.
	if o, err := d.outcome(); err != nil || o != nil {
		return nil, errors.Join(err, ifNil(err, errDone), os.RemoveAll(c.dir))
	}
	if last != nil {
		hidden := d.file("." + attemptPart + strconv.Itoa(last.n))
		if err := os.Rename(last.dir, hidden); err != nil && last.dir != hidden && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("put attempt %d aside: %w", last.n, err)
		}
	}
	return c, nil
}

// tidy removes what processes that were killed here were making. What cannot be
// removed does no harm.
func (d cellDir) tidy() {
	made, _ := filepath.Glob(d.file(".new-*")) // the pattern is right
	for _, dir := range made {
		if age, err := fileAge(dir); err == nil && age > d.pace.stale {
			_ = os.RemoveAll(dir)
		}
	}
}

// spent takes over what a record that goes on has cost, so that an attempt that
// comes to nothing does not forget it.
func (p *Progress) spent(last try) {
	var before Progress
	if err := readJSON(last.file(progressName), &before); err == nil {
		p.CostUSD, p.TokensIn, p.TokensOut, p.Seconds = before.CostUSD, before.TokensIn, before.TokensOut, before.Seconds
	}
}

// takeOver copies the run of an attempt that was cut into to, so that whoever
// still writes the old one spoils nothing. Where there is nothing to go on with,
// or startOver says why not to, to is not made.
func takeOver(last try, to, startOver string) (From, error) {
	if startOver != "" {
		return From{How: StartedOver, Why: startOver}, nil
	}
	from := last.file(runName)
	rec, err := trajectory.Load(filepath.Join(from, runstore.TrajectoryName))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, trajectory.ErrEmpty):
		return From{How: New}, nil
	case err != nil:
		return From{How: StartedOver, Why: fmt.Sprintf("the record of attempt %d cannot be read: %v", last.n, err)}, nil //nolint:nilerr // said in the record
	case rec.Reset == nil:
		return From{How: New}, nil
	}
	if err := runstore.Copy(from, to); err != nil {
		return From{}, fmt.Errorf("take over attempt %d: %w", last.n, err)
	}
	return From{How: Continued, Step: len(rec.Steps)}, nil
}

// runDir is the directory of the attempt's run.
func (c *claim) runDir() string { return filepath.Join(c.dir, runName) }

// fenced reports whether a later attempt has begun.
func (c *claim) fenced() (bool, error) {
	for _, name := range []string{attemptPart, "." + attemptPart} {
		_, err := os.Stat(c.cell.file(name + strconv.Itoa(c.N+1)))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}

// beat gives a sign of life and looks for a later attempt. A file system that
// does not answer for a while is no reason to end the episode.
func (c *claim) beat() error {
	fenced, err := c.fenced()
	if fenced {
		return ErrFenced
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	return errors.Join(err, c.write())
}

// tell keeps where the episode stands, at most once a second on disk.
func (c *claim) tell(p Progress) {
	const every = time.Second
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress = p
	if !c.closed && time.Since(c.written) >= every {
		_ = c.write() // the next beat says what is wrong
	}
}

// where is what was told last; a beat may be writing it.
func (c *claim) where() Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.progress
}

// write replaces progress.json. The caller holds mu.
func (c *claim) write() error {
	c.progress.At = now()
	c.written = time.Now()
	return replaceJSON(filepath.Join(c.dir, progressName), c.progress)
}

// end says how the attempt ended and closes it.
func (c *claim) end(e Ending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	e.At = now()
	return errors.Join(c.write(), writeJSON(filepath.Join(c.dir, endedName), e))
}

// settle writes the outcome of the episode. It is refused where a later attempt
// has begun, or an outcome is there.
func (c *claim) settle(o Outcome) error {
	if fenced, err := c.fenced(); err != nil || fenced {
		return errors.Join(err, ifNil(err, ErrFenced))
	}
	return writeOnce(c.cell.file(outcomeName), o)
}

// outcome sums up a run that ended.
func (c *claim) outcome(cell *Cell, r runstore.Result, faults int) Outcome {
	return Outcome{
		FormatVersion: storeVersion, ID: c.ID, Name: cell.Name, State: Done, Attempt: c.N, Attempts: c.N, Faults: faults, From: c.From, Ended: now(),
		ExitStatus: r.ExitStatus.String(), Steps: r.Steps, Metric: r.PrimaryMetric, Best: value(r.Best, r.PrimaryMetric), Submission: value(r.Submission, r.PrimaryMetric),
		Reward: r.Reward, CostUSD: r.CostUSD, TokensIn: r.TokensIn, TokensOut: r.TokensOut, Seconds: r.Seconds, Resumes: r.Resumes,
	}
}

func value(s gym.Scores, metric string) *float64 {
	v, ok := s[metric]
	if !ok {
		return nil
	}
	return &v
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON writes a file that lasts.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(path, append(text, '\n'), filePerm)
}

// replaceJSON writes a file that is replaced so often that it is not worth to
// wait for the disk.
func replaceJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(text, '\n'), filePerm); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// writeOnce writes a file that must not be there; the error then wraps errDone.
func writeOnce(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d-%d", path, os.Getpid(), time.Now().UnixNano())
	if err := atomicfile.WriteFile(tmp, append(text, '\n'), filePerm); err != nil {
		return err
	}
	err = os.Link(tmp, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without links: the best that is left is to look first.
		if _, statErr := os.Stat(path); errors.Is(statErr, fs.ErrNotExist) {
			return os.Rename(tmp, path)
		}
	}
	if err = errors.Join(err, os.Remove(tmp)); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s is there", errDone, path)
	}
	return err
}
