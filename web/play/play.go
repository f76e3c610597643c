package play

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/gym"
	"mlgym/server/session"
	"mlgym/task"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

//go:embed templates static
var files embed.FS

// Agent is what the records of these episodes call the one who decides.
const Agent = "human"

// Options of the [Pages].
type Options struct {
	// Table in which episodes are begun; nil where nobody can play.
	Table *session.Table
	// Tasks that can be chosen.
	Tasks []*task.Task
	// Default is what the form begins with.
	Default session.Request
}

// Pages are those on which people play. They are safe for concurrent use.
type Pages struct {
	site *page.Site
	room *page.Room
	lib  *record.Library
	opts Options

	life context.Context //nolint:containedctx // ends with Close
	end  context.CancelFunc
	work sync.WaitGroup

	mu     sync.Mutex // guards what follows
	closed bool
	games  map[string]*game
}

// mostFinished is how many episodes that are over can still be looked at here.
const mostFinished = 32

// New returns the pages. Close them after the server that they are part of, and before
// the table.
func New(site *page.Site, lib *record.Library, o Options) *Pages {
	p := &Pages{site: site, room: site.NewRoom("play", files), lib: lib, opts: o, games: map[string]*game{}}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// Close ends the watching of episodes. The episodes end with their table.
func (p *Pages) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	p.work.Wait()
}

// Register adds the pages to a site's paths.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /play/{$}", p.choose)
	mux.HandleFunc("POST /play/{$}", p.site.Action(p.start))
	mux.HandleFunc("GET /play/{session}/{$}", p.show)
	mux.HandleFunc("POST /play/{session}/{$}", p.site.Action(p.act))
	mux.HandleFunc("GET /play/{session}/events", p.events)
}

// possible says why nobody can play here, "" where somebody can.
func (p *Pages) possible() string {
	switch {
	case p.site.Static():
		return "These pages are files: nothing can be played in them."
	case p.opts.Table == nil || !p.site.Control():
		return "Nothing can be played here."
	case len(p.opts.Tasks) == 0:
		return "There is no task that could be played."
	}
	return ""
}

// form is what is asked for.
type form struct {
	Task, Variant, Mode, Seed, MaxSteps string
}

// underway is an episode in the list.
type underway struct {
	Path, Task, Variant string
	Began               time.Time
	Status              statusView
}

func (p *Pages) choose(w http.ResponseWriter, r *http.Request) {
	d := p.opts.Default
	f := form{Task: cmp.Or(r.URL.Query().Get("task"), d.Task), Variant: cmp.Or(d.Variant, task.Full), Mode: cmp.Or(d.Mode, string(task.Hardened))}
	if d.MaxSteps > 0 {
		f.MaxSteps = strconv.Itoa(d.MaxSteps)
	}
	p.renderForm(w, r, http.StatusOK, f, "")
}

func (p *Pages) renderForm(w http.ResponseWriter, r *http.Request, status int, f form, problem string) {
	data := struct {
		Impossible, Problem string
		Form                form
		Tasks               []*task.Task
		Variants            []string
		Games               []underway
	}{Impossible: p.possible(), Problem: problem, Form: f}
	if !p.site.Static() {
		data.Tasks = p.opts.Tasks
		for _, t := range p.opts.Tasks {
			data.Variants = append(data.Variants, t.VariantNames()...)
		}
		slices.Sort(data.Variants)
		data.Variants = slices.Compact(data.Variants)
		for _, g := range p.list() {
			s, _, _, _ := g.statusNow()
			data.Games = append(data.Games, underway{"play/" + g.s.ID() + "/", g.task.Name, g.state.Variant, g.began, s})
		}
	}
	p.room.Render(w, r, page.Page{
		Title: "Play", Section: "play", Path: "play/", Template: "choose", Data: data, Status: status, Styles: []string{"play/play.css"},
	})
}

// list returns the episodes, the youngest first.
func (p *Pages) list() []*game {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.games), func(a, b *game) int { return b.began.Compare(a.began) })
}

