package grader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxFrame bounds every frame of the protocol.
const maxFrame = 64 << 20

// errFrameTooLong is wrapped when a frame announces more than is allowed.
var errFrameTooLong = errors.New("frame too long")

// makeFrame returns the frame of a payload that consists of parts.
func makeFrame(parts ...[]byte) []byte {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	frame := make([]byte, 4, 4+length)
	binary.BigEndian.PutUint32(frame, uint32(length)) //nolint:gosec // far below the limit
	for _, p := range parts {
		frame = append(frame, p...)
	}
	return frame
}

// readFrame reads one frame of at most limit bytes. It returns io.EOF where the
// stream ends before the frame, io.ErrUnexpectedEOF where it ends within.
func readFrame(r io.Reader, limit int64) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := int64(binary.BigEndian.Uint32(head[:]))
	if length > min(limit, maxFrame) {
		return nil, fmt.Errorf("%w: %d bytes, allowed are %d", errFrameTooLong, length, min(limit, maxFrame))
	}
	// The length is what the other side claims: memory grows with what comes.
	const step = 1 << 20
	payload := make([]byte, 0, min(length, step))
	for int64(len(payload)) < length {
		n := len(payload)
		payload = append(payload, make([]byte, min(length-int64(n), step))...)
		if _, err := io.ReadFull(r, payload[n:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return payload, nil
}
