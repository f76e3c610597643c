package wire_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"mlgym/internal/shim/wire"
)

// link carries frames from one side's Writer to a function, in order, as the
// reading loop of a connection does.
type link struct {
	w    *wire.Writer
	pipe *io.PipeWriter
	done chan error
}

func newLink(serve func(wire.Frame) error) *link {
	r, w := io.Pipe()
	l := &link{w: wire.NewWriter(w), pipe: w, done: make(chan error, 1)}
	go func() {
		reader := wire.NewReader(r)
		for {
			f, err := reader.Read()
			if err == nil {
				err = serve(f)
			}
			if err != nil {
				_ = r.CloseWithError(err)
				l.done <- err
				return
			}
		}
	}()
	return l
}

func (l *link) close(t *testing.T) {
	t.Helper()
	_ = l.pipe.Close()
	if err := <-l.done; !errors.Is(err, io.EOF) {
		t.Errorf("the link ended with %v", err)
	}
}

// TestTransfer sends random bytes in random pieces over two streams at once;
// they arrive as they were sent, and never more than a window is under way.
func TestTransfer(t *testing.T) {
	const streams = 2
	rng := rand.New(rand.NewPCG(1, 2))
	var senders [streams]*wire.Sender
	var receivers [streams]*wire.Receiver
	var mu sync.Mutex
	var underWay, most [streams]int

	back := newLink(func(f wire.Frame) error {
		_, n, err := f.Credit()
		if err != nil {
			return err
		}
		mu.Lock()
		underWay[f.Stream] -= n
		mu.Unlock()
		senders[f.Stream].Credit(n)
		return nil
	})
	forth := newLink(func(f wire.Frame) error {
		_, data, err := f.FD()
		if err != nil {
			return err
		}
		if f.Type == wire.CloseFD {
			receivers[f.Stream].End(io.EOF)
			return nil
		}
		if len(data) == 0 || len(data) > wire.MaxData {
			t.Errorf("a frame of %d bytes", len(data))
		}
		mu.Lock()
		underWay[f.Stream] += len(data)
		most[f.Stream] = max(most[f.Stream], underWay[f.Stream])
		mu.Unlock()
		return receivers[f.Stream].Push(data)
	})
	for i := range uint32(streams) {
		senders[i] = wire.NewSender(forth.w, i, 1)
		receivers[i] = wire.NewReceiver(back.w, i, 1)
	}

	var wg sync.WaitGroup
	for i := range streams {
		sent := make([]byte, 3*wire.Window+rng.IntN(1000))
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(sent) // never fails
		var cuts []int
		for at := 0; at < len(sent); at += cuts[len(cuts)-1] {
			cuts = append(cuts, min(len(sent)-at, 1+rng.IntN(200_000)))
		}
		wg.Go(func() {
			rest := sent
			for _, n := range cuts {
				if _, err := senders[i].Write(rest[:n]); err != nil {
					t.Errorf("stream %d: %v", i, err)
					return
				}
				rest = rest[n:]
			}
			if err := senders[i].Close(); err != nil {
				t.Errorf("stream %d: close: %v", i, err)
			}
		})
		wg.Go(func() {
			got, err := io.ReadAll(receivers[i])
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("stream %d: %d bytes arrived, %d were sent, error %v", i, len(got), len(sent), err)
			}
		})
	}
	wg.Wait()
	forth.close(t)
	back.close(t)
	for i, n := range most {
		if n > wire.Window {
			t.Errorf("stream %d: %d bytes were under way, want at most %d", i, n, wire.Window)
		}
	}
}

// TestSlowReader: a stream that nobody reads stops itself and no other.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frames []wire.Frame
		l := newLink(func(f wire.Frame) error { frames = append(frames, f); return nil })
		slow, other := wire.NewSender(l.w, 1, 1), wire.NewSender(l.w, 2, 1)
		result := make(chan error, 1)
		go func() {
			_, err := slow.Write(make([]byte, wire.Window+1))
			result <- err
		}()
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("more than a window was sent without credit (%v)", err)
		default:
		}
		if _, err := other.Write([]byte("x")); err != nil {
			t.Errorf("the other stream: %v", err)
		}
		slow.Credit(1)
		if err := <-result; err != nil {
			t.Errorf("after the credit: %v", err)
		}
		l.close(t)
		sent := 0
		for _, f := range frames {
			if f.Stream == 1 {
				sent += len(f.Payload) - 1
			}
		}
		if sent != wire.Window+1 {
			t.Errorf("%d bytes were sent, want %d", sent, wire.Window+1)
		}
	})
}

