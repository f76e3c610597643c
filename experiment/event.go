package experiment

import (
	"time"
)

// EventType says what happened.
type EventType string

// The events, in the order in which an experiment sees them.
const (
	// Planned begins a part of the experiment: Counts say what is to be done.
	Planned EventType = "planned"
	// Started: an attempt at an episode begins. Message says how: new, continued
	// from a step, or started over, and why.
	Started EventType = "started"
	// Stepped: a step of an episode ended.
	Stepped EventType = "stepped"
	// Evaluated: a validation or a submission got its score, or none.
	Evaluated EventType = "evaluated"
	// Retrying: an attempt failed by a fault that is not the agent's, and another
	// one follows after Wait seconds.
	Retrying EventType = "retrying"
	// Cut: an attempt ended before its episode did and goes on later.
	Cut EventType = "cut"
	// Ended: an episode has its outcome; State is Done or Failed.
	Ended EventType = "ended"
	// Stopping: no episode is started any more; Message says why.
	Stopping EventType = "stopping"
	// Stopped ends a part of the experiment; Message says what is left.
	Stopped EventType = "stopped"
	// Noted: something that a person should know.
	Noted EventType = "noted"
)

// Event is one thing that happened in an experiment: a line of events.jsonl and
// of `mlgym experiment run --json`. Fields that do not belong to its type are
// zero.
type Event struct {
	At   time.Time `json:"at"`
	Type EventType `json:"type"`
	// Episode is the name of the episode, ID its digest.
	Episode string `json:"episode,omitempty"`
	ID      ID     `json:"id,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	State   State  `json:"state,omitempty"`
	Step    int    `json:"step,omitempty"`
	// MaxSteps is 0 where there is no limit.
	MaxSteps int    `json:"max_steps,omitempty"`
	Metric   string `json:"metric,omitempty"`
	// Score is that of the primary metric.
	Score *float64 `json:"score,omitempty"`
	// CostUSD and Seconds are those of the episode so far.
	CostUSD    *float64 `json:"cost_usd,omitempty"`
	Seconds    float64  `json:"seconds,omitempty"`
	ExitStatus string   `json:"exit_status,omitempty"`
	// Wait is how many seconds pass before the next attempt.
	Wait    float64 `json:"wait_seconds,omitempty"`
	Message string  `json:"message,omitempty"`
	// Counts of the experiment after the event, in Planned, Ended and Stopped.
	Counts *Counts `json:"counts,omitempty"`
	// Spent so far, in the same ones.
	Spent *Spent `json:"spent,omitempty"`
}
