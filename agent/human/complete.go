package human

import (
	"errors"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"mlgym/tool"
)

// incomplete reports whether more lines are needed: the text of an edit has no
// end, or bash would ask for more.
func incomplete(text string) bool {
	script, err := tool.Rewrite(text)
	if _, ok := errors.AsType[*tool.MalformedError](err); ok {
		return true
	}
	if strings.HasSuffix(script, `\`) && !strings.HasSuffix(script, `\\`) {
		return true
	}
	_, err = syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script+"\n"), "")
	// The parser does not call a quoted here-document without an end incomplete.
	var bad syntax.ParseError
	return syntax.IsIncomplete(err) || errors.As(err, &bad) && strings.HasPrefix(bad.Text, "unclosed here-document")
}
