package scaffold

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"mlgym/gym"
	"mlgym/model"
)

// tell renders a demonstration as messages in the scaffold's own output format.
func (s *Scaffold) tell(number int, demo Demonstration) ([]model.Message, error) {
	text, err := s.render(s.templates.demonstration, DemonstrationData{Task: strings.TrimSpace(demo.Task)})
	if err != nil {
		return nil, err
	}
	out := []model.Message{{Role: model.User, Text: text}}
	obs := gym.Observation{StepsLeft: -1, WorkingDir: cmp.Or(demo.WorkingDir, "/workspace")}
	for i, step := range demo.Steps {
		answer, err := s.write(fmt.Sprintf("demo-%d-%d", number+1, i+1), step)
		if err != nil {
			return nil, err
		}
		out = append(out, answer)
		last := i == len(demo.Steps)-1
		if last && step.Observation == "" && len(answer.ToolCalls) == 0 {
			continue
		}
		obs.Text, obs.Step, obs.OpenFile = step.Observation, i+1, cmp.Or(step.OpenFile, obs.OpenFile)
		said, err := s.Answer(answer, obs)
		if err != nil {
			return nil, err
		}
		out = append(out, said...)
	}
	return out, nil
}

// write is the inverse of [Scaffold.Parse].
func (s *Scaffold) write(id string, step DemonstrationStep) (model.Message, error) {
	answer := model.Message{Role: model.Assistant}
	thought := strings.TrimSpace(step.Thought)
	command := strings.TrimRight(step.Command, "\n")
	switch s.Output {
	case ThoughtAction:
		fence := fenceFor(command)
		answer.Text = strings.TrimLeft(thought+"\n\n", "\n") + fence + "\n" + command + "\n" + fence
	case XML:
		answer.Text = "<command>\n" + command + "\n</command>"
		if thought != "" {
			answer.Text = "<thought>\n" + thought + "\n</thought>\n" + answer.Text
		}
	case FunctionCalling:
		name, args := step.Tool, any(step.Args)
		if name == "" {
			name, args = ShellFunction, map[string]string{"command": command}
		} else if step.Args == nil {
			args = map[string]any{}
		}
		raw, err := encode(args)
		if err != nil {
			return model.Message{}, fmt.Errorf("arguments of %s: %w", name, err)
		}
		answer.Text = thought
		answer.ToolCalls = []model.ToolCall{{ID: id, Name: name, Args: raw}}
	}
	return answer, nil
}

// encode writes JSON as models do: without \u003c for <.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
