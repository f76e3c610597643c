package markup

import (
	"bytes"
	"html/template"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"
)

const (
	// maxDiffBytes bounds each of the texts that are compared.
	maxDiffBytes = 4 << 20
	// maxDiffRows bounds the lines shown.
	maxDiffRows = 2000
	// maxDiffLine bounds what is shown of one line, in bytes, and the lines
	// whose words are compared.
	maxDiffLine = 2000
	// maxWordBytes bounds the lines whose words are compared, together.
	maxWordBytes = 256 << 10
)

// Diff shows what differs between two texts: the lines that do, with three
// around them, the numbers of both, and within a line that was changed the
// words that were. It says so where it shows a part only: of more than 2000
// lines the first, of a line longer than 2000 bytes the beginning, of a text larger
// than 4 MiB nothing.
func Diff(before, after string) template.HTML {
	switch {
	case before == after:
		return `<p class="diff-note">The texts are the same.</p>`
	case len(before) > maxDiffBytes || len(after) > maxDiffBytes:
		return safe(note(nil, "The texts are too large to be compared here ("+strconv.Itoa(len(before))+" and "+strconv.Itoa(len(after))+" bytes)."))
	}
	d := differ{words: maxWordBytes}
	d.out = append(d.out, `<div class="diff"><table class="diff-table"><tbody>`...)
	hunks := compare(lines(before), lines(after))
	for _, h := range hunks {
		d.hunk(h)
	}
	d.out = append(d.out, "</tbody></table></div>"...)
	if d.left > 0 {
		d.out = note(d.out, strconv.Itoa(d.left)+" more lines of the comparison are not shown.")
	}
	switch endBefore, endAfter := ends(before), ends(after); {
	case endBefore == endAfter:
	case endBefore:
		d.out = note(d.out, "The last line ends without a line end now.")
	default:
		d.out = note(d.out, "The last line ended without a line end before.")
	}
	return safe(d.out)
}

func note(dst []byte, text string) []byte {
	dst = append(dst, `<p class="diff-note">`...)
	dst = appendEscaped(dst, text)
	return append(dst, "</p>"...)
}

func ends(text string) bool { return text == "" || strings.HasSuffix(text, "\n") }

// lines are the lines of a text without their ends.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// change is an element of a comparison: ' ' in both, '-' before, '+' after.
type change struct {
	kind byte
	text string
}

// hunk is a stretch of a comparison; before and after count from 1.
type hunk struct {
	before, after int
	changes       []change
}

// compare compares two lists of texts that hold no line end. It goes through
// the unified format, which the library writes and which is fixed for good.
func compare(before, after []string) []hunk {
	join := func(list []string) []byte {
		if len(list) == 0 {
			return nil
		}
		return []byte(strings.Join(list, "\n") + "\n")
	}
	var hunks []hunk
	heads := 3 // "diff", "---" and "+++"
	for line := range bytes.Lines(diff.Diff("", join(before), "", join(after))) {
		if heads > 0 {
			heads--
			continue
		}
		text := string(bytes.TrimSuffix(line, []byte("\n")))
		if text[0] == '@' {
			fields := strings.Fields(text)
			hunks = append(hunks, hunk{before: place(fields[1]), after: place(fields[2])})
			continue
		}
		h := &hunks[len(hunks)-1]
		h.changes = append(h.changes, change{text[0], text[1:]})
	}
	return hunks
}

// place reads -12,3: where a stretch begins. One of no lines stands after the
// line that it names.
func place(field string) int {
	begin, count, _ := strings.Cut(field[1:], ",")
	n, err := strconv.Atoi(begin)
	if err != nil {
		return 1
	}
	if count == "0" {
		n++
	}
	return n
}

type differ struct {
	out        []byte
	rows, left int
	words      int // bytes whose words may still be compared
}

func (d *differ) hunk(h hunk) {
	if d.rows >= maxDiffRows {
		d.left += len(h.changes)
		return
	}
	d.out = append(d.out, `<tr class="diff-hunk"><td colspan="4">line `...)
	d.out = strconv.AppendInt(d.out, int64(h.before), 10)
	if h.after != h.before {
		d.out = append(d.out, " → "...)
		d.out = strconv.AppendInt(d.out, int64(h.after), 10)
	}
	d.out = append(d.out, "</td></tr>\n"...)
	for i := 0; i < len(h.changes); {
		removed, added := run(h.changes[i:], '-'), 0
		added = run(h.changes[i+removed:], '+')
		if removed+added == 0 {
			d.row(h.changes[i].kind, h.before, h.after, nil, h.changes[i].text)
			h.before++
			h.after++
			i++
			continue
		}
		old, brought := h.changes[i:i+removed], h.changes[i+removed:i+removed+added]
		i += removed + added
		oldWords, newWords := d.pairs(old, brought)
		for j, c := range old {
			d.row('-', h.before, 0, oldWords[j], c.text)
			h.before++
		}
		for j, c := range brought {
			d.row('+', 0, h.after, newWords[j], c.text)
			h.after++
		}
	}
}

