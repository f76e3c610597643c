package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mlgym/slurm"
)

// fakeEngine is a cluster in memory. Its time is that of its polls: at each one,
// a test may change what it says.
type fakeEngine struct {
	t      *testing.T
	store  *Store
	plan   *Plan
	mu     sync.Mutex // guards what follows from what [fakeEngine.at] does
	arrays []slurm.Array
	states map[int64]map[int]slurm.State
	reason string // of all tasks
	polls  int
	// poll is called with the number of each call of Tasks, from 1.
	poll func(n int) error
	// submit is called with the number of each call of Submit, from 1.
	submit      func(n int) error
	submits     int
	cancelled   []string
	cancelError error
	claims      map[string]*claim
}

func (f *fakeEngine) Submit(_ context.Context, a slurm.Array) ([]slurm.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.submits++
	if f.submit != nil {
		if err := f.submit(f.submits); err != nil {
			return nil, err
		}
	}
	f.arrays = append(f.arrays, a)
	id := int64(len(f.arrays))
	f.states[id] = map[int]slurm.State{}
	for _, i := range a.Indices {
		f.states[id][i] = slurm.Pending
	}
	return []slurm.Job{{ID: id, Indices: slurm.FormatIndices(a.Indices)}}, nil
}

func (f *fakeEngine) Tasks(_ context.Context, jobs ...slurm.Job) ([]slurm.Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls++
	if f.poll != nil {
		if err := f.poll(f.polls); err != nil {
			return nil, err
		}
	}
	var out []slurm.Task
	for _, j := range jobs {
		indices, err := slurm.ParseIndices(j.Indices)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, i := range indices {
			state, ok := f.states[j.ID][i]
			if !ok {
				state = slurm.Unknown
			}
			out = append(out, slurm.Task{Job: j, Index: i, State: state, Node: "n1", Reason: f.reason})
		}
	}
	return out, nil
}

func (f *fakeEngine) Cancel(_ context.Context, jobs ...slurm.Job) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancelError != nil {
		return f.cancelError
	}
	for _, j := range jobs {
		f.cancelled = append(f.cancelled, j.String())
		for i, s := range f.states[j.ID] {
			if !s.Ended() {
				f.states[j.ID][i] = slurm.Cancelled
			}
		}
	}
	return nil
}

func (f *fakeEngine) CancelTasks(_ context.Context, tasks ...slurm.Task) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancelError != nil {
		return f.cancelError
	}
	for _, t := range tasks {
		f.cancelled = append(f.cancelled, t.String())
		f.states[t.Job.ID][t.Index] = slurm.Cancelled
	}
	return nil
}

// at does something after a while, between two calls.
func (f *fakeEngine) at(after time.Duration, do func()) {
	time.AfterFunc(after, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		do()
	})
}

// begin begins an attempt at episode i, as a worker would.
func (f *fakeEngine) begin(i int) {
	cell := f.plan.Cells[i]
	c, err := f.store.cell(cell.Dir()).claim(cell.ID, "")
	if err != nil {
		f.t.Fatal(err)
	}
	f.claims[cell.Dir()] = c
}

// settle ends the attempt with an outcome.
func (f *fakeEngine) settle(i int) {
	cell := f.plan.Cells[i]
	c := f.claims[cell.Dir()]
	if err := errors.Join(c.settle(c.outcome(cell, submitted(Unit{Cell: cell, Dir: c.runDir()}), 0)), c.end(Ending{Why: "outcome"})); err != nil {
		f.t.Fatal(err)
	}
}

// halt ends the attempt without one.
func (f *fakeEngine) halt(i int, why Class) {
	if err := f.claims[f.plan.Cells[i].Dir()].end(Ending{Why: string(why)}); err != nil {
		f.t.Fatal(err)
	}
}

