package replay

import (
	"context"
	"fmt"
	"reflect"

	"mlgym/agent"
	"mlgym/gym"
)

// Agent repeats actions. It implements [agent.Agent] and [agent.Resumer].
type Agent struct {
	actions []gym.Action
	end     agent.Turn
	next    int
}

// New returns an agent that takes the actions in order and then stops for
// [gym.CauseError]; [Agent.ThenStop] chooses another end. The slice is not
// changed.
func New(actions []gym.Action) *Agent {
	return &Agent{
		actions: actions,
		end:     agent.Turn{Stop: gym.CauseError, StopReason: "the record has no further actions"},
	}
}

// ThenStop sets the cause and the reason for which the recorded episode was
// stopped, and returns the agent.
func (a *Agent) ThenStop(cause gym.Cause, reason string) *Agent {
	a.end = agent.Turn{Stop: cause, StopReason: reason}
	return a
}

// Act implements [agent.Agent].
func (a *Agent) Act(ctx context.Context, _ gym.Observation) (agent.Turn, error) {
	if err := ctx.Err(); err != nil {
		return agent.Turn{}, err
	}
	if a.next == len(a.actions) {
		return a.end, nil
	}
	a.next++
	return agent.Turn{Action: a.actions[a.next-1]}, nil
}

// Resume implements [agent.Resumer]. The turns must be those of the record.
func (a *Agent) Resume(_ context.Context, _ gym.Observation, turns []agent.Turn, _ []gym.Observation) error {
	if len(turns) > len(a.actions) {
		return fmt.Errorf("resuming a replay: %d turns were taken and the record has %d actions", len(turns), len(a.actions))
	}
	for i, turn := range turns {
		if !reflect.DeepEqual(turn.Action, a.actions[i]) {
			return fmt.Errorf("resuming a replay: turn %d is not the recorded action", i+1)
		}
	}
	a.next = len(turns)
	return nil
}
