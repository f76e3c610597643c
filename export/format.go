package export

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"mlgym/gym"
	"mlgym/internal/nearest"
	"mlgym/model"
	"mlgym/trajectory"
)

// Format is a form of data; see docs/format/export.md.
type Format string

// The formats.
const (
	SFT            Format = "sft"
	DPO            Format = "dpo"
	OpenAIMessages Format = "openai-messages"
	Transitions    Format = "transitions"
	ATIF           Format = "atif"
)

// Formats lists them.
func Formats() []Format { return []Format{SFT, DPO, OpenAIMessages, Transitions, ATIF} }

// ParseFormat reads the name of a format; the error names the nearest.
func ParseFormat(name string) (Format, error) {
	var known []string
	for _, f := range Formats() {
		if string(f) == name {
			return f, nil
		}
		known = append(known, string(f))
	}
	return "", fmt.Errorf("unknown format %q%s (one of %v)", name, nearest.Hint(name, known), known)
}

// Options say what is written.
type Options struct {
	Format Format
	// MinGap is how far the scores of a preference pair differ at least.
	MinGap float64
	// Pairs bounds the pairs of a group of comparable runs; 0 means no bound.
	Pairs int
	// Progress is told how many of the chosen runs are done; it may be nil.
	Progress func(done, total int)
}

// Stats say what was written.
type Stats struct {
	Runs  int       `json:"runs"`
	Lines int       `json:"lines"`
	Left  []LeftOut `json:"-"`
}

// origin says in every line where it comes from.
type origin struct {
	RunID       string   `json:"run_id"`
	Task        string   `json:"task"`
	TaskVersion string   `json:"task_version,omitempty"`
	Variant     string   `json:"variant,omitempty"`
	Mode        string   `json:"mode,omitempty"`
	Agent       string   `json:"agent"`
	Model       string   `json:"model,omitempty"`
	Seed        uint64   `json:"seed"`
	Metric      string   `json:"metric,omitempty"`
	Score       *float64 `json:"score"`
	Reward      float64  `json:"reward"`
	ExitStatus  string   `json:"exit_status"`
}

func (c *Chosen) origin() origin {
	m, r := c.Manifest, c.Result
	o := origin{
		RunID: m.RunID, Task: m.Task, TaskVersion: m.TaskVersion, Variant: m.Variant, Mode: m.Mode, Agent: m.Agent, Model: m.Model, Seed: m.Seed,
		Metric: m.PrimaryMetric, Reward: r.Reward, ExitStatus: r.ExitStatus.String(),
	}
	if v, ok := c.score(); ok {
		o.Score = &v
	}
	return o
}

// Write writes the chosen runs. A run whose record cannot be read is left out and
// named in the stats; an error is one of the writer, or of ctx.
func Write(ctx context.Context, w io.Writer, chosen []*Chosen, o Options) (Stats, error) {
	out := &writer{enc: json.NewEncoder(w)}
	out.enc.SetEscapeHTML(false)
	if o.Format == DPO {
		return out.stats, out.pairs(ctx, chosen, o)
	}
	one := map[Format]func(*Chosen) error{SFT: out.sft, OpenAIMessages: out.requests, Transitions: out.transitions, ATIF: out.atif}[o.Format]
	if one == nil {
		return out.stats, fmt.Errorf("unknown format %q", o.Format)
	}
	for i, c := range chosen {
		if err := ctx.Err(); err != nil {
			return out.stats, err
		}
		if err := one(c); err != nil {
			if out.failed != nil {
				return out.stats, out.failed
			}
			out.stats.Left = append(out.stats.Left, LeftOut{c.Dir, err.Error()})
			continue
		}
		out.stats.Runs++
		if o.Progress != nil {
			o.Progress(i+1, len(chosen))
		}
	}
	return out.stats, nil
}

type writer struct {
	enc    *json.Encoder
	stats  Stats
	failed error // of the writer itself
}

func (w *writer) line(v any) error {
	if err := w.enc.Encode(v); err != nil {
		w.failed = fmt.Errorf("write: %w", err)
		return w.failed
	}
	w.stats.Lines++
	return nil
}

// sft writes a run as one conversation.
func (w *writer) sft(c *Chosen) error {
	talk, err := converse(c.Dir)
	if err != nil {
		return err
	}
	if len(talk.turns) == 0 {
		return errNoTurns
	}
	return w.line(struct {
		Messages []Message `json:"messages"`
		Origin   origin    `json:"mlgym"`
	}{talk.messages(), c.origin()})
}

var errNoTurns = fmt.Errorf("the agent said nothing")

