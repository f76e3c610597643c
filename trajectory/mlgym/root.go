package mlgym

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
)

// File names one of the two files of a run.
type File string

// The files of a run folder; Folder stands for the folder itself.
const (
	ResultsFile File = "results.json"
	TrajFile    File = ".traj"
	Folder      File = "folder"
)

// Problem is something about a run that a reader of the figures should know.
type Problem struct {
	Path string
	File File
	// Missing: the file is not there. Broken: it is there and cannot be read
	// as what it should be. Neither: it was read, with the note.
	Missing, Broken bool
	Note            string
}

// Run is one run folder, without the record of its steps.
type Run struct {
	// Path of the folder and its last element.
	Path, Folder string
	Name         Name
	// HasResults says that results.json is there and was read; ResultsExist
	// only that it is there. The same for the record.
	ResultsExist, HasResults bool
	TrajExist, HasTraj       bool
	Results                  Results
	Trailer                  Trailer
	Problems                 []Problem
}

// Entry is a run folder that was found.
type Entry struct {
	Path, Folder string
	Name         Name
}

// ErrNotFolder is wrapped when runs are looked for in something else.
var ErrNotFolder = errors.New("is not a folder")

// maxDepth is how far below a root run folders are looked for.
const maxDepth = 4

// Find lists the run folders at and below root, in lexical order of the folder
// name within each parent. Folders whose name is not that of a run are looked
// into, and described as a problem if they hold a run's files.
func Find(root string) ([]Entry, []Problem, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		return nil, nil, fmt.Errorf("%s %w", root, ErrNotFolder)
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, nil, err
	}
	if name, ok := ParseName(filepath.Base(abs)); ok {
		return []Entry{{root, filepath.Base(abs), name}}, nil, nil
	}
	var found []Entry
	var problems []Problem
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		list, err := os.ReadDir(dir)
		if err != nil {
			problems = append(problems, Problem{Path: dir, File: Folder, Broken: true, Note: reason(err)})
			return
		}
		for _, e := range list {
			path := filepath.Join(dir, e.Name())
			name, isRun := ParseName(e.Name())
			isDir := e.IsDir()
			if e.Type()&fs.ModeSymlink != 0 && isRun {
				target, err := os.Stat(path)
				isDir = err == nil && target.IsDir()
			}
			switch {
			case isDir && isRun:
				found = append(found, Entry{path, e.Name(), name})
			case isDir && depth < maxDepth:
				walk(path, depth+1)
			case !isDir && (e.Name() == string(ResultsFile) || strings.HasSuffix(e.Name(), string(TrajFile))):
				problems = append(problems, Problem{
					Path: path, File: Folder, Broken: true,
					Note: "lies in a folder whose name is not that of a run; not used",
				})
			}
		}
	}
	walk(root, 0)
	sort.SliceStable(found, func(i, j int) bool { return found[i].Folder < found[j].Folder })
	return found, problems, nil
}

// Options say how runs are read.
type Options struct {
	// Want selects what is decoded of each step.
	Want Field
	// SkipTraj leaves the records unread; only their presence is noted.
	SkipTraj bool
	// Workers is how many runs are read at a time; 0 means one per CPU.
	Workers int
}

// Read reads the given runs with all CPUs and hands them over one by one, in
// the given order, from the calling goroutine. At most a few runs per worker
// are in memory. It stops at the first error of each and when ctx is done.
//
// For each run begin makes a value to gather the steps in, and the function
// that is shown them; it is called from several goroutines, each with its own
// run. Both it and the function may be nil.
func Read[V any](ctx context.Context, entries []Entry, o Options, begin func(Entry) (V, func(*Step) error), each func(*Run, V) error) error {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		run    *Run
		gather V
	}
	type job struct {
		entry Entry
		out   chan result
	}
	work := make(chan job)
	order := make(chan job, 4*workers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer close(order)
		defer close(work)
		for _, e := range entries {
			j := job{e, make(chan result, 1)}
			select {
			case order <- j:
			case <-ctx.Done():
				return
			}
			select {
			case work <- j:
			case <-ctx.Done():
				return
			}
		}
	})
	for range workers {
		wg.Go(func() {
			rd := reader{scan: newScanner(), o: o}
			for j := range work {
				var res result
				var visit func(*Step) error
				if begin != nil {
					res.gather, visit = begin(j.entry)
				}
				res.run = rd.read(j.entry, visit)
				j.out <- res
			}
		})
	}
	for j := range order {
		select {
		case res := <-j.out:
			if err := each(res.run, res.gather); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// ReadRun reads one run folder, showing each step to visit, which may be nil.
func ReadRun(e Entry, o Options, visit func(*Step) error) *Run {
	rd := reader{scan: newScanner(), o: o}
	return rd.read(e, visit)
}

type reader struct {
	scan *scanner
	o    Options
}

func (rd *reader) read(e Entry, visit func(*Step) error) *Run {
	run := &Run{Path: e.Path, Folder: e.Folder, Name: e.Name}
	trouble := func(path string, file File, err error) {
		p := Problem{Path: path, File: file, Note: reason(err)}
		if errors.Is(err, fs.ErrNotExist) {
			p.Missing = true
		} else {
			p.Broken = true
		}
		run.Problems = append(run.Problems, p)
	}
	path := filepath.Join(e.Path, string(ResultsFile))
	err := rd.open(path, &run.ResultsExist, func() (err error) {
		run.Results, err = readResults(rd.scan)
		return err
	})
	run.HasResults = err == nil
	if err != nil {
		trouble(path, ResultsFile, err)
	}
	for _, note := range run.Results.Notes {
		run.Problems = append(run.Problems, Problem{Path: path, File: ResultsFile, Note: note})
	}
	path = filepath.Join(e.Path, e.Name.Task+string(TrajFile))
	err = rd.open(path, &run.TrajExist, func() (err error) {
		if rd.o.SkipTraj {
			return nil
		}
		run.Trailer, err = readTraj(rd.scan, rd.o.Want, visit)
		return err
	})
	run.HasTraj = err == nil
	if err != nil {
		trouble(path, TrajFile, err)
	} else if !rd.o.SkipTraj {
		for _, part := range []struct {
			there bool
			note  string
		}{
			{run.Trailer.HasTrajectory, "trajectory is missing or not a list"},
			{run.Trailer.HasInfo, "info is missing or not an object"},
		} {
			if !part.there {
				run.Problems = append(run.Problems, Problem{Path: path, File: TrajFile, Note: part.note})
			}
		}
	}
	return run
}

// open runs read on the file at path through the reader's scanner.
func (rd *reader) open(path string, exists *bool, read func() error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	*exists = true
	// Asked before opening: a named pipe would keep us waiting for ever.
	if !info.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	rd.scan.reset(f)
	rd.scan.size = info.Size()
	defer rd.scan.reset(eof{})
	return read()
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// reason is the text of err without the path, which stands beside it.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
