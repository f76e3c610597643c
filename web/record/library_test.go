package record_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/search"
	"mlgym/trajectory"
	"mlgym/web/record"
)

func library(t *testing.T, o record.LibraryOptions) *record.Library {
	t.Helper()
	if o.Index == nil {
		index, err := search.Open(t.Context(), t.TempDir(), search.Options{Metric: o.Metric})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := index.Close(); err != nil {
				t.Error(err)
			}
		})
		o.Index = index
	}
	o.Every = time.Millisecond
	return record.NewLibrary(o)
}

// start starts a library and waits for its first look.
func start(t *testing.T, l *record.Library) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	l.Start(ctx)
	if err := l.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, l *record.Library) []string {
	t.Helper()
	entries, total, err := l.Runs(t.Context(), search.RunQuery{})
	if err != nil || total != len(entries) {
		t.Fatalf("%d of %d runs, %v", len(entries), total, err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name)
		if !e.Key.Valid() || l.Key(e.Path) != e.Key {
			t.Errorf("key %q of %s, and of its path %q", e.Key, e.Name, l.Key(e.Path))
		}
		if again, err := l.Entry(t.Context(), e.Key); err != nil || again.Name != e.Name || again.Path != e.Path {
			t.Errorf("by its key: %+v, %v", again, err)
		}
		run, err := l.Open(t.Context(), e.Key)
		if err != nil || run.Key() != e.Key || run.Dir() != e.Path {
			t.Errorf("open %s: %v", e.Name, err)
		}
	}
	slices.Sort(list)
	return list
}

func make1(t *testing.T, dir string) *writer {
	t.Helper()
	w := begin(t, dir)
	w.put(reset("Task."))
	w.add("one", "two")
	return w
}

func TestLibrary(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	odd := "odd \xff\xfe\n#?%2F<b>'\" é"
	for _, dir := range []string{filepath.Join(a, "x", "1"), filepath.Join(a, odd), filepath.Join(b, "x", "1"), filepath.Join(b, "runs", "1")} {
		make1(t, dir).close()
	}
	one := library(t, record.LibraryOptions{Roots: []string{a}})
	start(t, one)
	if diff := cmp.Diff([]string{odd, "x/1"}, names(t, one)); diff != "" {
		t.Errorf("one folder (-want +got):\n%s", diff)
	}
	// A run that is moved with its folder keeps its key.
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(a, moved); err != nil {
		t.Fatal(err)
	}
	other := library(t, record.LibraryOptions{Roots: []string{moved}})
	start(t, other)
	if got, want := other.Key(filepath.Join(moved, "x", "1")), one.Key(filepath.Join(a, "x", "1")); got != want {
		t.Errorf("key %q, before it was moved %q", got, want)
	}
	// Several folders, one of them given twice, one within another, one that is a run.
	base := filepath.Base(b)
	many := library(t, record.LibraryOptions{Roots: []string{moved, b, b, filepath.Join(b, "x"), filepath.Join(moved, "x", "1")}})
	start(t, many)
	if diff := cmp.Diff([]string{base + "/runs/1", base + "/x/1", "moved/" + odd, "moved/x/1"}, names(t, many)); diff != "" {
		t.Errorf("many folders (-want +got):\n%s", diff)
	}
	run := library(t, record.LibraryOptions{Roots: []string{filepath.Join(moved, "x", "1")}})
	start(t, run)
	if diff := cmp.Diff([]string{"1"}, names(t, run)); diff != "" {
		t.Errorf("one run (-want +got):\n%s", diff)
	}

	entries, total, err := many.Runs(t.Context(), search.RunQuery{Filter: search.Filter{Roots: []string{filepath.Join(b, "runs")}}})
	if err != nil || total != 1 || entries[0].Name != base+"/runs/1" {
		t.Errorf("below a folder: %v, %v", entries, err)
	}
	if _, _, err := one.Runs(t.Context(), search.RunQuery{Filter: search.Filter{Roots: []string{b}}}); err == nil {
		t.Error("another folder could be asked for")
	}
	if page, err := many.Search(t.Context(), search.Query{Text: "print number"}); err != nil || page.Steps != 8 {
		t.Errorf("search: %d steps, %v", page.Steps, err)
	}
	if page, err := one.Search(t.Context(), search.Query{Text: "number", Filter: search.Filter{Roots: []string{"/"}}}); err == nil {
		t.Errorf("another folder could be searched: %v", page)
	}
	if values, err := many.Values(t.Context(), search.Filter{}); err != nil || len(values.Tasks) != 1 || values.Tasks[0].Runs != 4 {
		t.Errorf("values: %+v, %v", values, err)
	}
	// Some of the runs only.
	for _, tt := range []struct {
		only, asked search.Filter
		want        int
	}{
		{search.Filter{Agents: []string{"llm"}}, search.Filter{}, 4},
		{search.Filter{Agents: []string{"llm"}}, search.Filter{Agents: []string{"llm"}}, 4},
		{search.Filter{Agents: []string{"llm"}}, search.Filter{Agents: []string{"other"}}, 0},
		{search.Filter{Tasks: []string{"other"}}, search.Filter{Tasks: []string{"blotto"}}, 0},
		{search.Filter{Tasks: []string{"other", "blotto"}}, search.Filter{Tasks: []string{"blotto"}}, 4},
		{search.Filter{ExitStatus: []string{"submitted"}}, search.Filter{}, 0},
	} {
		some := library(t, record.LibraryOptions{Roots: []string{moved, b}, Only: tt.only})
		start(t, some)
		entries, total, err := some.Runs(t.Context(), search.RunQuery{Filter: tt.asked})
		if err != nil || total != tt.want {
			t.Errorf("only %+v, asked for %+v: %d runs, %v", tt.only, tt.asked, total, err)
		}
		for _, e := range entries {
			if _, err := some.Open(t.Context(), e.Key); err != nil {
				t.Error(err)
			}
		}
		if _, err := some.Entry(t.Context(), many.Key(filepath.Join(b, "runs", "1"))); (err == nil) != (tt.only.Tasks == nil && tt.only.ExitStatus == nil || len(tt.only.Tasks) == 2) {
			t.Errorf("only %+v: entry: %v", tt.only, err)
		}
		some.Close()
		some.Close()
	}
	for _, key := range []record.Key{"", "aaaaaaaaaaaaaaaa", "../../../etc/pass"} {
		if _, err := many.Entry(t.Context(), key); !errors.Is(err, record.ErrNoRun) {
			t.Errorf("entry %q: %v", key, err)
		}
		if _, err := many.Open(t.Context(), key); !errors.Is(err, record.ErrNoRun) {
			t.Errorf("open %q: %v", key, err)
		}
	}
}

