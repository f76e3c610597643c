package runs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mlgym/search"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

// pageSize is how many runs a page lists. A static one lists all.
const pageSize = 100

// row is a run in the list.
type row struct {
	Key  record.Key
	Name string
	Task string
	// Who acted: the model, or the agent where there is none; How says more.
	Who, How string
	Seed     uint64
	// State in a word, Pill its colour, Exit how it ended.
	State, Pill, Exit string
	// Problem is a word for what is wrong, and Trouble all that is known of it.
	Problem, Trouble, TroublePill string

	Metric, Goal string
	Score        *float64
	Best         *float64
	Baseline     *float64
	// Against says how the score compares with the baseline: "better", "worse", "equal" or
	// "".
	Against string

	CostUSD   *float64
	Steps     int
	Tokens    string // short
	TokensIn  int64
	TokensOut int64
	Seconds   float64
	// Started is when the files changed last where Guessed is set.
	Started time.Time
	Guessed bool
	// Sorting are the plain values for a page that sorts by itself.
	Sorting map[string]string
}

func rowOf(e *record.Entry) row {
	r := row{
		Key: e.Key, Name: markup.Head(e.Name, 200), Task: markup.Head(e.Task, 80), Seed: e.Seed, State: string(e.State), Pill: pillOf(e.State),
		Exit: markup.Head(e.ExitStatus, 60), Metric: markup.Head(e.Metric, 40), Goal: goal(e), Score: e.Score, Best: e.Best, Baseline: e.Baseline,
		CostUSD: e.CostUSD, Steps: e.Steps, TokensIn: e.TokensIn, TokensOut: e.TokensOut, Tokens: short(e.TokensIn + e.TokensOut),
		Seconds: e.Seconds, Started: e.Started,
	}
	if r.Task == "" {
		r.Task = "(no task)"
	}
	r.Who, r.How = who(e)
	if r.Started.IsZero() {
		r.Started, r.Guessed = e.Modified, true
	}
	r.Against = against(e, e.Score)
	switch {
	case e.Fault != "":
		r.Problem, r.Trouble = "fault", e.Fault
	case e.Reason != "" && e.State == search.Broken:
		r.Problem, r.Trouble = "unreadable", e.Reason
	case e.Reason != "":
		r.Problem, r.Trouble, r.TroublePill = "incomplete", e.Reason, "warn"
	}
	if r.Problem != "" && r.TroublePill == "" {
		r.TroublePill = "bad"
	}
	r.Trouble = markup.Head(r.Trouble, 300)
	r.Sorting = map[string]string{
		"score": plain(first(e.Score, e.Best)), "best": plain(e.Best), "cost": plain(e.CostUSD), "tokens": strconv.FormatInt(e.TokensIn+e.TokensOut, 10),
		"started": strconv.FormatInt(r.Started.Unix(), 10), "seconds": strconv.FormatFloat(e.Seconds, 'g', -1, 64),
	}
	return r
}

func first(a, b *float64) *float64 {
	if a != nil {
		return a
	}
	return b
}

func plain(x *float64) string {
	if x == nil || math.IsNaN(*x) {
		return ""
	}
	return strconv.FormatFloat(*x, 'g', -1, 64)
}

// who says what acted in a run: its model, and with which agent and scaffold; or its
// agent, where it has no model.
func who(e *record.Entry) (who, how string) {
	agent := e.Agent
	if e.AgentName != "" && e.AgentName != e.Agent {
		agent = e.AgentName
	}
	var parts []string
	add := func(text string) {
		if text = markup.Head(text, 60); text != "" {
			parts = append(parts, text)
		}
	}
	who = markup.Head(e.Model, 60)
	if who == "" {
		who = markup.Head(agent, 60)
	} else {
		add(agent)
	}
	add(e.Scaffold)
	add(e.Mode)
	add(e.Variant)
	if who == "" {
		who = "(no agent)"
	}
	return who, strings.Join(parts, " · ")
}

func pillOf(s search.State) string {
	switch s {
	case search.Running:
		return "now"
	case search.Finished:
		return "good"
	case search.Cut:
		return "warn"
	case search.Broken:
		return "bad"
	default:
		return ""
	}
}

// goal is a sign for which scores are better.
func goal(e *record.Entry) string {
	switch e.Direction {
	case "maximize":
		return "↑"
	case "minimize":
		return "↓"
	default:
		return ""
	}
}

func against(e *record.Entry, score *float64) string {
	switch {
	case score == nil || e.Baseline == nil || e.Direction == "":
		return ""
	case e.Direction.Better(*score, *e.Baseline):
		return "better"
	case e.Direction.Better(*e.Baseline, *score):
		return "worse"
	default:
		return "equal"
	}
}

// short writes a large number with three digits.
func short(n int64) string {
	x := float64(n)
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10)
	case n < 999_500:
		return trim(x/1e3) + " k"
	case n < 999_500_000:
		return trim(x/1e6) + " M"
	default:
		return trim(x/1e9) + " G"
	}
}