// all runs every episode that has no outcome to its end.
func (f *fakeEngine) all() {
	st, err := f.store.Status(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for i, e := range st.Episodes {
		if e.State == Waiting {
			f.begin(i)
		}
		if e.State == Waiting || e.State == Running {
			f.settle(i)
		}
	}
}

// onSlurm is a part of an experiment of n episodes on a fake cluster.
type onSlurm struct {
	*fakeEngine
	file   File
	stop   chan struct{}
	detach bool
	events []Event
}

func newOnSlurm(t *testing.T, plan *Plan) *onSlurm {
	t.Helper()
	store, err := Create(filepath.Join(t.TempDir(), "exp"))
	if err != nil {
		t.Fatal(err)
	}
	o := &onSlurm{
		fakeEngine: &fakeEngine{t: t, store: store, plan: plan, states: map[int64]map[int]slurm.State{}, claims: map[string]*claim{}},
		file:       File{Format: FileFormat, Name: "exp", On: "slurm"}, stop: make(chan struct{}),
	}
	if err := store.Save(&o.file, plan); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *onSlurm) run(ctx context.Context) (*Cluster, error) {
	c, err := NewCluster(ctx, ClusterOptions{
		Store: o.store, Plan: o.plan, File: &o.file, Engine: o, Worker: []string{"/bin/mlgym", "worker"}, Env: map[string]string{"A": "b"},
		Poll: 10 * time.Second, Stop: o.stop, Detach: o.detach, Events: func(e Event) { o.events = append(o.events, e) },
	})
	if err != nil {
		o.t.Fatal(err)
	}
	err = c.Run(ctx)
	st := c.Snapshot()
	addsUp(o.t, "snapshot", st.Counts, len(o.plan.Cells))
	return c, err
}

// ends runs a part that has to end without an error.
func (o *onSlurm) ends(want string) *Cluster {
	o.t.Helper()
	c, err := o.run(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	if why := c.Why(); why == "" != (want == "") || !strings.Contains(why, want) {
		o.t.Errorf("it ended for %q, want %q", why, want)
	}
	return c
}

// heard counts the events whose message holds a text.
func (o *onSlurm) heard(text string) int {
	n := 0
	for _, e := range o.events {
		if strings.Contains(e.Message, text) {
			n++
		}
	}
	return n
}

func (o *onSlurm) done() int {
	o.t.Helper()
	st, err := o.store.Status(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return st.Done
}

// inBubble runs a test in which ten seconds between two polls take no time.
func inBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func TestClusterSubmits(t *testing.T) {
	inBubble(t, "groups and packs", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(5, func(i int, c *Cell) {
			c.Needs.MemoryBytes, c.Needs.CPUs, c.GradingBytes = 100*mib, 1.5, 50*mib
			if i%2 == 1 {
				c.Needs.GPUs = 1
			}
		}))
		o.file.Parallel = 3
		o.file.Slurm = Slurm{Pack: 2, GPUType: "fast", Partition: "p", Account: "a", QOS: "q", Constraint: "c", Reservation: "r", Time: time.Hour, Args: []string{"--nice=5"}}
		o.poll = func(n int) error {
			if n == 2 {
				o.all()
			}
			return nil
		}
		o.ends("")
		common := slurm.Array{
			Name: "mlgym-exp", Comment: o.store.dir, Argv: []string{"/bin/mlgym", "worker", o.store.dir, "1"}, Env: map[string]string{"A": "b"}, Indices: []int{0, 1}, Concurrent: 3,
			Partition: "p", Account: "a", QOS: "q", Constraint: "c", Reservation: "r", Time: time.Hour, CPUs: 2, MemoryBytes: 150*mib + BesideWorker,
			WorkDir: o.store.dir, OutputPattern: o.store.dir + "/slurm/%A_%a.out", Requeue: true, SignalBefore: 2 * time.Minute, Extra: []string{"--nice=5"},
		}
		withGPU := common
		withGPU.Argv, withGPU.Indices = []string{"/bin/mlgym", "worker", o.store.dir, "2"}, []int{0}
		withGPU.GPUs, withGPU.GPUType = 1, "fast"
		if diff := cmp.Diff([]slurm.Array{common, withGPU}, o.arrays); diff != "" {
			t.Errorf("arrays (-want +got):\n%s", diff)
		}
		var names []string
		for _, at := range [][2]int{{1, 0}, {1, 1}, {2, 0}} {
			cells, err := o.store.Unit(at[0], at[1])
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cells {
				names = append(names, fmt.Sprintf("%d/%d %s", at[0], at[1], c.Name))
			}
		}
		if diff := cmp.Diff([]string{"1/0 t.a.s0", "1/0 t.a.s2", "1/1 t.a.s4", "2/0 t.a.s1", "2/0 t.a.s3"}, names); diff != "" {
			t.Errorf("units (-want +got):\n%s", diff)
		}
		for _, at := range [][2]int{{0, 0}, {3, 0}, {1, 2}, {1, -1}} {
			if _, err := o.store.Unit(at[0], at[1]); err == nil {
				t.Errorf("there is no unit %v, and no error", at)
			}
		}
	})
	inBubble(t, "again what was lost, and nothing else", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(5, nil))
		o.poll = func(n int) error {
			switch n {
			case 1: // 0 pending, 1 running without an attempt yet, 2 under way, 3 ended without a word, 4 forgotten
				o.begin(2)
				o.states[1] = map[int]slurm.State{0: slurm.Pending, 1: slurm.Running, 2: slurm.NodeFail, 3: slurm.Completed}
			case 2:
				if o.submits != 2 {
					t.Errorf("after the first poll there are %d submissions: what Slurm has forgotten is submitted at once", o.submits)
				}
			case 3:
				if o.submits != 3 {
					t.Errorf("after the second poll there are %d submissions: what ended without a word is submitted after a second look", o.submits)
				}
			case 4:
				o.all()
			}
			return nil
		}
		o.ends("")
		for n, want := range map[int]string{2: "t.a.s4", 3: "t.a.s3"} {
			cells, err := o.store.Unit(n, 0)
			if err != nil || len(cells) != 1 || cells[0].Name != want || len(o.arrays[n-1].Indices) != 1 {
				t.Errorf("submission %d: %v, %v, want %s", n, cells, err, want)
			}
		}
		if o.submits != 3 || o.done() != 5 {
			t.Errorf("%d submissions, %d done", o.submits, o.done())
		}
	})
	inBubble(t, "a bounded number of times", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(2, nil))
		o.poll = func(n int) error {
			for id := range o.states {
				o.states[id][0] = slurm.Failed
			}
			if n == 1 {
				o.states[1][1] = slurm.Running
			}
			if n == 20 {
				o.begin(1)
				o.settle(1)
				o.states[1][1] = slurm.Completed
			}
			if n == 3 {
				path := o.store.path(slurmDir, "2_0.out")
				if err := os.WriteFile(path, []byte("{\"at\":1}\nmlgym: no such thing\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				o.states[2][0] = slurm.Failed
			}
			return nil
		}
		o.ends("t.a.s0 was submitted 5 times")
		if o.submits != maxSubmissions || o.done() != 1 {
			t.Errorf("%d submissions, %d done, want %d and the other episode", o.submits, o.done(), maxSubmissions)
		}
		if o.polls < 20 {
			t.Errorf("it ended after %d polls, before the other episode", o.polls)
		}
	})
	inBubble(t, "as often as it gets on", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(1, nil))
		o.poll = func(int) error {
			id := int64(len(o.arrays))
			if o.states[id][0] != slurm.Pending {
				return nil
			}
			o.begin(0)
			if id == 12 {
				o.settle(0)
				return nil
			}
			o.claims[o.plan.Cells[0].Dir()].progress.Step = int(id)
			o.halt(0, ClassStopped)
			o.states[id][0] = slurm.Timeout
			return nil
		}
		o.ends("")
		if o.submits != 12 {
			t.Errorf("%d submissions, want 12", o.submits)
		}
	})
	inBubble(t, "what was refused is told", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(2, nil))
		o.submit = func(int) error {
			return &slurm.RefusedError{Message: "invalid partition", Field: "Partition", Detail: "there is main"}
		}
		_, err := o.run(t.Context())
		refused := (*slurm.RefusedError)(nil)
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "(Partition): there is main") || !strings.Contains(err.Error(), "2 episodes") {
			t.Errorf("the error is %v", err)
		}
		if subs, err := o.store.submissions(); err != nil || len(subs) != 0 {
			t.Errorf("jobs.json holds %v (%v)", subs, err)
		}
	})
	inBubble(t, "nothing twice where the answer was lost", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(1, nil))
		o.submit = func(n int) error {
			if n == 1 {
				return fmt.Errorf("%w: %w", &slurm.UnavailableError{Reason: "timed out", Temporary: true}, slurm.ErrMaybeSubmitted)
			}
			return nil
		}
		o.at(35*time.Second, func() { o.begin(0) }) // it was queued, and begins
		o.at(95*time.Second, func() { o.settle(0) })
		o.ends("")
		if o.submits != 1 || o.done() != 1 {
			t.Errorf("%d submissions, %d done", o.submits, o.done())
		}
	})
	inBubble(t, "what a node could not start", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(2, nil))
		o.poll = func(n int) error {
			switch n {
			case 1:
				o.reason = "launch failed requeued held"
				o.states[1][1] = slurm.Running
			case 2:
				o.reason = ""
			case 3:
				o.all()
			}
			return nil
		}
		o.ends("")
		if diff := cmp.Diff([]string{"1_0"}, o.cancelled); diff != "" || o.submits != 2 {
			t.Errorf("%d submissions, cancelled (-want +got):\n%s", o.submits, diff)
		}
	})
	inBubble(t, "not what a person holds", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(2, nil))
		o.poll = func(n int) error {
			o.reason = "JobHeldUser"
			if n == 5 {
				o.all()
			}
			return nil
		}
		o.ends("")
		if o.submits != 1 || len(o.cancelled) != 0 || o.heard("JobHeldUser") != 1 {
			t.Errorf("%d submissions, cancelled %v, told %d times", o.submits, o.cancelled, o.heard("JobHeldUser"))
		}
	})
	inBubble(t, "a cell whose folder was removed", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(1, nil))
		if err := os.RemoveAll(o.store.cell(o.plan.Cells[0].Dir()).path); err != nil {
			t.Fatal(err)
		}
		o.poll = func(int) error { o.all(); return nil }
		o.ends("")
	})
}

