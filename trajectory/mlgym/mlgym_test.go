package mlgym

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseName(t *testing.T) {
	const rest = "__default__t-0.00__p-0.95__c-4.00__install-0__parallel_agents_run_"
	for _, c := range []struct {
		folder string
		want   Name
		ok     bool
	}{
		{"metagen-gpt4o2__blotto" + rest + "3", Name{"gpt4o2", "blotto", "default", 3}, true},
		{"metagen-llama3-405b-tools__3SATTime" + rest + "10", Name{"llama3-405b-tools", "3SATTime", "default", 10}, true},
		{"metagen-a__b__c_run_0", Name{}, false},
		{"metagen-a__b__c__d_run_0", Name{"a", "b", "c", 0}, true},
		{"metagen-__b" + rest + "0", Name{}, false},
		{"metagen-a__" + rest + "0", Name{}, false},
		{"metagen-a__b" + rest + "x", Name{}, false},
		{"metagen-a__b" + rest + "-1", Name{}, false},
		{"other-a__b" + rest + "0", Name{}, false},
		{"", Name{}, false},
	} {
		got, ok := ParseName(c.folder)
		if got != c.want || ok != c.ok {
			t.Errorf("ParseName(%q): got %+v, %v; want %+v, %v", c.folder, got, ok, c.want, c.ok)
		}
	}
}

func TestReadResults(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name, text string
		want       Results
		bad        bool
	}{
		{
			"ordinary", `{"agent": [{"Score": 1, "n": 2e1}], "baseline": {"Score": -0.5}}`,
			Results{Attempts: []Scores{{{"Score", 1}, {"n", 20}}}, Baseline: Scores{{"Score", -0.5}}},
			false,
		},
		{"the other order, and more", `{"x": [1, {"y": "z\"]}"}], "baseline": {}, "agent": []}`, Results{}, false},
		{
			"what Python writes", `{"agent": [{"s": NaN}, {"s": -Infinity}, {"s": Infinity}], "baseline": {"s": 1}}`,
			Results{Attempts: []Scores{{{"s", nan}}, {{"s", -inf}}, {{"s", inf}}}, Baseline: Scores{{"s", 1}}},
			false,
		},
		{
			"not numbers", `{"agent": [{"s": null, "t": "1", "u": true, "v": [1], "w": {"x": 1}, "y": 2}, 0.5, null], "baseline": null}`,
			Results{Attempts: []Scores{{{"y", 2}}, nil, nil}, Notes: []string{
				`agent[0]: "s" is not a number`, `agent[0]: "t" is not a number`, `agent[0]: "u" is not a number`,
				`agent[0]: "v" is not a number`, `agent[0]: "w" is not a number`, "agent[1] is not an object", "agent[2] is not an object", "baseline is not an object",
			}},
			false,
		},
		{"empty object", `{}`, Results{Notes: []string{"agent is missing", "baseline is missing"}}, false},
		{"agent of another type", `{"agent": {"a": 1}, "baseline": [1]}`, Results{Notes: []string{"agent is not a list", "baseline is not an object"}}, false},
		{"a metric twice", `{"agent": [{"s": 1, "s": 2}], "baseline": {}}`, Results{Attempts: []Scores{{{"s", 2}}}}, false},
		{"escapes", `{"agent": [{"\u0053core\n": 1}], "baseline": {}}`, Results{Attempts: []Scores{{{"Score\n", 1}}}}, false},
		{"huge number", `{"agent": [{"s": 1e999}], "baseline": {}}`, Results{Attempts: []Scores{{{"s", inf}}}}, false},
		{"empty", ``, Results{}, true},
		{"cut", `{"agent": [{"Score": 1}, {"Sco`, Results{}, true},
		{"cut in a number", `{"agent": [{"Score": 1`, Results{}, true},
		{"not an object", `[1, 2]`, Results{}, true},
		{"more after the end", `{} {}`, Results{}, true},
		{"no JSON", `Traceback (most recent call last):`, Results{}, true},
		{"hexadecimal", `{"agent": [{"s": 0x10}]}`, Results{}, true},
		{"brackets do not match", `{"agent": [}]`, Results{}, true},
		{"no comma", `{"agent": [] "baseline": {}}`, Results{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ReadResults(strings.NewReader(c.text))
			if (err != nil) != c.bad {
				t.Fatalf("%s: error %v", c.text, err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.text, diff)
			}
		})
	}
}

// visited is a copy of what a step holds.
type visited struct {
	Number                                  int
	Action, Observation, Thought, Open, Dir string
	Seconds                                 float64
}

func readAll(t *testing.T, r io.Reader, want Field) ([]visited, Trailer, error) {
	t.Helper()
	var out []visited
	trailer, err := ReadTraj(r, want, func(st *Step) error {
		out = append(out, visited{st.Number, string(st.Action), string(st.Observation), string(st.Thought), string(st.OpenFile), string(st.WorkingDir), st.Seconds})
		return nil
	})
	return out, trailer, err
}

