package gym

import (
	"context"
	"errors"
	"io"
)

// Snapshotter is an Env whose episode can be saved between two steps, and goes
// on from there in another Env that was made of the same configuration: after
// a cut, or several times from one state.
type Snapshotter interface {
	// Snapshot writes the state between two steps and changes nothing. An error
	// that wraps [ErrNoSnapshot] says that this state cannot be saved, and why;
	// the episode goes on, and what was written to dst is worth nothing.
	Snapshot(ctx context.Context, dst io.Writer) error
	// Restore takes the place of Reset: what Snapshot wrote is the state that the
	// episode goes on from, with the seed that it began with. The observation is
	// that of Reset, with step, working directory and open file as they were
	// saved. After an error the Env can be reset or restored again.
	Restore(ctx context.Context, opts ResetOptions, src io.Reader) (Observation, error)
}

// ErrNoSnapshot is wrapped where the state of an episode cannot be saved.
var ErrNoSnapshot = errors.New("no snapshot")
