package tool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Jobs keeps the background jobs of one agent. The implementation lives where
// processes are started; this package parses the arguments of the tool job and
// words its answers. It is called by one goroutine at a time.
//
// An unknown id is an error that wraps [ErrNoJob]. Every other error is shown
// to the agent as it stands.
type Jobs interface {
	// Start runs shell text in the background, in the folder dir, with
	// end-of-file as its standard input, and returns at once. A command that
	// cannot be found is no error: it is a job that ends with code 127. The
	// context bounds the start and not the job.
	Start(ctx context.Context, command, dir string) (Job, error)
	// List returns every job, the oldest first. Jobs that ended stay listed.
	List() []Job
	// Show returns a job and the last lines of its output so far: at most
	// lines of them (lines >= 1), at most about 32 KiB.
	Show(id, lines int) (Job, string, error)
	// Wait returns when the job has ended, when limit has passed, or when ctx
	// is done, whichever is first; Job.Running says whether it still runs.
	// None of the three is an error.
	Wait(ctx context.Context, id int, limit time.Duration) (Job, error)
	// Stop ends a job and everything that it started, first by an interrupt,
	// then by force, and returns when it is gone. It does nothing to a job
	// that has ended.
	Stop(ctx context.Context, id int) (Job, error)
}

// ErrNoJob is wrapped by the errors of [Jobs] about an id that was never given.
var ErrNoJob = errors.New("no such job")

// Job is one background job as it stands.
type Job struct {
	// ID counts from 1 and is never given twice.
	ID      int    `json:"id"`
	Command string `json:"command"`
	Dir     string `json:"dir"`
	Running bool   `json:"running"`
	// ExitCode once it has ended; 128+n when signal n ended it.
	ExitCode int `json:"exit_code"`
	// Elapsed is how long it ran, or has been running.
	Elapsed time.Duration `json:"elapsed"`
	// OutputBytes counts all that it has written, kept or not.
	OutputBytes int64 `json:"output_bytes"`
}

// The defaults of the tool job.
const (
	jobLines      = 40
	jobWait       = 20 * time.Second
	jobMaxLines   = 1000
	jobMaxSeconds = 7 * 24 * 3600
)

var jobActions = []string{"start", "list", "show", "wait", "stop"}

func jobCommand() command {
	return command{
		name:  "job",
		usage: "job start <command…> | list | show <id> [<lines>] | wait <id> [<seconds>] | stop <id>",
		params: []param{
			{name: "action", kind: textParam, required: true, enum: jobActions, doc: "what to do"},
			{name: "command", kind: textParam, doc: "start: the shell text to run in the background"},
			{name: "id", kind: numberParam, doc: "show, wait, stop: the number that start gave"},
			{name: "lines", kind: numberParam, doc: "show: how many of the last lines of output to show (default 40)"},
			{name: "seconds", kind: numberParam, doc: "wait: how long to wait at most (default 20)"},
		},
		fromArgv: jobFromArgv,
		run:      (*Session).job,
	}
}

func jobFromArgv(argv []string, _ []byte) (arguments, string) {
	if len(argv) == 0 {
		return nil, "say what to do: " + strings.Join(jobActions, ", ")
	}
	args := arguments{}
	args.setText("action", argv[0])
	rest := argv[1:]
	switch argv[0] {
	case "start":
		if len(rest) > 0 {
			args.setText("command", shellText(rest))
		}
		return args, ""
	case "list":
		if len(rest) > 0 {
			return nil, "list takes no argument"
		}
		return args, ""
	case "show", "wait", "stop":
		names := map[string][]string{"show": {"id", "lines"}, "wait": {"id", "seconds"}, "stop": {"id"}}[argv[0]]
		if len(rest) > len(names) {
			return nil, fmt.Sprintf("%s takes at most %d arguments", argv[0], len(names))
		}
		for i, word := range rest {
			n, problem := parseNumber(word)
			if problem != "" {
				return nil, fmt.Sprintf("<%s> %s, not %s", names[i], problem, clip(word))
			}
			args.setNumber(names[i], n)
		}
		return args, ""
	}
	return nil, unknownChoice("action", argv[0], jobActions)
}

