package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/taskenv"
)

// measure is one measured quantity.
type measure struct {
	MedianMS float64 `json:"median_ms"`
	P95MS    float64 `json:"p95_ms"`
	N        int     `json:"n"`
}

// benchResult is what "bench env --json" prints.
type benchResult struct {
	Sandbox          string  `json:"sandbox"`
	Lifecycle        measure `json:"lifecycle"`
	Create           measure `json:"create"`
	Reset            measure `json:"reset"`
	Close            measure `json:"close"`
	StepBuiltin      measure `json:"step_builtin"`
	StepLs           measure `json:"step_ls"`
	StepPython       measure `json:"step_python"`
	Open             measure `json:"open"`
	EditLint         measure `json:"edit_lint"`
	ValidateOverhead measure `json:"validate_overhead"`
	IdleMemoryMB     float64 `json:"idle_memory_mb"`
	ParallelEnvs     int     `json:"parallel_envs"`
}

// minRepetitions is how often everything is measured at least.
const minRepetitions = 50

func (a *app) benchCommand() *cobra.Command {
	return a.group("bench", "Measure mlgym on this machine", "", "  mlgym bench env --json\n  mlgym bench tasks\n  mlgym bench experiment\n  mlgym bench serve", a.benchEnvCommand(), a.benchTasksCommand(), a.benchExperimentCommand(), a.benchServeCommand())
}

func (a *app) benchEnvCommand() *cobra.Command {
	var asJSON bool
	var name string
	var n, parallel int
	cmd := &cobra.Command{
		Use: "env", Short: "Measure the environment: life cycle, steps, validate, memory", Args: args(cobra.NoArgs),
		Long: `Every figure is a median and a 95th percentile in milliseconds, all taken in one
run, as an agent's step sees them: through the gym interface, the sandbox and its
shell. "create" makes the environment object, "reset" its sandbox with shell and
starter files, "lifecycle" is create, reset and close together.
"validate_overhead" is a validate of a task whose grader does nothing: checking
and copying the submission, making the grader's sandbox, starting Python.
"idle_memory_mb" is what the control group of a waiting environment is charged
(0 where nothing counts it), "parallel_envs" how many environments, side by side,
all answered.`,
		Example: "  mlgym bench env\n  mlgym bench env --json --sandbox oci:runsc --parallel 20",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < minRepetitions {
				return usagef("--repetitions %d: at least %d are needed for a 95th percentile", n, minRepetitions)
			}
			driver, err := mlgym.OpenDriver(name)
			if err != nil {
				return usage(err)
			}
			b := &bench{driver: driver, n: n, progress: func(text string) { fmt.Fprintln(a.err, text) }}
			res, err := b.run(cmd.Context(), parallel)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(res)
			}
			a.printBench(res)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&name, "sandbox", "bubblewrap", "the driver to measure")
	cmd.Flags().IntVar(&n, "repetitions", minRepetitions, "how often each thing is done")
	cmd.Flags().IntVar(&parallel, "parallel", 100, "how many environments to run side by side")
	return cmd
}

func (a *app) printBench(r benchResult) {
	fmt.Fprintf(a.out, "sandbox %s, times in ms\n\n%-18s %9s %9s %6s\n", r.Sandbox, "", "median", "p95", "n")
	for _, line := range []struct {
		name string
		m    measure
	}{
		{"lifecycle", r.Lifecycle},
		{"create", r.Create},
		{"reset", r.Reset},
		{"close", r.Close},
		{"step true", r.StepBuiltin},
		{"step ls", r.StepLs},
		{"step python3", r.StepPython},
		{"open", r.Open},
		{"edit with lint", r.EditLint},
		{"validate overhead", r.ValidateOverhead},
	} {
		fmt.Fprintf(a.out, "%-18s %9.3f %9.3f %6d\n", line.name, line.m.MedianMS, line.m.P95MS, line.m.N)
	}
	fmt.Fprintf(a.out, "\nidle environment   %9.2f MB\nside by side       %9d answered\n", r.IdleMemoryMB, r.ParallelEnvs)
}

// bench measures one driver.
type bench struct {
	driver   sandbox.Driver
	n        int
	progress func(string)
}

func (b *bench) run(ctx context.Context, parallel int) (benchResult, error) {
	res := benchResult{Sandbox: b.driver.Name()}
	if err := b.lifecycle(ctx, &res); err != nil {
		return res, fmt.Errorf("life cycle: %w", err)
	}
	if err := b.steps(ctx, &res); err != nil {
		return res, fmt.Errorf("steps: %w", err)
	}
	var err error
	if res.IdleMemoryMB, err = b.idle(ctx); err != nil {
		return res, fmt.Errorf("idle memory: %w", err)
	}
	if res.ParallelEnvs, err = b.sideBySide(ctx, parallel); err != nil {
		return res, fmt.Errorf("side by side: %w", err)
	}
	return res, nil
}

func (b *bench) env() (*taskenv.Env, error) {
	catalog, err := task.NewCatalog(benchTask)
	if err != nil {
		return nil, err
	}
	return mlgym.Make(benchTaskID, mlgym.Options{Tasks: &catalog, Driver: b.driver, Secret: make([]byte, 32)})
}

