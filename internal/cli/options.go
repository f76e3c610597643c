package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mlgym"
	"mlgym/internal/nearest"
	"mlgym/model/providers"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/taskenv"
)

// The agents, and what each is.
var agentNames = []string{"baseline", "demo", "llm", "human", "replay"}

// runOptions are what decides a run. Those with a JSON name are kept in its
// manifest, so that a cut run can be made again.
type runOptions struct {
	Task     string `json:"-"`
	Agent    string `json:"-"`
	Model    string `json:"-"`
	Scaffold string `json:"-"`

	BaseURL        string  `json:"base_url,omitempty"`
	Responses      bool    `json:"responses,omitempty"`
	Reasoning      string  `json:"reasoning_effort,omitempty"`
	ThinkingTokens int     `json:"thinking_tokens,omitempty"`
	MaxTokens      int     `json:"max_tokens,omitempty"`
	CostLimit      float64 `json:"cost_limit,omitempty"`
	From           string  `json:"-"`

	seed       uint64
	maxSteps   int
	tokenLimit int64
	timeLimit  time.Duration
	mode       string
	variant    string
	reward     string
	sandbox    string
	root       string
	memory     int64
	processes  int
	cpus       float64
	disk       int64
	gpus       []int

	out     string
	resume  string
	prices  string
	record  string
	retries int
	asJSON  bool
	quiet   bool
	costSet bool // --cost-limit was given by the user
}

func (o *runOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.Task, "task", "", "the task: a name from \"mlgym task list\", or a folder with a task.yaml")
	f.StringVar(&o.Agent, "agent", "", "the agent: "+strings.Join(agentNames, ", "))
	f.StringVar(&o.Model, "model", "", "PROVIDER/NAME of the llm agent; providers: "+strings.Join(providers.Names(), ", "))
	f.StringVar(&o.BaseURL, "base-url", "", "another server that speaks the provider's format")
	f.BoolVar(&o.Responses, "responses", false, "ask an openai model through the Responses API")
	f.StringVar(&o.Reasoning, "reasoning-effort", "", "of an openai model: low, medium, high")
	f.IntVar(&o.ThinkingTokens, "thinking-tokens", 0, "thinking budget of an anthropic or google model")
	f.IntVar(&o.MaxTokens, "max-tokens", 0, "tokens of one answer of the model; 0 means what the scaffold says")
	f.StringVar(&o.Scaffold, "scaffold", "default", "what surrounds the model: a name, or a YAML file")
	f.StringVar(&o.From, "from", "", "run directory whose actions the replay agent repeats")
	f.Uint64Var(&o.seed, "seed", 0, "seed of everything that draws random numbers")
	f.IntVar(&o.maxSteps, "max-steps", 50, "how many actions the agent may take; 0 means no limit")
	f.Float64Var(&o.CostLimit, "cost-limit", 4, "US dollars that the model may cost; 0 means no limit")
	f.Int64Var(&o.tokenLimit, "token-limit", 0, "tokens in and out that the model may use; 0 means no limit")
	f.DurationVar(&o.timeLimit, "time-limit", 0, "how long the episode may take, such as 90m; 0 means no limit")
	f.StringVar(&o.mode, "mode", string(task.Hardened), "hardened: validate on a hidden validation set, submit scored once; published: as the original benchmark")
	f.StringVar(&o.variant, "variant", task.Full, "size of the task: full or small; their scores are never compared")
	f.StringVar(&o.reward, "reward", string(taskenv.Improvement), "improvement, terminal or none")
	f.StringVar(&o.sandbox, "sandbox", "bubblewrap", "where the agent works: "+strings.Join(mlgym.DriverNames(), ", "))
	f.StringVar(&o.root, "root", "", "root file system of the sandbox: a folder; for oci also a tar file or an image; for docker an image")
	d := sandbox.DefaultLimits
	f.Int64Var(&o.memory, "memory-mb", 0, fmt.Sprintf("memory of the sandbox; 0 means what the task asks for, else %d", d.MemoryBytes>>20))
	f.IntVar(&o.processes, "processes", 0, fmt.Sprintf("processes in the sandbox; 0 means what the task asks for, else %d", d.Processes))
	f.Float64Var(&o.cpus, "cpus", 0, fmt.Sprintf("processors' worth of time for the sandbox; 0 means what the task asks for, else %g", d.CPUs))
	f.Int64Var(&o.disk, "disk-mb", 0, fmt.Sprintf("size of each writable place in the sandbox; 0 means what the task asks for, else %d", d.DiskBytes>>20))
	f.IntSliceVar(&o.gpus, "gpus", nil, "numbers of the NVIDIA GPUs that agent and grader see, such as 0,1; none without it")
	f.StringVar(&o.out, "out", "", "run directory (default runs/TASK/AGENT/TIME-ID)")
	f.StringVar(&o.resume, "resume", "", "go on with a run that was cut, in its directory")
	f.StringVar(&o.prices, "prices", "", "YAML file that extends the table of model prices")
	f.IntVar(&o.retries, "retries", 5, "how often a busy or unreachable model server is asked again")
	f.StringVar(&o.record, "record", "", "also write the model's requests and answers to this cassette file")
	f.BoolVar(&o.asJSON, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "no progress on standard error")
}

