package trajectory

import (
	"time"

	"mlgym/agent"
	"mlgym/gym"
)

// Format is the name of the format, as it stands in every header.
const Format = "mlgym-trajectory"

// Version is the version of the format that this package writes. It reads
// this one and every earlier one.
const Version = 1

// Type says what an event tells.
type Type string

// The types of event.
const (
	TypeHeader Type = "header"
	TypeReset  Type = "reset"
	TypeTurn   Type = "turn"
	TypeStep   Type = "step"
	TypeNote   Type = "note"
	TypeFault  Type = "fault"
	TypeResume Type = "resume"
	TypeEnd    Type = "end"
)

// Event is one line of a record. Exactly one of the pointers is set, the one
// that Type names.
type Event struct {
	// Seq counts the events of a record from 0; [Writer] sets it.
	Seq int64 `json:"seq"`
	// Type says which of the pointers is set; [Writer] sets it.
	Type Type `json:"type"`
	// At is when the event happened; [Writer] sets it where it is zero.
	At time.Time `json:"at"`

	Header *Header `json:"header,omitempty"`
	Reset  *Reset  `json:"reset,omitempty"`
	Turn   *Turn   `json:"turn,omitempty"`
	Step   *Step   `json:"step,omitempty"`
	Note   *Note   `json:"note,omitempty"`
	Fault  *Fault  `json:"fault,omitempty"`
	Resume *Resume `json:"resume,omitempty"`
	End    *End    `json:"end,omitempty"`
}

// Header is the first event of a record.
type Header struct {
	// Format is always [Format].
	Format string `json:"format"`
	// Version of the format, from 1.
	Version int `json:"version"`
	// RunID names the run.
	RunID string `json:"run_id"`
	// Created is when the record was begun.
	Created time.Time `json:"created"`
	// Software that wrote the record, such as "mlgym 0.1.0".
	Software string `json:"software,omitempty"`
}

// Reset is the start of the episode.
type Reset struct {
	Seed        uint64          `json:"seed"`
	Observation gym.Observation `json:"observation"`
	// Seconds that the reset took.
	Seconds float64 `json:"seconds"`
}

// Turn is a decision of the agent. It is written before it is executed.
type Turn struct {
	// Step that the decision is for, counted from 1.
	Step int        `json:"step"`
	Turn agent.Turn `json:"turn"`
	// Seconds that the agent took to decide.
	Seconds float64 `json:"seconds"`
}

// Step is an executed action and what it led to.
type Step struct {
	// Step counts the executed actions from 1.
	Step       int            `json:"step"`
	Action     gym.Action     `json:"action"`
	Transition gym.Transition `json:"transition"`
}

// Note is a remark for people.
type Note struct {
	Text string `json:"text"`
}

// Source says where a fault came from.
type Source string

// The sources of faults.
const (
	// FromAgent: the agent's infrastructure failed, such as a model server
	// that is gone.
	FromAgent Source = "agent"
	// FromEnv: the environment failed, such as a sandbox that was lost.
	FromEnv Source = "env"
	// FromOutside: the run was interrupted, by a person or a scheduler.
	FromOutside Source = "interrupt"
	// FromRecord: the record could not be written. Such a fault is not in the
	// record itself.
	FromRecord Source = "record"
)

// Fault is a failure of the infrastructure, or an interruption from outside,
// that cut the episode short. It is never a fault of the agent's own work.
type Fault struct {
	// Step that was under way.
	Step    int    `json:"step"`
	Source  Source `json:"source"`
	Message string `json:"message"`
	// Resumable says that the episode can go on from here.
	Resumable bool `json:"resumable"`
	// Resuming says that it happened while the episode was being resumed, so
	// that the episode did not go on.
	Resuming bool `json:"resuming,omitempty"`
	// Exchanges with a model of the turn that failed. They count for the
	// totals and are no part of what the agent remembers.
	Exchanges []agent.Exchange `json:"exchanges,omitempty"`
}

