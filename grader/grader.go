package grader

import (
	"log/slog"
	"time"

	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
)

// Options of a [Grader]. The zero value is usable.
type Options struct {
	// Python is the interpreter's name inside the sandboxes of tasks without an
	// environment of their own; "" means python3.
	Python string
	// Root is the root file system of grader and player sandboxes, as in
	// [sandbox.Spec].
	Root string
	// Log receives what is of interest to who runs mlgym; nil discards it.
	Log *slog.Logger
	// Now is the clock of the evaluations' times; nil means time.Now.
	Now func() time.Time
}

// Grader grades submissions. It is safe for concurrent use; each grading has
// its own sandboxes.
type Grader struct {
	driver sandbox.Driver
	opts   Options
}

// New returns a grader whose sandboxes are made by driver.
func New(driver sandbox.Driver, opts Options) *Grader {
	if opts.Python == "" {
		opts.Python = "python3"
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Grader{driver: driver, opts: opts}
}

// Request is one grading.
type Request struct {
	Task *task.Task
	// Submission gives access to the agent's sandbox. Only the files that the
	// task declares are read.
	Submission sandbox.Files
	Kind       gym.Kind
	// Mode is task.Hardened where empty.
	Mode task.Mode
	// Variant is task.Full where empty.
	Variant string
	// Key is the secret of the run, at least 16 bytes, from which all seeds of
	// its gradings come. It enters no sandbox.
	Key []byte
	// Attempt counts the gradings of a run. In the mode published each has its
	// own seeds; in hardened it changes nothing.
	Attempt int
	// LogDir is an existing folder of the host that receives grader.log and
	// player-*.log; "" keeps none. Give each grading its own.
	LogDir string
	// Provisions are the task's environment and data.
	Provisions Provisions
	// Used is told what a sandbox of the grading used, "grader" or "player", as
	// far as it is known, before it is closed. It may be nil.
	Used func(world string, used sandbox.Usage)
	// Collected is called with the submission's files once they are read and
	// checked, before they are graded; their contents can be read until it
	// returns. It may be nil.
	Collected func(files []File)
}
