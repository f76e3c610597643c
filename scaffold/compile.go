package scaffold

import (
	"encoding/json"
	"io"
	"strings"
	"text/template"

	"mlgym/gym"
	"mlgym/tool"
)

type templates struct {
	system, demonstration, task, step, empty, formatError, elided *template.Template
}

// compile parses the templates and executes each once with sample data, so that
// a misspelt field is found when the file is read and not in the middle of an
// episode.
func compile(d *document, spec Spec) (*Scaffold, error) {
	s := &Scaffold{Spec: spec}
	limited := State{Step: 3, Limited: true, StepsLeft: 7, OpenFile: "/workspace/a.py", WorkingDir: "/workspace"}
	fresh := State{StepsLeft: -1}
	for _, row := range []struct {
		key, text string
		into      **template.Template
		required  bool
		samples   []any
	}{
		{"system", spec.Prompts.System, &s.templates.system, false, []any{
			SystemData{}, SystemData{Tools: []tool.Spec{{
				Name: "open", Usage: "open <path>", Doc: "Opens a file.", Parameters: json.RawMessage(`{}`),
			}}},
		}},
		{"demonstration", spec.Prompts.Demonstration, &s.templates.demonstration, len(spec.Demonstrations) > 0, []any{
			DemonstrationData{Task: "Do it."},
		}},
		{"task", spec.Prompts.Task, &s.templates.task, true, []any{
			TaskData{State: fresh, Statement: "Do it."}, TaskData{State: limited, Statement: "Do it."},
		}},
		{"step", spec.Prompts.Step, &s.templates.step, true, []any{
			StepData{State: fresh, Observation: "ok"}, StepData{State: limited, Observation: "ok"},
		}},
		{"empty_output", spec.Prompts.EmptyOutput, &s.templates.empty, true, []any{
			StepData{State: limited},
		}},
		{"format_error", spec.Prompts.FormatError, &s.templates.formatError, true, []any{
			FormatErrorData{Problem: "no block", AttemptsLeft: 2}, FormatErrorData{Problem: "no block"},
		}},
		{"elided", spec.Prompts.Elided, &s.templates.elided, spec.History.Policy != All, []any{
			ElidedData{Step: 1, Lines: 1}, ElidedData{Step: 2, Lines: 40},
		}},
	} {
		key := "prompts." + row.key
		if strings.TrimSpace(row.text) == "" && row.required {
			return nil, d.fail(key, "is missing")
		}
		t, err := template.New(row.key).Option("missingkey=error").Parse(row.text)
		if err != nil {
			return nil, d.fail(key, "%v", err)
		}
		for _, sample := range row.samples {
			if err := t.Execute(io.Discard, sample); err != nil {
				return nil, d.fail(key, "%v", err)
			}
		}
		*row.into = t
	}
	if _, err := s.Opening(nil, gym.Observation{Text: "Do it.", StepsLeft: -1}); err != nil {
		return nil, d.fail("demonstrations", "%v", err)
	}
	var err error
	if s.digest, err = digest(s.Spec); err != nil {
		return nil, d.fail("", "%v", err)
	}
	return s, nil
}
