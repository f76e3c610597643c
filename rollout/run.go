package rollout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/trajectory"
)

// errWall is the cause of a context that the wall limit ended.
var errWall = errors.New("the time of the episode is over")

// Run runs an episode to its end, or as far as it gets. The outcome is filled
// in also when there is an error.
func Run(ctx context.Context, ep Episode) (Outcome, error) {
	r := &runner{
		Episode: ep,
		start:   time.Now(),
		out:     Outcome{Totals: trajectory.NewTotals()},
		saver:   newSaver(ep),
	}
	err := r.run(ctx)
	r.out.Totals.Seconds = r.seconds()
	if err == nil {
		r.progress(Ended, r.ended)
		return r.out, nil
	}
	if fault := new(FaultError); errors.As(err, &fault) {
		r.out.Fault = &fault.Fault
	}
	if r.out.ExitStatus.IsZero() {
		r.out.ExitStatus = gym.ExitStatus{Outcome: gym.UnknownError}
	}
	r.progress(CutShort, nil)
	return r.out, err
}

// runner is one call of Run.
type runner struct {
	Episode
	start  time.Time
	before float64 // seconds of the parts before a resumption
	out    Outcome
	action gym.Action
	ended  *gym.Transition // what Finish led to
	// past is the record from which the agent is still to be brought back.
	past  *trajectory.Recorded
	saver saver
}

// record writes an event. A failure ends the episode, and cannot be recorded.
func (r *runner) record(e trajectory.Event) error {
	err := r.Recorder.Write(e)
	if err == nil {
		return nil
	}
	return &FaultError{
		Fault: trajectory.Fault{Step: r.out.Totals.Steps + 1, Source: trajectory.FromRecord, Message: err.Error(), Resumable: true},
		Err:   err,
	}
}

func (r *runner) run(ctx context.Context) error {
	obs, pending, err := r.begin(ctx)
	if err != nil {
		return err
	}
	for {
		if r.stopped() {
			return r.stop(ctx, r.out.Totals.Steps, false)
		}
		if r.Limits.MaxSteps > 0 && r.out.Totals.Steps >= r.Limits.MaxSteps {
			return r.finish(ctx, gym.CauseSteps, "")
		}
		if r.Limits.Wall > 0 && r.left() <= 0 {
			return r.finish(ctx, gym.CauseTime, "")
		}
		turn := pending
		pending = nil
		if turn == nil {
			turn, err = r.decide(ctx, r.withStepsLeft(obs))
			if errors.Is(err, errWall) {
				return r.finish(ctx, gym.CauseTime, "")
			}
			if err != nil {
				return err
			}
			if r.stopped() {
				return r.stop(ctx, r.out.Totals.Steps, false)
			}
		}
		if turn.Stop != "" {
			return r.finish(ctx, turn.Stop, turn.StopReason)
		}
		transition, err := r.step(ctx, turn.Action)
		if err != nil {
			return err
		}
		if transition.Done() {
			return r.end(&trajectory.End{ExitStatus: transition.Info.ExitStatus}, transition)
		}
		obs = transition.Observation
	}
}

// begin resets the environment, or brings a cut episode back. It returns the
// observation to decide on, and the decision where it was already made.
func (r *runner) begin(ctx context.Context) (gym.Observation, *agent.Turn, error) {
	if r.Resume != nil {
		if err := r.Resume.Resumable(); err != nil {
			return gym.Observation{}, nil, fmt.Errorf("resume: %w", err)
		}
		if r.Resume.Reset != nil {
			return r.resume(ctx)
		}
	}
	r.progress(Resetting, nil)
	began := time.Now()
	obs, err := r.Env.Reset(ctx, gym.ResetOptions{Seed: r.Seed})
	if err != nil {
		return obs, nil, r.envFault(ctx, fmt.Errorf("reset: %w", err))
	}
	reset := &trajectory.Reset{Seed: r.Seed, Observation: r.withStepsLeft(obs), Seconds: time.Since(began).Seconds()}
	return obs, nil, r.record(trajectory.Event{Reset: reset})
}

