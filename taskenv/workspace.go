package taskenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"mlgym/sandbox"
	"mlgym/task"
)

// NewWorkspace returns an agent's sandbox as an episode begins with: the task's
// environment and data, the starter's files. It is for those who try a task
// without an episode; nothing answers validate and submit there. The caller
// closes it.
func NewWorkspace(ctx context.Context, cfg Config, seed uint64) (sandbox.Sandbox, error) {
	box, err := newSandbox(ctx, cfg, seed, nil)
	if err != nil {
		return nil, err
	}
	if err := putStarter(ctx, cfg.Task, box); err != nil {
		return nil, errors.Join(err, box.Close())
	}
	return box, nil
}

// newSandbox makes the sandbox of an agent.
func newSandbox(ctx context.Context, cfg Config, seed uint64, onCall func(context.Context, sandbox.Call) sandbox.Reply) (sandbox.Sandbox, error) {
	spec := cfg.spec(seed)
	spec.OnCall = onCall
	return cfg.Driver.Create(ctx, spec)
}

// seedVar tells programs inside the seed of their episode.
func seedVar(seed uint64) string { return fmt.Sprintf("MLGYM_SEED=%d", seed) }

// spec is the sandbox of an agent.
func (cfg Config) spec(seed uint64) sandbox.Spec {
	spec := sandbox.Spec{
		Purpose: "agent",
		Root:    cfg.Root,
		Limits:  cfg.Limits.Or(cfg.Task.Limits.Limits()),
		Env:     []string{"MLGYM_TASK=" + string(cfg.Task.ID), "MLGYM_VARIANT=" + cfg.Variant, seedVar(seed)},
		Links:   cfg.Task.Links,
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Task.Env)) {
		spec.Env = append(spec.Env, name+"="+cfg.Task.Env[name])
	}
	cfg.Provisions.ForAgent(&spec, cfg.Mode)
	return spec
}

func putStarter(ctx context.Context, t *task.Task, box sandbox.Sandbox) error {
	starter, err := t.Starter()
	if err != nil {
		return err
	}
	if err := PutFiles(ctx, box, starter); err != nil {
		return fmt.Errorf("put the starter files: %w", err)
	}
	return nil
}

// PutFiles copies a folder into the workspace of a sandbox.
func PutFiles(ctx context.Context, box sandbox.Sandbox, folder fs.FS) error {
	return sandbox.PutStream(ctx, box.Files(), sandbox.WorkDir, func(w io.Writer) error { return task.WriteTar(w, folder) })
}
