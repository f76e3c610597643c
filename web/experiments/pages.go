package experiments

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mlgym/experiment"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

// section of the navigation.
const section = "experiments"

//go:embed templates static
var files embed.FS

// library is what is asked of a [record.Library].
type library interface {
	Key(path string) record.Key
	Entry(ctx context.Context, key record.Key) (record.Entry, error)
	Touch()
}

// has reports whether a library has a run.
func has(lib library) func(key record.Key) bool {
	return func(key record.Key) bool {
		_, err := lib.Entry(context.Background(), key)
		return err == nil
	}
}

// Pages are the pages of experiments. They are safe for concurrent use, but for
// those of a static site.
type Pages struct {
	site    *page.Site
	room    *page.Room
	lib     library // nil where runs have no pages
	has     func(key record.Key) bool
	finder  *finder
	control Control
	host    string
	first   chan struct{} // of those that are looked at for the first time at once

	mu   sync.Mutex
	open map[string]*live // by key
	list *feed

	listMu sync.Mutex
	keys   []string // of the experiments that the list has
}

// mostOpen experiments that nobody listens to are remembered.
const mostOpen = 300

// New makes the pages of the experiments at and below roots. Links to runs are by
// lib, which may be nil. A nil control only tells how to act on the command line, as
// does a site that allows none.
func New(site *page.Site, lib *record.Library, roots []string, control Control) *Pages {
	const atOnce = 2
	p := &Pages{site: site, room: site.NewRoom("experiments", files), finder: &finder{roots: roots}, control: control, first: make(chan struct{}, atOnce), open: map[string]*live{}, list: newFeed()}
	if lib != nil {
		p.lib, p.has = lib, has(lib)
	}
	p.host, _ = os.Hostname() // for people
	return p
}

// Register adds the pages to a mux.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /experiments/{$}", p.listPage)
	mux.HandleFunc("GET /experiments/events", p.listEvents)
	mux.HandleFunc("GET /experiments/{key}/{$}", p.experimentPage)
	mux.HandleFunc("GET /experiments/{key}/events", p.experimentEvents)
	mux.HandleFunc("GET /experiments/{key}/episodes/{$}", p.episodesPage)
	mux.HandleFunc("GET /experiments/{key}/episodes/{id}/{$}", p.episodePage)
	mux.HandleFunc("GET /experiments/{key}/experiment.yaml", p.file(experiment.FileName))
	mux.HandleFunc("GET /experiments/{key}/events.jsonl", p.file(experiment.EventsName))
	mux.HandleFunc("GET /experiments/{key}/viewer.log", p.file(OutputName))
	mux.HandleFunc("POST /experiments/{key}/stop", p.act(p.stop))
	mux.HandleFunc("POST /experiments/{key}/resume", p.act(p.resume))
	mux.HandleFunc("POST /experiments/{key}/retry", p.act(p.retry))
}

// text renders a part for a patch.
func (p *Pages) text(name string, data any) string {
	html, err := p.room.Text(name, data)
	if err != nil {
		p.site.Log().Error("a part of a page failed", "template", name, "error", err)
	}
	return html
}

// runPath is the page of a run. A static site has only those of the library.
func (p *Pages) runPath(dir string) string {
	key := p.lib.Key(dir)
	if p.site.Static() && !p.has(key) {
		return ""
	}
	return "runs/" + string(key) + "/"
}

// live is the experiment of a place, which is looked at from now on.
func (p *Pages) live(ctx context.Context, at place) *live {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.open[at.Key]; ok && l.Dir == at.Dir {
		return l
	}
	if len(p.open) >= mostOpen {
		p.forget()
	}
	l := p.newLive(ctx, at)
	p.open[at.Key] = l
	return l
}

// forget drops experiments that nobody looks at. The caller holds mu.
func (p *Pages) forget() {
	for key, l := range p.open {
		if !l.feed.wanted() {
			delete(p.open, key)
		}
		if len(p.open) < mostOpen/2 {
			return
		}
	}
}

// find is the experiment of a request, after the first look at it; where there is none,
// the request is answered.
func (p *Pages) find(w http.ResponseWriter, r *http.Request) (*live, bool) {
	if p.lib != nil {
		p.lib.Touch()
	}
	at, ok := p.finder.get(r.Context(), r.PathValue("key"))
	if !ok {
		p.room.Error(w, r, http.StatusNotFound, section, "There is no such experiment below the folders that are looked at. It may have been moved or removed; the list of experiments has those that are there.")
		return nil, false
	}
	l := p.live(r.Context(), at)
	select {
	case <-l.ready:
	case <-r.Context().Done():
		return nil, false
	}
	if l.failure != "" {
		p.room.Error(w, r, http.StatusInternalServerError, section, "This experiment cannot be looked at: "+l.failure)
		return nil, false
	}
	return l, true
}

