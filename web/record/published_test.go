package record_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/report"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/trajectory/mlgym"
	"mlgym/web/record"
)

// benchMetric is the metric of MLGym's own tasks.
func benchMetric(task string) (string, runstore.Direction) {
	t, ok := report.MLGymBench().Task(task)
	if !ok {
		return "", ""
	}
	return t.Metric, runstore.Direction(t.DirectionName)
}

// publishedRuns lists MLGym's run folders that lie beside this checkout.
func publishedRuns(tb testing.TB) []mlgym.Entry {
	tb.Helper()
	root := filepath.Join("..", "..", "..", "shared", "evaluation", "runs")
	if _, err := os.Stat(root); err != nil {
		tb.Skipf("MLGym's published runs are not beside this checkout: %v", err)
	}
	var entries []mlgym.Entry
	for _, below := range []string{"trajectories", "trimmed"} {
		found, _, err := mlgym.Find(filepath.Join(root, below))
		if err != nil {
			tb.Fatal(err)
		}
		entries = append(entries, found...)
	}
	if len(entries) < 100 {
		tb.Fatalf("%d published runs", len(entries))
	}
	return entries
}

// TestPublished reads published runs in place, and compares them with what the
// reader of the records and the index of searches say.
func TestPublished(t *testing.T) {
	entries := publishedRuns(t)
	root := filepath.Join("..", "..", "..", "shared", "evaluation", "runs")
	l := library(t, record.LibraryOptions{Roots: []string{root}, Metric: benchMetric})
	start(t, l)
	steps, withRecord, checked := 0, 0, 0
	for i, e := range entries {
		if slow && i%8 != 0 {
			continue
		}
		abs, err := filepath.Abs(e.Path)
		if err != nil {
			t.Fatal(err)
		}
		run, err := l.Open(t.Context(), l.Key(abs))
		if err != nil {
			t.Fatal(err)
		}
		listed, err := l.Entry(t.Context(), run.Key())
		if err != nil {
			t.Fatal(err)
		}
		got := run.Entry()
		listed.Reason, got.Reason = "", "" // said in other words
		if listed.Modified.Truncate(time.Microsecond).Equal(got.Modified.Truncate(time.Microsecond)) {
			got.Modified = listed.Modified
		}
		if diff := cmp.Diff(listed, got); diff != "" {
			t.Errorf("%s (-index +run):\n%s", e.Folder, diff)
		}
		all, err := run.Steps(t.Context(), 0, run.Len()+1)
		if err != nil || len(all) != run.Len()+1 {
			t.Fatalf("%s: %d of %d steps, %v", e.Folder, len(all), run.Len(), err)
		}
		want := mlgym.ReadRun(e, mlgym.Options{Want: mlgym.FieldObservation | mlgym.FieldThought | mlgym.FieldState}, func(st *mlgym.Step) error {
			s := all[st.Number]
			if s.Action != string(st.Action) || s.Thought != string(st.Thought) || s.Observation != string(st.Observation) ||
				s.Was.OpenFile != string(st.OpenFile) || s.Was.WorkingDir != string(st.WorkingDir) ||
				s.ObservationBytes != len(st.Observation) || s.Group != report.GroupCorrected(st.Action).String() {
				t.Errorf("%s: step %d differs", e.Folder, st.Number)
			}
			steps++
			return nil
		})
		if all[0].Observation != want.Trailer.Statement {
			t.Errorf("%s: another statement", e.Folder)
		}
		if h := run.Header(); len(h.Evaluations) != len(want.Results.Attempts) || h.State == search.Broken && len(h.Problems) == 0 {
			t.Errorf("%s: %d evaluations of %d; %q", e.Folder, len(h.Evaluations), len(want.Results.Attempts), h.Problems)
		}
		if want.HasTraj {
			withRecord++
			if !strings.Contains(e.Path, "trimmed") { // there, texts are cut in their middle
				checked += prompts(t, run, all)
			}
		}
	}
	if !slow && (withRecord < 30 || steps < 500 || checked < 20) {
		t.Errorf("%d runs with a record, %d steps, %d prompts", withRecord, steps, checked)
	}
}

