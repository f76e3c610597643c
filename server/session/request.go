package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mlgym/gym"
)

// Request is what a client asks for when it resets.
type Request struct {
	// Seed of the episode; nil has one drawn.
	Seed *uint64
	// EpisodeID is the client's name for the episode; "" has one made.
	EpisodeID string
	// Agent is what decides, for the record; "" says no more than that it is elsewhere.
	Agent string
	// Task, Variant, Mode and Reward are those of the environment; "" leaves them
	// to the server.
	Task    string
	Variant string
	Mode    string
	Reward  string
	// MaxSteps truncates the episode after so many actions; 0 means the server's.
	MaxSteps int
	// Patience is how long a step is waited for before its client is told that it
	// still runs; nil means the server's, 0 for ever.
	Patience *time.Duration
	// Snapshot is the id of a state to start from. Everything but EpisodeID, Agent
	// and Patience is then that of the saved episode.
	Snapshot string
}

// Made is an environment and what clients are told of it.
type Made struct {
	Env gym.Env
	// Task, Variant, Mode, Reward and MaxSteps are what the request left open or
	// asked for.
	Task, Variant, Mode, Reward string
	MaxSteps                    int
	// Low and High bound the reward of a step.
	Low, High float64
	// Record returns the folder in which the episode is recorded, "" before it has
	// begun; nil where it is not recorded. It may be called at any time.
	Record func() string
}

// Maker makes the environment that a request asks for, without starting it. The
// error of a request that cannot be met wraps a [*RequestError].
type Maker func(ctx context.Context, r Request) (Made, error)

// RequestError says that a request cannot be met as it is.
type RequestError struct {
	// Field is the part of the request that is wrong, "" where it is not one.
	Field string
	Err   error
}

func (e *RequestError) Error() string {
	if e.Field == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.Field, e.Err)
}

func (e *RequestError) Unwrap() error { return e.Err }

// Refuse makes a [*RequestError].
func Refuse(field, format string, args ...any) error {
	return &RequestError{Field: field, Err: fmt.Errorf(format, args...)}
}

// The errors of calls that come at the wrong time.
var (
	// ErrNotReset is the error of a step before the first reset.
	ErrNotReset = errors.New("there is no episode yet: reset first")
	// ErrDone is the error of a step after the end of the episode.
	ErrDone = errors.New("the episode is over: reset to begin another")
	// ErrBusy is the error of a call while another one of the session is served.
	ErrBusy = errors.New("another request of this session is being served")
	// ErrRunning is the error of a snapshot while a command runs.
	ErrRunning = errors.New("a command is still running: wait for it, or interrupt it")
	// ErrClosed is the error of a session that has ended.
	ErrClosed = errors.New("the session has ended")
	// ErrUnknown is the error of a session that is not, or no longer, there.
	ErrUnknown = errors.New("there is no such session (it may have been idle for too long)")
	// ErrTaken is the error of a session that another connection holds.
	ErrTaken = errors.New("the session is held by another connection")
	// ErrDraining is the error of new sessions while the server shuts down.
	ErrDraining = errors.New("the server is shutting down")
)

// CapacityError says that no further session can be had now.
type CapacityError struct {
	Active, Max int
	// Client says that it is the client's own share that is used up.
	Client bool
}

func (e *CapacityError) Error() string {
	whose := "the server"
	if e.Client {
		whose = "this client"
	}
	return fmt.Sprintf("%s has %d sessions of at most %d: close one, or try again later", whose, e.Active, e.Max)
}

// Reply is what a reset or a step led to.
type Reply struct {
	SessionID string
	EpisodeID string
	Task      string

	Observation gym.Observation
	// Reward is nil after a reset.
	Reward                *float64
	Terminated, Truncated bool
	Info                  gym.Info
	// Running says that the command outlasted the patience and goes on.
	Running bool
	// Mask says that the infrastructure failed: the sample tells nothing about the
	// agent, and a trainer should drop it.
	Mask bool
}

// Done reports whether the episode is over.
func (r Reply) Done() bool { return r.Terminated || r.Truncated }

// State is where a session stands.
type State struct {
	SessionID string
	EpisodeID string
	// Steps counts the steps that were answered since the reset, those that only
	// waited among them.
	Steps                       int
	Task, Variant, Mode, Reward string
	Seed                        uint64
	Low, High                   float64
	MaxSteps                    int
	Done, Running               bool
	// TotalReward of the episode so far.
	TotalReward float64
}
