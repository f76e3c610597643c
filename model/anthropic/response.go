package anthropic

import (
	"encoding/json"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"mlgym/model"
)

// contentMessage joins the blocks of an answer.
func contentMessage(content []sdk.ContentBlockUnion) model.Message {
	msg := model.Message{Role: model.Assistant}
	var text, thinking strings.Builder
	for _, block := range content {
		switch block.Type {
		case "text":
			text.WriteString(block.Text)
		case "thinking":
			thinking.WriteString(block.Thinking)
		case "tool_use":
			msg.ToolCalls = append(msg.ToolCalls, model.ToolCall{
				ID: block.ID, Name: block.Name, Args: model.RawArgs(string(block.Input)),
			})
		}
	}
	msg.Text, msg.Reasoning = text.String(), thinking.String()
	return msg
}

func (m *Model) response(answer *sdk.Message) (*model.Response, error) {
	if answer == nil || answer.Type != "message" || answer.Role != "assistant" {
		return nil, m.endpoint.BadResponse("the answer of %s is not an assistant's message", m.opts.Model)
	}
	msg := contentMessage(answer.Content)
	// Only thoughts have anything to preserve beyond what Message says.
	raw := make([]json.RawMessage, len(answer.Content))
	keep := false
	for i, block := range answer.Content {
		raw[i] = json.RawMessage(block.RawJSON())
		keep = keep || block.Type != "text" && block.Type != "tool_use"
	}
	if keep {
		msg.Opaque = model.SealOpaque(provider, raw)
	}
	usage := answer.Usage
	return &model.Response{
		Message: msg,
		Usage: model.Usage{
			// Here the API counts cached tokens apart.
			InputTokens:      usage.InputTokens + usage.CacheReadInputTokens + usage.CacheCreationInputTokens,
			OutputTokens:     usage.OutputTokens,
			CachedTokens:     usage.CacheReadInputTokens,
			CacheWriteTokens: usage.CacheCreationInputTokens,
			ReasoningTokens:  usage.OutputTokensDetails.ThinkingTokens,
		},
		StopReason: stopReason(answer.StopReason),
		Model:      answer.Model,
	}, nil
}

func stopReason(reason sdk.StopReason) model.StopReason {
	switch reason {
	case sdk.StopReasonEndTurn, sdk.StopReasonStopSequence:
		return model.StopEnd
	case sdk.StopReasonMaxTokens, sdk.StopReasonModelContextWindowExceeded:
		return model.StopMaxTokens
	case sdk.StopReasonToolUse:
		return model.StopToolCalls
	case sdk.StopReasonRefusal:
		return model.StopRefusal
	case sdk.StopReasonPauseTurn:
	}
	return model.StopOther
}
