package experiment

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mlgym/machine"
	"mlgym/runstore"
)

// sees looks once and compares what the watcher says with what Status reads.
func sees(t *testing.T, w *Watcher, sweep int) Sight {
	t.Helper()
	sight, err := w.Look(t.Context(), sweep)
	if err != nil {
		t.Fatal(err)
	}
	return sight
}

func newWatcher(t *testing.T, dir string) *Watcher {
	t.Helper()
	w, err := NewWatcher(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWatcherFollows runs an experiment and compares the watcher with Status
// after each part.
func TestWatcherFollows(t *testing.T) {
	w := newWorld(t, newGrid(4, func(i int, c *Cell) {
		if i == 3 {
			c.Skip = "no GPU"
		}
	}), machine.Options{})
	watcher := newWatcher(t, w.store.Dir())
	same := func(what string) {
		t.Helper()
		got, want := *watcher.Status(), w.status(t)
		ignored := cmpopts.IgnoreFields(Status{}, "PerHour", "Remaining", "RemainingUSD")
		if diff := cmp.Diff(*want, got, ignored, cmpopts.IgnoreUnexported(EpisodeStatus{})); diff != "" {
			t.Errorf("%s: the watcher differs from Status (-status +watcher):\n%s", what, diff)
		}
	}
	if sight := sees(t, watcher, 100); !sight.Replanned {
		t.Errorf("the first look found %+v, want a new plan", sight)
	}
	same("planned")

	going, goOn := make(chan Unit, 4), make(chan struct{})
	s := w.scheduler(t, func(_ context.Context, u Unit) (runstore.Result, error) {
		going <- u
		<-goOn
		return submitted(u), os.MkdirAll(u.Dir, dirPerm)
	})
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	for range 3 {
		<-going
	}
	sight := sees(t, watcher, 0)
	same("running")
	if got := watcher.Status().Running; got != 3 {
		t.Errorf("%d episodes run, want 3 (found by their events, without a sweep)", got)
	}
	if !slices.ContainsFunc(sight.Events, func(e Event) bool { return e.Type == Started }) {
		t.Errorf("no episode was seen to start in %+v", sight.Events)
	}
	if d := watcher.Details(0); d.Process.PID != os.Getpid() || d.From.How != New || d.Beat.IsZero() {
		t.Errorf("details of a running episode: %+v", d)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sees(t, watcher, 0)
	same("ended")
	if got := watcher.Status().Done; got != 3 {
		t.Errorf("%d episodes are done, want 3", got)
	}
	if sight := sees(t, watcher, 100); len(sight.Changed)+len(sight.Events) > 0 || sight.Totals {
		t.Errorf("a look at what did not change found %+v", sight)
	}
}

// TestWatcherReadsProgress replaces the progress of a running episode.
func TestWatcherReadsProgress(t *testing.T) {
	w := newWorld(t, newGrid(2, nil), machine.Options{})
	c, err := w.store.cell(w.plan.Cells[1].Dir()).claim(w.plan.Cells[1].ID, "")
	if err != nil {
		t.Fatal(err)
	}
	watcher := newWatcher(t, w.store.Dir())
	sees(t, watcher, 100)
	score := 0.5
	c.written = time.Time{}
	c.tell(Progress{Phase: "stepped", Step: 7, MaxSteps: 50, Score: &score})
	sight := sees(t, watcher, 0)
	if !slices.Equal(sight.Changed, []int{1}) {
		t.Errorf("changed are %v, want the second episode", sight.Changed)
	}
	if e := watcher.Status().Episodes[1]; e.State != Running || e.Step != 7 || e.Score == nil || *e.Score != score {
		t.Errorf("the watcher sees %+v", e)
	}
	if err := c.end(Ending{Why: string(ClassStopped), Message: "enough"}); err != nil {
		t.Fatal(err)
	}
	sees(t, watcher, 0)
	if e := watcher.Status().Episodes[1]; e.State != Waiting || e.Message != "stopped: enough" || watcher.Details(1).Ending != ClassStopped {
		t.Errorf("after it was cut the watcher sees %+v, %+v", e, watcher.Details(1))
	}
	attempts, outcomes, err := w.store.History(w.plan.Cells[1].Dir())
	if err != nil || len(outcomes) != 0 || len(attempts) != 1 || attempts[0].Ending == nil || attempts[0].Progress.Step != 7 {
		t.Errorf("its history is %+v, %+v, %v", attempts, outcomes, err)
	}
}

// TestWatcherTakesForDead lets an attempt fall silent and speak again.
func TestWatcherTakesForDead(t *testing.T) {
	w := newWorld(t, newGrid(1, nil), machine.Options{})
	c, err := w.store.cell(w.plan.Cells[0].Dir()).claim(w.plan.Cells[0].ID, "")
	if err != nil {
		t.Fatal(err)
	}
	watcher := newWatcher(t, w.store.Dir())
	file := filepath.Join(c.dir, progressName)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	sees(t, watcher, 1)
	if e := watcher.Status().Episodes[0]; e.State != Waiting || e.Message != silent {
		t.Errorf("an attempt silent for an hour is %s, %q", e.State, e.Message)
	}
	if err := c.beat(); err != nil {
		t.Fatal(err)
	}
	sees(t, watcher, 0)
	if e := watcher.Status().Episodes[0]; e.State != Running || e.Message != "" {
		t.Errorf("after a sign of life it is %s, %q", e.State, e.Message)
	}
}

// TestWatcherSaysWhatIsWrong damages what it reads, one thing after the other.
func TestWatcherSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t, newGrid(3, nil), machine.Options{})
	dir := w.store.Dir()
	write := func(text string, name ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(append([]string{dir}, name...)...), []byte(text), filePerm); err != nil {
			t.Fatal(err)
		}
	}
	watcher := newWatcher(t, dir)
	sees(t, watcher, 100)

	write("{\"state\": \"do", CellsName, w.plan.Cells[1].Dir(), outcomeName)
	write("{\"type\":\"noted\",\"message\":\"a\"}\nnonsense\n{\"type\":\"noted\",\"mess", EventsName)
	sight := sees(t, watcher, 100)
	if p := watcher.Details(1).Problem; !strings.Contains(p, outcomeName) || !slices.Contains(sight.Changed, 1) {
		t.Errorf("of a torn outcome it says %q (changed %v)", p, sight.Changed)
	}
	if watcher.Details(0).Problem != "" || watcher.Status().Total != 3 {
		t.Errorf("the other episodes suffer: %+v", watcher.Status())
	}
	if len(sight.Events) != 1 || len(watcher.Problems()) != 1 || !strings.Contains(watcher.Problems()[0], "1 line that cannot") {
		t.Errorf("events %+v, problems %q; want one of each", sight.Events, watcher.Problems())
	}
	write("{\"type\":\"noted\",\"message\":\"a\"}\nnonsense\n{\"type\":\"noted\",\"message\":\"b\"}\n", EventsName)
	if sight := sees(t, watcher, 100); len(sight.Events) != 1 || sight.Events[0].Message != "b" {
		t.Errorf("the rest of a torn line gave %+v", sight.Events)
	}

	write(`{"format_version": 99, "episodes": []}`, planName)
	sees(t, watcher, 100)
	if p := strings.Join(watcher.Problems(), "; "); !strings.Contains(p, "version 99") || watcher.Status().Total != 3 {
		t.Errorf("of a newer plan it says %q, and counts %d", p, watcher.Status().Total)
	}
	write(`{"format_version": 1, "name": "x", "episodes": [{"id":"1","dir":"../..","name":"a"},{"id":"2","dir":"","name":"b"}]}`, planName)
	sees(t, watcher, 100)
	for i := range 2 {
		if p := watcher.Details(i).Problem; !strings.Contains(p, "no name of a folder") {
			t.Errorf("episode %d outside of the folder: %q", i, p)
		}
	}
	if err := os.Remove(filepath.Join(dir, planName)); err != nil {
		t.Fatal(err)
	}
	if Found(t.TempDir()) || !Found(dir) {
		t.Error("Found does not tell an experiment without a plan from an empty folder")
	}
	fresh := newWatcher(t, dir)
	if sees(t, fresh, 100); len(fresh.Problems()) != 2 || !strings.Contains(fresh.Problems()[0], "there is no plan.json") {
		t.Errorf("without a plan: %q", fresh.Problems())
	}
}

