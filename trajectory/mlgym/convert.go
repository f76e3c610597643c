package mlgym

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/trajectory"
)

// Sink takes the events of a record, as [trajectory.Writer] does.
type Sink interface {
	Write(trajectory.Event) error
}

// scoreMark stands in the answer to a validation that succeeded.
var scoreMark = []byte("Evaluation Score: {")

// Convert writes the record of a run as events of ours. Every action and every
// answer is kept, and the statement of the task, but not what the system prompt said
// of MLGym's own commands. What MLGym did not record is left empty: the times of day (events are dated from start on by the recorded duration of
// the commands), and tokens by turn, so that the sums for the whole run stand
// in its last turn.
//
// Evaluations are given to the validations that were answered with a score;
// the one that is left over is that of the end. Where their numbers do not
// match, all stand at the end, and a note says so. Scores that are not finite
// cannot be written and are noted.
func Convert(e Entry, start time.Time, out Sink) (*Run, error) {
	// The scores and the end are needed before the steps are written, so the
	// record is scanned twice rather than held.
	graded := 0
	run := ReadRun(e, Options{Want: FieldHead}, func(st *Step) error {
		if isGraded(st) {
			graded++
		}
		return nil
	})
	c := converter{run: run, out: out, now: start, attempts: run.Results.Attempts}
	if !run.HasResults && !run.HasTraj {
		return run, ErrNothing
	}
	if err := c.begin(graded); err != nil {
		return run, err
	}
	if run.TrajExist {
		var fault error
		ReadRun(e, Options{Want: FieldObservation | FieldState | FieldThought}, func(st *Step) error {
			fault = c.step(st)
			return fault
		})
		if fault != nil {
			return run, fault
		}
	}
	return run, c.finish()
}

func isGraded(st *Step) bool {
	return bytes.Contains(st.Observation, scoreMark) && bytes.Contains(st.Action, []byte("validate"))
}

type converter struct {
	run      *Run
	out      Sink
	now      time.Time
	attempts []Scores
	// matched says that attempts can be given to steps.
	matched bool
	given   int
	// pending is the step before the one that was read last: whether it was
	// the last one is known only then.
	pending *trajectory.Event
	turn    *trajectory.Event
	steps   int
}

func (c *converter) write(e trajectory.Event) error {
	e.At = c.now
	return c.out.Write(e)
}

func (c *converter) note(format string, args ...any) error {
	return c.write(trajectory.Event{Note: &trajectory.Note{Text: fmt.Sprintf(format, args...)}})
}

func (c *converter) begin(graded int) error {
	c.matched = len(c.attempts) == graded || len(c.attempts) == graded+1
	if err := c.write(trajectory.Event{Reset: &trajectory.Reset{
		Observation: gym.Observation{Text: valid([]byte(c.run.Trailer.Statement)), StepsLeft: stepLimit, WorkingDir: "/home/agent/workspace"},
	}}); err != nil {
		return err
	}
	if err := c.note("imported from MLGym's run folder %s", c.run.Folder); err != nil {
		return err
	}
	for _, p := range c.run.Problems {
		what := string(p.File)
		if err := c.note("%s: %s", what, p.Note); err != nil {
			return err
		}
	}
	if !c.matched {
		return c.note("%d evaluations and %d validations with a score do not match; all evaluations stand at the end", len(c.attempts), graded)
	}
	return nil
}

// stepLimit is after how many steps MLGym ends a run; the action of the step
// after it was never executed.
const stepLimit = 50

// pseudoAction names what ended an episode: pseudo-actions record
// how MLGym's agent loop did so.
func pseudoAction(action string) gym.Cause {
	endings := []gym.Cause{gym.CauseFormat, gym.CauseContext, gym.CauseCost, gym.CauseAPI, gym.CauseError}
	if cause := gym.Cause(strings.TrimSpace(action)); slices.Contains(endings, cause) {
		return cause
	}
	return ""
}

