package experiments

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/experiment"
	"mlgym/web/markup"
	"mlgym/web/page"
)

// live is an experiment that somebody looks at.
type live struct {
	place
	p     *Pages
	feed  *feed
	ready chan struct{} // closed after the first look

	mu      sync.Mutex // guards what follows
	w       *experiment.Watcher
	looked  time.Time
	shape   *shape
	events  []experiment.Event // the newest last, steps left out
	last    experiment.Event   // the newest of all
	pace    stepPace
	runs    []string // by episode: the folder that was seen to hold a run
	running []int    // in the table of those that run
	note    note
	failure string // why nothing can be looked at
}

// note is what came of the last action.
type note struct {
	Text string
	Bad  bool
	At   time.Time
}

// lasts is how long a note is shown: what went well shows by itself soon.
func (n note) lasts() time.Duration {
	if n.Bad {
		return 10 * time.Minute
	}
	return 20 * time.Second
}

const (
	mostEvents  = 200
	shownEvents = 60
	// sweep is how many episodes that seem to stand still are looked at in a second,
	// and listSweep for the list of all experiments. After longAgo all are.
	sweep     = 1000
	listSweep = 100
	longAgo   = 10 * time.Second
	// fresh is how old what a page shows may be without another look.
	fresh = 900 * time.Millisecond
)

// stepPace counts steps of the last minute by the second.
type stepPace struct {
	at [60]int64
	n  [60]int
}

func (s *stepPace) add(at time.Time) {
	second := at.Unix()
	slot := ((second % 60) + 60) % 60
	if s.at[slot] != second {
		s.at[slot], s.n[slot] = second, 0
	}
	s.n[slot]++
}

// minute is how many steps ended in the last minute.
func (s *stepPace) minute(now time.Time) int {
	total := 0
	for i, at := range s.at {
		if age := now.Unix() - at; age >= 0 && age < 60 {
			total += s.n[i]
		}
	}
	return total
}

func (p *Pages) newLive(ctx context.Context, at place) *live {
	l := &live{place: at, p: p, feed: newFeed(), ready: make(chan struct{})}
	var err error
	if l.w, err = experiment.NewWatcher(at.Dir); err != nil {
		l.failure = err.Error()
		close(l.ready)
		return l
	}
	go func() {
		p.first <- struct{}{} // reading many at once is no faster
		l.mu.Lock()
		l.look(context.WithoutCancel(ctx), sweep) // others wait for it, too
		l.mu.Unlock()
		<-p.first
		close(l.ready)
	}()
	return l
}

// freshen looks again where the last look is some time ago. The caller holds mu.
func (l *live) freshen(ctx context.Context, sweep int) {
	if time.Since(l.looked) >= fresh {
		l.look(ctx, sweep)
	}
}

// poll is what the feed does once a second.
func (l *live) poll(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look(ctx, sweep)
}

// look reads what changed, and publishes it. The caller holds mu.
func (l *live) look(ctx context.Context, sweep int) {
	if l.w == nil {
		return
	}
	if time.Since(l.looked) > longAgo {
		sweep = math.MaxInt
	}
	before := l.w.Problems()
	sight, err := l.w.Look(ctx, sweep)
	if err != nil {
		return // whoever asked is gone
	}
	now := time.Now()
	l.looked = now
	told := false
	for _, e := range sight.Events {
		l.last = e
		if e.Type == experiment.Stepped {
			l.pace.add(e.At)
			continue
		}
		l.events = append(l.events, e)
		told = true
	}
	if over := len(l.events) - mostEvents; over > 0 {
		l.events = slices.Delete(l.events, 0, over)
	}
	if sight.Replanned || l.shape == nil {
		l.shape = newShape(l.w.Status().Episodes)
		l.runs = make([]string, len(l.w.Status().Episodes))
		l.running = l.runningNow()
		l.feed.reset()
		return
	}
	if !l.feed.wanted() {
		if told || sight.Totals || len(sight.Changed) > 0 {
			l.running = l.runningNow()
			l.feed.reset()
		}
		return
	}
	changed := l.feed.parts()
	l.changed(changed, sight, now)
	if told {
		changed.add("events", l.p.text("events", l.eventsView()))
	}
	if !slices.Equal(before, l.w.Problems()) {
		changed.add("problems", l.p.text("problems", l.w.Problems()))
	}
	l.feed.publish(changed)
}

