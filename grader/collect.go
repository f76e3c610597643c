package grader

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
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
// sandbox. What is large goes into the folder spool. It returns a *refusal where
// the agent handed in something that cannot be taken.
func collect(ctx context.Context, files sandbox.Files, s task.Submission, spool string) ([]File, error) {
	var collected []File
	for _, want := range s.Files {
		file, err := collectFile(ctx, files, want, filepath.Join(spool, strconv.Itoa(len(collected))))
		var refused *refusal
		if want.Optional && errors.As(err, &refused) && refused.problem == gym.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s.Kind == task.Program && !want.Binary {
			if err := checkText(file); err != nil {
				return nil, err
			}
		}
		collected = append(collected, file)
	}
	return collected, nil
}

func collectFile(ctx context.Context, files sandbox.Files, want task.SubmissionFile, spool string) (File, error) {
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := files.Get(ctx, pw, want.MaxBytes, want.Path)
		pw.CloseWithError(err)
		done <- err
	}()
	file, err := readEntry(pr, want, spool)
	pr.CloseWithError(errEnough) // the rest is not read; Get ends
	getErr := <-done
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return File{}, refused
	case errors.Is(getErr, fs.ErrNotExist):
		return File{}, &refusal{gym.NotFound, fmt.Sprintf(
			"%s is missing: the submission is the file %s in the workspace %s.", want.Path, want.Path, sandbox.WorkDir)}
	case errors.Is(getErr, sandbox.ErrTooLarge):
		return File{}, tooLarge(want)
	case getErr != nil && !errors.Is(getErr, errEnough):
		if ctx.Err() != nil || errors.Is(getErr, sandbox.ErrLost) {
			return File{}, fmt.Errorf("collect %s: %w", want.Path, getErr)
		}
		// The sandbox lives and does not give the file: its permissions, a loop
		// of links, a program that rewrites it. All that is in the agent's hands.
		return File{}, invalid("%s could not be read: %s", want.Path, printable(getErr.Error()))
	case err != nil:
		return File{}, fmt.Errorf("collect %s: %w", want.Path, err)
	}
	return file, nil
}

// errEnough ends a transfer of which no more is wanted.
var errEnough = errors.New("enough was read")

// readEntry reads a tar stream that should hold one regular file.
func readEntry(r io.Reader, want task.SubmissionFile, spool string) (File, error) {
	tr := tar.NewReader(r)
	h, err := tr.Next()
	if err != nil {
		return File{}, err
	}
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir:
		return File{}, invalid("%s is a directory; it has to be a regular file.", want.Path)
	case tar.TypeSymlink, tar.TypeLink:
		return File{}, invalid("%s is a link to %s; it has to be a regular file.", want.Path, printable(h.Linkname))
	default:
		return File{}, invalid("%s is not a regular file.", want.Path)
	}
	if path.Base(path.Clean(h.Name)) != path.Base(want.Path) {
		return File{}, fmt.Errorf("the sandbox sent %q in its place", h.Name)
	}
	if h.Size > want.MaxBytes {
		return File{}, tooLarge(want)
	}
	file, err := newFile(want.Path, io.LimitReader(tr, want.MaxBytes+1), spool)
	if err != nil {
		return File{}, err
	}
	if file.Bytes > want.MaxBytes {
		return File{}, tooLarge(want)
	}
	return file, nil
}

func tooLarge(want task.SubmissionFile) *refusal {
	return invalid("%s is too large: at most %d bytes are allowed.", want.Path, want.MaxBytes)
}

// checkText refuses what is not UTF-8 text.
func checkText(file File) error {
	content, err := file.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	lines, offset := 1, 0
	for in := bufio.NewReader(content); ; {
		r, size, err := in.ReadRune()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case r == 0:
			return invalid("%s is not text: it has a zero byte at offset %d.", file.Path, offset)
		case r == utf8.RuneError && size == 1:
			return invalid("%s is not UTF-8 text: see line %d, offset %d.", file.Path, lines, offset)
		case r == '\n':
			lines++
		}
		offset += size
	}
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
