package anthropic_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
	"mlgym/model/anthropic"
)

// exchange sends req to a server that answers body, and returns the JSON that the
// server got.
func exchange(t *testing.T, opts anthropic.Options, req *model.Request, body string) (resp *model.Response, sent map[string]any) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/messages" || r.Header.Get("Anthropic-Version") == "" {
			t.Errorf("path %q with version %q, want /v1/messages and a version", r.URL.Path, r.Header.Get("Anthropic-Version"))
		}
		raw, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(raw, &sent) != nil {
			t.Errorf("the request's body is not JSON: %s (%v)", raw, err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	opts.Model, opts.BaseURL = "m", server.URL+"/v1"
	m, err := anthropic.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	resp, err = m.Generate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Latency = 0
	return resp, sent
}

func tree(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

const plain = `{"id":"x","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`

func TestRequest(t *testing.T) {
	temperature := 0.5
	messages := []model.Message{
		{Role: model.System, Text: "Be brief."},
		{Role: model.User, Text: "Weather?"},
		{Role: model.Assistant, Text: "I look.", ToolCalls: []model.ToolCall{
			{ID: "c1", Name: "f", Args: json.RawMessage(`{"x":1}`)}, {ID: "c2", Name: "f", Args: model.RawArgs(`{"x":`)},
		}},
		{Role: model.ToolResult, ToolCallID: "c1", Text: "sunny"},
		{Role: model.ToolResult, ToolCallID: "c2", Text: " "},
		{Role: model.System, Text: "Hurry."},
	}
	tools := []model.ToolSpec{{Name: "f", Description: "d", Parameters: json.RawMessage(`{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false}`)}}
	turns := `[
		{"role":"user","content":[{"type":"text","text":"Weather?"}]},
		{"role":"assistant","content":[{"type":"text","text":"I look."},
			{"type":"tool_use","id":"c1","name":"f","input":{"x":1}},
			{"type":"tool_use","id":"c2","name":"f","input":{"malformed":"{\"x\":"}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"sunny"}]},
			{"type":"tool_result","tool_use_id":"c2"},
			{"type":"text","text":"Hurry."CACHE}]}]`
	tool := `[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false}}]`
	tests := []struct {
		name string
		opts anthropic.Options
		req  model.Request
		want string
	}{
		{
			"everything",
			anthropic.Options{},
			model.Request{Messages: messages, Tools: tools, Temperature: &temperature, MaxTokens: 99, Stop: []string{"END"}},
			`{"model":"m","max_tokens":99,"temperature":0.5,"stop_sequences":["END"],
				"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
				"messages":` + replace(turns, `,"cache_control":{"type":"ephemeral"}`) + `,"tools":` + tool + `}`,
		},
		{
			"without cache markers",
			anthropic.Options{NoCache: true},
			model.Request{Messages: messages, Tools: tools},
			`{"model":"m","max_tokens":8192,"system":[{"type":"text","text":"Be brief."}],"messages":` + replace(turns, ``) + `,"tools":` + tool + `}`,
		},
		{
			"thinking with a budget",
			anthropic.Options{NoCache: true, ThinkingTokens: 2048},
			model.Request{Messages: messages[1:2]},
			`{"model":"m","max_tokens":10240,"thinking":{"type":"enabled","budget_tokens":2048},"messages":[{"role":"user","content":[{"type":"text","text":"Weather?"}]}]}`,
		},
		{
			"adaptive thinking",
			anthropic.Options{NoCache: true, ThinkingTokens: anthropic.Adaptive},
			model.Request{Messages: messages[1:2], MaxTokens: 64000},
			`{"model":"m","max_tokens":64000,"thinking":{"type":"adaptive"},"messages":[{"role":"user","content":[{"type":"text","text":"Weather?"}]}]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, sent := exchange(t, tt.opts, &tt.req, plain)
			if diff := cmp.Diff(tree(t, tt.want), sent); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func replace(turns, marker string) string {
	return strings.Replace(turns, "CACHE", marker, 1)
}

const thinkingAnswer = `{"id":"x","type":"message","role":"assistant","model":"m-1","content":[
	{"type":"thinking","thinking":"hm","signature":"SIGNED"},
	{"type":"redacted_thinking","data":"HIDDEN"},
	{"type":"text","text":"I look."},
	{"type":"tool_use","id":"c9","name":"f","input":{"x":1}}],
	"stop_reason":"tool_use","usage":{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":5,"output_tokens":7,"output_tokens_details":{"thinking_tokens":4}}}`

// TestKeepsThinking checks that signed thoughts go back as they came, unless the
// message was edited.
func TestKeepsThinking(t *testing.T) {
	opts := anthropic.Options{NoCache: true}
	first, _ := exchange(t, opts, &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}}}, thinkingAnswer)
	want := model.Response{
		Message: model.Message{
			Role: model.Assistant, Text: "I look.", Reasoning: "hm", Opaque: first.Message.Opaque,
			ToolCalls: []model.ToolCall{{ID: "c9", Name: "f", Args: json.RawMessage(`{"x":1}`)}},
		},
		Usage:      model.Usage{InputTokens: 115, OutputTokens: 7, CachedTokens: 100, CacheWriteTokens: 5, ReasoningTokens: 4},
		StopReason: model.StopToolCalls, Model: "m-1",
	}
	if diff := cmp.Diff(want, *first); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	// A record on disk must not lose it.
	raw, err := json.Marshal(first.Message)
	if err != nil {
		t.Fatal(err)
	}
	var stored model.Message
	if err := json.Unmarshal(raw, &stored); err != nil {
		t.Fatal(err)
	}
	next := &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}, stored, {Role: model.ToolResult, ToolCallID: "c9", Text: "ok"}}}
	_, sent := exchange(t, opts, next, plain)
	got := sent["messages"].([]any)[1].(map[string]any)["content"]
	if diff := cmp.Diff(tree(t, thinkingAnswer)["content"], got); diff != "" {
		t.Errorf("assistant's blocks (-want +got):\n%s", diff)
	}
	next.Messages[1].Text = "edited"
	_, sent = exchange(t, opts, next, plain)
	got = sent["messages"].([]any)[1].(map[string]any)["content"]
	wantEdited := []any{
		map[string]any{"type": "text", "text": "edited"},
		map[string]any{"type": "tool_use", "id": "c9", "name": "f", "input": map[string]any{"x": 1.0}},
	}
	if diff := cmp.Diff(wantEdited, got); diff != "" {
		t.Errorf("an edited assistant's blocks (-want +got):\n%s", diff)
	}
}

func TestStopReasons(t *testing.T) {
	tests := map[string]model.StopReason{
		"end_turn": model.StopEnd, "stop_sequence": model.StopEnd, "max_tokens": model.StopMaxTokens,
		"model_context_window_exceeded": model.StopMaxTokens, "refusal": model.StopRefusal, "pause_turn": model.StopOther, "new": model.StopOther,
	}
	for reason, want := range tests {
		t.Run(reason, func(t *testing.T) {
			body := `{"type":"message","role":"assistant","content":[],"stop_reason":"` + reason + `","usage":{"input_tokens":1}}`
			got, _ := exchange(t, anthropic.Options{}, &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}}}, body)
			if got.StopReason != want {
				t.Errorf("stop reason of %q = %q, want %q", reason, got.StopReason, want)
			}
		})
	}
}

func TestOnlySystem(t *testing.T) {
	m, err := anthropic.New(anthropic.Options{Model: "m", BaseURL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Generate(t.Context(), &model.Request{Messages: []model.Message{{Role: model.System, Text: "x"}}}); err == nil || model.KindOf(err) == model.Unreachable {
		t.Errorf("a request of system messages only = %v, want to be refused before it is sent", err)
	}
}
