package taskimport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read.
const (
	maxTextBytes = 4 << 20
	maxFiles     = 20_000
)

// source is a folder that is read and not trusted: no path and no link leads out
// of it.
type source struct{ root string }

func newSource(root string) (source, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return source{}, fmt.Errorf("%s: %w", root, err)
	}
	if real, err = filepath.Abs(real); err != nil {
		return source{}, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return source{}, err
	}
	if !info.IsDir() {
		return source{}, fmt.Errorf("%s is not a folder", root)
	}
	return source{real}, nil
}

// find returns the file or folder of the host that a path within the source
// names, without links.
func (s source) find(name string) (string, fs.FileInfo, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", nil, fmt.Errorf("%q leads out of %s: want a path inside it", name, s.root)
	}
	at := filepath.Join(s.root, filepath.FromSlash(name))
	real, err := filepath.EvalSymlinks(at)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("there is no %s in %s", name, s.root)
	}
	if err != nil {
		return "", nil, err
	}
	if real != s.root && !strings.HasPrefix(real, s.root+string(filepath.Separator)) {
		return "", nil, fmt.Errorf("%s is a link that leads out of %s, to %s", name, s.root, real)
	}
	info, err := os.Stat(real)
	return real, info, err
}

// has reports whether the source has a file or folder.
func (s source) has(name string) bool {
	_, _, err := s.find(name)
	return err == nil
}

// text reads a file that has to be UTF-8 text.
func (s source) text(name string) (string, error) {
	at, info, err := s.find(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", name)
	}
	if info.Size() > maxTextBytes {
		return "", fmt.Errorf("%s has %d bytes, want at most %d of text", name, info.Size(), maxTextBytes)
	}
	data, err := os.ReadFile(at)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(data) {
		line := 1
		for len(data) > 0 {
			r, n := utf8.DecodeRune(data)
			if r == utf8.RuneError && n == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			data = data[n:]
		}
		return "", fmt.Errorf("%s:%d: not UTF-8 text; save it as UTF-8", name, line)
	}
	return string(data), nil
}

// given is a file of the source.
type given struct {
	at         string // on the host
	bytes      int64
	executable bool
	// prepared says that it is not copied: it belongs to a data set.
	prepared bool
}

// files lists a file under its base name, or the files of a folder by their path
// within it.
func (s source) files(name string) (map[string]given, error) {
	at, info, err := s.find(name)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return map[string]given{path.Base(path.Clean(filepath.ToSlash(name))): {at: at, bytes: info.Size(), executable: info.Mode()&0o111 != 0}}, nil
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is neither a file nor a folder", name)
	}
	found := map[string]given{}
	var walk func(dir string, depth int) error
	walk = func(dir string, depth int) error {
		if depth > 40 {
			return fmt.Errorf("%s: folders are nested too deeply, or a link leads back", path.Join(name, dir))
		}
		entries, err := os.ReadDir(filepath.Join(at, filepath.FromSlash(dir)))
		if err != nil {
			return err
		}
		for _, e := range entries {
			rel := path.Join(dir, e.Name())
			if e.Name() == "__pycache__" || strings.HasSuffix(e.Name(), ".pyc") {
				continue
			}
			real, info, err := s.find(path.Join(filepath.ToSlash(name), rel))
			switch {
			case err != nil:
				return err
			case info.IsDir():
				if err := walk(rel, depth+1); err != nil {
					return err
				}
				continue
			case !info.Mode().IsRegular():
				return fmt.Errorf("%s is not a regular file", path.Join(name, rel))
			case !utf8.ValidString(rel) || strings.ContainsAny(rel, "\\\n"):
				return fmt.Errorf("%q: the name of the file cannot be taken; rename it", path.Join(name, rel))
			case len(found) == maxFiles:
				return fmt.Errorf("%s has more than %d files", name, maxFiles)
			}
			found[rel] = given{at: real, bytes: info.Size(), executable: info.Mode()&0o111 != 0}
		}
		return nil
	}
	return found, walk(".", 0)
}
