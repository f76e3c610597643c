package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/internal/atomicfile"
	"mlgym/slurm"
)

// Engine places programs on the machines of a cluster and tells what the cluster
// thinks of them; [*slurm.Client] is one. It is believed only as far as waiting
// goes: what was done stands in the experiment's directory.
type Engine interface {
	Submit(ctx context.Context, array slurm.Array) ([]slurm.Job, error)
	Tasks(ctx context.Context, jobs ...slurm.Job) ([]slurm.Task, error)
	Cancel(ctx context.Context, jobs ...slurm.Job) error
	CancelTasks(ctx context.Context, tasks ...slurm.Task) error
}

// ClusterOptions are what a [Cluster] works with.
type ClusterOptions struct {
	Store  *Store
	Plan   *Plan
	File   *File
	Engine Engine
	// Worker is the program that runs a unit of episodes, and its arguments; the
	// experiment's directory and the number of the submission follow. Env are
	// variables for it, also where a site hands none on.
	Worker []string
	Env    map[string]string
	// Poll is how often the cluster is asked; 0 means 10 seconds.
	Poll time.Duration
	// Stop and Events are as in [Options].
	Stop   <-chan struct{}
	Events func(Event)
	// Detach returns when the jobs are submitted.
	Detach bool
	Log    *slog.Logger
}

// Cluster runs the episodes of an experiment as jobs of a cluster. The store must
// be locked by this process. Run is called once; Snapshot at any time.
type Cluster struct {
	o      ClusterOptions
	teller *teller
	began  time.Time
	before float64

	// What follows belongs to the goroutine of Run.
	hard     bool // the workers were asked to stop at once
	uncut    bool // the queue still has to be cleared of what has not begun
	silent   bool // the cluster did not answer the last time
	entries  []Entry
	cells    map[string]*Cell  // by folder
	watched  map[string]*watch // by folder
	subs     []submission
	reported map[ID]bool
	stuck    map[string]bool // jobs of which it was said that they wait for a person

	mu     sync.Mutex
	reason string // why nothing is submitted any more, "" while it is
	status Status
	ended  int
}

// watch is what one part of an experiment remembers of a cell.
type watch struct {
	// tries is how often it was submitted since it last got on, and step where it
	// was then.
	tries, step int
	// misses counts the polls in which its job had ended and it had not. One is
	// let pass, since the directory may be a moment behind the queue; it begins
	// below zero where the number of a job may have been lost.
	misses int
	// left says why it is not submitted any more.
	left string
}

// afterLostAnswer is where [watch.misses] begins for cells whose jobs may be in
// the queue although their numbers are not known.
const afterLostAnswer = -5

// submission is one call of sbatch: jobs.json holds a list of them.
type submission struct {
	N         int         `json:"submission"`
	Submitted time.Time   `json:"submitted"`
	Jobs      []slurm.Job `json:"jobs"`
	// Units are the folders of the cells that one task of the array runs, by its
	// index.
	Units [][]string `json:"units"`
}

// NewCluster prepares a part of an experiment.
func NewCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	if o.Poll == 0 {
		o.Poll = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cluster{
		o: o, began: time.Now(), before: o.Store.clock().Hours, cells: map[string]*Cell{}, watched: map[string]*watch{}, reported: map[ID]bool{}, stuck: map[string]bool{},
	}
	p, err := o.Store.plan()
	if err != nil {
		return nil, err
	}
	c.entries = p.Episodes
	for _, e := range p.Episodes {
		c.watched[e.Dir] = &watch{}
	}
	for _, cell := range o.Plan.Cells {
		c.cells[cell.Dir()] = cell
	}
	if c.subs, err = o.Store.submissions(); err != nil {
		return nil, err
	}
	if n := len(c.subs); n > 0 && len(c.subs[n-1].Jobs) == 0 {
		c.perhaps(c.subs[n-1]) // whoever submitted it died before it was answered
	}
	st, err := o.Store.Status(ctx)
	if err != nil {
		return nil, err
	}
	c.status = *st
	for _, e := range st.Episodes {
		c.reported[e.ID] = e.State == Done || e.State == Failed
	}
	return c, nil
}

// perhaps gives the jobs of a submission that may have been lost time to show.
func (c *Cluster) perhaps(sub submission) {
	for _, unit := range sub.Units {
		for _, dir := range unit {
			if w := c.watched[dir]; w != nil {
				w.misses = afterLostAnswer
			}
		}
	}
}

