package tool_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mlgym/tool"
)

func TestAll(t *testing.T) {
	var names []string
	for _, spec := range tool.All() {
		names = append(names, spec.Name)
		found, ok := tool.Find(spec.Name)
		if diff := cmp.Diff(spec, found); !ok || diff != "" {
			t.Errorf("Find(%q) differs from All: %s", spec.Name, diff)
		}
		if !strings.HasPrefix(spec.Usage, spec.Name) {
			t.Errorf("%s: usage %q does not begin with the name", spec.Name, spec.Usage)
		}
		if prose := spec.Prose(); strings.Contains(prose, "Example:") || len(prose) < 60 {
			t.Errorf("%s: prose without example is %q", spec.Name, prose)
		}
		if !strings.Contains(spec.Doc, "\nExample:\n```\n"+spec.Name) || strings.Count(spec.Doc, "```") != 2 {
			t.Errorf("%s: the prose has no example that begins with the name:\n%s", spec.Name, spec.Doc)
		}
		if spec.Terminator != "" && (!strings.Contains(spec.Usage, "\n"+spec.Terminator) || !strings.Contains(spec.Doc, "\n"+spec.Terminator+"\n```")) {
			t.Errorf("%s: usage or example do not show the terminator", spec.Name)
		}
		var schema struct {
			Type                 string
			Properties           map[string]struct{ Type, Description string }
			Required             []string
			AdditionalProperties *bool
		}
		if err := json.Unmarshal(spec.Parameters, &schema); err != nil {
			t.Errorf("%s: schema %s: %v", spec.Name, spec.Parameters, err)
		}
		if schema.Type != "object" || schema.Required == nil || schema.AdditionalProperties == nil || *schema.AdditionalProperties {
			t.Errorf("%s: schema %s is not that of a closed object", spec.Name, spec.Parameters)
		}
		for name, property := range schema.Properties {
			if property.Description == "" || property.Type == "" {
				t.Errorf("%s: the schema does not describe %s", spec.Name, name)
			}
		}
		for _, name := range schema.Required {
			if _, ok := schema.Properties[name]; !ok {
				t.Errorf("%s: the schema requires %s and does not describe it", spec.Name, name)
			}
		}
	}
	want := []string{"open", "goto", "scroll_up", "scroll_down", "create", "edit", "insert", "search_dir", "search_file", "find_file", "job", "validate", "submit"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names of the tools (-want +got):\n%s", diff)
	}
	if spec, ok := tool.Find("nothing"); ok {
		t.Errorf("Find of an unknown name = %+v", spec)
	}
}

func TestSchema(t *testing.T) {
	spec, _ := tool.Find("edit")
	const want = `{"type":"object","properties":{` +
		`"start_line":{"type":"integer","description":"the first line to replace, counted from 1","minimum":0},` +
		`"end_line":{"type":"integer","description":"the last line to replace (that line included)","minimum":0},` +
		`"text":{"type":"string","description":"the lines to put there, with their indentation; empty deletes the lines"}},` +
		`"required":["start_line","end_line","text"],"additionalProperties":false}`
	if got := string(spec.Parameters); got != want {
		t.Errorf("schema of edit:\n%s\nwant:\n%s", got, want)
	}
}

