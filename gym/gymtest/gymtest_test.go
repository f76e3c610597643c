package gymtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"mlgym/gym"
	"mlgym/gym/gymtest"
)

// counter is a tiny environment: an agent may count as long as it likes.
type counter struct {
	// defect names the one way in which the environment is broken.
	defect string

	mu        sync.Mutex
	closed    chan struct{}
	interrupt chan struct{} // closed by Interrupt; nil where nothing waits
	ready     bool
	seed      uint64
	steps     int
}

func newCounter(defect string) *counter {
	return &counter{defect: defect, closed: make(chan struct{})}
}

func (c *counter) Reset(_ context.Context, opts gym.ResetOptions) (gym.Observation, error) {
	c.seed = opts.Seed
	if c.isClosed() {
		return gym.Observation{}, errors.New("the environment is closed")
	}
	if c.defect != "keeps the count" {
		c.steps = 0
	}
	c.ready = true
	return c.observe("Count as far as you like."), nil
}

func (c *counter) observe(text string) gym.Observation {
	if c.defect == "invalid text" {
		text += "\xff"
	}
	return gym.Observation{Text: text, Step: c.steps, StepsLeft: -1}
}

func (c *counter) isClosed() bool {
	select {
	case <-c.closed:
		return c.defect != "lives after close"
	default:
		return false
	}
}

func (c *counter) Step(ctx context.Context, a gym.Action) (gym.Transition, error) {
	if c.isClosed() || !c.ready && c.defect != "steps at any time" {
		return gym.Transition{}, errors.New("there is no episode; call Reset")
	}
	c.steps++
	tr := gym.Transition{Observation: c.observe("ok")}
	switch a.Command {
	case "wait":
		if c.defect == "cannot be interrupted" {
			select {}
		}
		select {
		case <-c.waits():
			if c.defect == "an interrupt is a fault" {
				return tr, errors.New("interrupted")
			}
			if c.defect == "an interrupt ends the episode" {
				return c.Finish(ctx, gym.CauseTime)
			}
			tr.Info.Deadline = "cancelled"
		case <-ctx.Done():
			return tr, ctx.Err()
		case <-c.closed:
			return tr, errors.New("closed")
		}
	case "wrong":
		if c.defect == "mistakes are faults" {
			return tr, errors.New("no such command")
		}
		tr.Observation.Text = "no such command"
		tr.Info.ExitCode = 127
	case "submit":
		c.ready = false
		tr.Terminated = true
		tr.Truncated = c.defect == "two flags"
		c.grade(&tr, gym.CauseSubmit)
		if c.defect == "no status" {
			tr.Info.ExitStatus = gym.ExitStatus{}
		}
	}
	return tr, nil
}

// waits returns what Interrupt closes.
func (c *counter) waits() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupt == nil || c.defect != "an early interrupt is kept" {
		c.interrupt = make(chan struct{})
	}
	return c.interrupt
}

func (c *counter) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupt == nil && c.defect == "an early interrupt is kept" {
		c.interrupt = make(chan struct{})
	}
	if c.interrupt != nil {
		close(c.interrupt)
		if c.defect != "an early interrupt is kept" {
			c.interrupt = nil
		}
	}
}

func (c *counter) grade(tr *gym.Transition, cause gym.Cause) {
	final := gym.Evaluation{Kind: gym.Submit, Step: c.steps, Scores: gym.Scores{"count": float64(c.steps)}}
	if c.defect == "infinite score" {
		final.Scores["count"] = math.Inf(1)
	}
	tr.Reward = float64(c.steps)
	if c.defect == "no reward" {
		tr.Reward = math.NaN()
	}
	tr.Info.Evaluations = []gym.Evaluation{final}
	tr.Info.ExitStatus = gym.EndedBy(cause, final)
}

func (c *counter) Finish(_ context.Context, cause gym.Cause) (gym.Transition, error) {
	tr := gym.Transition{Observation: c.observe("over"), Truncated: true}
	c.grade(&tr, cause)
	c.ready = c.defect == "goes on after finish"
	return tr, nil
}

func (c *counter) Snapshot(_ context.Context, dst io.Writer) error {
	if c.isClosed() && c.defect != "saves after close" || !c.ready {
		return errors.New("there is no episode")
	}
	_, err := fmt.Fprintf(dst, "counter %d %d.", c.seed, c.steps)
	if c.defect == "counts when saved" {
		c.steps++
	}
	return err
}

