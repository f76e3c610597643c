package grader

import (
	"fmt"
	"math"
	"path"

	"mlgym/dataset"
	"mlgym/layer"
	"mlgym/sandbox"
	"mlgym/task"
)

// Provisions are what a task is given beside its own folder: the layer with its
// Python environment, and its data sets. The zero value is nothing of either.
type Provisions struct {
	// Layer is the folder of the environment on the host; "" means the Python of
	// the root file system.
	Layer string
	// Data are the task's data sets, prepared in the variant that is run.
	Data []dataset.Prepared
	// GPUs are the numbers of the devices that agent, grader and player see; the
	// agent waits while it is graded.
	GPUs []int
}

// dataName is the folder of the splits, in a grader's home and in an agent's
// workspace.
const dataName = "data"

// ForAgent adds to a sandbox's specification what an agent sees in a mode.
func (p Provisions) ForAgent(spec *sandbox.Spec, mode task.Mode) {
	p.environment(spec)
	spec.Mounts = append(spec.Mounts, dataset.Mounts(p.Data, path.Join(sandbox.WorkDir, dataName), visible(mode))...)
}

// VisibleSplits lists the folders of data that an agent sees in a mode, relative
// to its workspace.
func (p Provisions) VisibleSplits(mode task.Mode) []string {
	var folders []string
	for _, m := range dataset.Mounts(p.Data, dataName, visible(mode)) {
		folders = append(folders, m.Target)
	}
	return folders
}

// visible says of a split whether an agent sees it in a mode.
func visible(mode task.Mode) func(dataset.Split) bool {
	return func(s dataset.Split) bool {
		return s.Agent == dataset.Always || s.Agent == dataset.Published && mode == task.Published
	}
}

// forGrader adds what a grader sees: every split.
func (p Provisions) forGrader(spec *sandbox.Spec) {
	p.environment(spec)
	spec.Mounts = append(spec.Mounts, dataset.Mounts(p.Data, path.Join(sandbox.HomeDir, dataName), func(dataset.Split) bool { return true })...)
}

// environment adds the layer, and how many threads numeric libraries use: as
// many as there are processors for the sandbox, which do not burn time waiting
// for each other.
func (p Provisions) environment(spec *sandbox.Spec) {
	threads := max(1, int(math.Ceil(spec.Limits.WithDefaults().CPUs)))
	spec.GPUs = p.GPUs
	spec.Env = append(spec.Env, fmt.Sprintf("OMP_NUM_THREADS=%d", threads), "OMP_WAIT_POLICY=PASSIVE")
	if p.Layer == "" {
		return
	}
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: p.Layer, Target: layer.Target})
	spec.Path = append(spec.Path, path.Join(layer.Target, "bin"))
}

// python is the interpreter of graders and players.
func (p Provisions) python(otherwise string) string {
	if p.Layer == "" {
		return otherwise
	}
	return path.Join(layer.Target, "bin/python3")
}