func (p *Pages) start(w http.ResponseWriter, r *http.Request) {
	f := form{
		Task: r.PostFormValue("task"), Variant: r.PostFormValue("variant"), Mode: r.PostFormValue("mode"),
		Seed: strings.TrimSpace(r.PostFormValue("seed")), MaxSteps: strings.TrimSpace(r.PostFormValue("max_steps")),
	}
	if why := p.possible(); why != "" {
		p.renderForm(w, r, http.StatusForbidden, f, why)
		return
	}
	g, err := p.begin(r, f)
	if err != nil {
		status := http.StatusUnprocessableEntity
		if _, full := errors.AsType[*session.CapacityError](err); full || errors.Is(err, session.ErrDraining) {
			status = http.StatusServiceUnavailable
		}
		p.renderForm(w, r, status, f, err.Error())
		return
	}
	http.Redirect(w, r, p.site.URL("play/"+g.s.ID()+"/"), http.StatusSeeOther)
}

// begin begins an episode.
func (p *Pages) begin(r *http.Request, f form) (*game, error) {
	i := slices.IndexFunc(p.opts.Tasks, func(t *task.Task) bool { return string(t.ID) == f.Task })
	if i < 0 {
		return nil, fmt.Errorf("there is no task %q here", f.Task)
	}
	request := p.opts.Default
	request.Task, request.Variant, request.Mode, request.Agent = f.Task, f.Variant, f.Mode, Agent
	request.Seed, request.MaxSteps = nil, 0
	if f.Seed != "" {
		seed, err := strconv.ParseUint(f.Seed, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("seed %q: want a whole number from 0 on, or nothing", f.Seed)
		}
		request.Seed = &seed
	}
	if f.MaxSteps != "" {
		n, err := strconv.Atoi(f.MaxSteps)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("limit of steps %q: want a whole number from 0 on, or nothing", f.MaxSteps)
		}
		request.MaxSteps = n
	}
	s, err := p.opts.Table.Open(clientOf(r), false)
	if err != nil {
		return nil, err
	}
	first, err := s.Reset(r.Context(), request)
	if err != nil {
		s.Close()
		return nil, err
	}
	g := newGame(s, p.opts.Tasks[i], first)
	if err := p.keep(g); err != nil {
		s.Close()
		return nil, err
	}
	return g, nil
}

