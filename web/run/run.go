package run

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"mlgym/web/page"
	"mlgym/web/record"
)

// perPage is how many steps a page has that is read without scripts, or from an
// export.
const perPage = 100

// Options of the pages of a run.
type Options struct {
	// Logs shows what graders printed, which may tell of hidden data.
	Logs bool
}

// Pages of one run. They are safe for concurrent use.
type Pages struct {
	site *page.Site
	room *page.Room
	lib  *record.Library
	opts Options
}

//go:embed templates static
var files embed.FS

// New returns the pages of the runs of a library.
func New(site *page.Site, lib *record.Library, o Options) *Pages {
	return &Pages{site: site, room: site.NewRoom("run", files), lib: lib, opts: o}
}

// Register adds the pages to those of a site.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /runs/{key}/{$}", p.with(p.first))
	mux.HandleFunc("GET /runs/{key}/steps/{n}/{$}", p.with(p.later))
	mux.HandleFunc("GET /runs/{key}/fragment", p.with(p.fragment))
	mux.HandleFunc("GET /runs/{key}/text", p.with(p.text))
	for _, part := range []string{"thought", "action", "observation"} {
		mux.HandleFunc("GET /runs/{key}/"+part+"/{file}", p.with(p.whole(part)))
	}
	mux.HandleFunc("GET /runs/{key}/events", p.with(p.events))
	mux.HandleFunc("GET /runs/{key}/find", p.with(p.find))
	mux.HandleFunc("GET /runs/{key}/audit/{$}", p.with(p.audit))
	mux.HandleFunc("GET /runs/{key}/prompt/{n}/{$}", p.with(p.prompt))
	mux.HandleFunc("GET /runs/{key}/prompt/{file}", p.with(p.promptFile))
	mux.HandleFunc("GET /runs/{key}/files/{n}/{name...}", p.with(p.files))
	mux.HandleFunc("GET /runs/{key}/file/{n}/{name...}", p.with(p.file))
	mux.HandleFunc("GET /runs/{key}/log/{name...}", p.with(p.log))
	mux.HandleFunc("GET /runs/{key}/record/{name}", p.with(p.raw))
}

// styles and scripts of all pages of a run.
var (
	styles  = []string{"markup/markup.css", "run/run.css"}
	scripts = []string{"run/run.js"}
)

// with opens the run that a request names.
func (p *Pages) with(next func(http.ResponseWriter, *http.Request, *record.Run)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.lib.Touch()
		key := record.Key(r.PathValue("key"))
		if !key.Valid() {
			p.room.Error(w, r, http.StatusNotFound, "runs", "This is no key of a run. The list of runs has a link to each.")
			return
		}
		run, err := p.lib.Open(r.Context(), key)
		switch {
		case errors.Is(err, record.ErrNoRun) && !p.lib.Progress().Done:
			w.Header().Set("Retry-After", "2")
			p.room.Error(w, r, http.StatusServiceUnavailable, "runs", "This run is not known yet: the folders are still being read. Try again in a moment.")
		case errors.Is(err, record.ErrNoRun):
			p.room.Error(w, r, http.StatusNotFound, "runs", "There is no such run. Its folder may have been moved or removed, or be new, and then known in a moment; the list of runs has what is there.")
		case err != nil:
			p.failed(w, r, err)
		default:
			next(w, r, run)
		}
	}
}

// failed says what went wrong with a request.
func (p *Pages) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is there to read it
	}
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, record.ErrNoStep):
		status = http.StatusNotFound
	case errors.Is(err, record.ErrChanged):
		status = http.StatusConflict
	}
	p.room.Error(w, r, status, "runs", fmt.Sprintf("This could not be shown: %v.", err))
}

// stepOf reads the number of a step from the path.
func (p *Pages) stepOf(w http.ResponseWriter, r *http.Request, run *record.Run) (int, bool) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n > run.Len() {
		p.room.Error(w, r, http.StatusNotFound, "runs", fmt.Sprintf("The run has no step %.20q; they go from 0, its start, to %d.", r.PathValue("n"), run.Len()))
		return 0, false
	}
	return n, true
}

// root is the path of a run's page in the site.
func root(key record.Key) string { return "runs/" + string(key) + "/" }

// pageOf is the path of the page on which a step is: an export has several.
func (p *Pages) pageOf(key record.Key, step int) string {
	if !p.site.Static() {
		return root(key)
	}
	return p.paged(key, step)
}

// paged is the path of the page on which a step is, where they come in pages.
func (p *Pages) paged(key record.Key, step int) string {
	if step <= perPage {
		return root(key)
	}
	return root(key) + "steps/" + strconv.Itoa((step-1)/perPage*perPage+1) + "/"
}
