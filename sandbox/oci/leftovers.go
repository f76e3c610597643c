package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/internal/procid"
	"mlgym/sandbox"
)

// owner is the record of who made a sandbox, in its folder.
type owner struct {
	procid.ID
	Runtime string    `json:"runtime"`
	Purpose string    `json:"purpose,omitempty"`
	Created time.Time `json:"created"`
}

const ownerFile = "owner.json"

func writeOwner(dir string, o owner) error {
	var err error
	if o.ID, err = procid.Self(); err != nil {
		return fmt.Errorf("read my own start time: %w", err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ownerFile), text, 0o600)
}

func readOwner(dir string) (owner, error) {
	text, err := os.ReadFile(filepath.Join(dir, ownerFile))
	if err != nil {
		return owner{}, err
	}
	var o owner
	return o, json.Unmarshal(text, &o)
}

// Leftovers lists the sandboxes of this runtime on this machine, live ones
// included, and cgroups whose sandbox has no folder any more.
func (d *Driver) Leftovers(context.Context) ([]sandbox.Leftover, error) {
	state, err := d.stateDir()
	if err != nil {
		return nil, err
	}
	// Before the folders: a sandbox has its folder before it has a group.
	groups := d.cgroups.ids()
	entries, err := os.ReadDir(state)
	if err != nil {
		return nil, err
	}
	var found []sandbox.Leftover
	known := map[string]bool{}
	for _, entry := range entries {
		id := entry.Name()
		if !entry.IsDir() || !sandbox.ValidID(id) {
			continue
		}
		known[id] = true
		dir := filepath.Join(state, id)
		l := sandbox.Leftover{Driver: d.Name(), ID: id, What: "directory", Path: dir}
		o, err := readOwner(dir)
		switch {
		case err != nil:
			// It died before it wrote its record, or is about to write it.
			if info, err := entry.Info(); err == nil {
				l.Created = info.ModTime()
				l.Live = time.Since(l.Created) < time.Minute
			}
		case o.Runtime != d.opts.Runtime:
			continue // another driver's
		default:
			l.Live, l.OwnerPID, l.Created = o.Alive(), o.PID, o.Created
		}
		found = append(found, l)
	}
	if d.opts.StateDir != "" {
		return found, nil // groups may be those of another folder's sandboxes
	}
	for _, id := range groups {
		if known[id] {
			continue
		}
		dir := d.cgroups.dirs(id)[0]
		found = append(found, sandbox.Leftover{
			Driver: d.Name(), ID: id, What: "cgroup", Path: dir,
			Live: len(d.cgroups.procs(dir)) > 0,
		})
	}
	return found, nil
}

// Remove ends what still runs of a leftover and removes it.
func (d *Driver) Remove(ctx context.Context, l sandbox.Leftover) error {
	if !sandbox.ValidID(l.ID) {
		return fmt.Errorf("remove a sandbox: %q is not an id", l.ID)
	}
	if err := d.discard(l.ID); err != nil {
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			return fmt.Errorf("remove sandbox %s as the user who made it: %w", l.ID, err)
		}
		return fmt.Errorf("remove sandbox %s: %w", l.ID, err)
	}
	return context.Cause(ctx)
}
