package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mlgym/sandbox"
)

// runner runs the actions of an agent in a shell, one at a time.
type runner struct {
	reaper *reaper
	env    []string
	limit  int // bytes of output
	// crowd is how many processes the sandbox may have; an action that leaves
	// nearly as many behind is cleaned up after. 0 means no such care.
	crowd int

	sh *shell
	// dir is the shell's directory after its last action; read by tools while
	// an action runs.
	dir atomic.Value // string

	// calls keeps the time that the outside took to answer, which no deadline
	// of the action counts.
	calls callClock

	// ended carries the last words of a call from inside (submit) that ends
	// the running action.
	ended chan string
}

func newRunner(r *reaper, env []string, limit int) *runner {
	run := &runner{reaper: r, env: env, limit: limit, ended: make(chan string, 1)}
	run.dir.Store(sandbox.WorkDir)
	return run
}

func (r *runner) start(ctx context.Context) error {
	sh, err := startShell(ctx, r.reaper, r.env, r.workingDir())
	if err != nil {
		return err
	}
	sh.sink.swap(newCollector(r.limit))
	r.sh = sh
	r.dir.Store(sh.dir)
	return nil
}

// ready makes sure that there is a live shell, and says whether the one there was
// had ended.
func (r *runner) ready(ctx context.Context) (fresh bool, err error) {
	if r.sh != nil {
		select {
		case <-r.sh.proc.done:
			r.sh.close()
			r.sh = nil
		default:
			return false, nil
		}
	}
	return true, r.restart(ctx)
}

// restart starts a new shell. Where none can be had, what the agent left running
// is in the way, most likely, and is ended.
func (r *runner) restart(ctx context.Context) error {
	var err error
	if r.crowd == 0 || len(pids()) < r.crowd/2 {
		if err = r.start(ctx); err == nil {
			return nil
		}
	}
	killEverything()
	if again := r.start(ctx); again != nil {
		return errors.Join(err, again)
	}
	return nil
}

func (r *runner) workingDir() string {
	dir, _ := r.dir.Load().(string)
	return dir
}

// endWith ends the action under way, if there is one, with a text behind what
// it printed.
func (r *runner) endWith(text string) {
	select {
	case r.ended <- text:
	default:
	}
}

// run runs one action. The error is a fault of the sandbox: no shell could be
// had.
func (r *runner) run(ctx context.Context, script sandbox.Script) (sandbox.Result, error) {
	began := time.Now()
	res := sandbox.Result{}
	text := strings.Trim(script.Text, " \t\r\n")
	fresh, err := r.ready(ctx)
	if err != nil {
		return res, err
	}
	if found := strings.Contains(text, "\x00"); found {
		res.Output, res.ExitCode, res.SyntaxError = "the action holds a zero byte, which no shell can take\n", 2, true
		return r.finish(res, began), nil
	}
	if message, bad := checkSyntax(r.reaper, text, r.env); bad {
		res.Output, res.ExitCode, res.SyntaxError = message, 2, true
		r.sh.status = 2
		return r.finish(res, began), nil
	}
	select {
	case <-r.ended: // a late wish of an action that is over
	default:
	}
	if ctx.Err() != nil { // interrupted before it began: nothing is run
		res.Deadline, res.ExitCode = "cancelled", 128+int(syscall.SIGINT)
		return r.finish(res, began), nil
	}
	// What earlier actions left running may have grown since.
	m := now()
	note := r.thin(mark{}, len(m.pids))
	if note != "" {
		m = now()
	}
	if r.execute(ctx, script, text, m, &res); res.ShellRestarted && !r.sh.begun() {
		// The shell was ended from beside it before it took the action.
		if _, err := r.ready(context.WithoutCancel(ctx)); err != nil {
			return res, err
		}
		res, fresh = sandbox.Result{}, true
		r.execute(ctx, script, text, m, &res)
	}
	r.sh.drain()
	said := r.sh.sink.swap(newCollector(r.limit))
	if res.EndedByCall {
		// The shell was ended with the action; the next one, if there is one
		// at all, starts another.
		return r.finish(res, began), nil
	}
	res.Output, res.OutputBytes = said.text()
	if res.ShellRestarted {
		// Also after an interrupt, which ended ctx: the episode goes on.
		if _, err := r.ready(context.WithoutCancel(ctx)); err != nil {
			return res, err
		}
		return r.finish(res, began), nil
	}
	res.ShellRestarted = fresh
	res.Output = note + res.Output + r.thin(m, len(pids()))
	res.ExitCode = r.sh.status
	r.dir.Store(r.sh.dir)
	return r.finish(res, began), nil
}

// execute hands the action to the shell and waits for its end.
func (r *runner) execute(ctx context.Context, script sandbox.Script, text string, m mark, res *sandbox.Result) {
	if err := r.sh.send(text); err != nil { // it died just now
		_ = syscall.Kill(r.sh.proc.pid, syscall.SIGKILL)
		<-r.sh.proc.done
		res.ShellRestarted = true
		return
	}
	r.await(ctx, script, m, res)
}

// thin ends what an action left running when that is so much that nothing more
// could be started: a fork bomb, most likely. It returns a note for the agent.
// There are so many processes now.
func (r *runner) thin(m mark, processes int) string {
	if r.crowd == 0 || processes < r.crowd/2 {
		return ""
	}
	n := r.reaper.killAll(m, r.sh.proc.pid)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("[more than half of the %[2]d processes that there may be were there: %[1]d that were left running were ended]\n", n, r.crowd)
}

func (r *runner) finish(res sandbox.Result, began time.Time) sandbox.Result {
	res.Duration = time.Since(began)
	res.WorkingDir = r.workingDir()
	return res
}