func (s *Store) submissions() ([]submission, error) {
	var subs []submission
	if err := readJSON(s.path(jobsName), &subs); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the jobs of the experiment: %w", err)
	}
	return subs, nil
}

// Unit returns the cells of one task of a submission.
func (s *Store) Unit(submissionNumber, index int) ([]*Cell, error) {
	subs, err := s.submissions()
	if err != nil {
		return nil, err
	}
	if submissionNumber < 1 || submissionNumber > len(subs) {
		return nil, fmt.Errorf("%s: there is no submission %d", s.dir, submissionNumber)
	}
	units := subs[submissionNumber-1].Units
	if index < 0 || index >= len(units) {
		return nil, fmt.Errorf("%s: submission %d has no task %d", s.dir, submissionNumber, index)
	}
	var out []*Cell
	for _, dir := range units[index] {
		cell, err := s.ReadCell(dir)
		if err != nil {
			return nil, err
		}
		out = append(out, cell)
	}
	return out, nil
}

// Snapshot is where the experiment stands, as of the last poll.
func (c *Cluster) Snapshot() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.status
	st.Active, st.Stopping, st.Parallel = true, c.reason, c.o.File.Parallel
	st.Spent.Hours = c.hours()
	st.sum()
	st.pace(time.Since(c.began), c.ended)
	return st
}

func (c *Cluster) hours() float64 { return c.before + time.Since(c.began).Hours() }

// Why says why Run ended before all was done, "" where all is.
func (c *Cluster) Why() string {
	if c.reason != "" {
		return c.reason
	}
	n, first := 0, ""
	for _, e := range c.entries {
		if w := c.watched[e.Dir]; w.left != "" {
			if n++; n == 1 {
				first = w.left
			}
		}
	}
	if n > 1 {
		first += fmt.Sprintf("; and %s more were left", some(n-1, "episode"))
	}
	return first
}

// Run submits what is to be run and watches it to its end. An error leaves the
// jobs in the cluster as they are.
func (c *Cluster) Run(ctx context.Context) (err error) {
	if c.teller, err = openTeller(c.o.Store, c.o.Events, c.o.Log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.teller.close()) }()
	if err := c.o.Store.clearStop(); err != nil {
		return err
	}
	c.tell(Event{Type: Planned, Message: "the episodes run as jobs of Slurm"})
	for _, note := range c.o.Plan.Notes {
		c.tell(Event{Type: Noted, Message: note})
	}
	if err := c.setDeadline(); err != nil {
		return err
	}
	asked := c.o.Stop
	poll := time.NewTicker(c.o.Poll)
	defer poll.Stop()
	look := time.NewTicker(min(time.Second, c.o.Poll))
	defer look.Stop()
	for due := true; ; {
		if due {
			due = false
			over, err := c.sweep(ctx)
			switch {
			case err != nil && ctx.Err() == nil:
				return c.fail(err)
			case err == nil && (over || c.o.Detach && !c.silent):
				return c.finish()
			}
		}
		select {
		case <-poll.C:
			due = true
			if err := c.tick(); err != nil {
				return c.fail(err)
			}
		case <-look.C:
			due = c.look(ctx)
		case <-asked:
			asked, due = nil, true
			c.end(ctx, "a stop was asked for", false)
		case <-ctx.Done():
			c.end(context.WithoutCancel(ctx), "it was interrupted", true)
			// The request stays for workers that Slurm does not reach.
			c.tell(Event{Type: Stopped, Message: c.reason})
			return c.tick()
		}
	}
}

// look does what nothing tells of: stops that others ask for, and the hours. It
// reports whether there was something.
func (c *Cluster) look(ctx context.Context) bool {
	if asked, hard := c.o.Store.stopAsked(); asked && (c.reason == "" || hard && !c.hard) {
		c.end(ctx, "a stop was asked for", hard)
		return true
	}
	if limit := c.o.File.Budget.Hours; limit > 0 && c.hours() >= limit && c.reason == "" {
		c.end(ctx, fmt.Sprintf("the budget of %g hours is used up", limit), false)
		return true
	}
	return false
}

func (c *Cluster) setDeadline() error {
	k := clock{Hours: c.before}
	if limit := c.o.File.Budget.Hours; limit > 0 {
		k.Deadline = now().Add(time.Duration(math.Max(0, limit-c.before) * float64(time.Hour)))
	}
	return c.o.Store.setClock(k)
}

func (c *Cluster) tick() error {
	k := c.o.Store.clock()
	k.Hours = c.hours()
	return c.o.Store.setClock(k)
}

