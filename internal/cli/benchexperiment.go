package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/experiment"
	"mlgym/gym"
	"mlgym/machine"
	"mlgym/runstore"
	"mlgym/task"
)

// experimentCost is what "bench experiment --json" prints. Seconds are of the
// wall unless they say otherwise.
type experimentCost struct {
	Sandbox string `json:"sandbox"`
	// Overhead of many trivial episodes in real sandboxes.
	Episodes int `json:"episodes"`
	Parallel int `json:"parallel"`
	// Seconds for all of them, and the sum of what the episodes took by themselves.
	Seconds    float64 `json:"seconds"`
	OwnSeconds float64 `json:"own_seconds"`
	// Overhead is Seconds × Parallel / OwnSeconds - 1: the part that the experiment
	// adds to the episodes' own work.
	Overhead float64 `json:"overhead"`
	// BareMSPerEpisode is what an experiment takes for an episode that does nothing
	// and has no sandbox: claim, files, events, outcome.
	BareMSPerEpisode    float64 `json:"bare_ms_per_episode"`
	BareCPUMSPerEpisode float64 `json:"bare_cpu_ms_per_episode"`
	// Throughput by how many episodes run at once.
	Throughput []throughput `json:"throughput"`
	// Memory of this process, and of the machine as a whole, that so many episodes
	// take which all live at the same time.
	Living         int     `json:"living_episodes"`
	ProcessMB      float64 `json:"process_mb"`
	MachineMB      float64 `json:"machine_mb"`
	Finished       int     `json:"finished_episodes"`
	StatusSeconds  float64 `json:"status_seconds"`
	ResumeSeconds  float64 `json:"resume_seconds"`
	PreviewSeconds float64 `json:"plan_seconds"`
}

type throughput struct {
	Parallel  int     `json:"parallel"`
	PerSecond float64 `json:"episodes_per_second"`
}

func (a *app) benchExperimentCommand() *cobra.Command {
	var asJSON bool
	var name string
	b := &experimentBench{}
	cmd := &cobra.Command{
		Use: "experiment", Short: "Measure what an experiment adds to its episodes", Args: args(cobra.NoArgs),
		Long: `Episodes of a task that does nothing run in real sandboxes: how much time the
experiment adds to their own work, how throughput grows with the number that run at
once, what memory many take that live at the same time; and how long it takes to look
at, and to take up again, an experiment with very many finished episodes. The two times
of "overhead" are taken in one run, so that their ratio means something on a busy machine.`,
		Example: "  mlgym bench experiment\n  mlgym bench experiment --episodes 40 --living 10 --finished 500 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.episodes < 1 || b.living < 1 || b.finished < 1 {
				return usagef("--episodes, --living and --finished must be above 0")
			}
			b.sandbox, b.tell = name, func(text string) { fmt.Fprintln(a.err, text) }
			cost, err := b.run(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(cost)
			}
			a.printExperimentCost(cost)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&name, "sandbox", "bubblewrap", "the driver to measure with")
	cmd.Flags().IntVar(&b.episodes, "episodes", 500, "trivial episodes of the overhead")
	cmd.Flags().IntVar(&b.living, "living", 100, "episodes that live at the same time")
	cmd.Flags().IntVar(&b.finished, "finished", 10_000, "finished episodes to take up again")
	return cmd
}

func (a *app) printExperimentCost(c experimentCost) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.out, "%-22s "+format+"\n", append([]any{name}, args...)...)
	}
	line("overhead", "%.1f %% (%d episodes, %d at once: %.1f s, their own work %.1f s)", 100*c.Overhead, c.Episodes, c.Parallel, c.Seconds, c.OwnSeconds)
	line("without any sandbox", "%.2f ms an episode, %.2f ms of processor time", c.BareMSPerEpisode, c.BareCPUMSPerEpisode)
	for _, t := range c.Throughput {
		line(fmt.Sprintf("%d at once", t.Parallel), "%.1f episodes a second", t.PerSecond)
	}
	line("memory", "%d living episodes: %.0f MB of this process, %.0f MB of the machine", c.Living, c.ProcessMB, c.MachineMB)
	line("finished episodes", "%d: status %.2f s, plan %.2f s, resume %.2f s", c.Finished, c.StatusSeconds, c.PreviewSeconds, c.ResumeSeconds)
}

