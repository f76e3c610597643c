package search_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/trajectory"
	"mlgym/trajectory/mlgym"
)

func open(tb testing.TB, dir string) *search.Index {
	tb.Helper()
	x, err := search.Open(tb.Context(), dir, search.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := x.Close(); err != nil {
			tb.Error(err)
		}
	})
	return x
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}

func update(tb testing.TB, x *search.Index, roots ...string) search.Summary {
	tb.Helper()
	sum, err := x.Update(tb.Context(), roots, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return sum
}

// step is a step of a made-up run.
type step struct{ action, thought, observation string }

// episode begins a run of ours. What it returns writes further steps.
func episode(tb testing.TB, dir string, m runstore.Manifest, steps ...step) (*runstore.Run, func(...step)) {
	tb.Helper()
	if m.Task == "" {
		m.Task = "blotto"
	}
	if m.Agent == "" {
		m.Agent = "demo"
	}
	m.PrimaryMetric, m.Direction = "score", runstore.Maximize
	run, err := runstore.Create(dir, m)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { run.Close() })
	record, err := run.Trajectory(nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { record.Close() })
	n := 0
	put := func(e trajectory.Event) {
		tb.Helper()
		if err := record.Write(e); err != nil {
			tb.Fatal(err)
		}
	}
	put(trajectory.Event{Reset: &trajectory.Reset{Observation: gym.Observation{Text: "Play a game of resources."}}})
	add := func(steps ...step) {
		tb.Helper()
		for _, s := range steps {
			n++
			action := gym.Action{Command: s.action}
			put(trajectory.Event{Turn: &trajectory.Turn{Step: n, Turn: agent.Turn{Action: action, Thought: s.thought}}})
			put(trajectory.Event{Step: &trajectory.Step{Step: n, Action: action, Transition: gym.Transition{Observation: gym.Observation{Text: s.observation, Step: n}}}})
		}
	}
	add(steps...)
	return run, add
}

