package rollout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mlgym/gym"
	"mlgym/trajectory"
)

// Checkpoints keeps the newest state of one episode, from which it goes on after
// a cut. [runstore.Checkpoints] is one.
type Checkpoints interface {
	// Save keeps what write writes as the state after a step, in the place of an
	// earlier one. When it fails, also since write does, the earlier one stays,
	// and the error wraps that of write.
	Save(step int, write func(io.Writer) error) error
	// Latest opens the newest state and says after which step it was. Where there
	// is none, state is nil. The error says that there is one that cannot be used.
	Latest() (step int, state io.ReadCloser, err error)
	// Discard removes what is kept.
	Discard() error
}

// CheckpointPolicy says how much work is worth a checkpoint. The zero value saves
// one after each step.
type CheckpointPolicy struct {
	// MinWork is how long the steps since the last checkpoint took, at least.
	MinWork time.Duration
	// MinRatio is how many times as long they took, at least, as the last save.
	MinRatio float64
}

// DefaultCheckpointPolicy saves so seldom that a tenth of the time goes into it,
// and nothing where the steps are quick.
func DefaultCheckpointPolicy() CheckpointPolicy {
	return CheckpointPolicy{MinWork: 10 * time.Second, MinRatio: 10}
}

// ErrStopped is the error behind the fault of an episode that [Episode.Stop]
// ended.
var ErrStopped = errors.New("stopped as asked")

// saver saves checkpoints by a policy.
type saver struct {
	env    gym.Snapshotter // nil where nothing is saved
	store  Checkpoints
	policy CheckpointPolicy
	step   int           // of the newest checkpoint
	work   time.Duration // of the steps since the last attempt
	cost   time.Duration // of the last attempt
	failed bool          // the last attempt
	told   map[bool]bool // whether a refusal (true) or a failure was told of
}

func newSaver(ep Episode) saver {
	s := saver{store: ep.Checkpoints, policy: DefaultCheckpointPolicy(), told: map[bool]bool{}}
	if ep.CheckpointPolicy != nil {
		s.policy = *ep.CheckpointPolicy
	}
	if env, ok := ep.Env.(gym.Snapshotter); ok && ep.Checkpoints != nil {
		s.env = env
	}
	return s
}

// due reports whether the work since the last attempt is worth another one. After
// one that failed, only what it cost counts.
func (s *saver) due() bool {
	if !s.failed && s.work < s.policy.MinWork {
		return false
	}
	return float64(s.work) >= s.policy.MinRatio*float64(s.cost)
}

// worked counts the time of a step that is on record, and saves a checkpoint
// after it where that is worth it.
func (r *runner) worked(ctx context.Context, step int, took time.Duration) {
	r.saver.work += took
	if r.saver.env != nil && r.saver.due() {
		r.save(ctx, step)
	}
}

// save saves a checkpoint after a step, unless there is one. The episode goes on
// without it where that fails.
func (r *runner) save(ctx context.Context, step int) {
	s := &r.saver
	if s.env == nil || step <= s.step || ctx.Err() != nil {
		return
	}
	began := time.Now()
	err := r.sync()
	if err == nil {
		err = s.store.Save(step, func(w io.Writer) error { return s.env.Snapshot(ctx, w) })
	}
	s.cost, s.work, s.failed = time.Since(began), 0, err != nil
	if err == nil {
		s.step = step
		return
	}
	refused := errors.Is(err, gym.ErrNoSnapshot)
	if ctx.Err() != nil || s.told[refused] {
		return
	}
	s.told[refused] = true
	r.note(fmt.Sprintf("no checkpoint after step %d, the run goes on without: %v", step, err))
}

// sync makes sure that the record is on the disk before a checkpoint is that
// stands for it.
func (r *runner) sync() error {
	if s, ok := r.Recorder.(interface{ Sync() error }); ok {
		return s.Sync()
	}
	return nil
}

// note records a remark. Where that fails, so will the next event, which matters
// more.
func (r *runner) note(text string) {
	_ = r.record(trajectory.Event{Note: &trajectory.Note{Text: text}})
}

// stopped reports whether the episode was asked to stop.
func (r *runner) stopped() bool {
	select {
	case <-r.Stop:
		return true
	default:
		return false
	}
}

// stop cuts the episode where it stands, which is after the step.
func (r *runner) stop(ctx context.Context, step int, resuming bool) error {
	r.save(ctx, step)
	return r.cut(ctx, trajectory.Fault{Source: trajectory.FromOutside, Resuming: resuming}, ErrStopped)
}

// restore brings the environment to the newest checkpoint of the record's
// episode. The step is 0 where there is none that can be used.
func (r *runner) restore(ctx context.Context, rec *trajectory.Recorded) (int, gym.Observation, error) {
	var none gym.Observation
	if r.saver.env == nil {
		return 0, none, nil
	}
	step, state, err := r.saver.store.Latest()
	if err == nil && state == nil {
		return 0, none, nil
	}
	if err == nil {
		defer state.Close()
		if step < 1 || step > len(rec.Steps) {
			// Once the episode has come that far by another way, it would be wrong.
			err = errors.Join(fmt.Errorf("it was saved after step %d, and the record has %d", step, len(rec.Steps)), r.saver.store.Discard())
		}
	}
	var obs gym.Observation
	if err == nil {
		obs, err = r.saver.env.Restore(ctx, gym.ResetOptions{Seed: rec.Reset.Seed}, state)
		if err != nil && ctx.Err() != nil {
			return 0, none, err
		}
		if err == nil && obs.Step != step {
			err = fmt.Errorf("it was kept for step %d, and holds step %d", step, obs.Step)
		}
	}
	if err != nil {
		r.note(fmt.Sprintf("the checkpoint cannot be used, the recorded actions are executed again: %v", err))
		return 0, none, nil
	}
	r.saver.step = step
	return step, obs, nil
}