// experimentBench measures experiments in a folder that it removes.
type experimentBench struct {
	sandbox                    string
	episodes, living, finished int
	tell                       func(string)

	dir    string
	secret []byte
	host   *machine.Machine
}

func (b *experimentBench) run(ctx context.Context) (cost experimentCost, err error) {
	if b.dir, err = os.MkdirTemp("", "mlgym-bench-"); err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := os.CopyFS(b.dir, benchTask); err != nil {
		return cost, err
	}
	if b.secret, err = mlgym.InstallationSecret(); err != nil {
		return cost, err
	}
	if b.host, err = machine.Open(ctx, machine.Options{Dir: filepath.Join(b.dir, "leases")}); err != nil {
		return cost, err
	}
	cost = experimentCost{Sandbox: b.sandbox, Episodes: b.episodes, Parallel: max(1, int(b.host.Has().CPUs)), Living: b.living, Finished: b.finished}
	for _, part := range []struct {
		what string
		do   func(context.Context, *experimentCost) error
	}{
		{fmt.Sprintf("%d trivial episodes ...", b.episodes), b.overhead},
		{"throughput ...", b.throughput},
		{fmt.Sprintf("%d living episodes ...", b.living), b.memory},
		{fmt.Sprintf("%d finished episodes ...", b.finished), b.takeUp},
	} {
		b.tell(part.what)
		if err := part.do(ctx, &cost); err != nil {
			return cost, fmt.Errorf("%s %w", part.what, err)
		}
	}
	return cost, nil
}

// grid is an experiment of n trivial episodes.
func (b *experimentBench) grid(ctx context.Context, n int) (*experiment.File, *experiment.Plan, error) {
	memory, cpus := int64(64), 1.0
	f := &experiment.File{
		Format: experiment.FileFormat, Name: "bench", Tasks: []string{filepath.Join(b.dir, benchTaskID)}, Agents: []experiment.Agent{{Agent: "baseline"}},
		Seeds: int64(n), Settings: experiment.Settings{MemoryMB: &memory, CPUs: &cpus, Sandbox: &b.sandbox},
	}
	p := experiment.Planner{Secret: b.secret, Provide: func(context.Context, *task.Task, string) (mlgym.Provided, error) { return mlgym.Provided{}, nil }}
	plan, err := p.Plan(ctx, f)
	return f, plan, err
}

func (b *experimentBench) episodesRunner() *experiment.Episodes {
	return &experiment.Episodes{Provide: func(*task.Task, string) (mlgym.Provided, error) { return mlgym.Provided{}, nil }, Secret: b.secret}
}

// conduct runs n episodes and returns how long that took and where they are.
func (b *experimentBench) conduct(ctx context.Context, name string, n, parallel int, r experiment.Runner) (time.Duration, *experiment.Store, error) {
	f, plan, err := b.grid(ctx, n)
	if err != nil {
		return 0, nil, err
	}
	store, err := experiment.Create(filepath.Join(b.dir, name))
	if err != nil {
		return 0, nil, err
	}
	if err := store.Save(f, plan); err != nil {
		return 0, nil, err
	}
	began := time.Now()
	s, err := experiment.NewScheduler(ctx, experiment.Options{Store: store, Plan: plan, Runner: r, Machine: b.host, Parallel: parallel, Gradings: max(parallel, b.living)})
	if err != nil {
		return 0, nil, err
	}
	if err := s.Run(ctx); err != nil {
		return 0, nil, err
	}
	if st := s.Snapshot(); st.Done != n {
		return 0, nil, fmt.Errorf("%d of %d episodes are done (%s): %s", st.Done, n, s.Why(), firstMessage(st))
	}
	return time.Since(began), store, nil
}

func firstMessage(st experiment.Status) string {
	for _, e := range st.Episodes {
		if e.State != experiment.Done && e.Message != "" {
			return e.Message
		}
	}
	return ""
}

func (b *experimentBench) overhead(ctx context.Context, c *experimentCost) error {
	took, store, err := b.conduct(ctx, "overhead", b.episodes, c.Parallel, b.episodesRunner())
	if err != nil {
		return err
	}
	st, err := store.Status(ctx)
	if err != nil {
		return err
	}
	for _, e := range st.Episodes {
		c.OwnSeconds += e.Seconds
	}
	c.Seconds = took.Seconds()
	c.Overhead = c.Seconds*float64(c.Parallel)/c.OwnSeconds - 1
	return nil
}

