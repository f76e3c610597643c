package server

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"mlgym/tool"
)

// jobs implements [tool.Jobs]: programs in the background that outlive the
// action that started them and that no deadline of an action ends.
type jobs struct {
	reaper *reaper

	mu   sync.Mutex
	env  []string // replaced and never changed
	list []*job
}

// job is one of them.
type job struct {
	id      int
	command string
	dir     string
	began   time.Time
	since   mark
	child   *child
	out     *collector
	pipe    *os.File

	mu    sync.Mutex
	ended time.Time
	done  chan struct{} // closed when it ended and its output was read
}

// maxJobs bounds the jobs of an episode, whose ends and outputs are remembered.
const maxJobs = 200

// jobOutput bounds what is kept of a job's output.
const jobOutput = 256 << 10

func newJobs(r *reaper, env []string) *jobs { return &jobs{reaper: r, env: env} }

// Start implements [tool.Jobs].
func (j *jobs) Start(_ context.Context, command, dir string) (tool.Job, error) {
	j.mu.Lock()
	had, env := len(j.list), j.env
	j.mu.Unlock()
	if had >= maxJobs {
		return tool.Job{}, fmt.Errorf("%d jobs were started already, which is the most there can be", maxJobs)
	}
	out, in, err := os.Pipe()
	if err != nil {
		return tool.Job{}, err
	}
	defer in.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		_ = out.Close()
		return tool.Job{}, err
	}
	defer null.Close()
	b := &job{command: command, dir: dir, began: time.Now(), since: now(), out: newCollector(jobOutput), pipe: out, done: make(chan struct{})}
	attr := &syscall.ProcAttr{Dir: dir, Env: env, Files: []uintptr{null.Fd(), in.Fd(), in.Fd()}}
	b.child, err = j.reaper.start([]string{"bash", "--noprofile", "--norc", "-c", command}, attr)
	if err != nil {
		_ = out.Close()
		return tool.Job{}, err
	}
	j.mu.Lock()
	j.list = append(j.list, b)
	b.id = len(j.list)
	j.mu.Unlock()
	go b.read()
	return b.state(), nil
}

// read collects the output and notes the end. What the job left behind may
// hold its output open for ever; the job has ended all the same.
func (b *job) read() {
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		buf := make([]byte, 32<<10)
		for {
			n, err := b.pipe.Read(buf)
			_, _ = b.out.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	<-b.child.done
	b.mu.Lock()
	b.ended = time.Now()
	b.mu.Unlock()
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-copied:
	case <-timer.C:
	}
	close(b.done)
	<-copied
	_ = b.pipe.Close()
}

func (b *job) state() tool.Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := tool.Job{ID: b.id, Command: b.command, Dir: b.dir, Running: b.ended.IsZero(), OutputBytes: b.out.written()}
	if s.Running {
		s.Elapsed = time.Since(b.began)
	} else {
		s.Elapsed = b.ended.Sub(b.began)
		s.ExitCode, _ = exitOf(b.child.status)
	}
	return s
}

func (j *jobs) find(id int) (*job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if id < 1 || id > len(j.list) {
		return nil, fmt.Errorf("job %d: %w", id, tool.ErrNoJob)
	}
	return j.list[id-1], nil
}

// List implements [tool.Jobs].
func (j *jobs) List() []tool.Job {
	j.mu.Lock()
	list := append([]*job(nil), j.list...)
	j.mu.Unlock()
	out := make([]tool.Job, len(list))
	for i, b := range list {
		out[i] = b.state()
	}
	return out
}

// Show implements [tool.Jobs].
func (j *jobs) Show(id, lines int) (tool.Job, string, error) {
	b, err := j.find(id)
	if err != nil {
		return tool.Job{}, "", err
	}
	text := b.out.peek()
	const most = 32 << 10
	if len(text) > most {
		text = strings.ToValidUTF8(text[len(text)-most:], "")
		if i := strings.IndexByte(text, '\n'); i >= 0 && i < len(text)/2 {
			text = text[i+1:]
		}
	}
	all := strings.SplitAfter(text, "\n")
	if n := len(all); n > 0 && all[n-1] == "" {
		all = all[:n-1]
	}
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return b.state(), strings.Join(all, ""), nil
}

// Wait implements [tool.Jobs].
func (j *jobs) Wait(ctx context.Context, id int, limit time.Duration) (tool.Job, error) {
	b, err := j.find(id)
	if err != nil {
		return tool.Job{}, err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-b.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return b.state(), nil
}

// Stop implements [tool.Jobs].
func (j *jobs) Stop(_ context.Context, id int) (tool.Job, error) {
	b, err := j.find(id)
	if err != nil {
		return tool.Job{}, err
	}
	select {
	case <-b.child.done:
		return b.state(), nil
	default:
	}
	_ = syscall.Kill(-b.child.pid, syscall.SIGINT)
	j.reaper.killSince(b.since, b.child.pid, syscall.SIGINT)
	timer := time.NewTimer(defaultGrace)
	defer timer.Stop()
	select {
	case <-b.child.done:
	case <-timer.C:
	}
	j.reaper.killTree(b.since, b.child)
	<-b.done
	return b.state(), nil
}

// endedJob is a job as a snapshot holds it.
type endedJob struct {
	Command     []byte        `json:"command"`
	Dir         []byte        `json:"dir"`
	Elapsed     time.Duration `json:"elapsed"`
	Status      uint32        `json:"status"`
	Output      string        `json:"output"`
	OutputBytes int64         `json:"output_bytes"`
}

// save returns all jobs, which must have ended.
func (j *jobs) save() ([]endedJob, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []endedJob
	for _, b := range j.list {
		select {
		case <-b.done:
		default:
			return nil, refused("job %d runs", b.id)
		}
		list = append(list, endedJob{
			Command: []byte(b.command), Dir: []byte(b.dir), Elapsed: b.ended.Sub(b.began), Status: uint32(b.child.status),
			Output: b.out.peek(), OutputBytes: b.out.written(),
		})
	}
	return list, nil
}

// load makes these the jobs that there were.
func (j *jobs) load(list []endedJob) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = nil
	for i, e := range list[:min(len(list), maxJobs)] {
		ended := time.Now()
		over := make(chan struct{})
		close(over)
		// The text has the gap marked in it that bounding made.
		out := newCollector(2 * jobOutput)
		_, _ = out.Write([]byte(e.Output)) // never fails
		out.total = e.OutputBytes
		j.list = append(j.list, &job{
			id: i + 1, command: string(e.Command), dir: string(e.Dir), began: ended.Add(-e.Elapsed), ended: ended,
			child: &child{done: over, status: syscall.WaitStatus(e.Status)}, out: out, done: over,
		})
	}
}
