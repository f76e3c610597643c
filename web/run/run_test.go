package run_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/trajectory"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
	"mlgym/web/run"
	"mlgym/web/webtest"
)

// view is a site over the runs of a folder.
type view struct {
	tb  testing.TB
	lib *record.Library
	mux *http.ServeMux
}

func open(tb testing.TB, static, logs bool, roots ...string) *view {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	x, err := search.Open(ctx, tb.TempDir(), search.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := x.Close(); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(cancel)
	lib := record.NewLibrary(record.LibraryOptions{Roots: roots, Index: x})
	lib.Start(ctx)
	tb.Cleanup(lib.Close)
	if err := lib.Wait(ctx); err != nil {
		tb.Fatal(err)
	}
	site := page.New(page.Options{Static: static, Sections: []page.Section{{ID: "runs", Path: "runs/", Title: "Runs"}}})
	site.AddAsset("markup/markup.css", markup.CSS())
	v := &view{tb: tb, lib: lib, mux: http.NewServeMux()}
	run.New(site, lib, run.Options{Logs: logs}).Register(v.mux)
	return v
}

func (v *view) key(dir string) string { return string(v.lib.Key(dir)) }

// get asks for a path in the site.
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

// steps are the numbers of the steps that a page has, in order.
func steps(tb testing.TB, body string) []string {
	tb.Helper()
	var out []string
	for n := range nodes(tb, body) {
		if s := attr(n, "data-step"); s != "" && n.Data == "article" {
			out = append(out, s)
		}
	}
	return out
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

func textOf(n *html.Node) string {
	var out strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			out.WriteString(d.Data)
		}
	}
	return out.String()
}

func has(tb testing.TB, body string, wants ...string) {
	tb.Helper()
	for _, want := range wants {
		if !strings.Contains(body, want) {
			tb.Errorf("there is no %q in %d bytes", want, len(body))
		}
	}
}

func TestPageOfARun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "a")
	e := webtest.Begin(t, dir, runstore.Manifest{Model: "toy-model", Seed: 7})
	e.Ordinary(1.31)
	v := open(t, false, false, filepath.Dir(dir))
	body := v.page("runs/" + v.key(dir) + "/")
	if got, want := strings.Join(steps(t, body), " "), "0 1 2 3 4 5 6 7"; got != want {
		t.Errorf("the page has the steps %s, want %s", got, want)
	}
	head := byID(t, body, "head")
	has(t, head, "finished", "autosubmission (max_steps)", "The limit of steps was reached.", "1.3100", "+0.29", "higher is better", "hardened", "full")
	has(t, byID(t, body, "step-3"), "Validate", "validate 1.0200 (±0)", "Your score: 1.02")
	has(t, byID(t, body, "step-4"), "replace lines 1 to 2", "1\n2\n3\n4\n", "return history[-1][1]")
	has(t, byID(t, body, "step-6"), "epoch 3 loss 0.52")
	if strings.Contains(byID(t, body, "step-6"), "epoch 1") {
		t.Error("a progress bar shows what was written over")
	}
	has(t, body, "battleOfSexes</a>", "toy-model", "seed 7", `id="timeline-data"`, `aria-label="Scores over steps"`, `<span class="ansi-fg-2">ok`)
}

func TestUnknownRuns(t *testing.T) {
	v := open(t, false, false, t.TempDir())
	for path, want := range map[string]int{
		"runs/aaaaaaaaaaaaaaaa/":           http.StatusNotFound,
		"runs/nokey/":                      http.StatusNotFound,
		"runs/..%2f..%2fetc/":              http.StatusNotFound,
		"runs/aaaaaaaaaaaaaaaa/fragment":   http.StatusNotFound,
		"runs/aaaaaaaaaaaaaaaa/prompt/1/":  http.StatusNotFound,
		"runs/aaaaaaaaaaaaaaaa/file/1/a/b": http.StatusNotFound,
	} {
		w := v.get(path)
		if w.Code != want {
			t.Errorf("GET %s: status %d, want %d", path, w.Code, want)
		}
		body, _ := io.ReadAll(w.Body)
		has(t, string(body), "list of runs")
	}
}