func (b *experimentBench) throughput(ctx context.Context, c *experimentCost) error {
	for _, parallel := range []int{1, 2, 4, 8} {
		n := max(parallel, min(b.episodes, 20*parallel))
		took, _, err := b.conduct(ctx, "parallel-"+strconv.Itoa(parallel), n, parallel, b.episodesRunner())
		if err != nil {
			return err
		}
		c.Throughput = append(c.Throughput, throughput{parallel, float64(n) / took.Seconds()})
	}
	return nil
}

// together holds episodes before their grading until all are there.
type together struct {
	experiment.Runner
	mu   sync.Mutex
	here int
	all  int
	open chan struct{}
	look func() // called once, when all live
}

// Run implements [experiment.Runner].
func (t *together) Run(ctx context.Context, u experiment.Unit) (runstore.Result, error) {
	next := u.Gate
	u.Gate = func(ctx context.Context) (func(), error) {
		t.mu.Lock()
		if t.here++; t.here == t.all {
			t.look()
			close(t.open)
		}
		t.mu.Unlock()
		select {
		case <-t.open:
			return next(ctx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return t.Runner.Run(ctx, u)
}

func (b *experimentBench) memory(ctx context.Context, c *experimentCost) error {
	before, err := memoryLine("/proc/meminfo", "MemAvailable")
	if err != nil {
		return err
	}
	var looked error
	t := &together{Runner: b.episodesRunner(), all: b.living, open: make(chan struct{}), look: func() {
		now, err := memoryLine("/proc/meminfo", "MemAvailable")
		own, ownErr := memoryLine("/proc/self/status", "VmRSS")
		looked = errors.Join(err, ownErr)
		c.MachineMB, c.ProcessMB = float64(before-now)/(1<<20), float64(own)/(1<<20)
	}}
	_, _, err = b.conduct(ctx, "living", b.living, b.living, t)
	return errors.Join(err, looked)
}

// memoryLine reads a size of a file in /proc, in bytes.
func memoryLine(path, key string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if fields := strings.Fields(value); name == key && len(fields) > 0 {
			kib, err := strconv.ParseInt(fields[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, key)
}

// idle is a runner that does nothing.
type idle struct{}

// Run implements [experiment.Runner].
func (idle) Run(context.Context, experiment.Unit) (runstore.Result, error) {
	final := gym.Evaluation{Kind: gym.Submit, Scores: gym.Scores{"Score": 1}}
	return runstore.Result{ExitStatus: gym.EndedBy(gym.CauseSubmit, final), PrimaryMetric: "Score", Submission: final.Scores, CostUSD: new(float64)}, nil
}

func (b *experimentBench) takeUp(ctx context.Context, c *experimentCost) error {
	cpu := processTime()
	took, store, err := b.conduct(ctx, "finished", b.finished, cmp.Or(c.Parallel, 1), idle{})
	if err != nil {
		return err
	}
	c.BareMSPerEpisode = float64(took.Microseconds()) / 1000 / float64(b.finished)
	c.BareCPUMSPerEpisode = float64((processTime() - cpu).Microseconds()) / 1000 / float64(b.finished)
	began := time.Now()
	if _, err := store.Status(ctx); err != nil {
		return err
	}
	c.StatusSeconds = time.Since(began).Seconds()
	began = time.Now()
	f, plan, err := b.grid(ctx, b.finished)
	if err != nil {
		return err
	}
	if _, err := experiment.Preview(ctx, store.Dir(), plan); err != nil {
		return err
	}
	c.PreviewSeconds = time.Since(began).Seconds()
	if err := store.Save(f, plan); err != nil {
		return err
	}
	s, err := experiment.NewScheduler(ctx, experiment.Options{Store: store, Plan: plan, Runner: idle{}, Machine: b.host})
	if err != nil {
		return err
	}
	err = s.Run(ctx)
	c.ResumeSeconds = time.Since(began).Seconds() // all that resume does
	return err
}

// processTime is the processor time of this process.
func processTime() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
