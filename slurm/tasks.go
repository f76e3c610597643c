package slurm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Job is a submitted array, or the part of one that fits into an array of Slurm's.
// It holds all that is needed to ask for it again, and can be kept as JSON.
type Job struct {
	// ID is Slurm's number of the array.
	ID int64 `json:"id"`
	// Cluster is the cluster's name where sbatch told one (a site of several).
	Cluster string `json:"cluster,omitempty"`
	// Offset is what has to be added to Slurm's index to get the caller's.
	Offset int `json:"offset,omitempty"`
	// Indices are the caller's indices in it, as [FormatIndices] writes them. Where
	// it is empty, only the tasks that Slurm remembers are known.
	Indices string `json:"indices,omitempty"`
}

// String is the job as Slurm's commands take it.
func (j Job) String() string { return strconv.FormatInt(j.ID, 10) }

// Task is one index of a job, as Slurm sees it.
type Task struct {
	Job Job
	// Index is the caller's index; -1 for a job of unknown indices that Slurm does
	// not know.
	Index int
	State State
	// Reason is why it waits, in Slurm's words; empty where there is none.
	Reason string
	// Node is where it runs or ran last, empty before.
	Node string
	// Restarts is how often Slurm says that it ran the task again. It may be too
	// small after a controller's crash, and is 0 where only accounting knows the task.
	Restarts int
}

// String is the task as Slurm's commands take it: "12_3".
func (t Task) String() string {
	if t.Index < 0 {
		return t.Job.String()
	}
	return fmt.Sprintf("%d_%d", t.Job.ID, t.Index-t.Job.Offset)
}

// format asks for columns that are wide enough, each followed by a bar: Slurm
// releases differ in what a column without a width is cut to. The reason, which
// may hold anything, comes last.
const format = "ArrayJobID:24|,ArrayTaskID:16|,State:32|,RestartCnt:12|,NodeList:255|,Reason:255|"

// Tasks tells the state of every task of the jobs, in the order of jobs and
// indices. It asks squeue, and sacct for what squeue has forgotten; what neither
// knows is [Unknown]. It costs the controller one or two requests whatever the
// number of jobs; every 10 to 30 s is often enough.
func (c *Client) Tasks(ctx context.Context, jobs ...Job) ([]Task, error) {
	known := map[Job]map[int]Task{}
	wanted := map[Job][]int{}
	for _, job := range jobs {
		indices, err := ParseIndices(job.Indices)
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", job, err)
		}
		wanted[job] = indices
		known[job] = map[int]Task{}
	}
	for _, group := range byCluster(jobs) {
		if err := c.squeue(ctx, group, known); err != nil {
			return nil, err
		}
		forgotten := slices.DeleteFunc(slices.Clone(group), func(job Job) bool { return complete(wanted[job], known[job]) })
		if len(forgotten) == 0 {
			continue
		}
		if err := c.sacct(ctx, forgotten, known); err != nil {
			return nil, err
		}
	}
	var tasks []Task
	for _, job := range jobs {
		indices := wanted[job]
		if len(indices) == 0 {
			indices = slices.Sorted(maps.Keys(known[job]))
		}
		if len(indices) == 0 {
			indices = []int{-1}
		}
		for _, index := range indices {
			task, ok := known[job][index]
			if !ok {
				task = Task{Job: job, Index: index, State: Unknown}
			}
			tasks = append(tasks, task)
		}
	}
	return tasks, nil
}

// complete says whether every index is known. Without indices, one has to be.
func complete(wanted []int, known map[int]Task) bool {
	for _, index := range wanted {
		if _, ok := known[index]; !ok {
			return false
		}
	}
	return len(known) > 0
}

// byCluster groups jobs by their cluster, in the order of the first of each.
func byCluster(jobs []Job) [][]Job {
	var groups [][]Job
	places := map[string]int{}
	for _, job := range jobs {
		place, ok := places[job.Cluster]
		if !ok {
			place = len(groups)
			places[job.Cluster] = place
			groups = append(groups, nil)
		}
		groups[place] = append(groups[place], job)
	}
	return groups
}

// clusterFlags are the flags that lead a command to a cluster.
func clusterFlags(cluster string) []string {
	if cluster == "" {
		return nil
	}
	return []string{"--clusters=" + cluster}
}

func idList(jobs []Job) string {
	var ids []string
	for _, job := range jobs {
		if id := job.String(); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, ",")
}

func (c *Client) squeue(ctx context.Context, jobs []Job, known map[Job]map[int]Task) error {
	args := append(clusterFlags(jobs[0].Cluster), "--noheader", "--array", "--states=all", "--jobs="+idList(jobs), "--Format="+format)
	out, err := c.run(ctx, "", "squeue", args...)
	if failed := (*CommandError)(nil); errors.As(err, &failed) && strings.Contains(failed.Stderr, "Invalid job id") {
		return nil // of one unknown job, that is an error; of one among several, it is none
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "CLUSTER:") {
			continue
		}
		fields := strings.SplitN(line, "|", 6)
		if len(fields) != 6 {
			return fmt.Errorf("squeue: %q has %d fields, not 6; is this Slurm older than 20.11?", line, len(fields))
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		id, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return fmt.Errorf("squeue: %q: %w", line, err)
		}
		indices, err := taskIndices(fields[1])
		if err != nil {
			return fmt.Errorf("squeue: %q: %w", line, err)
		}
		restarts, err := strconv.Atoi(fields[3])
		if err != nil {
			return fmt.Errorf("squeue: %q: restarts: %w", line, err)
		}
		reason := strings.TrimSpace(strings.TrimSuffix(fields[5], "|"))
		record(jobs, known, id, indices, Task{
			State: parseState(fields[2]), Restarts: restarts, Node: absent(fields[4]), Reason: absent(reason),
		})
	}
	return nil
}

