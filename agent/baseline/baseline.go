package baseline

import (
	"context"

	"mlgym/agent"
	"mlgym/gym"
)

// Agent takes the actions that make the baseline's submission, and submits. It
// implements [agent.Agent] and [agent.Resumer].
type Agent struct {
	turns []agent.Turn
	taken int
}

// New returns an agent for one episode. command makes the submission; "" means
// that the starting point is one.
func New(command string) *Agent {
	submit := agent.Turn{Thought: "The starting point is submitted as it is.", Action: gym.Action{Command: "submit"}}
	if command == "" {
		return &Agent{turns: []agent.Turn{submit}}
	}
	submit.Thought = "What the starting point made is submitted."
	return &Agent{turns: []agent.Turn{
		{Thought: "The starting point is run as it is.", Action: gym.Action{Command: command}},
		submit,
	}}
}

// Act implements [agent.Agent]. Where the environment goes on after submit, the
// agent stops.
func (a *Agent) Act(ctx context.Context, _ gym.Observation) (agent.Turn, error) {
	if err := ctx.Err(); err != nil {
		return agent.Turn{}, err
	}
	if a.taken >= len(a.turns) {
		return agent.Turn{Stop: gym.CauseError, StopReason: "submit did not end the episode"}, nil
	}
	a.taken++
	return a.turns[a.taken-1], nil
}

// Resume implements [agent.Resumer].
func (a *Agent) Resume(_ context.Context, _ gym.Observation, turns []agent.Turn, _ []gym.Observation) error {
	a.taken = len(turns)
	return nil
}
