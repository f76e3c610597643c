package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ExitRequeue is the exit code of a program that saved its work and wants to be
// run again (EX_TEMPFAIL of sysexits.h).
const ExitRequeue = 75

// Runner runs a command and returns its output. The error is nil when the
// command exited with 0.
type Runner func(ctx context.Context, name string, args []string, stdin string) (stdout, stderr string, err error)

// Options say how to reach a cluster. The zero value is the cluster of the
// environment.
type Options struct {
	// Conf is the path of slurm.conf; where it is empty, SLURM_CONF or Slurm's
	// own default counts.
	Conf string
	// Timeout bounds each command; 60 s where it is 0. A controller that does not
	// answer holds a command for 10 s or more.
	Timeout time.Duration
	// Logger is told each command (debug); nil is silence.
	Logger *slog.Logger
	// Run replaces the running of commands, for tests of what they print.
	Run Runner
}

// Client drives one cluster. Its methods may be called by several goroutines.
type Client struct {
	options Options

	mu     sync.Mutex
	config *Config // as read once
}

// NewClient returns a client. It does nothing yet; see [Client.Available].
func NewClient(options Options) *Client {
	if options.Timeout == 0 {
		options.Timeout = time.Minute
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{options: options}
	if c.options.Run == nil {
		c.options.Run = c.execute
	}
	return c
}

// UnavailableError says that the cluster cannot be asked: commands are missing,
// or the controller does not answer.
type UnavailableError struct {
	// Reason is what failed, in Slurm's words where there are some.
	Reason string
	// Fix says what to do about it.
	Fix string
	// Temporary is true when asking again later may help.
	Temporary bool
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("slurm is not available: %s; %s", e.Reason, e.Fix)
}

// CommandError is a command of Slurm's that failed, other than by refusing a
// submission ([RefusedError]) or for want of a cluster ([UnavailableError]).
type CommandError struct {
	Command string // "squeue"
	Stderr  string
	Err     error
}

func (e *CommandError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("%s: %v", e.Command, e.Err)
	}
	return fmt.Sprintf("%s: %s (%v)", e.Command, e.Stderr, e.Err)
}

func (e *CommandError) Unwrap() error { return e.Err }

// Available says whether the cluster can be used from here, and with which
// version of Slurm ("22.05.8"). The error is an [*UnavailableError].
func (c *Client) Available(ctx context.Context) (version string, err error) {
	out, err := c.run(ctx, "", "sbatch", "--version")
	if err != nil {
		return "", err
	}
	// "slurm 24.05.2", Debian says "slurm-wlm 22.05.8".
	fields := strings.Fields(out)
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "slurm") {
		return "", &UnavailableError{
			Reason: fmt.Sprintf("sbatch --version says %q", strings.TrimSpace(out)),
			Fix:    "is the sbatch on PATH the one of Slurm?",
		}
	}
	version = fields[1]
	if year, err := strconv.Atoi(strings.Split(version, ".")[0]); err == nil && year < 20 {
		return version, &UnavailableError{Reason: "its version is " + version, Fix: "mlgym needs Slurm 20.11 or newer"}
	}
	if _, err := c.Config(ctx); err != nil {
		return version, err
	}
	return version, nil
}

// Config is what of a cluster's configuration matters to those who submit.
type Config struct {
	// Cluster is the cluster's name.
	Cluster string
	// MaxArraySize is one more than the greatest index of an array; 0 where
	// arrays are switched off.
	MaxArraySize int
	// MaxArrayTasks is the greatest number of tasks in an array, 0 for no bound of
	// its own.
	MaxArrayTasks int
	// RequeueExit are the exit codes after which a job is requeued.
	RequeueExit []int
	// KillWait is the time between SIGTERM and SIGKILL.
	KillWait time.Duration
	// MinJobAge is how long an ended job is remembered.
	MinJobAge time.Duration
	// SlurmdTimeout is how long a node may be silent before it is declared down
	// and its jobs are requeued; 0 is for ever.
	SlurmdTimeout time.Duration
	// Accounting says whether ended jobs can be looked up for longer.
	Accounting bool
}

// RequeuesOn says whether the cluster requeues a job that exits with code.
func (c Config) RequeuesOn(code int) bool {
	return slices.Contains(c.RequeueExit, code)
}

// Config asks the controller for its configuration, once for each client.
func (c *Client) Config(ctx context.Context) (Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config != nil {
		return *c.config, nil
	}
	out, err := c.run(ctx, "", "scontrol", "show", "config")
	if err != nil {
		return Config{}, err
	}
	config, err := parseConfig(out)
	if err != nil {
		return Config{}, fmt.Errorf("scontrol show config: %w", err)
	}
	c.config = &config
	return config, nil
}