// allowed are the elements that the templates, package markup, and a parser make.
var allowed = strings.Fields(`html head body meta title link script a header nav span button main footer div p h1 h2 h3 h4 h5 h6 dl dt dd
	details summary ul ol li pre code strong em del input label fieldset legend section form svg g path rect line circle figure figcaption img
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
	// The template of mlgym itself has none of these, so an agent would have turned text around.
	if i := strings.IndexAny(body, "\u202e\x07\x1b\x00"); i >= 0 {
		tb.Errorf("%s: a control character is not made visible: %q", name, body[max(0, i-300):i+3])
	}
}

func TestHostileTexts(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, `<script>alert(1)</script> "'&`)
	bad := webtest.Hostile
	e := webtest.Begin(t, dir, runstore.Manifest{
		Task: bad, Model: bad, Agent: bad, AgentName: bad, Scaffold: bad, Mode: bad, Variant: bad, PrimaryMetric: bad,
		Digests: map[string]string{bad: bad}, AgentConfig: json.RawMessage(`{"x":"<script>alert(1)</script>"}`),
	})
	e.Submission("1-validate", "<img src=x onerror=alert(1)>.html", []byte(bad))
	e.Submission("1-validate", "a b?c#d%2e.py", []byte(bad))
	e.Submission("1-validate", "\xff\u202e.txt", []byte(bad))
	e.Add(
		webtest.Step{Action: bad, Thought: bad, Observation: bad, Score: 2},
		webtest.Step{Action: "edit 1:2\n" + bad + "\nend_of_edit", Thought: "```html\n" + bad + "\n```\n[x](javascript:alert(1)) ![y](http://x/y.png) <b onclick=alert(1)>z</b>", Observation: bad},
		webtest.Step{Action: "cat <<'</pre>' > x.html\n" + bad + "\n</pre>", Observation: strings.Repeat(bad+"\n", 200)},
	)
	e.Put(trajectory.Event{Note: &trajectory.Note{Text: bad}})
	e.Put(trajectory.Event{Turn: &trajectory.Turn{Step: 4, Turn: agent.Turn{
		Action: gym.Action{Tool: "edit", Args: json.RawMessage(`{"start_line":1,"end_line":1,"text":"<script>alert(1)</script>"}`)},
		Exchanges: []agent.Exchange{{
			Messages: []model.Message{{Role: model.Role(bad), Text: bad, Reasoning: bad, ToolCallID: bad}}, HistoryLength: 10, Problem: bad, Error: bad,
			Response: &model.Response{Message: model.Message{Text: bad, ToolCalls: []model.ToolCall{{ID: bad, Name: bad, Args: json.RawMessage(`"<script>"`)}}}, Model: bad},
		}},
	}}})
	e.Put(trajectory.Event{Step: &trajectory.Step{Step: 4, Transition: gym.Transition{
		Observation: gym.Observation{Text: bad, OpenFile: bad, WorkingDir: bad},
		Info:        gym.Info{Fault: bad, Evaluations: []gym.Evaluation{{Kind: gym.Kind(bad), Step: 4, Problem: gym.Problem(bad), Message: bad, Scores: gym.Scores{bad: 1}}}},
	}}})
	e.Put(trajectory.Event{Fault: &trajectory.Fault{Step: 5, Source: trajectory.Source(bad), Message: bad, Resumable: true}})
	e.Leave()
	v := open(t, false, true, root)
	at := "runs/" + v.key(dir) + "/"
	queue := []string{
		at, at + "steps/1/", at + "fragment?from=0&n=10", at + "find?q=script", at + "find?part=1&q=" + url.QueryEscape(bad), at + "audit/", at + "audit/?part=1",
		at + "text?step=1&part=thought", at + "text?step=2&part=action", at + "text?step=3&part=observation&from=100&to=9000", at + "log/",
		at + "files/1/", at + "prompt/4/", at + "prompt/1/", at + "files/nope/", at + "files/1/nope/",
	}
	seen := map[string]bool{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		w := v.get(path)
		kind := w.Header().Get("Content-Type")
		if !strings.HasPrefix(kind, "text/html") {
			if !strings.HasPrefix(kind, "text/plain") && kind != "application/json" && kind != "application/octet-stream" {
				t.Errorf("%s is of type %q", path, kind)
			}
			continue
		}
		body := w.Body.String()
		harmless(t, path, body)
		for n := range nodes(t, body) {
			if to := attr(n, "href"); strings.HasPrefix(to, "/"+at) {
				to, _, _ = strings.Cut(strings.TrimPrefix(to, "/"), "#")
				queue = append(queue, to)
				if w := v.get(to); w.Code != http.StatusOK {
					t.Errorf("%s links to %s, whose status is %d", path, to, w.Code)
				}
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d pages were looked at: %v", len(seen), seen)
	}
	w := v.get(at + "file/1/" + url.PathEscape("<img src=x onerror=alert(1)>.html"))
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" || w.Header().Get("Content-Disposition") != "attachment" || w.Body.String() != bad {
		t.Errorf("a page that was handed in is sent as %q, %q", got, w.Header().Get("Content-Disposition"))
	}
}

func TestPictures(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	e := webtest.Begin(t, dir, runstore.Manifest{})
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	e.Submission("1-validate", "plot.png", picture.Bytes())
	e.Submission("1-validate", "lie.png", []byte("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"))
	e.Submission("1-validate", "drawing.svg", []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"))
	e.Submission("1-validate", "weights.bin", []byte("\x00\x01\x02"))
	e.Add(webtest.Step{Action: "validate", Observation: "ok", Score: 2})
	e.Leave()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "submission", "1-validate", "link.png")); err != nil {
		t.Fatal(err)
	}
	v := open(t, false, false, root)
	at := "runs/" + v.key(dir) + "/"
	var shown []string
	for n := range nodes(t, v.page(at)) {
		if n.Data == "img" {
			shown = append(shown, attr(n, "src")+" "+attr(n, "width")+"x"+attr(n, "height"))
		}
	}
	if want := "/" + at + "file/1/plot.png 30x20"; len(shown) != 1 || shown[0] != want {
		t.Errorf("shown are %q, want %q", shown, want)
	}
	for name, want := range map[string]string{
		"plot.png": "image/png", "lie.png": "text/plain; charset=utf-8", "drawing.svg": "text/plain; charset=utf-8", "weights.bin": "application/octet-stream",
	} {
		w := v.get(at + "file/1/" + name)
		if got := w.Header().Get("Content-Type"); got != want {
			t.Errorf("%s is of type %q, want %q", name, got, want)
		}
		if download := w.Header().Get("Content-Disposition") != ""; download != (name != "plot.png") {
			t.Errorf("%s: a download: %v", name, download)
		}
		has(t, v.page(at+"files/1/"+name+"/"), name, "the file itself")
	}
	if w := v.get(at + "file/1/link.png"); w.Code != http.StatusNotFound {
		t.Errorf("a link is followed: status %d", w.Code)
	}
}

