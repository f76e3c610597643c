// Package google is the [model.Model] of Google's Gemini API, through Google's
// official Go SDK (google.golang.org/genai).
//
// The API differs from a plain conversation in ways that this package hides:
// system messages go to a field of their own (one that comes later is sent as a
// user's), neighbouring turns of one side are joined, calls without an id get
// one, and thought signatures travel in Message.Opaque. A seed is reduced to the
// 31 bits that the API takes.
//
// The SDK's own retries are off ([model.Retry] does that), its environment
// variables do not decide anything, and it follows no redirect.
package google
