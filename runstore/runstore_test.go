package runstore_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// holderVariable makes the test binary hold the run that it names.
const holderVariable = "RUNSTORE_TEST_HOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holderVariable); dir != "" {
		if _, err := runstore.Open(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func manifest() runstore.Manifest {
	return runstore.Manifest{
		MlgymVersion: "test", RunID: "20260102T030405Z-abcdef", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Task: "blotto", TaskVersion: "1", TaskDigest: "sha256:00", Mode: "hardened", Variant: "default",
		Digests: map[string]string{"grader": "sha256:11"},
		Agent:   "llm", Model: "acme/m-1", Scaffold: "default", Seed: 42,
		AgentConfig:   json.RawMessage(`{"temperature":0}`),
		Limits:        runstore.Limits{MaxSteps: 50, CostUSD: 4},
		Sandbox:       runstore.Sandbox{Driver: "bubblewrap", Version: "0.8"},
		Prices:        &runstore.Prices{InputUSD: 1, OutputUSD: 2},
		PrimaryMetric: "score", Direction: runstore.Maximize, Baseline: gym.Scores{"score": 0.25}, Reward: "improvement",
		Host:      runstore.Host{OS: "linux", Arch: "amd64", CPUs: 2},
		GraderKey: bytes.Repeat([]byte{0xab}, 32),
	}
}

func create(t *testing.T, m runstore.Manifest) *runstore.Run {
	t.Helper()
	run, err := runstore.Create(filepath.Join(t.TempDir(), "run"), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	})
	return run
}