// parseConfig reads "Key = value" lines. A value may be followed by its unit.
func parseConfig(text string) (Config, error) {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, "="); ok {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	config := Config{Cluster: values["ClusterName"]}
	size, ok := values["MaxArraySize"]
	if !ok {
		return Config{}, errors.New("no MaxArraySize in its answer")
	}
	var err error
	if config.MaxArraySize, err = strconv.Atoi(size); err != nil {
		return Config{}, fmt.Errorf("MaxArraySize: %w", err)
	}
	for word := range strings.SplitSeq(values["SchedulerParameters"], ",") {
		if number, ok := strings.CutPrefix(strings.TrimSpace(word), "max_array_tasks="); ok {
			if config.MaxArrayTasks, err = strconv.Atoi(number); err != nil {
				return Config{}, fmt.Errorf("max_array_tasks: %w", err)
			}
		}
	}
	if codes := values["RequeueExit"]; codes != "" && codes != "(null)" {
		if config.RequeueExit, err = ParseIndices(codes); err != nil {
			return Config{}, fmt.Errorf("RequeueExit: %w", err)
		}
	}
	for key, target := range map[string]*time.Duration{
		"KillWait": &config.KillWait, "MinJobAge": &config.MinJobAge, "SlurmdTimeout": &config.SlurmdTimeout,
	} {
		number, _, _ := strings.Cut(values[key], " ")
		if seconds, err := strconv.Atoi(number); err == nil {
			*target = time.Duration(seconds) * time.Second
		}
	}
	kind := values["AccountingStorageType"]
	config.Accounting = kind != "" && kind != "(null)" && kind != "accounting_storage/none"
	return config, nil
}

// run runs a command that only has to succeed.
func (c *Client) run(ctx context.Context, stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	c.options.Logger.DebugContext(ctx, "running a command of slurm", "command", name, "args", args)
	stdout, stderr, err := c.options.Run(ctx, name, args, stdin)
	if err == nil {
		return stdout, nil
	}
	stderr = strings.TrimSpace(stderr)
	if errors.As(err, new(*UnavailableError)) {
		return "", err
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", &UnavailableError{
			Reason: fmt.Sprintf("%s is not on PATH", name),
			Fix:    "run this on a login node of the cluster, or load the site's module (module load slurm)",
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return stdout, &UnavailableError{
				Reason: fmt.Sprintf("%s had no answer within %v", name, c.options.Timeout), Fix: "try again later", Temporary: true,
			}
		}
		return stdout, fmt.Errorf("%s: %w", name, cause)
	}
	for _, known := range outages {
		if strings.Contains(stderr, known.says) {
			return stdout, &UnavailableError{Reason: lastLine(stderr), Fix: known.fix, Temporary: known.temporary}
		}
	}
	return stdout, &CommandError{Command: name, Stderr: stderr, Err: err}
}

// outages are the words with which Slurm's commands say that they cannot reach
// the cluster.
var outages = []struct {
	says, fix string
	temporary bool
}{
	{"Unable to contact slurm controller", "its controller does not answer; try again later, or ask with `scontrol ping`", true},
	{"Socket timed out", "its controller is busy; try again later", true},
	{"Zero Bytes were transmitted", "the connection to its controller broke; try again later", true},
	{"Transport endpoint is not connected", "the connection to its controller broke; try again later", true},
	{"Slurm backup controller in standby mode", "its controller is being replaced; try again later", true},
	{"Slurm temporarily unable to accept job", "its controller has too many jobs; try again later", true},
	{"Munge encode failed", "the authentication daemon (munged) does not run on this machine", false},
	{"Protocol authentication error", "this machine's munge key is not that of the cluster", false},
	{"Could not establish a configuration source", "no slurm.conf was found; set SLURM_CONF to the cluster's", false},
	{"Unable to process configuration file", "set SLURM_CONF to the cluster's slurm.conf", false},
}

// execute is the runner for real commands.
func (c *Client) execute(ctx context.Context, name string, args []string, stdin string) (stdout, stderr string, err error) {
	conf := c.options.Conf
	if conf == "" {
		conf = os.Getenv("SLURM_CONF")
	}
	if _, err := os.Stat(conf); conf != "" && err != nil {
		// Slurm itself would wait a minute for the file to appear.
		return "", "", &UnavailableError{Reason: fmt.Sprintf("its configuration cannot be read: %v", err), Fix: "set SLURM_CONF to the cluster's slurm.conf"}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = environ(os.Environ(), c.options.Conf)
	if name != "sbatch" {
		// Lists of indices are not to be cut; in a job, the site's choice counts.
		cmd.Env = append(cmd.Env, "SLURM_BITSTR_LEN=0")
	}
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// environ is the environment of a command: the caller's, without what would
// change its output or its meaning, and without what belongs to a job that the
// caller itself runs in, which sbatch would hand on to the new one.
func environ(outer []string, conf string) []string {
	var inner []string
	for _, variable := range outer {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case name == "SLURM_CONF" && conf != "":
		case name == "SBATCH_WAIT", name == "SBATCH_ARRAY_INX":
		case hasPrefix(name, "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SCONTROL_"):
		case strings.HasPrefix(name, "SLURM_") && !kept[name]:
		case strings.HasPrefix(name, "SLURMD_"):
		default:
			inner = append(inner, variable)
		}
	}
	if conf != "" {
		inner = append(inner, "SLURM_CONF="+conf)
	}
	return inner
}

// kept are the variables of Slurm that say where the cluster is.
var kept = map[string]bool{"SLURM_CONF": true, "SLURM_CLUSTERS": true, "SLURM_JWT": true, "SLURM_DEBUG_FLAGS": true}

func hasPrefix(name string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
