package bubblewrap

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/internal/hostview"
	"mlgym/internal/shim"
	"mlgym/internal/syscallfilter"
	"mlgym/sandbox"
)

// Options of the driver.
type Options struct {
	// Path of bwrap; "" means the one on PATH.
	Path string
	// Devices is the folder in which the device files of GPUs lie; "" means
	// /dev.
	Devices string
}

// Driver creates sandboxes with bubblewrap.
type Driver struct {
	opts    Options
	counter atomic.Uint32

	once    sync.Once
	prepErr error
	bwrap   string
	shimDir string
	etcDir  string
	filter  []byte

	forks chan func() // runs on the one thread whose end would end them all
}

// New returns a driver. Nothing is looked for until the first Create.
func New(opts Options) *Driver {
	opts.Devices = cmp.Or(opts.Devices, "/dev")
	return &Driver{opts: opts}
}

// Name implements [sandbox.Driver].
func (d *Driver) Name() string { return "bubblewrap" }

// The descriptors that bwrap gets beside its standard ones.
const (
	fdInfo    = 3
	fdBlock   = 4
	fdSeccomp = 5
)

// closeWait bounds how long a sandbox may take to end by itself.
const closeWait = 10 * time.Second

func (d *Driver) prepare() error {
	d.once.Do(func() {
		path := d.opts.Path
		if path == "" {
			path = "bwrap"
		}
		if d.bwrap, d.prepErr = exec.LookPath(path); d.prepErr != nil {
			d.prepErr = &sandbox.UnavailableError{Driver: d.Name(), Reason: "bwrap is not installed", Fix: "install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)"}
			return
		}
		if d.shimDir, d.prepErr = shim.Dir(); d.prepErr != nil {
			return
		}
		if d.etcDir, d.prepErr = etc(); d.prepErr != nil {
			return
		}
		if d.filter, d.prepErr = syscallfilter.Program(syscallfilter.Profile()); d.prepErr != nil {
			return
		}
		d.forks = make(chan func())
		go func() {
			// The kernel takes the end of the forking thread for the end of
			// the parent, so this one never ends.
			runtime.LockOSThread()
			for f := range d.forks {
				f()
			}
		}()
	})
	return d.prepErr
}

// start starts a command on the thread that never ends.
func (d *Driver) start(cmd *exec.Cmd) error {
	result := make(chan error)
	d.forks <- func() { result <- cmd.Start() }
	return <-result
}

// box is one sandbox.
type box struct {
	*shim.Client
	id     string
	cmd    *exec.Cmd
	group  group // nil where there are no control groups
	pidfd  int
	lease  string
	waited chan struct{}
	said   *lastLines

	closeOnce sync.Once
	closeErr  error
}

// Create implements [sandbox.Driver].
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (_ sandbox.Sandbox, err error) {
	if err := d.prepare(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	spec.Limits = spec.Limits.WithDefaults()
	if spec.ID == "" {
		var id [8]byte
		_, _ = rand.Read(id[:]) // never fails
		spec.ID = hex.EncodeToString(id[:])
	}
	gpus, err := hostview.GPUDevices(d.Name(), d.opts.Devices, spec.GPUs)
	if err != nil {
		return nil, err
	}
	args, err := arguments(spec, d.shimDir, d.etcDir, gpus)
	if err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", spec.ID, err)
	}
	b := &box{id: spec.ID, pidfd: -1, waited: make(chan struct{}), said: &lastLines{}}
	defer func() {
		if err != nil {
			_ = b.Close()
			err = d.explain(err, b.said.String())
		}
	}()
	if b.lease, err = writeLease(spec); err != nil {
		return nil, err
	}
	conn, unblock, info, err := b.spawn(d, args)
	if err != nil {
		return nil, err
	}
	defer unblock.Close()
	defer info.Close()
	if err := b.confine(ctx, info, spec.Limits); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if _, err := unblock.Write([]byte{1}); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	b.Client, err = shim.Connect(ctx, conn, shim.Config{
		Limits: spec.Limits, Env: spec.Env, Path: spec.Path, OnCall: spec.OnCall,
		Rlimits: true, WatchMemory: b.group == nil, Diagnose: b.said.String,
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// spawn starts bwrap, which waits until something can be read from unblock.
func (b *box) spawn(d *Driver, args []string) (conn *pipes, unblock, info *os.File, err error) {
	var open []*os.File
	pipe := func() (r, w *os.File) {
		if err != nil {
			return nil, nil
		}
		if r, w, err = os.Pipe(); err == nil {
			open = append(open, r, w)
		}
		return r, w
	}
	stdinRead, stdinWrite := pipe()
	stdoutRead, stdoutWrite := pipe()
	infoRead, infoWrite := pipe()
	blockRead, blockWrite := pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(err, closeAll(open))
	}
	seccomp, err := memoryFile("seccomp", d.filter)
	if err != nil {
		return nil, nil, nil, errors.Join(err, closeAll(open))
	}
	defer seccomp.Close()
	cmd := exec.Command(d.bwrap, args...) //nolint:noctx // its end is the end of its standard input
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdinRead, stdoutWrite, b.said
	cmd.ExtraFiles = []*os.File{infoWrite, blockRead, seccomp}
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = time.Second // something of a failed start may hold its output
	if os.Geteuid() == 0 {
		// A user of its own, whom nothing outside belongs to.
		const first, each = 1_000_000_000, 250
		id := uint32(first + os.Getpid()%4_000_000*each + int(d.counter.Add(1)%each)) //nolint:gosec // below 2^31
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id, NoSetGroups: false}
		cmd.Dir = "/"
	}
	if err := d.start(cmd); err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("start bwrap: %w", err), closeAll(open))
	}
	b.cmd = cmd
	go func() {
		_ = cmd.Wait()
		close(b.waited)
	}()
	_ = closeAll([]*os.File{stdinRead, stdoutWrite, infoWrite, blockRead})
	return &pipes{stdoutRead, stdinWrite}, blockWrite, infoRead, nil
}

