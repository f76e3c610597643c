package rollout

import (
	"time"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/trajectory"
)

// Recorder keeps the events of an episode. When Write returns nil the event
// must survive the death of this process. [trajectory.Writer] is one.
type Recorder interface {
	Write(e trajectory.Event) error
}

// Episode is what [Run] runs. The caller closes Env and Recorder.
type Episode struct {
	Env   gym.Env
	Agent agent.Agent
	// Recorder must have its header already.
	Recorder Recorder
	Seed     uint64
	Limits   Limits
	// Progress is called, where not nil, from the goroutine of Run.
	Progress func(Event)
	// Resume is the record of the episode so far when it is to go on; Recorder
	// then appends to that record, and Seed is taken from it. The environment
	// must be a fresh one and the agent an [agent.Resumer] (unless it had not
	// decided anything yet).
	Resume *trajectory.Recorded
	// Checkpoints, where not nil and where Env is a [gym.Snapshotter], keeps the
	// state of the episode, so that a resumed one executes only those actions
	// again that came after.
	Checkpoints Checkpoints
	// CheckpointPolicy says when they are saved; nil is [DefaultCheckpointPolicy].
	CheckpointPolicy *CheckpointPolicy
	// Stop, when it is closed, cuts the episode at the next place where nothing is
	// lost: the action or the decision under way is waited for and recorded, a
	// checkpoint is saved, and Run returns a resumable fault behind which is
	// [ErrStopped]. An episode that is being graded for the last time ends first.
	Stop <-chan struct{}
}

// Limits end an episode from outside. The limits on cost and tokens are the
// agent's own.
type Limits struct {
	// MaxSteps is how many actions may run; 0 means no limit.
	MaxSteps int `json:"max_steps"`
	// Wall is how long the episode may take, the parts of a resumed one
	// together; 0 means no limit. A model that is answering is cut off; an
	// action that is running keeps its own deadline.
	Wall time.Duration `json:"wall"`
}

// Outcome is how an episode went.
type Outcome struct {
	// ExitStatus is gym.UnknownError for an episode that was cut.
	ExitStatus gym.ExitStatus
	// Final is the evaluation that counts, nil where nothing was graded.
	Final *gym.Evaluation
	// Evaluations in order, those before a resumption included.
	Evaluations []gym.Evaluation
	Totals      trajectory.Totals
	// Fault cut the episode short; nil where it ended by itself.
	Fault *trajectory.Fault
	// Reason says more about the end, for people.
	Reason string
}

// Phase says what an episode is doing.
type Phase string

// The phases.
const (
	Resetting Phase = "resetting"
	Replaying Phase = "replaying" // recorded actions, to resume
	Thinking  Phase = "thinking"  // the agent decides
	Acting    Phase = "acting"    // the action runs
	Stepped   Phase = "stepped"   // the action ran
	Finishing Phase = "finishing" // what is in the workspace is graded
	Ended     Phase = "ended"
	CutShort  Phase = "cut_short" // by a fault or an interruption
)

// Event tells of the progress of an episode.
type Event struct {
	Phase Phase
	// Step under way, from 1; 0 during the reset.
	Step int
	// MaxSteps is 0 where there is no limit.
	MaxSteps int
	// Action is the last one decided on.
	Action gym.Action
	// Transition is set in phase Stepped, and in Ended where Finish led to one.
	Transition *gym.Transition
	// Totals so far; Seconds is the time since the reset began.
	Totals trajectory.Totals
	// Last is the last evaluation, nil before the first.
	Last *gym.Evaluation
}

// FaultError is the error of an episode that was cut by a fault or from
// outside.
type FaultError struct {
	Fault trajectory.Fault
	Err   error
}

func (e *FaultError) Error() string {
	switch e.Fault.Source {
	case trajectory.FromAgent:
		return "the agent failed: " + e.Fault.Message
	case trajectory.FromEnv:
		return "the environment failed: " + e.Fault.Message
	case trajectory.FromOutside:
		return "interrupted: " + e.Fault.Message
	case trajectory.FromRecord: // says so itself
	}
	return e.Fault.Message
}

// Unwrap returns the error behind the fault.
func (e *FaultError) Unwrap() error { return e.Err }
