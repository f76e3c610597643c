package tool_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/tool"
)

// ruff finds the real ruff: $MLGYM_RUFF, else ruff in PATH.
func ruff(t testing.TB) tool.Ruff {
	t.Helper()
	path := os.Getenv("MLGYM_RUFF")
	if path == "" {
		var err error
		if path, err = exec.LookPath("ruff"); err != nil {
			t.Skip("ruff is not here: set MLGYM_RUFF to its path, or install it with pip install 'ruff>=0.9'")
		}
	}
	return tool.Ruff{Path: path}
}

func TestRuff(t *testing.T) {
	linter := ruff(t)
	for _, test := range []struct {
		name, src string
		want      []string // the codes, each once
	}{
		{"nothing", "x = 1\n", nil},
		{"empty", "", nil},
		{"syntax", "x = (1\n", []string{"E999"}},
		{"undefined name", "def f():\n    return y\n", []string{"F821"}},
		{"undefined export", "__all__ = ['q']\n", []string{"F822"}},
		{"parameter named twice", "def f(a, a):\n    return a\n", []string{"E999"}},
		{"indentation of three", "def f():\n   return 1\n", []string{"E111"}},
		{"no indentation", "if 1:\nx = 1\n", []string{"E999", "E112"}},
		{"too much indentation", "x = 1\n    y = 2\n", []string{"E999", "E113"}},
		{"unused import is none of ours", "import os\n", nil},
		{"long line is none of ours", "x = '" + strings.Repeat("x", 200) + "'\n", nil},
		{"syntax of a new Python", "match 1:\n    case _:\n        print(f\"{'a' + f\"{1}\"}\")\ntype A = int\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := linter.Lint(t.Context(), "x.py", []byte(test.src))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range found {
				if !slices.Contains(got, d.Code) {
					got = append(got, d.Code)
				}
			}
			if !cmp.Equal(got, test.want) {
				t.Errorf("Lint(%q) = %+v, want the codes %v", test.src, found, test.want)
			}
		})
	}
}

func TestLint(t *testing.T) {
	linter := ruff(t)
	const oldError = "def f():\n    return missing\n\n\ndef g():\n    return 1\n"
	for _, test := range []struct {
		name, file, call string
		// errors that refuse the call; none means that it is made.
		errors []string
	}{
		{"good edit", "x = 1\n", "edit 1:1\nx = 2\n", nil},
		{"syntax error", "x = 1\n", "edit 1:1\nx = (2\n", []string{"E999 SyntaxError"}},
		{"undefined name", "x = 1\n", "edit 1:1\nx = y\n", []string{"F821 Undefined name `y` (line 1)"}},
		{"indentation", "def f():\n    return 1\n", "edit 2:2\n   return 1\n", []string{"E111 Indentation is not a multiple of 4 (line 2)"}},
		{"not indented", "def f():\n    return 1\n", "edit 2:2\nreturn 1\n", []string{"E999 SyntaxError", "E112 Expected an indented block"}},
		{"insert", "x = 1\n", "insert 1\nprint(y)\n", []string{"F821 Undefined name `y` (line 2)"}},
		{"old error elsewhere", oldError, "edit 6:6\n    return 2\n", nil},
		{"old error below, shifted", oldError, "insert 0\nimport os\n\n", nil},
		{"old error below, shifted up", "\n\n\n" + oldError, "edit 1:2\n", nil},
		{"old error on the replaced line", oldError, "edit 2:2\n    return missing\n", []string{"F821 Undefined name `missing` (line 2)"}},
		{"old error mended", oldError, "edit 2:2\n    return 2\n", nil},
		{"same error once more", oldError, "insert 2\n\n\nx = missing\n", []string{"F821 Undefined name `missing` (line 5)"}},
		{"import taken away", "import os\n\nprint(os)\n", "edit 1:1\n", []string{"F821 Undefined name `os` (line 2)"}},
		{"mended syntax uncovers old names", "x = (1\nprint(missing)\n", "edit 1:1\nx = 1\n", nil},
		{"mended syntax with a new name of its own", "x = (1\nprint(missing)\n", "edit 1:1\nx = new\n", []string{"F821 Undefined name `new` (line 1)"}},
		{"file not UTF-8 already", "# \xe9\nx = 1\n", "edit 2:2\nx = 2\n", nil},
		{"text not UTF-8", "x = 1\n", "edit 1:1\nx = '\xe9'\n", []string{"E902 the file is not valid UTF-8 (line 1)"}},
		{"deleted all", "x = 1\n", "edit 1:1\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkspace(t, tool.Options{Linter: linter}, map[string]string{"f.py": test.file})
			w.shell("open f.py")
			got := w.shell(test.call)
			if test.errors == nil {
				if got.ExitCode != 0 || !strings.HasSuffix(got.Output, updated) || strings.Contains(got.Output, "Note:") {
					t.Errorf("%q was answered with code %d:\n%s", test.call, got.ExitCode, got.Output)
				}
				return
			}
			if got.ExitCode != 1 || w.read("f.py") != test.file {
				t.Errorf("%q: code %d, file is %q now", test.call, got.ExitCode, w.read("f.py"))
			}
			listed := strings.Split(between(got.Output, "ERRORS:\n", "\n\nThis is how"), "\n")
			if len(listed) != len(test.errors) {
				t.Fatalf("%q is refused with %q, want %q", test.call, listed, test.errors)
			}
			for i, want := range test.errors {
				if !strings.HasPrefix(listed[i], "- "+want) {
					t.Errorf("%q: error %d is %q, want %q", test.call, i, listed[i], want)
				}
			}
		})
	}
}

