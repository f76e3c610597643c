package scaffold

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"mlgym/gym"
	"mlgym/model"
	"mlgym/tool"
)

// ShellFunction is the name of the function that function_calling offers for
// shell text, beside the tools. Its one argument is "command".
const ShellFunction = "bash"

// Scaffold is a checked [Spec] with its templates compiled.
type Scaffold struct {
	Spec
	digest    string
	templates templates
}

// SystemData is what the system template may use.
type SystemData struct {
	// Tools on offer, in order, with Name, Usage and Doc.
	Tools []tool.Spec
}

// State is where the episode stands.
type State struct {
	// Step counts the actions taken so far.
	Step int
	// Limited says whether the number of steps is limited.
	Limited bool
	// StepsLeft is how many actions remain; -1 where Limited is false.
	StepsLeft int
	// OpenFile is the file open in the editor, or "".
	OpenFile string
	// WorkingDir is the working directory of the shell.
	WorkingDir string
}

// TaskData is what the task template may use.
type TaskData struct {
	State
	// Statement is the text that the environment gave at reset.
	Statement string
}

// StepData is what the step and empty_output templates may use.
type StepData struct {
	State
	// Observation is the output of the action, or the rendered empty_output.
	Observation string
}

// FormatErrorData is what the format_error template may use.
type FormatErrorData struct {
	// Problem says what is wrong with the answer.
	Problem string
	// AttemptsLeft counts the answers that may still be read in this turn.
	AttemptsLeft int
}

// ElidedData is what the elided template may use.
type ElidedData struct {
	// Step whose output is left out.
	Step int
	// Lines of the output that is left out.
	Lines int
}

// DemonstrationData is what the demonstration template may use.
type DemonstrationData struct {
	// Task statement of the demonstration.
	Task string
}

// Digest identifies what the scaffold does: a SHA-256 over its checked content,
// included files among it.
func (s *Scaffold) Digest() string { return s.digest }

func digest(spec Spec) (string, error) {
	content, err := json.Marshal(spec)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Select returns the tools that the scaffold offers out of those that there
// are, in the scaffold's order. A scaffold that names none offers all.
func (s *Scaffold) Select(tools []tool.Spec) ([]tool.Spec, error) {
	if len(s.Tools) == 0 {
		return tools, nil
	}
	known := make([]string, len(tools))
	for i, t := range tools {
		known[i] = t.Name
	}
	var out []tool.Spec
	for _, name := range s.Tools {
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("scaffold %s: %s", s.Name, unknown("tool", name, known))
		}
		out = append(out, tools[i])
	}
	return out, nil
}

var shellParameters = json.RawMessage(`{"type":"object","properties":{"command":{"type":"string",` +
	`"description":"Shell text. It may have several lines."}},"required":["command"],"additionalProperties":false}`)

// Functions returns what a request offers to the model: nothing, except with
// function_calling, where it is [ShellFunction] and one function per tool.
func (s *Scaffold) Functions(tools []tool.Spec) []model.ToolSpec {
	if s.Output != FunctionCalling {
		return nil
	}
	var out []model.ToolSpec
	if !slices.ContainsFunc(tools, func(t tool.Spec) bool { return t.Name == ShellFunction }) {
		out = append(out, model.ToolSpec{
			Name: ShellFunction,
			Description: "Run shell text in the persistent bash session. The working directory, " +
				"variables and functions stay from call to call.",
			Parameters: shellParameters,
		})
	}
	for _, t := range tools {
		parameters := t.Parameters
		if len(parameters) == 0 {
			parameters = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		out = append(out, model.ToolSpec{Name: t.Name, Description: t.Prose(), Parameters: parameters})
	}
	return out
}

// Opening returns the messages before the first answer: the system message, the
// demonstrations, and the task statement that first holds.
func (s *Scaffold) Opening(tools []tool.Spec, first gym.Observation) ([]model.Message, error) {
	var out []model.Message
	if s.Prompts.System != "" {
		text, err := s.render(s.templates.system, SystemData{Tools: tools})
		if err != nil {
			return nil, err
		}
		out = append(out, model.Message{Role: model.System, Text: text})
	}
	for i, demo := range s.Demonstrations {
		told, err := s.tell(i, demo)
		if err != nil {
			return nil, err
		}
		out = append(out, told...)
	}
	text, err := s.render(s.templates.task, TaskData{State: state(first), Statement: first.Text})
	if err != nil {
		return nil, err
	}
	return append(out, model.Message{Role: model.User, Text: text}), nil
}

// Answer returns the messages that tell the model what its answer led to.
func (s *Scaffold) Answer(answer model.Message, obs gym.Observation) ([]model.Message, error) {
	data := StepData{State: state(obs), Observation: strings.TrimRight(obs.Text, "\n")}
	if strings.TrimSpace(obs.Text) == "" {
		text, err := s.render(s.templates.empty, data)
		if err != nil {
			return nil, err
		}
		data.Observation = text
	}
	text, err := s.render(s.templates.step, data)
	if err != nil {
		return nil, err
	}
	return results(answer, text, "Not run: one call at a time. Only the first call of an answer is run."), nil
}

// Elide returns what takes the place of [Scaffold.Answer] once the history
// policy leaves the observation out.
func (s *Scaffold) Elide(answer model.Message, obs gym.Observation) ([]model.Message, error) {
	text, err := s.render(s.templates.elided, ElidedData{Step: obs.Step, Lines: lines(obs.Text)})
	if err != nil {
		return nil, err
	}
	return results(answer, text, "Not run."), nil
}

// Refuse returns the malformed answer and what the model is told of it.
func (s *Scaffold) Refuse(answer model.Message, problem string, attemptsLeft int) ([]model.Message, error) {
	text, err := s.render(s.templates.formatError, FormatErrorData{Problem: problem, AttemptsLeft: attemptsLeft})
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(answer.Text) == "" && len(answer.ToolCalls) == 0 {
		// Providers refuse an empty assistant message.
		answer.Text = "(empty answer)"
	}
	return append([]model.Message{answer}, results(answer, text, text)...), nil
}

// Keep reports whether observation i of n (0 is the oldest) is shown in full.
func (h History) Keep(i, n int) bool {
	switch h.Policy {
	case LastN:
		return i >= n-h.Last
	case FirstLast:
		return i < h.First || i >= n-h.Last
	case All:
	}
	return true
}

// results answers the tool calls of an answer, or the answer itself where it
// made none.
func results(answer model.Message, first, others string) []model.Message {
	if len(answer.ToolCalls) == 0 {
		return []model.Message{{Role: model.User, Text: first}}
	}
	var out []model.Message
	for i, call := range answer.ToolCalls {
		text := first
		if i > 0 {
			text = others
		}
		out = append(out, model.Message{Role: model.ToolResult, ToolCallID: call.ID, Text: text})
	}
	return out
}

func state(obs gym.Observation) State {
	return State{
		Step:       obs.Step,
		Limited:    obs.StepsLeft >= 0,
		StepsLeft:  obs.StepsLeft,
		OpenFile:   obs.OpenFile,
		WorkingDir: obs.WorkingDir,
	}
}

func lines(text string) int {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return 0
	}
	return strings.Count(text, "\n") + 1
}

func (s *Scaffold) render(t *template.Template, data any) (string, error) {
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", fmt.Errorf("scaffold %s: %w", s.Name, err)
	}
	return strings.TrimRight(b.String(), " \t\n"), nil
}
