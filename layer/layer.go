package layer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"mlgym/internal/cachedir"
	"mlgym/internal/nearest"
)

const (
	// Target is where sandboxes mount a layer.
	Target = "/opt/mlgym/env"
	// Bin is the folder of its programs there, which belongs first on PATH.
	Bin = Target + "/bin"
)

// The names of lock files in a folder of an environment, of which the second is
// for machines with an NVIDIA GPU.
const (
	lockFile     = "requirements.txt"
	lockFileCUDA = "requirements-cuda.txt"
	// removeFile lists what is taken away, a path a line; it is optional.
	removeFile = "remove.txt"
)

// Lock is what a layer is made from.
type Lock struct {
	// Name is for people, such as "torch".
	Name string
	// Requirements are the lines of a requirements file, each with its hashes.
	Requirements []byte
	// Remove are folders and files, relative to site-packages, that are taken
	// away after the installation: data that packages carry for their own tests,
	// and that answers a task.
	Remove []string
}

// Layer is a built environment.
type Layer struct {
	// Name is that of the lock it was first built from.
	Name   string `json:"name"`
	Digest string `json:"digest"`
	// Dir is the environment's folder on this machine.
	Dir string `json:"-"`
	// Bytes is what it takes on the disk, of which the downloads that are kept
	// beside it share most.
	Bytes        int64   `json:"bytes"`
	BuildSeconds float64 `json:"build_seconds"`
	// Python is the version of the interpreter, which is the system's own.
	Python   string    `json:"python"`
	Packages int       `json:"packages"`
	Platform string    `json:"platform"`
	UV       string    `json:"uv"`
	Built    time.Time `json:"built"`
}

// PythonPath is the interpreter with which a script on this machine, outside
// any sandbox, sees the environment.
func (l Layer) PythonPath() string { return filepath.Join(l.Dir, "bin", "python") }

// EnvAccelerator chooses the lock files: "cpu" or "cuda". Without it they are
// those for CUDA where the machine has an NVIDIA device.
const EnvAccelerator = "MLGYM_ACCELERATOR"

// cuda says which lock files this machine wants.
func cuda() (bool, error) {
	switch v := os.Getenv(EnvAccelerator); v {
	case "cuda":
		return true, nil
	case "cpu":
		return false, nil
	case "":
		_, err := os.Stat("/dev/nvidia0")
		return err == nil, nil
	default:
		return false, fmt.Errorf("%s is %q: want cpu, cuda or nothing", EnvAccelerator, v)
	}
}

// Find reads the lock file of an environment: that of the folder with its name,
// for this machine's accelerator.
func Find(fsys fs.FS, name string) (Lock, error) {
	withCUDA, err := cuda()
	if err != nil {
		return Lock{}, err
	}
	known, err := Environments(fsys)
	if err != nil {
		return Lock{}, err
	}
	if !slices.Contains(known, name) {
		return Lock{}, fmt.Errorf("there is no environment %q%s (known: %s)", name, nearest.Hint(name, known), strings.Join(known, ", "))
	}
	remove, err := readRemove(fsys, path.Join(name, removeFile))
	if err != nil {
		return Lock{}, fmt.Errorf("environment %s: %w", name, err)
	}
	if withCUDA {
		text, err := fs.ReadFile(fsys, path.Join(name, lockFileCUDA))
		if err == nil {
			return Lock{Name: name + " (cuda)", Requirements: text, Remove: remove}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Lock{}, fmt.Errorf("environment %s: %w", name, err)
		}
	}
	text, err := fs.ReadFile(fsys, path.Join(name, lockFile))
	if err != nil {
		return Lock{}, fmt.Errorf("environment %s: %w", name, err)
	}
	return Lock{Name: name, Requirements: text, Remove: remove}, nil
}

// readRemove reads a list of paths; a file that is not there is an empty one.
func readRemove(fsys fs.FS, name string) ([]string, error) {
	text, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !fs.ValidPath(line) || line == "." {
			return nil, fmt.Errorf("%s: want paths below site-packages, got %q", name, line)
		}
		paths = append(paths, line)
	}
	return paths, nil
}

// Environments returns the names of the environments in a folder, sorted.
func Environments(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("list the environments: %w", err)
	}
	var names []string
	for _, e := range entries {
		if _, err := fs.Stat(fsys, path.Join(e.Name(), lockFile)); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// infoFile stands in the folder of a layer, and says what it is. It is written
// last.
const infoFile = "layer.json"

// root is the folder of all layers.
func root() (string, error) { return cachedir.Dir("layers") }

// validDigest is what a layer's folder is called.
var validDigest = regexp.MustCompile(`^[0-9a-f]{32}$`)

// read reads what a folder says of itself. A folder that is none of ours, or
// not a whole one, is none.
func read(dir string) (Layer, bool) {
	text, err := os.ReadFile(filepath.Join(dir, infoFile))
	if err != nil {
		return Layer{}, false
	}
	var l Layer
	if json.Unmarshal(text, &l) != nil || l.Digest != filepath.Base(dir) {
		return Layer{}, false
	}
	l.Dir = dir
	return l, true
}

// List returns the layers of this machine, by name and age.
func List() ([]Layer, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the layers: %w", err)
	}
	var layers []Layer
	for _, e := range entries {
		if l, ok := read(filepath.Join(dir, e.Name())); ok && validDigest.MatchString(e.Name()) {
			layers = append(layers, l)
		}
	}
	slices.SortFunc(layers, func(a, b Layer) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return a.Built.Compare(b.Built)
	})
	return layers, nil
}

// Remove removes a layer; one that is gone is fine. Sandboxes that have it
// mounted lose its files. The downloads it was made from stay in the cache of
// uv, and hold most of its bytes: [Builder.RemoveDownloads] frees those.
func Remove(ctx context.Context, digest string) error {
	if !validDigest.MatchString(digest) {
		return fmt.Errorf("remove a layer: %q is no digest of one", digest)
	}
	dir, err := root()
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, dir, digest, nil)
	if err != nil {
		return fmt.Errorf("remove layer %s: %w", digest, err)
	}
	defer unlock()
	// Out of sight at once, or not at all.
	gone, err := os.MkdirTemp(dir, unfinished+digest+"-")
	if err != nil {
		return fmt.Errorf("remove layer %s: %w", digest, err)
	}
	err = os.Rename(filepath.Join(dir, digest), filepath.Join(gone, digest))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, os.RemoveAll(gone)); err != nil {
		return fmt.Errorf("remove layer %s: %w", digest, err)
	}
	return nil
}
