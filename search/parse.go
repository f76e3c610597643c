package search

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTerms and maxTermWords bound what is handed to the index; terms beyond are
// compared with the text.
const (
	maxTerms     = 32
	maxTermWords = 32
)

// everyStep is a word that stands in each field of each step: a sign for
// private use, which no text can bring into the index.
const everyStep = "\uE000"

// term is one thing that is looked for.
type term struct {
	// parts of the folded text, between which white space may stand.
	parts [][]byte
	// prefix: the last word may go on.
	prefix bool
	// words of the term, each with a space after it, for the index.
	words string
	// exact: what the index finds by the words is what is looked for.
	exact bool
}

// clause is a list of terms of which one has to be there.
type clause []term

// expression is a text that somebody typed: all of the clauses, none of the
// terms in not.
type expression struct {
	all []clause
	not []term
}

// parse reads what somebody typed. Every text is valid.
func parse(text string) expression {
	var e expression
	var or bool // the last word was OR, after a term
	for p := (parser{rest: text}); ; {
		w, ok := p.next()
		if !ok {
			break
		}
		if w.operator && len(e.all) > 0 && !p.done() {
			or = or || w.text == "OR"
			continue
		}
		t, ok := newTerm(w.text, w.prefix)
		switch {
		case !ok:
		case w.not:
			e.not = append(e.not, t)
		case or:
			last := len(e.all) - 1
			e.all[last] = append(e.all[last], t)
		default:
			e.all = append(e.all, clause{t})
		}
		or = false
	}
	return e
}

func (e *expression) empty() bool { return len(e.all) == 0 && len(e.not) == 0 }

// parser takes a text apart.
type parser struct{ rest string }

// typed is one word or phrase, as it was typed.
type typed struct {
	text     string
	not      bool
	prefix   bool
	operator bool
}

func (p *parser) done() bool { return strings.TrimSpace(p.rest) == "" }

func (p *parser) next() (typed, bool) {
	p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace)
	if p.rest == "" {
		return typed{}, false
	}
	var w typed
	if after, ok := strings.CutPrefix(p.rest, "-"); ok {
		// Options such as --epochs and numbers such as -5 are meant as they stand.
		if r, _ := utf8.DecodeRuneInString(after); r == '"' && len(after) > 1 || unicode.IsLetter(r) {
			w.not, p.rest = true, after
		}
	}
	if inner, ok := strings.CutPrefix(p.rest, `"`); ok && inner != "" {
		end := phraseEnd(inner)
		w.text, p.rest = inner[:end], strings.TrimPrefix(inner[end:], `"`)
		if rest, ok := strings.CutPrefix(p.rest, "*"); ok {
			w.prefix, p.rest = true, rest
		}
		return w, true
	}
	end := strings.IndexFunc(p.rest, unicode.IsSpace)
	if end < 0 {
		end = len(p.rest)
	}
	w.text, p.rest = p.rest[:end], p.rest[end:]
	w.operator = !w.not && (w.text == "OR" || w.text == "AND")
	if stem, ok := strings.CutSuffix(w.text, "*"); ok {
		if r, _ := utf8.DecodeLastRuneInString(stem); isWord(r) {
			w.text, w.prefix = stem, true
		}
	}
	return w, true
}

// phraseEnd finds the quote that ends a phrase: one after which a word could
// begin. Quotes within belong to the phrase; one that is missing stands at the
// end.
func phraseEnd(text string) int {
	for i := range len(text) {
		if text[i] != '"' {
			continue
		}
		after := strings.TrimPrefix(text[i+1:], "*")
		if r, size := utf8.DecodeRuneInString(after); size == 0 || unicode.IsSpace(r) {
			return i
		}
	}
	return len(text)
}

// newTerm makes a term of a text; false where nothing but white space is in it.
func newTerm(text string, prefix bool) (term, bool) {
	t := term{parts: bytes.FieldsFunc(fold([]byte(strings.ToValidUTF8(text, "\uFFFD"))), unicode.IsSpace)}
	if len(t.parts) == 0 {
		return t, false
	}
	last := t.parts[len(t.parts)-1]
	r, _ := utf8.DecodeLastRune(last)
	t.prefix = prefix && isWord(r)
	var words []byte
	shortened := false
	for _, part := range t.parts {
		var cut bool
		words, cut = appendWords(words, part)
		shortened = shortened || cut
	}
	t.words = string(words)
	t.exact = len(t.parts) == 1 && !shortened && len(last) < maxWordBytes && t.words == string(last)+" "
	return t, true
}

// plan says how an expression is answered.
type plan struct {
	// match is the expression for the index. It finds every step that is looked
	// for, and others too where compare is set.
	match   string
	compare bool
}

// column is the name of a field in the index, "" where all are meant.
func (f Field) column() string {
	switch f {
	case Action, Thought, Observation:
		return string(f)
	case Any:
	}
	return ""
}

// plan makes the question for the index. Only quoted words reach it, so that
// nothing that was typed can be taken for its syntax.
func (e *expression) plan(f Field) plan {
	var all, not []string
	var p plan
	for _, c := range e.all {
		var alternatives []string
		for _, t := range c {
			p.compare = p.compare || !t.exact
			m := t.match()
			if m == "" { // the index cannot find it, so it says nothing of the clause
				alternatives = nil
				break
			}
			alternatives = append(alternatives, m)
		}
		if len(alternatives) == 0 || len(alternatives) > maxTerms || len(all) == maxTerms {
			p.compare = true
			continue
		}
		all = append(all, "("+strings.Join(alternatives, " OR ")+")")
	}
	for _, t := range e.not {
		if !t.exact || len(not) == maxTerms {
			p.compare = true
			continue
		}
		not = append(not, t.match())
	}
	if len(all) == 0 {
		all = []string{`"` + everyStep + `"`}
	}
	p.match = "(" + strings.Join(all, " AND ") + ")"
	if len(not) > 0 {
		p.match += " NOT (" + strings.Join(not, " OR ") + ")"
	}
	if column := f.column(); column != "" {
		p.match = "{" + column + "} : (" + p.match + ")"
	}
	return p
}

// match is the term for the index, "" where it has no word.
func (t *term) match() string {
	words := strings.Fields(t.words)
	if len(words) == 0 {
		return ""
	}
	prefix := t.prefix
	if len(words) > maxTermWords {
		words, prefix = words[:maxTermWords], false
	}
	m := `"` + strings.Join(words, " ") + `"`
	if prefix {
		m += " *"
	}
	return m
}
