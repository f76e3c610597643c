package markup

import (
	"html/template"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Terminal is what a program printed, as a terminal without a screen would
// show it: a line can be written over, lines above it cannot.
//
// Colours (16, 256, and true colour as the nearest of 256), bold, dim, italic,
// underlined, struck out and inverse text become spans with the classes
// ansi-fg-N, ansi-bg-N, ansi-bold and so on. A carriage return goes to the
// beginning of the line, a backspace one column back, and what follows
// overwrites; the sequences that move within a line or erase it (CSI C, D, G,
// K) work likewise, up to the end of what the line holds. So of a progress bar
// its last state is left. Other escape sequences are dropped; one that is
// broken off is shown. A column is a rune: a bar of wide or combined characters may leave a
// remainder behind.
func Terminal(text string) template.HTML {
	t := terminal{out: make([]byte, 0, len(text)+len(text)/8+16)}
	for len(text) > 0 {
		line, rest, ended := strings.Cut(text, "\n")
		text = rest
		t.line(strings.TrimRight(line, "\r"))
		if ended {
			t.out = append(t.out, '\n')
		}
	}
	t.wear(0)
	return safe(t.out)
}

// style is how a character looks: a colour's number plus one in 9 bits for the
// text, the same for its background, and flags.
type style uint32

const (
	backgroundShift = 9
	colourMask      = 1<<9 - 1
)

const (
	bold style = 1 << (18 + iota)
	dim
	italic
	underline
	inverse
	strike
)

// attributes are the classes of the flags that have one.
var attributes = [...]struct {
	flag  style
	class string
}{
	{bold, "ansi-bold "},
	{dim, "ansi-dim "},
	{italic, "ansi-italic "},
	{underline, "ansi-underline "},
	{strike, "ansi-strike "},
}

// cell is a column of a line that is written over.
type cell struct {
	r    rune
	worn style
}

const tabStop = 8

type terminal struct {
	out []byte
	// pen is the style of what is printed next, open that of the span in out.
	pen, open style
	cells     []cell
	column    int
}

// wear closes and opens spans.
func (t *terminal) wear(s style) {
	if t.open == s {
		return
	}
	if t.open != 0 {
		t.out = append(t.out, "</span>"...)
	}
	if s != 0 {
		t.out = append(t.out, `<span class="`...)
		t.out = s.appendClasses(t.out)
		t.out = append(t.out, `">`...)
	}
	t.open = s
}

func (s style) appendClasses(dst []byte) []byte {
	text, background := s&colourMask, s>>backgroundShift&colourMask
	if s&inverse != 0 {
		text, background = background, text
		if background == 0 {
			dst = append(dst, "ansi-inverse "...)
		}
	}
	if text != 0 {
		dst = append(dst, "ansi-fg-"...)
		dst = strconv.AppendUint(dst, uint64(text-1), 10)
		dst = append(dst, ' ')
	}
	if background != 0 {
		dst = append(dst, "ansi-bg-"...)
		dst = strconv.AppendUint(dst, uint64(background-1), 10)
		dst = append(dst, ' ')
	}
	for _, a := range attributes {
		if s&a.flag != 0 {
			dst = append(dst, a.class...)
		}
	}
	return dst[:len(dst)-1]
}

// line writes one line. Most lines are only ever appended to, and go straight
// to out; the others are kept in cells until they end.
func (t *terminal) line(line string) {
	length, pen, open := len(t.out), t.pen, t.open
	if t.stream(line) {
		return
	}
	t.out, t.pen, t.open = t.out[:length], pen, open
	t.overwrite(line)
}

// stream writes a line that nothing goes back in. It reports false, with some of
// it written, where something does.
func (t *terminal) stream(line string) bool {
	for i := 0; i < len(line); {
		start := i
		for i < len(line) && classes[line[i]] == ordinary {
			i++
		}
		if i > start {
			t.wear(t.pen)
			t.out = append(t.out, line[start:i]...)
			continue
		}
		switch b := line[i]; {
		case b == '\r' || b == '\b':
			return false
		case b == '\x1b':
			seq := sequence(line[i:])
			if seq == "" {
				t.wear(t.pen)
				t.out = append(t.out, picture(rune(b), 1)...)
				i++
				continue
			}
			if moves(seq) {
				return false
			}
			t.obey(seq)
			i += len(seq)
		case classes[b] == markupChar:
			t.wear(t.pen)
			t.out = append(t.out, entity(rune(b))...)
			i++
		default:
			r, size := utf8.DecodeRuneInString(line[i:])
			t.wear(t.pen)
			if p := picture(r, size); p != "" {
				t.out = append(t.out, p...)
			} else {
				t.out = append(t.out, line[i:i+size]...)
			}
			i += size
		}
	}
	return true
}

// overwrite writes a line through cells.
func (t *terminal) overwrite(line string) {
	t.cells, t.column = t.cells[:0], 0
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRuneInString(line[i:])
		switch r {
		case '\r':
			t.column = 0
		case '\b':
			t.column = max(t.column-1, 0)
		case '\t':
			next := (t.column/tabStop + 1) * tabStop
			t.column = min(next, len(t.cells))
			for t.column < next {
				t.put(' ')
			}
		case '\x1b':
			if seq := sequence(line[i:]); seq != "" {
				t.obey(seq)
				size = len(seq)
				break
			}
			t.put('\u241b')
		default:
			p := picture(r, size)
			if p == "" {
				t.put(r)
			}
			for _, r := range p {
				t.put(r)
			}
		}
		i += size
	}
	for _, c := range t.cells {
		t.wear(c.worn)
		switch c.r {
		case '<', '>', '&':
			t.out = append(t.out, entity(c.r)...)
		default:
			t.out = utf8.AppendRune(t.out, c.r)
		}
	}
}

