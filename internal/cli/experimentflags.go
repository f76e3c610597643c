package cli

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mlgym"
	"mlgym/episode"
	"mlgym/experiment"
	"mlgym/runstore"
	"mlgym/taskenv"
)

// experimentOptions are an experiment as flags say it, and how this part of it is
// run.
type experimentOptions struct {
	tasks, agents, models, seeds []string
	agent                        experiment.Agent // of each model
	name                         string
	set                          struct {
		mode, variant, reward, sandbox, root string
		maxSteps, processes, gpus            int
		costLimit, cpus                      float64
		tokenLimit, memoryMB, diskMB         int64
		timeLimit                            time.Duration
	}
	parallel, gradings, retries, requestRetries int
	budget                                      experiment.Limits
	withoutGPU, prices, on                      string
	machine                                     experiment.Machine
	slurm                                       experiment.Slurm

	out         string
	dryRun      bool
	asJSON      bool
	quiet       bool
	detach      bool
	slurmPoll   time.Duration
	metricsAddr string
}

// gridFlags are those that say which episodes there are.
func (o *experimentOptions) gridFlags(f *pflag.FlagSet) {
	f.StringVar(&o.name, "name", "", "name of the experiment (default: that of its file or folder)")
	f.StringSliceVar(&o.tasks, "tasks", nil, "tasks: names from \"mlgym task list\", or folders")
	f.StringSliceVar(&o.agents, "agents", nil, "agents: baseline, demo, llm")
	f.StringSliceVar(&o.models, "models", nil, "PROVIDER/NAME of each llm agent")
	f.StringSliceVar(&o.seeds, "seeds", nil, "how many seeds, from 0 on; or the seeds themselves, such as 3,4,7")
	f.StringVar(&o.agent.Scaffold, "scaffold", "", "what surrounds the models: a name, or a YAML file")
	f.StringVar(&o.agent.BaseURL, "base-url", "", "another server that speaks the provider's format")
	f.BoolVar(&o.agent.Responses, "responses", false, "ask openai models through the Responses API")
	f.StringVar(&o.agent.ReasoningEffort, "reasoning-effort", "", "of openai models: low, medium, high")
	f.IntVar(&o.agent.ThinkingTokens, "thinking-tokens", 0, "thinking budget of anthropic and google models")
	f.IntVar(&o.agent.MaxTokens, "max-tokens", 0, "tokens of one answer; 0 means what the scaffold says")
	f.BoolVar(&o.agent.RecordTokens, "record-tokens", false, "keep token ids and log-probabilities, to train on, where a model's server gives them")
	usual := episode.Default()
	s := &o.set
	f.IntVar(&s.maxSteps, "max-steps", usual.MaxSteps, "how many actions an agent may take in an episode; 0 means no limit")
	f.Float64Var(&s.costLimit, "cost-limit", usual.CostUSD, "US dollars that the model may cost in an episode; 0 means no limit")
	f.Int64Var(&s.tokenLimit, "token-limit", 0, "tokens in and out of an episode; 0 means no limit")
	f.DurationVar(&s.timeLimit, "time-limit", 0, "how long an episode may take, such as 90m; 0 means no limit")
	f.StringVar(&s.mode, "mode", usual.Mode, "hardened or published")
	f.StringVar(&s.variant, "variant", usual.Variant, "size of the tasks: full or small")
	f.StringVar(&s.reward, "reward", usual.Reward, "one of "+strings.Join(words(taskenv.Rewards()), ", "))
	f.StringVar(&s.sandbox, "sandbox", usual.Sandbox, "where the agents work: "+strings.Join(mlgym.DriverNames(), ", "))
	f.StringVar(&s.root, "root", "", "root file system of the sandboxes, as in mlgym run")
	f.Int64Var(&s.memoryMB, "memory-mb", 0, "memory of an agent's sandbox; 0 means what the task asks for")
	f.Int64Var(&s.diskMB, "disk-mb", 0, "size of each writable place; 0 means what the task asks for")
	f.IntVar(&s.processes, "processes", 0, "processes in the sandbox; 0 means what the task asks for")
	f.Float64Var(&s.cpus, "cpus", 0, "processors' worth of time; 0 means what the task asks for")
	f.IntVar(&s.gpus, "gpus", 0, "GPUs of an episode (default: what the task needs)")
	f.StringVar(&o.withoutGPU, "without-gpu", "", "what to do with tasks that need a GPU where there is none: skip, or a variant such as small")
	f.StringVar(&o.prices, "prices", "", "YAML file that extends the table of model prices")
}

