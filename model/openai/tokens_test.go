package openai_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
	"mlgym/model/modeltest/llamaserver"
	"mlgym/model/openai"
)

var tokensAsked = &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}}, Tokens: true}

// TestTokensAreAskedFor checks that nothing is asked for unless it is wanted, and
// what is.
func TestTokensAreAskedFor(t *testing.T) {
	const body = `{"choices":[{"finish_reason":"stop","message":{"content":"x"}}]}`
	plain, _, sent := exchange(t, openai.Options{}, &model.Request{Messages: tokensAsked.Messages}, body)
	for _, key := range []string{"logprobs", "top_logprobs", "return_token_ids", "verbose"} {
		if _, ok := sent[key]; ok {
			t.Errorf("%s is asked for without --record-tokens", key)
		}
	}
	got, _, sent := exchange(t, openai.Options{}, tokensAsked, body)
	if sent["logprobs"] != true || sent["return_token_ids"] != true || sent["return_tokens"] != true {
		t.Errorf("asked for %v", sent)
	}
	if plain.Tokens != nil || got.Tokens != nil {
		t.Errorf("a server without tokens: %+v and %+v, want none", plain.Tokens, got.Tokens)
	}
}

func TestTokens(t *testing.T) {
	answer := func(extra, choice, usage string) string {
		return `{` + extra + `"choices":[{"finish_reason":"stop","message":{"content":"x"}` + choice + `}],"usage":{` + usage + `}}`
	}
	tests := []struct {
		name, body string
		want       *model.TokenRecord
	}{
		{
			"vLLM",
			answer(`"prompt_token_ids":[1,2,3],`, `,"token_ids":[4,5],"logprobs":{"content":[{"token":"a","logprob":-0.5,"bytes":[97]},{"token":"b","logprob":-9999.0}]}`, `"prompt_tokens":3,"completion_tokens":2`),
			&model.TokenRecord{PromptIDs: []int{1, 2, 3}, IDs: []int{4, 5}, LogProbs: []float64{-0.5, -9999}},
		},
		{
			"vLLM without what it calls null",
			answer(`"prompt_token_ids":null,`, `,"token_ids":null,"logprobs":null`, `"prompt_tokens":3,"completion_tokens":2`),
			nil,
		},
		{
			"OpenAI has probabilities and no numbers",
			answer("", `,"logprobs":{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]}]}`, `"prompt_tokens":3,"completion_tokens":1`),
			&model.TokenRecord{LogProbs: []float64{-0.5}},
		},
		{
			"llama.cpp without its field for debugging",
			answer("", `,"logprobs":{"content":[{"id":4,"logprob":-0.5},{"id":5,"logprob":0.0000001}]}`, `"prompt_tokens":3,"completion_tokens":2`),
			&model.TokenRecord{IDs: []int{4, 5}, LogProbs: []float64{-0.5, 0}},
		},
		{
			"llama.cpp with one entry for the three tokens of a letter",
			answer(`"__verbose":{"tokens":[7,8,9],"prompt":""},`, `,"logprobs":{"content":[{"id":9,"logprob":-0.5}]}`, `"prompt_tokens":3,"completion_tokens":3`),
			&model.TokenRecord{IDs: []int{7, 8, 9}},
		},
		{
			"one entry for three tokens, and nothing that tells the others",
			answer("", `,"logprobs":{"content":[{"id":9,"logprob":-0.5}]}`, `"prompt_tokens":3,"completion_tokens":3`),
			nil,
		},
		{
			"probabilities of other tokens",
			answer(`"prompt_token_ids":[1],`, `,"token_ids":[4,5],"logprobs":{"content":[{"id":4,"logprob":-1},{"id":6,"logprob":-1}]}`, `"prompt_tokens":1,"completion_tokens":2`),
			&model.TokenRecord{PromptIDs: []int{1}, IDs: []int{4, 5}},
		},
		{"no numbers", answer(`"prompt_token_ids":["a"],`, `,"token_ids":[4]`, `"prompt_tokens":1,"completion_tokens":1`), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, _ := exchange(t, openai.Options{}, tokensAsked, tt.body)
			if got.Message.Text != "x" {
				t.Errorf("the answer is %+v, want it whatever its tokens", got.Message)
			}
			if diff := cmp.Diff(tt.want, got.Tokens); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPromptTokens has a server like llama.cpp's tell the tokens of the prompt when
// it is asked.
func TestPromptTokens(t *testing.T) {
	for _, tt := range []struct {
		name, tokens string
		status       int
		want         []int
	}{
		{"as many as the completion had", `{"tokens":[1,2,3]}`, 200, []int{1, 2, 3}},
		{"more than the completion had", `{"tokens":[0,1,2,3]}`, 200, nil},
		{"no such address", `{"error":"not found"}`, 404, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Path == "/tokenize" {
					w.WriteHeader(tt.status)
					_, _ = w.Write([]byte(tt.tokens))
					return
				}
				_, _ = w.Write([]byte(`{"__verbose":{"tokens":[7],"prompt":"<user>x"},"choices":[{"finish_reason":"stop","message":{"content":"x"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`))
			}))
			defer server.Close()
			m, err := openai.New(openai.Options{Model: "m", BaseURL: server.URL + "/v1"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Generate(t.Context(), tokensAsked)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&model.TokenRecord{PromptIDs: tt.want, IDs: []int{7}}, got.Tokens); diff != "" {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLiveTokens asks a real model: what it says of its tokens must fit its count of
// them, and its prompt must begin and go on as its template has it.
func TestLiveTokens(t *testing.T) {
	m := opener(openai.Chat)(t, llamaserver.Start(t), "", 0)
	ask := func(req *model.Request) *model.Response {
		t.Helper()
		req.Tokens, req.Temperature = true, new(0.0)
		got, err := m.Generate(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if got.Tokens == nil || int64(len(got.Tokens.PromptIDs)) != got.Usage.InputTokens || int64(len(got.Tokens.IDs)) != got.Usage.OutputTokens {
			t.Fatalf("tokens %+v do not fit %+v", got.Tokens, got.Usage)
		}
		return got
	}
	first := []model.Message{{Role: model.User, Text: "What is 2+2? Answer with one number."}}
	one := ask(&model.Request{Messages: first, MaxTokens: 60})
	if !one.Tokens.Complete() || one.StopReason != model.StopEnd {
		t.Errorf("an answer in plain letters: %+v, %s; want all of its tokens to its end", one.Tokens, one.StopReason)
	}
	// The next request repeats the whole of the first, and what the model answered.
	two := ask(&model.Request{Messages: append(first, one.Message, model.Message{Role: model.User, Text: "And 3+3?"}), MaxTokens: 8})
	if len(two.Tokens.PromptIDs) <= len(one.Tokens.PromptIDs) {
		t.Fatalf("a prompt of %d tokens follows one of %d", len(two.Tokens.PromptIDs), len(one.Tokens.PromptIDs))
	}
	if diff := cmp.Diff(one.Tokens.PromptIDs, two.Tokens.PromptIDs[:len(one.Tokens.PromptIDs)]); diff != "" {
		t.Errorf("the second prompt does not begin with the first (-want +got):\n%s", diff)
	}
	// Letters of several tokens: llama.cpp's probabilities are not one for each.
	star := ask(&model.Request{Messages: []model.Message{{Role: model.User, Text: "Say hello é 😀."}}, MaxTokens: 12})
	if len(star.Tokens.LogProbs) != 0 && len(star.Tokens.LogProbs) != len(star.Tokens.IDs) {
		t.Errorf("%d probabilities of %d tokens of %q", len(star.Tokens.LogProbs), len(star.Tokens.IDs), star.Message.Text)
	}
	if strings.ContainsRune(star.Message.Text, '🌟') && star.Tokens.Complete() {
		t.Errorf("the probabilities of %q are taken, though each stands for several tokens", star.Message.Text)
	}
}