func TestLongRuns(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	e := webtest.Begin(t, dir, runstore.Manifest{})
	e.Long(3<<20, 1_800_000)
	e.Leave()
	v := open(t, false, false, root)
	at := "runs/" + v.key(dir) + "/"
	body := v.page(at)
	if len(body) > 150_000 {
		t.Errorf("the first answer has %d bytes", len(body))
	}
	var data struct{ Total, From, To int }
	if err := json.Unmarshal([]byte(byID(t, body, "run-data")), &data); err != nil {
		t.Fatal(err)
	}
	first := steps(t, body)
	if data.From != 0 || data.To != len(first)-1 || data.To < 20 || data.Total < 500 {
		t.Errorf("the page says %+v and has %d steps", data, len(first))
	}
	// What the script asks for goes on from there to the last one.
	want := data.To + 1
	for from := want; from <= data.Total; from += 25 {
		for _, s := range steps(t, v.page(fmt.Sprintf("%sfragment?from=%d&n=25", at, from))) {
			if s != strconv.Itoa(want) {
				t.Fatalf("step %s follows step %d", s, want-1)
			}
			want++
		}
	}
	if want != data.Total+1 {
		t.Errorf("the fragments end with step %d of %d", want-1, data.Total)
	}
	var bars struct {
		Share, Time struct {
			Step []int
			X    []float64
		}
	}
	if err := json.Unmarshal([]byte(byID(t, body, "timeline-data")), &bars); err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]int{bars.Share.Step, bars.Time.Step} {
		if len(list) > 600 || len(list) < 100 || !slices.IsSorted(list) || list[0] != 1 {
			t.Errorf("the timeline has %d bars, from step %d", len(list), list[0])
		}
	}
	// The whole of the long output is to be had in parts, which together are all of it.
	var got strings.Builder
	for n := range nodes(t, body) {
		if attr(n, "id") != "step-1" {
			continue
		}
		for d := range n.Descendants() {
			if d.Data != "div" || attr(d, "data-part") != "observation" {
				continue
			}
			for c := range d.ChildNodes() {
				switch c.Data {
				case "pre":
					got.WriteString(textOf(c))
				case "p":
					from, to := attr(c, "data-from"), attr(c, "data-to")
					for from != "" {
						part := v.page(fmt.Sprintf("%stext?step=1&part=observation&from=%s&to=%s", at, from, to))
						from = ""
						for n := range nodes(t, part) {
							if n.Data == "pre" {
								got.WriteString(textOf(n))
							}
							if f := attr(n, "data-from"); f != "" {
								from = f
							}
						}
					}
				}
			}
		}
	}
	if whole := v.page(at + "observation/1.txt"); got.String() != whole || len(whole) < 1_700_000 {
		t.Errorf("the parts have %d bytes together, the whole has %d", got.Len(), len(whole))
	}
}