// decide asks the agent, and records its turn before anything is done.
func (r *runner) decide(ctx context.Context, obs gym.Observation) (*agent.Turn, error) {
	r.progress(Thinking, nil)
	if err := r.resumeAgent(ctx, obs); err != nil {
		return nil, r.cut(ctx, trajectory.Fault{Source: trajectory.FromAgent}, fmt.Errorf("resume: %w", err))
	}
	began := time.Now()
	turn, err := r.act(ctx, obs)
	if err != nil && errors.Is(err, errWall) {
		return nil, err
	}
	r.out.Totals.AddExchanges(turn.Exchanges)
	if err != nil {
		r.save(ctx, r.out.Totals.Steps)
		return nil, r.cut(ctx, trajectory.Fault{Source: trajectory.FromAgent, Exchanges: turn.Exchanges}, err)
	}
	r.action = turn.Action
	err = r.record(trajectory.Event{Turn: &trajectory.Turn{
		Step:    r.out.Totals.Steps + 1,
		Turn:    turn,
		Seconds: time.Since(began).Seconds(),
	}})
	return &turn, err
}

// act calls the agent within what is left of the wall limit.
func (r *runner) act(ctx context.Context, obs gym.Observation) (agent.Turn, error) {
	if r.Limits.Wall <= 0 {
		return r.Agent.Act(ctx, obs)
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.left(), errWall)
	defer cancel()
	turn, err := r.Agent.Act(limited, obs)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limited), errWall) {
		return turn, errWall
	}
	return turn, err
}

// step runs an action and records what it led to.
func (r *runner) step(ctx context.Context, action gym.Action) (gym.Transition, error) {
	r.progress(Acting, nil)
	began := time.Now()
	transition, err := r.Env.Step(ctx, action)
	took := time.Since(began)
	if err == nil && (math.IsNaN(transition.Reward) || math.IsInf(transition.Reward, 0)) {
		err = fmt.Errorf("the reward is %v", transition.Reward)
	}
	if err != nil {
		return transition, r.envFault(ctx, fmt.Errorf("step %d: %w", r.out.Totals.Steps+1, err))
	}
	r.out.Totals.AddStep(transition)
	r.out.Evaluations = append(r.out.Evaluations, transition.Info.Evaluations...)
	transition.Observation = r.withStepsLeft(transition.Observation)
	err = r.record(trajectory.Event{Step: &trajectory.Step{
		Step: r.out.Totals.Steps, Action: action, Transition: transition,
	}})
	if err != nil {
		return transition, err
	}
	r.progress(Stepped, &transition)
	if !transition.Done() {
		r.worked(ctx, r.out.Totals.Steps, took)
	}
	return transition, nil
}

// finish ends the episode for a cause outside the task.
func (r *runner) finish(ctx context.Context, cause gym.Cause, reason string) error {
	r.progress(Finishing, nil)
	end := &trajectory.End{Cause: cause, Reason: reason}
	r.out.Reason = reason
	finisher, ok := r.Env.(gym.Finisher)
	if !ok {
		end.ExitStatus = gym.ExitStatus{Outcome: gym.SubmissionNotFound, Cause: cause}
		return r.end(end, gym.Transition{})
	}
	transition, err := finisher.Finish(ctx, cause)
	if err == nil && (math.IsNaN(transition.Reward) || math.IsInf(transition.Reward, 0)) {
		err = fmt.Errorf("the reward is %v", transition.Reward)
	}
	if err != nil {
		return r.envFault(ctx, fmt.Errorf("finish: %w", err))
	}
	r.out.Totals.Reward += transition.Reward
	r.out.Evaluations = append(r.out.Evaluations, transition.Info.Evaluations...)
	end.Transition, r.ended = &transition, &transition
	end.ExitStatus = transition.Info.ExitStatus
	return r.end(end, transition)
}

