package supply

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"mlgym"
	"mlgym/episode"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/internal/nearest"
	"mlgym/pool"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/server/session"
	"mlgym/task"
	"mlgym/taskenv"
)

// Options of a [Supply]. Zero fields take the defaults that are named.
type Options struct {
	Driver sandbox.Driver
	// Secret from which the seeds of all gradings come.
	Secret []byte
	// Tasks that can be chosen; those that ship where it is the zero value.
	Tasks task.Catalog
	// Extra are tasks beside the catalog's, such as those of the user's own folders.
	Extra []*task.Task
	// Variant, Mode, Reward and MaxSteps are what a request gets that names none:
	// full, hardened, improvement, and no limit.
	Variant  string
	Mode     task.Mode
	Reward   taskenv.Reward
	MaxSteps int
	// Limits and Root are those of the agents' sandboxes.
	Limits sandbox.Limits
	Root   string
	// Gradings bounds those at a time; the number of processors.
	Gradings int
	// Warm says how many sandboxes are kept ready: by task, or TASK:VARIANT.
	Warm map[string]int
	// WarmOthers is how many are kept ready of what else was asked for, until it is
	// not asked for any more; 4, below 0 none.
	WarmOthers int
	// Runs is the folder in which episodes are recorded; "" records none.
	Runs string
	// Version of the program, for the records.
	Version string
	Log     *slog.Logger
}

// Supply makes environments. It is safe for concurrent use.
type Supply struct {
	opts     Options
	tasks    map[string]*task.Task
	ids      []string
	provider *mlgym.Provider
	places   chan struct{} // one for each grading that may go on
	pool     *pool.Pool
	host     runstore.Host

	stopCleaning context.CancelFunc
	cleaning     sync.WaitGroup

	mu    sync.Mutex
	given map[kind]mlgym.Provided
	warm  map[string]*warmth
}

// kind is what decides what a task is given.
type kind struct{ task, variant string }

