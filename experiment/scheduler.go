package experiment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/experiment/budget"
	"mlgym/gym"
	"mlgym/machine"
	"mlgym/rollout"
	"mlgym/runstore"
)

// Options are what a [Scheduler] works with.
type Options struct {
	Store  *Store
	Plan   *Plan
	Runner Runner
	// Machine that the episodes share with other processes.
	Machine *machine.Machine
	// Parallel is how many episodes run at once; 0 means as many as have room.
	Parallel int
	// Gradings is how many gradings run at once; 0 means one for each processor.
	Gradings int
	// Retries is how often an episode is tried again after a fault.
	Retries int
	// Limits of the whole experiment.
	Limits Limits
	// Worker says that another process conducts the experiment, and this one only
	// runs the episodes of Plan: it keeps no list of events and no clock.
	Worker bool
	// Stop asks for a gentle end when it is closed: steps under way are finished.
	// A context that ends is a hard one. Both leave everything to go on with.
	Stop <-chan struct{}
	// Events is told what happens, one event at a time; it may be nil.
	Events func(Event)
	// Pause is how long to wait before try n, from 1, after a fault; nil doubles
	// from 5 seconds to 10 minutes.
	Pause func(n int) time.Duration
	Log   *slog.Logger
}

// Scheduler runs the episodes of an experiment side by side. Run is called once;
// Snapshot at any time.
type Scheduler struct {
	o      Options
	room   *room
	teller *teller
	ledger *budget.Ledger
	began  time.Time
	before float64 // hours of the parts before
	clock  clock   // as it was when this part began

	// What follows belongs to the goroutine of Run.
	queue   []*item
	running map[*item]context.CancelCauseFunc
	results chan finished
	stop    chan struct{} // closed when the episodes are to be cut
	quit    chan struct{} // closed when there is nothing left to give signs of
	reason  string        // why, "" while they are not
	spent   bool          // the budget does not cover a request
	inARow  int           // faults since the last step that went well
	blocked string        // why nothing can be started

	mu     sync.Mutex // guards what Snapshot reads
	status Status
	index  map[ID]int
	claims map[*claim]context.CancelCauseFunc
	steps  int64 // steps that went well
	ended  int   // in this part
}

// item is an episode that is to be run.
type item struct {
	cell   *Cell
	faults int
	// after is when it may be tried again.
	after time.Time
	// overtaken counts episodes that were started before it for want of room.
	overtaken int
	startOver string
	place     *place
}

type finished struct {
	item  *item
	class Class
	err   error
}

// maxOvertaken episodes may be started before one that needs more room; then it
// is waited for.
const maxOvertaken = 32

// NewScheduler prepares a part of an experiment. The store must be locked by
// this process, but for a worker's.
func NewScheduler(ctx context.Context, o Options) (*Scheduler, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pause == nil {
		o.Pause = func(n int) time.Duration {
			return min(5*time.Second<<min(n-1, 10), 10*time.Minute)
		}
	}
	s := &Scheduler{
		o: o, running: map[*item]context.CancelCauseFunc{}, results: make(chan finished), stop: make(chan struct{}), quit: make(chan struct{}),
		index: map[ID]int{}, claims: map[*claim]context.CancelCauseFunc{}, began: time.Now(),
	}
	gradings := o.Gradings
	if gradings == 0 {
		gradings = int(o.Machine.Has().CPUs)
	}
	p, err := o.Store.plan()
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(o.Plan.Cells))
	for i, c := range o.Plan.Cells {
		entries[i] = c.entry()
		s.index[c.ID] = i
	}
	st, err := o.Store.statusOf(ctx, p, entries)
	if err != nil {
		return nil, err
	}
	s.status = *st
	s.status.Active, s.status.Parallel = true, o.Parallel
	s.clock = o.Store.clock()
	s.before = s.clock.Hours
	s.room = newRoom(o.Machine, "experiment "+st.Name, gradings)
	for _, c := range o.Plan.Cells {
		e := &s.status.Episodes[s.index[c.ID]]
		if e.State == Waiting || e.State == Running {
			faults, err := o.Store.cell(c.Dir()).faults()
			if err != nil {
				return nil, err
			}
			s.queue = append(s.queue, &item{cell: c, faults: faults})
		}
	}
	// Also without limits: one that is set later counts what was spent before.
	if slices.ContainsFunc(s.queue, func(it *item) bool { return it.cell.Spec.Agent == "llm" }) {
		if s.ledger, err = o.Store.ledger(ctx, o.Limits); err != nil {
			return nil, err
		}
	}
	return s, s.releaseDead(ctx)
}

