package experiments

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mlgym/experiment"
	"mlgym/web/page"
)

// event of a stream.
type event struct{ id, name, data string }

// listen opens a stream of events.
func (s *served) listen(ctx context.Context, path, last string) <-chan event {
	s.tb.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/"+path, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := s.Client().Do(request)
	if err != nil {
		s.tb.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		s.tb.Fatalf("GET %s: %s, %s", path, answer.Status, answer.Header.Get("Content-Type"))
	}
	out := make(chan event, 100)
	go func() {
		defer answer.Body.Close()
		defer close(out)
		scanner := bufio.NewScanner(answer.Body)
		scanner.Buffer(nil, 16<<20)
		var e event
		for scanner.Scan() {
			name, value, _ := strings.Cut(scanner.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data += value
			case "":
				if e.name != "" {
					out <- e
				}
				e = event{}
			}
		}
	}()
	return out
}

// next waits for a patch that has an element.
func next(t *testing.T, events <-chan event, element string) (string, event) {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatal("the stream has ended")
			}
			if e.name != "patch" {
				continue
			}
			var patch map[string]string
			if err := json.Unmarshal([]byte(e.data), &patch); err != nil {
				t.Fatal(err)
			}
			if html, ok := patch[element]; ok {
				return html, e
			}
		case <-timeout:
			t.Fatalf("no patch has the element %q", element)
		}
	}
}

func (s *served) mark(path string) string {
	s.tb.Helper()
	root := tree(s.tb, s.get(path, 200))
	for n := range root.Descendants() {
		if m := attribute(n, "data-mark"); m != "" {
			return m
		}
	}
	s.tb.Fatalf("%s has no mark", path)
	return ""
}

// TestLive changes an experiment while a page listens.
func TestLive(t *testing.T) {
	dir := t.TempDir()
	g := newGrid(t, dir, []string{"t"}, []string{"a", "b"}, 2, nil)
	g.begin(0, 1, experiment.Progress{Step: 1, MaxSteps: 50})
	s := serve(t, dir, page.Options{}, nil)
	path := "experiments/" + s.key() + "/"
	mark := s.mark(path)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	events := s.listen(ctx, path+"events?since="+mark, "")

	g.progress(0, 1, experiment.Progress{Step: 2, MaxSteps: 50})
	cell, _ := next(t, events, "c-0")
	if !strings.Contains(cell, "2/50") {
		t.Errorf("after a step the cell is %s", cell)
	}
	g.done(0, 0.75)
	cell, last := next(t, events, "c-0")
	if !strings.Contains(cell, "0.7500") {
		t.Errorf("after the episode the cell is %s", cell)
	}
	g.begin(1, 1, experiment.Progress{Step: 0})
	g.event(experiment.Event{Type: experiment.Started, ID: g.cells[1].ID, Episode: g.cells[1].Name, Attempt: 1, Message: "new"})
	if running, _ := next(t, events, "running"); !strings.Contains(running, "r-1") {
		t.Errorf("those that run are %s", running)
	}

	// A browser that was away gets what it missed; one from another time, its page.
	again := s.listen(ctx, path+"events?since="+mark, last.id)
	if running, _ := next(t, again, "running"); !strings.Contains(running, "r-1") {
		t.Errorf("what was missed is %s", running)
	}
	for _, old := range []string{"", "nonsense", "x.1", strings.Replace(mark, ".", ".9", 1), strings.Replace(mark, ".", ".-", 1)} {
		if e := <-s.listen(ctx, path+"events?since="+old, ""); e.name != "reload" {
			t.Errorf("the mark %q got %+v, want a reload", old, e)
		}
	}
	// Another plan is another page.
	newGrid(t, dir, []string{"t", "u"}, []string{"a", "b"}, 2, nil)
	timeout := time.After(time.Minute)
	for replanned := false; !replanned; {
		select {
		case e := <-events:
			replanned = e.name == "reload"
		case <-timeout:
			t.Fatal("another plan is not told of")
		}
	}
}

