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

// Buffered is a connection whose buffers can be made larger for a while. Each end
// then sleeps and wakes less often while much is sent; but there are only so many
// bytes of buffers for all connections of a user.
type Buffered interface {
	// SetBuffer asks for buffers of that many bytes in each direction.
	SetBuffer(bytes int)
}

// The sizes of a connection's buffers: the kernel's own for pipes, and the one for
// large transfers.
const (
	usualBuffer = 64 << 10
	largeBuffer = 1 << 20
)

// widen makes the buffers of the connection large until the function returned is
// called.
func (c *Client) widen() (back func()) {
	conn, ok := c.conn.(Buffered)
	if !ok {
		return func() {}
	}
	conn.SetBuffer(largeBuffer)
	return func() { conn.SetBuffer(usualBuffer) }
}

// snapshotBytes bounds a snapshot. The places may hold more when all of them are
// full, and are refused then.
func snapshotBytes(l sandbox.Limits) int64 { return 2*l.DiskBytes + 64<<20 }

// Snapshot implements [sandbox.Snapshotter].
func (c *Client) Snapshot(ctx context.Context, dst io.Writer) error {
	c.runMu.Lock()
	defer c.runMu.Unlock()
	back := c.widen()
	defer back()
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
	back := c.widen()
	defer back()
	var at sandbox.Restored
	if err := c.transmit(ctx, wire.Restore, struct{}{}, src, &at); err != nil {
		return at, fmt.Errorf("restore the sandbox: %w", err)
	}
	return at, nil
}
