package tool

import (
	"fmt"
	"slices"
	"strings"
)

// MalformedError says that an action has an edit or an insert whose text has
// no end. It is the agent's mistake; nothing of the action may be run.
type MalformedError struct {
	// Tool is "edit" or "insert", Terminator the line that is missing.
	Tool, Terminator string
	// Line is where in the action the command stands, counted from 1.
	Line int
}

// Error is the text for the agent.
func (e *MalformedError) Error() string {
	return fmt.Sprintf("Malformed %s command (line %d of the action). End its text with a line that holds only `%s`, not indented. Nothing of the action was run.",
		e.Tool, e.Line, e.Terminator)
}

// Rewrite makes an action that bash can run of one in which edit and insert
// carry their text on the lines that follow, up to a line end_of_edit or
// end_of_insert: the text becomes a quoted here-document, and so reaches the
// tool as it stands. Such a command may stand anywhere on a line where bash
// accepts a command, and more than once. What is in quotes, in comments and in
// the action's own here-documents is no command.
//
// An action without such commands is returned as it is, and so is the outcome
// of Rewrite. A command that names lines and has no end of its text is a
// [*MalformedError]. One that reads its text from elsewhere (a pipe, a <
// redirection) needs none.
func Rewrite(action string) (string, error) {
	if !strings.Contains(action, "edit") && !strings.Contains(action, "insert") {
		return action, nil
	}
	p := parser{src: action, frames: []frame{{kind: code, atCommand: true}}}
	if !p.run() {
		return action, nil
	}
	if p.err != nil {
		return "", p.err
	}
	return p.rewritten(), nil
}

// terminatorOf gives the line that ends the text of a tool, if it takes one.
func terminatorOf(word string) (string, bool) {
	switch word {
	case "edit":
		return endOfEdit, true
	case "insert":
		return endOfInsert, true
	}
	return "", false
}

// toolCommand is an edit or insert in the action.
type toolCommand struct {
	name, terminator string
	// start is where its name begins, args where that ends, and end where its
	// last argument ends.
	start, args, end int
	// ownInput says that its input is redirected already.
	ownInput bool
}

// hereDoc is a here-document whose text begins on the next line.
type hereDoc struct {
	delimiter string
	// stripTabs is <<-, quoted that the text is literal.
	stripTabs, quoted bool
	// tool is set where the text is that of a tool command, and there is no
	// here-document yet.
	tool *toolCommand
}

// replacement is a change of the source.
type replacement struct {
	start, end int
	text       string
}

func (p *parser) rewritten() string {
	var out strings.Builder
	out.Grow(len(p.src) + 20*len(p.replacements))
	done := 0
	slices.SortStableFunc(p.replacements, func(a, b replacement) int { return a.start - b.start })
	for _, r := range p.replacements {
		out.WriteString(p.src[done:r.start])
		out.WriteString(r.text)
		done = r.end
	}
	out.WriteString(p.src[done:])
	return out.String()
}

// endTool ends the arguments of the tool command in hand, at an operator, a
// line end or a comment.
func (p *parser) endTool() {
	f := p.top()
	t := f.tool
	f.tool = nil
	if t == nil || t.ownInput {
		return
	}
	t.end = t.args + len(strings.TrimRight(p.src[t.args:p.pos], " \t\r"))
	if t.end == t.args && p.pos < len(p.src) && (p.src[p.pos] == '(' || p.src[p.pos] == ')') {
		return // edit() { … } defines a function, edit) is a pattern of case
	}
	p.pending = append(p.pending, hereDoc{tool: t})
}

// namesLines reports whether a tool command without text would really change
// lines: then it is malformed. Otherwise the tool says how it is called.
func (t *toolCommand) namesLines(args string) bool {
	if strings.ContainsAny(args, "$`") {
		return true
	}
	fields := strings.Fields(strings.ReplaceAll(args, "\\\n", " "))
	if len(fields) == 0 {
		return false
	}
	place, _, _ := strings.Cut(fields[0], ">")
	place = strings.Trim(place, `"'`)
	if t.name == "edit" {
		first, last, ok := strings.Cut(place, ":")
		return ok && digits(first) && digits(last)
	}
	return digits(place)
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// bodies goes over the texts of the here-documents of the line that has just
// ended, and makes here-documents of the texts of tool commands.
func (p *parser) bodies() {
	for _, doc := range p.pending {
		if doc.tool != nil {
			p.toolBody(doc.tool)
			if p.err != nil {
				break
			}
			continue
		}
		p.body(doc)
	}
	p.pending = p.pending[:0]
}

// line takes the next line, without its end.
func (p *parser) line() string {
	text, _, ended := strings.Cut(p.src[p.pos:], "\n")
	p.pos += len(text)
	if ended {
		p.pos++
	}
	return text
}

func (p *parser) body(doc hereDoc) {
	joined := false // the line before ended with a backslash
	for p.pos < len(p.src) {
		line := p.line()
		if doc.stripTabs {
			line = strings.TrimLeft(line, "\t")
		}
		if line == doc.delimiter && !joined {
			return
		}
		if !doc.quoted {
			backslashes := len(line) - len(strings.TrimRight(line, `\`))
			joined = backslashes%2 == 1
		}
	}
}

func (p *parser) toolBody(t *toolCommand) {
	start := p.pos
	for p.pos < len(p.src) && !p.missing[t.terminator] {
		at := p.pos
		line := p.line()
		if strings.TrimRight(line, " \t\r") != t.terminator {
			continue
		}
		argsEnd := t.end
		for argsEnd < len(p.src) && p.src[argsEnd] == '\r' {
			argsEnd++
		}
		p.replacements = append(p.replacements,
			replacement{t.end, argsEnd, " <<'" + t.terminator + "'"},
			replacement{at, at + len(line), t.terminator})
		return
	}
	p.pos = start
	if p.missing == nil {
		p.missing = map[string]bool{}
	}
	p.missing[t.terminator] = true
	if t.namesLines(p.src[t.args:t.end]) {
		p.err = &MalformedError{Tool: t.name, Terminator: t.terminator, Line: 1 + strings.Count(p.src[:t.start], "\n")}
	}
}
