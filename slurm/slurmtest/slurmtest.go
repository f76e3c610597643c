package slurmtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Packages are the names of Debian's packages that a cluster is made of.
const Packages = "slurmctld slurmd slurm-client munge"

// Options say what cluster to start. The zero value is one of two small nodes.
type Options struct {
	// Nodes is how many there are, named n1, n2, …; 2 where it is 0.
	Nodes int
	// CPUs is how many processors a node claims to have, whatever the machine
	// has; 8 where it is 0.
	CPUs int
	// MemoryMB is the memory that a node claims to have, in MiB; 8000 where it is 0.
	MemoryMB int
	// GPUs is how many GPUs a node claims to have. Their device files are null
	// devices.
	GPUs int
	// GPUType is the type of those GPUs, "" for none.
	GPUType string
	// SlurmdTimeout is how long a node may be silent before it is declared down,
	// in whole seconds; 5 s where it is 0.
	SlurmdTimeout time.Duration
	// Conf holds further lines for slurm.conf. A line whose key the cluster sets
	// itself replaces that line; an empty value (KEY=) removes it.
	Conf string
}

// Cluster is a running cluster. Its methods may be called by several goroutines.
type Cluster struct {
	options Options
	dir     string
	conf    string
	names   []string
	ports   *ports

	mu       sync.Mutex
	machines map[string]*machine // by node name, and "munge" and "controller"
	stopped  bool
}

// UnsupportedError says why no cluster can be started on this machine.
type UnsupportedError struct{ Reason string }

func (e *UnsupportedError) Error() string { return "no Slurm cluster can be started here: " + e.Reason }

// Start starts a cluster that lives as long as the test, and waits until all of
// its nodes are idle. The test is skipped where the machine cannot have one.
func Start(tb testing.TB, options Options) *Cluster {
	tb.Helper()
	cluster, err := Launch(tb.Context(), options)
	if unsupported := (*UnsupportedError)(nil); errors.As(err, &unsupported) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the controller's log ends with:\n%s", cluster.Log("slurmctld", 40))
		}
		cluster.Stop()
	})
	return cluster
}

// Launch starts a cluster for a caller that has no test, such as TestMain, and
// has to call Stop. Its error is an [*UnsupportedError] where this machine cannot
// have one.
func Launch(ctx context.Context, options Options) (*Cluster, error) {
	if options.Nodes == 0 {
		options.Nodes = 2
	}
	if options.CPUs == 0 {
		options.CPUs = 8
	}
	if options.MemoryMB == 0 {
		options.MemoryMB = 8000
	}
	if options.SlurmdTimeout == 0 {
		options.SlurmdTimeout = 5 * time.Second
	}
	if err := supported(); err != nil {
		return nil, err
	}
	// The paths of sockets are short, so not below a test's own folder.
	dir, err := os.MkdirTemp("", "slurm")
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{options: options, dir: dir, conf: filepath.Join(dir, "slurm.conf"), machines: map[string]*machine{}}
	if err := cluster.start(ctx); err != nil {
		log := cluster.Log("slurmctld", 20)
		cluster.Stop()
		return nil, fmt.Errorf("start a Slurm cluster: %w\n%s", err, log)
	}
	return cluster, nil
}

// supported returns an [*UnsupportedError] where something is missing.
func supported() error {
	if os.Geteuid() != 0 {
		return &UnsupportedError{"its daemons need root"}
	}
	var missing []string
	for _, name := range []string{"slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "bash", "mount"} {
		if _, err := program(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return &UnsupportedError{fmt.Sprintf("%s missing; install the packages %s", strings.Join(missing, ", "), Packages)}
	}
	return nil
}

// program finds a program, also where an ordinary user does not look.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}

// Conf is the path of the cluster's slurm.conf, the value of SLURM_CONF for
// clients.
func (c *Cluster) Conf() string { return c.conf }

// Dir is the folder that holds everything of the cluster. It is gone after Stop.
func (c *Cluster) Dir() string { return c.dir }

// Nodes are the names of the nodes.
func (c *Cluster) Nodes() []string { return slices.Clone(c.names) }

func (c *Cluster) start(ctx context.Context) error {
	for _, name := range []string{"log", "run", "state", "spool", "dev"} {
		if err := os.Mkdir(filepath.Join(c.dir, name), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return err
	}
	for i := range c.options.Nodes {
		c.names = append(c.names, fmt.Sprint("n", i+1))
	}
	var err error
	if c.ports, err = reservePorts(1 + c.options.Nodes); err != nil {
		return err
	}
	if err := c.configure(); err != nil {
		return err
	}
	if err := c.startMunge(ctx); err != nil {
		return err
	}
	if err := c.startController(); err != nil {
		return err
	}
	for _, name := range c.names {
		if err := c.BootNode(name); err != nil {
			return err
		}
	}
	for _, name := range c.names {
		if err := c.AwaitNode(ctx, name, 3*time.Minute, "idle"); err != nil {
			return err
		}
	}
	return nil
}

// configure writes keys and configuration.
func (c *Cluster) configure() error {
	key := make([]byte, 128)
	_, _ = rand.Read(key) // never fails
	if err := os.WriteFile(filepath.Join(c.dir, "munge.key"), key, 0o400); err != nil {
		return err
	}
	var devices strings.Builder
	for i := range c.options.GPUs {
		path := filepath.Join(c.dir, "dev", fmt.Sprint("gpu", i))
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
			return &UnsupportedError{fmt.Sprintf("a null device cannot be made at %s: %v", path, err)}
		}
		kind := ""
		if c.options.GPUType != "" {
			kind = "Type=" + c.options.GPUType + " "
		}
		fmt.Fprintf(&devices, "Name=gpu %sFile=%s\n", kind, path)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "gres.conf"), []byte(devices.String()), 0o644); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	host, _, _ = strings.Cut(host, ".")
	return os.WriteFile(c.conf, []byte(c.configuration(host)), 0o644)
}

