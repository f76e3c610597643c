package experiments

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mlgym/experiment"
	"mlgym/search"
	"mlgym/web/page"
	"mlgym/web/record"
)

// TestRealExperiment looks at an experiment that was run, from the list to the log of
// an attempt, and follows every link.
func TestRealExperiment(t *testing.T) {
	root := t.TempDir()
	realExperiment(t, filepath.Join(root, "some", "exp"))
	s := serve(t, root, page.Options{}, nil)
	key := s.key()

	list := tree(t, s.get("experiments/", 200))
	if got := textOf(byID(t, list, "x-"+key)); !strings.Contains(got, "grid some/exp done 8 of 8 done") {
		t.Errorf("the list says %q", got)
	}
	experimentPath := "experiments/" + key + "/"
	root2 := tree(t, s.get(experimentPath, 200))
	cell := byID(t, root2, "c-0")
	if got := textOf(cell); got != "D 1.0000" || attribute(cell, "class") != "ep done" || attribute(cell, "href") != "/runs/aaaaaaaaaaaaaaaa/" {
		t.Errorf("the first episode is shown as %q, %q, %q", got, attribute(cell, "class"), attribute(cell, "href"))
	}
	if got := attribute(cell, "title"); got != "battleOfSexes · demo · seed 0: done, Score 1.0000, step 4, submitted" {
		t.Errorf("it is described as %q", got)
	}
	for id, want := range map[string]string{
		"f-0": "⌀ 1.0500 n = 2", "fr-0": "⌀ 1.0500 n = 4", "fc-1": "4/4 done", "endings": "How episodes ended Exit statusEpisodesWith a score submitted88",
	} {
		if got := textOf(byID(t, root2, id)); got != want {
			t.Errorf("%s says %q, want %q", id, got, want)
		}
	}
	if got := textOf(byID(t, root2, "events")); !strings.Contains(got, "ended") || !strings.Contains(got, "attempt") && !strings.Contains(got, "new") {
		t.Errorf("the events are %q", got)
	}

	seen, queue := map[string]bool{}, []string{"/" + experimentPath}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		for _, to := range links(tree(t, s.get(strings.TrimPrefix(path, "/"), 200))) {
			to, _, _ = strings.Cut(to, "#")
			if !seen[to] && strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "/runs/") && to != "/" {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	for _, want := range []string{"episodes/", "experiment.yaml", "events.jsonl", "episodes/0000000000abc003/"} {
		if !seen["/"+experimentPath+want] {
			t.Errorf("no link leads to %s", want)
		}
	}
	episode := s.get(experimentPath+"episodes/0000000000abc003/", 200)
	for _, want := range []string{"prisonersDilemma.baseline.s0", "an attempt begins", "Open its run", "What decides it"} {
		if !strings.Contains(episode, want) {
			t.Errorf("the page of an episode lacks %q", want)
		}
	}
}

// TestRunLinks leads from an episode to its run in a real library.
func TestRunLinks(t *testing.T) {
	root := t.TempDir()
	g := realExperiment(t, filepath.Join(root, "exp"))
	index, err := search.Open(t.Context(), t.TempDir(), search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = index.Close() })
	lib := record.NewLibrary(record.LibraryOptions{Roots: []string{root}, Index: index})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lib.Start(ctx)
	if err := lib.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	for _, static := range []bool{false, true} {
		s := serve(t, root, page.Options{Static: static}, nil)
		s.pages.lib, s.pages.has = lib, has(lib)
		cell := byID(t, tree(t, s.get("experiments/"+s.key()+"/", 200)), "c-0")
		link := attribute(cell, "href")
		_, key, _ := strings.Cut(link, "runs/")
		key, _, _ = strings.Cut(key, "/")
		entry, err := lib.Entry(ctx, record.Key(key))
		if err != nil || entry.Path != g.path(0, "attempt-1", "run") {
			t.Errorf("static %t: %q leads to %q, %v", static, link, entry.Path, err)
		}
	}
	// A run that the library does not have is no link of a static site.
	if err := os.RemoveAll(g.path(1, "attempt-1")); err != nil {
		t.Fatal(err)
	}
	s := serve(t, root, page.Options{Static: true}, nil)
	s.pages.lib, s.pages.has = lib, func(record.Key) bool { return false }
	for i := range 2 {
		if link := attribute(byID(t, tree(t, s.get("experiments/"+s.key()+"/", 200)), cellID(i)), "href"); !strings.Contains(link, "episodes/") {
			t.Errorf("episode %d links to %q", i, link)
		}
	}
}

