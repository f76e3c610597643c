package search

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"mlgym/runstore"
	"mlgym/trajectory/mlgym"
)

// place is a run's folder, as it lies on the disk.
type place struct {
	path string
	// name is that of one of MLGym's folders, nil for a run of ours.
	name *mlgym.Name
	// signature changes with any of the files that are read.
	signature string
	record    fileState
	// modified is when the youngest file was changed, in nanoseconds.
	modified int64
	bytes    int64
	result   bool // result.json is there
}

// fileState is what tells that a file changed.
type fileState struct {
	size, mtime int64
	inode       uint64
}

// Problem is something that could not be read, and why.
type Problem struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// ErrNotFolder is wrapped when runs are looked for in something else.
var ErrNotFolder = errors.New("is not a folder")

// walk finds the runs at and below roots, which are absolute, in the order of
// their paths. Hidden folders are not looked into, and neither are runs.
func walk(ctx context.Context, roots []string) ([]place, []Problem, error) {
	var w walker
	for _, root := range roots {
		info, err := os.Stat(root)
		if err != nil {
			return nil, nil, fmt.Errorf("runs in %s: %w", root, err)
		}
		if !info.IsDir() {
			return nil, nil, fmt.Errorf("runs in %s: %w", root, ErrNotFolder)
		}
		if err := w.folder(ctx, root); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(w.found, func(a, b place) int { return strings.Compare(a.path, b.path) })
	// One folder may lie below several roots.
	w.found = slices.CompactFunc(w.found, func(a, b place) bool { return a.path == b.path })
	return w.found, w.problems, nil
}

type walker struct {
	found    []place
	problems []Problem
}

// folder takes in a folder: a run, or one that holds some.
func (w *walker) folder(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if name, ok := mlgym.ParseName(filepath.Base(dir)); ok {
		w.found = append(w.found, published(dir, name))
		return nil
	}
	if own, ok := ours(dir); ok {
		w.found = append(w.found, own)
		return nil
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		w.problems = append(w.problems, Problem{dir, reason(err)})
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		_, isPublished := mlgym.ParseName(e.Name())
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 && isPublished {
			target, err := os.Stat(path)
			isDir = err == nil && target.IsDir()
		}
		if !isDir || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := w.folder(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func ours(dir string) (place, bool) {
	p := place{path: dir}
	is := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	}
	// A run that lost its manifest is shown as what it is.
	if !is(runstore.ManifestName) && !is(runstore.TrajectoryName) {
		return p, false
	}
	p.look(runstore.ManifestName)
	p.record = p.look(runstore.TrajectoryName)
	p.result = p.look(runstore.ResultName) != fileState{}
	return p, true
}

func published(dir string, name mlgym.Name) place {
	p := place{path: dir, name: &name}
	p.look(string(mlgym.ResultsFile))
	p.record = p.look(name.Task + string(mlgym.TrajFile))
	return p
}

// look adds a file to the signature; a file that is not there is told too.
func (p *place) look(name string) fileState {
	info, err := os.Stat(filepath.Join(p.path, name))
	if err != nil || !info.Mode().IsRegular() {
		p.signature += "-;"
		return fileState{}
	}
	s := fileState{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	p.signature += fmt.Sprintf("%d,%d,%d;", s.size, s.mtime, s.inode)
	p.modified = max(p.modified, s.mtime)
	p.bytes += s.size
	return s
}

// reason is the text of err without the path, which stands beside it.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// below reports whether a path is a folder or lies in it.
func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
