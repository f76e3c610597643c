package baseline

import (
	"context"

	"mlgym/agent"
	"mlgym/gym"
)

// Agent submits at once. It implements [agent.Agent] and [agent.Resumer].
type Agent struct{ submitted bool }

// New returns an agent for one episode.
func New() *Agent { return &Agent{} }

// Act implements [agent.Agent]. Where the environment goes on after submit, the
// agent stops.
func (a *Agent) Act(ctx context.Context, _ gym.Observation) (agent.Turn, error) {
	if err := ctx.Err(); err != nil {
		return agent.Turn{}, err
	}
	if a.submitted {
		return agent.Turn{Stop: gym.CauseError, StopReason: "submit did not end the episode"}, nil
	}
	a.submitted = true
	return agent.Turn{
		Thought: "The starting point is submitted as it is.",
		Action:  gym.Action{Command: "submit"},
	}, nil
}

// Resume implements [agent.Resumer].
func (a *Agent) Resume(_ context.Context, _ gym.Observation, turns []agent.Turn, _ []gym.Observation) error {
	a.submitted = len(turns) > 0
	return nil
}
