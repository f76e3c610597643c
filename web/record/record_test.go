package record_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/trajectory"
	"mlgym/web/record"
)

// writer writes a run of ours.
type writer struct {
	tb     testing.TB
	run    *runstore.Run
	record *trajectory.Writer
	n      int
}

func begin(tb testing.TB, dir string) *writer {
	tb.Helper()
	run, err := runstore.Create(dir, runstore.Manifest{
		Task: "blotto", TaskVersion: "2", Agent: "llm", Model: "demo-model", Scaffold: "default", Seed: 7,
		Mode: "hardened", Variant: "full", PrimaryMetric: "score", Direction: runstore.Maximize,
		Baseline: gym.Scores{"score": 0.25}, Limits: runstore.Limits{MaxSteps: 50}, MlgymVersion: "1.2.3",
	})
	if err != nil {
		tb.Fatal(err)
	}
	w := &writer{tb: tb, run: run}
	tb.Cleanup(func() { w.close() })
	if w.record, err = run.Trajectory(nil); err != nil {
		tb.Fatal(err)
	}
	return w
}

func (w *writer) close() {
	if w.record != nil {
		w.record.Close()
	}
	w.run.Close()
}

func (w *writer) put(events ...trajectory.Event) {
	w.tb.Helper()
	for _, e := range events {
		if err := w.record.Write(e); err != nil {
			w.tb.Fatal(err)
		}
	}
}

func reset(text string) trajectory.Event {
	return trajectory.Event{Reset: &trajectory.Reset{Seed: 7, Observation: gym.Observation{Text: text, StepsLeft: 50, WorkingDir: "/w"}, Seconds: 0.5}}
}

func turn(n int, action gym.Action, thought string, exchanges ...agent.Exchange) trajectory.Event {
	return trajectory.Event{Turn: &trajectory.Turn{Step: n, Seconds: 1.5, Turn: agent.Turn{Action: action, Thought: thought, Exchanges: exchanges}}}
}

func step(n int, action gym.Action, observation string, change ...func(*gym.Transition)) trajectory.Event {
	tr := gym.Transition{
		Observation: gym.Observation{Text: observation, Step: n, StepsLeft: 50 - n, WorkingDir: "/w"},
		Info:        gym.Info{Seconds: 2.25},
	}
	for _, f := range change {
		f(&tr)
	}
	return trajectory.Event{Step: &trajectory.Step{Step: n, Action: action, Transition: tr}}
}

func sh(command string) gym.Action { return gym.Action{Command: command} }

// add writes whole steps of no model.
func (w *writer) add(observations ...string) {
	w.tb.Helper()
	for _, o := range observations {
		w.n++
		a := sh(fmt.Sprintf("echo %d", w.n))
		w.put(turn(w.n, a, "I print a number."), step(w.n, a, o))
	}
}

func say(role model.Role, text string) model.Message { return model.Message{Role: role, Text: text} }

// answer is what a model said to a request of all messages but those that were in
// the one before.
func answer(history int, fresh []model.Message, text string) agent.Exchange {
	return agent.Exchange{Messages: fresh, HistoryLength: history, Response: &model.Response{
		Message: say(model.Assistant, text), Usage: model.Usage{InputTokens: 100, OutputTokens: 10, CachedTokens: 5},
		CostUSD: new(0.5), Model: "demo-model-1", Latency: time.Second, StopReason: model.StopEnd,
	}}
}

// eventful writes a run in which everything happens that can.
func eventful(tb testing.TB, dir string) *writer {
	w := begin(tb, dir)
	w.put(reset("# Blotto\nPlay well."))
	opening := []model.Message{say(model.System, "You are a player."), say(model.User, "# Blotto\nPlay well.")}
	bad := answer(2, opening, "no command here")
	bad.Problem = "there is no command"
	again := []model.Message{say(model.Assistant, "no command here"), say(model.User, "Say a command.")}
	w.put(
		turn(1, sh("# look\n\nls -la\n"), "Let me look.\nThen think.", bad, answer(4, again, "ls -la")),
		step(1, sh("# look\n\nls -la\n"), "a\nb\n", func(tr *gym.Transition) {
			tr.Observation.OpenFile, tr.Observation.WorkingDir = "/w/a.py", "/w/sub"
			tr.Info.OutputBytes, tr.Info.ExitCode = 99, 2
		}),
		// The retry is not part of what the agent remembers.
		turn(2, gym.Action{Tool: "validate", Args: json.RawMessage(`{"x":"<b>"}`)}, "", answer(4, []model.Message{say(model.Assistant, "ls -la"), say(model.User, "a\nb\n")}, "validate")),
		step(2, gym.Action{Tool: "validate", Args: json.RawMessage(`{"x":"<b>"}`)}, "Score: 0.5", func(tr *gym.Transition) {
			tr.Reward = 0.25
			tr.Info.Evaluations = []gym.Evaluation{{Kind: gym.Validate, Step: 2, Scores: gym.Scores{"score": 0.5}, Seconds: 3}}
		}),
		turn(3, sh("sleep 1000"), ""),
		trajectory.Event{Note: &trajectory.Note{Text: "a remark\nof two lines"}},
		trajectory.Event{Fault: &trajectory.Fault{Step: 3, Source: trajectory.FromEnv, Message: "the sandbox is gone", Resumable: true, Exchanges: []agent.Exchange{answer(1, opening[:1], "lost")}}},
		trajectory.Event{Resume: &trajectory.Resume{Steps: 2, Seconds: 4, Differences: []trajectory.Difference{{Step: 1, Field: "exit_code", Recorded: "2", Got: "0"}}}},
		turn(3, sh("sleep 10"), "Shorter.", answer(2, opening, "sleep 10")),
		step(3, sh("sleep 10"), "", func(tr *gym.Transition) { tr.Info.Deadline, tr.Info.ShellRestarted = "wall", true }),
		trajectory.Event{Turn: &trajectory.Turn{Step: 4, Turn: agent.Turn{Stop: gym.CauseCost, StopReason: "all is spent"}}},
	)
	w.n = 4
	return w
}

