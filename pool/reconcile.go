package pool

import (
	"context"
	"errors"
	"fmt"

	"mlgym/sandbox"
)

// Reconcile removes what crashed processes of mlgym left of a driver's sandboxes on
// this machine, and returns how much that was; sandboxes that live, of this process
// or another, are not touched. Whoever owns a pool calls it once, at the start. A
// driver that leaves nothing, so that it is no [sandbox.Pruner], needs none.
func Reconcile(ctx context.Context, driver sandbox.Driver) (removed int, err error) {
	pruner, ok := driver.(sandbox.Pruner)
	if !ok {
		return 0, nil
	}
	left, err := pruner.Leftovers(ctx)
	if err != nil {
		return 0, fmt.Errorf("look for what crashed runs left of %s: %w", driver.Name(), err)
	}
	var errs []error
	for _, l := range left {
		if l.Live {
			continue
		}
		if err := pruner.Remove(ctx, l); err != nil {
			errs = append(errs, err)
			continue
		}
		removed++
	}
	return removed, errors.Join(errs...)
}
