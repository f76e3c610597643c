package server

import (
	"bytes"
	"os"
	"sync"
	"time"
)

// sink reads the output of a shell for as long as anything holds it open and
// passes it to the collector of the moment. It looks out for a mark of random
// bytes by which the shell's drain knows that it has seen everything.
type sink struct {
	mu     sync.Mutex
	to     *collector
	mark   []byte
	seen   chan struct{}
	held   []byte // the start of a mark, perhaps
	closed chan struct{}
}

func newSink(to *collector) *sink { return &sink{to: to, closed: make(chan struct{})} }

// swap makes later output go to another collector and returns the one before.
func (s *sink) swap(to *collector) *collector {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.to
	s.to = to
	return before
}

// expect looks out for a new mark; the channel is closed when it was seen.
func (s *sink) expect(mark []byte) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass(s.held)
	s.held = nil
	s.mark = mark
	s.seen = make(chan struct{})
	return s.seen
}

func (s *sink) pass(p []byte) {
	if len(p) > 0 {
		_, _ = s.to.Write(p) // never fails
	}
}

func (s *sink) copyFrom(f *os.File) {
	defer close(s.closed)
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		s.write(buf[:n])
		if err != nil {
			return
		}
	}
}

func (s *sink) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mark == nil {
		s.pass(p)
		return
	}
	if len(s.held) > 0 {
		p = append(s.held, p...)
		s.held = nil
	}
	if i := bytes.Index(p, s.mark); i >= 0 {
		s.pass(p[:i])
		rest := p[i+len(s.mark):]
		s.mark = nil
		close(s.seen)
		s.pass(rest)
		return
	}
	keep := partial(p, s.mark)
	s.pass(p[:len(p)-keep])
	s.held = append([]byte(nil), p[len(p)-keep:]...)
}

// partial is the length of the longest end of p with which mark starts.
func partial(p, mark []byte) int {
	for n := min(len(p), len(mark)-1); n > 0; n-- {
		if bytes.HasSuffix(p, mark[:n]) {
			return n
		}
	}
	return 0
}

// lastWrite is when output last arrived.
func (s *sink) lastWrite() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.lastWrite()
}
