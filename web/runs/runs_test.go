package runs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mlgym/report"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
	"mlgym/web/runs"
	"mlgym/web/webtest"
)

// published is where MLGym's published runs lie, beside the repository.
const published = "../../../shared/evaluation/runs/trajectories"

func metric(task string) (string, runstore.Direction) {
	t, ok := report.MLGymBench().Task(task)
	if !ok {
		return "", ""
	}
	return t.Metric, runstore.Direction(t.DirectionName)
}

// view is a site over the runs of some folders.
type view struct {
	tb  testing.TB
	lib *record.Library
	mux *http.ServeMux
}

func open(tb testing.TB, static bool, roots ...string) *view {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	x, err := search.Open(ctx, tb.TempDir(), search.Options{Metric: metric})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := x.Close(); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(cancel)
	lib := record.NewLibrary(record.LibraryOptions{Roots: roots, Index: x, Metric: metric})
	lib.Start(ctx)
	tb.Cleanup(lib.Close)
	if err := lib.Wait(ctx); err != nil {
		tb.Fatal(err)
	}
	site := page.New(page.Options{Static: static, Sections: []page.Section{{ID: "runs", Path: "runs/", Title: "Runs"}, {ID: "search", Path: "search/", Title: "Search"}}})
	site.AddAsset("markup/markup.css", markup.CSS())
	v := &view{tb: tb, lib: lib, mux: http.NewServeMux()}
	runs.New(site, lib).Register(v.mux)
	return v
}

func (v *view) key(dir string) string { return string(v.lib.Key(dir)) }

func (v *view) get(path string) *httptest.ResponseRecorder {
	v.tb.Helper()
	w := httptest.NewRecorder()
	v.mux.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/"+path, http.NoBody))
	return w
}

