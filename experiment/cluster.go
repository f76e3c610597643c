package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
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
	// experiment's directory and the number of the submission follow.
	Worker []string
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
// be locked by this process.
type Cluster struct {
	o        ClusterOptions
	teller   *teller
	began    time.Time
	before   float64
	reason   string
	entries  []Entry
	subs     []submission
	tries    map[string]int // submissions of a cell in this part
	missing  map[string]int // polls in which a cell's job was not to be seen
	reported map[ID]bool

	mu     sync.Mutex
	status Status
	ended  int
}

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
	c := &Cluster{o: o, began: time.Now(), before: o.Store.clock().Hours, tries: map[string]int{}, missing: map[string]int{}, reported: map[ID]bool{}}
	p, err := o.Store.plan()
	if err != nil {
		return nil, err
	}
	c.entries = p.Episodes
	if c.subs, err = o.Store.submissions(); err != nil {
		return nil, err
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
	st.Active, st.Stopping = true, c.reason
	st.Spent.Hours = c.hours()
	st.sum()
	st.pace(time.Since(c.began), c.ended)
	return st
}

func (c *Cluster) hours() float64 { return c.before + time.Since(c.began).Hours() }

// Why says why Run ended before all was done, "" where all is.
func (c *Cluster) Why() string { return c.reason }

// Run submits what is to be run and watches it to its end.
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
	ticker := time.NewTicker(c.o.Poll)
	defer ticker.Stop()
	for {
		over, err := c.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if over || c.o.Detach {
			return c.finish()
		}
		select {
		case <-ticker.C:
			if err := c.tick(); err != nil {
				return err
			}
		case <-asked:
			asked = nil
			if err := c.end(ctx, "a stop was asked for", false); err != nil {
				return err
			}
		case <-ctx.Done():
			return errors.Join(c.end(context.WithoutCancel(ctx), "it was interrupted", true), c.finish())
		}
		if limit := c.o.File.Budget.Hours; limit > 0 && c.hours() >= limit {
			if err := c.end(ctx, fmt.Sprintf("the budget of %g hours is used up", limit), false); err != nil {
				return err
			}
		}
	}
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

// end asks the workers to stop, and takes what has not begun from the queue.
func (c *Cluster) end(ctx context.Context, reason string, hard bool) error {
	if c.reason != "" {
		return nil
	}
	c.mu.Lock()
	c.reason = reason
	c.mu.Unlock()
	c.tell(Event{Type: Stopping, Message: reason})
	return StopJobs(ctx, c.o.Store, c.o.Engine, hard)
}

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
	tasks = slices.DeleteFunc(tasks, func(t slurm.Task) bool { return t.State != slurm.Pending && t.State != slurm.Requeued })
	return engine.CancelTasks(ctx, tasks...)
}

// sweep looks at the directory and at the cluster, submits what is lost or was
// never submitted, and reports whether all is over.
func (c *Cluster) sweep(ctx context.Context) (over bool, err error) {
	jobs, err := c.join(ctx)
	if err != nil {
		var gone *slurm.UnavailableError
		if errors.As(err, &gone) && gone.Temporary {
			c.tell(Event{Type: Noted, Message: err.Error()})
			return false, nil
		}
		return false, err
	}
	var lost []*Cell
	pending := 0
	for i := range c.entries {
		e, job := &c.status.Episodes[i], jobs[c.entries[i].Dir]
		if e.State != Waiting && e.State != Running {
			continue
		}
		switch {
		case e.State == Running, job != nil && !slurm.State(job.State).Ended():
			pending++
			c.missing[c.entries[i].Dir] = 0
		case c.reason != "":
		case job != nil && c.missing[c.entries[i].Dir] == 0 && slurm.State(job.State) != slurm.Unknown:
			// The directory may be a moment behind the queue.
			c.missing[c.entries[i].Dir]++
			pending++
		case e.budgeted():
			c.mu.Lock()
			c.reason = "the budget is used up"
			c.mu.Unlock()
		default:
			cell, err := c.o.Store.ReadCell(c.entries[i].Dir)
			if err != nil {
				return false, err
			}
			lost = append(lost, cell)
		}
	}
	if len(lost) > 0 && c.reason == "" {
		if err := c.submit(ctx, lost); err != nil {
			return false, err
		}
		return false, nil
	}
	return pending == 0, nil
}

// budgeted reports whether an episode waits for a larger budget.
func (e *EpisodeStatus) budgeted() bool { return e.ending == ClassBudget }