// until touches the library until something holds.
func until(t *testing.T, l *record.Library, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	changed := l.Watch(ctx)
	for !holds() {
		if _, ok := <-changed; !ok {
			t.Fatal("it never came")
		}
	}
}

func TestLibraryChanges(t *testing.T) {
	root := t.TempDir()
	w := make1(t, filepath.Join(root, "a"))
	// Two viewers, each with an index, and one that shares it.
	l := library(t, record.LibraryOptions{Roots: []string{root}})
	l2 := library(t, record.LibraryOptions{Roots: []string{root}})
	start(t, l)
	start(t, l2)
	before := l.Progress()
	if !before.Done || before.Indexing || before.Generation == 0 || before.Err != "" || before.Runs != 1 || before.AllRuns != 1 {
		t.Errorf("progress %+v", before)
	}
	a, err := l.Open(t.Context(), l.Key(filepath.Join(root, "a")))
	if err != nil {
		t.Fatal(err)
	}
	if e := a.Entry(); e.State != search.Running || e.Steps != 2 {
		t.Errorf("entry %+v", e)
	}
	w.add("three")
	if again, err := l.Open(t.Context(), a.Key()); err != nil || again != a || a.Len() != 3 {
		t.Errorf("opened again: the same %t, %d steps, %v", again == a, a.Len(), err)
	}
	make1(t, filepath.Join(root, "b")).close()
	for _, l := range []*record.Library{l, l2} {
		until(t, l, func() bool { return len(names(t, l)) == 2 })
		// The index has it a moment before those who watch are told.
		until(t, l, func() bool { return l.Progress().Generation > before.Generation })
	}
	// Its writer dies: no file changes, the state does.
	w.record.Close()
	w.run.Close()
	until(t, l, func() bool {
		e, err := l.Entry(t.Context(), a.Key())
		return err == nil && e.State == search.Cut
	})
	if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	until(t, l, func() bool { return len(names(t, l)) == 1 })
	if _, err := l.Open(t.Context(), a.Key()); !errors.Is(err, record.ErrNoRun) {
		t.Errorf("a run that is gone: %v", err)
	}
	// The folder itself goes, and comes back.
	if err := os.Rename(root, root+".away"); err != nil {
		t.Fatal(err)
	}
	until(t, l, func() bool { return l.Progress().Err != "" })
	if _, total, err := l.Runs(t.Context(), search.RunQuery{}); err != nil || total != 1 {
		t.Errorf("what was there before: %d runs, %v", total, err)
	}
	if err := os.Rename(root+".away", root); err != nil {
		t.Fatal(err)
	}
	until(t, l, func() bool { return l.Progress().Err == "" })
}