// TestWatcherSeesRetry sees an outcome that is put aside, by its turn.
func TestWatcherSeesRetry(t *testing.T) {
	w := newWorld(t, newGrid(2, nil), machine.Options{})
	w.run(t, func(_ context.Context, u Unit) (runstore.Result, error) { return submitted(u), nil })
	watcher := newWatcher(t, w.store.Dir())
	sees(t, watcher, 1)
	if watcher.Status().Done != 2 || watcher.Status().Active {
		t.Fatalf("it begins with %+v", watcher.Status())
	}
	if err := os.Rename(w.store.cell(w.plan.Cells[1].Dir()).file(outcomeName), w.store.cell(w.plan.Cells[1].Dir()).file(".outcome-1.json")); err != nil {
		t.Fatal(err)
	}
	sees(t, watcher, 1)
	sees(t, watcher, 1)
	if e := watcher.Status().Episodes[1]; e.State != Waiting {
		t.Errorf("an episode whose outcome was put aside is %s", e.State)
	}
	attempts, outcomes, err := w.store.History(w.plan.Cells[1].Dir())
	if err != nil || len(attempts) != 1 || len(outcomes) != 1 || outcomes[0].State != Done {
		t.Errorf("its history is %+v, %+v, %v", attempts, outcomes, err)
	}
}