// check refuses what cannot be right before anything is started.
func (o *runOptions) check() error {
	switch {
	case o.Task == "":
		return usagef("--task is missing: name one of \"mlgym task list\", such as --task prisonersDilemma")
	case o.Agent == "":
		return usagef("--agent is missing: one of %s; --agent demo needs no key", strings.Join(agentNames, ", "))
	case o.maxSteps < 0 || o.retries < 0 || o.MaxTokens < 0 || o.CostLimit < 0 || o.tokenLimit < 0 || o.timeLimit < 0:
		return usagef("a limit is negative")
	case o.memory < 0 || o.processes < 0 || o.cpus < 0 || o.disk < 0:
		return usagef("--memory-mb, --processes, --cpus and --disk-mb must not be negative")
	}
	for _, c := range []struct {
		flag, got string
		known     []string
	}{
		{"agent", o.Agent, agentNames},
		{"mode", o.mode, []string{string(task.Hardened), string(task.Published)}},
		{"reward", o.reward, texts(taskenv.Rewards())},
		{"sandbox", o.sandbox, append([]string{"oci:runc"}, mlgym.DriverNames()...)},
	} {
		if !slices.Contains(c.known, c.got) {
			return usagef("--%s %q is not known%s (one of %s)", c.flag, c.got, nearest.Hint(c.got, c.known), strings.Join(c.known, ", "))
		}
	}
	if o.Agent == "llm" && o.Model == "" {
		return usagef("--agent llm needs --model PROVIDER/NAME, such as --model openai/NAME --base-url http://127.0.0.1:8080/v1")
	}
	if o.Agent == "llm" {
		if _, err := providers.ParseRef(o.Model); err != nil {
			return usage(err)
		}
	}
	if o.Agent != "llm" && o.Model != "" {
		return usagef("--model is for --agent llm, not for --agent %s", o.Agent)
	}
	if o.Agent == "replay" && o.From == "" {
		return usagef("--agent replay needs --from RUNDIR, the run whose actions it repeats")
	}
	return nil
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// limits of the agent's sandbox: the user's, else the task's, else the usual.
func (o *runOptions) limits(t *task.Task) sandbox.Limits {
	l := sandbox.Limits{MemoryBytes: o.memory << 20, Processes: o.processes, CPUs: o.cpus, DiskBytes: o.disk << 20}
	return l.Or(t.Limits.Limits()).WithDefaults()
}

// manifest describes the run that the options ask for.
func (o *runOptions) manifest(t *task.Task, given mlgym.Provided, secret []byte) (runstore.Manifest, error) {
	config, err := json.Marshal(o)
	if err != nil {
		return runstore.Manifest{}, err
	}
	m := runstore.Manifest{
		MlgymVersion: version(), Task: string(t.ID), TaskVersion: strconv.Itoa(t.Version), TaskDigest: string(t.Digest), Digests: given.Digests,
		Mode: o.mode, Variant: o.variant, Agent: o.Agent, AgentConfig: config, Model: o.Model, Seed: o.seed,
		Limits: runstore.Limits{
			MaxSteps: o.maxSteps, WallSeconds: o.timeLimit.Seconds(), Tokens: o.tokenLimit,
			ActionSeconds: t.CommandTimeout.Seconds(), TrainingSeconds: t.TrainingTimeout.Seconds(),
		},
		Sandbox:       runstore.Sandbox{Driver: o.sandbox, Root: o.root, Limits: o.limits(t)},
		PrimaryMetric: t.Primary().Name, Direction: runstore.Direction(t.Primary().Direction), Reward: o.reward,
		Host: runstore.ThisHost(), GraderKey: mlgym.GraderKey(secret, t, o.seed),
	}
	if o.Agent == "llm" {
		m.Limits.CostUSD = o.CostLimit
		m.Scaffold = o.Scaffold
	}
	if b := t.Baseline(o.variant); b != nil {
		m.Baseline = b.Scores
	}
	return m, nil
}

// restore takes the options of a cut run from its manifest.
func (o *runOptions) restore(m runstore.Manifest) error {
	if len(m.AgentConfig) > 0 {
		if err := json.Unmarshal(m.AgentConfig, o); err != nil {
			return fmt.Errorf("the manifest's agent_config: %w", err)
		}
	}
	if o.Task == "" {
		o.Task = m.Task
	}
	o.Agent, o.Model, o.seed, o.mode, o.variant = m.Agent, m.Model, m.Seed, m.Mode, m.Variant
	if m.Scaffold != "" {
		o.Scaffold = m.Scaffold
	}
	o.reward, o.sandbox, o.root = m.Reward, m.Sandbox.Driver, m.Sandbox.Root
	o.maxSteps, o.tokenLimit = m.Limits.MaxSteps, m.Limits.Tokens
	o.timeLimit = time.Duration(m.Limits.WallSeconds * float64(time.Second))
	l := m.Sandbox.Limits
	o.memory, o.processes, o.cpus, o.disk = l.MemoryBytes>>20, l.Processes, l.CPUs, l.DiskBytes>>20
	return nil
}