// await returns when the action has ended, by itself or by force.
func (r *runner) await(ctx context.Context, script sandbox.Script, m mark, res *sandbox.Result) {
	wall := script.Wall
	if wall <= 0 {
		wall = defaultWall
	}
	trainingWall := max(script.Training, wall)
	began := time.Now()
	answered := r.calls.total()
	wallTimer := time.NewTimer(wall)
	defer wallTimer.Stop()
	var idle <-chan time.Time
	var idleTimer *time.Timer
	if script.Idle > 0 {
		idleTimer = time.NewTimer(script.Idle)
		defer idleTimer.Stop()
		idle = idleTimer.C
	}
	for {
		select {
		case line, ok := <-r.sh.report:
			if ok && !r.sh.parse(line) {
				continue
			}
			if ok {
				return
			}
			// The report's pipe broke: the shell is ending, or was made to close
			// it, and then would be waited for in vain.
			r.sh.end()
			res.ExitCode, _ = exitOf(r.sh.proc.status)
			res.ShellRestarted = true
			return
		case <-r.sh.proc.done:
			res.ExitCode, _ = exitOf(r.sh.proc.status)
			res.ShellRestarted = true
			return
		case <-wallTimer.C:
			spent := time.Since(began) - (r.calls.total() - answered)
			if spent < wall {
				wallTimer.Reset(wall - spent)
				continue
			}
			if spent < trainingWall && training(r.reaper.since(m, r.sh.proc.pid)) {
				wallTimer.Reset(min(wall, trainingWall-spent))
				continue
			}
			res.Deadline, res.DeadlineAfter = "wall", wall
			if spent >= trainingWall {
				res.DeadlineAfter = trainingWall
			}
			r.interrupt(script, m, res)
			return
		case <-idle:
			if r.calls.underWay() {
				idleTimer.Reset(script.Idle)
				continue
			}
			if quiet := time.Since(r.sh.sink.lastWrite()); quiet < script.Idle {
				idleTimer.Reset(script.Idle - quiet)
				continue
			}
			res.Deadline, res.DeadlineAfter = "idle", script.Idle
			r.interrupt(script, m, res)
			return
		case text := <-r.ended:
			// What the action printed ends here; what its forced end makes the
			// shell say is of no interest.
			res.EndedByCall = true
			r.sh.drain()
			said, total := r.sh.sink.swap(newCollector(r.limit)).text()
			res.Output, res.OutputBytes = said+text, total
			// The shell first, which would go on to the next command as soon
			// as the one that called has ended.
			r.reaper.killTree(m, r.sh.proc)
			<-r.sh.proc.done
			return
		case <-ctx.Done():
			res.Deadline = "cancelled"
			r.interrupt(script, m, res)
			return
		}
	}
}

// interrupt asks the action to end, as Ctrl-C would, and after the grace ends
// it by force.
func (r *runner) interrupt(script sandbox.Script, m mark, res *sandbox.Result) {
	grace := script.Grace
	if grace <= 0 {
		grace = defaultGrace
	}
	pid := r.sh.proc.pid
	// The shell first: it must know of the interrupt when its program ends.
	_ = syscall.Kill(pid, syscall.SIGINT)
	told := map[int]string{}
	end := time.Now().Add(grace)
	for wait := interruptAgain; ; wait = min(2*wait, grace/4) {
		r.reaper.interruptSince(m, pid, told)
		left := time.Until(end)
		if r.back(min(wait, left), res) {
			// The shell is back; what the action left running is not meant to stay.
			r.reaper.endSince(m, pid)
			return
		}
		if left <= wait {
			break
		}
	}
	r.kill(m, res)
}

// interruptAgain is when it is looked for the first time whether an interrupt was
// lost.
const interruptAgain = 20 * time.Millisecond

// kill ends the action by force: all its processes, and the shell too if it
// does not come back.
func (r *runner) kill(m mark, res *sandbox.Result) {
	pid := r.sh.proc.pid
	deadline := time.Now().Add(settle)
	for wait := time.Millisecond; time.Now().Before(deadline); wait = min(2*wait, settle/8) {
		_ = syscall.Kill(pid, syscall.SIGINT)
		for range killRounds {
			if r.reaper.killSince(m, pid, syscall.SIGKILL) == 0 {
				break
			}
		}
		if r.back(wait, res) {
			r.reaper.endSince(m, pid)
			return
		}
	}
	// An interrupt may have met the shell at its report, and thrown that away.
	if r.sh.askAgain() == nil && r.back(settle/2, res) {
		r.reaper.endSince(m, pid)
		return
	}
	res.ShellRestarted = true
	res.ExitCode = 128 + int(syscall.SIGKILL)
	r.reaper.killTree(m, r.sh.proc)
	<-r.sh.proc.done
}

// back waits for the shell to report or to end.
func (r *runner) back(wait time.Duration, res *sandbox.Result) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-r.sh.report:
			if ok && !r.sh.parse(line) {
				continue
			}
			if !ok {
				r.sh.end()
				res.ShellRestarted = true
			}
			return true
		case <-r.sh.proc.done:
			res.ShellRestarted = true
			return true
		case <-timer.C:
			return false
		}
	}
}

// callClock adds up the time during which the outside was asked something.
type callClock struct {
	mu    sync.Mutex
	open  int
	since time.Time
	sum   time.Duration
}

func (c *callClock) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == 0 {
		c.since = time.Now()
	}
	c.open++
}

func (c *callClock) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.open == 0 {
		c.sum += time.Since(c.since)
	}
}

func (c *callClock) underWay() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open > 0
}

func (c *callClock) total() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open > 0 {
		return c.sum + time.Since(c.since)
	}
	return c.sum
}
