package taskimport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mlgym/dataset"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/internal/shim/shimtest"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/task"
	"mlgym/taskcheck"
	"mlgym/taskenv"
	"mlgym/taskimport"
)

func TestMain(m *testing.M) {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// plain is how the tests import: with the system's Python.
func plain(t *testing.T) taskimport.Options {
	return taskimport.Options{Out: t.TempDir(), Environment: "none"}
}

func config(name string) string { return filepath.Join("testdata/mlgym/configs/tasks", name+".yaml") }

// importMLGym imports one of the fixtures and loads it.
func importMLGym(t *testing.T, name string, change func(*taskimport.Options)) (*taskimport.Report, *task.Task) {
	t.Helper()
	o := plain(t)
	if change != nil {
		change(&o)
	}
	report, err := taskimport.MLGym(config(name), o)
	if err != nil {
		t.Fatal(err)
	}
	return report, load(t, report.Folder)
}

func importHarbor(t *testing.T, dir string) (*taskimport.Report, *task.Task) {
	t.Helper()
	report, err := taskimport.Harbor(dir, plain(t))
	if err != nil {
		t.Fatal(err)
	}
	return report, load(t, report.Folder)
}

func load(t *testing.T, folder string) *task.Task {
	t.Helper()
	loaded, err := task.Load(os.DirFS(filepath.Dir(folder)), filepath.Base(folder))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// outcome is what became of a key, "" where the report does not have it.
func outcome(r *taskimport.Report, key string) taskimport.Outcome {
	for _, e := range r.Entries {
		if e.Key == key {
			return e.Outcome
		}
	}
	return ""
}

func files(t *testing.T, folder string) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(name, "tests/cheats/") {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func text(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestMLGymCSV(t *testing.T) {
	report, got := importMLGym(t, "spots", nil)
	want := []string{
		"IMPORT.md", "README.md", "description.md", "grader/foreign.json", "grader/grade.py", "grader/hidden/data/answers.csv",
		"grader/hidden/evaluate.py", "starter/baseline.py", "starter/data/inputs.csv", "starter/data/train.csv", "task.yaml",
		"tests/check.yaml", "tests/null/make.py",
	}
	if have := files(t, report.Folder); !slices.Equal(have, want) {
		t.Errorf("files are %q, want %q", have, want)
	}
	for key, want := range map[string]taskimport.Outcome{
		"id": taskimport.Kept, "baseline_scores": taskimport.Kept, "training_timeout": taskimport.Kept, "baseline_paths": taskimport.Kept,
		"evaluation_paths": taskimport.Changed, "data/answers.csv": taskimport.Changed, "evaluation_read_only": taskimport.Changed,
		"benchmark_name": taskimport.Left, "memory_path": taskimport.Left,
	} {
		if have := outcome(report, key); have != want {
			t.Errorf("%s: outcome %q, want %q", key, have, want)
		}
	}
	if got.BaselineCommand != "python3 baseline.py" || got.Primary().Name != "Accuracy" || got.Primary().Direction != task.Maximize {
		t.Errorf("got %q and metrics %v", got.BaselineCommand, got.Metrics)
	}
	for _, want := range []string{"train.csv has cards with their spots", `as {"accuracy": ...}`, "`submission.csv`", "is not in the workspace"} {
		if !strings.Contains(got.Description, want) {
			t.Errorf("the description lacks %q:\n%s", want, got.Description)
		}
	}
	if page := text(t, report.Folder, "IMPORT.md"); !strings.Contains(page, "licence holds on") || !strings.Contains(page, "`memory_path`") {
		t.Errorf("IMPORT.md says neither licence nor keys:\n%s", page)
	}
}

func TestMLGymProgram(t *testing.T) {
	report, got := importMLGym(t, "duel", nil)
	if len(got.Submission.Files) != 1 || got.Submission.Files[0].Path != "strategy.py" {
		t.Errorf("handed in is %v, want strategy.py", got.Submission.Files)
	}
	for _, hidden := range []string{"opponent.py", "evaluate.py", "engine/__init__.py"} {
		in := slices.Contains(files(t, report.Folder), "starter/"+hidden)
		if want := strings.HasPrefix(hidden, "engine"); in != want {
			t.Errorf("starter has %s: %v, want %v", hidden, in, want)
		}
	}
}

// TestMLGymOptions are decisions that the rules leave to people.
func TestMLGymOptions(t *testing.T) {
	report, got := importMLGym(t, "spots", func(o *taskimport.Options) {
		o.Metrics, o.Direction, o.Submit = []string{"cards"}, task.Minimize, []string{"submission.csv", "notes/"}
		o.Hide, o.Show = []string{"data/train.csv"}, []string{"data/answers.csv"}
	})
	if got.Primary().Name != "cards" || got.Primary().Direction != task.Minimize || len(got.Submission.Files) != 2 || !got.Submission.Files[1].Folder() {
		t.Errorf("got metrics %v and files %v", got.Metrics, got.Submission.Files)
	}
	have := files(t, report.Folder)
	if !slices.Contains(have, "starter/data/answers.csv") || !slices.Contains(have, "grader/hidden/data/train.csv") {
		t.Errorf("--hide and --show were not heeded: %q", have)
	}
}

// TestMLGymLargeData makes a data set of its own of what is too large to copy.
func TestMLGymLargeData(t *testing.T) {
	report, got := importMLGym(t, "spots", func(o *taskimport.Options) { o.InlineBytes = 100 })
	if !slices.Equal(got.Datasets, []string{"spots"}) || !strings.Contains(report.Next[0], "mlgym data prepare") {
		t.Errorf("data sets %v, next %q", got.Datasets, report.Next)
	}
	if page := text(t, report.Folder, "datasets/spots/prepare.py"); !strings.Contains(page, `"answers.csv",`) || strings.Contains(page, `"train.csv",`) {
		t.Errorf("prepare.py does not hide the answers alone:\n%s", page)
	}
	driver := newDriver(t)
	d, err := dataset.Load(os.DirFS(filepath.Join(report.Folder, "datasets")), "spots")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, at := range []string{dir, filepath.Dir(dir)} { // the sandbox's user has to get through
		if err := os.Chmod(at, 0o755); err != nil { //nolint:gosec // see above
			t.Fatal(err)
		}
	}
	store, err := dataset.OpenStore(dir, dataset.Options{
		Secret:      func() ([]byte, error) { return []byte("a secret of these tests"), nil },
		Interpreter: func(context.Context, *dataset.Dataset) (string, error) { return exec.LookPath("python3") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // what is kept is read-only
		_ = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				return os.Chmod(name, 0o700) //nolint:gosec // so that it can be removed
			}
			return nil
		})
	})
	prepared, err := store.Prepare(t.Context(), dataset.Request{Dataset: d, Variant: task.Full, From: "testdata/mlgym/data/spots/files"})
	if err != nil {
		t.Fatal(err)
	}
	given := grader.Provisions{Data: []dataset.Prepared{prepared}}
	const script = `test ! -e data/spots_hidden && test ! -e data/answers.csv && test ! -e data/spots/answers.csv &&
awk -F, 'NR == 1 {print "card,spots"} NR > 1 {print $1 "," $2 + $3}' data/spots/inputs.csv > submission.csv`
	evaluation, err := submitGiven(t, driver, got, given, script)
	if err != nil || evaluation.Scores["Accuracy"] != 1 {
		t.Errorf("got %+v, %v; want the score 1", evaluation, err)
	}
}

// copyTree copies a fixture so that it can be spoilt.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(from))
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func replaceIn(t *testing.T, name, old, with string) {
	t.Helper()
	was := text(t, name)
	if !strings.Contains(was, old) {
		t.Fatalf("%s has no %q", name, old)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(was, old, with, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMLGymRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, file, old, with, want string
	}{
		{"an unknown key", "", "starter_code:", "starter_cod: []\nstarter_code:", `spots.yaml:16: starter_cod: unknown key; did you mean "starter_code"?`},
		{"a missing key", "", "name: Count the spots\n", "", "name: missing"},
		{"a wrong type", "", "training_timeout: 60", "training_timeout: soon", "spots.yaml:14: training_timeout: want a whole number of seconds"},
		{"no YAML", "", "id: spots", "id: [spots", "not YAML"},
		{"an unknown entry point", "", "CSVSubmissionTasks", "CSVSubmissionTask", `did you mean "CSVSubmissionTasks"`},
		{"a missing file", "", "data/spots/baseline.py", "data/spots/basline.py", "starter_code[0]: there is no data/spots/basline.py"},
		{"a path that leads out", "", "data/spots/baseline.py", "../../../go.mod", `spots.yaml:17: starter_code[0]: "../../../go.mod" leads out of`},
		{"an absolute path", "", "data/spots/baseline.py", "/etc/passwd", `starter_code[0]: "/etc/passwd" leads out of`},
		{"an evaluation that is not there", "", "evaluation_paths:\n  - evaluate.py", "evaluation_paths:\n  - evalute.py", `evaluation_paths[0]: evaluation_paths: evalute.py is not in the workspace; starter_code has to bring it; did you mean "evaluate.py"?`},
		{"no evaluation", "", "evaluation_paths:\n  - evaluate.py", "evaluation_paths: []", "evaluation_paths: missing"},
		{"no metric", "", "baseline_scores:\n  - Accuracy: 0.375\n", "", "--metric NAME"},
		{"a data set that is not there", "", "datasets/spots.yaml", "datasets/spts.yaml", "there is no configs/datasets/spts.yaml"},
		{"data that are not there", "configs/datasets/spots.yaml", "data/spots/files", "data/spots/flies", "configs/datasets/spots.yaml:3: data_path: there is no data/spots/flies"},
		{"an unknown key of the data", "configs/datasets/spots.yaml", "is_local", "is_locl", `did you mean "is_local"?`},
		{"no UTF-8", "", "Count the spots", "Count\xff the spots", "spots.yaml:2: not UTF-8 text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := copyTree(t, "testdata/mlgym")
			file := filepath.Join(root, tt.file)
			if tt.file == "" {
				file = filepath.Join(root, "configs/tasks/spots.yaml")
			}
			replaceIn(t, file, tt.old, tt.with)
			o := plain(t)
			_, err := taskimport.MLGym(filepath.Join(root, "configs/tasks/spots.yaml"), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if left, _ := os.ReadDir(o.Out); len(left) > 0 {
				t.Errorf("%v was left behind", left)
			}
		})
	}
}

// TestLinksThatLeadOut are refused, wherever they are; those within are followed.
func TestLinksThatLeadOut(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"data/spots/baseline.py", "data/spots/files/train.csv", "configs/datasets/spots.yaml"} {
		root := copyTree(t, "testdata/mlgym")
		at := filepath.Join(root, place)
		if err := errors.Join(os.Remove(at), os.Symlink(secret, at)); err != nil {
			t.Fatal(err)
		}
		_, err := taskimport.MLGym(filepath.Join(root, "configs/tasks/spots.yaml"), plain(t))
		if err == nil || !strings.Contains(err.Error(), "is a link that leads out of") {
			t.Errorf("%s: got error %v, want one about the link", place, err)
		}
	}
	for place, target := range map[string]string{"tests/expected.txt": secret, "solution/solve.sh": secret, "instruction.md": secret, "tests/up": "../.."} {
		dir := copyTree(t, "testdata/harbor/greeting")
		at := filepath.Join(dir, place)
		_ = os.Remove(at) // up is new
		if err := os.Symlink(target, at); err != nil {
			t.Fatal(err)
		}
		report, err := taskimport.Harbor(dir, plain(t))
		if place == "solution/solve.sh" && err == nil && outcome(report, "solution") == taskimport.Left {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "leads out of") && !strings.Contains(err.Error(), "has no instruction.md") {
			t.Errorf("%s: got error %v, want one about the link", place, err)
		}
	}
	root := copyTree(t, "testdata/mlgym")
	at := filepath.Join(root, "data/spots/baseline.py")
	if err := errors.Join(os.Rename(at, filepath.Join(root, "data/real.py")), os.Symlink("../real.py", at)); err != nil {
		t.Fatal(err)
	}
	if _, err := taskimport.MLGym(filepath.Join(root, "configs/tasks/spots.yaml"), plain(t)); err != nil {
		t.Errorf("a link within: %v", err)
	}
}

func TestNothingIsWrittenOver(t *testing.T) {
	o := plain(t)
	if _, err := taskimport.Harbor("testdata/harbor/greeting", o); err != nil {
		t.Fatal(err)
	}
	if _, err := taskimport.Harbor("testdata/harbor/greeting", o); err == nil || !strings.Contains(err.Error(), "exists already: remove it, or give another place") {
		t.Errorf("got error %v, want one that says what to do", err)
	}
}

func TestHarbor(t *testing.T) {
	report, got := importHarbor(t, "testdata/harbor/greeting")
	if strings.Contains(got.Description, "canary") || !strings.Contains(got.Description, "greeting.txt") {
		t.Errorf("the description has a canary, or not the file:\n%s", got.Description)
	}
	if got.Links["/app"] != sandbox.WorkDir || got.Grading.Links["/tests"] == "" || got.Links["/tests"] != "" || got.Env["WHO"] != "world" {
		t.Errorf("links %v, of the grader %v, variables %v", got.Links, got.Grading.Links, got.Env)
	}
	if got.Limits.MemoryBytes != 1<<30 || got.Grading.World.MemoryBytes != 1<<30 || got.Limits.CPUs != 1 {
		t.Errorf("limits %+v, of the grader %+v", got.Limits, got.Grading.World)
	}
	var settings struct {
		Env     map[string]string `json:"env"`
		Timeout float64           `json:"timeout_seconds"`
	}
	if err := json.Unmarshal([]byte(text(t, report.Folder, "grader/foreign.json")), &settings); err != nil {
		t.Fatal(err)
	}
	if settings.Env["LANGUAGE"] != "english" || settings.Env["API_KEY"] != "" || settings.Timeout != 30 {
		t.Errorf("settings %+v", settings)
	}
	if outcome(report, "verifier.env.API_KEY") != taskimport.Left || outcome(report, "environment.docker_image") != taskimport.Changed {
		t.Errorf("report %+v", report.Entries)
	}
}

func TestHarborDockerfile(t *testing.T) {
	report, got := importHarbor(t, "testdata/harbor/sorter")
	have := files(t, report.Folder)
	for _, want := range []string{"starter/README.txt", "starter/sort.sh", "starter/data/example.txt", "tests/reference/solution/solve.sh"} {
		if !slices.Contains(have, want) {
			t.Errorf("%s is missing in %q", want, have)
		}
	}
	if got.Links["/data"] != sandbox.WorkDir+"/data" || got.Env["LEVEL"] != "two words" || got.Submission.Files[0].Path != "./" {
		t.Errorf("links %v, variables %v, handed in %v", got.Links, got.Env, got.Submission.Files)
	}
	for _, key := range []string{"environment/Dockerfile:3", "environment/Dockerfile:5", "environment/Dockerfile:9", "environment/Dockerfile:10", "agent.user", "environment.allow_internet", "environment.healthcheck"} {
		if outcome(report, key) != taskimport.Left {
			t.Errorf("%s: outcome %q, want left", key, outcome(report, key))
		}
	}
}

func TestHarborRefuses(t *testing.T) {
	for _, tt := range []struct{ name, dir, file, old, with, want string }{
		{"an unknown key", "greeting", "task.toml", "memory_mb = 1024", "memory_mbs = 1024", `task.toml:22: environment.memory_mbs: unknown key; did you mean "memory_mb"`},
		{"a wrong type", "greeting", "task.toml", "timeout_sec = 30", `timeout_sec = "long"`, "task.toml:16: "},
		{"no TOML", "greeting", "task.toml", "[agent]", "[agent", "task.toml:12: "},
		{"a newer schema", "greeting", "task.toml", `schema_version = "1.4"`, `schema_version = "2.0"`, "this program reads 1.0 to 1.4, not 2.0"},
		{"another system", "greeting", "task.toml", "cpus = 1", "cpus = 1\nos = \"windows\"", "sandboxes here are Linux"},
		{"no UTF-8", "greeting", "instruction.md", "Write the", "Write\xff the", "instruction.md:4: not UTF-8 text"},
		{"a COPY of nothing", "sorter", "environment/Dockerfile", "README.txt", "REDME.txt", "there is no REDME.txt"},
		{"a COPY out", "sorter", "environment/Dockerfile", "README.txt", "../task.toml", "leads out of environment/"},
		{"a name that makes no id", "greeting", "task.toml", `"cards/greeting"`, `"cards/???"`, "makes no id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := copyTree(t, filepath.Join("testdata/harbor", tt.dir))
			replaceIn(t, filepath.Join(dir, tt.file), tt.old, tt.with)
			if _, err := taskimport.Harbor(dir, plain(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
	for _, missing := range []string{"task.toml", "instruction.md", "tests/test.sh"} {
		dir := copyTree(t, "testdata/harbor/greeting")
		if err := os.Remove(filepath.Join(dir, missing)); err != nil {
			t.Fatal(err)
		}
		if _, err := taskimport.Harbor(dir, plain(t)); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: got error %v, want one that names it", missing, err)
		}
	}
}

// From here on imported tasks run in real sandboxes.

func newDriver(t testing.TB) sandbox.Driver {
	t.Helper()
	driver := bubblewrap.New(bubblewrap.Options{})
	box, err := driver.Create(t.Context(), sandbox.Spec{Purpose: "probe"})
	if lacks, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		t.Skipf("SKIPPED, not tested: %v", lacks)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	return driver
}

// TestChecks lets the checks try the fixtures, one of them with all cheats; those
// of MLGym lack a reference.
func TestChecks(t *testing.T) {
	driver := newDriver(t)
	for name, folder := range map[string]string{
		"spots": imported(importMLGym(t, "spots", nil)), "duel": imported(importMLGym(t, "duel", nil)),
		"greeting": imported(importHarbor(t, "testdata/harbor/greeting")), "sorter": imported(importHarbor(t, "testdata/harbor/sorter")),
	} {
		t.Run(name, func(t *testing.T) {
			only := []string{"description", "baseline", "leaks", "broken", "null", "reference", "shadow", "compiled"}
			if name == "greeting" {
				only = nil
			}
			report, err := taskcheck.Check(t.Context(), taskcheck.Config{
				Only: only,
				Task: load(t, folder), Tests: os.DirFS(filepath.Join(folder, "tests")), Variant: task.Full, Driver: driver, Key: key, Parallel: 2,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				lacks := f.Name == "reference" && strings.Contains(f.Detail, "tests has neither")
				if !f.OK && !(lacks && (name == "spots" || name == "duel")) {
					t.Errorf("%s: %s", f.Name, f.Detail)
				}
			}
		})
	}
}

func imported(r *taskimport.Report, _ *task.Task) string { return r.Folder }

var key = []byte("0123456789abcdef")

// submit does something in an agent's sandbox and has it graded.
func submit(t *testing.T, driver sandbox.Driver, what *task.Task, script string) (gym.Evaluation, error) {
	t.Helper()
	return submitGiven(t, driver, what, grader.Provisions{}, script)
}

func submitGiven(t *testing.T, driver sandbox.Driver, what *task.Task, given grader.Provisions, script string) (gym.Evaluation, error) {
	t.Helper()
	box, err := taskenv.NewWorkspace(t.Context(), taskenv.Config{Task: what, Driver: driver, Mode: task.Published, Variant: task.Full, Provisions: given}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	}()
	res, err := box.(sandbox.Shell).Run(context.WithoutCancel(t.Context()), sandbox.Script{Text: script})
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%s: exit code %d, %v\n%s", script, res.ExitCode, err, res.Output)
	}
	return grader.New(driver, grader.Options{}).Grade(t.Context(), grader.Request{
		Task: what, Submission: box.Files(), Kind: gym.Submit, Mode: task.Published, Variant: task.Full, Key: key, Provisions: given,
	})
}

func TestScores(t *testing.T) {
	driver := newDriver(t)
	_, spots := importMLGym(t, "spots", nil)
	_, duel := importMLGym(t, "duel", nil)
	_, whole := importMLGym(t, "duel", func(o *taskimport.Options) { o.Submit = []string{"./"} })
	_, greeting := importHarbor(t, "testdata/harbor/greeting")
	_, sorter := importHarbor(t, "testdata/harbor/sorter")
	const fake = `print('{\"Score\": 9}')`
	for _, tt := range []struct {
		name   string
		task   *task.Task
		script string
		want   float64
	}{
		{"a table", spots, `awk -F, 'NR == 1 {print "card,spots"} NR > 1 {print $1 "," $2 + $3}' data/inputs.csv > submission.csv`, 1},
		{"a program", duel, "echo 'def pick(history): return 6' > strategy.py", 6},
		{"the evaluation overwritten", duel, "for f in evaluate opponent engine; do echo \"" + fake + "\" > $f.py; done; rm -rf engine", 1},
		{"the evaluation overwritten in a whole workspace", whole, "for f in evaluate opponent json; do echo \"" + fake + "\" > $f.py; done", 1},
		{"the secret imported", duel, "printf 'import opponent\\ndef pick(history): return opponent.pick(history)\\n' > strategy.py", 6},
		{"a file at an absolute place", greeting, "echo hello world > /app/greeting.txt", 1},
		{"a reward of the agent's", greeting, "mkdir -p ~/logs/verifier logs/verifier; echo 1 | tee ~/logs/verifier/reward.txt logs/verifier/reward.txt; mkdir -p /logs/verifier 2>/dev/null || true", 0},
		{"a program that keeps its right to run", sorter, "printf '#!/bin/sh\\nsort -u \"$1\"\\n' > /app/sort.sh && chmod +x /app/sort.sh && cat /data/example.txt", 1},
		{"tests of the agent's", sorter, "mkdir tests; printf 'mkdir -p /logs/verifier; echo 1 > /logs/verifier/reward.txt' | tee tests/test.sh tests/check.py check.py", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := submit(t, driver, tt.task, tt.script)
			if err != nil || got.Problem != gym.Scored || got.Scores[tt.task.Primary().Name] != tt.want {
				t.Errorf("got %v %q %q, %v; want the score %g", got.Scores, got.Problem, got.Message, err, tt.want)
			}
		})
	}
}

// TestRewardsThatAreNone are faults of the task, and no score.
func TestRewardsThatAreNone(t *testing.T) {
	driver := newDriver(t)
	_, odd := importHarbor(t, "testdata/harbor/odd")
	for name, script := range map[string]string{
		"missing": ":", "empty": ": > /logs/verifier/reward.txt", "NaN": `echo '{"reward": NaN}' > /logs/verifier/reward.json`,
	} {
		if got, err := submit(t, driver, odd, fmt.Sprintf("cat > outcome <<'END'\n%s\nEND", script)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
	got, err := submit(t, driver, odd, "echo 'echo 0.5 > /logs/verifier/reward.txt; exit 3' > outcome")
	if err != nil || got.Scores["reward"] != 0.5 {
		t.Errorf("an exit code: got %+v, %v; want the reward 0.5", got, err)
	}
	if got, err := submit(t, driver, odd, "echo 'sleep 60' > outcome"); err != nil || !strings.Contains(got.Message, "did not end within 2 s") {
		t.Errorf("too slow: got %+v, %v", got, err)
	}
}

// TestAgentsSeeNothing looks for tests and evaluation from where the agent is.
func TestAgentsSeeNothing(t *testing.T) {
	driver := newDriver(t)
	_, greeting := importHarbor(t, "testdata/harbor/greeting")
	if _, err := submit(t, driver, greeting, `! test -e /tests && ! test -e /logs && ! test -e /solution/solve.sh &&
! grep -rqs 5d1c0f /home /tmp /run /app/ && test "$(readlink /app)" = ~/workspace && test $WHO = world`); err != nil {
		t.Fatal(err)
	}
}
