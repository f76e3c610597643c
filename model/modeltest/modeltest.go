// Package modeltest is the conformance suite of [model.Model]: every provider
// runs it, so that what is around a model need not know which one it is.
//
// [TestLive] asks a real server, or one that speaks its format. [TestFailures]
// puts failing servers in its place.
package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"mlgym/model"
)

// Quirks are what a server, not the provider's code, cannot do.
type Quirks struct {
	// NoMaxTokensStop: the server does not say that it stopped for want of tokens.
	NoMaxTokensStop bool
	// NoTools: the server's model is too weak to call a tool when it should; the
	// round trip is tested with a call that the test makes up.
	NoTools bool
}

// weather is the tool of the suite.
var weather = model.ToolSpec{
	Name:        "get_weather",
	Description: "Tells the weather of a city.",
	Parameters:  json.RawMessage(`{"type":"object","properties":{"city":{"type":"string","description":"the city's name"}},"required":["city"]}`),
}

func user(text string) model.Message { return model.Message{Role: model.User, Text: text} }

// TestLive checks one model against a server that answers.
func TestLive(t *testing.T, m model.Model, quirks Quirks) {
	ask := func(t *testing.T, req *model.Request) *model.Response {
		t.Helper()
		resp, err := m.Generate(t.Context(), req)
		if err != nil {
			t.Fatalf("Generate(%+v) = error %v", req, err)
		}
		checkResponse(t, resp)
		return resp
	}
	t.Run("text", func(t *testing.T) {
		resp := ask(t, &model.Request{
			Messages:    []model.Message{{Role: model.System, Text: "You are brief."}, user("Say hello.")},
			Temperature: new(0.0), TopP: new(1.0), MaxTokens: 64, Seed: new(int64(7)),
		})
		if resp.Message.Text == "" {
			t.Error("the answer has no text")
		}
		if resp.Model == "" {
			t.Error("the answer does not name its model")
		}
		if resp.Latency <= 0 {
			t.Errorf("latency = %v, want more than 0", resp.Latency)
		}
	})
	t.Run("several turns", func(t *testing.T) {
		messages := []model.Message{{Role: model.System, Text: "You are brief."}, user("Name a colour.")}
		first := ask(t, &model.Request{Messages: messages, MaxTokens: 16, Temperature: new(0.0)})
		messages = append(messages, first.Message, user("Another one."))
		second := ask(t, &model.Request{Messages: messages, MaxTokens: 16, Temperature: new(0.0)})
		if second.Usage.InputTokens <= first.Usage.InputTokens {
			t.Errorf("input tokens of the second turn = %d, want more than the first's %d", second.Usage.InputTokens, first.Usage.InputTokens)
		}
	})
	t.Run("neighbouring turns of one side", func(t *testing.T) {
		ask(t, &model.Request{
			Messages:  []model.Message{user("One."), user("Two."), {Role: model.Assistant, Text: "Three."}, {Role: model.System, Text: "Be kind."}, user("Four.")},
			MaxTokens: 8,
		})
	})
	t.Run("stop by max tokens", func(t *testing.T) {
		resp := ask(t, &model.Request{Messages: []model.Message{user("Count from one to one hundred in words.")}, MaxTokens: 4, Temperature: new(0.0)})
		if resp.StopReason != model.StopMaxTokens && !quirks.NoMaxTokensStop {
			t.Errorf("stop reason = %q, want %q", resp.StopReason, model.StopMaxTokens)
		}
		if resp.Usage.OutputTokens > 4 {
			t.Errorf("output tokens = %d, want at most 4", resp.Usage.OutputTokens)
		}
	})
	t.Run("tool round trip", func(t *testing.T) { testTools(t, m, quirks) })
	t.Run("malformed arguments of a tool", func(t *testing.T) {
		// A model wrote them; the conversation must go on.
		ask(t, &model.Request{
			Messages: []model.Message{
				user("What is the weather in Paris?"),
				{Role: model.Assistant, ToolCalls: []model.ToolCall{{ID: "call_1", Name: weather.Name, Args: model.RawArgs(`["Paris`)}}},
				{Role: model.ToolResult, ToolCallID: "call_1", Text: "error: the arguments are not an object"},
			},
			Tools: []model.ToolSpec{weather}, MaxTokens: 8,
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := m.Generate(ctx, &model.Request{Messages: []model.Message{user("Hello.")}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Generate under a cancelled context = %v, want context.Canceled", err)
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		failed := make(chan error, 3)
		for range cap(failed) {
			go func() {
				_, err := m.Generate(t.Context(), &model.Request{Messages: []model.Message{user("Hi.")}, MaxTokens: 4})
				failed <- err
			}()
		}
		for range cap(failed) {
			if err := <-failed; err != nil {
				t.Errorf("one of several calls at once: %v", err)
			}
		}
	})
}

func testTools(t *testing.T, m model.Model, quirks Quirks) {
	messages := []model.Message{user("What is the weather in Paris? Use the tool.")}
	req := &model.Request{Messages: messages, Tools: []model.ToolSpec{weather}, MaxTokens: 64, Temperature: new(0.0)}
	first, err := m.Generate(t.Context(), req)
	if err != nil {
		t.Fatalf("with a tool: %v", err)
	}
	checkResponse(t, first)
	called := first.Message
	if len(called.ToolCalls) == 0 {
		if !quirks.NoTools {
			t.Fatalf("the model calls no tool; it says %q", called.Text)
		}
		called = model.Message{Role: model.Assistant, Text: "I will look.", ToolCalls: []model.ToolCall{
			{ID: "call_1", Name: weather.Name, Args: json.RawMessage(`{"city":"Paris"}`)},
		}}
	} else {
		if first.StopReason != model.StopToolCalls {
			t.Errorf("stop reason with a tool call = %q, want %q", first.StopReason, model.StopToolCalls)
		}
		if got := called.ToolCalls[0].Name; got != weather.Name {
			t.Errorf("tool called = %q, want %q", got, weather.Name)
		}
		var args struct{ City string }
		if err := json.Unmarshal(called.ToolCalls[0].Args, &args); err != nil || args.City == "" {
			t.Errorf("arguments = %s (%v), want an object with a city", called.ToolCalls[0].Args, err)
		}
	}
	messages = append(messages, called)
	for _, call := range called.ToolCalls {
		messages = append(messages, model.Message{Role: model.ToolResult, ToolCallID: call.ID, Text: "sunny, 21 degrees"})
	}
	req.Messages = messages
	second, err := m.Generate(t.Context(), req)
	if err != nil {
		t.Fatalf("with the tool's result: %v", err)
	}
	checkResponse(t, second)
}

// checkResponse holds for every answer.
func checkResponse(t *testing.T, resp *model.Response) {
	t.Helper()
	if resp.Message.Role != model.Assistant {
		t.Errorf("role = %q, want %q", resp.Message.Role, model.Assistant)
	}
	u := resp.Usage
	if u.InputTokens <= 0 || u.OutputTokens < 0 {
		t.Errorf("usage = %+v, want input tokens above 0 and output tokens from 0", u)
	}
	if u.CachedTokens+u.CacheWriteTokens > u.InputTokens {
		t.Errorf("usage = %+v: cached tokens exceed input tokens", u)
	}
	if u.ReasoningTokens > u.OutputTokens {
		t.Errorf("usage = %+v: reasoning tokens exceed output tokens", u)
	}
	switch resp.StopReason {
	case model.StopEnd, model.StopToolCalls, model.StopMaxTokens, model.StopRefusal, model.StopOther:
	default:
		t.Errorf("stop reason = %q, want one of the constants", resp.StopReason)
	}
	for _, call := range resp.Message.ToolCalls {
		if call.ID == "" || call.Name == "" || !json.Valid(call.Args) {
			t.Errorf("tool call %+v: want an id, a name and valid JSON", call)
		}
	}
	if _, err := json.Marshal(resp); err != nil {
		t.Errorf("the response does not marshal: %v", err)
	}
}

// TestContextLength checks that a prompt of several times the window is refused
// as such.
func TestContextLength(t *testing.T, m model.Model, windowTokens int) {
	_, err := m.Generate(t.Context(), &model.Request{Messages: []model.Message{user(strings.Repeat("one two three ", windowTokens))}, MaxTokens: 4})
	if got := model.KindOf(err); got != model.ContextLength {
		t.Errorf("kind of a prompt that does not fit = %q (%v), want %q", got, err, model.ContextLength)
	}
}
