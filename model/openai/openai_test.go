package openai_test

import (
	"fmt"
	"testing"
	"time"

	"mlgym/model"
	"mlgym/model/modeltest"
	"mlgym/model/modeltest/llamaserver"
	"mlgym/model/openai"
)

func opener(api openai.API) modeltest.Open {
	return func(t *testing.T, baseURL, key string, timeout time.Duration) model.Model {
		t.Helper()
		m, err := openai.New(openai.Options{Model: "m", APIKey: key, BaseURL: baseURL + "/v1", API: api, Timeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

func TestLive(t *testing.T) {
	url := llamaserver.Start(t)
	tests := []struct {
		api    openai.API
		quirks modeltest.Quirks
	}{
		{openai.Chat, modeltest.Quirks{NoTools: true}},
		// llama.cpp calls every answer of the Responses API complete.
		{openai.Responses, modeltest.Quirks{NoTools: true, NoMaxTokensStop: true}},
	}
	for _, tt := range tests {
		t.Run(string(tt.api), func(t *testing.T) {
			m := opener(tt.api)(t, url, "", 0)
			modeltest.TestLive(t, m, tt.quirks)
			t.Run("prompt too long", func(t *testing.T) { modeltest.TestContextLength(t, m, llamaserver.ContextTokens) })
		})
	}
}

func errorBody(status int, message string) string {
	return fmt.Sprintf(`{"error":{"message":%q,"type":"some_error","param":null,"code":%d}}`, message, status)
}

func TestFailures(t *testing.T) {
	for _, api := range []openai.API{openai.Chat, openai.Responses} {
		t.Run(string(api), func(t *testing.T) {
			modeltest.TestFailures(t, opener(api), errorBody,
				modeltest.Case{
					Name: "quota used up", Status: 429, Want: model.Unauthorized, Message: "insufficient_quota",
					Body: `{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`,
				},
				modeltest.Case{
					Name: "context length by code", Status: 400, Want: model.ContextLength, Message: "too many tokens",
					Body: `{"error":{"message":"too many tokens","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`,
				},
				modeltest.Case{
					Name: "context length of vLLM", Status: 400, Want: model.ContextLength,
					Body: `{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.","type":"BadRequestError","code":400}`,
				},
				modeltest.Case{
					Name: "detail of FastAPI", Status: 422, Want: model.BadRequest, Message: "field required",
					Body: `{"detail":[{"loc":["body","model"],"msg":"field required"}]}`,
				},
				modeltest.Case{Name: "milliseconds to wait", Status: 429, Header: map[string]string{"Retry-After-Ms": "1500"}, Body: errorBody(429, "slow"), Want: model.RateLimited, RetryAfter: 1500 * time.Millisecond},
			)
		})
	}
}
