package openai_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
	"mlgym/model/openai"
)

// exchange sends req to a server that answers body, and returns the path and the
// JSON that the server got.
func exchange(t *testing.T, opts openai.Options, req *model.Request, body string) (resp *model.Response, path string, sent map[string]any) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		raw, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(raw, &sent) != nil {
			t.Errorf("the request's body is not JSON: %s (%v)", raw, err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	opts.Model, opts.BaseURL = "m", server.URL+"/v1"
	m, err := openai.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	resp, err = m.Generate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Latency = 0
	return resp, path, sent
}

func tree(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// conversation uses everything that a request can hold.
func conversation() *model.Request {
	temperature, topP, seed := 0.5, 0.9, int64(7)
	return &model.Request{
		Messages: []model.Message{
			{Role: model.System, Text: "Be brief."},
			{Role: model.User, Text: "Weather?"},
			{Role: model.Assistant, Text: "I look.", ToolCalls: []model.ToolCall{{ID: "c1", Name: "f", Args: json.RawMessage(`{"x":1}`)}}},
			{Role: model.ToolResult, ToolCallID: "c1", Text: "sunny"},
			{Role: model.Assistant, ToolCalls: []model.ToolCall{{ID: "c2", Name: "f", Args: model.RawArgs(`{"x":`)}}},
			{Role: model.ToolResult, ToolCallID: "c2", Text: ""},
		},
		Tools:       []model.ToolSpec{{Name: "f", Description: "d", Parameters: json.RawMessage(`{"type":"object","properties":{"x":{"type":"integer"}}}`)}},
		Temperature: &temperature, TopP: &topP, MaxTokens: 99, Seed: &seed,
	}
}

func TestChatRequest(t *testing.T) {
	req := conversation()
	req.Stop = []string{"END"}
	_, path, sent := exchange(t, openai.Options{ReasoningEffort: "low"}, req, `{"choices":[{"finish_reason":"stop","message":{"content":"x"}}]}`)
	if path != "/v1/chat/completions" {
		t.Errorf("path = %q, want /v1/chat/completions", path)
	}
	want := tree(t, `{"model":"m","messages":[
		{"role":"system","content":"Be brief."},
		{"role":"user","content":"Weather?"},
		{"role":"assistant","content":"I look.","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
		{"role":"tool","tool_call_id":"c1","content":"sunny"},
		{"role":"assistant","tool_calls":[{"id":"c2","type":"function","function":{"name":"f","arguments":"{\"x\":"}}]},
		{"role":"tool","tool_call_id":"c2","content":""}],
		"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"x":{"type":"integer"}}}}}],
		"temperature":0.5,"top_p":0.9,"max_tokens":99,"seed":7,"stop":["END"],"reasoning_effort":"low"}`)
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestChatAnswers(t *testing.T) {
	tests := []struct {
		name, body string
		want       model.Response
	}{
		{
			name: "text with reasoning and cached tokens",
			body: `{"model":"m-1","choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"hi","reasoning_content":"hm"}}],
				"usage":{"prompt_tokens":10,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":5}}}`,
			want: model.Response{
				Message: model.Message{Role: model.Assistant, Text: "hi", Reasoning: "hm"},
				Usage:   model.Usage{InputTokens: 10, OutputTokens: 7, CachedTokens: 4, ReasoningTokens: 5}, StopReason: model.StopEnd, Model: "m-1",
			},
		},
		{
			name: "calls, one malformed, one without an id, from a server that says stop",
			body: `{"choices":[{"finish_reason":"stop","message":{"content":null,"tool_calls":[
				{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}},
				{"type":"function","function":{"name":"g","arguments":"{\"x\":"}},
				{"id":"b","function":{"name":"h","arguments":""}}]}}]}`,
			want: model.Response{
				Message: model.Message{Role: model.Assistant, ToolCalls: []model.ToolCall{
					{ID: "a", Name: "f", Args: json.RawMessage(`{"x": 1}`)},
					{ID: "call_1", Name: "g", Args: json.RawMessage(`"{\"x\":"`)},
					{ID: "b", Name: "h", Args: json.RawMessage(`{}`)},
				}},
				StopReason: model.StopToolCalls,
			},
		},
		{
			name: "refusal",
			body: `{"choices":[{"finish_reason":"stop","message":{"content":null,"refusal":"I will not."}}]}`,
			want: model.Response{Message: model.Message{Role: model.Assistant, Text: "I will not."}, StopReason: model.StopRefusal},
		},
		{
			name: "filtered",
			body: `{"choices":[{"finish_reason":"content_filter","message":{"content":""}}]}`,
			want: model.Response{Message: model.Message{Role: model.Assistant}, StopReason: model.StopRefusal},
		},
		{
			name: "cut",
			body: `{"choices":[{"finish_reason":"length","message":{"content":"a"}}]}`,
			want: model.Response{Message: model.Message{Role: model.Assistant, Text: "a"}, StopReason: model.StopMaxTokens},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, _ := exchange(t, openai.Options{}, &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}}}, tt.body)
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

const responsesAnswer = `{"id":"r","object":"response","status":"completed","model":"m-1","output":[
	{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"SECRETSTATE"},
	{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"I look.","annotations":[]}]},
	{"type":"function_call","id":"fc_1","call_id":"c9","name":"f","arguments":"{\"x\":1}","status":"completed"}],
	"usage":{"input_tokens":10,"output_tokens":7,"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":5}}}`

func TestResponsesRequest(t *testing.T) {
	_, path, sent := exchange(t, openai.Options{API: openai.Responses, ReasoningEffort: "low"}, conversation(), responsesAnswer)
	if path != "/v1/responses" {
		t.Errorf("path = %q, want /v1/responses", path)
	}
	want := tree(t, `{"model":"m","store":false,"include":["reasoning.encrypted_content"],"input":[
		{"role":"system","content":"Be brief."},
		{"role":"user","content":"Weather?"},
		{"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look.","annotations":[]}]},
		{"type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\":1}"},
		{"type":"function_call_output","call_id":"c1","output":"sunny"},
		{"type":"function_call","call_id":"c2","name":"f","arguments":"{\"x\":"},
		{"type":"function_call_output","call_id":"c2","output":""}],
		"tools":[{"type":"function","name":"f","description":"d","strict":false,"parameters":{"type":"object","properties":{"x":{"type":"integer"}}}}],
		"temperature":0.5,"top_p":0.9,"max_output_tokens":99,"reasoning":{"effort":"low"}}`)
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// TestResponsesKeepsReasoning checks that the server's items, encrypted
// reasoning included, go back as they came, unless the message was edited.
func TestResponsesKeepsReasoning(t *testing.T) {
	opts := openai.Options{API: openai.Responses}
	first, _, _ := exchange(t, opts, &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}}}, responsesAnswer)
	want := model.Response{
		Message: model.Message{
			Role: model.Assistant, Text: "I look.", Reasoning: "hm", Opaque: first.Message.Opaque,
			ToolCalls: []model.ToolCall{{ID: "c9", Name: "f", Args: json.RawMessage(`{"x":1}`)}},
		},
		Usage:      model.Usage{InputTokens: 10, OutputTokens: 7, CachedTokens: 4, ReasoningTokens: 5},
		StopReason: model.StopToolCalls, Model: "m-1",
	}
	if diff := cmp.Diff(want, *first); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	next := &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}, first.Message, {Role: model.ToolResult, ToolCallID: "c9", Text: "ok"}}}
	_, _, sent := exchange(t, opts, next, responsesAnswer)
	wantInput := append(append([]any{map[string]any{"role": "user", "content": "x"}}, tree(t, responsesAnswer)["output"].([]any)...),
		map[string]any{"type": "function_call_output", "call_id": "c9", "output": "ok"})
	if diff := cmp.Diff(wantInput, sent["input"]); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	next.Messages[1].Text = "edited"
	_, _, sent = exchange(t, opts, next, responsesAnswer)
	if got := len(sent["input"].([]any)); got != 4 {
		t.Errorf("items of an edited conversation = %d, want 4 without the reasoning: %v", got, sent["input"])
	}
}

