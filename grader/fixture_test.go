package grader_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
)

// fixture makes a task from the text of its grade.py.
func fixture(t testing.TB, kind task.Kind, gradePy string) *task.Task {
	t.Helper()
	player := ""
	if kind == task.Program {
		player = "  player: {start_timeout: 20s, answer_timeout: 2s, total_timeout: 4s, max_answer_bytes: 1000}\n"
	}
	text := `format: 1
id: fixture
version: 1
name: Fixture
summary: A task of the tests.
submission:
  kind: ` + string(kind) + `
  files:
    - {path: answer.txt, max_bytes: 100}
    - {path: sub/more.txt, max_bytes: 1000}
metrics:
  - {name: Score, direction: maximize, min: 0, max: 10, alarm: 9}
training_timeout: 1m
modes: [hardened]
variants: {full: {summary: all, parameters: {n: 3}}}
grading:
  timeout: 60s
` + player
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
	loaded, err := task.Load(fstest.MapFS{
		"fixture/task.yaml":          file(text),
		"fixture/README.md":          file("x"),
		"fixture/description.md":     file("x"),
		"fixture/starter/other.txt":  file("from the starter"),
		"fixture/starter/answer.txt": file("from the starter"),
		"fixture/grader/grade.py":    file(gradePy),
		"fixture/grader/own/own.txt": file("x"),
	}, "fixture")
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// good is a submission that the fixtures take.
var good = map[string]string{"answer.txt": "seven", "sub/more.txt": "more"}

const header = "from mlgym_grader import *\n\ndef grade(session):\n"

func TestSubmissionsThatCannotBeTaken(t *testing.T) {
	driver := newDriver(t)
	graded := fixture(t, task.Program, header+"    return Result({'Score': 1})\n")
	tests := []struct {
		name    string
		script  string
		problem gym.Problem
		message string
	}{
		{"missing", "rm answer.txt", gym.NotFound, "answer.txt is missing"},
		{"all missing", "rm -r answer.txt sub", gym.NotFound, "answer.txt is missing"},
		{"missing in a folder", "rm -r sub", gym.NotFound, "sub/more.txt is missing"},
		{"a directory", "rm answer.txt; mkdir answer.txt", gym.Invalid, "answer.txt is a directory"},
		{"a full directory", "rm answer.txt; mkdir -p answer.txt/deep; touch answer.txt/deep/a answer.txt/b", gym.Invalid, "answer.txt is a directory"},
		{"a link within", "mv answer.txt real.txt; ln -s real.txt answer.txt", gym.Invalid, "answer.txt is a link to real.txt"},
		{"a link out", "ln -sf /etc/passwd answer.txt", gym.Invalid, "answer.txt is a link to /etc/passwd"},
		{"a dangling link", "ln -sf nowhere answer.txt", gym.Invalid, "answer.txt is a link to nowhere"},
		{"a pipe", "rm answer.txt; mkfifo answer.txt", gym.Invalid, "answer.txt is not a regular file"},
		{"one byte too large", "head -c 101 /dev/zero | tr '\\0' x > answer.txt", gym.Invalid, "answer.txt is too large: at most 100 bytes"},
		{"huge and sparse", "truncate -s 1500M answer.txt", gym.Invalid, "answer.txt is too large: at most 100 bytes"},
		{"not UTF-8", "printf 'a\\nb\\377' > answer.txt", gym.Invalid, "answer.txt is not UTF-8 text: see line 2, offset 3"},
		{"a zero byte", "printf 'ab\\0' > answer.txt", gym.Invalid, "answer.txt is not text: it has a zero byte at offset 2"},
		{"as large as allowed", "head -c 100 /dev/zero | tr '\\0' x > answer.txt", gym.Scored, ""},
		{"empty", ": > answer.txt", gym.Scored, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			box := newAgent(t, driver)
			put(t, box, good)
			shell(t, box, tt.script)
			got := grade(t, driver, grader.Request{Task: graded, Submission: box.Files()})
			if got.Problem != tt.problem || !strings.Contains(got.Message, tt.message) || (got.Scores != nil) != (tt.problem == gym.Scored) {
				t.Errorf("got %v %q %q, want %q and a message with %q", got.Scores, got.Problem, got.Message, tt.problem, tt.message)
			}
		})
	}
}

