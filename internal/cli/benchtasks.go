package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mlgym"
	"mlgym/dataset"
	"mlgym/episode"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/taskenv"
)

// taskCost is what a task costs on this machine, a line of "bench tasks".
type taskCost struct {
	Task    task.ID `json:"task"`
	Variant string  `json:"variant"`
	// Environment and data are as they were built and prepared here.
	Environment        string  `json:"environment,omitempty"`
	EnvironmentBytes   int64   `json:"environment_bytes"`
	EnvironmentSeconds float64 `json:"environment_seconds"`
	DataBytes          int64   `json:"data_bytes"`
	DataSeconds        float64 `json:"data_seconds"`
	Reset              measure `json:"reset"`
	BaselineSeconds    float64 `json:"baseline_seconds"`
	// GradingSeconds is one validate of the baseline's submission.
	GradingSeconds float64 `json:"grading_seconds"`
	// Peak memory of the agent's sandbox while it made the baseline, and of the
	// grading's sandboxes, the largest; 0 where nothing counts it.
	AgentPeakBytes   int64   `json:"agent_peak_bytes"`
	GradingPeakBytes int64   `json:"grading_peak_bytes"`
	Score            float64 `json:"score"`
}

func (a *app) benchTasksCommand() *cobra.Command {
	var asJSON bool
	var variant, name string
	var n int
	cmd := &cobra.Command{
		Use: "tasks [TASK...]", Short: "Measure what tasks cost: preparation, reset, baseline, grading, memory", Args: args(cobra.ArbitraryArgs),
		Long: `For each task (all that ship where none is named): what its environment and its data take,
how long a reset takes with everything prepared (median; the tasks take turns, so that all
meet the same machine), how long its baseline and one grading of it take, and the peak
memory of the sandboxes.`,
		Example: "  mlgym bench tasks\n  mlgym bench tasks titanic rlMetaMazeMisc --json",
		RunE: func(cmd *cobra.Command, ids []string) error {
			driver, err := mlgym.OpenDriver(name)
			if err != nil {
				return usage(err)
			}
			if len(ids) == 0 {
				catalog, err := mlgym.Tasks()
				if err != nil {
					return err
				}
				for _, id := range catalog.IDs() {
					ids = append(ids, string(id))
				}
			}
			costs, err := a.benchTasks(cmd.Context(), driver, ids, variant, n)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(costs)
			}
			a.printCosts(costs)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&variant, "variant", task.Small, "full or small")
	cmd.Flags().StringVar(&name, "sandbox", "bubblewrap", "the driver to measure with")
	cmd.Flags().IntVar(&n, "repetitions", 15, "how many resets of each task")
	return cmd
}

func (a *app) benchTasks(ctx context.Context, driver sandbox.Driver, ids []string, variant string, n int) ([]taskCost, error) {
	costs := make([]taskCost, len(ids))
	configs := make([]taskenv.Config, len(ids))
	for i, id := range ids {
		t, err := episode.FindTask(id)
		if err != nil {
			return nil, err
		}
		given, err := a.prepareTask(ctx, t, variant, 0, false)
		if err != nil {
			return nil, err
		}
		configs[i] = taskenv.Config{
			Task: t, Driver: driver, Variant: variant, Mode: task.Hardened, Provisions: given.Provisions,
			Grader: grader.New(driver, grader.Options{Log: a.log}), Key: func(uint64) []byte { return make([]byte, 32) },
		}
		costs[i] = taskCost{Task: t.ID, Variant: variant}
		if l := given.Environment; l != nil {
			costs[i].Environment, costs[i].EnvironmentBytes, costs[i].EnvironmentSeconds = l.Name, l.Bytes, l.BuildSeconds
		}
		for _, d := range given.Data {
			costs[i].DataBytes += d.Bytes
			costs[i].DataSeconds += d.Seconds
		}
	}
	resets := make([][]time.Duration, len(ids))
	for range n {
		for i, cfg := range configs {
			took, err := timeReset(ctx, cfg)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", ids[i], err)
			}
			resets[i] = append(resets[i], took)
		}
	}
	for i, cfg := range configs {
		costs[i].Reset = summary(resets[i])
		fmt.Fprintf(a.err, "%s: baseline and grading\n", ids[i])
		if err := costs[i].grade(ctx, cfg); err != nil {
			return nil, fmt.Errorf("%s: %w", ids[i], err)
		}
	}
	return costs, nil
}

// timeReset makes the environment of an episode once.
func timeReset(ctx context.Context, cfg taskenv.Config) (_ time.Duration, err error) {
	env, err := taskenv.New(cfg)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	began := time.Now()
	_, err = env.Reset(ctx, gym.ResetOptions{})
	return time.Since(began), err
}

// grade makes the baseline's submission and grades it once.
func (c *taskCost) grade(ctx context.Context, cfg taskenv.Config) (err error) {
	box, err := taskenv.NewWorkspace(ctx, cfg, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	if command := cfg.Task.BaselineCommand; command != "" {
		shell, ok := box.(sandbox.Shell)
		if !ok {
			return errors.New("this sandbox has no shell")
		}
		began := time.Now()
		res, err := shell.Run(ctx, sandbox.Script{Text: command, Wall: cfg.Task.TrainingTimeout})
		if err != nil || res.ExitCode != 0 {
			return errors.Join(fmt.Errorf("%s ended with exit code %d: %s", command, res.ExitCode, res.Output), err)
		}
		c.BaselineSeconds = time.Since(began).Seconds()
	}
	if meter, ok := box.(sandbox.Meter); ok {
		if used, err := meter.Usage(ctx); err == nil {
			c.AgentPeakBytes = used.PeakMemoryBytes
		}
	}
	e, err := grader.New(cfg.Driver, grader.Options{}).Grade(ctx, grader.Request{
		Task: cfg.Task, Submission: box.Files(), Kind: gym.Validate, Mode: cfg.Mode, Variant: cfg.Variant, Key: make([]byte, 32), Provisions: cfg.Provisions,
		Used: func(_ string, used sandbox.Usage) { c.GradingPeakBytes = max(c.GradingPeakBytes, used.PeakMemoryBytes) },
	})
	if err == nil && e.Problem != gym.Scored {
		err = fmt.Errorf("the baseline's submission has no score: %s", e.Message)
	}
	c.GradingSeconds, c.Score = e.Seconds, e.Scores[cfg.Task.Primary().Name]
	return err
}

func (a *app) printCosts(costs []taskCost) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "task\tenvironment\tsize\tbuilt\tdata\tprepared\treset\tbaseline\tgrading\tpeak agent\tpeak grading\tscore\t")
	slices.SortFunc(costs, func(x, y taskCost) int { return strings.Compare(string(x.Task), string(y.Task)) })
	for _, c := range costs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.0f ms\t%.1f s\t%.1f s\t%s\t%s\t%.4g\t\n", c.Task, dash(c.Environment),
			size(c.EnvironmentBytes), spent(c.EnvironmentSeconds), size(c.DataBytes), spent(c.DataSeconds),
			c.Reset.MedianMS, c.BaselineSeconds, c.GradingSeconds, size(c.AgentPeakBytes), size(c.GradingPeakBytes), c.Score)
	}
	_ = w.Flush() // standard output; nobody can be told
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func size(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return dataset.Size(bytes)
}

func spent(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", seconds)
}
