package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mlgym"
	"mlgym/agent"
	"mlgym/gym"
	"mlgym/internal/shim/shimtest"
	"mlgym/rollout"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/trajectory"
)

// saving is the environment of sums, which can be saved.
type saving struct {
	sum
	refuse map[int]error // by step
	takes  time.Duration // to step
	costs  time.Duration // to save
}

type sumState struct {
	Seed, Total uint64
	Steps       int
}

func (s *saving) Step(ctx context.Context, a gym.Action) (gym.Transition, error) {
	time.Sleep(s.takes)
	return s.sum.Step(ctx, a)
}

func (s *saving) Snapshot(_ context.Context, dst io.Writer) error {
	time.Sleep(s.costs)
	if err := s.refuse[s.steps]; err != nil {
		return err
	}
	return json.NewEncoder(dst).Encode(sumState{s.seed, s.total, s.steps})
}

func (s *saving) Restore(_ context.Context, opts gym.ResetOptions, src io.Reader) (gym.Observation, error) {
	var state sumState
	s.log = append(s.log, "restore")
	if err := json.NewDecoder(src).Decode(&state); err != nil || state.Seed != opts.Seed {
		return gym.Observation{}, fmt.Errorf("no state of this episode: %w", err)
	}
	s.seed, s.total, s.steps = state.Seed, state.Total, state.Steps
	return s.observe("add up"), nil
}

// shelf keeps checkpoints in memory.
type shelf struct {
	step      int
	state     []byte
	saved     []int
	full      error // of every save
	broken    error // of what is there
	discarded int
	after     func(step int)
}

func (s *shelf) Save(step int, write func(io.Writer) error) error {
	var buf bytes.Buffer
	if err := write(&buf); err != nil {
		return fmt.Errorf("on the shelf: %w", err)
	}
	if s.full != nil {
		return s.full
	}
	s.step, s.state, s.saved = step, buf.Bytes(), append(s.saved, step)
	if s.after != nil {
		s.after(step)
	}
	return nil
}

func (s *shelf) Latest() (int, io.ReadCloser, error) {
	if s.broken != nil || s.state == nil {
		return 0, nil, s.broken
	}
	return s.step, io.NopCloser(bytes.NewReader(s.state)), nil
}

func (s *shelf) Discard() error {
	s.state = nil
	s.discarded++
	return nil
}

// always saves after each step.
var always = &rollout.CheckpointPolicy{}

// notes are the texts of the notes of a record, and resumption its last one.
func notes(t *testing.T, path string) (list []string, resumption *trajectory.Resume) {
	t.Helper()
	r, err := trajectory.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Note != nil {
			list = append(list, e.Note.Text)
		}
		if e.Resume != nil {
			resumption = e.Resume
		}
	}
	return list, resumption
}