func TestPrograms(t *testing.T) {
	driver := newDriver(t)
	const start = "    p = session.start('one', harness='games')\n    p.load('answer.txt', 'f')\n"
	ask := start + "    p.ask({'op': 'first', 'lanes': 1})\n    return Result({'Score': 1})\n"
	tests := []struct {
		name, grade, program string
		want                 string // of the message; "" means that there is a score
	}{
		{"answers", ask, "def f(h): return 1", ""},
		{"syntax error", ask, "def f(:\n", "could not be loaded: SyntaxError at line 1 of answer.txt: invalid syntax"},
		{"no function", ask, "x = 1", "could not be loaded: NameError: answer.txt defines no function f"},
		{"missing module", ask, "import nothing_like_it", "could not be loaded: ModuleNotFoundError at line 1 of answer.txt: No module named"},
		{"raises", ask, "def f(h):\n    raise ValueError('hidden')", "raised ValueError at line 2 of answer.txt."},
		{"raises its own", ask, "class Hidden(Exception): pass\ndef f(h): raise Hidden", "raised an exception of its own at line 2 of answer.txt."},
		{"leaves", ask, "import os\ndef f(h): os._exit(3)", "ended with exit code 3 without an answer"},
		{"kills itself", ask, "import os\ndef f(h): os.kill(os.getpid(), 11)", "was ended by the signal SEGV"},
		{"closes the channel", ask, "import os, time\ndef f(h):\n  os.close(3)\n  os._exit(0)", "ended with exit code 0"},
		{"too slow", ask, "import time\ndef f(h): time.sleep(60)", "did not answer within 2s"},
		{
			"too slow in all", start + "    for _ in range(9): p.ask({'op': 'first', 'lanes': 1})\n    return Result({'Score': 1})\n",
			"import time\ndef f(h): time.sleep(1)", "is too slow: all its answers together took longer than 4s",
		},
		{"too long", ask, "def f(h): return [1] * 1000", "longer than the 1000 bytes allowed"},
		{"grader refuses", start + "    raise Invalid('the number is odd')\n", "def f(h): return 1", "the number is odd"},
		{"sees the starter", ask, "assert open('other.txt').read() == 'from the starter'\ndef f(h): return 1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			box := newAgent(t, driver)
			put(t, box, map[string]string{"answer.txt": tt.program, "sub/more.txt": ""})
			got := grade(t, driver, grader.Request{Task: fixture(t, task.Program, header+tt.grade), Submission: box.Files()})
			if tt.want == "" {
				if got.Problem != gym.Scored {
					t.Errorf("got %+v, want a score", got)
				}
				return
			}
			if got.Problem != gym.Invalid || got.Scores != nil || !strings.Contains(got.Message, tt.want) {
				t.Errorf("got %v %q %q, want it invalid with %q", got.Scores, got.Problem, got.Message, tt.want)
			}
			if strings.Contains(strings.ToLower(got.Message), "hidden") {
				t.Errorf("the message %q carries text of the program's choosing", got.Message)
			}
		})
	}
}