const small = `{
 "environment": "mlgym_main",
 "history": [
  {"role": "system", "content": "x\"y\\"},
  {"content": "Impro\u0076e it.", "role": "user"},
  {"action": "ls\n", "role": "assistant"},
  {"role": "assistant", "content": "z", "action": " python \u00e9.py\n "},
  {"role": "user", "content": "late", "action": "not this"}
 ],
 "trajectory": [
  {"observation": "a\u0000b \ud83d\ude00 \ud83d \u001b[0m", "action": "ls\n", "state": "{\"open_file\": \"n/a\", \"working_dir\": \"/w\"}", "execution_time": 0.25, "thought": "look"},
  {"action": null, "observation": null, "state": "broken {", "response": {"deep": [[[]]]}},
  {"state": "{\"working_dir\": \"/w/src\", \"open_file\": \"/w/a b.py\"}", "action": "edit 1:1\nx\nend_of_edit"}
 ],
 "info": {"exit_status": "", "submission": null, "summarizer": {}, "model_stats": {"tokens_sent": 12, "tokens_received": 3, "api_calls": 2, "total_cost": 0.5}}
}`

func TestReadTraj(t *testing.T) {
	want := []visited{
		{1, "ls\n", "a\x00b 😀 \uFFFD \x1b[0m", "look", "", "/w", 0.25},
		{2, "", "", "", "", "", 0},
		{3, "edit 1:1\nx\nend_of_edit", "", "", "/w/a b.py", "/w/src", 0},
	}
	wantTrailer := Trailer{
		HasExitStatus: true, Statement: "Improve it.", LastAction: " python é.py\n ", HasLastAction: true, Steps: 3, HasTrajectory: true, HasInfo: true,
		Usage: Usage{HasTokens: true, TokensSent: 12, TokensReceived: 3, APICalls: 2, RecordedCostTotal: 0.5},
	}
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(small), "byte by byte": iotest.OneByteReader(strings.NewReader(small)),
		"halves": iotest.HalfReader(strings.NewReader(small)), "data with the end": iotest.DataErrReader(strings.NewReader(small)),
	} {
		t.Run(name, func(t *testing.T) {
			steps, trailer, err := readAll(t, r, FieldObservation|FieldState|FieldThought)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantTrailer, trailer); diff != "" {
				t.Errorf("trailer (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("only what is wanted", func(t *testing.T) {
		steps, _, err := readAll(t, strings.NewReader(small), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if s.Observation != "" || s.Thought != "" || s.Dir != "" {
				t.Errorf("step %d holds more than its action: %+v", s.Number, s)
			}
		}
	})
}

// TestCutAnywhere cuts a record after every byte: each cut is an error, and
// never more steps come out than went in.
func TestCutAnywhere(t *testing.T) {
	for n := range len(small) {
		steps, _, err := readAll(t, strings.NewReader(small[:n]), FieldObservation|FieldState)
		if err == nil {
			t.Fatalf("cut after %d bytes: no error", n)
		}
		if len(steps) > 3 {
			t.Fatalf("cut after %d bytes: %d steps", n, len(steps))
		}
	}
}

func TestReadErrorIsKept(t *testing.T) {
	broken := errors.New("disk on fire")
	r := io.MultiReader(strings.NewReader(small[:200]), iotest.ErrReader(broken))
	if _, err := ReadTraj(r, 0, nil); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

// TestWindows puts strings with escapes across the edges of the window.
func TestWindows(t *testing.T) {
	for _, pad := range []int{windowBytes - 60, windowBytes - 50, windowBytes - 45, windowBytes - 41, windowBytes - 40} {
		for extra := range 12 {
			fill := strings.Repeat("a", pad+extra)
			text := fmt.Sprintf(`{"trajectory":[{"observation":"%s\\\\\"\\","action":"x\"\\\u00e9"}],"info":{}}`, fill)
			steps, _, err := readAll(t, strings.NewReader(text), FieldObservation)
			if err != nil {
				t.Fatalf("pad %d: %v", pad+extra, err)
			}
			if got := steps[0].Action; got != "x\"\\é" {
				t.Errorf("pad %d: action %q", pad+extra, got)
			}
			if got := steps[0].Observation; got != fill+`\\"\` {
				t.Errorf("pad %d: the observation ends in %q", pad+extra, got[len(got)-6:])
			}
			steps, _, err = readAll(t, strings.NewReader(text), 0)
			if err != nil || steps[0].Action != "x\"\\é" {
				t.Errorf("pad %d, observation skipped: %+v, %v", pad+extra, steps, err)
			}
		}
	}
}

func TestHeadIsTheBeginning(t *testing.T) {
	text := `{"trajectory":[{"observation":"` + strings.Repeat(`\u00e9\n"`[:8], 900) + `","action":"y"}],"info":{}}`
	whole, _, err := readAll(t, strings.NewReader(text), FieldObservation)
	if err != nil {
		t.Fatal(err)
	}
	head, _, err := readAll(t, strings.NewReader(text), FieldHead)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(head[0].Observation); n < headBytes || n > headBytes+4 || !strings.HasPrefix(whole[0].Observation, head[0].Observation) {
		t.Errorf("the head has %d bytes: %q", n, head[0].Observation)
	}
	if head[0].Action != "y" {
		t.Errorf("action after a head: %q", head[0].Action)
	}
}

func TestFindAndRead(t *testing.T) {
	root := t.TempDir()
	name := func(model string, n int) string {
		return fmt.Sprintf("metagen-%s__blotto__default__t-0.00__p-0.95__c-4.00__install-0__parallel_agents_run_%d", model, n)
	}
	write := func(folder, file, text string) {
		t.Helper()
		dir := filepath.Join(root, "bench", folder)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(name("b", 2), "results.json", `{"agent":[],"baseline":{}}`)
	write(name("b", 10), "results.json", `{"agent":[`)
	write(name("a", 0), "blotto.traj", small)
	write(name("a", 0), "results.json", `{"agent":[{"Score":1}],"baseline":{"Score":0}}`)
	write("not-a-run", "results.json", `{}`)
	if err := os.MkdirAll(filepath.Join(root, "bench", name("a", 1), "results.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	entries, problems, err := Find(root)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		folders = append(folders, e.Folder)
	}
	if diff := cmp.Diff([]string{name("a", 0), name("a", 1), name("b", 10), name("b", 2)}, folders); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
	if len(problems) != 1 || !strings.HasSuffix(problems[0].Path, filepath.Join("not-a-run", "results.json")) {
		t.Errorf("problems %+v, want the file of not-a-run", problems)
	}
	var got []string
	err = Read(t.Context(), entries, Options{}, nil, func(r *Run, _ struct{}) error {
		var notes []string
		for _, p := range r.Problems {
			switch {
			case p.Missing:
				notes = append(notes, "missing "+string(p.File))
			case p.Broken:
				notes = append(notes, "broken "+string(p.File))
			}
		}
		got = append(got, fmt.Sprintf("%s_%d results=%v traj=%v %v", r.Name.Model, r.Name.Run, r.HasResults, r.HasTraj, notes))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a_0 results=true traj=true []",
		"a_1 results=false traj=false [broken results.json missing .traj]",
		"b_10 results=false traj=false [broken results.json missing .traj]",
		"b_2 results=true traj=false [missing .traj]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	stop := errors.New("enough")
	if err := Read(t.Context(), entries, Options{}, nil, func(*Run, struct{}) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the error of the reader of runs", err)
	}
}

// FuzzReadTraj compares the scanner with encoding/json where that reads the
// text: the same actions, the same number of steps.
func FuzzReadTraj(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"trajectory":[{"action":"\ud800\ud800\udc00"}],"info":{}}`))
	f.Add([]byte(`{"trajectory":[{"action":"a\\"}, 1, null],"info":{"exit_status":null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got []string
		_, err := ReadTraj(bytes.NewReader(text), FieldObservation|FieldState, func(st *Step) error {
			got = append(got, string(st.Action))
			return nil
		})
		var std struct {
			Trajectory []struct{ Action string }
			Info       map[string]any
		}
		if !json.Valid(text) || json.Unmarshal(text, &std) != nil || err != nil || bytes.Count(text, []byte("trajectory")) != 1 ||
			bytes.Contains(bytes.ToLower(text), []byte(`\u`)) || bytes.Count(bytes.ToLower(text), []byte(`"action"`)) != len(std.Trajectory) || len(got) != len(std.Trajectory) {
			return
		}
		for i, s := range std.Trajectory {
			if strings.ToValidUTF8(got[i], "\uFFFD") != s.Action && !strings.Contains(s.Action, "\uFFFD") {
				t.Errorf("step %d of %q: got %q, want %q", i+1, text, got[i], s.Action)
			}
		}
	})
}

func FuzzReadResults(f *testing.F) {
	f.Add([]byte(`{"agent": [{"Score": NaN}], "baseline": {"Score": -1e3}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := ReadResults(bytes.NewReader(text)); err != nil && json.Valid(text) && len(bytes.TrimSpace(text)) > 0 && bytes.TrimSpace(text)[0] == '{' {
			// Only the length of numbers and the depth of nothing is bounded.
			if !strings.Contains(err.Error(), "word of this length") {
				t.Errorf("valid JSON object refused: %q: %v", text, err)
			}
		}
	})
}
