package tool

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
)

func gotoCommand() command {
	return command{
		name:  "goto",
		usage: "goto <line>",
		params: []param{
			{name: "line", kind: numberParam, required: true, doc: "the line to show, counted from 1"},
		},
		fromArgv: func(argv []string, _ []byte) (arguments, string) {
			switch len(argv) {
			case 0:
				return nil, usageOnly
			case 1:
			default:
				return nil, "goto takes one line number at a time"
			}
			line, problem := parseNumber(argv[0])
			if problem != "" {
				return nil, "<line> " + problem
			}
			args := arguments{}
			args.setNumber("line", line)
			return args, ""
		},
		run: (*Session).goTo,
	}
}

// noFile is the answer where a tool needs an open file.
const noFile = "No file open. Use the open command first."

func (r *Session) goTo(_ context.Context, c call) Result {
	file, problem := r.reopen()
	if problem != "" {
		return refuse("%s", problem)
	}
	defer file.Close()
	total, err := countLines(file, r.buffer)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return refuse("Error: %s could not be read: %s", shownPath(r.file), reason(err))
	}
	line := c.args.number("line")
	if line > max(total, 1) {
		return refuse("Error: <line> must be less than or equal to %d", total)
	}
	return r.showOpen(file, r.around(max(line, 1)))
}

// reopen opens the open file again.
func (r *Session) reopen() (*os.File, string) {
	if r.file == "" {
		return nil, noFile
	}
	if _, err := os.Lstat(r.file); errors.Is(err, fs.ErrNotExist) {
		return nil, "Error: the open file " + shownPath(r.file) + " is not there any more. Use the open command to open another one."
	}
	return openRegular(r.file, r.file, maxOpenBytes)
}

// showOpen shows a window of the open file and remembers it.
func (r *Session) showOpen(file io.ReadSeeker, w window) Result {
	text, v, err := show(file, r.file, w, r.buffer)
	if err != nil {
		return refuse("Error: %s could not be read: %s", shownPath(r.file), reason(err))
	}
	r.view = v
	return answer(text)
}
