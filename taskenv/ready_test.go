package taskenv_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/gym/gymtest"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/task"
	"mlgym/taskenv"
)

// config is that of the environment which mlgym.Make makes of the options.
func config(t testing.TB, opts mlgym.Options) taskenv.Config {
	t.Helper()
	tasks, err := mlgym.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	what, err := tasks.Find(task.ID("battleOfSexes"))
	if err != nil {
		t.Fatal(err)
	}
	driver := bubblewrap.New(bubblewrap.Options{})
	return taskenv.Config{
		Task: what, Driver: driver, Grader: grader.New(driver, grader.Options{}), Variant: "small",
		Reward: opts.Reward, Limits: opts.Limits, Keep: opts.Keep,
		Key: func(seed uint64) []byte {
			return mlgym.GraderKey([]byte("the secret of this test, 32 byte"), what, seed)
		},
	}
}

// claiming lets the environments of a configuration begin in prepared sandboxes.
func claiming(t *testing.T, cfg taskenv.Config) taskenv.Config {
	t.Helper()
	cfg.Claim = func(ctx context.Context) (*taskenv.Ready, error) {
		ready, err := taskenv.Prepare(ctx, cfg)
		if err == nil {
			t.Cleanup(func() { _ = ready.Close() })
		}
		return ready, err
	}
	return cfg
}

// newClaimingEnv is newEnv with sandboxes that were prepared.
func newClaimingEnv(t *testing.T, opts mlgym.Options) *taskenv.Env {
	t.Helper()
	env, err := taskenv.New(claiming(t, config(t, opts)))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, env)
	_, err = env.Reset(t.Context(), gym.ResetOptions{Seed: 1})
	skipUnavailable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func skipUnavailable(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		t.Skipf("SKIPPED, nothing of this is tested here: %v", err)
	}
}

func TestConformanceOfPrepared(t *testing.T) {
	gymtest.Run(t, gymtest.Suite{
		New: func(t *testing.T) gym.Env {
			env, err := taskenv.New(claiming(t, config(t, mlgym.Options{})))
			if err != nil {
				t.Fatal(err)
			}
			return gym.LimitSteps(env, 50)
		},
		Action:  gym.Action{Command: "echo hello"},
		Mistake: gym.Action{Command: "no_such_command"},
		End:     gym.Action{Command: "submit"},
		Slow:    gym.Action{Command: "sleep 600"},
	})
}

// tellAll are actions that show what programs see of the sandbox that they run in,
// but for clocks and the numbers of processes.
func tellAll() []gym.Action {
	python := `import os; print(sorted(os.environ.items())); print(sorted(os.listdir("/proc/self/fd"))); print(os.getpid() > 1)`
	return []gym.Action{
		{Command: "env; echo $PPID $- $#; pwd; umask; ulimit -a"},
		{Command: "declare -p | grep -v -e EPOCH -e RANDOM -e BASHPID -e LINENO -e SECONDS"},
		{Command: "shopt; set -o; alias; trap; declare -F; dirs; jobs"},
		{Command: "find ~ /tmp /var/tmp /dev/shm -printf '%p %M %u %g %s\\n' | sort; cat strategy.py"},
		{Command: "python3 -c '" + python + "'"},
		{Command: `python3 -c "import os, random; random.seed(int(os.environ['MLGYM_SEED'])); print(random.random())"`},
		{Command: "set -- /proc/[0-9]*; echo $#; set --"},
		{Tool: "job", Args: []byte(`{"action": "start", "command": "echo seed $MLGYM_SEED; env"}`)},
		{Command: "job wait 1 > /dev/null; job show 1 | grep -v -e Elapsed -e ' s' "},
		{Command: "open strategy.py"},
		{Command: "validate"},
		{Command: "exit 3"},
		{Command: "env; echo $MLGYM_SEED"},
		{Command: "submit"},
	}
}