// finish ends an episode with a score.
func finish(tb testing.TB, run *runstore.Run, score float64) {
	tb.Helper()
	record, err := trajectory.Append(run.TrajectoryPath(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	final := gym.Evaluation{Kind: gym.Submit, Scores: gym.Scores{"score": score}}
	err = record.Write(trajectory.Event{End: &trajectory.End{
		ExitStatus: gym.EndedBy(gym.CauseSteps, final), Final: &final,
		Transition: &gym.Transition{Truncated: true, Info: gym.Info{Evaluations: []gym.Evaluation{final}}},
	}})
	if err := errors.Join(err, record.Close(), run.Close()); err != nil {
		tb.Fatal(err)
	}
}

// found lists the hits of a query as "run/step".
func found(tb testing.TB, x *search.Index, q search.Query) []string {
	tb.Helper()
	page, err := x.Query(tb.Context(), q)
	if err != nil {
		tb.Fatalf("query %q: %v", q.Text, err)
	}
	return hits(page)
}

func hits(page search.Page) []string {
	list := []string{}
	for _, h := range page.Hits {
		list = append(list, fmt.Sprintf("%s/%d", filepath.Base(h.Run.Path), h.Step))
	}
	return list
}

// TestWhatIsTyped asks in every way that the package's documentation names.
func TestWhatIsTyped(t *testing.T) {
	root := t.TempDir()
	run, _ := episode(
		t, filepath.Join(root, "a"), runstore.Manifest{},
		step{"ls -la", "Look around first.", "train.py  data"},
		step{"python ./train.py --epochs 10", "The learning rate is 0.55.", "loss=0.5 Learning\n  rate 3e-4\nvalidation accuracy: 0.91"},
		step{"echo mytrain.pyx np_random", "", "np-random, train, py"},
		step{"if x != y: np.random.seed(1)", "Naïve ÜBER-Loss 机器学习", `He said "stop" and <b>left</b>`},
		step{"grep -rn foo* .", "optimizer", "optimal optimum optic"},
	)
	finish(t, run, 0.5)
	x := open(t, t.TempDir())
	update(t, x, root)
	tests := map[string][]string{
		"learning":                   {"a/2"},
		"LEARNING Rate":              {"a/2"},
		"resources":                  {"a/0"},
		`"learning rate"`:            {"a/2"}, // in the thought, and over the end of a line
		`"rate learning"`:            {},
		`"learning rate 3e-4"`:       {"a/2"},
		"rate":                       {"a/2"},
		"rat":                        {},
		"rat*":                       {"a/2"},
		"optim*":                     {"a/5"},
		"opt* -optic":                {},
		"train":                      {"a/1", "a/2", "a/3"},
		"train -data":                {"a/2", "a/3"},
		`train -"learning rate"`:     {"a/1", "a/3"},
		"-train":                     {"a/0", "a/4", "a/5"},
		"-train -optimizer":          {"a/0", "a/4"},
		"data OR optic":              {"a/1", "a/5"},
		"train data OR accuracy":     {"a/1", "a/2"},
		"train AND data":             {"a/1"},
		"OR":                         {},
		"OR train":                   {},
		"train OR":                   {},
		"data OR OR optic":           {"a/1", "a/5"},
		"./train.py":                 {"a/2"},
		"train.py":                   {"a/1", "a/2"},
		"train.p*":                   {"a/1", "a/2"},
		"np.random":                  {"a/4"},
		"np_random":                  {"a/3"},
		"-np.random random":          {"a/3"},
		"--epochs":                   {"a/2"},
		"-la":                        {"a/0", "a/2", "a/3", "a/4", "a/5"},
		`"-la"`:                      {"a/1"},
		"!=":                         {"a/4"},
		"x!=y":                       {},
		`"x != y"`:                   {"a/4"},
		"0.5":                        {"a/2"},
		"0.55":                       {"a/2"},
		"0.9*":                       {"a/2"},
		"loss=0.5":                   {"a/2"},
		"loss=0":                     {},
		"55":                         {},
		"ÜBER":                       {"a/4"},
		"über-loss":                  {"a/4"},
		"NAÏVE":                      {"a/4"},
		"学习":                         {"a/4"},
		"学器":                         {},
		"<b>left</b>":                {"a/4"},
		`"stop"`:                     {"a/4"},
		`"said "stop"`:               {"a/4"},
		"foo*":                       {"a/5"},
		`"foo*"`:                     {"a/5"},
		"*":                          {"a/5"},
		`"`:                          {"a/4"},
		`"unclosed`:                  {},
		`"optimal opt`:               {},
		`"optimal opt"*`:             {"a/5"},
		"":                           {},
		" \t\n":                      {},
		"-":                          {"a/2", "a/3", "a/4", "a/5", "a/1"},
		"(train":                     {},
		"action:train NEAR(x) ^a {b": {},
		"\x00":                       {},
		"\xff\xfe":                   {},
		"\uE000":                     {},
	}
	for text, want := range tests {
		got := found(t, x, search.Query{Text: text})
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("query %q (-want +got):\n%s", text, diff)
		}
	}
}

func TestFieldsAreAskedAloneOrTogether(t *testing.T) {
	root := t.TempDir()
	episode(t, filepath.Join(root, "a"), runstore.Manifest{}, step{"validate", "I hope so.", "Score 0.3"}, step{"echo Score", "", "Score"})
	x := open(t, t.TempDir())
	update(t, x, root)
	for _, tt := range []struct {
		in   search.Field
		text string
		want []string
	}{
		{search.Any, "validate score", []string{"a/1"}},
		{search.Action, "validate score", []string{}},
		{search.Action, "score", []string{"a/2"}},
		{search.Observation, "score", []string{"a/1", "a/2"}},
		{search.Observation, "-0.3 score", []string{}}, // a number is meant as it stands
		{search.Thought, "-hope", []string{"a/0", "a/2"}},
		{search.Thought, "so.", []string{"a/1"}},
		{search.Action, "so.", []string{}},
	} {
		if diff := cmp.Diff(tt.want, found(t, x, search.Query{Text: tt.text, In: tt.in})); diff != "" {
			t.Errorf("%q in %q (-want +got):\n%s", tt.text, tt.in, diff)
		}
	}
	page, err := x.Query(t.Context(), search.Query{Text: "validate score"})
	if err != nil {
		t.Fatal(err)
	}
	want := []search.Snippet{
		{Field: search.Action, Text: "validate", Marks: []search.Span{{0, 8}}},
		{Field: search.Observation, Text: "Score 0.3", Marks: []search.Span{{0, 5}}},
	}
	if diff := cmp.Diff(want, page.Hits[0].Snippets); diff != "" {
		t.Errorf("snippets (-want +got):\n%s", diff)
	}
}

// TestHostileText shows that what an agent wrote comes out as one plain line,
// marked where it should be.
func TestHostileText(t *testing.T) {
	root := t.TempDir()
	text := "<script>alert(1)</script>\x1b[31mred\x1b[0m\r\nneedle\x00\x07 \u202eneedle\u2066 " + strings.Repeat("é", 500) + " end"
	episode(t, filepath.Join(root, "a"), runstore.Manifest{}, step{text, text, strings.Repeat("x ", 900_000) + text})
	x := open(t, t.TempDir())
	update(t, x, root)
	page, err := x.Query(t.Context(), search.Query{Text: "needle red"})
	if err != nil || len(page.Hits) != 1 || len(page.Hits[0].Snippets) != 3 {
		t.Fatalf("got %+v, %v", page, err)
	}
	for _, s := range page.Hits[0].Snippets {
		if !utf8.ValidString(s.Text) || strings.ContainsFunc(s.Text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s: the snippet is no plain line: %q", s.Field, s.Text)
		}
		var marked []string
		for _, m := range s.Marks {
			marked = append(marked, s.Text[m.Start:m.End])
		}
		if diff := cmp.Diff([]string{"red", "needle", "needle"}, marked); diff != "" {
			t.Errorf("%s: marks of %q (-want +got):\n%s", s.Field, s.Text, diff)
		}
		if len(s.Text) > 1000 {
			t.Errorf("%s: the snippet has %d bytes", s.Field, len(s.Text))
		}
	}
}

// TestARunThatGrows is read up to its last whole line, and further when there is
// more: only what is new is indexed.
func TestARunThatGrows(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a")
	run, add := episode(t, dir, runstore.Manifest{}, step{"first", "", "one"}, step{"second", "", "two"})
	x := open(t, t.TempDir())
	if sum := update(t, x, root); sum.Steps != 3 || sum.Read != 1 {
		t.Errorf("at first: %+v, want 3 steps of 1 run", sum)
	}
	if got := state(t, x); got != search.Running {
		t.Errorf("the state is %q, want running", got)
	}
	if sum := update(t, x, root); sum.Read != 0 || sum.Unchanged != 1 {
		t.Errorf("unchanged: %+v", sum)
	}

	// Half a line.
	add(step{"third", "", "three"})
	whole, err := os.ReadFile(run.TrajectoryPath())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(run.TrajectoryPath(), whole[:len(whole)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	update(t, x, root)
	if got := found(t, x, search.Query{Text: "third OR three"}); !slices.Equal(got, []string{"a/3"}) {
		t.Errorf("with a torn line, the action of step 3 is found in %v", got)
	}
	if got := found(t, x, search.Query{Text: "three"}); len(got) != 0 {
		t.Errorf("an observation is found whose line is torn: %v", got)
	}
	if err := os.WriteFile(run.TrajectoryPath(), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if sum := update(t, x, root); sum.Steps != 1 {
		t.Errorf("%d steps were indexed, want only the last one", sum.Steps)
	}
	if got := found(t, x, search.Query{Text: "one OR two OR three"}); !slices.Equal(got, []string{"a/1", "a/2", "a/3"}) {
		t.Errorf("found %v", got)
	}

	// Its process ends without an end; nothing in the files says so.
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	update(t, x, root)
	if got := state(t, x); got != search.Cut {
		t.Errorf("the state is %q, want cut", got)
	}
	finish(t, run, 0.25)
	update(t, x, root)
	if got := state(t, x); got != search.Finished {
		t.Errorf("the state is %q, want finished", got)
	}

	// Another record in the same file, longer than before.
	if whole, err = os.ReadFile(run.TrajectoryPath()); err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(whole), "first", "initial")
	changed += changed[len(changed)-1:] // an empty line at the end breaks it
	if err := os.WriteFile(run.TrajectoryPath(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	update(t, x, root)
	if got := found(t, x, search.Query{Text: "first OR initial"}); !slices.Equal(got, []string{"a/1"}) {
		t.Errorf("found %v", got)
	}
	if got := found(t, x, search.Query{Text: "first"}); len(got) != 0 {
		t.Errorf("the old text is found: %v", got)
	}
	if got := state(t, x); got != search.Broken {
		t.Errorf("the state is %q, want broken", got)
	}
}

func state(tb testing.TB, x *search.Index) search.State {
	tb.Helper()
	page, err := x.Runs(tb.Context(), search.RunQuery{})
	if err != nil || len(page.Runs) != 1 {
		tb.Fatalf("runs: %+v, %v", page, err)
	}
	return page.Runs[0].State
}

func TestRenamedAndRemoved(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b"} {
		run, _ := episode(t, filepath.Join(root, name), runstore.Manifest{}, step{"ls " + name, "", ""})
		finish(t, run, 1)
	}
	episode(t, filepath.Join(other, "c"), runstore.Manifest{}, step{"ls c", "", ""})
	x := open(t, t.TempDir())
	update(t, x, root, other, root, filepath.Join(root, "a"))
	if err := os.Rename(filepath.Join(root, "a"), filepath.Join(root, "z")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, "b")); err != nil {
		t.Fatal(err)
	}
	sum := update(t, x, root)
	if sum.Removed != 2 || sum.Read != 1 || sum.Runs != 1 {
		t.Errorf("got %+v, want 2 removed and 1 read", sum)
	}
	if page, err := x.Runs(t.Context(), search.RunQuery{}); err != nil || page.Total != 2 {
		t.Errorf("%d runs are listed, %v; want z and c", page.Total, err)
	}
	got := found(t, x, search.Query{Text: "ls"})
	slices.Sort(got)
	if diff := cmp.Diff([]string{"c/1", "z/1"}, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if got := found(t, x, search.Query{Text: "ls", Filter: search.Filter{Roots: []string{root}}}); !slices.Equal(got, []string{"z/1"}) {
		t.Errorf("below the root: %v", got)
	}
	if _, err := x.Update(t.Context(), []string{filepath.Join(root, "b")}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a root that is not there: %v", err)
	}
	write(t, filepath.Join(root, "file"), "")
	if _, err := x.Update(t.Context(), []string{filepath.Join(root, "file")}, nil); !errors.Is(err, search.ErrNotFolder) {
		t.Errorf("a root that is a file: %v", err)
	}
}

const folder = "metagen-m__blotto__default__t-0.00__p-0.95__c-4.00__install-0__x_run_"

// TestBrokenRuns are listed with their reason, and stop no other.
func TestBrokenRuns(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "nomanifest", "manifest.json"), "{")
	run, _ := episode(t, filepath.Join(root, "corrupt"), runstore.Manifest{}, step{"kept", "", ""})
	record, err := os.ReadFile(run.TrajectoryPath())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(run.TrajectoryPath(), append(record, "not an event\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, folder+"1", "results.json"), `{"agent": [{"Score": 0.5}, {"Score": NaN}], "baseline": {"Score": 0.1}}`)
	write(t, filepath.Join(root, folder+"1", "blotto.traj"), `{"trajectory": [{"action": "kept too", "observation": "x"}, {"acti`)
	write(t, filepath.Join(root, folder+"2", "other.txt"), "")
	write(t, filepath.Join(root, folder+"3", "results.json"), `{"agent": [{"Score": 0.7}], "baseline": {"Score": 0}}`)
	episode(t, filepath.Join(root, "norecord"), runstore.Manifest{})
	if err := os.Remove(filepath.Join(root, "norecord", "trajectory.jsonl")); err != nil {
		t.Fatal(err)
	}
	run, _ = episode(t, filepath.Join(root, "whole"), runstore.Manifest{}, step{"kept three", "", ""})
	finish(t, run, 0.9)
	x := open(t, t.TempDir())
	sum := update(t, x, root)
	if sum.Broken != 4 || sum.Runs != 7 {
		t.Errorf("got %+v, want 4 of 7 broken", sum)
	}
	page, err := x.Runs(t.Context(), search.RunQuery{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range page.Runs {
		got[filepath.Base(r.Path)] = string(r.State) + ": " + strings.ReplaceAll(r.Reason, root, "ROOT")
	}
	want := map[string]string{
		"nomanifest": "broken: ", "corrupt": "broken: trajectory.jsonl:5: not an event", folder + "1": "broken: blotto.traj: byte 66: the text ends too early",
		folder + "2": "broken: results.json: no such file", folder + "3": "finished: blotto.traj: no such file", "norecord": "running: ", "whole": "finished: ",
	}
	for name, state := range want {
		if !strings.HasPrefix(got[name], state) {
			t.Errorf("%s is %q, want %q", name, got[name], state)
		}
	}
	steps := found(t, x, search.Query{Text: "kept"})
	slices.Sort(steps)
	if diff := cmp.Diff([]string{"corrupt/1", folder + "1/1", "whole/1"}, steps); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestRunsAreListed(t *testing.T) {
	root := t.TempDir()
	created := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for i, score := range []float64{0.2, 0.9, 0.5} {
		m := runstore.Manifest{
			Task: []string{"blotto", "blotto", "mnist"}[i], Model: fmt.Sprintf("m%d", i), AgentName: "best", Seed: 1<<63 + uint64(i),
			Created: created.Add(time.Duration(i) * time.Hour), Baseline: gym.Scores{"score": 0.1}, Mode: "hardened",
		}
		run, _ := episode(t, filepath.Join(root, fmt.Sprintf("r%d", i)), m, step{"ls", "", ""})
		finish(t, run, score)
	}
	write(t, filepath.Join(root, folder+"4", "results.json"), `{"agent": [{"Score": 3}, {"Score": 1}], "baseline": {"Score": -1}}`)
	write(t, filepath.Join(root, folder+"4", "blotto.traj"), `{"trajectory": [{"action": "validate", "observation": "Evaluation Score: {'Score': 3}", "execution_time": 2.5}],
		"info": {"exit_status": "autosubmission (max_steps)", "model_stats": {"tokens_sent": 10, "tokens_received": 5, "total_cost": 0.5}}}`)
	x := open(t, t.TempDir())
	update(t, x, root)
	names := func(q search.RunQuery) []string {
		t.Helper()
		page, err := x.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, r := range page.Runs {
			list = append(list, filepath.Base(r.Path))
		}
		return list
	}
	low, high := 0.4, 0.6
	pub := folder + "4"
	for name, tt := range map[string]struct {
		q    search.RunQuery
		want []string
	}{
		"as they started":    {search.RunQuery{}, []string{pub, "r2", "r1", "r0"}},
		"by score":           {search.RunQuery{Sort: search.ByScore}, []string{pub, "r1", "r2", "r0"}},
		"by score, upwards":  {search.RunQuery{Sort: search.ByScore, Ascending: true}, []string{"r0", "r2", "r1", pub}},
		"a part":             {search.RunQuery{Sort: search.ByScore, Limit: 2, Offset: 1}, []string{"r1", "r2"}},
		"scores":             {search.RunQuery{Filter: search.Filter{MinScore: &low, MaxScore: &high}}, []string{"r2"}},
		"a task":             {search.RunQuery{Filter: search.Filter{Tasks: []string{"mnist", "x"}}}, []string{"r2"}},
		"a model":            {search.RunQuery{Filter: search.Filter{Models: []string{"m"}}}, []string{pub}},
		"an agent's name":    {search.RunQuery{Filter: search.Filter{Agents: []string{"best"}, Tasks: []string{"mnist"}}}, []string{"r2"}},
		"an outcome":         {search.RunQuery{Filter: search.Filter{ExitStatus: []string{"autosubmission"}, Models: []string{"m1", "m"}}}, []string{pub, "r1"}},
		"no outcome":         {search.RunQuery{Filter: search.Filter{ExitStatus: []string{"auto%"}}}, nil},
		"a part of the path": {search.RunQuery{Filter: search.Filter{Contains: "INSTALL-0"}}, []string{pub}},
		"hostile":            {search.RunQuery{Filter: search.Filter{Tasks: []string{"' OR 1 --"}}}, nil},
	} {
		if diff := cmp.Diff(tt.want, names(tt.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := x.Runs(t.Context(), search.RunQuery{Sort: "scoer"}); err == nil {
		t.Error("an unknown order is no error")
	}
	page, err := x.Runs(t.Context(), search.RunQuery{Filter: search.Filter{Models: []string{"m", "m2"}}, Sort: search.BySteps})
	if err != nil || page.Total != 2 {
		t.Fatalf("got %+v, %v", page, err)
	}
	num := func(x float64) *float64 { return &x }
	want := []search.Run{
		{
			ID: pub, Path: filepath.Join(root, pub), Source: search.MLGym, Task: "blotto", Agent: "mlgym", Model: "m", Scaffold: "default",
			Seed: 4, Mode: "published", Variant: "mlgym-published", State: search.Finished, ExitStatus: "autosubmission (max_steps)",
			Metric: "Score", Direction: runstore.Maximize, Score: num(1), Best: num(3), Baseline: num(-1), CostUSD: num(0.5),
			TokensIn: 10, TokensOut: 5, Steps: 1, Seconds: 2.5,
		},
		{
			Path: filepath.Join(root, "r2"), Source: search.Ours, Task: "mnist", Agent: "demo", AgentName: "best", Model: "m2",
			Seed: 1<<63 + 2, Mode: "hardened", State: search.Finished, ExitStatus: "autosubmission (max_steps)",
			Metric: "score", Direction: runstore.Maximize, Score: num(0.5), Best: num(0.5), Baseline: num(0.1), CostUSD: num(0),
			Steps: 1, Started: created.Add(2 * time.Hour),
		},
	}
	for i := range page.Runs {
		r := &page.Runs[i]
		if r.Modified.IsZero() || r.Source == search.Ours && r.Ended.IsZero() {
			t.Errorf("%s lacks a time: %+v", r.Path, r)
		}
		r.Modified, r.Ended = time.Time{}, time.Time{}
		if r.Source == search.Ours {
			r.ID, r.Seconds = "", 0
		}
	}
	if diff := cmp.Diff(want, page.Runs); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	values, err := x.Values(t.Context(), search.Filter{Tasks: []string{"blotto"}})
	if err != nil {
		t.Fatal(err)
	}
	wantValues := search.Values{
		Tasks: []search.Count{{"blotto", 3}}, Models: []search.Count{{"m", 1}, {"m0", 1}, {"m1", 1}}, Agents: []search.Count{{"best", 2}, {"mlgym", 1}},
		ExitStatus: []search.Count{{"autosubmission (max_steps)", 3}}, States: []search.Count{{"finished", 3}},
		Modes: []search.Count{{"hardened", 2}, {"published", 1}}, Variants: []search.Count{{"mlgym-published", 1}},
	}
	if diff := cmp.Diff(wantValues, values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// TestPagesTogetherAreAll turns the pages of every size, for what the index
// knows and for what has to be compared.
func TestPagesTogetherAreAll(t *testing.T) {
	root := t.TempDir()
	for i := range 5 {
		var steps []step
		for j := range 6 {
			steps = append(steps, step{action: fmt.Sprintf("run np.random %d", j), observation: []string{"np random", "-"}[j%2]})
		}
		episode(t, filepath.Join(root, fmt.Sprintf("r%d", i)), runstore.Manifest{}, steps...)
	}
	x := open(t, t.TempDir())
	update(t, x, root)
	for _, text := range []string{"random", "np.random", `-"np.random"`, "n*"} {
		for _, perRun := range []int{0, 1, 4} {
			all, err := x.Query(t.Context(), search.Query{Text: text, PerRun: perRun, Limit: 1000})
			if err != nil || all.Next != "" {
				t.Fatalf("%q: %+v, %v", text, all, err)
			}
			for limit := 1; limit <= 31; limit++ {
				var got []string
				q := search.Query{Text: text, PerRun: perRun, Limit: limit}
				for range 40 {
					page, err := x.Query(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					if len(page.Hits) > limit || page.Steps != all.Steps || page.Runs != all.Runs || !page.Exact {
						t.Fatalf("%q, %d at a time: %d hits, %d steps of %d runs; want %d of %d", text, limit, len(page.Hits), page.Steps, page.Runs, all.Steps, all.Runs)
					}
					got = append(got, hits(page)...)
					if q.After = page.Next; q.After == "" {
						break
					}
				}
				if diff := cmp.Diff(hits(all), got); diff != "" {
					t.Errorf("%q, %d at a time, %d per run (-all +pages):\n%s", text, limit, perRun, diff)
				}
			}
		}
	}
	if _, err := x.Query(t.Context(), search.Query{Text: "a", After: "1.2.x"}); !errors.Is(err, search.ErrCursor) {
		t.Errorf("a cursor that is none: %v", err)
	}
}

// TestUselessIndexesAreMadeAnew: of another version, damaged, gone.
func TestUselessIndexesAreMadeAnew(t *testing.T) {
	root := t.TempDir()
	var steps []step
	for i := range 200 {
		steps = append(steps, step{fmt.Sprintf("echo needle %d", i), "", strings.Repeat(fmt.Sprintf("text%d ", i), 100)})
	}
	episode(t, filepath.Join(root, "a"), runstore.Manifest{}, steps...)
	database := func(dir string) string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, "*.sqlite"))
		if err != nil || len(found) != 1 {
			t.Fatalf("databases: %v, %v", found, err)
		}
		return found[0]
	}
	overwrite := func(path string, at int64, n int) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte(strings.Repeat("garbage ", n/8)), at)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(dir string){
		"another version": func(dir string) {
			write(t, filepath.Join(dir, "v0-abc.sqlite"), "old")
			write(t, filepath.Join(dir, "current"), "v0-abc.sqlite\n")
		},
		"a pointer elsewhere": func(dir string) { write(t, filepath.Join(dir, "current"), "../../x.sqlite\n") },
		"an empty pointer":    func(dir string) { write(t, filepath.Join(dir, "current"), "") },
		"gone":                func(dir string) { os.Remove(database(dir)) },
		"empty":               func(dir string) { os.Truncate(database(dir), 0) },
		"a damaged header":    func(dir string) { overwrite(database(dir), 0, 64) },
		"damaged inside": func(dir string) {
			info, err := os.Stat(database(dir))
			if err != nil {
				t.Fatal(err)
			}
			overwrite(database(dir), 4096, int(info.Size())-4096)
		},
		"cut in the middle": func(dir string) {
			info, err := os.Stat(database(dir))
			if err == nil {
				err = os.Truncate(database(dir), info.Size()/2)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			x := open(t, dir)
			update(t, x, root)
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			spoil(dir)
			x, err := search.Open(t.Context(), dir, search.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			if _, err := x.Query(t.Context(), search.Query{Text: "needle 7"}); err != nil && !errors.Is(err, search.ErrDamaged) {
				t.Errorf("the query's error does not say what is wrong: %v", err)
			}
			sum := update(t, x, root)
			if sum.Rebuilt == "" || sum.Read != 1 {
				t.Errorf("it was not built anew: %+v", sum)
			}
			if got := found(t, x, search.Query{Text: "needle 7"}); !slices.Equal(got, []string{"a/8"}) {
				t.Errorf("found %v", got)
			}
			if sum := update(t, x, root); sum.Rebuilt != "" {
				t.Errorf("it says a second time that it was built anew: %q", sum.Rebuilt)
			}
			database(dir) // there is one
		})
	}
}

// TestAnIndexThatWasReplaced goes on in a process that has the old one open.
func TestAnIndexThatWasReplaced(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	episode(t, filepath.Join(root, "a"), runstore.Manifest{}, step{"needle", "", ""})
	old := open(t, dir)
	update(t, old, root)
	write(t, filepath.Join(dir, "current"), "v0-old.sqlite\n")
	fresh := open(t, dir)
	if got := found(t, fresh, search.Query{Text: "needle"}); len(got) != 0 {
		t.Errorf("the new index is not empty: %v", got)
	}
	update(t, fresh, root)
	for range 2 {
		if got := found(t, old, search.Query{Text: "needle"}); len(got) != 1 {
			t.Errorf("the one that was open finds %v", got)
		}
		if sum := update(t, old, root); sum.Unchanged != 1 {
			t.Errorf("the one that was open reads again: %+v", sum)
		}
	}
}

// TestSeveralProcesses bring one index up to date and ask it, all at once.
func TestSeveralProcesses(t *testing.T) {
	if root := os.Getenv("SEARCH_TEST_ROOT"); root != "" {
		x := open(t, os.Getenv("SEARCH_TEST_INDEX"))
		for range 5 {
			update(t, x, root)
			if got := found(t, x, search.Query{Text: "needle"}); len(got) < 20 {
				t.Errorf("found only %v", got)
			}
		}
		return
	}
	root, dir := t.TempDir(), t.TempDir()
	var grow []func(...step)
	for i := range 20 {
		_, add := episode(t, filepath.Join(root, fmt.Sprintf("r%d", i)), runstore.Manifest{}, step{"needle", "", ""})
		grow = append(grow, add)
	}
	var others []*exec.Cmd
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSeveralProcesses$")
		cmd.Env = append(os.Environ(), "SEARCH_TEST_ROOT="+root, "SEARCH_TEST_INDEX="+dir)
		cmd.Stdout = &strings.Builder{}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		others = append(others, cmd)
	}
	x := open(t, dir)
	for range 5 {
		for _, add := range grow {
			add(step{"more", "", "needle"})
		}
		update(t, x, root)
	}
	for _, cmd := range others {
		if err := cmd.Wait(); err != nil {
			t.Errorf("another process: %v\n%s", err, cmd.Stdout)
		}
	}
	update(t, x, root)
	page, err := x.Query(t.Context(), search.Query{Text: "needle"})
	if err != nil || page.Steps != 120 || page.Runs != 20 {
		t.Errorf("found %d steps of %d runs, %v; want 120 of 20", page.Steps, page.Runs, err)
	}
}

// TestStoppedAndGoneOn: what was read before a stop is not read again.
func TestStoppedAndGoneOn(t *testing.T) {
	root := t.TempDir()
	for i := range 30 {
		episode(t, filepath.Join(root, fmt.Sprintf("r%02d", i)), runstore.Manifest{}, step{"needle", "", ""})
	}
	x := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var told []search.Progress
	_, err := x.Update(ctx, []string{root}, func(p search.Progress) {
		told = append(told, p)
		if p.Runs == 10 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if last := told[len(told)-1]; last.AllRuns != 30 || last.Bytes <= 0 || last.Bytes >= last.AllBytes {
		t.Errorf("progress: %+v", last)
	}
	update(t, x, root)
	if got := found(t, x, search.Query{Text: "needle"}); len(got) != 30 {
		t.Errorf("found %v", got)
	}
}

// TestNobodyElseReadsIt: records are readable by their owner only, so the index
// is too; and names with odd signs are no parameters.
func TestNobodyElseReadsIt(t *testing.T) {
	odd := filepath.Join(t.TempDir(), "a b?mode=ro&x=%41#frag;'\"\n\u00e9")
	root := filepath.Join(odd, "runs")
	episode(t, filepath.Join(root, "r?1%"), runstore.Manifest{}, step{"needle", "", ""})
	dir := filepath.Join(odd, "index")
	x := open(t, dir)
	update(t, x, root)
	if got := found(t, x, search.Query{Text: "needle", Filter: search.Filter{Roots: []string{root}}}); !slices.Equal(got, []string{"r?1%/1"}) {
		t.Errorf("found %v", got)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) < 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.Name(), ".sqlite") && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %o", e.Name(), info.Mode().Perm())
		}
	}
}

// TestPublishedRuns compares what is found in MLGym's published runs with what a
// reader of all their texts finds.
func TestPublishedRuns(t *testing.T) {
	entries, _, err := mlgym.Find(published)
	if err != nil {
		t.Skipf("the published runs are not here: %v", err)
	}
	words := []string{"python", "validate", "accuracy", "LightGBM", "sklearn", "nan"}
	literals := []string{"np.random", "./", "train.py", "!=", "learning_rate", "==", "{'", "import numpy as np"}
	want := map[string]map[string]bool{}
	for _, w := range append(slices.Clone(words), literals...) {
		want[w] = map[string]bool{}
	}
	isWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }
	err = mlgym.Read(t.Context(), entries, mlgym.Options{Want: mlgym.FieldObservation | mlgym.FieldThought},
		func(mlgym.Entry) (map[string][]int, func(*mlgym.Step) error) {
			seen := map[string][]int{}
			return seen, func(st *mlgym.Step) error {
				for _, text := range [][]byte{st.Action, st.Thought, st.Observation} {
					low := strings.ToLower(string(text))
					for w := range want {
						for rest, at := low, 0; ; {
							i := strings.Index(rest[at:], strings.ToLower(w))
							if i < 0 {
								break
							}
							at += i
							before, _ := utf8.DecodeLastRuneInString(rest[:at])
							after, _ := utf8.DecodeRuneInString(rest[at+len(w):])
							first, _ := utf8.DecodeRuneInString(w)
							last, _ := utf8.DecodeLastRuneInString(w)
							if !(isWord(before) && isWord(first)) && !(isWord(after) && isWord(last)) {
								seen[w] = append(seen[w], st.Number)
								break
							}
							at++
						}
					}
				}
				return nil
			}
		},
		func(r *mlgym.Run, seen map[string][]int) error {
			for w, steps := range seen {
				for _, s := range steps {
					want[w][fmt.Sprintf("%s/%d", r.Folder, s)] = true
				}
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, t.TempDir())
	sum := update(t, x, published)
	if sum.Runs != len(entries) || sum.Steps == 0 {
		t.Errorf("got %+v of %d", sum, len(entries))
	}
	for _, w := range append(words, literals...) {
		text := w
		if strings.Contains(w, " ") {
			text = `"` + w + `"`
		}
		got := found(t, x, search.Query{Text: text, Limit: 1_000_000})
		slices.Sort(got)
		all := slices.Sorted(maps.Keys(want[w]))
		if !slices.Equal(got, all) {
			t.Errorf("%q is found in %d steps, want %d", w, len(got), len(all))
		}
		if len(all) == 0 {
			t.Errorf("%q is in no step: it tests nothing", w)
		}
	}
}

// TestLostManifest: a record without its manifest is listed, with the reason, and
// does not vanish.
func TestLostManifest(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "bare")
	run, _ := episode(t, dir, runstore.Manifest{}, step{action: "ls"})
	finish(t, run, 1)
	if err := os.Remove(filepath.Join(dir, runstore.ManifestName)); err != nil {
		t.Fatal(err)
	}
	x := open(t, t.TempDir())
	update(t, x, root)
	page, err := x.Runs(t.Context(), search.RunQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Runs) != 1 || page.Runs[0].State != search.Broken || !strings.Contains(page.Runs[0].Reason, "manifest") {
		t.Errorf("got %+v", page.Runs)
	}
}