// Snapshot is where the experiment stands now.
func (s *Scheduler) Snapshot() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Episodes = slices.Clone(st.Episodes)
	st.Spent.Hours = s.hours()
	st.sum()
	st.pace(time.Since(s.began), s.ended)
	return st
}

// pace foresees the rest from what ended in this part.
func (st *Status) pace(took time.Duration, ended int) {
	st.PerHour, st.Remaining, st.RemainingUSD = 0, nil, nil
	left := st.Running + st.Waiting
	if ended > 0 && took > 0 {
		st.PerHour = float64(ended) / took.Hours()
		rest := float64(left) / st.PerHour * time.Hour.Seconds()
		st.Remaining = &rest
	}
	var usd float64
	priced := 0
	for _, e := range st.Episodes {
		if e.State == Done && e.CostUSD != nil {
			usd += *e.CostUSD
			priced++
		}
	}
	if priced > 0 {
		rest := usd / float64(priced) * float64(left)
		st.RemainingUSD = &rest
	}
}

// Run runs the episodes until all have an outcome, or until it is stopped. The
// error says what is wrong with the experiment as a whole; faults of episodes are
// in their outcomes.
func (s *Scheduler) Run(ctx context.Context) (err error) {
	if s.o.Worker {
		s.teller = &teller{next: s.o.Events, log: s.o.Log}
	} else {
		if s.teller, err = openTeller(s.o.Store, s.o.Events, s.o.Log); err != nil {
			return err
		}
		if err := s.o.Store.clearStop(); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, s.teller.close()) }()
	s.planned()
	beats := make(chan struct{})
	go func() { defer close(beats); s.beat(ctx) }()
	s.look() // the hours may be used up already
	looked := time.NewTicker(time.Second)
	defer looked.Stop()
	asked := s.o.Stop
	for {
		if err := s.start(ctx); err != nil {
			s.end(err.Error())
			s.drain()
			return errors.Join(err, s.finish(beats))
		}
		if len(s.running) == 0 && (len(s.queue) == 0 || s.reason != "" || s.blocked != "") {
			return s.finish(beats)
		}
		select {
		case f := <-s.results:
			s.settle(f)
		case <-asked:
			asked = nil
			s.end("a stop was asked for")
		case <-ctx.Done():
			s.end("it was interrupted")
			s.drain()
			return s.finish(beats)
		case <-looked.C:
			s.look()
		}
	}
}

// drain waits for the episodes that run, which were told to end.
func (s *Scheduler) drain() {
	for len(s.running) > 0 {
		s.settle(<-s.results)
	}
}

// end stops starting episodes and cuts those that run after their steps.
func (s *Scheduler) end(reason string) {
	if s.reason != "" {
		return
	}
	s.reason = reason
	close(s.stop)
	s.mu.Lock()
	s.status.Stopping = reason
	s.mu.Unlock()
	s.emit(Event{Type: Stopping, Message: reason + "; steps under way are finished first, and a further interrupt cuts them"})
}

// look does once a second what nothing tells of: stops that others ask for, and
// the hours.
func (s *Scheduler) look() {
	if asked, hard := s.o.Store.stopAsked(); asked {
		s.end("a stop was asked for")
		if hard {
			for _, cancel := range s.running {
				cancel(errStopped)
			}
		}
	}
	if limit := s.o.Limits.Hours; limit > 0 && s.hours() >= limit {
		s.end(fmt.Sprintf("the budget of %g hours is used up", limit))
	}
}