// TestPreparedIsAsFresh: the same seed and actions lead to the same observations
// and rewards, whether the sandbox was made for the episode or was ready.
func TestPreparedIsAsFresh(t *testing.T) {
	const seed = 20261126
	play := func(env gym.Env, actions []gym.Action) (list []gym.Transition) {
		for _, a := range actions {
			tr, err := env.Step(t.Context(), a)
			if err != nil {
				t.Fatalf("step %+v: %v", a, err)
			}
			list = append(list, tr)
		}
		return list
	}
	cfg := config(t, mlgym.Options{})
	make := func(cfg taskenv.Config) *taskenv.Env {
		env, err := taskenv.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return closing(t, env)
	}
	fresh, claimed := make(cfg), make(claiming(t, cfg))
	want, err := fresh.Reset(t.Context(), gym.ResetOptions{Seed: seed})
	skipUnavailable(t, err)
	got, err2 := claimed.Reset(t.Context(), gym.ResetOptions{Seed: seed})
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the first observation of a fresh one (-) and of one that was ready (+) differ:\n%s", diff)
	}
	all := tellAll()
	first := play(fresh, all)
	if diff := cmp.Diff(first, play(claimed, all), without); diff != "" {
		t.Errorf("a fresh one (-) and one that was ready (+) differ:\n%s", diff)
	}
	if text := first[0].Observation.Text; !strings.Contains(text, "MLGYM_SEED=20261126\n") {
		t.Errorf("the seed is not in the environment:\n%s", text)
	}

	// Restored, with a file of the starter that the agent removed.
	before := []gym.Action{{Command: "rm -r *; echo mine > mine; cd /tmp; mood=good; validate"}}
	if _, err := fresh.Reset(t.Context(), gym.ResetOptions{Seed: seed}); err != nil {
		t.Fatal(err)
	}
	play(fresh, before)
	var state bytes.Buffer
	if err := fresh.Snapshot(t.Context(), &state); err != nil {
		t.Fatal(err)
	}
	all[3].Command = "find ~ /tmp /var/tmp /dev/shm -printf '%p %M %s %t\\n' | sort; echo $mood; pwd"
	var results [2][]gym.Transition
	for i, env := range []*taskenv.Env{fresh, claimed} {
		obs, err := env.Restore(t.Context(), gym.ResetOptions{Seed: seed}, bytes.NewReader(state.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if obs.WorkingDir != "/tmp" || obs.Step != 1 {
			t.Errorf("restored at %+v", obs)
		}
		results[i] = play(env, all)
	}
	if diff := cmp.Diff(results[0], results[1], without); diff != "" {
		t.Errorf("restored into a fresh one (-) and into one that was ready (+) differ:\n%s", diff)
	}
	if text := results[1][3].Observation.Text; !strings.Contains(text, "good") || strings.Contains(text, "strategy.py") {
		t.Errorf("restored: %s", text)
	}
}

// watching tells of the sandboxes that a driver makes.
type watching struct {
	sandbox.Driver
	made func(sandbox.Sandbox)
}

func (w watching) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	box, err := w.Driver.Create(ctx, spec)
	if err == nil {
		w.made(box)
	}
	return box, err
}

