package runstore

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mlgym/gym"
)

// Artefacts are the places for what one evaluation leaves behind.
type Artefacts struct {
	// N counts the evaluations from 1.
	N    int
	Kind gym.Kind
	// SubmissionDir is the folder for the files handed in; it is there, empty.
	SubmissionDir string
	// LogPath is where the grader's log belongs; it is not there.
	LogPath string
}

// Evaluation makes the places for evaluation n, from 1. Where they are there
// already, because the run was resumed and its actions were executed once
// more, the new ones have ".r1", ".r2" … at the end of their names.
func (r *Run) Evaluation(n int, kind gym.Kind) (Artefacts, error) {
	base := fmt.Sprintf("%d-%s", n, FileName(string(kind)))
	name := base
	for again := 1; ; again++ {
		dir := r.path(SubmissionName, name)
		err := os.Mkdir(dir, dirPerm)
		if errors.Is(err, fs.ErrExist) {
			name = fmt.Sprintf("%s.r%d", base, again)
			continue
		}
		if err != nil {
			return Artefacts{}, fmt.Errorf("keep a submission: %w", explain(dir, err))
		}
		return Artefacts{N: n, Kind: kind, SubmissionDir: dir, LogPath: r.path(LogsName, name+".log")}, nil
	}
}

// Unpack writes the regular files and folders of a tar stream into
// SubmissionDir. The stream comes from an agent: nothing outside the folder is
// touched, links and special files are left out and returned by name, and more
// than maxBytes in all, or more than 10,000 entries, is an error.
func (a Artefacts) Unpack(stream io.Reader, maxBytes int64) (leftOut []string, err error) {
	root, err := os.OpenRoot(a.SubmissionDir)
	if err != nil {
		return nil, fmt.Errorf("keep a submission: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	const maxEntries = 10_000
	in := tar.NewReader(stream)
	for entries := 0; ; entries++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return leftOut, nil
		}
		if err != nil {
			return leftOut, fmt.Errorf("keep a submission: %w", err)
		}
		name := strings.TrimPrefix(filepath.Clean("/"+h.Name), "/")
		switch {
		case entries >= maxEntries:
			return leftOut, fmt.Errorf("keep a submission: it has more than %d entries", maxEntries)
		case name == "" && h.Typeflag == tar.TypeDir:
			continue
		case name == "" || h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir:
			leftOut = append(leftOut, h.Name)
			continue
		case h.Size > maxBytes:
			return leftOut, fmt.Errorf("keep a submission: %s goes beyond the %d bytes that are allowed", name, maxBytes)
		}
		if err := unpackEntry(root, name, h, in); err != nil {
			return leftOut, fmt.Errorf("keep a submission: %w", explain(filepath.Join(a.SubmissionDir, name), err))
		}
		maxBytes -= h.Size
	}
}

func unpackEntry(root *os.Root, name string, h *tar.Header, in io.Reader) error {
	if h.Typeflag == tar.TypeDir {
		return root.MkdirAll(name, dirPerm)
	}
	if err := root.MkdirAll(filepath.Dir(name), dirPerm); err != nil {
		return err
	}
	perm := filePerm
	if h.Mode&0o111 != 0 {
		perm = dirPerm
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	_, err = io.CopyN(file, in, h.Size)
	return errors.Join(err, file.Close())
}
