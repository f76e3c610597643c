package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/internal/cachedir"
	"mlgym/sandbox"
)

// Options of a [Store].
type Options struct {
	// Secret returns the secret of the installation, from which hidden rows,
	// their order and their ids come.
	Secret func() ([]byte, error)
	// Interpreter returns the Python in whose environment the script of a data
	// set runs, and builds that environment where it is missing.
	Interpreter func(ctx context.Context, d *Dataset) (python string, err error)
	// HubURL is the Hugging Face Hub or a mirror of it; "" means the hub, or what
	// HF_ENDPOINT names.
	HubURL string
	// Client fetches files; nil means one of its own.
	Client *http.Client
}

// Store keeps prepared data sets and what was fetched for them. It is safe for
// concurrent use, also by several processes.
type Store struct {
	dir  string
	opts Options
}

// OpenStore returns the store in a folder, which need not exist; "" means the
// folder data of the cache.
func OpenStore(dir string, opts Options) (*Store, error) {
	if dir == "" {
		var err error
		if dir, err = cachedir.Dir("data"); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if opts.HubURL == "" {
		opts.HubURL = os.Getenv("HF_ENDPOINT")
	}
	if opts.HubURL == "" {
		opts.HubURL = "https://huggingface.co"
	}
	if opts.Client == nil {
		opts.Client = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 20 * time.Second, ResponseHeaderTimeout: time.Minute,
			DialContext: (&net.Dialer{Timeout: 20 * time.Second}).DialContext,
		}}
	}
	return &Store{dir: dir, opts: opts}, nil
}

// Event tells how far a preparation is.
type Event struct {
	Text string
	// Done of Total; both are 0 where there is nothing to count. Bytes says that
	// they are bytes.
	Done, Total int64
	Bytes       bool
}

// PreparedSplit is a split as it lies in the store.
type PreparedSplit struct {
	Split
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Provenance says what prepared data was made from.
type Provenance struct {
	Kind  Kind         `json:"kind"`
	Files []SourceFile `json:"files,omitempty"`
}

// Prepared is a data set in the store.
type Prepared struct {
	Format  int    `json:"format"` // of this record: 1
	ID      ID     `json:"id"`
	Version int    `json:"version"`
	Variant string `json:"variant"`
	// Digest covers path and content of all files; rows are in an order of this
	// installation, so it differs from one to the next.
	Digest Digest `json:"digest"`
	// Definition is the digest of the data set's folder that it was made by.
	Definition Digest `json:"definition"`
	// Secret tells secrets apart without telling them.
	Secret     string          `json:"secret"`
	Source     Provenance      `json:"source"`
	Splits     []PreparedSplit `json:"splits"`
	Files      int             `json:"files"`
	Bytes      int64           `json:"bytes"`
	PreparedAt time.Time       `json:"prepared_at"`
	// Seconds that the preparation took, fetching included.
	Seconds float64 `json:"seconds"`

	dir string
}

// recordFormat is the version of the record of prepared data.
const recordFormat = 1

// SplitDir is the folder of a split.
func (p Prepared) SplitDir(name string) string { return filepath.Join(p.dir, name) }

// Mounts shows those splits of the data sets that see allows, each as a folder
// of its name below target.
func Mounts(data []Prepared, target string, see func(Split) bool) []sandbox.Mount {
	var mounts []sandbox.Mount
	for _, p := range data {
		for _, split := range p.Splits {
			if see(split.Split) {
				mounts = append(mounts, sandbox.Mount{Source: p.SplitDir(split.Name), Target: path.Join(target, split.Name)})
			}
		}
	}
	return mounts
}

// ErrNotPrepared is wrapped by the error of data that is not in the store.
var ErrNotPrepared = errors.New("not prepared")

// ErrStale is an [ErrNotPrepared] of data that is there and was made by another
// version of the data set's folder.
var ErrStale = fmt.Errorf("%w since its description changed", ErrNotPrepared)

// Lookup finds prepared data. The error wraps [ErrNotPrepared] where there is
// none, or what there is was made by another version of the data set's folder.
func (s *Store) Lookup(d *Dataset, variant string) (Prepared, error) {
	if _, err := d.Variant(variant); err != nil {
		return Prepared{}, err
	}
	p, err := s.read(s.record(d.ID, variant))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Prepared{}, fmt.Errorf("data set %s (%s): %w", d.ID, variant, ErrNotPrepared)
	case err != nil:
		return Prepared{}, err
	case p.Definition != d.Digest:
		return Prepared{}, fmt.Errorf("data set %s (%s): %w", d.ID, variant, ErrStale)
	}
	if info, err := os.Stat(p.dir); err != nil || !info.IsDir() {
		return Prepared{}, fmt.Errorf("data set %s (%s) has lost its files: %w", d.ID, variant, ErrNotPrepared)
	}
	return p, nil
}

func (s *Store) record(id ID, variant string) string {
	return filepath.Join(s.dir, "ready", string(id)+"-"+variant+".json")
}

