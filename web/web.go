package web

import (
	"embed"
	"log/slog"
	"net/http"

	"mlgym/web/assets"
	"mlgym/web/experiments"
	"mlgym/web/leaderboard"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/play"
	"mlgym/web/record"
	"mlgym/web/run"
	"mlgym/web/runs"
	"mlgym/web/tasks"
)

// Options of a [Viewer].
type Options struct {
	// Library of the runs that are looked at. Its owner starts it.
	Library *record.Library
	// Roots of the library, in which experiments are looked for.
	Roots []string
	// Prefix of all paths, such as "/view/"; "/" where it is empty.
	Prefix string
	// Name of what is looked at, shown on each page.
	Name string
	// Token that a browser has to show once; see [page.Guard].
	Token string
	// Static makes a viewer for [Viewer.Export].
	Static bool
	// Logs shows what graders printed, which may tell of hidden data.
	Logs bool
	// Control acts on experiments; nil allows no action.
	Control experiments.Control
	// Play lets people work on tasks; nil does not.
	Play    *play.Options
	Version string
	Log     *slog.Logger
}

// Viewer is the site. It is safe for concurrent use, but for Export.
type Viewer struct {
	opts        Options
	site        *page.Site
	room        *page.Room
	mux         *http.ServeMux
	experiments *experiments.Pages
	leaderboard *leaderboard.Pages
	play        *play.Pages
}

//go:embed templates
var files embed.FS

// New returns a viewer.
func New(o Options) *Viewer {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	sections := []page.Section{
		{ID: "experiments", Path: "experiments/", Title: "Experiments"},
		{ID: "runs", Path: "runs/", Title: "Runs"},
		{ID: "leaderboard", Path: "leaderboard/", Title: "Leaderboard"},
	}
	if !o.Static {
		sections = append(sections, page.Section{ID: "search", Path: "search/", Title: "Search"})
	}
	sections = append(sections, page.Section{ID: "tasks", Path: "tasks/", Title: "Tasks"})
	if !o.Static {
		sections = append(sections, page.Section{ID: "play", Path: "play/", Title: "Play"})
	}
	site := page.New(page.Options{
		Prefix: o.Prefix, Static: o.Static, Name: o.Name, Sections: sections,
		Control: o.Control != nil || o.Play != nil, Version: o.Version, Log: o.Log,
	})
	site.AddAssets("assets", assets.FS())
	site.AddAsset("markup/markup.css", markup.CSS())
	v := &Viewer{opts: o, site: site, mux: http.NewServeMux()}
	v.room = site.NewRoom("web", files)
	v.mux.HandleFunc("GET /{$}", v.home)
	if o.Static {
		v.mux.HandleFunc("GET /static/{name...}", site.ServeAsset) // else by Handler
	}
	v.mux.HandleFunc("GET /", v.lost)
	v.experiments = experiments.New(site, o.Library, o.Roots, o.Control)
	v.experiments.Register(v.mux)
	v.leaderboard = leaderboard.New(site, o.Library)
	v.leaderboard.Register(v.mux)
	runs.New(site, o.Library).Register(v.mux)
	run.New(site, o.Library, run.Options{Logs: o.Logs}).Register(v.mux)
	var playing play.Options
	if o.Play != nil {
		playing = *o.Play
	}
	tasks.New(site, o.Library, playing.Tasks...).Register(v.mux)
	v.play = play.New(site, o.Library, playing)
	v.play.Register(v.mux)
	return v
}

// Handler serves the pages below the prefix.
func (v *Viewer) Handler() http.Handler {
	return v.site.Handler(v.mux, page.Guard{Token: v.opts.Token})
}

// Close ends what the pages do in the background, and waits for it. It is to be called
// after the last request, and is idempotent.
func (v *Viewer) Close() {
	v.play.Close()
	v.leaderboard.Close()
}

func (v *Viewer) lost(w http.ResponseWriter, r *http.Request) {
	v.room.Error(w, r, http.StatusNotFound, "", "There is no such page.")
}
