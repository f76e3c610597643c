package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// teller writes events down and hands them on, one at a time.
type teller struct {
	mu   sync.Mutex
	file *os.File // nil where they are not written down
	next func(Event)
	log  *slog.Logger
}

// openTeller adds to the store's list of events.
func openTeller(s *Store, next func(Event), log *slog.Logger) (*teller, error) {
	file, err := os.OpenFile(s.path(EventsName), os.O_CREATE|os.O_APPEND|os.O_RDWR, filePerm)
	if err != nil {
		return nil, fmt.Errorf("open the list of events: %w", err)
	}
	if err := endLine(file); err != nil {
		return nil, errors.Join(fmt.Errorf("open the list of events: %w", err), file.Close())
	}
	return &teller{file: file, next: next, log: log}, nil
}

// endLine ends the last line where a process was killed while it wrote it.
func endLine(file *os.File) error {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = file.WriteString("\n")
	return err
}

// emit tells an event. One that cannot be written down is told all the same.
func (t *teller) emit(e Event) {
	e.At = now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file != nil {
		text, err := json.Marshal(e)
		if err == nil {
			_, err = t.file.Write(append(text, '\n'))
		}
		if err != nil {
			t.log.Warn("an event could not be written down", "error", err)
		}
	}
	if t.next != nil {
		t.next(e)
	}
}

func (t *teller) close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}
