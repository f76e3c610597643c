package slurm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// complaints lead from what sbatch says, in small letters, to the field that
// caused it. The first that fits counts.
var complaints = []struct{ says, field, detail string }{
	{"job violates accounting/qos policy", "", "the account or QOS bounds jobs in the queue, their size or their time; `sacctmgr show assoc user=$USER` and `sacctmgr show qos` tell the bounds"},
	{"invalid partition", "Partition", ""},
	{"partition is not available", "Partition", ""},
	{"user's group not permitted to use this partition", "Partition", ""},
	{"no partition specified or system default partition", "Partition", "this cluster has no default partition; name one (sinfo -s lists them)"},
	{"invalid account", "Account", "`sacctmgr show assoc user=$USER format=account,partition,qos` lists what you may use"},
	{"invalid qos", "QOS", "`sacctmgr show assoc user=$USER format=account,partition,qos` lists what you may use"},
	{"reservation", "Reservation", "`scontrol show reservation` lists them"},
	{"invalid feature", "Constraint", "`sinfo -o '%P %f'` lists the features of nodes"},
	{"--constraint", "Constraint", ""},
	{"time limit", "Time", "`sinfo -o '%P %l'` lists the limits"},
	{"--time", "Time", ""},
	{"job array specification", "Indices", ""},
	{"unrecognized option", "Extra", ""},
	{"invalid option", "Extra", ""},
	{"unable to open file", "WorkDir", ""},
}

// explain makes of a failed sbatch what the caller can act on.
func (c *Client) explain(ctx context.Context, array Array, err error) error {
	if unavailable := (*UnavailableError)(nil); errors.As(err, &unavailable) {
		if unavailable.Temporary && !strings.Contains(unavailable.Reason, "connect failure") && !strings.Contains(unavailable.Reason, "unable to accept job") {
			return fmt.Errorf("%w: %w", err, ErrMaybeSubmitted)
		}
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", err, ErrMaybeSubmitted)
	}
	failed := (*CommandError)(nil)
	if !errors.As(err, &failed) {
		return err
	}
	refused := &RefusedError{Message: message(failed.Stderr)}
	if refused.Message == "" {
		refused.Message = failed.Err.Error()
	}
	low := strings.ToLower(failed.Stderr)
	for _, known := range complaints {
		if strings.Contains(low, known.says) {
			refused.Field, refused.Detail = known.field, known.detail
			break
		}
	}
	switch {
	case refused.Field == "Partition" && refused.Detail == "":
		if out, err := c.run(ctx, "", "sinfo", "--noheader", "--format=%R"); err == nil {
			refused.Detail = "the partitions are " + strings.Join(strings.Fields(out), ", ")
		}
	case refused.Field == "" && refused.Detail == "":
		refused.Field, refused.Detail = c.tooLarge(ctx, array)
	}
	return refused
}

// message is what sbatch printed, as one line without its name.
func message(stderr string) string {
	var parts []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		line = strings.TrimPrefix(line, "sbatch: ")
		line = strings.TrimPrefix(line, "error: ")
		if line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// node is what one node has.
type node struct {
	cpus   int
	memory int64 // MiB
	gpus   map[string]int
}

// tooLarge finds the field that asks for more than any node has. Slurm says no
// more than that a configuration is not available.
func (c *Client) tooLarge(ctx context.Context, array Array) (field, detail string) {
	args := []string{"--noheader", "--Node", "--format=%c|%m|%G"}
	where := "the cluster"
	if array.Partition != "" {
		args = append(args, "--partition="+array.Partition)
		where = "partition " + array.Partition
	}
	out, err := c.run(ctx, "", "sinfo", args...)
	if err != nil {
		return "", ""
	}
	var best node
	best.gpus = map[string]int{}
	for line := range strings.Lines(out) {
		if n, ok := parseNode(line); ok {
			best.cpus, best.memory = max(best.cpus, n.cpus), max(best.memory, n.memory)
			for kind, count := range n.gpus {
				best.gpus[kind] = max(best.gpus[kind], count)
			}
		}
	}
	gpus := "GPUs"
	if array.GPUType != "" {
		gpus = "GPUs of type " + array.GPUType
	}
	switch {
	case array.GPUs > best.gpus[array.GPUType]:
		return "GPUs", fmt.Sprintf("%d %s are asked for, no node of %s has more than %d", array.GPUs, gpus, where, best.gpus[array.GPUType])
	case array.mebibytes() > best.memory:
		return "MemoryBytes", fmt.Sprintf("%d MiB are asked for, no node of %s has more than %d", array.mebibytes(), where, best.memory)
	case array.CPUs > best.cpus:
		return "CPUs", fmt.Sprintf("%d CPUs are asked for, no node of %s has more than %d", array.CPUs, where, best.cpus)
	}
	return "", ""
}

// parseNode reads "8|8000+|gpu:a100:4(S:0-1),gpu:2". The number for the type ""
// counts all GPUs.
func parseNode(line string) (node, bool) {
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) != 3 {
		return node{}, false
	}
	cpus, err := strconv.Atoi(strings.TrimSuffix(fields[0], "+"))
	if err != nil {
		return node{}, false
	}
	memory, err := strconv.ParseInt(strings.TrimSuffix(fields[1], "+"), 10, 64)
	if err != nil {
		return node{}, false
	}
	n := node{cpus: cpus, memory: memory, gpus: map[string]int{}}
	depth := 0
	items := strings.FieldsFunc(fields[2], func(r rune) bool {
		switch r { // commas in parentheses belong to one item
		case '(':
			depth++
		case ')':
			depth--
		}
		return r == ',' && depth == 0
	})
	for _, item := range items {
		item, _, _ = strings.Cut(item, "(")
		words := strings.Split(item, ":")
		if words[0] != "gpu" || len(words) < 2 {
			continue
		}
		count, err := strconv.Atoi(words[len(words)-1])
		if err != nil {
			continue
		}
		n.gpus[""] += count
		if len(words) == 3 {
			n.gpus[words[1]] += count
		}
	}
	return n, true
}
