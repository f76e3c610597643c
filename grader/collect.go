package grader

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
)

// refusal is a submission that cannot be graded, with what the agent is told.
type refusal struct {
	problem gym.Problem
	message string
}

func (r *refusal) Error() string { return r.message }

func invalid(format string, args ...any) *refusal {
	return &refusal{gym.Invalid, fmt.Sprintf(format, args...)}
}

// collect reads the declared files, and nothing else, out of the agent's
// sandbox. It returns a *refusal where the agent handed in something that
// cannot be taken.
func collect(ctx context.Context, files sandbox.Files, s task.Submission) ([]File, error) {
	var collected []File
	for _, want := range s.Files {
		data, err := collectFile(ctx, files, want)
		if err != nil {
			return nil, err
		}
		if s.Kind == task.Program {
			if err := checkText(want.Path, data); err != nil {
				return nil, err
			}
		}
		sum := sha256.Sum256(data)
		collected = append(collected, File{want.Path, data, hex.EncodeToString(sum[:])})
	}
	return collected, nil
}

func collectFile(ctx context.Context, files sandbox.Files, want task.SubmissionFile) ([]byte, error) {
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := files.Get(ctx, pw, want.MaxBytes, want.Path)
		pw.CloseWithError(err)
		done <- err
	}()
	data, err := readEntry(pr, want)
	pr.CloseWithError(errEnough) // the rest is not read; Get ends
	getErr := <-done
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return nil, refused
	case errors.Is(getErr, fs.ErrNotExist):
		return nil, &refusal{gym.NotFound, fmt.Sprintf(
			"%s is missing: the submission is the file %s in the workspace %s.", want.Path, want.Path, sandbox.WorkDir)}
	case errors.Is(getErr, sandbox.ErrTooLarge):
		return nil, tooLarge(want)
	case getErr != nil && !errors.Is(getErr, errEnough):
		if ctx.Err() != nil || errors.Is(getErr, sandbox.ErrLost) {
			return nil, fmt.Errorf("collect %s: %w", want.Path, getErr)
		}
		// The sandbox lives and does not give the file: its permissions, a loop
		// of links, a program that rewrites it. All that is in the agent's hands.
		return nil, invalid("%s could not be read: %s", want.Path, printable(getErr.Error()))
	case err != nil:
		return nil, fmt.Errorf("collect %s: %w", want.Path, err)
	}
	return data, nil
}

// errEnough ends a transfer of which no more is wanted.
var errEnough = errors.New("enough was read")

// readEntry reads a tar stream that should hold one regular file.
func readEntry(r io.Reader, want task.SubmissionFile) ([]byte, error) {
	tr := tar.NewReader(r)
	h, err := tr.Next()
	if err != nil {
		return nil, err
	}
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir:
		return nil, invalid("%s is a directory; it has to be a regular file.", want.Path)
	case tar.TypeSymlink, tar.TypeLink:
		return nil, invalid("%s is a link to %s; it has to be a regular file.", want.Path, printable(h.Linkname))
	default:
		return nil, invalid("%s is not a regular file.", want.Path)
	}
	if path.Base(path.Clean(h.Name)) != path.Base(want.Path) {
		return nil, fmt.Errorf("the sandbox sent %q in its place", h.Name)
	}
	if h.Size > want.MaxBytes {
		return nil, tooLarge(want)
	}
	data, err := io.ReadAll(io.LimitReader(tr, want.MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > want.MaxBytes {
		return nil, tooLarge(want)
	}
	return data, nil
}

func tooLarge(want task.SubmissionFile) *refusal {
	return invalid("%s is too large: at most %d bytes are allowed.", want.Path, want.MaxBytes)
}

// checkText refuses what is not UTF-8 text.
func checkText(name string, data []byte) error {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return invalid("%s is not text: it has a zero byte at offset %d.", name, i)
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return invalid("%s is not UTF-8 text: see line %d, offset %d.", name, bytes.Count(data[:i], []byte("\n"))+1, i)
		}
		i += size
	}
	return nil
}

// printable makes text of a sandbox fit to be shown: short, and one line.
func printable(text string) string {
	const most = 200
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
