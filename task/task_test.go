package task_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/task"
)

const valid = `format: 1
id: guess
version: 2
name: Guess
summary: Guess well.
submission:
  kind: program
  files:
    - path: src/guess.py
      max_bytes: 100
metrics:
  - name: Score
    direction: maximize
    min: 0
    max: 10
    alarm: 9
  - name: Time
    unit: seconds
    direction: minimize
baseline:
  scores: {Score: 2}
  origin: measured
reference:
  scores: {Score: 6, Time: 3}
  origin: measured
training_timeout: 30m
modes: [hardened, published]
variants:
  full:
    summary: all
    parameters: {n: 10, rate: 0.5}
  small: {summary: few}
  another: {summary: other}
grading:
  timeout: 10m
  limits: {memory_bytes: 1000}
  player:
    start_timeout: 30s
    answer_timeout: 10s
    total_timeout: 5m
    max_answer_bytes: 1000
`

// folder is a task's folder with the given task.yaml.
func folder(text string) fstest.MapFS {
	files := fstest.MapFS{}
	for name, data := range map[string]string{
		"task.yaml":            text,
		"README.md":            "for people",
		"description.md":       "for agents",
		"starter/src/guess.py": "a",
		"starter/notes.txt":    "b",
		"grader/grade.py":      "c",
	} {
		files["guess/"+name] = &fstest.MapFile{Data: []byte(data), Mode: 0o644}
	}
	return files
}

func TestLoad(t *testing.T) {
	got, err := task.Load(folder(valid), "guess")
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "guess" || got.Version != 2 || got.Description != "for agents" || got.Readme != "for people" {
		t.Errorf("got %+v", got)
	}
	if got.TrainingTimeout != 30*time.Minute || got.CommandTimeout != 25*time.Second {
		t.Errorf("timeouts: got %s and %s, want 30m and the default of 25s", got.TrainingTimeout, got.CommandTimeout)
	}
	if diff := cmp.Diff([]string{"full", "small", "another"}, got.VariantNames()); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
	full, err := got.Variant("full")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"n": int64(10), "rate": 0.5}, full.Parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if _, err := got.Variant("smal"); err == nil || !strings.Contains(err.Error(), `did you mean "small"`) {
		t.Errorf("got error %v, want one that names small", err)
	}
	starter, err := got.Starter()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := fs.ReadFile(starter, "src/guess.py"); string(text) != "a" {
		t.Errorf("got %q %v, want the starter's file", text, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(valid, old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(valid, old, new, 1)
	}
	tests := []struct{ name, text, want string }{
		{"unknown key", replace("summary: Guess", "sumary: Guess"), `guess/task.yaml:5: sumary: unknown key; did you mean "summary"?`},
		{"missing key", replace("version: 2\n", ""), "version: missing"},
		{"wrong type", replace("version: 2", "version: two"), `guess/task.yaml:3: version: want a whole number, got the text "two"`},
		{"format", replace("format: 1", "format: 2"), "guess/task.yaml:1: format: this program reads format 1, not 2"},
		{"id", replace("id: guess", "id: ../guess"), "guess/task.yaml:2: id: want letters"},
		{"version", replace("version: 2", "version: 0"), "task.yaml:3: version: want 1 or more"},
		{"direction", replace("maximize", "maximise"), `metrics[0].direction: want one of maximize, minimize, got "maximise"; did you mean "maximize"`},
		{"mode", replace("[hardened, published]", "[hardned]"), `modes[0]: want one of hardened, published, got "hardned"; did you mean "hardened"?`},
		{"mode twice", replace("[hardened, published]", "[hardened, hardened]"), "modes[1]: hardened stands twice"},
		{"no mode", replace("[hardened, published]", "[]"), "modes: want at least one"},
		{"path out", replace("src/guess.py", "../guess.py"), "submission.files[0].path: want a path inside"},
		{"absolute path", replace("src/guess.py", "/guess.py"), "submission.files[0].path: want a path inside"},
		{"no bytes", replace("max_bytes: 100", "max_bytes: 0"), "submission.files[0].max_bytes: want 1 or more"},
		{"a folder out", replace("src/guess.py", "../guess/"), "submission.files[0].path: want a path inside"},
		{"the workspace and more", replace("path: src/guess.py", "path: ./\n      max_bytes: 5\n    - path: other.py"), "submission.files[0].path: the whole workspace can only be handed in alone"},
		{"a link of the system", replace("training_timeout", "links: {/usr/x: /home/agent/x}\ntraining_timeout"), "links./usr/x: link \"/usr/x\": /usr belongs to the system"},
		{"a variable of the sandbox", replace("training_timeout", "env: {PATH: /x}\ntraining_timeout"), "env.PATH: want the name of a variable"},
		{"metric twice", replace("name: Time", "name: Score"), "metrics[1].name: Score stands twice"},
		{"bounds", replace("max: 10", "max: 0"), "metrics[0].max: want more than min"},
		{"score outside", replace("{Score: 2}", "{Score: 11}"), "baseline.scores.Score: Score is 11, which is above its bound 10"},
		{"score of no metric", replace("{Score: 2}", "{Score: 2, Other: 1}"), "baseline.scores.Other: no metric has this name"},
		{"no primary score", replace("{Score: 2}", "{Time: 2}"), "baseline.scores: the primary metric Score is missing"},
		{"worse reference", replace("{Score: 6, Time: 3}", "{Score: 1}"), "reference.scores.Score: want a better value than the baseline's 2 (maximize), got 1"},
		{"reward range", replace("training_timeout", "reward_range: {low: 0.1, high: 2}\ntraining_timeout"), "reward_range: want a range that has 0"},
		{"variant name", replace("  small:", "  Sm all:"), "variants.Sm all: a variant's name"},
		{"no player", valid[:strings.Index(valid, "  player:")], "grading.player: missing"},
		{"player for data", replace("kind: program", "kind: files"), "grading.player: only a submission of kind program"},
		{"total time", replace("total_timeout: 5m", "total_timeout: 10m"), "grading.player.total_timeout: want less than grading.timeout"},
		{"answer bytes", replace("max_answer_bytes: 1000", "max_answer_bytes: 100000000"), "grading.player.max_answer_bytes: want 1 to 67108864"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := task.Load(folder(tt.text), "guess")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v\nwant one with %q", err, tt.want)
			}
		})
	}
}