func TestFaultsOfTheGraderAreErrors(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	put(t, box, good)
	tests := []struct{ name, grade, want string }{
		{"raises", "    1 / 0\n", "ended with exit code 1"},
		{"gives nothing", "    return None\n", "ended with exit code 1"},
		{"leaves", "    import os; os._exit(0)\n", "ended with exit code 0 and without an outcome"},
		{"above the bound", "    return Result({'Score': 10.5})\n", "above its bound 10"},
		{"not finite", "    return Result({'Score': float('nan')})\n", "ended with exit code 1"},
		{"unknown metric", "    return Result({'Score': 1, 'Other': 2})\n", "gave 2 metrics, the task declares 1"},
		{"no metric", "    return Result({})\n", "no value for the metric Score"},
		{"unknown player", "    session.request({'op': 'ask', 'player': 'x'}, b'')\n", `asks for the player "x"`},
		{"unknown request", "    session.request({'op': 'open'})\n", "asks for the player"},
		{"unknown key", "    session.request({'op': 'start', 'colour': 1})\n", "unknown field"},
		{"own player fails", "    session.start('own', 'games', 'own').load('own.txt', 'f')\n", "ended with exit code 1"},
		{"names a folder outside", "    session.start('own', 'games', '../x')\n", "names a program"},
		{"not a frame", "    import os; os.write(3, b'\\xff' * 4)\n", "without an outcome"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := grader.New(driver, grader.Options{}).Grade(t.Context(), grader.Request{
				Task: fixture(t, task.Program, header+tt.grade), Submission: box.Files(), Kind: gym.Submit, Key: key,
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v and error %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}

func TestSubmissionsOfData(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	put(t, box, good)
	var collected []grader.File
	got := grade(t, driver, grader.Request{
		Task: fixture(t, task.Files, header+`    print("only a log")
    assert session.parameters == {"n": 3} and session.files == ["answer.txt", "sub/more.txt"]
    text = (session.submission / "answer.txt").read_text() + (session.submission / "sub/more.txt").read_text()
    return Result({"Score": len(text)}, {"letters": len(text)})
`),
		Submission: box.Files(),
		Collected:  func(files []grader.File) { collected = files },
	})
	if diff := cmp.Diff(gym.Scores{"Score": 9}, got.Scores); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"letters": 9}, got.Details); diff != "" {
		t.Errorf("details: a score on the alarm is not beyond it (-want +got):\n%s", diff)
	}
	type file struct{ path, text, sum string }
	var gotFiles, want []file
	for _, f := range collected {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil || int64(len(text)) != f.Bytes {
			t.Errorf("%s: read %d bytes, want %d: %v", f.Path, len(text), f.Bytes, err)
		}
		gotFiles = append(gotFiles, file{f.Path, string(text), f.SHA256})
	}
	for _, f := range []file{{path: "answer.txt", text: "seven"}, {path: "sub/more.txt", text: "more"}} {
		f.sum = fmt.Sprintf("%x", sha256.Sum256([]byte(f.text)))
		want = append(want, f)
	}
	if diff := cmp.Diff(want, gotFiles, cmp.AllowUnexported(file{})); diff != "" {
		t.Errorf("collected (-want +got):\n%s", diff)
	}
}

// largeFile is more than is held in memory.
const largeFile = 3 << 20

func TestLargeAndOptionalFiles(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	spool := t.TempDir()
	t.Setenv("TMPDIR", spool)
	what := fixture(t, task.Files, header+`    data = (session.submission / "answer.txt").read_bytes()
    assert session.files == ["answer.txt"] and not (session.submission / "sub").exists()
    assert data == b"x" * len(data), "the content has changed"
    return Result({"Score": 1}, {"bytes": len(data)})
`)
	what.Submission.Files[0].MaxBytes = largeFile
	what.Submission.Files[1].Optional = true
	for _, tt := range []struct {
		name  string
		bytes int
		want  gym.Problem
	}{
		{"small", 10, gym.Scored},
		{"as much as memory holds", 1 << 20, gym.Scored},
		{"one byte more", 1<<20 + 1, gym.Scored},
		{"as large as allowed", largeFile, gym.Scored},
		{"one byte too large", largeFile + 1, gym.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shell(t, box, fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x > answer.txt", tt.bytes))
			var kept int64
			got := grade(t, driver, grader.Request{Task: what, Submission: box.Files(), Collected: func(files []grader.File) {
				content, err := files[0].Open()
				if err != nil {
					t.Error(err)
					return
				}
				defer content.Close()
				if kept, err = io.Copy(io.Discard, content); err != nil {
					t.Error(err)
				}
			}})
			if got.Problem != tt.want {
				t.Fatalf("got %+v, want %q", got, tt.want)
			}
			if tt.want == gym.Scored && (got.Details["bytes"] != float64(tt.bytes) || kept != int64(tt.bytes)) {
				t.Errorf("graded %v bytes and kept %d, want %d", got.Details["bytes"], kept, tt.bytes)
			}
		})
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
		t.Errorf("left on the host: %v %v", left, err)
	}
}

func TestBinaryFilesOfAProgram(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	put(t, box, map[string]string{"answer.txt": "def f(h): return open('sub/more.txt', 'rb').read()[0]", "sub/more.txt": "\xff\x00"})
	what := fixture(t, task.Program, header+`    p = session.start('one', 'games')
    p.load('answer.txt', 'f')
    return Result({'Score': p.ask({'op': 'first', 'lanes': 1})['moves'][0] / 100})
`)
	if got := grade(t, driver, grader.Request{Task: what, Submission: box.Files()}); got.Problem != gym.Invalid {
		t.Errorf("as text: got %+v, want it invalid", got)
	}
	what.Submission.Files[1].Binary = true
	if got := grade(t, driver, grader.Request{Task: what, Submission: box.Files()}); got.Scores["Score"] != 2.55 {
		t.Errorf("as binary: got %+v, want 2.55", got)
	}
}

func TestSuspiciousScoresAreMarked(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	put(t, box, good)
	got := grade(t, driver, grader.Request{
		Task: fixture(t, task.Files, header+"    return Result({'Score': 9.5})\n"), Submission: box.Files(),
	})
	if got.Scores["Score"] != 9.5 || got.Details["suspicious"] != 1 {
		t.Errorf("got %+v, want the score and a mark", got)
	}
}

func TestGradeEndsWithItsContext(t *testing.T) {
	driver := newDriver(t)
	box := newAgent(t, driver)
	put(t, box, map[string]string{"answer.txt": "import time\ndef f(h): time.sleep(60)", "sub/more.txt": ""})
	what := fixture(t, task.Program, header+"    session.start('one', 'games').load('answer.txt', 'f')\n    import time; time.sleep(60)\n")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := grader.New(driver, grader.Options{}).Grade(ctx, grader.Request{
		Task: what, Submission: box.Files(), Kind: gym.Submit, Key: key,
		Collected: func([]grader.File) { cancel() },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want one that wraps %v", err, context.Canceled)
	}
	what.Grading.Timeout = 2 * time.Second
	_, err = grader.New(driver, grader.Options{}).Grade(t.Context(), grader.Request{
		Task: what, Submission: box.Files(), Kind: gym.Submit, Key: key,
	})
	if err == nil || !strings.Contains(err.Error(), "the grader took longer than the task allows") {
		t.Errorf("got error %v, want one about the time", err)
	}
}

func TestRequestsThatCannotBeGraded(t *testing.T) {
	what := fixture(t, task.Files, header)
	box := sandbox.Files(nil)
	tests := []struct {
		name string
		req  grader.Request
		want string
	}{
		{"no task", grader.Request{}, "no task"},
		{"no submission", grader.Request{Task: what, Submission: box}, "no submission"},
		{"kind", grader.Request{Task: what, Submission: nothing{}, Kind: "guess"}, `unknown kind "guess"`},
		{"mode", grader.Request{Task: what, Submission: nothing{}, Kind: gym.Submit, Mode: task.Published}, `no mode "published"`},
		{"key", grader.Request{Task: what, Submission: nothing{}, Kind: gym.Submit, Key: []byte("short")}, "the key has 5 bytes"},
		{"variant", grader.Request{Task: what, Submission: nothing{}, Kind: gym.Submit, Key: key, Variant: "ful"}, `did you mean "full"?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := grader.New(nil, grader.Options{}).Grade(t.Context(), tt.req)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

type nothing struct{ sandbox.Files }
