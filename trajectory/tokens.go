package trajectory

import (
	"slices"

	"mlgym/agent"
)

// exchangesOf returns the exchanges with a model that an event holds.
func exchangesOf(e Event) []agent.Exchange {
	switch {
	case e.Turn != nil:
		return e.Turn.Turn.Exchanges
	case e.Fault != nil:
		return e.Fault.Exchanges
	}
	return nil
}

func hasTokens(e Event) bool {
	return slices.ContainsFunc(exchangesOf(e), func(x agent.Exchange) bool { return x.Response != nil && x.Response.Tokens != nil })
}

// withoutTokens returns the event without its token records. Tokens spell the text
// that they stand for, and no redactor can read them.
func withoutTokens(e Event) Event {
	if !hasTokens(e) {
		return e
	}
	plain := slices.Clone(exchangesOf(e))
	for i := range plain {
		if plain[i].Response != nil {
			response := *plain[i].Response
			response.Tokens = nil
			plain[i].Response = &response
		}
	}
	if e.Turn != nil {
		turn := *e.Turn
		turn.Turn.Exchanges = plain
		e.Turn = &turn
	} else {
		fault := *e.Fault
		fault.Exchanges = plain
		e.Fault = &fault
	}
	return e
}
