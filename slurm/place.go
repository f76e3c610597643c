package slurm

import (
	"strconv"
	"strings"
)

// Place is where a program runs, as Slurm told it.
type Place struct {
	// Cluster and Node are names.
	Cluster, Node string
	// Array is the number of the array ([Job].ID), Job that of this task.
	Array, Job int64
	// Index is the caller's index.
	Index int
	// Restarts is how often Slurm ran the task before. Two executions may have the
	// same number, after a controller's crash: it is for people, not for fencing.
	Restarts int
}

// FromEnviron reads the place of a task of an [Array] from its environment
// (os.Environ). It is false outside of one.
func FromEnviron(environ []string) (Place, bool) {
	values := map[string]string{}
	for _, variable := range environ {
		if name, value, ok := strings.Cut(variable, "="); ok && strings.HasPrefix(name, "SLURM") {
			values[name] = value
		}
	}
	place := Place{Cluster: values["SLURM_CLUSTER_NAME"], Node: values["SLURMD_NODENAME"]}
	var err error
	if place.Index, err = strconv.Atoi(values["SLURM_ARRAY_TASK_ID"]); err != nil {
		return Place{}, false
	}
	if place.Array, err = strconv.ParseInt(values["SLURM_ARRAY_JOB_ID"], 10, 64); err != nil {
		return Place{}, false
	}
	if place.Job, err = strconv.ParseInt(values["SLURM_JOB_ID"], 10, 64); err != nil {
		return Place{}, false
	}
	if text := values["SLURM_RESTART_COUNT"]; text != "" { // absent the first time
		if place.Restarts, err = strconv.Atoi(text); err != nil {
			return Place{}, false
		}
	}
	return place, true
}

// Grant is what Slurm gave to a job on its node.
type Grant struct {
	// CPUs is 0, and MemoryBytes is 0, where Slurm does not say it: all there is.
	CPUs        int
	MemoryBytes int64
	// GPUs are the numbers of the devices, as the node counts them. It is empty for
	// a job without, and nil where Slurm names them otherwise than by numbers.
	GPUs []int
}

// GrantFromEnviron reads what a job was given from its environment (os.Environ).
func GrantFromEnviron(environ []string) Grant {
	values := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	number := func(names ...string) int {
		for _, name := range names {
			if n, err := strconv.Atoi(values[name]); err == nil && n > 0 {
				return n
			}
		}
		return 0
	}
	grant := Grant{CPUs: number("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"), GPUs: []int{}}
	mebibytes := number("SLURM_MEM_PER_NODE")
	if mebibytes == 0 {
		mebibytes = number("SLURM_MEM_PER_CPU") * grant.CPUs
	}
	grant.MemoryBytes = int64(mebibytes) << 20
	// Where devices are confined, CUDA_VISIBLE_DEVICES counts among those of the
	// job, and the other two among those of the node.
	for _, name := range []string{"SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"} {
		if list := values[name]; list != "" && list != "NoDevFiles" {
			var err error
			if grant.GPUs, err = ParseIndices(list); err != nil {
				grant.GPUs = nil
			}
			break
		}
	}
	return grant
}
