package bubblewrap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/cgroups/v3"
	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"mlgym/internal/shim"
	"mlgym/sandbox"
)

// group is the control group of one sandbox.
type group interface {
	// add puts a process, and what it will start, into the group.
	add(pid int) error
	usage() (sandbox.Usage, error)
	// remove removes the group once it is empty.
	remove(ctx context.Context) error
}

// groupPrefix starts the names of our control groups, which go on with the
// owner's process number and the sandbox's name.
const groupPrefix = "mlgym-"

// cpuPeriod is the scheduler's period in microseconds, over which the share of
// the processor is given out.
const cpuPeriod = 100_000

// writablePlaces are /tmp, /dev/shm and the home folder, each with a size of its
// own.
const writablePlaces = 3

// newGroup makes a control group with the limits. An error means that this
// machine, or this user, cannot.
func newGroup(name string, l sandbox.Limits) (group, error) {
	// The writable places lie in memory and are charged to it.
	// All of them full, there must be memory left: the kernel can end no process
	// to free theirs, and would come to the shim.
	memory := max(l.MemoryBytes+l.DiskBytes, l.MemoryBytes/2+writablePlaces*l.DiskBytes)
	// The shim's own threads are counted too, and are not the agent's.
	processes := int64(l.Processes) + shim.OwnThreads
	quota := int64(l.CPUs * cpuPeriod)
	if cgroups.Mode() == cgroups.Unified {
		return newUnified(name, memory, processes, quota)
	}
	period := uint64(cpuPeriod)
	resources := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &memory},
		Pids:   &specs.LinuxPids{Limit: &processes},
		CPU:    &specs.LinuxCPU{Quota: &quota, Period: &period},
	}
	cg, err := cgroup1.New(cgroup1.NestedPath(name), resources, cgroup1.WithHierarchy(hierarchy))
	if err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	return &legacy{cg}, nil
}

// hierarchy is the part of version 1 that we use.
func hierarchy() ([]cgroup1.Subsystem, error) {
	all, err := cgroup1.Default()
	if err != nil {
		return nil, err
	}
	wanted := []cgroup1.Name{cgroup1.Memory, cgroup1.Pids, cgroup1.Cpu, cgroup1.Cpuacct}
	var out []cgroup1.Subsystem
	for _, s := range all {
		if slices.Contains(wanted, s.Name()) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no control groups are mounted")
	}
	return out, nil
}

// legacy is a group of version 1.
type legacy struct{ cg cgroup1.Cgroup }

func (g *legacy) add(pid int) error { return g.cg.AddProc(uint64(pid)) } //nolint:gosec // a process number

func (g *legacy) usage() (sandbox.Usage, error) {
	m, err := g.cg.Stat(cgroup1.IgnoreNotExist)
	if err != nil {
		return sandbox.Usage{}, err
	}
	return sandbox.Usage{
		CPU:             time.Duration(m.GetCPU().GetUsage().GetTotal()), //nolint:gosec // nanoseconds
		MemoryBytes:     int64(m.GetMemory().GetUsage().GetUsage()),      //nolint:gosec // bytes
		PeakMemoryBytes: int64(m.GetMemory().GetUsage().GetMax()),        //nolint:gosec // bytes
		Processes:       int(m.GetPids().GetCurrent()),                   //nolint:gosec // a count
	}, nil
}

func (g *legacy) remove(ctx context.Context) error {
	return retryBusy(ctx, g.cg.Delete)
}

// unified is a group of version 2.
type unified struct {
	m *cgroup2.Manager
}

// newUnified makes a group below the root, where root may make groups, or for an
// ordinary user below our own, where it was delegated.
func newUnified(name string, memory, processes, quota int64) (group, error) {
	swap := int64(0)
	period := uint64(cpuPeriod)
	resources := &cgroup2.Resources{
		Memory: &cgroup2.Memory{Max: &memory, Swap: &swap},
		Pids:   &cgroup2.Pids{Max: processes},
		CPU:    &cgroup2.CPU{Max: cgroup2.NewCPUMax(&quota, &period)},
	}
	parent := "/"
	if os.Geteuid() != 0 {
		own, err := cgroup2.NestedGroupPath("")
		if err != nil {
			return nil, err
		}
		parent = own
	}
	m, err := cgroup2.NewManager("/sys/fs/cgroup", filepath.Join(parent, name), resources)
	if err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	return &unified{m}, nil
}

func (g *unified) add(pid int) error { return g.m.AddProc(uint64(pid)) } //nolint:gosec // a process number

func (g *unified) usage() (sandbox.Usage, error) {
	m, err := g.m.Stat()
	if err != nil {
		return sandbox.Usage{}, err
	}
	return sandbox.Usage{
		CPU:             time.Duration(m.GetCPU().GetUsageUsec()) * time.Microsecond, //nolint:gosec // microseconds
		MemoryBytes:     int64(m.GetMemory().GetUsage()),                             //nolint:gosec // bytes
		PeakMemoryBytes: int64(m.GetMemory().GetMaxUsage()),                          //nolint:gosec // bytes
		Processes:       int(m.GetPids().GetCurrent()),                               //nolint:gosec // a count
	}, nil
}

func (g *unified) remove(ctx context.Context) error { return retryBusy(ctx, g.m.Delete) }

// retryBusy removes a group. The kernel lets go of the last process a moment
// after it has ended, and offers nothing to wait for that.
func retryBusy(ctx context.Context, remove func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := remove()
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("remove the control group: %w", err)
		}
	}
}

// leftGroups finds the control groups of ours on this machine.
func leftGroups() []string {
	var out []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read is not ours
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), groupPrefix) {
			out = append(out, path)
			return fs.SkipDir
		}
		return nil
	})
	return out
}
