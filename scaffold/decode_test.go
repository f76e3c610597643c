package scaffold_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"mlgym/scaffold"
)

const minimal = `format: 1
name: mine
version: 1
output: thought_action
prompts:
  task: "Task: {{.Statement}}"
  step: "{{.Observation}}"
  empty_output: (nothing)
  format_error: "{{.Problem}}"
  demonstration: "{{.Task}}"
  elided: "({{.Lines}} lines)"
`

func TestDecodeDefaults(t *testing.T) {
	s, err := scaffold.Decode("mine.yaml", []byte(minimal), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *s.MaxReasks != 2 || s.History.Policy != scaffold.All || s.Request.Temperature != nil {
		t.Errorf("got re-asks %d, history %+v, request %+v; want 2, all, nothing", *s.MaxReasks, s.History, s.Request)
	}
}

func TestDecodeErrors(t *testing.T) {
	with := func(extra string) string { return minimal + extra }
	files := fstest.MapFS{
		"demo.yaml":   {Data: []byte("task: Do.\nsteps:\n- thought: no action\n")},
		"typo.yaml":   {Data: []byte("task: Do.\nstep: []\n")},
		"nested.yaml": {Data: []byte("file: demo.yaml\n")},
	}
	for _, tt := range []struct {
		name, text string
		file       string
		line       int
		key        string
		message    string
	}{
		{"unknown key", with("tool: [a]\n"), "a.yaml", 12, "tool", "tools"},
		{"unknown key below", with("history:\n  policy: all\n  size: 3\n"), "a.yaml", 14, "history.size", "unknown key"},
		{"duplicate key", with("name: again\n"), "a.yaml", 12, "", "already defined"},
		{"wrong type", with("max_reasks: many\n"), "a.yaml", 12, "max_reasks", "whole number"},
		{"list for a text", strings.Replace(minimal, "name: mine", "name: [a]", 1), "a.yaml", 2, "name", ""},
		{"syntax", with("history: {policy: all\n"), "a.yaml", 12, "", ""},
		{"format", strings.Replace(minimal, "format: 1", "format: 2", 1), "a.yaml", 1, "format", "is 2"},
		{"no format", strings.Replace(minimal, "format: 1\n", "", 1), "a.yaml", 1, "format", "missing"},
		{"name", strings.Replace(minimal, "name: mine", "name: a b", 1), "a.yaml", 2, "name", "a b"},
		{"version", strings.Replace(minimal, "version: 1", "version: 0", 1), "a.yaml", 3, "version", "from 1"},
		{"output", strings.Replace(minimal, "thought_action", "function_caling", 1), "a.yaml", 4, "output", "function_calling"},
		{"history policy", with("history:\n  policy: last\n"), "a.yaml", 13, "history.policy", "last_n"},
		{"history without a number", with("history:\n  policy: last_n\n"), "a.yaml", 0, "history.last", "at least 1"},
		{"history with a number too many", with("history:\n  policy: last_n\n  first: 1\n  last: 2\n"), "a.yaml", 14, "history.first", "first_last"},
		{"temperature", with("request:\n  temperature: 3\n"), "a.yaml", 13, "request.temperature", "0 to 2"},
		{"temperature is no number", with("request:\n  temperature: .nan\n"), "a.yaml", 13, "request.temperature", "want a number"},
		{"top_p", with("request:\n  top_p: 0\n"), "a.yaml", 13, "request.top_p", "above 0"},
		{"re-asks", with("max_reasks: 99\n"), "a.yaml", 12, "max_reasks", "0 to 10"},
		{"tool twice", with("tools: [open, open]\n"), "a.yaml", 12, "tools[1]", "twice"},
		{"missing prompt", strings.Replace(minimal, "  step: \"{{.Observation}}\"\n", "", 1), "a.yaml", 0, "prompts.step", "missing"},
		{"template syntax", strings.Replace(minimal, "{{.Problem}}", "{{.Problem", 1), "a.yaml", 9, "prompts.format_error", "unclosed"},
		{"template field", strings.Replace(minimal, "{{.Statement}}", "{{.Statment}}", 1), "a.yaml", 6, "prompts.task", "Statment"},
		{"anchor", with("tools: &a [open]\n"), "a.yaml", 12, "tools", ""},
		{"two documents", with("---\nname: b\n"), "a.yaml", 13, "", "more than one document"},
		{"empty file", "", "a.yaml", 0, "", "empty"},
		{"demonstration without action", with("demonstrations:\n- file: demo.yaml\n"), "demo.yaml", 3, "steps[0]", "command or a tool"},
		{"demonstration with a typo", with("demonstrations:\n- file: typo.yaml\n"), "typo.yaml", 2, "step", "steps"},
		{"demonstration includes another", with("demonstrations:\n- file: nested.yaml\n"), "nested.yaml", 1, "file", "another"},
		{"demonstration missing", with("demonstrations:\n- file: none.yaml\n"), "a.yaml", 13, "demonstrations[0].file", "none.yaml"},
		{"demonstration outside", with("demonstrations:\n- file: ../x.yaml\n"), "a.yaml", 13, "demonstrations[0].file", "below"},
		{"demonstration twice over", with("demonstrations:\n- file: demo.yaml\n  task: Do.\n"), "a.yaml", 13, "demonstrations[0]", "belong into"},
		{"typed call in a text format", with("demonstrations:\n- task: Do.\n  steps: [{tool: validate}]\n"), "a.yaml", 14, "demonstrations[0].steps[0].tool", "function_calling"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := scaffold.Decode("a.yaml", []byte(tt.text), files)
			var at *scaffold.Error
			if !errors.As(err, &at) {
				t.Fatalf("error = %v, want a *scaffold.Error", err)
			}
			if at.File != tt.file || tt.line != 0 && at.Line != tt.line || tt.key != "" && at.Key != tt.key || !strings.Contains(at.Message, tt.message) {
				t.Errorf("got %+v\nwant file %s, line %d, key %s, message about %q", *at, tt.file, tt.line, tt.key, tt.message)
			}
			if at.Line == 0 && tt.text != "" {
				t.Errorf("%v names no line", at)
			}
		})
	}
}

