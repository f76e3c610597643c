package openai

import (
	"context"
	"encoding/json"
	"fmt"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/respjson"
	"github.com/openai/openai-go/v3/shared"

	"mlgym/model"
)

func (m *Model) generateChat(ctx context.Context, req *model.Request) (*model.Response, error) {
	params, err := m.chatParams(req)
	if err != nil {
		return nil, err
	}
	var completion *sdk.ChatCompletion
	err = m.endpoint.Do(ctx, func(ctx context.Context) (err error) {
		completion, err = m.chat.New(ctx, params)
		return err
	})
	if err != nil {
		return nil, err
	}
	resp, err := m.chatResponse(completion)
	if err == nil && req.Tokens {
		resp.Tokens = m.tokenRecord(ctx, completion.RawJSON())
	}
	return resp, err
}

func (m *Model) chatParams(req *model.Request) (sdk.ChatCompletionNewParams, error) {
	params := sdk.ChatCompletionNewParams{Model: m.opts.Model}
	for _, msg := range req.Messages {
		converted, err := chatMessage(msg)
		if err != nil {
			return params, err
		}
		params.Messages = append(params.Messages, converted)
	}
	for _, tool := range req.Tools {
		parameters, err := schemaObject(tool)
		if err != nil {
			return params, err
		}
		params.Tools = append(params.Tools, sdk.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name:        tool.Name,
			Description: param.NewOpt(tool.Description),
			Parameters:  parameters,
		}))
	}
	if req.Temperature != nil {
		params.Temperature = param.NewOpt(*req.Temperature)
	}
	if req.TopP != nil {
		params.TopP = param.NewOpt(*req.TopP)
	}
	if req.MaxTokens > 0 {
		// OpenAI's reasoning models refuse the old name, and several compatible
		// servers know no other.
		if isOpenAI(m.opts.BaseURL) {
			params.MaxCompletionTokens = param.NewOpt(int64(req.MaxTokens))
		} else {
			params.MaxTokens = param.NewOpt(int64(req.MaxTokens))
		}
	}
	if len(req.Stop) > 0 {
		params.Stop = sdk.ChatCompletionNewParamsStopUnion{OfStringArray: req.Stop}
	}
	if req.Seed != nil {
		params.Seed = param.NewOpt(*req.Seed)
	}
	params.ReasoningEffort = shared.ReasoningEffort(m.opts.ReasoningEffort)
	if req.Tokens {
		m.askTokens(&params)
	}
	return params, nil
}

// schemaObject decodes a tool's parameters; absent ones are an empty object.
func schemaObject(tool model.ToolSpec) (map[string]any, error) {
	if len(tool.Parameters) == 0 {
		return map[string]any{"type": "object", "properties": map[string]any{}}, nil
	}
	var object map[string]any
	if err := json.Unmarshal(tool.Parameters, &object); err != nil {
		return nil, fmt.Errorf("openai: parameters of tool %s: %w", tool.Name, err)
	}
	return object, nil
}

func chatMessage(msg model.Message) (sdk.ChatCompletionMessageParamUnion, error) {
	switch msg.Role {
	case model.System:
		return sdk.SystemMessage(msg.Text), nil
	case model.User:
		return sdk.UserMessage(msg.Text), nil
	case model.ToolResult:
		return sdk.ToolMessage(msg.Text, msg.ToolCallID), nil
	case model.Assistant:
		assistant := sdk.ChatCompletionAssistantMessageParam{}
		// Content may be absent only beside tool calls.
		if msg.Text != "" || len(msg.ToolCalls) == 0 {
			assistant.Content.OfString = param.NewOpt(msg.Text)
		}
		for _, call := range msg.ToolCalls {
			assistant.ToolCalls = append(assistant.ToolCalls, sdk.ChatCompletionMessageToolCallUnionParam{
				OfFunction: &sdk.ChatCompletionMessageFunctionToolCallParam{
					ID: call.ID,
					Function: sdk.ChatCompletionMessageFunctionToolCallFunctionParam{
						Name:      call.Name,
						Arguments: model.ArgsText(call.Args),
					},
				},
			})
		}
		return sdk.ChatCompletionMessageParamUnion{OfAssistant: &assistant}, nil
	}
	return sdk.ChatCompletionMessageParamUnion{}, fmt.Errorf("openai: message with unknown role %q", msg.Role)
}

func (m *Model) chatResponse(completion *sdk.ChatCompletion) (*model.Response, error) {
	if completion == nil || len(completion.Choices) == 0 {
		return nil, m.endpoint.BadResponse("the answer of %s has no choices", m.opts.Model)
	}
	choice := completion.Choices[0]
	resp := &model.Response{
		Message: model.Message{
			Role:      model.Assistant,
			Text:      choice.Message.Content,
			Reasoning: extraString(choice.Message.JSON.ExtraFields, "reasoning_content", "reasoning"),
		},
		Usage: model.Usage{
			InputTokens:      completion.Usage.PromptTokens,
			OutputTokens:     completion.Usage.CompletionTokens,
			CachedTokens:     completion.Usage.PromptTokensDetails.CachedTokens,
			CacheWriteTokens: completion.Usage.PromptTokensDetails.CacheWriteTokens,
			ReasoningTokens:  completion.Usage.CompletionTokensDetails.ReasoningTokens,
		},
		StopReason: chatStop(choice.FinishReason),
		Model:      completion.Model,
	}
	for i, call := range choice.Message.ToolCalls {
		// "custom" is the one other type; a server that leaves the type out means
		// a function.
		if call.Type == "custom" {
			continue
		}
		id := call.ID
		if id == "" {
			id = fmt.Sprintf("call_%d", i)
		}
		resp.Message.ToolCalls = append(resp.Message.ToolCalls, model.ToolCall{
			ID: id, Name: call.Function.Name, Args: model.RawArgs(call.Function.Arguments),
		})
	}
	if choice.Message.Refusal != "" {
		resp.StopReason = model.StopRefusal
		if resp.Message.Text == "" {
			resp.Message.Text = choice.Message.Refusal
		}
	}
	// Some servers say "stop" beside tool calls.
	if resp.StopReason == model.StopEnd && len(resp.Message.ToolCalls) > 0 {
		resp.StopReason = model.StopToolCalls
	}
	return resp, nil
}

func chatStop(reason string) model.StopReason {
	switch reason {
	case "stop":
		return model.StopEnd
	case "length":
		return model.StopMaxTokens
	case "tool_calls", "function_call":
		return model.StopToolCalls
	case "content_filter":
		return model.StopRefusal
	}
	return model.StopOther
}

// extraString returns the first field of these names that holds a text: the
// thinking that vLLM, llama.cpp, DeepSeek and OpenRouter add to the format.
func extraString(fields map[string]respjson.Field, names ...string) string {
	for _, name := range names {
		var text string
		if field, ok := fields[name]; ok && json.Unmarshal([]byte(field.Raw()), &text) == nil && text != "" {
			return text
		}
	}
	return ""
}
