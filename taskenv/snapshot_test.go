package taskenv_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mlgym"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/taskenv"
)

// without leaves out of transitions what takes its own time.
var without = cmp.Options{
	cmpopts.IgnoreFields(gym.Info{}, "Seconds"),
	cmpopts.IgnoreFields(gym.Evaluation{}, "Seconds", "At"),
	cmpopts.EquateApprox(0, 1e-12),
}

func snapshot(t *testing.T, env *taskenv.Env) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := env.Snapshot(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func restore(t *testing.T, env *taskenv.Env, state []byte) gym.Observation {
	t.Helper()
	obs, err := env.Restore(t.Context(), gym.ResetOptions{Seed: 1}, bytes.NewReader(state))
	if err != nil {
		t.Fatal(err)
	}
	return obs
}

// TestAnEpisodeGoesOnAsIfNothingHadHappened: rewards, scores, texts and the
// numbers of the gradings are those of the episode that was saved.
func TestAnEpisodeGoesOnAsIfNothingHadHappened(t *testing.T) {
	t.Run("in a sandbox of its own", func(t *testing.T) { testGoesOn(t, newEnv) })
	t.Run("in a sandbox that was ready", func(t *testing.T) { testGoesOn(t, newClaimingEnv) })
}

func testGoesOn(t *testing.T, newOther func(*testing.T, mlgym.Options) *taskenv.Env) {
	var attempts []int
	keep := func(_ gym.Kind, attempt int) (string, func([]grader.File)) {
		attempts = append(attempts, attempt)
		return t.TempDir(), nil
	}
	env := newEnv(t, mlgym.Options{Keep: keep})
	for _, command := range []string{
		"validate", alwaysZero + "validate", "open strategy.py; cd /tmp; colour=green; try() { echo \"tried $1\"; }",
	} {
		step(t, env, command)
	}
	state := snapshot(t, env)
	rest := []string{
		`try "$colour"; pwd`, "cd; cd workspace; validate",
		"printf 'def row_strategy(history):\\n    return 1\\n' > strategy.py; validate", "edit 2:2\n    return 0\nend_of_edit", "submit",
	}
	play := func(env *taskenv.Env) (list []gym.Transition) {
		for _, command := range rest {
			list = append(list, step(t, env, command))
		}
		return list
	}
	attempts = nil
	want := play(env)
	first := attempts
	other := newOther(t, mlgym.Options{Keep: keep})
	attempts = nil
	obs := restore(t, other, state)
	if obs.Step != 3 || obs.WorkingDir != "/tmp" || obs.OpenFile != "/home/agent/workspace/strategy.py" || !strings.Contains(obs.Text, "## Facts") {
		t.Errorf("restored: %+v", obs)
	}
	if len(attempts) > 0 {
		t.Errorf("restoring graded: %v", attempts)
	}
	got := play(other)
	if diff := cmp.Diff(want, got, without); diff != "" {
		t.Errorf("the undisturbed episode (-) and the restored one (+) differ:\n%s", diff)
	}
	if diff := cmp.Diff(first, attempts); diff != "" {
		t.Errorf("numbers of the gradings (-want +got):\n%s", diff)
	}
	if last := got[len(got)-1]; !strings.HasPrefix(got[0].Observation.Text, "tried green\n/tmp\n") || !last.Terminated {
		t.Errorf("the restored episode went %+v", got)
	}
	sum := 0.0
	for _, tr := range got {
		sum += tr.Reward
	}
	// What was paid for before the cut is not paid for again.
	if math.Abs(sum) > 0.2 {
		t.Errorf("after the cut %v was paid, want next to nothing", sum)
	}
}

// TestEvaluationsBetweenSteps: what a program in the background had validated,
// and nobody was told of yet, is told after the cut.
func TestEvaluationsBetweenSteps(t *testing.T) {
	env := newEnv(t, mlgym.Options{})
	step(t, env, alwaysZero+"mkfifo go; (read -r < go; validate) > /dev/null & disown")
	err := env.Snapshot(t.Context(), io.Discard)
	if !errors.Is(err, gym.ErrNoSnapshot) || !strings.Contains(err.Error(), "background") {
		t.Fatalf("with a program in the background: %v, want ErrNoSnapshot that says so", err)
	}
	step(t, env, "echo > go")
	var state bytes.Buffer
	for deadline := time.Now().Add(time.Minute); ; {
		state.Reset()
		err := env.Snapshot(t.Context(), &state)
		if err == nil {
			break
		}
		if !errors.Is(err, gym.ErrNoSnapshot) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	other := newEnv(t, mlgym.Options{})
	restore(t, other, state.Bytes())
	want, got := step(t, env, "true"), step(t, other, "true")
	if diff := cmp.Diff(want, got, without); diff != "" {
		t.Errorf("the step after differs (-want +got):\n%s", diff)
	}
	if len(got.Info.Evaluations) != 1 {
		// The validation may have ended before the step that started it did.
		t.Skipf("SKIPPED: the step had told of it already: %+v", got)
	}
}

func TestSnapshotsOfOtherEpisodes(t *testing.T) {
	env := newEnv(t, mlgym.Options{})
	step(t, env, "true")
	state := snapshot(t, env)
	line, rest, _ := bytes.Cut(state, []byte("\n"))
	seal, box, _ := bytes.Cut(rest, []byte("\n"))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, []byte("\n")) }
	tests := map[string]struct {
		state []byte
		opts  mlgym.Options
		seed  uint64
		say   string
	}{
		"another seed":        {state, mlgym.Options{}, 2, "another episode"},
		"another secret":      {state, mlgym.Options{Secret: bytes.Repeat([]byte("x"), 32)}, 1, "another episode"},
		"another reward":      {state, mlgym.Options{Reward: taskenv.Terminal}, 1, `reward "improvement"`},
		"a header made up":    {join(bytes.Replace(line, []byte(`"attempts":0`), []byte(`"attempts":7`), 1), seal, box), mlgym.Options{}, 1, "another episode"},
		"no seal":             {join(line, nil, box), mlgym.Options{}, 1, "another episode"},
		"a newer version":     {join(bytes.Replace(line, []byte(`"version":1`), []byte(`"version":2`), 1), seal, box), mlgym.Options{}, 1, "version 2"},
		"the header alone":    {join(line, seal, nil), mlgym.Options{}, 1, "ends early"},
		"a torn header":       {line[:len(line)/2], mlgym.Options{}, 1, "header"},
		"a torn box":          {state[:len(state)-3000], mlgym.Options{}, 1, ""},
		"a header of no end ": {bytes.Repeat([]byte("x"), 17<<20), mlgym.Options{}, 1, "more than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opts := tt.opts
			if opts.Secret == nil {
				opts.Secret = []byte("the secret of this test, 32 byte")
			}
			other := makeEnv(t, opts)
			_, err := other.Restore(t.Context(), gym.ResetOptions{Seed: tt.seed}, bytes.NewReader(tt.state))
			if err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("Restore: %v, want an error that says %q", err, tt.say)
			}
			if _, err := other.Step(t.Context(), gym.Action{Command: "true"}); err == nil {
				t.Error("a step after a failed Restore: no error, want one")
			}
		})
	}
}
