package tool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mlgym/tool"
)

// recordedJobs is a small [tool.Jobs] without processes: it notes how it is
// called. The real one lives in the shim.
type recordedJobs struct {
	calls []string
	jobs  []tool.Job
	out   string
	fail  error
}

func (r *recordedJobs) note(format string, args ...any) {
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
}

func (r *recordedJobs) find(id int) (*tool.Job, error) {
	if r.fail != nil {
		return nil, r.fail
	}
	for i := range r.jobs {
		if r.jobs[i].ID == id {
			return &r.jobs[i], nil
		}
	}
	return nil, fmt.Errorf("job %d: %w", id, tool.ErrNoJob)
}

func (r *recordedJobs) Start(_ context.Context, command, dir string) (tool.Job, error) {
	r.note("start %q in %s", command, dir)
	if r.fail != nil {
		return tool.Job{}, r.fail
	}
	job := tool.Job{ID: len(r.jobs) + 1, Command: command, Dir: dir, Running: true, Elapsed: 1500 * time.Millisecond}
	r.jobs = append(r.jobs, job)
	return job, nil
}

func (r *recordedJobs) List() []tool.Job { return r.jobs }

func (r *recordedJobs) Show(id, lines int) (tool.Job, string, error) {
	r.note("show %d %d", id, lines)
	job, err := r.find(id)
	if err != nil {
		return tool.Job{}, "", err
	}
	return *job, r.out, nil
}

func (r *recordedJobs) Wait(_ context.Context, id int, limit time.Duration) (tool.Job, error) {
	r.note("wait %d %s", id, limit)
	job, err := r.find(id)
	if err != nil {
		return tool.Job{}, err
	}
	return *job, nil
}

func (r *recordedJobs) Stop(_ context.Context, id int) (tool.Job, error) {
	r.note("stop %d", id)
	job, err := r.find(id)
	if err != nil {
		return tool.Job{}, err
	}
	job.Running, job.ExitCode = false, 130
	return *job, nil
}

func TestJob(t *testing.T) {
	jobs := &recordedJobs{out: "epoch 1\nloss\x1b 0.5\n"}
	w := newWorkspace(t, tool.Options{Jobs: jobs}, nil)
	const usage = "Usage: job start <command…> | list | show <id> [<lines>] | wait <id> [<seconds>] | stop <id>\n"
	const report = "[Job 1: running for 1.5s, 0 bytes of output] python train.py\nepoch 1\nloss\\x1b 0.5\n"
	w.check([]step{
		{"job list", "No jobs have been started.\n", 0},
		{"job show 1", "Error: there is no job 1; no jobs have been started.\n", 1},
		{"job start python train.py", "Job 1 started: python train.py\nSee its output with `job show 1`, wait for it with `job wait 1`.\n", 0},
		{"job|start|cd src && make", "Job 2 started: cd src && make\nSee its output with `job show 2`, wait for it with `job wait 2`.\n", 0},
		{"job|start|echo|it's a|$HOME|", "Job 3 started: echo 'it'\\''s a' '$HOME' ''\nSee its output with `job show 3`, wait for it with `job wait 3`.\n", 0},
		{`job {"action":"start","command":"sleep 1 | cat"}`, "Job 4 started: sleep 1 | cat\nSee its output with `job show 4`, wait for it with `job wait 4`.\n", 0},
		{"job list", "Job 1: running for 1.5s: python train.py\nJob 2: running for 1.5s: cd src && make\nJob 3: running for 1.5s: echo 'it'\\''s a' '$HOME' ''\nJob 4: running for 1.5s: sleep 1 | cat\n", 0},
		{"job show 1", report, 0},
		{"job show 1 5", report, 0},
		{`job {"action":"show","id":1,"lines":0}`, report, 0},
		{"job wait 1", report + "Job 1 is still running.\n", 0},
		{"job wait 1 3", report + "Job 1 is still running.\n", 0},
		{"job stop 1", "Job 1 was stopped: ended after 1.5s with exit code 130.\n", 0},
		{"job stop 1", "Job 1 had ended already: ended after 1.5s with exit code 130.\n", 0},
		{`job {"action":"wait","id":"1"}`, "[Job 1: ended after 1.5s with exit code 130, 0 bytes of output] python train.py\nepoch 1\nloss\\x1b 0.5\n", 0},
		{"job stop 9", "Error: there is no job 9. Jobs: 1, 2, 3, 4\n", 1},
		{"job", usage + "Error: say what to do: start, list, show, wait, stop\n", 2},
		{"job strat x", usage + "Error: the action \"strat\" is not known; did you mean \"start\"? It is one of: start, list, show, wait, stop\n", 2},
		{"job start", usage + "Error: start needs a command\n", 2},
		{"job show", usage + "Error: show needs the number of a job (job list shows them)\n", 2},
		{"job show x", usage + "Error: <id> must be a number, not x\n", 2},
		{"job wait 1 x", usage + "Error: <seconds> must be a number, not x\n", 2},
		{"job stop 1 2", usage + "Error: stop takes at most 1 arguments\n", 2},
		{"job list 1", usage + "Error: list takes no argument\n", 2},
		{`job {"action":"kill it"}`, "Error: job: the action \"kill it\" is not known. It is one of: start, list, show, wait, stop\n", 2},
	})
	want := []string{
		"show 1 40", `start "python train.py" in $DIR`, `start "cd src && make" in $DIR`, `start "echo 'it'\\''s a' '$HOME' ''" in $DIR`, `start "sleep 1 | cat" in $DIR`,
		"show 1 40", "show 1 5", "show 1 1", "wait 1 20s", "show 1 40", "wait 1 3s", "show 1 40", "show 1 1", "stop 1", "show 1 1", "wait 1 20s", "show 1 40", "show 9 1",
	}
	if got := strings.ReplaceAll(strings.Join(jobs.calls, "\n"), w.dir, "$DIR"); got != strings.Join(want, "\n") {
		t.Errorf("the jobs were called so:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func TestJobFailures(t *testing.T) {
	w := newWorkspace(t, tool.Options{Jobs: &recordedJobs{fail: errors.New("no more processes")}}, nil)
	w.check([]step{
		{"job start x", "Error: the job could not be started: no more processes\n", 1},
		{"job show 1", "Error: no more processes\n", 1},
	})
	newWorkspace(t, tool.Options{}, nil).check([]step{{"job list", "Error: there are no background jobs here.\n", 1}})
}

func TestJobOutputIsBounded(t *testing.T) {
	jobs := &recordedJobs{out: strings.Repeat(strings.Repeat("x", 5000)+"\n", 1000)}
	w := newWorkspace(t, tool.Options{Jobs: jobs}, nil)
	w.shell("job|start|" + strings.Repeat("y", 100_000))
	for _, call := range []string{"job show 1 1000", "job list", "job wait 1"} {
		if got := w.shell(call); len(got.Output) > 64<<10 {
			t.Errorf("%s is answered with %d bytes", call, len(got.Output))
		}
	}
}
