package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"mlgym/internal/shim/wire"
)

// frames are those that the round trips are made with.
var frames = map[string]wire.Frame{
	"no payload":      {Type: wire.Kill, Stream: 4, Payload: []byte{}},
	"text":            {Type: wire.Run, Stream: 2, Payload: []byte(`{"text":"ls"}`)},
	"highest stream":  {Type: wire.Done, Stream: 1<<32 - 1, Payload: []byte("{}")},
	"a full window":   {Type: wire.Data, Stream: 6, Payload: bytes.Repeat([]byte{1}, wire.Window)},
	"zero bytes":      {Type: wire.Data, Stream: 6, Payload: make([]byte, 10)},
	"an unknown type": {Type: 200, Stream: 1, Payload: []byte("x")},
}

func TestRoundTrip(t *testing.T) {
	for name, want := range frames {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			half := len(want.Payload) / 2
			if err := wire.NewWriter(&buf).Write(want.Type, want.Stream, want.Payload[:half], want.Payload[half:]); err != nil {
				t.Fatal(err)
			}
			r := wire.NewReader(iotest.OneByteReader(&buf))
			got, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
			if _, err := r.Read(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last frame: %v, want io.EOF", err)
			}
		})
	}
}

// TestTorn cuts a frame at every byte.
func TestTorn(t *testing.T) {
	var buf bytes.Buffer
	if err := wire.NewWriter(&buf).Write(wire.Data, 2, []byte("\x01hello")); err != nil {
		t.Fatal(err)
	}
	whole := buf.Bytes()
	for n := 1; n < len(whole); n++ {
		if _, err := wire.NewReader(bytes.NewReader(whole[:n])).Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d of %d bytes: %v, want io.ErrUnexpectedEOF", n, len(whole), err)
		}
	}
}

func TestBadLength(t *testing.T) {
	for name, size := range map[string]uint32{
		"zero": 0, "shorter than type and stream": 4, "one too many": wire.MaxPayload + 1, "all ones": 1<<32 - 1,
	} {
		t.Run(name, func(t *testing.T) {
			input := append(binary.BigEndian.AppendUint32(nil, size), make([]byte, 100)...)
			if _, err := wire.NewReader(bytes.NewReader(input)).Read(); !errors.Is(err, wire.ErrFrame) {
				t.Errorf("length %d: %v, want ErrFrame", size, err)
			}
		})
	}
}

// TestMemoryFollowsBytes shows that a length alone makes nobody allocate.
func TestMemoryFollowsBytes(t *testing.T) {
	input := append(binary.BigEndian.AppendUint32(nil, wire.MaxPayload), make([]byte, 100)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := wire.NewReader(bytes.NewReader(input)).Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("read: %v, want io.ErrUnexpectedEOF", err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("a frame that announces %d bytes and has 91 made the reader allocate %d", wire.MaxPayload, got)
	}
}

func TestAccessors(t *testing.T) {
	t.Run("descriptor", func(t *testing.T) {
		fd, data, err := wire.Frame{Payload: []byte("\x03abc")}.FD()
		if fd != 3 || string(data) != "abc" || err != nil {
			t.Errorf("got %d, %q, %v", fd, data, err)
		}
		if _, _, err := (wire.Frame{}).FD(); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("empty payload: %v, want ErrFrame", err)
		}
	})
	t.Run("credit", func(t *testing.T) {
		for _, tt := range []struct {
			name    string
			payload []byte
			want    int
			bad     bool
		}{
			{"one", []byte{1, 0, 0, 0, 1}, 1, false},
			{"a window", []byte{1, 0, 0x10, 0, 0}, wire.Window, false},
			{"more than a window", []byte{1, 0, 0x10, 0, 1}, 0, true},
			{"what would be negative", []byte{1, 255, 255, 255, 255}, 0, true},
			{"short", []byte{1, 0, 0, 0}, 0, true},
			{"long", []byte{1, 0, 0, 0, 0, 0}, 0, true},
		} {
			fd, n, err := wire.Frame{Payload: tt.payload}.Credit()
			if errors.Is(err, wire.ErrFrame) != tt.bad || n != tt.want || (!tt.bad && fd != 1) {
				t.Errorf("%s: got %d, %d, %v; want credit %d, an error: %v", tt.name, fd, n, err, tt.want, tt.bad)
			}
		}
	})
	t.Run("json", func(t *testing.T) {
		var v wire.ReadyInfo
		if err := (wire.Frame{Payload: []byte("{")}).JSON(&v); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("broken JSON: %v, want ErrFrame", err)
		}
	})
}

