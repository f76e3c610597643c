package taskenv

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"mlgym/sandbox"
	"mlgym/task"
)

// Ready is the sandbox of an agent with the starter's files in it, made before its
// episode: for a configuration, whose seed is not chosen yet. An Env whose
// configuration has a Claim begins its episodes in such ones. Its methods may be
// called concurrently.
type Ready struct {
	box     sandbox.Sandbox
	setter  sandbox.EnvSetter
	purpose purpose
	calls   *relay

	mu    sync.Mutex
	taken bool // by an Env, or closed
}

// purpose is what decides how a sandbox looks when its episode begins, but for the
// seed.
type purpose struct {
	driver string
	task   task.ID
	digest task.Digest
	spec   sandbox.Spec
}

func (cfg Config) purpose() purpose {
	return purpose{cfg.Driver.Name(), cfg.Task.ID, cfg.Task.Digest, cfg.spec(0)}
}

// Prepare makes a sandbox ready for an episode of this configuration. Neither Key
// nor Grader nor Reward have a part in it. The caller closes it, unless an Env
// took it.
func Prepare(ctx context.Context, cfg Config) (*Ready, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	r := &Ready{purpose: cfg.purpose(), calls: &relay{}}
	box, err := newSandbox(ctx, cfg, 0, r.calls.answer)
	if err != nil {
		return nil, err
	}
	setter, ok := box.(sandbox.EnvSetter)
	if !ok {
		return nil, errors.Join(fmt.Errorf("sandboxes of %s cannot be told a seed later", cfg.Driver.Name()), box.Close())
	}
	if err := putStarter(ctx, cfg.Task, box); err != nil {
		return nil, errors.Join(err, box.Close())
	}
	r.box, r.setter = box, setter
	return r, nil
}

// Alive reports whether the sandbox still waits for its episode: it was neither
// claimed nor closed, and has not died.
func (r *Ready) Alive() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken {
		return false
	}
	select {
	case <-r.Done():
		return false
	default:
		return true
	}
}

// Done is closed when the sandbox has died or was closed; it is nil where the
// driver does not tell.
func (r *Ready) Done() <-chan struct{} {
	if watcher, ok := r.box.(sandbox.Watcher); ok {
		return watcher.Done()
	}
	return nil
}

// Close ends the sandbox. It is idempotent, and without effect where an Env has
// taken the sandbox, which then is the Env's to close.
func (r *Ready) Close() error {
	if !r.own() {
		return nil
	}
	return r.box.Close()
}

// own makes the caller the one that closes the sandbox, if nobody was before.
func (r *Ready) own() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := !r.taken
	r.taken = true
	return own
}

// take hands the sandbox to an episode. After an error it is closed.
func (r *Ready) take(ctx context.Context, cfg Config, seed uint64, onCall func(context.Context, sandbox.Call) sandbox.Reply) (sandbox.Sandbox, error) {
	if !r.own() {
		return nil, errors.New("the sandbox was claimed or closed before")
	}
	if !reflect.DeepEqual(r.purpose, cfg.purpose()) {
		return nil, errors.Join(errors.New("the sandbox was made ready for another configuration"), r.box.Close())
	}
	r.calls.to(onCall)
	if err := r.setter.SetEnv(ctx, []string{seedVar(seed)}); err != nil {
		return nil, errors.Join(fmt.Errorf("tell the sandbox its seed: %w", err), r.box.Close())
	}
	return r.box, nil
}

// relay passes calls from inside on to the environment that claimed the sandbox.
type relay struct {
	mu     sync.Mutex
	onCall func(context.Context, sandbox.Call) sandbox.Reply // nil before
}

func (r *relay) to(onCall func(context.Context, sandbox.Call) sandbox.Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onCall = onCall
}

func (r *relay) answer(ctx context.Context, call sandbox.Call) sandbox.Reply {
	r.mu.Lock()
	onCall := r.onCall
	r.mu.Unlock()
	if onCall == nil {
		return sandbox.Reply{Output: call.Name + ": the episode has not begun\n", ExitCode: 1}
	}
	return onCall(ctx, call)
}

// claim returns a sandbox for an episode, and says whether it has the starter's
// files already.
func (e *Env) claim(ctx context.Context, seed uint64) (box sandbox.Sandbox, started bool, err error) {
	if e.cfg.Claim != nil {
		ready, err := e.cfg.Claim(ctx)
		if err != nil {
			return nil, false, fmt.Errorf("claim a sandbox: %w", err)
		}
		if ready != nil {
			box, err := ready.take(ctx, e.cfg, seed, e.onCall)
			if err == nil {
				return box, true, nil
			}
			// One that died while it waited is no fault of the episode.
			if !errors.Is(err, sandbox.ErrLost) || ctx.Err() != nil {
				return nil, false, err
			}
		}
	}
	box, err = newSandbox(ctx, e.cfg, seed, e.onCall)
	return box, false, err
}
