package llm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent/llm"
	"mlgym/gym"
	"mlgym/model"
)

func calls(text string, calls ...model.ToolCall) model.Response {
	return model.Response{
		Message:    model.Message{Role: model.Assistant, Text: text, ToolCalls: calls, Opaque: json.RawMessage(`{"signature":"x"}`)},
		StopReason: model.StopToolCalls,
	}
}

func TestFunctionCalls(t *testing.T) {
	m := &scripted{answers: []any{
		calls("Measure, then look.",
			model.ToolCall{Name: "validate", Args: json.RawMessage(`{}`)},
			model.ToolCall{ID: "given", Name: "bash", Args: json.RawMessage(`{"command":"ls"}`)}),
		"I am done.",
		calls("", model.ToolCall{ID: "b", Name: "opne", Args: json.RawMessage(`{}`)}),
		calls("", model.ToolCall{ID: "c", Name: "bash", Args: json.RawMessage(`{"command":"ls"}`)}),
	}}
	a := newAgent(t, llm.Config{Model: m, Scaffold: open(t, "function-calling")})
	first, err := a.Act(t.Context(), observation(0, "Task."))
	if err != nil {
		t.Fatal(err)
	}
	want := gym.Action{Tool: "validate", Args: json.RawMessage(`{}`)}
	if diff := cmp.Diff(want, first.Action); diff != "" || first.Thought != "Measure, then look." {
		t.Errorf("thought %q, action (-want +got):\n%s", first.Thought, diff)
	}
	second, err := a.Act(t.Context(), observation(1, "Score 1"))
	if err != nil {
		t.Fatal(err)
	}
	if second.Action.Command != "ls" || len(second.Exchanges) != 3 {
		t.Errorf("second turn %+v, want ls after two re-asks", second)
	}

	var offered []string
	for _, f := range m.requests[0].Tools {
		offered = append(offered, f.Name)
	}
	if diff := cmp.Diff([]string{"bash", "open", "validate", "submit"}, offered); diff != "" {
		t.Errorf("functions on offer (-want +got):\n%s", diff)
	}

	messages := m.requests[1].Messages
	n := len(messages)
	asked, measured, other := messages[n-3], messages[n-2], messages[n-1]
	if string(asked.Opaque) != `{"signature":"x"}` {
		t.Errorf("the provider's own data came back as %q", asked.Opaque)
	}
	if asked.ToolCalls[0].ID == "" || asked.ToolCalls[0].ID != measured.ToolCallID || other.ToolCallID != "given" {
		t.Errorf("calls %+v are answered by %q and %q", asked.ToolCalls, measured.ToolCallID, other.ToolCallID)
	}
	if measured.Role != model.ToolResult || !strings.HasPrefix(measured.Text, "Score 1\n") {
		t.Errorf("result of the first call: %+v", measured)
	}
	if !strings.HasPrefix(other.Text, "Not run: one call at a time") {
		t.Errorf("result of the second call: %q", other.Text)
	}

	// A text is answered by the user, a wrong call by its result.
	reask := m.requests[2].Messages
	if last := reask[len(reask)-1]; last.Role != model.User || !strings.Contains(last.Text, "calls no function") {
		t.Errorf("after a text: %+v", last)
	}
	reask = m.requests[3].Messages
	if last := reask[len(reask)-1]; last.Role != model.ToolResult || last.ToolCallID != "b" || !strings.Contains(last.Text, "did you mean open") {
		t.Errorf("after an unknown function: %+v", last)
	}
}
