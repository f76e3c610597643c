package grader

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"

	"mlgym/sandbox"
)

// tarball gathers files to be put into a sandbox at once. Their contents are
// read when it is sent.
type tarball struct {
	entries []tarEntry
	err     error
}

type tarEntry struct {
	name  string
	mode  int64
	bytes int64
	open  func() (io.ReadCloser, error)
}

// submitted adds a file of a submission.
func (t *tarball) submitted(name string, f File) {
	t.entries = append(t.entries, tarEntry{name, mode(f.Executable), f.Bytes, f.Open})
}

func mode(executable bool) int64 {
	if executable {
		return 0o755
	}
	return 0o644
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
		info, err := d.Info()
		if err != nil {
			return err
		}
		t.entries = append(t.entries, tarEntry{path.Join(dir, name), mode(info.Mode()&0o111 != 0), info.Size(), func() (io.ReadCloser, error) { return fsys.Open(name) }})
		return nil
	})
}

// put unpacks the files below the home of a sandbox.
func (t *tarball) put(ctx context.Context, box sandbox.Sandbox) error {
	if t.err != nil {
		return fmt.Errorf("pack files: %w", t.err)
	}
	return sandbox.PutStream(ctx, box.Files(), sandbox.HomeDir, t.write)
}

func (t *tarball) write(w io.Writer) error {
	out := tar.NewWriter(w)
	for _, e := range t.entries {
		if err := e.write(out); err != nil {
			return fmt.Errorf("pack %s: %w", e.name, err)
		}
	}
	return out.Close()
}

func (e tarEntry) write(out *tar.Writer) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Size: e.bytes}); err != nil {
		return err
	}
	in, err := e.open()
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.CopyN(out, in, e.bytes)
	return err
}