// prompts checks that the history of a step ends with what the environment said
// last, and is answered by the step.
func prompts(t *testing.T, run *record.Run, all []record.Step) (checked int) {
	t.Helper()
	begins := func(text, with string) bool {
		with = strings.TrimSpace(with)
		return strings.HasPrefix(strings.TrimSpace(text), with[:min(len(with), 40)])
	}
	for n := 1; n < len(all); n++ {
		if all[n].Stop != "" || all[n].Pending || n%7 != 1 {
			continue
		}
		list, err := run.Prompt(t.Context(), n)
		if err != nil || len(list) != 1 || list[0].Answer == nil {
			t.Errorf("%s: prompt of step %d: %v", run.Entry().Name, n, err)
			continue
		}
		x := list[0]
		if !begins(x.Answer.Text, all[n].Thought) {
			t.Errorf("%s: step %d is answered by %.80q, its thought is %.80q", run.Entry().Name, n, x.Answer.Text, all[n].Thought)
		}
		last := x.Messages[len(x.Messages)-1]
		if n > 1 && !begins(last.Text, all[n-1].Observation) {
			t.Errorf("%s: before step %d the model was told %.80q, the environment said %.80q", run.Entry().Name, n, last.Text, all[n-1].Observation)
		}
		checked++
	}
	return checked
}

const folder = "metagen-gpt4o2__blotto__default__t-0.00__p-0.95__c-4.00__install-0__parallel_agents_run_1"

// TestOddPublished reads published folders that are not as they should be.
func TestOddPublished(t *testing.T) {
	trajectory := `{"environment": "x", "trajectory": [
		{"action": "ls\n", "thought": "Look.", "observation": "a\ud800b", "state": "{\"open_file\": \"n/a\", \"working_dir\": \"/home\"}", "execution_time": NaN},
		{"action": "python x.py && validate", "thought": "", "observation": "Evaluation Score: {'Score': 0.5}", "execution_time": 2.5, "state": "{\"open_file\": \"/home/x.py\"}"},
		{"action": "exit_cost", "observation": ""}],
		"history": [{"role": "system", "content": "S"}, {"role": "user", "content": "The task."}, {"role": "assistant", "content": "demo", "is_demo": true}, {"role": "assistant", "content": "Look. ls"},
			{"role": "user", "content": ["odd"]}, {"role": "assistant", "content": "validate"}],
		"info": {"exit_status": "autosubmission (exit_cost)", "model_stats": {"tokens_sent": 10, "tokens_received": 2, "total_cost": 0.1, "api_calls": 2}}}`
	results := `{"agent": [{"Score": 0.5}, {"Score": 0.25}], "baseline": {"Score": 0.1}}`
	tests := map[string]struct {
		trajectory, results string
		steps               int
		state               search.State
		says                []string
		score               string
	}{
		"whole":           {trajectory, results, 3, search.Finished, nil, "0.25 0.5 1:2 2:3"},
		"no scores":       {trajectory, "", 3, search.Finished, []string{"results.json: is missing", "0 evaluations and 1 validations"}, "- -"},
		"no record":       {"", results, 0, search.Finished, []string{"blotto.traj: is missing"}, "- 0.5 1:0 2:0"},
		"nothing":         {"", "", 0, search.Broken, []string{"results.json: is missing", "blotto.traj: is missing"}, "- -"},
		"cut":             {trajectory[:strings.Index(trajectory, "exit_cost")], results, 2, search.Broken, []string{"blotto.traj: byte "}, "0.25 0.5 1:2 2:2"},
		"an empty record": {"{}", results, 0, search.Broken, []string{"neither trajectory nor info"}, "- 0.5 1:0 2:0"},
		"odd scores":      {trajectory, `{"agent": [{"Score": NaN}, {"Score": Infinity, "more": 1}], "baseline": []}`, 3, search.Finished, []string{"baseline is not an object"}, "- - 1:2 2:3"},
		"too many scores": {trajectory, `{"agent": [{"Score": 1}, {"Score": 2}, {"Score": 3}], "baseline": {}}`, 3, search.Finished, []string{"3 evaluations and 1 validations with a score do not match"}, "- 3 1:0 2:0 3:0"},
		"binary":          {"\x00\x01", "\xff", 0, search.Broken, []string{"results.json", "blotto.traj"}, "- -"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), folder)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.trajectory != "" {
				write(t, filepath.Join(dir, "blotto.traj"), tt.trajectory)
			}
			if tt.results != "" {
				write(t, filepath.Join(dir, "results.json"), tt.results)
			}
			run := openRun(t, dir)
			h := run.Header()
			if run.Len() != tt.steps || h.State != tt.state || h.Model != "gpt4o2" || h.Task != "blotto" {
				t.Errorf("%d steps, header %+v; want %d, %s", run.Len(), h, tt.steps, tt.state)
			}
			if len(h.Problems) != len(tt.says) {
				t.Errorf("problems %q, want %q", h.Problems, tt.says)
			}
			for i, says := range tt.says {
				if i < len(h.Problems) && !strings.Contains(h.Problems[i], says) {
					t.Errorf("problem %q does not say %q", h.Problems[i], says)
				}
			}
			show := func(x *float64) string {
				if x == nil {
					return "-"
				}
				return fmt.Sprint(*x)
			}
			got := show(h.Score) + " " + show(h.Best)
			for _, e := range h.Evaluations {
				got += fmt.Sprintf(" %d:%d", e.Number, e.Step)
			}
			if got != tt.score {
				t.Errorf("scores %q, want %q", got, tt.score)
			}
			for n := range run.Len() + 1 {
				if _, err := run.Step(t.Context(), n); err != nil {
					t.Errorf("step %d: %v", n, err)
				}
				if _, err := run.Prompt(t.Context(), n); err != nil {
					t.Errorf("prompt of step %d: %v", n, err)
				}
			}
			if trees, err := run.Trees(t.Context()); err != nil || len(trees) != 0 || len(run.Logs()) != 0 {
				t.Errorf("files %v, %v", trees, err)
			}
			if refresh(t, run) {
				t.Error("nothing was written, and something changed")
			}
		})
	}

	dir := filepath.Join(t.TempDir(), folder)
	write(t, filepath.Join(dir, "blotto.traj"), strings.Replace(trajectory, "NaN", "1", 1))
	write(t, filepath.Join(dir, "results.json"), results)
	run := openRun(t, dir)
	one, three := stepOf(t, run, 1), stepOf(t, run, 3)
	if one.Observation != "a\ufffdb" || one.Was.WorkingDir != "/home" || one.Is.OpenFile != "/home/x.py" || one.Seconds != 1 || one.ExitCode != nil || one.Reward != nil {
		t.Errorf("step 1: %+v", one)
	}
	if three.Stop != "exit_cost" || three.Pending || three.After[0].Text != "autosubmission (exit_cost)" {
		t.Errorf("step 3: %+v", three)
	}
	if text, err := run.Observation(t.Context(), 0); err != nil || text != "The task." {
		t.Errorf("the task: %q, %v", text, err)
	}
	prompt := func(n int) string {
		list, err := run.Prompt(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, m := range list[0].Messages {
			all = append(all, string(m.Role)+"="+m.Text)
		}
		if list[0].Answer != nil {
			all = append(all, "-> "+list[0].Answer.Text)
		}
		return strings.Join(all, "|")
	}
	for n, want := range []string{1: "system=S|user=The task.|assistant=demo|-> Look. ls", 2: `system=S|user=The task.|assistant=demo|assistant=Look. ls|user=["odd"]|-> validate`} {
		if n > 0 && prompt(n) != want {
			t.Errorf("prompt of step %d: %q, want %q", n, prompt(n), want)
		}
	}
	if got := prompt(3); !strings.HasSuffix(got, "Evaluation Score: {'Score': 0.5}") {
		t.Errorf("prompt of what ended the run: %q", got)
	}
	if e := run.Entry(); e.State != search.Finished || e.CostUSD == nil || *e.CostUSD != 0.1 {
		t.Errorf("entry %+v", e)
	}
	// The folder is written anew.
	write(t, filepath.Join(dir, "blotto.traj"), `{"trajectory": [{"action": "pwd", "observation": "/"}], "info": {}}`)
	if s, err := run.Step(t.Context(), 1); err == nil && s.Action != "ls\n" && s.Action != "pwd" {
		t.Errorf("step 1: %+v", s)
	}
	if !refresh(t, run) || run.Len() != 1 {
		t.Errorf("%d steps", run.Len())
	}
}

