package runstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Copy makes a copy of a run that was cut, to go on with it in another folder
// while somebody may still write the old one. Files that are written once are
// shared as links where the file system has them; the trajectory, which grows,
// is copied. The lock and a result stay behind. to must not be there; after an
// error nothing of it is.
func Copy(from, to string) (err error) {
	if err := os.Mkdir(to, dirPerm); err != nil {
		return fmt.Errorf("copy the run: %w", explain(to, err))
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy the run: %w", errors.Join(err, os.RemoveAll(to)))
		}
	}()
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(from, path)
		if relErr != nil {
			return relErr
		}
		if name == CheckpointName && errors.Is(err, fs.ErrNotExist) {
			return nil // the old run has ended
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case name == ".", name == LockName, name == ResultName:
			return nil
		case d.IsDir():
			return os.Mkdir(target, dirPerm)
		case !d.Type().IsRegular():
			return nil
		case name == TrajectoryName:
			return copyFile(path, target)
		}
		err = os.Link(path, target) //nolint:gosec // links are left out above, and the run is our own
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			err = copyFile(path, target)
		}
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(name) == CheckpointName {
			return nil // a newer one has taken its place
		}
		return err
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return explain(to, err)
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(explain(to, err), out.Close())
	}
	return errors.Join(out.Sync(), out.Close())
}
