package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mlgym/sandbox"
)

// probeTimeout bounds a probe.
const probeTimeout = time.Minute

// Probe creates a sandbox, runs a program in it and closes it.
func (d *Driver) Probe(ctx context.Context) (sandbox.Capabilities, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	b, err := d.Create(ctx, sandbox.Spec{Purpose: "probe"})
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return sandbox.Capabilities{}, unavailable("", "no container started within %v", probeTimeout)
		}
		return sandbox.Capabilities{}, err
	}
	box, ok := b.(*box)
	if !ok {
		return sandbox.Capabilities{}, fmt.Errorf("%T is not a sandbox of this driver", b)
	}
	caps := box.engine.capabilities()
	runErr := tryOut(ctx, b)
	if err := errors.Join(runErr, b.Close()); err != nil {
		return sandbox.Capabilities{}, unavailable("", "%v", err)
	}
	return caps, nil
}

func tryOut(ctx context.Context, b sandbox.Sandbox) error {
	p, err := b.Start(ctx, sandbox.Cmd{Argv: []string{"bash", "-c", "exit 42"}})
	if err != nil {
		return err
	}
	exit, err := p.Wait(ctx)
	if err != nil {
		return err
	}
	if exit.Code != 42 {
		return fmt.Errorf("a program in it exited %d instead of 42 (%s)", exit.Code, exit.StartError)
	}
	return nil
}

func (e *engine) capabilities() sandbox.Capabilities {
	c := sandbox.Capabilities{
		Driver:  name,
		Version: e.version,
		Limits:  map[string]string{"disk": "tmpfs", "output": "shim"},
		Notes:   []string{"unless the engine remaps users, the user inside is user 1000 of this machine: not root, but perhaps a person"},
	}
	for _, limit := range []string{"memory", "processes", "cpu"} {
		c.Limits[limit] = e.cgroup
		if slices.Contains(e.without, limit) {
			c.Limits[limit] = "none"
		}
	}
	if c.Limits["memory"] == "none" {
		c.Limits["memory"] = "shim"
	}
	return c
}
