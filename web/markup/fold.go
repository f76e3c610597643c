package markup

import (
	"strings"
	"unicode/utf8"
)

// Folded is a text of which the middle is left out.
type Folded struct {
	// Head and Tail are the beginning and the end of the text. All of it is in
	// Head where Whole is true.
	Head, Tail string
	// HiddenLines counts the lines between them of which anything is hidden,
	// HiddenBytes their hidden bytes: Head, those and Tail are the text.
	HiddenLines, HiddenBytes int
	// Whole says that nothing is hidden.
	Whole bool
}

// Fold cuts a text for its folded view to at most that many lines and bytes,
// half of them at the beginning and half at the end. It cuts between lines
// where it can, within a line that is long, and never within a character or
// an escape sequence. Less than one line or byte is taken for one.
func Fold(text string, lines, maxBytes int) Folded {
	lines, maxBytes = max(lines, 1), max(maxBytes, 1)
	body := strings.TrimSuffix(text, "\n")
	if len(text) <= maxBytes && strings.Count(body, "\n") < lines {
		return Folded{Head: text, Whole: true}
	}
	head := headEnd(text, (lines+1)/2, (maxBytes+1)/2)
	tail := tailStart(text, lines/2, maxBytes/2)
	hidden := text[head:tail]
	folded := Folded{Head: text[:head], Tail: text[tail:], HiddenBytes: len(hidden)}
	folded.HiddenLines = strings.Count(hidden, "\n")
	if hidden != "" && !strings.HasSuffix(hidden, "\n") {
		folded.HiddenLines++
	}
	return folded
}

func headEnd(text string, lines, limit int) int {
	end := 0
	for range lines {
		i := strings.IndexByte(text[end:], '\n')
		if i < 0 {
			end = len(text)
			break
		}
		end += i + 1
		if end > limit {
			break
		}
	}
	if end <= limit {
		return end
	}
	if i := strings.LastIndexByte(text[:limit], '\n') + 1; i > limit/2 {
		return i
	}
	return atomStart(text, limit)
}

func tailStart(text string, lines, limit int) int {
	start := len(text)
	if lines == 0 {
		return start
	}
	least := len(text) - limit
	end := len(strings.TrimSuffix(text, "\n"))
	start = end
	for range lines {
		start = strings.LastIndexByte(text[:end], '\n') + 1
		if start == 0 || start <= least {
			break
		}
		end = start - 1
	}
	if start >= least {
		return start
	}
	if i := strings.IndexByte(text[least:], '\n') + 1; i > 0 && i < limit/2 {
		return least + i
	}
	start = atomStart(text, least)
	if start < least { // what lies across the cut is left out as a whole
		start += atomLength(text[start:])
	}
	return start
}

// maxAtom bounds the escape sequences that are kept together.
const maxAtom = 256

// atomStart is the place at or before cut where the character or the escape
// sequence begins that lies across it.
func atomStart(text string, cut int) int {
	from := max(cut-maxAtom, 0)
	if i := strings.LastIndexByte(text[from:cut], '\x1b'); i >= 0 {
		if start := from + i; start+atomLength(text[start:]) > cut {
			return start
		}
	}
	start := cut
	for start > 0 && start > cut-utf8.UTFMax && start < len(text) && !utf8.RuneStart(text[start]) {
		start--
	}
	if start+atomLength(text[start:]) > cut {
		return start
	}
	return cut
}

func atomLength(text string) int {
	if text != "" && text[0] == '\x1b' {
		return max(len(sequence(text[:min(len(text), maxAtom)])), 1)
	}
	_, size := utf8.DecodeRuneInString(text)
	return size
}