func closeAll(files []*os.File) error {
	var err error
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}

func memoryFile(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(data); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// confine puts the sandbox's first process into its control group while it
// still waits. Without control groups the sandbox goes on without.
func (b *box) confine(ctx context.Context, info *os.File, limits sandbox.Limits) error {
	var said struct {
		ChildPID int `json:"child-pid"`
	}
	stop := context.AfterFunc(ctx, func() { _ = info.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := json.NewDecoder(info).Decode(&said); err != nil {
		select { // for what it says
		case <-b.waited:
		case <-ctx.Done():
		}
		return fmt.Errorf("bwrap did not start: %w", err)
	}
	pidfd, err := unix.PidfdOpen(said.ChildPID, 0)
	if err != nil {
		return fmt.Errorf("hold the sandbox's first process: %w", err)
	}
	b.pidfd = pidfd
	g, err := newGroup(groupPrefix+strconv.Itoa(os.Getpid())+"-"+b.id, limits)
	if err != nil {
		return nil //nolint:nilerr // Probe says that there are none here
	}
	if err := g.add(said.ChildPID); err != nil {
		_ = g.remove(ctx)
		return nil //nolint:nilerr // likewise
	}
	b.group = g
	return nil
}

// ID implements [sandbox.Sandbox].
func (b *box) ID() string { return b.id }

// Usage implements [sandbox.Meter].
func (b *box) Usage(context.Context) (sandbox.Usage, error) {
	if b.group == nil {
		return sandbox.Usage{}, errors.New("without control groups nothing trustworthy counts what a sandbox uses")
	}
	return b.group.usage()
}

// Close implements [sandbox.Sandbox].
func (b *box) Close() error {
	b.closeOnce.Do(func() {
		if b.pidfd >= 0 {
			_ = unix.PidfdSendSignal(b.pidfd, unix.SIGKILL, nil, 0)
		}
		if b.Client != nil {
			_ = b.Client.Close()
		}
		if b.cmd != nil && b.Client == nil {
			// A start that failed halfway: its processes are one group, and the
			// inner one is not known by number.
			_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
		}
		if b.cmd != nil {
			timer := time.NewTimer(closeWait)
			defer timer.Stop()
			select {
			case <-b.waited:
			case <-timer.C:
				_ = b.cmd.Process.Kill()
				<-b.waited
			}
		}
		if b.pidfd >= 0 {
			_ = unix.Close(b.pidfd)
		}
		if b.group != nil {
			ctx, cancel := context.WithTimeout(context.Background(), closeWait)
			defer cancel()
			b.closeErr = b.group.remove(ctx)
		}
		if b.lease != "" {
			if err := os.Remove(b.lease); !errors.Is(err, fs.ErrNotExist) { // a person may have tidied up
				b.closeErr = errors.Join(b.closeErr, err)
			}
		}
	})
	return b.closeErr
}

// explain turns what bwrap says into an error that names the fix.
func (d *Driver) explain(err error, said string) error {
	switch {
	case strings.Contains(said, "No permissions to create new namespace"),
		strings.Contains(said, "setting up uid map: Permission denied"),
		strings.Contains(said, "Creating new namespace failed"):
		return &sandbox.UnavailableError{
			Driver: d.Name(), Reason: strings.TrimSpace(said),
			Fix: "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in a container, start it with --security-opt seccomp=unconfined",
		}
	case said != "" && !strings.Contains(err.Error(), said):
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// pipes joins the two standard streams into a connection.
type pipes struct {
	r *os.File
	w *os.File
}

func (p *pipes) Read(b []byte) (int, error)  { return p.r.Read(b) }
func (p *pipes) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *pipes) Close() error                { return errors.Join(p.w.Close(), p.r.Close()) }

// SetBuffer implements [shim.Buffered].
func (p *pipes) SetBuffer(bytes int) {
	for _, f := range []*os.File{p.r, p.w} {
		raw, err := f.SyscallConn()
		if err != nil {
			continue
		}
		// A preference: where it cannot be had, everything works as well.
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, bytes) })
	}
}

// lastLines keeps the end of what bwrap and the shim print, for error messages.
type lastLines struct {
	mu  sync.Mutex
	buf []byte
}

func (l *lastLines) Write(p []byte) (int, error) {
	const most = 2 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if len(l.buf) > most {
		l.buf = l.buf[len(l.buf)-most:]
	}
	return len(p), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(string(l.buf))
}

// leaseDir is where live sandboxes are noted.
const leaseDir = "bubblewrap/live"