func (c *converter) step(st *Step) error {
	if c.pending != nil {
		// MLGym says what was open before a step, we what is open after it.
		obs := &c.pending.Step.Transition.Observation
		obs.OpenFile, obs.WorkingDir = valid(st.OpenFile), valid(st.WorkingDir)
	}
	if err := c.flush(); err != nil {
		return err
	}
	turn := &trajectory.Turn{Step: c.steps + 1, Turn: agent.Turn{
		Action: gym.Action{Command: string(st.Action)}, Thought: valid(st.Thought),
	}}
	turn.Turn.Action.Command = valid(st.Action)
	if cause := pseudoAction(string(st.Action)); cause != "" {
		turn.Turn.Action, turn.Turn.Stop = gym.Action{}, cause
		c.turn = &trajectory.Event{Turn: turn, At: c.now}
		return nil
	}
	if string(st.Observation) == "Exited (max_steps)" || st.Number > stepLimit && len(st.Observation) == 0 {
		c.turn = &trajectory.Event{Turn: turn, At: c.now}
		return nil
	}
	c.steps++
	obs := gym.Observation{Text: valid(st.Observation), Step: c.steps, StepsLeft: -1}
	step := &trajectory.Step{Step: c.steps, Action: turn.Turn.Action, Transition: gym.Transition{
		Observation: obs, Info: gym.Info{Seconds: st.Seconds},
	}}
	if st.Seconds > 0 && st.Seconds < 1e7 {
		c.now = c.now.Add(time.Duration(st.Seconds * float64(time.Second)))
	}
	if c.matched && isGraded(st) {
		step.Transition.Info.Evaluations = c.evaluations(gym.Validate, c.given, c.given+1)
		c.given++
	}
	c.turn, c.pending = &trajectory.Event{Turn: turn, At: c.now}, &trajectory.Event{Step: step, At: c.now}
	return nil
}

// flush writes the step that was held back.
func (c *converter) flush() error {
	for _, e := range []*trajectory.Event{c.turn, c.pending} {
		if e != nil {
			if err := c.out.Write(*e); err != nil {
				return err
			}
		}
	}
	c.turn, c.pending = nil, nil
	return nil
}

// evaluations are the attempts from … to−1 as evaluations of ours.
func (c *converter) evaluations(kind gym.Kind, from, to int) []gym.Evaluation {
	var out []gym.Evaluation
	for _, scores := range c.attempts[from:to] {
		ev := gym.Evaluation{Kind: kind, Step: c.steps, Scores: gym.Scores{}, At: c.now}
		for _, m := range scores {
			if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
				ev.Message = "the recorded score is not finite"
				continue
			}
			ev.Scores[m.Name] = m.Value
		}
		out = append(out, ev)
	}
	return out
}

func (c *converter) finish() error {
	t := c.run.Trailer
	status, parsed := c.status()
	end := &trajectory.End{ExitStatus: status}
	if !parsed {
		end.Reason = "MLGym recorded the exit status " + fmt.Sprintf("%q", t.ExitStatus)
	}
	rest := c.evaluations(gym.Submit, c.given, len(c.attempts))
	for i := range rest[:max(len(rest)-1, 0)] {
		rest[i].Kind = gym.Validate
	}
	transition := gym.Transition{
		Observation: gym.Observation{Step: c.steps, StepsLeft: -1},
		Terminated:  status.Outcome == gym.Submitted, Truncated: status.Outcome != gym.Submitted,
		Info: gym.Info{ExitStatus: status, Evaluations: rest},
	}
	if c.turn != nil {
		usage := t.Usage
		if usage.HasTokens {
			response := &model.Response{Usage: model.Usage{InputTokens: int64(usage.TokensSent), OutputTokens: int64(usage.TokensReceived)}}
			if !math.IsNaN(usage.RecordedCostTotal) {
				response.CostUSD = &usage.RecordedCostTotal
			}
			c.turn.Turn.Turn.Exchanges = []agent.Exchange{{Response: response, Problem: "sum of all requests of the run"}}
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	end.Transition = &transition
	if len(rest) > 0 {
		end.Final = &rest[len(rest)-1]
	}
	return c.write(trajectory.Event{End: end})
}

func (c *converter) status() (gym.ExitStatus, bool) {
	t := c.run.Trailer
	if t.HasExitStatus && t.ExitStatus != "" {
		status, err := gym.ParseExitStatus(t.ExitStatus)
		if err == nil {
			return status, true
		}
		return gym.ExitStatus{Outcome: gym.UnknownError}, false
	}
	return gym.ExitStatus{Outcome: gym.UnknownError}, true
}

// valid makes UTF-8 of what may hold lone surrogates.
func valid(text []byte) string { return strings.ToValidUTF8(string(text), "\uFFFD") }

// ErrNothing is returned for a folder without a file that could be read.
var ErrNothing = errors.New("neither of the run's files could be read")
