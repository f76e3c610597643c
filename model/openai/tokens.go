package openai

import (
	"context"
	"encoding/json"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"

	"mlgym/model"
)

// askTokens asks for what the server can tell of tokens: OpenAI's own format has
// probabilities; vLLM adds the numbers of the tokens to it (return_token_ids), and
// llama.cpp in a field for debugging (return_tokens, verbose). Either ignores the
// other's words, and OpenAI would refuse both.
func (m *Model) askTokens(params *sdk.ChatCompletionNewParams) {
	params.Logprobs = param.NewOpt(true)
	params.TopLogprobs = param.NewOpt[int64](1) // llama.cpp gives none for 0, and 20 where it is absent
	if !isOpenAI(m.opts.BaseURL) {
		params.SetExtraFields(map[string]any{"return_token_ids": true, "return_tokens": true, "verbose": true})
	}
}

// tokenAnswer is the part of a completion that tells of tokens.
type tokenAnswer struct {
	PromptTokenIDs []int `json:"prompt_token_ids"` // vLLM
	Choices        []struct {
		TokenIDs []int `json:"token_ids"` // vLLM
		Logprobs struct {
			Content []struct {
				ID      *int    `json:"id"` // llama.cpp
				Logprob float64 `json:"logprob"`
			} `json:"content"`
		} `json:"logprobs"`
	} `json:"choices"`
	Usage struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Verbose struct { // llama.cpp
		Tokens []int  `json:"tokens"`
		Prompt string `json:"prompt"`
	} `json:"__verbose"`
}

// tokenRecord reads the tokens of an answer, nil where it tells nothing of them.
// Numbers that do not fit together are left out: they are no reason to lose an
// answer that was paid for.
func (m *Model) tokenRecord(ctx context.Context, raw string) *model.TokenRecord {
	var a tokenAnswer
	if json.Unmarshal([]byte(raw), &a) != nil || len(a.Choices) == 0 {
		return nil
	}
	content := a.Choices[0].Logprobs.Content
	out := &model.TokenRecord{PromptIDs: a.PromptTokenIDs, IDs: a.Choices[0].TokenIDs}
	if len(out.IDs) == 0 {
		out.IDs = a.Verbose.Tokens
	}
	if len(out.IDs) == 0 && len(content) == a.Usage.CompletionTokens {
		for _, c := range content {
			if c.ID == nil {
				out.IDs = nil
				break
			}
			out.IDs = append(out.IDs, *c.ID)
		}
	}
	// llama.cpp has one entry for the several tokens of a letter outside ASCII, and
	// none for those of a stop sequence: probabilities that belong to no token.
	want := len(out.IDs)
	if want == 0 {
		want = a.Usage.CompletionTokens
	}
	if len(content) == want {
		for i, c := range content {
			if len(out.IDs) > 0 && c.ID != nil && *c.ID != out.IDs[i] {
				out.LogProbs = nil
				break
			}
			out.LogProbs = append(out.LogProbs, min(c.Logprob, 0))
		}
	}
	if len(out.PromptIDs) == 0 && a.Verbose.Prompt != "" {
		out.PromptIDs = m.promptIDs(ctx, a.Verbose.Prompt, a.Usage.PromptTokens)
	}
	if len(out.PromptIDs) == 0 && len(out.IDs) == 0 && len(out.LogProbs) == 0 {
		return nil
	}
	return out
}

// promptIDs has llama.cpp say the tokens of a prompt. It tells of a completion only
// the prompt's text after the template, which its tokeniser turns into the same
// tokens each time; an answer of another number of tokens than the completion had
// is not taken.
func (m *Model) promptIDs(ctx context.Context, prompt string, want int) []int {
	var got struct {
		Tokens []int `json:"tokens"`
	}
	body := map[string]any{"content": prompt, "add_special": true, "parse_special": true}
	err := m.endpoint.Do(ctx, func(ctx context.Context) error {
		return m.other.Post(ctx, "../tokenize", body, &got)
	})
	if err != nil || len(got.Tokens) != want {
		return nil
	}
	return got.Tokens
}
