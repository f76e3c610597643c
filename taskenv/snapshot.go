package taskenv

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
)

// The format of a snapshot; see docs/format/snapshot.md.
const (
	snapshotFormat  = "mlgym-snapshot"
	snapshotVersion = 1
	// maxHeaderBytes bounds the two lines that come before the sandbox's part.
	maxHeaderBytes = 16 << 20
)

// header is what the environment itself knows of an episode: the first line of
// a snapshot. It is made outside the sandbox, and the line after it proves that.
type header struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Task    task.ID   `json:"task"`
	Mode    task.Mode `json:"mode"`
	Variant string    `json:"variant"`
	Reward  Reward    `json:"reward"`
	Seed    uint64    `json:"seed"`
	// Step counts the actions and Attempts the gradings so far.
	Step     int `json:"step"`
	Attempts int `json:"attempts"`
	// Best is the best normalised score that was paid for, nil before the first.
	Best *float64 `json:"best"`
	// Untold are evaluations that were made since the last step ended; the next
	// step tells of them. Submitted says that one of them ends the episode.
	Untold    []gym.Evaluation `json:"untold,omitempty"`
	Submitted bool             `json:"submitted,omitempty"`
}

// Snapshot implements [gym.Snapshotter].
func (e *Env) Snapshot(ctx context.Context, dst io.Writer) error {
	box, err := e.current()
	if err != nil {
		return fmt.Errorf("save the episode: %w", err)
	}
	snapshotter, ok := box.(sandbox.Snapshotter)
	if !ok {
		return fmt.Errorf("%w: sandboxes of %s cannot be saved", gym.ErrNoSnapshot, e.cfg.Driver.Name())
	}
	ctx, done := e.within(ctx)
	defer done()
	h, err := e.header()
	if err != nil {
		return err
	}
	line, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("save the episode: %w", err)
	}
	if _, err := fmt.Fprintf(dst, "%s\n%s\n", line, e.seal(h.Seed, line)); err != nil {
		return fmt.Errorf("save the episode: %w", err)
	}
	err = snapshotter.Snapshot(ctx, dst)
	if errors.Is(err, sandbox.ErrNoSnapshot) {
		return fmt.Errorf("%w: %w", gym.ErrNoSnapshot, err)
	}
	if err != nil {
		return fmt.Errorf("save the episode: %w", err)
	}
	// A call from inside may have come in between.
	after, err := e.header()
	if err != nil {
		return err
	}
	if after.Attempts != h.Attempts || len(after.Untold) != len(h.Untold) || after.Submitted != h.Submitted {
		return fmt.Errorf("%w: something was graded in the meantime", gym.ErrNoSnapshot)
	}
	return nil
}

// header says where the episode stands.
func (e *Env) header() (header, error) {
	if !e.calls.mu.TryLock() {
		return header{}, fmt.Errorf("%w: something is being graded", gym.ErrNoSnapshot)
	}
	defer e.calls.mu.Unlock()
	if e.calls.fault != nil {
		return header{}, fmt.Errorf("%w: %w", gym.ErrNoSnapshot, e.calls.fault)
	}
	return header{
		Format: snapshotFormat, Version: snapshotVersion,
		Task: e.cfg.Task.ID, Mode: e.cfg.Mode, Variant: e.cfg.Variant, Reward: e.cfg.Reward,
		Seed: e.calls.seed, Step: e.calls.step, Attempts: e.calls.attempts, Best: e.best,
		Untold: e.calls.made, Submitted: e.calls.submitted,
	}, nil
}

// seal proves with the key of the episode's gradings, which no sandbox knows,
// that a header was made for this episode.
func (e *Env) seal(seed uint64, line []byte) string {
	mac := hmac.New(sha256.New, e.cfg.Key(seed))
	mac.Write([]byte("mlgym snapshot header\n"))
	mac.Write(line)
	return hex.EncodeToString(mac.Sum(nil))
}

// Restore implements [gym.Snapshotter].
func (e *Env) Restore(ctx context.Context, opts gym.ResetOptions, src io.Reader) (gym.Observation, error) {
	obs, err := e.restore(ctx, opts, src)
	if err != nil {
		return gym.Observation{}, errors.Join(fmt.Errorf("restore the episode: %w", err), e.drop())
	}
	return obs, nil
}

func (e *Env) restore(ctx context.Context, opts gym.ResetOptions, src io.Reader) (gym.Observation, error) {
	var none gym.Observation
	if err := e.drop(); err != nil {
		return none, err
	}
	in := bufio.NewReader(src)
	h, err := e.readHeader(in, opts.Seed)
	if err != nil {
		return none, err
	}
	ctx, done := e.within(ctx)
	defer done()
	// What the starter put there, if it did, the snapshot replaces.
	if _, err := e.begin(ctx, h); err != nil {
		return none, err
	}
	box, err := e.current()
	if err != nil {
		return none, err
	}
	snapshotter, ok := box.(sandbox.Snapshotter)
	if !ok {
		return none, fmt.Errorf("%w: sandboxes of %s cannot be restored", gym.ErrNoSnapshot, e.cfg.Driver.Name())
	}
	at, err := snapshotter.Restore(ctx, in)
	if err != nil {
		return none, err
	}
	return gym.Observation{Text: statement(e.cfg), Step: h.Step, StepsLeft: -1, WorkingDir: at.WorkingDir, OpenFile: at.OpenFile}, nil
}

// readHeader reads what comes before the sandbox's part, and takes it only where
// it was made for this episode.
func (e *Env) readHeader(in *bufio.Reader, seed uint64) (header, error) {
	var h header
	line, err := readLine(in)
	if err != nil {
		return h, err
	}
	seal, err := readLine(in)
	if err != nil {
		return h, err
	}
	var kind struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(line, &kind); err != nil || kind.Format != snapshotFormat {
		return h, errors.New("this is no snapshot of an episode")
	}
	if kind.Version != snapshotVersion {
		return h, fmt.Errorf("the snapshot has version %d of its format, and this mlgym knows version %d", kind.Version, snapshotVersion)
	}
	if !hmac.Equal(seal, []byte(e.seal(seed, line))) {
		return h, errors.New("the snapshot was made in another episode: run, key or seed differ")
	}
	if err := json.Unmarshal(line, &h); err != nil {
		return h, fmt.Errorf("the snapshot's header: %w", err)
	}
	for _, part := range []struct{ what, got, want string }{
		{"task", string(h.Task), string(e.cfg.Task.ID)},
		{"mode", string(h.Mode), string(e.cfg.Mode)},
		{"variant", h.Variant, e.cfg.Variant},
		{"reward", string(h.Reward), string(e.cfg.Reward)},
	} {
		if part.got != part.want {
			return h, fmt.Errorf("the snapshot has %s %q, and the environment %q", part.what, part.got, part.want)
		}
	}
	if h.Seed != seed {
		return h, fmt.Errorf("the snapshot has seed %d, and the episode %d", h.Seed, seed)
	}
	return h, nil
}

// readLine reads a line of bounded length, without its end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxHeaderBytes {
			return nil, fmt.Errorf("the snapshot's header has more than %d bytes", maxHeaderBytes)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("the snapshot ends within its header")
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("read the snapshot: %w", err)
		}
	}
}