// goOn continues a record.
func goOn(t *testing.T, path string, ep rollout.Episode) (rollout.Outcome, error) {
	t.Helper()
	w, err := trajectory.Append(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	ep.Resume, ep.Recorder = load(t, path), w
	return rollout.Run(t.Context(), ep)
}

func TestResumeFromACheckpoint(t *testing.T) {
	actions := []string{"1", "validate", "2", "validate", "submit"}
	state := func(seed, total uint64, steps int) []byte {
		text, err := json.Marshal(sumState{seed, total, steps})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, test := range []struct {
		name string
		cut  *saving // the environment of the first part
		fail int     // the agent's turn that fails there
		edit func(*shelf)
		// want
		log   string
		from  int
		steps int
		note  string
	}{
		{"of the last step", &saving{}, 5, nil, "restore submit", 4, 0, ""},
		{"and a turn under way", &saving{sum: sum{failAt: 4}}, 0, nil, "restore validate submit", 3, 0, ""},
		{"of an earlier step", &saving{}, 5, func(s *shelf) { s.step, s.state = 1, state(7, 8, 1) }, "restore validate 2 validate submit", 1, 3, ""},
		{"where there is none", &saving{}, 5, func(s *shelf) { s.state = nil }, "reset 1 validate 2 validate submit", 0, 4, ""},
		{"of a step that is not on record", &saving{}, 5, func(s *shelf) { s.step, s.state = 5, state(7, 99, 5) }, "reset 1 validate 2 validate submit", 0, 4, "after step 5, and the record has 4"},
		{"of step 0", &saving{}, 5, func(s *shelf) { s.step = 0 }, "reset 1 validate 2 validate submit", 0, 4, "after step 0"},
		{"that is damaged", &saving{}, 5, func(s *shelf) { s.broken = errors.New("another digest") }, "reset 1 validate 2 validate submit", 0, 4, "another digest"},
		{"that cannot be restored", &saving{}, 5, func(s *shelf) { s.state = []byte("{") }, "restore reset 1 validate 2 validate submit", 0, 4, "no state of this episode"},
		{"that holds another step", &saving{}, 5, func(s *shelf) { s.step = 3 }, "restore reset 1 validate 2 validate submit", 0, 4, "holds step 4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, path := begin(t)
			straight := &script{actions: actions}
			if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &saving{}, Agent: straight, Recorder: w, Seed: 7}); err != nil {
				t.Fatal(err)
			}
			want := load(t, path)
			store := &shelf{}
			w, path = begin(t)
			if _, err := rollout.Run(t.Context(), rollout.Episode{
				Env: test.cut, Agent: &script{actions: actions, failAt: test.fail}, Recorder: w, Seed: 7, Checkpoints: store, CheckpointPolicy: always,
			}); err == nil {
				t.Fatal("nothing was cut")
			}
			if test.edit != nil {
				test.edit(store)
			}
			env, again := &saving{}, &script{actions: actions}
			out, err := goOn(t, path, rollout.Episode{Env: env, Agent: again, Checkpoints: store, CheckpointPolicy: always})
			if err != nil || out.ExitStatus.Outcome != gym.Submitted {
				t.Fatalf("outcome %+v, %v; want submitted", out, err)
			}
			if got := strings.Join(env.log, " "); got != test.log {
				t.Errorf("calls = %q, want %q", got, test.log)
			}
			got := load(t, path)
			if diff := cmp.Diff(want.Steps, got.Steps); diff != "" {
				t.Errorf("steps differ from those without the cut (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.Summary.Evaluations, got.Summary.Evaluations); diff != "" {
				t.Errorf("evaluations differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(straight.seen, again.seen); diff != "" {
				t.Errorf("the agent saw other things than without the cut (-want +got):\n%s", diff)
			}
			list, resumption := notes(t, path)
			if resumption == nil || resumption.Checkpoint != test.from || resumption.Steps != test.steps || len(resumption.Differences) > 0 {
				t.Errorf("resumption %+v, want checkpoint %d and %d steps", resumption, test.from, test.steps)
			}
			if text := strings.Join(list, "\n"); test.note == "" && text != "" || !strings.Contains(text, test.note) {
				t.Errorf("notes %q, want one that says %q", list, test.note)
			}
		})
	}
}

func TestACheckpointOfAnotherWayIsRemoved(t *testing.T) {
	w, path := begin(t)
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &saving{}, Agent: &script{actions: []string{"1", "2"}, failAt: 2}, Recorder: w}); err == nil {
		t.Fatal("nothing was cut")
	}
	store := &shelf{step: 2, state: []byte(`{"Total":50,"Steps":2}`)}
	if _, err := goOn(t, path, rollout.Episode{Env: &saving{}, Agent: &script{actions: []string{"1", "2"}, failAt: 2}, Checkpoints: store}); err == nil {
		t.Fatal("nothing was cut again")
	}
	if store.discarded != 1 {
		t.Error("a checkpoint from beyond the record was kept; once the record has that step, it would be taken for its")
	}
}

func TestWhatCannotBeSaved(t *testing.T) {
	busy := fmt.Errorf("%w: a program runs in the background", gym.ErrNoSnapshot)
	for _, test := range []struct {
		name  string
		env   *saving
		store *shelf
		saved []int
		notes int
		say   string
	}{
		{"refused for a while", &saving{refuse: map[int]error{1: busy, 2: busy}}, &shelf{}, []int{3, 4}, 1, "background"},
		{"the disk is full", &saving{}, &shelf{full: syscall.ENOSPC}, nil, 1, "no space"},
		{"both", &saving{refuse: map[int]error{2: busy}}, &shelf{full: syscall.ENOSPC}, nil, 2, "no space"},
		{"everything can", &saving{}, &shelf{}, []int{1, 2, 3, 4}, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, path := begin(t)
			out, err := rollout.Run(t.Context(), rollout.Episode{
				Env: test.env, Agent: &script{actions: []string{"1", "2", "3", "4", "submit"}}, Recorder: w, Checkpoints: test.store, CheckpointPolicy: always,
			})
			if err != nil || out.ExitStatus.Outcome != gym.Submitted {
				t.Fatalf("outcome %+v, %v; want the episode to go on", out, err)
			}
			if diff := cmp.Diff(test.saved, test.store.saved); diff != "" {
				t.Errorf("saved after steps (-want +got):\n%s", diff)
			}
			list, _ := notes(t, path)
			if len(list) != test.notes || !strings.Contains(strings.Join(list, " "), test.say) {
				t.Errorf("notes %q, want %d, about %q", list, test.notes, test.say)
			}
		})
	}
}