// end asks the workers to stop, and takes what has not begun from the queue. A
// second call may make a gentle stop a hard one.
func (c *Cluster) end(ctx context.Context, reason string, hard bool) {
	if c.reason != "" && (!hard || c.hard) {
		return
	}
	c.hard = hard
	c.mu.Lock()
	c.reason = reason
	c.mu.Unlock()
	message := reason + "; steps under way are finished first, and what waits is taken from the queue"
	if hard {
		message = reason + ", at once; the jobs are cancelled"
	}
	c.tell(Event{Type: Stopping, Message: message})
	c.cut(ctx)
}

// cut stops the jobs; where the cluster does not answer, it is tried again with
// the next poll. Workers that run see the request in the directory.
func (c *Cluster) cut(ctx context.Context) {
	err := StopJobs(ctx, c.o.Store, c.o.Engine, c.hard)
	c.uncut = err != nil
	if err != nil {
		c.tell(Event{Type: Noted, Message: fmt.Sprintf("jobs could not be cancelled, which is tried again: %v", err)})
	}
}

var notBegun = []slurm.State{slurm.Pending, slurm.Requeued, slurm.RequeueHold, slurm.SpecialExit}

// StopJobs asks the workers of an experiment to stop and cancels the jobs that
// have not begun; all of them where hard is set.
func StopJobs(ctx context.Context, s *Store, engine Engine, hard bool) error {
	if err := s.AskStop(hard); err != nil {
		return err
	}
	subs, err := s.submissions()
	if err != nil {
		return err
	}
	var jobs []slurm.Job
	for _, sub := range subs {
		jobs = append(jobs, sub.Jobs...)
	}
	if len(jobs) == 0 {
		return nil
	}
	if hard {
		return engine.Cancel(ctx, jobs...)
	}
	tasks, err := engine.Tasks(ctx, jobs...)
	if err != nil {
		return err
	}
	tasks = slices.DeleteFunc(tasks, func(t slurm.Task) bool { return !slices.Contains(notBegun, t.State) })
	return engine.CancelTasks(ctx, tasks...)
}

// sweep looks at the directory and at the cluster, submits what is lost or was
// never submitted, and reports whether all is over.
func (c *Cluster) sweep(ctx context.Context) (over bool, err error) {
	if c.uncut {
		c.cut(ctx)
	}
	jobs, err := c.join(ctx)
	if err != nil {
		return false, c.unanswered(err)
	}
	var lost []*Cell
	var held []slurm.Task
	pending := 0
	for i, entry := range c.entries {
		e, job, w := &c.status.Episodes[i], jobs[entry.Dir], c.watched[entry.Dir]
		if e.State != Waiting && e.State != Running {
			continue
		}
		if c.reason == "" && job != nil && notLaunched(job.task) {
			held = append(held, job.task)
			job = nil
		}
		waits := c.waits(e, job, w)
		if waits {
			pending++
		}
		if waits || c.reason != "" || w.left != "" {
			continue
		}
		if e.Step > w.step {
			w.step, w.tries = e.Step, 0 // it got on
		}
		switch {
		case e.ending == ClassBudget && w.tries > 0:
			w.left = "the budget is used up"
		case w.tries >= maxSubmissions:
			w.left = fmt.Sprintf("%s was submitted %d times and its jobs ended without an outcome", entry.Name, w.tries)
			if e.Message != "" {
				w.left += "; the last one: " + e.Message
			}
			w.left += "; their output lies in " + c.o.Store.path(slurmDir)
			c.tell(Event{Type: Noted, Episode: e.Name, ID: e.ID, Message: w.left})
		default:
			cell, err := c.cell(entry)
			if err != nil {
				return false, err
			}
			lost = append(lost, cell)
		}
	}
	if len(held) > 0 {
		c.tell(Event{Type: Noted, Message: fmt.Sprintf("%s could not be started by Slurm (%s) and are taken from its queue", some(len(held), "job"), held[0].Reason)})
		if err := c.o.Engine.CancelTasks(ctx, held...); err != nil {
			return false, c.unanswered(err)
		}
	}
	if len(lost) > 0 {
		if err := c.submit(ctx, lost); err != nil {
			return false, c.unanswered(err)
		}
		pending++
	}
	if c.silent {
		c.silent = false
		c.tell(Event{Type: Noted, Message: "Slurm answers again"})
	}
	return pending == 0, nil
}

