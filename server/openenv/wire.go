package openenv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mlgym/gym"
	"mlgym/internal/nearest"
	"mlgym/server/session"
	"mlgym/tool"
)

// The codes of the protocol's error frames.
const (
	codeInvalidJSON = "INVALID_JSON"
	codeUnknownType = "UNKNOWN_TYPE"
	codeValidation  = "VALIDATION_ERROR"
	codeExecution   = "EXECUTION_ERROR"
	codeCapacity    = "CAPACITY_REACHED"
	codeFactory     = "FACTORY_ERROR"
	codeSession     = "SESSION_ERROR"
)

// problem is what is wrong with a field, in the shape that the protocol's clients
// know from their own server.
type problem struct {
	Type string   `json:"type"`
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	// Input is left out where it is large.
	Input any `json:"input,omitempty"`
}

// problems is an error made of them.
type problems []problem

func (p problems) Error() string {
	parts := make([]string, len(p))
	for i, one := range p {
		parts[i] = strings.Join(one.Loc, ".") + ": " + one.Msg
	}
	return strings.Join(parts, "; ")
}

func (p *problems) add(kind, field, format string, args ...any) {
	*p = append(*p, problem{Type: kind, Loc: []string{field}, Msg: fmt.Sprintf(format, args...)})
}

// frame is a message of a client.
type frame struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// decodeFrame reads a message. The code is that of the error frame.
func decodeFrame(text []byte) (f frame, code string, err error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return f, codeInvalidJSON, errors.New("the message is no JSON")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return f, codeValidation, problems{{Type: "model_type", Loc: []string{}, Msg: "a message is an object with type and data"}}
	}
	if err := json.Unmarshal(fields["type"], &f.Type); err != nil {
		return f, codeUnknownType, errors.New("the message has no type (known: reset, step, state, mcp, snapshot, last, close)")
	}
	f.Data = fields["data"]
	for name := range fields {
		if name != "type" && name != "data" {
			return f, codeValidation, problems{{Type: "extra_forbidden", Loc: []string{name}, Msg: "a message has type and data only"}}
		}
	}
	return f, "", nil
}

// fieldsOf reads an object; nothing and null are an empty one.
func fieldsOf(data json.RawMessage) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	if len(data) == 0 || bytes.Equal(data, []byte("null")) {
		return fields, nil
	}
	if err := json.Unmarshal(data, &fields); err != nil || fields == nil {
		return nil, problems{{Type: "dict_type", Loc: []string{"data"}, Msg: "an object is wanted"}}
	}
	return fields, nil
}

// resetFields are the options of a reset.
var resetFields = []string{
	"seed", "episode_id", "task", "split", "index", "variant", "mode", "reward", "max_steps", "patience_s", "snapshot", "attach",
}

// The bounds of a reset's options.
const (
	maxEpisodeID = 255
	maxSeed      = 1 << 53 // beyond it a JSON reader that knows floating point only is wrong
)

// reset is what a client asks for.
type reset struct {
	request session.Request
	// split and index choose a task from the tasks API, index -1 for none.
	split string
	index int
	// attach is the session to go on with, "" for a new episode.
	attach string
}