// Resume says that a cut episode went on, in a fresh environment in which the
// recorded actions were executed once more, all or those after a checkpoint.
type Resume struct {
	// Checkpoint is the step whose saved state was restored; 0 where the recorded
	// actions were executed from the start.
	Checkpoint int `json:"checkpoint,omitempty"`
	// Steps is how many recorded actions were executed once more.
	Steps int `json:"steps"`
	// Observation is the last one of the re-execution (that of the reset, or of
	// the restored environment, where Steps is 0). What the agent is shown is the recorded one.
	Observation gym.Observation `json:"observation"`
	// Differences between the record and its re-execution.
	Differences []Difference `json:"differences,omitempty"`
	// Seconds that the re-execution took. They do not count for the limits.
	Seconds float64 `json:"seconds"`
}

// End is the last event of a finished episode. A record whose episode ended
// with [gym.EarlyExit] may still be resumed; then the last End counts.
type End struct {
	ExitStatus gym.ExitStatus `json:"exit_status"`
	// Cause by which the environment was told to finish, "" where a step
	// ended the episode.
	Cause gym.Cause `json:"cause,omitempty"`
	// Reason says more about the cause, for people.
	Reason string `json:"reason,omitempty"`
	// Transition is what finishing led to, nil where a step ended the episode.
	Transition *gym.Transition `json:"transition,omitempty"`
	// Final is the evaluation that counts, nil where nothing was graded.
	Final  *gym.Evaluation `json:"final,omitempty"`
	Totals Totals          `json:"totals"`
}

// Totals sum up an episode, all its parts together when it was resumed.
type Totals struct {
	// Steps is the number of executed actions.
	Steps int `json:"steps"`
	// Requests to a model, re-asks included.
	Requests     int   `json:"requests"`
	TokensIn     int64 `json:"tokens_in"`
	TokensOut    int64 `json:"tokens_out"`
	TokensCached int64 `json:"tokens_cached"`
	// CostUSD is nil when the cost of any response is unknown; 0 when no
	// model was asked.
	CostUSD *float64 `json:"cost_usd"`
	// Reward is the sum over the episode.
	Reward float64 `json:"reward"`
	// Seconds from the reset to the end; gaps between an interruption and a
	// resumption, and re-executions, do not count.
	Seconds float64 `json:"seconds"`
}

// NewTotals returns the totals of an episode in which nothing happened yet.
func NewTotals() Totals { return Totals{CostUSD: new(float64)} }

// AddExchanges counts what exchanges with a model used.
func (t *Totals) AddExchanges(exchanges []agent.Exchange) {
	for _, x := range exchanges {
		t.Requests++
		if x.Response == nil {
			continue
		}
		t.TokensIn += x.Response.Usage.InputTokens
		t.TokensOut += x.Response.Usage.OutputTokens
		t.TokensCached += x.Response.Usage.CachedTokens
		switch {
		case x.Response.CostUSD == nil:
			t.CostUSD = nil
		case t.CostUSD != nil:
			sum := *t.CostUSD + *x.Response.CostUSD
			t.CostUSD = &sum
		}
	}
}

// AddStep counts an executed action.
func (t *Totals) AddStep(tr gym.Transition) {
	t.Steps++
	t.Reward += tr.Reward
}

// typeOf returns the type of the one pointer that is set, and how many are.
func (e *Event) typeOf() (Type, int) {
	var found Type
	count := 0
	mark := func(set bool, t Type) {
		if set {
			found = t
			count++
		}
	}
	mark(e.Header != nil, TypeHeader)
	mark(e.Reset != nil, TypeReset)
	mark(e.Turn != nil, TypeTurn)
	mark(e.Step != nil, TypeStep)
	mark(e.Note != nil, TypeNote)
	mark(e.Fault != nil, TypeFault)
	mark(e.Resume != nil, TypeResume)
	mark(e.End != nil, TypeEnd)
	return found, count
}

// Evaluations returns the evaluations that the event tells of, in order.
func (e *Event) Evaluations() []gym.Evaluation {
	switch {
	case e.Step != nil:
		return e.Step.Transition.Info.Evaluations
	case e.End != nil && e.End.Transition != nil:
		return e.End.Transition.Info.Evaluations
	}
	return nil
}
