package tasks_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"mlgym"
	"mlgym/report"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/task"
	"mlgym/web/markup"
	"mlgym/web/page"
	"mlgym/web/record"
	"mlgym/web/tasks"
	"mlgym/web/webtest"
)

// serve starts a site with the pages, over the runs in some folders.
func serve(tb testing.TB, o page.Options, others []*task.Task, roots ...string) (*httptest.Server, *record.Library) {
	tb.Helper()
	catalog := report.MLGymBench()
	metric := func(name string) (string, runstore.Direction) {
		t, ok := catalog.Task(name)
		if !ok {
			return "", ""
		}
		return t.Metric, runstore.Direction(t.DirectionName)
	}
	x, err := search.Open(tb.Context(), tb.TempDir(), search.Options{Metric: metric})
	if err != nil {
		tb.Fatal(err)
	}
	lib := record.NewLibrary(record.LibraryOptions{Roots: roots, Index: x, Metric: metric})
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(func() {
		cancel()
		lib.Close()
		_ = x.Close()
	})
	lib.Start(ctx)
	if err := lib.Wait(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	site := page.New(o)
	site.AddAsset("markup/markup.css", markup.CSS())
	mux := http.NewServeMux()
	tasks.New(site, lib, others...).Register(mux)
	server := httptest.NewServer(site.Handler(mux, page.Guard{}))
	tb.Cleanup(server.Close)
	return server, lib
}

func get(tb testing.TB, address string) (status int, body string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, address, nil)
	if err != nil {
		tb.Fatal(err)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return got.StatusCode, string(text)
}

// text is what a reader sees of a page: its text without tags, blanks as one.
func text(tb testing.TB, body string) string {
	tb.Helper()
	tree, err := html.Parse(strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	var out strings.Builder
	walk(tree, func(n *html.Node) {
		if n.Type == html.TextNode {
			out.WriteString(n.Data + " ")
		}
	})
	return strings.Join(strings.Fields(out.String()), " ")
}

func walk(n *html.Node, visit func(*html.Node)) {
	visit(n)
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, visit)
	}
}

