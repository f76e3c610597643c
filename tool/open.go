package tool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

func openCommand() command {
	return command{
		name:  "open",
		usage: `open "<path>" [<line_number>]`,
		params: []param{
			{name: "path", kind: textParam, required: true, doc: "the file to open, absolute or relative to the working directory"},
			{name: "line", kind: numberParam, doc: "a line that must be in the window (default: the window is at the top)"},
		},
		fromArgv: openFromArgv,
		run:      (*Session).open,
	}
}

func openFromArgv(argv []string, _ []byte) (arguments, string) {
	if len(argv) == 0 {
		return nil, usageOnly
	}
	args := arguments{}
	args.setText("path", argv[0])
	if len(argv) == 1 {
		return args, ""
	}
	line, problem := parseNumber(argv[1])
	if problem != "" {
		return nil, "<line_number> " + problem + ` (a path with a space in it needs quotes: open "my file.py")`
	}
	if len(argv) > 2 {
		return nil, "at most a path and a line number can be given"
	}
	args.setNumber("line", line)
	return args, ""
}

func (r *Session) open(_ context.Context, c call) Result {
	if c.args.text("path") == "" {
		return usageError(c.cmd, usageOnly)
	}
	file, real, notes, problem := r.openText(c, c.args.text("path"), maxOpenBytes)
	if problem != "" {
		return refuse("%s", problem)
	}
	defer file.Close()
	w := window{first: 1, size: r.opts.Window}
	if c.args.has("line") {
		total, err := countLines(file, r.buffer)
		if err == nil {
			_, err = file.Seek(0, 0)
		}
		if err != nil {
			return refuse("Error: %s could not be read: %s", shownPath(real), reason(err))
		}
		line, warning := fitLine(c.args.number("line"), total)
		notes += warning
		w = r.around(line)
	}
	text, v, err := show(file, real, w, r.buffer)
	if err != nil {
		return refuse("Error: %s could not be read: %s", shownPath(real), reason(err))
	}
	r.file, r.view = real, v
	return answer(notes + text)
}

// fitLine brings a line number into a file and says so.
func fitLine(line, total int) (int, string) {
	var fitted int
	var why string
	switch {
	case line < 1:
		fitted, why = 1, "less than 1"
	case line > max(total, 1):
		fitted, why = max(total, 1), fmt.Sprintf("greater than the number of lines in the file (%d)", total)
	default:
		return line, ""
	}
	return fitted, fmt.Sprintf("Warning: <line_number> (%d) is %s\nWarning: Setting <line_number> to %d\n", line, why, fitted)
}

// around is the window that has the line a sixth of its size below its top.
func (r *Session) around(line int) window {
	return window{first: line - r.opts.Window/6 + 1, size: r.opts.Window, focus: line}
}

// openText opens a file of the agent's as text. It returns the file's real
// path and lines of notes to the agent, or a problem in the agent's words.
func (r *Session) openText(c call, name string, maxBytes int64) (file *os.File, real, notes, problem string) {
	path := c.path(name)
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, "", "", r.notFound(name, path, err)
	}
	file, problem = openRegular(name, real, maxBytes)
	if problem != "" {
		return nil, "", "", problem
	}
	if what := sniff(file, real); what != "" {
		_ = file.Close()
		return nil, "", "", fmt.Sprintf("Error: %s is %s. The tools show text only.", clip(name), what)
	}
	if target, isLink := linkTarget(path); isLink {
		notes = fmt.Sprintf("Note: %s is a symbolic link to %s\n", clip(name), shownPath(target))
	}
	return file, real, notes, ""
}

func linkTarget(path string) (string, bool) {
	target, err := os.Readlink(path)
	return target, err == nil
}

// notFound words that a path cannot be reached, and proposes a near name.
func (r *Session) notFound(name, path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if target, isLink := linkTarget(path); isLink {
			return fmt.Sprintf("File %s not found: it is a symbolic link to %s, which does not exist", clip(name), shownPath(target))
		}
		text := fmt.Sprintf("File %s not found", clip(name))
		if near, ok := nearestFile(path); ok {
			text += fmt.Sprintf("; did you mean %s?", strconv.Quote(near))
		}
		return text
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("Error: %s may not be read: %s", clip(name), reason(err))
	}
	return fmt.Sprintf("Error: %s could not be opened: %s", clip(name), reason(err))
}

// nearestFile finds a file beside path that is named much like it.
func nearestFile(path string) (string, bool) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", false
	}
	defer folder.Close()
	const many = 1000 // of a larger folder, any thousand names will do
	beside, err := folder.Readdirnames(many)
	if err != nil {
		return "", false
	}
	near, ok := nearest(filepath.Base(path), beside)
	return clip(near), ok
}