func TestPagesOfSteps(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	e := webtest.Begin(t, dir, runstore.Manifest{})
	for i := range 250 {
		e.Add(webtest.Step{Action: fmt.Sprintf("echo %d", i), Observation: "x"})
	}
	e.Leave()
	v := open(t, false, false, root)
	at := "runs/" + v.key(dir) + "/"
	for path, want := range map[string][2]string{"steps/1/": {"1", "100"}, "steps/101/": {"101", "200"}, "steps/201/": {"201", "250"}} {
		list := steps(t, v.page(at+path))
		if list[0] != want[0] || list[len(list)-1] != want[1] {
			t.Errorf("%s goes from %s to %s, want %v", path, list[0], list[len(list)-1], want)
		}
	}
	if w := v.get(at + "steps/150/"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/"+at+"steps/101/#step-150" {
		t.Errorf("a step within a page: status %d, %s", w.Code, w.Header().Get("Location"))
	}
	for _, path := range []string{"steps/251/", "steps/-1/", "steps/x/", "prompt/251/", "files/999/", "prompt/3.xml", "observation/251.txt", "observation/1", "record/grader.key", "record/lock"} {
		if w := v.get(at + path); w.Code != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, w.Code)
		}
	}
	for _, path := range []string{"fragment", "fragment?from=-1&n=2", "fragment?from=1&n=x", "text?step=1&part=secret", "find?q=" + strings.Repeat("x", 300)} {
		if w := v.get(at + path); w.Code != http.StatusBadRequest {
			t.Errorf("GET %s: status %d, want 400", path, w.Code)
		}
	}
	if w := v.get(at + "log/"); w.Code != http.StatusForbidden {
		t.Errorf("logs for everybody: status %d, want 403", w.Code)
	}
}