// shellText makes one line of shell text of the words of a command. A single
// word is shell text already: job start 'cd src && make'.
func shellText(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = word
		plain := word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+") == ""
		if !plain {
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func (r *Session) job(ctx context.Context, c call) Result {
	if r.opts.Jobs == nil {
		return refuse("Error: there are no background jobs here.")
	}
	action := c.args.text("action")
	switch action {
	case "start":
		return r.jobStart(ctx, c)
	case "list":
		return r.jobList()
	}
	if !c.args.has("id") {
		return usageError(c.cmd, fmt.Sprintf("%s needs the number of a job (job list shows them)", action))
	}
	id := c.args.number("id")
	switch action {
	case "show":
		lines := jobLines
		if c.args.has("lines") {
			lines = min(max(c.args.number("lines"), 1), jobMaxLines)
		}
		job, output, err := r.opts.Jobs.Show(id, lines)
		if err != nil {
			return r.jobError(id, err)
		}
		return answer(jobReport(job, output))
	case "wait":
		limit := jobWait
		if c.args.has("seconds") {
			limit = time.Duration(min(max(c.args.number("seconds"), 0), jobMaxSeconds)) * time.Second
		}
		if _, err := r.opts.Jobs.Wait(ctx, id, limit); err != nil {
			return r.jobError(id, err)
		}
		job, output, err := r.opts.Jobs.Show(id, jobLines)
		if err != nil {
			return r.jobError(id, err)
		}
		text := jobReport(job, output)
		if job.Running {
			text += fmt.Sprintf("Job %d is still running.\n", id)
		}
		return answer(text)
	default: // stop
		before, _, err := r.opts.Jobs.Show(id, 1)
		if err != nil {
			return r.jobError(id, err)
		}
		if !before.Running {
			return answer(fmt.Sprintf("Job %d had ended already: %s.\n", id, jobState(before)))
		}
		job, err := r.opts.Jobs.Stop(ctx, id)
		if err != nil {
			return r.jobError(id, err)
		}
		return answer(fmt.Sprintf("Job %d was stopped: %s.\n", id, jobState(job)))
	}
}

func (r *Session) jobStart(ctx context.Context, c call) Result {
	text := c.args.text("command")
	if strings.TrimSpace(text) == "" {
		return usageError(c.cmd, "start needs a command")
	}
	job, err := r.opts.Jobs.Start(ctx, text, c.dir)
	if err != nil {
		return refuse("Error: the job could not be started: %s", clip(err.Error()))
	}
	return answer(fmt.Sprintf("Job %d started: %s\nSee its output with `job show %d`, wait for it with `job wait %d`.\n",
		job.ID, clip(job.Command), job.ID, job.ID))
}

func (r *Session) jobList() Result {
	jobs := r.opts.Jobs.List()
	if len(jobs) == 0 {
		return answer("No jobs have been started.\n")
	}
	var out bounded
	for _, job := range jobs {
		out.line(fmt.Sprintf("Job %d: %s: %s", job.ID, jobState(job), clip(job.Command)))
	}
	return answer(out.close("jobs"))
}

func (r *Session) jobError(id int, err error) Result {
	if !errors.Is(err, ErrNoJob) {
		return refuse("Error: %s", clip(err.Error()))
	}
	var ids []string
	for _, job := range r.opts.Jobs.List() {
		ids = append(ids, strconv.Itoa(job.ID))
	}
	if len(ids) == 0 {
		return refuse("Error: there is no job %d; no jobs have been started.", id)
	}
	return refuse("Error: there is no job %d. Jobs: %s", id, clip(strings.Join(ids, ", ")))
}

// jobReport words a job and the end of its output.
func jobReport(job Job, output string) string {
	var out bounded
	out.line(fmt.Sprintf("[Job %d: %s, %d bytes of output] %s", job.ID, jobState(job), job.OutputBytes, clip(job.Command)))
	output = strings.TrimSuffix(output, "\n")
	if output != "" {
		for line := range strings.SplitSeq(output, "\n") {
			out.line(visible([]byte(line), maxShownLine))
		}
	}
	return out.close("lines of output")
}

func jobState(job Job) string {
	elapsed := job.Elapsed.Round(100 * time.Millisecond)
	if job.Running {
		return fmt.Sprintf("running for %s", elapsed)
	}
	return fmt.Sprintf("ended after %s with exit code %d", elapsed, job.ExitCode)
}
