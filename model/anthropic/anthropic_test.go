package anthropic_test

import (
	"fmt"
	"testing"
	"time"

	"mlgym/model"
	"mlgym/model/anthropic"
	"mlgym/model/modeltest"
	"mlgym/model/modeltest/llamaserver"
)

func open(t *testing.T, baseURL, key string, timeout time.Duration) model.Model {
	t.Helper()
	m, err := anthropic.New(anthropic.Options{Model: "m", APIKey: key, BaseURL: baseURL, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLive(t *testing.T) {
	m := open(t, llamaserver.Start(t), "", 0)
	modeltest.TestLive(t, m, modeltest.Quirks{NoTools: true})
	t.Run("prompt too long", func(t *testing.T) { modeltest.TestContextLength(t, m, llamaserver.ContextTokens) })
}

func TestFailures(t *testing.T) {
	body := func(status int, message string) string {
		kind := map[int]string{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}[status]
		return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q},"request_id":"req_1"}`, kind, message)
	}
	modeltest.TestFailures(t, open, body,
		modeltest.Case{Name: "request too large", Status: 413, Body: body(413, "Request exceeds the maximum size"), Want: model.ContextLength},
		modeltest.Case{Name: "with max_tokens too long", Status: 400, Body: body(400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"), Want: model.ContextLength},
		modeltest.Case{Name: "no credit", Status: 400, Body: body(400, "Your credit balance is too low to access the Anthropic API."), Want: model.Unauthorized, Message: "credit balance"},
	)
}