func TestCheckpointPolicy(t *testing.T) {
	for _, test := range []struct {
		name         string
		takes, costs time.Duration
		refuse       map[int]error
		policy       *rollout.CheckpointPolicy
		saved        []int
	}{
		{"quick steps", time.Second, time.Millisecond, nil, nil, []int{10, 20}},
		{"steps that are worth it", 10 * time.Second, time.Millisecond, nil, nil, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}},
		{"saving is dear", 5 * time.Second, 3 * time.Second, nil, nil, []int{2, 8, 14, 20}},
		{"refused at first, which is cheap", time.Second, time.Millisecond, map[int]error{10: gym.ErrNoSnapshot, 11: gym.ErrNoSnapshot}, nil, []int{12, 22}},
		{"always", 0, time.Hour, nil, always, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &shelf{}
				env := &saving{takes: test.takes, costs: test.costs, refuse: test.refuse}
				actions := strings.Fields(strings.Repeat("1 ", 24) + "submit")
				if _, err := rollout.Run(t.Context(), rollout.Episode{
					Env: env, Agent: &script{actions: actions}, Recorder: &failing{left: 1000}, Checkpoints: store, CheckpointPolicy: test.policy,
				}); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.saved, store.saved); diff != "" {
					t.Errorf("saved after steps (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestStop asks an episode to stop in each of its phases. It always ends with
// everything on record, and goes on from there.
func TestStop(t *testing.T) {
	actions := []string{"1", "2", "validate", "submit"}
	for _, test := range []struct {
		name  string
		phase rollout.Phase
		step  int
		// want
		events, log string
		from, steps int
	}{
		{"before anything", rollout.Resetting, 0, "header reset fault resume turn step turn step turn step turn step end", "reset 1 2 validate submit", 0, 0},
		{"while it decides", rollout.Thinking, 2, "header reset turn step turn fault resume step turn step turn step end", "restore 2 validate submit", 1, 0},
		{"while it acts", rollout.Acting, 2, "header reset turn step turn step fault resume turn step turn step end", "restore validate submit", 2, 0},
		{"after a step", rollout.Stepped, 3, "header reset turn step turn step turn step fault resume turn step end", "restore submit", 3, 0},
		{"in the last step", rollout.Acting, 4, "header reset turn step turn step turn step turn step end", "", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, path := begin(t)
			stop, store := make(chan struct{}), &shelf{}
			ep := rollout.Episode{
				Env: &saving{}, Agent: &script{actions: actions}, Recorder: w, Seed: 7, Checkpoints: store, Stop: stop,
				Progress: func(e rollout.Event) {
					if e.Phase == test.phase && e.Step == test.step {
						close(stop)
					}
				},
			}
			out, err := rollout.Run(t.Context(), ep)
			if test.log != "" {
				if !errors.Is(err, rollout.ErrStopped) || out.Fault == nil || out.Fault.Source != trajectory.FromOutside || !out.Fault.Resumable || !strings.Contains(out.Fault.Message, "stopped") {
					t.Fatalf("outcome %+v, %v; want a resumable fault from outside", out, err)
				}
				env := &saving{}
				if out, err = goOn(t, path, rollout.Episode{Env: env, Agent: &script{actions: actions}, Checkpoints: store}); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(env.log, " "); got != test.log {
					t.Errorf("calls = %q, want %q", got, test.log)
				}
				if _, resumption := notes(t, path); resumption == nil || resumption.Checkpoint != test.from || resumption.Steps != test.steps {
					t.Errorf("resumption %+v, want checkpoint %d, %d steps", resumption, test.from, test.steps)
				}
			}
			if err != nil || out.ExitStatus.Outcome != gym.Submitted || out.Final.Scores["total"] != 10 {
				t.Errorf("outcome %+v, %v; want submitted with 10", out, err)
			}
			if got := kinds(t, path); got != test.events {
				t.Errorf("events = %q, want %q", got, test.events)
			}
		})
	}
}

func TestStopWhileReplaying(t *testing.T) {
	actions := []string{"1", "2", "3", "submit"}
	w, path := begin(t)
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &saving{}, Agent: &script{actions: actions, failAt: 4}, Recorder: w, Seed: 7}); err == nil {
		t.Fatal("nothing was cut")
	}
	stop, store, env := make(chan struct{}), &shelf{}, &saving{}
	store.after = func(step int) {
		if step == 1 {
			close(stop)
		}
	}
	out, err := goOn(t, path, rollout.Episode{Env: env, Agent: &script{actions: actions}, Checkpoints: store, CheckpointPolicy: always, Stop: stop})
	if !errors.Is(err, rollout.ErrStopped) || !out.Fault.Resuming || out.Fault.Source != trajectory.FromOutside {
		t.Fatalf("outcome %+v, %v; want to be stopped while resuming", out, err)
	}
	if got := strings.Join(env.log, " "); got != "reset 1" {
		t.Errorf("calls = %q, want the first action alone", got)
	}
	env = &saving{}
	if out, err = goOn(t, path, rollout.Episode{Env: env, Agent: &script{actions: actions}, Checkpoints: store}); err != nil || out.Final.Scores["total"] != 13 {
		t.Fatalf("outcome %+v, %v", out, err)
	}
	if got := strings.Join(env.log, " "); got != "restore 2 3 submit" {
		t.Errorf("calls = %q, want to go on after the first action", got)
	}
	if _, resumption := notes(t, path); resumption == nil || resumption.Checkpoint != 1 || resumption.Steps != 2 {
		t.Errorf("resumption %+v, want checkpoint 1, 2 steps", resumption)
	}
}