func pageOf(l *live, title, path, template string, data any) page.Page {
	return page.Page{
		Title: title + " · " + l.Name, Section: section, Path: path, Template: template, Data: data,
		Scripts: []string{"experiments/experiments.js"}, Styles: []string{"experiments/experiments.css", "markup/markup.css"},
	}
}

// listPage lists the experiments.
func (p *Pages) listPage(w http.ResponseWriter, r *http.Request) {
	if p.lib != nil {
		p.lib.Touch()
	}
	const patience = 400 * time.Millisecond
	ctx := r.Context()
	if !p.site.Static() { // which is made once
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	select {
	case <-p.finder.touch(searchEvery):
	case <-ctx.Done():
	}
	found, searching, cut := p.finder.all()
	p.listMu.Lock()
	p.listing(found)
	p.listMu.Unlock()
	data := struct {
		Mark           string
		Searching, Cut bool
		Rows           []listed
		Roots          []string
	}{Mark: p.list.mark(), Searching: searching, Cut: cut, Roots: p.finder.roots}
	for _, at := range found {
		l := p.live(r.Context(), at)
		select {
		case <-l.ready:
		case <-ctx.Done(): // the rest comes by the feed
		}
		l.refresh(r.Context(), sweep)
		data.Rows = append(data.Rows, l.listed())
	}
	sortListed(data.Rows)
	p.room.Render(w, r, page.Page{
		Title: "Experiments", Section: section, Path: "experiments/", Template: "experiments", Data: data,
		Scripts: []string{"experiments/experiments.js"}, Styles: []string{"experiments/experiments.css"},
	})
}

// refresh looks again where it is time, unless somebody is looking.
func (l *live) refresh(ctx context.Context, sweep int) {
	if l.w == nil {
		return
	}
	if l.mu.TryLock() {
		l.freshen(ctx, sweep)
		l.mu.Unlock()
	}
}

func sortListed(rows []listed) {
	slices.SortStableFunc(rows, func(a, b listed) int {
		if a.active != b.active {
			if a.active {
				return -1
			}
			return 1
		}
		if c := b.Last.At.Compare(a.Last.At); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// pollList looks at all experiments.
func (p *Pages) pollList(ctx context.Context) {
	p.finder.touch(searchEvery)
	found, _, _ := p.finder.all()
	p.listMu.Lock()
	defer p.listMu.Unlock()
	p.listing(found)
	changed := p.list.parts()
	for _, at := range found {
		l := p.live(ctx, at)
		l.refresh(ctx, listSweep)
		row := l.listed()
		changed.add(row.ID, p.text("listed", row))
	}
	p.list.publish(changed)
}

// listing makes pages that list other experiments load again. The caller holds
// listMu.
func (p *Pages) listing(found []place) {
	keys := make([]string, len(found))
	for i, at := range found {
		keys[i] = at.Key
	}
	if !slices.Equal(keys, p.keys) {
		p.keys = keys
		p.list.reset()
	}
}

func (p *Pages) listEvents(w http.ResponseWriter, r *http.Request) {
	p.list.serve(w, r, p.pollList)
}

func (p *Pages) experimentEvents(w http.ResponseWriter, r *http.Request) {
	l, ok := p.find(w, r)
	if !ok {
		return
	}
	l.feed.serve(w, r, l.poll)
}

// experimentPage shows one experiment.
func (p *Pages) experimentPage(w http.ResponseWriter, r *http.Request) {
	l, ok := p.find(w, r)
	if !ok {
		return
	}
	data := struct {
		Mark     string
		State    stateView
		Totals   totals
		Problems []string
		Matrix   matrix
		Running  runningTable
		Trouble  []troubleGroup
		Endings  []ending
		Events   []eventRow
		File     template.HTML
		FileNote string
		Output   bool
	}{}
	l.mu.Lock()
	l.freshen(r.Context(), sweep)
	now := time.Now()
	data.Mark = l.feed.mark()
	data.State, data.Totals, data.Problems = l.stateView(), l.totalsView(now), l.w.Problems()
	if l.shape != nil {
		data.Matrix, data.Running, data.Trouble = l.matrixView(), l.runningView(now), l.troubleView()
		data.Endings, data.Events = endings(l.w.Status().Episodes), l.eventsView()
	}
	l.mu.Unlock()
	text, err := readText(filepath.Join(l.Dir, experiment.FileName), mostFile)
	switch {
	case err != nil:
		data.FileNote = fmt.Sprintf("%s cannot be read: %v", experiment.FileName, err)
	default:
		data.File = markup.Code(text, experiment.FileName)
	}
	if _, err := os.Stat(filepath.Join(l.Dir, OutputName)); err == nil {
		data.Output = true
	}
	pg := pageOf(l, data.State.Name, "experiments/"+l.Key+"/", "experiment", data)
	pg.Title, pg.Wide = data.State.Name, true
	p.room.Render(w, r, pg)
}

const mostFile = 256 << 10

// readText reads the beginning of a file.
func readText(path string, most int64) (string, error) {
	file, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err == nil && int64(len(text)) == most {
		text = append(text, "\n…"...)
	}
	return string(text), err
}

// openRegular opens what is a file and no link.
func openRegular(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no ordinary file", filepath.Base(path))
	}
	return os.Open(path)
}

// file serves a file of the experiment as text.
func (p *Pages) file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l, ok := p.find(w, r)
		if !ok {
			return
		}
		file, err := openRegular(filepath.Join(l.Dir, name))
		if err != nil {
			p.room.Error(w, r, http.StatusNotFound, section, fmt.Sprintf("%s cannot be read: %v", name, err))
			return
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			p.room.Error(w, r, http.StatusInternalServerError, section, err.Error())
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, "", info.ModTime(), file)
	}
}

// episodeRow is an episode in the table of all.
type episodeRow struct {
	*cell
	Page, Run string
}

// episodesPage lists all episodes.
func (p *Pages) episodesPage(w http.ResponseWriter, r *http.Request) {
	l, ok := p.find(w, r)
	if !ok {
		return
	}
	const most = 10_000
	data := struct {
		Key, Name string
		Total     int
		Rows      []episodeRow
	}{Key: l.Key}
	l.mu.Lock()
	l.freshen(r.Context(), sweep)
	data.Name, data.Total = l.w.Status().Name, len(l.w.Status().Episodes)
	for i := range min(most, data.Total) {
		data.Rows = append(data.Rows, episodeRow{l.cell(i), l.episodeLink(i), l.runLink(i)})
	}
	l.mu.Unlock()
	p.room.Render(w, r, pageOf(l, "Episodes", "experiments/"+l.Key+"/episodes/", "episodes", data))
}

// attemptRow is an attempt in the page of an episode.
type attemptRow struct {
	experiment.AttemptStatus
	Run string
	Log template.HTML
}

// episodePage shows the attempts at one episode.
func (p *Pages) episodePage(w http.ResponseWriter, r *http.Request) {
	l, ok := p.find(w, r)
	if !ok {
		return
	}
	l.mu.Lock()
	l.freshen(r.Context(), sweep)
	i, ok := findEpisode(l.w.Status().Episodes, r.PathValue("id"))
	if !ok {
		l.mu.Unlock()
		p.room.Error(w, r, http.StatusNotFound, section, "The plan of this experiment has no such episode. It may be one of an earlier plan.")
		return
	}
	data := struct {
		Key, Name string
		Cell      *cell
		Details   experiment.Details
		Run       string
		Attempts  []attemptRow
		Outcomes  []experiment.Outcome
		Problem   string
		Text      template.HTML
	}{Key: l.Key, Name: l.w.Status().Name, Cell: l.cell(i), Details: l.w.Details(i), Run: l.runLink(i)}
	path := l.episodeLink(i)
	store := l.w.Store()
	l.mu.Unlock()
	if data.Details.Problem == "" || filepath.IsLocal(data.Details.Dir) && filepath.Base(data.Details.Dir) == data.Details.Dir {
		attempts, outcomes, err := store.History(data.Details.Dir)
		if err != nil {
			data.Problem = err.Error()
		}
		data.Outcomes = outcomes
		for _, a := range slices.Backward(attempts) {
			row := attemptRow{AttemptStatus: a}
			if a.Newest {
				row.Run = data.Run
			}
			if a.Log != "" {
				row.Log = logTail(filepath.Join(store.Dir(), a.Log))
			}
			data.Attempts = append(data.Attempts, row)
		}
		if text, err := readText(filepath.Join(store.Dir(), experiment.CellsName, data.Details.Dir, "cell.json"), mostFile); err == nil {
			data.Text = markup.Code(text, "cell.json")
		} else if !errors.Is(err, os.ErrNotExist) {
			data.Problem = cmp.Or(data.Problem, err.Error())
		}
	}
	p.room.Render(w, r, pageOf(l, data.Cell.Name, path, "episode", data))
}

// logTail is the end of what mlgym had to say of an attempt.
func logTail(path string) template.HTML {
	const most = 16 << 10
	file, err := openRegular(path)
	if err != nil {
		return markup.Plain(err.Error())
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return markup.Plain(err.Error())
	}
	from := max(0, info.Size()-most)
	text, err := io.ReadAll(io.NewSectionReader(file, from, most))
	if err != nil {
		return markup.Plain(err.Error())
	}
	if from > 0 {
		_, rest, _ := strings.Cut(string(text), "\n")
		return markup.Plain("…\n" + rest)
	}
	return markup.Plain(string(text))
}
