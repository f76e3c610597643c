package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"mlgym/agent"
	"mlgym/model"
	"mlgym/runstore"
)

// Exchange is one request to a model, as it was sent, and what came back.
type Exchange struct {
	// Messages of the request, all of them; from New on they are those that the
	// request before did not have.
	Messages []model.Message `json:"messages"`
	New      int             `json:"new"`
	Request
	// Answer is nil where there was none.
	Answer *model.Message `json:"answer"`
	// Note says what is to be known of it, such as that messages are missing.
	Note string `json:"note,omitempty"`
}

// Prompt returns the requests to a model that led to a step, in order, with the
// exact messages that were sent: none where no model was asked. Of a published run it
// is one, with the history up to the step, which MLGym may have shortened before it
// sent it.
func (r *Run) Prompt(ctx context.Context, n int) ([]Exchange, error) {
	s := r.state.Load()
	s.mu.RLock()
	steps := len(s.steps)
	s.mu.RUnlock()
	if n < 0 || n >= steps {
		return nil, fmt.Errorf("%w: %d of %d", ErrNoStep, n, steps-1)
	}
	if n == 0 {
		return []Exchange{}, nil
	}
	if r.name != nil {
		return r.publishedPrompt(ctx, n)
	}
	out, err := r.ownPrompt(ctx, n)
	if errors.Is(err, ErrChanged) {
		if _, err := r.Refresh(ctx); err != nil {
			return nil, err
		}
		out, err = r.ownPrompt(ctx, n)
	}
	return out, err
}

// piece are messages of one request that later ones begin with.
type piece struct {
	link
	from, to int
}

// pieces says where the messages of a request stand, in order. The note says what
// is missing.
func (s *state) pieces(i int) ([]piece, string) {
	l := s.chain[i]
	list := []piece{{l, 0, int(l.fresh)}}
	need := int(l.history - l.fresh)
	if need < 0 {
		return list, fmt.Sprintf("the record is at odds with itself: %d messages are new in a request of %d", l.fresh, l.history)
	}
	for i--; need > 0; i-- {
		if i < 0 {
			return list, fmt.Sprintf("the record does not hold the first %d messages", need)
		}
		before := s.chain[i]
		if before.history == 0 {
			continue // a sum of requests that were not recorded
		}
		if int(before.history) < need {
			return list, fmt.Sprintf("the record is at odds with itself: a request begins with %d messages of one that had %d", need, before.history)
		}
		kept := int(before.history - before.fresh)
		if kept < 0 {
			return list, fmt.Sprintf("the record does not hold the first %d messages", need)
		}
		if kept < need {
			list = append(list, piece{before, 0, need - kept})
			need = kept
		}
	}
	for a, b := 0, len(list)-1; a < b; a, b = a+1, b-1 {
		list[a], list[b] = list[b], list[a]
	}
	return list, ""
}

func (r *Run) ownPrompt(ctx context.Context, n int) ([]Exchange, error) {
	s := r.state.Load()
	s.mu.RLock()
	if n >= len(s.steps) {
		s.mu.RUnlock()
		return nil, fmt.Errorf("%w: %d of %d", ErrNoStep, n, len(s.steps)-1)
	}
	st := s.steps[n]
	var lists [][]piece
	var notes []string
	var links []link
	for i := st.links; i < st.linksEnd; i++ {
		list, note := s.pieces(int(i))
		if note != "" {
			list = list[:1]
		}
		lists, notes, links = append(lists, list), append(notes, note), append(links, s.chain[i])
	}
	s.mu.RUnlock()
	if len(lists) == 0 {
		return []Exchange{}, nil
	}
	file, _, err := open(filepath.Join(r.dir, runstore.TrajectoryName))
	if err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	defer file.Close()
	reader := exchangeReader{file: file}
	out := make([]Exchange, 0, len(lists))
	for i, list := range lists {
		var x Exchange
		for _, p := range list {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			from, err := reader.read(p.link)
			if err != nil {
				return nil, err
			}
			x.Messages = append(x.Messages, from.Messages[p.from:p.to]...)
		}
		own, err := reader.read(links[i])
		if err != nil {
			return nil, err
		}
		x.New = len(x.Messages) - len(own.Messages)
		x.Request, x.Note = requestOf(own), notes[i]
		if links[i].history == 0 && len(own.Messages) == 0 {
			x.Note = "the messages of this request were not recorded"
		}
		if own.Response != nil {
			x.Answer = &own.Response.Message
		}
		out = append(out, x)
	}
	return out, nil
}