// decodeReset reads the options of a reset. Options that are not known are none of
// ours, as the protocol has it, but for those that look like a known one misspelt.
func decodeReset(fields map[string]json.RawMessage) (reset, error) {
	out := reset{index: -1}
	var wrong problems
	text := func(name string, to *string) {
		data, ok := fields[name]
		if !ok || isNull(data) {
			return
		}
		if err := json.Unmarshal(data, to); err != nil {
			wrong.add("string_type", name, "a string is wanted")
		}
	}
	number := func(name string, low, high float64, whole bool) (float64, bool) {
		data, ok := fields[name]
		if !ok || isNull(data) {
			return 0, false
		}
		var v float64
		if err := json.Unmarshal(data, &v); err != nil || v < low || v > high || whole && v != math.Trunc(v) {
			wrong.add("number_type", name, "a number from %g to %g is wanted", low, high)
			return 0, false
		}
		return v, true
	}
	text("episode_id", &out.request.EpisodeID)
	if len(out.request.EpisodeID) > maxEpisodeID {
		wrong.add("string_too_long", "episode_id", "at most %d characters are allowed", maxEpisodeID)
	}
	text("task", &out.request.Task)
	text("split", &out.split)
	text("variant", &out.request.Variant)
	text("mode", &out.request.Mode)
	text("reward", &out.request.Reward)
	text("snapshot", &out.request.Snapshot)
	text("attach", &out.attach)
	if v, ok := number("seed", 0, maxSeed, true); ok {
		out.request.Seed = new(uint64(v))
	}
	if v, ok := number("index", 0, math.MaxInt32, true); ok {
		out.index = int(v)
	}
	if v, ok := number("max_steps", 1, math.MaxInt32, true); ok {
		out.request.MaxSteps = int(v)
	}
	if v, ok := number("patience_s", 0, 7*24*3600, false); ok {
		out.request.Patience = new(time.Duration(v * float64(time.Second)))
	}
	for name := range fields {
		if slices.Contains(resetFields, name) {
			continue
		}
		for _, known := range resetFields {
			if len(name) > 3 && nearest.Distance(name, known) == 1 {
				wrong.add("extra_forbidden", name, "there is no such option; did you mean %q?", known)
			}
		}
	}
	if wrong != nil {
		return out, wrong
	}
	return out, nil
}

func isNull(data json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(data), []byte("null")) }

// act is a decoded action.
type act struct {
	action gym.Action
	// list asks for the tools; tool names the one that is called.
	list bool
	tool string
}

// The kinds of action beside a command.
const (
	listTools = "list_tools"
	callTool  = "call_tool"
)

// decodeAction reads an action: {"command"}, or one of MCP's two kinds.
func decodeAction(data json.RawMessage) (act, error) {
	fields, err := fieldsOf(data)
	if err != nil {
		return act{}, err
	}
	var out act
	var wrong problems
	kind := ""
	if raw, ok := fields["type"]; ok {
		if err := json.Unmarshal(raw, &kind); err != nil {
			wrong.add("string_type", "type", "a string is wanted")
			return out, wrong
		}
	}
	if raw, ok := fields["metadata"]; ok && !isNull(raw) {
		if _, err := fieldsOf(raw); err != nil {
			wrong.add("dict_type", "metadata", "an object is wanted")
		}
	}
	allowed := []string{"metadata", "type"}
	switch kind {
	case listTools:
		out.list = true
	case callTool:
		allowed = append(allowed, "tool_name", "arguments")
		out.decodeCall(fields, &wrong)
	case "", "command":
		allowed = append(allowed, "command")
		raw, ok := fields["command"]
		if !ok {
			wrong.add("missing", "command", "a command is wanted: {\"command\": \"shell text\"}")
		} else if out.action.Command, ok = commandText(raw); !ok {
			wrong.add("string_type", "command", "a string is wanted")
		}
	default:
		wrong.add("literal_error", "type", "no such kind of action (known: command, %s, %s)", listTools, callTool)
		return out, wrong
	}
	for name := range fields {
		if !slices.Contains(allowed, name) {
			wrong.add("extra_forbidden", name, "there is no such field in this action%s", nearest.Hint(name, allowed))
		}
	}
	if wrong != nil {
		return out, wrong
	}
	return out, nil
}

// commandText reads a command. Some clients read a model's reply as JSON before they
// send it, so that the command 5 or true arrives as what it means there.
func commandText(raw json.RawMessage) (string, bool) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case float64, bool:
		return string(bytes.TrimSpace(raw)), true
	default:
		return "", false
	}
}