func (w *writer) end() {
	w.tb.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	final := gym.Evaluation{Kind: gym.Submit, Step: w.n, Scores: gym.Scores{"score": 0.75}, At: at}
	w.put(trajectory.Event{End: &trajectory.End{
		ExitStatus: gym.EndedBy(gym.CauseCost, final), Cause: gym.CauseCost, Reason: "all is spent", Final: &final,
		Transition: &gym.Transition{Truncated: true, Reward: 0.5, Observation: gym.Observation{Text: "Good bye."}, Info: gym.Info{Evaluations: []gym.Evaluation{final}}},
	}})
}

func openRun(tb testing.TB, dir string) *record.Run {
	tb.Helper()
	run, err := record.OpenFolder(tb.Context(), dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return run
}

func refresh(tb testing.TB, run *record.Run) bool {
	tb.Helper()
	changed, err := run.Refresh(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return changed
}

func stepOf(tb testing.TB, run *record.Run, n int) record.Step {
	tb.Helper()
	s, err := run.Step(tb.Context(), n)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestHeader(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := eventful(t, dir)
	run := openRun(t, dir)
	h := run.Header()
	if h.State != search.Running || h.ExitStatus != "" || len(h.Problems) != 0 || h.Score != nil || h.Best == nil || *h.Best != 0.5 {
		t.Errorf("while it runs: %+v", h)
	}
	w.end()
	if !refresh(t, run) {
		t.Error("the end changed nothing")
	}
	w.close()
	h = run.Header()
	want, err := runstore.Summarise(dir)
	if err != nil {
		t.Fatal(err)
	}
	var evaluations []gym.Evaluation
	for _, e := range h.Evaluations {
		evaluations = append(evaluations, e.Evaluation)
	}
	got := runstore.Result{
		FormatVersion: 1, RunID: h.ID, Task: h.Task, TaskVersion: h.TaskVersion, Mode: h.Mode, Variant: h.Variant, Agent: h.Agent,
		Model: h.Model, Seed: h.Seed, ExitStatus: want.ExitStatus, Steps: h.Steps, Scores: evaluations, PrimaryMetric: h.Metric,
		Direction: h.Direction, Baseline: h.Baseline, Best: gym.Scores{"score": *h.Best}, BestKind: gym.Submit, BestStep: 4,
		Submission: gym.Scores{"score": *h.Score}, Reward: *h.Reward, CostUSD: h.CostUSD, Requests: h.Requests,
		TokensIn: h.TokensIn, TokensOut: h.TokensOut, Seconds: h.Seconds, Resumes: h.Resumes, RunDir: dir,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-summary of the run +header):\n%s", diff)
	}
	if h.ExitStatus != want.ExitStatus.String() || h.State != search.Finished || h.Cause != gym.CauseCost || h.Reason != "all is spent" ||
		h.Faults != 1 || h.Fault != nil || h.Notes != 1 || h.Resumes != 1 || h.TokensCached != 25 || h.Software != "mlgym 1.2.3" ||
		*h.BaselineScore != 0.25 || h.Limits.MaxSteps != 50 || h.Ended.IsZero() || h.TornBytes != 0 {
		t.Errorf("header %+v", h)
	}
	if len(h.Evaluations) != 2 || h.Evaluations[0].Number != 1 || h.Evaluations[0].Final || !h.Evaluations[1].Final || !h.Evaluations[1].Best {
		t.Errorf("evaluations %+v", h.Evaluations)
	}
}

func TestSteps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := eventful(t, dir)
	w.end()
	run := openRun(t, dir)
	if run.Len() != 4 {
		t.Fatalf("%d steps, want 4", run.Len())
	}
	briefs := run.Briefs(0, 1000)
	if diff := cmp.Diff(briefs[2:4], run.Briefs(2, 2), cmpopts.IgnoreUnexported(record.Event{})); diff != "" || len(run.Briefs(5, 3)) != 0 || len(run.Briefs(-3, 1)) != 1 {
		t.Errorf("a part of the list differs:\n%s", diff)
	}
	type short struct {
		Head, Group, Marks          string
		Thought, Action, Obs, Lines int
		In, Out                     int64
		Cost, Reward                float64
		Exit, Requests, Evals       int
		Before                      []string
		Pending                     bool
		Stop                        gym.Cause
	}
	var got []short
	for i, b := range briefs {
		if b.Number != i {
			t.Errorf("step %d has number %d", i, b.Number)
		}
		s := short{
			Head: b.Head, Group: b.Group, Marks: strings.Join(b.Marks, ","), Thought: b.ThoughtBytes, Action: b.ActionBytes, Obs: b.ObservationBytes,
			Lines: b.ObservationLines, In: b.TokensIn, Out: b.TokensOut, Cost: -1, Reward: -1, Exit: -1, Requests: b.Requests, Evals: len(b.Evaluations),
			Pending: b.Pending, Stop: b.Stop,
		}
		if b.CostUSD != nil {
			s.Cost = *b.CostUSD
		}
		if b.Reward != nil {
			s.Reward = *b.Reward
		}
		if b.ExitCode != nil {
			s.Exit = *b.ExitCode
		}
		for _, e := range b.Before {
			s.Before = append(s.Before, e.Kind+": "+e.Text)
		}
		got = append(got, s)
	}
	want := []short{
		{Head: "# Blotto", Obs: 19, Lines: 2, Cost: -1, Reward: -1, Exit: -1},
		{Head: "# look", Group: "Bash", Marks: "format error,truncated", Thought: 24, Action: 15, Obs: 4, Lines: 2, In: 200, Out: 20, Cost: 1, Exit: 2, Requests: 2},
		{Head: `validate {"x":"<b>"}`, Group: "Validate", Action: 20, Obs: 10, Lines: 1, In: 100, Out: 10, Cost: 0.5, Reward: 0.25, Requests: 1, Evals: 1},
		{Head: "sleep 10", Group: "Bash", Marks: "timeout,shell restarted,fault,resume,note", Thought: 8, Action: 8, In: 100, Out: 10, Cost: 0.5, Requests: 1, Before: []string{
			"note: a remark\nof two lines", "fault: env: the sandbox is gone",
			"resume: resumed from the start; 2 recorded actions were executed once more, in 4.0 s; 1 differences from the record\nstep 1: exit_code: recorded 2, got 0",
		}},
		{Head: "exit_cost all is spent", Group: "Limit", Marks: "stop", Cost: -1, Reward: -1, Exit: -1, Stop: gym.CauseCost},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("briefs (-want +got):\n%s", diff)
	}

	one := stepOf(t, run, 1)
	if one.Thought != "Let me look.\nThen think." || one.Action != "# look\n\nls -la\n" || one.Tool != "" || one.Observation != "a\nb\n" || one.OutputBytes != 99 ||
		one.Was != (record.Place{WorkingDir: "/w"}) || one.Is != (record.Place{OpenFile: "/w/a.py", WorkingDir: "/w/sub"}) || one.StepsLeft != 49 ||
		len(one.Asked) != 2 || one.Asked[0].Problem != "there is no command" || one.Asked[1].Model != "demo-model-1" || one.Asked[1].Seconds != 1 {
		t.Errorf("step 1: %+v", one)
	}
	if two := stepOf(t, run, 2); two.Tool != "validate" || two.Args != `{"x":"<b>"}` || two.Was.OpenFile != "/w/a.py" || *two.Evaluations[0].Score != 0.5 {
		t.Errorf("step 2: %+v", two)
	}
	last := stepOf(t, run, 4)
	if last.StopReason != "all is spent" || len(last.After) != 1 || last.After[0].Text != "autosubmission (exit_cost): all is spent\nGood bye." {
		t.Errorf("step 4: %+v", last)
	}
	if text, err := run.Observation(t.Context(), 0); err != nil || text != "# Blotto\nPlay well." {
		t.Errorf("the start: %q, %v", text, err)
	}
	for _, n := range []int{5, 1 << 40} {
		if _, err := run.Step(t.Context(), n); !errors.Is(err, record.ErrNoStep) {
			t.Errorf("step %d: %v", n, err)
		}
		if _, err := run.Prompt(t.Context(), n); !errors.Is(err, record.ErrNoStep) {
			t.Errorf("prompt %d: %v", n, err)
		}
	}
	all, err := run.Steps(t.Context(), 0, 100)
	if err != nil || len(all) != 5 {
		t.Fatalf("%d steps, %v", len(all), err)
	}
	for n, s := range all {
		if diff := cmp.Diff(stepOf(t, run, n), s, cmpopts.IgnoreUnexported(record.Event{})); diff != "" {
			t.Errorf("step %d of many differs:\n%s", n, diff)
		}
	}
}

// TestPrompt rebuilds requests from what each had more than the one before.
func TestPrompt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := eventful(t, dir)
	w.put(trajectory.Event{Resume: &trajectory.Resume{}}, turn(4, sh("ls"), "", answer(9, []model.Message{say(model.User, "?")}, "ls")))
	run := openRun(t, dir)
	texts := func(n int) (out []string) {
		list, err := run.Prompt(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			var all []string
			for i, m := range x.Messages {
				if i == x.New {
					all = append(all, "NEW")
				}
				all = append(all, fmt.Sprintf("%s=%s", m.Role, m.Text))
			}
			text := strings.Join(all, "|")
			if x.Answer != nil {
				text += "->" + x.Answer.Text
			}
			out = append(out, text+"!"+x.Problem+x.Note)
		}
		return out
	}
	opening := "system=You are a player.|user=# Blotto\nPlay well."
	want := map[int][]string{
		0: nil,
		1: {
			"NEW|" + opening + "->no command here!there is no command",
			opening + "|NEW|assistant=no command here|user=Say a command.->ls -la!",
		},
		2: {opening + "|NEW|assistant=ls -la|user=a\nb\n->validate!"},
		3: {"NEW|" + opening + "->sleep 10!"},
		4: {"NEW|user=?->ls!the record is at odds with itself: a request begins with 8 messages of one that had 2"},
	}
	for n, want := range want {
		if diff := cmp.Diff(want, texts(n)); diff != "" {
			t.Errorf("prompt of step %d (-want +got):\n%s", n, diff)
		}
	}
}