func TestResponsesAnswers(t *testing.T) {
	tests := []struct {
		name, body string
		stop       model.StopReason
		text       string
	}{
		{"cut", `{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]}`, model.StopMaxTokens, ""},
		{"filtered", `{"status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[]}`, model.StopRefusal, ""},
		{"refusal", `{"status":"completed","output":[{"type":"message","content":[{"type":"refusal","refusal":"No."}]}]}`, model.StopRefusal, "No."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, _ := exchange(t, openai.Options{API: openai.Responses}, &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}}}, tt.body)
			if got.StopReason != tt.stop || got.Message.Text != tt.text {
				t.Errorf("stop %q, text %q; want %q, %q", got.StopReason, got.Message.Text, tt.stop, tt.text)
			}
		})
	}
}

func TestNew(t *testing.T) {
	tests := []struct {
		name string
		opts openai.Options
		ok   bool
	}{
		{"a local server without a key", openai.Options{Model: "m", BaseURL: "http://127.0.0.1:8000/v1"}, true},
		{"OpenAI with a key", openai.Options{Model: "m", APIKey: "sk-something"}, true},
		{"OpenAI without a key", openai.Options{Model: "m"}, false},
		{"no model", openai.Options{APIKey: "sk-something"}, false},
		{"a base URL without a scheme", openai.Options{Model: "m", BaseURL: "localhost:8000/v1"}, false},
		{"a key with a line break", openai.Options{Model: "m", APIKey: "sk-something\n"}, false},
		{"an unknown API", openai.Options{Model: "m", APIKey: "sk-something", API: "assistants"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := openai.New(tt.opts); (err == nil) != tt.ok {
				t.Errorf("New(%+v) = %v, want success: %t", tt.opts, err, tt.ok)
			}
		})
	}
}