var errStopped = errors.New("a stop was asked for, at once")

// beat gives signs of life of all attempts, ends those that were taken over, and
// keeps the clock.
func (s *Scheduler) beat(ctx context.Context) {
	ticker := time.NewTicker(s.o.Store.pace.beat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.quit:
			return
		}
		_ = s.tick() // the clock is written again
		s.mu.Lock()
		claims := maps.Clone(s.claims)
		s.mu.Unlock()
		for c, cancel := range claims {
			if err := c.beat(); errors.Is(err, ErrFenced) {
				cancel(ErrFenced)
			} else if err != nil {
				s.o.Log.WarnContext(ctx, "a sign of life could not be given", "attempt", c.dir, "error", err)
			}
		}
		if err := s.releaseDead(ctx); err != nil {
			s.o.Log.WarnContext(ctx, "what dead processes have set aside could not be counted", "error", err)
		}
	}
}

// start starts what has room.
func (s *Scheduler) start(ctx context.Context) error {
	s.blocked = ""
	if s.reason != "" {
		return nil
	}
	var full *Cell      // the smallest one for which there was no room
	var waiting []*item // all for which there was none
	for i := 0; i < len(s.queue); i++ {
		it := s.queue[i]
		if s.o.Parallel > 0 && len(s.running) >= s.o.Parallel {
			return nil
		}
		if s.spent && it.cell.Spec.Agent == "llm" || time.Now().Before(it.after) {
			continue
		}
		var place *place
		if full == nil || it.cell.smaller(full) {
			var err error
			if place, err = s.room.take(it.cell); err != nil { //nolint:contextcheck // a claim that does not wait
				return fmt.Errorf("find room for %s: %w", it.cell.Name, err)
			}
			if place == nil {
				full = it.cell
			}
		}
		if place == nil {
			if it.overtaken >= maxOvertaken {
				return nil // those behind it wait, too
			}
			waiting = append(waiting, it)
			continue
		}
		for _, before := range waiting {
			before.overtaken++
		}
		s.queue = slices.Delete(s.queue, i, i+1)
		i--
		it.place = place
		s.launch(ctx, it)
		if it.cell.heavy(s.o.Machine.Has()) {
			// Heavy ones begin apart: the next is looked at a second later, or when
			// something ends.
			return nil
		}
	}
	if len(s.running) == 0 && s.spent && len(s.queue) > 0 && !slices.ContainsFunc(s.queue, func(it *item) bool { return it.cell.Spec.Agent != "llm" }) {
		s.blocked = "the budget is used up"
	}
	return nil
}

// smaller reports whether an episode may have room where another one has none.
func (c *Cell) smaller(than *Cell) bool {
	return c.Needs.GPUs < than.Needs.GPUs || c.Needs.MemoryBytes+c.GradingBytes < than.Needs.MemoryBytes+than.GradingBytes
}

// heavy episodes take a large part of the machine by themselves.
func (c *Cell) heavy(has machine.Resources) bool {
	const part = 4
	return c.Needs.GPUs > 0 || c.Needs.MemoryBytes >= has.MemoryBytes/part
}

// launch runs an episode in a goroutine of its own.
func (s *Scheduler) launch(ctx context.Context, it *item) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.running[it] = cancel
	go func() {
		class, err := s.attempt(ctx, it, cancel)
		s.results <- finished{it, class, err}
	}()
}

