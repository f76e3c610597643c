package tool

import (
	"slices"
	"strings"
)

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