// page asks for a path that has to be answered.
func (v *view) page(path string) string {
	v.tb.Helper()
	w := v.get(path)
	if w.Code != http.StatusOK {
		v.tb.Fatalf("GET %s: status %d: %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// refused asks for a path that has to be refused with a page that says why.
func (v *view) refused(path string, status int, wants ...string) {
	v.tb.Helper()
	w := v.get(path)
	if w.Code != status {
		v.tb.Errorf("GET %s: status %d, want %d", path, w.Code, status)
	}
	text := html.UnescapeString(w.Body.String())
	for _, want := range wants {
		if !strings.Contains(text, want) {
			v.tb.Errorf("GET %s: there is no %q in %s", path, want, text)
		}
	}
}

func nodes(tb testing.TB, body string) func(func(*html.Node) bool) {
	tb.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	return func(yield func(*html.Node) bool) {
		for n := range doc.Descendants() {
			if n.Type == html.ElementNode && !yield(n) {
				return
			}
		}
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// textOf is the text of an element, with spaces around what stands in lines or cells of
// its own.
func textOf(n *html.Node) string {
	var out strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode:
			out.WriteString(d.Data)
		case d.Type == html.ElementNode && strings.Contains(" div p li h1 h2 td th tr span option ", " "+d.Data+" "):
			out.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

// byID is the text of an element.
func byID(tb testing.TB, body, id string) string {
	tb.Helper()
	for n := range nodes(tb, body) {
		if attr(n, "id") == id {
			return textOf(n)
		}
	}
	tb.Errorf("there is no element %q", id)
	return ""
}

func link(tb testing.TB, body, id string) string {
	tb.Helper()
	for n := range nodes(tb, body) {
		if attr(n, "id") == id {
			return attr(n, "href")
		}
	}
	tb.Errorf("there is no element %q", id)
	return ""
}

// keys are the runs that a page lists, in order.
func keys(tb testing.TB, body string) []string {
	tb.Helper()
	var out []string
	for n := range nodes(tb, body) {
		if k := attr(n, "data-run"); k != "" {
			out = append(out, k)
		}
	}
	return out
}

// texts are those of the elements of a class.
func texts(tb testing.TB, body, class string) []string {
	tb.Helper()
	var out []string
	for n := range nodes(tb, body) {
		if slices.Contains(strings.Fields(attr(n, "class")), class) {
			out = append(out, textOf(n))
		}
	}
	return out
}

func has(tb testing.TB, body string, wants ...string) {
	tb.Helper()
	for _, want := range wants {
		if !strings.Contains(body, want) {
			tb.Errorf("there is no %q in %.4000s", want, body)
		}
	}
}

func TestList(t *testing.T) {
	root := t.TempDir()
	webtest.Many(t, root, 230)
	v := open(t, false, root)
	all := func(query string) []string {
		t.Helper()
		return keys(t, v.page("runs/"+query))
	}
	dir := func(i int) string { return v.key(filepath.Join(root, fmt.Sprintf("run-%05d", i))) }

	first := v.page("runs/")
	if got := keys(t, first); len(got) != 100 || got[0] != dir(229) || got[99] != dir(130) {
		t.Errorf("the first page has %d runs, from %s to %s; want the 100 youngest", len(got), got[0], got[len(got)-1])
	}
	if got := byID(t, first, "count"); got != "1 to 100 of 230 runs" {
		t.Errorf("the count says %q", got)
	}
	has(t, first, `href="/runs/?page=2"`, `<option value="task3">task3 (46)</option>`)
	if got := all("?page=3"); len(got) != 30 || got[29] != dir(0) {
		t.Errorf("the third page has %d runs", len(got))
	}
	// A list that shrank shows its last page.
	if got := byID(t, v.page("runs/?page=900"), "count"); got != "201 to 230 of 230 runs" {
		t.Errorf("a page beyond the end says %q", got)
	}
	if got := all("?sort=started&order=asc"); got[0] != dir(0) {
		t.Error("the oldest run is not the first")
	}
	// Runs 99 and 199 have the best score; of equals the younger is first.
	best := v.page("runs/?sort=score")
	if got := keys(t, best); got[0] != dir(199) || got[1] != dir(99) {
		t.Errorf("the best runs are %v", got[:2])
	}
	for n := range nodes(t, best) {
		if sorted := attr(n, "aria-sort"); sorted != "" && (sorted != "descending" || attr(n, "data-column") != "score") {
			t.Errorf("column %q is sorted %q", attr(n, "data-column"), sorted)
		}
		if attr(n, "data-sort") == "score" && attr(n, "href") != "/runs/?sort=score&order=asc" {
			t.Errorf("the head of the sorted column leads to %q", attr(n, "href"))
		}
	}

	// Filters: within a field either value, of two fields both.
	chosen := v.page("runs/?task=task0&task=task1&model=model-a&sort=steps&mode=")
	if got := byID(t, chosen, "count"); got != "16 runs" {
		t.Errorf("the filter lets pass %q, want 16: those of 230 that are 0 or 6 modulo 30", got)
	}
	var fields []string
	for n := range nodes(t, chosen) {
		if n.Data == "input" && attr(n, "type") == "checkbox" && attr(n, "name") == "task" {
			fields = append(fields, attr(n, "value"))
		}
	}
	if !slices.Equal(fields, []string{"task0", "task1"}) {
		t.Errorf("the form keeps the tasks %v", fields)
	}
	// The counts of a field are those without it: what else could be chosen.
	one := v.page("runs/?model=model-a")
	has(t, one, `<option value="model-a" selected>model-a (39)</option>`, `<option value="model-b">model-b (39)</option>`, `<option value="task0">task0 (8)</option>`)
	has(t, one, `id="filter-clear" href="/runs/"`)
	if got := byID(t, v.page("runs/?q=RUN-0012"), "count"); !strings.HasPrefix(got, "10 runs") {
		t.Errorf("part of a name lets pass %q", got)
	}
	has(t, v.page("runs/?q=RUN-0012"), `href="/search/?q=RUN-0012"`)

	if !strings.Contains(one, strings.TrimSpace(v.page("runs/filters?model=model-a"))) {
		t.Error("the fields for the script are not those of the page")
	}
	// The part for the script is the table of the page.
	part := v.page("runs/fragment?sort=score")
	if !strings.Contains(best, part) || !strings.HasPrefix(part, `<div id="list-state" data-generation="`) {
		t.Error("the part is not what the page has")
	}
}

// TestPages asks for pages on runs of every kind. They are made once, which takes
// seconds.
func TestPages(t *testing.T) {
	root := t.TempDir()
	set := webtest.Make(t, root)
	worst := filepath.Join(root, `<script>alert(1)<`, `"'& `+"\x1b[31m\u202e\xff")
	hostileRun(t, worst)
	other := filepath.Join(root, "other")
	handedIn(t, other)
	v := open(t, false, root)
	for name, test := range map[string]func(*testing.T, *view, *webtest.Set){
		"rows": rowsOfTheList, "wrong addresses": wrongAddresses, "search": searches, "compare": compares, "beside": besideEachOther,
		"hostile": func(t *testing.T, v *view, set *webtest.Set) { hostileTexts(t, v, set, v.key(worst)) },  //nolint:thelper // a test
		"files":   func(t *testing.T, v *view, set *webtest.Set) { comparesFiles(t, v, set, v.key(other)) }, //nolint:thelper // a test
	} {
		t.Run(name, func(t *testing.T) {
			own := *v
			own.tb = t
			test(t, &own, set)
		})
	}
}

func rowsOfTheList(t *testing.T, v *view, set *webtest.Set) {
	t.Helper()
	body := v.page("runs/")
	row := map[string]string{}
	for n := range nodes(t, body) {
		if n.Data == "tr" && attr(n, "data-run") != "" {
			row[attr(n, "data-run")] = textOf(n)
		}
	}
	has(t, row[v.key(set.Good)], "battleOfSexes", "good model-a", "llm · hardened · full", "finished", "autosubmission (max_steps)", "1.3100 ▲ better than the baseline", "base 1.0200 ↑", "$0.01")
	has(t, row[v.key(set.Running)], "running")
	has(t, row[v.key(set.Torn)], "cut")
	has(t, row[v.key(set.Broken)], "broken", "unreadable")
	has(t, row[v.key(set.Empty)], "cut")
}

func TestListOfNothing(t *testing.T) {
	v := open(t, false, t.TempDir())
	has(t, byID(t, v.page("runs/"), "empty"), "There are no runs here yet.", "mlgym run")
	has(t, byID(t, v.page("runs/?task=x"), "empty"), "No run is as chosen.", `No run has the task "x".`)
	has(t, v.page("search/?q=x"), "Nothing was found")
}

func TestHints(t *testing.T) {
	root := t.TempDir()
	webtest.Many(t, root, 6)
	v := open(t, false, root)
	has(t, byID(t, v.page("runs/?task=tsak3&model=model-a"), "empty"), `No run has the task "tsak3"; did you mean "task3"`)
	has(t, html.UnescapeString(v.page("search/?q=ls&exit=autosubmision")), `No run has the exit "autosubmision"; did you mean "autosubmission"`)
}

// wrongAddresses asks for what is not there in every way that an address can be
// wrong.
func wrongAddresses(t *testing.T, v *view, set *webtest.Set) {
	t.Helper()
	good, better := v.key(set.Good), v.key(set.Better)
	two := "compare/" + good + "," + better + "/"
	for path, wants := range map[string][]string{
		"runs/?sort=scoer":                     {`cannot be sorted by "scoer"`, `did you mean "score"?`},
		"runs/?order=up":                       {`neither asc nor desc`},
		"runs/?page=0":                         {`no number of a page`},
		"runs/?page=x":                         {`no number of a page`},
		"runs/fragment?page=x":                 {`no number of a page`},
		"runs/filters?state=x":                 {`none of running, cut, finished, broken`},
		"runs/?state=runing":                   {`did you mean "running"?`},
		"runs/?q=" + strings.Repeat("x", 2001): {"shorten it"},
		"runs/?task=" + manyValues():           {"more than 200 values"},
		"search/?q=x&in=actoin":                {`did you mean "action"?`},
		"search/?q=ls&after=1.2":               {"from the first page"},
		"search/?q=ls&after=x":                 {"from the first page"},
		"search/?q=ls&state=dead":              {"none of running, cut, finished, broken"},
		"compare/":                             {"Choose two to six runs"},
		"compare/?run=" + good:                 nil, // goes on to the next
		"compare/" + good + "/":                {"needs two runs"},
		"compare/" + good + "," + good + "/":   {"needs two runs"},
		"compare/,/":                           {"No run is named"},
		two + "rows/0/":                        {"no number of a row"},
		two + "rows/99/":                       {"has 7 rows"},
		two + "step/1/":                        {"does not name two steps"},
		two + "step/-,-/":                      {"does not name two steps"},
		two + "step/x,1/":                      {"no number of a step"},
		two + "step/1,-2/":                     {"no number of a step"},
		"compare/" + strings.Join(sevenKeys(), ",") + "/": {"At most 6 runs"},
	} {
		status := http.StatusBadRequest
		if wants == nil {
			status = http.StatusSeeOther
		}
		v.refused(path, status, wants...)
	}
	for path, wants := range map[string][]string{
		"compare/" + good + ",aaaaaaaaaaaaaaaa/":       {"There is no such run", "list of runs"},
		"compare/" + good + ",../":                     {"no key of a run"},
		"compare/" + good + ",%3Cscript%3E/":           {"no key of a run"},
		"compare/" + good + ",AAAAAAAAAAAAAAAA/files/": {"no key of a run"},
		"search/?q=ls&run=aaaaaaaaaaaaaaaa":            {"There is no such run"},
		two + "step/99,1/":                             {"no such step"},
	} {
		v.refused(path, http.StatusNotFound, wants...)
	}
	// Of many keys one that is twice counts once.
	if got := byID(t, v.page("compare/"+good+","+better+","+good+"/"), "main"); !strings.HasPrefix(got, "Compare 2 runs") {
		t.Errorf("a key that is there twice makes %.40q", got)
	}
	if w := v.get("compare/?run=" + good + "&run=" + better); w.Header().Get("Location") != "/"+two {
		t.Errorf("what was chosen leads to %q, want %q", w.Header().Get("Location"), two)
	}
}

func manyValues() string {
	var list []string
	for i := range 201 {
		list = append(list, fmt.Sprint(i))
	}
	return strings.Join(list, "&task=")
}

func sevenKeys() []string {
	var list []string
	for c := range 7 {
		list = append(list, strings.Repeat(string(rune('a'+c)), 16))
	}
	return list
}

func searches(t *testing.T, v *view, set *webtest.Set) {
	t.Helper()
	body := v.page("search/?q=opponent+OR+%22other+one%22&in=thought&task=battleOfSexes")
	if got, want := keys(t, body), []string{v.key(set.Better), v.key(set.Good)}; !slices.Equal(got, want) {
		t.Fatalf("found in %v, want %v", got, want)
	}
	has(t, byID(t, body, "count"), "2 steps in 2 runs in ")
	has(t, body, `href="/runs/`+v.key(set.Better)+`/#step-3"`, `href="/runs/`+v.key(set.Good)+`/#step-4"`, "The <mark>opponent</mark> matters more.")
	if got := texts(t, body, "hit"); len(got) != 2 || !strings.HasPrefix(got[0], "step 3 thought") {
		t.Errorf("the hits are %q", got)
	}

	// Of a run with many hits some are shown, and the rest in a search of its own.
	body = v.page("search/?q=loss&in=observation&task=battleOfSexes")
	i := slices.Index(keys(t, body), v.key(set.Long))
	if i < 0 {
		t.Fatalf("the long run is not among %v", keys(t, body))
	}
	more := texts(t, body, "more")
	if len(more) == 0 || !strings.HasPrefix(more[0], "All ") {
		t.Fatalf("there is no link to all of a run: %q", more)
	}
	only := "search/?in=observation&run=" + v.key(set.Long) + "&q=loss"
	has(t, body, `href="/`+strings.ReplaceAll(only, "&", "&amp;")+`"`)
	seen := 0
	for path := only; path != ""; {
		body = v.page(path)
		if got := keys(t, body); len(got) != 1 {
			t.Fatalf("a search in one run found %v", got)
		}
		seen += len(texts(t, body, "hit"))
		path = ""
		for n := range nodes(t, body) {
			if attr(n, "rel") == "next" {
				path = strings.TrimPrefix(attr(n, "href"), "/")
			}
		}
		if seen > 100_000 {
			t.Fatal("the pages do not end")
		}
	}
	if want := strings.ReplaceAll(strings.Split(byID(t, body, "count"), " steps")[0], " ", ""); fmt.Sprint(seen) != want {
		t.Errorf("all pages together have %d steps, and the page says %s", seen, want)
	}
	has(t, body, "In one run only", "search all runs", "First page")

	has(t, byID(t, v.page("search/?q=nowhere+to+be+found"), "main"), "Nothing was found", "Try fewer words")
	help := v.page("search/")
	has(t, help, "What can be typed", `<details id="search-help" class="small" open>`)
	has(t, byID(t, help, "empty"), "of 13 runs")
	// Whatever is typed is no error.
	for _, text := range []string{`"`, "-", "OR", `"" OR *`, "*", "\x00", "\xff", "((", "a:b", strings.Repeat("a ", 900)} {
		v.page("search/?q=" + url.QueryEscape(text))
	}
}

// allowed are the elements that the templates, package markup, and a parser make.
var allowed = strings.Fields(`html head body meta title link script a header nav span button main footer div p h1 h2 h3 h4 h5 h6 dl dt dd
	details summary ul ol li pre code strong em del ins input label fieldset legend section form select option svg g path rect line circle polyline text figure figcaption
	article time table thead tbody tr th td kbd mark blockquote hr br progress`)

// harmless checks that a page has nothing that an agent brought into it.
func harmless(tb testing.TB, name, body string) {
	tb.Helper()
	for n := range nodes(tb, body) {
		if !slices.Contains(allowed, n.Data) {
			tb.Errorf("%s: there is an element %q", name, n.Data)
		}
		if n.Data == "script" && attr(n, "type") != "application/json" && !strings.HasPrefix(attr(n, "src"), "/static/") {
			tb.Errorf("%s: there is a script: %s", name, textOf(n))
		}
		for _, a := range n.Attr {
			value := strings.ToLower(strings.TrimSpace(a.Val))
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc":
				tb.Errorf("%s: there is an attribute %s=%q", name, a.Key, a.Val)
			case a.Key == "href" || a.Key == "src" || a.Key == "action":
				if (strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://")) && strings.Contains(attr(n, "rel"), "noopener") {
					continue // a link in Markdown, which nobody follows but the reader
				}
				if !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "#") || strings.HasPrefix(value, "//") {
					tb.Errorf("%s: %s of %s leads to %q", name, a.Key, n.Data, a.Val)
				}
			}
		}
	}
	for n := range nodes(tb, body) {
		shown := textOf(n) + attr(n, "title") + attr(n, "aria-label")
		if i := strings.IndexAny(shown, "\u202e\x07\x1b\x00"); i >= 0 {
			tb.Errorf("%s: a control character is not made visible: %q", name, shown[max(0, i-200):i+3])
			return
		}
	}
}

// hostileRun makes a run that holds hostile text wherever there is text.
func hostileRun(tb testing.TB, dir string) {
	tb.Helper()
	bad := webtest.Hostile
	e := webtest.Begin(tb, dir, runstore.Manifest{
		Task: bad, Model: bad, Agent: bad, AgentName: bad, Scaffold: bad, Mode: bad, Variant: bad, PrimaryMetric: bad,
	})
	e.Submission("1-validate", bad[:60]+"x", []byte("x"))
	e.Add(webtest.Step{Action: bad, Thought: bad, Observation: bad, Score: 1})
	e.Finish(1)
}

func hostileTexts(t *testing.T, v *view, set *webtest.Set, worst string) {
	t.Helper()
	bad, hostile, good := webtest.Hostile, v.key(set.Hostile), v.key(set.Good)
	escaped := url.QueryEscape(bad)
	for _, path := range []string{
		"runs/", "runs/fragment", "runs/?q=" + escaped, "runs/?task=" + escaped, "runs/?task=" + escaped + "&task=x&model=" + escaped, "runs/?sort=task&order=asc",
		"search/?q=pwned", "search/?q=pwned&run=" + worst, "search/?q=" + escaped, "search/?q=%22window.pwned%22&in=observation", "search/?q=zzz&exit=" + escaped,
		"compare/" + worst + "," + hostile + "," + good + "/", "compare/" + hostile + "," + worst + "/files/", "compare/" + worst + "," + good + "/files/",
		"compare/" + worst + "," + hostile + "/step/1,1/", "compare/" + worst + "," + hostile + "/step/1,2", "compare/" + worst + "," + hostile + "/step/0,0/",
	} {
		harmless(t, path, v.page(path))
	}
	for _, path := range []string{"runs/?sort=" + escaped, "search/?q=x&in=" + escaped, "compare/" + url.PathEscape(bad) + "/", "compare/" + good + "," + hostile + "/step/" + url.PathEscape(bad) + "/"} {
		w := v.get(path)
		if w.Code < 400 {
			t.Errorf("GET %s: status %d", path, w.Code)
		}
		harmless(t, path, w.Body.String())
	}
	if got := texts(t, v.page("search/?q=pwned&run="+hostile), "snippet"); len(got) == 0 || !strings.Contains(strings.Join(got, " "), "<script>window.pwned=1</script>") {
		t.Errorf("hostile text is not shown as text: %q", got)
	}
}

func compares(t *testing.T, v *view, set *webtest.Set) {
	t.Helper()
	good, better := v.key(set.Good), v.key(set.Better)
	body := v.page("compare/" + good + "," + better + "/")
	has(t, byID(t, body, "parting"), "The same up to step 2; they part at step 3.", "7 rows", "3 have the same action")
	if got := link(t, body, "part-link"); got != "/compare/"+good+","+better+"/#row-3" {
		t.Errorf("where they part is %q", got)
	}
	has(t, byID(t, body, "row-1"), "1 Bash ls -la", "other outcome")
	has(t, byID(t, body, "row-3"), "they part here")
	differs := map[string]bool{}
	fact := map[string]string{}
	for n := range nodes(t, body) {
		if id := attr(n, "data-fact"); id != "" {
			differs[id], fact[id] = attr(n, "class") == "differs", textOf(n)
		}
	}
	for id, want := range map[string]bool{"task": false, "model": true, "seed": true, "variant": false, "exit": false} {
		if differs[id] != want {
			t.Errorf("fact %s differs: %v, want %v", id, differs[id], want)
		}
	}
	if got, want := fact["score"], "Final score 1.3100 1.4400 (the best)"; got != want {
		t.Errorf("the scores are %q, want %q", got, want)
	}

	// The charts have the scores at their steps, and after the time that they took.
	var data struct {
		Level  *float64 `json:"level"`
		Series []struct {
			Label  string       `json:"label"`
			Points [][2]float64 `json:"points"`
			Titles []string     `json:"titles"`
		} `json:"series"`
	}
	charts := map[string]string{}
	for n := range nodes(t, body) {
		if id := attr(n, "id"); n.Data == "script" && strings.HasPrefix(id, "data-") {
			charts[id] = n.FirstChild.Data
		}
	}
	if err := json.Unmarshal([]byte(charts["data-scores-steps"]), &data); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(data.Series[0].Points, data.Series[1].Points, *data.Level), "[[3 1.02] [7 1.31] [7 1.31]] [[4 1.44] [4 1.44]] 1.02"; got != want {
		t.Errorf("the scores over steps are %s, want %s", got, want)
	}
	if got, want := data.Series[0].Titles[2], "A, step 7, submit: 1.31 (final)"; got != want {
		t.Errorf("a dot is called %q, want %q", got, want)
	}
	if err := json.Unmarshal([]byte(charts["data-scores-time"]), &data); err != nil {
		t.Fatal(err)
	}
	// Thinking took 2.1 + 1.4 + 0.9 seconds, acting 3 times 0.3.
	if got := data.Series[0].Points[0][0]; got < 5.29 || got > 5.31 {
		t.Errorf("the first validation was after %g s, want 5.3", got)
	}
	if charts["data-cost-steps"] == "" {
		t.Error("there is no chart of the costs")
	}
	has(t, byID(t, body, "score-table"), "A 3 5.3 s validate 1.0200 best so far", "B 4")
	// The baseline is drawn at its score, the drawing without a script too.
	has(t, body, `<svg viewBox="0 0 560 240" role="img" aria-label="Scores over steps">`, `class="level"`, "<title>A, step 7, validate: 1.31</title>")

	// The other order puts the other one on the left.
	has(t, body, `href="/compare/`+better+","+good+`/"`)
	has(t, byID(t, v.page("compare/"+better+","+good+"/"), "steps"), "Steps of A and B")

	// With others, facts of all and steps of the first two.
	all := v.page("compare/" + strings.Join([]string{good, better, v.key(set.Hostile), v.key(set.Running), v.key(set.Torn), v.key(set.Long)}, ",") + "/")
	if got := texts(t, all, "sides"); len(got) != 1 || !strings.Contains(got[0], "F battleOfSexes") {
		t.Errorf("the runs are %q", got)
	}
	has(t, all, "D goes on; load the page again to see more of it.")
	has(t, byID(t, all, "parting"), "The same up to step 2")

	// Runs that cannot be read are compared as far as they can.
	odd := v.page("compare/" + v.key(set.Broken) + "," + v.key(set.Empty) + "/")
	if got := texts(t, odd, "notice"); len(got) < 2 {
		t.Errorf("what is wrong is told as %q", got)
	}
	same := v.page("compare/" + v.key(set.Torn) + "," + v.key(set.Torn) + "," + v.key(set.Broken) + "/")
	has(t, byID(t, same, "aligned"), "1 Bash ls")
}

func besideEachOther(t *testing.T, v *view, set *webtest.Set) {
	t.Helper()
	two := "compare/" + v.key(set.Good) + "," + v.key(set.Better) + "/step/"
	body := v.page(two + "1,1/")
	has(t, body, "The thoughts are the same", "The actions are the same", "The observations differ", "strategy.py")
	if got := texts(t, body, "diffbox"); len(got) != 1 || !strings.Contains(got[0], "201 strategy.py") {
		t.Errorf("the differences are %q", got)
	}
	part := v.page(two + "7,4")
	has(t, part, "The actions are the same", "Your score: 1.31", "Your score: 1.44")
	if strings.Contains(part, "<html") || strings.Contains(part, ` id="`) {
		t.Error("the part is a page, or has ids, which could be twice in one")
	}
	has(t, v.page(two+"5,-/"), "no step here", "python strategy.py")
	has(t, v.page(two+"0,0/"), "A: start, B: start", "The observations are the same")

	// An output of 1.8 MB is folded, and what differs within bounds.
	long := v.page("compare/" + v.key(set.Long) + "," + v.key(set.Lines) + "/step/1,1/")
	has(t, long, "lines,", "They are too long to show how.", "/observation/1.txt")
	if len(long) > 200_000 {
		t.Errorf("the page of a long output has %d bytes", len(long))
	}
}

func TestLongRunsInPages(t *testing.T) {
	root := t.TempDir()
	var steps []webtest.Step
	for i := range 450 {
		steps = append(steps, webtest.Step{Action: fmt.Sprintf("echo %d", i), Observation: "x"})
	}
	for name, from := range map[string]int{"a": 0, "b": 0} {
		e := webtest.Begin(t, filepath.Join(root, name), runstore.Manifest{})
		own := slices.Clone(steps)
		if name == "b" {
			own[300].Action = "python x.py"
		}
		e.Add(own[from:]...)
		e.Finish(1)
	}
	v := open(t, false, root)
	base := "compare/" + v.key(filepath.Join(root, "a")) + "," + v.key(filepath.Join(root, "b")) + "/"
	body := v.page(base)
	has(t, byID(t, body, "parting"), "The same up to step 300")
	if got := link(t, body, "part-link"); got != "/"+base+"rows/201/#row-301" {
		t.Errorf("where they part is %q", got)
	}
	has(t, body, "200 steps with the same actions", "rows 1 to 200 of 450", "/"+base+"rows/201/#steps")
	body = v.page(base + "rows/201/")
	has(t, byID(t, body, "row-301"), "echo 300", "python x.py", "they part here")
	has(t, body, "100 steps with the same actions", "99 steps with the same actions")
	// Any row names its page.
	if got := v.page(base + "rows/305/"); got != body {
		t.Error("a row within a page has a page of its own")
	}
}

func TestLongActions(t *testing.T) {
	root := t.TempDir()
	long := strings.Repeat("x", 300)
	for name, last := range map[string]string{"a": "1", "b": "2", "c": "1"} {
		e := webtest.Begin(t, filepath.Join(root, name), runstore.Manifest{})
		// Of the same length, with the same first line.
		e.Add(webtest.Step{Action: "cat > x <<'EOF'\n" + long + last + "\nEOF", Observation: "x"})
		e.Finish(1)
	}
	v := open(t, false, root)
	key := func(name string) string { return v.key(filepath.Join(root, name)) }
	has(t, byID(t, v.page("compare/"+key("a")+","+key("b")+"/"), "parting"), "They differ from the first step on", "1 a similar one")
	has(t, byID(t, v.page("compare/"+key("a")+","+key("c")+"/"), "parting"), "All actions are the same.")
}

// handedIn makes a run that handed in files of every kind.
func handedIn(tb testing.TB, dir string) {
	tb.Helper()
	e := webtest.Begin(tb, dir, runstore.Manifest{Task: "files"})
	e.Submission("1-submit", "strategy.py", []byte("def strategy(history):\n    if not history:\n        return 0\n    return history[-1][1]\n"))
	e.Submission("1-submit", "plots/loss.png", append(slices.Clone(webtest.Pixel), 0))
	e.Submission("1-submit", "a name/with #?%.txt", []byte("x\n"))
	e.Submission("1-submit", "large.txt", []byte(strings.Repeat("x\n", 200_000)))
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "submission", "1-submit", "link")); err != nil {
		tb.Fatal(err)
	}
	e.Ordinary(1.3)
}

func comparesFiles(t *testing.T, v *view, set *webtest.Set, other string) {
	t.Helper()
	body := v.page("compare/" + v.key(set.Good) + "," + v.key(set.Better) + "/files/")
	has(t, byID(t, body, "count"), "2 files differ, 0 are the same.")
	if got := texts(t, body, "diffbox"); len(got) != 1 || !strings.Contains(got[0], "return 1 if history else 0") {
		t.Errorf("the differences are %q", got)
	}
	body = v.page("compare/" + v.key(set.Good) + "," + other + "/files/")
	has(t, byID(t, body, "count"), "4 files differ, 1 is the same.")
	has(t, body, "/files/3/a%20name/with%20%23%3F%25.txt/", "it is no text", "it is too large to be shown", "it is a link or another thing that is not opened")
	if strings.Contains(body, "root:") {
		t.Error("a link was followed")
	}
	has(t, v.page("compare/"+v.key(set.Good)+","+v.key(set.Empty)+"/files/"), "handed in nothing that was kept")
}

// TestEvents sees that the list changed while somebody listens.
func TestEvents(t *testing.T) {
	root := t.TempDir()
	webtest.Many(t, root, 3)
	v := open(t, false, root)
	server := httptest.NewServer(v.mux)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/runs/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if kind := answer.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the stream is of type %q", kind)
	}
	lines := bufio.NewScanner(answer.Body)
	next := func() int64 {
		t.Helper()
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var news struct {
					Generation int64 `json:"generation"`
				}
				if err := json.Unmarshal([]byte(text), &news); err != nil {
					t.Fatal(err)
				}
				return news.Generation
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return 0
	}
	first := next()
	e := webtest.Begin(t, filepath.Join(root, "new"), runstore.Manifest{Task: "new"})
	e.Ordinary(1.2)
	for next() == first { //nolint:revive // how often it tells of something else does not matter
	}
	if got := keys(t, v.page("runs/fragment?task=new")); len(got) != 1 {
		t.Errorf("the list has %v", got)
	}
}

// TestStatic looks at what an export has: no form, no link with a query, and nothing
// that leads nowhere within this room.
func TestStatic(t *testing.T) {
	root := t.TempDir()
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	for _, dir := range []string{a, b} {
		e := webtest.Begin(t, dir, runstore.Manifest{Model: filepath.Base(dir)})
		e.Submission("1-submit", "odd name.py", []byte(dir))
		for i := range 150 {
			e.Add(webtest.Step{Action: "echo " + filepath.Base(dir) + fmt.Sprint(i%7), Observation: "x", Score: 1})
		}
		e.Finish(1)
	}
	e := webtest.Begin(t, filepath.Join(root, "c"), runstore.Manifest{})
	e.Ordinary(1)
	v := open(t, true, root)
	queue, seen := []string{"runs/"}, map[string]bool{"runs/": true}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for n := range nodes(t, v.page(at)) {
			if n.Data == "form" || n.Data == "input" || attr(n, "data-events") != "" || attr(n, "data-more") != "" {
				t.Errorf("%s has a %s", at, n.Data)
			}
			href := attr(n, "href")
			if href == "" || strings.HasPrefix(href, "#") {
				continue
			}
			to, err := url.Parse(href)
			if err != nil || to.IsAbs() || strings.HasPrefix(href, "/") || to.RawQuery != "" {
				t.Errorf("%s leads to %q", at, href)
				continue
			}
			target := strings.TrimPrefix((&url.URL{Path: "/" + at}).ResolveReference(to).Path, "/")
			if n.Data == "a" && !strings.HasSuffix(target, "/index.html") && target != "index.html" && !strings.HasSuffix(target, ".txt") {
				t.Errorf("%s leads to a folder: %q", at, href)
			}
			if target = strings.TrimSuffix(target, "index.html"); strings.HasPrefix(target, "compare/") && !seen[target] {
				seen[target] = true
				queue = append(queue, target)
			}
		}
	}
	var compared []string
	for path := range seen {
		compared = append(compared, path)
	}
	all := strings.Join(compared, "\n")
	ab := v.key(a) + "," + v.key(b)
	ba := v.key(b) + "," + v.key(a)
	if !strings.Contains(all, ab+"/files/") && !strings.Contains(all, ba+"/files/") || len(compared) < 9 {
		t.Errorf("the export has the pages\n%s", all)
	}
	// A step beyond the first hundred is on another page of its run.
	has(t, v.page("compare/"+ab+"/"), "runs/"+v.key(a)+"/steps/101/index.html#step-150")
	v.refused("search/", http.StatusNotFound)
}

// TestPublished looks at the runs that MLGym published, in place.
func TestPublished(t *testing.T) {
	if _, err := os.Stat(published); err != nil {
		t.Skipf("the published runs are not here: %v", err)
	}
	v := open(t, false, published)
	body := v.page("runs/?sort=steps&state=finished")
	list := keys(t, body)
	if len(list) < 10 {
		t.Fatalf("there are %d published runs", len(list))
	}
	harmless(t, "runs/", body)
	body = v.page("compare/" + strings.Join(list[:6], ",") + "/")
	harmless(t, "compare/", body)
	has(t, byID(t, body, "parting"), "rows")
	has(t, v.page("compare/"+list[0]+","+list[1]+"/files/"), "published one, which has no files")
	body = v.page("search/?q=learning+rate")
	has(t, byID(t, body, "count"), "steps in")
	harmless(t, "search/", body)
}