// TestClaim: what an environment does with what it is given.
func TestClaim(t *testing.T) {
	cfg := config(t, mlgym.Options{})
	prepare := func(t *testing.T, cfg taskenv.Config) *taskenv.Ready {
		t.Helper()
		ready, err := taskenv.Prepare(t.Context(), cfg)
		skipUnavailable(t, err)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := ready.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return ready
	}
	reset := func(t *testing.T, ready *taskenv.Ready, claimErr error) (*taskenv.Env, error) {
		t.Helper()
		cfg := cfg
		cfg.Claim = func(context.Context) (*taskenv.Ready, error) { return ready, claimErr }
		env, err := taskenv.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = closing(t, env).Reset(t.Context(), gym.ResetOptions{Seed: 5})
		return env, err
	}
	t.Run("none is ready", func(t *testing.T) {
		env, err := reset(t, nil, nil)
		skipUnavailable(t, err)
		if err != nil {
			t.Fatal(err)
		}
		wantText(t, step(t, env, "echo $MLGYM_SEED; ls"), "5\n", "strategy.py")
	})
	t.Run("claimed", func(t *testing.T) {
		ready := prepare(t, cfg)
		if !ready.Alive() {
			t.Error("it is not alive before it is claimed")
		}
		env, err := reset(t, ready, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ready.Alive() {
			t.Error("it is alive after it was claimed")
		}
		if err := ready.Close(); err != nil {
			t.Error(err)
		}
		wantText(t, step(t, env, "echo works $MLGYM_SEED; validate"), "works 5\n", "Evaluation Score")
	})
	t.Run("dead", func(t *testing.T) {
		var box sandbox.Sandbox
		watched := cfg
		watched.Driver = watching{cfg.Driver, func(made sandbox.Sandbox) { box = made }}
		ready := prepare(t, watched)
		if err := box.Close(); err != nil {
			t.Fatal(err)
		}
		if ready.Alive() {
			t.Error("it is alive after its sandbox died")
		}
		env, err := reset(t, ready, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantText(t, step(t, env, "echo works $MLGYM_SEED"), "works 5\n")
	})
	t.Run("claimed twice", func(t *testing.T) {
		ready := prepare(t, cfg)
		if _, err := reset(t, ready, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := reset(t, ready, nil); err == nil || !strings.Contains(err.Error(), "claimed or closed before") {
			t.Errorf("Reset: %v, want an error", err)
		}
	})
	t.Run("of another configuration", func(t *testing.T) {
		other := cfg
		other.Limits.MemoryBytes = 123 << 20
		ready := prepare(t, other)
		if _, err := reset(t, ready, nil); err == nil || !strings.Contains(err.Error(), "another configuration") {
			t.Errorf("Reset: %v, want an error", err)
		}
	})
	t.Run("an error", func(t *testing.T) {
		cause := errors.New("the pool is closed")
		if _, err := reset(t, nil, cause); !errors.Is(err, cause) {
			t.Errorf("Reset: %v, want %v", err, cause)
		}
	})
	t.Run("closed", func(t *testing.T) {
		ready := prepare(t, cfg)
		if err := ready.Close(); err != nil || ready.Alive() {
			t.Errorf("Close: %v, alive: %v", err, ready.Alive())
		}
	})
}

// judge is a grader that does something before it says that all is well.
type judge func(ctx context.Context) error

func (j judge) Grade(ctx context.Context, req grader.Request) (gym.Evaluation, error) {
	if err := j(ctx); err != nil {
		return gym.Evaluation{}, err
	}
	return gym.Evaluation{Kind: req.Kind, Scores: gym.Scores{"Score": 1.3}}, nil
}

// TestInterrupt stops actions in their middle.
func TestInterrupt(t *testing.T) {
	cfg := config(t, mlgym.Options{})
	var env *taskenv.Env
	var grade judge
	cfg.Grader = judge(func(ctx context.Context) error { return grade(ctx) })
	env, err := taskenv.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, env)
	env.Interrupt() // there is no episode
	_, err = env.Reset(t.Context(), gym.ResetOptions{Seed: 1})
	skipUnavailable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	env.Interrupt() // nothing runs

	t.Run("the shell lives on", func(t *testing.T) {
		// The call says that the action has come so far; the interrupt then meets it
		// in its sleep, most likely.
		interrupted := make(chan struct{})
		grade = func(context.Context) error {
			go func() {
				defer close(interrupted)
				time.Sleep(50 * time.Millisecond)
				env.Interrupt()
			}()
			return nil
		}
		tr := step(t, env, "cd /tmp; mine=yes; echo before; validate; sleep 100; echo after")
		<-interrupted
		wantText(t, tr, "before\n", "stopped from outside")
		if tr.Info.Deadline != "cancelled" || tr.Info.Seconds > 60 || strings.Contains(tr.Observation.Text, "after") || tr.Info.ShellRestarted || tr.Done() {
			t.Errorf("the interrupted action led to %+v", tr)
		}
		wantText(t, step(t, env, "echo $mine $PWD; cd; cd workspace"), "yes /tmp\n")
	})
	for name, action := range map[string]gym.Action{
		"a grading that the shell asked for": {Command: "validate; echo after"},
		"a grading as a typed tool":          {Tool: "validate"},
	} {
		t.Run(name, func(t *testing.T) {
			grade = func(ctx context.Context) error {
				env.Interrupt()
				// Long enough for what must not end it.
				select {
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-time.After(100 * time.Millisecond):
					return nil
				}
			}
			tr, err := env.Step(t.Context(), action)
			if err != nil {
				t.Fatal(err)
			}
			if len(tr.Info.Evaluations) != 1 || tr.Info.Evaluations[0].Scores["Score"] != 1.3 || tr.Done() {
				t.Errorf("the interrupted action led to %+v, want the evaluation", tr)
			}
			if strings.Contains(tr.Observation.Text, "after") {
				t.Errorf("what stood behind was run:\n%s", tr.Observation.Text)
			}
		})
	}
	grade = func(context.Context) error { return nil }
	wantText(t, step(t, env, "validate"), "Evaluation Score")
}

// claimOnce gives one prepared sandbox to an environment.
func claimOnce(cfg taskenv.Config, ready *taskenv.Ready) taskenv.Config {
	cfg.Claim = func(context.Context) (*taskenv.Ready, error) {
		given := ready
		ready = nil
		return given, nil
	}
	return cfg
}