// waits reports whether an episode without an outcome is under way, or will be
// without being submitted again.
func (c *Cluster) waits(e *EpisodeStatus, job *JobStatus, w *watch) bool {
	if e.State == Running || job != nil && !slurm.State(job.State).Ended() {
		w.misses = 0
		return true
	}
	forgotten := job == nil || slurm.State(job.State) == slurm.Unknown
	if w.misses < 0 || w.misses == 0 && !forgotten {
		w.misses++
		return true
	}
	return false
}

// notLaunched reports whether Slurm has put a task back because a node could not
// start it, and holds it until a person looks. That a person holds one is left to
// them.
func notLaunched(t slurm.Task) bool {
	reason := strings.ReplaceAll(strings.Trim(t.Reason, "()"), "_", " ")
	return strings.EqualFold(reason, "launch failed requeued held") && slices.Contains(notBegun, t.State)
}

// unanswered takes the error of a request to the cluster; that it does not
// answer for a while is no reason to end.
func (c *Cluster) unanswered(err error) error {
	var gone *slurm.UnavailableError
	if !errors.As(err, &gone) || !gone.Temporary {
		return err
	}
	if !c.silent {
		c.silent = true
		c.tell(Event{Type: Noted, Message: fmt.Sprintf("%v; it is asked again, and jobs that run go on", err)})
	}
	return nil
}

// cell is an episode of the plan, whose folder is made again where it was removed.
func (c *Cluster) cell(e Entry) (*Cell, error) {
	cell := c.cells[e.Dir]
	if cell == nil {
		return c.o.Store.ReadCell(e.Dir)
	}
	return cell, c.o.Store.cell(e.Dir).describe(cell)
}

// join reads the directory, tells what is new, and asks the cluster.
func (c *Cluster) join(ctx context.Context) (map[string]*JobStatus, error) {
	st, err := c.o.Store.Status(ctx)
	if err != nil {
		return nil, err
	}
	jobs, err := c.o.Store.jobs(ctx, c.o.Engine, c.subs, unfinished(c.entries, st))
	if err != nil {
		return nil, err
	}
	for i, e := range c.entries {
		c.o.Store.joinJob(&st.Episodes[i], jobs[e.Dir])
		c.tellStuck(&st.Episodes[i])
	}
	c.mu.Lock()
	before := c.status
	c.status = *st
	c.mu.Unlock()
	for i, e := range st.Episodes {
		old := before.Episodes[i]
		ev := Event{
			Episode: e.Name, ID: e.ID, Attempt: e.Attempt, State: e.State, Step: e.Step, MaxSteps: e.MaxSteps, Metric: e.Metric, Score: e.Score, CostUSD: e.CostUSD,
			Seconds: e.Seconds, ExitStatus: e.ExitStatus, Message: e.Message,
		}
		switch {
		case (e.State == Done || e.State == Failed) && !c.reported[e.ID]:
			c.reported[e.ID] = true
			c.mu.Lock()
			c.ended++
			c.mu.Unlock()
			ev.Type = Ended
			c.tell(ev)
		case e.State == Running && (old.State != Running || old.Attempt != e.Attempt):
			ev.Type, ev.Score = Started, nil
			if e.Job != nil && e.Job.Node != "" {
				ev.Message = "on " + e.Job.Node
			}
			c.tell(ev)
		case e.State == Running && e.Score != nil && (old.Score == nil || *old.Score != *e.Score):
			ev.Type, ev.Message = Evaluated, "as of now"
			c.tell(ev)
		case e.State == Running && e.Step > old.Step:
			ev.Type = Stepped
			c.tell(ev)
		case e.State == Waiting && old.State == Running:
			ev.Type = Cut
			c.tell(ev)
		}
	}
	return jobs, nil
}

// tellStuck says once of a job that it waits for a person.
func (c *Cluster) tellStuck(e *EpisodeStatus) {
	if e.Job == nil || !(slurm.Task{State: slurm.State(e.Job.State), Reason: e.Job.Reason}).Stuck() {
		return
	}
	array, _, _ := strings.Cut(e.Job.Job, "_")
	key := array + " " + e.Job.Reason
	if c.stuck[key] {
		return
	}
	c.stuck[key] = true
	c.tell(Event{Type: Noted, Episode: e.Name, ID: e.ID, Message: fmt.Sprintf(
		"job %s will not start by itself (%s %s): see docs/guide/slurm.md, Troubleshooting", e.Job.Job, e.Job.State, e.Job.Reason)})
}