// changed renders what a look found.
func (l *live) changed(out *parts, sight experiment.Sight, now time.Time) {
	episodes := l.w.Status().Episodes
	fields := map[int]bool{}
	for _, i := range sight.Changed {
		out.add(cellID(i), l.p.text("cell", l.cell(i)))
		fields[l.shape.at[i]] = true
	}
	rows, columns := map[int]bool{}, map[int]bool{}
	for f := range fields {
		out.add(fmt.Sprintf("f-%d", f), l.p.text("mean", l.shape.fieldMean(episodes, f)))
		rows[f/len(l.shape.agents)], columns[f%len(l.shape.agents)] = true, true
	}
	for r := range rows {
		out.add(fmt.Sprintf("fr-%d", r), l.p.text("rowmean", l.shape.rowMean(episodes, r)))
	}
	for c := range columns {
		out.add(fmt.Sprintf("fc-%d", c), l.p.text("columnmean", l.shape.columnMean(episodes, c)))
	}
	if running := l.runningNow(); !slices.Equal(running, l.running) {
		l.running = running
		out.add("running", l.p.text("running", l.runningView(now)))
	} else {
		for _, i := range sight.Changed {
			if episodes[i].State == experiment.Running {
				out.add(fmt.Sprintf("r-%d", i), l.p.text("row", l.runningRow(i, now)))
			}
		}
	}
	if len(sight.Changed) > 0 {
		out.add("trouble", l.p.text("trouble", l.troubleView()))
		out.add("endings", l.p.text("endings", endings(episodes)))
	}
	out.add("state", l.p.text("state", l.stateView()))
	out.add("totals", l.p.text("totals", l.totalsView(now)))
}

func (l *live) runningNow() []int {
	var out []int
	for i := range l.w.Status().Episodes {
		if l.w.Status().Episodes[i].State == experiment.Running {
			out = append(out, i)
		}
	}
	return out
}

func cellID(i int) string { return fmt.Sprintf("c-%d", i) }

// cell is an episode in the matrix.
type cell struct {
	ID, Sign, Class, Word string
	// Text follows the sign: the final score, or the step. Label says it all.
	Text, Label string
	Link        string
	*experiment.EpisodeStatus
}

// cell is what is shown of an episode. It stays as it is when the episode goes on.
func (l *live) cell(i int) *cell {
	e, d := l.w.Status().Episodes[i], l.w.Details(i)
	letter, class := sign(&e, d)
	c := &cell{
		ID: cellID(i), Sign: letter, Class: class, Word: stateWord(&e, d), Link: cmp.Or(l.runLink(i), l.episodeLink(i)), EpisodeStatus: &e,
	}
	switch class {
	case "done":
		c.Text = page.Score(e.Submission)
	case "running":
		c.Text = strconv.Itoa(e.Step)
		if e.MaxSteps > 0 {
			c.Text += "/" + strconv.Itoa(e.MaxSteps)
		}
	case "cut":
		c.Text = strconv.Itoa(e.Step)
	}
	c.Label = label(c, d.Problem)
	return c
}