// TestStatic follows every link of an export's pages of a run.
func TestStatic(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	e := webtest.Begin(t, dir, runstore.Manifest{})
	e.Submission("1-validate", "sub dir/ä?.py", []byte("x = 1\n"))
	e.Submission("1-validate", "plain.py", []byte("x = 1\n"))
	e.Add(webtest.Step{Action: "validate", Thought: strings.Repeat("long thought\n\n", 2000), Observation: "ok", Score: 2})
	for i := range 120 {
		e.Add(webtest.Step{Action: fmt.Sprintf("echo %d", i), Observation: strings.Repeat("x\n", 200)})
	}
	e.Leave()
	v := open(t, true, false, root)
	at := "runs/" + v.key(dir) + "/"
	queue, seen := []string{at}, map[string]bool{}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		w := v.get(path)
		if w.Code != http.StatusOK {
			t.Errorf("GET %s: status %d", path, w.Code)
			continue
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			continue
		}
		for n := range nodes(t, w.Body.String()) {
			if n.Data == "form" || n.Data == "button" && attr(n, "class") == "quiet small" {
				t.Errorf("%s has a form, or a button that needs a server", path)
			}
			to := attr(n, "href") + attr(n, "src")
			if to == "" || strings.HasPrefix(to, "#") {
				continue
			}
			if strings.Contains(to, "?") || strings.HasPrefix(to, "/") {
				t.Errorf("%s links to %s", path, to)
			}
			base := &url.URL{Path: "/" + path}
			ref, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			target := strings.TrimPrefix(strings.TrimSuffix(base.ResolveReference(ref).Path, "index.html"), "/")
			if strings.HasPrefix(target, at) {
				queue = append(queue, target)
			}
		}
	}
	for _, want := range []string{at + "steps/101/", at + "prompt/121/", at + "observation/7.txt", at + "record/trajectory.jsonl", at + "audit/", at + "files/1/", at + "files/1/plain.py/", at + "file/1/plain.py"} {
		if !seen[want] {
			t.Errorf("no link leads to %s", want)
		}
	}
	for path := range seen {
		if strings.Contains(path, "log/") {
			t.Errorf("an export has a log: %s", path)
		}
		if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") != "" {
			t.Errorf("the name %q is not one for every file system", path)
		}
	}
}

