// Package nemogym speaks to NeMo Gym (PyPI nemo-gym 0.7.0) as one of its
// Gymnasium-style resources servers: POST /reset, /step and /close, with the session
// in a cookie.
//
// The actions of a step are what the model's response holds: each function call is
// a call of a tool (bash, or one of the environment's own) and is answered by a tool
// output; where there is none, the response's text is the command, or the last
// fenced block of code in it.
package nemogym

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"mlgym/gym"
	"mlgym/server/httpsession"
	"mlgym/server/session"
	"mlgym/tool"
)

// The fields by which a request is known to be NeMo Gym's.
const (
	ResetField = "responses_create_params"
	StepField  = "response"
)

// Handler serves the three routes.
type Handler struct {
	Sessions *httpsession.Sessions
	// Choose turns the fields of a data row into what is asked of a session.
	Choose func(fields map[string]json.RawMessage) (session.Request, error)
}

// reply is the answer to a step; a reset has its first and last field only.
type reply struct {
	Observation *string `json:"observation"`
	Reward      float64 `json:"reward"`
	Terminated  bool    `json:"terminated"`
	Truncated   bool    `json:"truncated"`
	Info        info    `json:"info"`
}

type info struct {
	SupportsExplicitClose   bool             `json:"supports_explicit_close"`
	SupportsStepIdempotency bool             `json:"supports_step_idempotency"`
	SessionID               string           `json:"session_id"`
	Task                    string           `json:"task"`
	ToolOutputs             []toolOutput     `json:"tool_outputs,omitempty"`
	ExitStatus              string           `json:"exit_status"`
	Evaluations             []gym.Evaluation `json:"evaluations,omitempty"`
	Running                 bool             `json:"running"`
	// MaskSample and FailureKind are NeMo Gym's words for a fault that is ours.
	MaskSample  bool   `json:"mask_sample"`
	FailureKind string `json:"failure_kind,omitempty"`
}

type toolOutput struct {
	CallID string `json:"call_id"`
	Output string `json:"output"`
}

