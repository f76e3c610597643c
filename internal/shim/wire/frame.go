// Package wire is the protocol between mlgym and mlgym-shim: length-prefixed
// frames over one byte stream, usually the standard input and output of the
// sandbox's first process.
//
// A frame is a 4-byte big-endian length of what follows it, one byte of type,
// a 4-byte big-endian stream number, and the payload. Stream numbers are chosen
// by the side that opens the stream: even by mlgym, odd by the shim; 0 is the
// connection itself. Payloads of control frames are JSON; a Data frame holds a
// descriptor number (one byte) and raw bytes.
//
// Every stream of data is flow-controlled: a sender may have at most Window
// bytes under way for each descriptor; the receiver returns credit with Ack
// when an eighth of that was consumed. So a slow reader of one stream never stops the
// others.
package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Version of the protocol. Both sides must have the same.
const Version = 3

// Type of a frame.
type Type uint8

// The types of frame. The comment says who sends it and what it carries.
const (
	Hello     Type = 1  // mlgym: Config
	Ready     Type = 2  // shim: ReadyInfo
	Run       Type = 3  // mlgym: RunRequest
	CallTool  Type = 4  // mlgym: ToolRequest
	Start     Type = 5  // mlgym: StartRequest
	Kill      Type = 6  // mlgym: nothing; ends what the stream runs
	Put       Type = 7  // mlgym: PutRequest, then Data 0 and CloseFD 0
	Get       Type = 8  // mlgym: GetRequest; shim: Data 1, then Done
	Data      Type = 9  // both: descriptor, bytes
	CloseFD   Type = 10 // both: descriptor
	Ack       Type = 11 // both: descriptor, 4-byte count
	Done      Type = 12 // shim: the result of the stream's request; ends it
	Failed    Type = 13 // shim: Failure; ends the stream
	Call      Type = 14 // shim: sandbox.Call
	CallReply Type = 15 // mlgym: sandbox.Reply
	Snapshot  Type = 16 // mlgym: SnapshotRequest; shim: Data 1, then Done
	Restore   Type = 17 // mlgym: nothing, then Data 0 and CloseFD 0; Done has a sandbox.Restored
	SetEnv    Type = 18 // mlgym: EnvRequest
)

const (
	// MaxPayload bounds a frame.
	MaxPayload = 64 << 20
	// MaxData bounds the bytes of one Data frame.
	MaxData = 64 << 10
	// Window is how many bytes of a descriptor may be under way.
	Window = 1 << 20
	// MaxCalls bounds the calls of one shim that wait for their answer.
	MaxCalls = 8
	// MaxCallBytes bounds the payload of a call.
	MaxCallBytes = 64 << 10

	headerBytes = 9
)

// ErrFrame is wrapped by errors about bytes that are no frame.
var ErrFrame = errors.New("malformed frame")

// Frame is one message.
type Frame struct {
	Type    Type
	Stream  uint32
	Payload []byte
}

// FD returns the descriptor and the bytes of a Data frame.
func (f Frame) FD() (fd uint8, data []byte, err error) {
	if len(f.Payload) == 0 {
		return 0, nil, fmt.Errorf("%w: no descriptor", ErrFrame)
	}
	return f.Payload[0], f.Payload[1:], nil
}

// Credit returns the descriptor and the count of an Ack frame.
func (f Frame) Credit() (fd uint8, n int, err error) {
	if len(f.Payload) != 5 {
		return 0, 0, fmt.Errorf("%w: credit of %d bytes", ErrFrame, len(f.Payload))
	}
	count := binary.BigEndian.Uint32(f.Payload[1:])
	if count > Window {
		return 0, 0, fmt.Errorf("%w: credit of %d", ErrFrame, count)
	}
	return f.Payload[0], int(count), nil
}

// JSON decodes the payload into v.
func (f Frame) JSON(v any) error {
	if err := json.Unmarshal(f.Payload, v); err != nil {
		return fmt.Errorf("%w: type %d: %w", ErrFrame, f.Type, err)
	}
	return nil
}

