package docker

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"mlgym/internal/shim"
	"mlgym/sandbox"
)

// DefaultImage is used where neither the options nor the spec name an image. It
// has a shell but no Python.
const DefaultImage = "debian:bookworm-slim"

// name is the driver's name.
const name = "docker"

// Options choose the engine and the image. The zero value is usable.
type Options struct {
	// Host is the engine's address, such as unix:///run/podman/podman.sock;
	// "" means what DOCKER_HOST says, else the usual socket.
	Host string
	// Image is used for sandboxes whose Spec names none; "" means DefaultImage.
	Image string
	// Log receives what is worth knowing; nil discards it.
	Log *slog.Logger
}

// Driver creates sandboxes as containers of an engine.
type Driver struct {
	opts Options
	log  *slog.Logger
}

var (
	_ sandbox.Driver = (*Driver)(nil)
	_ sandbox.Prober = (*Driver)(nil)
	_ sandbox.Pruner = (*Driver)(nil)
)

// New returns a driver. It speaks to no engine yet.
func New(opts Options) *Driver {
	if opts.Image == "" {
		opts.Image = DefaultImage
	}
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Driver{opts: opts, log: log}
}

// Name is "docker".
func (d *Driver) Name() string { return name }

func unavailable(fix, reason string, args ...any) error {
	return &sandbox.UnavailableError{Driver: name, Reason: fmt.Sprintf(reason, args...), Fix: fix}
}

// engine is a connection to the engine and what it says of itself.
type engine struct {
	*client.Client
	version string
	podman  bool
	cpus    int
	cgroup  string
	// without are the limits that the engine cannot keep.
	without []string
}

// connect finds the engine.
func (d *Driver) connect(ctx context.Context) (*engine, error) {
	opts := []client.Opt{client.FromEnv}
	if d.opts.Host != "" {
		opts = append(opts, client.WithHost(d.opts.Host))
	}
	c, err := client.New(opts...)
	if err != nil {
		return nil, unavailable("set DOCKER_HOST to the address of an engine", "%v", err)
	}
	e := &engine{Client: c}
	if err := e.ask(ctx); err != nil {
		_ = c.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, explain(c.DaemonHost(), err)
	}
	if host := c.DaemonHost(); !strings.HasPrefix(host, "unix://") {
		_ = c.Close()
		return nil, unavailable("use an engine on this machine", "the engine at %s does not see this machine's files", host)
	}
	return e, nil
}

func (e *engine) ask(ctx context.Context) error {
	if _, err := e.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return err
	}
	version, err := e.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return err
	}
	e.version = "Docker " + version.Version
	for _, part := range version.Components {
		if strings.HasPrefix(part.Name, "Podman") {
			e.podman = true
			e.version = "Podman " + part.Version
		}
	}
	result, err := e.Info(ctx, client.InfoOptions{})
	if err != nil {
		return err
	}
	info := result.Info
	e.cpus, e.cgroup = info.NCPU, "cgroup v"+strings.TrimPrefix(info.CgroupVersion, "v")
	for limit, kept := range map[string]bool{"memory": info.MemoryLimit, "processes": info.PidsLimit, "cpu": info.CPUCfsQuota} {
		if !kept {
			e.without = append(e.without, limit)
		}
	}
	return nil
}

// explain says how to reach an engine that does not answer.
func explain(host string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission) || strings.Contains(err.Error(), "permission denied"):
		return unavailable("add yourself to the group docker (which amounts to root), or use rootless Docker or Podman and set DOCKER_HOST", "no permission to use %s", host)
	case client.IsErrConnectionFailed(err) || cerrdefs.IsUnavailable(err):
		return unavailable("apt-get install docker.io, or start it: systemctl start docker; for Podman: systemctl --user start podman.socket and set DOCKER_HOST", "no engine answers at %s", host)
	}
	return unavailable("", "the engine at %s: %v", host, err)
}

// explainGPUs says what an engine lacks that starts no container with GPUs.
func explainGPUs(gpus []int, err error) error {
	if len(gpus) == 0 || !strings.Contains(err.Error(), "nvidia") {
		return err
	}
	return unavailable("install NVIDIA's container toolkit (nvidia-ctk runtime configure, then restart the engine), or ask for no GPU", "GPUs %v: %v", gpus, err)
}

// Create starts a container and returns when the shell in it answers.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	b, err := d.create(ctx, spec)
	if err != nil {
		if u := (*sandbox.UnavailableError)(nil); errors.As(err, &u) {
			return nil, u
		}
		return nil, fmt.Errorf("create a docker sandbox: %w", err)
	}
	return b, nil
}

func newID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

func (d *Driver) create(ctx context.Context, spec sandbox.Spec) (_ *box, err error) {
	spec.Limits = spec.Limits.WithDefaults()
	if spec.ID == "" {
		spec.ID = newID()
	}
	if spec.Mounts, err = spec.Check(); err != nil {
		return nil, err
	}
	if len(spec.Links) > 0 {
		return nil, unavailable("use --sandbox bubblewrap, or --sandbox oci, which takes images as well (--root IMAGE)",
			"the engine puts no link into a read-only root, and this task needs %d", len(spec.Links))
	}
	shimDir, err := shim.Dir()
	if err != nil {
		return nil, unavailable("", "%v", err)
	}
	image := spec.Root
	if image == "" {
		image = d.opts.Image
	}
	e, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = e.Close()
		}
	}()
	if _, err := e.ImageInspect(ctx, image); err != nil {
		if cerrdefs.IsNotFound(err) {
			return nil, unavailable("docker pull "+image, "the engine has no image %s", image)
		}
		return nil, fmt.Errorf("image %s: %w", image, err)
	}
	options, err := containerOptions(e, spec, image, shimDir)
	if err != nil {
		return nil, err
	}
	created, err := e.createContainer(ctx, options)
	if err != nil {
		return nil, err
	}
	r, err := e.start(ctx, created.ID)
	if err != nil {
		return nil, errors.Join(explainGPUs(spec.GPUs, err), e.remove(created.ID))
	}
	c, err := shim.Connect(ctx, r, shim.Config{
		Limits:      spec.Limits,
		Env:         spec.Env,
		Path:        spec.Path,
		OnCall:      spec.OnCall,
		WatchMemory: slices.Contains(e.without, "memory"),
		Diagnose:    r.said,
	})
	if err != nil {
		return nil, errors.Join(err, e.remove(created.ID))
	}
	return &box{Client: c, engine: e, id: spec.ID, run: r}, nil
}

// createContainer creates a container. A request that is given up may have been
// carried out all the same, so it is not given up but undone.
func (e *engine) createContainer(ctx context.Context, options client.ContainerCreateOptions) (client.ContainerCreateResult, error) {
	if ctx.Err() != nil {
		return client.ContainerCreateResult{}, context.Cause(ctx)
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), createWait)
	defer cancel()
	created, err := e.ContainerCreate(patient, options)
	if err == nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), e.remove(created.ID))
	}
	return created, err
}

const createWait = time.Minute

// remove removes a container, dead or alive; one that is gone is fine.
func (e *engine) remove(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), removeWait)
	defer cancel()
	_, err := e.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err == nil || cerrdefs.IsNotFound(err) {
		return nil
	}
	if cerrdefs.IsConflict(err) {
		// It is being removed already; wait until it is.
		wait := e.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: removed})
		select {
		case <-wait.Result:
			return nil
		case err = <-wait.Error:
			if cerrdefs.IsNotFound(err) {
				return nil
			}
		}
	}
	return fmt.Errorf("remove container %.12s: %w", id, err)
}

const removeWait = 30 * time.Second