// TestEveryTask has a page that says what the task is, and nothing that is hidden.
func TestEveryTask(t *testing.T) {
	server, _ := serve(t, page.Options{}, nil, t.TempDir())
	catalog, err := mlgym.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	all, err := catalog.All()
	if err != nil || len(all) < 14 {
		t.Fatalf("%d tasks, %v", len(all), err)
	}
	_, list := get(t, server.URL+"/tasks/")
	for _, one := range all {
		if !strings.Contains(list, `href="/tasks/`+string(one.ID)+`/"`) {
			t.Errorf("the list has no link to %s", one.ID)
		}
		status, body := get(t, server.URL+"/tasks/"+string(one.ID)+"/")
		if status != http.StatusOK {
			t.Errorf("%s: %d", one.ID, status)
			continue
		}
		seen := text(t, body)
		for _, want := range []string{
			one.Name, one.Primary().Name, "mlgym run --task " + string(one.ID), "No run of this task is here yet", "hardened",
			one.Submission.Files[0].Path, fmt.Sprintf("Version %d", one.Version),
		} {
			if !strings.Contains(seen, want) {
				t.Errorf("%s: the page lacks %q", one.ID, want)
			}
		}
		if strings.Contains(body, "%!") || strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "notice warn") {
			t.Errorf("%s: the page has a fault", one.ID)
		}
		for _, name := range one.Datasets {
			if !strings.Contains(seen, name) || !strings.Contains(seen, "never") {
				t.Errorf("%s: the page does not say who sees %s", one.ID, name)
			}
		}
		starter, err := one.Starter()
		if err != nil {
			t.Fatal(err)
		}
		err = fs.WalkDir(starter, ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.Contains(body, "<code>"+name+"</code>") {
				t.Errorf("%s: the page lacks the starter file %s", one.ID, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		hidden(t, one, seen)
	}
}

// hidden makes sure that no line of a grader or of a solution is on a page, but those
// that the agent reads too.
func hidden(t *testing.T, one *task.Task, seen string) {
	t.Helper()
	folder := filepath.Join("../../tasks", string(one.ID))
	lines := 0
	for _, dir := range []string{"grader", "tests"} {
		err := filepath.WalkDir(filepath.Join(folder, dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(name) != ".py" {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(text)) {
				line = strings.Join(strings.Fields(line), " ")
				if len(line) < 40 || public(t, one, line) {
					continue
				}
				lines++
				if strings.Contains(seen, line) {
					t.Errorf("%s: the page has a line of %s: %s", one.ID, name, line)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if lines == 0 {
		t.Errorf("%s: nothing hidden was looked for", one.ID)
	}
}

// public reports whether a line stands in what the agent reads.
func public(t *testing.T, one *task.Task, line string) bool {
	t.Helper()
	starter, err := one.Starter()
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Contains(strings.Join(strings.Fields(one.Description+one.Readme), " "), line)
	err = fs.WalkDir(starter, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || found {
			return err
		}
		text, err := fs.ReadFile(starter, name)
		found = strings.Contains(strings.Join(strings.Fields(string(text)), " "), line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// attempt writes a finished run.
func attempt(t *testing.T, dir string, m runstore.Manifest, score float64) {
	t.Helper()
	e := webtest.Begin(t, dir, m)
	e.Add(webtest.Step{Action: "ls", Observation: "strategy.py\n", Score: math.NaN()})
	e.Finish(score)
}

// TestResults: the best by model and agent, variants and modes apart, and scores that
// honest work does not reach beside them.
func TestResults(t *testing.T) {
	root := t.TempDir()
	n := 0
	add := func(m runstore.Manifest, score float64) {
		n++
		m.Seed = uint64(n) //nolint:gosec // it counts from 1
		attempt(t, filepath.Join(root, fmt.Sprintf("run-%d", n)), m, score)
	}
	for _, score := range []float64{1.2, 1.4, 1.3} {
		add(runstore.Manifest{Model: "good", Variant: "full"}, score)
	}
	add(runstore.Manifest{Model: "better", Variant: "full"}, 1.44)
	add(runstore.Manifest{Model: "cheat", Variant: "full"}, 1.9)
	add(runstore.Manifest{Model: "little", Variant: "small"}, 1.43)
	add(runstore.Manifest{Model: "other-mode", Variant: "full", Mode: "published"}, 1.1)
	going := webtest.Begin(t, filepath.Join(root, "going"), runstore.Manifest{Model: "good", Variant: "full", Seed: 99})
	going.Add(webtest.Step{Action: "ls", Score: math.NaN()})
	server, lib := serve(t, page.Options{}, nil, root)

	_, body := get(t, server.URL+"/tasks/battleOfSexes/")
	seen := text(t, body)
	for _, want := range []string{
		"full, hardened 6 runs; final Score, higher is better # Model Agent Best Median Runs Scored 1 better llm 1.4400 1.4400 1 1 2 good llm 1.4000 1.3000 4 1 going on 3",
		"1 run has a score that honest work does not reach; it is not counted above 1.9000 cheat",
		"full, published 1 run;", "other-mode llm 1.1000", "small, hardened 1 run;", "little llm 1.4300",
	} {
		if !strings.Contains(seen, want) {
			t.Errorf("the page lacks %q:\n%s", want, seen)
		}
	}
	best := lib.Key(filepath.Join(root, "run-4"))
	if !strings.Contains(body, `href="/runs/`+string(best)+`/"`) || !strings.Contains(body, `href="/runs/?task=battleOfSexes"`) {
		t.Error("the page lacks links to runs")
	}
	_, list := get(t, server.URL+"/tasks/")
	if seen := text(t, list); !strings.Contains(seen, "full 1.0210 1.4400 hardened 1.1000 published 6 1 25 s training 30 min 00 s small 1.0210 1.4300 hardened 1") {
		t.Errorf("the list says:\n%s", seen)
	}
}

// TestMinimised: where less is better, the least is the best.
func TestMinimised(t *testing.T) {
	root := t.TempDir()
	for i, score := range []float64{5, 3, 4} {
		m := runstore.Manifest{Task: "elsewhere", Model: fmt.Sprint("m", score), PrimaryMetric: "Score", Direction: runstore.Minimize, Seed: uint64(i)} //nolint:gosec // it counts from 0
		attempt(t, filepath.Join(root, fmt.Sprint(i)), m, score)
	}
	server, _ := serve(t, page.Options{}, nil, root)
	_, body := get(t, server.URL+"/tasks/elsewhere/")
	if seen := text(t, body); !strings.Contains(seen, "lower is better # Model Agent Best Median Runs Scored 1 m3 llm 3.0000 3.0000 1 1 2 m4") {
		t.Errorf("the page says:\n%s", seen)
	}
}

// TestOddNames: tasks that only runs name have pages, whatever they are called.
func TestOddNames(t *testing.T) {
	root := t.TempDir()
	names := []string{
		webtest.Hostile, "a/b", "..", ".", "a b", "ü", "%2e%2e%2f", "x?y=1#z", `"><script>alert(1)</script>`, strings.Repeat("long", 100), "tab\there", "plain-1",
	}
	for i, name := range names {
		attempt(t, filepath.Join(root, fmt.Sprint(i)), runstore.Manifest{Task: name, Model: webtest.Hostile, AgentName: webtest.Hostile, Seed: uint64(i)}, 1.1) //nolint:gosec // it counts from 0
	}
	server, _ := serve(t, page.Options{}, nil, root)
	status, list := get(t, server.URL+"/tasks/")
	if status != http.StatusOK {
		t.Fatalf("the list: %d", status)
	}
	harmless(t, "the list", list)
	tree, err := html.Parse(strings.NewReader(list))
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{}
	walk(tree, func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "a" && n.FirstChild != nil {
			for _, a := range n.Attr {
				if a.Key == "href" && strings.HasPrefix(a.Val, "/tasks/") {
					links[n.FirstChild.Data] = a.Val
				}
			}
		}
	})
	for _, name := range names {
		to := links[markup.Head(name, 100)]
		if to == "" {
			t.Errorf("the list has no link to %q", name)
			continue
		}
		if rest := strings.Trim(strings.TrimPrefix(to, "/tasks/"), "/"); strings.ContainsFunc(rest, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
		}) {
			t.Errorf("%q has the address %q", name, to)
		}
		status, body := get(t, server.URL+to)
		if status != http.StatusOK || !strings.Contains(text(t, body), "does not ship") {
			t.Errorf("%q: %d at %s", name, status, to)
		}
		harmless(t, name, body)
	}
	// The name itself, escaped, finds it too, where it can stand in an address.
	for _, name := range []string{"a/b", "a b", "ü", "x?y=1#z"} {
		if status, _ := get(t, server.URL+"/tasks/"+url.PathEscape(name)+"/"); status != http.StatusOK {
			t.Errorf("%q by its name: %d", name, status)
		}
	}
}

// harmless looks for elements that no template of ours has.
func harmless(t *testing.T, name, body string) {
	t.Helper()
	tree, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	walk(tree, func(n *html.Node) {
		if n.Type != html.ElementNode {
			return
		}
		switch n.Data {
		case "img", "iframe", "style", "b":
			t.Errorf("%q: the page has a <%s>", name, n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || strings.HasPrefix(strings.TrimSpace(a.Val), "javascript:") {
				t.Errorf("%q: the page has %s=%q", name, a.Key, a.Val)
			}
		}
	})
}

func TestUnknown(t *testing.T) {
	server, _ := serve(t, page.Options{}, nil, t.TempDir())
	status, body := get(t, server.URL+"/tasks/battleOfSexess/")
	if status != http.StatusNotFound || !strings.Contains(text(t, body), "Near it: battleOfSexes") {
		t.Errorf("a name with a mistake: %d %s", status, text(t, body))
	}
}

// TestStatic: a page for a folder has no link with a query and no form.
func TestStatic(t *testing.T) {
	root := t.TempDir()
	attempt(t, filepath.Join(root, "1"), runstore.Manifest{}, 1.3)
	server, _ := serve(t, page.Options{Static: true, Control: true}, nil, root)
	for _, path := range []string{"/tasks/", "/tasks/battleOfSexes/"} {
		_, body := get(t, server.URL+path)
		if strings.Contains(body, "?") && strings.Contains(body, `href="../runs/?`) || strings.Contains(body, "<form") || strings.Contains(body, "play/") {
			t.Errorf("%s has what needs a server", path)
		}
		if !strings.Contains(body, `runs/`) || !strings.Contains(body, `/index.html"`) {
			t.Errorf("%s has no links to runs", path)
		}
	}
}

// TestOtherTasks: tasks from a user's folders have pages as those that ship.
func TestOtherTasks(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../tasks/blotto")); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "task.yaml")
	spec, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(string(spec), "id: blotto", "id: mine", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	mine, err := task.Load(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	server, _ := serve(t, page.Options{}, []*task.Task{mine}, t.TempDir())
	if status, body := get(t, server.URL+"/tasks/mine/"); status != http.StatusOK || !strings.Contains(body, "mlgym run --task mine") {
		t.Errorf("a task of the user's: %d", status)
	}
}

// TestPublishedRuns: the runs that MLGym published have their boards.
func TestPublishedRuns(t *testing.T) {
	const root = "../../../shared/evaluation/runs"
	if _, err := os.Stat(root); err != nil {
		t.Skipf("SKIPPED, the published runs are not here: %v", err)
	}
	if testing.Short() {
		t.Skip("SKIPPED by -short: all published runs are read")
	}
	server, _ := serve(t, page.Options{}, nil, root)
	_, list := get(t, server.URL+"/tasks/")
	_, body := get(t, server.URL+"/tasks/prisonersDilemma/")
	if seen := text(t, body); !strings.Contains(seen, "full, published 20 runs") {
		t.Errorf("the page says:\n%s", seen)
	}
	if strings.Contains(list, "mlgym-published") {
		t.Error("the list has a variant that is none")
	}
}

// BenchmarkPages asks for the list and a page, with ten thousand runs.
func BenchmarkPages(b *testing.B) {
	root := b.TempDir()
	webtest.Many(b, root, 10_000)
	server, _ := serve(b, page.Options{}, nil, root)
	for _, path := range []string{"/tasks/", "/tasks/task1/", "/tasks/battleOfSexes/"} {
		b.Run(strings.Trim(strings.ReplaceAll(path, "/", " "), " "), func(b *testing.B) {
			for b.Loop() {
				if status, _ := get(b, server.URL+path); status != http.StatusOK {
					b.Fatal(status)
				}
			}
		})
	}
}
