package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const extension = ".yaml"

// Open reads a scaffold: a file of the user where the name has a separator or
// ends in ".yaml", else the one of that name in builtin.
func Open(builtin fs.FS, name string) (*Scaffold, error) {
	if strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, extension) {
		dir, base := filepath.Split(name)
		if dir == "" {
			dir = "."
		}
		fsys := os.DirFS(dir)
		data, err := readBounded(fsys, base)
		if err != nil {
			return nil, fmt.Errorf("scaffold file: %w", err)
		}
		return Decode(name, data, fsys)
	}
	data, err := readBounded(builtin, name+extension)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		known, listErr := Names(builtin)
		if listErr != nil {
			return nil, listErr
		}
		return nil, fmt.Errorf("%s", unknown("scaffold", name, known))
	}
	if err != nil {
		return nil, fmt.Errorf("scaffold %s: %w", name, err)
	}
	return Decode(name+extension, data, builtin)
}

// Names lists the scaffolds in builtin, sorted.
func Names(builtin fs.FS) ([]string, error) {
	files, err := fs.Glob(builtin, "*"+extension)
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, extension)
	}
	return files, nil
}
