package board

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// mostTextBytes bounds what is looked at of a name or a message: more than any
// terminal is wide.
const mostTextBytes = 8192

// mostMarks bounds the accents on one letter. Languages need two or three; piles of
// them spill over the neighbouring lines.
const mostMarks = 3

// plain makes a text harmless: one line of valid UTF-8 without escape codes and
// control characters, without marks that change the direction of text or how
// wide the character before them is, runs of white space as one space.
func plain(text string) string {
	if isPlain(text) {
		return text
	}
	if len(text) > mostTextBytes {
		text = text[:mostTextBytes]
	}
	text = ansi.Strip(strings.ToValidUTF8(text, "\uFFFD"))
	var out strings.Builder
	out.Grow(len(text))
	space, marks := false, mostMarks // no mark before the first letter
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = out.Len() > 0
			continue
		case unicode.Is(unicode.Mn, r) && !unicode.Is(unicode.Variation_Selector, r):
			if marks++; marks > mostMarks || space {
				continue
			}
		case !unicode.IsPrint(r) || runeWidth(r) == 0:
			continue
		default:
			marks = 0
		}
		if space {
			out.WriteByte(' ')
			space = false
		}
		out.WriteRune(r)
	}
	return out.String()
}

// isPlain recognises what nearly every text is: printable ASCII, and no two
// spaces in a row.
func isPlain(text string) bool {
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c > '~' || c == ' ' && (i == 0 || i == len(text)-1 || text[i+1] == ' ') {
			return false
		}
	}
	return true
}

// cell is a character with its accents, and how many columns it takes.
type cell struct {
	text  string
	width int
}

// cells splits a plain text. Characters that some terminals join into one are
// counted apart, so that a terminal may show a text narrower, never wider.
func cells(text string) []cell {
	out := make([]cell, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if w, last := runeWidth(r), len(out)-1; w == 0 && last >= 0 {
			out[last].text += text[:n]
		} else {
			out = append(out, cell{text[:n], w})
		}
		text = text[n:]
	}
	return out
}

func joined(parts []cell) string {
	var out strings.Builder
	for _, c := range parts {
		out.WriteString(c.text)
	}
	return out.String()
}

// width is how many columns a plain text takes.
func width(text string) int {
	total := 0
	for _, r := range text {
		total += runeWidth(r)
	}
	return total
}

// runeWidth is how many columns a character takes; where terminals differ, the
// larger number.
func runeWidth(r rune) int {
	if r >= ' ' && r <= '~' || r == '…' || r == '·' {
		return 1
	}
	return max(ansi.StringWidthWc(string(r)), ansi.StringWidth(string(r)))
}

// take splits a text where its first part is as wide as it can be, but no wider
// than most. The first part is not empty where most is above 1.
func take(parts []cell, most int) (first, rest []cell) {
	used := 0
	for i, c := range parts {
		if used += c.width; used > most {
			return parts[:i], parts[i:]
		}
	}
	return parts, nil
}

// clip shortens a plain text at its end.
func clip(text string, most int) string {
	if len(text) <= most || width(text) <= most {
		return text
	}
	if most <= 0 {
		return ""
	}
	first, _ := take(cells(text), most-1)
	return strings.TrimRight(joined(first), " ") + "…"
}

// clipMiddle shortens a plain text in its middle: names of one experiment often
// begin alike and differ at their ends.
func clipMiddle(text string, most int) string {
	if len(text) <= most || width(text) <= most {
		return text
	}
	if most < 5 {
		return clip(text, most)
	}
	all := cells(text)
	head, _ := take(all, (most-1)/2)
	left := most - 1 - (most-1)/2
	from := len(all)
	for from > 0 && all[from-1].width <= left {
		from--
		left -= all[from].width
	}
	return joined(head) + "…" + joined(all[from:])
}

// pad widens a plain text to the right, or to the left.
func pad(text string, to int, right bool) string {
	space := strings.Repeat(" ", max(to-width(text), 0))
	if right {
		return space + text
	}
	return text + space
}
