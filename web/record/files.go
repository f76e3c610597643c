package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mlgym/gym"
	"mlgym/runstore"
)

// FileTree is what a run kept of the agent's workspace at one time: the files that
// were handed in for an evaluation.
type FileTree struct {
	// Name is that of the folder below submission/, such as "3-validate".
	Name string `json:"name"`
	// Evaluation counts from 1, and Kind says which it was.
	Evaluation int      `json:"evaluation"`
	Kind       gym.Kind `json:"kind"`
	// Step at which it was made, 0 where that is not known.
	Step int `json:"step"`
	// Files in the order of their names; folders are not listed.
	Files []File `json:"files"`
	// More says that there are more files than are listed.
	More bool `json:"more,omitempty"`
}

// File is a file of a tree.
type File struct {
	// Name is the path below the tree, with slashes.
	Name string `json:"name"`
	Size int64  `json:"size"`
	// Program says that it may be executed.
	Program bool `json:"program,omitempty"`
	// Special says that it is a link, or another thing that is not opened.
	Special  bool      `json:"special,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
}

// maxListed is how many files of a tree are listed, and maxLevels how deep it is
// looked into.
const (
	maxListed = 10_000
	maxLevels = 32
)

// treeName is the name of what an evaluation left: its number, its kind, and how
// often it was made again.
var treeName = regexp.MustCompile(`^([1-9][0-9]{0,8})-([A-Za-z0-9_.-]+?)(?:\.r([0-9]{1,6}))?(?:\.log)?$`)

type treeEntry struct {
	name          string
	number, again int
	kind          string
}

func parseTree(name string) (treeEntry, bool) {
	m := treeName.FindStringSubmatch(name)
	if m == nil {
		return treeEntry{}, false
	}
	number, err := strconv.Atoi(m[1])
	again, _ := strconv.Atoi(m[3]) // "" is 0
	return treeEntry{name, number, again, m[2]}, err == nil
}

// Trees returns what the record has of the workspace, in order, without files.
func (r *Run) Trees(ctx context.Context) ([]FileTree, error) {
	if r.name != nil {
		return nil, ctx.Err()
	}
	root, err := r.folderOf(runstore.SubmissionName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	list, err := readDir(root, maxListed)
	if err != nil {
		return nil, err
	}
	var found []treeEntry
	for _, e := range list {
		if entry, ok := parseTree(e.Name()); ok && e.IsDir() && !strings.HasSuffix(e.Name(), ".log") {
			found = append(found, entry)
		}
	}
	slices.SortFunc(found, func(a, b treeEntry) int {
		if a.number != b.number {
			return a.number - b.number
		}
		return a.again - b.again
	})
	made := r.Header().Evaluations
	out := make([]FileTree, 0, len(found))
	for _, e := range found {
		t := FileTree{Name: e.name, Evaluation: e.number, Kind: gym.Kind(e.kind)}
		if e.number <= len(made) {
			t.Step = made[e.number-1].Step
		}
		out = append(out, t)
	}
	return out, ctx.Err()
}

// Files returns what the record has of the workspace at a step, or last before it;
// nil where it has nothing.
func (r *Run) Files(ctx context.Context, n int) (*FileTree, error) {
	trees, err := r.Trees(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range slices.Backward(trees) {
		if t.Step > n || t.Step == 0 {
			continue
		}
		return r.Tree(ctx, t.Name)
	}
	return nil, nil //nolint:nilnil // there is none
}

// Tree returns one of [Run.Trees], with its files.
func (r *Run) Tree(ctx context.Context, name string) (*FileTree, error) {
	trees, err := r.Trees(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(trees, func(t FileTree) bool { return t.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("the run kept no files named %q: %w", name, fs.ErrNotExist)
	}
	t := trees[at]
	root, err := r.folderOf(runstore.SubmissionName, name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	t.Files, t.More, err = listFiles(ctx, root)
	return &t, err
}

// OpenFile opens a file of a tree. No link is followed, and nothing but a regular
// file below the tree's folder is opened.
func (r *Run) OpenFile(_ context.Context, tree, name string) (fs.File, error) {
	entry, ok := parseTree(tree)
	if !ok || r.name != nil || entry.name != tree {
		return nil, &fs.PathError{Op: "open", Path: tree, Err: fs.ErrNotExist}
	}
	return r.openBelow(name, runstore.SubmissionName, tree)
}

// Log is a log of the grader.
type Log struct {
	// Name is the path below logs/, with slashes, such as "3-validate/grader.log".
	Name string `json:"name"`
	// Evaluation that it belongs to, from 1; 0 where its name does not say.
	Evaluation int       `json:"evaluation"`
	Kind       gym.Kind  `json:"kind,omitempty"`
	Size       int64     `json:"size"`
	Modified   time.Time `json:"modified,omitzero"`
}

// Logs returns the grader's logs, in the order of their evaluations. They tell of
// hidden data: whoever shows them asks first who is looking.
func (r *Run) Logs() []Log {
	if r.name != nil {
		return nil
	}
	root, err := r.folderOf(runstore.LogsName)
	if err != nil {
		return nil
	}
	defer root.Close()
	files, _, err := listFiles(context.Background(), root)
	if err != nil {
		return nil
	}
	var out []Log
	for _, f := range files {
		if f.Special {
			continue
		}
		l := Log{Name: f.Name, Size: f.Size, Modified: f.Modified}
		first, _, _ := strings.Cut(f.Name, "/")
		if e, ok := parseTree(first); ok {
			l.Evaluation, l.Kind = e.number, gym.Kind(e.kind)
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Log) int { return a.Evaluation - b.Evaluation })
	return out
}

// OpenLog opens one of [Run.Logs]. No link is followed.
func (r *Run) OpenLog(name string) (fs.File, error) {
	if r.name != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return r.openBelow(name, runstore.LogsName)
}

// folderOf opens a folder below the run's, without following links.
func (r *Run) folderOf(names ...string) (*os.Root, error) {
	root, err := os.OpenRoot(r.dir)
	if err != nil {
		return nil, err
	}
	return descend(root, names)
}

// descend goes down from a folder, which is closed, without following links.
func descend(root *os.Root, names []string) (*os.Root, error) {
	for _, name := range names {
		before, err := root.Lstat(name)
		if err == nil && !before.IsDir() {
			err = &fs.PathError{Op: "open", Path: name, Err: errors.New("is no folder")}
		}
		var next *os.Root
		if err == nil {
			next, err = root.OpenRoot(name)
		}
		root.Close()
		if err != nil {
			return nil, err
		}
		// Somebody may have put a link there in between.
		after, err := next.Stat(".")
		if err == nil && !os.SameFile(before, after) {
			err = &fs.PathError{Op: "open", Path: name, Err: errors.New("was replaced meanwhile")}
		}
		if err != nil {
			next.Close()
			return nil, err
		}
		root = next
	}
	return root, nil
}

// openBelow opens a regular file by its path below a folder of the run.
func (r *Run) openBelow(name string, folder ...string) (fs.File, error) {
	if !filepath.IsLocal(name) || path.Clean(name) != name || name == "." || strings.ContainsRune(name, 0) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	parts := append(slices.Clone(folder), strings.Split(name, "/")...)
	last := parts[len(parts)-1]
	root, err := r.folderOf(parts[:len(parts)-1]...)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	before, err := root.Lstat(last)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a regular file")}
	}
	file, err := root.OpenFile(last, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	after, err := file.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("was replaced meanwhile")}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// readDir lists up to n entries of a folder, in the order of their names.
func readDir(root *os.Root, n int) ([]fs.DirEntry, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	list, err := dir.ReadDir(n)
	if len(list) > 0 || errors.Is(err, io.EOF) {
		err = nil // the rest is not there, or is left out
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}

// listFiles lists the files at and below a folder.
func listFiles(ctx context.Context, root *os.Root) (files []File, more bool, err error) {
	var walk func(root *os.Root, prefix string, level int) error
	walk = func(root *os.Root, prefix string, level int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		list, err := readDir(root, maxListed)
		if err != nil {
			return err
		}
		more = more || len(list) == maxListed
		for _, e := range list {
			if len(files) >= maxListed {
				more = true
				return nil
			}
			name := prefix + e.Name()
			info, err := root.Lstat(e.Name())
			if err != nil {
				continue // removed meanwhile
			}
			if !info.IsDir() {
				files = append(files, File{
					Name: name, Size: info.Size(), Program: info.Mode()&0o111 != 0,
					Special: !info.Mode().IsRegular(), Modified: info.ModTime().UTC(),
				})
				continue
			}
			if level >= maxLevels {
				more = true
				continue
			}
			below, err := root.OpenRoot(e.Name())
			if err != nil {
				continue
			}
			if after, statErr := below.Stat("."); statErr == nil && os.SameFile(info, after) {
				err = walk(below, name+"/", level+1)
			}
			below.Close()
			if err != nil {
				return err
			}
		}
		return nil
	}
	err = walk(root, "", 0)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, more, err
}