// TestSharedIndex has another process read what changed, so that this one finds
// nothing left to read.
func TestSharedIndex(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	w := make1(t, filepath.Join(root, "a"))
	open := func() *search.Index {
		x, err := search.Open(t.Context(), dir, search.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
		return x
	}
	l := library(t, record.LibraryOptions{Roots: []string{root}, Index: open()})
	start(t, l)
	other := open()
	for _, change := range []func(){
		func() { w.add("three") },
		func() { make1(t, filepath.Join(root, "b")).close() },
	} {
		before := l.Progress().Generation
		change()
		if sum, err := other.Update(t.Context(), []string{root}, nil); err != nil || sum.Read == 0 {
			t.Fatalf("read %d runs, %v", sum.Read, err)
		}
		until(t, l, func() bool { return l.Progress().Generation > before })
	}
}

func TestLibraryOfNothing(t *testing.T) {
	l := library(t, record.LibraryOptions{Roots: []string{filepath.Join(t.TempDir(), "nothing")}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.Start(ctx)
	if err := l.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("error %v", err)
	}
	empty := library(t, record.LibraryOptions{Roots: []string{t.TempDir()}})
	start(t, empty)
	if got := names(t, empty); len(got) != 0 {
		t.Errorf("runs %q", got)
	}
	never := library(t, record.LibraryOptions{Roots: []string{t.TempDir()}})
	cancel()
	if err := never.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("wait for what was never started: %v", err)
	}
	ch := never.Watch(ctx)
	for range ch { // until it is closed
	}
}

// TestCache opens more runs than may stay in memory.
func TestCache(t *testing.T) {
	root := t.TempDir()
	for n := range 5 {
		make1(t, filepath.Join(root, fmt.Sprint(n))).close()
	}
	small := library(t, record.LibraryOptions{Roots: []string{root}, CacheBytes: 1})
	large := library(t, record.LibraryOptions{Roots: []string{root}})
	start(t, small)
	start(t, large)
	open := func(l *record.Library, n int) *record.Run {
		run, err := l.Open(t.Context(), l.Key(filepath.Join(root, fmt.Sprint(n))))
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	for _, tt := range []struct {
		l    *record.Library
		kept bool
	}{{small, false}, {large, true}} {
		first := open(tt.l, 0)
		if open(tt.l, 0) != first {
			t.Error("the run that was used last was opened twice")
		}
		for n := range 5 {
			open(tt.l, n)
		}
		if kept := open(tt.l, 0) == first; kept != tt.kept {
			t.Errorf("kept %t, want %t", kept, tt.kept)
		}
		if s := stepOf(t, first, 2); s.Observation != "two" {
			t.Errorf("whoever held it sees %q", s.Observation)
		}
	}
}

// TestWatch waits for a run to grow.
func TestWatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := make1(t, dir)
	run := openRun(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	one, two := record.Watch(ctx, run), record.Watch(ctx, run)
	gone, leave := context.WithCancel(ctx)
	third := record.Watch(gone, run)
	leave()
	for range third { // until it is closed
	}
	w.add("three")
	for _, ch := range []<-chan struct{}{one, two} {
		if _, ok := <-ch; !ok {
			t.Fatal("it never came")
		}
	}
	if run.Len() != 3 {
		t.Errorf("%d steps", run.Len())
	}
	cancel()
	for range one { // until it is closed
	}
	for range two { // until it is closed
	}
	// Somebody comes later.
	later, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ch := record.Watch(later, run)
	w.add("four")
	if _, ok := <-ch; !ok || run.Len() != 4 {
		t.Errorf("%d steps", run.Len())
	}
}

// TestTogether reads a run in every way while it is written, from several
// goroutines.
func TestTogether(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "run")
	w := make1(t, dir)
	l := library(t, record.LibraryOptions{Roots: []string{root}, CacheBytes: 1})
	start(t, l)
	key := l.Key(dir)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				run, err := l.Open(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				n := run.Len()
				for _, b := range run.Briefs(0, n+1) {
					if b.Number > 2 && !b.Pending && b.ObservationBytes != len(fmt.Sprintf("output %d", b.Number)) {
						t.Errorf("brief %+v", b)
					}
				}
				s, err := run.Step(t.Context(), n)
				if want := fmt.Sprintf("output %d", n); err != nil || n > 2 && s.Observation != want && s.Observation != "" {
					t.Errorf("step %d is %q, %v", n, s.Observation, err)
				}
				if _, err := run.Prompt(t.Context(), n); err != nil {
					t.Error(err)
				}
				if h := run.Header(); len(h.Problems) > 0 {
					t.Errorf("problems %q", h.Problems)
				}
				run.Closing()
				run.Entry()
				run.Logs()
				if _, err := run.Files(t.Context(), n); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for n := 3; n < 300; n++ {
		w.add(fmt.Sprintf("output %d", n))
		if n%50 == 0 {
			w.put(trajectory.Event{Note: &trajectory.Note{Text: "so far"}})
		}
	}
	close(done)
	wg.Wait()
	run, err := l.Open(t.Context(), key)
	if err != nil || run.Len() != 299 {
		t.Errorf("%d steps, %v", run.Len(), err)
	}
}
