package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"mlgym/model"
	"mlgym/model/internal/wire"
)

// responsesOpaque marks the items of the Responses API in Message.Opaque.
const responsesOpaque = "openai/responses"

func (m *Model) generateResponse(ctx context.Context, req *model.Request) (*model.Response, error) {
	params, err := m.responseParams(req)
	if err != nil {
		return nil, err
	}
	var answer *responses.Response
	err = m.endpoint.Do(ctx, func(ctx context.Context) (err error) {
		answer, err = m.responses.New(ctx, params)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m.response(answer)
}

// responseParams asks statelessly: the server keeps nothing, and the model's
// encrypted reasoning travels in Message.Opaque.
func (m *Model) responseParams(req *model.Request) (responses.ResponseNewParams, error) {
	params := responses.ResponseNewParams{
		Model:   m.opts.Model,
		Store:   param.NewOpt(false),
		Include: []responses.ResponseIncludable{responses.ResponseIncludableReasoningEncryptedContent},
	}
	if len(req.Stop) > 0 {
		return params, fmt.Errorf("openai: the Responses API has no stop sequences")
	}
	for _, msg := range req.Messages {
		items, err := responseItems(msg)
		if err != nil {
			return params, err
		}
		params.Input.OfInputItemList = append(params.Input.OfInputItemList, items...)
	}
	for _, tool := range req.Tools {
		parameters, err := schemaObject(tool)
		if err != nil {
			return params, err
		}
		converted := responses.ToolParamOfFunction(tool.Name, parameters, false)
		converted.OfFunction.Description = param.NewOpt(tool.Description)
		params.Tools = append(params.Tools, converted)
	}
	if req.Temperature != nil {
		params.Temperature = param.NewOpt(*req.Temperature)
	}
	if req.TopP != nil {
		params.TopP = param.NewOpt(*req.TopP)
	}
	if req.MaxTokens > 0 {
		params.MaxOutputTokens = param.NewOpt(int64(req.MaxTokens))
	}
	params.Reasoning.Effort = shared.ReasoningEffort(m.opts.ReasoningEffort)
	return params, nil
}

func responseItems(msg model.Message) ([]responses.ResponseInputItemUnionParam, error) {
	switch msg.Role {
	case model.System, model.User:
		role := responses.EasyInputMessageRoleUser
		if msg.Role == model.System {
			role = responses.EasyInputMessageRoleSystem
		}
		return []responses.ResponseInputItemUnionParam{responses.ResponseInputItemParamOfMessage(msg.Text, role)}, nil
	case model.ToolResult:
		item := responses.ResponseInputItemParamOfFunctionCallOutput(msg.Text)
		item.OfFunctionCallOutput.CallID = param.NewOpt(msg.ToolCallID)
		return []responses.ResponseInputItemUnionParam{item}, nil
	case model.Assistant:
		return assistantItems(msg), nil
	}
	return nil, fmt.Errorf("openai: message with unknown role %q", msg.Role)
}

// assistantItems returns the items as the server made them where the message
// still says what they say, and else new ones.
func assistantItems(msg model.Message) []responses.ResponseInputItemUnionParam {
	var raw []json.RawMessage
	if model.OpenOpaque(responsesOpaque, msg.Opaque, &raw) {
		var output []responses.ResponseOutputItemUnion
		if sealed, err := json.Marshal(raw); err == nil && json.Unmarshal(sealed, &output) == nil {
			if said, _ := outputMessage(output); said.Says(msg) {
				items := make([]responses.ResponseInputItemUnionParam, len(raw))
				for i, item := range raw {
					items[i] = param.Override[responses.ResponseInputItemUnionParam](item)
				}
				return items
			}
		}
	}
	var items []responses.ResponseInputItemUnionParam
	if msg.Text != "" || len(msg.ToolCalls) == 0 {
		// The type is written out, and the text as parts, since llama.cpp takes an
		// assistant's turn in no other form.
		items = append(items, param.Override[responses.ResponseInputItemUnionParam](map[string]any{
			"type": "message", "role": "assistant",
			"content": []map[string]any{{"type": "output_text", "text": msg.Text, "annotations": []any{}}},
		}))
	}
	for _, call := range msg.ToolCalls {
		items = append(items, responses.ResponseInputItemParamOfFunctionCall(model.ArgsText(call.Args), call.ID, call.Name))
	}
	return items
}

// outputMessage joins the items of an answer; refused is set by a refusal.
func outputMessage(output []responses.ResponseOutputItemUnion) (msg model.Message, refused bool) {
	msg.Role = model.Assistant
	var text, reasoning strings.Builder
	for _, item := range output {
		switch item.Type {
		case "message":
			for _, content := range item.Content {
				switch content.Type {
				case "output_text":
					text.WriteString(content.Text)
				case "refusal":
					refused = true
					text.WriteString(content.Refusal)
				}
			}
		case "reasoning":
			for _, part := range item.Summary {
				reasoning.WriteString(part.Text)
			}
			for _, content := range item.Content {
				reasoning.WriteString(content.Text)
			}
		case "function_call":
			msg.ToolCalls = append(msg.ToolCalls, model.ToolCall{
				ID: item.CallID, Name: item.Name, Args: model.RawArgs(item.Arguments.OfString),
			})
		}
	}
	msg.Text, msg.Reasoning = text.String(), reasoning.String()
	return msg, refused
}

func (m *Model) response(answer *responses.Response) (*model.Response, error) {
	if answer == nil {
		return nil, m.endpoint.BadResponse("the answer of %s is empty", m.opts.Model)
	}
	if answer.Status == responses.ResponseStatusFailed {
		return nil, m.failed(answer)
	}
	if len(answer.Output) == 0 && answer.Status != responses.ResponseStatusIncomplete {
		return nil, m.endpoint.BadResponse("the answer of %s has no output", m.opts.Model)
	}
	msg, refused := outputMessage(answer.Output)
	raw := make([]json.RawMessage, len(answer.Output))
	for i, item := range answer.Output {
		raw[i] = json.RawMessage(item.RawJSON())
	}
	msg.Opaque = model.SealOpaque(responsesOpaque, raw)
	resp := &model.Response{
		Message: msg,
		Usage: model.Usage{
			InputTokens:      answer.Usage.InputTokens,
			OutputTokens:     answer.Usage.OutputTokens,
			CachedTokens:     answer.Usage.InputTokensDetails.CachedTokens,
			CacheWriteTokens: answer.Usage.InputTokensDetails.CacheWriteTokens,
			ReasoningTokens:  answer.Usage.OutputTokensDetails.ReasoningTokens,
		},
		StopReason: model.StopEnd,
		Model:      answer.Model,
	}
	switch {
	case refused, answer.IncompleteDetails.Reason == "content_filter":
		resp.StopReason = model.StopRefusal
	case answer.IncompleteDetails.Reason == "max_output_tokens":
		resp.StopReason = model.StopMaxTokens
	case answer.Status == responses.ResponseStatusIncomplete, answer.Status == responses.ResponseStatusCancelled:
		resp.StopReason = model.StopOther
	case len(msg.ToolCalls) > 0:
		resp.StopReason = model.StopToolCalls
	}
	return resp, nil
}

// failed is the error of an answer that came with status 200 but says that it
// failed.
func (m *Model) failed(answer *responses.Response) error {
	status := 400
	switch answer.Error.Code {
	case responses.ResponseErrorCodeServerError:
		status = 500
	case responses.ResponseErrorCodeRateLimitExceeded:
		status = 429
	default: // what is left is about the request
	}
	err := model.StatusError(provider, status, nil, answer.Error.Message, m.opts.APIKey)
	err.Kind = refineKind(wire.Failure{Code: string(answer.Error.Code)}, err.Kind)
	err.Status = 0
	return err
}
