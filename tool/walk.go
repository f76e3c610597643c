package tool

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// folder finds the folder of a search: the working directory when none is
// named.
func (c call) folder() (real, problem string) {
	name := c.args.text("path")
	path := c.dir
	if name != "" {
		path = c.path(name)
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(real); err == nil && info.IsDir() {
			return real, ""
		}
	}
	return "", fmt.Sprintf("Directory %s not found", clip(name))
}

// walk visits the files below a folder in the order of their paths. Folders
// that cannot be read are counted and passed over. Links are not followed.
func walk(ctx context.Context, root string, hidden bool, visit func(path string, entry fs.DirEntry)) (unreadable int, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		if err != nil {
			unreadable++
			return nil
		}
		if path != root && !hidden && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.IsDir() {
			visit(path, entry)
		}
		return nil
	})
	return unreadable, err
}
