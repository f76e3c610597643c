package server

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mlgym/sandbox"
)

// snapshotVersion is that of the stream; see docs/format/snapshot.md.
const snapshotVersion = 1

// The names of the entries of a snapshot. Those of files are "files" and their
// absolute path.
const (
	entryState = "state.json"
	entryShell = "shell"
	entryFiles = "files"
	entryEnd   = "end"
)

// What a snapshot may hold of other things than files.
const (
	maxStateBytes   = 64 << 20
	maxShellBytes   = 16 << 20
	maxSnapshotRows = 1 << 20 // files, folders and links
)

// state is the part of a snapshot that is neither files nor the shell's own.
type state struct {
	Version int `json:"version"`
	// Dir is the shell's directory and Status the exit code of the last action.
	Dir    string `json:"dir"`
	Status int    `json:"status"`
	// ShellEnded says that the shell had ended and no other was started yet.
	ShellEnded bool            `json:"shell_ended,omitempty"`
	Tools      json.RawMessage `json:"tools,omitempty"`
	Jobs       []endedJob      `json:"jobs,omitempty"`
}

// keeper is a [tool.Runner] whose memory can be saved.
type keeper interface {
	Save() ([]byte, error)
	Load(memory []byte) error
}

// refused makes the error of a state that cannot be saved.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{sandbox.ErrNoSnapshot}, args...)...)
}

// snapshot writes the state of the sandbox. It runs between two actions.
func (c *conn) snapshot(ctx context.Context, dst io.Writer, maxBytes int64) error {
	if err := c.idle(); err != nil {
		return err
	}
	s := state{Version: snapshotVersion, Dir: c.runner.workingDir()}
	shell, err := c.runner.dump(ctx, &s)
	if err != nil {
		return err
	}
	if s.Tools, err = c.tools.save(); err != nil {
		return err
	}
	if s.Jobs, err = c.jobs.save(); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if len(text) > maxStateBytes {
		return refused("what tools and jobs remember has %d bytes, more than %d", len(text), maxStateBytes)
	}
	tw := tar.NewWriter(&boundedWriter{w: dst, left: maxBytes})
	for _, part := range []struct {
		name string
		text []byte
	}{{entryState, text}, {entryShell, shell}} {
		if err := writePart(tw, part.name, part.text); err != nil {
			return err
		}
	}
	if err := saveFiles(tw, writable()); err != nil {
		return err
	}
	// What was started while the files were read may have changed them.
	if err := c.idle(); err != nil {
		return err
	}
	if err := writePart(tw, entryEnd, nil); err != nil {
		return err
	}
	return tw.Close()
}

func writePart(tw *tar.Writer, name string, text []byte) error {
	if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := tw.Write(text)
	return err
}

type boundedWriter struct {
	w    io.Writer
	left int64
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("files and state: %w", sandbox.ErrTooLarge)
	}
	return b.w.Write(p)
}

// idle refuses a sandbox in which something runs beside the shell.
func (c *conn) idle() error {
	c.mu.Lock()
	programs := len(c.programs)
	c.mu.Unlock()
	switch {
	case programs > 0:
		return refused("a program runs beside the shell")
	case c.runner.calls.underWay():
		return refused("a call to the outside waits for its answer")
	}
	self, shell := os.Getpid(), 0
	if sh := c.runner.sh; sh != nil {
		shell = sh.proc.pid
	}
	for _, pid := range pids() {
		p, ok := readProc(pid)
		if !ok || pid == self || pid == shell || p.state == 'Z' || p.state == 'X' {
			continue
		}
		name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		if err != nil {
			continue // it has ended
		}
		return refused("a program runs in the background: %q (process %d)", strings.TrimSpace(string(name)), pid)
	}
	return nil
}

func (t *toolbox) save() (json.RawMessage, error) {
	k, ok := t.runner.(keeper)
	if !ok {
		return nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return k.Save()
}

func (t *toolbox) load(memory json.RawMessage) error {
	k, ok := t.runner.(keeper)
	if !ok || len(memory) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return k.Load(memory)
}

// restore takes the sandbox to the state of a snapshot.
func (c *conn) restore(ctx context.Context, src io.Reader) (at sandbox.Restored, err error) {
	if err := c.idle(); err != nil {
		return at, err
	}
	tr := tar.NewReader(src)
	text, err := readPart(tr, entryState, maxStateBytes)
	if err != nil {
		return at, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return at, fmt.Errorf("%s of the snapshot: %w", entryState, err)
	}
	if s.Version != snapshotVersion {
		return at, fmt.Errorf("the snapshot has version %d of its format, and this mlgym-shim knows version %d", s.Version, snapshotVersion)
	}
	if !filepath.IsAbs(s.Dir) {
		return at, fmt.Errorf("%s of the snapshot: the directory %q is no absolute path", entryState, s.Dir)
	}
	shell, err := readPart(tr, entryShell, maxShellBytes)
	if err != nil {
		return at, err
	}
	asked := c.runner.begin(ctx, s)
	err = restoreFiles(tr, writable())
	from := <-asked
	if err != nil {
		return at, err
	}
	if _, err := io.Copy(io.Discard, src); err != nil {
		return at, err
	}
	if err := c.tools.load(s.Tools); err != nil {
		return at, fmt.Errorf("%s of the snapshot: %w", entryState, err)
	}
	c.jobs.load(s.Jobs)
	if err := c.runner.undump(ctx, s, shell, from); err != nil {
		return at, err
	}
	return sandbox.Restored{WorkingDir: c.runner.workingDir(), OpenFile: c.tools.openFile()}, nil
}

var errTorn = errors.New("the snapshot ends early")

// readPart reads the next entry, which must have this name.
func readPart(tr *tar.Reader, name string, maxBytes int64) ([]byte, error) {
	h, err := tr.Next()
	if errors.Is(err, io.EOF) {
		return nil, errTorn
	}
	if err != nil {
		return nil, fmt.Errorf("read the snapshot: %w", err)
	}
	switch {
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return nil, fmt.Errorf("read the snapshot: found %.100q where %q belongs", h.Name, name)
	case h.Size > maxBytes:
		return nil, fmt.Errorf("read the snapshot: %s has %d bytes: %w", name, h.Size, sandbox.ErrTooLarge)
	}
	text, err := io.ReadAll(tr)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot: %s: %w", name, err)
	}
	return text, nil
}
