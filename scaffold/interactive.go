package scaffold

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"mlgym/tool"
)

// find returns the first program of the command that the lists refuse, or "".
//
// The command is parsed as bash, so that words inside quotes, here-documents and
// the text of an edit are not mistaken for programs. Where a part of it is no
// valid bash, what came before that part is looked at; the shell then tells the
// agent what is wrong.
func (l Interactive) find(command string) string {
	if command == "" || len(l.Always)+len(l.Bare) == 0 {
		return ""
	}
	script, err := tool.Rewrite(command)
	if err != nil {
		// The environment refuses such an action as a whole.
		return ""
	}
	found := ""
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	for stmt, err := range parser.StmtsSeq(strings.NewReader(script)) {
		if err != nil {
			break // the shell's to report
		}
		if found = l.inStatement(stmt); found != "" {
			break
		}
	}
	return found
}

func (l Interactive) inStatement(root *syntax.Stmt) string {
	found := ""
	fed := map[*syntax.Stmt]bool{}
	syntax.Walk(root, func(node syntax.Node) bool {
		if found != "" {
			return false
		}
		switch n := node.(type) {
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				syntax.Walk(n.Y, func(below syntax.Node) bool {
					if stmt, ok := below.(*syntax.Stmt); ok {
						fed[stmt] = true
					}
					return true
				})
			}
		case *syntax.Stmt:
			call, ok := n.Cmd.(*syntax.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			program := path.Base(call.Args[0].Lit())
			bare := len(call.Args) == 1 && len(n.Redirs) == 0 && !fed[n]
			if slices.Contains(l.Always, program) || bare && slices.Contains(l.Bare, program) {
				found = program
			}
		}
		return true
	})
	return found
}