func TestClusterStops(t *testing.T) {
	// begun has one episode under way and one that waits.
	begun := func(t *testing.T) *onSlurm {
		o := newOnSlurm(t, newGrid(2, nil))
		o.poll = func(n int) error {
			if n == 1 {
				o.begin(0)
				o.states[1][0] = slurm.Running
			}
			return nil
		}
		return o
	}
	// saved ends the episode under way as a worker does that is asked to stop.
	saved := func(o *onSlurm) {
		o.halt(0, ClassStopped)
		o.states[1][0] = slurm.Completed
	}
	inBubble(t, "gently", func(t *testing.T) {
		o := begun(t)
		o.at(25*time.Second, func() { close(o.stop) })
		o.at(95*time.Second, func() { saved(o) })
		o.ends("a stop was asked for")
		if diff := cmp.Diff([]string{"1_1"}, o.cancelled); diff != "" || o.submits != 1 {
			t.Errorf("%d submissions, cancelled (-want +got):\n%s", o.submits, diff)
		}
		if asked, _ := o.store.stopAsked(); asked {
			t.Error("the request is still there")
		}
	})
	inBubble(t, "from elsewhere, first gently and then at once", func(t *testing.T) {
		o := begun(t)
		stopJobs := func(hard bool) {
			if err := StopJobs(t.Context(), o.store, o, hard); err != nil {
				t.Error(err)
			}
		}
		time.AfterFunc(25*time.Second, func() { stopJobs(false) })
		time.AfterFunc(65*time.Second, func() { stopJobs(true) })
		o.at(66*time.Second, func() { saved(o) })
		o.ends("a stop was asked for")
		if o.submits != 1 || o.heard("at once") != 1 {
			t.Errorf("%d submissions: what somebody cancelled counts as lost; events %+v", o.submits, o.events)
		}
	})
	inBubble(t, "interrupted after a gentle stop", func(t *testing.T) {
		o := begun(t)
		ctx, cancel := context.WithCancel(t.Context())
		o.at(25*time.Second, func() { close(o.stop) })
		time.AfterFunc(45*time.Second, cancel)
		c, err := o.run(ctx)
		if err != nil || c.Why() != "it was interrupted" {
			t.Errorf("%v, %q", err, c.Why())
		}
		if diff := cmp.Diff([]string{"1_1", "1"}, o.cancelled); diff != "" {
			t.Errorf("cancelled (-want +got):\n%s", diff)
		}
		saved(o)
	})
	inBubble(t, "while the cluster does not answer", func(t *testing.T) {
		o := begun(t)
		o.cancelError = &slurm.UnavailableError{Reason: "down", Temporary: true}
		o.at(25*time.Second, func() { close(o.stop) })
		o.at(55*time.Second, func() { saved(o) })
		o.at(95*time.Second, func() { o.cancelError = nil })
		o.ends("a stop was asked for")
		if diff := cmp.Diff([]string{"1_1"}, o.cancelled); diff != "" {
			t.Errorf("cancelled (-want +got):\n%s", diff)
		}
	})
	inBubble(t, "when the hours are used up", func(t *testing.T) {
		o := begun(t)
		o.file.Budget.Hours = 0.5
		o.at(40*time.Minute, func() { saved(o) })
		c := o.ends("the budget of 0.5 hours is used up")
		if h := c.Snapshot().Spent.Hours; h < 0.66 || h > 0.7 {
			t.Errorf("%v hours are counted, want 40 minutes", h)
		}
		if k := o.store.clock(); k.Hours < 0.66 || k.Deadline.IsZero() {
			t.Errorf("the clock says %+v", k)
		}
		if len(o.cancelled) != 1 {
			t.Errorf("cancelled %v", o.cancelled)
		}
	})
	inBubble(t, "detached", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(3, nil))
		o.detach = true
		o.ends("")
		o.poll = func(int) error { o.all(); return nil }
		o.detach = false
		o.ends("")
		if o.submits != 1 || o.done() != 3 {
			t.Errorf("%d submissions, %d done: the second part has to find the jobs of the first", o.submits, o.done())
		}
	})
	inBubble(t, "when the money is spent, and not after it was raised", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(2, nil))
		o.poll = func(n int) error {
			if n == 1 {
				o.begin(0)
				o.halt(0, ClassBudget)
				o.begin(1)
				o.settle(1)
				o.states[1] = map[int]slurm.State{0: slurm.Completed, 1: slurm.Completed}
			}
			return nil
		}
		o.ends("the budget is used up")
		if o.submits != 1 {
			t.Errorf("%d submissions in the first part", o.submits)
		}
		o.poll = func(int) error {
			if o.submits == 2 {
				o.all()
			}
			return nil
		}
		o.ends("")
		if o.submits != 2 || o.done() != 2 {
			t.Errorf("%d submissions, %d done", o.submits, o.done())
		}
	})
}

