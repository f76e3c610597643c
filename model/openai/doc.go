// Package openai is the [model.Model] of every server that speaks OpenAI's API:
// OpenAI itself, and with another base URL vLLM, llama.cpp, Ollama, LM Studio,
// LiteLLM, OpenRouter and others. It uses OpenAI's official Go SDK.
//
// Chat Completions is the default since every such server speaks it; the
// Responses API is an option.
//
// The SDK's own retries are off ([model.Retry] does that), it reads nothing from
// the environment, and it follows no redirect.
package openai
