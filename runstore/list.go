package runstore

import (
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Entry is a run found by [List].
type Entry struct {
	Dir      string
	Manifest Manifest
}

// List ranges over the runs below root, in the order of their paths. A run
// whose manifest cannot be read is given with its error, and so is a folder
// that cannot be read; the range goes on after it. Runs are not looked into
// for further runs, nor are hidden folders below root, in which experiments keep
// attempts that do not count. Nothing but the current run is held in memory.
func List(root string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				if !yield(Entry{Dir: path}, err) {
					return fs.SkipAll
				}
				return nil
			}
			if !d.IsDir() {
				return nil
			}
			if path != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			if _, err := os.Lstat(filepath.Join(path, ManifestName)); err != nil {
				return nil // not a run
			}
			m, err := ReadManifest(path)
			if !yield(Entry{Dir: path, Manifest: m}, err) {
				return fs.SkipAll
			}
			return fs.SkipDir
		})
		if err != nil {
			yield(Entry{Dir: root}, err)
		}
	}
}