func (c *counter) Restore(_ context.Context, opts gym.ResetOptions, src io.Reader) (gym.Observation, error) {
	c.ready = c.defect == "goes on after a failed restore"
	if c.isClosed() {
		return gym.Observation{}, errors.New("the environment is closed")
	}
	text, err := io.ReadAll(src)
	if err != nil {
		return gym.Observation{}, err
	}
	var seed uint64
	var end string
	if n, err := fmt.Sscanf(string(text), "counter %d %d%s", &seed, &c.steps, &end); (n != 3 || end != ".") && c.defect != "takes anything" {
		return gym.Observation{}, fmt.Errorf("this is no snapshot: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	if seed != opts.Seed && c.defect != "takes any seed" && c.defect != "takes anything" {
		return gym.Observation{}, errors.New("the snapshot has another seed")
	}
	if c.defect == "forgets the count" {
		c.steps = 0
	}
	c.seed, c.ready = seed, true
	return c.observe("Count as far as you like."), nil
}

func (c *counter) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		if c.defect == "close once" {
			return errors.New("closed already")
		}
	default:
		close(c.closed)
	}
	return nil
}

func suite(make func() gym.Env) gymtest.Suite {
	return gymtest.Suite{
		New:     func(*testing.T) gym.Env { return make() },
		Action:  gym.Action{Command: "count"},
		Mistake: gym.Action{Command: "wrong"},
		End:     gym.Action{Command: "submit"},
		Slow:    gym.Action{Command: "wait"},
	}
}

func TestSoundEnvironments(t *testing.T) {
	for name, make := range map[string]func() gym.Env{
		"counter":               func() gym.Env { return newCounter("") },
		"counter, limited":      func() gym.Env { return gym.LimitSteps(newCounter(""), 10) },
		"no finisher, limited":  func() gym.Env { return gym.LimitSteps(onlyEnv{newCounter("")}, 10) },
		"counter, no finishing": func() gym.Env { return onlyEnv{newCounter("")} },
	} {
		t.Run(name, func(t *testing.T) { gymtest.Run(t, suite(make)) })
	}
}

// onlyEnv hides every further ability of an environment.
type onlyEnv struct{ gym.Env }

// defectVariable makes a child process test a broken environment.
const defectVariable = "GYMTEST_DEFECT"

func TestDefect(t *testing.T) {
	defect := os.Getenv(defectVariable)
	if defect == "" {
		t.Skip("this is the child process of TestDefectsAreFound")
	}
	s := suite(func() gym.Env { return newCounter(defect) })
	s.Patience = 1 // an uninterruptible step need not be waited for
	if defect != "cannot be interrupted" {
		s.Patience = 0
	}
	gymtest.Run(t, s)
}

func TestDefectsAreFound(t *testing.T) {
	if os.Getenv(defectVariable) != "" {
		t.Skip("this is a child process")
	}
	for defect, want := range map[string]string{
		"keeps the count":                "reset_begins_a_further_episode",
		"invalid text":                   "not valid UTF-8",
		"lives after close":              "Step after Close: no error",
		"steps at any time":              "Step before Reset: no error",
		"mistakes are faults":            "a_mistake_is_an_observation",
		"two flags":                      "terminated and truncated are both true",
		"no status":                      "exit status",
		"infinite score":                 "count is +Inf",
		"no reward":                      "reward is NaN",
		"goes on after finish":           "Step after Finish: no error",
		"close once":                     "Close: closed already",
		"counts when saved":              "the step after Snapshot is 3",
		"forgets the count":              "the statement, step 1",
		"takes anything":                 "Restore of nothing: no error",
		"takes any seed":                 "Restore with another seed: no error",
		"saves after close":              "Snapshot after Close: no error",
		"goes on after a failed restore": "Step after a Restore that failed: no error",
		"cannot be interrupted":          "did not return within",
		"an interrupt is a fault":        "the interrupted Step: interrupted, want no error",
		"an interrupt ends the episode":  "an episode that goes on",
		"an early interrupt is kept":     "the slow action ended by itself",
	} {
		t.Run(defect, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDefect$")
			cmd.Env = append(os.Environ(), defectVariable+"="+defect)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the suite passes an environment that %q", defect)
			}
			if !strings.Contains(string(out), want) {
				t.Errorf("the suite fails, and does not say %q:\n%s", want, out)
			}
		})
	}
}
