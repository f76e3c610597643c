package markup

import (
	"cmp"
	"html/template"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
)

const (
	// maxCode bounds the text that is highlighted, in bytes: some languages take
	// a millisecond for a kilobyte.
	maxCode = 128 << 10
	// patience bounds the time for one text, or for all the code in one page of
	// Markdown. The expressions of some languages take very long on a text that
	// was made for it.
	patience = 250 * time.Millisecond
)

// Code is program text with spans of the classes tok-…, highlighted by the
// language of a file's name or by a language's name. Where neither is known,
// where the text is longer than 128 KiB, and from where highlighting has taken
// a quarter of a second, the text is plain.
func Code(text, nameOrLanguage string) template.HTML {
	return safe(appendCode(nil, text, nameOrLanguage, time.Now().Add(patience)))
}

func appendCode(dst []byte, text, nameOrLanguage string, deadline time.Time) []byte {
	text = Visible(text)
	lexer := lexerOf(nameOrLanguage)
	if lexer == nil || len(text) > maxCode {
		return appendEscaped(dst, text)
	}
	h := highlighter{out: dst, text: text}
	h.run(lexer, deadline)
	return append(appendEscaped(h.out, h.text), h.close...)
}

// highlighter writes the tokens of a text as long as they are the text.
type highlighter struct {
	out   []byte
	text  string // what is still to be written
	class string // of the open span
	close string // what closes it
}

// run leaves what it did not write in h.text. A lexer may stop, or give up by a panic,
// where it does not know what to do; that is no reason to show nothing.
func (h *highlighter) run(lexer chroma.Lexer, deadline time.Time) {
	defer func() {
		_ = recover() // whatever it is, the rest of the text is written plainly
		h.wear("")
	}()
	if !time.Now().Before(deadline) {
		return
	}
	next, err := lexer.Tokenise(nil, h.text)
	if err != nil {
		return
	}
	for token := next(); token != chroma.EOF && strings.HasPrefix(h.text, token.Value); token = next() {
		if token.Value == "" {
			continue
		}
		h.wear(classOf(token.Type))
		h.out = appendEscaped(h.out, token.Value)
		h.text = h.text[len(token.Value):]
		if !time.Now().Before(deadline) {
			return
		}
	}
}

func (h *highlighter) wear(class string) {
	if h.class == class {
		return
	}
	h.out = append(h.out, h.close...)
	h.close = ""
	if class != "" {
		h.out = append(h.out, `<span class="`+class+`">`...)
		h.close = "</span>"
	}
	h.class = class
}

// tokenClasses are how tokens look: those of one kind, or of all kinds of a family
// that are not named. The others look as the text around them.
var tokenClasses = map[chroma.TokenType]string{
	chroma.Keyword:         "tok-keyword",
	chroma.KeywordConstant: "tok-number",
	chroma.KeywordType:     "tok-type",

	chroma.NameAttribute: "tok-name",
	chroma.NameBuiltin:   "tok-builtin",
	chroma.NameClass:     "tok-type",
	chroma.NameDecorator: "tok-name",
	chroma.NameEntity:    "tok-name",
	chroma.NameException: "tok-type",
	chroma.NameFunction:  "tok-function",
	chroma.NameProperty:  "tok-name",
	chroma.NameTag:       "tok-name",
	chroma.NameVariable:  "tok-variable",

	chroma.LiteralNumber:         "tok-number",
	chroma.LiteralString:         "tok-string",
	chroma.LiteralStringEscape:   "tok-escape",
	chroma.LiteralStringInterpol: "tok-escape",
	chroma.LiteralStringRegex:    "tok-escape",

	chroma.OperatorReserved: "tok-keyword",
	chroma.OperatorWord:     "tok-keyword",

	chroma.Comment:        "tok-comment",
	chroma.CommentPreproc: "tok-name",

	chroma.GenericDeleted:    "tok-deleted",
	chroma.GenericEmph:       "tok-emphasis",
	chroma.GenericHeading:    "tok-strong",
	chroma.GenericInserted:   "tok-inserted",
	chroma.GenericStrong:     "tok-strong",
	chroma.GenericSubheading: "tok-strong",
}

func classOf(t chroma.TokenType) string {
	for _, kind := range [...]chroma.TokenType{t, t.SubCategory(), t.Category()} {
		if class, ok := tokenClasses[kind]; ok {
			return class
		}
	}
	return ""
}

// index finds lexers by the ends of names, by whole names of files and by
// languages. The library tries a thousand patterns for every name it does not
// know, some ten milliseconds, and a page may hold thousands of them.
type index struct{ byName, byExtension map[string]chroma.Lexer }

var lexerIndex = sync.OnceValue(func() index {
	made := index{map[string]chroma.Lexer{}, map[string]chroma.Lexer{}}
	all := slices.Clone(lexers.GlobalLexerRegistry.Lexers)
	rank := func(l chroma.Lexer) float32 {
		if p := l.Config().Priority; p != 0 {
			return p
		}
		return 1
	}
	// Of several that claim an ending, the library says which is likelier.
	slices.SortStableFunc(all, func(a, b chroma.Lexer) int { return cmp.Compare(rank(b), rank(a)) })
	add := func(to map[string]chroma.Lexer, name string, lexer chroma.Lexer) {
		if _, taken := to[name]; !taken {
			to[name] = lexer
		}
	}
	for _, lexer := range all {
		config := lexer.Config()
		add(made.byName, strings.ToLower(config.Name), lexer)
		for _, alias := range config.Aliases {
			add(made.byName, strings.ToLower(alias), lexer)
		}
	}
	for _, lexer := range all {
		for _, pattern := range lexer.Config().Filenames {
			pattern = strings.ToLower(pattern)
			ending, ok := strings.CutPrefix(pattern, "*.")
			switch {
			case strings.ContainsAny(ending, "*?["):
			case ok:
				add(made.byExtension, ending, lexer)
			default:
				add(made.byName, pattern, lexer)
			}
		}
	}
	// Endings that the library does not know, and agents write.
	for ending, language := range map[string]string{"ipynb": "json", "jsonl": "json", "cu": "c++", "cuh": "c++"} {
		add(made.byExtension, ending, made.byName[language])
	}
	return made
})

// lexerOf returns nil where the language is not known, or is no language.
func lexerOf(nameOrLanguage string) chroma.Lexer {
	if nameOrLanguage == "" || len(nameOrLanguage) > 4096 {
		return nil
	}
	known := lexerIndex()
	name := strings.ToLower(path.Base(nameOrLanguage))
	if lexer, ok := known.byName[name]; ok {
		return lexer
	}
	// a.tar.gz: the longest end that is known.
	for rest := name; ; {
		_, end, ok := strings.Cut(rest, ".")
		if !ok {
			break
		}
		if lexer, ok := known.byExtension[end]; ok {
			return lexer
		}
		rest = end
	}
	return known.byExtension[name] // a language named as its files end
}