func (c *Cluster) configuration(host string) string {
	at := func(parts ...string) string { return filepath.Join(append([]string{c.dir}, parts...)...) }
	settings := map[string]string{
		"ClusterName":       "test",
		"SlurmctldHost":     host + "(127.0.0.1)",
		"SlurmctldPort":     strconv.Itoa(c.ports.numbers[0]),
		"SlurmUser":         "root",
		"SlurmdUser":        "root",
		"AuthType":          "auth/munge",
		"StateSaveLocation": at("state"),
		"SlurmdSpoolDir":    at("spool", "%n"),
		"SlurmctldPidFile":  at("run", "slurmctld.pid"),
		"SlurmdPidFile":     at("run", "slurmd-%n.pid"),
		"SlurmctldLogFile":  at("log", "slurmctld.log"),
		"SlurmdLogFile":     at("log", "slurmd-%n.log"),
		// A job that lost its node waits for as long as a credential lasts,
		// 120 s where nothing is said.
		"AuthInfo": "socket=" + at("run", "munge.socket") + ",cred_expire=5",
		// Only the loopback.
		"CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",
		// No control groups: processes are found and measured through /proc.
		"ProctrackType":          "proctrack/linuxproc",
		"TaskPlugin":             "task/none",
		"JobAcctGatherType":      "jobacct_gather/linux",
		"JobAcctGatherFrequency": "task=5",
		"SelectType":             "select/cons_tres",
		"SelectTypeParameters":   "CR_Core_Memory",
		"GresTypes":              "gpu",
		"MpiDefault":             "none",
		"SwitchType":             "switch/none",
		"MailProg":               "/bin/true",
		// Nodes claim what the machine does not have.
		"SlurmdParameters": "config_overrides",
		"ReturnToService":  "2",
		// Everything that waits waits a short time.
		"SlurmdTimeout":       strconv.Itoa(int(c.options.SlurmdTimeout.Seconds())),
		"SlurmctldTimeout":    "10",
		"KillWait":            "5",
		"MinJobAge":           "300",
		"InactiveLimit":       "0",
		"RequeueExit":         "75",
		"JobRequeue":          "1",
		"SchedulerType":       "sched/backfill",
		"SchedulerParameters": "batch_sched_delay=0,sched_min_interval=20000,bf_interval=2,requeue_delay=1",
	}
	var more strings.Builder
	for line := range strings.Lines(c.options.Conf) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, "=")
		switch _, ours := settings[key]; {
		case ours && value == "":
			delete(settings, key)
		case ours:
			settings[key] = value
		default:
			fmt.Fprintln(&more, line)
		}
	}
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s=%s\n", key, settings[key])
	}
	gres := ""
	if c.options.GPUs > 0 {
		gres = fmt.Sprintf(" Gres=gpu:%d", c.options.GPUs)
		if c.options.GPUType != "" {
			gres = fmt.Sprintf(" Gres=gpu:%s:%d", c.options.GPUType, c.options.GPUs)
		}
	}
	for i, name := range c.names {
		fmt.Fprintf(&text, "NodeName=%s NodeHostname=%s NodeAddr=127.0.0.1 Port=%d CPUs=%d CoresPerSocket=%d RealMemory=%d%s State=UNKNOWN\n",
			name, host, c.ports.numbers[1+i], c.options.CPUs, c.options.CPUs, c.options.MemoryMB, gres)
	}
	fmt.Fprintln(&text, "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO")
	return text.String() + more.String()
}

