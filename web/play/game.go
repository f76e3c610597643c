package play

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"mlgym/gym"
	"mlgym/server/session"
	"mlgym/task"
)

// kind is what an entry of a transcript was done for.
type kind string

// The kinds of entry.
const (
	typed kind = "command" // by the person, or a button
	list  kind = "list"
	open  kind = "open"
	save  kind = "save"
)

// entry is one action and what it led to.
type entry struct {
	N    int
	Kind kind
	// Action is what was run, and Name the file that it is about.
	Action, Name string
	// Dir is where it was run.
	Dir         string
	Began       time.Time
	Running     bool
	Interrupted bool

	// What follows is there once it is over.
	Seconds     float64
	Step        int
	Text        string
	ExitCode    int
	Deadline    string
	Evaluations []gym.Evaluation
	// Problem is why there is no result, which is not the person's fault.
	Problem string

	rev  int64
	done chan struct{}
	text string // of a save
	crlf bool
}

// document is what is in the editor.
type document struct {
	Name, Text string
	CRLF       bool
	// Kind is what was done last, open or save; Problem why it failed, Note that it
	// did not.
	Kind          kind
	Problem, Note string
}

// The bounds of what is held of one episode.
const (
	mostEntries   = 1000
	mostTextBytes = 4 << 20
)

var (
	errRunning = errors.New("a command is still running: wait for its end, or interrupt it. Yours was not run")
	errOver    = errors.New("the episode is over")
)

// game is an episode that somebody plays.
type game struct {
	s       *session.Session
	task    *task.Task
	state   session.State // as it was after the reset
	first   session.Reply
	record  string
	began   time.Time
	changes notifier
	held    atomic.Bool // the session, while somebody looks

	mu       sync.Mutex // guards what follows
	rev      int64
	entries  []*entry
	dropped  int // entries that are not held any more
	bytes    int
	running  *entry
	dir      string
	openFile string
	step     int
	left     int
	best     *gym.Evaluation
	final    *gym.Evaluation
	reward   float64

	files    []file
	filesCut bool
	listed   bool
	filesRev int64
	doc      document
	docRev   int64

	over   bool
	status gym.ExitStatus
	fault  string
	why    string // the session ended without an end of the episode
	ended  time.Time
}

func newGame(s *session.Session, t *task.Task, first session.Reply) *game {
	g := &game{
		s: s, task: t, state: s.State(), first: first, record: s.Record(), began: time.Now(), rev: 1,
		dir: first.Observation.WorkingDir, openFile: first.Observation.OpenFile, left: first.Observation.StepsLeft,
	}
	if g.state.MaxSteps > 0 {
		g.left = g.state.MaxSteps
	}
	// What lies in the workspace at first is known without a look.
	if names, err := starterNames(t); err == nil {
		g.files, g.filesRev = names, 1
	}
	return g
}

// touch notes a change. The caller holds mu.
func (g *game) touch(e *entry) {
	g.rev++
	if e != nil {
		e.rev = g.rev
	}
	g.changes.tell()
}

// act begins an action, and returns once it is under way. Wait is closed when it is over.
func (g *game) act(ctx context.Context, work *sync.WaitGroup, e *entry) (wait <-chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.over || g.why != "":
		return nil, errOver
	case g.running != nil:
		return nil, errRunning
	}
	e.N = g.dropped + len(g.entries) + 1
	e.Began, e.Dir, e.Running, e.done = time.Now(), g.dir, true, make(chan struct{})
	g.entries, g.running = append(g.entries, e), e
	g.bytes += len(e.Action)
	g.touch(e)
	work.Go(func() {
		defer close(e.done)
		forEver := time.Duration(0)
		reply, err := g.s.Step(ctx, gym.Action{Command: e.Action}, session.StepOptions{Patience: &forEver})
		g.finish(e, reply, err)
		if g.finished() {
			g.s.Close() // its place is free for others
		}
	})
	return e.done, nil
}

// interrupt stops the command that runs.
func (g *game) interrupt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == nil {
		return
	}
	g.running.Interrupted = true
	g.touch(g.running)
	g.s.Interrupt()
}