// kinds is an experiment with an episode of each kind.
func kinds(t *testing.T, dir string) *grid {
	g := newGrid(t, dir, []string{"t"}, []string{"a"}, 9, func(c *experiment.Cell) {
		if c.Spec.Seed == 5 {
			c.Skip = "t needs 1 GPU(s) and this machine offers 0"
		}
	})
	g.done(0, 0.5)
	score := 0.25
	g.begin(1, 2, experiment.Progress{Phase: "stepped", Step: 7, MaxSteps: 50, Score: &score, Seconds: 3})
	g.failed(2, "model server: 503 after 3 tries")
	g.begin(3, 1, experiment.Progress{Step: 4})
	g.end(3, 1, string(experiment.ClassStopped), "")
	g.put(4, "{\"state\": \"do", "outcome.json")
	g.failed(6, "model server: 503 after 12 tries")
	g.begin(7, 1, experiment.Progress{Step: 2})
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(g.path(7, "attempt-1", "progress.json"), old, old); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestKinds has an episode in each state that there is.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	kinds(t, dir)
	s := serve(t, dir, page.Options{}, nil)
	root := tree(t, s.get("experiments/"+s.key()+"/", 200))
	for i, want := range []string{"done: D 0.5000", "running: R 7/50", "failed: F", "cut: C 4", "odd: !", "skipped: S", "failed: F", "cut: C 2", "waiting: W"} {
		cell := byID(t, root, fmt.Sprintf("c-%d", i))
		if got := strings.TrimPrefix(attribute(cell, "class"), "ep ") + ": " + textOf(cell); got != want {
			t.Errorf("episode %d is %q, want %q", i, got, want)
		}
	}
	if got := textOf(byID(t, root, "r-1")); !strings.Contains(got, "attempt 2") || !strings.Contains(got, "7 of 50") || !strings.Contains(got, "job 99_3 on node7") {
		t.Errorf("the running one is %q", got)
	}
	trouble := textOf(byID(t, root, "trouble"))
	for _, want := range []string{"2 given up after faults model server: 503 after 3 tries", "1 cannot be read", "1 skipped t needs 1 GPU", "1 stopped, to go on", "1 died, to go on"} {
		if !strings.Contains(trouble, want) {
			t.Errorf("the failures lack %q: %q", want, trouble)
		}
	}
	if got := textOf(byID(t, root, "state")); !strings.Contains(got, "1 of 9 done, 1 running, 4 waiting, 2 failed, 1 skipped") {
		t.Errorf("the head says %q", got)
	}
}

