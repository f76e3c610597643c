package wire

import (
	"errors"
	"io"
	"sync"
)

// ErrClosed is returned by the streams of a connection that has ended.
var ErrClosed = errors.New("connection closed")

// Sender sends the bytes of one descriptor of one stream within its window.
type Sender struct {
	w      *Writer
	stream uint32
	fd     uint8

	mu     sync.Mutex
	cond   *sync.Cond
	credit int
	closed error
}

// NewSender returns a Sender with a full window.
func NewSender(w *Writer, stream uint32, fd uint8) *Sender {
	s := &Sender{w: w, stream: stream, fd: fd, credit: Window}
	s.cond = sync.NewCond(&s.mu)
	return s
}

// Write sends p and blocks while the window is used up.
func (s *Sender) Write(p []byte) (int, error) {
	sent := 0
	for len(p) > 0 {
		s.mu.Lock()
		for s.credit == 0 && s.closed == nil {
			s.cond.Wait()
		}
		if s.closed != nil {
			s.mu.Unlock()
			return sent, s.closed
		}
		n := min(len(p), s.credit, MaxData)
		s.credit -= n
		s.mu.Unlock()
		if err := s.w.Write(Data, s.stream, []byte{s.fd}, p[:n]); err != nil {
			return sent, err
		}
		sent += n
		p = p[n:]
	}
	return sent, nil
}

// Credit gives back n bytes of the window.
func (s *Sender) Credit(n int) {
	s.mu.Lock()
	s.credit = min(s.credit+n, Window)
	s.mu.Unlock()
	s.cond.Broadcast()
}

// Abort makes Write return err from now on.
func (s *Sender) Abort(err error) {
	s.mu.Lock()
	if s.closed == nil {
		s.closed = err
	}
	s.mu.Unlock()
	s.cond.Broadcast()
}

// Close tells the other side that no more will come.
func (s *Sender) Close() error {
	s.mu.Lock()
	done := s.closed != nil
	if !done {
		s.closed = ErrClosed
	}
	s.mu.Unlock()
	s.cond.Broadcast()
	if done {
		return nil
	}
	return s.w.Write(CloseFD, s.stream, []byte{s.fd})
}

// Receiver buffers the bytes of one descriptor of one stream, at most a window
// of them, until they are read.
type Receiver struct {
	w      *Writer
	stream uint32
	fd     uint8

	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	err    error // io.EOF, or why the stream broke
	closed bool
}

// NewReceiver returns a Receiver that returns credit through w.
func NewReceiver(w *Writer, stream uint32, fd uint8) *Receiver {
	r := &Receiver{w: w, stream: stream, fd: fd}
	r.cond = sync.NewCond(&r.mu)
	return r
}

// Push adds bytes that arrived; it fails when the sender ignored the window.
func (r *Receiver) Push(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil // late bytes of a stream that was given up
	}
	if r.closed {
		return r.w.WriteAck(r.stream, r.fd, len(p))
	}
	if len(r.buf)+len(p) > Window {
		return ErrFrame
	}
	r.buf = append(r.buf, p...)
	r.cond.Broadcast()
	return nil
}

// End says that nothing more will come: io.EOF or the reason.
func (r *Receiver) End(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.cond.Broadcast()
}

// Read implements io.Reader.
func (r *Receiver) Read(p []byte) (int, error) {
	r.mu.Lock()
	for len(r.buf) == 0 && r.err == nil && !r.closed {
		r.cond.Wait()
	}
	if r.closed {
		r.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	if len(r.buf) == 0 {
		err := r.err
		r.mu.Unlock()
		return 0, err
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	if len(r.buf) == 0 {
		r.buf = nil
	}
	ended := r.err != nil
	r.mu.Unlock()
	if ended {
		return n, nil
	}
	return n, r.w.WriteAck(r.stream, r.fd, n)
}

// Discard gives up reading; what is there and what still comes is dropped and
// its credit returned, so that the sender is not held up.
func (r *Receiver) Discard() {
	r.mu.Lock()
	n := len(r.buf)
	r.buf = nil
	r.closed = true
	ended := r.err != nil
	r.mu.Unlock()
	r.cond.Broadcast()
	if n > 0 && !ended {
		// A connection that is gone needs no credit.
		_ = r.w.WriteAck(r.stream, r.fd, n)
	}
}