// clientOf is whose share of the sessions a request uses.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// keep adds an episode, watches for its end, and forgets the oldest that are over.
func (p *Pages) keep(g *game) error {
	over := 0
	for _, other := range p.list() {
		if !other.finished() {
			continue
		}
		if over++; over >= mostFinished {
			p.mu.Lock()
			delete(p.games, other.s.ID())
			p.mu.Unlock()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return session.ErrDraining
	}
	p.games[g.s.ID()] = g
	p.work.Go(func() {
		select {
		case <-g.s.Ended():
			g.lost(g.s.Why())
		case <-p.life.Done():
		}
	})
	return nil
}

// find returns the episode that a request names; where there is none it has answered.
func (p *Pages) find(w http.ResponseWriter, r *http.Request) *game {
	p.mu.Lock()
	g := p.games[r.PathValue("session")]
	p.mu.Unlock()
	if g == nil {
		p.room.Error(w, r, http.StatusNotFound, "play",
			"This episode is not here (any more): it may have ended long ago, or the server was started anew. What was recorded of it is among the runs.")
	}
	return g
}

// shownEntries is how many actions a page begins with, and shownBytes how much text of
// theirs.
const (
	shownEntries = 100
	shownBytes   = 256 << 10
)

// gameView is the page of an episode.
type gameView struct {
	ID, Path  string
	Task      *task.Task
	TaskPath  string
	State     session.State
	Statement any
	Problem   string
	Control   bool
	Entries   []entryView
	Earlier   int
	Status    statusView
	Files     filesView
	Doc       docView
	Rev       int64
	Text      template.HTML // in the editor
	Typed     template.HTML // and not run
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	if g := p.find(w, r); g != nil {
		p.render(w, r, http.StatusOK, g, "", "")
	}
}

func (p *Pages) render(w http.ResponseWriter, r *http.Request, code int, g *game, problem, typed string) {
	v := gameView{
		ID: g.s.ID(), Path: "play/" + g.s.ID() + "/", Task: g.task, TaskPath: "tasks/" + string(g.task.ID) + "/", State: g.state,
		Statement: markup.Markdown(g.first.Observation.Text), Problem: problem, Control: p.possible() == "", Typed: exactly(typed),
	}
	// The revision is the older one, so that what changes meanwhile is sent again.
	v.Status, v.Rev, _, _ = g.statusNow()
	v.Status.RunPath = p.runPath(r.Context(), g)
	v.Entries, v.Earlier = g.since(0, shownEntries)
	v.Files, v.Doc = g.filesNow(), g.docNow()
	v.Text = exactly(v.Doc.Text)
	p.room.Render(w, r, page.Page{
		Title: g.task.Name + ", played", Section: "play", Path: v.Path, Template: "game", Data: v, Status: code, Wide: true,
		Styles: []string{"markup/markup.css", "play/play.css"}, Scripts: []string{"assets/editor.js", "play/play.js"},
	})
}

// runPath is the page of an episode's record, "" while the library does not know it.
func (p *Pages) runPath(ctx context.Context, g *game) string {
	if g.record == "" {
		return ""
	}
	key := p.lib.Key(g.record)
	if _, err := p.lib.Entry(ctx, key); err != nil {
		return ""
	}
	return "runs/" + string(key) + "/"
}

// byScript reports whether a request comes from our script, which waits for events, and
// not from a form.
func byScript(r *http.Request) bool { return r.Header.Get("X-CSRF-Token") != "" }

// formWait is how long the answer to a form waits for its command.
const formWait = 3 * time.Second

// mostCommandBytes bounds what is typed.
const mostCommandBytes = 1 << 20

func (p *Pages) act(w http.ResponseWriter, r *http.Request) {
	g := p.find(w, r)
	if g == nil {
		return
	}
	command := fromForm(r.PostFormValue("command"), false)
	wait, err := p.do(g, r, command)
	switch {
	case err != nil:
		code := http.StatusUnprocessableEntity
		if errors.Is(err, errRunning) || errors.Is(err, errOver) {
			code = http.StatusConflict
		}
		if byScript(r) {
			http.Error(w, err.Error(), code)
			return
		}
		p.render(w, r, code, g, err.Error(), command)
		return
	case byScript(r):
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if wait != nil {
		timer := time.NewTimer(formWait)
		defer timer.Stop()
		select {
		case <-wait:
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	http.Redirect(w, r, p.site.URL("play/"+g.s.ID()+"/")+"#end", http.StatusSeeOther)
}

// do does what a button asks for. Wait, which may be nil, is closed when it is over.
func (p *Pages) do(g *game, r *http.Request, command string) (wait <-chan struct{}, err error) {
	e := &entry{Kind: typed}
	what := r.PostFormValue("do")
	name := r.PostFormValue("name")
	if file := r.PostFormValue("open"); file != "" {
		what, name = string(open), file // a button of the list
	}
	switch what {
	case "", "run":
		if g.runningNow() {
			switch strings.TrimSpace(command) {
			case session.WordInterrupt:
				g.interrupt()
				return g.waiting(), nil
			case session.WordWait:
				return g.waiting(), nil
			}
		}
		switch {
		case strings.TrimSpace(command) == "":
			return nil, errors.New("nothing was typed")
		case len(command) > mostCommandBytes:
			return nil, fmt.Errorf("a command may have at most %d bytes, and this one has %d", mostCommandBytes, len(command))
		}
		e.Action = command
	case string(gym.Validate), string(gym.Submit):
		e.Action = what
	case "forfeit":
		e.Action = "exit_forfeit"
	case "interrupt":
		g.interrupt()
		return g.waiting(), nil
	case string(list):
		e.Kind, e.Action = list, listCommand(g.workspace())
	case string(open):
		e.Kind = open
		if e.Name, err = fileName(name); err != nil {
			return nil, err
		}
		e.Action = openCommand(g.workspace(), e.Name)
	case string(save):
		e.Kind = save
		if e.Name, err = fileName(name); err != nil {
			return nil, err
		}
		e.text, e.crlf = fromForm(r.PostFormValue("text"), false), g.lineEnds(e.Name)
		if e.Action, err = saveCommand(g.workspace(), e.Name, fromForm(e.text, e.crlf)); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("there is nothing called %q to do", what)
	}
	return g.act(p.life, &p.work, e)
}

func (g *game) runningNow() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running != nil
}

// waiting returns what is closed when the command that runs is over, nil where none
// runs.
func (g *game) waiting() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == nil {
		return nil
	}
	return g.running.done
}

// lineEnds reports whether a file in the editor has line ends of two characters.
func (g *game) lineEnds(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.doc.Name == name && g.doc.CRLF
}

// events sends what changes, from the revision that the page has.
func (p *Pages) events(w http.ResponseWriter, r *http.Request) {
	g := p.find(w, r)
	if g == nil {
		return
	}
	changed, first := g.changes.listen()
	if first {
		// Somebody looks, so its place is not given away.
		if _, err := p.opts.Table.Attach(g.s.ID()); err == nil {
			g.held.Store(true)
		}
	}
	defer func() {
		if g.changes.leave(changed) && g.held.Swap(false) {
			p.opts.Table.Leave(g.s)
		}
	}()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(p.life, cancel) //nolint:contextcheck // it ends with the pages, too
	defer stop()
	stream := page.NewStream(w, r)
	f := follower{p: p, g: g, stream: stream, changed: changed}
	f.rev, _ = strconv.ParseInt(cmp.Or(stream.Last, r.URL.Query().Get("rev")), 10, 64)
	_ = stream.Follow(ctx, changed, func() error { return f.send(ctx) }) // the browser is gone
}

// follower is a page that follows an episode. It is for one goroutine.
type follower struct {
	p       *Pages
	g       *game
	stream  *page.Stream
	changed chan struct{}
	rev     int64
	// linked says that the page knows where the record is, asked how often the
	// library was asked for it.
	linked bool
	asked  int
}

// mostAsked bounds how often the library is asked for a record, once a second.
const mostAsked = 120

// send sends what changed since the last time.
func (f *follower) send(ctx context.Context) error {
	g := f.g
	status, now, filesRev, docRev := g.statusNow()
	if !f.linked {
		status.RunPath = f.p.runPath(ctx, g)
		f.linked = status.RunPath != "" || g.record == "" || f.asked >= mostAsked
		if f.linked {
			f.rev = min(f.rev, now-1)
		} else {
			f.asked++
			f.p.lib.Touch()
			time.AfterFunc(time.Second, f.again)
		}
	} else if status.Record != "" {
		status.RunPath = f.p.runPath(ctx, g)
	}
	if now <= f.rev {
		return nil
	}
	entries, _ := g.since(f.rev, mostEntries)
	for _, e := range entries {
		if err := f.event("entry", "entry", e, map[string]any{"n": e.N, "running": e.Running}); err != nil {
			return err
		}
	}
	if filesRev > f.rev {
		if err := f.event("files", "files", g.filesNow(), map[string]any{}); err != nil {
			return err
		}
	}
	if docRev > f.rev {
		if err := f.stream.Send("", "doc", g.docNow()); err != nil {
			return err
		}
	}
	html, err := f.p.room.Text("status", status)
	if err != nil {
		return err
	}
	f.rev = now
	return f.stream.Send(strconv.FormatInt(now, 10), "status", map[string]any{
		"html": html, "running": status.Running, "over": status.Over || status.Why != "", "prompt": status.Dir,
	})
}

// again has the page looked after once more, though nothing happened.
func (f *follower) again() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// event sends a part of the page with what a script wants to know of it.
func (f *follower) event(name, template string, data any, more map[string]any) error {
	html, err := f.p.room.Text(template, data)
	if err != nil {
		return err
	}
	more["html"] = html
	return f.stream.Send("", name, more)
}