// TestBadInput damages an experiment in each way; its pages say so and show the rest.
func TestBadInput(t *testing.T) {
	for name, tt := range map[string]struct {
		damage func(t *testing.T, g *grid)
		want   string
	}{
		"no plan":      {func(t *testing.T, g *grid) { remove(t, g.dir, "plan.json") }, "there is no plan.json"},
		"a newer plan": {func(t *testing.T, g *grid) { write(t, `{"format_version": 7}`, g.dir, "plan.json") }, "version 7 is not known; use a newer mlgym"},
		"a torn plan":  {func(t *testing.T, g *grid) { write(t, `{"format_version": 1, "epi`, g.dir, "plan.json") }, "read the plan"},
		"no file":      {func(t *testing.T, g *grid) { remove(t, g.dir, "experiment.yaml") }, "experiment.yaml cannot be read"},
		"odd events":   {func(t *testing.T, g *grid) { write(t, "a\nb\n{\"type\":\"noted\"", g.dir, "events.jsonl") }, "events.jsonl has 2 lines that cannot be read"},
		"a torn event": {func(t *testing.T, g *grid) {
			write(t, "{\"type\":\"noted\",\"message\":\"hm\"}\n{\"ty", g.dir, "events.jsonl")
		}, "hm"},
		"events a folder": {func(t *testing.T, g *grid) { mkdir(t, g.dir, "events.jsonl") }, "events.jsonl"},
		"a cell a file":   {func(t *testing.T, g *grid) { remove(t, g.path(1)); write(t, "x", g.path(1)) }, "cannot be read"},
		"an empty cell":   {func(t *testing.T, g *grid) { remove(t, g.path(1)); mkdir(t, g.path(1)) }, "W"},
		"no cells":        {func(t *testing.T, g *grid) { remove(t, g.dir, "cells") }, "never begun"},
		"an odd attempt": {func(t *testing.T, g *grid) {
			g.begin(1, 1, experiment.Progress{})
			write(t, "[]", g.path(1), "attempt-1", "attempt.json")
		}, "cannot unmarshal array"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			g := newGrid(t, dir, []string{"t"}, []string{"a", "b"}, 1, nil)
			tt.damage(t, g)
			s := serve(t, dir, page.Options{}, nil)
			path := "experiments/" + s.key() + "/"
			text := s.get(path, 200)
			if got := textOf(tree(t, text)); !strings.Contains(got, tt.want) || !strings.Contains(got, "Experiments /") {
				t.Errorf("the page lacks %q: %s", tt.want, got)
			}
			s.get("experiments/", 200)
			s.get(path+"episodes/", 200)
			if strings.Contains(text, "c-1\"") {
				s.get(path+"episodes/0000000000abc001/", 200)
			}
		})
	}
	s := serve(t, t.TempDir(), page.Options{}, nil)
	if got := s.get("experiments/", 200); !strings.Contains(got, "There is no experiment at or below") {
		t.Errorf("an empty list says %q", got)
	}
	s.get("experiments/0123456789abcdef/", 404)
	s.get("experiments/0123456789abcdef/events", 404)
}

func write(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(path...), 0o750); err != nil {
		t.Fatal(err)
	}
}

const hostile = `"><script>window.pwned=1</script><img src=x onerror=window.pwned=1>' javascript:alert(1) {{.}}`

// TestHostile puts markup wherever a plan of strangers can.
func TestHostile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a"b'<i>c & d`)
	g := newGrid(t, dir, []string{"t"}, []string{"a"}, 4, nil)
	write(t, fmt.Sprintf(`{"format_version":1,"name":%q,"episodes":[
		{"id":%[1]q,"dir":%[2]q,"name":%[1]q,"task":%[1]q,"variant":%[1]q,"agent":%[1]q,"metric":%[1]q,"skip":%[1]q},
		{"id":"00000000000000b1","dir":%[3]q,"name":%[1]q,"task":"t","variant":"v","agent":"a","metric":%[1]q},
		{"id":"x","dir":"../../etc","name":"n","task":"t","variant":"v","agent":"a","metric":"m"},
		{"id":"../","dir":%[4]q,"name":"n","task":"t","variant":"v","agent":"a","metric":"m"}]}`, hostile, g.cells[0].Dir(), g.cells[1].Dir(), g.cells[2].Dir()), dir, "plan.json")
	g.begin(1, 1, experiment.Progress{Phase: hostile, Step: 1})
	write(t, hostile, g.path(1), "attempt-1", "log.txt")
	g.failed(2, hostile)
	g.event(experiment.Event{Type: experiment.EventType(hostile), Episode: hostile, Message: hostile, ExitStatus: hostile, State: experiment.State(hostile)})
	write(t, hostile, dir, "experiment.yaml")
	s := serve(t, filepath.Dir(dir), page.Options{}, nil)
	path := "experiments/" + s.key() + "/"
	for _, p := range []string{"experiments/", path, path + "episodes/", path + "episodes/n0/", path + "episodes/00000000000000b1/", path + "episodes/n2/", path + "episodes/n3/"} {
		for n := range tree(t, s.get(p, 200)).Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "img" || n.Data == "i" || n.Data == "script" && (n.FirstChild != nil || !strings.HasPrefix(attribute(n, "src"), "/static/")) {
				t.Errorf("%s: <%s> %v came through", p, n.Data, n.Attr)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(a.Val, "javascript:") {
					t.Errorf("%s: <%s %s=%q> came through", p, n.Data, a.Key, a.Val)
				}
				if (a.Key == "href" || a.Key == "action") && strings.Contains(a.Val, "..") {
					t.Errorf("%s: a link leads to %q", p, a.Val)
				}
			}
		}
	}
	for _, p := range []string{"n9", "n-1", "nn", "x", "..%2f", "%00"} {
		answer, err := s.Client().Get(s.URL + "/" + path + "episodes/" + p + "/") //nolint:noctx // a test's
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound {
			t.Errorf("episode %q: %s", p, answer.Status)
		}
	}
}