func (a *act) decodeCall(fields map[string]json.RawMessage, wrong *problems) {
	if raw, ok := fields["tool_name"]; !ok {
		wrong.add("missing", "tool_name", "the name of a tool is wanted")
	} else if err := json.Unmarshal(raw, &a.tool); err != nil || a.tool == "" {
		wrong.add("string_type", "tool_name", "the name of a tool is wanted")
	}
	arguments, err := fieldsOf(fields["arguments"])
	if err != nil {
		wrong.add("dict_type", "arguments", "an object is wanted")
		return
	}
	a.action, err = toolAction(a.tool, fields["arguments"], arguments)
	if err != nil {
		a.action = gym.Action{}
		*wrong = append(*wrong, problem{Type: "value_error", Loc: []string{"arguments"}, Msg: err.Error()})
	}
}

// BashTool is the tool that runs shell text: a command in the shape of a tool.
const BashTool = "bash"

// toolAction is the action of a tool that is called. A name that no tool has gives
// the zero action.
func toolAction(name string, raw json.RawMessage, arguments map[string]json.RawMessage) (gym.Action, error) {
	if name != BashTool {
		if _, ok := tool.Find(name); !ok {
			return gym.Action{}, nil
		}
		if len(raw) == 0 || isNull(raw) {
			raw = json.RawMessage("{}")
		}
		return gym.Action{Tool: name, Args: raw}, nil
	}
	var command string
	if err := json.Unmarshal(arguments["command"], &command); err != nil || isNull(arguments["command"]) {
		return gym.Action{}, errors.New("bash takes {\"command\": \"shell text\"}")
	}
	return gym.Action{Command: command}, nil
}

// metadata is what a trainer wants to know beside the observation.
type metadata struct {
	SessionID      string           `json:"session_id"`
	EpisodeID      string           `json:"episode_id"`
	Terminated     bool             `json:"terminated"`
	Truncated      bool             `json:"truncated"`
	ExitStatus     string           `json:"exit_status"`
	ExitCode       int              `json:"exit_code"`
	Seconds        float64          `json:"seconds"`
	Deadline       string           `json:"deadline"`
	ShellRestarted bool             `json:"shell_restarted"`
	OutputBytes    int64            `json:"output_bytes"`
	Evaluations    []gym.Evaluation `json:"evaluations"`
	Fault          string           `json:"fault"`
	Mask           bool             `json:"mask"`
}

// seen is the part of the metadata that stands in the observation, where trainers
// show all of it to the model: nothing that costs tokens, and no score.
type seen struct {
	ExitStatus string `json:"exit_status,omitempty"`
}

// observation is what the agent gets to see, with the fields of MCP's two kinds of
// action where they are asked for.
type observation struct {
	Text       string `json:"text"`
	Task       string `json:"task"`
	Step       int    `json:"step"`
	StepsLeft  int    `json:"steps_left"`
	WorkingDir string `json:"working_dir"`
	OpenFile   string `json:"open_file"`
	Running    bool   `json:"running"`
	Metadata   seen   `json:"metadata"`

	Tools    []toolInfo `json:"tools,omitempty"`
	ToolName string     `json:"tool_name,omitempty"`
	Result   *string    `json:"result,omitempty"`
	Error    *toolError `json:"error,omitempty"`
}

// toolError is why a tool could not be called at all.
type toolError struct {
	Type    string `json:"error_type"`
	Message string `json:"message"`
}

// payload is the data of an observation frame, and the body of an HTTP reply.
type payload struct {
	Observation observation `json:"observation"`
	Reward      *float64    `json:"reward"`
	Done        bool        `json:"done"`
	Metadata    metadata    `json:"metadata"`
}

// encode turns a reply into the protocol's shape.
func encode(r session.Reply) payload {
	m := metadata{
		SessionID: r.SessionID, EpisodeID: r.EpisodeID, Terminated: r.Terminated, Truncated: r.Truncated,
		ExitStatus: r.Info.ExitStatus.String(), ExitCode: r.Info.ExitCode, Seconds: r.Info.Seconds, Deadline: r.Info.Deadline,
		ShellRestarted: r.Info.ShellRestarted, OutputBytes: r.Info.OutputBytes, Evaluations: r.Info.Evaluations,
		Fault: r.Info.Fault, Mask: r.Mask,
	}
	if m.Evaluations == nil {
		m.Evaluations = []gym.Evaluation{}
	}
	o := r.Observation
	return payload{
		Observation: observation{
			Text: o.Text, Task: r.Task, Step: o.Step, StepsLeft: o.StepsLeft, WorkingDir: o.WorkingDir, OpenFile: o.OpenFile,
			Running: r.Running, Metadata: seen{m.ExitStatus},
		},
		Reward: r.Reward, Done: r.Done(), Metadata: m,
	}
}