// TestLiveList sees an experiment go on in the list.
func TestLiveList(t *testing.T) {
	dir := t.TempDir()
	g := newGrid(t, dir, []string{"t"}, []string{"a"}, 2, nil)
	s := serve(t, dir, page.Options{}, nil)
	key := s.key()
	s.get("experiments/", 200)
	events := s.listen(t.Context(), "experiments/events?since="+s.mark("experiments/"), "")
	g.done(1, 1)
	for {
		row, _ := next(t, events, "x-"+key)
		if strings.Contains(row, "1 of 2 done") {
			return
		}
	}
}

// TestNewInList has a page that lists nothing load again when there is an experiment.
func TestNewInList(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, page.Options{}, nil)
	mark := s.mark("experiments/")
	newGrid(t, filepath.Join(dir, "exp"), []string{"t"}, []string{"a"}, 1, nil)
	s.key() // it is found before anybody listens
	if e := <-s.listen(t.Context(), "experiments/events?since="+mark, ""); e.name != "reload" {
		t.Errorf("a page without the new experiment got %+v, want a reload", e)
	}
	if got := s.get("experiments/", 200); !strings.Contains(got, "never begun") {
		t.Error("the list lacks the new experiment")
	}
}

// TestNobodyListens ends the poller with its last listener.
func TestNobodyListens(t *testing.T) {
	f := newFeed()
	polled := make(chan struct{}, 100)
	poll := func(context.Context) { polled <- struct{}{} }
	a, _ := f.listen(t.Context(), poll)
	b, _ := f.listen(t.Context(), poll)
	<-polled
	f.leave(a)
	<-polled
	f.leave(b)
	deadline := time.Now().Add(time.Minute)
	for {
		f.mu.Lock()
		polling := f.polling
		f.mu.Unlock()
		if !polling {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the poller goes on while nobody listens")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range mostListeners {
		if _, ok := f.listen(t.Context(), poll); !ok {
			t.Fatal("a listener was refused")
		}
	}
	if _, ok := f.listen(t.Context(), poll); ok {
		t.Errorf("%d listen, want %d at most", mostListeners+1, mostListeners)
	}
}

// TestFeedForgets keeps a bounded number of patches.
func TestFeedForgets(t *testing.T) {
	f := newFeed()
	begin := f.mark()
	for i := range mostPatches + 5 {
		p := f.parts()
		p.add("a", strings.Repeat("x", i))
		f.publish(p)
	}
	if _, ok := f.since(begin); ok {
		t.Error("patches from the beginning are still there")
	}
	if got, ok := f.since(f.markOf(5)); !ok || len(got) != mostPatches {
		t.Errorf("since 5: %d patches, %t", len(got), ok)
	}
	p := f.parts()
	p.add("a", strings.Repeat("x", mostPatches+4))
	if f.publish(p); len(p.html) != 0 {
		t.Error("what did not change is sent again")
	}
	big := f.parts()
	big.add("b", strings.Repeat("y", 2*mostPatchBytes))
	if f.publish(big); len(f.patches) != 1 {
		t.Errorf("%d patches are kept beside a large one", len(f.patches))
	}
}

// TestSilence shows an attempt that died as one that died.
func TestSilence(t *testing.T) {
	dir := t.TempDir()
	g := newGrid(t, dir, []string{"t"}, []string{"a"}, 1, nil)
	g.begin(0, 1, experiment.Progress{Step: 3})
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(g.path(0), "attempt-1", "progress.json"), old, old); err != nil {
		t.Fatal(err)
	}
	s := serve(t, dir, page.Options{}, nil)
	root := tree(t, s.get("experiments/"+s.key()+"/", 200))
	if got := textOf(byID(t, root, "state")); !strings.Contains(got, "grid stopped") {
		t.Errorf("its state is %q", got)
	}
}
