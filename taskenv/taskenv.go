package taskenv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/tool"
)

// Reward is a scheme of rewards.
type Reward string

// The schemes; see the package documentation.
const (
	Improvement Reward = "improvement"
	Terminal    Reward = "terminal"
	None        Reward = "none"
)

// Rewards lists the schemes.
func Rewards() []Reward { return []Reward{Improvement, Terminal, None} }

// Grader grades; [*grader.Grader] is the one that there is.
type Grader interface {
	Grade(ctx context.Context, req grader.Request) (gym.Evaluation, error)
}

// Config is what an environment is made of.
type Config struct {
	Task   *task.Task
	Driver sandbox.Driver
	Grader Grader
	// Mode is task.Hardened where empty, Variant task.Full, Reward Improvement.
	Mode    task.Mode
	Variant string
	Reward  Reward
	// Key makes the secret of an episode from its seed; see [grader.Request].
	Key func(seed uint64) []byte
	// Limits of the agent's sandbox; zero fields are the task's, or else the
	// sandbox's defaults.
	Limits sandbox.Limits
	// Provisions are the task's environment and data, in the variant.
	Provisions grader.Provisions
	// Root is the agent's root file system, as in [sandbox.Spec].
	Root string
	// IdleTimeout ends a command that prints nothing for so long; 0 means an
	// hour.
	IdleTimeout time.Duration
	// Keep is asked at each grading where its logs go and what to do with the
	// files that were handed in. It may be nil.
	Keep func(kind gym.Kind, attempt int) (logDir string, collected func([]grader.File))
	// Claim, where not nil, is asked for the sandbox of each episode, new and
	// restored ones; what it returns was prepared for this configuration
	// ([Prepare]) and is then the Env's. Nil without an error means that none is
	// ready: the Env makes one.
	Claim func(ctx context.Context) (*Ready, error)
}

// Env implements [gym.Env], [gym.Finisher], [gym.Snapshotter] and
// [gym.Interrupter].
type Env struct {
	cfg Config

	mu        sync.Mutex // guards what Close and Interrupt look at
	box       sandbox.Sandbox
	closed    bool
	interrupt context.CancelCauseFunc // of the action under way, or nil

	life context.Context //nolint:containedctx // ends with Close
	end  context.CancelFunc

	over bool
	best *float64 // best normalised score so far

	calls calls
}

// calls is what gradings share with the step under way. Calls from inside may
// also come between two steps, from a program in the background; the next step
// tells of them.
type calls struct {
	mu        sync.Mutex
	seed      uint64
	step      int
	attempts  int
	validated int              // in the step under way
	made      []gym.Evaluation // since the last step ended
	submitted bool
	fault     error
}

// complete fills what is left open and checks it.
func (cfg Config) complete() (Config, error) {
	if cfg.Mode == "" {
		cfg.Mode = task.Hardened
	}
	if cfg.Variant == "" {
		cfg.Variant = task.Full
	}
	if cfg.Reward == "" {
		cfg.Reward = Improvement
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = time.Hour
	}
	if !cfg.Task.HasMode(cfg.Mode) {
		return cfg, fmt.Errorf("task %s cannot be run in mode %q (it has %v)", cfg.Task.ID, cfg.Mode, cfg.Task.Modes)
	}
	_, err := cfg.Task.Variant(cfg.Variant)
	return cfg, err
}

// New checks the configuration. Nothing is started before Reset.
func New(cfg Config) (*Env, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if cfg.Key == nil {
		return nil, errors.New("an environment needs the key of its gradings")
	}
	e := &Env{cfg: cfg}
	e.life, e.end = context.WithCancel(context.Background())
	return e, nil
}

// errClosed is the error of calls after Close.
var errClosed = errors.New("the environment is closed")

// ErrDone is the error of steps after the end of the episode.
var ErrDone = errors.New("the episode is over: reset the environment first")

// Reset implements [gym.Env].
func (e *Env) Reset(ctx context.Context, opts gym.ResetOptions) (gym.Observation, error) {
	if err := e.drop(); err != nil {
		return gym.Observation{}, err
	}
	ctx, done := e.within(ctx)
	defer done()
	started, err := e.begin(ctx, header{Seed: opts.Seed})
	if err != nil {
		return gym.Observation{}, err
	}
	box, err := e.current()
	if err != nil {
		return gym.Observation{}, err
	}
	if !started {
		if err := putStarter(ctx, e.cfg.Task, box); err != nil {
			return gym.Observation{}, errors.Join(err, e.drop())
		}
	}
	return gym.Observation{Text: statement(e.cfg), StepsLeft: -1, WorkingDir: sandbox.WorkDir}, nil
}