// unfinished are the folders of the cells that have no outcome.
func unfinished(entries []Entry, st *Status) map[string]bool {
	out := map[string]bool{}
	for i, e := range entries {
		if i < len(st.Episodes) && (st.Episodes[i].State == Waiting || st.Episodes[i].State == Running) {
			out[e.Dir] = true
		}
	}
	return out
}

// jobs asks the cluster about the submissions that hold some of the cells; the
// last one of a cell counts.
func (s *Store) jobs(ctx context.Context, engine Engine, subs []submission, cells map[string]bool) (map[string]*JobStatus, error) {
	out := map[string]*JobStatus{}
	var jobs []slurm.Job
	units := map[slurm.Job][][]string{}
	for _, sub := range subs {
		if !slices.ContainsFunc(sub.Units, func(unit []string) bool {
			return slices.ContainsFunc(unit, func(dir string) bool { return cells[dir] })
		}) {
			continue // Slurm may have forgotten it long ago
		}
		for _, j := range sub.Jobs {
			jobs = append(jobs, j)
			units[j] = sub.Units
		}
	}
	if len(jobs) == 0 {
		return out, nil
	}
	tasks, err := engine.Tasks(ctx, jobs...)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		known := units[t.Job]
		if t.Index < 0 || t.Index >= len(known) {
			continue
		}
		for _, dir := range known[t.Index] {
			if old := out[dir]; old != nil && !slurm.State(old.State).Ended() && t.State.Ended() {
				continue
			}
			out[dir] = &JobStatus{Job: t.String(), Index: t.Index, State: string(t.State), Reason: t.Reason, Node: t.Node, task: t}
		}
	}
	return out, nil
}

// joinJob adds what the cluster says of an episode, and why it waits where its
// process could not say it.
func (s *Store) joinJob(e *EpisodeStatus, job *JobStatus) {
	e.Job = job
	if job == nil || e.State != Waiting || e.ending != "" || !slurm.State(job.State).Ended() || slurm.State(job.State) == slurm.Unknown {
		return
	}
	e.Message = fmt.Sprintf("job %s ended as %s", job.Job, job.State)
	if job.Node != "" {
		e.Message += " on " + job.Node
	}
	if last := lastLine(s.path(slurmDir, job.Job+".out")); last != "" {
		e.Message += ": " + last
	}
}

// lastLine is the last line for people in the output of a job, "" where there is
// none.
func lastLine(path string) string {
	const most, widest = 4096, 400
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > most {
		if _, err := file.Seek(-most, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return ""
	}
	for _, line := range slices.Backward(strings.Split(string(text), "\n")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "{") || strings.HasSuffix(line, "}") {
			continue // an event
		}
		return strings.ToValidUTF8(line[:min(len(line), widest)], "")
	}
	return ""
}

// Join adds what the cluster says to a status.
func (s *Store) Join(ctx context.Context, engine Engine, st *Status) error {
	subs, err := s.submissions()
	if err != nil || len(subs) == 0 {
		return err
	}
	p, err := s.plan()
	if err != nil {
		return err
	}
	jobs, err := s.jobs(ctx, engine, subs, unfinished(p.Episodes, st))
	if err != nil {
		return err
	}
	for i, e := range p.Episodes {
		if i < len(st.Episodes) && st.Episodes[i].ID == e.ID {
			s.joinJob(&st.Episodes[i], jobs[e.Dir])
		}
	}
	return nil
}

// HasJobs reports whether the experiment was ever submitted to a cluster.
func (s *Store) HasJobs() bool {
	_, err := os.Stat(s.path(jobsName))
	return err == nil
}

// maxSubmissions is how often a cell is submitted in one part: a job that ends
// again and again without a word is not made better by another one.
const maxSubmissions = 5

// submit submits cells, those with equal needs as one array.
func (c *Cluster) submit(ctx context.Context, cells []*Cell) error {
	groups := map[string][]*Cell{}
	for _, cell := range cells {
		key := fmt.Sprintf("%d %g %d", cell.Needs.MemoryBytes+cell.GradingBytes, cell.Needs.CPUs, cell.Needs.GPUs)
		groups[key] = append(groups[key], cell)
	}
	if err := os.MkdirAll(c.o.Store.path(slurmDir), dirPerm); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		if err := c.submitGroup(ctx, groups[key]); err != nil {
			return fmt.Errorf("submit %s (%v each, %s first): %w", some(len(groups[key]), "episode"), groups[key][0].Needs, groups[key][0].Name, err)
		}
	}
	return nil
}

