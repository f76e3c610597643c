package anthropic

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"mlgym/model"
)

func (m *Model) params(req *model.Request) (sdk.MessageNewParams, error) {
	params := sdk.MessageNewParams{
		Model:         m.opts.Model,
		MaxTokens:     DefaultMaxTokens,
		StopSequences: req.Stop,
	}
	if req.MaxTokens > 0 {
		params.MaxTokens = int64(req.MaxTokens)
	}
	if req.Temperature != nil {
		params.Temperature = param.NewOpt(*req.Temperature)
	}
	if req.TopP != nil {
		params.TopP = param.NewOpt(*req.TopP)
	}
	switch {
	case m.opts.ThinkingTokens > 0:
		params.Thinking.OfEnabled = &sdk.ThinkingConfigEnabledParam{BudgetTokens: m.opts.ThinkingTokens}
		if req.MaxTokens == 0 {
			params.MaxTokens += m.opts.ThinkingTokens
		}
	case m.opts.ThinkingTokens == Adaptive:
		params.Thinking.OfAdaptive = &sdk.ThinkingConfigAdaptiveParam{}
	}
	for _, tool := range req.Tools {
		converted, err := toolParam(tool)
		if err != nil {
			return params, err
		}
		params.Tools = append(params.Tools, sdk.ToolUnionParam{OfTool: converted})
	}
	if err := m.addMessages(&params, req.Messages); err != nil {
		return params, err
	}
	if !m.opts.NoCache {
		markCached(&params)
	}
	return params, nil
}

func toolParam(tool model.ToolSpec) (*sdk.ToolParam, error) {
	schema := map[string]any{}
	if len(tool.Parameters) > 0 {
		if err := json.Unmarshal(tool.Parameters, &schema); err != nil {
			return nil, fmt.Errorf("anthropic: parameters of tool %s: %w", tool.Name, err)
		}
	}
	if _, ok := schema["properties"]; !ok {
		schema["properties"] = map[string]any{}
	}
	delete(schema, "type") // the SDK writes it
	return &sdk.ToolParam{
		Name:        tool.Name,
		Description: param.NewOpt(tool.Description),
		InputSchema: sdk.ToolInputSchemaParam{ExtraFields: schema},
	}, nil
}

// addMessages sorts the conversation into system blocks and alternating turns.
func (m *Model) addMessages(params *sdk.MessageNewParams, messages []model.Message) error {
	for _, msg := range messages {
		var (
			role   = sdk.MessageParamRoleUser
			blocks []sdk.ContentBlockParamUnion
		)
		switch msg.Role {
		case model.System:
			if len(params.Messages) == 0 {
				if visible(msg.Text) {
					params.System = append(params.System, sdk.TextBlockParam{Text: msg.Text})
				}
				continue
			}
			blocks = textBlocks(msg.Text)
		case model.User:
			blocks = textBlocks(msg.Text)
		case model.ToolResult:
			result := &sdk.ToolResultBlockParam{ToolUseID: msg.ToolCallID}
			if visible(msg.Text) {
				result.Content = []sdk.ToolResultBlockParamContentUnion{{OfText: &sdk.TextBlockParam{Text: msg.Text}}}
			}
			blocks = []sdk.ContentBlockParamUnion{{OfToolResult: result}}
		case model.Assistant:
			role = sdk.MessageParamRoleAssistant
			blocks = assistantBlocks(msg)
		default:
			return fmt.Errorf("anthropic: message with unknown role %q", msg.Role)
		}
		if len(blocks) == 0 {
			continue
		}
		if last := len(params.Messages) - 1; last >= 0 && params.Messages[last].Role == role {
			params.Messages[last].Content = append(params.Messages[last].Content, blocks...)
			continue
		}
		params.Messages = append(params.Messages, sdk.MessageParam{Role: role, Content: blocks})
	}
	// Results of tools must stand before text in their turn.
	for _, turn := range params.Messages {
		if turn.Role == sdk.MessageParamRoleUser {
			slices.SortStableFunc(turn.Content, func(a, b sdk.ContentBlockParamUnion) int {
				return rank(a) - rank(b)
			})
		}
	}
	if len(params.Messages) == 0 {
		return fmt.Errorf("anthropic: the request has no message besides the system's")
	}
	return nil
}

func rank(block sdk.ContentBlockParamUnion) int {
	if block.OfToolResult != nil {
		return 0
	}
	return 1
}

func visible(text string) bool { return strings.TrimSpace(text) != "" }

func textBlocks(text string) []sdk.ContentBlockParamUnion {
	if !visible(text) {
		return nil
	}
	return []sdk.ContentBlockParamUnion{sdk.NewTextBlock(text)}
}

// assistantBlocks returns the blocks as the server made them, signed thoughts
// included, where the message still says what they say, and else new ones.
func assistantBlocks(msg model.Message) []sdk.ContentBlockParamUnion {
	var raw []json.RawMessage
	if model.OpenOpaque(provider, msg.Opaque, &raw) {
		var content []sdk.ContentBlockUnion
		if sealed, err := json.Marshal(raw); err == nil && json.Unmarshal(sealed, &content) == nil && contentMessage(content).Says(msg) {
			blocks := make([]sdk.ContentBlockParamUnion, 0, len(content))
			for _, block := range content {
				if block.Type == "text" && !visible(block.Text) {
					continue
				}
				blocks = append(blocks, block.ToParam())
			}
			return blocks
		}
	}
	blocks := textBlocks(msg.Text)
	for _, call := range msg.ToolCalls {
		blocks = append(blocks, sdk.NewToolUseBlock(call.ID, model.ArgsObject(call.Args), call.Name))
	}
	return blocks
}

// markCached puts the two markers that serve an agent's loop: one after what
// never changes (tools and system), one at the end of the conversation, which
// the next request then finds as its own beginning.
func markCached(params *sdk.MessageNewParams) {
	marker := sdk.NewCacheControlEphemeralParam()
	if n := len(params.System); n > 0 {
		params.System[n-1].CacheControl = marker
	} else if n := len(params.Tools); n > 0 {
		params.Tools[n-1].OfTool.CacheControl = marker
	}
	last := params.Messages[len(params.Messages)-1]
	block := &last.Content[len(last.Content)-1]
	switch {
	case block.OfText != nil:
		block.OfText.CacheControl = marker
	case block.OfToolResult != nil:
		block.OfToolResult.CacheControl = marker
	}
}
