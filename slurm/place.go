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
