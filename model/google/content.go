package google

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genai"

	"mlgym/model"
)

// madeID begins the ids that this package gives to calls without one; they are
// not sent back.
const madeID = "mlgym-call-"

func (m *Model) request(req *model.Request) ([]*genai.Content, *genai.GenerateContentConfig, error) {
	off := false
	config := &genai.GenerateContentConfig{
		Temperature:           float32of(req.Temperature),
		TopP:                  float32of(req.TopP),
		StopSequences:         req.Stop,
		AutomaticContinuation: &off,
	}
	if req.MaxTokens > 0 {
		config.MaxOutputTokens = int32(min(req.MaxTokens, 1<<31-1)) //nolint:gosec // bounded in the same expression
	}
	if req.Seed != nil {
		seed := int32(*req.Seed & 0x7fffffff) //nolint:gosec // masked to 31 bits
		config.Seed = &seed
	}
	if m.opts.ThinkingTokens != nil || m.opts.IncludeThoughts {
		config.ThinkingConfig = &genai.ThinkingConfig{
			ThinkingBudget: m.opts.ThinkingTokens, IncludeThoughts: m.opts.IncludeThoughts,
		}
	}
	if len(req.Tools) > 0 {
		tool := &genai.Tool{}
		for _, spec := range req.Tools {
			declaration := &genai.FunctionDeclaration{Name: spec.Name, Description: spec.Description}
			if len(spec.Parameters) > 0 {
				var schema map[string]any
				if err := json.Unmarshal(spec.Parameters, &schema); err != nil {
					return nil, nil, fmt.Errorf("google: parameters of tool %s: %w", spec.Name, err)
				}
				declaration.ParametersJsonSchema = schema
			}
			tool.FunctionDeclarations = append(tool.FunctionDeclarations, declaration)
		}
		config.Tools = []*genai.Tool{tool}
	}
	contents, system, err := convert(req.Messages)
	if err != nil {
		return nil, nil, err
	}
	if len(system) > 0 {
		config.SystemInstruction = &genai.Content{Parts: system}
	}
	return contents, config, nil
}

func float32of(v *float64) *float32 {
	if v == nil {
		return nil
	}
	f := float32(*v)
	return &f
}

// convert sorts the conversation into the system's parts and alternating turns.
func convert(messages []model.Message) (contents []*genai.Content, system []*genai.Part, err error) {
	names := map[string]string{} // of the calls so far, by id: a result must name its function
	for _, msg := range messages {
		role := genai.RoleUser
		var parts []*genai.Part
		switch msg.Role {
		case model.System:
			if len(contents) == 0 {
				if msg.Text != "" {
					system = append(system, &genai.Part{Text: msg.Text})
				}
				continue
			}
			parts = textParts(msg.Text)
		case model.User:
			parts = textParts(msg.Text)
		case model.ToolResult:
			name, ok := names[msg.ToolCallID]
			if !ok {
				return nil, nil, fmt.Errorf("google: a tool result answers the call %q, which no message before it makes", msg.ToolCallID)
			}
			parts = []*genai.Part{{FunctionResponse: &genai.FunctionResponse{
				ID: sentID(msg.ToolCallID), Name: name, Response: map[string]any{"output": msg.Text},
			}}}
		case model.Assistant:
			role = genai.RoleModel
			for _, call := range msg.ToolCalls {
				names[call.ID] = call.Name
			}
			parts = assistantParts(msg)
		default:
			return nil, nil, fmt.Errorf("google: message with unknown role %q", msg.Role)
		}
		if len(parts) == 0 {
			continue
		}
		if last := len(contents) - 1; last >= 0 && contents[last].Role == role {
			contents[last].Parts = append(contents[last].Parts, parts...)
			continue
		}
		contents = append(contents, &genai.Content{Role: role, Parts: parts})
	}
	if len(contents) == 0 {
		return nil, nil, fmt.Errorf("google: the request has no message besides the system's")
	}
	return contents, system, nil
}

// sentID is the id as the server knows it: "" for one that was made here.
func sentID(id string) string {
	if strings.HasPrefix(id, madeID) {
		return ""
	}
	return id
}

func textParts(text string) []*genai.Part {
	if text == "" {
		return nil
	}
	return []*genai.Part{{Text: text}}
}