// attempt runs one attempt at an episode.
func (s *Scheduler) attempt(ctx context.Context, it *item, cancel context.CancelCauseFunc) (Class, error) {
	c, err := s.o.Store.cell(it.cell.Dir()).claim(it.cell.ID, it.startOver)
	switch {
	case errors.Is(err, errDone):
		return ClassFenced, nil // by another process, just now
	case errors.Is(err, errBusy):
		return ClassFenced, err
	case err != nil:
		it.faults++
		return ClassFault, err
	}
	s.mu.Lock()
	s.claims[c] = cancel
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.claims, c)
		s.mu.Unlock()
	}()
	class, result, err := s.run(ctx, it, c)
	ending := Ending{Why: string(class)}
	if err != nil {
		ending.Message = err.Error()
	}
	var settleErr error
	switch class {
	case ClassDone:
		settleErr = c.settle(c.outcome(it.cell, result, it.faults))
	case ClassRefused:
		settleErr = c.settle(c.failed(it, result, err))
	case ClassFault:
		if it.faults++; it.faults > s.o.Retries {
			settleErr = c.settle(c.failed(it, result, err))
			class = ClassRefused
		}
	case ClassStopped, ClassBudget, ClassFenced, ClassUnavailable:
	}
	switch {
	case errors.Is(settleErr, errDone), errors.Is(settleErr, ErrFenced):
		class = ClassFenced
	case settleErr != nil:
		// How it ended cannot be kept, which may go well the next time.
		if class == ClassDone {
			it.faults++
		}
		class, ending.Why = ClassFault, string(ClassFault)
		ending.Message = settleErr.Error()
	}
	return class, errors.Join(err, settleErr, c.end(ending))
}

// failed is the outcome of an episode that is given up.
func (c *claim) failed(it *item, r runstore.Result, err error) Outcome {
	o := c.outcome(it.cell, r, it.faults)
	o.State, o.Message, o.Metric = Failed, err.Error(), it.cell.Metric
	if r.RunDir == "" { // there is no result: what was told on the way counts
		p := c.where()
		o.ExitStatus = ""
		o.Steps, o.CostUSD, o.TokensIn, o.TokensOut, o.Seconds = p.Step, p.CostUSD, p.TokensIn, p.TokensOut, p.Seconds
	}
	return o
}