// label says all of an episode in a sentence.
func label(c *cell, problem string) string {
	e := c.EpisodeStatus
	var out strings.Builder
	fmt.Fprintf(&out, "%s · %s · seed %d: %s", e.Task, e.Agent, e.Seed, c.Word)
	add := func(format string, args ...any) { fmt.Fprintf(&out, ", "+format, args...) }
	switch {
	case e.Submission != nil:
		add("%s %s", e.Metric, page.Score(e.Submission))
	case e.State == experiment.Done:
		add("no score")
	case e.State == experiment.Running && e.Score != nil:
		add("last %s %s", e.Metric, page.Score(e.Score))
	}
	if e.Best != nil && (e.Submission == nil || *e.Best != *e.Submission) {
		add("best %s", page.Score(e.Best))
	}
	if e.Step > 0 {
		add("step %d", e.Step)
		if e.MaxSteps > 0 {
			fmt.Fprintf(&out, " of %d", e.MaxSteps)
		}
	}
	if e.ExitStatus != "" {
		add("%s", e.ExitStatus)
	}
	if e.CostUSD != nil {
		add("%s", page.USD(e.CostUSD))
	}
	if e.Seconds > 0 {
		add("%s", page.Seconds(e.Seconds))
	}
	if e.Attempt > 1 {
		add("attempt %d", e.Attempt)
	}
	if message := cmp.Or(problem, e.Message); message != "" {
		out.WriteString(": " + markup.Head(message, 200))
	}
	return out.String()
}

func (l *live) episodeLink(i int) string {
	return episodePath(l.Key, episodeName(&l.w.Status().Episodes[i], i))
}

// runLink is the page of the run of the last attempt, "" where there is none.
func (l *live) runLink(i int) string {
	dir := l.w.Status().Episodes[i].RunDir
	if dir == "" || l.p.lib == nil || !filepath.IsLocal(dir) || strings.Contains(dir, string(filepath.Separator)+".") {
		return ""
	}
	if l.runs[i] != dir {
		if _, err := os.Stat(filepath.Join(l.Dir, dir)); err != nil {
			return ""
		}
		l.runs[i] = dir
	}
	return l.p.runPath(filepath.Join(l.Dir, dir))
}

// runningRow is an episode in the table of those that run.
type runningRow struct {
	ID, Link, Run string
	// Age of the last sign of life, in seconds.
	Age     float64
	Share   float64 // of its steps, in hundredths; negative where there is no limit
	Process experiment.Process
	From    string
	Here    bool
	experiment.EpisodeStatus
}

func (l *live) runningRow(i int, now time.Time) runningRow {
	e, d := &l.w.Status().Episodes[i], l.w.Details(i)
	r := runningRow{
		ID: fmt.Sprintf("r-%d", i), Link: l.episodeLink(i), Run: l.runLink(i), Age: max(0, now.Sub(d.Beat).Seconds()), Share: -1, Process: d.Process,
		Here: d.Process.Host == l.p.host, EpisodeStatus: *e,
	}
	if d.From.How != experiment.New {
		r.From = d.From.String()
	}
	if e.MaxSteps > 0 {
		r.Share = min(100, 100*float64(e.Step)/float64(e.MaxSteps))
	}
	return r
}

// runningTable are the episodes that run.
type runningTable struct {
	Rows []runningRow
	More int
}

// mostRows are shown of a table, so that a page stays one.
const mostRows = 500

func (l *live) runningView(now time.Time) runningTable {
	var t runningTable
	for _, i := range l.running {
		if len(t.Rows) == mostRows {
			t.More = len(l.running) - mostRows
			break
		}
		t.Rows = append(t.Rows, l.runningRow(i, now))
	}
	return t
}

// linked is an episode's name with its page.
type linked struct{ Name, Link string }

type troubleGroup struct {
	group
	Count int
	Named []linked
	More  int
}

func (l *live) troubleView() []troubleGroup {
	const most = 12
	var out []troubleGroup
	for _, g := range groups(l.w.Status().Episodes, l.w.Details) {
		t := troubleGroup{group: g, Count: len(g.Episodes)}
		for _, i := range g.Episodes[:min(most, len(g.Episodes))] {
			t.Named = append(t.Named, linked{l.w.Status().Episodes[i].Name, l.episodeLink(i)})
		}
		t.More = t.Count - len(t.Named)
		out = append(out, t)
	}
	return out
}

// eventRow is an event with its links.
type eventRow struct {
	Link string
	experiment.Event
}

