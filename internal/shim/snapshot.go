package shim

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
)

var _ sandbox.Snapshotter = (*Client)(nil)

// snapshotBytes bounds a snapshot. The places may hold more when all of them are
// full, and are refused then.
func snapshotBytes(l sandbox.Limits) int64 { return 2*l.DiskBytes + 64<<20 }

// Snapshot implements [sandbox.Snapshotter].
func (c *Client) Snapshot(ctx context.Context, dst io.Writer) error {
	c.runMu.Lock()
	defer c.runMu.Unlock()
	maxBytes := snapshotBytes(c.cfg.Limits.WithDefaults())
	err := c.receive(ctx, wire.Snapshot, wire.SnapshotRequest{MaxBytes: maxBytes}, dst, maxBytes)
	switch {
	case err == nil, errors.Is(err, sandbox.ErrNoSnapshot):
		return err
	case errors.Is(err, sandbox.ErrTooLarge):
		return fmt.Errorf("%w: %w", sandbox.ErrNoSnapshot, err)
	}
	return fmt.Errorf("save the sandbox: %w", err)
}

// Restore implements [sandbox.Snapshotter].
func (c *Client) Restore(ctx context.Context, src io.Reader) (sandbox.Restored, error) {
	c.runMu.Lock()
	defer c.runMu.Unlock()
	var at sandbox.Restored
	if err := c.transmit(ctx, wire.Restore, struct{}{}, src, &at); err != nil {
		return at, fmt.Errorf("restore the sandbox: %w", err)
	}
	return at, nil
}
