package search

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	sqlite "modernc.org/sqlite" // also registers the driver

	"mlgym/internal/atomicfile"
	"mlgym/internal/flock"
	"mlgym/runstore"
)

// Version of the index. One of another version is thrown away.
const Version = 1

// ErrDamaged is wrapped where the index cannot be read. The next
// [Index.Update] builds it anew.
var ErrDamaged = errors.New("the search index is damaged")

// Options say how runs are read into an index.
type Options struct {
	// Metric returns the metric by which runs on a task are compared and its
	// direction, "" where it is not known. It is asked for runs that do not say it
	// themselves, which are those that MLGym published. Nil knows none; the first
	// metric that a run was scored by counts then, more being better.
	Metric func(task string) (string, runstore.Direction)
}

// Index is an open index.
type Index struct {
	dir     string
	options Options

	mu sync.Mutex
	// db is the file named, which other processes may replace by another.
	db     *sql.DB
	name   string
	notice string // why it was built anew, to be told once
	spoilt string // why it has to be
	closed bool
}

// The files in an index's folder. The database has a new name each time that
// it is built anew, so that no process ever finds another database under the
// name of the one that it has open.
const (
	currentName = "current"
	lockName    = "lock"
)

// Open opens the index in a folder, which is made where it is not there. The
// folder is for the index alone. Only its owner can read the index, since records
// of runs may be readable by nobody else.
func Open(ctx context.Context, dir string, o Options) (*Index, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the search index: %w", err)
	}
	x := &Index{dir: dir, options: o}
	if _, err := x.current(ctx); err == nil {
		return x, nil
	}
	lock, err := flock.Lock(ctx, filepath.Join(dir, lockName))
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	// Somebody may have made it in the meantime.
	if _, err = x.current(ctx); err != nil {
		err = x.rebuild(ctx, why(err))
	}
	if err = errors.Join(err, lock.Unlock()); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// why says for people why an index is built anew; "" where there was none.
func why(err error) string {
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDamaged) {
		return ""
	}
	return err.Error()
}

// Close closes the index. It is idempotent.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	if x.db == nil {
		return nil
	}
	err := x.db.Close()
	x.db = nil
	return err
}

var errClosed = errors.New("the search index is closed")

// current returns the database that counts now.
func (x *Index) current(ctx context.Context) (*sql.DB, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, errClosed
	}
	text, err := os.ReadFile(filepath.Join(x.dir, currentName))
	if err != nil {
		return nil, fmt.Errorf("open the search index: %w", err)
	}
	name := strings.TrimSpace(string(text))
	if x.db != nil && x.name == name {
		return x.db, nil
	}
	db, err := openDatabase(ctx, x.dir, name)
	if err != nil {
		return nil, err
	}
	if x.db != nil {
		// Whoever still asks the old one keeps its connection until it is done.
		if err := x.db.Close(); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	x.db, x.name, x.spoilt = db, name, ""
	return db, nil
}

// openDatabase opens a database that is there, and refuses what is not one of
// this version.
func openDatabase(ctx context.Context, dir, name string) (*sql.DB, error) {
	if name != filepath.Base(name) || !strings.HasSuffix(name, suffix) {
		return nil, fmt.Errorf("%w: %q is no name of a database", ErrDamaged, name)
	}
	if !strings.HasPrefix(name, fmt.Sprintf("v%d-", Version)) {
		return nil, errors.New("the search index was made by another version of mlgym")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	db, err := connect(path)
	if err != nil {
		return nil, err
	}
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version != Version {
		err = errors.Join(ctx.Err(), fmt.Errorf("%w: its header cannot be read", ErrDamaged), err)
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// suffix of the names of databases.
const suffix = ".sqlite"

// connect opens a database. A process that finds another one writing waits.
func connect(path string) (*sql.DB, error) {
	v := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(20000)", "journal_mode(wal)", "synchronous(normal)", "cache_size(-16384)", "temp_store(memory)",
	}}
	// Odd signs in the name of a folder must not be taken for parameters.
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: v.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open the search index: %w", err)
	}
	db.SetMaxOpenConns(4)
	return db, nil
}

