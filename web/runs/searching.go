package runs

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mlgym/search"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
)

// How many steps a page of what was found has, and how many of them of one run. In
// one run alone all are listed.
const (
	foundSize   = 50
	foundPerRun = 5
)

// searchPage is what the page of a search is made of.
type searchPage struct {
	Choice   choiceForm
	In       string
	Ins      []search.Field
	Facets   []facet
	Chips    []chip
	Clear    string
	Filtered bool
	Progress news
	// All is how many runs there are.
	All int
	// Only is the run in which alone is searched.
	Only *row
	// Everywhere is the link to the same search in all runs.
	Everywhere string

	// Asked says that something was looked for.
	Asked bool
	Runs  []foundRun
	// Steps and In are how many were found, About that they are not counted exactly.
	Steps, InRuns int
	About         bool
	Took          time.Duration
	Next, Start   string
	Hints         []string
	// Last is set on a page beyond the last hit.
	Beyond bool
}

// foundRun is a run with what was found in it.
type foundRun struct {
	row
	InRun int
	// More is the search in this run alone, "" where all is shown.
	More string
	Hits []foundStep
}

type foundStep struct {
	Step     int
	Link     string
	Snippets []snippet
}

// snippet is a text in pieces, some of which are marked.
type snippet struct {
	Field         search.Field
	Pieces        []piece
	Before, After bool
}

type piece struct {
	Text   template.HTML
	Marked bool
}

// pieces cuts a snippet at its marks. Marks that do not fit are left out.
func pieces(s search.Snippet) snippet {
	out := snippet{Field: s.Field, Before: s.Before, After: s.After}
	at := 0
	put := func(to int, marked bool) {
		if to > at {
			out.Pieces = append(out.Pieces, piece{markup.Plain(s.Text[at:to]), marked})
			at = to
		}
	}
	for _, m := range s.Marks {
		if m.Start < at || m.End < m.Start || m.End > len(s.Text) {
			continue
		}
		put(m.Start, false)
		put(m.End, true)
	}
	put(len(s.Text), false)
	return out
}

func (p *Pages) search(w http.ResponseWriter, r *http.Request) {
	p.lib.Touch()
	q := r.URL.Query()
	c, err := readChoice(q)
	if err != nil {
		p.fail(w, r, searchSection, err)
		return
	}
	data := searchPage{
		Progress: newsOf(p.lib.Progress()), Choice: choiceForm{Text: c.text}, In: q.Get("in"), Ins: search.Fields(), Filtered: c.filtered(),
	}
	if data.In != "" && !slices.Contains(search.Fields(), search.Field(data.In)) {
		p.fail(w, r, searchSection, badf("in=%q is none of action, thought, observation%s", data.In, hint(data.In, words(search.Fields()))))
		return
	}
	if !utf8.ValidString(c.text) {
		c.text = strings.ToValidUTF8(c.text, "\uFFFD")
	}
	if err := p.find(r, &c, &data); err != nil {
		p.fail(w, r, searchSection, err)
		return
	}
	title := "Search"
	if c.text != "" {
		title = markup.Head(c.text, 40) + " · Search"
	}
	p.room.Render(w, r, page.Page{
		Title: title, Section: searchSection, Path: "search/", Template: "search", Data: data,
		Scripts: []string{"runs/progress.js", "runs/search.js"}, Styles: []string{"runs/runs.css"},
	})
}

// find fills in what was found, and the form.
func (p *Pages) find(r *http.Request, c *choice, data *searchPage) error {
	q := r.URL.Query()
	asked := search.Query{Text: c.text, In: search.Field(data.In), Filter: c.filter(""), Limit: foundSize, PerRun: foundPerRun, After: q.Get("after")}
	base := url.Values{}
	if data.In != "" {
		base.Set("in", data.In)
	}
	var narrow func(*search.Filter)
	if only := q.Get("run"); only != "" {
		keys, err := readKeys(only)
		if err != nil {
			return err
		}
		entry, err := p.lib.Entry(r.Context(), keys[0])
		if err != nil {
			return err
		}
		only := rowOf(&entry)
		data.Only = &only
		data.Everywhere = link("search/", join(base.Encode(), c.query()))
		base.Set("run", string(entry.Key))
		narrow = func(f *search.Filter) { f.Roots = []string{entry.Path} }
		narrow(&asked.Filter)
		asked.PerRun = 0
	}
	var err error
	if data.Facets, err = p.facets(r.Context(), c, narrow); err != nil {
		return err
	}
	data.Chips = chips(c, "search/", base.Encode())
	data.Clear = "search/"
	if c.text != "" {
		data.Clear += "?q=" + url.QueryEscape(c.text)
	}
	if c.text == "" {
		f := c.filter("")
		if narrow != nil {
			narrow(&f)
		}
		_, data.All, err = p.lib.Runs(r.Context(), search.RunQuery{Filter: f, Limit: 1})
		return err
	}
	data.Asked = true
	begin := time.Now()
	found, err := p.lib.Search(r.Context(), asked)
	if err != nil {
		return err
	}
	data.Took = time.Since(begin)
	data.Steps, data.InRuns, data.About = found.Steps, found.Runs, !found.Exact
	data.Runs = p.group(found.Hits, c, base)
	here := join(base.Encode(), c.query())
	if found.Next != "" {
		data.Next = link("search/", here+"&after="+url.QueryEscape(found.Next))
	}
	if asked.After != "" {
		data.Start = link("search/", here)
		data.Beyond = len(found.Hits) == 0
	}
	if found.Steps == 0 {
		data.Hints = p.hints(r, c)
	}
	return nil
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// group puts hits of one run together.
func (p *Pages) group(hits []search.Hit, c *choice, base url.Values) []foundRun {
	var out []foundRun
	var last *search.Run
	for _, h := range hits {
		if h.Run != last {
			last = h.Run
			key := p.lib.Key(h.Run.Path)
			entry := record.Entry{Key: key, Name: h.Run.ID, Run: *h.Run}
			run := foundRun{row: rowOf(&entry), InRun: h.InRun}
			if base.Get("run") == "" {
				in := url.Values{"run": {string(key)}}
				if v := base.Get("in"); v != "" {
					in.Set("in", v)
				}
				text := choice{text: c.text, sort: search.ByStart, page: 1}
				run.More = link("search/", join(in.Encode(), text.query()))
			}
			out = append(out, run)
		}
		run := &out[len(out)-1]
		step := foundStep{Step: h.Step, Link: p.stepPage(run.Key, h.Step)}
		for _, s := range h.Snippets {
			step.Snippets = append(step.Snippets, pieces(s))
		}
		run.Hits = append(run.Hits, step)
	}
	for i := range out {
		if out[i].InRun <= len(out[i].Hits) {
			out[i].More = ""
		}
	}
	return out
}
