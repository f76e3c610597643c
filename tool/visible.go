package tool

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxShownLine bounds one line of a file in an answer, in bytes.
	maxShownLine = 2000
	// maxShown bounds the lines of an answer together, in bytes. It lies below
	// the output limit of a sandbox, so that an answer is never cut again.
	maxShown = 48 << 10
	// maxWord bounds what an answer repeats of the agent's own words.
	maxWord = 300
)

// visible gives a line so that it is valid UTF-8 on one line: bytes that are no
// UTF-8 and control characters become escapes (a tab stays). Of a line longer
// than limit bytes, the beginning is given and the rest counted.
func visible(line []byte, limit int) string {
	return string(appendHead(nil, line, len(line), limit))
}

// appendHead appends what visible gives for a line of length bytes of which only
// the beginning is at hand.
func appendHead(dst, line []byte, length, limit int) []byte {
	if len(line) > limit {
		line = line[:wholeRunes(line, limit)]
	}
	rest := length - len(line)
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\x%02x`, line[0])
		case r == '\t' || r >= ' ' && r < 0x7f:
			dst = append(dst, line[0])
		case r == '\r':
			dst = append(dst, `\r`...)
		case r < ' ' || r == 0x7f:
			dst = fmt.Appendf(dst, `\x%02x`, r)
		case r < 0xa0 || r == '\u2028' || r == '\u2029':
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = append(dst, line[:size]...)
		}
		line = line[size:]
	}
	if rest > 0 {
		dst = fmt.Appendf(dst, " … (%d more bytes in this line)", rest)
	}
	return dst
}

// clip shows a word of the agent's, or an error, on one line and bounded.
func clip(s string) string {
	if len(s) <= maxWord && printable(s) {
		return s
	}
	cut := ""
	if len(s) > maxWord {
		s, cut = s[:wholeRunes([]byte(s), maxWord)], "…"
	}
	return visible([]byte(s), maxWord) + cut
}

// wholeRunes is where to cut a text, longer than limit, so that it has at most
// limit bytes and no rune is cut in two.
func wholeRunes(text []byte, limit int) int {
	end := limit
	for end > limit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return end
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// quote is clip within quotation marks.
func quote(s string) string { return `"` + clip(s) + `"` }

// shownPath shows a path; one with a line end or other control characters in
// it is quoted, so that it stays on its line.
func shownPath(path string) string {
	if printable(path) {
		return path
	}
	return strconv.Quote(path)
}

// bounded collects lines up to maxShown bytes and counts the others.
type bounded struct {
	text    strings.Builder
	omitted int
}

func (b *bounded) line(s string) {
	if b.omitted > 0 || b.text.Len()+len(s)+1 > maxShown {
		b.omitted++
		return
	}
	b.text.WriteString(s)
	b.text.WriteByte('\n')
}

// close ends the answer and returns it; what says of what lines were left out.
func (b *bounded) close(what string) string {
	if b.omitted > 0 {
		fmt.Fprintf(&b.text, "(%d more %s not shown)\n", b.omitted, what)
	}
	return b.text.String()
}
