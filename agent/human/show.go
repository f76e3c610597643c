package human

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"mlgym/gym"
)

// show prints an observation.
func (a *Agent) show(obs gym.Observation) error {
	where := fmt.Sprintf("step %d", obs.Step)
	if obs.StepsLeft >= 0 {
		where += fmt.Sprintf(", %d left", obs.StepsLeft)
	}
	if obs.WorkingDir != "" {
		where += ", in " + visible(obs.WorkingDir)
	}
	if obs.OpenFile != "" {
		where += ", open " + visible(obs.OpenFile)
	}
	text := visible(strings.TrimRight(obs.Text, "\n"))
	if text == "" {
		text = "(no output)"
	}
	_, err := fmt.Fprintf(a.cfg.Out, "%s\n--- %s (:help) ---\n", text, where)
	if err != nil {
		return fmt.Errorf("writing an observation: %w", err)
	}
	return nil
}

func (a *Agent) say(text string) error {
	_, err := io.WriteString(a.cfg.Out, strings.TrimRight(text, "\n")+"\n")
	if err != nil {
		return fmt.Errorf("writing to the terminal: %w", err)
	}
	return nil
}

// visible replaces control characters, so that what a program in the sandbox
// prints cannot move the cursor or change the settings of a person's terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