// run counts the changes of a kind at the beginning.
func run(changes []change, kind byte) int {
	n := 0
	for n < len(changes) && changes[n].kind == kind {
		n++
	}
	return n
}

// pairs compares the words of lines that took each other's place.
func (d *differ) pairs(old, brought []change) (oldWords, newWords [][]change) {
	oldWords, newWords = make([][]change, len(old)), make([][]change, len(brought))
	for i := range min(len(old), len(brought)) {
		size := len(old[i].text) + len(brought[i].text)
		if max(len(old[i].text), len(brought[i].text)) > maxDiffLine || size > d.words || d.rows >= maxDiffRows {
			continue
		}
		d.words -= size
		oldWords[i], newWords[i] = compareWords(old[i].text, brought[i].text)
	}
	return oldWords, newWords
}

// compareWords gives the words of both lines, or nil where hardly one is left.
func compareWords(before, after string) (old, brought []change) {
	b, a := words(before), words(after)
	same := 0
	keep := func(n int) {
		for _, word := range b[:n] {
			old, brought = append(old, change{' ', word}), append(brought, change{' ', word})
			same += len(strings.TrimSpace(word))
		}
		b = b[n:]
	}
	at := 1 // the number of b[0]
	for _, h := range compare(b, a) {
		keep(h.before - at)
		at = h.before
		for _, c := range h.changes {
			switch c.kind {
			case ' ':
				keep(1)
				at++
			case '-':
				old, b = append(old, c), b[1:]
				at++
			default:
				brought = append(brought, c)
			}
		}
	}
	keep(len(b))
	if 3*same < min(len(strings.TrimSpace(before)), len(strings.TrimSpace(after))) {
		return nil, nil
	}
	return old, brought
}

// words cuts a line into names and numbers, white space, and single others.
func words(line string) []string {
	var list []string
	kindOf := func(r rune) int {
		switch {
		case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			return 1
		case unicode.IsSpace(r):
			return 2
		}
		return 0
	}
	start, kind := 0, 0
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRuneInString(line[i:])
		k := kindOf(r)
		if i > start && (k == 0 || k != kind) {
			list = append(list, line[start:i])
			start = i
		}
		kind = k
		i += size
	}
	if start < len(line) {
		list = append(list, line[start:])
	}
	return list
}

var rowClasses = map[byte]string{' ': "diff-same", '-': "diff-removed", '+': "diff-added"}

func (d *differ) row(kind byte, before, after int, words []change, text string) {
	if d.rows >= maxDiffRows {
		d.left++
		return
	}
	d.rows++
	d.out = append(d.out, `<tr class="`...)
	d.out = append(d.out, rowClasses[kind]...)
	d.out = append(d.out, `">`...)
	for _, n := range [...]int{before, after} {
		d.out = append(d.out, `<td class="diff-number">`...)
		if n > 0 {
			d.out = strconv.AppendInt(d.out, int64(n), 10)
		}
		d.out = append(d.out, "</td>"...)
	}
	d.out = append(d.out, `<td class="diff-sign">`...)
	if kind != ' ' {
		d.out = append(d.out, kind)
	}
	d.out = append(d.out, `</td><td class="diff-text"><code>`...)
	if words != nil {
		d.marked(words, kind)
	} else {
		cut := min(len(text), maxDiffLine)
		if cut < len(text) {
			cut = atomStart(text, cut)
		}
		d.out = appendEscaped(d.out, Visible(text[:cut]))
		if rest := len(text) - cut; rest > 0 {
			d.out = append(d.out, `<span class="diff-cut">… `...)
			d.out = strconv.AppendInt(d.out, int64(rest), 10)
			d.out = append(d.out, ` more bytes</span>`...)
		}
	}
	d.out = append(d.out, "</code></td></tr>\n"...)
}

// marked writes the words of a line, those that changed in del or ins.
func (d *differ) marked(words []change, kind byte) {
	element := "del"
	if kind == '+' {
		element = "ins"
	}
	open := false
	for _, w := range words {
		if changed := w.kind != ' '; changed != open {
			d.out = append(d.out, '<')
			if open {
				d.out = append(d.out, '/')
			}
			d.out = append(d.out, element...)
			d.out = append(d.out, '>')
			open = changed
		}
		d.out = appendEscaped(d.out, Visible(w.text))
	}
	if open {
		d.out = append(d.out, "</"+element+">"...)
	}
}