// begin takes or makes the sandbox of an episode that stands where h says. It says
// whether the starter's files are in it.
func (e *Env) begin(ctx context.Context, h header) (started bool, err error) {
	e.over, e.best = false, h.Best
	e.calls.reset(h)
	box, started, err := e.claim(ctx, h.Seed)
	if err != nil {
		return false, err
	}
	e.mu.Lock()
	closed := e.closed
	e.box = box
	e.mu.Unlock()
	if closed {
		return false, errors.Join(errClosed, e.drop())
	}
	return started, nil
}

// drop closes the sandbox, if there is one.
func (e *Env) drop() error {
	e.mu.Lock()
	box := e.box
	e.box = nil
	e.mu.Unlock()
	if box == nil {
		return nil
	}
	return box.Close()
}

// Close implements [gym.Env].
func (e *Env) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.end()
	return e.drop()
}

// within bounds a context by the life of the environment.
func (e *Env) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.life, func() { cancel(errClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// interruptible returns the context of an action, which Interrupt ends.
func (e *Env) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	e.mu.Lock()
	e.interrupt = cancel
	e.mu.Unlock()
	return ctx, func() {
		e.mu.Lock()
		e.interrupt = nil
		e.mu.Unlock()
		cancel(nil)
	}
}

// Interrupt implements [gym.Interrupter]. What stands behind validate in the
// action is not run any more, and the agent does not read the report of an
// evaluation that was under way, which is in the transition.
func (e *Env) Interrupt() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.interrupt != nil {
		e.interrupt(sandbox.ErrInterrupted)
	}
}

func (c *calls) reset(h header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seed, c.step, c.attempts, c.validated = h.Seed, h.Step, h.Attempts, 0
	c.made, c.submitted, c.fault = h.Untold, h.Submitted, nil
}

// begin counts a step and says whether the submission was made before it.
func (c *calls) begin() (step int, submitted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step++
	c.validated = 0
	return c.step, c.submitted
}

// take hands over what was made since the last step. It waits for a grading
// under way.
func (c *calls) take() (made []gym.Evaluation, submitted bool, fault error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	made, fault = c.made, c.fault
	c.made, c.fault = nil, nil
	return made, c.submitted, fault
}

// current returns the sandbox of the episode.
func (e *Env) current() (sandbox.Sandbox, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, errClosed
	case e.box == nil:
		return nil, errors.New("the environment was not reset")
	case e.over:
		return nil, ErrDone
	}
	return e.box, nil
}

// Step implements [gym.Env].
func (e *Env) Step(ctx context.Context, a gym.Action) (gym.Transition, error) {
	box, err := e.current()
	if err != nil {
		return gym.Transition{}, err
	}
	ctx, done := e.within(ctx)
	defer done()
	began := time.Now()
	step, submitted := e.calls.begin()
	if forfeits(a) {
		return e.forfeit(step, began), nil
	}
	var res sandbox.Result
	if !submitted {
		if res, err = e.act(ctx, box, a); err != nil {
			return gym.Transition{}, err
		}
	}
	made, submitted, err := e.calls.take()
	if err != nil {
		return gym.Transition{}, err
	}
	t := gym.Transition{
		Observation: observe(res, step),
		Info: gym.Info{
			Evaluations: made, ExitCode: res.ExitCode, Seconds: time.Since(began).Seconds(),
			Deadline: res.Deadline, OutputBytes: res.OutputBytes, ShellRestarted: res.ShellRestarted,
		},
	}
	e.settle(&t, gym.CauseSubmit, submitted)
	return t, nil
}

