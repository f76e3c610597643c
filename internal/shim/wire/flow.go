package wire

import (
	"errors"
	"io"
	"slices"
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

// ReadFrom implements io.ReaderFrom: it sends all that r has, in frames as large as
// there may be.
func (s *Sender) ReadFrom(r io.Reader) (int64, error) {
	buffer, _ := buffers.Get().(*[MaxData + 1]byte)
	defer buffers.Put(buffer)
	sent := int64(0)
	for {
		n, err := r.Read(buffer[:MaxData])
		if n > 0 {
			w, err := s.Write(buffer[:n])
			sent += int64(w)
			if err != nil {
				return sent, err
			}
		}
		if errors.Is(err, io.EOF) {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
	}
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

	mu       sync.Mutex
	cond     *sync.Cond
	chunks   []chunk // what is to be read, in order
	buffered int     // the bytes in them
	owed     int     // credit that was not yet returned
	err      error   // io.EOF, or why the stream broke
	closed   bool
}

// chunk is a part of what was received.
type chunk struct {
	rest    []byte // what is unread of it
	payload []byte // of the frame that holds it; nil where it was copied
}

// mergeBelow is the size below which bytes are copied to those before them, so that
// many small frames do not take more room than their bytes.
const mergeBelow = 4 << 10

// creditStep is how much credit is returned at once: what a sender may have under
// way is several times as much, so that it does not wait for it.
const creditStep = Window / 8

// NewReceiver returns a Receiver that returns credit through w.
func NewReceiver(w *Writer, stream uint32, fd uint8) *Receiver {
	r := &Receiver{w: w, stream: stream, fd: fd}
	r.cond = sync.NewCond(&r.mu)
	return r
}

// Push adds a copy of bytes that arrived; it fails when the sender ignored the
// window.
func (r *Receiver) Push(p []byte) error { return r.push(p, nil) }

// PushFrame adds the bytes of a Data frame, whose payload belongs to the Receiver
// from now on.
func (r *Receiver) PushFrame(f Frame) error {
	_, data, err := f.FD()
	if err != nil {
		return err
	}
	return r.push(data, f.Payload)
}

func (r *Receiver) push(p, payload []byte) error {
	r.mu.Lock()
	if r.closed {
		owed := r.owes(len(p))
		r.mu.Unlock()
		return r.acknowledge(owed)
	}
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return nil // late bytes of a stream that was given up
	case r.buffered+len(p) > Window:
		return ErrFrame
	case len(p) == 0:
		return nil
	}
	last := len(r.chunks) - 1
	switch {
	case len(p) >= mergeBelow && payload != nil:
		r.chunks = append(r.chunks, chunk{p, payload})
	case last >= 0 && r.chunks[last].payload == nil && len(r.chunks[last].rest)+len(p) <= MaxData:
		r.chunks[last].rest = append(r.chunks[last].rest, p...)
	default:
		r.chunks = append(r.chunks, chunk{rest: append([]byte(nil), p...)})
	}
	r.buffered += len(p)
	r.cond.Broadcast()
	return nil
}

// owes notes that n more bytes were consumed and returns how much credit to return
// now; a stream that has ended needs none. The caller holds the lock.
func (r *Receiver) owes(n int) int {
	r.owed += n
	if r.err != nil || r.owed < creditStep {
		return 0
	}
	n, r.owed = r.owed, 0
	return n
}

// acknowledge returns credit. The caller does not hold the lock: the other side may
// not take what is written before what it sends is taken.
func (r *Receiver) acknowledge(n int) error {
	if n == 0 {
		return nil
	}
	return r.w.WriteAck(r.stream, r.fd, n)
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

// await returns when there is something to read, or the end. The caller holds the
// lock.
func (r *Receiver) await() error {
	for len(r.chunks) == 0 && r.err == nil && !r.closed {
		r.cond.Wait()
	}
	switch {
	case r.closed:
		return io.ErrClosedPipe
	case len(r.chunks) == 0:
		return r.err
	}
	return nil
}

// take removes the first chunk. The caller holds the lock.
func (r *Receiver) take() chunk {
	first := r.chunks[0]
	r.chunks = slices.Delete(r.chunks, 0, 1)
	return first
}

// Read implements io.Reader.
func (r *Receiver) Read(p []byte) (int, error) {
	r.mu.Lock()
	if err := r.await(); err != nil {
		r.mu.Unlock()
		return 0, err
	}
	n := 0
	for n < len(p) && len(r.chunks) > 0 {
		first := &r.chunks[0]
		m := copy(p[n:], first.rest)
		n += m
		first.rest = first.rest[m:]
		if len(first.rest) == 0 {
			release(r.take().payload)
		}
	}
	r.buffered -= n
	owed := r.owes(n)
	r.mu.Unlock()
	return n, r.acknowledge(owed)
}

// WriteTo implements io.WriterTo: it hands over what arrives without copying it.
func (r *Receiver) WriteTo(w io.Writer) (int64, error) {
	written := int64(0)
	for {
		r.mu.Lock()
		if err := r.await(); err != nil {
			r.mu.Unlock()
			if errors.Is(err, io.EOF) {
				return written, nil
			}
			return written, err
		}
		first := r.take()
		r.buffered -= len(first.rest)
		r.mu.Unlock()
		n, err := w.Write(first.rest)
		written += int64(n)
		if err != nil {
			return written, err
		}
		r.mu.Lock()
		owed := r.owes(len(first.rest))
		r.mu.Unlock()
		release(first.payload)
		if err := r.acknowledge(owed); err != nil {
			return written, err
		}
	}
}

// Discard gives up reading; what is there and what still comes is dropped and
// its credit returned, so that the sender is not held up.
func (r *Receiver) Discard() {
	r.mu.Lock()
	owed := r.owes(r.buffered)
	r.chunks, r.buffered, r.closed = nil, 0, true
	r.mu.Unlock()
	r.cond.Broadcast()
	// A connection that is gone needs no credit.
	_ = r.acknowledge(owed)
}