// TestLongPublished reads a published run whose texts are not held in memory.
func TestLongPublished(t *testing.T) {
	dir := filepath.Join(t.TempDir(), folder)
	var text strings.Builder
	text.WriteString(`{"trajectory": [`)
	long := strings.Repeat("x", 1<<20)
	for n := range 20 {
		if n > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, `{"action": "echo %d", "thought": "t%d", "observation": "%d%s"}`, n+1, n+1, n+1, long)
	}
	text.WriteString(`], "info": {}}`)
	write(t, filepath.Join(dir, "blotto.traj"), text.String())
	run := openRun(t, dir)
	for _, n := range []int{1, 20, 7} {
		s := stepOf(t, run, n)
		if want := fmt.Sprintf("%d", n); s.Thought != "t"+want || s.Action != "echo "+want || s.Observation != want+long {
			t.Errorf("step %d has %d bytes, action %q", n, len(s.Observation), s.Action)
		}
	}
	list, err := run.Prompt(t.Context(), 2)
	if err != nil || len(list[0].Messages) != 3 || list[0].Answer.Text != "t2\necho 2" {
		t.Errorf("prompt %d messages, %v", len(list[0].Messages), err)
	}
	write(t, filepath.Join(dir, "blotto.traj"), `{"trajectory": [{"action": "pwd", "observation": "/"}], "info": {}}`)
	if s, err := run.Step(t.Context(), 1); err != nil || s.Action != "pwd" {
		t.Errorf("step 1 of the new record: %+v, %v", s, err)
	}
}
