package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"mlgym"
	"mlgym/episode"
	"mlgym/model/providers"
	"mlgym/sandbox"
)

// runOptions are an episode's description, and how it is run this time.
type runOptions struct {
	episode.Spec
	memoryMB, diskMB int64

	gpus    []int
	out     string
	resume  string
	prices  string
	record  string
	retries int
	asJSON  bool
	quiet   bool
}

func (o *runOptions) flags(f *pflag.FlagSet) {
	usual := episode.Default()
	f.StringVar(&o.Task, "task", "", "the task: a name from \"mlgym task list\", or a folder with a task.yaml")
	f.StringVar(&o.Agent, "agent", "", "the agent: "+strings.Join(episode.AgentNames(), ", "))
	f.StringVar(&o.Model, "model", "", "PROVIDER/NAME of the llm agent; providers: "+strings.Join(providers.Names(), ", "))
	f.StringVar(&o.BaseURL, "base-url", "", "another server that speaks the provider's format")
	f.BoolVar(&o.Responses, "responses", false, "ask an openai model through the Responses API")
	f.StringVar(&o.Reasoning, "reasoning-effort", "", "of an openai model: low, medium, high")
	f.IntVar(&o.ThinkingTokens, "thinking-tokens", 0, "thinking budget of an anthropic or google model")
	f.IntVar(&o.MaxTokens, "max-tokens", 0, "tokens of one answer of the model; 0 means what the scaffold says")
	f.StringVar(&o.Scaffold, "scaffold", usual.Scaffold, "what surrounds the model: a name, or a YAML file")
	f.StringVar(&o.From, "from", "", "run directory whose actions the replay agent repeats")
	f.Uint64Var(&o.Seed, "seed", 0, "seed of everything that draws random numbers")
	f.IntVar(&o.MaxSteps, "max-steps", usual.MaxSteps, "how many actions the agent may take; 0 means no limit")
	f.Float64Var(&o.CostUSD, "cost-limit", usual.CostUSD, "US dollars that the model may cost; 0 means no limit")
	f.Int64Var(&o.Tokens, "token-limit", 0, "tokens in and out that the model may use; 0 means no limit")
	f.DurationVar(&o.Wall, "time-limit", 0, "how long the episode may take, such as 90m; 0 means no limit")
	f.StringVar(&o.Mode, "mode", usual.Mode, "hardened: validate on a hidden validation set, submit scored once; published: as the original benchmark")
	f.StringVar(&o.Variant, "variant", usual.Variant, "size of the task: full or small; their scores are never compared")
	f.StringVar(&o.Reward, "reward", usual.Reward, "improvement, terminal or none")
	f.StringVar(&o.Sandbox, "sandbox", usual.Sandbox, "where the agent works: "+strings.Join(mlgym.DriverNames(), ", "))
	f.StringVar(&o.Root, "root", "", "root file system of the sandbox: a folder; for oci also a tar file or an image; for docker an image")
	d := sandbox.DefaultLimits
	f.Int64Var(&o.memoryMB, "memory-mb", 0, fmt.Sprintf("memory of the sandbox; 0 means what the task asks for, else %d", d.MemoryBytes>>20))
	f.IntVar(&o.Box.Processes, "processes", 0, fmt.Sprintf("processes in the sandbox; 0 means what the task asks for, else %d", d.Processes))
	f.Float64Var(&o.Box.CPUs, "cpus", 0, fmt.Sprintf("processors' worth of time for the sandbox; 0 means what the task asks for, else %g", d.CPUs))
	f.Int64Var(&o.diskMB, "disk-mb", 0, fmt.Sprintf("size of each writable place in the sandbox; 0 means what the task asks for, else %d", d.DiskBytes>>20))
	f.IntSliceVar(&o.gpus, "gpus", nil, "numbers of the NVIDIA GPUs that agent and grader see, such as 0,1; none without it")
	f.StringVar(&o.out, "out", "", "run directory (default runs/TASK/AGENT/TIME-ID)")
	f.StringVar(&o.resume, "resume", "", "go on with a run that was cut, in its directory")
	f.StringVar(&o.prices, "prices", "", "YAML file that extends the table of model prices")
	f.IntVar(&o.retries, "retries", 5, "how often a busy or unreachable model server is asked again")
	f.BoolVar(&o.RecordTokens, "record-tokens", false, "keep token ids and log-probabilities, to train on, where the model's server gives them (vLLM, llama.cpp)")
	f.StringVar(&o.record, "record", "", "also write the model's requests and answers to this cassette file")
	f.BoolVar(&o.asJSON, "json", false, "print the result as one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "no progress on standard error")
}

// finish turns what was given in other units into the description.
func (o *runOptions) finish(f *pflag.FlagSet) error {
	if o.retries < 0 || o.memoryMB < 0 || o.diskMB < 0 {
		return usagef("--retries, --memory-mb and --disk-mb must not be negative")
	}
	o.Box.MemoryBytes, o.Box.DiskBytes = o.memoryMB<<20, o.diskMB<<20
	o.CostIfKnown = !f.Changed("cost-limit")
	o.AnyMode = !f.Changed("mode")
	return nil
}