func TestTypedArguments(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"f": numbered(3), "42": "l1\n"})
	shown := listing("f", 3, 1, 3)
	w.check([]step{
		{`open {"path":"f"}`, shown, 0},
		{`open {"path":"f","line":null}`, shown, 0},
		{`open {"path":"f","line":"2"}`, shown, 0},
		{`open {"path":"f","line":2.0}`, shown, 0},
		{`open {"path":"f","line":2e0}`, shown, 0},
		{`open {"path":42}`, listing("42", 1, 1, 1), 0},
		{`open {}`, "Error: open: the argument \"path\" (string: the file to open, absolute or relative to the working directory) is missing\n", 2},
		{`open {"path":null}`, "Error: open: the argument \"path\" (string: the file to open, absolute or relative to the working directory) is missing\n", 2},
		{`open {"path":"f","line":2.5}`, "Error: open: the argument \"line\" must be an integer, not 2.5\n", 2},
		{`open {"path":"f","line":1e99}`, "Error: open: the argument \"line\" must be an integer, not 1e99\n", 2},
		{`open {"path":"f","line":"two"}`, "Error: open: the argument \"line\" must be an integer, not \"two\"\n", 2},
		{`open {"path":"f","line":true}`, "Error: open: the argument \"line\" must be an integer, not true\n", 2},
		{`open {"path":["f"]}`, "Error: open: the argument \"path\" must be a string, not a list\n", 2},
		{`open {"path":{"f":1},"line":{}}`, "Error: open: the argument \"path\" must be a string, not an object\n", 2},
		{`open {"path":"f","line_number":2}`, "Error: open: there is no argument \"line_number\"; did you mean \"line\"? The arguments are: path, line\n", 2},
		{`open {"path":"f","quite_different":2}`, "Error: open: there is no argument \"quite_different\". The arguments are: path, line\n", 2},
		{`validate {"x":1}`, "Error: validate: it takes no arguments, but got \"x\"\n", 2},
		{`open {"path":"f"} x`, "Error: open: there is something after the JSON object of the arguments\n", 2},
		{`open {"path":`, "Error: open: the arguments are not valid JSON: unexpected EOF\n", 2},
		{`edit {"start_line":1,"text":"x"}`, "Error: edit: the argument \"end_line\" (integer: the last line to replace (that line included)) is missing\n", 2},
		{`validate {}`, "Error: validate cannot be answered here: nothing outside listens.\n", 1},
		{"submit", "Error: submit cannot be answered here: nothing outside listens.\n", 1},
		{"opne f", "Error: the tool \"opne\" is not known; did you mean \"open\"? It is one of: open, goto, scroll_up, scroll_down, create, edit, insert, search_dir, search_file, find_file, job, validate, submit\n", 1},
	})
	for _, test := range []struct{ args, want string }{
		{`[1]`, "Error: open: the arguments must be a JSON object, not an array\n"},
		{`"f"`, "Error: open: the arguments must be a JSON object, not a string\n"},
		{`null`, "Error: open: the argument \"path\" (string: the file to open, absolute or relative to the working directory) is missing\n"},
		{``, "Error: open: the arguments are not valid JSON: EOF\n"},
	} {
		if got := w.typed("open", test.args); got.Output != test.want || got.ExitCode != 2 {
			t.Errorf("open with %q = %+v, want %q", test.args, got, test.want)
		}
	}
}

func TestHomeInTypedPaths(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"f": "l1\n"})
	t.Setenv("HOME", w.dir)
	w.check([]step{{`open {"path":"~/f"}`, listing("f", 1, 1, 1), 0}, {"open ~/f", "File ~/f not found\n", 1}})
}

// FuzzTyped calls each tool with arbitrary arguments. Whatever they are, the
// answer is bounded text, ends with a line end, and the call returns.
func FuzzTyped(f *testing.F) {
	for i := range tool.All() {
		for _, args := range []string{
			`{"path":"f","line":7}`, `{"line":"3"}`, `{}`, `{"start_line":1,"end_line":2,"text":"a\nb"}`, `{"line":0,"text":"x\r\n"}`,
			`{"search_term":"a[b*\\(","path":"."}`, `{"file_name":"*[!f"}`, `{"action":"start","command":"x"}`, `{"action":"wait","id":1,"seconds":1e3}`, `[`, `{"path":"\u0000"}`,
		} {
			f.Add(i, args)
		}
	}
	f.Fuzz(func(t *testing.T, which int, args string) {
		specs := tool.All()
		w := newWorkspace(t, tool.Options{Window: 5, Jobs: &recordedJobs{}}, map[string]string{"f": numbered(20)})
		w.shell("open f")
		if strings.Contains(args, "..") || strings.Contains(args, "/") || strings.Contains(args, "~") || strings.Contains(args, `\u`) {
			t.Skip("it may name files elsewhere")
		}
		checkAnswer(t, w.typed(specs[uint(which)%uint(len(specs))].Name, args))
	})
}

// FuzzShell does the same for the shell form.
func FuzzShell(f *testing.F) {
	for i := range tool.All() {
		f.Add(i, "f", "7", "text\n")
		f.Add(i, "1:2", "", "a\r\nb")
		f.Add(i, "start", "x", "")
	}
	f.Fuzz(func(t *testing.T, which int, first, second, stdin string) {
		specs := tool.All()
		w := newWorkspace(t, tool.Options{Window: 5, Jobs: &recordedJobs{}}, map[string]string{"f": numbered(20)})
		w.shell("open f")
		if strings.ContainsAny(first+second, "./~") {
			t.Skip("it may name files elsewhere")
		}
		var argv []string
		for _, word := range []string{first, second} {
			if word != "" {
				argv = append(argv, word)
			}
		}
		checkAnswer(t, w.run.Run(t.Context(), tool.Invocation{Name: specs[uint(which)%uint(len(specs))].Name, Argv: argv, Stdin: []byte(stdin), Dir: w.dir}))
	})
}

func checkAnswer(t *testing.T, got tool.Result) {
	t.Helper()
	if len(got.Output) > 64<<10 || !strings.HasSuffix(got.Output, "\n") || !utf8.ValidString(got.Output) {
		t.Errorf("answer of %d bytes: %.300q", len(got.Output), got.Output)
	}
}
