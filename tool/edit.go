package tool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// The lines that end the text of edit and insert in shell form.
const (
	endOfEdit   = "end_of_edit"
	endOfInsert = "end_of_insert"
)

func editCommand() command {
	return command{
		name:       "edit",
		usage:      "edit <start_line>:<end_line>\n<replacement_text>\n" + endOfEdit,
		terminator: endOfEdit,
		params: []param{
			{name: "start_line", kind: numberParam, required: true, doc: "the first line to replace, counted from 1"},
			{name: "end_line", kind: numberParam, required: true, doc: "the last line to replace (that line included)"},
			{name: "text", kind: textParam, required: true, doc: "the lines to put there, with their indentation; empty deletes the lines"},
		},
		fromArgv: editFromArgv,
		run:      (*Session).edit,
	}
}

func editFromArgv(argv []string, stdin []byte) (arguments, string) {
	if len(argv) != 1 || !strings.Contains(argv[0], ":") {
		return nil, usageOnly
	}
	args := arguments{}
	first, last, _ := strings.Cut(argv[0], ":")
	for _, bound := range []struct{ name, word string }{{"start_line", first}, {"end_line", last}} {
		n, problem := parseNumber(bound.word)
		if problem != "" {
			return nil, bound.name + " " + problem
		}
		args.setNumber(bound.name, n)
	}
	args.setText("text", string(stdin))
	return args, ""
}

func (r *Session) edit(ctx context.Context, c call) Result {
	if r.file == "" {
		return refuse(noFile)
	}
	start, end := c.args.number("start_line"), c.args.number("end_line")
	switch {
	case start < 1:
		return refuse("Error: start_line (%d) is less than 1; lines are counted from 1. Nothing was changed. To put text before the first line use insert 0.", start)
	case end < start:
		return refuse("Error: end_line (%d) is less than start_line (%d). Nothing was changed. To put text between two lines use insert.", end, start)
	}
	return r.change(ctx, change{start: start, removed: end - start + 1, text: []byte(c.args.text("text")), verb: "edit"})
}

// change replaces lines of the open file: removed lines from start on, counted
// from 1, by the lines of text.
type change struct {
	start, removed int
	text           []byte
	// verb is the name of the tool, for the answer.
	verb string
}

func (r *Session) change(ctx context.Context, ch change) Result {
	file, problem := r.reopen()
	if problem != "" {
		return refuse("%s", problem)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return refuse("Error: %s could not be read: %s", shownPath(r.file), reason(err))
	}
	if info.Size() > maxEditBytes {
		return refuse("Error: %s has %s, more than the %s that can be edited here. Change it with a program such as sed.",
			shownPath(r.file), size(info.Size()), size(maxEditBytes))
	}
	if !writable(r.file) {
		return refuse("Error: %s is read-only and cannot be edited", shownPath(r.file))
	}
	old, err := io.ReadAll(io.LimitReader(file, maxEditBytes+1))
	if err != nil {
		return refuse("Error: %s could not be read: %s", shownPath(r.file), reason(err))
	}

	edited := apply(old, ch)
	if edited.removed == 0 && edited.added == 0 {
		return refuse("Error: there is nothing to delete: the file has only %d lines. Nothing was changed.", edited.start-1)
	}
	var lint lintReport
	if r.opts.Linter != nil && strings.EqualFold(filepath.Ext(r.file), ".py") {
		lint = checkChange(ctx, r.opts.Linter, filepath.Base(r.file), old, edited)
	}
	if len(lint.added) > 0 {
		return r.refuseChange(ch, old, edited, lint.added)
	}
	if err := replace(r.file, edited.content); err != nil {
		return refuse("Error: the %s was not made and %s is as it was: %s", ch.verb, shownPath(r.file), writeProblem(err))
	}
	result := r.showOpen(bytes.NewReader(edited.content), r.around(edited.start))
	if result.ExitCode != 0 {
		return result
	}
	result.Output += edited.note + lint.note + updated
	return result
}

const updated = "File updated. Look at the lines above: is the indentation right, is no line doubled or missing? If something is wrong, edit again.\n"

// edited is the outcome of a change in memory.
type edited struct {
	content []byte
	// start is the first changed line, removed and added are the numbers of
	// lines that went and came, as they really are in this file.
	start, removed, added int
	note                  string
}

