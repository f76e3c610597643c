package export

import (
	"context"
	"errors"
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
	Turns          Format = "turns"
)

// Formats lists them.
func Formats() []Format { return []Format{SFT, DPO, OpenAIMessages, Turns, Transitions, ATIF} }

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
	// Encoding is JSONL where empty.
	Encoding Encoding
	// RequireTokens leaves out requests without a complete [model.TokenRecord], and
	// of formats that have a line for each run, runs in which the agent took the
	// answer of such a request, or of none.
	RequireTokens bool
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
	RunID       string   `json:"run_id" parquet:"run_id"`
	Task        string   `json:"task" parquet:"task"`
	TaskVersion string   `json:"task_version,omitempty" parquet:"task_version,optional"`
	Variant     string   `json:"variant,omitempty" parquet:"variant,optional"`
	Mode        string   `json:"mode,omitempty" parquet:"mode,optional"`
	Agent       string   `json:"agent" parquet:"agent"`
	Model       string   `json:"model,omitempty" parquet:"model,optional"`
	Seed        uint64   `json:"seed" parquet:"seed"`
	Metric      string   `json:"metric,omitempty" parquet:"metric,optional"`
	Score       *float64 `json:"score" parquet:"score,optional"`
	Reward      float64  `json:"reward" parquet:"reward"`
	ExitStatus  string   `json:"exit_status" parquet:"exit_status"`
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
	if err := o.Check(); err != nil {
		return Stats{}, err
	}
	sink, err := newSink(w, o)
	if err != nil {
		return Stats{}, err
	}
	out := &writer{sink: sink, requireTokens: o.RequireTokens}
	if o.Format == DPO {
		err = out.pairs(ctx, chosen, o)
	} else {
		err = out.each(ctx, chosen, o)
	}
	if err != nil {
		return out.stats, err
	}
	if err := sink.close(); err != nil {
		return out.stats, fmt.Errorf("write: %w", err)
	}
	return out.stats, nil
}

// Check refuses options that do not go together.
func (o Options) Check() error {
	if _, err := ParseFormat(string(o.Format)); err != nil {
		return err
	}
	if o.Format == ATIF && o.Encoding == Parquet {
		return ErrNoParquet
	}
	if o.RequireTokens && (o.Format == DPO || o.Format == Transitions) {
		return fmt.Errorf("lines of %s hold no tokens to be required: take sft, openai-messages, turns or atif", o.Format)
	}
	return nil
}

// each writes the runs one after the other.
func (w *writer) each(ctx context.Context, chosen []*Chosen, o Options) error {
	one := map[Format]func(*Chosen) error{SFT: w.sft, OpenAIMessages: w.requests, Turns: w.turns, Transitions: w.transitions, ATIF: w.atif}[o.Format]
	for i, c := range chosen {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := w.stats.Lines
		if err := one(c); err != nil {
			if w.failed != nil {
				return w.failed
			}
			w.stats.Left = append(w.stats.Left, LeftOut{c.Dir, err.Error()})
		}
		if w.stats.Lines > before {
			w.stats.Runs++
		}
		if o.Progress != nil {
			o.Progress(i+1, len(chosen))
		}
	}
	return nil
}

type writer struct {
	sink          sink
	requireTokens bool
	stats         Stats
	failed        error // of the writer itself
}

func (w *writer) line(v any) error {
	if err := w.sink.put(v); err != nil {
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
	messages, tokens := talk.messages()
	if w.requireTokens && !talk.complete() {
		return errNoTokens
	}
	return w.line(sftLine{messages, tokens, c.origin()})
}

var (
	errNoTurns  = errors.New("the agent said nothing")
	errNoModel  = errors.New("no model was asked in this run, or its requests were not recorded")
	errNoTokens = errors.New("its tokens are not all known (mlgym run --record-tokens keeps them, where the model's server tells them)")
)

// asked calls fn for each request of a run that was answered, and says why where it
// never did.
func (w *writer) asked(c *Chosen, fn func(step, call int, x exchange) error) error {
	var h history
	calls, made := map[int]int{}, 0
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
			made++
			// A turn that was cut is taken again, so its step may have several.
			call := calls[e.Turn.Step]
			calls[e.Turn.Step]++
			if w.requireTokens && !got.response.Tokens.Complete() {
				continue
			}
			if err := fn(e.Turn.Step, call, got); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && made == 0 {
		err = errNoModel
	}
	return err
}

// requests writes each request to a model as it was sent.
func (w *writer) requests(c *Chosen) error {
	return w.some(c, func(step, _ int, x exchange) error {
		return w.line(requestLine{
			messagesOf(x.prompt), answerOf(x.response), step, x.accepted, usage(x.response.Usage), tokensOf(x.response), c.origin(),
		})
	})
}

// turns writes each request to a model as a trainer takes it.
func (w *writer) turns(c *Chosen) error {
	return w.some(c, func(step, call int, x exchange) error {
		r := x.response
		return w.line(turnLine{
			NodeID:     fmt.Sprintf("%s/%d/%d", c.Manifest.RunID, step, call),
			callTokens: tokensOf(r),
			Request:    turnRequest{c.Manifest.Model, messagesOf(x.prompt)},
			Response:   turnResponse{r.Model, answerOf(r), string(r.StopReason), usage(r.Usage)},
			Metadata:   turnMetadata{c.origin(), step, x.accepted, x.problem},
		})
	})
}

// some writes what fn makes of a run's requests, and says so where that is nothing.
func (w *writer) some(c *Chosen, fn func(step, call int, x exchange) error) error {
	before := w.stats.Lines
	err := w.asked(c, fn)
	if err == nil && w.stats.Lines == before {
		return errNoTokens // nothing else leaves a request out
	}
	return err
}

// answerOf is what a model said, as a message.
func answerOf(r *model.Response) Message {
	m := messageOf(r.Message)
	m.Role = string(model.Assistant)
	return m
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
			last = &transition{e.Step.Step, observation(obs), action(e.Step.Action), thought, t.Reward, observation(t.Observation), t.Terminated, t.Truncated, c.origin()}
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
	return w.line(pairLine{a.opening, a.answers(), b.answers(), better.origin(), worse.origin()})
}