func (t *terminal) put(r rune) {
	c := cell{r, t.pen}
	if t.column < len(t.cells) {
		t.cells[t.column] = c
	} else {
		t.cells = append(t.cells, c)
	}
	t.column++
}

// sequence is the escape sequence that the text begins with, as far as it can
// be told without a mistake, or "" where it has no proper end. The text begins
// with an escape character. It looks no further than the next one, a line end
// or another control character, so that going on after the escape character of a broken
// sequence costs no more than reading twice.
func sequence(text string) string {
	if len(text) < 2 {
		return ""
	}
	i := 2
	switch b := text[1]; {
	case b == '[':
		i = skip(text, i, 0x30, 0x3f)
		i = skip(text, i, 0x20, 0x2f)
		if i < len(text) && text[i] >= 0x40 && text[i] <= 0x7e {
			return text[:i+1]
		}
	case strings.IndexByte("]PX^_", b) >= 0:
		for i < len(text) && (text[i] >= ' ' || text[i] == '\t') {
			i++
		}
		if i < len(text) && text[i] == '\a' {
			return text[:i+1]
		}
		if i+1 < len(text) && text[i] == '\x1b' && text[i+1] == '\\' {
			return text[:i+2]
		}
	case b >= 0x20 && b <= 0x2f:
		i = skip(text, i, 0x20, 0x2f)
		if i < len(text) && text[i] >= 0x30 && text[i] <= 0x7e {
			return text[:i+1]
		}
	case b >= 0x30 && b <= 0x7e:
		return text[:2]
	}
	return ""
}

func skip(text string, i int, low, high byte) int {
	for i < len(text) && text[i] >= low && text[i] <= high {
		i++
	}
	return i
}

// moves reports whether a sequence goes back in the line, or erases what is
// written. At the end of a line the others of its kind change nothing.
func moves(seq string) bool {
	if seq[1] != '[' {
		return false
	}
	switch seq[len(seq)-1] {
	case 'D', 'G':
		return true
	case 'K':
		return number(seq[2:len(seq)-1]) == 2
	}
	return false
}

