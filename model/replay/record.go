package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"mlgym/model"
)

// Recorder is a Model that writes what another one answers to a cassette. It is
// safe for concurrent use where the other is.
type Recorder struct {
	next model.Model

	mu sync.Mutex // one line at a time
	w  io.Writer
}

// NewRecorder returns a Recorder of next and writes the cassette's first line to
// w. The caller owns w. Each exchange is one further Write, before its answer is
// returned, so a crash leaves at most the last line torn.
func NewRecorder(next model.Model, w io.Writer) (*Recorder, error) {
	r := &Recorder{next: next, w: w}
	if err := r.write(header{Format: format, Version: Version}); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Recorder) write(v any) error {
	line, err := encodeTree(v)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// Generate asks the other model and records the exchange. A *model.Error is
// recorded too; the end of the caller's context is not.
func (r *Recorder) Generate(ctx context.Context, req *model.Request) (*model.Response, error) {
	normal, err := normalise(req)
	if err != nil {
		return nil, err
	}
	resp, err := r.next.Generate(ctx, req)
	rec := record{Key: key(normal), Request: json.RawMessage(normal), Response: resp}
	if err != nil {
		var e *model.Error
		if !errors.As(err, &e) {
			return nil, err
		}
		rec.Response = nil
		rec.Error = &failure{Kind: e.Kind, Provider: e.Provider, Status: e.Status, Message: e.Message}
	}
	if writeErr := r.write(rec); writeErr != nil {
		return nil, errors.Join(err, writeErr)
	}
	return resp, err
}
