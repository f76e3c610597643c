package leaderboard

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"mlgym/plot"
	"mlgym/report"
	"mlgym/search"
	"mlgym/web/page"
	"mlgym/web/record"
)

//go:embed templates static
var files embed.FS

// section is the id in the navigation.
const section = "leaderboard"

// Pages are the pages below leaderboard/. They are safe for concurrent use.
type Pages struct {
	site  *page.Site
	lib   *record.Library
	room  *page.Room
	board *board
}

// New makes the pages. Whoever calls it calls [Pages.Close] in the end.
func New(site *page.Site, lib *record.Library) *Pages {
	return &Pages{site: site, lib: lib, room: site.NewRoom("leaderboard", files), board: newBoard(lib, site.Log())}
}

// Close ends what is being computed and waits for it. Pages that are asked for
// later have the numbers that there are.
func (p *Pages) Close() { p.board.close() }

// Register adds the pages to mux.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /leaderboard/{$}", func(w http.ResponseWriter, r *http.Request) { p.show(w, r, report.MLGym) })
	mux.HandleFunc("GET /leaderboard/corrected/{$}", func(w http.ResponseWriter, r *http.Request) { p.show(w, r, report.Corrected) })
	mux.HandleFunc("GET /leaderboard/progress", p.progress)
	mux.HandleFunc("GET /leaderboard/report.json", p.json)
	for folder, d := range map[string]report.Definition{"": report.MLGym, "corrected/": report.Corrected} {
		mux.HandleFunc("GET /leaderboard/tables/"+folder+"{file}", func(w http.ResponseWriter, r *http.Request) { p.table(w, r, d) })
		mux.HandleFunc("GET /leaderboard/figures/"+folder+"{file}", func(w http.ResponseWriter, r *http.Request) { p.figure(w, r, d) })
	}
}

// here is the path of the page with the numbers of a definition.
func here(d report.Definition) string {
	if d == report.Corrected {
		return "leaderboard/corrected/"
	}
	return "leaderboard/"
}

// folder is where tables or figures lie, as `mlgym report` has it.
func folder(kind string, d report.Definition) string {
	if d == report.Corrected {
		return "leaderboard/" + kind + "/corrected/"
	}
	return "leaderboard/" + kind + "/"
}

// link is an address of the site. It becomes text while the page is written, since in
// a static site it depends on that page.
type link struct {
	site     *page.Site
	to, with string
}

// Href is the address.
func (l link) Href() string {
	if l.site.Static() {
		return l.site.URL(l.to)
	}
	return l.site.URL(l.to) + l.with
}

// patience is how long an answer waits for numbers before it says that they are
// being computed.
const patience = 400 * time.Millisecond

func (p *Pages) show(w http.ResponseWriter, r *http.Request, d report.Definition) {
	p.lib.Touch()
	s := p.settings(r)
	st := p.board.ask(s)
	if st.Result == nil && st.Job != nil {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		if p.site.Static() {
			ctx = r.Context() // nobody asks again
		}
		select {
		case <-st.Job.done:
			st = p.board.ask(s)
		case <-ctx.Done():
		}
		cancel()
	}
	if p.site.Static() && st.Result == nil {
		// Nothing to show is an error of an export, not a page.
		if st.Err == nil {
			st.Err = context.Cause(r.Context())
		}
		p.room.Error(w, r, http.StatusInternalServerError, section, fmt.Sprintf("The numbers could not be computed: %v.", st.Err))
		return
	}
	v := p.view(r.Context(), d, s, st)
	status := http.StatusOK
	switch {
	case v.Waiting && v.Problem == "":
		w.Header().Set("Refresh", "2") // for those without scripts
	case st.Result == nil:
		status = http.StatusServiceUnavailable
	}
	p.room.Render(w, r, page.Page{
		Title: "Leaderboard", Section: section, Path: here(d), Template: "leaderboard", Data: v, Status: status, Wide: true,
		Scripts: []string{"assets/chart.js", "leaderboard/charts.js", "leaderboard/leaderboard.js"},
		Styles:  []string{"leaderboard/leaderboard.css"},
	})
}

// settings are those of the address; a static site has the default ones.
func (p *Pages) settings(r *http.Request) settings {
	if p.site.Static() {
		return settings{}
	}
	return parseSettings(r.URL.Query())
}

