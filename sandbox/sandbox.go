package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The places of a sandbox that every driver provides. All writable places
// together are bounded by [Limits].DiskBytes each and vanish with the sandbox.
const (
	// HomeDir is the home of the user inside.
	HomeDir = "/home/agent"
	// WorkDir is the workspace, where the shell starts.
	WorkDir = "/home/agent/workspace"
	// ShimDir holds mlgym-shim and the commands it serves, read-only.
	ShimDir = "/run/mlgym/bin"
	// UserName, UserID and GroupID are those of the user inside.
	UserName = "agent"
	UserID   = 1000
	GroupID  = 1000
)

// Driver creates sandboxes of one kind. It is safe for concurrent use.
type Driver interface {
	// Name is the driver's name on the command line: "bubblewrap", "oci" …
	Name() string
	// Create returns a running sandbox whose shell answers. It returns an
	// [*UnavailableError] where the machine lacks what the driver needs.
	Create(ctx context.Context, spec Spec) (Sandbox, error)
}

// Prober is a Driver that can say what works on this machine. It really
// creates a sandbox and tries.
type Prober interface {
	Probe(ctx context.Context) (Capabilities, error)
}

// Pruner is a Driver that can find and remove what a crash left behind.
type Pruner interface {
	// Leftovers lists sandboxes, or parts of them, of this driver on this
	// machine, live ones included.
	Leftovers(ctx context.Context) ([]Leftover, error)
	// Remove removes one of them.
	Remove(ctx context.Context, l Leftover) error
}

