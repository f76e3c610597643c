package supply

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mlgym/pool"
	"mlgym/server/session"
	"mlgym/taskenv"
)

// coolAfter is how long sandboxes are kept ready for what nobody asks for.
const coolAfter = 10 * time.Minute

// warmth is what is kept ready of one kind of sandbox.
type warmth struct {
	asked bool // by the options, so that it is kept for good
	timer *time.Timer
}

// Start removes what a crash left behind and has the sandboxes made ready that the
// options name, both behind the scenes. It returns an error where a name is wrong.
func (s *Supply) Start(ctx context.Context) error {
	cleaning, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stopCleaning = stop
	// Beside the start: what a crash left may take its time to go.
	s.cleaning.Go(func() { s.clean(cleaning) })
	s.pool = pool.New(pool.Options{Log: s.opts.Log})
	for name, n := range s.opts.Warm {
		id, variant, _ := strings.Cut(name, ":")
		cfg, _, err := s.config(session.Request{Task: id, Variant: variant}) //nolint:contextcheck // looking for a layer takes no time
		if err != nil {
			return fmt.Errorf("keep %s ready: %w", name, err)
		}
		key := warmKey(cfg)
		s.mu.Lock()
		s.warm[key] = &warmth{asked: true}
		s.mu.Unlock()
		s.pool.Set(key, n, prepare(cfg))
	}
	return nil
}

// clean removes what a crash left behind.
func (s *Supply) clean(ctx context.Context) {
	removed, err := pool.Reconcile(ctx, s.opts.Driver)
	if err != nil && ctx.Err() == nil {
		s.opts.Log.Warn("what crashed runs left behind was not all removed", "error", err)
	}
	if removed > 0 {
		s.opts.Log.Info("removed what crashed runs left behind", "sandboxes", removed)
	}
}

// AwaitWarm returns when the sandboxes that the options name are ready.
func (s *Supply) AwaitWarm(ctx context.Context) error {
	for key, stats := range s.pool.Stats() {
		if stats.Want == 0 {
			continue
		}
		if err := s.pool.Wait(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Warm says how the sandboxes that are kept ready fare.
func (s *Supply) Warm() map[string]pool.Stats { return s.pool.Stats() }

// warmKey names what decides a sandbox before its episode.
func warmKey(cfg taskenv.Config) string {
	return fmt.Sprintf("%s:%s (%s)", cfg.Task.ID, cfg.Variant, cfg.Mode)
}

func prepare(cfg taskenv.Config) func(context.Context) (*taskenv.Ready, error) {
	cfg.Claim = nil
	return func(ctx context.Context) (*taskenv.Ready, error) { return taskenv.Prepare(ctx, cfg) }
}

// claims has an environment begin in a sandbox that is ready, where there is one.
func (s *Supply) claims(cfg *taskenv.Config) {
	key := warmKey(*cfg)
	s.keepWarm(key, *cfg)
	cfg.Claim = func(ctx context.Context) (*taskenv.Ready, error) {
		ready, ok := s.pool.Claim(ctx, key)
		if !ok {
			return nil, nil //nolint:nilnil // none is ready: the environment makes one
		}
		return ready, nil
	}
}

// keepWarm has some sandboxes kept ready of a kind that is asked for.
func (s *Supply) keepWarm(key string, cfg taskenv.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.warm[key]
	switch {
	case w != nil && w.asked, s.opts.WarmOthers < 0:
		return
	case w != nil && w.timer.Stop():
		w.timer.Reset(coolAfter)
		return
	}
	fresh := prepare(cfg)
	s.pool.Set(key, s.opts.WarmOthers, fresh)
	s.warm[key] = &warmth{timer: time.AfterFunc(coolAfter, func() { s.pool.Set(key, 0, fresh) })}
}

// ParseWarm reads TASK=N or TASK:VARIANT=N.
func ParseWarm(text string) (name string, n int, err error) {
	name, number, ok := strings.Cut(text, "=")
	if ok {
		n, err = strconv.Atoi(number)
	}
	if !ok || err != nil || n < 0 || name == "" {
		return "", 0, fmt.Errorf("%q: want TASK=N or TASK:VARIANT=N, such as battleOfSexes=8", text)
	}
	return name, n, nil
}

// Close ends the sandboxes that are ready.
func (s *Supply) Close() error {
	s.mu.Lock()
	for _, w := range s.warm {
		if w.timer != nil {
			w.timer.Stop()
		}
	}
	s.mu.Unlock()
	if s.pool == nil {
		return nil
	}
	s.stopCleaning()
	s.cleaning.Wait()
	return s.pool.Close()
}