func TestClusterOutage(t *testing.T) {
	down := &slurm.UnavailableError{Reason: "no controller", Fix: "wait", Temporary: true}
	inBubble(t, "is waited for", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(2, nil))
		o.submit = func(n int) error {
			if n <= 2 {
				return down
			}
			return nil
		}
		o.poll = func(n int) error {
			if n >= 2 && n <= 6 {
				return down
			}
			if n == 8 {
				o.all()
			}
			return nil
		}
		o.detach = false
		o.ends("")
		if len(o.arrays) != 1 || o.heard("no controller") != 2 || o.heard("answers again") != 2 {
			t.Errorf("%d arrays, told %d times, answered again %d times, want 1, 2 and 2", len(o.arrays), o.heard("no controller"), o.heard("answers again"))
		}
	})
	inBubble(t, "is waited for before it detaches", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(2, nil))
		o.submit = func(n int) error {
			if n == 1 {
				return down
			}
			return nil
		}
		o.detach = true
		o.ends("")
		if len(o.arrays) != 1 {
			t.Errorf("%d arrays", len(o.arrays))
		}
	})
	inBubble(t, "that waiting does not cure", func(t *testing.T) {
		o := newOnSlurm(t, newGrid(2, nil))
		o.poll = func(int) error { return &slurm.UnavailableError{Reason: "no munge", Fix: "ask"} }
		if _, err := o.run(t.Context()); err == nil || !strings.Contains(err.Error(), "no munge") || !strings.Contains(err.Error(), "mlgym experiment stop") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestClusterStatus(t *testing.T) {
	o := newOnSlurm(t, newGrid(4, nil))
	o.detach = true
	o.ends("")
	o.begin(1)
	o.begin(3)
	o.settle(3)
	o.states[1] = map[int]slurm.State{0: slurm.Pending, 1: slurm.Running, 2: slurm.OutOfMemory, 3: slurm.Completed}
	if err := os.WriteFile(o.store.path(slurmDir, "1_2.out"), []byte("before\nslurmstepd: oom-kill\n{\"type\":\"ended\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := o.store.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := o.store.Join(t.Context(), o, st); err != nil {
		t.Fatal(err)
	}
	for i, want := range []EpisodeStatus{
		{State: Waiting, Job: &JobStatus{Job: "1_0", Index: 0, State: "PENDING", Node: "n1"}},
		{State: Running, Job: &JobStatus{Job: "1_1", Index: 1, State: "RUNNING", Node: "n1"}},
		{State: Waiting, Job: &JobStatus{Job: "1_2", Index: 2, State: "OUT_OF_MEMORY", Node: "n1"}, Message: "job 1_2 ended as OUT_OF_MEMORY on n1: slurmstepd: oom-kill"},
		{State: Done, Job: &JobStatus{Job: "1_3", Index: 3, State: "COMPLETED", Node: "n1"}},
	} {
		got := EpisodeStatus{State: st.Episodes[i].State, Job: st.Episodes[i].Job, Message: st.Episodes[i].Message}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(EpisodeStatus{}), cmpopts.IgnoreUnexported(JobStatus{})); diff != "" {
			t.Errorf("episode %d (-want +got):\n%s", i, diff)
		}
	}
	for i := range 3 {
		if i != 1 {
			o.begin(i)
		}
		o.settle(i)
	}
	o.polls = 0
	if st, err = o.store.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.store.Join(t.Context(), o, st); err != nil || o.polls != 0 {
		t.Errorf("the cluster was asked %d times about what is done (%v)", o.polls, err)
	}
}
