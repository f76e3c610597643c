package tool_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mlgym/tool"
)

// workspace is a folder with files and the tools that work in it.
type workspace struct {
	t   testing.TB
	dir string
	run *tool.Session
}

// newWorkspace makes a folder with the given files. A name that ends with a
// slash is a folder.
func newWorkspace(t testing.TB, opts tool.Options, files map[string]string) *workspace {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &workspace{t: t, dir: dir, run: tool.NewRunner(opts)}
	for name, content := range files {
		w.write(name, content)
	}
	return w
}

func (w *workspace) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workspace) write(name, content string) {
	w.t.Helper()
	path := w.path(name)
	folder := filepath.Dir(path)
	if strings.HasSuffix(name, "/") {
		folder = path
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		w.t.Fatal(err)
	}
	if folder == path {
		return
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workspace) read(name string) string {
	w.t.Helper()
	content, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(content)
}

// shell calls a tool in shell form. The arguments are separated by a space, or
// by | where one of them has a space in it; what follows the first line is the
// standard input.
func (w *workspace) shell(line string) tool.Result {
	line, stdin, _ := strings.Cut(line, "\n")
	separator := " "
	if strings.Contains(line, "|") {
		separator = "|"
	}
	words := strings.Split(line, separator)
	return w.run.Run(context.Background(), tool.Invocation{Name: words[0], Argv: words[1:], Stdin: []byte(stdin), Dir: w.dir})
}

// typed calls a tool as a function.
func (w *workspace) typed(name, args string) tool.Result {
	return w.run.Run(context.Background(), tool.Invocation{Name: name, Args: json.RawMessage(args), Dir: w.dir})
}

// step is one call of a case and what it must answer. $DIR stands for the
// folder. A call with a { in it is typed: name, then JSON.
type step struct {
	call, want string
	code       int
}

func (w *workspace) check(steps []step) {
	w.t.Helper()
	for _, s := range steps {
		var got tool.Result
		if name, args, ok := strings.Cut(s.call, " {"); ok && !strings.Contains(name, "\n") {
			got = w.typed(name, "{"+strings.ReplaceAll(args, "$DIR", w.dir))
		} else {
			got = w.shell(strings.ReplaceAll(s.call, "$DIR", w.dir))
		}
		output := strings.ReplaceAll(got.Output, w.dir, "$DIR")
		if output != s.want || got.ExitCode != s.code {
			w.t.Errorf("%q answered with code %d:\n%s\nwant code %d:\n%s", s.call, got.ExitCode, output, s.code, s.want)
		}
	}
}

// numbered makes a text of n lines: "l1", "l2" …
func numbered(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "l%d\n", i)
	}
	return b.String()
}

// listing is the listing of such a text from line first to line last.
func listing(name string, total, first, last int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[File: $DIR/%s (%d lines total)]\n", name, total)
	if first > 1 {
		fmt.Fprintf(&b, "(%d more lines above)\n", first-1)
	}
	for i := first; i <= last; i++ {
		fmt.Fprintf(&b, "%d:l%d\n", i, i)
	}
	if last < total {
		fmt.Fprintf(&b, "(%d more lines below)\n", total-last)
	}
	return b.String()
}

// shownRange reads which lines a listing shows.
func shownRange(t testing.TB, output string) (first, last int) {
	t.Helper()
	for line := range strings.Lines(output) {
		number, _, ok := strings.Cut(line, ":")
		if n, err := strconv.Atoi(number); ok && err == nil {
			if first == 0 {
				first = n
			}
			last = n
		}
	}
	if first == 0 {
		t.Fatalf("no lines in %.200q", output)
	}
	return first, last
}

func itoa(n int) string { return strconv.Itoa(n) }

const updated = "File updated. Look at the lines above: is the indentation right, is no line doubled or missing? If something is wrong, edit again.\n"