// TestGrowth reads a run after each event, and after each part of a line, as well
// as all at once.
func TestGrowth(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "run")
	w := eventful(t, whole)
	w.end()
	w.close()
	text, err := os.ReadFile(filepath.Join(whole, runstore.TrajectoryName))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(whole, runstore.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	write(t, filepath.Join(dir, runstore.ManifestName), string(manifest))
	run := openRun(t, dir)
	if h := run.Header(); h.State != search.Cut || len(h.Problems) != 1 || !strings.Contains(h.Problems[0], "is missing") || h.Task != "blotto" {
		t.Fatalf("without a record: %+v", h)
	}
	path := filepath.Join(dir, runstore.TrajectoryName)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := 0
	for line := range strings.SplitAfterSeq(string(text), "\n") {
		for _, part := range []string{line[:len(line)/2], line[len(line)/2:]} {
			if part == "" {
				continue
			}
			if _, err := file.WriteString(part); err != nil {
				t.Fatal(err)
			}
			refresh(t, run)
			fresh := openRun(t, dir)
			same(t, fresh, run)
			h := run.Header()
			if torn := !strings.HasSuffix(part, "\n"); (h.TornBytes > 0) != torn || torn && (h.TornBytes != int64(len(part)) || len(h.Problems) == 0) {
				t.Fatalf("after %q: %d torn bytes, problems %q", part, h.TornBytes, h.Problems)
			}
		}
		lines++
	}
	if lines < 10 || run.Header().State != search.Finished {
		t.Errorf("after %d lines: %+v", lines, run.Header())
	}
	if refresh(t, run) {
		t.Error("nothing was written, and something changed")
	}
}

