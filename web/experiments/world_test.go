package experiments

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mlgym/episode"
	"mlgym/experiment"
	"mlgym/gym"
	"mlgym/machine"
	"mlgym/runstore"
	"mlgym/web/page"
	"mlgym/web/record"
	"mlgym/web/webtest"
)

// grid is an experiment's directory that is written by hand.
type grid struct {
	tb    testing.TB
	dir   string
	cells []*experiment.Cell
}

// newGrid plans tasks × agents × seeds in a folder. Change, which may be nil, alters
// the episodes.
func newGrid(tb testing.TB, dir string, tasks, agents []string, seeds int, change func(*experiment.Cell)) *grid {
	tb.Helper()
	store, err := experiment.Create(dir)
	if err != nil {
		tb.Fatal(err)
	}
	g := &grid{tb: tb, dir: dir}
	plan := &experiment.Plan{}
	for seed := range seeds {
		for _, task := range tasks {
			for _, agent := range agents {
				c := &experiment.Cell{
					FormatVersion: 1, ID: experiment.ID(fmt.Sprintf("%016x", len(g.cells)+0xabc000)), Name: fmt.Sprintf("%s.%s.s%d", runstore.FileName(task), runstore.FileName(agent), seed),
					Agent: agent, Metric: "Score", Needs: machine.Resources{MemoryBytes: 1 << 20},
					Spec: episode.Spec{Task: task, Agent: "baseline", Variant: "small", Seed: uint64(seed)},
				}
				if change != nil {
					change(c)
				}
				g.cells = append(g.cells, c)
			}
		}
	}
	plan.Cells = g.cells
	lock, err := store.Lock()
	if err != nil {
		tb.Fatal(err)
	}
	if err := store.Save(&experiment.File{Format: experiment.FileFormat, Name: "grid", Tasks: tasks, Agents: []experiment.Agent{{Agent: "baseline"}}}, plan); err != nil {
		tb.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		tb.Fatal(err)
	}
	return g
}

func (g *grid) path(cell int, name ...string) string {
	return filepath.Join(append([]string{g.dir, experiment.CellsName, g.cells[cell].Dir()}, name...)...)
}

// put writes a file of a cell as mlgym does: beside it, then in its place.
func (g *grid) put(cell int, v any, name ...string) {
	g.tb.Helper()
	text, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			g.tb.Fatal(err)
		}
		text = string(b) + "\n"
	}
	path := g.path(cell, name...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		g.tb.Fatal(err)
	}
	if err := os.WriteFile(path+".tmp", []byte(text), 0o644); err != nil {
		g.tb.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		g.tb.Fatal(err)
	}
}

// begin begins an attempt by a process on another machine.
func (g *grid) begin(cell, attempt int, p experiment.Progress) {
	g.tb.Helper()
	g.put(cell, experiment.Attempt{
		FormatVersion: 1, N: attempt, ID: g.cells[cell].ID, Process: experiment.Process{Host: "node7", PID: 4711, Job: "99_3"}, Started: time.Now().UTC(),
		From: experiment.From{How: experiment.New},
	}, fmt.Sprintf("attempt-%d", attempt), "attempt.json")
	g.progress(cell, attempt, p)
}

func (g *grid) progress(cell, attempt int, p experiment.Progress) {
	g.tb.Helper()
	p.At = time.Now().UTC()
	g.put(cell, p, fmt.Sprintf("attempt-%d", attempt), "progress.json")
}

func (g *grid) end(cell, attempt int, why, message string) {
	g.tb.Helper()
	g.put(cell, experiment.Ending{Why: why, Message: message, At: time.Now().UTC()}, fmt.Sprintf("attempt-%d", attempt), "ended.json")
}

func (g *grid) done(cell int, score float64) {
	g.tb.Helper()
	cost := 0.25
	g.put(cell, experiment.Outcome{
		FormatVersion: 1, ID: g.cells[cell].ID, Name: g.cells[cell].Name, State: experiment.Done, Attempt: 1, Attempts: 1, Ended: time.Now().UTC(), ExitStatus: "submitted",
		Steps: 12, Metric: "Score", Best: &score, Submission: &score, CostUSD: &cost, TokensIn: 900, TokensOut: 100, Seconds: 61,
	}, "outcome.json")
}

func (g *grid) failed(cell int, message string) {
	g.tb.Helper()
	g.begin(cell, 1, experiment.Progress{Step: 3})
	g.end(cell, 1, string(experiment.ClassFault), message)
	g.put(cell, experiment.Outcome{
		FormatVersion: 1, ID: g.cells[cell].ID, Name: g.cells[cell].Name, State: experiment.Failed, Attempt: 1, Attempts: 1, Faults: 1, Message: message, Ended: time.Now().UTC(), Metric: "Score",
	}, "outcome.json")
}

