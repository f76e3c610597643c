package episode

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mlgym"
	"mlgym/internal/nearest"
	"mlgym/model/providers"
	"mlgym/runstore"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/taskenv"
)

// AgentNames lists the agents.
func AgentNames() []string { return []string{"baseline", "demo", "llm", "human", "replay"} }

// Spec is what decides an episode. Zero limits mean none; zero fields of Box
// mean what the task asks for.
type Spec struct {
	// Task is a name of one that ships, or the path of a folder.
	Task string `json:"task"`
	// Agent is one of [AgentNames].
	Agent string `json:"agent"`
	// Model is PROVIDER/NAME, of the llm agent only.
	Model string `json:"model,omitempty"`
	// Scaffold is a name of one that ships, or the path of a file.
	Scaffold string `json:"scaffold,omitempty"`
	// From is the run whose actions the replay agent repeats.
	From string `json:"from,omitempty"`
	Config

	Seed     uint64 `json:"seed"`
	MaxSteps int    `json:"max_steps,omitempty"`
	// Tokens in and out that the model may use.
	Tokens int64         `json:"token_limit,omitempty"`
	Wall   time.Duration `json:"time_limit_ns,omitempty"`

	Mode string `json:"mode"`
	// AnyMode says that nobody asked for the mode: a task that lacks it, as imported
	// ones do, is run in the one that it has.
	AnyMode bool   `json:"-"`
	Variant string `json:"variant"`
	Reward  string `json:"reward"`
	// Sandbox is a name of [mlgym.DriverNames], Root its root file system.
	Sandbox string `json:"sandbox"`
	Root    string `json:"root,omitempty"`
	// Box bounds the agent's sandbox.
	Box sandbox.Limits `json:"box"`
}

// Config is the part of a [Spec] that a manifest keeps as agent_config.
type Config struct {
	BaseURL        string `json:"base_url,omitempty"`
	Responses      bool   `json:"responses,omitempty"`
	Reasoning      string `json:"reasoning_effort,omitempty"`
	ThinkingTokens int    `json:"thinking_tokens,omitempty"`
	MaxTokens      int    `json:"max_tokens,omitempty"`
	// RecordTokens keeps the tokens that the model's server tells of.
	RecordTokens bool `json:"record_tokens,omitempty"`
	// CostUSD is what the model may cost.
	CostUSD float64 `json:"cost_limit,omitempty"`
	// CostIfKnown says that nobody asked for the limit on the cost: it is
	// dropped where the model's price is not known.
	CostIfKnown bool `json:"-"`
}

// Default is the episode that is meant where nothing else is said.
func Default() Spec {
	return Spec{
		Scaffold: "default", Config: Config{CostUSD: 4, CostIfKnown: true}, MaxSteps: 50,
		Mode: string(task.Hardened), Variant: task.Full, Reward: string(taskenv.Improvement), Sandbox: mlgym.DriverNames()[0],
	}
}

// UserError is an error that whoever wrote the description can mend.
type UserError struct{ Err error }

func (e *UserError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *UserError) Unwrap() error { return e.Err }

func wrong(err error) error {
	if err == nil {
		return nil
	}
	return &UserError{err}
}

func wrongf(format string, args ...any) error { return wrong(fmt.Errorf(format, args...)) }

// Check refuses what cannot be right, before anything is looked at. Fields are
// named as the flags of `mlgym run`.
func (s *Spec) Check() error {
	switch {
	case s.Task == "":
		return wrongf("--task is missing: name one of \"mlgym task list\", such as --task prisonersDilemma")
	case s.Agent == "":
		return wrongf("--agent is missing: one of %s; --agent demo needs no key", strings.Join(AgentNames(), ", "))
	case s.MaxSteps < 0 || s.MaxTokens < 0 || s.CostUSD < 0 || s.Tokens < 0 || s.Wall < 0:
		return wrongf("a limit is negative")
	case s.Box.MemoryBytes < 0 || s.Box.Processes < 0 || s.Box.CPUs < 0 || s.Box.DiskBytes < 0:
		return wrongf("--memory-mb, --processes, --cpus and --disk-mb must not be negative")
	}
	for _, c := range []struct {
		flag, got string
		known     []string
	}{
		{"agent", s.Agent, AgentNames()},
		{"mode", s.Mode, []string{string(task.Hardened), string(task.Published)}},
		{"reward", s.Reward, rewards()},
		{"sandbox", s.Sandbox, append([]string{"oci:runc"}, mlgym.DriverNames()...)},
	} {
		if !slices.Contains(c.known, c.got) {
			return wrongf("--%s %q is not known%s (one of %s)", c.flag, c.got, nearest.Hint(c.got, c.known), strings.Join(c.known, ", "))
		}
	}
	return s.checkAgent()
}

func (s *Spec) checkAgent() error {
	if s.Agent == "llm" && s.Model == "" {
		return wrongf("--agent llm needs --model PROVIDER/NAME, such as --model openai/NAME --base-url http://127.0.0.1:8080/v1")
	}
	if s.Agent == "llm" {
		ref, err := providers.ParseRef(s.Model)
		if err != nil {
			return wrong(err)
		}
		if s.RecordTokens && (s.Responses || ref.Provider == "anthropic" || ref.Provider == "google") {
			return wrongf("--record-tokens: only Chat Completions tell of tokens: take an openai/ model without --responses, such as one served by vLLM or llama.cpp with --base-url")
		}
	}
	if s.Agent != "llm" && s.RecordTokens {
		return wrongf("--record-tokens is for --agent llm, not for --agent %s", s.Agent)
	}
	if s.Agent != "llm" && s.Model != "" {
		return wrongf("--model is for --agent llm, not for --agent %s", s.Agent)
	}
	if s.Agent == "replay" && s.From == "" {
		return wrongf("--agent replay needs --from RUNDIR, the run whose actions it repeats")
	}
	return nil
}

func rewards() []string {
	var out []string
	for _, r := range taskenv.Rewards() {
		out = append(out, string(r))
	}
	return out
}

// Limits of the agent's sandbox: the description's, else the task's, else the
// usual.
func (s *Spec) Limits(t *task.Task) sandbox.Limits {
	return s.Box.Or(t.Limits.Limits()).WithDefaults()
}

// Restore takes the description of a cut run from its manifest. A Task that is
// set already is kept: it says where the task's folder is now.
func (s *Spec) Restore(m runstore.Manifest) error {
	if len(m.AgentConfig) > 0 {
		if err := json.Unmarshal(m.AgentConfig, &s.Config); err != nil {
			return fmt.Errorf("the manifest's agent_config: %w", err)
		}
	}
	if s.Task == "" {
		s.Task = m.Task
	}
	s.Agent, s.Model, s.Seed, s.Mode, s.Variant = m.Agent, m.Model, m.Seed, m.Mode, m.Variant
	if m.Scaffold != "" {
		s.Scaffold = m.Scaffold
	}
	s.Reward, s.Sandbox, s.Root = m.Reward, m.Sandbox.Driver, m.Sandbox.Root
	s.MaxSteps, s.Tokens, s.Wall = m.Limits.MaxSteps, m.Limits.Tokens, seconds(m.Limits.WallSeconds)
	s.Box = m.Sandbox.Limits
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// errNoAgent says that an episode is run without an agent.
var errNoAgent = errors.New("the episode has no agent")