func (l *live) eventsView() []eventRow {
	episodes := l.w.Status().Episodes
	byID := make(map[experiment.ID]int, shownEvents)
	var out []eventRow
	for _, e := range slices.Backward(l.events) {
		if len(out) == shownEvents {
			break
		}
		row := eventRow{Event: e}
		if e.ID != "" {
			i, ok := byID[e.ID]
			if !ok {
				i = slices.IndexFunc(episodes, func(s experiment.EpisodeStatus) bool { return s.ID == e.ID })
				byID[e.ID] = i
			}
			if i >= 0 {
				row.Link = l.episodeLink(i)
				if run := l.runLink(i); run != "" && e.Step > 0 && e.Attempt == episodes[i].Attempt && !l.p.site.Static() {
					row.Link = run + "#step-" + strconv.Itoa(e.Step)
				}
			}
		}
		out = append(out, row)
	}
	return out
}

// standing is where an experiment stands, in a word, with its colour.
type standing struct {
	Word, Class, More string
	// Running says that something runs, Left that something is left to run.
	Running, Left bool
}

func (l *live) standing() standing {
	st := l.w.Status()
	holder, _ := l.w.Runner()
	s := standing{Running: st.Active || st.Running > 0, Left: st.Running+st.Waiting > 0}
	where := "by process " + strconv.Itoa(holder.PID) + " on " + holder.Host
	if holder.Host == l.p.host {
		where = fmt.Sprintf("by process %d on this machine", holder.PID)
	}
	if l.w.Store().HasJobs() {
		where = "on a cluster"
		if st.Active {
			where += fmt.Sprintf(", conducted by process %d on %s", holder.PID, holder.Host)
		}
	}
	switch {
	case st.Stopping != "" && s.Running:
		s.Word, s.Class, s.More = "stopping", "warn", st.Stopping+"; steps under way are finished first"
		if strings.Contains(st.Stopping, "at once") {
			s.More = st.Stopping
		}
	case st.Active:
		s.Word, s.Class, s.More = "running", "now", where
	case st.Running > 0:
		s.Word, s.Class, s.More = "running", "now", "no process conducts it; its episodes run on their own"
		if l.w.Store().HasJobs() {
			s.More = where
		}
	case st.Total == 0 && l.w.Planned().IsZero():
		s.Word, s.More = "not planned", "there is no plan that can be read"
	case !s.Left && st.Failed+st.Skipped > 0:
		s.Word, s.Class, s.More = "ended", "warn", fmt.Sprintf("%d without a result", st.Failed+st.Skipped)
	case !s.Left:
		s.Word, s.Class = "done", "good"
	case l.begun():
		s.Word, s.Class, s.More = "stopped", "warn", fmt.Sprintf("%d episodes are left", st.Waiting)
	default:
		s.Word, s.More = "never begun", fmt.Sprintf("%d episodes wait", st.Waiting)
	}
	return s
}

func (l *live) begun() bool {
	return slices.ContainsFunc(l.w.Status().Episodes, func(e experiment.EpisodeStatus) bool { return e.Attempt > 0 })
}

// stateView is the head of an experiment's page, with its control.
type stateView struct {
	Key, Name, Dir, Quoted string
	standing
	Counts   experiment.Counts
	Bar      []segment
	Unscored int
	Note     *note
	// Control says that there are buttons; Cluster, that jobs of one belong to it.
	Control, Cluster bool
}

func (l *live) stateView() stateView {
	st := l.w.Status()
	v := stateView{
		Key: l.Key, Name: st.Name, Dir: l.Dir, Quoted: shellQuoted(l.Dir), standing: l.standing(), Counts: st.Counts, Bar: bar(st.Counts),
		Control: l.p.site.Control() && l.p.control != nil, Cluster: l.w.Store().HasJobs(),
	}
	for i := range st.Episodes {
		if e := &st.Episodes[i]; e.State == experiment.Done && e.Submission == nil {
			v.Unscored++
		}
	}
	if l.note.Text != "" && time.Since(l.note.At) < l.note.lasts() {
		n := l.note
		v.Note = &n
	}
	if teller, ok := l.p.control.(Teller); ok && v.Control {
		if text, bad := teller.Tell(l.Dir); text != "" && (bad || v.Note == nil) {
			v.Note = &note{Text: text, Bad: bad}
		}
	}
	return v
}