// Reset serves POST /reset.
func (h *Handler) Reset(w http.ResponseWriter, r *http.Request, fields map[string]json.RawMessage) {
	request, err := h.Choose(fields)
	if err != nil {
		httpsession.Detail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	s, err := h.Sessions.NamedOrNew(w, r, nil)
	if err != nil {
		httpsession.Detail(w, httpsession.Status(err), err.Error())
		return
	}
	first, err := s.Reset(r.Context(), request)
	if err != nil {
		httpsession.Detail(w, httpsession.Status(err), err.Error())
		return
	}
	out := about(first)
	out.Observation = &first.Observation.Text
	httpsession.JSON(w, http.StatusOK, out)
}

func about(r session.Reply) reply {
	out := reply{
		Terminated: r.Terminated, Truncated: r.Truncated,
		Info: info{
			SupportsExplicitClose: true, SupportsStepIdempotency: true, SessionID: r.SessionID, Task: r.Task,
			ExitStatus: r.Info.ExitStatus.String(), Evaluations: r.Info.Evaluations, Running: r.Running, MaskSample: r.Mask,
		},
	}
	if r.Reward != nil {
		out.Reward = *r.Reward
	}
	if r.Mask {
		out.Info.FailureKind = "infrastructure"
	}
	return out
}

// Step serves POST /step.
func (h *Handler) Step(w http.ResponseWriter, r *http.Request, fields map[string]json.RawMessage) {
	calls, err := decode(fields[StepField])
	if err != nil {
		httpsession.Detail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	s, err := h.Sessions.Named(r, nil)
	if err == nil && s == nil {
		err = session.ErrNotReset
	}
	if err != nil {
		httpsession.Detail(w, httpsession.Status(err), err.Error())
		return
	}
	var requestID string
	_ = json.Unmarshal(fields["_ng_step_request_id"], &requestID) // of another type: as good as none
	out, err := perform(r.Context(), s, calls, requestID)
	if err != nil {
		httpsession.Detail(w, httpsession.Status(err), err.Error())
		return
	}
	httpsession.JSON(w, http.StatusOK, out)
}

// Close serves POST /close. A session that is gone already is closed.
func (h *Handler) Close(w http.ResponseWriter, r *http.Request, fields map[string]json.RawMessage) {
	s, err := h.Sessions.Named(r, fields)
	if err != nil && !errors.Is(err, session.ErrUnknown) {
		httpsession.Detail(w, httpsession.Status(err), err.Error())
		return
	}
	if s != nil {
		s.Close()
	}
	httpsession.Forget(w)
	httpsession.JSON(w, http.StatusOK, map[string]bool{"closed": s != nil})
}

// call is one action of a response. ID is "" for text.
type call struct {
	id     string
	action gym.Action
	// problem is what to answer where nothing can be run.
	problem string
}

// perform runs the actions one after the other, until the episode ends.
func perform(ctx context.Context, s *session.Session, calls []call, requestID string) (reply, error) {
	var out reply
	var outputs []toolOutput
	reward := 0.0
	over := false
	for i, c := range calls {
		text := c.problem
		switch {
		case over:
			text = "The episode is over; this was not run.\n"
		case c.problem == "":
			o := session.StepOptions{}
			if requestID != "" {
				o.RequestID = fmt.Sprintf("%s/%d", requestID, i)
			}
			got, err := s.Step(ctx, c.action, o)
			if err != nil {
				return out, err
			}
			evaluations := out.Info.Evaluations
			out = about(got)
			out.Info.Evaluations = append(evaluations, out.Info.Evaluations...)
			reward += out.Reward
			text = got.Observation.Text
			over = got.Done()
		default:
			state := s.State()
			out.Info.SupportsExplicitClose, out.Info.SupportsStepIdempotency = true, true
			out.Info.SessionID, out.Info.Task = state.SessionID, state.Task
		}
		if c.id == "" {
			out.Observation = &text
			continue
		}
		outputs = append(outputs, toolOutput{CallID: c.id, Output: text})
	}
	out.Reward = reward
	out.Info.ToolOutputs = outputs
	return out, nil
}

// decode finds the actions in a response of a model.
func decode(data json.RawMessage) ([]call, error) {
	var response struct {
		Output []struct {
			Type      string          `json:"type"`
			Name      string          `json:"name"`
			CallID    string          `json:"call_id"`
			Arguments string          `json:"arguments"`
			Content   json.RawMessage `json:"content"`
		} `json:"output"`
	}
	if err := json.Unmarshal(data, &response); err != nil {
		return nil, errors.New("response: a response of a model with its output is wanted")
	}
	var calls []call
	var text strings.Builder
	for _, item := range response.Output {
		switch item.Type {
		case "function_call":
			calls = append(calls, functionCall(item.Name, item.CallID, item.Arguments))
		case "message":
			text.WriteString(contentText(item.Content))
		}
	}
	if len(calls) == 0 {
		calls = []call{textCall(text.String())}
	}
	return calls, nil
}

func functionCall(name, id, arguments string) call {
	c := call{id: id}
	if arguments == "" {
		arguments = "{}"
	}
	if name == "bash" {
		var args struct {
			Command *string `json:"command"`
		}
		if err := json.Unmarshal([]byte(arguments), &args); err != nil || args.Command == nil {
			c.problem = "bash takes {\"command\": \"shell text\"}.\n"
			return c
		}
		c.action.Command = *args.Command
		return c
	}
	if _, ok := tool.Find(name); !ok {
		c.problem = fmt.Sprintf("There is no tool %q.\n", name)
		return c
	}
	if !json.Valid([]byte(arguments)) {
		c.problem = "The arguments are no JSON.\n"
		return c
	}
	c.action = gym.Action{Tool: name, Args: json.RawMessage(arguments)}
	return c
}

// contentText joins the text of a message.
func contentText(data json.RawMessage) string {
	var text string
	if json.Unmarshal(data, &text) == nil {
		return text
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if json.Unmarshal(data, &parts) != nil {
		return ""
	}
	var all strings.Builder
	for _, p := range parts {
		if p.Type == "output_text" || p.Type == "text" {
			all.WriteString(p.Text)
		}
	}
	return all.String()
}

// textCall is the command in a model's text: its last fenced block of code, else
// the text as it is.
func textCall(text string) call {
	if command, ok := fenced(text); ok {
		return call{action: gym.Action{Command: command}}
	}
	if strings.TrimSpace(text) == "" {
		return call{problem: "There was no command in that. Answer with one fenced block of shell text, or call a tool.\n"}
	}
	return call{action: gym.Action{Command: text}}
}

// fenced finds the last block between fences of three backticks.
func fenced(text string) (block string, ok bool) {
	const fence = "```"
	var lines []string
	open := false
	for line := range strings.Lines(text) {
		switch {
		case !strings.HasPrefix(strings.TrimSpace(line), fence):
			if open {
				lines = append(lines, line)
			}
		case open:
			block, ok, open = strings.Join(lines, ""), true, false
		default:
			lines, open = nil, true
		}
	}
	return block, ok
}
