package sandbox

import (
	"context"
	"errors"
	"io"
)

// Snapshotter is a Sandbox whose state can be saved, and brought back in
// another sandbox that was made of the same Spec: the files of the writable
// places, what the shell knows (directory, variables, functions, aliases,
// options, traps, umask), what the tools remember, the jobs that have ended.
//
// Programs are no part of it. A sandbox in which anything runs beside the idle
// shell cannot be saved.
type Snapshotter interface {
	// Snapshot writes the state between two actions and changes nothing. An
	// error that wraps [ErrNoSnapshot] says that this state cannot be saved, and
	// why; the sandbox goes on, and what was written to dst is worth nothing.
	Snapshot(ctx context.Context, dst io.Writer) error
	// Restore takes a fresh sandbox to the state that Snapshot wrote. The stream
	// comes from inside a sandbox and is not trusted: whatever it holds, nothing
	// outside this sandbox is touched. After an error the state is undefined,
	// and the sandbox is to be closed.
	Restore(ctx context.Context, src io.Reader) (Restored, error)
}

// Restored is where a restored sandbox stands.
type Restored struct {
	WorkingDir string `json:"working_dir"`
	OpenFile   string `json:"open_file,omitempty"`
}

// ErrNoSnapshot is wrapped where the state of a sandbox cannot be saved.
var ErrNoSnapshot = errors.New("this state cannot be saved")
