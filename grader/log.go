package grader

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// maxLog bounds each log of a grading.
const maxLog = 1 << 20

// logFile keeps the first maxLog bytes of what is written to it and counts the
// rest. Writes never fail: a full disk must not become the agent's fault.
type logFile struct {
	mu    sync.Mutex
	file  *os.File // nil: nothing is kept
	kept  int64
	lost  int64
	fault error
}

// openLog creates a log in dir; "" keeps nothing.
func openLog(dir, name string) (*logFile, error) {
	if dir == "" {
		return &logFile{}, nil
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &logFile{file: f}, nil
}

// Write implements [io.Writer].
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return len(p), nil
	}
	keep := p[:min(int64(len(p)), maxLog-l.kept)]
	l.kept += int64(len(keep))
	l.lost += int64(len(p) - len(keep))
	if _, err := l.file.Write(keep); err != nil && l.fault == nil {
		l.fault = err
	}
	return len(p), nil
}

// Close says how much was not kept.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	if l.lost > 0 {
		fmt.Fprintf(l.file, "\n[%d further bytes were not kept]\n", l.lost)
	}
	err := l.file.Close()
	l.file = nil
	if l.fault != nil {
		return fmt.Errorf("write log: %w", l.fault)
	}
	return err
}

var _ io.WriteCloser = (*logFile)(nil)