func same(t *testing.T, want, got *record.Run) {
	t.Helper()
	ignore := cmpopts.IgnoreUnexported(record.Event{})
	if diff := cmp.Diff(want.Header(), got.Header(), ignore); diff != "" {
		t.Fatalf("headers differ (-read at once +read on):\n%s", diff)
	}
	if diff := cmp.Diff(want.Briefs(0, 1000), got.Briefs(0, 1000), ignore); diff != "" {
		t.Fatalf("steps differ (-read at once +read on):\n%s", diff)
	}
	if diff := cmp.Diff(want.Closing(), got.Closing(), ignore); diff != "" {
		t.Fatalf("ends differ (-read at once +read on):\n%s", diff)
	}
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

// TestReplaced writes another record in place of the one that was read.
func TestReplaced(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, path string, text string){
		"by another file": func(t *testing.T, path, text string) {
			write(t, path+".new", text)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		},
		"in place": func(t *testing.T, path, text string) { write(t, path, text) },
		"in place, longer": func(t *testing.T, path, text string) {
			write(t, path, text+strings.Repeat(" ", 1<<20))
		},
		"by nothing": func(t *testing.T, path, _ string) { write(t, path, "") },
		"removed": func(t *testing.T, path, _ string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, other := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "other")
			w := begin(t, dir)
			w.put(reset("First."))
			w.add("one", "two", "three")
			w.close()
			run := openRun(t, dir)
			w = begin(t, other)
			w.put(reset("Second, with a longer text."))
			w.add("eins")
			w.close()
			text, err := os.ReadFile(filepath.Join(other, runstore.TrajectoryName))
			if err != nil {
				t.Fatal(err)
			}
			replace(t, filepath.Join(dir, runstore.TrajectoryName), string(text))
			// Before anybody refreshes, no text of another record may be shown as that
			// of this one's step.
			if s, err := run.Step(t.Context(), 3); err == nil && s.Observation != "three" {
				t.Errorf("step 3 is %q", s.Observation)
			}
			refresh(t, run)
			same(t, openRun(t, dir), run)
			if name == "in place" {
				if s := stepOf(t, run, 1); s.Observation != "eins" {
					t.Errorf("step 1 is %q", s.Observation)
				}
			}
		})
	}
}

