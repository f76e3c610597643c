package export

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/trajectory"
)

// Message is one of OpenAI's chat format.
type Message struct {
	Role       string     `json:"role" parquet:"role"`
	Content    string     `json:"content" parquet:"content"`
	Reasoning  string     `json:"reasoning_content,omitempty" parquet:"reasoning_content,optional"`
	ToolCalls  []toolCall `json:"tool_calls,omitempty" parquet:"tool_calls,optional,list"`
	ToolCallID string     `json:"tool_call_id,omitempty" parquet:"tool_call_id,optional"`
}

type toolCall struct {
	ID       string `json:"id" parquet:"id"`
	Type     string `json:"type" parquet:"type"`
	Function struct {
		Name      string `json:"name" parquet:"name"`
		Arguments string `json:"arguments" parquet:"arguments"`
	} `json:"function" parquet:"function"`
}

func messageOf(m model.Message) Message {
	out := Message{Role: string(m.Role), Content: m.Text, Reasoning: m.Reasoning, ToolCallID: m.ToolCallID}
	for _, c := range m.ToolCalls {
		call := toolCall{ID: c.ID, Type: "function"}
		call.Function.Name, call.Function.Arguments = c.Name, string(c.Args)
		out.ToolCalls = append(out.ToolCalls, call)
	}
	return out
}

func messagesOf(list []model.Message) []Message {
	out := make([]Message, len(list))
	for i, m := range list {
		out[i] = messageOf(m)
	}
	return out
}

// exchange is a request to a model as it was sent, with what came back.
type exchange struct {
	prompt   []model.Message
	response *model.Response
	accepted bool
	problem  string // why it is not
}

// history puts the requests of an episode together again: a record keeps of each
// only what the one before did not have.
type history struct{ sent []model.Message }

// add returns the zero exchange for one without a request: the sum of what requests
// cost that were not recorded, as imported runs have it.
func (h *history) add(x agent.Exchange) (exchange, error) {
	if x.HistoryLength == 0 {
		return exchange{}, nil
	}
	kept := x.HistoryLength - len(x.Messages)
	if kept < 0 || kept > len(h.sent) {
		return exchange{}, fmt.Errorf("a request of %d messages, %d of them new, follows one of %d", x.HistoryLength, len(x.Messages), len(h.sent))
	}
	h.sent = append(h.sent[:kept:kept], x.Messages...)
	return exchange{h.sent, x.Response, x.Response != nil && x.Problem == "" && x.Error == "", cmp.Or(x.Problem, x.Error)}, nil
}

// conversation is an episode as a dialogue: what opened it, and for each turn the
// assistant's message and what it was told.
type conversation struct {
	opening []Message
	turns   []turn
}

type turn struct {
	assistant Message
	response  *model.Response // that holds the assistant's message; nil of an agent without a model
	told      []Message
}

// messages is the whole dialogue, and what is known of the tokens of each answer in
// it. What followed the last answer is left out: nobody answers it.
func (c *conversation) messages() ([]Message, []messageTokens) {
	var tokens []messageTokens
	at := len(c.opening)
	for _, t := range c.turns {
		if t.response != nil && t.response.Tokens != nil {
			tokens = append(tokens, messageTokens{at, tokensOf(t.response)})
		}
		at += 1 + len(t.told)
	}
	return append(slices.Clip(c.opening), c.answers()...), tokens
}

// complete reports whether all tokens of each answer are known.
func (c *conversation) complete() bool {
	return !slices.ContainsFunc(c.turns, func(t turn) bool { return t.response == nil || !t.response.Tokens.Complete() })
}

func (c *conversation) answers() []Message {
	var out []Message
	for i, t := range c.turns {
		out = append(out, t.assistant)
		if i < len(c.turns)-1 {
			out = append(out, t.told...)
		}
	}
	return out
}

// converse reads the dialogue of a run. Where a model was asked, its messages are
// those that were sent and answered, without answers that could not be read. Other
// agents speak in their actions.
func converse(dir string) (*conversation, error) {
	c := &conversation{}
	var h history
	var pending *turn // decided on and not executed
	var told []model.Message
	asked := false
	err := each(dir, func(e *trajectory.Event) error {
		switch {
		case e.Reset != nil && len(c.turns) == 0 && e.Reset.Observation.Text != "":
			c.opening = []Message{{Role: string(model.User), Content: e.Reset.Observation.Text}}
		case e.Turn != nil:
			pending, told = nil, nil
			for i, x := range e.Turn.Turn.Exchanges {
				before := len(h.sent)
				got, err := h.add(x)
				if err != nil {
					return err
				}
				if i == 0 {
					told = news(got.prompt, before, len(c.turns) > 0)
				}
				if got.accepted {
					pending = &turn{assistant: answerOf(got.response), response: got.response}
				}
			}
			switch {
			case pending == nil && e.Turn.Turn.Stop == "":
				pending = &turn{assistant: Message{Role: string(model.Assistant), Content: spoken(e.Turn.Turn.Thought, e.Turn.Turn.Action)}}
			case pending == nil:
				return nil
			case len(c.turns) == 0:
				c.opening, asked = messagesOf(told), true
			default:
				c.turns[len(c.turns)-1].told = messagesOf(told)
			}
		case e.Step != nil && pending != nil:
			if !asked {
				pending.told = []Message{{Role: string(model.User), Content: e.Step.Transition.Observation.Text}}
			}
			c.turns = append(c.turns, *pending)
			pending = nil
		}
		return nil
	})
	return c, err
}

// news are the messages of a request that tell something: of the first one all,
// of a later one what follows the assistant's answer.
func news(prompt []model.Message, before int, answered bool) []model.Message {
	if !answered {
		return prompt
	}
	// Earlier outputs may have been elided since, so that the request differs from
	// the one before in the middle; what is new stands after the last answer.
	for i, m := range slices.Backward(prompt) {
		if m.Role == model.Assistant {
			return prompt[i+1:]
		}
	}
	return prompt[min(before, len(prompt)):]
}

// spoken writes an action of an agent that has no words of its own.
func spoken(thought string, a gym.Action) string {
	text := a.Command
	if a.Tool != "" {
		call, err := json.Marshal(map[string]any{"tool": a.Tool, "args": a.Args})
		if err == nil {
			text = string(call)
		}
	}
	if thought == "" {
		return text
	}
	return thought + "\n\n" + text
}