// finish takes an action's result in.
func (g *game) finish(e *entry, reply session.Reply, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running, e.Running, e.Seconds = nil, false, time.Since(e.Began).Seconds()
	if err != nil {
		e.Problem = err.Error()
		switch e.Kind {
		case open:
			g.keepDoc(e, err)
		case save:
			g.setDoc(document{Name: e.Name, Text: e.text, CRLF: e.crlf, Kind: save, Problem: "Not saved: " + err.Error()})
		case typed, list:
		}
		g.touch(e)
		return
	}
	obs, info := reply.Observation, reply.Info
	e.Step, e.Text, e.ExitCode, e.Deadline, e.Evaluations = obs.Step, obs.Text, info.ExitCode, info.Deadline, info.Evaluations
	if info.Seconds > 0 {
		e.Seconds = info.Seconds
	}
	g.step, g.dir, g.openFile = obs.Step, cmp.Or(obs.WorkingDir, g.dir), obs.OpenFile
	g.left = obs.StepsLeft
	if reply.Reward != nil {
		g.reward += *reply.Reward
	}
	for i := range info.Evaluations {
		g.evaluated(&info.Evaluations[i])
	}
	g.bytes += len(e.Text)
	switch e.Kind {
	case list:
		g.files, g.filesCut = readList(g.workspace(), e.Text)
		g.listed, g.filesRev = true, g.rev+1
	case open:
		g.opened(e)
	case save:
		g.saved(e)
	case typed:
	}
	if reply.Done() {
		g.over, g.status, g.fault, g.ended = true, info.ExitStatus, info.Fault, time.Now()
	}
	g.touch(e)
	g.trim()
}

// evaluated takes a grading in.
func (g *game) evaluated(ev *gym.Evaluation) {
	if ev.Kind == gym.Submit {
		g.final = ev // on other data, or other draws
		return
	}
	m := g.task.Primary()
	score, ok := ev.Scores[m.Name]
	if !ok || ev.Problem != gym.Scored {
		return
	}
	if g.best == nil || m.Better(score, g.best.Scores[m.Name]) {
		g.best = ev
	}
}

// setDoc puts a document into the editor. The caller holds mu and notes the change.
func (g *game) setDoc(d document) { g.doc, g.docRev = d, g.rev+1 }

// keepDoc leaves in the editor what is there, and says why the file is not.
func (g *game) keepDoc(e *entry, why error) {
	d := g.doc
	d.Kind, d.Problem, d.Note = open, e.Name+": "+why.Error(), ""
	g.setDoc(d)
}

func (g *game) opened(e *entry) {
	text, crlf, err := readOpened(e.Text)
	if err != nil {
		g.keepDoc(e, err)
		return
	}
	g.setDoc(document{Name: e.Name, Text: text, CRLF: crlf, Kind: open, Note: "Opened."})
	g.known(e.Name, int64(len(e.Text)))
}

func (g *game) saved(e *entry) {
	d := document{Name: e.Name, Text: e.text, CRLF: e.crlf, Kind: save}
	written := fromForm(e.text, e.crlf)
	if !readSaved(e.Text, written) {
		d.Problem = "The file was not saved as it is; the terminal says why."
		g.setDoc(d)
		return
	}
	d.Note = "Saved."
	g.setDoc(d)
	g.known(e.Name, int64(len(written)))
}

// known adds a file to the list, or its size.
func (g *game) known(name string, bytes int64) {
	g.filesRev = g.rev + 1
	for i := range g.files {
		if g.files[i].Name == name {
			g.files[i].Bytes = bytes
			return
		}
	}
	g.files = append(g.files, file{name, bytes})
}

// workspace is where the files of the task are.
func (g *game) workspace() string { return g.first.Observation.WorkingDir }

// trim forgets the oldest entries, which stand in the record.
func (g *game) trim() {
	for len(g.entries) > 1 && (len(g.entries) > mostEntries || g.bytes > mostTextBytes) {
		g.bytes -= len(g.entries[0].Action) + len(g.entries[0].Text)
		g.entries[0] = nil
		g.entries = g.entries[1:]
		g.dropped++
	}
}

// lost notes that the session ended, and why.
func (g *game) lost(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over || g.why != "" {
		return
	}
	g.why, g.ended = why.Error(), time.Now()
	g.touch(nil)
}

// finished reports whether nothing can be done in the episode any more.
func (g *game) finished() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over || g.why != ""
}

// notifier tells listeners that something changed.
type notifier struct {
	mu        sync.Mutex
	listeners map[chan struct{}]bool
}

func (n *notifier) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.listeners {
		select {
		case c <- struct{}{}:
		default: // it knows already
		}
	}
}

// listen returns a channel of signs. First says that nobody listened before.
func (n *notifier) listen() (c chan struct{}, first bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = map[chan struct{}]bool{}
	}
	c = make(chan struct{}, 1)
	first = len(n.listeners) == 0
	n.listeners[c] = true
	return c, first
}

// leave ends a listening. Last says that nobody listens any more.
func (n *notifier) leave(c chan struct{}) (last bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listeners, c)
	return len(n.listeners) == 0
}
