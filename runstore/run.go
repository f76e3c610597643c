package runstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mlgym/gym"
	"mlgym/internal/atomicfile"
	"mlgym/internal/flock"
	"mlgym/internal/redact"
	"mlgym/trajectory"
)

// ErrLocked is wrapped when another process writes the run.
var ErrLocked = errors.New("another process is writing this run")

const (
	dirPerm    fs.FileMode = 0o755
	filePerm   fs.FileMode = 0o644
	secretPerm fs.FileMode = 0o600
)

// Run is a run that this process writes. It is locked until Close.
type Run struct {
	dir      string
	manifest Manifest
	lock     *flock.File
}

// Create makes the directory of a new run and locks it. It is refused where
// the directory is there and not empty.
func Create(dir string, m Manifest) (*Run, error) {
	m.FormatVersion = Version
	if m.Created.IsZero() {
		m.Created = time.Now().UTC().Truncate(time.Millisecond)
	}
	if m.RunID == "" {
		m.RunID = NewRunID(m.Created)
	}
	if m.GraderKey == nil {
		m.GraderKey = NewGraderKey()
	}
	if err := os.MkdirAll(dir, dirPerm); err != nil {
		return nil, fmt.Errorf("create the run: %w", explain(dir, err))
	}
	if err := mustBeEmpty(dir); err != nil {
		return nil, err
	}
	run, err := locked(dir)
	if err != nil {
		return nil, err
	}
	run.manifest = m
	if err := run.writeNew(m); err != nil {
		return nil, errors.Join(fmt.Errorf("create the run: %w", explain(dir, err)), run.abandon())
	}
	return run, nil
}

func mustBeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("create the run: %w", explain(dir, err))
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, ManifestName)); err == nil {
		return fmt.Errorf("create the run: %s holds a run already; resume it, or choose another folder", dir)
	}
	return fmt.Errorf("create the run: %s is not empty; choose another folder", dir)
}

func (r *Run) writeNew(m Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	for _, name := range []string{SubmissionName, LogsName} {
		if err := os.Mkdir(r.path(name), dirPerm); err != nil {
			return err
		}
	}
	if err := atomicfile.WriteFile(r.path(GraderKeyName), []byte(m.GraderKey.Hex()+"\n"), secretPerm); err != nil {
		return err
	}
	return atomicfile.WriteFile(r.path(ManifestName), append(text, '\n'), filePerm)
}

// abandon removes a run that could not be created.
func (r *Run) abandon() error {
	err := r.Close()
	for _, name := range []string{ManifestName, GraderKeyName, SubmissionName, LogsName, LockName} {
		if e := os.Remove(r.path(name)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Open locks an existing run, to resume it.
func Open(dir string) (*Run, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	run, err := locked(dir)
	if err != nil {
		return nil, err
	}
	if m.GraderKey, err = ReadGraderKey(dir); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	run.manifest = m
	return run, nil
}

// locked takes the lock of a directory. The system drops it when the process
// ends, however that happens.
func locked(dir string) (*Run, error) {
	path := filepath.Join(dir, LockName)
	file, held, err := flock.TryLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock the run: %w", explain(path, err))
	}
	if !held {
		return nil, fmt.Errorf("lock the run: %s: %w; wait for it, or end it", dir, ErrLocked)
	}
	return &Run{dir: dir, lock: file}, nil
}

// Dir returns the directory of the run.
func (r *Run) Dir() string { return r.dir }

// Manifest returns what the run is, the grader's key included.
func (r *Run) Manifest() Manifest { return r.manifest }

// TrajectoryPath returns where the trajectory is.
func (r *Run) TrajectoryPath() string { return r.path(TrajectoryName) }

func (r *Run) path(name ...string) string {
	return filepath.Join(append([]string{r.dir}, name...)...)
}

// Trajectory begins the trajectory, or opens it to continue where it is there;
// a torn last line is repaired then. The grader's key is kept out of it, and
// what the redactor knows, which may be nil. A result.json that is there is
// removed: [Run.Seal] writes it anew.
func (r *Run) Trajectory(red *redact.Redactor) (*trajectory.Writer, error) {
	red = red.With(redact.Secret{Name: "grader key", Value: r.manifest.GraderKey.Hex()})
	path := r.TrajectoryPath()
	// A result from before a resumption would be wrong from now on, also for
	// those who look at the run while it goes on or after it was killed.
	if err := os.Remove(r.path(ResultName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an old result: %w", explain(r.path(ResultName), err))
	}
	w, err := trajectory.Append(path, red)
	switch {
	case err == nil:
		return w, nil
	case errors.Is(err, trajectory.ErrEmpty):
		// A process was killed before the header was written.
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("begin the record: %w", explain(path, err))
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	h := trajectory.Header{RunID: r.manifest.RunID}
	if r.manifest.MlgymVersion != "" {
		h.Software = "mlgym " + r.manifest.MlgymVersion
	}
	return trajectory.Create(path, h, red)
}

// Recorded reads the trajectory, to resume the run. A run that was cut before
// it had one has an empty record.
func (r *Run) Recorded() (*trajectory.Recorded, error) {
	rec, err := trajectory.Load(r.TrajectoryPath())
	if errors.Is(err, fs.ErrNotExist) {
		return &trajectory.Recorded{}, nil
	}
	return rec, err
}

// Seal sums up the run from its trajectory and, when the episode has ended,
// writes result.json and removes the checkpoints. A run that was cut gets none,
// and can be resumed.
func (r *Run) Seal() (Result, error) {
	result, err := compute(r.dir)
	if err != nil {
		return result, err
	}
	if result.Interrupted {
		return result, nil
	}
	stored := result
	stored.RunDir = "" // a run may be moved
	text, err := json.MarshalIndent(stored, "", "  ")
	if err != nil {
		return result, fmt.Errorf("encode the result: %w", err)
	}
	if err := atomicfile.WriteFile(r.path(ResultName), append(text, '\n'), filePerm); err != nil {
		return result, fmt.Errorf("write the result: %w", explain(r.path(ResultName), err))
	}
	if result.ExitStatus.Outcome == gym.EarlyExit {
		return result, nil // it can be resumed all the same
	}
	return result, r.Checkpoints().Discard()
}

// Close gives the lock back. It is idempotent.
func (r *Run) Close() error {
	if r.lock == nil {
		return nil
	}
	err := r.lock.Unlock()
	r.lock = nil
	return err
}

// explain adds to an error of the file system where it happened and, where
// there is one, the way out.
func explain(path string, err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		path = pathErr.Path
		err = pathErr.Err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w; free some space there, or choose another folder", path, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w; choose a folder that you may write to", path, err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s: %w; choose a path that is a folder", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