// obey does what a sequence says, if it is one of those that count.
func (t *terminal) obey(seq string) {
	if seq[1] != '[' {
		return
	}
	parameters := seq[2 : len(seq)-1]
	switch seq[len(seq)-1] {
	case 'm':
		t.pen = t.pen.with(parameters)
	case 'C':
		t.column = min(t.column+max(number(parameters), 1), max(len(t.cells), t.column))
	case 'D':
		t.column = max(t.column-max(number(parameters), 1), 0)
	case 'G':
		t.column = min(max(number(parameters), 1)-1, len(t.cells))
	case 'K':
		switch number(parameters) {
		case 0:
			t.cells = t.cells[:min(t.column, len(t.cells))]
		case 2: // what follows begins where it stood in a terminal; here, at the beginning
			t.cells, t.column = t.cells[:0], 0
		}
	}
}

const maxNumber = 1 << 20

// number reads a parameter: 0 where there is none, -1 where it is no number.
func number(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = min(n*10+int(s[i]-'0'), maxNumber)
	}
	return n
}

// with is the style after a "select graphic rendition" (ECMA-48, 8.3.117; its
// colours by ITU-T T.416, 13.1.8).
func (s style) with(parameters string) style {
	if parameters != "" && parameters[0] >= '<' {
		return s // private to some terminal
	}
	more := true
	for more {
		var group string
		group, parameters, more = strings.Cut(parameters, ";")
		code, subs, hasSubs := strings.Cut(group, ":")
		switch n := number(code); {
		case n == 0:
			s = 0
		case n == 1:
			s |= bold
		case n == 2:
			s |= dim
		case n == 3:
			s |= italic
		case n == 4 && subs == "0", n == 24:
			s &^= underline
		case n == 4 || n == 21:
			s |= underline
		case n == 7:
			s |= inverse
		case n == 9:
			s |= strike
		case n == 22:
			s &^= bold | dim
		case n == 23:
			s &^= italic
		case n == 27:
			s &^= inverse
		case n == 29:
			s &^= strike
		case n >= 30 && n <= 37:
			s = s.text(n - 30)
		case n == 39:
			s = s.text(-1)
		case n >= 40 && n <= 47:
			s = s.background(n - 40)
		case n == 49:
			s = s.background(-1)
		case n >= 90 && n <= 97:
			s = s.text(n - 90 + 8)
		case n >= 100 && n <= 107:
			s = s.background(n - 100 + 8)
		case n == 38 || n == 48 || n == 58:
			var colour int
			if hasSubs {
				colour = colonColour(subs)
			} else {
				colour, parameters, more = semicolonColour(parameters, more)
			}
			switch {
			case colour < 0:
			case n == 38:
				s = s.text(colour)
			case n == 48:
				s = s.background(colour)
			}
		}
	}
	return s
}

// text gives the text the colour, -1 for none.
func (s style) text(colour int) style {
	return s&^colourMask | style(colour+1)&colourMask //nolint:gosec // -1 to 255
}

func (s style) background(colour int) style {
	return s&^(colourMask<<backgroundShift) | style(colour+1)&colourMask<<backgroundShift //nolint:gosec // -1 to 255
}

// colonColour reads 5:N, 2:R:G:B and 2:SPACE:R:G:B; -1 is none.
func colonColour(subs string) int {
	fields := strings.SplitN(subs, ":", 8)
	switch {
	case len(fields) >= 2 && fields[0] == "5":
		return indexed(fields[1])
	case len(fields) >= 5 && fields[0] == "2":
		return trueColour(fields[2], fields[3], fields[4])
	case len(fields) == 4 && fields[0] == "2":
		return trueColour(fields[1], fields[2], fields[3])
	}
	return -1
}

// semicolonColour reads 5;N and 2;R;G;B off the parameters.
func semicolonColour(parameters string, more bool) (colour int, rest string, restMore bool) {
	next := func() string {
		var field string
		field, parameters, more = strings.Cut(parameters, ";")
		return field
	}
	colour = -1
	switch next() {
	case "5":
		colour = indexed(next())
	case "2":
		r, g, b := next(), next(), next()
		colour = trueColour(r, g, b)
	}
	return colour, parameters, more
}

func indexed(s string) int {
	if n := number(s); n <= 255 {
		return n
	}
	return -1
}

func trueColour(r, g, b string) int {
	c := [3]int{number(r), number(g), number(b)}
	for _, n := range c {
		if n < 0 || n > 255 {
			return -1
		}
	}
	return nearestColour(c)
}
