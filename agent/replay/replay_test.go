package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/agent/replay"
	"mlgym/gym"
)

var (
	_ agent.Agent   = (*replay.Agent)(nil)
	_ agent.Resumer = (*replay.Agent)(nil)
)

var recorded = []gym.Action{
	{Command: "ls"},
	{Tool: "open", Args: json.RawMessage(`{"path":"a.py"}`)},
	{Command: "submit"},
}

func act(t *testing.T, a *replay.Agent) agent.Turn {
	t.Helper()
	turn, err := a.Act(t.Context(), gym.Observation{Text: "not looked at"})
	if err != nil {
		t.Fatal(err)
	}
	return turn
}

func TestActionsInOrderThenStop(t *testing.T) {
	a := replay.New(recorded).ThenStop(gym.CauseSteps, "as recorded")
	for i, want := range recorded {
		if diff := cmp.Diff(agent.Turn{Action: want}, act(t, a)); diff != "" {
			t.Errorf("turn %d (-want +got):\n%s", i+1, diff)
		}
	}
	for range 2 {
		if got := act(t, a); got.Stop != gym.CauseSteps || got.StopReason != "as recorded" {
			t.Errorf("after the last action: %+v, want the recorded stop", got)
		}
	}
	if got := act(t, replay.New(nil)); got.Stop != gym.CauseError || got.StopReason == "" {
		t.Errorf("an empty record: %+v, want a stop with a reason", got)
	}
}

func TestResume(t *testing.T) {
	turns := []agent.Turn{{Action: recorded[0]}, {Action: recorded[1]}}
	a := replay.New(recorded)
	if err := a.Resume(t.Context(), gym.Observation{}, turns, make([]gym.Observation, 2)); err != nil {
		t.Fatal(err)
	}
	if got := act(t, a).Action; got.Command != "submit" {
		t.Errorf("after resuming: %+v, want submit", got)
	}
	for name, turns := range map[string][]agent.Turn{
		"other action": {{Action: gym.Action{Command: "pwd"}}},
		"too many":     make([]agent.Turn, 4),
	} {
		if err := replay.New(recorded).Resume(t.Context(), gym.Observation{}, turns, nil); err == nil {
			t.Errorf("%s: resumed", name)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := replay.New(recorded)
	if _, err := a.Act(ctx, gym.Observation{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	if got := act(t, a).Action.Command; got != "ls" {
		t.Errorf("the cancelled call used up an action: next is %q", got)
	}
}

func ExampleNew() {
	a := replay.New([]gym.Action{{Command: "validate"}})
	for range 2 {
		turn, _ := a.Act(context.Background(), gym.Observation{})
		fmt.Printf("%q %q\n", turn.Action.Command, turn.Stop)
	}
	// Output:
	// "validate" ""
	// "" "exit_error"
}
