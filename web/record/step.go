package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// Step is one step, whole.
type Step struct {
	Brief
	Thought string `json:"thought"`
	// Action as one text: shell text, or the tool and its arguments.
	Action string `json:"action"`
	// Tool and Args of a typed call, "" for shell text; Args are JSON.
	Tool string `json:"tool,omitempty"`
	Args string `json:"args,omitempty"`
	// StopReason says more about Stop.
	StopReason  string `json:"stop_reason,omitempty"`
	Observation string `json:"observation"`
	// OutputBytes is the size of the output before it was bounded, 0 where it is not
	// known.
	OutputBytes int64 `json:"output_bytes,omitempty"`
	// Was is where the editor and the shell stood before the action, Is after it; of
	// published runs Is is what the next step says.
	Was Place `json:"was"`
	Is  Place `json:"is"`
	// StepsLeft is how many actions remained after it, −1 for no limit or unknown.
	StepsLeft  int  `json:"steps_left"`
	Terminated bool `json:"terminated,omitempty"`
	Truncated  bool `json:"truncated,omitempty"`
	// Asked are the requests to a model that led to it, without their messages; see
	// [Run.Prompt].
	Asked []Request `json:"asked,omitempty"`
	// After is what happened after it, where it is the last step.
	After []Event `json:"after,omitempty"`
}