// Leftover is a sandbox, or what remains of one, as found on the machine.
type Leftover struct {
	Driver string `json:"driver"`
	ID     string `json:"id"`
	// What is left: "process", "cgroup", "directory", "container" …
	What string `json:"what"`
	// Path or name by which a person finds it.
	Path string `json:"path"`
	// Live says that the mlgym process that owns it still runs.
	Live bool `json:"live"`
	// OwnerPID is the process that created it, 0 where unknown.
	OwnerPID int       `json:"owner_pid,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

// Sandbox is a running isolated computer. Its methods may be called
// concurrently. After an error that wraps [ErrLost] nothing but Close helps.
type Sandbox interface {
	// ID names the sandbox uniquely on this machine.
	ID() string
	// Start starts a program beside the shell.
	Start(ctx context.Context, cmd Cmd) (Process, error)
	// Files gives access to the files inside, as the user inside.
	Files() Files
	// Close ends every process inside and frees everything. It is idempotent
	// and returns when no process is left.
	Close() error
}

// Shell is a Sandbox with a persistent shell: working directory, variables,
// functions and background programs live on from one Run to the next. Run
// calls are served one at a time. When ctx ends, the script is interrupted as by
// Ctrl-C, and by force where that does not help; what it printed is lost, unless
// the cause of ctx is [ErrInterrupted].
type Shell interface {
	Run(ctx context.Context, s Script) (Result, error)
}

// ToolCaller is a Sandbox whose tools can be called by name with typed
// arguments, without a shell. The working directory is the shell's.
type ToolCaller interface {
	CallTool(ctx context.Context, name string, args json.RawMessage) (Result, error)
}

// EnvSetter is a Sandbox that can be told variables after it was made, because they
// are known only later: those of an episode, say, for which it waited.
type EnvSetter interface {
	// SetEnv sets variables, each "NAME=value", as if [Spec].Env had held them: in
	// the shell and in everything that is started from now on. The shell's own
	// count of seconds begins anew with it. It is served between two actions. The
	// error is that of a name that is none, of a shell that made the variable
	// read-only, or wraps [ErrLost]; some of the variables may then be set.
	SetEnv(ctx context.Context, env []string) error
}

// Watcher is a Sandbox that tells its own end.
type Watcher interface {
	// Done is closed when the sandbox has died, was lost or was closed.
	Done() <-chan struct{}
}

// Meter reads from outside what a sandbox used, without asking anything that
// lives in it.
type Meter interface {
	Usage(ctx context.Context) (Usage, error)
}

// Usage is what a sandbox used since it was created. Zero means unknown.
type Usage struct {
	CPU             time.Duration
	MemoryBytes     int64
	PeakMemoryBytes int64
	Processes       int
}

// Files moves files into and out of a sandbox. Paths are absolute or relative
// to WorkDir.
type Files interface {
	// Put unpacks a tar stream below dir, which is created where missing.
	Put(ctx context.Context, dir string, tar io.Reader) error
	// Get writes the named files and folders as a tar stream. Links are not
	// followed: they are sent as links. A missing path is an error that wraps
	// [io/fs.ErrNotExist]. No more than maxBytes of content are sent; beyond
	// that the error wraps [ErrTooLarge].
	Get(ctx context.Context, dst io.Writer, maxBytes int64, paths ...string) error
}

// Spec describes the sandbox to be made. The zero value is usable.
type Spec struct {
	// ID is chosen by the driver where empty: lower-case letters and digits.
	ID string
	// Purpose is for people who look at a machine: "agent", "grader", "player".
	Purpose string
	// Root is the root file system. "" means the driver's own default: the
	// host's system folders (bubblewrap), a configured image (oci, docker).
	// Otherwise a folder, a tar file, or an image name, as the driver accepts.
	Root string
	// Mounts are folders and files of the host to be seen inside, read-only.
	Mounts []Mount
	// Links are symbolic links to be seen inside, by their absolute path, that
	// lead into the home; see [CheckLink]. They are part of the root, which is
	// read-only, and take the place of what an image has there.
	Links map[string]string
	// Env is the whole environment of programs inside, beside PATH, HOME,
	// USER, LANG and SHELL, which every sandbox sets.
	Env []string
	// Path are folders inside that programs are looked for in before the
	// system's own, such as the bin folder of a mounted Python environment. The
	// sandbox's own commands come before them.
	Path []string
	// GPUs are the numbers of the NVIDIA devices to be seen inside; none are
	// where it is empty.
	GPUs []int
	// Limits bound the sandbox; zero fields take [DefaultLimits].
	Limits Limits
	// OnCall answers the commands inside that the outside serves, such as
	// validate and submit. Nil means that there are none.
	OnCall func(ctx context.Context, call Call) Reply
}

// Mount shows Source of the host read-only at Target inside.
type Mount struct{ Source, Target string }

// validID is what a sandbox may be called: it becomes part of paths and names.
var validID = regexp.MustCompile(`^[a-z0-9]{1,64}$`)

// ValidID reports whether a sandbox may be called so.
func ValidID(id string) bool { return validID.MatchString(id) }

// Check refuses a Spec that no driver can keep: an ID that is no name, a folder
// of programs that is no path, a mount that would hide what the sandbox itself
// provides, or whose source is neither a folder nor a file. The sources come back as they are, without links, in a
// copy of Mounts, so that what was checked is what will be shown.
func (s Spec) Check() ([]Mount, error) {
	if s.ID != "" && !validID.MatchString(s.ID) {
		return nil, fmt.Errorf("sandbox id %q: want lower-case letters and digits, at most 64", s.ID)
	}
	for _, dir := range s.Path {
		if !path.IsAbs(dir) || path.Clean(dir) != dir || strings.Contains(dir, ":") {
			return nil, fmt.Errorf("folder of programs %q: want a clean absolute path without a colon", dir)
		}
	}
	for i, gpu := range s.GPUs {
		if gpu < 0 || slices.Contains(s.GPUs[:i], gpu) {
			return nil, fmt.Errorf("GPUs %v: want numbers from 0 on, each once", s.GPUs)
		}
	}
	for link, target := range s.Links {
		if err := CheckLink(link, target); err != nil {
			return nil, err
		}
		for outer := range s.Links {
			if strings.HasPrefix(link, outer+"/") {
				return nil, fmt.Errorf("link %s lies behind the link %s", link, outer)
			}
		}
	}
	mounts := make([]Mount, 0, len(s.Mounts))
	for _, m := range s.Mounts {
		for link := range s.Links {
			if m.Target == link || strings.HasPrefix(m.Target, link+"/") {
				return nil, fmt.Errorf("mount target %q lies behind the link %s", m.Target, link)
			}
		}
		if !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" {
			return nil, fmt.Errorf("mount target %q: want a clean absolute path", m.Target)
		}
		for _, taken := range []string{"/proc", "/dev", "/sys", "/run", "/run/mlgym", ShimDir, "/tmp", path.Dir(HomeDir), HomeDir, WorkDir} {
			whole := taken == "/proc" || taken == "/dev" || taken == "/sys" || taken == ShimDir
			if m.Target == taken || whole && strings.HasPrefix(m.Target, taken+"/") {
				return nil, fmt.Errorf("mount target %q belongs to the sandbox", m.Target)
			}
		}
		source, err := filepath.Abs(m.Source)
		if err != nil {
			return nil, fmt.Errorf("mount source: %w", err)
		}
		if source, err = filepath.EvalSymlinks(source); err != nil {
			return nil, fmt.Errorf("mount source: %w", err)
		}
		info, err := os.Stat(source)
		if err != nil {
			return nil, fmt.Errorf("mount source: %w", err)
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("mount source %s is neither a folder nor a file", source)
		}
		mounts = append(mounts, Mount{Source: source, Target: m.Target})
	}
	return mounts, nil
}

// systemPlaces are the folders of the root that hold a system and not a task's
// files.
var systemPlaces = []string{
	"bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var",
}

// CheckLink refuses a link of [Spec].Links that no sandbox makes: one whose place
// is no clean absolute path, or belongs to the system, or one that leads
// elsewhere than below [HomeDir].
func CheckLink(link, target string) error {
	if !path.IsAbs(link) || path.Clean(link) != link || link == "/" || strings.ContainsAny(link, "\x00\n") {
		return fmt.Errorf("link %q: want a clean absolute path", link)
	}
	top, _, _ := strings.Cut(link[1:], "/")
	if slices.Contains(systemPlaces, top) {
		return fmt.Errorf("link %q: /%s belongs to the system", link, top)
	}
	if path.Clean(target) != target || !strings.HasPrefix(target, HomeDir+"/") || strings.ContainsAny(target, "\x00\n") {
		return fmt.Errorf("link %q to %q: want it to lead below %s", link, target, HomeDir)
	}
	return nil
}

// Limits bound what a sandbox may use.
type Limits struct {
	MemoryBytes int64   `json:"memory_bytes"`
	Processes   int     `json:"processes"`
	CPUs        float64 `json:"cpus"`
	// DiskBytes bounds each writable place (home with workspace, /tmp).
	DiskBytes int64 `json:"disk_bytes"`
	// OutputBytes bounds the output of one Run, and of each stream of a Cmd
	// that has no writer of its own.
	OutputBytes int64 `json:"output_bytes"`
}

// DefaultLimits apply where a Spec leaves a field at zero.
var DefaultLimits = Limits{
	MemoryBytes: 4 << 30,
	Processes:   512,
	CPUs:        2,
	DiskBytes:   2 << 30,
	OutputBytes: 64 << 10,
}

// WithDefaults fills the zero fields from DefaultLimits.
func (l Limits) WithDefaults() Limits { return l.Or(DefaultLimits) }

// Or fills the zero fields from other limits.
func (l Limits) Or(other Limits) Limits {
	return Limits{
		MemoryBytes: cmp.Or(l.MemoryBytes, other.MemoryBytes),
		Processes:   cmp.Or(l.Processes, other.Processes),
		CPUs:        cmp.Or(l.CPUs, other.CPUs),
		DiskBytes:   cmp.Or(l.DiskBytes, other.DiskBytes),
		OutputBytes: cmp.Or(l.OutputBytes, other.OutputBytes),
	}
}

// Call is a command run inside that the outside answers.
type Call struct {
	Name string          `json:"name"`
	Argv []string        `json:"argv,omitempty"` // without the name, when called from the shell
	Args json.RawMessage `json:"args,omitempty"` // when called as a typed tool
}

// Reply is the answer to a Call.
type Reply struct {
	Output   string `json:"output"`
	ExitCode int    `json:"exit_code"`
	// EndScript ends the Run in which the call was made: the rest of the
	// action is not executed.
	EndScript bool `json:"end_script,omitempty"`
}

// Script is shell text to be run in the persistent shell.
type Script struct {
	Text string
	// Wall is the deadline of ordinary commands; 0 means 25 s.
	Wall time.Duration
	// Training is the deadline while a training program (python, torchrun,
	// accelerate, deepspeed) really runs; 0 means Wall.
	Training time.Duration
	// Idle is the deadline without any output; 0 means none.
	Idle time.Duration
	// Grace lies between the interrupt and the kill; 0 means 2 s.
	Grace time.Duration
}

// Result is what a script or a tool call did.
type Result struct {
	// Output is what standard output and error received, merged in order,
	// as valid UTF-8, bounded: head and tail are kept, the middle is counted.
	Output string `json:"output"`
	// ExitCode of the last command; 2 after a syntax error; 128+n for signals.
	ExitCode int `json:"exit_code"`
	// SyntaxError says that nothing was run.
	SyntaxError bool `json:"syntax_error,omitempty"`
	// Deadline is the limit that ended the script: "", "wall", "idle"; or
	// "cancelled" where it was interrupted.
	Deadline string `json:"deadline,omitempty"`
	// DeadlineAfter is the length of that limit.
	DeadlineAfter time.Duration `json:"deadline_after,omitempty"`
	// ShellRestarted says that the shell is a new one: variables, functions
	// and aliases are gone, the working directory was kept where it could be.
	ShellRestarted bool `json:"shell_restarted,omitempty"`
	// EndedByCall says that a Reply with EndScript ended the script.
	EndedByCall bool          `json:"ended_by_call,omitempty"`
	Duration    time.Duration `json:"duration"`
	// OutputBytes is the size before bounding.
	OutputBytes int64  `json:"output_bytes"`
	WorkingDir  string `json:"working_dir"`
	OpenFile    string `json:"open_file,omitempty"`
}

// Cmd is a program to be started beside the shell.
type Cmd struct {
	Argv []string
	Env  []string // added to the sandbox's environment
	Dir  string   // "" means WorkDir
	// Stdin is closed at its end; nil means end-of-file at once.
	Stdin io.Reader
	// Stdout and Stderr receive the output; nil discards it.
	Stdout, Stderr io.Writer
	// Channel gives the program a bidirectional stream as its descriptor 3,
	// whose other end is Process.Channel.
	Channel bool
	// Timeout kills the program and all that it started; 0 means none.
	Timeout time.Duration
}

// Process is a started program.
type Process interface {
	// Channel is the stream that Cmd.Channel asked for, else nil. Reading
	// gives io.EOF when the program closed its end or died.
	Channel() io.ReadWriteCloser
	// Wait returns when the program and all output have ended. It may be
	// called more than once.
	Wait(ctx context.Context) (Exit, error)
	// Kill ends the program and everything that it started.
	Kill() error
}

// Exit is how a program ended.
type Exit struct {
	Code     int    `json:"code"`             // 128+n when killed by signal n
	Signal   string `json:"signal,omitempty"` // "KILL", "SEGV" …
	TimedOut bool   `json:"timed_out,omitempty"`
	// StartError says why the program could not be started; Code is 127 or 126.
	StartError string        `json:"start_error,omitempty"`
	Duration   time.Duration `json:"duration"`
}

// Capabilities is what a driver can do on this machine.
type Capabilities struct {
	Driver  string `json:"driver"`
	Version string `json:"version,omitempty"`
	// Limits says of each limit how it is kept: "memory": "cgroup v1",
	// "processes": "rlimit" … "none" where it cannot be kept.
	Limits map[string]string `json:"limits"`
	// Notes are sentences for people, such as what is weaker here and how to
	// mend it.
	Notes []string `json:"notes,omitempty"`
}

// ErrLost is wrapped by the errors of a sandbox that died or stopped answering.
var ErrLost = errors.New("sandbox lost")

// ErrInterrupted is the cause with which a context is cancelled to interrupt a Run
// or a CallTool whose result is still wanted: the call ends what runs and then
// returns what it did and printed until then, with the Deadline "cancelled", and
// no error.
var ErrInterrupted = errors.New("interrupted")

// ErrTooLarge is wrapped when more was to be read than was allowed.
var ErrTooLarge = errors.New("too large")

// UnavailableError says that a driver cannot work on this machine, and how to
// change that.
type UnavailableError struct {
	Driver string
	Reason string
	// Fix is a sentence or a command, or "" where nothing helps.
	Fix string
}

func (e *UnavailableError) Error() string {
	text := fmt.Sprintf("sandbox %s is not available: %s", e.Driver, e.Reason)
	if e.Fix != "" {
		text += "; to mend it: " + e.Fix
	}
	return text
}
