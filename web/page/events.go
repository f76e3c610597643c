package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Stream is an answer of server-sent events. It is for one goroutine.
type Stream struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController
	// Last is the id of the last event that the browser saw before the connection
	// was lost, "" at first.
	Last string
}

// NewStream begins an answer of server-sent events.
func NewStream(w http.ResponseWriter, r *http.Request) *Stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	s := &Stream{w: w, ctrl: http.NewResponseController(w), Last: r.Header.Get("Last-Event-ID")}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte("retry: 2000\n\n")) // whoever is gone is seen at the first event
	_ = s.ctrl.Flush()
	return s
}

// Send sends an event: data as JSON, or, if it is a string, as it is.
func (s *Stream) Send(id, event string, data any) error {
	text, ok := data.(string)
	if !ok {
		b, err := json.Marshal(data)
		if err != nil {
			return err
		}
		text = string(b)
	}
	var out bytes.Buffer
	if id != "" {
		fmt.Fprintf(&out, "id: %s\n", strings.NewReplacer("\n", "", "\r", "", "\x00", "").Replace(id))
	}
	fmt.Fprintf(&out, "event: %s\n", event)
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") {
		fmt.Fprintf(&out, "data: %s\n", line)
	}
	out.WriteByte('\n')
	return s.write(out.Bytes())
}

// KeepAlive sends a comment, which shows whether the browser is still there.
func (s *Stream) KeepAlive() error { return s.write([]byte(": \n\n")) }

func (s *Stream) write(b []byte) error {
	_ = s.ctrl.SetWriteDeadline(time.Now().Add(20 * time.Second)) // not every writer has one
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.ctrl.Flush()
}

// Follow calls send for the first time at once and then after each sign of changed,
// and keeps the connection alive between, until the browser is gone, changed is closed, or send fails.
func (s *Stream) Follow(ctx context.Context, changed <-chan struct{}, send func() error) error {
	alive := time.NewTicker(15 * time.Second)
	defer alive.Stop()
	if err := send(); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, open := <-changed:
			if err = send(); err == nil && !open {
				return nil
			}
		case <-alive.C:
			err = s.KeepAlive()
		}
		if err != nil {
			return err
		}
	}
}