func TestLoadRefusesFoldersThatLackSomething(t *testing.T) {
	for _, name := range []string{"README.md", "description.md", "grader/grade.py", "task.yaml"} {
		files := folder(valid)
		delete(files, "guess/"+name)
		if _, err := task.Load(files, "guess"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: got error %v, want one that names it", name, err)
		}
	}
}

func TestDigest(t *testing.T) {
	digest := func(files fstest.MapFS) task.Digest {
		t.Helper()
		got, err := task.Load(files, "guess")
		if err != nil {
			t.Fatal(err)
		}
		return got.Digest
	}
	first := digest(folder(valid))
	for _, tt := range []struct {
		name string
		file string
		same bool
	}{
		{"a readme", "guess/README.md", true},
		{"a test", "guess/tests/cheats/x.py", true},
		{"what Python leaves", "guess/grader/__pycache__/grade.pyc", true},
		{"a hidden file", "guess/starter/.cache", true},
		{"the description", "guess/description.md", false},
		{"a grader's file", "guess/grader/engine.py", false},
		{"a starter's file", "guess/starter/notes.txt", false},
		{"an empty file", "guess/starter/empty", false},
	} {
		files := maps.Clone(folder(valid))
		files[tt.file] = &fstest.MapFile{Data: []byte("other"), Mode: 0o644}
		if got := digest(files); (got == first) != tt.same {
			t.Errorf("%s: got %s after %s, want the same: %v", tt.name, got, first, tt.same)
		}
	}
}

func TestNormalise(t *testing.T) {
	up, err := task.Load(folder(valid), "guess")
	if err != nil {
		t.Fatal(err)
	}
	down, err := task.Load(folder(strings.NewReplacer(
		"direction: maximize", "direction: minimize", "{Score: 2}", "{Score: 6}", "{Score: 6, Time: 3}", "{Score: 2}",
		"  small: ", "  own:\n    summary: x\n    baseline: {scores: {Score: 9}, origin: x}\n    reference: {scores: {Score: 5}, origin: x}\n"+
			"  half:\n    summary: x\n    baseline: {scores: {Score: 9}, origin: x}\n  small: ",
	).Replace(valid)), "guess")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		task    *task.Task
		variant string
		score   float64
		want    float64
	}{
		{"the baseline", up, task.Full, 2, 0},
		{"the reference", up, task.Full, 6, 1},
		{"between", up, task.Full, 3, 0.25},
		{"beyond", up, task.Full, 7, 1.25},
		{"clipped above", up, task.Full, 10, 1.5},
		{"clipped below", up, task.Full, -100, -1},
		{"another variant without its own", up, task.Small, 3, 0.25},
		{"small is good: baseline", down, task.Full, 6, 0},
		{"small is good: reference", down, task.Full, 2, 1},
		{"small is good: worse", down, task.Full, 8, -0.5},
		{"a variant with its own", down, "own", 7, 0.5},
	}
	for _, tt := range tests {
		if got, ok := tt.task.Normalise(tt.variant, tt.score); !ok || math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: Normalise(%s, %g) = %g, %v, want %g", tt.name, tt.variant, tt.score, got, ok, tt.want)
		}
	}
	// The task's reference is no yardstick for a variant's own baseline.
	if got, ok := down.Normalise("half", 7); ok {
		t.Errorf("without a reference: got %g, want none", got)
	}
}

