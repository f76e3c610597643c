package trajectory

import (
	"encoding/json"

	"mlgym/agent"
	"mlgym/model"
)

// withValidArgs returns an event whose raw JSON parts are valid JSON. A model
// may have sent arguments that are not; they are then written as a string.
func withValidArgs(e Event) Event {
	switch {
	case e.Step != nil:
		step := *e.Step
		step.Action.Args = validRaw(step.Action.Args)
		e.Step = &step
	case e.Turn != nil:
		turn := *e.Turn
		turn.Turn.Action.Args = validRaw(turn.Turn.Action.Args)
		turn.Turn.Exchanges = validExchanges(turn.Turn.Exchanges)
		e.Turn = &turn
	case e.Fault != nil:
		fault := *e.Fault
		fault.Exchanges = validExchanges(fault.Exchanges)
		e.Fault = &fault
	}
	return e
}

func validExchanges(exchanges []agent.Exchange) []agent.Exchange {
	valid := append([]agent.Exchange(nil), exchanges...)
	for i := range valid {
		x := &valid[i]
		x.Messages = validMessages(x.Messages)
		if x.Response != nil {
			response := *x.Response
			response.Message = validMessage(response.Message)
			x.Response = &response
		}
	}
	return valid
}

// validRaw returns raw when it is valid JSON or absent, else its text as a
// JSON string.
func validRaw(raw json.RawMessage) json.RawMessage {
	switch {
	case len(raw) == 0:
		return nil
	case json.Valid(raw):
		return raw
	}
	text, err := json.Marshal(string(raw))
	if err != nil {
		return nil // unreachable: a string always encodes
	}
	return text
}

func validMessage(m model.Message) model.Message {
	m.Opaque = validRaw(m.Opaque)
	if len(m.ToolCalls) > 0 {
		calls := make([]model.ToolCall, len(m.ToolCalls))
		for i, call := range m.ToolCalls {
			call.Args = validRaw(call.Args)
			calls[i] = call
		}
		m.ToolCalls = calls
	}
	return m
}

func validMessages(messages []model.Message) []model.Message {
	valid := make([]model.Message, len(messages))
	for i, m := range messages {
		valid[i] = validMessage(m)
	}
	return valid
}
