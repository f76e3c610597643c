package export

import (
	"encoding/json"
	"fmt"
	"time"

	"mlgym/gym"
	"mlgym/model"
	"mlgym/trajectory"
)

// atifVersion is the version of the Agent Trajectory Interchange Format that is
// written; Harbor reads 1.0 to 1.8.
const atifVersion = "ATIF-v1.7"

type atif struct {
	SchemaVersion string         `json:"schema_version"`
	SessionID     string         `json:"session_id"`
	Agent         atifAgent      `json:"agent"`
	Steps         []atifStep     `json:"steps"`
	FinalMetrics  atifFinal      `json:"final_metrics"`
	Extra         map[string]any `json:"extra,omitempty"`
}

type atifAgent struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	ModelName string `json:"model_name,omitempty"`
}

type atifStep struct {
	StepID           int              `json:"step_id"`
	Timestamp        string           `json:"timestamp,omitempty"`
	Source           string           `json:"source"`
	Message          string           `json:"message"`
	ReasoningContent string           `json:"reasoning_content,omitempty"`
	ModelName        string           `json:"model_name,omitempty"`
	ToolCalls        []atifCall       `json:"tool_calls,omitempty"`
	Observation      *atifObservation `json:"observation,omitempty"`
	Metrics          *atifMetrics     `json:"metrics,omitempty"`
	IsCopiedContext  bool             `json:"is_copied_context,omitempty"`
	Extra            map[string]any   `json:"extra,omitempty"`
}

type atifCall struct {
	ID        string          `json:"tool_call_id"`
	Function  string          `json:"function_name"`
	Arguments json.RawMessage `json:"arguments"`
}

type atifObservation struct {
	Results []atifResult `json:"results"`
}

type atifResult struct {
	CallID  string `json:"source_call_id,omitempty"`
	Content string `json:"content"`
}

type atifMetrics struct {
	PromptTokens     int64    `json:"prompt_tokens"`
	CompletionTokens int64    `json:"completion_tokens"`
	CachedTokens     int64    `json:"cached_tokens"`
	CostUSD          *float64 `json:"cost_usd,omitempty"`

	PromptIDs     []int     `json:"prompt_token_ids,omitempty"`
	CompletionIDs []int     `json:"completion_token_ids,omitempty"`
	LogProbs      []float64 `json:"logprobs,omitempty"`
}

type atifFinal struct {
	PromptTokens     int64    `json:"total_prompt_tokens"`
	CompletionTokens int64    `json:"total_completion_tokens"`
	CachedTokens     int64    `json:"total_cached_tokens"`
	CostUSD          *float64 `json:"total_cost_usd,omitempty"`
	Steps            int      `json:"total_steps"`
}

// atif writes a run as one trajectory. Every action is a tool call, so that what
// it led to can name it: shell text is a call of "bash".
func (w *writer) atif(c *Chosen) error {
	t := atif{
		SchemaVersion: atifVersion, SessionID: c.Manifest.RunID,
		Agent: atifAgent{Name: c.Manifest.Agent, Version: version(c.Manifest.MlgymVersion), ModelName: c.Manifest.Model},
		Extra: map[string]any{"mlgym": c.origin()},
	}
	var h history
	var pending *atifStep
	totals := trajectory.NewTotals()
	add := func(s atifStep) {
		s.StepID = len(t.Steps) + 1
		t.Steps = append(t.Steps, s)
	}
	opened := false
	whole, allTokens := false, true // of the pending step, of all
	open := func(list []model.Message, at time.Time) {
		opened = true
		for _, m := range list {
			s := atifStep{Source: string(m.Role), Message: m.Text, Timestamp: stamp(at)}
			switch m.Role {
			case model.Assistant: // of a demonstration
				s.Source, s.IsCopiedContext = "agent", true
			case model.ToolResult:
				s.Source = "user"
			case model.System, model.User:
			}
			add(s)
		}
	}
	var reset *trajectory.Event
	err := each(c.Dir, func(e *trajectory.Event) error {
		switch {
		case e.Reset != nil:
			reset = e
		case e.Turn != nil:
			pending, whole = nil, false
			totals.AddExchanges(e.Turn.Turn.Exchanges)
			s := atifStep{Source: "agent", Timestamp: stamp(e.At), Message: e.Turn.Turn.Thought}
			for _, x := range e.Turn.Turn.Exchanges {
				got, err := h.add(x)
				if err != nil {
					return err
				}
				if !opened && len(got.prompt) > 0 {
					open(got.prompt, e.At)
				}
				if !got.accepted {
					continue
				}
				r := got.response
				s.Message, s.ReasoningContent, s.ModelName = r.Message.Text, r.Message.Reasoning, r.Model
				s.Metrics = &atifMetrics{PromptTokens: r.Usage.InputTokens, CompletionTokens: r.Usage.OutputTokens, CachedTokens: r.Usage.CachedTokens, CostUSD: r.CostUSD}
				tokens := tokensOf(r)
				s.Metrics.PromptIDs, s.Metrics.CompletionIDs, s.Metrics.LogProbs = tokens.PromptIDs, tokens.CompletionIDs, tokens.LogProbs
				whole = r.Tokens.Complete()
			}
			if e.Turn.Turn.Stop != "" {
				return nil
			}
			if !opened && reset != nil && reset.Reset.Observation.Text != "" {
				open([]model.Message{{Role: model.User, Text: reset.Reset.Observation.Text}}, reset.At)
			}
			s.ToolCalls = []atifCall{call(e.Turn.Step, e.Turn.Turn.Action)}
			pending = &s
		case e.Step != nil && pending != nil:
			tr := e.Step.Transition
			pending.Observation = &atifObservation{[]atifResult{{pending.ToolCalls[0].ID, tr.Observation.Text}}}
			pending.Extra = map[string]any{"mlgym": map[string]any{
				"step": e.Step.Step, "reward": tr.Reward, "terminated": tr.Terminated, "truncated": tr.Truncated, "exit_code": tr.Info.ExitCode, "seconds": tr.Info.Seconds,
				"evaluations": tr.Info.Evaluations,
			}}
			totals.AddStep(tr)
			allTokens = allTokens && whole
			add(*pending)
			pending = nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(t.Steps) == 0 {
		return errNoTurns
	}
	if w.requireTokens && !allTokens {
		return errNoTokens
	}
	t.FinalMetrics = atifFinal{totals.TokensIn, totals.TokensOut, totals.TokensCached, totals.CostUSD, len(t.Steps)}
	return w.line(t)
}

func version(v string) string {
	if v == "" {
		return "unknown"
	}
	return v
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// call writes an action as the call of a tool.
func call(step int, a gym.Action) atifCall {
	c := atifCall{ID: fmt.Sprintf("step-%d", step), Function: a.Tool, Arguments: a.Args}
	if a.Tool == "" {
		c.Function = "bash"
		c.Arguments, _ = json.Marshal(map[string]string{"command": a.Command}) // text always encodes
	}
	if len(c.Arguments) == 0 {
		c.Arguments = json.RawMessage("{}")
	}
	return c
}
