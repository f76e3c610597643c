package llm

import (
	"reflect"

	"mlgym/gym"
	"mlgym/model"
	"mlgym/scaffold"
	"mlgym/tool"
)

// past is the episode so far as the model is told it.
type past struct {
	scaffold *scaffold.Scaffold
	tools    []tool.Spec
	// observations[i] is what answers[i] answered; observations[0] is that of
	// the reset.
	observations []gym.Observation
	answers      []model.Message
}

// messages renders the request that follows the observation.
func (p *past) messages(obs gym.Observation) ([]model.Message, error) {
	first := obs
	if len(p.observations) > 0 {
		first = p.observations[0]
	}
	out, err := p.scaffold.Opening(p.tools, first)
	if err != nil {
		return nil, err
	}
	for i, answer := range p.answers {
		led := obs
		if i+1 < len(p.observations) {
			led = p.observations[i+1]
		}
		tell := p.scaffold.Elide
		if p.scaffold.History.Keep(i, len(p.answers)) {
			tell = p.scaffold.Answer
		}
		said, err := tell(answer, led)
		if err != nil {
			return nil, err
		}
		out = append(append(out, answer), said...)
	}
	return out, nil
}

// commit makes the answer to an observation part of the history.
func (p *past) commit(obs gym.Observation, answer model.Message) {
	answer.Role = model.Assistant
	p.observations = append(p.observations, obs)
	p.answers = append(p.answers, answer)
}

// common is the length of the common beginning.
func common(a, b []model.Message) int {
	n := 0
	for n < len(a) && n < len(b) && reflect.DeepEqual(a[n], b[n]) {
		n++
	}
	return n
}