// requests writes each request to a model as it was sent.
func (w *writer) requests(c *Chosen) error {
	var h history
	made := 0
	err := each(c.Dir, func(e *trajectory.Event) error {
		if e.Turn == nil {
			return nil
		}
		for _, x := range e.Turn.Turn.Exchanges {
			got, err := h.add(x)
			if err != nil {
				return err
			}
			if got.response == nil {
				continue
			}
			answer := messageOf(got.response.Message)
			answer.Role = string(model.Assistant)
			if err := w.line(struct {
				Messages   []Message   `json:"messages"`
				Completion Message     `json:"completion"`
				Step       int         `json:"step"`
				Accepted   bool        `json:"accepted"`
				Usage      model.Usage `json:"usage"`
				Origin     origin      `json:"mlgym"`
			}{messagesOf(got.prompt), answer, e.Turn.Step, got.accepted, got.response.Usage, c.origin()}); err != nil {
				return err
			}
			made++
		}
		return nil
	})
	if err == nil && made == 0 {
		err = fmt.Errorf("no model was asked in this run")
	}
	return err
}

// transition is one line of Transitions.
type transition struct {
	Step            int             `json:"step"`
	Observation     gym.Observation `json:"observation"`
	Action          gym.Action      `json:"action"`
	Thought         string          `json:"thought,omitempty"`
	Reward          float64         `json:"reward"`
	NextObservation gym.Observation `json:"next_observation"`
	Terminated      bool            `json:"terminated"`
	Truncated       bool            `json:"truncated"`
	Origin          origin          `json:"mlgym"`
}

// transitions writes each step. What a limit led to after the last one (a final
// grading, its reward) belongs to the last step.
func (w *writer) transitions(c *Chosen) error {
	var obs gym.Observation
	var last *transition
	thought := ""
	flush := func() error {
		if last == nil {
			return nil
		}
		line := *last
		last = nil
		return w.line(line)
	}
	err := each(c.Dir, func(e *trajectory.Event) error {
		switch {
		case e.Reset != nil:
			obs = e.Reset.Observation
		case e.Turn != nil:
			thought = e.Turn.Turn.Thought
		case e.Step != nil:
			if err := flush(); err != nil {
				return err
			}
			t := e.Step.Transition
			last = &transition{e.Step.Step, obs, e.Step.Action, thought, t.Reward, t.Observation, t.Terminated, t.Truncated, c.origin()}
			obs = t.Observation
		case e.End != nil && e.End.Transition != nil && last != nil:
			last.Reward += e.End.Transition.Reward
			last.Terminated, last.Truncated = e.End.Transition.Terminated, e.End.Transition.Truncated
		}
		return nil
	})
	if err != nil {
		return err
	}
	if last == nil {
		return errNoTurns
	}
	return flush()
}

// pairs writes better and worse attempts on the same task: the best with the
// worst, the second best with the second worst, and so on.
func (w *writer) pairs(ctx context.Context, chosen []*Chosen, o Options) error {
	groups := map[group][]*Chosen{}
	var order []group
	for _, c := range chosen {
		if _, ok := c.score(); !ok {
			continue
		}
		if groups[c.group()] == nil {
			order = append(order, c.group())
		}
		groups[c.group()] = append(groups[c.group()], c)
	}
	used := map[string]bool{}
	for _, g := range order {
		runs := ranked(groups[g])
		made := 0
		for i, j := 0, len(runs)-1; i < j && (o.Pairs == 0 || made < o.Pairs); i, j = i+1, j-1 {
			if err := ctx.Err(); err != nil {
				return err
			}
			a, _ := runs[i].score()
			b, _ := runs[j].score()
			if gap := max(a-b, b-a); gap == 0 || gap < o.MinGap {
				break // those between are closer still
			}
			if err := w.pair(runs[i], runs[j]); err != nil {
				if w.failed != nil {
					return w.failed
				}
				w.stats.Left = append(w.stats.Left, LeftOut{runs[i].Dir, err.Error()})
				continue
			}
			made++
			used[runs[i].Dir], used[runs[j].Dir] = true, true
		}
	}
	w.stats.Runs = len(used)
	return nil
}

func (w *writer) pair(better, worse *Chosen) error {
	a, err := converse(better.Dir)
	if err != nil {
		return err
	}
	b, err := converse(worse.Dir)
	if err != nil {
		return fmt.Errorf("%s: %w", worse.Dir, err)
	}
	if len(a.turns) == 0 || len(b.turns) == 0 {
		return errNoTurns
	}
	if !slices.EqualFunc(a.opening, b.opening, func(x, y Message) bool { return x.Role == y.Role && x.Content == y.Content }) {
		return fmt.Errorf("it opens otherwise than %s: another scaffold, or another text of the task", worse.Dir)
	}
	return w.line(struct {
		Prompt   []Message `json:"prompt"`
		Chosen   []Message `json:"chosen"`
		Rejected []Message `json:"rejected"`
		Better   origin    `json:"mlgym_chosen"`
		Worse    origin    `json:"mlgym_rejected"`
	}{a.opening, a.answers(), b.answers(), better.origin(), worse.origin()})
}
