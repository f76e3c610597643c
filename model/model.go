package model

import (
	"context"
	"encoding/json"
	"time"
)

// Model answers requests. It is safe for concurrent use.
type Model interface {
	Generate(ctx context.Context, req *Request) (*Response, error)
}

// Role says who speaks.
type Role string

// The roles of a conversation.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
	// Tool is the answer to a tool call.
	ToolResult Role = "tool"
)

// Message is one turn of a conversation.
type Message struct {
	Role Role   `json:"role"`
	Text string `json:"text"`
	// Reasoning is the model's own thinking where the provider shows it.
	Reasoning string `json:"reasoning,omitempty"`
	// ToolCalls that an assistant asks for.
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	// ToolCallID names the call that a ToolResult answers.
	ToolCallID string `json:"tool_call_id,omitempty"`
	// Opaque is what a provider wants back unchanged in the next request (a
	// signed thought, for example). Only the provider that made it reads it.
	Opaque json.RawMessage `json:"opaque,omitempty"`
}

// ToolCall is a function call that a model asks for.
type ToolCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

// ToolSpec describes a function to the model.
type ToolSpec struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"` // JSON Schema of an object
}

// Request asks for one assistant message.
type Request struct {
	Messages []Message  `json:"messages"`
	Tools    []ToolSpec `json:"tools,omitempty"`
	// Temperature and TopP are the provider's defaults where nil.
	Temperature *float64 `json:"temperature,omitempty"`
	TopP        *float64 `json:"top_p,omitempty"`
	// MaxTokens bounds the answer; 0 is the provider's default.
	MaxTokens int      `json:"max_tokens,omitempty"`
	Stop      []string `json:"stop,omitempty"`
	Seed      *int64   `json:"seed,omitempty"`
	// Tokens asks for a [TokenRecord] beside the answer. It changes nothing of the
	// answer; a provider that has no such record to give ignores it.
	Tokens bool `json:"tokens,omitempty"`
}

// Response is the answer.
type Response struct {
	Message Message `json:"message"`
	Usage   Usage   `json:"usage"`
	// CostUSD is nil where no price is known for the model.
	CostUSD *float64 `json:"cost_usd,omitempty"`
	// StopReason is one of the Stop… constants.
	StopReason StopReason `json:"stop_reason"`
	// Model is the name that the provider says it used.
	Model   string        `json:"model"`
	Latency time.Duration `json:"latency"`
	// Tokens is nil where it was not asked for, or the server has none.
	Tokens *TokenRecord `json:"tokens,omitempty"`
}

// StopReason says why the model stopped.
type StopReason string

// The reasons to stop.
const (
	StopEnd       StopReason = "end"
	StopToolCalls StopReason = "tool_calls"
	StopMaxTokens StopReason = "max_tokens"
	StopRefusal   StopReason = "refusal"
	StopOther     StopReason = "other"
)

// Usage counts tokens. InputTokens includes CachedTokens and CacheWriteTokens;
// OutputTokens includes ReasoningTokens.
type Usage struct {
	InputTokens      int64 `json:"input_tokens"`
	OutputTokens     int64 `json:"output_tokens"`
	CachedTokens     int64 `json:"cached_tokens,omitempty"`
	CacheWriteTokens int64 `json:"cache_write_tokens,omitempty"`
	ReasoningTokens  int64 `json:"reasoning_tokens,omitempty"`
}

// Add returns the sum.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		InputTokens:      u.InputTokens + v.InputTokens,
		OutputTokens:     u.OutputTokens + v.OutputTokens,
		CachedTokens:     u.CachedTokens + v.CachedTokens,
		CacheWriteTokens: u.CacheWriteTokens + v.CacheWriteTokens,
		ReasoningTokens:  u.ReasoningTokens + v.ReasoningTokens,
	}
}

// ErrorKind classifies what a provider refused.
type ErrorKind string

// The kinds of error. Only RateLimited, Overloaded and Unreachable are worth a
// retry.
const (
	RateLimited   ErrorKind = "rate_limited"
	Overloaded    ErrorKind = "overloaded"  // a fault of the server (5xx)
	Unreachable   ErrorKind = "unreachable" // no connection, or it broke
	ContextLength ErrorKind = "context_length"
	Unauthorized  ErrorKind = "unauthorized"
	NotFound      ErrorKind = "not_found"
	BadRequest    ErrorKind = "bad_request"
	BadResponse   ErrorKind = "bad_response"
)

// Error is the error of a Model.
type Error struct {
	Kind     ErrorKind
	Provider string
	// Status is the HTTP status, 0 where there was none.
	Status int
	// RetryAfter is what the server asked for, 0 where it did not.
	RetryAfter time.Duration
	// Message is the server's, with keys removed.
	Message string
	Err     error
}
