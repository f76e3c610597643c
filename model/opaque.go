package model

import "encoding/json"

// sealed is the envelope of Message.Opaque.
type sealed struct {
	Provider string          `json:"provider"`
	Data     json.RawMessage `json:"data"`
}

// SealOpaque packs what a provider wants back into a [Message.Opaque], marked as
// that provider's. It is nil where data does not marshal.
func SealOpaque(provider string, data any) json.RawMessage {
	raw, err := json.Marshal(data)
	if err != nil {
		return nil
	}
	out, err := json.Marshal(sealed{Provider: provider, Data: raw})
	if err != nil {
		return nil
	}
	return out
}

// OpenOpaque unpacks into data what the same provider sealed. It returns false,
// and leaves data undefined, for anything else: a conversation may go on with
// another provider.
func OpenOpaque(provider string, opaque json.RawMessage, data any) bool {
	var s sealed
	if len(opaque) == 0 || json.Unmarshal(opaque, &s) != nil || s.Provider != provider {
		return false
	}
	return json.Unmarshal(s.Data, data) == nil
}

// Says reports whether two assistant messages say the same to a reader: text and
// tool calls, not reasoning or opaque data. A provider uses it to see whether a
// message was edited after it was sealed.
func (m Message) Says(other Message) bool {
	if m.Text != other.Text || len(m.ToolCalls) != len(other.ToolCalls) {
		return false
	}
	for i, call := range m.ToolCalls {
		o := other.ToolCalls[i]
		if call.ID != o.ID || call.Name != o.Name || !sameJSON(call.Args, o.Args) {
			return false
		}
	}
	return true
}

func sameJSON(a, b json.RawMessage) bool {
	if string(a) == string(b) {
		return true
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	ja, errA := json.Marshal(x)
	jb, errB := json.Marshal(y)
	return errA == nil && errB == nil && string(ja) == string(jb)
}

// RawArgs returns the arguments of a tool call as valid JSON whatever the model
// wrote: nothing becomes {}, and text that is not JSON becomes a JSON string, so
// that a malformed call can be recorded and answered instead of breaking the
// conversation.
func RawArgs(text string) json.RawMessage {
	if text == "" {
		return json.RawMessage("{}")
	}
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage(`""`)
	}
	return quoted
}

// ArgsText is the inverse of RawArgs: what the model wrote.
func ArgsText(args json.RawMessage) string {
	var text string
	if len(args) > 0 && args[0] == '"' && json.Unmarshal(args, &text) == nil {
		return text
	}
	if len(args) == 0 {
		return "{}"
	}
	return string(args)
}

// ArgsObject returns the arguments as an object, for providers that accept
// nothing else; what is not an object is put under the key "malformed".
func ArgsObject(args json.RawMessage) map[string]any {
	object := map[string]any{}
	if len(args) == 0 || json.Unmarshal(args, &object) == nil && object != nil {
		return object
	}
	return map[string]any{"malformed": ArgsText(args)}
}
