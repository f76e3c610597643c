package tool

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"unicode/utf8"
)

// Linter finds the errors of a Python source. It may be called concurrently.
type Linter interface {
	// Lint checks src, the content of a file of the given base name. An error
	// means that the source could not be checked, not that it is wrong.
	Lint(ctx context.Context, name string, src []byte) ([]Diagnostic, error)
}

// Diagnostic is one error in a source.
type Diagnostic struct {
	// Line counts from 1.
	Line int
	// Code is that of flake8: E999 for a syntax error, F821 for an undefined
	// name …
	Code    string
	Message string
}

// codeSyntax and codeRead are flake8's codes for a source that cannot be
// parsed and one that cannot be decoded.
const (
	codeSyntax = "E999"
	codeRead   = "E902"
)

// lintReport is what a change does to the errors of a file.
type lintReport struct {
	// added are the errors that the change brings.
	added []Diagnostic
	// note is a line for the agent when nothing could be checked.
	note string
}

// checkChange lints a file before and after a change, both at once.
func checkChange(ctx context.Context, linter Linter, name string, old []byte, e edited) lintReport {
	var (
		before, after       []Diagnostic
		beforeErr, afterErr error
		both                sync.WaitGroup
	)
	both.Go(func() { before, beforeErr = lintText(ctx, linter, name, old) })
	both.Go(func() { after, afterErr = lintText(ctx, linter, name, e.content) })
	both.Wait()
	for _, err := range []error{afterErr, beforeErr} {
		if err != nil {
			return lintReport{note: fmt.Sprintf("Note: the file was not checked for Python errors: %s\n", clip(err.Error()))}
		}
	}
	return lintReport{added: newErrors(before, after, e)}
}

// lintText answers for sources that no linter can decode.
func lintText(ctx context.Context, linter Linter, name string, src []byte) ([]Diagnostic, error) {
	if !utf8.Valid(src) {
		return []Diagnostic{{Line: invalidLine(src), Code: codeRead, Message: "the file is not valid UTF-8"}}, nil
	}
	return linter.Lint(ctx, name, src)
}

func invalidLine(src []byte) int {
	line := 1
	for text := range bytes.Lines(src) {
		if !utf8.Valid(text) {
			return line
		}
		line++
	}
	return line
}

// newErrors are those of after that the change brought: neither there before,
// with line numbers below the change shifted, nor uncovered by it. An error on
// a line that the change replaced counts as new, whether or not it was there.
//
// A source with a syntax error has no names, so no name is undefined in it. A
// change that mends the syntax uncovers the undefined names; of these only the
// ones on its own lines are its fault.
func newErrors(before, after []Diagnostic, e edited) []Diagnostic {
	known := map[Diagnostic]int{}
	unparsed := false
	for _, d := range before {
		unparsed = unparsed || d.Code == codeSyntax || d.Code == codeRead
		switch {
		case d.Line >= e.start+e.removed:
			d.Line += e.added - e.removed
		case d.Line >= e.start:
			continue
		}
		known[d]++
	}
	var added []Diagnostic
	for _, d := range after {
		if known[d] > 0 {
			known[d]--
			continue
		}
		own := d.Line >= e.start && d.Line < e.start+e.added
		if unparsed && !own && d.Code != codeSyntax {
			continue
		}
		added = append(added, d)
	}
	return added
}
