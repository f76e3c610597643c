package agent

import (
	"context"

	"mlgym/gym"
	"mlgym/model"
)

// Agent decides the next action. It keeps its own memory of the episode and is
// not safe for concurrent use. The first observation it is given is that of
// [gym.Env].Reset; each later one is what its last action led to.
//
// The error of Act is a fault of the agent's infrastructure (a model server
// that is gone). A decision to stop is a Turn with Stop set.
type Agent interface {
	Act(ctx context.Context, obs gym.Observation) (Turn, error)
}

// Turn is one decision of an agent, with what led to it.
type Turn struct {
	// Action to be run. Ignored where Stop is set.
	Action gym.Action `json:"action,omitzero"`
	// Thought is the agent's own explanation.
	Thought string `json:"thought,omitempty"`
	// Stop ends the episode for the given cause: what is in the workspace is
	// graded.
	Stop gym.Cause `json:"stop,omitempty"`
	// StopReason says more about Stop, for people.
	StopReason string `json:"stop_reason,omitempty"`
	// Exchanges with a model that this turn took, re-asks included, in order.
	Exchanges []Exchange `json:"exchanges,omitempty"`
}

// Exchange is one request to a model and what came back. Messages holds only
// those messages that were not part of the previous exchange of the episode's
// history; HistoryLength says how many messages the request had in all.
type Exchange struct {
	Messages      []model.Message `json:"messages"`
	HistoryLength int             `json:"history_length"`
	Response      *model.Response `json:"response,omitempty"`
	// Problem says why the response could not be used, "" where it was.
	Problem string `json:"problem,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Resumer is an Agent that can be brought to the state it had after the given
// turns and observations (observations[i] is what turns[i] led to), so that a
// cut episode can go on. The next call of Act is given the last of the
// observations once more (first, where there are no turns), as it would have
// been without the cut, so Resume must not show it to the model by itself.
type Resumer interface {
	Resume(ctx context.Context, first gym.Observation, turns []Turn, observations []gym.Observation) error
}
