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

// textTools are the commands with text, and the lines that end it.
func terminatorOf(word string) (string, bool) {
	switch word {
	case "edit":
		return endOfEdit, true
	case "insert":
		return endOfInsert, true
	}
	return "", false
}

// frameKind is a nesting of the shell's grammar, as far as it decides whether
// a line is a command.
type frameKind int

const (
	code       frameKind = iota // the action itself
	paren                       // ( … ) and $( … )
	backquote                   // ` … `
	doubleQuot                  // " … "
	parameter                   // ${ … }
	arithmetic                  // (( … )) and $(( … ))
)

type frame struct {
	kind frameKind
	// depth counts the open parentheses within arithmetic.
	depth int
	// atCommand says that the next word is the name of a command, piped that
	// its input comes from a pipe.
	atCommand, piped bool
	// substitution says that the parentheses are part of a word.
	substitution bool
	// tool is the edit or insert whose arguments are being read, if any.
	tool *toolCommand
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

// maxNesting bounds the frames. An action beyond it is left alone.
const maxNesting = 1000

type parser struct {
	src          string
	pos          int
	frames       []frame
	pending      []hereDoc
	replacements []replacement
	err          *MalformedError
	// missing are the terminators known not to stand in the rest of src, so
	// that it is not searched again.
	missing map[string]bool
}

func (p *parser) top() *frame { return &p.frames[len(p.frames)-1] }

func (p *parser) push(f frame) { p.frames = append(p.frames, f) }

func (p *parser) pop() {
	p.endTool()
	if len(p.frames) > 1 {
		p.frames = p.frames[:len(p.frames)-1]
	}
}

// run goes over the action. It reports whether there is something to do.
func (p *parser) run() bool {
	for p.pos < len(p.src) && p.err == nil {
		if len(p.frames) > maxNesting {
			return false
		}
		switch p.top().kind {
		case code, paren, backquote:
			p.code()
		case doubleQuot, parameter:
			p.quoted()
		case arithmetic:
			p.arithmetic()
		}
	}
	if p.err == nil {
		p.endTool()
		p.bodies()
	}
	return p.err != nil || len(p.replacements) > 0
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

// next is the byte after the current one, or 0.
func (p *parser) next() byte {
	if p.pos+1 < len(p.src) {
		return p.src[p.pos+1]
	}
	return 0
}

// code reads one token where commands are read.
func (p *parser) code() {
	f := p.top()
	switch c := p.src[p.pos]; c {
	case ' ', '\t', '\r':
		p.pos++
	case '\\':
		if p.next() == '\n' { // a line that goes on is blank space
			p.pos += 2
			return
		}
		p.word()
	case '\n':
		p.endTool()
		p.pos++
		f.atCommand, f.piped = true, false
		p.bodies()
	case ';':
		p.operator(1, false)
	case '&':
		if p.next() == '>' {
			p.pos += 2
			f.atCommand = false
			return
		}
		p.operator(1, false)
	case '|':
		switch p.next() {
		case '|':
			p.operator(2, false)
		case '&':
			p.operator(2, true)
		default:
			p.operator(1, true)
		}
	case '(':
		p.endTool()
		if f.atCommand && p.next() == '(' {
			f.atCommand = false
			p.pos += 2
			p.push(frame{kind: arithmetic, depth: 2})
			return
		}
		p.pos++
		p.push(frame{kind: paren, atCommand: true, piped: f.piped})
	case ')':
		p.endTool()
		substitution := f.substitution
		p.pos++
		p.pop()
		// A command begins after the ) of a pattern of case. After that of a
		// subshell none can, so nothing is lost by looking for one.
		p.top().atCommand = !substitution
	case '<', '>':
		p.redirection(c)
	case '#':
		if p.pos > 0 && !blankOrOperator(p.src[p.pos-1]) {
			p.pos++ // within a word, after a quotation
			return
		}
		p.endTool()
		end := strings.IndexByte(p.src[p.pos:], '\n')
		if end < 0 {
			end = len(p.src) - p.pos
		}
		p.pos += end
	default:
		p.word()
	}
}

func blankOrOperator(c byte) bool { return strings.IndexByte(" \t\r\n;&|()<>", c) >= 0 }

func (p *parser) operator(length int, pipe bool) {
	p.endTool()
	f := p.top()
	p.pos += length
	f.atCommand, f.piped = true, pipe
}

// redirection reads < > and their kin, without the word that follows, except
// for the delimiter of a here-document.
func (p *parser) redirection(c byte) {
	f := p.top()
	rest := p.src[p.pos:]
	switch {
	case strings.HasPrefix(rest, "<("), strings.HasPrefix(rest, ">("):
		p.pos += 2
		f.atCommand = false
		p.push(frame{kind: paren, atCommand: true, substitution: true})
		return
	case strings.HasPrefix(rest, "<<<"):
		p.pos += 3
	case strings.HasPrefix(rest, "<<"):
		p.pos += 2
		p.delimiter()
	default:
		p.pos++
		if p.pos < len(p.src) && strings.IndexByte("&>|", p.src[p.pos]) >= 0 {
			p.pos++
		}
	}
	if f.tool != nil && c == '<' {
		f.tool.ownInput = true
	}
	f.atCommand = false
}

// delimiter reads the word after << and notes the here-document.
func (p *parser) delimiter() {
	doc := hereDoc{}
	if strings.HasPrefix(p.src[p.pos:], "-") {
		doc.stripTabs = true
		p.pos++
	}
	for p.pos < len(p.src) && (p.src[p.pos] == ' ' || p.src[p.pos] == '\t') {
		p.pos++
	}
	var word strings.Builder
	start := p.pos
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		if strings.IndexByte(" \t\n;&|()<>", c) >= 0 {
			break
		}
		p.pos++
		switch c {
		case '\\':
			doc.quoted = true
			if p.pos < len(p.src) {
				word.WriteByte(p.src[p.pos])
				p.pos++
			}
		case '\'', '"':
			doc.quoted = true
			end := strings.IndexByte(p.src[p.pos:], c)
			if end < 0 {
				end = len(p.src) - p.pos
			}
			word.WriteString(p.src[p.pos : p.pos+end])
			p.pos = min(len(p.src), p.pos+end+1)
		default:
			word.WriteByte(c)
		}
	}
	if p.pos == start {
		return // a syntax error, which bash reports
	}
	doc.delimiter = word.String()
	p.pending = append(p.pending, doc)
}

// word reads a word, or as much of one as has no nesting in it.
func (p *parser) word() {
	f := p.top()
	start := p.pos
	plain := true
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		switch {
		case blankOrOperator(c):
			p.wordEnd(start, plain)
			return
		case c == '\\':
			plain = false
			p.pos = min(len(p.src), p.pos+2)
		case c == '\'':
			plain = false
			p.singleQuoted(p.pos > start && p.src[p.pos-1] == '$')
		case c == '"':
			f.atCommand = false
			p.pos++
			p.push(frame{kind: doubleQuot})
			return
		case c == '`':
			f.atCommand = false
			p.backquote()
			return
		case c == '$' && p.substitution():
			return
		default:
			p.pos++
		}
	}
	p.wordEnd(start, plain)
}

