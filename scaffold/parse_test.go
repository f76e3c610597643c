package scaffold_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/gym"
	"mlgym/model"
	"mlgym/scaffold"
	"mlgym/scaffolds"
	"mlgym/tool"
)

var someTools = []tool.Spec{
	{Name: "open", Usage: "open <path> [<line_number>]", Doc: "Opens a file.", Parameters: json.RawMessage(`{"type":"object"}`)},
	{Name: "edit", Usage: "edit <start_line>:<end_line>", Doc: "Replaces lines.", Terminator: "end_of_edit"},
	{Name: "validate", Usage: "validate", Doc: "Measures the work."},
}

// builtin opens a scaffold that ships, for all tools.
func builtin(t testing.TB, name string) *scaffold.Scaffold {
	t.Helper()
	s, err := scaffold.Open(scaffolds.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	s.Tools = nil
	return s
}

func TestParseText(t *testing.T) {
	for _, tt := range []struct {
		name, scaffold, text string
		thought, command     string
		problem              string // part of the message; "" is readable
	}{
		{name: "one block", scaffold: "default", text: "Look.\n\n```\nls\n```", thought: "Look.", command: "ls"},
		{name: "text after the block", scaffold: "default", text: "A\n```\nls\n```\nB", thought: "A\nB", command: "ls"},
		{name: "language tag", scaffold: "default", text: "```bash\nls -l\n```", command: "ls -l"},
		{name: "several lines", scaffold: "default", text: "```\ncat > a <<'EOF'\nx\n\n  y\nEOF\n```", command: "cat > a <<'EOF'\nx\n\n  y\nEOF"},
		{name: "carriage returns", scaffold: "default", text: "A\r\n```\r\nls\r\n```\r\n", thought: "A", command: "ls"},
		{name: "indented fence", scaffold: "default", text: "- do\n  ```\n  ls\n    x\n  ```", thought: "- do", command: "ls\n  x"},
		{name: "deeply indented fence is none", scaffold: "default", text: "    ```\n    ls\n    ```", problem: "no fenced block"},
		{name: "block with fences in a longer fence", scaffold: "default", text: "````\ncat > a.md <<'E'\n```python\nx\n```\nE\n````", command: "cat > a.md <<'E'\n```python\nx\n```\nE"},
		{name: "inline code beside a block", scaffold: "default", text: "I use `ls`.\n```\nls\n```", thought: "I use `ls`.", command: "ls"},
		{name: "none", scaffold: "default", text: "ls", problem: "no fenced block"},
		{name: "empty answer", scaffold: "default", text: "", problem: "no fenced block"},
		{name: "two", scaffold: "default", text: "```\nls\n```\n```\npwd\n```", problem: "2 fenced blocks"},
		{name: "three", scaffold: "default", text: "```\na\n```\n```\nb\n```\n```\nc\n```", problem: "3 fenced blocks"},
		{name: "unclosed", scaffold: "default", text: "A\n```\nls\n", problem: "not closed"},
		{name: "second unclosed", scaffold: "default", text: "```\nls\n```\n```\npwd", problem: "not closed"},
		{name: "closed by too short a fence", scaffold: "default", text: "````\nls\n```", problem: "line with ```` is missing"},
		{name: "inline triple", scaffold: "default", text: "Run ```ls``` now", problem: "no fenced block"},
		{name: "inline triple on its line", scaffold: "default", text: "```ls```", problem: "no fenced block"},
		{name: "empty block", scaffold: "default", text: "A\n```\n \n```", problem: "empty"},
		{name: "reasoning with a block", scaffold: "default", text: "<think>maybe\n```\nrm x\n```\n</think>Now.\n```\nls\n```", thought: "maybe\n```\nrm x\n```\nNow.", command: "ls"},
		{name: "interactive", scaffold: "default", text: "```\nvim a.py\n```", problem: `"vim"`},

		{name: "xml", scaffold: "xml", text: "<thought>Look.</thought>\n<command>\nls\n</command>", thought: "Look.", command: "ls"},
		{name: "xml on one line", scaffold: "xml", text: "<command>ls</command>", command: "ls"},
		{name: "xml text outside", scaffold: "xml", text: "A\n<command>ls</command>\nB", thought: "A\nB", command: "ls"},
		{name: "xml literal", scaffold: "xml", text: "<command>\nawk '$1 < 3 && $2 > \"&amp;\"' f\n</command>", command: "awk '$1 < 3 && $2 > \"&amp;\"' f"},
		{name: "xml keeps indentation", scaffold: "xml", text: "<command>\n  a\n\n    b\n\n</command>", command: "  a\n\n    b\n"},
		{name: "xml tags named in the thought", scaffold: "xml", text: "<thought>I use <command>x</command>.</thought><command>ls</command>", thought: "I use <command>x</command>.", command: "ls"},
		{name: "xml none", scaffold: "xml", text: "<thought>x</thought>", problem: "no <command>"},
		{name: "xml two", scaffold: "xml", text: "<command>a</command><command>b</command>", problem: "2 <command>"},
		{name: "xml unclosed", scaffold: "xml", text: "<command>a", problem: "not closed"},
		{name: "xml unopened", scaffold: "xml", text: "a</command>", problem: "without"},
		{name: "xml reversed", scaffold: "xml", text: "</command>a<command>", problem: "before"},
		{name: "xml unclosed thought", scaffold: "xml", text: "<thought>a <command>ls</command>", problem: "<thought> element is not closed"},
		{name: "xml empty", scaffold: "xml", text: "<command>\n</command>", problem: "empty"},
		{name: "text where a call belongs", scaffold: "function-calling", text: "```\nls\n```", problem: "calls no function"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := builtin(t, tt.scaffold).Parse(model.Message{Text: tt.text}, someTools)
			checkProblem(t, err, tt.problem)
			if tt.problem != "" {
				return
			}
			want := scaffold.Reply{Thought: tt.thought, Action: gym.Action{Command: tt.command}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func checkProblem(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatalf("error = %v, want none", err)
		}
		return
	}
	var bad *scaffold.FormatError
	if !errors.As(err, &bad) || !strings.Contains(bad.Problem, want) {
		t.Fatalf("error = %v, want a format error about %q", err, want)
	}
}

func TestParseCalls(t *testing.T) {
	call := func(name, args string) model.ToolCall {
		return model.ToolCall{ID: "1", Name: name, Args: json.RawMessage(args)}
	}
	for _, tt := range []struct {
		name    string
		calls   []model.ToolCall
		want    gym.Action
		problem string
	}{
		{"tool", []model.ToolCall{call("open", `{"path":"a.py"}`)}, gym.Action{Tool: "open", Args: json.RawMessage(`{"path":"a.py"}`)}, ""},
		{"no arguments", []model.ToolCall{call("validate", ``)}, gym.Action{Tool: "validate", Args: json.RawMessage(`{}`)}, ""},
		{"null arguments", []model.ToolCall{call("validate", ` null`)}, gym.Action{Tool: "validate", Args: json.RawMessage(`{}`)}, ""},
		{"shell", []model.ToolCall{call("bash", `{"command":"ls\npwd"}`)}, gym.Action{Command: "ls\npwd"}, ""},
		{"the first of two", []model.ToolCall{call("validate", `{}`), call("nothing", `]`)}, gym.Action{Tool: "validate", Args: json.RawMessage(`{}`)}, ""},
		{"unknown function", []model.ToolCall{call("validat", `{}`)}, gym.Action{}, "did you mean validate"},
		{"arguments are a list", []model.ToolCall{call("open", `["a.py"]`)}, gym.Action{}, "no JSON object"},
		{"arguments are cut off", []model.ToolCall{call("open", `{"path":`)}, gym.Action{}, "no JSON object"},
		{"shell without command", []model.ToolCall{call("bash", `{"cmd":"ls"}`)}, gym.Action{}, `"command"`},
		{"shell with a number", []model.ToolCall{call("bash", `{"command":3}`)}, gym.Action{}, `"command"`},
		{"shell with blanks", []model.ToolCall{call("bash", `{"command":" "}`)}, gym.Action{}, `"command"`},
		{"interactive", []model.ToolCall{call("bash", `{"command":"nano x"}`)}, gym.Action{}, `"nano"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := builtin(t, "function-calling")
			got, err := s.Parse(model.Message{Text: " Why. ", ToolCalls: tt.calls}, someTools)
			checkProblem(t, err, tt.problem)
			if tt.problem != "" {
				return
			}
			if diff := cmp.Diff(scaffold.Reply{Thought: "Why.", Action: tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, name := range []string{"default", "xml"} {
		_, err := builtin(t, name).Parse(model.Message{ToolCalls: []model.ToolCall{call("validate", `{}`)}}, someTools)
		checkProblem(t, err, "function call")
	}
}

func TestInteractivePrograms(t *testing.T) {
	for _, tt := range []struct{ name, command, want string }{
		{"editor", "vim a.py", "vim"},
		{"path of the editor", "/usr/bin/nano", "nano"},
		{"after a command", "cd src && vi a.py", "vi"},
		{"second line", "ls\nemacs a.py", "emacs"},
		{"after an assignment", "TERM=xterm vim x", "vim"},
		{"in a substitution", "x=$(vim y)", "vim"},
		{"bare python", "python", "python"},
		{"bare python after another", "cd x; python3", "python3"},
		{"python with a file", "python train.py", ""},
		{"python from a here-document", "python <<E\nprint(1)\nE", ""},
		{"python from a file", "python3 < a.py", ""},
		{"python at the end of a pipe", "echo 'print(1)' | python", ""},
		{"python in a group at the end of a pipe", "echo 1 | { python; }", ""},
		{"name in quotes", "echo 'vim' \"; vim x\"", ""},
		{"name as an argument", "grep -r vim .", ""},
		{"name in a here-document", "cat > a <<'E'\nvim x\nE", ""},
		{"name in the text of an edit", "edit 1:2\nvim x\nit's\nend_of_edit", ""},
		{"similar name", "vimdiff-like", ""},
		{"no valid bash", "echo 'open", ""},
		{"before what is no valid bash", "nano x\necho 'open", "nano"},
		{"comment", "# vim\nls", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "````\n" + tt.command + "\n````"
			_, err := builtin(t, "default").Parse(model.Message{Text: text}, someTools)
			if tt.want == "" {
				checkProblem(t, err, "")
				return
			}
			checkProblem(t, err, `"`+tt.want+`"`)
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"a\n```\nls\n```", "```\n```\n```", "````\n```\n````", "<think>x</think>```sh\nls\n```",
		"<thought>a</thought><command>ls</command>", "</command><command>", "```\nedit 1:2\nx\nend_of_edit\n```",
		"```\ncat <<E | vim\nE\n```", `{"command":"ls"}`,
	} {
		f.Add(text)
	}
	all := []*scaffold.Scaffold{builtin(f, "default"), builtin(f, "xml"), builtin(f, "function-calling")}
	f.Fuzz(func(t *testing.T, text string) {
		answers := []model.Message{{Text: text}, {ToolCalls: []model.ToolCall{{Name: "bash", Args: json.RawMessage(text)}}}}
		for _, s := range all {
			for _, answer := range answers {
				reply, err := s.Parse(answer, someTools)
				var bad *scaffold.FormatError
				switch {
				case err == nil && reply.Action.IsZero():
					t.Errorf("%s: Parse(%q) is neither an action nor an error", s.Name, text)
				case err != nil && !errors.As(err, &bad):
					t.Errorf("%s: Parse(%q) = %v, want a format error", s.Name, text, err)
				}
			}
		}
	})
}