// Finish implements [gym.Finisher].
func (e *Env) Finish(ctx context.Context, cause gym.Cause) (gym.Transition, error) {
	if _, err := e.current(); err != nil {
		return gym.Transition{}, err
	}
	ctx, done := e.within(ctx)
	defer done()
	began := time.Now()
	reply := e.onCall(ctx, sandbox.Call{Name: string(gym.Submit)})
	made, _, err := e.calls.take()
	if err != nil {
		return gym.Transition{}, err
	}
	t := gym.Transition{
		Observation: gym.Observation{Text: fmt.Sprintf("The episode ended (%s).\n%s", cause, reply.Output), Step: e.calls.step, StepsLeft: -1},
		Info:        gym.Info{Evaluations: made, Seconds: time.Since(began).Seconds()},
	}
	e.settle(&t, cause, true)
	return t, nil
}

// settle adds what evaluations mean: reward, and with the final one the end.
func (e *Env) settle(t *gym.Transition, cause gym.Cause, final bool) {
	for i, evaluation := range t.Info.Evaluations {
		t.Reward += e.reward(evaluation, final && i == len(t.Info.Evaluations)-1)
	}
	if !final {
		return
	}
	e.over = true
	last := t.Info.Evaluations[len(t.Info.Evaluations)-1]
	t.Info.ExitStatus = gym.EndedBy(cause, last)
	t.Terminated = cause == gym.CauseSubmit
	t.Truncated = !t.Terminated
}

// reward pays for one evaluation.
func (e *Env) reward(evaluation gym.Evaluation, last bool) float64 {
	if evaluation.Problem != gym.Scored {
		return 0
	}
	n, ok := e.cfg.Task.Normalise(e.cfg.Variant, evaluation.Scores[e.cfg.Task.Primary().Name])
	if !ok {
		return 0
	}
	switch e.cfg.Reward {
	case Terminal:
		if last {
			return n
		}
		return 0
	case Improvement:
		before := 0.0
		if e.best != nil {
			before = *e.best
			n = max(n, before)
		}
		e.best = &n
		return n - before
	case None:
	}
	return 0
}

// forfeits reports whether the agent gives up.
func forfeits(a gym.Action) bool {
	const word = "exit_forfeit"
	return a.Tool == word || strings.TrimSpace(a.Command) == word
}

func (e *Env) forfeit(step int, began time.Time) gym.Transition {
	e.over = true
	return gym.Transition{
		Observation: gym.Observation{Text: "The episode was given up.\n", Step: step, StepsLeft: -1},
		Terminated:  true,
		Info:        gym.Info{ExitStatus: gym.ExitStatus{Outcome: gym.Forfeit}, Seconds: time.Since(began).Seconds()},
	}
}

// act runs the action in the sandbox.
func (e *Env) act(ctx context.Context, box sandbox.Sandbox, a gym.Action) (sandbox.Result, error) {
	if spec, ok := tool.Find(a.Tool); ok && spec.Outside {
		// Not interruptible: a grading is not left half done.
		reply := e.onCall(ctx, sandbox.Call{Name: a.Tool, Args: a.Args})
		return sandbox.Result{Output: reply.Output, ExitCode: reply.ExitCode, OutputBytes: int64(len(reply.Output))}, nil
	}
	ctx, done := e.interruptible(ctx)
	defer done()
	if a.Tool != "" {
		return e.callTool(ctx, box, a)
	}
	if strings.TrimSpace(a.Command) == "" {
		return sandbox.Result{}, nil
	}
	text, err := tool.Rewrite(a.Command)
	if err != nil {
		// The agent's mistake: nothing is run.
		return sandbox.Result{Output: err.Error() + "\n", ExitCode: 2, SyntaxError: true}, nil
	}
	shell, ok := box.(sandbox.Shell)
	if !ok {
		return sandbox.Result{}, fmt.Errorf("sandboxes of %s have no shell", e.cfg.Driver.Name())
	}
	return shell.Run(ctx, sandbox.Script{
		Text: text, Wall: e.cfg.Task.CommandTimeout, Training: e.cfg.Task.TrainingTimeout, Idle: e.cfg.IdleTimeout,
	})
}

func (e *Env) callTool(ctx context.Context, box sandbox.Sandbox, a gym.Action) (sandbox.Result, error) {
	caller, ok := box.(sandbox.ToolCaller)
	if !ok {
		return sandbox.Result{}, fmt.Errorf("sandboxes of %s have no tools", e.cfg.Driver.Name())
	}
	return caller.CallTool(ctx, a.Tool, a.Args)
}
