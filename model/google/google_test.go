package google_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
	"mlgym/model/google"
	"mlgym/model/modeltest"
)

func open(t *testing.T, baseURL, key string, timeout time.Duration) model.Model {
	t.Helper()
	m, err := google.New(t.Context(), google.Options{Model: "gemini-test", APIKey: key, BaseURL: baseURL, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConformance(t *testing.T) {
	for name, withIDs := range map[string]bool{"calls with ids": true, "calls without ids": false} {
		t.Run(name, func(t *testing.T) {
			// The SDK prefers the environment in places; it must not matter.
			t.Setenv("GOOGLE_API_KEY", "from-the-environment")
			t.Setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
			t.Setenv("GOOGLE_GEMINI_BASE_URL", "http://environment.invalid")
			m := open(t, geminiServer(t, withIDs).URL, testKey, 0)
			modeltest.TestLive(t, m, modeltest.Quirks{})
			t.Run("prompt too long", func(t *testing.T) { modeltest.TestContextLength(t, m, testWindow) })
		})
	}
}

func TestFailures(t *testing.T) {
	body := func(status int, message string) string {
		return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q}}`, status, message, statusName(status))
	}
	modeltest.TestFailures(t, open, body,
		modeltest.Case{
			Name: "wrong key as a bad request", Status: 400, Want: model.Unauthorized, Message: "API key not valid",
			Body: `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}`,
		},
		modeltest.Case{
			Name: "pause in the details", Status: 429, Want: model.RateLimited, RetryAfter: 34500 * time.Millisecond, Message: "quota",
			Body: `{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}`,
		},
		modeltest.Case{Name: "error in a list", Status: 503, Want: model.Overloaded, Message: "busy", Body: `[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]`},
	)
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name, body string
		want       model.Response
	}{
		{
			name: "thoughts, text and a call",
			body: `{"candidates":[{"content":{"role":"model","parts":[{"text":"Hm.","thought":true},{"text":"I look."},{"functionCall":{"name":"f","args":{"x":1}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP"}],
				"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":5,"thoughtsTokenCount":7},"modelVersion":"v"}`,
			want: model.Response{
				Message: model.Message{
					Role: model.Assistant, Text: "I look.", Reasoning: "Hm.",
					ToolCalls: []model.ToolCall{{ID: "mlgym-call-1-0", Name: "f", Args: json.RawMessage(`{"x":1}`)}},
					Opaque:    json.RawMessage(`{"provider":"google","data":{"turn":1,"parts":[{"text":"Hm.","thought":true},{"text":"I look."},{"functionCall":{"args":{"x":1},"name":"f"},"thoughtSignature":"c2ln"}]}}`),
				},
				Usage:      model.Usage{InputTokens: 100, CachedTokens: 60, OutputTokens: 12, ReasoningTokens: 7},
				StopReason: model.StopToolCalls, Model: "v",
			},
		},
		{
			name: "prompt blocked",
			body: `{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3},"modelVersion":"v"}`,
			want: model.Response{Message: model.Message{Role: model.Assistant}, Usage: model.Usage{InputTokens: 3}, StopReason: model.StopRefusal, Model: "v"},
		},
		{
			name: "answer blocked",
			body: `{"candidates":[{"finishReason":"SAFETY"}],"usageMetadata":{"promptTokenCount":3}}`,
			want: model.Response{Message: model.Message{Role: model.Assistant}, Usage: model.Usage{InputTokens: 3}, StopReason: model.StopRefusal},
		},
		{
			name: "malformed call",
			body: `{"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL"}],"usageMetadata":{"promptTokenCount":3}}`,
			want: model.Response{Message: model.Message{Role: model.Assistant}, Usage: model.Usage{InputTokens: 3}, StopReason: model.StopOther},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			got, err := open(t, server.URL, testKey, 0).Generate(t.Context(), &model.Request{Messages: []model.Message{{Role: model.User, Text: "Hi."}}})
			if err != nil {
				t.Fatal(err)
			}
			got.Latency = 0
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResultOfUnknownCall(t *testing.T) {
	_, err := open(t, "http://127.0.0.1:1", testKey, 0).Generate(t.Context(), &model.Request{Messages: []model.Message{
		{Role: model.User, Text: "Hi."}, {Role: model.ToolResult, ToolCallID: "lost", Text: "x"},
	}})
	if err == nil || !strings.Contains(err.Error(), `"lost"`) {
		t.Errorf("error = %v, want one that names the call", err)
	}
}

func TestNewNeedsAKeyForGoogle(t *testing.T) {
	t.Setenv("GEMINI_API_KEY", "from-the-environment")
	_, err := google.New(t.Context(), google.Options{Model: "gemini-test"})
	if model.KindOf(err) != model.Unauthorized || !strings.Contains(err.Error(), "GEMINI_API_KEY") {
		t.Errorf("New without a key = %v, want one of kind %q that says how to give one", err, model.Unauthorized)
	}
}