// slurmDir is the folder of the jobs' own output.
const slurmDir = "slurm"

func (c *Cluster) submitGroup(ctx context.Context, cells []*Cell) error {
	sub := submission{N: len(c.subs) + 1, Submitted: now()}
	pack := max(1, c.o.File.Slurm.Pack)
	for chunk := range slices.Chunk(cells, pack) {
		var unit []string
		for _, cell := range chunk {
			unit = append(unit, cell.Dir())
		}
		sub.Units = append(sub.Units, unit)
	}
	// The list is written before the jobs can begin, and again with their numbers.
	c.subs = append(c.subs, sub)
	if err := c.saveSubmissions(); err != nil {
		return err
	}
	opts, first := c.o.File.Slurm, cells[0]
	array := slurm.Array{
		Name: "mlgym-" + c.status.Name, Comment: c.o.Store.dir,
		Argv:       append(slices.Clone(c.o.Worker), c.o.Store.dir, strconv.Itoa(sub.N)),
		Env:        c.o.Env,
		Concurrent: c.o.File.Parallel, Partition: opts.Partition, Account: opts.Account, QOS: opts.QOS, Constraint: opts.Constraint, Reservation: opts.Reservation,
		Time: opts.Time, CPUs: int(math.Ceil(first.Needs.CPUs)), MemoryBytes: first.Needs.MemoryBytes + first.GradingBytes + BesideWorker, GPUs: first.Needs.GPUs,
		WorkDir: c.o.Store.dir, OutputPattern: slurm.EscapePattern(c.o.Store.path(slurmDir)) + "/%A_%a.out", Requeue: true, Extra: opts.Args,
	}
	if first.Needs.GPUs > 0 {
		array.GPUType = opts.GPUType // of no meaning to those without
	}
	if opts.Time > 0 {
		array.SignalBefore = min(2*time.Minute, opts.Time/4)
	}
	for i := range sub.Units {
		array.Indices = append(array.Indices, i)
	}
	jobs, err := c.o.Engine.Submit(ctx, array)
	maybe := errors.Is(err, slurm.ErrMaybeSubmitted)
	if err != nil && len(jobs) == 0 && !maybe {
		c.subs = c.subs[:len(c.subs)-1] // nobody has seen its number
		return errors.Join(err, c.saveSubmissions())
	}
	sub.Jobs = jobs
	c.subs[len(c.subs)-1] = sub
	for _, cell := range cells {
		w := c.watched[cell.Dir()]
		w.tries++
		w.misses = 0
	}
	if maybe {
		c.perhaps(sub)
	}
	if saveErr := c.saveSubmissions(); saveErr != nil || err != nil {
		return errors.Join(err, saveErr)
	}
	c.tell(Event{Type: Noted, Message: fmt.Sprintf("%s submitted to Slurm: job %s", some(len(sub.Units), "task"), jobList(jobs))})
	return nil
}

func jobList(jobs []slurm.Job) string {
	var out []string
	for _, j := range jobs {
		out = append(out, j.String())
	}
	return strings.Join(out, ", ")
}

// BesideWorker is memory that a job is given for the program that runs its
// episodes, beside their own.
const BesideWorker = 256 << 20

func (c *Cluster) saveSubmissions() error {
	text, err := json.Marshal(c.subs)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(c.o.Store.path(jobsName), append(text, '\n'), filePerm)
}

func (c *Cluster) tell(e Event) {
	if e.Type == Planned || e.Type == Ended || e.Type == Stopped {
		st := c.Snapshot()
		e.Counts, e.Spent = &st.Counts, &st.Spent
	}
	c.teller.emit(e)
}

// finish ends a part.
func (c *Cluster) finish() error {
	message := c.Why()
	if c.o.Detach {
		message = "the jobs go on in the cluster"
	}
	c.tell(Event{Type: Stopped, Message: message})
	if c.o.Detach {
		return nil
	}
	return errors.Join(c.tick(), c.o.Store.clearStop())
}

// fail ends a part that cannot go on.
func (c *Cluster) fail(err error) error {
	c.tell(Event{Type: Stopped, Message: err.Error()})
	for _, sub := range c.subs {
		if len(sub.Jobs) > 0 {
			return fmt.Errorf("%w\njobs that were submitted go on; resume takes them up, and this ends them: mlgym experiment stop %s", err, c.o.Store.dir)
		}
	}
	return err
}
