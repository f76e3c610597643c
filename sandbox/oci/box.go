package oci

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"mlgym/internal/shim"
	"mlgym/sandbox"
)

// box is a running sandbox.
type box struct {
	*shim.Client
	driver *Driver
	id     string
	run    *running

	once sync.Once
	err  error
}

var (
	_ sandbox.Sandbox    = (*box)(nil)
	_ sandbox.Shell      = (*box)(nil)
	_ sandbox.ToolCaller = (*box)(nil)
	_ sandbox.Meter      = (*box)(nil)
)

// ID implements [sandbox.Sandbox].
func (b *box) ID() string { return b.id }

// Close implements [sandbox.Sandbox].
func (b *box) Close() error {
	b.once.Do(func() {
		b.err = errors.Join(b.Client.Close(), b.driver.discard(b.id))
	})
	return b.err
}

// Usage implements [sandbox.Meter].
func (b *box) Usage(context.Context) (sandbox.Usage, error) {
	if b.driver.cgroups.usable() {
		u, err := b.driver.cgroups.usage(b.id)
		if err != nil {
			return sandbox.Usage{}, fmt.Errorf("%w: read its usage: %w", sandbox.ErrLost, err)
		}
		return u, nil
	}
	if b.driver.opts.Runtime == Runsc {
		// Its programs run in processes that nobody waits for.
		return sandbox.Usage{}, errors.New("without cgroups, nothing trustworthy counts what a gVisor sandbox uses")
	}
	return usageOfTree(b.run.cmd.Process.Pid)
}