// reserved are the words after which a command begins.
var reserved = []string{"then", "do", "else", "elif", "if", "while", "until", "!", "{", "time"}

// wordEnd looks at a whole word (or the plain end of one).
func (p *parser) wordEnd(start int, plain bool) {
	f := p.top()
	if !f.atCommand {
		return
	}
	word := p.src[start:p.pos]
	if terminator, ok := terminatorOf(word); ok && plain {
		f.tool = &toolCommand{name: word, terminator: terminator, start: start, args: p.pos, ownInput: f.piped}
	}
	f.atCommand = plain && slices.Contains(reserved, word)
}

// singleQuoted goes over '…', or $'…' where a backslash keeps its meaning.
func (p *parser) singleQuoted(ansi bool) {
	p.pos++
	for p.pos < len(p.src) {
		switch {
		case p.src[p.pos] == '\'':
			p.pos++
			return
		case ansi && p.src[p.pos] == '\\':
			p.pos++
		}
		p.pos++
	}
	p.pos = len(p.src)
}

// substitution goes into $( $(( or ${ and reports whether there was one.
func (p *parser) substitution() bool {
	rest := p.src[p.pos:]
	f := p.top()
	switch {
	case strings.HasPrefix(rest, "$(("):
		f.atCommand = false
		p.pos += 3
		p.push(frame{kind: arithmetic, depth: 2})
	case strings.HasPrefix(rest, "$("):
		f.atCommand = false
		p.pos += 2
		p.push(frame{kind: paren, atCommand: true, substitution: true})
	case strings.HasPrefix(rest, "${"):
		f.atCommand = false
		p.pos += 2
		p.push(frame{kind: parameter})
	default:
		return false
	}
	return true
}

// backquote begins a `…`, or ends the one that is open.
func (p *parser) backquote() {
	open := slices.ContainsFunc(p.frames, func(f frame) bool { return f.kind == backquote })
	if open {
		p.endTool()
	}
	p.pos++
	if !open {
		p.push(frame{kind: backquote, atCommand: true})
		return
	}
	for p.top().kind != backquote {
		p.pop()
	}
	p.pop()
}

// quoted reads one element within "…" or ${…}.
func (p *parser) quoted() {
	kind := p.top().kind
	switch c := p.src[p.pos]; {
	case c == '\\':
		p.pos = min(len(p.src), p.pos+2)
	case c == '"' && kind == doubleQuot, c == '}' && kind == parameter:
		p.pos++
		p.pop()
	case c == '"':
		p.pos++
		p.push(frame{kind: doubleQuot})
	case c == '\'' && kind == parameter && !p.inDoubleQuotes():
		p.singleQuoted(p.src[p.pos-1] == '$')
	case c == '`':
		p.backquote()
	case c == '$' && p.substitution():
	default:
		p.pos++
	}
}

func (p *parser) inDoubleQuotes() bool {
	return len(p.frames) > 1 && p.frames[len(p.frames)-2].kind == doubleQuot
}

// arithmetic reads one element within ((…)).
func (p *parser) arithmetic() {
	f := p.top()
	switch c := p.src[p.pos]; {
	case c == '\\':
		p.pos = min(len(p.src), p.pos+2)
	case c == '(':
		f.depth++
		p.pos++
	case c == ')':
		f.depth--
		p.pos++
		if f.depth == 0 {
			p.pop()
		}
	case c == '"':
		p.pos++
		p.push(frame{kind: doubleQuot})
	case c == '\'':
		p.singleQuoted(false)
	case c == '`':
		p.backquote()
	case c == '$' && p.substitution():
	default:
		p.pos++
	}
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
