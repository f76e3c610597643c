package scaffold_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/gym"
	"mlgym/model"
	"mlgym/scaffold"
	"mlgym/scaffolds"
	"mlgym/tool"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestPrompts holds what a model is told against golden files.
func TestPrompts(t *testing.T) {
	names, err := scaffold.Names(scaffolds.Files())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"default", "function-calling", "xml"}, names); diff != "" {
		t.Errorf("names of the scaffolds that ship (-want +got):\n%s", diff)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			s := builtin(t, name)
			first := gym.Observation{Text: "Improve strategy.py.\nMetric: Score (maximize)", StepsLeft: 50, WorkingDir: "/workspace"}
			told, err := s.Opening(someTools, first)
			if err != nil {
				t.Fatal(err)
			}
			answer := model.Message{Role: model.Assistant, Text: "(the model's answer)"}
			if s.Output == scaffold.FunctionCalling {
				answer.ToolCalls = []model.ToolCall{
					{ID: "a", Name: "bash", Args: json.RawMessage(`{"command":"ls"}`)},
					{ID: "b", Name: "validate", Args: json.RawMessage(`{}`)},
				}
			}
			for _, obs := range []gym.Observation{
				{Text: "strategy.py\n", Step: 1, StepsLeft: 49, WorkingDir: "/workspace"},
				{Step: 2, StepsLeft: -1, OpenFile: "/workspace/strategy.py", WorkingDir: "/workspace/src"},
			} {
				said, err := s.Answer(answer, obs)
				if err != nil {
					t.Fatal(err)
				}
				told = append(append(told, answer), said...)
			}
			elided, err := s.Elide(answer, gym.Observation{Step: 7, Text: "a\nb\n"})
			if err != nil {
				t.Fatal(err)
			}
			told = append(append(told, answer), elided...)
			for left := 2; left >= 0; left -= 2 {
				refused, err := s.Refuse(model.Message{Role: model.Assistant}, "The answer is empty.", left)
				if err != nil {
					t.Fatal(err)
				}
				told = append(told, refused...)
			}
			golden(t, name+".txt", transcript(told, s.Functions(someTools)))
		})
	}
}

func transcript(messages []model.Message, functions []model.ToolSpec) string {
	var b strings.Builder
	for _, f := range functions {
		fmt.Fprintf(&b, "=== function %s: %s %s\n", f.Name, f.Description, f.Parameters)
	}
	for _, m := range messages {
		fmt.Fprintf(&b, "=== %s", m.Role)
		if m.ToolCallID != "" {
			fmt.Fprintf(&b, " (%s)", m.ToolCallID)
		}
		fmt.Fprintf(&b, "\n%s\n", m.Text)
		for _, c := range m.ToolCalls {
			fmt.Fprintf(&b, "--- call %s: %s %s\n", c.ID, c.Name, c.Args)
		}
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run the test with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestDemonstrationsAreReadable: what a demonstration shows must be what the
// scaffold's own parser accepts.
func TestDemonstrationsAreReadable(t *testing.T) {
	for _, name := range []string{"default", "function-calling", "xml"} {
		s := builtin(t, name)
		told, err := s.Opening(nil, gym.Observation{})
		if err != nil {
			t.Fatal(err)
		}
		answers := 0
		for _, m := range told {
			if m.Role != model.Assistant {
				continue
			}
			answers++
			if name == "function-calling" && len(m.ToolCalls) == 1 && m.ToolCalls[0].Name != scaffold.ShellFunction {
				continue // a tool, which the parser knows only in an episode
			}
			if _, err := s.Parse(m, nil); err != nil {
				t.Errorf("%s: a demonstrated answer cannot be read: %v\n%s", name, err, m.Text)
			}
		}
		if answers < 3 {
			t.Errorf("%s: %d demonstrated answers, want some", name, answers)
		}
	}
}

func TestHistoryKeep(t *testing.T) {
	for _, tt := range []struct {
		name    string
		history scaffold.History
		n       int
		want    string // k for kept, - for left out, oldest first
	}{
		{"all", scaffold.History{Policy: scaffold.All}, 4, "kkkk"},
		{"last two of five", scaffold.History{Policy: scaffold.LastN, Last: 2}, 5, "---kk"},
		{"fewer than asked for", scaffold.History{Policy: scaffold.LastN, Last: 5}, 3, "kkk"},
		{"first one and last two", scaffold.History{Policy: scaffold.FirstLast, First: 1, Last: 2}, 6, "k---kk"},
		{"first and last overlap", scaffold.History{Policy: scaffold.FirstLast, First: 2, Last: 2}, 3, "kkk"},
		{"none yet", scaffold.History{Policy: scaffold.LastN, Last: 1}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for i := range tt.n {
				if tt.history.Keep(i, tt.n) {
					got += "k"
				} else {
					got += "-"
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	s := builtin(t, "default")
	s.Tools = []string{"validate", "open"}
	got, err := s.Select(someTools)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "validate" || got[1].Name != "open" {
		t.Errorf("got %+v, want validate and open in this order", got)
	}
	s.Tools = []string{"opne"}
	if _, err := s.Select(someTools); err == nil || !strings.Contains(err.Error(), "open") {
		t.Errorf("error = %v, want one that names open", err)
	}
	s.Tools = nil
	if got, err := s.Select(someTools); err != nil || len(got) != len(someTools) {
		t.Errorf("got %d tools and %v, want all", len(got), err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.yaml")
	if err := os.WriteFile(file, []byte(minimal+"demonstrations:\n- file: demo.yaml\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "demo.yaml"), []byte("task: Do.\nsteps: [{command: submit}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := scaffold.Open(scaffolds.Files(), file)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "mine" || len(s.Demonstrations) != 1 || s.Demonstrations[0].Task != "Do." {
		t.Errorf("got %+v", s.Spec)
	}
	for _, tt := range []struct{ name, open, want string }{
		{"unknown name", "defualt", "default"},
		{"nothing alike", "zzzzzzzzzzzzzz", "function-calling"},
		{"missing file", filepath.Join(dir, "none.yaml"), "none.yaml"},
		{"directory", dir + "/", "file"},
		{"empty name", "", "default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := scaffold.Open(scaffolds.Files(), tt.open); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open(%q) = %v, want an error that names %q", tt.open, err, tt.want)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	decode := func(text string) string {
		s, err := scaffold.Decode("a.yaml", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.Digest()
	}
	if a, b := decode(minimal), decode(minimal+"\n# a comment\n"); a != b {
		t.Errorf("a comment changed the digest: %s, %s", a, b)
	}
	if a, b := decode(minimal), decode(strings.Replace(minimal, "Task:", "Your task:", 1)); a == b {
		t.Errorf("a prompt did not change the digest %s", a)
	}
}

// TestShippedScaffoldsOfferAllTools: every tool is explained to the model.
func TestShippedScaffoldsOfferAllTools(t *testing.T) {
	for _, name := range []string{"default", "function-calling", "xml"} {
		s, err := scaffold.Open(scaffolds.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		tools, err := s.Select(tool.All())
		if err != nil {
			t.Fatal(err)
		}
		told, err := s.Opening(tools, gym.Observation{Text: "Task."})
		if err != nil {
			t.Fatal(err)
		}
		where := told[0].Text
		for _, f := range s.Functions(tools) {
			where += f.Description
		}
		for _, spec := range tool.All() {
			if !strings.Contains(where, strings.TrimSpace(spec.Prose())) {
				t.Errorf("%s does not tell the model what %s does", name, spec.Name)
			}
		}
	}
}
