package scaffold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"mlgym/gym"
	"mlgym/model"
	"mlgym/tool"
)

// Reply is what a model's answer says.
type Reply struct {
	// Thought is what stands around the action; it may be "".
	Thought string
	// Action is never zero.
	Action gym.Action
}

// FormatError says why an answer cannot be read. The text is meant for the
// model.
type FormatError struct{ Problem string }

func (e *FormatError) Error() string { return e.Problem }

func malformed(format string, args ...any) error {
	return &FormatError{Problem: fmt.Sprintf(format, args...)}
}

// Parse reads an answer. Every error is a [*FormatError]. The tools are those on
// offer.
func (s *Scaffold) Parse(answer model.Message, tools []tool.Spec) (Reply, error) {
	var reply Reply
	var err error
	switch s.Output {
	case ThoughtAction:
		if len(answer.ToolCalls) > 0 {
			return Reply{}, malformed("The answer holds a function call. Write the command in a fenced block of the text.")
		}
		reply, err = parseFenced(answer.Text)
	case XML:
		if len(answer.ToolCalls) > 0 {
			return Reply{}, malformed("The answer holds a function call. Write the command between <command> and </command>.")
		}
		reply, err = parseTags(answer.Text)
	case FunctionCalling:
		reply, err = parseCalls(answer, tools)
	default:
		return Reply{}, malformed("there is no output format %q", s.Output)
	}
	if err != nil {
		return Reply{}, err
	}
	if program := s.Interactive.find(reply.Action.Command); program != "" {
		return Reply{}, malformed("The program %q needs a person at a terminal, so it cannot be used here. "+
			"Use a form of it, or another program, that works without one.", program)
	}
	return reply, nil
}

// parseFenced finds the one fenced block. Fences follow CommonMark: a line that
// starts with at least three back-quotes after at most three blanks, with an
// optional word after them, closed by a line of at least as many back-quotes.
func parseFenced(text string) (Reply, error) {
	spoken, reasoned := cutReasoning(text)
	var outside, inside []string
	var fence string
	indent, blocks := 0, 0
	for line := range strings.SplitSeq(strings.ReplaceAll(spoken, "\r\n", "\n"), "\n") {
		ticks, blanks, info := openFence(line)
		switch {
		case fence == "" && ticks == "":
			outside = append(outside, line)
		case fence == "":
			fence, indent = ticks, blanks
			if blocks++; blocks > 1 {
				continue
			}
		case len(ticks) >= len(fence) && info == "":
			fence = ""
		case blocks == 1:
			inside = append(inside, unindent(line, indent))
		}
	}
	switch {
	case blocks == 0:
		return Reply{}, malformed("The answer holds no fenced block, so there is no command to run.")
	case fence != "":
		return Reply{}, malformed("The fenced block is not closed: a line with %s is missing.", fence)
	case blocks > 1:
		return Reply{}, malformed("The answer holds %d fenced blocks; there must be exactly one. "+
			"A command that contains a line of three back-quotes itself must be fenced by four.", blocks)
	}
	return reply(reasoned, strings.Join(outside, "\n"), strings.Join(inside, "\n"), "The fenced block is empty.")
}

func reply(reasoned, thought, command, empty string) (Reply, error) {
	if strings.TrimSpace(command) == "" {
		return Reply{}, malformed("%s", empty)
	}
	thought = strings.TrimSpace(reasoned + "\n" + strings.TrimSpace(thought))
	return Reply{Thought: thought, Action: gym.Action{Command: command}}, nil
}

// openFence splits a fence line; ticks is "" where the line is none.
func openFence(line string) (ticks string, blanks int, info string) {
	rest := strings.TrimLeft(line, " ")
	blanks = len(line) - len(rest)
	info = strings.TrimLeft(rest, "`")
	ticks = rest[:len(rest)-len(info)]
	if blanks > 3 || len(ticks) < 3 || strings.Contains(info, "`") {
		return "", 0, ""
	}
	return ticks, blanks, strings.TrimSpace(info)
}

