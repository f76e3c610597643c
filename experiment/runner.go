package experiment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"mlgym"
	"mlgym/episode"
	"mlgym/gym"
	"mlgym/internal/redact"
	"mlgym/model"
	"mlgym/model/price"
	"mlgym/rollout"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/trajectory"
)

// Unit is one attempt at an episode, for a [Runner].
type Unit struct {
	Cell *Cell
	// Dir is the run's directory. Past says that it holds a record that goes on.
	Dir  string
	Past bool
	// GPUs are the numbers of the devices that it may use.
	GPUs []int
	// Account is the budget of the experiment, nil for none.
	Account model.Account
	// Gate is waited for before each grading; see [episode.RunOptions].
	Gate func(ctx context.Context) (func(), error)
	// Stop is closed when the episode is to be cut after the step under way.
	Stop <-chan struct{}
	// Progress is told what the episode does, from the goroutine of Run.
	Progress func(rollout.Event)
	Log      *slog.Logger
}

// Runner runs an attempt to its end, or as far as it gets. It is safe for
// concurrent use.
type Runner interface {
	Run(ctx context.Context, u Unit) (runstore.Result, error)
}

// Episodes is the Runner that there is.
type Episodes struct {
	// Provide finds what a task needs on this machine.
	Provide func(t *task.Task, variant string) (mlgym.Provided, error)
	Secret  []byte
	// Version of the program.
	Version string
	// Redact keeps secrets out of records; it may be nil.
	Redact *redact.Redactor
	// RequestRetries is how often a busy or unreachable model server is asked
	// again.
	RequestRetries int

	mu     sync.Mutex
	given  map[string]mlgym.Provided
	prices map[string]price.Table
}

// Run implements [Runner].
func (r *Episodes) Run(ctx context.Context, u Unit) (_ runstore.Result, err error) {
	e, m, err := r.open(u.Cell)
	if err != nil {
		return runstore.Result{}, err
	}
	store, rec, err := openRun(u, m)
	if err != nil {
		return runstore.Result{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if rec != nil && rec.Resumable() != nil {
		// It ended, and its process died before it could say so.
		return store.Seal()
	}
	elapsed := 0.0
	if rec != nil {
		elapsed = rec.Summary.Totals.Seconds
	}
	agent, err := e.Agent(ctx, episode.AgentOptions{Attempts: r.RequestRetries + 1, Account: u.Account, Elapsed: elapsed, Log: u.Log})
	if err != nil {
		return runstore.Result{}, err
	}
	defer func() { err = errors.Join(err, agent.Close()) }()
	result, outcome, err := e.Run(ctx, store, episode.RunOptions{
		Agent: agent, Past: rec, GPUs: u.GPUs, Gate: u.Gate, Stop: u.Stop, Progress: u.Progress, Redact: r.Redact, Log: u.Log,
	})
	if err == nil && outcome.Fault != nil && outcome.ExitStatus.Outcome == gym.EarlyExit {
		err = &rollout.FaultError{Fault: *outcome.Fault, Err: errors.New(outcome.Fault.Message)}
	}
	return result, err
}

// openRun makes the run's directory, or opens the one that goes on.
func openRun(u Unit, m runstore.Manifest) (*runstore.Run, *trajectory.Recorded, error) {
	if !u.Past {
		store, err := runstore.Create(u.Dir, m)
		return store, nil, err
	}
	store, err := runstore.Open(u.Dir)
	if err != nil {
		return nil, nil, err
	}
	rec, err := store.Recorded()
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, rec, nil
}

func (r *Episodes) open(c *Cell) (*episode.Episode, runstore.Manifest, error) {
	t, err := episode.FindTask(c.Spec.Task)
	if err != nil {
		return nil, runstore.Manifest{}, err
	}
	given, prices, err := r.lookUp(c, t)
	if err != nil {
		return nil, runstore.Manifest{}, err
	}
	e, m, err := c.open(t, given, prices, r.Secret, r.Version)
	m.AgentName = c.Agent
	return e, m, err
}

// lookUp finds what a task needs, once for all episodes.
func (r *Episodes) lookUp(c *Cell, t *task.Task) (mlgym.Provided, price.Table, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.given == nil {
		r.given, r.prices = map[string]mlgym.Provided{}, map[string]price.Table{}
	}
	key := c.Spec.Task + "\x00" + c.Spec.Variant
	given, ok := r.given[key]
	if !ok {
		var err error
		if given, err = r.Provide(t, c.Spec.Variant); err != nil {
			return given, price.Table{}, err
		}
		r.given[key] = given
	}
	prices, ok := r.prices[c.Prices]
	if !ok {
		var err error
		if prices, err = price.ForUser(c.Prices); err != nil {
			return given, prices, fmt.Errorf("prices: %w", err)
		}
		r.prices[c.Prices] = prices
	}
	return given, prices, nil
}

// Class says what the end of an attempt means for its episode.
type Class string

// The classes.
const (
	// ClassDone: the episode ended, whatever its score: the agent's own failures
	// are results.
	ClassDone Class = "done"
	// ClassFault: something that is not the agent's failed and may go well the
	// next time: a model's server, a sandbox, a disk.
	ClassFault Class = "fault"
	// ClassStopped: it was asked to stop.
	ClassStopped Class = "stopped"
	// ClassBudget: the budget of the experiment does not cover the next request.
	ClassBudget Class = "budget"
	// ClassFenced: another process has taken the episode over.
	ClassFenced Class = "taken over"
	// ClassUnavailable: nothing can be run on this machine as it is.
	ClassUnavailable Class = "unavailable"
	// ClassRefused: it cannot be run as it is, and trying again would not help.
	ClassRefused Class = "refused"
)

// classify says what an attempt's error means.
func classify(ctx context.Context, err error) Class {
	var fault *rollout.FaultError
	var user *episode.UserError
	var changed *ChangedError
	var missing *mlgym.NotReadyError
	var unavailable *sandbox.UnavailableError
	var unfit *UnfitError
	switch {
	case err == nil:
		return ClassDone
	case errors.Is(err, ErrFenced), errors.Is(context.Cause(ctx), ErrFenced):
		return ClassFenced
	case ctx.Err() != nil:
		return ClassStopped // also where it waited for others to settle
	case errors.Is(err, model.ErrBudget):
		return ClassBudget
	case errors.As(err, &fault) && fault.Fault.Source == trajectory.FromOutside:
		return ClassStopped
	case errors.As(err, &unfit):
		return ClassUnavailable
	case errors.As(err, &user), errors.As(err, &changed), errors.As(err, &missing):
		return ClassRefused
	case errors.As(err, &unavailable):
		return ClassUnavailable
	}
	return ClassFault
}