func (s *Store) read(name string) (Prepared, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Prepared{}, err
	}
	var p Prepared
	if err := json.Unmarshal(text, &p); err != nil || p.Format != recordFormat || !digestPattern.MatchString(strings.TrimPrefix(string(p.Digest), "sha256:")) {
		return Prepared{}, fmt.Errorf("%s is no record of prepared data; remove it and prepare the data set again: %w", name, errors.Join(ErrNotPrepared, err))
	}
	p.dir = s.content(p.Digest)
	return p, nil
}

// content is where data of a digest lies.
func (s *Store) content(d Digest) string {
	return filepath.Join(s.dir, "store", strings.TrimPrefix(string(d), "sha256:"))
}

// List returns what is prepared, sorted by name. Records that cannot be read
// are joined in the error.
func (s *Store) List() ([]Prepared, error) {
	names, err := filepath.Glob(filepath.Join(s.dir, "ready", "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []Prepared
	var problems []error
	for _, name := range names {
		p, err := s.read(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all = append(all, p)
	}
	return all, errors.Join(problems...)
}

// Verify reads every file of prepared data again and returns an error where
// something is not as it was prepared.
func (s *Store) Verify(ctx context.Context, p Prepared, progress func(Event)) error {
	entries, err := readManifest(p.dir)
	if err != nil {
		return fmt.Errorf("data set %s (%s): %w", p.ID, p.Variant, err)
	}
	if got := digestEntries(entries); got != p.Digest {
		return fmt.Errorf("data set %s (%s): the list of its files has the digest %s, not %s", p.ID, p.Variant, got, p.Digest)
	}
	now, err := describe(ctx, p.dir, func(done int64) {
		if progress != nil {
			progress(Event{Text: fmt.Sprintf("reading %s (%s)", p.ID, p.Variant), Done: done, Total: p.Bytes, Bytes: true})
		}
	})
	if err != nil {
		return fmt.Errorf("data set %s (%s): %w", p.ID, p.Variant, err)
	}
	var problems []error
	was := map[string]entry{}
	for _, e := range entries {
		was[e.Path] = e
	}
	for _, e := range now {
		switch old, ok := was[e.Path]; {
		case !ok:
			problems = append(problems, fmt.Errorf("%s was added", e.Path))
		case old != e:
			problems = append(problems, fmt.Errorf("%s was changed", e.Path))
		}
		delete(was, e.Path)
	}
	for name := range was {
		problems = append(problems, fmt.Errorf("%s is missing", name))
	}
	if len(problems) == 0 {
		return nil
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return fmt.Errorf("data set %s (%s) is damaged (mlgym data prepare %s --variant %s --again makes it anew): %w",
		p.ID, p.Variant, p.ID, p.Variant, errors.Join(problems...))
}

// Remove removes prepared data. What was fetched for it stays.
func (s *Store) Remove(p Prepared) error {
	if err := os.Remove(s.record(p.ID, p.Variant)); err != nil {
		return err
	}
	others, err := s.List()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(others, func(o Prepared) bool { return o.Digest == p.Digest }) {
		return nil
	}
	return removeTree(p.dir)
}

// removeTree removes a folder whose folders may be read-only.
func removeTree(dir string) error {
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error { // what fails is told by RemoveAll
		if err == nil && d.IsDir() {
			return os.Chmod(name, 0o755) //nolint:gosec // about to be removed
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// lock holds a name against other processes until the returned function is
// called. wait is called where another one has it.
func (s *Store) lock(ctx context.Context, name string, wait func()) (func(), error) {
	dir := filepath.Join(s.dir, "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // as all of the store
		return nil, explainDisk(err)
	}
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o644) //nolint:gosec // as all of the store
	if err != nil {
		return nil, explainDisk(err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		return func() { _ = file.Close() }, nil
	}
	wait()
	held := make(chan error, 1)
	go func() {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX)
		held <- err
	}()
	select {
	case err := <-held:
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return func() { _ = file.Close() }, nil
	case <-ctx.Done():
		go func() { // frees the lock when it comes
			_ = errors.Join(<-held, file.Close()) // nobody waits for it any more
		}()
		return nil, context.Cause(ctx)
	}
}

// needSpace refuses to begin what cannot end.
func (s *Store) needSpace(bytes int64) error {
	var free unix.Statfs_t
	if err := unix.Statfs(s.dir, &free); err != nil {
		return nil //nolint:nilerr // then the writing tells
	}
	const spare = 64 << 20
	have := int64(free.Bavail) * free.Bsize //nolint:gosec // a size of a disk
	if bytes+spare > have {
		return fmt.Errorf("%s has %s left and %s are needed: free some, or choose another place with %s=DIR: %w",
			s.dir, Size(have), Size(bytes+spare), cachedir.EnvVar, syscall.ENOSPC)
	}
	return nil
}

// explainDisk adds the way out to the error of a full disk.
func explainDisk(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: the disk of the cache is full: free some space, or choose another place with %s=DIR", err, cachedir.EnvVar)
	}
	return err
}

// Size is a number of bytes for people.
func Size(bytes int64) string {
	switch {
	case bytes >= 10<<30:
		return fmt.Sprintf("%d GB", bytes>>30)
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(bytes)/(1<<30))
	case bytes >= 10<<20:
		return fmt.Sprintf("%d MB", bytes>>20)
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20))
	default:
		return fmt.Sprintf("%d KB", (bytes+1023)>>10)
	}
}