// progress says how far the numbers of a page are.
func (p *Pages) progress(w http.ResponseWriter, r *http.Request) {
	st := p.board.ask(p.settings(r))
	out := struct {
		progress
		Running bool   `json:"running"`
		Ready   bool   `json:"ready"`
		At      int64  `json:"at"`
		Err     string `json:"err,omitempty"`
	}{Running: st.Job != nil, Ready: st.Result != nil}
	if st.Job != nil {
		out.progress = p.board.progressOf(st.Job)
	}
	if st.Result != nil {
		out.At = st.Result.at.UnixNano()
	}
	if st.Err != nil {
		out.Err = st.Err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(out) // a client that is gone
}

// result returns the numbers for a file, which is answered once they are there.
func (p *Pages) result(w http.ResponseWriter, r *http.Request) *result {
	p.lib.Touch()
	out, err := p.board.wait(r.Context(), p.settings(r))
	if err != nil {
		p.room.Error(w, r, http.StatusServiceUnavailable, section, fmt.Sprintf("The numbers could not be computed: %v.", err))
		return nil
	}
	return out
}

// send answers with a file to keep.
func (p *Pages) send(w http.ResponseWriter, r *http.Request, kind, name string, write func(io.Writer) error) {
	var body bytes.Buffer
	if err := write(&body); err != nil {
		p.site.Log().Error("a file of the leaderboard could not be written", "name", name, "error", err)
		p.room.Error(w, r, http.StatusInternalServerError, section, "This file could not be written; the log of mlgym says more.")
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(body.Bytes()) // a client that is gone
}

func (p *Pages) json(w http.ResponseWriter, r *http.Request) {
	if res := p.result(w, r); res != nil {
		p.send(w, r, "application/json", "report.json", res.report.WriteJSON)
	}
}

func (p *Pages) table(w http.ResponseWriter, r *http.Request, d report.Definition) {
	res := p.result(w, r)
	if res == nil {
		return
	}
	file := r.PathValue("file")
	ext := path.Ext(file)
	t := res.table(strings.TrimSuffix(file, ext), d)
	if t == nil {
		p.room.Error(w, r, http.StatusNotFound, section, "There is no such table.")
		return
	}
	switch ext {
	case ".csv":
		p.send(w, r, "text/csv; charset=utf-8", file, t.WriteCSV)
	case ".md":
		p.send(w, r, "text/markdown; charset=utf-8", file, t.WriteMarkdown)
	case ".tex":
		p.send(w, r, "application/x-tex", file, t.WriteLaTeX)
	default:
		p.room.Error(w, r, http.StatusNotFound, section, "Tables are there as .csv, .md and .tex.")
	}
}

func (p *Pages) figure(w http.ResponseWriter, r *http.Request, d report.Definition) {
	res := p.result(w, r)
	if res == nil {
		return
	}
	file := r.PathValue("file")
	ext := path.Ext(file)
	name := strings.TrimSuffix(file, ext)
	i := slices.IndexFunc(res.figures, func(f *report.Figure) bool { return f.Name == name && f.Definition == d })
	if i < 0 {
		p.room.Error(w, r, http.StatusNotFound, section, "There is no such figure.")
		return
	}
	f := res.figures[i]
	draw := func(format plot.Format) func(io.Writer) error {
		return func(w io.Writer) error { return f.Chart.Write(w, format) }
	}
	switch ext {
	case ".svg":
		p.send(w, r, "image/svg+xml", file, draw(plot.SVG))
	case ".png":
		p.send(w, r, "image/png", file, draw(plot.PNG))
	case ".pdf":
		p.send(w, r, "application/pdf", file, draw(plot.PDF))
	case ".csv":
		p.send(w, r, "text/csv; charset=utf-8", file, f.Numbers.WriteCSV)
	default:
		p.room.Error(w, r, http.StatusNotFound, section, "Figures are there as .svg, .png, .pdf and .csv.")
	}
}

// table finds the table that a file holds: the one that `mlgym report` writes under
// this name, else the one of its page. Tables of no definition lie where the published
// ones do.
func (res *result) table(name string, d report.Definition) *report.Table {
	fits := func(t *report.Table) bool {
		return t.Name == name && (t.Definition == d || t.Definition == "" && d == report.MLGym)
	}
	if i := slices.IndexFunc(res.tables, fits); i >= 0 {
		return res.tables[i]
	}
	for _, s := range res.sections {
		if i := slices.IndexFunc(s.Tables, fits); i >= 0 {
			return s.Tables[i]
		}
	}
	return nil
}

// view is what the page shows.
type view struct {
	Definition report.Definition
	Settings   settings
	// Published and Corrected lead to the same page in the other definition, All and
	// Without to it with and without flagged runs, Plain to it without any filter.
	Published, Corrected, All, Without, Plain link
	Tasks, Models                             []option
	Modes                                     []option
	Variants                                  []option
	Filtered                                  bool
	Live                                      bool // the charting library is there
	Libraries                                 bool // and the text of its licence
	Waiting                                   bool // there are no numbers yet
	Newer                                     bool // newer ones are being computed
	Stale                                     bool
	Progress                                  progress
	At                                        time.Time
	AtNano                                    int64
	Took                                      time.Duration
	Problem                                   string
	Notices                                   []string
	Apart                                     []apart
	Runs                                      int
	Flagged                                   int
	Empty                                     bool
	Sections                                  []sectionView
	JSON                                      link
	ProgressSource                            link
}

// option is a value that can be chosen.
type option struct {
	ID, Name string
	Runs     int
	On       bool
}

// apart is a variant that stands in a table of its own.
type apart struct {
	Variant string
	Runs    int
	Show    link
}

type sectionView struct {
	ID, Title, Text string
	Folded          bool
	Tables          []tableView
	Figures         []figureView
}

type tableView struct {
	ID, Title, About, Definition string
	Header                       []headCell
	Rows                         [][]cell
	Files                        []download
}

// download is a file that a table or figure is offered as.
type download struct {
	Name string
	link
}

type headCell struct {
	Text string
	Num  bool
}

type cell struct {
	Text        string
	Num, Strong bool
	Long        bool
	Run         string // key of the run that is named
	Step        string
}

type figureView struct {
	ID, Name, Title, Definition string
	Chart                       *chart
	Words                       []words
	Data                        string // id of the data block
	SVG                         link
	Files                       []download
}

var definitionNames = map[report.Definition]string{report.MLGym: "as published", report.Corrected: "corrected"}

func (p *Pages) view(ctx context.Context, d report.Definition, s settings, st state) *view {
	to := func(where string, with settings) link { return link{p.site, where, with.query()} }
	other := s
	other.Clean = !s.Clean
	v := &view{
		Definition: d, Settings: s,
		Published: to(here(report.MLGym), s), Corrected: to(here(report.Corrected), s), Plain: to(here(d), settings{}),
		All: to(here(d), s), Without: to(here(d), s), JSON: to("leaderboard/report.json", s),
		ProgressSource: to("leaderboard/progress", s),
		Live:           p.site.HasAsset("assets/chart.js"), Libraries: p.site.HasAsset("assets/LICENSES.txt"),
		Waiting: st.Result == nil, Stale: st.Result != nil && st.Stale, Newer: st.Result != nil && st.Job != nil,
	}
	if s.Clean {
		v.All = to(here(d), other)
	} else {
		v.Without = to(here(d), other)
	}
	if st.Err != nil {
		v.Problem = st.Err.Error()
	}
	if st.Job != nil {
		v.Progress = p.board.progressOf(st.Job)
	}
	v.Filtered = s.query() != ""
	if st.Result != nil {
		p.fill(ctx, v, st.Result)
	}
	return v
}

// fill takes in the numbers.
func (p *Pages) fill(ctx context.Context, v *view, res *result) {
	v.At, v.AtNano, v.Took = res.at, res.at.UnixNano(), res.took
	v.Runs, v.Flagged, v.Empty = res.report.Runs.Used, res.flagged, res.report.Runs.Used == 0
	v.Notices = slices.Concat(res.unknown, res.chosen.Problems)
	for _, t := range res.allTasks {
		v.Tasks = append(v.Tasks, option{ID: t.ID, Name: t.Name, On: slices.Contains(v.Settings.Tasks, t.ID)})
	}
	for _, m := range res.allModels {
		v.Models = append(v.Models, option{ID: m.ID, Name: m.Name, On: slices.Contains(v.Settings.Models, m.ID)})
	}
	counted := func(counts []search.Count, chosen string) (out []option) {
		for _, c := range counts {
			out = append(out, option{ID: c.Value, Name: c.Value, Runs: c.Runs, On: c.Value == chosen})
		}
		return out
	}
	v.Modes, v.Variants = counted(res.chosen.Modes, v.Settings.Mode), counted(res.chosen.Variants, v.Settings.Variant)
	for _, c := range res.chosen.Apart {
		with := v.Settings
		with.Variant = c.Value
		v.Apart = append(v.Apart, apart{c.Value, c.Runs, link{p.site, here(v.Definition), with.query()}})
	}
	runs := p.runKeys(ctx, res)
	for _, s := range res.sections {
		if v.Empty && s.ID != "left-out" {
			continue
		}
		sv := sectionView{ID: s.ID, Title: s.Title, Text: s.Text, Folded: s.Folded}
		for _, t := range s.Tables {
			if shown(t.Definition, v.Definition, t.Name, s.Tables, func(t *report.Table) (string, report.Definition) { return t.Name, t.Definition }) {
				sv.Tables = append(sv.Tables, p.tableView(t, v.Settings, runs))
			}
		}
		for _, f := range s.Figures {
			if shown(f.Definition, v.Definition, f.Name, s.Figures, func(f *report.Figure) (string, report.Definition) { return f.Name, f.Definition }) {
				sv.Figures = append(sv.Figures, p.figureView(f, v.Settings))
			}
		}
		if s.Text != "" || len(sv.Tables)+len(sv.Figures) > 0 {
			v.Sections = append(v.Sections, sv)
		}
	}
}

// shown says whether a table or figure belongs on a page: of those that are there in
// both definitions the page's own, and all that are there in one.
func shown[T any](have, want report.Definition, name string, all []T, of func(T) (string, report.Definition)) bool {
	if have == "" || have == want {
		return true
	}
	return !slices.ContainsFunc(all, func(t T) bool {
		n, d := of(t)
		return n == name && d == want
	})
}

// runKeys are the keys of the runs that tables name, by id.
func (p *Pages) runKeys(ctx context.Context, res *result) map[string]string {
	keys := map[string]string{}
	if res.report.Audit == nil {
		return keys
	}
	paths := map[string]string{}
	for _, row := range res.report.Rows {
		paths[row.ID] = row.Path
	}
	const most = 300
	for _, found := range slices.Concat(res.report.Audit.Flagged, res.report.Audit.Remarked) {
		key := p.lib.Key(paths[found.Run])
		if len(keys) >= most {
			break
		}
		// A link has to lead somewhere.
		if _, err := p.lib.Entry(ctx, key); err == nil {
			keys[found.Run] = string(key)
		}
	}
	return keys
}

// longCell is from how many bytes on a cell may be broken anywhere.
const longCell = 40

func (p *Pages) tableView(t *report.Table, s settings, runs map[string]string) tableView {
	base := folder("tables", t.Definition) + t.Name
	file := func(ext string) link { return link{p.site, base + ext, s.query()} }
	v := tableView{
		ID: "table-" + t.Name, Title: t.Title, About: t.About, Definition: definitionNames[t.Definition],
		Files: []download{{"CSV", file(".csv")}, {"Markdown", file(".md")}, {"LaTeX", file(".tex")}},
	}
	text := max(t.Text, 1)
	for i, h := range t.Header {
		v.Header = append(v.Header, headCell{h, i >= text})
	}
	names := len(t.Header) > 3 && t.Header[0] == "run" && t.Header[3] == "step"
	run := ""
	for i, row := range t.Rows {
		var cells []cell
		for j, c := range row {
			cells = append(cells, cell{Text: c, Num: j >= text, Strong: t.Strong[[2]int{i, j}], Long: len(c) > longCell})
		}
		if names && len(cells) > 3 {
			if row[0] != "" {
				run = runs[row[0]]
				cells[0].Run = run
			}
			if row[3] != "" {
				cells[3].Run, cells[3].Step = run, row[3]
			}
		}
		v.Rows = append(v.Rows, cells)
	}
	return v
}

func (p *Pages) figureView(f *report.Figure, s settings) figureView {
	base := folder("figures", f.Definition) + f.Name
	file := func(ext string) link { return link{p.site, base + ext, s.query()} }
	v := figureView{
		ID: "figure-" + f.Name, Name: f.Name, Title: f.Title, Definition: definitionNames[f.Definition], Chart: chartOf(f), Data: "chart-" + f.Name,
		SVG: file(".svg"), Files: []download{{"SVG", file(".svg")}, {"PNG", file(".png")}, {"PDF", file(".pdf")}, {"CSV", file(".csv")}},
	}
	if v.Chart != nil {
		v.Words = v.Chart.words()
	}
	return v
}