// record writes events into the trajectory of a run.
func record(t *testing.T, run *runstore.Run, events ...trajectory.Event) {
	t.Helper()
	w, err := run.Trajectory(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func second(n int) time.Time { return time.Date(2026, 1, 2, 3, 5, n, 0, time.UTC) }

// episode is one with two validations, one failed, and a submission.
func episode() []trajectory.Event {
	cost := 0.125
	exchange := agent.Exchange{Response: &model.Response{Usage: model.Usage{InputTokens: 100, OutputTokens: 10}, CostUSD: &cost}}
	evaluations := []gym.Evaluation{
		{Kind: gym.Validate, Step: 1, Scores: gym.Scores{"score": 0.75}},
		{Kind: gym.Validate, Step: 2, Problem: gym.Invalid, Message: "no"},
		{Kind: gym.Submit, Step: 3, Scores: gym.Scores{"score": 0.5}},
	}
	events := []trajectory.Event{{At: second(1), Reset: &trajectory.Reset{Seed: 42, Seconds: 1, Observation: gym.Observation{Text: "go"}}}}
	for i, e := range evaluations {
		last := i == len(evaluations)-1
		tr := gym.Transition{Reward: 0.25, Terminated: last, Info: gym.Info{Evaluations: []gym.Evaluation{e}}}
		if last {
			tr.Info.ExitStatus = gym.EndedBy(gym.CauseSubmit, e)
		}
		action := gym.Action{Command: string(e.Kind)}
		events = append(events,
			trajectory.Event{At: second(2 + 2*i), Turn: &trajectory.Turn{Step: i + 1, Turn: agent.Turn{Action: action, Exchanges: []agent.Exchange{exchange}}}},
			trajectory.Event{At: second(3 + 2*i), Step: &trajectory.Step{Step: i + 1, Action: action, Transition: tr}})
	}
	final := evaluations[2]
	return append(events, trajectory.Event{At: second(10), End: &trajectory.End{ExitStatus: gym.EndedBy(gym.CauseSubmit, final), Final: &final}})
}

func TestSealedRun(t *testing.T) {
	run := create(t, manifest())
	record(t, run, episode()...)
	got, err := run.Seal()
	if err != nil {
		t.Fatal(err)
	}
	cost := 0.375
	want := runstore.Result{
		FormatVersion: 1, RunID: "20260102T030405Z-abcdef",
		Task: "blotto", TaskVersion: "1", Mode: "hardened", Variant: "default", Agent: "llm", Model: "acme/m-1", Seed: 42,
		ExitStatus: gym.ExitStatus{Outcome: gym.Submitted}, Steps: 3,
		Scores: []gym.Evaluation{
			{Kind: gym.Validate, Step: 1, Scores: gym.Scores{"score": 0.75}},
			{Kind: gym.Validate, Step: 2, Problem: gym.Invalid, Message: "no"},
			{Kind: gym.Submit, Step: 3, Scores: gym.Scores{"score": 0.5}},
		},
		PrimaryMetric: "score", Direction: runstore.Maximize,
		Baseline: gym.Scores{"score": 0.25}, Best: gym.Scores{"score": 0.75}, BestKind: gym.Validate, BestStep: 1,
		Submission: gym.Scores{"score": 0.5}, Reward: 0.75, CostUSD: &cost, Requests: 3, TokensIn: 300, TokensOut: 30,
		Seconds: 10, RunDir: run.Dir(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result differs (-want +got):\n%s", diff)
	}
	again, err := runstore.Summarise(run.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("result.json differs (-want +got):\n%s", diff)
	}
	compareGolden(t, "v1-result.json", filepath.Join(run.Dir(), runstore.ResultName))
	compareGolden(t, "v1-manifest.json", filepath.Join(run.Dir(), runstore.ManifestName))
}

var update = flag.Bool("update", false, "write the golden files of the current version anew")

// compareGolden compares a file with a golden one, which is kept for ever.
func compareGolden(t *testing.T, name, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs from %s (-want +got):\n%s", path, name, diff)
	}
}

func TestGoldenFilesAreRead(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "v1-manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := runstore.DecodeManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	want := manifest()
	want.FormatVersion, want.GraderKey = 1, nil
	if diff := cmp.Diff(want, got, cmp.Comparer(sameJSON)); diff != "" {
		t.Errorf("manifest differs (-want +got):\n%s", diff)
	}
	if text, err = os.ReadFile(filepath.Join("testdata", "v1-result.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := runstore.DecodeResult(text); err != nil {
		t.Error(err)
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}

func TestJSONKeysOfAResult(t *testing.T) {
	text, err := json.Marshal(runstore.Result{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for key := range strings.FieldsSeq("task agent model seed exit_status steps scores baseline best submission reward cost_usd tokens_in tokens_out seconds mode variant task_version primary_metric direction interrupted") {
		if _, ok := got[key]; !ok {
			t.Errorf("an empty result lacks the key %q: %s", key, text)
		}
	}
	if string(got["cost_usd"]) != "null" || string(got["best"]) != "null" {
		t.Errorf("unknown numbers are %s and %s, want null", got["cost_usd"], got["best"])
	}
}

// TestEveryCutRunCanBeSummed cuts the trajectory at every byte.
func TestEveryCutRunCanBeSummed(t *testing.T) {
	run := create(t, manifest())
	record(t, run, episode()...)
	path := run.TrajectoryPath()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := len(text); size >= 0; size-- {
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
		got, err := runstore.Summarise(run.Dir())
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got.Task != "blotto" || got.Scores == nil || got.Interrupted != (size < len(text)) {
			t.Fatalf("%d bytes: %+v", size, got)
		}
		if got.Interrupted && got.ExitStatus.Outcome != gym.UnknownError {
			t.Fatalf("%d bytes: exit status %s, want unknown_error", size, got.ExitStatus)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := runstore.Summarise(run.Dir()); err != nil || !got.Interrupted {
		t.Errorf("no trajectory: %+v, %v", got, err)
	}
}

func TestCutRunIsNotSealedAndGoesOn(t *testing.T) {
	run := create(t, manifest())
	events := episode()
	record(t, run, events[:4]...)
	got, err := run.Seal()
	if err != nil || !got.Interrupted {
		t.Fatalf("Seal = %+v, %v; want an interrupted run", got, err)
	}
	if _, err := os.Stat(filepath.Join(run.Dir(), runstore.ResultName)); err == nil {
		t.Error("an interrupted run has a result.json")
	}
	// A kill while the header was written leaves a torn first line.
	for _, left := range []string{"", "{\"seq\":0,"} {
		fresh := create(t, manifest())
		if err := os.WriteFile(fresh.TrajectoryPath(), []byte(left), 0o600); err != nil {
			t.Fatal(err)
		}
		rec, err := fresh.Recorded()
		if err != nil || rec.Reset != nil || rec.Resumable() != nil {
			t.Errorf("a record %q: %+v, %v; want one that can go on", left, rec, err)
		}
		record(t, fresh, events...)
		if got, err := fresh.Seal(); err != nil || got.Interrupted || got.Steps != 3 {
			t.Errorf("after a record %q: %+v, %v", left, got, err)
		}
	}
	record(t, run, events[4:]...)
	if got, err := run.Seal(); err != nil || got.Interrupted || got.Steps != 3 {
		t.Errorf("Seal = %+v, %v; want 3 steps", got, err)
	}
}

func TestResumedRunHasNoOldResult(t *testing.T) {
	run := create(t, manifest())
	lost := gym.ExitStatus{Outcome: gym.EarlyExit}
	record(t, run, append(episode()[:3], trajectory.Event{At: second(9), End: &trajectory.End{ExitStatus: lost}})...)
	if got, err := run.Seal(); err != nil || got.ExitStatus != lost || got.Interrupted {
		t.Fatalf("Seal = %+v, %v; want early_exit", got, err)
	}
	record(t, run, trajectory.Event{Resume: &trajectory.Resume{Steps: 1}})
	if got, err := runstore.Summarise(run.Dir()); err != nil || !got.Interrupted {
		t.Errorf("Summarise while the resumed run goes on = %+v, %v; want interrupted", got, err)
	}
}

func TestGraderKeyStaysApart(t *testing.T) {
	m := manifest()
	m.GraderKey = nil
	run := create(t, m)
	key := run.Manifest().GraderKey
	if len(key) != 32 {
		t.Fatalf("key has %d bytes, want 32", len(key))
	}
	record(t, run, trajectory.Event{Note: &trajectory.Note{Text: "leak " + key.Hex()}})
	err := filepath.WalkDir(run.Dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if has, is := bytes.Contains(text, []byte(key.Hex())), d.Name() == runstore.GraderKeyName; has != is {
			t.Errorf("%s holds the key: %v", path, has)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(run.Dir(), runstore.GraderKeyName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key = %v, %v; want 0600", info.Mode().Perm(), err)
	}
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %s", run.Manifest(), run.Manifest(), run.Manifest(), key)} {
		if strings.Contains(text, key.Hex()) || strings.Contains(text, fmt.Sprint([]byte(key))) {
			t.Errorf("the key is printed: %s", text)
		}
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := runstore.Open(run.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !bytes.Equal(again.Manifest().GraderKey, key) {
		t.Error("Open gives another key")
	}
}

func TestOneWriterAtATime(t *testing.T) {
	run := create(t, manifest())
	if _, err := runstore.Open(run.Dir()); !errors.Is(err, runstore.ErrLocked) || !strings.Contains(err.Error(), run.Dir()) {
		t.Errorf("second Open in this process: %v, want ErrLocked with the folder", err)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), holderVariable+"="+run.Dir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if _, err := runstore.Open(run.Dir()); !errors.Is(err, runstore.ErrLocked) {
		t.Errorf("Open while another process holds the run: %v, want ErrLocked", err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	again, err := runstore.Open(run.Dir())
	if err != nil {
		t.Fatalf("Open after the other process was killed: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestRefusedFolders(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run := create(t, manifest())
	for _, test := range []struct{ name, dir, want string }{
		{"a run", run.Dir(), "resume it"},
		{"not empty", dir, "choose another folder"},
		{"a file", file, "choose a path that is a folder"},
		{"below a file", filepath.Join(file, "run"), "choose a path that is a folder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := runstore.Create(test.dir, manifest())
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.dir) && !strings.Contains(err.Error(), file) {
				t.Errorf("error = %v, want one that names the folder and says %q", err, test.want)
			}
		})
	}
	if _, err := runstore.Open(dir); err == nil || !strings.Contains(err.Error(), "is not a run") {
		t.Errorf("Open of another folder: %v", err)
	}
}

// mount mounts a small file system, read-only where asked.
func mount(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system; run the tests as root")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", options, "mlgym-test", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let root mount a tmpfs: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func TestReadOnlyFolder(t *testing.T) {
	dir := filepath.Join(mount(t, "size=64k,ro"), "run")
	_, err := runstore.Create(dir, manifest())
	if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "choose a folder that you may write to") || !strings.Contains(err.Error(), dir) {
		t.Errorf("error = %v, want one that wraps EROFS, names %s and says what to do", err, dir)
	}
}

func TestFullDisk(t *testing.T) {
	root := mount(t, "size=16k")
	if err := os.WriteFile(filepath.Join(root, "filler"), make([]byte, 16<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "run")
	_, err := runstore.Create(dir, manifest())
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") || !strings.Contains(err.Error(), dir) {
		t.Errorf("error = %v, want one that wraps ENOSPC, names %s and says what to do", err, dir)
	}
	// The failed attempt leaves nothing that would refuse the next one.
	if err := os.Remove(filepath.Join(root, "filler")); err != nil {
		t.Fatal(err)
	}
	run, err := runstore.Create(dir, manifest())
	if err != nil {
		t.Fatalf("Create after space was freed: %v", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}

// TestListLeavesHiddenFoldersOut: experiments keep attempts there that do not
// count. One that is asked for by name is listed.
func TestListLeavesHiddenFoldersOut(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"cell/attempt-2/run", "cell/.attempt-1/run"} {
		run, err := runstore.Create(filepath.Join(root, name), runstore.Manifest{Task: "blotto", Agent: "demo"})
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for below, want := range map[string]string{"": "cell/attempt-2/run", "cell/.attempt-1": "cell/.attempt-1/run"} {
		var got []string
		for e, err := range runstore.List(filepath.Join(root, below)) {
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, e.Dir)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("below %q: got %v, want %s", below, got, want)
		}
	}
}

func TestListGoesOnAfterDamage(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a/llm/1", "a/llm/2", "b/demo/3"} {
		run, err := runstore.Create(filepath.Join(root, name), manifest())
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "a/llm/2", runstore.ManifestName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range runstore.List(root) {
		rel, relErr := filepath.Rel(root, e.Dir)
		if relErr != nil {
			t.Fatal(relErr)
		}
		got = append(got, fmt.Sprintf("%s %s %v", rel, e.Manifest.Task, err != nil))
	}
	if diff := cmp.Diff([]string{"a/llm/1 blotto false", "a/llm/2  true", "b/demo/3 blotto false"}, got); diff != "" {
		t.Errorf("runs differ (-want +got):\n%s", diff)
	}
	for range runstore.List(root) {
		break // it must not go on after that
	}
}

func TestBest(t *testing.T) {
	e := func(kind gym.Kind, step int, score float64) gym.Evaluation {
		return gym.Evaluation{Kind: kind, Step: step, Scores: gym.Scores{"m": score}}
	}
	failed := gym.Evaluation{Kind: gym.Submit, Step: 9, Problem: gym.NotFound}
	for _, test := range []struct {
		name        string
		evaluations []gym.Evaluation
		direction   runstore.Direction
		step        int // 0: none
	}{
		{"none", nil, runstore.Maximize, 0},
		{"failed only", []gym.Evaluation{failed}, runstore.Minimize, 0},
		{"largest", []gym.Evaluation{e(gym.Validate, 1, 1), e(gym.Validate, 2, 3), e(gym.Submit, 3, 2)}, runstore.Maximize, 2},
		{"smallest", []gym.Evaluation{e(gym.Validate, 1, 1), e(gym.Validate, 2, 3), e(gym.Submit, 3, -2)}, runstore.Minimize, 3},
		{"first of equals", []gym.Evaluation{e(gym.Validate, 1, 1), e(gym.Validate, 2, 1)}, runstore.Minimize, 1},
		{"a failure is no zero", []gym.Evaluation{e(gym.Validate, 1, 5), failed}, runstore.Minimize, 1},
		{"negative scores", []gym.Evaluation{failed, e(gym.Validate, 1, -5)}, runstore.Maximize, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := 0
			if best := runstore.Best(test.evaluations, "m", test.direction); best != nil {
				got = best.Step
			}
			if got != test.step {
				t.Errorf("best is that of step %d, want %d", got, test.step)
			}
		})
	}
}

func TestDefaultDir(t *testing.T) {
	m := runstore.Manifest{Task: "3SATTime", Agent: "llm", Model: "acme/../m 1", RunID: "20260102T030405Z-abcdef"}
	if got, want := runstore.DefaultDir("runs", m), "runs/3SATTime/llm-acme_.._m_1/20260102T030405Z-abcdef"; got != want {
		t.Errorf("DefaultDir = %q, want %q", got, want)
	}
	if got, want := runstore.DefaultDir("runs", runstore.Manifest{Task: "..", Agent: "", RunID: "x"}), "runs/_./_/x"; got != want {
		t.Errorf("DefaultDir = %q, want %q", got, want)
	}
}

func TestUnpackStaysInside(t *testing.T) {
	run := create(t, manifest())
	var stream bytes.Buffer
	w := tar.NewWriter(&stream)
	for _, h := range []tar.Header{
		{Name: "src/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "src/a.py", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 4},
		{Name: "../../escape", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4},
		{Name: "/etc/absolute", Typeflag: tar.TypeReg, Mode: 0o644, Size: 4},
		{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		{Name: "hard", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},
		{Name: "fifo", Typeflag: tar.TypeFifo},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte("text")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text := stream.Bytes()
	places, err := run.Evaluation(1, gym.Validate)
	if err != nil {
		t.Fatal(err)
	}
	leftOut, err := places.Unpack(bytes.NewReader(text), 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"link", "hard", "fifo"}, leftOut); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	var got []string
	err = filepath.WalkDir(run.Dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.Contains(path, runstore.SubmissionName) || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(run.Dir(), path)
		got = append(got, fmt.Sprintf("%s %v", rel, info.Mode()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"submission/1-validate/escape -rw-r--r--",
		"submission/1-validate/etc/absolute -rw-r--r--",
		"submission/1-validate/src/a.py -rwxr-xr-x",
	}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	again, err := run.Evaluation(1, gym.Validate)
	if err != nil || filepath.Base(again.SubmissionDir) != "1-validate.r1" || filepath.Base(again.LogPath) != "1-validate.r1.log" {
		t.Errorf("places of a second evaluation 1 = %+v, %v", again, err)
	}
	if _, err := again.Unpack(bytes.NewReader(text), 10); err == nil || !strings.Contains(err.Error(), "beyond") {
		t.Errorf("error = %v, want a refusal of too much", err)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "v1-manifest.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format_version":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := runstore.DecodeManifest(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("a manifest that was read cannot be written: %v", err)
		}
		if _, err := runstore.DecodeManifest(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
		if dir := runstore.DefaultDir("runs", m); !filepath.IsLocal(dir) || strings.Count(dir, "/") != 3 {
			t.Errorf("DefaultDir = %q, want three folders below runs", dir)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "v1-result.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := runstore.DecodeResult(text)
		if err != nil {
			return
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("a result that was read cannot be written: %v", err)
		}
	})
}
