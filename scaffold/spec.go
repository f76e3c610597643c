package scaffold

import (
	"fmt"
)

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
	Description string `yaml:"description"`
	// Output is the form in which the model has to answer.
	Output Output `yaml:"output"`
	// History says what of the past the model sees.
	History History `yaml:"history"`
	// Tools are the names of the tools on offer; empty offers all.
	Tools []string `yaml:"tools"`
	// MaxReasks is how often a malformed answer is asked for again within one
	// turn; 2 where the file says nothing.
	MaxReasks *int `yaml:"max_reasks"`
	// Interactive programs that are refused before they reach the shell.
	Interactive Interactive `yaml:"interactive"`
	// Request parameters.
	Request Request `yaml:"request"`
	// Prompts are the templates.
	Prompts Prompts `yaml:"prompts"`
	// Demonstrations are shown before the task.
	Demonstrations []Demonstration `yaml:"demonstrations"`
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
	Policy Policy `yaml:"policy"`
	// First is the number of observations kept from the beginning; only with
	// first_last.
	First int `yaml:"first"`
	// Last is the number of observations kept from the end, the newest
	// included; not with all.
	Last int `yaml:"last"`
}

// Interactive lists programs that need a person at a terminal.
type Interactive struct {
	// Always are refused however they are called.
	Always []string `yaml:"always"`
	// Bare are refused when they are called without an argument, a
	// redirection or a pipe into them.
	Bare []string `yaml:"bare"`
}

// Request holds the parameters of a request to the model. What is nil or zero
// is left to the provider.
type Request struct {
	Temperature *float64 `yaml:"temperature"`
	TopP        *float64 `yaml:"top_p"`
	MaxTokens   int      `yaml:"max_tokens"`
	Stop        []string `yaml:"stop"`
}

// Prompts are text/template sources. The fields they may use are those of
// [SystemData], [TaskData], [StepData], [FormatErrorData] and [ElidedData].
type Prompts struct {
	// System is the system message.
	System string `yaml:"system"`
	// Demonstration stands above the task of a demonstration.
	Demonstration string `yaml:"demonstration"`
	// Task is the first user message.
	Task string `yaml:"task"`
	// Step is the message after each action.
	Step string `yaml:"step"`
	// EmptyOutput takes the place of an empty observation.
	EmptyOutput string `yaml:"empty_output"`
	// FormatError answers a malformed answer.
	FormatError string `yaml:"format_error"`
	// Elided takes the place of an observation that the history policy leaves
	// out.
	Elided string `yaml:"elided"`
}

// Demonstration is an episode told in advance. It is written once and shown in
// the output format of the scaffold that includes it.
type Demonstration struct {
	// File names a YAML file with a demonstration, relative to the scaffold
	// file; nothing else is set then.
	File string `yaml:"file"`
	// Task is the task statement of the told episode.
	Task string `yaml:"task"`
	// WorkingDir of the told episode; /workspace where the file says nothing.
	WorkingDir string `yaml:"working_dir"`
	// Steps in order.
	Steps []DemonstrationStep `yaml:"steps"`
}

// DemonstrationStep is one turn of a told episode. Exactly one of Command and
// Tool is set.
type DemonstrationStep struct {
	Thought string `yaml:"thought"`
	// Command is shell text.
	Command string `yaml:"command"`
	// Tool and Args are a typed call; only with function_calling.
	Tool string         `yaml:"tool"`
	Args map[string]any `yaml:"args"`
	// Observation is what the action led to; the last step needs none.
	Observation string `yaml:"observation"`
	// OpenFile is the file open from this step on.
	OpenFile string `yaml:"open_file"`
}

// Error is a mistake in a scaffold file.
type Error struct {
	File string
	// Line counts from 1; 0 where it is not known.
	Line int
	// Key is the path of the key, such as "prompts.step"; "" for the file.
	Key     string
	Message string
}

func (e *Error) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Key != "" {
		place += ": " + e.Key
	}
	return place + ": " + e.Message
}
