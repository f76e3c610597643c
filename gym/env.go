package gym

import (
	"context"
	"encoding/json"
	"time"
)

// Env is one episode of one task at a time.
//
// The order of calls is Reset, then Step until a transition says Terminated or
// Truncated, then Close. Reset may be called again for a further episode. An
// Env is not safe for concurrent use, except that Close may be called at any
// time from any goroutine; it then ends a running Reset or Step.
type Env interface {
	// Reset starts a new episode and returns the task statement as text.
	Reset(ctx context.Context, opts ResetOptions) (Observation, error)
	// Step runs one action. The error is a fault of the infrastructure.
	Step(ctx context.Context, a Action) (Transition, error)
	// Close ends the episode and frees everything it held. It is idempotent.
	Close() error
}

// Finisher is an Env that can be told to end now, for a reason that lies
// outside it: a limit on steps, cost or time, a model that stopped answering.
// What the agent has in its workspace is graded as if it had submitted.
type Finisher interface {
	Finish(ctx context.Context, cause Cause) (Transition, error)
}

// ResetOptions choose the episode.
type ResetOptions struct {
	// Seed reaches everything in the episode that draws random numbers.
	Seed uint64
}

// Action is what an agent does in one step: shell text, or one typed call of a
// tool. Exactly one of Command and Tool is set; an empty Action runs nothing.
type Action struct {
	Command string          `json:"command,omitempty"`
	Tool    string          `json:"tool,omitempty"`
	Args    json.RawMessage `json:"args,omitempty"`
}

// IsZero reports whether the action asks for nothing.
func (a Action) IsZero() bool { return a.Command == "" && a.Tool == "" }

// Observation is what the agent gets to see.
type Observation struct {
	// Text is the output of the action, or the task statement after Reset.
	// It is valid UTF-8 and bounded by the environment's output limit.
	Text string `json:"text"`
	// Step counts the actions taken so far; 0 after Reset.
	Step int `json:"step"`
	// StepsLeft is how many actions remain; -1 where there is no limit.
	StepsLeft int `json:"steps_left"`
	// OpenFile is the absolute path of the file open in the editor, or "".
	OpenFile string `json:"open_file,omitempty"`
	// WorkingDir is the working directory of the shell.
	WorkingDir string `json:"working_dir,omitempty"`
}

// Transition is the result of one step. Terminated (the task itself ended: the
// agent submitted) and Truncated (something outside the task ended it: a limit)
// are never true together.
type Transition struct {
	Observation Observation `json:"observation"`
	Reward      float64     `json:"reward"`
	Terminated  bool        `json:"terminated"`
	Truncated   bool        `json:"truncated"`
	Info        Info        `json:"info"`
}

// Done reports whether the episode is over.
func (t Transition) Done() bool { return t.Terminated || t.Truncated }

// Info is what a researcher wants to know of a step and the agent need not see.
type Info struct {
	// ExitStatus is set once the episode is over.
	ExitStatus ExitStatus `json:"exit_status,omitzero"`
	// Evaluations made within this step, in order.
	Evaluations []Evaluation `json:"evaluations,omitempty"`
	// ExitCode of the action's shell text; 2 after a syntax error.
	ExitCode int `json:"exit_code"`
	// Seconds the action took, without the agent's own thinking.
	Seconds float64 `json:"seconds"`
	// Deadline names the limit that cut the action short: "", "wall", "idle"; or
	// "cancelled" where the action was interrupted.
	Deadline string `json:"deadline,omitempty"`
	// OutputBytes is the size of the output before it was bounded.
	OutputBytes int64 `json:"output_bytes,omitempty"`
	// ShellRestarted says that the shell had to be replaced by a fresh one.
	ShellRestarted bool `json:"shell_restarted,omitempty"`
	// Fault is set when the infrastructure failed; a trainer should drop
	// (mask) the episode rather than learn from it.
	Fault string `json:"fault,omitempty"`
}

// Kind says which of the two evaluations was made.
type Kind string

// The kinds of evaluation.
const (
	Validate Kind = "validate"
	Submit   Kind = "submit"
)

// Scores maps the name of a metric to its value. The values are finite.
type Scores map[string]float64

// Evaluation is one grading of the agent's work.
type Evaluation struct {
	Kind Kind `json:"kind"`
	// Step at which it was made (the action being executed counts).
	Step int `json:"step"`
	// Scores is nil when the submission could not be scored. A failed grading
	// has no score; it is never a zero.
	Scores Scores `json:"scores"`
	// Details are further numbers of the grader, such as standard errors.
	Details map[string]float64 `json:"details,omitempty"`
	// Problem says why there is no score: "" (scored), "not_found", "invalid".
	Problem Problem `json:"problem,omitempty"`
	// Message is what the agent is told.
	Message string `json:"message,omitempty"`
	// Seconds that grading took.
	Seconds float64 `json:"seconds"`
	// At is when it ended.
	At time.Time `json:"at"`
}

// Problem is the reason why an evaluation carries no score.
type Problem string

// The problems of an evaluation.
const (
	// Scored is no problem.
	Scored Problem = ""
	// NotFound means that a declared file of the submission is missing.
	NotFound Problem = "not_found"
	// Invalid means that the submission is there and cannot be scored.
	Invalid Problem = "invalid"
)
