package search

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Span is a part of a text: bytes from Start up to End.
type Span struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// find returns the first place of the term in a folded text, from a place on.
func (t *term) find(text []byte, from int) (Span, bool) {
	for from <= len(text) {
		i := bytes.Index(text[from:], t.parts[0])
		if i < 0 {
			return Span{}, false
		}
		start := from + i
		if end, ok := t.at(text, start); ok {
			return Span{start, end}, true
		}
		_, size := utf8.DecodeRune(text[start:])
		from = start + size
	}
	return Span{}, false
}

// at reports whether the term stands at a place where its first part stands,
// and where it ends.
func (t *term) at(text []byte, start int) (int, bool) {
	if inside(text, start) {
		return 0, false
	}
	at := start + len(t.parts[0])
	for _, part := range t.parts[1:] {
		next := skipSpace(text, at)
		if next == at || !bytes.HasPrefix(text[next:], part) {
			return 0, false
		}
		at = next + len(part)
	}
	if inside(text, at) && !t.prefix {
		return 0, false
	}
	return at, true
}

func skipSpace(text []byte, at int) int {
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if !unicode.IsSpace(r) {
			break
		}
		at += size
	}
	return at
}

// texts are the folded fields of a step, as far as they are searched.
type texts [][]byte

func (t *term) in(fields texts) bool {
	return slices.ContainsFunc(fields, func(text []byte) bool {
		_, ok := t.find(text, 0)
		return ok
	})
}

// holds reports whether a step is what is looked for.
func (e *expression) holds(fields texts) bool {
	for _, c := range e.all {
		if !slices.ContainsFunc(c, func(t term) bool { return t.in(fields) }) {
			return false
		}
	}
	return !slices.ContainsFunc(e.not, func(t term) bool { return t.in(fields) })
}

// snippetBefore and snippetAfter are how much is shown around the first place,
// in bytes of the text; maxSpans how many places are marked at most.
const (
	snippetBefore = 60
	snippetAfter  = 180
	maxSpans      = 64
)

// snippet cuts the part out of a text in which the expression is met first.
// False says that none of its terms is there.
func (e *expression) snippet(text, folded []byte) (Snippet, bool) {
	first := Span{Start: -1}
	for _, c := range e.all {
		for i := range c {
			if s, ok := c[i].find(folded, 0); ok && (first.Start < 0 || s.Start < first.Start) {
				first = s
			}
		}
	}
	if first.Start < 0 {
		return Snippet{}, false
	}
	from, to := cutAround(text, first)
	return clean(text, from, to, e.spans(folded, from, to)), true
}

// cutAround chooses what is shown, on the borders of signs.
func cutAround(text []byte, s Span) (from, to int) {
	from = max(0, s.Start-snippetBefore)
	to = min(len(text), max(s.End, s.Start+snippetAfter))
	to = min(to, s.Start+4*snippetAfter)
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	for to < len(text) && !utf8.RuneStart(text[to]) {
		to++
	}
	return from, to
}

// spans are the places of all terms within a part of a text, in order, those
// that touch joined.
func (e *expression) spans(folded []byte, from, to int) []Span {
	var all []Span
	for _, c := range e.all {
		for i := range c {
			for at := from; len(all) < maxSpans; {
				s, ok := c[i].find(folded[:to], at)
				if !ok {
					break
				}
				if s.End < len(folded) && s.End == to && inside(folded, to) && !c[i].prefix {
					break // the border of the part is none of a word
				}
				all = append(all, s)
				at = max(s.End, at+1)
			}
		}
	}
	slices.SortFunc(all, func(a, b Span) int { return a.Start - b.Start })
	var joined []Span
	for _, s := range all {
		if n := len(joined); n > 0 && s.Start <= joined[n-1].End {
			joined[n-1].End = max(joined[n-1].End, s.End)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// clean makes one line of a part of a text: white space becomes one space, and
// signs that nobody sees are left out.
func clean(text []byte, from, to int, marked []Span) Snippet {
	s := Snippet{Before: from > 0, After: to < len(text), Marks: []Span{}}
	var out []byte
	space := true // none at the beginning
	next := 0     // of marked
	open := -1
	for i := from; i < to; {
		if next < len(marked) && open < 0 && i >= marked[next].Start {
			open = len(out)
		}
		r, size := utf8.DecodeRune(text[i:to])
		switch {
		case unicode.IsSpace(r):
			if !space {
				out = append(out, ' ')
			}
			space = true
		case unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
			space = false
		}
		i += size
		if open >= 0 && i >= marked[next].End {
			if len(out) > open {
				s.Marks = append(s.Marks, Span{open, len(out)})
			}
			open, next = -1, next+1
		}
	}
	out = bytes.TrimRight(out, " ")
	s.Text = string(out)
	return s
}