func (c *Cluster) startMunge(ctx context.Context) error {
	socket := filepath.Join(c.dir, "run", "munge.socket")
	err := c.startMachine("munge", "munged", "--foreground", "--force",
		"--key-file="+filepath.Join(c.dir, "munge.key"), "--socket="+socket,
		"--pid-file="+filepath.Join(c.dir, "run", "munged.pid"), "--log-file="+filepath.Join(c.dir, "log", "munged.log"),
		"--seed-file="+filepath.Join(c.dir, "run", "munge.seed"))
	if err != nil {
		return err
	}
	return poll(ctx, 2*time.Minute, func() error {
		_, err := os.Stat(socket)
		if err != nil {
			return fmt.Errorf("munged did not start: %w\n%s", err, c.Log("munge-out", 10))
		}
		return nil
	})
}

func (c *Cluster) startController() error { return c.startMachine("controller", "slurmctld", "-D") }

// KillController makes the controller lose power: what it had not written into
// its state is forgotten.
func (c *Cluster) KillController() { c.kill("controller") }

// RestartController starts a controller that was killed, or kills and starts it,
// and waits until it answers.
func (c *Cluster) RestartController(ctx context.Context) error {
	c.kill("controller")
	if err := c.startController(); err != nil {
		return err
	}
	return poll(ctx, 2*time.Minute, func() error {
		_, err := c.Command(ctx, "scontrol", "ping")
		return err
	})
}

// BootNode starts a node that is not running.
func (c *Cluster) BootNode(name string) error {
	if err := os.MkdirAll(filepath.Join(c.dir, "spool", name), 0o755); err != nil {
		return err
	}
	return c.startMachine(name, "slurmd", "-D", "-N", name)
}

// KillNode makes a node lose power: all of its processes are gone at once, and
// nobody tells the controller.
func (c *Cluster) KillNode(name string) { c.kill(name) }

// FreezeNode stops every process of a node, its jobs among them, until ThawNode.
// To the controller it looks like one that lost power, and its jobs are run
// elsewhere; unlike those, the frozen ones come back as zombies.
func (c *Cluster) FreezeNode(name string) error { return c.signalNode(name, syscall.SIGSTOP, nil) }

// CutNode stops Slurm's own processes on a node and lets its jobs go on: what
// the controller sees when the network to that node fails. The jobs are then run
// elsewhere while they still run here. ThawNode ends it.
func (c *Cluster) CutNode(name string) error {
	return c.signalNode(name, syscall.SIGSTOP, []string{"slurmd", "slurmstepd"})
}

// ThawNode lets a frozen or cut-off node go on.
func (c *Cluster) ThawNode(name string) error { return c.signalNode(name, syscall.SIGCONT, nil) }

// ThawJobs lets the jobs of a frozen node go on while Slurm's own processes on it
// stay stopped, so that nobody ends the jobs.
func (c *Cluster) ThawJobs(name string) error {
	if err := c.CutNode(name); err != nil {
		return err
	}
	return c.signalNode(name, syscall.SIGCONT, []string{"!slurmd", "!slurmstepd"})
}

// NodeState is the state of a node as sinfo tells it: "idle", "mixed", "down*".
func (c *Cluster) NodeState(ctx context.Context, name string) (string, error) {
	out, err := c.Command(ctx, "sinfo", "-h", "-N", "-n", name, "-o", "%T")
	state, _, _ := strings.Cut(out, "\n") // a line for each of its partitions
	return strings.TrimSpace(state), err
}

// AwaitNode waits until a node is in one of the states, for at most limit.
func (c *Cluster) AwaitNode(ctx context.Context, name string, limit time.Duration, states ...string) error {
	return poll(ctx, limit, func() error {
		state, err := c.NodeState(ctx, name)
		if err == nil && !slices.Contains(states, state) {
			err = fmt.Errorf("node %s is %q, not one of %q\n%s", name, state, states, c.Log(name+"-out", 10))
		}
		return err
	})
}

// Command runs one of Slurm's commands against the cluster and returns its
// standard output.
func (c *Cluster) Command(ctx context.Context, name string, args ...string) (string, error) {
	path, err := program(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "SLURM_CONF="+c.conf)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(errs.Bytes()))
	}
	return string(out), nil
}

// Log returns the last lines of a log: "slurmctld", "slurmd-n1", "munged", and
// what the programs printed: "controller-out", "n1-out", "munge-out".
func (c *Cluster) Log(name string, lines int) string {
	text, err := os.ReadFile(filepath.Join(c.dir, "log", name+".log"))
	if err != nil {
		return err.Error()
	}
	all := strings.SplitAfter(string(text), "\n")
	return strings.Join(all[max(0, len(all)-lines-1):], "")
}

// Stop ends every process of the cluster and removes its folder. It may be
// called more than once.
func (c *Cluster) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.stopped = true
	for _, m := range c.machines {
		m.kill()
	}
	if c.ports != nil {
		c.ports.release()
	}
	_ = os.RemoveAll(c.dir)
}

// poll calls check until it returns nil, and returns its last error when the
// time is up.
func poll(ctx context.Context, limit time.Duration, check func() error) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-deadline.C:
			return fmt.Errorf("after %v: %w", limit, err)
		case <-tick.C:
		}
	}
}