// TestBadRecords opens what is no record, or only in part.
func TestBadRecords(t *testing.T) {
	good := filepath.Join(t.TempDir(), "run")
	w := begin(t, good)
	w.put(reset("Task."))
	w.add("one", "two")
	w.close()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(good, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	manifest, text := read(runstore.ManifestName), read(runstore.TrajectoryName)
	lines := strings.SplitAfter(text, "\n")
	join := func(lines ...string) string { return strings.Join(lines, "") }
	none := func(string) {}
	tests := map[string]struct {
		manifest, record string
		change           func(dir string)
		steps            int
		state            search.State
		says             []string
	}{
		"whole":                  {manifest, text, none, 2, search.Cut, nil},
		"empty":                  {manifest, "", none, 0, search.Cut, []string{"trajectory.jsonl is empty"}},
		"torn":                   {manifest, text + `{"seq":6,"ty`, none, 2, search.Cut, []string{"torn: 12 bytes"}},
		"nothing but a torn one": {manifest, lines[0][:20], none, 0, search.Cut, []string{"torn: 20 bytes"}},
		"a line in between":      {manifest, join(lines[0], lines[1], lines[2], lines[3], "nonsense\n", lines[4]), none, 1, search.Broken, []string{"trajectory.jsonl:5: not an event: invalid character"}},
		"a line is missing":      {manifest, join(lines[0], lines[1], lines[3]), none, 0, search.Broken, []string{"trajectory.jsonl:3: event 3 follows event 1"}},
		"a line is doubled":      {manifest, join(lines[0], lines[1], lines[1]), none, 0, search.Broken, []string{"trajectory.jsonl:3: event 1 follows event 1"}},
		"two headers":            {manifest, join(lines[0], strings.Replace(lines[0], `"seq":0`, `"seq":1`, 1)), none, 0, search.Broken, []string{"trajectory.jsonl:2: a second header"}},
		"no header":              {manifest, join(lines[1:]...), none, 0, search.Broken, []string{"trajectory.jsonl:1: this is not a record"}},
		"another text":           {manifest, "hello\nworld\n", none, 0, search.Broken, []string{"trajectory.jsonl:1: this is not a record"}},
		"a newer format":         {manifest, strings.Replace(text, `"version":1`, `"version":99`, 1), none, 0, search.Broken, []string{"use a newer mlgym"}},
		"a wrong step":           {manifest, strings.ReplaceAll(text, `"step":2`, `"step":9`), none, 1, search.Broken, []string{"trajectory.jsonl:5: a turn for step 9 follows step 1"}},
		"binary":                 {manifest, "\x00\xff\xfe\n\x1b[31m", none, 0, search.Broken, []string{"trajectory.jsonl:1"}},
		"a manifest of nothing":  {"", text, none, 2, search.Broken, []string{"manifest.json cannot be read: not a manifest"}},
		"a newer manifest":       {`{"format_version": 99}`, text, none, 2, search.Broken, []string{"use a newer mlgym"}},
		"no manifest": {manifest, text, func(dir string) {
			os.Remove(filepath.Join(dir, runstore.ManifestName))
		}, 2, search.Broken, []string{"manifest.json is missing"}},
		"no record": {manifest, text, func(dir string) {
			os.Remove(filepath.Join(dir, runstore.TrajectoryName))
		}, 0, search.Cut, []string{"trajectory.jsonl is missing"}},
		"a folder": {manifest, text, func(dir string) {
			path := filepath.Join(dir, runstore.TrajectoryName)
			os.Remove(path)
			os.Mkdir(path, 0o755)
		}, 0, search.Cut, []string{"trajectory.jsonl cannot be read: is not a regular file"}},
		"a pipe": {manifest, text, func(dir string) {
			path := filepath.Join(dir, runstore.TrajectoryName)
			os.Remove(path)
			syscall.Mkfifo(path, 0o644)
		}, 0, search.Cut, []string{"trajectory.jsonl cannot be read: is not a regular file"}},
		"a manifest that is a pipe": {manifest, text, func(dir string) {
			path := filepath.Join(dir, runstore.ManifestName)
			os.Remove(path)
			syscall.Mkfifo(path, 0o644)
		}, 2, search.Broken, []string{"manifest.json cannot be read: is not a regular file"}},
		"a link to itself": {manifest, text, func(dir string) {
			path := filepath.Join(dir, runstore.TrajectoryName)
			os.Remove(path)
			os.Symlink(path, path)
		}, 0, search.Cut, []string{"trajectory.jsonl cannot be read: too many levels"}},
		"a line without an end": {manifest, text, func(dir string) {
			os.Truncate(filepath.Join(dir, runstore.TrajectoryName), trajectory.MaxEventBytes+1<<20)
		}, 2, search.Broken, []string{"trajectory.jsonl:7: the line is longer than 67108864 bytes"}},
		"a bad result": {manifest, text, func(dir string) {
			write(t, filepath.Join(dir, runstore.ResultName), "{")
		}, 2, search.Cut, []string{"result.json cannot be read"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			write(t, filepath.Join(dir, runstore.ManifestName), tt.manifest)
			write(t, filepath.Join(dir, runstore.TrajectoryName), tt.record)
			tt.change(dir)
			run := openRun(t, dir)
			for again := range 2 {
				h := run.Header()
				if run.Len() != tt.steps || h.State != tt.state {
					t.Errorf("%d steps, state %s; want %d, %s", run.Len(), h.State, tt.steps, tt.state)
				}
				if len(h.Problems) != len(tt.says) {
					t.Errorf("problems %q, want %q", h.Problems, tt.says)
				}
				for i, says := range tt.says {
					if i < len(h.Problems) && !strings.Contains(h.Problems[i], says) {
						t.Errorf("problem %q does not say %q", h.Problems[i], says)
					}
				}
				for n := range run.Len() + 1 {
					if s, err := run.Step(t.Context(), n); err != nil || n > 0 && s.Action == "" {
						t.Errorf("step %d: %+v, %v", n, s, err)
					}
				}
				if again == 0 && refresh(t, run) {
					t.Error("nothing was written, and something changed")
				}
			}
			if run.Entry().State != tt.state {
				t.Errorf("the entry says %s", run.Entry().State)
			}
		})
	}
}

// TestResultOfBroken shows what a run came to whose record is broken.
func TestResultOfBroken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := eventful(t, dir)
	w.end()
	if _, err := w.run.Seal(); err != nil {
		t.Fatal(err)
	}
	w.close()
	whole := openRun(t, dir).Header()
	path := filepath.Join(dir, runstore.TrajectoryName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines[5] = "[]\n"
	write(t, path, strings.Join(lines, ""))
	run := openRun(t, dir)
	h := run.Header()
	if h.State != search.Broken || len(h.Problems) != 2 || *h.Score != *whole.Score || *h.Best != *whole.Best || h.ExitStatus != whole.ExitStatus ||
		h.Steps != whole.Steps || h.TokensIn != whole.TokensIn || h.Seconds != whole.Seconds || !h.Evaluations[1].Final {
		t.Errorf("header %+v\nof the whole run %+v", h, whole)
	}
	if run.Len() != 2 || len(run.Briefs(2, 1)[0].Evaluations) != 1 {
		t.Errorf("steps %+v", run.Briefs(0, 9))
	}
}

// TestHugeEvent reads an event of as many bytes as there may be.
func TestHugeEvent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := begin(t, dir)
	w.put(reset("Task."))
	w.add("small")
	w.close()
	// Not by the writer, which takes its time to look for secrets.
	size := (trajectory.MaxEventBytes - 1000) / 17
	if slow {
		size /= 3 // still more than is returned at once
	}
	file, err := os.OpenFile(w.run.TrajectoryPath(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, line := range []string{
		`{"seq":4,"type":"turn","turn":{"step":2,"turn":{"action":{"command":"cat"}}}}`,
		`{"seq":5,"type":"step","step":{"step":2,"action":{"command":"cat"},"transition":{"observation":{"text":"` + strings.Repeat(`0123456789abcde\n`, size) + `"},"info":{}}}}`,
		`{"seq":6,"type":"turn","turn":{"step":3,"turn":{"action":{"command":"small again"}}}}`,
	} {
		if _, err := file.WriteString(line + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	huge := strings.Repeat("0123456789abcde\n", size)
	run := openRun(t, dir)
	b := run.Briefs(2, 1)[0]
	if run.Len() != 3 || b.ObservationBytes != len(huge) || b.ObservationLines != len(huge)/16 {
		t.Fatalf("%d steps; %+v", run.Len(), b)
	}
	if text, err := run.Observation(t.Context(), 2); err != nil || text != huge {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if s, err := run.Steps(t.Context(), 1, 3); err != nil || len(s) != 1 {
		t.Errorf("%d steps at once, want only the small one: %v", len(s), err)
	}
}

// TestTexts compares what is measured of texts with the texts.
func TestTexts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := begin(t, dir)
	w.put(reset("Task."))
	texts := []string{
		"", "\n", "a", "a\n", "a\nb", "\n\n\n", "ä\u2028\u2029<&>", "\U0001F600\n\U0001F600", "\x00\x01\x1b[31m\x7f", `\n\\`, "\\", `"`, "a\\\n", "tab\there", "\ufffd", "\r\n\r", "\u202e",
	}
	w.add(texts...)
	run := openRun(t, dir)
	for i, text := range texts {
		b := run.Briefs(i+1, 1)[0]
		lines := len(strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n"))
		if text == "" {
			lines = 0
		}
		if b.ObservationBytes != len(text) || b.ObservationLines != lines {
			t.Errorf("%q: %d bytes, %d lines; want %d, %d", text, b.ObservationBytes, b.ObservationLines, len(text), lines)
		}
		if s := stepOf(t, run, i+1); s.Observation != text {
			t.Errorf("step %d is %q, want %q", i+1, s.Observation, text)
		}
	}
}

func FuzzLine(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "run")
	w := eventful(f, dir)
	w.end()
	w.close()
	text, err := os.ReadFile(filepath.Join(dir, runstore.TrajectoryName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"seq":0,"type":"header","header":{"format":"mlgym-trajectory","version":1}}` + "\n" + `{"seq":1,"type":"reset","reset":{"observation":{"text":"\ud83d\ude00\ud800\u000a"}}}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, runstore.TrajectoryName)
		write(t, path, string(text))
		run := openRun(t, dir)
		briefs := run.Briefs(0, 1<<20)
		for n, b := range briefs {
			s, err := run.Step(t.Context(), n)
			if err != nil {
				t.Fatalf("step %d: %v", n, err)
			}
			if len(s.Observation) != b.ObservationBytes || len(s.Thought) != b.ThoughtBytes {
				t.Fatalf("step %d has %d and %d bytes, want %d and %d", n, len(s.Observation), len(s.Thought), b.ObservationBytes, b.ThoughtBytes)
			}
			if _, err := run.Prompt(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		// What the record's own reader takes is shown whole.
		rec, err := trajectory.Load(path)
		if err == nil && len(rec.Steps) > run.Len() {
			t.Fatalf("%d steps of %d", run.Len(), len(rec.Steps))
		}
	})
}

func TestNoRun(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	for _, path := range []string{dir, filepath.Join(dir, "file"), filepath.Join(dir, "nothing")} {
		if _, err := record.OpenFolder(t.Context(), path, nil); !errors.Is(err, record.ErrNoRun) {
			t.Errorf("%s: %v", path, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := begin(t, filepath.Join(dir, "run"))
	w.put(reset("Task."))
	if _, err := record.OpenFolder(ctx, filepath.Join(dir, "run"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
}

// TestFiles looks at what was handed in, and tries to get at more.
func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := begin(t, dir)
	w.put(reset("Task."))
	for n := range 3 {
		kind := gym.Validate
		if n == 2 {
			kind = gym.Submit
		}
		a, err := w.run.Evaluation(n+1, kind)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(a.SubmissionDir, "strategy.py"), fmt.Sprintf("move = %d\n", n))
		write(t, filepath.Join(a.SubmissionDir, "sub", "odd \xff\n<b>.txt"), "odd")
		write(t, filepath.Join(filepath.Dir(a.LogPath), strings.TrimSuffix(filepath.Base(a.LogPath), ".log"), "grader.log"), "the log")
		w.add("nothing")
		w.n++
		w.put(turn(w.n, sh("validate"), ""), step(w.n, sh("validate"), "ok", func(tr *gym.Transition) {
			tr.Info.Evaluations = []gym.Evaluation{{Kind: kind, Step: w.n, Scores: gym.Scores{"score": float64(n)}}}
		}))
	}
	again, err := w.run.Evaluation(2, gym.Validate)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(again.SubmissionDir, "strategy.py"), "again\n")
	write(t, filepath.Join(dir, "logs", "free.log"), "no number")
	secret := filepath.Join(dir, runstore.GraderKeyName)
	first := filepath.Join(dir, "submission", "1-validate")
	for path, target := range map[string]string{
		filepath.Join(first, "key"):               secret,
		filepath.Join(first, "up"):                "../..",
		filepath.Join(first, "etc"):               "/etc",
		filepath.Join(first, "near"):              "strategy.py",
		filepath.Join(dir, "submission", "9-key"): "..",
		filepath.Join(dir, "logs", "key.log"):     secret,
		filepath.Join(dir, "logs", "8-submit"):    "..",
	} {
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(first, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := openRun(t, dir)
	trees, err := run.Trees(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tree := range trees {
		names = append(names, fmt.Sprintf("%s %d %s step %d", tree.Name, tree.Evaluation, tree.Kind, tree.Step))
	}
	if diff := cmp.Diff([]string{"1-validate 1 validate step 2", "2-validate 2 validate step 4", "2-validate.r1 2 validate step 4", "3-submit 3 submit step 6"}, names); diff != "" {
		t.Errorf("trees (-want +got):\n%s", diff)
	}
	for n, want := range []string{"", "", "1-validate", "1-validate", "2-validate.r1", "2-validate.r1", "3-submit", "3-submit"} {
		tree, err := run.Files(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if tree != nil {
			got = tree.Name
		}
		if got != want {
			t.Errorf("files at step %d: %q, want %q", n, got, want)
		}
	}
	tree, err := run.Tree(t.Context(), "1-validate")
	if err != nil {
		t.Fatal(err)
	}
	names = nil
	for _, f := range tree.Files {
		names = append(names, fmt.Sprintf("%q special=%t", f.Name, f.Special))
	}
	if diff := cmp.Diff([]string{`"etc" special=true`, `"key" special=true`, `"near" special=true`, `"pipe" special=true`, `"strategy.py" special=false`, `"sub/odd \xff\n<b>.txt" special=false`, `"up" special=true`}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	get := func(f fs.File, err error) string {
		if err != nil {
			return "error"
		}
		defer f.Close()
		text := make([]byte, 100)
		n, _ := f.Read(text)
		return string(text[:n])
	}
	for _, tt := range []struct{ tree, name, want string }{
		{"2-validate", "strategy.py", "move = 1\n"},
		{"2-validate.r1", "strategy.py", "again\n"},
		{"1-validate", "sub/odd \xff\n<b>.txt", "odd"},
		{"1-validate", "near", "error"},
		{"1-validate", "key", "error"},
		{"1-validate", "up/grader.key", "error"},
		{"1-validate", "etc/passwd", "error"},
		{"1-validate", "pipe", "error"},
		{"1-validate", "sub", "error"},
		{"1-validate", ".", "error"},
		{"1-validate", "", "error"},
		{"1-validate", "../../grader.key", "error"},
		{"1-validate", "sub/../strategy.py", "error"},
		{"1-validate", "/etc/passwd", "error"},
		{"1-validate", "strategy.py\x00", "error"},
		{"9-key", "grader.key", "error"},
		{"..", "grader.key", "error"},
		{"", "grader.key", "error"},
		{"../logs", "free.log", "error"},
		{"1-validate/sub", "odd", "error"},
	} {
		if got := get(run.OpenFile(t.Context(), tt.tree, tt.name)); got != tt.want {
			t.Errorf("file %q of %q is %q, want %q", tt.name, tt.tree, got, tt.want)
		}
	}
	names = nil
	for _, l := range run.Logs() {
		names = append(names, fmt.Sprintf("%s %d %s %d", l.Name, l.Evaluation, l.Kind, l.Size))
	}
	if diff := cmp.Diff([]string{"free.log 0  9", "1-validate/grader.log 1 validate 7", "2-validate/grader.log 2 validate 7", "3-submit/grader.log 3 submit 7"}, names); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"1-validate/grader.log": "the log", "free.log": "no number", "key.log": "error", "8-submit/grader.key": "error", "../grader.key": "error", "1-validate": "error",
	} {
		if got := get(run.OpenLog(name)); got != want {
			t.Errorf("log %q is %q, want %q", name, got, want)
		}
	}
	// The folder itself may be a link.
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "submission")), os.Symlink(".", filepath.Join(dir, "submission"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "1-validate", "x"), "outside")
	if got := get(run.OpenFile(t.Context(), "1-validate", "x")); got != "error" {
		t.Errorf("through a link: %q", got)
	}
}

func TestAudit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w := begin(t, dir)
	w.put(reset("Task."))
	w.n++
	w.put(turn(1, sh("echo x > evaluate.py"), ""), step(1, sh("echo x > evaluate.py"), ""))
	w.end()
	w.close()
	run := openRun(t, dir)
	first, err := run.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first.Verdict == "" || first.Run != run.Header().ID || first.Task != "blotto" {
		t.Errorf("verdict %+v", first)
	}
	// What was left by one who saw all runs counts, while it is younger than the record.
	first.Verdict = "suspicious"
	text, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "audit.json")
	write(t, path, string(text))
	if got, err := run.Audit(t.Context()); err != nil || got.Verdict != "suspicious" {
		t.Errorf("with audit.json: %+v, %v", got, err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if got, err := run.Audit(t.Context()); err != nil || got.Verdict != "clean" {
		t.Errorf("with an old audit.json: %+v, %v", got, err)
	}
	write(t, filepath.Join(dir, runstore.TrajectoryName), "broken\n")
	refresh(t, run)
	if got, err := run.Audit(t.Context()); err == nil && got.Verdict == "suspicious" {
		t.Errorf("of a broken record: %+v", got)
	}
}

// TestFormat: this package reads lines itself, and so must know each version.
func TestFormat(t *testing.T) {
	if trajectory.Version != 1 {
		t.Error("the format of records has a new version: records of earlier ones have to be read by this package too")
	}
}
