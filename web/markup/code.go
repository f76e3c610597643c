package markup

import (
	"html/template"
	"path"
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
	text = shown(text)
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
		_ = recover() //nolint:errcheck // whatever it is, the rest of the text is written plainly
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

// classOf is how a token looks, or "" for as the text around it.
func classOf(t chroma.TokenType) string {
	switch t {
	case chroma.KeywordType, chroma.NameClass, chroma.NameException:
		return "tok-type"
	case chroma.KeywordConstant:
		return "tok-number"
	case chroma.NameAttribute, chroma.NameDecorator, chroma.NameTag, chroma.NameProperty, chroma.NameEntity:
		return "tok-name"
	case chroma.LiteralStringEscape, chroma.LiteralStringInterpol, chroma.LiteralStringRegex:
		return "tok-escape"
	case chroma.OperatorWord, chroma.OperatorReserved:
		return "tok-keyword"
	case chroma.GenericDeleted:
		return "tok-deleted"
	case chroma.GenericInserted:
		return "tok-inserted"
	case chroma.GenericHeading, chroma.GenericSubheading, chroma.GenericStrong:
		return "tok-strong"
	case chroma.GenericEmph:
		return "tok-emphasis"
	}
	switch t.SubCategory() {
	case chroma.NameBuiltin:
		return "tok-builtin"
	case chroma.NameFunction:
		return "tok-function"
	case chroma.NameVariable:
		return "tok-variable"
	case chroma.LiteralString:
		return "tok-string"
	case chroma.LiteralNumber:
		return "tok-number"
	case chroma.CommentPreproc:
		return "tok-name"
	}
	switch t.Category() {
	case chroma.Keyword:
		return "tok-keyword"
	case chroma.Comment:
		return "tok-comment"
	}
	return ""
}

// index finds lexers by the ends of names, by whole names of files and by
// languages. The library tries a thousand patterns for every name it does not
// know, some ten milliseconds, and a page may hold thousands of them.
type index struct{ byName, byExtension map[string]chroma.Lexer }

var lexerIndex = sync.OnceValue(func() index {
	made := index{map[string]chroma.Lexer{}, map[string]chroma.Lexer{}}
	priority := map[string]float32{}
	for _, lexer := range lexers.GlobalLexerRegistry.Lexers {
		config := lexer.Config()
		rank := config.Priority
		if rank == 0 {
			rank = 1
		}
		for _, name := range append([]string{config.Name}, config.Aliases...) {
			name = strings.ToLower(name)
			if _, taken := made.byName[name]; !taken {
				made.byName[name] = lexer
			}
		}
		for _, pattern := range config.Filenames {
			into, key := made.byName, strings.ToLower(pattern)
			if extension, ok := strings.CutPrefix(key, "*."); ok {
				into, key = made.byExtension, extension
			}
			if strings.ContainsAny(key, "*?[") {
				continue
			}
			if old, taken := priority[pattern]; taken && old >= rank {
				continue
			}
			if _, taken := into[key]; taken && priority[pattern] == 0 && rank <= 1 {
				continue
			}
			priority[pattern] = rank
			into[key] = lexer
		}
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
