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

// collect reads the declared files and folders, and nothing else, out of the
// agent's sandbox. What is large goes into the folder spool. It returns a *refusal
// where the agent handed in something that cannot be taken; notes are what the
// agent should know of a submission that was taken.
func collect(ctx context.Context, files sandbox.Files, s task.Submission, spool string) (collected []File, notes []string, err error) {
	seen := map[string]bool{}
	for _, want := range s.Files {
		var got []File
		var err error
		if want.Folder() {
			var left []string
			got, left, err = collectFolder(ctx, files, want, spool, len(collected))
			notes = append(notes, left...)
		} else {
			got = make([]File, 1)
			got[0], err = collectFile(ctx, files, want, filepath.Join(spool, strconv.Itoa(len(collected))))
		}
		var refused *refusal
		if want.Optional && errors.As(err, &refused) && refused.problem == gym.NotFound {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		for _, file := range got {
			if s.Kind == task.Program && !want.Binary {
				if err := checkText(file); err != nil {
					return nil, nil, err
				}
			}
			if seen[file.Path] {
				continue // declared by itself and as part of a folder
			}
			seen[file.Path] = true
			collected = append(collected, file)
		}
	}
	return collected, notes, nil
}

func collectFile(ctx context.Context, files sandbox.Files, want task.SubmissionFile, spool string) (File, error) {
	got, err := transfer(ctx, files, want, func(r io.Reader) ([]File, error) {
		file, err := readEntry(r, want, spool)
		return []File{file}, err
	})
	if err != nil {
		return File{}, err
	}
	return got[0], nil
}

// transfer has the sandbox send a file or folder, and read what it sends.
func transfer(ctx context.Context, files sandbox.Files, want task.SubmissionFile, read func(io.Reader) ([]File, error)) ([]File, error) {
	limit := want.MaxBytes
	if want.Folder() {
		limit += folderOverhead // who reads keeps to the real one
	}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := files.Get(ctx, pw, limit, want.Path)
		pw.CloseWithError(err)
		done <- err
	}()
	got, err := read(pr)
	pr.CloseWithError(errEnough) // the rest is not read; Get ends
	getErr := <-done
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return nil, refused
	case errors.Is(getErr, fs.ErrNotExist):
		what := "file"
		if want.Folder() {
			what = "folder"
		}
		return nil, &refusal{gym.NotFound, fmt.Sprintf(
			"%s is missing: the submission is the %s %s in the workspace %s.", want.Path, what, want.Path, sandbox.WorkDir)}
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
	return got, nil
}

// collectFolder reads all files below a folder. Links and what else is no regular
// file are left out, and told: a link could lead the grader to what the agent
// must not see. first numbers the files of the spool.
func collectFolder(ctx context.Context, files sandbox.Files, want task.SubmissionFile, spool string, first int) ([]File, []string, error) {
	w := folderReader{want: want, spool: spool, first: first, left: want.MaxBytes, seen: map[string]bool{}}
	got, err := transfer(ctx, files, want, w.read)
	if err != nil {
		return nil, nil, err
	}
	var notes []string
	if w.skipped > 0 {
		notes = append(notes, fmt.Sprintf("%d links and other things that are no regular files were left out of %s, such as %s.", w.skipped, want.Path, printable(w.example)))
	}
	return got, notes, nil
}

// folderReader reads the tar stream of a folder, which comes out of the agent's
// sandbox.
type folderReader struct {
	want    task.SubmissionFile
	spool   string
	first   int
	left    int64
	got     []File
	seen    map[string]bool
	skipped int
	example string
}

// memoryFolder is up to which size the files of a folder are held in memory, all
// together.
const memoryFolder = 16 << 20

func (w *folderReader) read(r io.Reader) ([]File, error) {
	tr := tar.NewReader(r)
	for entries := 0; ; entries++ {
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return w.got, nil
		case err != nil:
			return nil, err
		case entries == 2*task.MaxFolderFiles || len(w.got) == task.MaxFolderFiles && h.Typeflag == tar.TypeReg:
			return nil, invalid("%s has more than the %d files allowed.", w.want.Path, task.MaxFolderFiles)
		}
		if err := w.entry(h, tr); err != nil {
			return nil, err
		}
	}
}

func (w *folderReader) entry(h *tar.Header, r io.Reader) error {
	name := path.Clean(h.Name)
	root := path.Clean(w.want.Path)
	inside := root == "." || name == root || strings.HasPrefix(name, root+"/")
	switch {
	case !fs.ValidPath(name) && utf8.ValidString(name) || !inside:
		return fmt.Errorf("the sandbox sent %q in the place of %s", h.Name, w.want.Path)
	case h.Typeflag == tar.TypeDir:
		return nil
	case name == root:
		return invalid("%s is not a folder.", w.want.Path)
	case !utf8.ValidString(name) || strings.ContainsAny(name, "\x00\n\\"):
		return invalid("%s has a file whose name cannot be taken: %s.", w.want.Path, printable(name))
	case h.Typeflag != tar.TypeReg:
		w.skipped++
		w.example = name
		return nil
	case w.seen[name]:
		return fmt.Errorf("the sandbox sent %q twice", name)
	}
	w.seen[name] = true
	keep := int64(memoryFile)
	if w.want.MaxBytes-w.left > memoryFolder {
		keep = 1
	}
	file, err := newFile(name, io.LimitReader(r, w.left+1), keep, filepath.Join(w.spool, strconv.Itoa(w.first+len(w.got))))
	if err != nil {
		return err
	}
	if w.left -= file.Bytes; w.left < 0 {
		return tooLarge(w.want)
	}
	file.Executable = h.Mode&0o111 != 0
	w.got = append(w.got, file)
	return nil
}

// folderOverhead is what names and padding of many small files take beside their
// content.
const folderOverhead = 16 << 20

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
	file, err := newFile(want.Path, io.LimitReader(tr, want.MaxBytes+1), memoryFile, spool)
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