// TestDocumentedExample reads the first example of the format's page.
func TestDocumentedExample(t *testing.T) {
	page, err := os.ReadFile("../docs/format/scaffold.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	example, rest, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the page has no example")
	}
	if _, err := scaffold.Decode("scaffold.md", []byte(example), nil); err != nil {
		t.Errorf("the example of the page: %v", err)
	}
	_, rest, ok = strings.Cut(rest, "```yaml\n")
	demonstrations, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the page has no example of demonstrations")
	}
	files := fstest.MapFS{"demonstrations/primes.yaml": {Data: []byte("task: Do.\nsteps: [{command: submit}]\n")}}
	s, err := scaffold.Decode("scaffold.md", []byte(minimal+demonstrations), files)
	if err != nil {
		t.Fatalf("the demonstrations of the page: %v", err)
	}
	if n := len(s.Demonstrations); n != 2 {
		t.Errorf("%d demonstrations, want 2", n)
	}
}

func TestDecodeRefusesHugeFile(t *testing.T) {
	text := minimal + "# " + strings.Repeat("x", scaffold.MaxFileBytes)
	if _, err := scaffold.Decode("a.yaml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("error = %v, want that the file is too large", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(minimal + "history: {policy: first_last, first: 1, last: 5}\ndemonstrations: [{task: a, steps: [{command: ls}]}]\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? a\n: - b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := scaffold.Decode("fuzz.yaml", data, nil)
		var at *scaffold.Error
		switch {
		case err == nil && (s.Name == "" || s.Digest() == ""):
			t.Errorf("a scaffold without a name or digest from %q", data)
		case err != nil && !errors.As(err, &at):
			t.Errorf("error %v is no *scaffold.Error", err)
		}
	})
}

// TestFormat1 reads a file with every key of the format.
func TestFormat1(t *testing.T) {
	s, err := scaffold.Open(nil, "testdata/format1/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	half, most, none := 0.5, 0.9, 0
	want := scaffold.Spec{
		Format: 1, Name: "full", Version: 3, Description: "All keys.",
		Output:      scaffold.FunctionCalling,
		History:     scaffold.History{Policy: scaffold.FirstLast, First: 1, Last: 4},
		Tools:       []string{"open", "validate"},
		MaxReasks:   &none,
		Interactive: scaffold.Interactive{Always: []string{"vim"}, Bare: []string{"python"}},
		Request:     scaffold.Request{Temperature: &half, TopP: &most, MaxTokens: 1000, Stop: []string{"END"}},
		Prompts:     s.Prompts, // their texts are not the format's business
		Demonstrations: []scaffold.Demonstration{
			{Task: "First.", WorkingDir: "/data", Steps: []scaffold.DemonstrationStep{
				{Thought: "Why.", Command: "ls", Observation: "a.py", OpenFile: "/data/a.py"}, {Command: "submit"},
			}},
			{Task: "Second.", Steps: []scaffold.DemonstrationStep{
				{Tool: "open", Args: map[string]any{"path": "a.py", "line_number": int64(3)}},
			}},
		},
	}
	if diff := cmp.Diff(want, s.Spec); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const digest = "sha256:37ab8165ce557967232a2ab838e78ae16297ddec9a0f86df9a56236ccef0c2a3"
	if got := s.Digest(); got != digest {
		t.Errorf("digest = %s, want %s: records of this scaffold could no longer be matched", got, digest)
	}
}
