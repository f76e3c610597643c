package task

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"

	"mlgym/internal/nearest"
)

// Catalog is a set of task folders by name. It is a value: build one from the
// tasks that ship, one from a user's folder, and [Catalog.With] joins them.
type Catalog struct {
	places map[ID]place
}

type place struct {
	fsys fs.FS
	dir  string
}

// NewCatalog lists the folders of fsys that hold a task.yaml; the folder's name
// is the task's ID. Files are read when a task is asked for.
func NewCatalog(fsys fs.FS) (Catalog, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return Catalog{}, fmt.Errorf("list tasks: %w", err)
	}
	c := Catalog{places: map[ID]place{}}
	for _, e := range entries {
		if info, err := fs.Stat(fsys, path.Join(e.Name(), FileName)); err == nil && !info.IsDir() {
			c.places[ID(e.Name())] = place{fsys, e.Name()}
		}
	}
	return c, nil
}

// With returns a catalog that has the tasks of both; where an ID is in both,
// the other one's task is taken.
func (c Catalog) With(other Catalog) Catalog {
	joined := Catalog{places: map[ID]place{}}
	for _, from := range []Catalog{c, other} {
		maps.Copy(joined.places, from.places)
	}
	return joined
}

// IDs lists the tasks, sorted.
func (c Catalog) IDs() []ID {
	ids := make([]ID, 0, len(c.places))
	for id := range c.places {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Find loads a task. An ID that is not in the catalog gives a
// [*UnknownError] with the nearest names.
func (c Catalog) Find(id ID) (*Task, error) {
	p, ok := c.places[id]
	if !ok {
		known := make([]string, 0, len(c.places))
		for _, k := range c.IDs() {
			known = append(known, string(k))
		}
		return nil, &UnknownError{ID: id, Nearest: nearest.Names(string(id), known), hint: nearest.Hint(string(id), known)}
	}
	t, err := Load(p.fsys, p.dir)
	if err != nil {
		return nil, err
	}
	if t.ID != id {
		return nil, fmt.Errorf("load task: %s: id: want %q, the name of the folder, got %q", path.Join(p.dir, FileName), id, t.ID)
	}
	return t, nil
}

// All loads every task, sorted by ID. Tasks that cannot be loaded are left out
// and their errors joined.
func (c Catalog) All() ([]*Task, error) {
	var tasks []*Task
	var problems []error
	for _, id := range c.IDs() {
		t, err := c.Find(id)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		tasks = append(tasks, t)
	}
	return tasks, errors.Join(problems...)
}

// UnknownError says that there is no task with this ID.
type UnknownError struct {
	ID ID
	// Nearest are the names that are close to it, the closest first.
	Nearest []string

	hint string
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown task %q%s", e.ID, e.hint) }

// WriteTar writes the files of a folder as a tar stream: sorted, with fixed
// owner and time, so that equal folders give equal streams; of the permissions
// only whether a file is a program is kept. Hidden files and what Python leaves behind are left out.
func WriteTar(w io.Writer, fsys fs.FS) error {
	tw := tar.NewWriter(w)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case skipped(d.Name()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755})
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a regular file", name)
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = tw.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("write tar: %w", err)
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("write tar: %w", err)
	}
	return nil
}
