package runstore

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mlgym/internal/atomicfile"
)

// The names of the folder of checkpoints and of the file in it that says which
// one counts.
const (
	CheckpointName      = "checkpoint"
	checkpointIndexName = "checkpoint.json"
)

// Checkpoints keeps the newest state of a run's episode below its directory. It
// is rollout.Checkpoints, and is not safe for concurrent use.
type Checkpoints struct{ dir string }

// Checkpoints returns the place for the run's checkpoints.
func (r *Run) Checkpoints() *Checkpoints { return &Checkpoints{r.path(CheckpointName)} }

// checkpoint is what the index says of the one that counts.
type checkpoint struct {
	FormatVersion int    `json:"format_version"`
	Step          int    `json:"step"`
	File          string `json:"file"`
	Bytes         int64  `json:"bytes"`
	SHA256        string `json:"sha256"`
}

// Save keeps what write writes as the state after a step. The one before counts
// until the new one is whole and on the disk, and is removed then; where Save
// fails it stays.
func (c *Checkpoints) Save(step int, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("save a checkpoint: %w", explain(c.dir, err))
	}
	file, err := os.CreateTemp(c.dir, fmt.Sprintf("%d-*.snapshot", step))
	if err != nil {
		return fmt.Errorf("save a checkpoint: %w", explain(c.dir, err))
	}
	entry := checkpoint{FormatVersion: Version, Step: step, File: filepath.Base(file.Name())}
	defer func() {
		if err != nil {
			err = fmt.Errorf("save a checkpoint: %w", errors.Join(err, os.Remove(file.Name())))
		}
	}()
	digest := sha256.New()
	out := &noting{w: file}
	buffered := bufio.NewWriterSize(io.MultiWriter(out, digest), 1<<20)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if out.err != nil {
		err = explain(file.Name(), out.err) // says more than what came of it
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	entry.Bytes, entry.SHA256 = out.n, hex.EncodeToString(digest.Sum(nil))
	text, err := json.MarshalIndent(entry, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(filepath.Join(c.dir, checkpointIndexName), append(text, '\n'), secretPerm); err != nil {
		return explain(filepath.Join(c.dir, checkpointIndexName), err)
	}
	c.tidy(entry.File)
	return nil
}

// noting counts what was written, and notes the first failure to do so.
type noting struct {
	w   io.Writer
	n   int64
	err error
}

func (c *noting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if c.err == nil {
		c.err = err
	}
	return n, err
}

// tidy removes everything but the index and the file that counts, such as what a
// process that was killed left behind. What cannot be removed does no harm.
func (c *Checkpoints) tidy(file string) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Name() != file && e.Name() != checkpointIndexName {
			_ = os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
}

// Latest opens the state that counts and says after which step it was; state is
// nil where there is none. A state that is not what was saved is an error.
func (c *Checkpoints) Latest() (step int, state io.ReadCloser, err error) {
	path := filepath.Join(c.dir, checkpointIndexName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read the checkpoint: %w", err)
	}
	var entry checkpoint
	if err := json.Unmarshal(text, &entry); err != nil {
		return 0, nil, fmt.Errorf("%s: not a checkpoint: %w", path, err)
	}
	if entry.FormatVersion != Version {
		return 0, nil, fmt.Errorf("%s has version %d, and this mlgym knows version %d", path, entry.FormatVersion, Version)
	}
	if entry.File == "" || filepath.Base(entry.File) != entry.File || !filepath.IsLocal(entry.File) {
		return 0, nil, fmt.Errorf("%s: file %q is no name", path, entry.File)
	}
	file, err := os.Open(filepath.Join(c.dir, entry.File))
	if err != nil {
		return 0, nil, fmt.Errorf("read the checkpoint: %w", err)
	}
	if err := entry.check(file); err != nil {
		return 0, nil, fmt.Errorf("the checkpoint of step %d: %w", entry.Step, errors.Join(err, file.Close()))
	}
	return entry.Step, file, nil
}

// check reads a file to its end, and goes back to its start where it is what the
// index says.
func (e checkpoint) check(file *os.File) error {
	digest := sha256.New()
	n, err := io.Copy(digest, file)
	switch {
	case err != nil:
		return err
	case n != e.Bytes:
		return fmt.Errorf("%s has %d bytes, want %d", e.File, n, e.Bytes)
	case hex.EncodeToString(digest.Sum(nil)) != e.SHA256:
		return fmt.Errorf("%s has another digest than when it was saved", e.File)
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// Discard removes all checkpoints.
func (c *Checkpoints) Discard() error {
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove checkpoints: %w", explain(c.dir, err))
	}
	return nil
}