// run runs the episode in the attempt's folder.
func (s *Scheduler) run(ctx context.Context, it *item, c *claim) (Class, runstore.Result, error) {
	file, err := os.OpenFile(filepath.Join(c.dir, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, filePerm)
	if err != nil {
		return ClassFault, runstore.Result{}, err
	}
	defer file.Close()
	log := slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.InfoContext(ctx, "an attempt begins", "episode", it.cell.Name, "attempt", c.N, "from", c.From.String())
	s.update(it.cell.ID, func(e *EpisodeStatus) {
		e.State, e.Attempt, e.Message, e.Host = Running, c.N, "", c.Host
		e.Progress = c.where()
		e.RunDir = filepath.Join(CellsName, it.cell.Dir(), filepath.Base(c.dir), runName)
	})
	s.emit(Event{Type: Started, Episode: it.cell.Name, ID: it.cell.ID, Attempt: c.N, Step: c.From.Step, Message: c.From.String()})
	unit := Unit{
		Cell: it.cell, Dir: c.runDir(), Past: c.past, GPUs: it.place.lease.GPUs(), Gate: it.place.grade, Stop: s.stop, Log: log,
		Progress: func(e rollout.Event) { s.progress(it, c, e) },
	}
	if s.ledger != nil {
		for n := 1; n < c.N; n++ {
			// What a process that died had set aside may have been charged.
			if _, err := s.ledger.Release(ctx, holder(it.cell.Dir(), n)); err != nil {
				return ClassFault, runstore.Result{}, err
			}
		}
		unit.Account = s.ledger.Account(holder(it.cell.Dir(), c.N))
	}
	result, err := s.o.Runner.Run(ctx, unit)
	class := classify(ctx, err)
	if err != nil {
		log.ErrorContext(ctx, "the attempt ended", "class", string(class), "error", err)
	} else {
		log.InfoContext(ctx, "the episode ended", "exit_status", result.ExitStatus.String())
	}
	return class, result, err
}

// holder names an attempt in the ledger, by the folder of its cell.
func holder(dir string, attempt int) string { return fmt.Sprintf("%s#%d", dir, attempt) }

// releaseDead counts what dead processes have set aside as spent, so that nobody
// waits for them: their episodes may be behind those that wait.
func (s *Scheduler) releaseDead(ctx context.Context) error {
	if s.ledger == nil {
		return nil
	}
	reserved, err := s.ledger.Reserved()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, r := range reserved {
		if seen[r.Holder] {
			continue
		}
		seen[r.Holder] = true
		dir, number, _ := strings.Cut(r.Holder, "#")
		n, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		if alive, err := s.o.Store.cell(dir).lives(n); err != nil || alive {
			continue // what cannot be looked at may live
		}
		if _, err := s.ledger.Release(ctx, r.Holder); err != nil {
			return err
		}
	}
	return nil
}

// lives reports whether an attempt is the newest and is under way.
func (d cellDir) lives(n int) (bool, error) {
	tries, err := d.tries()
	if err != nil {
		return false, err
	}
	for _, t := range tries {
		if t.n == n {
			return t.alive(d.pace)
		}
	}
	return false, nil
}

// progress takes what an episode tells.
func (s *Scheduler) progress(it *item, c *claim, e rollout.Event) {
	p := Progress{
		Phase: string(e.Phase), Step: e.Step, MaxSteps: e.MaxSteps, CostUSD: e.Totals.CostUSD, TokensIn: e.Totals.TokensIn, TokensOut: e.Totals.TokensOut,
		Seconds: e.Totals.Seconds,
	}
	if e.Last != nil && e.Last.Problem == gym.Scored {
		p.Score = value(e.Last.Scores, it.cell.Metric)
	}
	c.tell(p)
	s.update(it.cell.ID, func(st *EpisodeStatus) { p.At = now(); st.Progress = p })
	ev := Event{
		Episode: it.cell.Name, ID: it.cell.ID, Attempt: c.N, Step: e.Step, MaxSteps: e.MaxSteps, CostUSD: e.Totals.CostUSD, Seconds: e.Totals.Seconds,
		Metric: it.cell.Metric, Score: p.Score,
	}
	if e.Phase == rollout.Stepped {
		s.mu.Lock()
		s.steps++
		s.mu.Unlock()
		stepped := ev
		stepped.Type, stepped.Score, stepped.Metric = Stepped, nil, ""
		s.emit(stepped)
	}
	if e.Transition == nil {
		return
	}
	for _, evaluation := range e.Transition.Info.Evaluations {
		ev.Type, ev.Score, ev.Message = Evaluated, nil, string(evaluation.Kind)
		if evaluation.Problem == gym.Scored {
			ev.Score = value(evaluation.Scores, it.cell.Metric)
		} else {
			ev.Message += ": " + string(evaluation.Problem)
		}
		s.emit(ev)
	}
}

// settle takes the end of an attempt.
func (s *Scheduler) settle(f finished) {
	it := f.item
	s.running[it](nil)
	delete(s.running, it)
	if err := it.place.leave(); err != nil {
		s.emit(Event{Type: Noted, Episode: it.cell.Name, ID: it.cell.ID, Message: fmt.Sprintf("its place was not given back: %v", err)})
	}
	it.place = nil
	// What is on disk now counts, whoever put it there.
	st, err := s.o.Store.episode(it.cell.entry())
	if err != nil {
		st.State, st.Message = Waiting, err.Error()
	}
	message := st.Message
	if f.err != nil {
		message = f.err.Error()
	}
	ev := Event{
		Episode: it.cell.Name, ID: it.cell.ID, Attempt: st.Attempt, State: st.State, Step: st.Step, Metric: st.Metric, Score: st.Submission, CostUSD: st.CostUSD,
		Seconds: st.Seconds, ExitStatus: st.ExitStatus, Message: message,
	}
	switch {
	case st.State == Done || st.State == Failed:
		ev.Type = Ended
		if st.State == Done {
			s.inARow = 0
		}
		s.mu.Lock()
		s.ended++
		s.mu.Unlock()
	case f.class == ClassFault && it.faults > s.o.Retries:
		// Not even that it failed can be written down: it is left.
		ev.Type, ev.State = Cut, Waiting
		st.State, st.Message = Waiting, message
	case f.class == ClassFault:
		pause := s.o.Pause(max(1, it.faults))
		it.after = time.Now().Add(pause)
		it.startOver = startOver(f.err)
		ev.Type, ev.Wait = Retrying, pause.Seconds()
		st.State, st.Message = Waiting, message
		s.queue = append(s.queue, it)
	case f.class == ClassFenced:
		// Whoever has it may fail; it is looked at again after a while.
		it.after = time.Now().Add(s.o.Store.pace.again)
		ev.Type = Cut
		s.queue = append(s.queue, it)
	default:
		ev.Type = Cut
		st.State = Waiting
		s.queue = append(s.queue, it)
		s.spent = s.spent || f.class == ClassBudget
		if f.class == ClassUnavailable {
			s.end(message)
		}
	}
	s.update(it.cell.ID, func(e *EpisodeStatus) { *e = st })
	s.count(&ev)
	s.emit(ev)
	s.watchFaults(f)
}

// startOver says why the record of an attempt must not go on: executing it again
// leads elsewhere.
func startOver(err error) string {
	var fault *rollout.FaultError
	if errors.As(err, &fault) && fault.Fault.Resuming {
		return "it could not go on: " + fault.Fault.Message
	}
	return ""
}

// watchFaults stops an experiment in which nothing goes well any more, before
// all episodes are given up for a fault that is nobody's of them.
func (s *Scheduler) watchFaults(f finished) {
	const fewest = 8
	if f.class != ClassFault && (f.class != ClassRefused || f.err == nil) {
		return
	}
	s.mu.Lock()
	steps := s.steps
	s.steps = 0
	s.mu.Unlock()
	if steps > 0 {
		s.inARow = 0
	}
	s.inARow++
	if most := max(fewest, 2*len(s.running)); s.inARow >= most {
		s.end(fmt.Sprintf("%d attempts in a row failed without one step, the last one: %v", s.inARow, f.err))
	}
}

func (s *Scheduler) update(id ID, change func(*EpisodeStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status.Episodes[s.index[id]])
}

// count adds the numbers of the experiment to an event.
func (s *Scheduler) count(e *Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Spent.Hours = s.hours()
	s.status.sum()
	counts, spent := s.status.Counts, s.status.Spent
	e.Counts, e.Spent = &counts, &spent
}

// planned tells what is to be done.
func (s *Scheduler) planned() {
	e := Event{Type: Planned}
	s.count(&e)
	e.Message = fmt.Sprintf("%d episodes: %d done before, %d to run", e.Counts.Total, e.Counts.Done+e.Counts.Failed, len(s.queue))
	s.emit(e)
	for _, note := range s.o.Plan.Notes {
		s.emit(Event{Type: Noted, Message: note})
	}
}

// finish writes what a part leaves behind.
func (s *Scheduler) finish(beats <-chan struct{}) error {
	close(s.quit)
	<-beats
	s.mu.Lock()
	s.status.Active = false
	s.mu.Unlock()
	e := Event{Type: Stopped, Message: s.reason}
	if e.Message == "" {
		e.Message = s.blocked
	}
	s.count(&e)
	s.emit(e)
	if s.o.Worker {
		return nil
	}
	return errors.Join(s.tick(), s.o.Store.clearStop())
}

// tick writes down how long the experiment was run.
func (s *Scheduler) tick() error {
	if s.o.Worker {
		return nil
	}
	return s.o.Store.setClock(clock{Hours: s.hours()})
}

// hours in which the experiment was run. A worker goes by the deadline that
// whoever conducts it has set.
func (s *Scheduler) hours() float64 {
	if s.o.Worker && !s.clock.Deadline.IsZero() {
		return s.o.Limits.Hours - time.Until(s.clock.Deadline).Hours()
	}
	return s.before + time.Since(s.began).Hours()
}

// Why says why the last Run ended before all was done, "" where all is.
func (s *Scheduler) Why() string {
	if s.reason != "" {
		return s.reason
	}
	return s.blocked
}

func (s *Scheduler) emit(e Event) { s.teller.emit(e) }