// sealedParts is what Message.Opaque holds: the parts as the server made them,
// and where in the conversation they stood, which names calls without an id.
type sealedParts struct {
	Turn  int           `json:"turn"`
	Parts []*genai.Part `json:"parts"`
}

// assistantParts returns the parts as the server made them, signed thoughts
// included, where the message still says what they say, and else new ones.
func assistantParts(msg model.Message) []*genai.Part {
	var sealed sealedParts
	if model.OpenOpaque(provider, msg.Opaque, &sealed) && partsMessage(sealed.Parts, sealed.Turn).Says(msg) {
		return sealed.Parts
	}
	parts := textParts(msg.Text)
	for _, call := range msg.ToolCalls {
		parts = append(parts, &genai.Part{FunctionCall: &genai.FunctionCall{
			ID: sentID(call.ID), Name: call.Name, Args: model.ArgsObject(call.Args),
		}})
	}
	return parts
}

// partsMessage joins the parts of an answer that stood at the given place of the
// conversation.
func partsMessage(parts []*genai.Part, turn int) model.Message {
	msg := model.Message{Role: model.Assistant}
	var text, thoughts strings.Builder
	for _, part := range parts {
		switch {
		case part == nil:
		case part.FunctionCall != nil:
			call := part.FunctionCall
			id := call.ID
			if id == "" {
				id = fmt.Sprintf("%s%d-%d", madeID, turn, len(msg.ToolCalls))
			}
			args := json.RawMessage("{}")
			if len(call.Args) > 0 {
				if raw, err := json.Marshal(call.Args); err == nil {
					args = raw
				}
			}
			msg.ToolCalls = append(msg.ToolCalls, model.ToolCall{ID: id, Name: call.Name, Args: args})
		case part.Thought:
			thoughts.WriteString(part.Text)
		default:
			text.WriteString(part.Text)
		}
	}
	msg.Text, msg.Reasoning = text.String(), thoughts.String()
	return msg
}

func (m *Model) response(answer *genai.GenerateContentResponse, turn int) (*model.Response, error) {
	resp := &model.Response{Model: answer.ModelVersion, Message: model.Message{Role: model.Assistant}}
	if u := answer.UsageMetadata; u != nil {
		resp.Usage = model.Usage{
			InputTokens: int64(u.PromptTokenCount) + int64(u.ToolUsePromptTokenCount),
			// Thoughts are billed as output but counted apart.
			OutputTokens:    int64(u.CandidatesTokenCount) + int64(u.ThoughtsTokenCount),
			CachedTokens:    int64(u.CachedContentTokenCount),
			ReasoningTokens: int64(u.ThoughtsTokenCount),
		}
	}
	if len(answer.Candidates) == 0 || answer.Candidates[0] == nil {
		if f := answer.PromptFeedback; f != nil && f.BlockReason != "" {
			resp.StopReason = model.StopRefusal
			return resp, nil
		}
		return nil, m.endpoint.BadResponse("the answer of %s has no candidates", m.opts.Model)
	}
	candidate := answer.Candidates[0]
	if candidate.Content != nil {
		parts := candidate.Content.Parts
		resp.Message = partsMessage(parts, turn)
		if slices.ContainsFunc(parts, func(p *genai.Part) bool { return p != nil && (len(p.ThoughtSignature) > 0 || p.Thought) }) {
			resp.Message.Opaque = model.SealOpaque(provider, sealedParts{Turn: turn, Parts: parts})
		}
	}
	resp.StopReason = stopReason(candidate.FinishReason)
	if resp.StopReason == model.StopEnd && len(resp.Message.ToolCalls) > 0 {
		resp.StopReason = model.StopToolCalls
	}
	return resp, nil
}

func stopReason(reason genai.FinishReason) model.StopReason {
	switch reason { //nolint:exhaustive // the rest is StopOther
	case genai.FinishReasonStop:
		return model.StopEnd
	case genai.FinishReasonMaxTokens:
		return model.StopMaxTokens
	case genai.FinishReasonSafety, genai.FinishReasonBlocklist, genai.FinishReasonProhibitedContent,
		genai.FinishReasonSPII, genai.FinishReasonRecitation:
		return model.StopRefusal
	}
	return model.StopOther
}