func trim(x float64) string {
	switch {
	case x < 9.995:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < 99.95:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
}

// column is a column of the list.
type column struct {
	Title string
	// Sorts are the links in its head.
	Sorts []sortLink
	// Aria is the column's aria-sort, "" for none.
	Aria    string
	Numeric bool
	Class   string
}

type sortLink struct {
	ID, Title, Link string
	// Now says that the list is sorted by it, Arrow in which direction.
	Now   bool
	Arrow string
}

// columns of the list with what they can be sorted by.
func columns(c *choice) []column {
	text := map[search.Sort]bool{search.ByTask: true, search.ByModel: true, search.ByAgent: true, search.ByState: true}
	link := func(s search.Sort, title string) sortLink {
		next := *c
		next.sort, next.asc, next.page = s, text[s], 1
		l := sortLink{ID: string(s), Title: title}
		if c.sort == s {
			next.asc = !c.asc
			l.Now, l.Arrow = true, "▾"
			if c.asc {
				l.Arrow = "▴"
			}
		}
		l.Link = link("runs/", next.query())
		return l
	}
	list := []column{
		{Sorts: []sortLink{link(search.ByTask, "Task")}, Class: "what"},
		{Sorts: []sortLink{link(search.ByModel, "Model"), link(search.ByAgent, "agent")}, Class: "who"},
		{Title: "Seed", Numeric: true, Class: "seed"},
		{Sorts: []sortLink{link(search.ByState, "State")}, Class: "state"},
		{Sorts: []sortLink{link(search.ByScore, "Score")}, Numeric: true, Class: "score"},
		{Title: "Best", Numeric: true, Class: "best"},
		{Sorts: []sortLink{link(search.BySteps, "Steps")}, Numeric: true, Class: "steps"},
		{Sorts: []sortLink{link(search.ByCost, "Cost")}, Numeric: true, Class: "cost"},
		{Sorts: []sortLink{link(search.ByTokens, "Tokens")}, Numeric: true, Class: "tokens"},
		{Sorts: []sortLink{link(search.BySeconds, "Time")}, Numeric: true, Class: "seconds"},
		{Sorts: []sortLink{link(search.ByStart, "Started")}, Class: "started"},
	}
	for i := range list {
		for _, s := range list[i].Sorts {
			switch {
			case s.Now && c.asc:
				list[i].Aria = "ascending"
			case s.Now:
				list[i].Aria = "descending"
			}
		}
	}
	return list
}

// listed is the part of the list's page that a script replaces.
type listed struct {
	Columns []column
	Rows    []row
	// Total runs that the choice lets pass, of which From to To are shown.
	Total, From, To int
	Filtered        bool
	// Hints say what might have been meant where nothing is found.
	Hints      []string
	Generation int64
	Reading    bool
	Page       int
	Pages      int
	Prev, Next string
	// Elsewhere searches the texts of steps for what was typed.
	Elsewhere string
	// Compare is the path of the comparison of all, in a static site.
	Compare string
}

// listPage is the whole page.
type listPage struct {
	listed
	Choice   choiceForm
	Facets   []facet
	Chips    []chip
	Clear    string
	Progress news
	Query    string // of this page, for the script
}

// choiceForm is what a form has beside the facets.
type choiceForm struct {
	Text, Sort, Order string
}

// read reads the runs of a choice. A list that shrank meanwhile ends with its last
// page.
func (p *Pages) read(r *http.Request, c *choice) (listed, error) {
	// Before the runs: what changes while they are read shows again.
	now := newsOf(p.lib.Progress())
	out := listed{Columns: columns(c), Filtered: c.filtered(), Generation: now.Generation, Reading: now.Reading}
	q := search.RunQuery{Filter: c.filter(""), Sort: c.sort, Ascending: c.asc, Limit: pageSize, Offset: (c.page - 1) * pageSize}
	q.Contains = c.text
	if p.site.Static() {
		q.Limit, q.Offset = 0, 0
	}
	entries, total, err := p.lib.Runs(r.Context(), q)
	if err == nil && len(entries) == 0 && total > 0 && q.Offset > 0 {
		c.page = (total + pageSize - 1) / pageSize
		q.Offset = (c.page - 1) * pageSize
		entries, total, err = p.lib.Runs(r.Context(), q)
	}
	if err != nil {
		return out, err
	}
	out.Total, out.Page = total, c.page
	out.Rows = make([]row, len(entries))
	for i := range entries {
		out.Rows[i] = rowOf(&entries[i])
	}
	if len(entries) > 0 {
		out.From, out.To = q.Offset+1, q.Offset+len(entries)
	}
	if p.site.Static() {
		if n := len(entries); 2 <= n && n <= maxCompared {
			out.Compare = "compare/" + joinKeys(entries) + "/"
		}
		return out, nil
	}
	out.Pages = (total + pageSize - 1) / pageSize
	to := func(page int) string {
		next := *c
		next.page = page
		return link("runs/", next.query())
	}
	if c.page > 1 {
		out.Prev = to(c.page - 1)
	}
	if c.page < out.Pages {
		out.Next = to(c.page + 1)
	}
	if c.text != "" {
		other := *c
		other.sort, other.asc, other.page = search.ByStart, false, 1
		out.Elsewhere = link("search/", other.query())
	}
	if total == 0 && out.Filtered {
		out.Hints = p.hints(r, c)
	}
	return out, nil
}

func joinKeys(entries []record.Entry) string {
	keys := make([]string, len(entries))
	for i := range entries {
		keys[i] = string(entries[i].Key)
	}
	return strings.Join(keys, ",")
}

// hints tells of chosen values that no run has.
func (p *Pages) hints(r *http.Request, c *choice) []string {
	v, err := p.lib.Values(r.Context(), search.Filter{})
	if err != nil {
		return nil // the list itself was read
	}
	var out []string
	for _, d := range dimensions {
		var known []string
		for _, o := range d.counts(&v) {
			known = append(known, o.Value)
			if outcome, _, ok := strings.Cut(o.Value, " ("); ok && d.name == "exit" {
				known = append(known, outcome)
			}
		}
		have := map[string]bool{}
		for _, k := range known {
			have[k] = true
		}
		for _, value := range c.values[d.name] {
			if !have[value] {
				out = append(out, fmt.Sprintf("No run has the %s %q%s", strings.ToLower(d.label), value, orDot(hint(value, known))))
			}
		}
	}
	return out
}

func orDot(hint string) string {
	if hint == "" {
		return "."
	}
	return hint
}

func (p *Pages) list(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	q := r.URL.Query()
	if p.site.Static() {
		q = url.Values{}
	}
	c, err := readChoice(q)
	if err != nil {
		p.fail(w, r, runsSection, err)
		return
	}
	data := listPage{Progress: newsOf(p.lib.Progress())}
	if data.listed, err = p.read(r, &c); err != nil {
		p.fail(w, r, runsSection, err)
		return
	}
	if !p.site.Static() {
		if data.Facets, err = p.listFacets(r.Context(), &c); err != nil {
			p.fail(w, r, runsSection, err)
			return
		}
		data.Chips = chips(&c, "runs/", "")
		plain := choice{sort: c.sort, asc: c.asc, page: 1}
		data.Clear = link("runs/", plain.query())
		data.Query = c.query()
	}
	data.Choice = choiceForm{Text: c.text}
	if c.sort != search.ByStart {
		data.Choice.Sort = string(c.sort)
	}
	if c.asc {
		data.Choice.Order = "asc"
	}
	p.room.Render(w, r, page.Page{
		Title: "Runs", Section: runsSection, Path: "runs/", Template: "runs", Data: data,
		Scripts: []string{"runs/progress.js", "runs/runs.js"}, Styles: []string{"runs/runs.css"}, Wide: true,
	})
}

// listPart answers with the table alone, for the script.
func (p *Pages) listPart(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	c, err := readChoice(r.URL.Query())
	var data listed
	if err == nil {
		data, err = p.read(r, &c)
	}
	p.part(w, r, "list", data, err)
}

// filtersPart answers with the fields of the form alone.
func (p *Pages) filtersPart(w http.ResponseWriter, r *http.Request) {
	c, err := readChoice(r.URL.Query())
	var data []facet
	if err == nil {
		data, err = p.listFacets(r.Context(), &c)
	}
	p.part(w, r, "facets", data, err)
}

func (p *Pages) listFacets(ctx context.Context, c *choice) ([]facet, error) {
	return p.facets(ctx, c, func(f *search.Filter) { f.Contains = c.text })
}

// part answers with a part of a page, or says why there is none.
func (p *Pages) part(w http.ResponseWriter, r *http.Request, template string, data any, err error) {
	if err != nil {
		status := http.StatusInternalServerError
		if _, ok := errors.AsType[requestError](err); ok {
			status = http.StatusBadRequest
		}
		http.Error(w, sentence(err.Error()), status)
		return
	}
	p.room.Fragment(w, r, template, data)
}

// choose goes to the comparison of the runs that were chosen in a list.
func (p *Pages) choose(w http.ResponseWriter, r *http.Request) {
	var keys []string
	for _, k := range r.URL.Query()["run"] {
		keys = append(keys, strings.Split(k, ",")...)
	}
	if len(keys) == 0 {
		p.room.Error(w, r, http.StatusBadRequest, runsSection, "Choose two to six runs in the list of runs (tick them, or press x), then press Compare.")
		return
	}
	list, err := readKeys(strings.Join(keys, ","))
	if err != nil {
		p.fail(w, r, runsSection, err)
		return
	}
	http.Redirect(w, r, p.site.URL("compare/"+strings.Join(words(list), ",")+"/"), http.StatusSeeOther)
}