// apply makes the changed content. A start beyond the end appends. The line
// ends of the file (LF or CR LF) are given to the new lines, and a file that
// ended without a line end still does.
func apply(old []byte, ch change) edited {
	from, before := skipLines(old, ch.start-1)
	length, removed := skipLines(old[from:], ch.removed)
	to := from + length

	out := edited{start: before + 1, removed: removed}
	if ch.start > before+1 {
		out.note = fmt.Sprintf("Note: the file had only %d lines, so the text was appended.\n", before)
	}
	lineEnd := []byte("\n")
	if usesCRLF(old) {
		lineEnd = []byte("\r\n")
	}
	lines := textLines(ch.text)
	out.added = len(lines)

	content := make([]byte, 0, len(old)-length+len(ch.text)+(len(lines)+1)*len(lineEnd))
	content = append(content, old[:from]...)
	if from > 0 && old[from-1] != '\n' && len(lines) > 0 {
		content = append(content, lineEnd...)
	}
	if bom := []byte("\xef\xbb\xbf"); from == 0 && bytes.HasPrefix(old, bom) && removed > 0 && !bytes.HasPrefix(ch.text, bom) {
		content = append(content, bom...)
	}
	for _, line := range lines {
		content = append(content, line...)
		content = append(content, lineEnd...)
	}
	content = append(content, old[to:]...)
	if to == len(old) && len(old) > 0 && old[len(old)-1] != '\n' && len(lines) > 0 {
		content = content[:len(content)-len(lineEnd)]
	}
	out.content = content
	return out
}

// skipLines gives the length of the first n lines, and how many there are.
func skipLines(text []byte, n int) (length, lines int) {
	for lines < n && length < len(text) {
		end := bytes.IndexByte(text[length:], '\n')
		lines++
		if end < 0 {
			return len(text), lines
		}
		length += end + 1
	}
	return length, lines
}

// textLines splits the agent's text into lines without their ends. When every
// line ends with CR LF, CR belongs to the line end.
func textLines(text []byte) [][]byte {
	if len(text) == 0 {
		return nil
	}
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for i, line := range lines {
		if !bytes.HasSuffix(line, []byte("\r")) && (i < len(lines)-1 || text[len(text)-1] == '\n') {
			return lines
		}
	}
	for i, line := range lines {
		lines[i] = bytes.TrimSuffix(line, []byte("\r"))
	}
	return lines
}

// usesCRLF reports whether most lines of a file end with CR LF.
func usesCRLF(text []byte) bool {
	pairs := bytes.Count(text, []byte("\r\n"))
	return pairs > 0 && pairs*2 > bytes.Count(text, []byte("\n"))
}

// contextLines is how much is shown above and below a refused change.
const contextLines = 5

// maxListedErrors bounds the errors that a refusal lists.
const maxListedErrors = 20

var rule = strings.Repeat("-", 49) + "\n"

// refuseChange words a change that would bring new errors. The file has not
// been touched.
func (r *Session) refuseChange(ch change, old []byte, e edited, added []Diagnostic) Result {
	around := func(content []byte, lines int) string {
		first := max(1, e.start-contextLines)
		last := e.start + lines - 1 + contextLines
		text, _, err := show(bytes.NewReader(content), r.file,
			window{first: first, size: last - first + 1, fixed: true, focus: e.start, budget: maxShown / 3}, r.buffer)
		if err != nil {
			return ""
		}
		return text
	}
	var out strings.Builder
	fmt.Fprintf(&out, "Your %s was NOT made: it would bring new errors into the file. Read them, then send a corrected %s.\n\nERRORS:\n", ch.verb, ch.verb)
	for i, d := range added {
		if i == maxListedErrors {
			fmt.Fprintf(&out, "- and %d more\n", len(added)-i)
			break
		}
		fmt.Fprintf(&out, "- %s %s (line %d)\n", clip(d.Code), clip(d.Message), d.Line)
	}
	fmt.Fprintf(&out, "\nThis is how the file would have looked:\n%s%s%s\n", rule, around(e.content, e.added), rule)
	fmt.Fprintf(&out, "This is the file as it is, unchanged:\n%s%s%s\n", rule, around(old, e.removed), rule)
	fmt.Fprintf(&out, "Check the line numbers and the indentation of your %s and send it again with the errors mended. Sending the same text again will be refused again.\n", ch.verb)
	return Result{Output: out.String(), ExitCode: 1}
}
