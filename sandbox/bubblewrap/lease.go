package bubblewrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mlgym/internal/cachedir"
	"mlgym/internal/procid"
	"mlgym/sandbox"
)

// owner is the process that made a sandbox.
type owner = procid.ID

// lease is the note on disk of a live sandbox.
type lease struct {
	ID      string `json:"id"`
	Purpose string `json:"purpose,omitempty"`
	// Owner is the process that made it; its fields stand beside the others.
	owner
	Created time.Time `json:"created"`
}

func writeLease(spec sandbox.Spec) (string, error) {
	dir, err := cachedir.Dir(leaseDir)
	if err != nil {
		return "", err
	}
	self, err := procid.Self()
	if err != nil {
		return "", fmt.Errorf("note the sandbox: %w", err)
	}
	data, err := json.Marshal(lease{spec.ID, spec.Purpose, self, time.Now().UTC()})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, spec.ID+".json")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("note the sandbox: %w", err)
	}
	if _, err := f.Write(data); err != nil {
		return "", errors.Join(err, f.Close(), os.Remove(path))
	}
	return path, f.Close()
}

// Leftovers implements [sandbox.Pruner].
func (d *Driver) Leftovers(context.Context) ([]sandbox.Leftover, error) {
	dir, err := cachedir.Dir(leaseDir)
	if err != nil {
		return nil, err
	}
	// Before the notes: a sandbox has its note before it has a group.
	groups := leftGroups()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []sandbox.Leftover
	alive := map[string]bool{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		var l lease
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it ended just now
		}
		live := false
		if err != nil || json.Unmarshal(data, &l) != nil {
			// Written halfway when the machine stopped, or being written.
			l = lease{ID: strings.TrimSuffix(e.Name(), ".json")}
			info, err := e.Info()
			live = err == nil && time.Since(info.ModTime()) < time.Minute
		} else {
			live = l.Alive()
		}
		left := sandbox.Leftover{
			Driver: d.Name(), ID: l.ID, What: "note", Path: path, Live: live, OwnerPID: l.PID, Created: l.Created,
		}
		if left.Live {
			left.What = "sandbox (" + l.Purpose + ")"
			alive[l.ID] = true
		}
		out = append(out, left)
	}
	for _, path := range groups {
		owner, id, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), groupPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || !sandbox.ValidID(id) || alive[id] {
			continue // another driver's, or in use
		}
		out = append(out, sandbox.Leftover{Driver: d.Name(), ID: id, What: "cgroup", Path: path, OwnerPID: pid})
	}
	return out, nil
}

// Remove implements [sandbox.Pruner]. A live sandbox is not removed. The
// processes of one whose mlgym was killed die by themselves, which may take a
// moment: their control group is waited for.
func (d *Driver) Remove(ctx context.Context, l sandbox.Leftover) error {
	if l.Live {
		return fmt.Errorf("sandbox %s is in use by process %d", l.ID, l.OwnerPID)
	}
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	err := os.Remove(l.Path)
	if errors.Is(err, syscall.EBUSY) {
		err = retryBusy(ctx, func() error { return os.Remove(l.Path) })
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s of sandbox %s: %w", l.What, l.ID, err)
	}
	return nil
}

// Probe implements [sandbox.Prober].
func (d *Driver) Probe(ctx context.Context) (sandbox.Capabilities, error) {
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	made, err := d.Create(ctx, sandbox.Spec{Purpose: "probe"})
	if err != nil {
		return sandbox.Capabilities{}, err
	}
	defer made.Close()
	b, _ := made.(*box)
	res, err := b.Run(ctx, sandbox.Script{Text: "echo works"})
	if err != nil {
		return sandbox.Capabilities{}, err
	}
	if res.Output != "works\n" {
		return sandbox.Capabilities{}, fmt.Errorf("the shell inside answered %q", res.Output)
	}
	c := sandbox.Capabilities{Driver: d.Name(), Limits: map[string]string{
		"disk": "size of the memory file system", "output": "shim",
		"memory": "shim, by watching", "processes": "RLIMIT_NPROC", "cpu": "none",
	}}
	switch b.group.(type) {
	case *legacy:
		c.Limits["memory"], c.Limits["processes"], c.Limits["cpu"] = "cgroup v1", "cgroup v1", "cgroup v1"
	case *unified:
		c.Limits["memory"], c.Limits["processes"], c.Limits["cpu"] = "cgroup v2", "cgroup v2", "cgroup v2"
	default:
		c.Notes = append(c.Notes,
			"no control group can be made here: the memory limit is kept by watching and can be outrun for a moment, the share of the processor is not limited; run as root, or under: systemd-run --user --scope -p Delegate=yes")
	}
	if os.Geteuid() != 0 {
		c.Notes = append(c.Notes, "programs inside run as your own user outside, without a view of your files")
	}
	return c, ctx.Err()
}