// TestWriterRemembersItsError, so that a half-written frame is the last one.
func TestWriterRemembersItsError(t *testing.T) {
	var buf bytes.Buffer
	w := wire.NewWriter(&shortWriter{w: &buf, left: 4})
	first := w.Write(wire.Kill, 2)
	if first == nil {
		t.Fatal("a short write is no error")
	}
	n := buf.Len()
	if err := w.Write(wire.Kill, 4); !errors.Is(err, first) {
		t.Errorf("second write: %v, want %v", err, first)
	}
	if buf.Len() != n {
		t.Errorf("%d bytes were written after the error", buf.Len()-n)
	}
}

type shortWriter struct {
	w    io.Writer
	left int
}

func (s *shortWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p[:min(len(p), s.left)])
	s.left -= n
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// TestTooLargeToWrite is refused before a byte is written.
func TestTooLargeToWrite(t *testing.T) {
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	if err := w.Write(wire.Done, 2, make([]byte, wire.MaxPayload)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("write: %v", err)
	}
	if buf.Len() != 0 {
		t.Errorf("%d bytes were written", buf.Len())
	}
	if err := w.Write(wire.Kill, 2); err != nil {
		t.Errorf("the next frame: %v", err)
	}
}

// TestConcurrentWriters: frames come out whole.
func TestConcurrentWriters(t *testing.T) {
	var buf bytes.Buffer
	w := wire.NewWriter(&buf)
	const writers, each = 8, 100
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			payload := bytes.Repeat([]byte{byte(i)}, 100+i)
			for range each {
				if err := w.Write(wire.Data, uint32(i), payload); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	count := map[uint32]int{}
	r := wire.NewReader(&buf)
	for {
		f, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := bytes.Repeat([]byte{byte(f.Stream)}, 100+int(f.Stream)); !bytes.Equal(f.Payload, want) {
			t.Fatalf("stream %d: payload is mixed up", f.Stream)
		}
		count[f.Stream]++
	}
	for i := range uint32(writers) {
		if count[i] != each {
			t.Errorf("stream %d: %d frames, want %d", i, count[i], each)
		}
	}
}

// FuzzReader: whatever was read, written again, is what the bytes began with.
func FuzzReader(f *testing.F) {
	for _, frame := range frames {
		if len(frame.Payload) > 100 {
			continue
		}
		var buf bytes.Buffer
		if err := wire.NewWriter(&buf).Write(frame.Type, frame.Stream, frame.Payload); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.Bytes())
		f.Add(append(buf.Bytes(), buf.Bytes()...))
		f.Add(buf.Bytes()[:buf.Len()-1])
	}
	f.Add([]byte{0, 0, 0, 4, 1})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, input []byte) {
		var again bytes.Buffer
		w := wire.NewWriter(&again)
		r := wire.NewReader(bytes.NewReader(input))
		for {
			frame, err := r.Read()
			if err != nil {
				clean := errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
				if clean != (again.Len() == len(input)) {
					t.Fatalf("%d of %d bytes are frames, and the end is %v", again.Len(), len(input), err)
				}
				break
			}
			// None of these may panic.
			_, _, _ = frame.FD()
			_, _, _ = frame.Credit()
			if err := w.Write(frame.Type, frame.Stream, frame.Payload); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(input, again.Bytes()) {
			t.Fatalf("read and written again: %x, the input was %x", again.Bytes(), input)
		}
	})
}