// TestAbort ends a Write that waits.
func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire.NewWriter(io.Discard)
		s := wire.NewSender(w, 1, 1)
		gone := errors.New("gone")
		var n int
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			n, err = s.Write(make([]byte, wire.Window+5))
		}()
		synctest.Wait()
		s.Abort(gone)
		<-done
		if n != wire.Window || !errors.Is(err, gone) {
			t.Errorf("write = %d, %v; want %d, %v", n, err, wire.Window, gone)
		}
		s.Abort(errors.New("later"))
		if _, err := s.Write([]byte("x")); !errors.Is(err, gone) {
			t.Errorf("write after the abort: %v, want the first reason", err)
		}
	})
}

// TestSenderCloses once, and says so once.
func TestSenderCloses(t *testing.T) {
	var buf bytes.Buffer
	s := wire.NewSender(wire.NewWriter(&buf), 7, 2)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("write after close: %v, want ErrClosed", err)
	}
	r := wire.NewReader(&buf)
	f, err := r.Read()
	if err != nil || f.Type != wire.CloseFD || f.Stream != 7 || !bytes.Equal(f.Payload, []byte{2}) {
		t.Errorf("got %+v, %v; want CloseFD of descriptor 2", f, err)
	}
	if f, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("a second frame %+v, %v", f, err)
	}
}

// credits adds up what was given back.
func credits(t *testing.T, buf *bytes.Buffer) int {
	t.Helper()
	total := 0
	r := wire.NewReader(buf)
	for {
		f, err := r.Read()
		if errors.Is(err, io.EOF) {
			return total
		}
		if err != nil || f.Type != wire.Ack {
			t.Fatalf("got %+v, %v; want an Ack", f, err)
		}
		_, n, err := f.Credit()
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
}

func TestReceiver(t *testing.T) {
	tests := map[string]struct {
		do func(t *testing.T, r *wire.Receiver)
		// credit that must have been given back; -1 where that depends
		credit int
	}{
		"read in pieces": {func(t *testing.T, r *wire.Receiver) {
			push(t, r, "hello")
			read(t, r, 3, "hel", nil)
			read(t, r, 3, "lo", nil)
		}, 0},
		"credit comes in steps": {func(t *testing.T, r *wire.Receiver) {
			const part = step / 2
			for range 5 {
				push(t, r, strings.Repeat("x", part))
				read(t, r, part, strings.Repeat("x", part), nil)
			}
		}, 2 * step},
		"one read takes from many frames": {func(t *testing.T, r *wire.Receiver) {
			for _, size := range []int{1, 2, 5000, 1, 70_000, 3, 60_000} {
				push(t, r, strings.Repeat("x", size))
			}
			read(t, r, 200_000, strings.Repeat("x", 135_007), nil)
		}, 135_007},
		"written to something": {func(t *testing.T, r *wire.Receiver) {
			want := ""
			for i, size := range []int{wire.MaxData, 1, wire.MaxData - 1, 20_000, 3} {
				text := strings.Repeat(string(rune('a'+i)), size)
				if err := r.PushFrame(wire.Frame{Type: wire.Data, Payload: append([]byte{1}, text...)}); err != nil {
					t.Fatal(err)
				}
				want += text
			}
			var got strings.Builder
			go r.End(io.EOF)
			if n, err := r.WriteTo(&got); err != nil || n != int64(len(want)) || got.String() != want {
				t.Errorf("WriteTo: %d bytes, %v, the right ones: %v; want %d", n, err, got.String() == want, len(want))
			}
		}, -1},
		"written to something that breaks": {func(t *testing.T, r *wire.Receiver) {
			push(t, r, "hello")
			if _, err := r.WriteTo(broken{}); !errors.Is(err, errBroken) {
				t.Errorf("WriteTo: %v, want %v", err, errBroken)
			}
		}, 0},
		"what came before the end is read, without credit": {func(t *testing.T, r *wire.Receiver) {
			push(t, r, "hi")
			r.End(io.EOF)
			read(t, r, 10, "hi", nil)
			read(t, r, 10, "", io.EOF)
		}, 0},
		"the first end counts": {func(t *testing.T, r *wire.Receiver) {
			r.End(io.ErrUnexpectedEOF)
			r.End(io.EOF)
			read(t, r, 10, "", io.ErrUnexpectedEOF)
		}, 0},
		"late bytes are dropped": {func(t *testing.T, r *wire.Receiver) {
			r.End(io.EOF)
			push(t, r, "late")
			read(t, r, 10, "", io.EOF)
		}, 0},
		"a sender that ignores the window": {func(t *testing.T, r *wire.Receiver) {
			push(t, r, string(make([]byte, wire.Window)))
			if err := r.Push([]byte("x")); !errors.Is(err, wire.ErrFrame) {
				t.Errorf("push beyond the window: %v, want ErrFrame", err)
			}
		}, 0},
		"discarding gives everything back": {func(t *testing.T, r *wire.Receiver) {
			push(t, r, strings.Repeat("x", step))
			r.Discard()
			push(t, r, strings.Repeat("y", step+1))
			read(t, r, 10, "", io.ErrClosedPipe)
		}, 2*step + 1},
		"discarding after the end gives nothing back": {func(t *testing.T, r *wire.Receiver) {
			push(t, r, "hello")
			r.End(io.EOF)
			r.Discard()
		}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			tt.do(t, wire.NewReceiver(wire.NewWriter(&buf), 3, 1))
			if got := credits(t, &buf); got != tt.credit && tt.credit >= 0 {
				t.Errorf("credit given back: %d, want %d", got, tt.credit)
			}
		})
	}
}

