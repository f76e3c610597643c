package tool

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func createCommand() command {
	return command{
		name:  "create",
		usage: "create <filename>",
		params: []param{
			{name: "path", kind: textParam, required: true, doc: "the file to create, absolute or relative to the working directory"},
		},
		fromArgv: func(argv []string, _ []byte) (arguments, string) {
			switch len(argv) {
			case 0:
				return nil, usageOnly
			case 1:
			default:
				return nil, `create takes one name (a name with a space in it needs quotes: create "my file.py")`
			}
			args := arguments{}
			args.setText("path", argv[0])
			return args, ""
		},
		run: (*Session).create,
	}
}

func (r *Session) create(ctx context.Context, c call) Result {
	name := c.args.text("path")
	if name == "" {
		return usageError(c.cmd, usageOnly)
	}
	path := c.path(name)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	switch {
	case errors.Is(err, fs.ErrExist):
		return r.createExisting(ctx, c, name)
	case errors.Is(err, fs.ErrNotExist):
		folder := filepath.Dir(name)
		return refuse("Error: %s was not created: there is no directory %s. Create it first with mkdir -p.", clip(name), clip(folder))
	case err != nil:
		return refuse("Error: %s was not created: %s", clip(name), reason(err))
	}
	_, err = file.WriteString("\n")
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(path)
		return refuse("Error: %s was not created: %s", clip(name), writeProblem(err))
	}
	return r.open(ctx, c)
}

// createExisting says that the file is there already, and opens it.
func (r *Session) createExisting(ctx context.Context, c call, name string) Result {
	opened := r.open(ctx, c)
	if opened.ExitCode != 0 {
		return refuse("Error: '%s' already exists.\n%s", clip(name), strings.TrimSuffix(opened.Output, "\n"))
	}
	return Result{Output: "Error: File '" + clip(name) + "' already exists. It was opened and not changed.\n" + opened.Output, ExitCode: 1}
}

// writeProblem words why nothing could be written.
func writeProblem(err error) string {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return "no space is left on the disk. Remove files that are not needed and try again."
	case errors.Is(err, unix.EDQUOT):
		return "the disk quota is used up. Remove files that are not needed and try again."
	case errors.Is(err, unix.EFBIG):
		return "the file would be larger than is allowed."
	}
	return reason(err)
}
