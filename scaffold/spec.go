package scaffold

import "mlgym/internal/strictyaml"

// FormatVersion is the version of the file format that this package reads.
const FormatVersion = 1

// Spec is a scaffold file as it is written.
type Spec struct {
	// Format is the version of the file format: 1.
	Format int `yaml:"format"`
	// Name is how a user asks for the scaffold.
	Name string `yaml:"name"`
	// Version of the scaffold itself; it changes when a prompt changes.
	Version int `yaml:"version"`
	// Description is one line for people.
	Description string `yaml:"description,optional"`
	// Output is the form in which the model has to answer.
	Output Output `yaml:"output"`
	// History says what of the past the model sees.
	History History `yaml:"history,optional"`
	// Tools are the names of the tools on offer; empty offers all.
	Tools []string `yaml:"tools,optional"`
	// MaxReasks is how often a malformed answer is asked for again within one
	// turn; 2 where the file says nothing.
	MaxReasks *int `yaml:"max_reasks,optional"`
	// Interactive programs that are refused before they reach the shell.
	Interactive Interactive `yaml:"interactive,optional"`
	// Request parameters.
	Request Request `yaml:"request,optional"`
	// Prompts are the templates.
	Prompts Prompts `yaml:"prompts"`
	// Demonstrations are shown before the task.
	Demonstrations []Demonstration `yaml:"demonstrations,optional"`
}

// Output is the form of a model's answers.
type Output string

// The output formats.
const (
	// ThoughtAction is text with exactly one fenced block, which is the
	// command; the text around it is the thought.
	ThoughtAction Output = "thought_action"
	// FunctionCalling uses the typed tool calls of the provider.
	FunctionCalling Output = "function_calling"
	// XML is text with one <command> element and an optional <thought>.
	XML Output = "xml"
)

var outputs = []string{string(ThoughtAction), string(FunctionCalling), string(XML)}

// Policy chooses which observations the model still sees in full.
type Policy string

// The history policies. The task statement is no observation: it is always
// shown.
const (
	// All shows everything.
	All Policy = "all"
	// LastN shows the last History.Last observations.
	LastN Policy = "last_n"
	// FirstLast shows the first History.First and the last History.Last.
	FirstLast Policy = "first_last"
)

var policies = []string{string(All), string(LastN), string(FirstLast)}

// History is the policy with its numbers.
type History struct {
	Policy Policy `yaml:"policy,optional"`
	// First is the number of observations kept from the beginning; only with
	// first_last.
	First int `yaml:"first,optional"`
	// Last is the number of observations kept from the end, the newest
	// included; not with all.
	Last int `yaml:"last,optional"`
}

// Interactive lists programs that need a person at a terminal.
type Interactive struct {
	// Always are refused however they are called.
	Always []string `yaml:"always,optional"`
	// Bare are refused when they are called without an argument, a
	// redirection or a pipe into them.
	Bare []string `yaml:"bare,optional"`
}

// Request holds the parameters of a request to the model. What is nil or zero
// is left to the provider.
type Request struct {
	Temperature *float64 `yaml:"temperature,optional"`
	TopP        *float64 `yaml:"top_p,optional"`
	MaxTokens   int      `yaml:"max_tokens,optional"`
	Stop        []string `yaml:"stop,optional"`
}

// Prompts are text/template sources. The fields they may use are those of
// [SystemData], [TaskData], [StepData], [FormatErrorData] and [ElidedData].
type Prompts struct {
	// System is the system message.
	System string `yaml:"system,optional"`
	// Demonstration stands above the task of a demonstration.
	Demonstration string `yaml:"demonstration,optional"`
	// Task is the first user message.
	Task string `yaml:"task,optional"`
	// Step is the message after each action.
	Step string `yaml:"step,optional"`
	// EmptyOutput takes the place of an empty observation.
	EmptyOutput string `yaml:"empty_output,optional"`
	// FormatError answers a malformed answer.
	FormatError string `yaml:"format_error,optional"`
	// Elided takes the place of an observation that the history policy leaves
	// out.
	Elided string `yaml:"elided,optional"`
}

// Demonstration is an episode told in advance. It is written once and shown in
// the output format of the scaffold that includes it.
type Demonstration struct {
	// File names a YAML file with a demonstration, relative to the scaffold
	// file; nothing else is set then.
	File string `yaml:"file,optional"`
	// Task is the task statement of the told episode.
	Task string `yaml:"task,optional"`
	// WorkingDir of the told episode; /workspace where the file says nothing.
	WorkingDir string `yaml:"working_dir,optional"`
	// Steps in order.
	Steps []DemonstrationStep `yaml:"steps,optional"`
}

// DemonstrationStep is one turn of a told episode. Exactly one of Command and
// Tool is set.
type DemonstrationStep struct {
	Thought string `yaml:"thought,optional"`
	// Command is shell text.
	Command string `yaml:"command,optional"`
	// Tool and Args are a typed call; only with function_calling.
	Tool string         `yaml:"tool,optional"`
	Args map[string]any `yaml:"args,optional"`
	// Observation is what the action led to; the last step needs none.
	Observation string `yaml:"observation,optional"`
	// OpenFile is the file open from this step on.
	OpenFile string `yaml:"open_file,optional"`
}

// Error is a mistake in a scaffold file, with file, line and key.
type Error = strictyaml.Error