// Request is what a request to a model took.
type Request struct {
	Model      string           `json:"model,omitempty"`
	Seconds    float64          `json:"seconds"`
	Usage      model.Usage      `json:"usage"`
	CostUSD    *float64         `json:"cost_usd,omitempty"`
	StopReason model.StopReason `json:"stop_reason,omitempty"`
	// Problem says why the answer could not be used, Error why there was none.
	Problem string `json:"problem,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Step returns a step by its number, read from the files; 0 is the start. A
// number that the record does not have is an error that wraps [ErrNoStep]. Where
// the files were written anew since the last [Run.Refresh], they are read again.
func (r *Run) Step(ctx context.Context, n int) (Step, error) {
	steps, err := r.Steps(ctx, n, 1)
	if err == nil && len(steps) == 0 {
		err = fmt.Errorf("%w: %d of %d", ErrNoStep, n, r.Len())
	}
	if err != nil {
		return Step{}, err
	}
	return steps[0], nil
}

// maxStepsBytes is how much text one call of [Run.Steps] returns.
const maxStepsBytes = 16 << 20

// Steps returns n steps from a number on, fewer at the end, and fewer where they
// have more than 16 MB of text together; at least one where there is one.
func (r *Run) Steps(ctx context.Context, from, n int) ([]Step, error) {
	steps, err := r.steps(ctx, from, n)
	if errors.Is(err, ErrChanged) {
		if _, err := r.Refresh(ctx); err != nil {
			return nil, err
		}
		steps, err = r.steps(ctx, from, n)
	}
	return steps, err
}

func (r *Run) steps(ctx context.Context, from, n int) ([]Step, error) {
	s := r.state.Load()
	from = max(0, from)
	s.mu.RLock()
	to := min(len(s.steps), from+min(max(n, 0), len(s.steps)))
	var out []Step
	size := 0
	index := make([]stepIndex, 0, max(0, to-from))
	for i := from; i < to; i++ {
		st := &s.steps[i]
		size += int(st.thought) + int(st.action) + int(st.observation)
		if i > from && size > maxStepsBytes {
			break
		}
		step := Step{Brief: s.brief(i), StepsLeft: -1, Is: s.places[st.place]}
		if i > 0 {
			step.Was = s.places[s.steps[i-1].place]
		}
		if i == len(s.steps)-1 {
			step.After = s.listed(s.closing)
		}
		out, index = append(out, step), append(index, *st)
	}
	s.mu.RUnlock()
	if len(out) == 0 {
		return nil, nil
	}
	if r.name != nil {
		return out, r.publishedTexts(ctx, s, from, out)
	}
	return out, r.ownTexts(ctx, out, index)
}

// ownTexts fills in what the lines of the record hold.
func (r *Run) ownTexts(ctx context.Context, steps []Step, index []stepIndex) error {
	if len(steps) == 1 && index[0].turn.size == 0 && index[0].done.size == 0 {
		return nil
	}
	file, _, err := open(filepath.Join(r.dir, runstore.TrajectoryName))
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	defer file.Close()
	for i := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		step, st := &steps[i], &index[i]
		for _, where := range []span{st.turn, st.done} {
			if where.size == 0 {
				continue
			}
			e, err := readEvent(file, where)
			if err != nil {
				return err
			}
			if err := step.fill(e); err != nil {
				return err
			}
		}
		for _, list := range [][]Event{step.Before, step.After} {
			for j := range list {
				if err := list[j].fill(file); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readEvent reads the event that stands at a place.
func readEvent(file io.ReaderAt, where span) (*trajectory.Event, error) {
	raw := make([]byte, where.size)
	if _, err := file.ReadAt(raw, where.at); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrChanged, err)
	}
	var e trajectory.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrChanged, err)
	}
	return &e, nil
}

func (s *Step) fill(e *trajectory.Event) error {
	switch {
	case e.Reset != nil && s.Number == 0:
		o := e.Reset.Observation
		s.Observation, s.StepsLeft = o.Text, o.StepsLeft
	case e.Turn != nil && e.Turn.Step == s.Number:
		t := e.Turn.Turn
		s.Thought, s.StopReason = t.Thought, t.StopReason
		s.act(t.Action)
		s.Asked = requests(t.Exchanges)
	case e.Step != nil && e.Step.Step == s.Number:
		if s.Action == "" {
			s.act(e.Step.Action)
		}
		tr := &e.Step.Transition
		s.Observation, s.StepsLeft, s.OutputBytes = tr.Observation.Text, tr.Observation.StepsLeft, tr.Info.OutputBytes
		s.Terminated, s.Truncated, s.Fault = tr.Terminated, tr.Truncated, tr.Info.Fault
	default:
		return ErrChanged
	}
	return nil
}

func (s *Step) act(a gym.Action) {
	s.Action, s.Tool, s.Args = actionText(a), a.Tool, string(a.Args)
}

func requests(list []agent.Exchange) []Request {
	out := make([]Request, len(list))
	for i, x := range list {
		out[i] = requestOf(x)
	}
	return out
}

func requestOf(x agent.Exchange) Request {
	q := Request{Problem: x.Problem, Error: x.Error}
	if a := x.Response; a != nil {
		q.Model, q.Seconds, q.Usage, q.CostUSD, q.StopReason = a.Model, a.Latency.Seconds(), a.Usage, a.CostUSD, a.StopReason
	}
	return q
}

// fill reads the whole text of an event.
func (ev *Event) fill(file io.ReaderAt) error {
	if ev.where.size == 0 || !ev.Cut && ev.Kind != EventEnd {
		return nil
	}
	e, err := readEvent(file, ev.where)
	if err != nil {
		return err
	}
	switch {
	case e.Note != nil && ev.Kind == EventNote:
		ev.Text = e.Note.Text
	case e.Fault != nil && ev.Kind == EventFault:
		ev.Text = faultText(string(e.Fault.Source), e.Fault.Message, e.Fault.Resumable)
	case e.Resume != nil && ev.Kind == EventResume:
		l := resumeLine{Checkpoint: e.Resume.Checkpoint, Steps: e.Resume.Steps, Seconds: e.Resume.Seconds, Differences: e.Resume.Differences}
		ev.Text = l.text()
	case e.End != nil && ev.Kind == EventEnd:
		observation := ""
		if e.End.Transition != nil {
			observation = e.End.Transition.Observation.Text
		}
		ev.Text = endText(e.End.ExitStatus.String(), e.End.Reason, observation)
	default:
		return ErrChanged
	}
	ev.Cut = false
	return nil
}

// Observation returns what the environment answered to a step, whole.
func (r *Run) Observation(ctx context.Context, n int) (string, error) {
	step, err := r.Step(ctx, n)
	return step.Observation, err
}
