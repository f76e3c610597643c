package trajectory

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// CorruptError says where a file is not a record.
type CorruptError struct {
	// Path of the record, "" where it is unknown.
	Path string
	// Line counts from 1.
	Line   int64
	Reason string
}

func (e *CorruptError) Error() string {
	path := e.Path
	if path == "" {
		path = "record"
	}
	return fmt.Sprintf("%s:%d: %s", path, e.Line, e.Reason)
}

// VersionError says that a record was written by a newer mlgym.
type VersionError struct {
	Path    string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("record %s has version %d of its format, and this mlgym knows versions 1 to %d; use a newer mlgym", e.Path, e.Version, Version)
}

// Reader reads the events of a record one by one. It holds one event at a
// time. Records of earlier versions are migrated as they are read.
type Reader struct {
	path       string
	in         *bufio.Reader
	closer     io.Closer
	line       int64
	version    int
	seq        int64
	wholeBytes int64 // of the whole lines read so far
	torn       int64
	err        error // sticky
	buf        []byte
	steps      []migration
}

// Open opens a record for reading. It may be written to at the same time: the
// Reader then ends where the file ended when it got there.
func Open(path string) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the record: %w", err)
	}
	r := NewReader(file)
	r.path, r.closer = path, file
	return r, nil
}

// NewReader reads a record from a stream.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, 16<<10), steps: migrations()}
}

// Next returns the next event, or [io.EOF] at the end. A torn last line ends
// the record; see [Reader.Torn]. Other errors stay.
func (r *Reader) Next() (Event, error) {
	if r.err != nil {
		return Event{}, r.err
	}
	e, err := r.next()
	if err != nil {
		r.err = err
		return Event{}, err
	}
	return e, nil
}

// Torn returns the size of the torn last line, once Next has returned
// [io.EOF]; 0 where the record ends with a whole line.
func (r *Reader) Torn() int64 { return r.torn }

// Version returns the version of the file, once the header has been read.
func (r *Reader) Version() int { return r.version }

// All ranges over the events. It ends after the first error.
func (r *Reader) All() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Close closes what [Open] opened. It is idempotent.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	err := r.closer.Close()
	r.closer = nil
	return err
}

func (r *Reader) next() (Event, error) {
	raw, err := r.rawLine()
	if err != nil {
		return Event{}, err
	}
	if r.line == 1 {
		if err := r.readVersion(raw); err != nil {
			return Event{}, err
		}
	}
	for v := r.version; v < r.target(); v++ {
		if raw, err = r.steps[v-1](raw); err != nil {
			return Event{}, r.corrupt("migrate from version %d: %v", v, err)
		}
	}
	return r.decode(raw)
}

// target is the version that events are migrated to: the one after the last
// migration.
func (r *Reader) target() int { return len(r.steps) + 1 }

// rawLine returns the next whole line without its line feed. It is valid until
// the next call.
func (r *Reader) rawLine() ([]byte, error) {
	r.buf = r.buf[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.buf)+len(part) > MaxEventBytes+1 {
			r.line++
			return nil, r.corrupt("the line is longer than %d bytes", MaxEventBytes)
		}
		r.buf = append(r.buf, part...)
		switch {
		case err == nil:
			r.line++
			r.wholeBytes += int64(len(r.buf))
			return r.buf[:len(r.buf)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			r.torn = int64(len(r.buf))
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("read the record %s: %w", r.path, err)
		}
	}
}

func (r *Reader) readVersion(raw []byte) error {
	var first struct {
		Type   Type `json:"type"`
		Header *struct {
			Format  string `json:"format"`
			Version int    `json:"version"`
		} `json:"header"`
	}
	if err := json.Unmarshal(raw, &first); err != nil {
		return r.corrupt("this is not a record: %v", err)
	}
	switch {
	case first.Type != TypeHeader || first.Header == nil || first.Header.Format != Format:
		return r.corrupt("this is not a record: the first line is no header of format %q", Format)
	case first.Header.Version < 1:
		return r.corrupt("the header has version %d", first.Header.Version)
	case first.Header.Version > r.target():
		return &VersionError{Path: r.path, Version: first.Header.Version}
	}
	r.version = first.Header.Version
	return nil
}

func (r *Reader) decode(raw []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return Event{}, r.corrupt("not an event: %v", err)
	}
	kind, count := e.typeOf()
	switch {
	case count != 1:
		return Event{}, r.corrupt("an event of type %q has %d bodies, want 1", e.Type, count)
	case kind != e.Type:
		return Event{}, r.corrupt("an event of type %q has the body of type %q", e.Type, kind)
	case e.Seq != r.seq:
		return Event{}, r.corrupt("event %d follows event %d; lines are missing or doubled", e.Seq, r.seq-1)
	case kind == TypeHeader && r.seq > 0:
		return Event{}, r.corrupt("a second header")
	}
	r.seq++
	return e, nil
}

func (r *Reader) corrupt(format string, args ...any) error {
	return &CorruptError{Path: r.path, Line: r.line, Reason: fmt.Sprintf(format, args...)}
}
