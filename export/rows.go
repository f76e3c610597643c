package export

import (
	"encoding/json"

	"mlgym/gym"
	"mlgym/model"
)

// The lines of the formats. Their fields have a name in JSON and one in Parquet,
// which is the same. In Parquet a text that may be absent is a column with nulls,
// and arguments of a tool are JSON as text, since they differ from line to line.

// callTokens are the tokens of one request to a model, as its server told them;
// what it did not tell is absent. The loss mask covers prompt and completion.
type callTokens struct {
	PromptIDs     []int     `json:"prompt_token_ids,omitempty" parquet:"prompt_token_ids,optional,list"`
	CompletionIDs []int     `json:"completion_token_ids,omitempty" parquet:"completion_token_ids,optional,list"`
	LogProbs      []float64 `json:"per_token_logps,omitempty" parquet:"per_token_logps,optional,list"`
	LossMask      []int     `json:"loss_mask,omitempty" parquet:"loss_mask,optional,list"`
}

func tokensOf(r *model.Response) callTokens {
	if r == nil || r.Tokens == nil {
		return callTokens{}
	}
	return callTokens{r.Tokens.PromptIDs, r.Tokens.IDs, r.Tokens.LogProbs, r.Tokens.LossMask()}
}

// sftLine is a run as one conversation.
type sftLine struct {
	Messages []Message       `json:"messages" parquet:"messages,list"`
	Tokens   []messageTokens `json:"tokens,omitempty" parquet:"tokens,optional,list"`
	Origin   origin          `json:"mlgym" parquet:"mlgym"`
}

// messageTokens are the tokens of the call that one of the messages answered.
type messageTokens struct {
	Message int `json:"message" parquet:"message"`
	callTokens
}

// pairLine is a better and a worse attempt.
type pairLine struct {
	Prompt   []Message `json:"prompt" parquet:"prompt,list"`
	Chosen   []Message `json:"chosen" parquet:"chosen,list"`
	Rejected []Message `json:"rejected" parquet:"rejected,list"`
	Better   origin    `json:"mlgym_chosen" parquet:"mlgym_chosen"`
	Worse    origin    `json:"mlgym_rejected" parquet:"mlgym_rejected"`
}

// requestLine is a request to a model with its answer.
type requestLine struct {
	Messages   []Message `json:"messages" parquet:"messages,list"`
	Completion Message   `json:"completion" parquet:"completion"`
	Step       int       `json:"step" parquet:"step"`
	Accepted   bool      `json:"accepted" parquet:"accepted"`
	Usage      usage     `json:"usage" parquet:"usage"`
	callTokens
	Origin origin `json:"mlgym" parquet:"mlgym"`
}

// usage is a [model.Usage].
type usage struct {
	InputTokens      int64 `json:"input_tokens" parquet:"input_tokens"`
	OutputTokens     int64 `json:"output_tokens" parquet:"output_tokens"`
	CachedTokens     int64 `json:"cached_tokens,omitempty" parquet:"cached_tokens,optional"`
	CacheWriteTokens int64 `json:"cache_write_tokens,omitempty" parquet:"cache_write_tokens,optional"`
	ReasoningTokens  int64 `json:"reasoning_tokens,omitempty" parquet:"reasoning_tokens,optional"`
}

// turnLine is a request to a model as trainers by reinforcement take it: a whole
// one is a TrainingTurn of OpenEnv, which allows no key beside these.
type turnLine struct {
	NodeID string `json:"node_id" parquet:"node_id"`
	callTokens
	Request  turnRequest  `json:"request" parquet:"request"`
	Response turnResponse `json:"response" parquet:"response"`
	Metadata turnMetadata `json:"metadata" parquet:"metadata"`
}

type turnRequest struct {
	Model    string    `json:"model" parquet:"model"`
	Messages []Message `json:"messages" parquet:"messages,list"`
}

type turnResponse struct {
	Model      string  `json:"model" parquet:"model"`
	Message    Message `json:"message" parquet:"message"`
	StopReason string  `json:"stop_reason" parquet:"stop_reason"`
	Usage      usage   `json:"usage" parquet:"usage"`
}

type turnMetadata struct {
	origin
	Step     int    `json:"step" parquet:"step"`
	Accepted bool   `json:"accepted" parquet:"accepted"`
	Problem  string `json:"problem,omitempty" parquet:"problem,optional"`
}

// transition is one step.
type transition struct {
	Step            int         `json:"step" parquet:"step"`
	Observation     observation `json:"observation" parquet:"observation"`
	Action          action      `json:"action" parquet:"action"`
	Thought         string      `json:"thought,omitempty" parquet:"thought,optional"`
	Reward          float64     `json:"reward" parquet:"reward"`
	NextObservation observation `json:"next_observation" parquet:"next_observation"`
	Terminated      bool        `json:"terminated" parquet:"terminated"`
	Truncated       bool        `json:"truncated" parquet:"truncated"`
	Origin          origin      `json:"mlgym" parquet:"mlgym"`
}

// observation is a [gym.Observation].
type observation struct {
	Text       string `json:"text" parquet:"text"`
	Step       int    `json:"step" parquet:"step"`
	StepsLeft  int    `json:"steps_left" parquet:"steps_left"`
	OpenFile   string `json:"open_file,omitempty" parquet:"open_file,optional"`
	WorkingDir string `json:"working_dir,omitempty" parquet:"working_dir,optional"`
}

// action is a [gym.Action].
type action struct {
	Command string          `json:"command,omitempty" parquet:"command,optional"`
	Tool    string          `json:"tool,omitempty" parquet:"tool,optional"`
	Args    json.RawMessage `json:"args,omitempty" parquet:"args,optional,string"`
}

var (
	_ = observation(gym.Observation{})
	_ = action(gym.Action{})
	_ = usage(model.Usage{})
)
