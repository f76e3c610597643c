package trajectory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mlgym/internal/atomicfile"
	"mlgym/internal/redact"
)

// MaxEventBytes bounds the size of one event. A [Writer] refuses more, and a
// [Reader] never holds more.
const MaxEventBytes = 64 << 20

// ErrEmpty is wrapped by the error of [Append] for a file without a whole
// header: the process that began it was killed at once, and nothing is lost
// when the record is begun again.
var ErrEmpty = errors.New("the record is empty")

// filePerm of a record: what an agent saw and did may be private.
const filePerm fs.FileMode = 0o600

// Writer appends events to a record. It is not safe for concurrent use.
type Writer struct {
	path     string
	file     *os.File
	redactor *redact.Redactor
	seq      int64
	size     int64 // of the whole lines
	broken   error // set when the file cannot be brought into a known state
	// redacted says that a secret was removed from what the agent saw or said, so
	// that the tokens of later requests may spell it.
	redacted bool
	buf      bytes.Buffer
	now      func() time.Time
}

// Create begins a record in a new file. It fails where the file is there.
// Secrets are removed from every string by the redactor, which may be nil.
func Create(path string, h Header, r *redact.Redactor) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, filePerm)
	if err != nil {
		return nil, fmt.Errorf("begin the record: %w", explain(path, err))
	}
	w := &Writer{path: path, file: file, redactor: r, now: time.Now}
	h.Format, h.Version = Format, Version
	if h.Created.IsZero() {
		h.Created = w.now().UTC()
	}
	if err := w.Write(Event{Header: &h}); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("begin the record: %w", explain(path, err)), file.Close())
	}
	return w, nil
}

// Append opens a record to continue it. A torn last line is first moved into
// a file beside it, named like the record with ".torn" added (with ".2", ".3"
// … where there are earlier ones). Every event is read and checked on the way.
func Append(path string, r *redact.Redactor) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("continue the record: %w", explain(path, err))
	}
	w, err := appendTo(path, file, r)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

func appendTo(path string, file *os.File, r *redact.Redactor) (*Writer, error) {
	reader := NewReader(file)
	reader.path = path
	w := &Writer{path: path, file: file, redactor: r, now: time.Now}
	for {
		e, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if e.Header != nil && reader.version != Version {
			return nil, fmt.Errorf("continue the record %s: it has version %d; migrate it to version %d first", path, reader.version, Version)
		}
		w.seq = e.Seq + 1
	}
	w.size = reader.wholeBytes
	if torn := reader.Torn(); torn > 0 {
		if err := saveTorn(path, file, w.size, torn); err != nil {
			return nil, fmt.Errorf("repair the record %s: %w", path, err)
		}
		if err := errors.Join(file.Truncate(w.size), file.Sync()); err != nil {
			return nil, fmt.Errorf("repair the record: %w", explain(path, err))
		}
	}
	if w.seq == 0 {
		return nil, fmt.Errorf("continue the record %s: %w", path, ErrEmpty)
	}
	return w, nil
}

// saveTorn copies the torn bytes into a new file beside the record.
func saveTorn(path string, file *os.File, offset, size int64) error {
	name := path + ".torn"
	for n := 2; ; n++ {
		beside, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, filePerm)
		if errors.Is(err, fs.ErrExist) {
			name = fmt.Sprintf("%s.torn.%d", path, n)
			continue
		}
		if err != nil {
			return explain(name, err)
		}
		_, err = io.Copy(beside, io.NewSectionReader(file, offset, size))
		if err = errors.Join(err, beside.Sync(), beside.Close()); err != nil {
			return errors.Join(explain(name, err), os.Remove(name))
		}
		return nil
	}
}

// Write appends one event: Seq and Type are set by it, At where it is zero.
// When it returns nil the event is with the operating system; events that
// cannot be had again are on the disk. After an error, everything before is
// intact, and Write may be tried again unless the error says otherwise.
func (w *Writer) Write(e Event) error {
	if w.broken != nil {
		return w.broken
	}
	kind, count := e.typeOf()
	if count != 1 {
		return fmt.Errorf("write an event to %s: %d of its pointers are set, want 1", w.path, count)
	}
	if (kind == TypeHeader) != (w.seq == 0) {
		return fmt.Errorf("write an event to %s: event %d is of type %s", w.path, w.seq, kind)
	}
	e.Seq, e.Type = w.seq, kind
	if e.At.IsZero() {
		e.At = w.now().UTC()
	}
	line, err := w.encode(e)
	if err != nil {
		return fmt.Errorf("write an event to %s: %w", w.path, err)
	}
	if n, err := w.file.Write(line); err != nil {
		err = fmt.Errorf("write to the record: %w", explain(w.path, err))
		if n > 0 {
			if undo := w.file.Truncate(w.size); undo != nil {
				w.broken = errors.Join(err, fmt.Errorf("take back a torn line: %w", undo))
				return w.broken
			}
		}
		return err
	}
	w.size += int64(len(line))
	w.seq++
	if !mustSync(&e) {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		// The kernel may have dropped what it could not write, so nothing that
		// is appended later could be trusted.
		w.broken = fmt.Errorf("synchronise the record: %w", explain(w.path, err))
		return w.broken
	}
	return nil
}

// mustSync reports whether an event holds what cannot be had again.
func mustSync(e *Event) bool {
	switch e.Type {
	case TypeHeader, TypeFault, TypeResume, TypeEnd:
		return true
	case TypeStep:
		return len(e.Evaluations()) > 0
	case TypeReset, TypeTurn, TypeNote:
	}
	return false
}

// encode returns the line of an event. It is valid until the next call.
func (w *Writer) encode(e Event) ([]byte, error) {
	e = withValidArgs(e)
	if w.redacted {
		e = withoutTokens(e)
	}
	line, err := w.redact(e)
	if err == nil && w.redacted && hasTokens(e) { // it happened just now
		line, err = w.redact(withoutTokens(e))
	}
	if err != nil {
		return nil, err
	}
	if len(line) > MaxEventBytes {
		return nil, fmt.Errorf("the event has %d bytes, more than %d", len(line), MaxEventBytes)
	}
	if w.buf.Cap() > 1<<20 {
		w.buf = bytes.Buffer{} // do not keep the memory of one huge event
	}
	return line, nil
}

// redact returns the event's JSON without secrets.
func (w *Writer) redact(e Event) ([]byte, error) {
	w.buf.Reset()
	enc := json.NewEncoder(&w.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	line := w.redactor.JSON(w.buf.Bytes())
	w.redacted = w.redacted || !bytes.Equal(line, w.buf.Bytes())
	return line, nil
}

// Sync synchronises everything that was written to the disk.
func (w *Writer) Sync() error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("synchronise the record: %w", explain(w.path, err))
	}
	return nil
}

// Path returns where the record is.
func (w *Writer) Path() string { return w.path }

// Close synchronises and closes the file. It is idempotent.
func (w *Writer) Close() error {
	if w.file == nil {
		return nil
	}
	err := errors.Join(w.file.Sync(), w.file.Close())
	w.file = nil
	w.broken = fmt.Errorf("write to the record %s: %w", w.path, fs.ErrClosed)
	if err != nil {
		return fmt.Errorf("close the record: %w", explain(w.path, err))
	}
	return nil
}

// explain adds to an error of the file system where it happened and, where
// there is one, the way out.
func explain(path string, err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w; free some space there, then resume the run", path, err)
	case errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%s: %w; raise the limit on file sizes (ulimit -f), then resume the run", path, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w; choose a folder that you may write to", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
