package board

import (
	"strings"
)

// style is how a part of a line looks where colours are wanted: the parameters
// of an SGR sequence. Nothing is told by a colour alone.
type style string

const (
	ordinary style = ""
	bold     style = "1"
	faint    style = "2"
	alarming style = "1;31" // red
	good     style = "32"   // green
	careful  style = "33"   // yellow
	lively   style = "36"   // cyan
)

// span is a plain text in one style.
type span struct {
	text  string
	style style
}

// line is what stands in one line of a picture.
type line []span

func (l line) width() int {
	total := 0
	for _, s := range l {
		total += width(s.text)
	}
	return total
}

// render writes the line at most so many columns wide, without spaces at its
// end.
func (l line) render(most int, color bool) string {
	left := most
	shown := make(line, 0, len(l))
	for i, s := range l {
		w := width(s.text)
		if rest := l[i+1:]; w > left || w == left && rest.width() > 0 {
			s.text = clip(s.text+strings.Repeat(" ", min(rest.width(), 1)), left)
			shown = append(shown, s)
			break
		}
		left -= w
		shown = append(shown, s)
	}
	for i := len(shown) - 1; i >= 0; i-- {
		shown[i].text = strings.TrimRight(shown[i].text, " ")
		if shown[i].text != "" {
			break
		}
	}
	var out strings.Builder
	for _, s := range shown {
		if !color || s.style == ordinary || s.text == "" {
			out.WriteString(s.text)
			continue
		}
		out.WriteString("\x1b[" + string(s.style) + "m" + s.text + "\x1b[m")
	}
	return out.String()
}

// flow puts items side by side, as many as fit into each of at most so many
// lines. What does not fit is left out, from the end.
func flow(items []line, columns, mostLines int) []line {
	var out []line
	used := 0
	for _, item := range items {
		w := item.width()
		if len(out) > 0 && used+len(between)-1+w <= columns {
			last := len(out) - 1
			out[last] = append(append(out[last], span{between, faint}), item...)
			used += len(between) - 1 + w
			continue
		}
		if len(out) == mostLines {
			continue // a shorter one may fit
		}
		out = append(out, append(line{}, item...))
		used = w
	}
	return out
}

// between stands between two items; its dot takes two bytes and one column.
const between = " · "