// stateData is the state in the protocol's shape.
type stateData struct {
	EpisodeID   *string    `json:"episode_id"`
	StepCount   int        `json:"step_count"`
	SessionID   string     `json:"session_id"`
	Task        string     `json:"task"`
	Variant     string     `json:"variant"`
	Mode        string     `json:"mode"`
	RewardMode  string     `json:"reward_mode"`
	Seed        *uint64    `json:"seed"`
	RewardRange [2]float64 `json:"reward_range"`
	Done        bool       `json:"done"`
	Running     bool       `json:"running"`
	TotalReward float64    `json:"total_reward"`
	MaxSteps    int        `json:"max_steps"`
}

func encodeState(s session.State) stateData {
	out := stateData{
		StepCount: s.Steps, SessionID: s.SessionID, Task: s.Task, Variant: s.Variant, Mode: s.Mode, RewardMode: s.Reward,
		RewardRange: [2]float64{s.Low, s.High}, Done: s.Done, Running: s.Running, TotalReward: s.TotalReward, MaxSteps: s.MaxSteps,
	}
	if s.EpisodeID != "" {
		out.EpisodeID, out.Seed = &s.EpisodeID, &s.Seed
	}
	return out
}

// snapshotData describes a saved state.
type snapshotData struct {
	ID    string `json:"snapshot_id"`
	Bytes int64  `json:"bytes"`
	Step  int    `json:"step"`
}

// toolInfo describes a tool. Its schema stands under both of the names by which
// clients look for it.
type toolInfo struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"input_schema"`
}

// tools lists what can be called.
func tools() []toolInfo {
	out := []toolInfo{{
		Name:        BashTool,
		Description: "Runs shell text in the episode's persistent bash and returns what it prints.\n",
		InputSchema: json.RawMessage(`{"type":"object","properties":{"command":{"type":"string","description":"the shell text"}},"required":["command"],"additionalProperties":false}`),
	}}
	for _, t := range tool.All() {
		out = append(out, toolInfo{Name: t.Name, Description: t.Prose(), InputSchema: t.Parameters})
	}
	return out
}

// errorData is the data of an error frame.
type errorData struct {
	Message        string    `json:"message"`
	Code           string    `json:"code"`
	Errors         []problem `json:"errors,omitempty"`
	ActiveSessions *int      `json:"active_sessions,omitempty"`
	MaxSessions    *int      `json:"max_sessions,omitempty"`
}

// failure turns an error into the data of an error frame. final says that the
// connection cannot go on after it.
func failure(err error) (data errorData, final bool) {
	data = errorData{Message: err.Error(), Code: codeExecution}
	var wrong problems
	var refused *session.RequestError
	var full *session.CapacityError
	switch {
	case errors.As(err, &wrong):
		data.Message, data.Code, data.Errors = "Invalid message: "+wrong.Error(), codeValidation, wrong
	case errors.As(err, &refused):
		data.Code = codeValidation
		data.Errors = []problem{{Type: "value_error", Loc: []string{refused.Field}, Msg: refused.Err.Error()}}
	case errors.As(err, &full):
		data.Code, data.ActiveSessions, data.MaxSessions = codeCapacity, &full.Active, &full.Max
		return data, true
	case errors.Is(err, session.ErrClosed), errors.Is(err, session.ErrUnknown), errors.Is(err, session.ErrTaken), errors.Is(err, session.ErrDraining):
		data.Code = codeSession
		return data, true
	}
	return data, false
}