// shellQuoted writes a path so that a shell takes it as one word.
func shellQuoted(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:@%", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// totals is what an experiment has taken and may take.
type totals struct {
	Counts    experiment.Counts
	Spent     experiment.Spent
	Budget    experiment.Limits
	PerHour   float64
	Steps     int // of the last minute
	Remaining *float64
	// RemainingUSD is by the mean of those that are done, Worst by their limits.
	RemainingUSD *float64
	Worst        float64
	Unbounded    int
	Shares       struct{ USD, Tokens, Hours float64 } // of the budget, in hundredths
	Parallel     int
	Planned      time.Time
	Began        time.Time // of the part under way
}

func (l *live) totalsView(now time.Time) totals {
	st := l.w.Status()
	t := totals{
		Counts: st.Counts, Spent: st.Spent, Budget: st.Budget, PerHour: st.PerHour, Steps: l.pace.minute(now), Remaining: st.Remaining,
		RemainingUSD: st.RemainingUSD, Planned: l.w.Planned(),
	}
	if st.Active {
		_, t.Began = l.w.Runner()
	}
	if st.Waiting+st.Running > 0 {
		t.Worst, t.Unbounded = l.w.Worst()
	}
	share := func(spent, of float64) float64 {
		if of <= 0 {
			return 0
		}
		return min(100, 100*spent/of)
	}
	t.Shares.USD = share(st.Spent.USD, st.Budget.USD)
	t.Shares.Tokens = share(float64(st.Spent.Tokens), float64(st.Budget.Tokens))
	t.Shares.Hours = share(st.Spent.Hours, st.Budget.Hours)
	return t
}

// matrix is the page's table of tasks and agents.
type matrix struct {
	Agents  []string
	Columns []*mean
	Rows    []matrixRow
	All     *mean
}

type matrixRow struct {
	Task, Variant, Metric string
	Fields                []matrixField
	Mean                  *mean
}

type matrixField struct {
	Mean  *mean
	Cells []*cell
	More  int
}

// mostCells of a field are shown one by one.
const mostCells = 64

func (l *live) matrixView() matrix {
	episodes := l.w.Status().Episodes
	m := matrix{Agents: l.shape.agents}
	for c := range l.shape.agents {
		m.Columns = append(m.Columns, l.shape.columnMean(episodes, c))
	}
	for r, key := range l.shape.rows {
		row := matrixRow{Task: key.task, Variant: key.variant, Metric: key.metric, Mean: l.shape.rowMean(episodes, r)}
		for c := range l.shape.agents {
			f := r*len(l.shape.agents) + c
			field := matrixField{Mean: l.shape.fieldMean(episodes, f)}
			for _, i := range l.shape.fields[f] {
				if len(field.Cells) == mostCells {
					field.More = len(l.shape.fields[f]) - mostCells
					break
				}
				field.Cells = append(field.Cells, l.cell(i))
			}
			row.Fields = append(row.Fields, field)
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// listed is an experiment in the list.
type listed struct {
	ID, Key, Name, Title string
	standing
	Ready     bool
	Failure   string
	Problems  int
	Counts    experiment.Counts
	Bar       []segment
	Spent     experiment.Spent
	Budget    experiment.Limits
	Remaining *float64
	Last      experiment.Event
	active    bool
}

// listed is for the list of experiments; one that was never looked at says so.
func (l *live) listed() listed {
	v := listed{ID: "x-" + l.Key, Key: l.Key, Name: l.Name}
	if l.w == nil {
		v.Failure = l.failure
		return v
	}
	select {
	case <-l.ready:
	default:
		return v
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.w.Status()
	v.Ready, v.Title, v.standing, v.Counts, v.Bar = true, st.Name, l.standing(), st.Counts, bar(st.Counts)
	v.Spent, v.Budget, v.Remaining, v.Last, v.Problems = st.Spent, st.Budget, st.Remaining, l.last, len(l.w.Problems())
	v.active = v.Running
	return v
}
