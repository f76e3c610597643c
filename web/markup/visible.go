package markup

import (
	"fmt"
	"html/template"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain is the text, escaped, with what cannot be seen made visible. A carriage
// return before a line end belongs to it, any other is shown.
func Plain(text string) template.HTML {
	return safe(appendEscaped(make([]byte, 0, len(text)+len(text)/8), Visible(text)))
}

// safe marks what this package made as HTML. Nothing else does.
func safe(html []byte) template.HTML {
	return template.HTML(html) //nolint:gosec // every caller escaped the text it was given
}

// byteClass says what the byte is to a writer of text.
type byteClass uint8

const (
	ordinary byteClass = iota
	markupChar
	control
	beyondASCII
)

// classes has the class of every byte. A tab is ordinary, a line end too.
var classes = func() (table [256]byteClass) {
	for b := range table {
		switch {
		case b == '<' || b == '>' || b == '&':
			table[b] = markupChar
		case b == '\t' || b == '\n':
		case b < ' ' || b == 0x7f:
			table[b] = control
		case b >= utf8.RuneSelf:
			table[b] = beyondASCII
		}
	}
	return table
}()

// appendEscaped appends text as the content of an element.
func appendEscaped(dst []byte, text string) []byte {
	start := 0
	for i := range len(text) {
		if classes[text[i]] != markupChar {
			continue
		}
		dst = append(dst, text[start:i]...)
		dst = append(dst, entity(rune(text[i]))...)
		start = i + 1
	}
	return append(dst, text[start:]...)
}

func entity(r rune) string {
	switch r {
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	default:
		return "&amp;"
	}
}

// Visible is the text of [Plain] as text: what cannot be seen is replaced, and \r\n by
// \n. It is the text itself where there is nothing to replace.
func Visible(text string) string {
	var dst []byte
	start := 0 // text[:start] is in dst
	for i := 0; i < len(text); {
		class := classes[text[i]]
		if class < control {
			i++
			continue
		}
		size := 1
		var replacement string
		switch {
		case class == beyondASCII:
			var r rune
			r, size = utf8.DecodeRuneInString(text[i:])
			replacement = picture(r, size)
			if replacement == "" {
				i += size
				continue
			}
		case text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n':
		default:
			replacement = picture(rune(text[i]), 1)
		}
		if dst == nil {
			dst = make([]byte, 0, len(text)+len(text)/8+16)
		}
		dst = append(dst, text[start:i]...)
		dst = append(dst, replacement...)
		i += size
		start = i
	}
	if start == 0 {
		return text
	}
	return string(append(dst, text[start:]...))
}

// pictures are those of the control characters below the space.
var pictures = func() (table [' ']string) {
	for b := range table {
		table[b] = string(rune(0x2400 + b))
	}
	return table
}()

// picture is what stands for a rune that must not be shown as it is, or "". A
// decoded rune of size 1 beyond ASCII is a byte that is no UTF-8.
func picture(r rune, size int) string {
	switch {
	case r == '\t' || r == '\n':
		return ""
	case r < ' ':
		return pictures[r]
	case r < 0x7f:
		return ""
	case r == 0x7f:
		return "\u2421"
	case r == utf8.RuneError && size == 1:
		return "\ufffd"
	case invisible(r):
		return fmt.Sprintf("[U+%04X]", r)
	}
	return ""
}

// invisible reports whether a rune beyond ASCII controls others or hides. The
// joiners U+200C and U+200D and the variation selectors are part of how scripts
// and emoji are written, and stay.
func invisible(r rune) bool {
	switch {
	case r < 0xa0:
		return true
	case r < 0x061c:
		return r == 0xad // the soft hyphen
	case r < 0x2000:
		return r == 0x061c || r >= 0x180b && r <= 0x180f || r == 0x115f || r == 0x1160
	case r <= 0x206f:
		return r == 0x200b || r == 0x200e || r == 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060
	case r < 0xfe00:
		return r == 0x3164
	case r <= 0xffff:
		return r == 0xfeff || r == 0xffa0 || r >= 0xfff9 && r <= 0xfffb
	}
	return r >= 0xe0000 && r <= 0xe0fff || r >= 0x1d173 && r <= 0x1d17a
}

// Head is the first line of a text that is not blank, for a list: escape sequences, control
// and invisible characters taken out, white space made one space, at most runes
// runes long. The last is an ellipsis where something of the line was left out.
// Only as much of the text is read as is needed.
func Head(text string, runes int) string {
	if runes <= 0 {
		return ""
	}
	var out strings.Builder
	count, lastAt := 0, 0 // runes in out, and where the last begins
	space := false
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == '\x1b' {
			if n := len(sequence(text[i:])); n > 0 {
				i += n
				continue
			}
		}
		i += size
		switch {
		case r == '\n':
			if count > 0 {
				return out.String()
			}
		case unicode.IsSpace(r):
			space = count > 0
		case r != utf8.RuneError && picture(r, size) != "":
		default:
			for _, r := range [...]rune{' ', r} {
				if r == ' ' && !space {
					continue
				}
				if count == runes {
					return strings.TrimRight(out.String()[:lastAt], " ") + "…"
				}
				lastAt = out.Len()
				out.WriteRune(r)
				count++
			}
			space = false
		}
	}
	return out.String()
}
