package runs

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mlgym/search"
	"mlgym/web/page"
	"mlgym/web/record"
)

//go:embed templates static
var files embed.FS

// Pages are the pages of this room. They are safe for concurrent use.
type Pages struct {
	site  *page.Site
	room  *page.Room
	lib   *record.Library
	pulse *pulse
}

// New returns the pages on the runs of a library.
func New(site *page.Site, lib *record.Library) *Pages {
	return &Pages{
		site: site, room: site.NewRoom("runs", files), lib: lib,
		pulse: &pulse{every: time.Second, look: func() news {
			lib.Touch()
			return newsOf(lib.Progress())
		}},
	}
}

// Register adds the pages to a mux.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /runs/{$}", p.list)
	mux.HandleFunc("GET /compare/{keys}/{$}", p.compare)
	mux.HandleFunc("GET /compare/{keys}/rows/{from}/{$}", p.compare)
	mux.HandleFunc("GET /compare/{keys}/files/{$}", p.compareFiles)
	mux.HandleFunc("GET /compare/{keys}/step/{pair}/{$}", p.compareStep)
	mux.HandleFunc("GET /compare/{keys}/step/{pair}", p.compareStepPart)
	if p.site.Static() {
		return // what follows needs a server
	}
	mux.HandleFunc("GET /runs/fragment", p.listPart)
	mux.HandleFunc("GET /runs/filters", p.filtersPart)
	mux.HandleFunc("GET /runs/events", p.events)
	mux.HandleFunc("GET /search/{$}", p.search)
	mux.HandleFunc("GET /compare/{$}", p.choose)
}

// section of the navigation that the pages belong to.
const (
	runsSection   = "runs"
	searchSection = "search"
)

// requestError is a mistake in the address of a page, told with what to do.
type requestError string

func (e requestError) Error() string { return string(e) }

func badf(format string, args ...any) error { return requestError(fmt.Sprintf(format, args...)) }

// fail answers with a page that says what is wrong.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, section string, err error) {
	if bad, ok := errors.AsType[requestError](err); ok {
		p.room.Error(w, r, http.StatusBadRequest, section, sentence(bad.Error()))
		return
	}
	switch {
	case errors.Is(err, search.ErrCursor):
		p.room.Error(w, r, http.StatusBadRequest, section, "The address does not say where a page ended (after=…): search again from the first page.")
	case errors.Is(err, record.ErrNoRun):
		p.room.Error(w, r, http.StatusNotFound, section, sentence(err.Error())+" It may have been moved or removed, or may not have been found yet; the list of runs has those that there are.")
	case errors.Is(err, record.ErrNoStep):
		p.room.Error(w, r, http.StatusNotFound, section, sentence(err.Error()))
	case errors.Is(err, context.Canceled):
		// Nobody waits for the answer any more.
	default:
		p.site.Log().Error("a page of runs failed", "path", r.URL.Path, "error", err)
		p.room.Error(w, r, http.StatusInternalServerError, section, sentence(err.Error())+" Load the page again; the log of the viewer says more.")
	}
}

// stepsAPage is how many steps a page of a run in an export has.
const stepsAPage = 100

// stepPage is the path of the page on which a step of a run is: an export has
// several.
func (p *Pages) stepPage(key record.Key, step int) string {
	page := "runs/" + string(key) + "/"
	if p.site.Static() && step > stepsAPage {
		page += "steps/" + itoa((step-1)/stepsAPage*stepsAPage+1) + "/"
	}
	return page
}

// sentence makes a sentence of an error's text.
func sentence(text string) string {
	if text == "" {
		return text
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") {
		text += "."
	}
	return text
}