func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

func TestLintRefusal(t *testing.T) {
	linter := ruff(t)
	file := "import os\n\n\ndef f():\n    return 1\n\n\ndef g():\n    return 2\n\n\nprint(f())\nprint(g())\n"
	w := newWorkspace(t, tool.Options{Linter: linter}, map[string]string{"f.py": file})
	w.shell("open f.py")
	rule := strings.Repeat("-", 49) + "\n"
	w.check([]step{{"edit 9:9\n    x = y\n    return x\n", "Your edit was NOT made: it would bring new errors into the file. Read them, then send a corrected edit.\n\n" +
		"ERRORS:\n- F821 Undefined name `y` (line 9)\n\n" +
		"This is how the file would have looked:\n" + rule +
		"[File: $DIR/f.py (14 lines total)]\n(3 more lines above)\n4:def f():\n5:    return 1\n6:\n7:\n8:def g():\n9:    x = y\n10:    return x\n11:\n12:\n13:print(f())\n14:print(g())\n" + rule +
		"\nThis is the file as it is, unchanged:\n" + rule +
		"[File: $DIR/f.py (13 lines total)]\n(3 more lines above)\n4:def f():\n5:    return 1\n6:\n7:\n8:def g():\n9:    return 2\n10:\n11:\n12:print(f())\n13:print(g())\n" + rule +
		"\nCheck the line numbers and the indentation of your edit and send it again with the errors mended. Sending the same text again will be refused again.\n", 1}})
	// The window of the open file is where it was.
	w.check([]step{{"goto 1", strings.Replace(w.shell("open f.py").Output, w.dir, "$DIR", 1), 0}})
}

func TestLintManyErrorsAreBounded(t *testing.T) {
	linter := ruff(t)
	w := newWorkspace(t, tool.Options{Linter: linter}, map[string]string{"f.py": "x = 1\n"})
	w.shell("open f.py")
	got := w.shell("edit 1:1\n" + strings.Repeat("y = unknown_name_"+strings.Repeat("z", 5000)+"\n", 1000))
	if got.ExitCode != 1 || !strings.Contains(got.Output, "- and 980 more\n") || len(got.Output) > 64<<10 {
		t.Errorf("a thousand errors are answered with code %d and %d bytes: %.300s", got.ExitCode, len(got.Output), got.Output)
	}
}

func TestOnlyPythonIsLinted(t *testing.T) {
	w := newWorkspace(t, tool.Options{Linter: brokenLinter{}}, map[string]string{"f.txt": "a\n"})
	w.shell("open f.txt")
	w.check([]step{{"edit 1:1\nx = (\n", "[File: $DIR/f.txt (1 lines total)]\n1:x = (\n" + updated, 0}})
}

// brokenLinter cannot check anything.
type brokenLinter struct{}

func (brokenLinter) Lint(context.Context, string, []byte) ([]tool.Diagnostic, error) {
	return nil, errors.New("it is broken")
}

func TestLintThatCannotRunIsSaid(t *testing.T) {
	for _, test := range []struct {
		name   string
		linter tool.Linter
		note   string
	}{
		{"a linter that fails", brokenLinter{}, "it is broken"},
		{"no ruff at the path", tool.Ruff{Path: "/nowhere/ruff"}, "ruff is not installed here"},
		{"no ruff in PATH", tool.Ruff{Path: "no-such-ruff"}, "ruff is not installed here"},
		{"a ruff that is none", tool.Ruff{Path: "true"}, "ruff's report cannot be read: unexpected end of JSON input"},
		{"a ruff that fails", tool.Ruff{Path: "false"}, "ruff: exit status 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkspace(t, tool.Options{Linter: test.linter}, map[string]string{"f.py": "a = 1\n"})
			w.shell("open f.py")
			w.check([]step{{"edit 1:1\nx = 1\n", "[File: $DIR/f.py (1 lines total)]\n1:x = 1\nNote: the file was not checked for Python errors: " + test.note + "\n" + updated, 0}})
		})
	}
}

// TestRuffReapedElsewhere is the life within a first process that reaps every
// child: its exit status is lost, its output is not.
func TestRuffReapedElsewhere(t *testing.T) {
	linter := ruff(t)
	linter.Run = func(cmd *exec.Cmd) error {
		if err := cmd.Run(); err != nil {
			return err
		}
		return os.NewSyscallError("wait", syscall.ECHILD)
	}
	found, err := linter.Lint(t.Context(), "x.py", []byte("x = y\n"))
	if err != nil || len(found) != 1 {
		t.Errorf("Lint = %+v, %v; want one error found", found, err)
	}
}
