package tool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Options of a [Runner]. The zero value is usable.
type Options struct {
	// Window is how many lines of a file are shown at a time; 0 means 1000.
	Window int
	// Overlap is how many lines two windows share when scrolling; 0 means 2,
	// and a negative number none.
	Overlap int
	// Linter checks Python files before an edit is written; nil means that
	// nothing is checked.
	Linter Linter
	// Jobs keeps the background jobs; nil means that there are none.
	Jobs Jobs
}

const (
	defaultWindow  = 1000
	defaultOverlap = 2
)

var _ Runner = (*Session)(nil)

// Session runs the tools for one agent. It is a [Runner].
type Session struct {
	opts     Options
	commands map[string]command
	// file is the real path of the open file, "" when none is open.
	file string
	// view is the part of file that was shown last.
	view view
	// scrolls counts the scrolls since the last other action.
	scrolls int
	buffer  []byte
}

// NewRunner makes the runner of one agent.
func NewRunner(opts Options) *Session {
	if opts.Window <= 0 {
		opts.Window = defaultWindow
	}
	switch {
	case opts.Overlap == 0:
		opts.Overlap = defaultOverlap
	case opts.Overlap < 0:
		opts.Overlap = 0
	}
	opts.Overlap = min(opts.Overlap, opts.Window-1)
	r := &Session{opts: opts, commands: map[string]command{}, buffer: make([]byte, 64<<10)}
	for _, c := range commands() {
		r.commands[c.name] = c
	}
	return r
}

// OpenFile implements [Runner].
func (r *Session) OpenFile() string { return r.file }

// NoteOtherAction tells the runner that the agent did something that went past
// it, so that scrolls before and after do not count as being in a row. Call it
// for each action that is not an [IsScroll]. Tools that are run do it
// themselves.
func (r *Session) NoteOtherAction() { r.scrolls = 0 }

// IsScroll reports whether a shell action does nothing but scroll.
func IsScroll(action string) bool {
	action = strings.TrimSpace(action)
	return action == "scroll_up" || action == "scroll_down"
}

// call is one call of a tool, with its arguments read.
type call struct {
	cmd  command
	args arguments
	// dir is the working directory of the caller.
	dir string
	// typed says that the call came as a JSON object.
	typed bool
}

// Run implements [Runner].
func (r *Session) Run(ctx context.Context, inv Invocation) Result {
	cmd, ok := r.commands[inv.Name]
	if !ok {
		r.NoteOtherAction()
		return refuse("Error: %s", unknownChoice("tool", inv.Name, toolNames()))
	}
	if cmd.name != "scroll_up" && cmd.name != "scroll_down" {
		r.NoteOtherAction()
	}
	c := call{cmd: cmd, dir: inv.Dir, typed: inv.Args != nil}
	if c.typed {
		args, problem := decodeArgs(inv.Args, cmd.params)
		if problem != "" {
			return Result{Output: fmt.Sprintf("Error: %s: %s\n", cmd.name, problem), ExitCode: 2}
		}
		c.args = args
	} else {
		args, problem := cmd.fromArgv(inv.Argv, inv.Stdin)
		if problem != "" {
			return usageError(cmd, problem)
		}
		c.args = args
	}
	if cmd.outside {
		return refuse("Error: %s cannot be answered here: nothing outside listens.", cmd.name)
	}
	return cmd.run(r, ctx, c)
}

func toolNames() (list []string) {
	for _, c := range commands() {
		list = append(list, c.name)
	}
	return list
}

func answer(text string) Result { return Result{Output: text} }

func refuse(format string, args ...any) Result {
	return Result{Output: fmt.Sprintf(format, args...) + "\n", ExitCode: 1}
}

// usageError answers a call that cannot be understood. The lines of problem
// are given one by one.
func usageError(cmd command, problems ...string) Result {
	var out strings.Builder
	fmt.Fprintf(&out, "Usage: %s\n", cmd.usage)
	for _, problem := range problems {
		if problem != usageOnly {
			fmt.Fprintf(&out, "Error: %s\n", problem)
		}
	}
	return Result{Output: out.String(), ExitCode: 2}
}

// path makes a path of the agent's absolute.
func (c call) path(name string) string {
	// The shell has expanded ~ already; a typed call had no shell.
	if c.typed && (name == "~" || strings.HasPrefix(name, "~/")) {
		if home, err := os.UserHomeDir(); err == nil {
			name = home + name[1:]
		}
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.dir, name)
	}
	return filepath.Clean(name)
}

// reason words an error of the file system without the path, which the
// sentence around it already names.
func reason(err error) string {
	var inPath *os.PathError
	var inLink *os.LinkError
	switch {
	case errors.As(err, &inPath):
		return inPath.Err.Error()
	case errors.As(err, &inLink):
		return inLink.Err.Error()
	}
	return err.Error()
}