// join reads the directory, tells what is new, and asks the cluster.
func (c *Cluster) join(ctx context.Context) (map[string]*JobStatus, error) {
	st, err := c.o.Store.Status(ctx)
	if err != nil {
		return nil, err
	}
	jobs, err := c.o.Store.jobs(ctx, c.o.Engine, c.subs)
	if err != nil {
		return nil, err
	}
	for i, e := range c.entries {
		st.Episodes[i].Job = jobs[e.Dir]
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
			ev.Type = Started
			if e.Job != nil {
				ev.Message = "on " + e.Job.Node
			}
			c.tell(ev)
		case e.State == Waiting && old.State == Running:
			ev.Type = Cut
			c.tell(ev)
		}
	}
	return jobs, nil
}

// jobs asks the cluster about the cells of all submissions; the last one of a
// cell counts.
func (s *Store) jobs(ctx context.Context, engine Engine, subs []submission) (map[string]*JobStatus, error) {
	out := map[string]*JobStatus{}
	if len(subs) == 0 {
		return out, nil
	}
	var jobs []slurm.Job
	units := map[string][][]string{}
	for _, sub := range subs {
		for _, j := range sub.Jobs {
			jobs = append(jobs, j)
			units[j.String()] = sub.Units
		}
	}
	tasks, err := engine.Tasks(ctx, jobs...)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		known := units[t.Job.String()]
		if t.Index < 0 || t.Index >= len(known) {
			continue
		}
		for _, dir := range known[t.Index] {
			if old := out[dir]; old != nil && !slurm.State(old.State).Ended() && t.State.Ended() {
				continue
			}
			out[dir] = &JobStatus{Job: t.Job.String(), Index: t.Index, State: string(t.State), Reason: t.Reason, Node: t.Node}
		}
	}
	return out, nil
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
	jobs, err := s.jobs(ctx, engine, subs)
	if err != nil {
		return err
	}
	for i, e := range p.Episodes {
		if i < len(st.Episodes) && st.Episodes[i].ID == e.ID {
			st.Episodes[i].Job = jobs[e.Dir]
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
		if c.tries[cell.Dir()]++; c.tries[cell.Dir()] > maxSubmissions {
			return fmt.Errorf("%s was submitted %d times and its jobs ended without an outcome: look at the logs in %s", cell.Name, maxSubmissions, c.o.Store.path(slurmDir))
		}
		key := fmt.Sprintf("%d %g %d", cell.Needs.MemoryBytes+cell.GradingBytes, cell.Needs.CPUs, cell.Needs.GPUs)
		groups[key] = append(groups[key], cell)
	}
	if err := os.MkdirAll(c.o.Store.path(slurmDir), dirPerm); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		if err := c.submitGroup(ctx, groups[key]); err != nil {
			return err
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
		Argv:       append(slices.Clone(c.o.Worker), c.o.Store.dir, fmt.Sprint(sub.N)),
		Concurrent: c.o.File.Parallel, Partition: opts.Partition, Account: opts.Account, QOS: opts.QOS, Constraint: opts.Constraint, Reservation: opts.Reservation,
		Time: opts.Time, CPUs: int(math.Ceil(first.Needs.CPUs)), MemoryBytes: first.Needs.MemoryBytes + first.GradingBytes + besideWorker, GPUs: first.Needs.GPUs, GPUType: opts.GPUType,
		WorkDir: c.o.Store.dir, OutputPattern: c.o.Store.path(slurmDir, "%A_%a.out"), Requeue: true, Extra: opts.Args,
	}
	if opts.Time > 0 {
		array.SignalBefore = min(2*time.Minute, opts.Time/4)
	}
	for i := range sub.Units {
		array.Indices = append(array.Indices, i)
	}
	jobs, err := c.o.Engine.Submit(ctx, array)
	c.subs[len(c.subs)-1].Jobs = jobs
	if saveErr := c.saveSubmissions(); saveErr != nil || err != nil {
		return errors.Join(err, saveErr)
	}
	c.tell(Event{Type: Noted, Message: fmt.Sprintf("%d jobs submitted to Slurm: %v", len(sub.Units), jobs)})
	return nil
}

// besideWorker is memory of the program that runs a unit.
const besideWorker = 256 << 20

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
	message := c.reason
	if c.o.Detach {
		message = "the jobs go on in the cluster"
	}
	c.tell(Event{Type: Stopped, Message: message})
	if c.o.Detach {
		return nil
	}
	return errors.Join(c.tick(), c.o.Store.clearStop())
}