func (b *bench) lifecycle(ctx context.Context, res *benchResult) error {
	b.progress(fmt.Sprintf("create, reset and close %d environments ...", b.n))
	var lifecycle, create, reset, closed []time.Duration
	for range b.n {
		t0 := time.Now()
		env, err := b.env() //nolint:contextcheck // looking for a layer takes no time
		if err != nil {
			return err
		}
		t1 := time.Now()
		if _, err := env.Reset(ctx, gym.ResetOptions{}); err != nil {
			return err
		}
		t2 := time.Now()
		if err := env.Close(); err != nil {
			return err
		}
		t3 := time.Now()
		create, reset, closed = append(create, t1.Sub(t0)), append(reset, t2.Sub(t1)), append(closed, t3.Sub(t2))
		lifecycle = append(lifecycle, t3.Sub(t0))
	}
	res.Lifecycle, res.Create, res.Reset, res.Close = summary(lifecycle), summary(create), summary(reset), summary(closed)
	return nil
}

func (b *bench) steps(ctx context.Context, res *benchResult) (err error) {
	env, err := b.env() //nolint:contextcheck // looking for a layer takes no time
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	if _, err := env.Reset(ctx, gym.ResetOptions{}); err != nil {
		return err
	}
	edit := 0
	kinds := []struct {
		into   *measure
		action func() string
		want   int
	}{
		{&res.StepBuiltin, func() string { return "true" }, 0},
		{&res.StepLs, func() string { return "ls" }, 0},
		{&res.StepPython, func() string { return "python3 -c pass" }, 0},
		{&res.Open, func() string { return "open " + benchFile }, 0},
		{&res.EditLint, func() string {
			edit++
			return fmt.Sprintf("edit 2:2\n    return x + %d\nend_of_edit", edit)
		}, 0},
		{&res.ValidateOverhead, func() string { return "validate" }, 0},
	}
	times := make([][]time.Duration, len(kinds))
	b.progress(fmt.Sprintf("%d rounds of steps ...", b.n))
	// Interleaved, so that a burst of other load meets all of them alike; the
	// first round warms up and does not count.
	for round := range b.n + 1 {
		for i, k := range kinds {
			action := k.action()
			t0 := time.Now()
			tr, err := env.Step(ctx, gym.Action{Command: action})
			took := time.Since(t0)
			if err != nil {
				return fmt.Errorf("%q: %w", action, err)
			}
			if tr.Info.ExitCode != k.want {
				return fmt.Errorf("%q: exit code %d: %s", action, tr.Info.ExitCode, tr.Observation.Text)
			}
			if round > 0 {
				times[i] = append(times[i], took)
			}
		}
	}
	for i, k := range kinds {
		*k.into = summary(times[i])
	}
	return nil
}

func (b *bench) idle(ctx context.Context) (mb float64, err error) {
	box, err := b.driver.Create(ctx, sandbox.Spec{Purpose: "bench"})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	meter, ok := box.(sandbox.Meter)
	if !ok {
		return 0, nil
	}
	u, err := meter.Usage(ctx)
	if err != nil {
		return 0, nil //nolint:nilerr // nothing counts here, which the result says with 0
	}
	return float64(u.MemoryBytes) / (1 << 20), nil
}

// sideBySide holds many environments at once and asks each of them.
func (b *bench) sideBySide(ctx context.Context, want int) (answered int, err error) {
	b.progress(fmt.Sprintf("%d environments side by side ...", want))
	envs := make([]*taskenv.Env, 0, want)
	defer func() {
		var wg sync.WaitGroup
		for _, env := range envs {
			wg.Go(func() { _ = env.Close() })
		}
		wg.Wait()
	}()
	const atOnce = 8
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs error
	slots := make(chan struct{}, atOnce)
	for range want {
		env, err := b.env() //nolint:contextcheck // looking for a layer takes no time
		if err != nil {
			return 0, err
		}
		envs = append(envs, env)
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := env.Reset(ctx, gym.ResetOptions{}); err != nil {
				mu.Lock()
				errs = errors.Join(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if errs != nil {
		b.progress(fmt.Sprintf("some could not be started: %v", errs))
	}
	for i, env := range envs {
		text := fmt.Sprintf("environment %d", i)
		wg.Go(func() {
			tr, err := env.Step(ctx, gym.Action{Command: "echo " + text})
			if err == nil && tr.Observation.Text == text+"\n" {
				mu.Lock()
				answered++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return answered, nil
}

// summary is the median and the 95th percentile (nearest rank).
func summary(times []time.Duration) measure {
	sorted := slices.SortedFunc(slices.Values(times), cmp.Compare)
	if len(sorted) == 0 {
		return measure{}
	}
	rank := func(q float64) float64 {
		i := min(int(q*float64(len(sorted))), len(sorted)-1)
		return float64(sorted[i].Microseconds()) / 1000
	}
	return measure{MedianMS: rank(0.5), P95MS: rank(0.95), N: len(sorted)}
}
