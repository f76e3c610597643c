// Package sessiontest has environments whose episodes are a few words long, for
// tests of what stands between a client and its environment.
package sessiontest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mlgym/gym"
	"mlgym/server/session"
)

// Works makes environments and knows what became of them. The zero value is ready;
// it is safe for concurrent use.
type Works struct {
	// SnapshotBytes is the size of a saved state beyond a few bytes.
	SnapshotBytes int
	// OnReset, OnClose and OnSnapshot are called at the beginning of these, where they
	// are not nil, with the context where there is one. An error is the result.
	OnReset, OnSnapshot func(ctx context.Context) error
	OnClose             func()

	mu         sync.Mutex
	asked      []session.Request
	made, open int
	most       int // open at a time
	running    int
}

// Make implements [session.Maker]. The task "refused" is refused.
func (w *Works) Make(_ context.Context, r session.Request) (session.Made, error) {
	if r.Task == "refused" {
		return session.Made{}, session.Refuse("task", "there is no task %q", r.Task)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, r)
	w.made++
	w.open++
	w.most = max(w.most, w.open)
	env := &Env{works: w, interrupts: make(chan struct{}, 1), closed: make(chan struct{})}
	return session.Made{Env: env, Task: r.Task, Variant: r.Variant, Mode: r.Mode, Reward: r.Reward, MaxSteps: r.MaxSteps, Low: 0, High: 1}, nil
}

// Made counts the environments that were made, Open those that were not closed, and
// Most how many were open at the same time.
func (w *Works) Made() int { return w.count(&w.made) }

// Open counts the environments that were not closed yet.
func (w *Works) Open() int { return w.count(&w.open) }

// Most is how many environments were open at the same time.
func (w *Works) Most() int { return w.count(&w.most) }

// Running counts the actions that take their time now.
func (w *Works) Running() int { return w.count(&w.running) }

// Asked are the requests of the environments that were made.
func (w *Works) Asked() []session.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

func (w *Works) add(n *int, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n += by
}

func (w *Works) count(n *int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *n
}

// Env is an environment that knows these commands, and prints all others:
//
//	sleep D      takes a duration
//	hold         takes until it is interrupted
//	validate     is paid 0.5 and has an evaluation
//	submit       ends the episode
//	fault        is a fault of the infrastructure
//	panic        is a mistake in the environment
//	big N        prints N bytes
//	count        prints the seed and how many actions there were
type Env struct {
	works      *Works
	interrupts chan struct{}
	closed     chan struct{}
	once       sync.Once
	busy       atomic.Bool // an action can be interrupted

	seed  uint64
	steps int
}

var errClosed = errors.New("the environment was closed")

// Reset implements [gym.Env].
func (e *Env) Reset(ctx context.Context, o gym.ResetOptions) (gym.Observation, error) {
	if e.works.OnReset != nil {
		if err := e.works.OnReset(ctx); err != nil {
			return gym.Observation{}, err
		}
	}
	e.seed, e.steps = o.Seed, 0
	return e.observation("the statement\n"), ctx.Err()
}

func (e *Env) observation(text string) gym.Observation {
	return gym.Observation{Text: text, Step: e.steps, StepsLeft: -1, WorkingDir: "/home"}
}

// Step implements [gym.Env].
func (e *Env) Step(ctx context.Context, a gym.Action) (gym.Transition, error) {
	var t gym.Transition
	word, rest, _ := strings.Cut(a.Command, " ")
	text := a.Command + "\n"
	switch word {
	case "":
		text = ""
		if a.Tool != "" {
			text = a.Tool + " " + string(a.Args) + "\n"
		}
	case "sleep", "hold":
		e.works.add(&e.works.running, 1)
		defer e.works.add(&e.works.running, -1)
		e.busy.Store(true)
		defer e.busy.Store(false)
		var enough <-chan time.Time
		if word == "sleep" {
			d, err := time.ParseDuration(rest)
			if err != nil {
				return t, err
			}
			enough = time.After(d)
		}
		select {
		case <-enough:
			text = "slept\n"
		case <-e.interrupts:
			text, t.Info.Deadline = "interrupted\n", "cancelled"
		case <-ctx.Done():
			return t, context.Cause(ctx)
		case <-e.closed:
			return t, errClosed
		}
	case "validate":
		t.Reward = 0.5
		t.Info.Evaluations = []gym.Evaluation{{Kind: gym.Validate, Step: e.steps + 1, Scores: gym.Scores{"score": 0.5}}}
	case "submit":
		t.Reward, t.Terminated = 0.25, true
		t.Info.ExitStatus = gym.ExitStatus{Outcome: gym.Submitted}
		t.Info.Evaluations = []gym.Evaluation{{Kind: gym.Submit, Step: e.steps + 1, Scores: gym.Scores{"score": 0.75}}}
	case "fault":
		return t, errors.New("the sandbox is gone")
	case "panic":
		panic("a mistake in the environment")
	case "big":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return t, err
		}
		text = strings.Repeat("x", n)
	case "count":
		text = fmt.Sprintf("seed %d, %d actions\n", e.seed, e.steps)
	}
	e.steps++
	t.Observation = e.observation(text)
	return t, nil
}

// Interrupt implements [gym.Interrupter].
func (e *Env) Interrupt() {
	if !e.busy.Load() {
		return
	}
	select {
	case e.interrupts <- struct{}{}:
	default:
	}
}

// Close implements [gym.Env].
func (e *Env) Close() error {
	e.once.Do(func() {
		close(e.closed)
		if e.works.OnClose != nil {
			e.works.OnClose()
		}
		e.works.add(&e.works.open, -1)
	})
	return nil
}

// Snapshot implements [gym.Snapshotter].
func (e *Env) Snapshot(ctx context.Context, dst io.Writer) error {
	if e.works.OnSnapshot != nil {
		if err := e.works.OnSnapshot(ctx); err != nil {
			return err
		}
	}
	if err := binary.Write(dst, binary.LittleEndian, int64(e.steps)); err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for left := e.works.SnapshotBytes; left > 0; left -= len(block) {
		if _, err := dst.Write(block[:min(left, len(block))]); err != nil {
			return err
		}
	}
	return nil
}

// Restore implements [gym.Snapshotter].
func (e *Env) Restore(_ context.Context, o gym.ResetOptions, src io.Reader) (gym.Observation, error) {
	var steps int64
	if err := binary.Read(src, binary.LittleEndian, &steps); err != nil {
		return gym.Observation{}, fmt.Errorf("a broken state: %w", err)
	}
	rest, err := io.Copy(io.Discard, src)
	if err == nil && rest != int64(e.works.SnapshotBytes) {
		err = fmt.Errorf("a state of %d bytes, want %d", rest, e.works.SnapshotBytes)
	}
	if err != nil {
		return gym.Observation{}, err
	}
	e.seed, e.steps = o.Seed, int(steps)
	return e.observation("the statement\n"), nil
}