// rebuild begins an empty index. The caller holds the lock.
func (x *Index) rebuild(ctx context.Context, reason string) error {
	name := fmt.Sprintf("v%d-%s%s", Version, strings.ToLower(rand.Text()[:12]), suffix)
	path := filepath.Join(x.dir, name)
	// Made here, so that nobody else may ever read it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make the search index: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := connect(path)
	if err != nil {
		return err
	}
	for _, statement := range schema {
		if _, err = db.ExecContext(ctx, statement); err != nil {
			err = fmt.Errorf("make the search index: %w", err)
			break
		}
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(filepath.Join(x.dir, currentName), []byte(name+"\n"), 0o600); err != nil {
		return fmt.Errorf("make the search index: %w", err)
	}
	x.sweep(name)
	if _, err := x.current(ctx); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.notice = reason
	return nil
}

// sweep removes databases that do not count any more. Whoever has one open goes
// on with it.
func (x *Index) sweep(keep string) {
	list, err := os.ReadDir(x.dir)
	if err != nil {
		return // they lie there until the next time
	}
	for _, e := range list {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), "-wal"), "-shm")
		if strings.HasSuffix(name, suffix) && name != keep {
			_ = os.Remove(filepath.Join(x.dir, e.Name())) // the same
		}
	}
}

// spoil notes that the index is damaged, so that the next Update makes a new
// one, and says so.
func (x *Index) spoil(err error) error {
	if !damaged(err) {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.spoilt == "" {
		x.spoilt = err.Error()
	}
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// damaged reports whether an error says that the file is no whole database.
func damaged(err error) bool {
	if errors.Is(err, ErrDamaged) {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case codeCorrupt, codeNotADatabase, codeReadError:
		return true
	case codeError:
		// A table that is not there, which the schema would have.
		return strings.Contains(e.Error(), "no such table") || strings.Contains(e.Error(), "no such column")
	}
	return false
}

// Codes of SQLite's errors.
const (
	codeError        = 1
	codeReadError    = 10
	codeCorrupt      = 11
	codeNotADatabase = 26
)

// maxStep is the highest number of a step that is indexed; stepBits is how many
// bits of a row's number it takes.
const (
	stepBits = 24
	maxStep  = 1<<stepBits - 1
)

// schema of the database. A row of words and of texts is numbered by its run and
// its step. The words are held as an index only: the texts to show are packed
// beside it, and what is looked for is compared with them.
var schema = []string{
	"PRAGMA journal_mode = wal",
	`CREATE VIRTUAL TABLE words USING fts5(action, thought, observation,
		content='', contentless_delete=1, detail=full, tokenize="ascii tokenchars '.'")`,
	"INSERT INTO words(words, rank) VALUES('hashsize', 16777216)",
	"CREATE TABLE texts (id INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
	`CREATE TABLE runs (
		id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, signature TEXT NOT NULL,
		settled INTEGER NOT NULL, whole INTEGER NOT NULL, sum INTEGER NOT NULL,
		at INTEGER NOT NULL,
		run_id TEXT NOT NULL, source TEXT NOT NULL, task TEXT NOT NULL, agent TEXT NOT NULL, agent_name TEXT NOT NULL,
		model TEXT NOT NULL, scaffold TEXT NOT NULL, seed INTEGER NOT NULL, mode TEXT NOT NULL, variant TEXT NOT NULL,
		state TEXT NOT NULL, reason TEXT NOT NULL, fault TEXT NOT NULL, exit_status TEXT NOT NULL,
		metric TEXT NOT NULL, direction TEXT NOT NULL, score REAL, best REAL, baseline REAL,
		cost_usd REAL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, steps INTEGER NOT NULL, seconds REAL NOT NULL,
		started INTEGER NOT NULL, ended INTEGER NOT NULL, modified INTEGER NOT NULL)`,
	"CREATE INDEX runs_at ON runs (at, id)",
	fmt.Sprintf("PRAGMA user_version = %d", Version),
}
