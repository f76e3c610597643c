package llm

import (
	"fmt"

	"mlgym/gym"
	"mlgym/model"
)

// Spent is what an episode has used.
type Spent struct {
	Usage model.Usage
	// CostUSD is the sum of the costs that are known.
	CostUSD float64
	// CostKnown is false once a response came whose cost is not known.
	CostKnown bool
	// Calls counts the requests that were answered.
	Calls int
}

// meter adds up what is used and says which request is one too many.
type meter struct {
	limits Limits
	price  func(model.Usage) float64
	// maxAnswer is the limit on the length of an answer, 0 where the provider
	// decides.
	maxAnswer int64

	spent Spent
	// perByte is the largest number of input tokens per byte of a request that
	// was seen in this episode.
	perByte float64
	// longest answer of the episode, in tokens.
	longest int64
}

const (
	// firstPerByte is assumed before the first answer: English and code take
	// about 4 bytes a token; 3 leaves a margin.
	firstPerByte = 1.0 / 3
	// firstAnswer is the assumed length of an answer whose length nothing
	// limits, until a longer one was seen.
	firstAnswer = 1024
)

// refuse returns the cause and the reason why a request must not be sent, or
// "". It assumes that the answer becomes as long as it may.
func (m *meter) refuse(req *model.Request) (gym.Cause, string) {
	next := m.estimate(req)
	if limit := m.limits.Tokens; limit > 0 {
		used := total(m.spent.Usage)
		if used+total(next) > limit {
			return gym.CauseTokens, fmt.Sprintf(
				"%d tokens are used and the next request may take %d more; the limit is %d", used, total(next), limit)
		}
	}
	if limit := m.limits.CostUSD; limit > 0 {
		if cost := m.price(next); m.spent.CostUSD+cost > limit {
			return gym.CauseCost, fmt.Sprintf(
				"$%.4f are spent and the next request may cost $%.4f; the limit is $%.4f", m.spent.CostUSD, cost, limit)
		}
	}
	return "", ""
}

func (m *meter) estimate(req *model.Request) model.Usage {
	perByte := m.perByte
	if perByte == 0 {
		perByte = firstPerByte
	}
	answer := m.maxAnswer
	if answer == 0 {
		answer = max(firstAnswer, m.longest)
	}
	return model.Usage{InputTokens: int64(float64(size(req))*perByte) + 1, OutputTokens: answer}
}

// add counts an answer.
func (m *meter) add(req *model.Request, resp *model.Response) {
	m.count(resp)
	if resp.Usage.InputTokens > 0 {
		m.perByte = max(m.perByte, float64(resp.Usage.InputTokens)/float64(size(req)))
	}
}

func (m *meter) count(resp *model.Response) {
	if m.spent.Calls == 0 {
		m.spent.CostKnown = true
	}
	m.spent.Calls++
	m.spent.Usage = m.spent.Usage.Add(resp.Usage)
	m.longest = max(m.longest, resp.Usage.OutputTokens)
	switch {
	case resp.CostUSD != nil:
		m.spent.CostUSD += *resp.CostUSD
	case m.price != nil:
		m.spent.CostUSD += m.price(resp.Usage)
	default:
		m.spent.CostKnown = false
	}
}

func total(u model.Usage) int64 { return u.InputTokens + u.OutputTokens }

// size of a request in bytes, with a few for the framing of each message.
func size(req *model.Request) int {
	const framing = 16
	n := framing
	for _, m := range req.Messages {
		n += framing + len(m.Text) + len(m.Opaque)
		for _, c := range m.ToolCalls {
			n += framing + len(c.Name) + len(c.Args)
		}
	}
	for _, t := range req.Tools {
		n += framing + len(t.Name) + len(t.Description) + len(t.Parameters)
	}
	return n
}
