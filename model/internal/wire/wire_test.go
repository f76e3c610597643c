package wire

import (
	"net/http"
	"testing"
	"unicode/utf8"

	"mlgym/model"
)

func TestParseFailure(t *testing.T) {
	tests := []struct{ name, body, message, code, kind string }{
		{"OpenAI", `{"error":{"message":"m","type":"t","param":null,"code":"c"}}`, "m", "c", "t"},
		{"OpenAI without a code", `{"error":{"message":"m","type":"t","code":null}}`, "m", "", "t"},
		{"llama.cpp", `{"error":{"code":400,"message":"m","type":"t"}}`, "m", "", "t"},
		{"Anthropic", `{"type":"error","error":{"type":"t","message":"m"}}`, "m", "", "t"},
		{"Google", `{"error":{"code":400,"message":"m","status":"INVALID"}}`, "m", "INVALID", ""},
		{"a list", `[{"error":{"code":400,"message":"m","status":"INVALID"}}]`, "m", "INVALID", ""},
		{"Ollama", `{"error":"m"}`, "m", "", ""},
		{"vLLM", `{"object":"error","message":"m","type":"t","code":400}`, "m", "", ""},
		{"FastAPI", `{"detail":"m"}`, "m", "", ""},
		{"FastAPI, validation", `{"detail":[{"msg":"m"}]}`, `[{"msg":"m"}]`, "", ""},
		{"another object", `{"a":1}`, `{"a":1}`, "", ""},
		{"text", `m`, "m", "", ""},
		{"nothing", ``, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := parseFailure(400, nil, []byte(tt.body))
			if f.Message != tt.message || f.Code != tt.code || f.Type != tt.kind {
				t.Errorf("parseFailure(%s) = message %q, code %q, type %q; want %q, %q, %q", tt.body, f.Message, f.Code, f.Type, tt.message, tt.code, tt.kind)
			}
		})
	}
}

func FuzzParseFailure(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"m","type":"t","code":"c"}}`))
	f.Add([]byte(`[{"error":"x"}]`))
	f.Add([]byte("<html>\xff</html>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		failure := parseFailure(http.StatusBadRequest, http.Header{}, body)
		err := model.StatusError("p", failure.Status, failure.Header, failure.text(), "sk-secret-key")
		if len(err.Message) > 700 || utf8.Valid(body) && !utf8.ValidString(err.Message) {
			t.Errorf("message of %q = %q, want a bounded valid text", body, err.Message)
		}
	})
}
