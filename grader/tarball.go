package grader

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"path"
)

// tarball gathers files to be put into a sandbox at once.
type tarball struct {
	buffer bytes.Buffer
	writer *tar.Writer
	err    error
}

func newTarball() *tarball {
	t := &tarball{}
	t.writer = tar.NewWriter(&t.buffer)
	return t
}

// file adds one file.
func (t *tarball) file(name string, data []byte) {
	if t.err != nil {
		return
	}
	t.err = t.writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))})
	if t.err == nil {
		_, t.err = t.writer.Write(data)
	}
}

// folder adds all files of fsys below dir, except those that skip names by
// their path in fsys.
func (t *tarball) folder(dir string, fsys fs.FS, skip func(name string) bool) {
	if t.err != nil {
		return
	}
	t.err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "__pycache__":
			return fs.SkipDir
		case d.IsDir() || skip != nil && skip(name):
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		t.file(path.Join(dir, name), data)
		return t.err
	})
}

// bytes ends the tarball.
func (t *tarball) bytes() (*bytes.Reader, error) {
	if t.err == nil {
		t.err = t.writer.Close()
	}
	if t.err != nil {
		return nil, fmt.Errorf("pack files: %w", t.err)
	}
	return bytes.NewReader(t.buffer.Bytes()), nil
}