// end records the end that last, the last transition, led to.
func (r *runner) end(end *trajectory.End, last gym.Transition) error {
	for _, e := range last.Info.Evaluations {
		if e.Kind == gym.Submit {
			end.Final = &e
		}
	}
	if end.ExitStatus.IsZero() {
		end.ExitStatus = defaultStatus(end, last)
	}
	if last.Info.Fault != "" {
		fault := trajectory.Fault{Step: r.out.Totals.Steps, Source: trajectory.FromEnv, Message: last.Info.Fault, Resumable: end.ExitStatus.Outcome == gym.EarlyExit}
		if err := r.record(trajectory.Event{Fault: &fault}); err != nil {
			return err
		}
		r.out.Fault = &fault
	}
	r.out.Totals.Seconds = r.seconds()
	end.Totals = r.out.Totals
	if err := r.record(trajectory.Event{End: end}); err != nil {
		return err
	}
	r.out.ExitStatus, r.out.Final = end.ExitStatus, end.Final
	return nil
}

// defaultStatus is for environments that do not say how an episode ended.
func defaultStatus(end *trajectory.End, last gym.Transition) gym.ExitStatus {
	cause := end.Cause
	switch {
	case cause != "":
	case last.Terminated:
		cause = gym.CauseSubmit
	default:
		cause = gym.CauseSteps
	}
	if end.Final == nil {
		return gym.ExitStatus{Outcome: gym.SubmissionNotFound, Cause: cause}
	}
	return gym.EndedBy(cause, *end.Final)
}

// cut records that the episode was cut and can be resumed. It fills in what
// the fault does not say yet.
func (r *runner) cut(ctx context.Context, fault trajectory.Fault, err error) error {
	if ctx.Err() != nil {
		fault.Source, err = trajectory.FromOutside, context.Cause(ctx)
	}
	fault.Step, fault.Message, fault.Resumable = r.out.Totals.Steps+1, err.Error(), true
	if werr := r.record(trajectory.Event{Fault: &fault}); werr != nil {
		return errors.Join(werr, err)
	}
	return &FaultError{Fault: fault, Err: err}
}

// envFault records that the environment was lost. The episode ends, masked for
// trainers, and may be resumed in another environment all the same.
func (r *runner) envFault(ctx context.Context, err error) error {
	cut := r.cut(ctx, trajectory.Fault{Source: trajectory.FromEnv}, err)
	fault := new(FaultError)
	if !errors.As(cut, &fault) || fault.Fault.Source != trajectory.FromEnv {
		return cut
	}
	r.out.ExitStatus = gym.ExitStatus{Outcome: gym.EarlyExit}
	r.out.Totals.Seconds = r.seconds()
	return errors.Join(cut, r.record(trajectory.Event{End: &trajectory.End{
		ExitStatus: r.out.ExitStatus,
		Reason:     err.Error(),
		Transition: &gym.Transition{
			Truncated: true,
			Info:      gym.Info{ExitStatus: r.out.ExitStatus, Fault: err.Error()},
		},
		Totals: r.out.Totals,
	}}))
}

// withStepsLeft tells the agent of the limit on steps where the environment
// does not know of it.
func (r *runner) withStepsLeft(obs gym.Observation) gym.Observation {
	if r.Limits.MaxSteps > 0 {
		left := max(0, r.Limits.MaxSteps-obs.Step)
		if obs.StepsLeft < 0 || obs.StepsLeft > left {
			obs.StepsLeft = left
		}
	}
	return obs
}

// seconds that the episode took so far, all parts together.
func (r *runner) seconds() float64 { return r.before + time.Since(r.start).Seconds() }

// left is what is left of the wall limit.
func (r *runner) left() time.Duration {
	return r.Limits.Wall - time.Duration(r.seconds()*float64(time.Second))
}

func (r *runner) progress(phase Phase, transition *gym.Transition) {
	if r.Progress == nil {
		return
	}
	e := Event{
		Phase: phase, Step: r.out.Totals.Steps + 1, MaxSteps: r.Limits.MaxSteps,
		Action: r.action, Transition: transition, Totals: r.out.Totals,
	}
	e.Totals.Seconds = r.seconds()
	switch phase {
	case Resetting, Replaying:
		e.Step = 0
	case Stepped, Finishing, Ended, CutShort:
		e.Step = r.out.Totals.Steps
	case Thinking, Acting:
	}
	if n := len(r.out.Evaluations); n > 0 {
		e.Last = &r.out.Evaluations[n-1]
	}
	r.Progress(e)
}
