package tool

import (
	"context"
	"encoding/json"
)

// Spec describes one tool to people, models and parsers.
type Spec struct {
	// Name of the shell command and of the function.
	Name string
	// Usage is the shell form, for example "open <path> [<line_number>]".
	Usage string
	// Doc is the prose that the model reads (Markdown).
	Doc string
	// Parameters is the JSON Schema (an object) of the typed form.
	Parameters json.RawMessage
	// Terminator is the line that ends the tool's text in the shell form, such
	// as "end_of_edit"; "" for tools that take no text.
	Terminator string
	// Outside says that the tool is answered outside the sandbox.
	Outside bool
}

// Invocation is one call of a tool.
type Invocation struct {
	Name string
	// Argv are the arguments of the shell form, without the name.
	Argv []string
	// Stdin is the text of the shell form, for tools that take one.
	Stdin []byte
	// Args is the JSON object of the typed form. When it is not nil, Argv and
	// Stdin are not looked at.
	Args json.RawMessage
	// Dir is the working directory of the caller.
	Dir string
}

// Result of a call. A refusal is output with a non-zero exit code, never a Go
// error: it is the agent's business.
type Result struct {
	Output   string
	ExitCode int
}

// Runner runs tools for one agent and keeps what they remember (the open file,
// the window). It is not safe for concurrent use.
type Runner interface {
	Run(ctx context.Context, inv Invocation) Result
	// OpenFile is the absolute path of the open file, or "".
	OpenFile() string
}