// sacct asks the accounting, where there is some.
func (c *Client) sacct(ctx context.Context, jobs []Job, known map[Job]map[int]Task) error {
	args := append(clusterFlags(jobs[0].Cluster), "--noheader", "--allocations", "--parsable2", "--jobs="+idList(jobs), "--format=JobID,State,NodeList")
	out, err := c.run(ctx, "", "sacct", args...)
	unavailable, failed := (*UnavailableError)(nil), (*CommandError)(nil)
	switch {
	case errors.As(err, &failed) && strings.Contains(failed.Stderr, "accounting storage is disabled"):
		return nil
	case errors.As(err, &failed), errors.As(err, &unavailable):
		// What squeue said is worth having, but what is missing there must not be
		// taken for forgotten.
		return fmt.Errorf("ask the accounting for what squeue has forgotten: %w", err)
	case err != nil:
		return err
	}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 3 {
			continue
		}
		job, task, _ := strings.Cut(fields[0], "_")
		id, err := strconv.ParseInt(job, 10, 64)
		if err != nil || !strings.HasPrefix(task, "[") && strings.ContainsAny(task, ".+") {
			continue // a step, a part of a job of several: nothing of ours
		}
		indices, err := taskIndices(task)
		if err != nil {
			return fmt.Errorf("sacct: %q: %w", line, err)
		}
		record(jobs, known, id, indices, Task{State: parseState(fields[1]), Node: absent(fields[2])})
	}
	return nil
}

// record keeps what was read of tasks, unless something is known already.
func record(jobs []Job, known map[Job]map[int]Task, id int64, indices []int, task Task) {
	for _, job := range jobs {
		if job.ID != id {
			continue
		}
		for _, index := range indices {
			task.Job, task.Index = job, index+job.Offset
			if _, ok := known[job][task.Index]; !ok {
				known[job][task.Index] = task
			}
		}
	}
}

// taskIndices reads an array's index: "3", "[4-7,9%2]", and what stands for a job
// that is no array.
func taskIndices(text string) ([]int, error) {
	if text == "" || text == "N/A" {
		return []int{0}, nil
	}
	text = strings.Trim(text, "[]")
	text, _, _ = strings.Cut(text, "%")
	if strings.HasSuffix(text, "...") {
		return nil, fmt.Errorf("the list of indices %q is cut short", text)
	}
	return ParseIndices(text)
}

// absent turns the words for nothing into nothing.
func absent(text string) string {
	switch text {
	case "None", "(null)", "N/A", "None assigned":
		return ""
	}
	return text
}

// cancelBatch is how many words are given to one command.
const cancelBatch = 500

// Cancel ends jobs: what waits is removed, what runs gets SIGTERM, and SIGKILL
// after the site's KillWait. Jobs that have ended, or are not known, are no error.
func (c *Client) Cancel(ctx context.Context, jobs ...Job) error {
	for _, group := range byCluster(jobs) {
		if err := c.scancel(ctx, group[0].Cluster, strings.Split(idList(group), ",")); err != nil {
			return err
		}
	}
	return nil
}

// CancelTasks ends single tasks, like Cancel.
func (c *Client) CancelTasks(ctx context.Context, tasks ...Task) error {
	indices := map[Job][]int{}
	var jobs []Job
	for _, task := range tasks {
		if _, ok := indices[task.Job]; !ok {
			jobs = append(jobs, task.Job)
		}
		if task.Index >= 0 {
			indices[task.Job] = append(indices[task.Job], task.Index-task.Job.Offset)
		}
	}
	for _, group := range byCluster(jobs) {
		var words []string
		for _, job := range group {
			for part := range slices.Chunk(indices[job], cancelBatch) {
				words = append(words, fmt.Sprintf("%s_[%s]", job, FormatIndices(part)))
			}
		}
		if err := c.scancel(ctx, group[0].Cluster, words); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) scancel(ctx context.Context, cluster string, words []string) error {
	for part := range slices.Chunk(words, cancelBatch) {
		_, err := c.run(ctx, "", "scancel", append(clusterFlags(cluster), part...)...)
		if err != nil && !says(err, "Invalid job id", "already completing or completed") {
			return err
		}
	}
	return nil
}

// Requeue ends a running task with SIGTERM and puts it back into the queue, also
// one that has ended while Slurm remembers it. A task that is waiting is no error.
func (c *Client) Requeue(ctx context.Context, task Task) error {
	_, err := c.run(ctx, "", "scontrol", append(clusterFlags(task.Job.Cluster), "requeue", task.String())...)
	if says(err, "Job is pending execution") {
		return nil
	}
	return err
}

// says tells whether a command failed with nothing but the given complaints.
func says(err error, complaints ...string) bool {
	failed := (*CommandError)(nil)
	if !errors.As(err, &failed) || failed.Stderr == "" {
		return false
	}
	for line := range strings.Lines(failed.Stderr) {
		if !slices.ContainsFunc(complaints, func(known string) bool { return strings.Contains(line, known) }) {
			return false
		}
	}
	return true
}
