package tool

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// pattern is a search term, understood as a basic regular expression of grep.
// Matching takes time linear in the text, whatever the expression.
type pattern struct {
	// literal is set, and expression is not, when the term has nothing special
	// in it.
	literal    []byte
	expression *regexp.Regexp
	// note is a line for the agent when the term was not taken as it stands.
	note string
}

// maxPattern bounds a search term, in bytes.
const maxPattern = 4096

// compile reads a search term. A term that is no expression, such as "f(x[",
// is searched for literally, and the note says so.
func compile(term string) (pattern, string) {
	if len(term) > maxPattern {
		return pattern{}, fmt.Sprintf("the search term is longer than %d bytes", maxPattern)
	}
	if strings.Contains(term, "\n") {
		return pattern{}, "the search term may not contain a line end; lines are searched one by one"
	}
	source, literal, err := translateBasic(term)
	if err == nil && literal {
		return pattern{literal: []byte(source)}, ""
	}
	var expression *regexp.Regexp
	if err == nil {
		expression, err = regexp.Compile(source)
	}
	if err != nil {
		why := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		return pattern{
			literal: []byte(term),
			note:    fmt.Sprintf("Note: %s is not a regular expression that can be searched for (%s), so it was searched for literally.\n", quote(term), clip(why)),
		}, ""
	}
	return pattern{expression: expression}, ""
}

// find gives where the pattern first matches within a line.
func (p pattern) find(line []byte) (at int, ok bool) {
	if p.expression == nil {
		at = bytes.Index(line, p.literal)
		return at, at >= 0
	}
	place := p.expression.FindIndex(line)
	if place == nil {
		return 0, false
	}
	return place[0], true
}

// translateBasic writes a basic regular expression of grep (GNU, with \| \+ \?
// \< \> \b \w \s) in Go's syntax. Where the term has nothing special in it,
// literal is true and the source is the text to look for.
func translateBasic(term string) (source string, literal bool, err error) {
	var out, plain strings.Builder
	literal = true
	special := func(s string) { literal = false; out.WriteString(s) }
	char := func(s string) { plain.WriteString(s); out.WriteString(regexp.QuoteMeta(s)) }
	depth := 0
	atStart, afterAnchor := true, false // of the whole, or of what \( or \| begins
	for i := 0; i < len(term); i++ {
		c := term[i]
		wasStart := atStart
		nothingBefore := atStart || afterAnchor // that could be repeated
		atStart, afterAnchor = false, false
		switch c {
		case '\\':
			i++
			if i == len(term) {
				return "", false, fmt.Errorf("trailing backslash")
			}
			switch c := term[i]; c {
			case '(':
				depth++
				special("(?:")
				atStart = true
			case ')':
				if depth == 0 {
					return "", false, fmt.Errorf(`unmatched \)`)
				}
				depth--
				special(")")
			case '|':
				special("|")
				atStart = true
			case '+', '?':
				if nothingBefore {
					char(string(c))
				} else {
					special(string(c))
				}
			case '{':
				if nothingBefore {
					return "", false, fmt.Errorf(`nothing before \{`)
				}
				end := strings.Index(term[i:], `\}`)
				if end < 0 {
					return "", false, fmt.Errorf(`unmatched \{`)
				}
				bounds := term[i+1 : i+end]
				if bounds == "" || strings.Trim(bounds, "0123456789,") != "" {
					return "", false, fmt.Errorf(`invalid bounds in \{%s\}`, bounds)
				}
				if bounds[0] == ',' {
					bounds = "0" + bounds
				}
				special("{" + bounds + "}")
				i += end + 1
			case '}':
				return "", false, fmt.Errorf(`unmatched \}`)
			case '<', '>', 'b':
				special(`\b`)
			case 'B', 'w', 'W', 's', 'S':
				special(`\` + string(c))
			case '`':
				special(`\A`)
			case '\'':
				special(`\z`)
			case '1', '2', '3', '4', '5', '6', '7', '8', '9':
				return "", false, fmt.Errorf("back-references are not supported")
			default:
				char(string(c))
			}
		case '.':
			special(".")
		case '*':
			if nothingBefore {
				char("*")
			} else {
				special("*")
			}
		case '^':
			if wasStart {
				special("^")
				afterAnchor = true
			} else {
				char("^")
			}
		case '$':
			rest := term[i+1:]
			if rest == "" || strings.HasPrefix(rest, `\)`) || strings.HasPrefix(rest, `\|`) {
				special("$")
			} else {
				char("$")
			}
		case '[':
			set, length, err := translateSet(term[i:])
			if err != nil {
				return "", false, err
			}
			special(set)
			i += length - 1
		default:
			// A rune of several bytes goes over whole, byte by byte.
			plain.WriteByte(c)
			if c < 0x80 {
				out.WriteString(regexp.QuoteMeta(string(c)))
			} else {
				out.WriteByte(c)
			}
		}
	}
	if depth > 0 {
		return "", false, fmt.Errorf(`unmatched \(`)
	}
	if literal {
		return plain.String(), true, nil
	}
	return out.String(), false, nil
}

// translateSet writes the bracket expression at the start of text in Go's
// syntax, where a backslash must be escaped and a first ] too.
func translateSet(text string) (set string, length int, err error) {
	var out strings.Builder
	out.WriteByte('[')
	i := 1
	if strings.HasPrefix(text[i:], "^") {
		out.WriteByte('^')
		i++
	}
	for first := true; i < len(text); first = false {
		switch c := text[i]; {
		case c == ']' && !first:
			out.WriteByte(']')
			return out.String(), i + 1, nil
		case c == '[' && i+1 < len(text) && text[i+1] == ':':
			end := strings.Index(text[i:], ":]")
			if end < 0 {
				return "", 0, fmt.Errorf("unmatched [")
			}
			out.WriteString(text[i : i+end+2])
			i += end + 2
		case c == '[' || c == ']' || c == '\\' || c == '^':
			out.WriteByte('\\')
			out.WriteByte(c)
			i++
		default:
			out.WriteByte(c)
			i++
		}
	}
	return "", 0, fmt.Errorf("unmatched [")
}