func TestBadRecords(t *testing.T) {
	root := t.TempDir()
	write := func(name string, change func(dir string)) string {
		dir := filepath.Join(root, name)
		e := webtest.Begin(t, dir, runstore.Manifest{})
		e.Add(webtest.Step{Action: "ls", Observation: "one"}, webtest.Step{Action: "cat x", Observation: "\x00\x01\xff binary \x1b[5m"}, webtest.Step{Action: "pwd", Observation: "three"})
		e.Leave()
		change(dir)
		return dir
	}
	edit := func(dir string, change func([]byte) []byte) {
		path := filepath.Join(dir, "trajectory.jsonl")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(name string) func(string) {
		return func(dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		dir   string
		wants []string
	}{
		"torn": {write("torn", func(dir string) {
			edit(dir, func(b []byte) []byte { return b[:len(b)-40] })
		}), []string{"one", "notice warn", "is torn"}},
		"corrupt": {write("corrupt", func(dir string) {
			edit(dir, func(b []byte) []byte {
				lines := bytes.SplitAfter(b, []byte("\n"))
				lines[5] = []byte("{not an event}\n")
				return bytes.Join(lines, nil)
			})
		}), []string{"one", "notice warn", "jsonl:6:"}},
		"no manifest": {write("no-manifest", remove("manifest.json")), []string{"one", "three", "notice warn", "manifest"}},
		"no record":   {write("no-record", remove("trajectory.jsonl")), []string{"battleOfSexes", "notice", "No step is recorded"}},
		"empty record": {write("empty-record", func(dir string) {
			edit(dir, func([]byte) []byte { return nil })
		}), []string{"battleOfSexes", "No step is recorded"}},
		"million lines": {write("lines", func(dir string) {
			w, err := trajectory.Append(filepath.Join(dir, "trajectory.jsonl"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for _, e := range []trajectory.Event{
				{Turn: &trajectory.Turn{Step: 4, Turn: agent.Turn{Action: gym.Action{Command: "yes"}}}},
				{Step: &trajectory.Step{Step: 4, Action: gym.Action{Command: "yes"}, Transition: gym.Transition{Observation: gym.Observation{Text: strings.Repeat("y\n", 1_000_000)}}}},
			} {
				if err := w.Write(e); err != nil {
					t.Fatal(err)
				}
			}
		}), []string{"999\u202f970 lines, 2.0 MB more"}},
	}
	v := open(t, false, false, root)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			at := "runs/" + v.key(tt.dir) + "/"
			body := v.page(at)
			has(t, body, tt.wants...)
			harmless(t, name, body)
			for _, path := range []string{"steps/1/", "fragment?from=0&n=9", "find?q=one", "audit/", "prompt/1/", "files/1/", "prompt/1.json"} {
				if w := v.get(at + path); w.Code != http.StatusOK && w.Code != http.StatusNotFound {
					t.Errorf("GET %s: status %d: %s", path, w.Code, w.Body)
				}
			}
		})
	}
}

func TestFindInside(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	e := webtest.Begin(t, dir, runstore.Manifest{})
	e.Add(
		webtest.Step{Action: "ls", Thought: "Look for the Learning Rate.", Observation: "learning rate\nLEARNING RATE 0.1"},
		webtest.Step{Action: "echo ÜBER", Observation: "<b>x</b>"},
		webtest.Step{Action: "grep 'learning rate' .", Observation: ""},
	)
	e.Leave()
	v := open(t, false, false, root)
	at := "runs/" + v.key(dir) + "/find?part=1&q="
	for q, want := range map[string]string{
		"learning rate": "1 3", "über": "2", "<b>": "2", "nowhere": "", "strategy.py": "0", "": "", ".*": "", "\x00": "", "\xff": "",
	} {
		var got []string
		body := v.page(at + url.QueryEscape(q))
		for n := range nodes(t, body) {
			if s := attr(n, "data-hit"); s != "" {
				got = append(got, s)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q is found in %v, want %s", q, got, want)
		}
	}
	body := v.page(at + "learning+rate")
	has(t, body, "<mark>Learning Rate</mark>", "observation ×2", "2 steps have")
}

// TestLive listens while a run is written.
func TestLive(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	e := webtest.Begin(t, dir, runstore.Manifest{})
	e.Add(webtest.Step{Action: "ls", Observation: "one"})
	v := open(t, false, false, root)
	at := "runs/" + v.key(dir) + "/"
	body := v.page(at)
	has(t, body, `id="live"`, `id="follow"`, "running")

	server := httptest.NewServer(v.mux)
	t.Cleanup(server.Close)
	listen := func(from string, last string) (next func() map[string]any, stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/"+at+"events?from="+from, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if last != "" {
			request.Header.Set("Last-Event-ID", last)
		}
		answer, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 4<<20)
		return func() map[string]any {
			out := map[string]any{}
			for lines.Scan() {
				name, value, _ := strings.Cut(lines.Text(), ": ")
				switch name {
				case "event", "id":
					out[name] = value
				case "data":
					if err := json.Unmarshal([]byte(value), &out); err != nil {
						t.Fatalf("event %v: %v: %s", out["event"], err, value)
					}
				case "":
					if out["event"] != nil {
						return out
					}
				}
			}
			return nil
		}, cancel
	}
	next, stop := listen("1", "")
	defer stop()
	until := func(next func() map[string]any, is func(map[string]any) bool) (steps string) {
		t.Helper()
		for {
			g := next()
			if g == nil {
				t.Fatal("the stream ended")
			}
			if s, ok := g["steps"].(string); ok {
				steps += s
			}
			if is(g) {
				return steps
			}
		}
	}
	total := func(n float64) func(map[string]any) bool {
		return func(g map[string]any) bool { return g["total"] == n }
	}
	until(next, total(1))
	// A turn whose action is still being executed is shown, and replaced when it is done.
	e.Put(trajectory.Event{Turn: &trajectory.Turn{Step: 2, Turn: agent.Turn{Action: gym.Action{Command: "sleep 5"}, Thought: "wait"}}})
	pending := until(next, func(g map[string]any) bool { return g["total"] == 2.0 && g["pending"] == true && g["id"] == "1" })
	has(t, pending, `id="step-2"`, "sleep", "running")
	e.Put(trajectory.Event{Step: &trajectory.Step{Step: 2, Action: gym.Action{Command: "sleep 5"}, Transition: gym.Transition{Observation: gym.Observation{Text: "slept"}}}})
	done := until(next, func(g map[string]any) bool { return g["total"] == 2.0 && g["pending"] == false && g["id"] == "2" })
	has(t, done, `id="step-2"`, "slept")

	// A browser that comes back has what it had.
	again, stopAgain := listen("1", "2")
	until(again, func(g map[string]any) bool { return g["total"] == 2.0 && g["steps"] == "" })
	stopAgain()

	e.Put(trajectory.Event{End: &trajectory.End{ExitStatus: gym.ExitStatus{Outcome: gym.Forfeit}}})
	e.Leave()
	until(next, func(g map[string]any) bool { return g["event"] == "end" })
	if g := next(); g != nil {
		t.Errorf("after the end there is %v", g["event"])
	}
	has(t, v.page(at), "exit_forfeit", "The agent gave up")
}