// TestStatic has pages for a folder: nothing that needs a server.
func TestStatic(t *testing.T) {
	root := t.TempDir()
	realExperiment(t, filepath.Join(root, "exp"))
	s := serve(t, root, page.Options{Static: true, Control: true}, &recorder{})
	path := "experiments/" + s.key() + "/"
	for _, p := range []string{"experiments/", path, path + "episodes/", path + "episodes/0000000000abc000/"} {
		text := s.get(p, 200)
		for _, unwanted := range []string{"<form", "csrf", "events.jsonl"} {
			if strings.Contains(text, unwanted) {
				t.Errorf("%s has %q", p, unwanted)
			}
		}
		for _, to := range links(tree(t, text)) {
			if strings.HasPrefix(to, "/") || strings.Contains(to, "?") {
				t.Errorf("%s links to %s", p, to)
			}
		}
		for n := range tree(t, text).Descendants() {
			if attribute(n, "data-live") != "" {
				t.Errorf("%s listens to %q", p, attribute(n, "data-live"))
			}
		}
	}
}

// TestFinder finds experiments, and does not look into runs, hidden folders and
// experiments.
func TestFinder(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a", "deep/er/b", ".hidden/c", "run/d", "a/cells/x/e"} {
		mkdir(t, root, name)
		write(t, "{}", root, name, "plan.json")
		write(t, "", root, name, "experiment.yaml")
	}
	mkdir(t, root, "planning", "cells")
	write(t, "", root, "planning", "experiment.yaml")
	write(t, "", root, "planning", "lock")
	mkdir(t, root, "only")
	write(t, "", root, "only", "experiment.yaml")
	write(t, "{}", root, "run", "manifest.json")
	if err := os.Symlink(filepath.Join(root, "a"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	f := &finder{roots: []string{root, filepath.Join(root, "deep"), filepath.Join(root, "missing")}}
	<-f.touch(0)
	found, searching, cut := f.all()
	var names []string
	for _, p := range found {
		names = append(names, p.Name)
	}
	if want := []string{"a", "deep/er/b", "planning"}; !slices.Equal(names, want) || searching || cut {
		t.Errorf("found %q (searching %t, cut %t), want %q", names, searching, cut, want)
	}
	one := &finder{roots: []string{filepath.Join(root, "a")}}
	<-one.touch(0)
	if found, _, _ := one.all(); len(found) != 1 || found[0].Name != "a" {
		t.Errorf("a root that is an experiment: %+v", found)
	}
	if _, ok := f.get(t.Context(), "nonsense"); ok {
		t.Error("an experiment with the key nonsense is found")
	}
	mkdir(t, root, "late")
	write(t, "{}", root, "late", "plan.json")
	write(t, "", root, "late", "experiment.yaml")
	<-f.touch(0)
	if found, _, _ := f.all(); len(found) != 4 {
		t.Errorf("after another one was made, %d are found, want 4", len(found))
	}
}
