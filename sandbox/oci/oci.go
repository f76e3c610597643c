package oci

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mlgym/internal/cachedir"
	"mlgym/internal/shim"
	"mlgym/sandbox"
)

// The runtimes that the driver knows how to start.
const (
	Runc  = "runc"
	Crun  = "crun"
	Runsc = "runsc"
)

// Options choose the runtime and where things lie. The zero value is usable.
type Options struct {
	// Runtime is Runc (the default), Crun or Runsc.
	Runtime string
	// RuntimePath is its program; "" means the one on PATH, and for runsc also
	// the one that scripts/runsc.sh built.
	RuntimePath string
	// Root is the root file system of sandboxes whose Spec names none.
	Root string
	// StateDir holds one folder per living sandbox; "" means /run/mlgym/oci,
	// or for an ordinary user a folder of XDG_RUNTIME_DIR or of the cache.
	StateDir string
	// CacheDir holds unpacked images; "" means the cache of mlgym.
	CacheDir string
	// Devices is the folder in which the device files of GPUs lie; "" means
	// /dev.
	Devices string
	// Log receives what the runtime and the shim say; nil discards it.
	Log *slog.Logger
}

// Driver creates sandboxes with one OCI runtime.
type Driver struct {
	opts    Options
	log     *slog.Logger
	asRoot  bool
	cgroups cgroups
}

var (
	_ sandbox.Driver = (*Driver)(nil)
	_ sandbox.Prober = (*Driver)(nil)
	_ sandbox.Pruner = (*Driver)(nil)
)

// New returns a driver. It looks at nothing yet: what is missing on the machine
// is reported by Create and Probe.
func New(opts Options) *Driver {
	opts.Runtime = cmp.Or(opts.Runtime, Runc)
	opts.Devices = cmp.Or(opts.Devices, "/dev")
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	asRoot := os.Geteuid() == 0
	d := &Driver{opts: opts, log: log, asRoot: asRoot}
	if asRoot {
		d.cgroups = findCgroups("/sys/fs/cgroup")
	}
	return d
}

// Name is "oci", or "oci:crun" and "oci:runsc" for the other runtimes.
func (d *Driver) Name() string {
	if d.opts.Runtime == Runc {
		return "oci"
	}
	return "oci:" + d.opts.Runtime
}

// unavailable says what the machine lacks.
func (d *Driver) unavailable(fix, reason string, args ...any) error {
	return &sandbox.UnavailableError{Driver: d.Name(), Reason: fmt.Sprintf(reason, args...), Fix: fix}
}

// Create starts a sandbox and returns when its shell answers.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	box, err := d.create(ctx, spec)
	if err != nil {
		if unavailable := (*sandbox.UnavailableError)(nil); errors.As(err, &unavailable) {
			return nil, unavailable
		}
		return nil, fmt.Errorf("create an %s sandbox: %w", d.Name(), err)
	}
	return box, nil
}

func (d *Driver) create(ctx context.Context, spec sandbox.Spec) (_ *box, err error) {
	program, err := d.program()
	if err != nil {
		return nil, err
	}
	spec.Limits = spec.Limits.WithDefaults()
	if spec.ID == "" {
		spec.ID = newID()
	}
	mounted, err := spec.Check()
	if err != nil {
		return nil, err
	}
	if len(spec.GPUs) > 0 && d.opts.Runtime == Runsc {
		return nil, d.unavailable("use --sandbox oci or bubblewrap, or no GPU", "GPUs are not shown to gVisor's sandboxes")
	}
	shimDir, err := shim.Dir()
	if err != nil {
		return nil, d.unavailable("", "%v", err)
	}
	lower, err := d.lower(ctx, spec.Root)
	if err != nil {
		return nil, err
	}
	state, err := d.stateDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(state, spec.ID)
	// The user inside is another one outside and must get through.
	if err := os.Mkdir(dir, 0o711); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("a sandbox %q exists already", spec.ID)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.discard(spec.ID))
		}
	}()
	if err := writeOwner(dir, owner{Purpose: spec.Purpose, Runtime: d.opts.Runtime, Created: time.Now()}); err != nil {
		return nil, err
	}
	mounts := append([]sandbox.Mount{{Source: shimDir, Target: sandbox.ShimDir}}, mounted...)
	plan, err := planRoot(lower, mounts, spec.Links, d.userInside())
	if err != nil {
		return nil, err
	}
	run, err := d.start(program, dir, spec, plan)
	if err != nil {
		return nil, err
	}
	client, err := shim.Connect(ctx, run, shim.Config{
		Limits:      spec.Limits,
		Env:         spec.Env,
		Path:        spec.Path,
		OnCall:      spec.OnCall,
		Rlimits:     !d.cgroups.usable(),
		WatchMemory: !d.cgroups.usable(),
		Diagnose:    run.said,
	})
	if err != nil {
		return nil, d.explain(ctx, err, run)
	}
	return &box{Client: client, driver: d, id: spec.ID, run: run}, nil
}

// explain turns the failure of a first greeting into what a person can act on.
func (d *Driver) explain(ctx context.Context, err error, run *running) error {
	if ctx.Err() != nil {
		return err
	}
	// Connect has closed the connection, and with it ended the runtime.
	if said := run.said(); said != "" && !run.greeted.Load() {
		return d.unavailable(fixOf(said), "%s could not start a sandbox: %s", d.opts.Runtime, said)
	}
	return err
}

// fixOf knows what helps against what runtimes say most often.
func fixOf(said string) string {
	for text, fix := range map[string]string{
		"cgroups in hybrid mode not supported": "use runc, which works beside hybrid cgroups (--sandbox oci), or run as root",
		"user namespaces":                      userNamespaceFix,
		"clone: operation not permitted":       userNamespaceFix,
		"unshare: operation not permitted":     userNamespaceFix,
		"newuidmap":                            userNamespaceFix,
	} {
		if strings.Contains(strings.ToLower(said), text) {
			return fix
		}
	}
	return ""
}

const userNamespaceFix = "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in a container, start it with --security-opt seccomp=unconfined"

// newID returns an id of fixed width that nobody else has.
func newID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// containerName is the runtime's name of a sandbox. Its width is fixed because
// runsc takes a name that begins another one as ambiguous.
func containerName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "mlgym" + hex.EncodeToString(sum[:12])
}

// stateDir returns the folder of the living sandboxes, which it makes.
func (d *Driver) stateDir() (string, error) {
	dir := d.opts.StateDir
	switch {
	case dir != "":
	case d.asRoot:
		dir = "/run/mlgym/oci"
	case os.Getenv("XDG_RUNTIME_DIR") != "":
		dir = filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "mlgym", "oci")
	default:
		var err error
		if dir, err = cachedir.Dir("oci-state"); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", fmt.Errorf("folder of the living sandboxes: %w", err)
	}
	return filepath.Abs(dir)
}

// runtimeState is where the runtime keeps its own records.
func (d *Driver) runtimeState(state string) string {
	return filepath.Join(state, "."+d.opts.Runtime)
}