// step is how much credit is given back at once.
const step = wire.Window / 8

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// TestManySmallFrames: bytes that come one by one take no more room than they are.
func TestManySmallFrames(t *testing.T) {
	r := wire.NewReceiver(wire.NewWriter(io.Discard), 3, 1)
	text := []byte("x")
	allocated := testing.AllocsPerRun(1, func() {
		for range wire.Window / 4 {
			if err := r.Push(text); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocated > 2000 {
		t.Errorf("%v allocations for %d bytes", allocated, wire.Window/4)
	}
	r.End(io.EOF)
	if n, err := io.Copy(io.Discard, r); err != nil || n != wire.Window/2 {
		t.Errorf("%d bytes were read, %v; want %d", n, err, wire.Window/2)
	}
}

// TestReadFrom sends all that a reader has.
func TestReadFrom(t *testing.T) {
	var buf bytes.Buffer
	s := wire.NewSender(wire.NewWriter(&buf), 7, 2)
	want := bytes.Repeat([]byte("0123456789"), 20_000)
	if n, err := s.ReadFrom(iotest.OneByteReader(bytes.NewReader(want[:5]))); n != 5 || err != nil {
		t.Errorf("ReadFrom = %d, %v", n, err)
	}
	if n, err := s.ReadFrom(iotest.DataErrReader(bytes.NewReader(want[5:]))); n != int64(len(want)-5) || err != nil {
		t.Errorf("ReadFrom = %d, %v", n, err)
	}
	if _, err := s.ReadFrom(iotest.ErrReader(errBroken)); !errors.Is(err, errBroken) {
		t.Errorf("ReadFrom: %v, want %v", err, errBroken)
	}
	var got []byte
	for r := wire.NewReader(&buf); ; {
		f, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Payload[1:]...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes were sent, or others than the %d", len(got), len(want))
	}
}

func push(t *testing.T, r *wire.Receiver, text string) {
	t.Helper()
	if err := r.Push([]byte(text)); err != nil {
		t.Fatalf("push: %v", err)
	}
}

func read(t *testing.T, r *wire.Receiver, size int, want string, wantErr error) {
	t.Helper()
	p := make([]byte, size)
	n, err := r.Read(p)
	if string(p[:n]) != want || !errors.Is(err, wantErr) {
		t.Errorf("read = %q, %v; want %q, %v", p[:n], err, want, wantErr)
	}
}
