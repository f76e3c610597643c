package wire

import (
	"encoding/json"
	"time"

	"mlgym/sandbox"
)

// OwnThreads is how many threads the shim may have, which control groups count
// as processes: a limit on the agent's processes must be that much higher.
const OwnThreads = 32

// Config is the first message of mlgym.
type Config struct {
	Version int            `json:"version"`
	Limits  sandbox.Limits `json:"limits"`
	Env     []string       `json:"env"`
	// Rlimits asks the shim to set resource limits on itself and thereby on
	// everything that it starts.
	Rlimits bool `json:"rlimits"`
	// WatchMemory asks the shim to keep the memory limit by watching, where
	// nothing outside keeps it.
	WatchMemory bool `json:"watch_memory"`
}

// ReadyInfo is the answer.
type ReadyInfo struct {
	Version int `json:"version"`
	// Startup is what the shim needed until its shell answered.
	Startup time.Duration `json:"startup"`
}

// RunRequest asks to run shell text.
type RunRequest = sandbox.Script

// ToolRequest asks to run a tool with typed arguments.
type ToolRequest struct {
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

// StartRequest asks to start a program.
type StartRequest struct {
	Argv    []string      `json:"argv"`
	Env     []string      `json:"env,omitempty"`
	Dir     string        `json:"dir,omitempty"`
	Stdin   bool          `json:"stdin,omitempty"`
	Stdout  bool          `json:"stdout,omitempty"`
	Stderr  bool          `json:"stderr,omitempty"`
	Channel bool          `json:"channel,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
}

// PutRequest asks to unpack the tar stream that follows.
type PutRequest struct {
	Dir string `json:"dir"`
}

// GetRequest asks for files as a tar stream.
type GetRequest struct {
	Paths    []string `json:"paths"`
	MaxBytes int64    `json:"max_bytes"`
}

// SnapshotRequest asks for the state of the sandbox as a stream.
type SnapshotRequest struct {
	// MaxBytes bounds the stream.
	MaxBytes int64 `json:"max_bytes"`
}

// EnvRequest asks to set variables of the shell and of all that is started later.
type EnvRequest struct {
	// Env are "NAME=value".
	Env []string `json:"env"`
}

// Failure says why a request could not be served.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The codes of a Failure.
const (
	CodeNotExist   = "not_exist"
	CodeTooLarge   = "too_large"
	CodeNoSpace    = "no_space"
	CodeNoSnapshot = "no_snapshot"
	CodeOther      = "other"
)