// exchangeReader reads requests from a record; it keeps the line that it read last.
type exchangeReader struct {
	file io.ReaderAt
	at   span
	list []agent.Exchange
}

func (e *exchangeReader) read(l link) (agent.Exchange, error) {
	if e.list == nil || e.at != l.turn {
		event, err := readEvent(e.file, l.turn)
		if err != nil {
			return agent.Exchange{}, err
		}
		switch {
		case event.Turn != nil:
			e.list = event.Turn.Turn.Exchanges
		case event.Fault != nil:
			e.list = event.Fault.Exchanges
		}
		e.at = l.turn
	}
	if int(l.part) >= len(e.list) || len(e.list[l.part].Messages) != int(l.fresh) {
		return agent.Exchange{}, ErrChanged
	}
	return e.list[l.part], nil
}

// maxHistoryBytes is up to how large a published record its history is read from.
const maxHistoryBytes = 512 << 20

// publishedPrompt returns the history of a published run up to a step.
func (r *Run) publishedPrompt(ctx context.Context, n int) ([]Exchange, error) {
	x := Exchange{Note: "this is the history that MLGym recorded; what it left out of it before it asked the model is not known"}
	found, err := r.history(ctx, n, &x)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil && found {
		return []Exchange{x}, nil
	}
	// Put together from the steps.
	x = Exchange{Note: "the record has no history that can be read; this is put together from its steps"}
	if err == nil {
		x.Note = "no request led to this step, or the record does not hold it; this is put together from the steps before"
	}
	steps, err := r.Steps(ctx, 0, n+1)
	if err != nil {
		return nil, err
	}
	for _, st := range steps {
		if st.Number > 0 {
			answer := model.Message{Role: model.Assistant, Text: st.Thought + "\n" + st.Action}
			if st.Number == n {
				if st.Stop == "" {
					x.Answer = &answer
				}
				break
			}
			x.New = len(x.Messages)
			x.Messages = append(x.Messages, answer)
		}
		x.Messages = append(x.Messages, model.Message{Role: model.User, Text: st.Observation})
	}
	return []Exchange{x}, nil
}

// history reads the history of a published run up to the nth answer of the agent;
// it reports whether there is one.
func (r *Run) history(ctx context.Context, n int, x *Exchange) (found bool, err error) {
	path := r.trajPath()
	file, info, err := open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	if info.size > maxHistoryBytes {
		return false, fmt.Errorf("the record has %d bytes, more than are read for a history", info.size)
	}
	in := json.NewDecoder(file)
	if t, err := in.Token(); err != nil || t != json.Delim('{') {
		return false, errors.Join(err, errors.New("the text is not an object"))
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return false, err
		}
		if key != "history" {
			if err := skipValue(ctx, in); err != nil {
				return false, err
			}
			continue
		}
		return historyUpTo(ctx, in, n, x)
	}
	return false, nil
}

// skipValue goes past one value without holding more than one text of it.
func skipValue(ctx context.Context, in *json.Decoder) error {
	for depth := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err := in.Token()
		if err != nil {
			return err
		}
		if d, ok := t.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
		}
		if depth == 0 {
			return nil
		}
	}
}

func historyUpTo(ctx context.Context, in *json.Decoder, n int, x *Exchange) (bool, error) {
	if t, err := in.Token(); err != nil || t != json.Delim('[') {
		return false, errors.Join(err, errors.New("the history is not a list"))
	}
	answers := 0
	for in.More() {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		var item struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
			Demo    bool            `json:"is_demo"`
		}
		if err := in.Decode(&item); err != nil {
			return false, err
		}
		m := model.Message{Role: model.Role(item.Role)}
		if json.Unmarshal(item.Content, &m.Text) != nil {
			m.Text = string(item.Content)
		}
		if m.Role == model.Assistant && !item.Demo {
			if answers++; answers == n {
				x.Answer = &m
				return true, nil
			}
			x.New = len(x.Messages)
		}
		x.Messages = append(x.Messages, m)
	}
	return false, nil
}