func (g *grid) event(events ...experiment.Event) {
	g.tb.Helper()
	file, err := os.OpenFile(filepath.Join(g.dir, experiment.EventsName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		g.tb.Fatal(err)
	}
	defer file.Close()
	for _, e := range events {
		if e.At.IsZero() {
			e.At = time.Now().UTC()
		}
		text, err := json.Marshal(e)
		if err != nil {
			g.tb.Fatal(err)
		}
		if _, err := file.Write(append(text, '\n')); err != nil {
			g.tb.Fatal(err)
		}
	}
}

// runs is a library that has every run.
type everyRun struct{}

func (everyRun) Key(string) record.Key { return record.Key(strings.Repeat("a", 16)) }
func (everyRun) Entry(context.Context, record.Key) (record.Entry, error) {
	return record.Entry{}, nil
}
func (everyRun) Touch() {}

// served are the pages as a browser gets them.
type served struct {
	*httptest.Server
	tb    testing.TB
	pages *Pages
	site  *page.Site
}

func serve(tb testing.TB, root string, o page.Options, control Control) *served {
	tb.Helper()
	o.Sections = []page.Section{{ID: "experiments", Path: "experiments/", Title: "Experiments"}}
	site := page.New(o)
	site.AddAsset("markup/markup.css", nil)
	s := &served{tb: tb, site: site, pages: New(site, nil, []string{root}, control)}
	s.pages.lib, s.pages.has = everyRun{}, has(everyRun{})
	mux := http.NewServeMux()
	s.pages.Register(mux)
	s.Server = httptest.NewServer(site.Handler(mux, page.Guard{}))
	tb.Cleanup(s.Close)
	return s
}

// get asks for a page and checks its status.
func (s *served) get(path string, want int) string {
	s.tb.Helper()
	request, err := http.NewRequestWithContext(s.tb.Context(), http.MethodGet, s.URL+"/"+path, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	answer, err := s.Client().Do(request)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.tb.Fatal(err)
	}
	if answer.StatusCode != want {
		s.tb.Fatalf("GET %s: %s, want %d\n%s", path, answer.Status, want, text)
	}
	return string(text)
}

// key is that of the only experiment.
func (s *served) key() string {
	s.tb.Helper()
	<-s.pages.finder.touch(0)
	found, _, _ := s.pages.finder.all()
	if len(found) != 1 {
		s.tb.Fatalf("found %+v, want one experiment", found)
	}
	return found[0].Key
}

// tree is a page as a browser understands it.
func tree(tb testing.TB, text string) *html.Node {
	tb.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// byID finds an element.
func byID(tb testing.TB, root *html.Node, id string) *html.Node {
	tb.Helper()
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && attribute(n, "id") == id {
			return n
		}
	}
	tb.Fatalf("the page has no element %q", id)
	return nil
}

// textOf is the text of an element, white space as one space.
func textOf(n *html.Node) string {
	var out strings.Builder
	if n.Type == html.TextNode {
		return n.Data
	}
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			out.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

// links are the addresses that a page leads to within the site.
func links(root *html.Node) []string {
	var out []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, name := range []string{"href", "src", "action"} {
			if to := attribute(n, name); to != "" {
				out = append(out, to)
			}
		}
	}
	return out
}

// realExperiment runs a grid with a runner that writes real runs.
func realExperiment(tb testing.TB, dir string) *grid {
	tb.Helper()
	g := newGrid(tb, dir, []string{"battleOfSexes", "prisonersDilemma"}, []string{"demo", "baseline"}, 2, nil)
	m, err := machine.Open(tb.Context(), machine.Options{Dir: tb.TempDir(), MemoryBytes: 1 << 30, CPUs: 4, GPUs: []int{}})
	if err != nil {
		tb.Fatal(err)
	}
	store, err := experiment.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := experiment.NewScheduler(tb.Context(), experiment.Options{
		Store: store, Plan: &experiment.Plan{Cells: g.cells}, Machine: m, Parallel: 1, Runner: writer{tb},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Run(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return g
}

// writer is a Runner that writes a run as an agent's would be.
type writer struct{ tb testing.TB }

func (w writer) Run(_ context.Context, u experiment.Unit) (runstore.Result, error) {
	score := 1 + float64(u.Cell.Spec.Seed)/10
	e := webtest.Begin(w.tb, u.Dir, runstore.Manifest{Task: u.Cell.Spec.Task, Seed: u.Cell.Spec.Seed, Agent: "baseline", Variant: "small", PrimaryMetric: "Score"})
	e.Ordinary(score)
	return runstore.Result{
		Steps: 4, ExitStatus: gym.ExitStatus{Outcome: gym.Submitted}, PrimaryMetric: "Score",
		Best: gym.Scores{"Score": score}, Submission: gym.Scores{"Score": score}, RunDir: u.Dir,
	}, nil
}