func unindent(line string, n int) string {
	for ; n > 0 && strings.HasPrefix(line, " "); n-- {
		line = line[1:]
	}
	return line
}

// fenceFor returns a fence that no line of the command can close.
func fenceFor(command string) string {
	fence := "```"
	for line := range strings.SplitSeq(command, "\n") {
		if ticks, _, _ := openFence(line); len(ticks) >= len(fence) {
			fence = ticks + "`"
		}
	}
	return fence
}

// cutReasoning takes off a leading <think> element, which some servers leave in
// the text: blocks inside it are not meant as answers.
func cutReasoning(text string) (spoken, reasoned string) {
	trimmed := strings.TrimLeft(text, " \t\r\n")
	if inner, ok := strings.CutPrefix(trimmed, "<think>"); ok {
		if before, after, closed := strings.Cut(inner, "</think>"); closed {
			return after, strings.TrimSpace(before)
		}
	}
	return text, ""
}

// parseTags finds the one <command> element outside of <thought>.
func parseTags(text string) (Reply, error) {
	const openTag, closeTag = "<command>", "</command>"
	spoken, reasoned := cutReasoning(text)
	spoken = strings.ReplaceAll(spoken, "\r\n", "\n")
	thought := ""
	if before, rest, ok := strings.Cut(spoken, "<thought>"); ok && !strings.Contains(before, openTag) {
		inner, after, closed := strings.Cut(rest, "</thought>")
		if !closed {
			return Reply{}, malformed("The <thought> element is not closed.")
		}
		thought, spoken = strings.TrimSpace(inner), before+after
	}
	opened, closed := strings.Count(spoken, openTag), strings.Count(spoken, closeTag)
	switch {
	case opened == 0 && closed == 0:
		return Reply{}, malformed("The answer holds no <command> element, so there is no command to run.")
	case opened > closed:
		return Reply{}, malformed("The <command> element is not closed: </command> is missing.")
	case opened < closed:
		return Reply{}, malformed("There is a </command> without its <command>.")
	case opened > 1:
		return Reply{}, malformed("The answer holds %d <command> elements; there must be exactly one.", opened)
	}
	before, rest, _ := strings.Cut(spoken, openTag)
	command, after, ok := strings.Cut(rest, closeTag)
	if !ok {
		return Reply{}, malformed("</command> stands before <command>.")
	}
	command = strings.TrimSuffix(strings.TrimPrefix(command, "\n"), "\n")
	thought += "\n" + strings.TrimSpace(before) + "\n" + strings.TrimSpace(after)
	return reply(reasoned, thought, command, "The <command> element is empty.")
}

// parseCalls reads the first tool call.
func parseCalls(answer model.Message, tools []tool.Spec) (Reply, error) {
	if len(answer.ToolCalls) == 0 {
		return Reply{}, malformed("The answer calls no function, so nothing can be run.")
	}
	call := answer.ToolCalls[0]
	args := bytes.TrimSpace(call.Args)
	if len(args) == 0 || bytes.Equal(args, []byte("null")) {
		args = []byte("{}")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(args, &object); err != nil {
		return Reply{}, malformed("The arguments of %s are no JSON object: %v.", call.Name, err)
	}
	thought := strings.TrimSpace(answer.Text)
	var known []string
	for _, t := range tools {
		if t.Name == call.Name {
			return Reply{Thought: thought, Action: gym.Action{Tool: call.Name, Args: args}}, nil
		}
		known = append(known, t.Name)
	}
	if call.Name != ShellFunction {
		return Reply{}, malformed("There is no function of that name: %s.",
			unknown("function", call.Name, append(known, ShellFunction)))
	}
	var command string
	if err := json.Unmarshal(object["command"], &command); err != nil || strings.TrimSpace(command) == "" {
		return Reply{}, malformed("%s needs the argument \"command\", a text that is not empty.", ShellFunction)
	}
	return Reply{Thought: thought, Action: gym.Action{Command: command}}, nil
}