// TestStopWithoutCheckpoints: it can be resumed all the same.
func TestStopWithoutCheckpoints(t *testing.T) {
	w, path := begin(t)
	stop := make(chan struct{})
	close(stop)
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{actions: []string{"submit"}}, Recorder: w, Stop: stop}); !errors.Is(err, rollout.ErrStopped) {
		t.Fatalf("error %v, want ErrStopped", err)
	}
	if out, err := goOn(t, path, rollout.Episode{Env: &sum{}, Agent: &script{actions: []string{"submit"}}}); err != nil || out.ExitStatus.Outcome != gym.Submitted {
		t.Errorf("outcome %+v, %v", out, err)
	}
}

// checkpointVariable makes the test binary run, or resume, an episode in this
// run's directory, with a checkpoint after each step.
const checkpointVariable = "ROLLOUT_TEST_CHECKPOINTS"

func runWithCheckpoints(dir string) (err error) {
	store, err := runstore.Open(dir)
	if err != nil {
		if store, err = runstore.Create(dir, runstore.Manifest{RunID: "r", Task: "sum"}); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	ep := rollout.Episode{Env: &saving{}, Agent: &script{actions: longScript()}, Seed: 3, Checkpoints: store.Checkpoints(), CheckpointPolicy: always}
	ep.Progress = func(e rollout.Event) { fmt.Println(e.Phase, e.Step) }
	if ep.Resume, err = store.Recorded(); err != nil {
		return err
	}
	w, err := store.Trajectory(nil)
	if err != nil {
		return err
	}
	ep.Recorder = w
	_, err = rollout.Run(context.Background(), ep)
	_, sealErr := store.Seal()
	return errors.Join(err, w.Close(), sealErr)
}

// TestCheckpointsSurviveKills kills an episode again and again, also while it
// saves, and resumes it until it ends.
func TestCheckpointsSurviveKills(t *testing.T) {
	w, straightPath := begin(t)
	if _, err := rollout.Run(t.Context(), rollout.Episode{Env: &sum{}, Agent: &script{actions: longScript()}, Recorder: w, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	random := rand.New(rand.NewPCG(5, 6))
	const rounds = 8
	kills := 0
	for round := 0; ; round++ {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), checkpointVariable+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		limit := random.IntN(30)
		buf := make([]byte, 1)
		for lines := 0; lines <= limit; {
			if _, err := out.Read(buf); err != nil {
				break
			}
			if buf[0] == '\n' {
				lines++
			}
		}
		if round < rounds {
			_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		}
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err == nil {
			break
		} else if round >= rounds {
			t.Fatal(err)
		}
		kills++
	}
	if kills == 0 {
		t.Error("nothing was killed; the test shows nothing")
	}
	path := filepath.Join(dir, runstore.TrajectoryName)
	want, got := load(t, straightPath), load(t, path)
	if diff := cmp.Diff(want.Steps, got.Steps); diff != "" {
		t.Errorf("steps differ from those without kills (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Summary.Evaluations, got.Summary.Evaluations); diff != "" {
		t.Errorf("evaluations differ (-want +got):\n%s", diff)
	}
	_, resumption := notes(t, path)
	if resumption == nil || resumption.Checkpoint == 0 || resumption.Steps > 1 {
		t.Errorf("last resumption %+v, want one from a checkpoint with one step after it at most", resumption)
	}
	if _, err := os.Stat(filepath.Join(dir, runstore.CheckpointName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the sealed run still has its checkpoints: %v", err)
	}
}

// TestARealEpisodeGoesOnFromItsCheckpoint: a task in a sandbox, cut in the middle
// and restored, has the record of the undisturbed one.
func TestARealEpisodeGoesOnFromItsCheckpoint(t *testing.T) {
	if err := shimtest.Build(); err != nil {
		t.Fatal(err)
	}
	actions := []string{
		"printf 'def row_strategy(history):\\n    return 1\\n' > strategy.py; validate",
		"count=1; open strategy.py; mkdir -p /tmp/work; cd /tmp/work; date +%s%N > when; md5sum when",
		"count=$((count + 1)); again() { echo \"again $count\"; }; echo >> when.txt; cat when | wc -l",
		"again; ls; cd; cd workspace; edit 2:2\n    return 0\nend_of_edit\nvalidate",
		"again; validate; submit",
	}
	play := func(t *testing.T, cuts ...int) (*trajectory.Recorded, *trajectory.Resume) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "run")
		store, err := runstore.Create(dir, runstore.Manifest{RunID: "r", Task: "battleOfSexes"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}()
		for _, cut := range append(cuts, 0) {
			env, err := mlgym.Make("battleOfSexes", mlgym.Options{
				Variant: "small", Secret: []byte("the secret of this test, 32 byte"), Driver: bubblewrap.New(bubblewrap.Options{}),
			})
			if err != nil {
				t.Fatal(err)
			}
			past, err := store.Recorded()
			if err != nil {
				t.Fatal(err)
			}
			w, err := store.Trajectory(nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = rollout.Run(t.Context(), rollout.Episode{
				Env: env, Agent: &script{actions: actions, failAt: cut}, Recorder: w, Seed: 1, Resume: past,
				Checkpoints: store.Checkpoints(), CheckpointPolicy: always,
			})
			if _, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
				t.Skipf("SKIPPED, nothing of this is tested here: %v", err)
			}
			if (err != nil) != (cut != 0) {
				t.Errorf("cut before turn %d: %v", cut, err)
			}
			if err := errors.Join(env.Close(), w.Close()); err != nil {
				t.Fatal(err)
			}
		}
		_, resumption := notes(t, filepath.Join(dir, runstore.TrajectoryName))
		return load(t, filepath.Join(dir, runstore.TrajectoryName)), resumption
	}
	want, _ := play(t)
	got, resumption := play(t, 3, 5)
	if resumption == nil || resumption.Checkpoint != 4 || resumption.Steps != 0 {
		t.Errorf("last resumption %+v, want one from the checkpoint of step 4", resumption)
	}
	// The digest of a time is not the same in two episodes.
	digest := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Text" }, cmp.Comparer(func(a, b string) bool {
		return a == b || strings.HasSuffix(a, "  when\n") && strings.HasSuffix(b, "  when\n")
	}))
	ignore := cmp.Options{cmpopts.IgnoreFields(gym.Info{}, "Seconds"), cmpopts.IgnoreFields(gym.Evaluation{}, "Seconds", "At"), digest}
	if diff := cmp.Diff(want.Steps, got.Steps, ignore); diff != "" {
		t.Errorf("steps of the undisturbed episode (-) and of the cut one (+) differ:\n%s", diff)
	}
	if diff := cmp.Diff(want.Summary.Evaluations, got.Summary.Evaluations, ignore); diff != "" {
		t.Errorf("evaluations (-want +got):\n%s", diff)
	}
	if got.Summary.Totals.Reward != want.Summary.Totals.Reward || len(got.Summary.Evaluations) != 4 {
		t.Errorf("reward %v with %d evaluations, want %v with 4", got.Summary.Totals.Reward, len(got.Summary.Evaluations), want.Summary.Totals.Reward)
	}
	if text := got.Steps[4].Transition.Observation.Text; !strings.HasPrefix(text, "again 2\n") {
		t.Errorf("the last step says %q, want the function and the variable of before the cut", text)
	}
}

var _ agent.Resumer = (*script)(nil)
