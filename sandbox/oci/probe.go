package oci

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mlgym/sandbox"
)

// probeTimeout bounds a probe; a broken runtime hangs instead of failing.
const probeTimeout = 30 * time.Second

// Probe creates a sandbox, runs a program in it and closes it.
func (d *Driver) Probe(ctx context.Context) (sandbox.Capabilities, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	program, err := d.program()
	if err != nil {
		return sandbox.Capabilities{}, err
	}
	box, err := d.Create(ctx, sandbox.Spec{Purpose: "probe"})
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return sandbox.Capabilities{}, d.unavailable("", "%s did not answer within %v", program, probeTimeout)
		}
		return sandbox.Capabilities{}, err
	}
	runErr := d.tryOut(ctx, box)
	if err := errors.Join(runErr, box.Close()); err != nil {
		return sandbox.Capabilities{}, d.unavailable("", "%v", err)
	}
	return d.capabilities(d.version(ctx, program)), nil
}

func (d *Driver) tryOut(ctx context.Context, box sandbox.Sandbox) error {
	p, err := box.Start(ctx, sandbox.Cmd{Argv: []string{"bash", "-c", "exit 42"}})
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

func (d *Driver) capabilities(version string) sandbox.Capabilities {
	c := sandbox.Capabilities{
		Driver:  d.Name(),
		Version: version,
		Limits:  map[string]string{"disk": "tmpfs", "output": "shim"},
	}
	if d.cgroups.usable() {
		for _, limit := range []string{"memory", "processes", "cpu"} {
			c.Limits[limit] = d.cgroups.name()
		}
		if !d.cgroups.swap {
			c.Notes = append(c.Notes, "swap is not counted by this kernel, so memory beyond the limit may go there")
		}
	} else {
		c.Limits["memory"], c.Limits["processes"], c.Limits["cpu"] = "shim", "rlimit", "none"
		note := "this machine offers no cgroup with the controllers memory, pids and cpu, so processor time is not bounded"
		if !d.asRoot {
			note = "an ordinary user has no cgroups here, so processor time is not bounded and the user inside is number 0 (and you, outside); run as root to have both"
		}
		c.Notes = append(c.Notes, note)
	}
	if d.opts.Runtime == Runsc {
		c.Notes = append(c.Notes, "gVisor: out of memory or of threads ends the whole sandbox, not one process")
		if !d.cgroups.usable() {
			c.Limits["processes"] = "none"
		}
	}
	return c
}
