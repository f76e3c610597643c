package markup

import (
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Shell is an action of an agent: bash, with the texts that it writes to files
// highlighted by the names of these. The text of an edit or an insert, whose file is not
// told by the action, is plain (see [EditBody]).
func Shell(action string) template.HTML {
	deadline := time.Now().Add(patience)
	var out []byte
	for part := range parts(action) {
		out = appendCode(out, part.text, part.language, deadline)
	}
	return safe(out)
}

// EditBody finds the first command edit or insert in an action, in the form in which an agent
// writes it or as a here-document: the text that it brings, each line with its
// end, and the lines of the file that it replaces, counted from 1. The
// first line of the text becomes line startLine of the file. An insert
// replaces none: its endLine is startLine-1. Nothing is found where the command's numbers
// or its end are missing.
func EditBody(action string) (kind string, startLine, endLine int, body string, ok bool) {
	for part := range parts(action) {
		if part.edit != nil {
			return part.edit.kind, part.edit.first, part.edit.last, part.text, true
		}
	}
	return "", 0, 0, "", false
}

// part is a piece of an action.
type part struct {
	text     string
	language string // as Code takes it
	edit     *editCommand
}

type editCommand struct {
	kind        string
	first, last int
}

var (
	editLine = regexp.MustCompile(`^(?:.*(?:&&|\|\||;))?[ \t]*(edit|insert)[ \t]+(\d+)(?::(\d+))?[ \t]*(?:<<-?[ \t]*['"]?end_of_(edit|insert)['"]?)?[ \t\r]*$`)
	hereDoc  = regexp.MustCompile(`(?:^|[^<])<<-?[ \t]*(?:'([^']+)'|"([^"]+)"|\\?([A-Za-z_][A-Za-z0-9_.]*))`)
	target   = regexp.MustCompile(`(?:[^<>&0-9]|^)1?>>?\|?[ \t]*(?:'([^']+)'|"([^"]+)"|([^\s'"|;&<>()]+))|\btee[ \t]+(?:-a[ \t]+)?(?:'([^']+)'|"([^"]+)"|([^\s'"|;&<>()-][^\s'"|;&<>()]*))`)
	reader   = regexp.MustCompile(`(?:^|[|;&(/ \t])(python|bash|sh|zsh|node|perl|ruby|Rscript|sqlite3)[0-9.]*(?:[ \t]|$)`)
)

// maxCommandLine bounds the lines in which a command that brings a text is
// looked for.
const maxCommandLine = 4096

// parts cuts an action into commands and the texts they bring. It reads lines,
// not the language: what looks like a here-document and is none is coloured
// wrongly, and nothing more.
func parts(action string) func(yield func(part) bool) {
	return func(yield func(part) bool) {
		missing := map[string]bool{} // ends that do not stand in the rest
		begin := 0                   // of the commands not yet given
		for at := 0; at < len(action); {
			next := lineEnd(action, at)
			p, end, strip := bringsText(strings.TrimSuffix(action[at:next], "\n"))
			at = next
			if end == "" || missing[end] {
				continue
			}
			stop, found := findEnd(action, next, end, strip)
			if !found {
				missing[end] = true
				continue
			}
			if !yield(part{text: action[begin:next], language: "bash"}) {
				return
			}
			p.text = action[next:stop]
			if !yield(p) {
				return
			}
			begin, at = stop, lineEnd(action, stop)
		}
		if begin < len(action) {
			yield(part{text: action[begin:], language: "bash"})
		}
	}
}

// lineEnd is where the line after the one at a place begins.
func lineEnd(s string, at int) int {
	if i := strings.IndexByte(s[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(s)
}

// bringsText reads a line of a command, and tells by which line its text ends.
// strip says what may stand around that line.
func bringsText(line string) (p part, end string, strip func(string) string) {
	if len(line) > maxCommandLine {
		return p, "", nil
	}
	if m := editLine.FindStringSubmatch(line); m != nil && (m[1] == "edit") == (m[3] != "") && (m[4] == "" || m[4] == m[1]) {
		p.edit = &editCommand{kind: m[1]}
		first, err := strconv.Atoi(m[2])
		if err != nil {
			return p, "", nil
		}
		if m[1] == "insert" {
			p.edit.first, p.edit.last = first+1, first
			return p, "end_of_insert", trimEnd
		}
		last, err := strconv.Atoi(m[3])
		if err != nil {
			return p, "", nil
		}
		p.edit.first, p.edit.last = first, last
		return p, "end_of_edit", trimEnd
	}
	at := hereDoc.FindStringSubmatchIndex(line)
	if at == nil {
		return p, "", nil
	}
	m := hereDoc.FindStringSubmatch(line)
	rest := line[:at[0]] + " " + line[at[1]:]
	if file := target.FindStringSubmatch(rest); file != nil {
		p.language = first(file[1:])
	} else if program := reader.FindStringSubmatch(rest); program != nil {
		p.language = program[1]
		switch p.language {
		case "Rscript":
			p.language = "r"
		case "sqlite3":
			p.language = "sql"
		}
	}
	return p, first(m[1:]), func(line string) string { return strings.TrimLeft(strings.TrimSuffix(line, "\r"), "\t") }
}

func trimEnd(line string) string { return strings.TrimRight(line, " \t\r") }

func first(groups []string) string {
	for _, g := range groups {
		if g != "" {
			return g
		}
	}
	return ""
}

// findEnd is where the line that ends a text begins.
func findEnd(action string, from int, end string, strip func(string) string) (int, bool) {
	for at := from; at < len(action); {
		next := lineEnd(action, at)
		if strip(strings.TrimSuffix(action[at:next], "\n")) == end {
			return at, true
		}
		at = next
	}
	return 0, false
}
