// Package mlgym is the front door of a gym for AI research agents: [Make] turns
// the name of a task into a [gym.Env] whose actions run in a sandbox and whose
// scores are made where the agent cannot reach.
//
// What ships with mlgym (tasks, sandbox drivers, scaffolds) is listed, as
// values, in builtin.go.
package mlgym

import (
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/taskenv"
)

// Options choose how a task is run. The zero value is usable.
type Options struct {
	// Tasks to choose from; those that ship where it is the zero value.
	Tasks *task.Catalog
	// Driver makes the sandboxes; bubblewrap where nil.
	Driver sandbox.Driver
	// Secret from which the seeds of all gradings come; that of this
	// installation where nil. See [InstallationSecret].
	Secret []byte
	// Mode, Variant, Reward, Limits, Root and Keep are those of
	// [taskenv.Config].
	Mode    task.Mode
	Variant string
	Reward  taskenv.Reward
	Limits  sandbox.Limits
	Root    string
	// Provisions are the task's environment and data; where nil, what was
	// prepared on this machine. See [Provider].
	Provisions *grader.Provisions
	Keep       func(kind gym.Kind, attempt int) (logDir string, collected func([]grader.File))
}

// Make returns an environment for a task. Nothing is started before its Reset.
// The error of an unknown task lists the nearest names.
func Make(id string, opts Options) (*taskenv.Env, error) {
	if opts.Tasks == nil {
		shipped, err := Tasks()
		if err != nil {
			return nil, err
		}
		opts.Tasks = &shipped
	}
	t, err := opts.Tasks.Find(task.ID(id))
	if err != nil {
		return nil, err
	}
	if opts.Driver == nil {
		if opts.Driver, err = OpenDriver("bubblewrap"); err != nil {
			return nil, err
		}
	}
	if opts.Secret == nil {
		if opts.Secret, err = InstallationSecret(); err != nil {
			return nil, err
		}
	}
	if opts.Variant == "" {
		opts.Variant = task.Full
	}
	if opts.Provisions == nil && (t.Environment != "" || len(t.Datasets) > 0) {
		provider, err := NewProvider(nil)
		if err != nil {
			return nil, err
		}
		ready, err := provider.Ready(t, opts.Variant)
		if err != nil {
			return nil, err
		}
		opts.Provisions = &ready.Provisions
	}
	if opts.Provisions == nil {
		opts.Provisions = &grader.Provisions{}
	}
	return taskenv.New(taskenv.Config{
		Task: t, Provisions: *opts.Provisions, Driver: opts.Driver, Grader: grader.New(opts.Driver, grader.Options{}),
		Mode: opts.Mode, Variant: opts.Variant, Reward: opts.Reward, Limits: opts.Limits, Root: opts.Root, Keep: opts.Keep,
		Key: func(seed uint64) []byte { return GraderKey(opts.Secret, t, seed) },
	})
}
