package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"mlgym/internal/procid"
	"mlgym/sandbox"
)

// Leftovers lists the engine's containers that are sandboxes, live ones
// included. Without an engine there are none.
func (d *Driver) Leftovers(ctx context.Context) ([]sandbox.Leftover, error) {
	e, err := d.connect(ctx)
	if err != nil {
		if u := (*sandbox.UnavailableError)(nil); errors.As(err, &u) {
			return nil, nil
		}
		return nil, err
	}
	defer e.Close()
	list, err := e.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", labelID)})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var found []sandbox.Leftover
	for _, item := range list.Items {
		found = append(found, leftover(item))
	}
	return found, nil
}

func leftover(item container.Summary) sandbox.Leftover {
	l := sandbox.Leftover{
		Driver: name, ID: item.Labels[labelID], What: "container", Path: item.ID,
		Created: time.Unix(item.Created, 0),
	}
	if len(item.Names) > 0 {
		l.Path = strings.TrimPrefix(item.Names[0], "/")
	}
	pid, err := strconv.Atoi(item.Labels[labelOwner])
	if err == nil {
		l.OwnerPID = pid
		start, err := strconv.ParseUint(item.Labels[labelStart], 10, 64)
		maker := procid.ID{PID: pid, Start: start, Boot: item.Labels[labelBoot], Namespace: item.Labels[labelNamespace]}
		l.Live = err == nil && maker.Alive()
	}
	return l
}

// Remove removes a container of the list.
func (d *Driver) Remove(ctx context.Context, l sandbox.Leftover) error {
	if !sandbox.ValidID(l.ID) {
		return fmt.Errorf("remove a sandbox: %q is not an id", l.ID)
	}
	e, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	return e.remove(containerName(l.ID))
}
