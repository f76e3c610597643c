package llm

import (
	"context"
	"fmt"

	"mlgym/agent"
	"mlgym/gym"
)

// Resume implements [agent.Resumer]. It takes the answers from the exchanges of
// the turns, so a record without them cannot be resumed.
func (a *Agent) Resume(_ context.Context, first gym.Observation, turns []agent.Turn, observations []gym.Observation) error {
	if len(turns) != len(observations) {
		return fmt.Errorf("resuming: %d turns and %d observations", len(turns), len(observations))
	}
	past := past{scaffold: a.past.scaffold, tools: a.past.tools}
	fresh := a.meter
	fresh.spent = Spent{}
	obs := first
	for i, turn := range turns {
		for _, e := range turn.Exchanges {
			if e.Response != nil {
				fresh.count(e.Response)
			}
		}
		n := len(turn.Exchanges)
		if turn.Stop != "" || n == 0 || turn.Exchanges[n-1].Response == nil || turn.Exchanges[n-1].Problem != "" {
			return fmt.Errorf("resuming: turn %d holds no usable answer of a model", i+1)
		}
		past.commit(obs, turn.Exchanges[n-1].Response.Message)
		obs = observations[i]
	}
	a.past, a.meter, a.sent = past, fresh, nil
	return nil
}
