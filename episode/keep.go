package episode

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/runstore"
)

// Keeper keeps what evaluations leave behind with the run: what was handed in, and
// the grader's logs.
type Keeper struct {
	store *runstore.Run
	err   error
}

// Keep is the Keep of a [taskenv.Config].
func (k *Keeper) Keep(kind gym.Kind, attempt int) (string, func([]grader.File)) {
	places, err := k.store.Evaluation(attempt, kind)
	if err != nil {
		k.err = errors.Join(k.err, err)
		return "", nil
	}
	logDir := strings.TrimSuffix(places.LogPath, ".log")
	if err := os.Mkdir(logDir, 0o755); err != nil { //nolint:gosec // a record is for reading
		k.err = errors.Join(k.err, fmt.Errorf("keep the grader's logs: %w", err))
		logDir = ""
	}
	return logDir, func(files []grader.File) {
		if err := unpack(places, files); err != nil {
			k.err = errors.Join(k.err, err)
		}
	}
}

// NewKeeper returns a keeper for a run.
func NewKeeper(store *runstore.Run) *Keeper { return &Keeper{store: store} }

// Err says what could not be kept. The gradings themselves do not suffer by it.
func (k *Keeper) Err() error { return k.err }

// unpack keeps the files of a submission. Those of the agent's models may be
// large, so they pass through a pipe.
func unpack(places runstore.Artefacts, files []grader.File) error {
	var total int64
	for _, f := range files {
		total += f.Bytes
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(writeTar(w, files)) }() // ends when r is read or closed
	_, err := places.Unpack(r, total)
	_ = r.Close() // never fails
	return err
}

func writeTar(w io.Writer, files []grader.File) error {
	out := tar.NewWriter(w)
	for _, f := range files {
		if err := out.WriteHeader(&tar.Header{Name: f.Path, Mode: 0o644, Size: f.Bytes, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		content, err := f.Open()
		if err != nil {
			return err
		}
		_, err = io.CopyN(out, content, f.Bytes)
		if err = errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return out.Close()
}
