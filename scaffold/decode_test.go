package scaffold_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

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
		{"unknown key", with("tool: [a]\n"), "a.yaml", 12, "tool", "no such key"},
		{"unknown key below", with("history:\n  policy: all\n  size: 3\n"), "a.yaml", 14, "size", "no such key"},
		{"duplicate key", with("name: again\n"), "a.yaml", 12, "name", "already defined"},
		{"wrong type", with("max_reasks: many\n"), "a.yaml", 12, "max_reasks", "int"},
		{"list for a text", strings.Replace(minimal, "name: mine", "name: [a]", 1), "a.yaml", 2, "name", ""},
		{"syntax", with("history: {policy: all\n"), "a.yaml", 12, "", ""},
		{"format", strings.Replace(minimal, "format: 1", "format: 2", 1), "a.yaml", 1, "format", "is 2"},
		{"no format", strings.Replace(minimal, "format: 1\n", "", 1), "a.yaml", 1, "format", "is 0"},
		{"name", strings.Replace(minimal, "name: mine", "name: a b", 1), "a.yaml", 2, "name", "a b"},
		{"version", strings.Replace(minimal, "version: 1", "version: 0", 1), "a.yaml", 3, "version", "from 1"},
		{"output", strings.Replace(minimal, "thought_action", "function_caling", 1), "a.yaml", 4, "output", "function_calling"},
		{"history policy", with("history:\n  policy: last\n"), "a.yaml", 13, "history.policy", "last_n"},
		{"history without a number", with("history:\n  policy: last_n\n"), "a.yaml", 0, "history.last", "at least 1"},
		{"history with a number too many", with("history:\n  policy: last_n\n  first: 1\n  last: 2\n"), "a.yaml", 14, "history.first", "first_last"},
		{"temperature", with("request:\n  temperature: 3\n"), "a.yaml", 13, "request.temperature", "0 to 2"},
		{"temperature is no number", with("request:\n  temperature: .nan\n"), "a.yaml", 13, "request.temperature", "0 to 2"},
		{"top_p", with("request:\n  top_p: 0\n"), "a.yaml", 13, "request.top_p", "above 0"},
		{"re-asks", with("max_reasks: 99\n"), "a.yaml", 12, "max_reasks", "0 to 10"},
		{"tool twice", with("tools: [open, open]\n"), "a.yaml", 12, "tools[1]", "twice"},
		{"missing prompt", strings.Replace(minimal, "  step: \"{{.Observation}}\"\n", "", 1), "a.yaml", 0, "prompts.step", "missing"},
		{"template syntax", strings.Replace(minimal, "{{.Problem}}", "{{.Problem", 1), "a.yaml", 9, "prompts.format_error", "unclosed"},
		{"template field", strings.Replace(minimal, "{{.Statement}}", "{{.Statment}}", 1), "a.yaml", 6, "prompts.task", "Statment"},
		{"two documents", with("---\nname: b\n"), "a.yaml", 1, "", "2 YAML documents"},
		{"empty file", "", "a.yaml", 1, "", "0 YAML documents"},
		{"demonstration without action", with("demonstrations:\n- file: demo.yaml\n"), "demo.yaml", 3, "steps[0]", "command or a tool"},
		{"demonstration with a typo", with("demonstrations:\n- file: typo.yaml\n"), "typo.yaml", 2, "step", "no such key"},
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
			if at.Line == 0 {
				t.Errorf("%v names no line", at)
			}
		})
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