func TestSuspicious(t *testing.T) {
	alarm := 5.0
	for _, tt := range []struct {
		direction task.Direction
		value     float64
		want      bool
	}{
		{task.Maximize, 5.1, true},
		{task.Maximize, 5, false},
		{task.Maximize, 4, false},
		{task.Minimize, 4.9, true},
		{task.Minimize, 5, false},
		{task.Minimize, 6, false},
	} {
		m := task.Metric{Direction: tt.direction, Alarm: &alarm}
		if got := m.Suspicious(tt.value); got != tt.want {
			t.Errorf("%s: Suspicious(%g) = %v, want %v", tt.direction, tt.value, got, tt.want)
		}
	}
}

func TestCatalog(t *testing.T) {
	files := folder(valid)
	files["broken/task.yaml"] = &fstest.MapFile{Data: []byte("format: x\n")}
	files["notes/readme.txt"] = &fstest.MapFile{}
	catalog, err := task.NewCatalog(files)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]task.ID{"broken", "guess"}, catalog.IDs()); diff != "" {
		t.Errorf("IDs (-want +got):\n%s", diff)
	}
	_, err = catalog.Find("gues")
	var unknown *task.UnknownError
	if !errors.As(err, &unknown) {
		t.Fatalf("got error %v, want an UnknownError", err)
	}
	if diff := cmp.Diff([]string{"guess"}, unknown.Nearest); diff != "" {
		t.Errorf("nearest (-want +got):\n%s", diff)
	}
	all, err := catalog.All()
	if len(all) != 1 || err == nil || !strings.Contains(err.Error(), "broken/task.yaml:1: format") {
		t.Errorf("All: got %d tasks and error %v, want one task and what is wrong with the other", len(all), err)
	}

	other := fstest.MapFS{}
	for name, file := range folder(strings.Replace(valid, "id: guess", "id: mine", 1)) {
		other[strings.Replace(name, "guess/", "mine/", 1)] = file
	}
	own, err := task.NewCatalog(other)
	if err != nil {
		t.Fatal(err)
	}
	joined := catalog.With(own)
	for _, id := range []task.ID{"guess", "mine"} {
		if got, err := joined.Find(id); err != nil || got.ID != id {
			t.Errorf("Find(%q): got %v %v", id, got, err)
		}
	}
	misnamed, err := task.NewCatalog(fstest.MapFS(map[string]*fstest.MapFile{
		"other/task.yaml":       files["guess/task.yaml"],
		"other/README.md":       files["guess/README.md"],
		"other/description.md":  files["guess/description.md"],
		"other/grader/grade.py": files["guess/grader/grade.py"],
		"other/starter/x":       files["guess/starter/notes.txt"],
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := misnamed.Find("other"); err == nil || !strings.Contains(err.Error(), `want "other", the name of the folder, got "guess"`) {
		t.Errorf("got error %v, want one about the name", err)
	}
}

func TestWriteTar(t *testing.T) {
	files := folder(valid)
	files["guess/starter/__pycache__/x.pyc"] = &fstest.MapFile{}
	files["guess/starter/.hidden"] = &fstest.MapFile{}
	loaded, err := task.Load(files, "guess")
	if err != nil {
		t.Fatal(err)
	}
	starter, err := loaded.Starter()
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	for _, b := range []*bytes.Buffer{&one, &two} {
		if err := task.WriteTar(b, starter); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("one folder gave two different streams")
	}
	var names []string
	for r := tar.NewReader(&one); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"notes.txt", "src/", "src/guess.py"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte("format: 1\nmetrics: [{name: a}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := task.Load(folder(string(data)), "guess")
		if err == nil && (len(got.Metrics) == 0 || len(got.Submission.Files) == 0 || len(got.Variants) == 0) {
			t.Errorf("a task without metrics, files or variants was taken: %q", data)
		}
	})
}