// Reader reads frames. It is not safe for concurrent use.
type Reader struct{ r *bufio.Reader }

// readAhead is small, so that the bytes of a large frame go straight to where they
// stay.
const readAhead = 4 << 10

// NewReader returns a Reader on r.
func NewReader(r io.Reader) *Reader { return &Reader{bufio.NewReaderSize(r, readAhead)} }

// largePayload is the size from which payloads of Data frames are not copied and
// their buffers used again.
const largePayload = 16 << 10

// buffers are those of large Data frames; each holds MaxData and the descriptor.
var buffers = sync.Pool{New: func() any { return new([MaxData + 1]byte) }}

// release gives a payload back that nobody looks at any more.
func release(payload []byte) {
	if cap(payload) == MaxData+1 {
		buffers.Put((*[MaxData + 1]byte)(payload[:MaxData+1]))
	}
}

// Read returns the next frame, whose payload belongs to the caller. It returns
// io.EOF at a clean end.
func (r *Reader) Read() (Frame, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(r.r, header[:4]); err != nil {
		return Frame{}, err
	}
	size := binary.BigEndian.Uint32(header[:4])
	if size < headerBytes-4 || size > MaxPayload {
		return Frame{}, fmt.Errorf("%w: length %d", ErrFrame, size)
	}
	if _, err := io.ReadFull(r.r, header[4:]); err != nil {
		return Frame{}, unexpected(err)
	}
	f := Frame{Type: Type(header[4]), Stream: binary.BigEndian.Uint32(header[5:])}
	rest := int(size) - (headerBytes - 4)
	var err error
	if f.Type == Data && rest > largePayload && rest <= MaxData+1 {
		buffer, _ := buffers.Get().(*[MaxData + 1]byte)
		f.Payload = buffer[:rest]
		_, err = io.ReadFull(r.r, f.Payload)
	} else {
		f.Payload, err = readN(r.r, rest)
	}
	if err != nil {
		return Frame{}, unexpected(err)
	}
	return f, nil
}

// readN reads n bytes without trusting n: memory grows with what really came.
func readN(r io.Reader, n int) ([]byte, error) {
	const step = 1 << 20
	buf := make([]byte, 0, min(n, step))
	for len(buf) < n {
		chunk := min(n-len(buf), step)
		start := len(buf)
		buf = append(buf, make([]byte, chunk)...)
		if _, err := io.ReadFull(r, buf[start:]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Writer writes frames. It is safe for concurrent use.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
	err error
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends a frame with the given payload, which may come in pieces. After
// an error every later Write returns it.
func (w *Writer) Write(t Type, stream uint32, payload ...[]byte) error {
	n := headerBytes - 4
	for _, p := range payload {
		n += len(p)
	}
	if n > MaxPayload {
		return fmt.Errorf("frame of %d bytes is larger than %d", n, MaxPayload)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.buf = binary.BigEndian.AppendUint32(w.buf[:0], uint32(n)) //nolint:gosec // bounded above
	w.buf = append(w.buf, byte(t))
	w.buf = binary.BigEndian.AppendUint32(w.buf, stream)
	for _, p := range payload {
		if len(p) <= largePayload {
			w.buf = append(w.buf, p...)
			continue
		}
		// Not copied; it follows what was gathered before it.
		if _, w.err = w.w.Write(w.buf); w.err == nil {
			_, w.err = w.w.Write(p)
		}
		if w.err != nil {
			return w.err
		}
		w.buf = w.buf[:0]
	}
	if len(w.buf) > 0 {
		_, w.err = w.w.Write(w.buf)
	}
	return w.err
}

// WriteJSON sends a frame whose payload is v as JSON.
func (w *Writer) WriteJSON(t Type, stream uint32, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame of type %d: %w", t, err)
	}
	return w.Write(t, stream, payload)
}

// WriteAck returns credit for n bytes of a descriptor.
func (w *Writer) WriteAck(stream uint32, fd uint8, n int) error {
	payload := binary.BigEndian.AppendUint32([]byte{fd}, uint32(n)) //nolint:gosec // at most Window
	return w.Write(Ack, stream, payload)
}
