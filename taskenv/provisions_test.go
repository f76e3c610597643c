package taskenv_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"mlgym"
	"mlgym/dataset"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/task"
)

// The task of these tests: its grader and its program tell what they see, as the
// score of which there is one for each way to see too much or too little.
var seeing = fstest.MapFS{
	"see/task.yaml": {Data: []byte(`format: 1
id: see
version: 1
name: See
summary: Tell what can be seen.
datasets: [letters]
submission: {kind: program, files: [{path: look.py, max_bytes: 10000}]}
metrics: [{name: Seen, direction: maximize}]
baseline_command: echo nothing
limits: {memory_bytes: 1073741824}
training_timeout: 1m
modes: [hardened, published]
variants: {full: {summary: the only one}}
grading:
  timeout: 1m
  player: {start_timeout: 20s, answer_timeout: 20s, total_timeout: 40s, max_answer_bytes: 1000}
`)},
	"see/README.md":       {Data: []byte("x")},
	"see/description.md":  {Data: []byte("x")},
	"see/starter/look.py": {Data: []byte(look)},
	"see/grader/grade.py": {Data: []byte(`
from mlgym_grader import Result, Session


def grade(session: Session) -> Result:
    assert sorted(p.name for p in session.data.iterdir()) == ["test_labels", "train", "validation_labels"]
    assert (session.data / "test_labels" / "x").read_text() == "hidden"
    try:
        (session.data / "test_labels" / "x").write_text("other")
        raise SystemExit("a grader can change the data")
    except OSError:
        pass
    player = session.start("looker", harness="games")
    player.load("look.py", "look")
    return Result({"Seen": player.ask({"op": "first", "lanes": 1})["moves"][0]})
`)},
}

// look counts files with data or grader in their path, anywhere.
const look = `
import os


def look(history):
    seen = 0
    for root, folders, files in os.walk("/"):
        if root == "/":
            folders[:] = [f for f in folders if f not in ("proc", "sys")]
        seen += sum(("/data/" in root + "/" or "test_labels" in root or name == "grade.py") and "/usr/" not in root for name in files)
    return seen
`

func TestEachWorldSeesItsPartOfTheData(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("SKIPPED, not tested: %v", err)
	}
	// Sandboxes run as other users: the store has to be reachable for them.
	place := t.TempDir()
	if err := os.Chmod(filepath.Dir(place), 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	store, err := dataset.OpenStore(filepath.Join(place, "data"), dataset.Options{
		Secret:      func() ([]byte, error) { return []byte("a secret"), nil },
		Interpreter: func(context.Context, *dataset.Dataset) (string, error) { return python, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Load(fstest.MapFS{
		"letters/requirements.txt": {},
		"letters/dataset.yaml": {Data: []byte(`format: 1
id: letters
version: 1
name: Letters
description: x
licence: MIT
splits:
  - {name: train, agent: always, summary: x}
  - {name: validation_labels, agent: published, summary: x}
  - {name: test_labels, agent: never, summary: x}
variants: {full: {summary: x, bytes: 10, sources: [{kind: generated}]}}
`)},
		"letters/prepare.py": {Data: []byte(`
from mlgym_dataset import run


def prepare(p):
    for name in ("train", "validation_labels", "test_labels"):
        (p.split(name) / "x").write_text("hidden" if name == "test_labels" else name)


run(prepare)
`)},
	}, "letters")
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: task.Full})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Remove(prepared); err != nil {
			t.Error(err)
		}
	})
	catalog, err := task.NewCatalog(fs.FS(seeing))
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[task.Mode]string{task.Hardened: "train", task.Published: "train validation_labels"} {
		t.Run(string(mode), func(t *testing.T) {
			env, err := mlgym.Make("see", mlgym.Options{
				Tasks: &catalog, Mode: mode, Secret: make([]byte, 32), Provisions: &grader.Provisions{Data: []dataset.Prepared{prepared}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer env.Close()
			first, err := env.Reset(t.Context(), gym.ResetOptions{})
			if err != nil {
				t.Skipf("SKIPPED, not tested: %v", err)
			}
			if !strings.Contains(first.Text, "Data, read-only: data/"+strings.ReplaceAll(want, " ", ", data/")+"\n") {
				t.Errorf("the statement does not name %s:\n%s", want, first.Text)
			}
			if got := step(t, env, "echo $(command ls data) $OMP_NUM_THREADS $MLGYM_VARIANT"); got.Observation.Text != want+" 2 full\n" {
				t.Errorf("the agent sees %q, want %q", got.Observation.Text, want)
			}
			if got := step(t, env, "echo x > data/train/x; rm -f data/train/x; mv data other; cat data/train/x"); !strings.Contains(got.Observation.Text, "Read-only file system") {
				t.Errorf("the agent can change its data: %s", got.Observation.Text)
			}
			got := step(t, env, "submit")
			if len(got.Info.Evaluations) != 1 || got.Info.Evaluations[0].Problem != gym.Scored || got.Info.Evaluations[0].Scores["Seen"] != 0 {
				t.Errorf("got %+v, want that the player sees no data and the grader all of it", got.Info.Evaluations)
			}
		})
	}
}

func TestATaskThatIsNotPreparedSaysSo(t *testing.T) {
	t.Setenv("MLGYM_CACHE", t.TempDir())
	_, err := mlgym.Make("titanic", mlgym.Options{Secret: make([]byte, 32), Variant: task.Small})
	if err == nil || !strings.Contains(err.Error(), "run: mlgym task prepare titanic --variant small") {
		t.Errorf("got error %v, want one that names the command", err)
	}
}