// TestLiveRunThatIsCut has a run whose process ends without a word.
func TestLiveRunThatIsCut(t *testing.T) {
	t.Parallel() // it waits most of the time
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	e := webtest.Begin(t, dir, runstore.Manifest{})
	e.Add(webtest.Step{Action: "ls", Observation: "one"})
	v := open(t, false, false, root)
	server := httptest.NewServer(v.mux)
	t.Cleanup(server.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/runs/"+v.key(dir)+"/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 4<<20)
	var events []string
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			events = append(events, name)
			if len(events) == 1 {
				e.Leave()
			}
		}
	}
	if got := strings.Join(events, " "); got != "grow grow end" {
		t.Errorf("the events are %s, want grow, and grow and end when the run is cut", got)
	}
}

func TestPublishedRuns(t *testing.T) {
	root := "../../../shared/evaluation/runs/trajectories"
	found, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil || len(found) == 0 {
		t.Skip("the published runs are not there: " + root)
	}
	found = found[:min(len(found), 12)]
	v := open(t, false, false, found...)
	for _, dir := range found {
		abs, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		at := "runs/" + v.key(abs) + "/"
		body := v.page(at)
		harmless(t, at, body)
		has(t, body, "published", "results.json")
		for _, path := range []string{"audit/", "find?q=python", "steps/1/"} {
			if w := v.get(at + path); w.Code != http.StatusOK && w.Code != http.StatusNotFound {
				t.Errorf("%s%s: status %d", at, path, w.Code)
			}
		}
		list := steps(t, body)
		if len(list) > 2 {
			has(t, v.page(at+"prompt/2/"), "system", "assistant")
		}
	}
}

func BenchmarkFirstAnswer(b *testing.B) {
	root := b.TempDir()
	dir := filepath.Join(root, "a")
	e := webtest.Begin(b, dir, runstore.Manifest{})
	e.Long(4<<20, 1_800_000)
	e.Finish(1.4)
	v := open(b, false, false, root)
	at := "runs/" + v.key(dir) + "/"
	size := len(v.page(at))
	for _, tt := range []struct{ name, path string }{
		{"page", at}, {"fragment", at + "fragment?from=500&n=25"}, {"find", at + "find?part=1&q=train.py"}, {"part", at + "text?step=1&part=observation&from=2000&to=1700000"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			done := processor(b)
			for b.Loop() {
				v.page(tt.path)
			}
			done()
		})
	}
	b.Logf("the page has %d bytes", size)
}

// processor reports the processor time of each operation, which on a busy machine says
// more than the clock.
func processor(b *testing.B) func() {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op") }
}
