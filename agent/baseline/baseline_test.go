package baseline_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"mlgym/agent"
	"mlgym/agent/baseline"
	"mlgym/gym"
)

var (
	_ agent.Agent   = (*baseline.Agent)(nil)
	_ agent.Resumer = (*baseline.Agent)(nil)
)

func TestSubmitsOnceThenStops(t *testing.T) {
	a := baseline.New("")
	first, err := a.Act(t.Context(), gym.Observation{Text: "Task."})
	if err != nil || first.Action.Command != "submit" || first.Stop != "" {
		t.Errorf("first turn %+v, %v; want submit", first, err)
	}
	second, err := a.Act(t.Context(), gym.Observation{})
	if err != nil || second.Stop != gym.CauseError || !second.Action.IsZero() {
		t.Errorf("second turn %+v, %v; want a stop", second, err)
	}
}

func TestRunsTheCommandFirst(t *testing.T) {
	a := baseline.New("python baseline.py")
	for i, want := range []string{"python baseline.py", "submit"} {
		turn, err := a.Act(t.Context(), gym.Observation{})
		if err != nil || turn.Action.Command != want || turn.Stop != "" {
			t.Errorf("turn %d: %+v, %v; want %q", i, turn, err, want)
		}
	}
	if turn, err := a.Act(t.Context(), gym.Observation{}); err != nil || turn.Stop != gym.CauseError {
		t.Errorf("third turn %+v, %v; want a stop", turn, err)
	}
}

func TestResume(t *testing.T) {
	for turns, want := range map[int]gym.Cause{0: "", 1: gym.CauseError} {
		a := baseline.New("")
		if err := a.Resume(t.Context(), gym.Observation{}, make([]agent.Turn, turns), nil); err != nil {
			t.Fatal(err)
		}
		if turn, err := a.Act(t.Context(), gym.Observation{}); err != nil || turn.Stop != want {
			t.Errorf("after %d turns: %+v, %v; want stop %q", turns, turn, err, want)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := baseline.New("").Act(ctx, gym.Observation{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}

func ExampleNew() {
	turn, _ := baseline.New("").Act(context.Background(), gym.Observation{Text: "Improve strategy.py."})
	fmt.Println(turn.Action.Command)
	// Output: submit
}
