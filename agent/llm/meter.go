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

	spent Spent
	// seen is what the requests of this episode were like.
	seen model.Estimator
}

// refuse returns the cause and the reason why a request must not be sent, or
// "". It assumes that the answer becomes as long as it may.
func (m *meter) refuse(req *model.Request) (gym.Cause, string) {
	next := m.seen.Worst(req)
	if limit := m.limits.Tokens; limit > 0 {
		used := m.spent.Usage.Total()
		if used+next.Total() > limit {
			return gym.CauseTokens, fmt.Sprintf(
				"%d tokens are used and the next request may take %d more; the limit is %d", used, next.Total(), limit)
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

// add counts an answer.
func (m *meter) add(req *model.Request, resp *model.Response) {
	m.count(resp)
	m.seen.Learn(req, resp.Usage)
}

func (m *meter) count(resp *model.Response) {
	if m.spent.Calls == 0 {
		m.spent.CostKnown = true
	}
	m.spent.Calls++
	m.spent.Usage = m.spent.Usage.Add(resp.Usage)
	m.seen.LearnAnswer(resp.Usage)
	switch {
	case resp.CostUSD != nil:
		m.spent.CostUSD += *resp.CostUSD
	case m.price != nil:
		m.spent.CostUSD += m.price(resp.Usage)
	default:
		m.spent.CostKnown = false
	}
}
