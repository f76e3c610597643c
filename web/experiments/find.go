package experiments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/experiment"
	"mlgym/runstore"
)

// place is where an experiment lies.
type place struct {
	// Key names it in addresses; Name is its path below the root.
	Key, Name, Dir string
}

// finder looks for experiments at and below some folders, in the background, while
// somebody asks.
type finder struct {
	roots []string

	mu    sync.Mutex
	found []place // in the order of their names
	// busy is closed when the search under way ends, nil while there is none.
	busy  chan struct{}
	ended time.Time // of the last search, zero before the first
	cut   bool      // the last search did not look everywhere
}

const (
	// searchEvery is how much time lies between two searches.
	searchEvery = 5 * time.Second
	// mostDepth below a root, and mostFolders in all, are looked into.
	mostDepth   = 6
	mostFolders = 50_000
)

// touch begins a search where the last one is some time ago.
func (f *finder) touch(age time.Duration) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy != nil {
		return f.busy
	}
	done := make(chan struct{})
	if !f.ended.IsZero() && time.Since(f.ended) < age {
		close(done)
		return done
	}
	f.busy = done
	go f.search(done)
	return done
}

// all are the experiments that were found, and whether a search is under way that
// is the first one.
func (f *finder) all() (found []place, searching, cut bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.found, f.ended.IsZero(), f.cut
}

// get finds an experiment by its key; one that is not known is searched for.
func (f *finder) get(ctx context.Context, key string) (place, bool) {
	for _, age := range []time.Duration{searchEvery, time.Second} {
		found, _, _ := f.all()
		if i := slices.IndexFunc(found, func(p place) bool { return p.Key == key }); i >= 0 {
			f.touch(searchEvery)
			return found[i], true
		}
		select {
		case <-f.touch(age):
		case <-ctx.Done():
			return place{}, false
		}
	}
	found, _, _ := f.all()
	if i := slices.IndexFunc(found, func(p place) bool { return p.Key == key }); i >= 0 {
		return found[i], true
	}
	return place{}, false
}

func (f *finder) search(done chan struct{}) {
	s := searching{left: mostFolders, known: map[string]bool{}}
	for i, root := range f.roots {
		s.root(i, root)
	}
	slices.SortFunc(s.found, func(a, b place) int { return strings.Compare(a.Name, b.Name) })
	f.mu.Lock()
	f.found, f.cut, f.ended, f.busy = s.found, s.left <= 0, time.Now(), nil
	f.mu.Unlock()
	close(done)
}

// searching is one search.
type searching struct {
	found []place
	known map[string]bool
	left  int
}

func (s *searching) root(number int, root string) {
	root, err := filepath.Abs(root)
	if err != nil {
		return
	}
	s.folder(root, 0, func(dir string) place {
		name, err := filepath.Rel(root, dir)
		if err != nil || name == "." {
			name = filepath.Base(dir)
		}
		sum := sha256.Sum256([]byte("experiment\n" + strconv.Itoa(number) + "\n" + name))
		return place{Key: hex.EncodeToString(sum[:8]), Name: name, Dir: dir}
	})
}

// folder looks into a folder. Links are not followed, and runs, experiments and
// hidden folders not looked into: nothing lies in them.
func (s *searching) folder(dir string, depth int, found func(dir string) place) {
	if s.left--; s.left < 0 || s.known[dir] {
		return
	}
	s.known[dir] = true
	if experiment.Found(dir) {
		s.found = append(s.found, found(dir))
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil || depth >= mostDepth || isRun(entries) {
		return // what may not be read shows nothing
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			s.folder(filepath.Join(dir, e.Name()), depth+1, found)
		}
	}
}

func isRun(entries []fs.DirEntry) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() == runstore.ManifestName || e.Name() == runstore.TrajectoryName || strings.HasSuffix(e.Name(), ".traj")
	})
}
