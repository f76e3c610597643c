package search

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"mlgym/internal/flock"
)

// Progress says how far an update is.
type Progress struct {
	// Waiting: another process is updating the index; nothing else is set then.
	Waiting bool
	// Runs that were read, of all that have to be.
	Runs, AllRuns int
	// Bytes of their files, of all.
	Bytes, AllBytes int64
}

// Summary says what an update did.
type Summary struct {
	// Runs that lie below the roots: those read in this update and the others.
	Runs, Read, Unchanged int
	// Removed from the index, since they are not there any more.
	Removed int
	// Broken runs of all below the roots; they are listed by [Index.Runs], with
	// the reason.
	Broken int
	// Steps and Bytes of text that were read in.
	Steps int
	Bytes int64
	// Problems are folders that could not be looked into.
	Problems []Problem
	// Rebuilt says why the index was built anew, "" where it was not, or where
	// there was none.
	Rebuilt string
}

// Update brings the index up to date with the runs at and below some folders:
// it reads what is new or changed, and forgets what is not there any more. A run
// that is still being written is taken in up to its last whole line; when it has
// grown, only what is new is indexed. A run that cannot be read is listed with
// its reason and stops no other. A folder that is not there is an error that
// wraps [io/fs.ErrNotExist].
//
// Where the index is damaged, it is built anew. Progress, which may be nil, is
// called from one goroutine, after each run that was read. What was read before
// ctx ended stays, in parts.
func (x *Index) Update(ctx context.Context, roots []string, progress func(Progress)) (_ Summary, err error) {
	roots, err = absolute(roots)
	if err != nil {
		return Summary{}, err
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	path := filepath.Join(x.dir, lockName)
	lock, held, err := flock.TryLock(path)
	if err == nil && !held {
		progress(Progress{Waiting: true})
		lock, err = flock.Lock(ctx, path)
	}
	if err != nil {
		return Summary{}, fmt.Errorf("update the search index: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	for again := false; ; again = true {
		sum, err := x.update(ctx, roots, progress)
		if err == nil || !damaged(err) || again {
			return sum, err
		}
		if err := x.rebuild(ctx, why(err)); err != nil {
			return sum, err
		}
	}
}

func absolute(roots []string) ([]string, error) {
	out := make([]string, 0, len(roots))
	for _, root := range roots {
		abs, err := filepath.Abs(root)
		if err != nil {
			return nil, err
		}
		out = append(out, abs)
	}
	return out, nil
}

// job is a run that has to be read.
type job struct {
	place  place
	before *known
	keep   int
	chunks chan chunk
}

func (x *Index) update(ctx context.Context, roots []string, progress func(Progress)) (Summary, error) {
	var sum Summary
	x.mu.Lock()
	spoilt := x.spoilt
	x.mu.Unlock()
	if spoilt != "" {
		return sum, fmt.Errorf("%w: %s", ErrDamaged, strings.TrimPrefix(spoilt, ErrDamaged.Error()+": "))
	}
	db, err := x.current(ctx)
	if err != nil {
		return sum, err
	}
	found, problems, err := walk(ctx, roots)
	if err != nil {
		return sum, err
	}
	before, err := knownRuns(ctx, db, roots)
	if err != nil {
		return sum, err
	}
	sum.Runs, sum.Problems = len(found), problems
	var jobs []*job
	var changed []known // whose writer ended
	for _, p := range found {
		k, ok := before[p.path]
		delete(before, p.path)
		if !ok || k.signature != p.signature {
			j := &job{place: p, chunks: make(chan chunk, 2)}
			if ok {
				j.before, j.keep = &k, k.keeps(p)
			}
			jobs = append(jobs, j)
			continue
		}
		sum.Unchanged++
		if k.State == Running || k.State == Cut {
			if state := liveness(p.path); state != k.State {
				k.State = state
				changed = append(changed, k)
			}
		}
	}
	for path := range before {
		// What could not be looked at is not gone.
		if slices.ContainsFunc(problems, func(p Problem) bool { return below(path, p.Path) }) {
			delete(before, path)
		}
	}
	w := writer{db: db, progress: progress, sum: &sum}
	err = w.write(ctx, x.options, jobs, before, changed)
	if err != nil {
		return sum, fmt.Errorf("update the search index: %w", err)
	}
	x.mu.Lock()
	sum.Rebuilt, x.notice = x.notice, ""
	x.mu.Unlock()
	where, args := inRoots(roots)
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM runs WHERE state = ? AND ("+where+")", append([]any{Broken}, args...)...).Scan(&sum.Broken)
	return sum, err
}

// inRoots is the condition that a run lies at or below one of the folders.
func inRoots(roots []string) (string, []any) {
	var parts []string
	var args []any
	for _, root := range roots {
		// '0' is the sign after '/'.
		parts = append(parts, "path = ? OR path >= ? AND path < ?")
		bare := strings.TrimSuffix(root, "/")
		args = append(args, root, bare+"/", bare+"0")
	}
	if len(parts) == 0 {
		return "0", nil
	}
	return strings.Join(parts, " OR "), args
}

func knownRuns(ctx context.Context, db *sql.DB, roots []string) (map[string]known, error) {
	where, args := inRoots(roots)
	rows, err := db.QueryContext(ctx, "SELECT id, path, signature, settled, whole, sum, state FROM runs WHERE "+where, args...) //nolint:gosec // only question marks
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]known{}
	for rows.Next() {
		var k known
		if err := rows.Scan(&k.id, &k.Path, &k.signature, &k.settled, &k.whole, &k.check, &k.State); err != nil {
			return nil, err
		}
		out[k.Path] = k
	}
	return out, rows.Err()
}

// writer writes what several sources read, in the order of the jobs: the index
// takes rows in rising order much faster.
type writer struct {
	db       *sql.DB
	progress func(Progress)
	sum      *Summary

	tx      *sql.Tx
	insert  [2]*sql.Stmt
	nextID  int64
	pending int64 // bytes since the last commit
}

// commitBytes is how much text one transaction takes in.
const commitBytes = 32 << 20

func (w *writer) write(ctx context.Context, o Options, jobs []*job, gone map[string]known, changed []known) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	defer func() {
		if w.tx != nil {
			err = errors.Join(err, ignoreDone(w.tx.Rollback()))
		}
	}()
	if len(jobs) == 0 && len(gone) == 0 && len(changed) == 0 {
		return nil
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	for _, k := range gone {
		if err := w.remove(ctx, k.id, -1); err != nil {
			return err
		}
		if _, err := w.tx.ExecContext(ctx, "DELETE FROM runs WHERE id = ?", k.id); err != nil {
			return err
		}
		w.sum.Removed++
	}
	for _, k := range changed {
		if _, err := w.tx.ExecContext(ctx, "UPDATE runs SET state = ? WHERE id = ?", k.State, k.id); err != nil {
			return err
		}
	}
	var all Progress
	for _, j := range jobs {
		all.AllRuns++
		all.AllBytes += j.place.bytes
	}
	startReaders(ctx, &readers, o, jobs)
	for _, j := range jobs {
		if err := w.run(ctx, j); err != nil {
			return err
		}
		all.Runs++
		all.Bytes += j.place.bytes
		w.progress(all)
		if w.pending >= commitBytes {
			if err := w.commit(); err != nil {
				return err
			}
			if err := w.begin(ctx); err != nil {
				return err
			}
		}
	}
	return w.commit()
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// startReaders reads the jobs in their order, a few at a time. A reader is
// ahead of the writer by two chunks at most.
func startReaders(ctx context.Context, wg *sync.WaitGroup, o Options, jobs []*job) {
	queue := make(chan *job)
	wg.Go(func() {
		defer close(queue)
		for _, j := range jobs {
			select {
			case queue <- j:
			case <-ctx.Done():
				return
			}
		}
	})
	for range min(len(jobs), max(2, runtime.GOMAXPROCS(0))) {
		var to chan chunk
		s := newSource(o, func(c chunk) error {
			select {
			case to <- c:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		wg.Go(func() {
			for j := range queue {
				to = j.chunks
				if s.read(ctx, j.place, j.keep) != nil {
					return // the writer knows: ctx has ended
				}
			}
		})
	}
}

func (w *writer) begin(ctx context.Context) (err error) {
	if w.tx, err = w.db.BeginTx(ctx, nil); err != nil {
		return err
	}
	for i, statement := range []string{
		"INSERT INTO words(rowid, action, thought, observation) VALUES(?, ?, ?, ?)",
		"INSERT INTO texts(id, packed) VALUES(?, ?)",
	} {
		if w.insert[i], err = w.tx.PrepareContext(ctx, statement); err != nil { //nolint:sqlclosecheck // ends with its transaction
			return err
		}
	}
	w.pending = 0
	return w.tx.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) + 1 FROM runs").Scan(&w.nextID)
}

func (w *writer) commit() error {
	err := w.tx.Commit()
	w.tx = nil
	return err
}

// run writes one run.
func (w *writer) run(ctx context.Context, j *job) error {
	id := w.nextID
	if j.before != nil {
		id = j.before.id
		from := -1
		if j.keep > 0 {
			from = j.keep
		}
		if err := w.remove(ctx, id, from); err != nil {
			return err
		}
	} else {
		w.nextID++
	}
	for {
		var c chunk
		select {
		case c = <-j.chunks:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, r := range c.rows {
			at := id<<stepBits | int64(r.step)
			if _, err := w.insert[0].ExecContext(ctx, at, r.action, r.thought, r.observation); err != nil {
				return err
			}
			if _, err := w.insert[1].ExecContext(ctx, at, r.packed); err != nil {
				return err
			}
		}
		w.sum.Steps += len(c.rows)
		w.sum.Bytes += c.bytes
		w.pending += c.bytes + 4<<10
		if c.last {
			w.sum.Read++
			return w.store(ctx, id, &c.done)
		}
	}
}

// remove takes the steps of a run after the given one out of the index.
func (w *writer) remove(ctx context.Context, run int64, after int) error {
	from, to := run<<stepBits|int64(max(after+1, 0)), run<<stepBits|maxStep
	if _, err := w.tx.ExecContext(ctx, "DELETE FROM words WHERE rowid IN (SELECT id FROM texts WHERE id BETWEEN ? AND ?)", from, to); err != nil {
		return err
	}
	_, err := w.tx.ExecContext(ctx, "DELETE FROM texts WHERE id BETWEEN ? AND ?", from, to)
	return err
}

func (w *writer) store(ctx context.Context, id int64, k *known) error {
	at := k.Started
	if at.IsZero() {
		at = k.Modified
	}
	_, err := w.tx.ExecContext(ctx, insertRun, append([]any{id, k.Path, k.signature, k.settled, k.whole, k.check, nanos(at)}, k.Run.values()...)...)
	return err
}

// insertRun has the values of store.
var insertRun = "INSERT OR REPLACE INTO runs (id, path, signature, settled, whole, sum, at, " + runColumns + //nolint:gosec // only columns and question marks
	") VALUES (?" + strings.Repeat(", ?", 6+strings.Count(runColumns, ",")+1) + ")"
