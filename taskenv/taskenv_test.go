package taskenv_test

import (
	"fmt"
	"os"
	"testing"

	"mlgym"
	"mlgym/gym"
	"mlgym/internal/shim/shimtest"
)

func TestMain(m *testing.M) {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestTry(t *testing.T) {
	env, err := mlgym.Make("battleOfSexes", mlgym.Options{Variant: "full", Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	obs, err := env.Reset(t.Context(), gym.ResetOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(obs.Text)
	for _, c := range []string{"ls -la", "cat *.py", "validate", "cat > strategy.py <<'EOF'\ndef row_strategy(history):\n    return 0\nEOF\nvalidate; echo after", "sleep 1; validate && echo ok && open strategy.py", "edit 2:2\n    retrun 0\nend_of_edit", "edit 2:2\n    return 0 if len(history) < 99 else 1\nend_of_edit", "submit; echo never"} {
		tr, err := env.Step(t.Context(), gym.Action{Command: c})
		t.Logf("%s\n-> %v reward %v done %v %+v\n%s", c, err, tr.Reward, tr.Done(), tr.Info, tr.Observation.Text)
	}
	_, err = env.Step(t.Context(), gym.Action{Command: "ls"})
	t.Log(err)
}
