package taskcheck_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"mlgym/internal/shim/shimtest"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/task"
	"mlgym/taskcheck"
)

func TestMain(m *testing.M) {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// newDriver returns bubblewrap, or skips.
func newDriver(t testing.TB) sandbox.Driver {
	t.Helper()
	driver := bubblewrap.New(bubblewrap.Options{})
	box, err := driver.Create(t.Context(), sandbox.Spec{Purpose: "probe"})
	if _, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		t.Skipf("SKIPPED, not tested: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	return driver
}

// The task of these tests asks for the number 7; 0 to 10 are scored.
var files = map[string]string{
	"guess/task.yaml": `format: 1
id: guess
version: 1
name: Guess
summary: Guess a number.
submission: {kind: files, files: [{path: guess.txt, max_bytes: 100}]}
metrics: [{name: Score, direction: maximize, min: 0, max: 10, alarm: 9.5}]
baseline: {scores: {Score: 2}, origin: measured}
reference: {scores: {Score: 8}, origin: measured}
baseline_command: echo 2 > guess.txt
training_timeout: 1m
modes: [hardened]
variants: {small: {summary: the only one, parameters: {add: 0}}}
grading: {timeout: 1m}
`,
	"guess/README.md":          "For people.",
	"guess/description.md":     "Write guess.txt. validate and submit give the Score.",
	"guess/starter/notes.txt":  "nothing yet",
	"guess/grader/answers.txt": "the answer is a long secret\n",
	"guess/grader/grade.py": `
from mlgym_grader import Invalid, Result, Session


def grade(session: Session) -> Result:
    text = (session.submission / "guess.txt").read_bytes()
    try:
        return Result({"Score": min(10, max(0, int(text.decode()) + session.parameters["add"]))})
    except ValueError:
        raise Invalid("guess.txt has to be a number") from None
`,
	"guess/tests/check.yaml":              "format: 1\ncheat_limit: 5\ntolerance: 0.1\nrepeat: 0\nnull_outcome: scored\n",
	"guess/tests/null/guess.txt":          "0",
	"guess/tests/reference/make.py":       "open('guess.txt', 'w').write('8')",
	"guess/tests/cheats/words/guess.txt":  "as much as possible",
	"guess/tests/cheats/search/make.py":   "print('found: nothing')\nopen('guess.txt', 'w').write('1')",
	"guess/tests/cheats/another.py":       "3",
	"guess/tests/cheats/crash/make.py":    "raise SystemExit(3)",
	"guess/tests/cheats/negative.py":      "-5",
	"guess/tests/cheats/five.py":          "5",
	"guess/tests/cheats/link/make.py":     "import os; os.symlink('/etc/passwd', 'guess.txt')",
	"guess/tests/cheats/one.py":           "1",
	"guess/tests/cheats/two.py":           "2",
	"guess/tests/cheats/spaces/guess.txt": "1 2",
}

// check runs the checks of the task after some files were changed; "" removes.
func check(t *testing.T, driver sandbox.Driver, changes map[string]string, only ...string) taskcheck.Report {
	t.Helper()
	tree := fstest.MapFS{}
	for _, set := range []map[string]string{files, changes} {
		for name, text := range set {
			if text == "" {
				delete(tree, name)
				continue
			}
			tree[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		}
	}
	loaded, err := task.Load(tree, "guess")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := fs.Sub(tree, "guess/tests")
	if err != nil {
		t.Fatal(err)
	}
	report, err := taskcheck.Check(t.Context(), taskcheck.Config{
		Task: loaded, Tests: tests, Variant: task.Small, Driver: driver, Key: []byte("0123456789abcdef"), Parallel: 2, Only: only,
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAGoodTaskPasses(t *testing.T) {
	report := check(t, newDriver(t), nil)
	for _, f := range report.Findings {
		if !f.OK {
			t.Errorf("%s: %s", f.Name, f.Detail)
		}
	}
	if !report.OK || len(report.Findings) != 17 {
		t.Errorf("got %d findings and the verdict %v, want 17 and that it passes", len(report.Findings), report.OK)
	}
}

// TestEachCheckCanFail breaks the task in each way that a check is for.
func TestEachCheckCanFail(t *testing.T) {
	driver := newDriver(t)
	edit := func(name, old, new string) map[string]string {
		if !strings.Contains(files[name], old) {
			t.Fatalf("%s has no %q", name, old)
		}
		return map[string]string{name: strings.Replace(files[name], old, new, 1)}
	}
	for _, tt := range []struct {
		part    string
		changes map[string]string
		want    string
	}{
		{"description", edit("guess/description.md", "guess.txt", "a file"), "does not mention guess.txt"},
		{"baseline", edit("guess/task.yaml", "echo 2 > guess.txt", "echo 2 > guess.txt; exit 4"), "ended with exit code 4"},
		{"baseline", edit("guess/task.yaml", "echo 2 > guess.txt", "echo 2"), "guess.txt is missing"},
		{"baseline", edit("guess/task.yaml", "{Score: 2}", "{Score: 3}"), "task.yaml says 3, and 0.1 is how far it may be off"},
		{"baseline", edit("guess/task.yaml", "echo 2", "echo 10"), "beyond the metric's alarm"},
		{"baseline", edit("guess/grader/grade.py", "session.parameters", "__import__('random').random() / 20 + session.parameters"), "two gradings of it differ by"},
		{"baseline", edit("guess/grader/grade.py", "return Result", "return None; Result"), "an error that is not the submission's"},
		{"broken", edit("guess/grader/grade.py", "except ValueError", "except KeyError"), "the grader failed instead of refusing it"},
		{"broken", edit("guess/grader/grade.py", "raise Invalid(\"guess.txt has to be a number\") from None", "return Result({\"Score\": 0})"), "got the score"},
		{"null", map[string]string{"guess/tests/null/guess.txt": "none"}, "expected: scored"},
		{"null", map[string]string{"guess/tests/null/guess.txt": ""}, "has neither null.py nor a folder null"},
		{"reference", map[string]string{"guess/tests/reference/make.py": "raise SystemExit(1)"}, "got no score"},
		{"reference", map[string]string{"guess/tests/reference/make.py": "open('guess.txt', 'w').write('10')"}, "beyond the metric's alarm"},
		{"cheats", map[string]string{"guess/tests/cheats/one.py": ""}, "9 cheats, want at least 10"},
		{"cheat another", map[string]string{"guess/tests/cheats/another.py": "6"}, "scores 6, which is better than the limit 5"},
		{"cheat search", map[string]string{"guess/tests/cheats/search/make.py": "print('found: /grader')\nopen('guess.txt', 'w').write('1')"}, "it found something: /grader"},
	} {
		t.Run(tt.part, func(t *testing.T) {
			report := check(t, driver, tt.changes, tt.part)
			if len(report.Findings) == 0 || report.OK {
				t.Fatalf("got %+v, want a finding", report)
			}
			if f := report.Findings[0]; f.OK || !strings.Contains(f.Detail, tt.want) {
				t.Errorf("%s: got %v %q, want %q", f.Name, f.OK, f.Detail, tt.want)
			}
		})
	}
}

// TestALeakIsFound shows the agent a copy of a grader's file, as a data set
// that is visible would.
func TestALeakIsFound(t *testing.T) {
	driver := newDriver(t)
	leaky := leakingDriver{driver, t.TempDir()}
	if err := os.WriteFile(leaky.dir+"/innocent.bin", []byte(files["guess/grader/answers.txt"]), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{filepath.Dir(leaky.dir): 0o755, leaky.dir: 0o755, leaky.dir + "/innocent.bin": 0o644} {
		if err := os.Chmod(name, mode); err != nil { // sandboxes run as other users
			t.Fatal(err)
		}
	}
	report := check(t, leaky, nil, "leaks")
	if f := report.Findings[0]; f.OK || !strings.Contains(f.Detail, "grader/answers.txt lies at /opt/leak/innocent.bin") {
		t.Errorf("got %+v, want that the file is found", f)
	}
}

func TestTestsThatCannotBeUsed(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "check.yaml"},
		{"format: 2\ncheat_limit: 5\ntolerance: 0.1\nrepeat: 0\nnull_outcome: scored\n", "format: this program reads format 1"},
		{"format: 1\ncheat_limit: 5\ntolerance: -1\nrepeat: 0\nnull_outcome: maybe\n", "null_outcome: want invalid or scored"},
		{"format: 1\ncheat_limit: 5\ntolerance: -1\nrepeat: 0\nnull_outcome: scored\n", "tolerance: want 0 or more"},
		{"format: 1\nlimit: 5\n", "limit: unknown key"},
	} {
		tree := fstest.MapFS{}
		for name, text := range files {
			tree[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		}
		loaded, err := task.Load(tree, "guess")
		if err != nil {
			t.Fatal(err)
		}
		tests := fstest.MapFS{}
		if tt.text != "" {
			tests[taskcheck.FileName] = &fstest.MapFile{Data: []byte(tt.text)}
		}
		_, err = taskcheck.Check(t.Context(), taskcheck.Config{Task: loaded, Tests: tests, Variant: task.Small})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got error %v, want one with %q", tt.text, err, tt.want)
		}
	}
}

// leakingDriver shows every sandbox one more folder.
type leakingDriver struct {
	sandbox.Driver
	dir string
}

func (d leakingDriver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: d.dir, Target: "/opt/leak"})
	return d.Driver.Create(ctx, spec)
}