// partFlags are those that say how the episodes are run, which may differ from
// one part of an experiment to the next.
func (o *experimentOptions) partFlags(f *pflag.FlagSet) {
	f.IntVarP(&o.parallel, "parallel", "p", 0, "episodes at once (default: as many as the machine has room for)")
	f.IntVar(&o.gradings, "gradings", 0, "gradings at once (default: one for each processor)")
	f.IntVar(&o.retries, "retries", 3, "how often an episode is tried again after faults that are not the agent's")
	f.IntVar(&o.requestRetries, "request-retries", 5, "how often a busy or unreachable model server is asked again, before that")
	f.Float64Var(&o.budget.USD, "budget-usd", 0, "US dollars of the whole experiment; 0 means no limit")
	f.Int64Var(&o.budget.Tokens, "budget-tokens", 0, "tokens in and out of the whole experiment; 0 means no limit")
	f.Float64Var(&o.budget.Hours, "budget-hours", 0, "hours in which the experiment is run, all parts together; 0 means no limit")
	f.Int64Var(&o.machine.MemoryMB, "machine-memory-mb", 0, "memory of the machine that may be used (default: what there is, less a reserve)")
	f.Float64Var(&o.machine.CPUs, "machine-cpus", 0, "processors of the machine that may be used (default: all)")
	f.IntSliceVar(&o.machine.GPUs, "machine-gpus", nil, "numbers of the GPUs that may be used (default: all)")
	f.StringVar(&o.on, "on", "", "where the episodes run: here, or slurm")
	f.StringVar(&o.slurm.Partition, "partition", "", "of Slurm")
	f.StringVar(&o.slurm.Account, "account", "", "of Slurm")
	f.StringVar(&o.slurm.QOS, "qos", "", "of Slurm")
	f.StringVar(&o.slurm.Constraint, "constraint", "", "of Slurm")
	f.StringVar(&o.slurm.Reservation, "reservation", "", "of Slurm")
	f.DurationVar(&o.slurm.Time, "slurm-time", 0, "time limit of a job; it goes on in another one afterwards")
	f.StringVar(&o.slurm.GPUType, "gpu-type", "", "type of the GPUs, as Slurm calls it")
	f.IntVar(&o.slurm.Pack, "pack", 0, "episodes of one Slurm job, one after the other (default 1)")
	f.StringArrayVar(&o.slurm.Args, "slurm-arg", nil, "a further flag of sbatch, such as --slurm-arg=--exclude=node7; may be given more than once")
	f.DurationVar(&o.slurmPoll, "slurm-poll", 10*time.Second, "how often the cluster is asked how its jobs are")
	f.BoolVar(&o.detach, "detach", false, "with --on slurm: submit the jobs and return")
	f.StringVar(&o.metricsAddr, "metrics-addr", "", "serve Prometheus metrics there, such as 127.0.0.1:9464")
	f.BoolVar(&o.asJSON, "json", false, "print each event as one line of JSON")
	f.BoolVar(&o.quiet, "quiet", false, "print what is planned and how it ended, and nothing between")
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// file makes the experiment of the flags that were given, on top of a file where
// there is one.
func (o *experimentOptions) file(f *pflag.FlagSet, from string) (*experiment.File, error) {
	file := &experiment.File{Format: experiment.FileFormat}
	if from != "" {
		var err error
		if file, err = experiment.ReadFile(from); err != nil {
			return nil, usage(err)
		}
		if file.Name == "" {
			file.Name = strings.TrimSuffix(filepath.Base(from), filepath.Ext(from))
		}
	}
	if err := o.overlay(f, file); err != nil {
		return nil, err
	}
	return file, usage(file.Check())
}

// overlay puts the flags that were given over what a file says.
func (o *experimentOptions) overlay(f *pflag.FlagSet, file *experiment.File) error {
	given := func(name string) bool { return f.Lookup(name) != nil && f.Changed(name) }
	if given("name") {
		file.Name = o.name
	}
	if given("tasks") {
		file.Tasks = nil
		for _, t := range o.tasks {
			t, err := absoluteFolder(t)
			if err != nil {
				return err
			}
			file.Tasks = append(file.Tasks, t)
		}
	}
	if err := o.overlayAgents(given, file); err != nil {
		return err
	}
	if given("seeds") {
		seeds, err := readSeeds(o.seeds)
		if err != nil {
			return err
		}
		file.Seeds = seeds
	}
	o.overlaySettings(given, &file.Settings)
	if given("prices") {
		path, err := filepath.Abs(o.prices)
		if err != nil {
			return err
		}
		file.Prices = path
	}
	o.overlayPart(given, file)
	return nil
}

func (o *experimentOptions) overlayAgents(given func(string) bool, file *experiment.File) error {
	if given("agents") || given("models") {
		file.Agents = nil
		agents := o.agents
		if len(agents) == 0 {
			agents = []string{"llm"}
		}
		if len(o.models) > 0 && !slices.Contains(agents, "llm") {
			return usagef("--models are for the agent llm: add it to --agents")
		}
		for _, name := range agents {
			if name != "llm" {
				file.Agents = append(file.Agents, experiment.Agent{Agent: name})
				continue
			}
			if len(o.models) == 0 {
				return usagef("--agents llm needs --models PROVIDER/NAME,…")
			}
			for _, m := range o.models {
				file.Agents = append(file.Agents, experiment.Agent{Agent: "llm", Model: m})
			}
		}
	}
	scaffold := o.agent.Scaffold
	if strings.HasSuffix(scaffold, ".yaml") || strings.ContainsRune(scaffold, filepath.Separator) {
		var err error
		if scaffold, err = filepath.Abs(scaffold); err != nil {
			return err
		}
	}
	for i := range file.Agents {
		a := &file.Agents[i]
		if a.Agent != "llm" {
			continue
		}
		put(given("scaffold"), &a.Scaffold, scaffold)
		put(given("base-url"), &a.BaseURL, o.agent.BaseURL)
		put(given("responses"), &a.Responses, o.agent.Responses)
		put(given("reasoning-effort"), &a.ReasoningEffort, o.agent.ReasoningEffort)
		put(given("thinking-tokens"), &a.ThinkingTokens, o.agent.ThinkingTokens)
		put(given("max-tokens"), &a.MaxTokens, o.agent.MaxTokens)
		put(given("record-tokens"), &a.RecordTokens, o.agent.RecordTokens)
	}
	return nil
}

func (o *experimentOptions) overlaySettings(given func(string) bool, s *experiment.Settings) {
	point(given("mode"), &s.Mode, o.set.mode)
	point(given("variant"), &s.Variant, o.set.variant)
	point(given("reward"), &s.Reward, o.set.reward)
	point(given("max-steps"), &s.MaxSteps, o.set.maxSteps)
	point(given("cost-limit"), &s.CostLimit, o.set.costLimit)
	point(given("token-limit"), &s.TokenLimit, o.set.tokenLimit)
	point(given("time-limit"), &s.TimeLimit, o.set.timeLimit)
	point(given("sandbox"), &s.Sandbox, o.set.sandbox)
	point(given("root"), &s.Root, o.set.root)
	point(given("memory-mb"), &s.MemoryMB, o.set.memoryMB)
	point(given("disk-mb"), &s.DiskMB, o.set.diskMB)
	point(given("processes"), &s.Processes, o.set.processes)
	point(given("cpus"), &s.CPUs, o.set.cpus)
	point(given("gpus"), &s.GPUs, o.set.gpus)
}

func (o *experimentOptions) overlayPart(given func(string) bool, file *experiment.File) {
	put(given("parallel"), &file.Parallel, o.parallel)
	put(given("gradings"), &file.Gradings, o.gradings)
	point(given("retries"), &file.Retries, o.retries)
	point(given("request-retries"), &file.RequestRetries, o.requestRetries)
	put(given("budget-usd"), &file.Budget.USD, o.budget.USD)
	put(given("budget-tokens"), &file.Budget.Tokens, o.budget.Tokens)
	put(given("budget-hours"), &file.Budget.Hours, o.budget.Hours)
	put(given("without-gpu"), &file.WithoutGPU, o.withoutGPU)
	put(given("machine-memory-mb"), &file.Machine.MemoryMB, o.machine.MemoryMB)
	put(given("machine-cpus"), &file.Machine.CPUs, o.machine.CPUs)
	put(given("machine-gpus"), &file.Machine.GPUs, o.machine.GPUs)
	if given("on") {
		file.On = o.on
		if o.on == "here" {
			file.On = ""
		}
	}
	put(given("partition"), &file.Slurm.Partition, o.slurm.Partition)
	put(given("account"), &file.Slurm.Account, o.slurm.Account)
	put(given("qos"), &file.Slurm.QOS, o.slurm.QOS)
	put(given("constraint"), &file.Slurm.Constraint, o.slurm.Constraint)
	put(given("reservation"), &file.Slurm.Reservation, o.slurm.Reservation)
	put(given("slurm-time"), &file.Slurm.Time, o.slurm.Time)
	put(given("gpu-type"), &file.Slurm.GPUType, o.slurm.GPUType)
	put(given("pack"), &file.Slurm.Pack, o.slurm.Pack)
	put(given("slurm-arg"), &file.Slurm.Args, o.slurm.Args)
}

func put[T any](given bool, to *T, value T) {
	if given {
		*to = value
	}
}

func point[T any](given bool, to **T, value T) {
	if given {
		*to = &value
	}
}

// absoluteFolder makes the path of a task's folder absolute; names stay.
func absoluteFolder(name string) (string, error) {
	if !strings.ContainsRune(name, filepath.Separator) {
		return name, nil
	}
	return filepath.Abs(name)
}

// readSeeds reads "4" as the seeds 0 to 3, and "4,7" as those two.
func readSeeds(list []string) (any, error) {
	var out []uint64
	for _, text := range list {
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
		if err != nil {
			return nil, usagef("--seeds %s: want a number, or a list of them such as 3,4,7", strings.Join(list, ","))
		}
		out = append(out, n)
	}
	if len(out) == 1 {
		return int64(out[0]), nil //nolint:gosec // 32 bits
	}
	return out, nil
}

// outDir is the experiment's directory.
func (o *experimentOptions) outDir(file *experiment.File) string {
	if o.out != "" {
		return o.out
	}
	name := file.Name
	if name == "" {
		name = time.Now().UTC().Format("20060102T150405Z")
	}
	return filepath.Join("experiments", runstore.FileName(name))
}