// New returns a supply, whose sandboxes are made ready from [Supply.Start] on.
func New(opts Options) (*Supply, error) {
	if opts.Variant == "" {
		opts.Variant = task.Full
	}
	if opts.Mode == "" {
		opts.Mode = task.Hardened
	}
	if opts.Reward == "" {
		opts.Reward = taskenv.Improvement
	}
	if opts.Gradings == 0 {
		opts.Gradings = runtime.GOMAXPROCS(0)
	}
	if opts.WarmOthers == 0 {
		opts.WarmOthers = 4
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Supply{
		opts: opts, tasks: map[string]*task.Task{}, places: make(chan struct{}, opts.Gradings),
		given: map[kind]mlgym.Provided{}, warm: map[string]*warmth{}, host: runstore.ThisHost(),
	}
	var err error
	if s.provider, err = mlgym.NewProvider(nil); err != nil {
		return nil, err
	}
	for _, id := range opts.Tasks.IDs() {
		t, err := opts.Tasks.Find(id)
		if err != nil {
			return nil, err
		}
		s.tasks[string(id)] = t
	}
	for _, t := range opts.Extra {
		if other, ok := s.tasks[string(t.ID)]; ok && other.Digest != t.Digest {
			return nil, fmt.Errorf("two tasks are called %s: give one of them another id", t.ID)
		}
		s.tasks[string(t.ID)] = t
	}
	s.ids = slices.Sorted(maps.Keys(s.tasks))
	return s, nil
}

// Tasks lists the tasks, sorted by their id.
func (s *Supply) Tasks() []*task.Task {
	out := make([]*task.Task, len(s.ids))
	for i, id := range s.ids {
		out[i] = s.tasks[id]
	}
	return out
}

// Variant is the one that a request gets for a task where it names none: the
// supply's, or the task's first where it has no such.
func (s *Supply) Variant(t *task.Task) string {
	if _, err := t.Variant(s.opts.Variant); err == nil {
		return s.opts.Variant
	}
	return t.VariantNames()[0]
}

// Make implements [session.Maker].
func (s *Supply) Make(ctx context.Context, r session.Request) (session.Made, error) {
	cfg, maxSteps, err := s.config(r) //nolint:contextcheck // looking for a layer takes no time
	if err != nil {
		return session.Made{}, err
	}
	s.claims(&cfg)
	keeper := &lateKeeper{}
	if s.opts.Runs != "" {
		cfg.Keep = func(kind gym.Kind, attempt int) (string, func([]grader.File)) { return keeper.Keep(kind, attempt) }
	}
	env, err := taskenv.New(cfg)
	if err != nil {
		return session.Made{}, err
	}
	made := session.Made{
		Env: env, Task: string(cfg.Task.ID), Variant: cfg.Variant, Mode: string(cfg.Mode), Reward: string(cfg.Reward), MaxSteps: maxSteps,
	}
	made.Low, made.High = rewardRange(cfg)
	var snapshotter gym.Snapshotter = env
	if maxSteps > 0 {
		limited := gym.LimitSteps(env, maxSteps)
		made.Env = limited
		if s, ok := limited.(gym.Snapshotter); ok {
			snapshotter = s
		}
	}
	if s.opts.Runs == "" {
		return made, nil
	}
	given, err := s.provide(cfg.Task, cfg.Variant) //nolint:contextcheck // likewise
	if err != nil {
		return session.Made{}, err
	}
	m, err := s.manifest(cfg, given, r, maxSteps)
	if err != nil {
		return session.Made{}, err
	}
	kept := &recorded{Env: made.Env, Interrupter: env, snapshotter: snapshotter, manifest: m, root: s.opts.Runs, keeper: keeper}
	made.Env, made.Record = kept, kept.place
	return made, nil
}

// config turns a request into an environment's configuration.
func (s *Supply) config(r session.Request) (cfg taskenv.Config, maxSteps int, err error) {
	t, ok := s.tasks[r.Task]
	if !ok {
		return cfg, 0, session.Refuse("task", "there is no task %q%s (there are %s)", r.Task, nearest.Hint(r.Task, s.ids), strings.Join(s.ids, ", "))
	}
	cfg = taskenv.Config{
		Task: t, Driver: s.opts.Driver, Grader: s.judge(), Mode: s.opts.Mode, Variant: r.Variant, Reward: s.opts.Reward,
		Limits: s.opts.Limits, Root: s.opts.Root, Key: func(seed uint64) []byte { return mlgym.GraderKey(s.opts.Secret, t, seed) },
	}
	if cfg.Variant == "" {
		cfg.Variant = s.Variant(t)
	}
	if _, err := t.Variant(cfg.Variant); err != nil {
		return cfg, 0, session.Refuse("variant", "%w", err)
	}
	if r.Mode != "" {
		cfg.Mode = task.Mode(r.Mode)
	}
	if !t.HasMode(cfg.Mode) {
		return cfg, 0, session.Refuse("mode", "task %s cannot be run in mode %q (it has %v)", t.ID, cfg.Mode, t.Modes)
	}
	if r.Reward != "" {
		cfg.Reward = taskenv.Reward(r.Reward)
	}
	if known := []taskenv.Reward{taskenv.Improvement, taskenv.Terminal, taskenv.None}; !slices.Contains(known, cfg.Reward) {
		return cfg, 0, session.Refuse("reward", "there is no reward %q (there are %v)", cfg.Reward, known)
	}
	given, err := s.provide(t, cfg.Variant)
	if err != nil {
		return cfg, 0, session.Refuse("task", "%w", err)
	}
	cfg.Provisions = given.Provisions
	maxSteps = s.opts.MaxSteps
	if r.MaxSteps > 0 && (maxSteps == 0 || r.MaxSteps < maxSteps) {
		maxSteps = r.MaxSteps
	}
	return cfg, maxSteps, nil
}

// provide returns what a task is given, where it was prepared.
func (s *Supply) provide(t *task.Task, variant string) (mlgym.Provided, error) {
	if t.Environment == "" && len(t.Datasets) == 0 {
		return mlgym.Provided{}, nil
	}
	key := kind{string(t.ID), variant}
	s.mu.Lock()
	defer s.mu.Unlock()
	if given, ok := s.given[key]; ok {
		return given, nil
	}
	given, err := s.provider.Ready(t, variant)
	if err != nil {
		return given, err
	}
	s.given[key] = given
	return given, nil
}

// rewardRange bounds what a step pays.
func rewardRange(cfg taskenv.Config) (low, high float64) {
	r := cfg.Task.RewardRange
	low, high = min(0, r.Low), max(0, r.High)
	switch cfg.Reward {
	case taskenv.Improvement:
		return low, high - low // from the worst to the best, at most
	case taskenv.Terminal:
		return low, high
	case taskenv.None:
	}
	return 0, 0
}

// judge is a grader before which each grading waits for its place.
func (s *Supply) judge() taskenv.Grader {
	return episode.Gated(grader.New(s.opts.Driver, grader.Options{Log: s.opts.Log}), func(ctx context.Context) (func(), error) {
		select {
		case s.places <- struct{}{}:
			return func() { <-s.places }, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
}
