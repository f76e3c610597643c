// Package anthropic is the [model.Model] of Anthropic's Messages API, through
// Anthropic's official Go SDK. Another base URL reaches any server that speaks
// the same format, llama.cpp among them.
//
// The API differs from a plain conversation in ways that this package hides:
// system messages go to a field of their own (one that comes later in the
// conversation is sent as a user's), neighbouring turns of one side are joined,
// and texts without any visible character are left out since they are refused.
// The API has no seed; a request's seed is not sent.
//
// The SDK's own retries are off ([model.Retry] does that), it reads nothing from
// the environment, and it follows no redirect.
package anthropic
