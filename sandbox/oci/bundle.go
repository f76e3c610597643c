package oci

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mlgym/internal/hostview"
	"mlgym/internal/shim"
	"mlgym/internal/syscallfilter"
	"mlgym/sandbox"
)

// idRange is how many users each sandbox has; uids of the host from idBase
// upwards are used, above those of people and of subordinate ids, below those
// that systemd keeps for itself.
const (
	idRange = 1 << 16
	idBase  = 1 << 30
	idSlots = 8192
)

// identity is who the user inside is.
type identity struct {
	inside  int // uid and gid inside
	mapping []specs.LinuxIDMapping
	gids    []specs.LinuxIDMapping
	outside int // uid and gid outside
}

// userInside is the number of the user inside. One who is not root may map one
// number only, and runtimes need that of root.
func (d *Driver) userInside() int {
	if d.asRoot {
		return sandbox.UserID
	}
	return 0
}

// newIdentity chooses a range of users of the host that have no files and no
// processes. Two sandboxes seldom share one, and nothing depends on it.
func (d *Driver) newIdentity() identity {
	if d.asRoot {
		base := idBase + rand.IntN(idSlots)*idRange                                        //nolint:gosec // not a secret
		m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(base), Size: idRange}} //nolint:gosec // < 2³¹
		return identity{inside: sandbox.UserID, mapping: m, gids: m, outside: base + sandbox.UserID}
	}
	return identity{
		inside:  d.userInside(),
		mapping: []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(os.Getuid()), Size: 1}}, //nolint:gosec // a uid
		gids:    []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(os.Getgid()), Size: 1}}, //nolint:gosec // a gid
		outside: os.Getuid(),
	}
}

// bundle is the configuration of one container.
func (d *Driver) bundle(dir string, wanted sandbox.Spec, who identity, binds []sandbox.Mount, p *plan, home *specs.Mount) (*specs.Spec, error) {
	limits := wanted.Limits
	var all []specs.Mount
	bind := func(m sandbox.Mount) {
		options := []string{"rbind", "rro", "nosuid", "nodev"}
		info, err := os.Stat(m.Source)
		if d.opts.Runtime == Runsc || err == nil && !info.IsDir() {
			// gVisor makes the whole mount read-only by "ro" already, and a
			// file has nothing below it.
			options[1] = "ro"
		}
		all = append(all, specs.Mount{Destination: m.Target, Type: "bind", Source: m.Source, Options: options})
	}
	for _, m := range binds {
		bind(m)
	}
	masked := []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/proc/key-users", "/proc/kallsyms", "/proc/kmsg",
		"/proc/modules", "/proc/slabinfo", "/proc/vmallocinfo",
	}
	for _, hidden := range p.hidden {
		switch {
		case d.opts.Runtime != Runsc:
			masked = append(masked, hidden.Path)
		case hidden.IsDir: // gVisor passes over masked paths
			all = append(all, specs.Mount{Destination: hidden.Path, Type: "tmpfs", Source: "tmpfs", Options: []string{"ro", "nosuid", "nodev", "noexec", "mode=755", "size=4k"}})
		default:
			bind(sandbox.Mount{Source: filepath.Join(dir, nothing), Target: hidden.Path})
		}
	}
	dev := []string{"nosuid", "noexec", "strictatime", "mode=755", "size=1m"}
	if !d.asRoot {
		// The user inside would own it.
		dev = append(dev, "ro")
	}
	all = append(all, specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
		specs.Mount{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: dev},
		specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}})
	for _, place := range places {
		if place == sandbox.HomeDir && home != nil {
			all = append(all, *home)
			continue
		}
		options := []string{"nosuid", "nodev", fmt.Sprintf("size=%d", limits.DiskBytes)}
		if d.opts.Runtime != Runsc {
			options = append(options, fmt.Sprintf("nr_inodes=%d", inodes(limits)))
		}
		switch place {
		case sandbox.HomeDir:
			options = append(options, "mode=0700")
		default:
			options = append(options, "mode=1777")
		}
		all = append(all, specs.Mount{Destination: place, Type: "tmpfs", Source: "tmpfs", Options: options})
	}
	for _, m := range p.mounts {
		bind(m)
	}

	id32 := uint32(who.inside) //nolint:gosec // 0 or 1000
	zero := 0
	spec := &specs.Spec{
		Version:  "1.0.2",
		Root:     &specs.Root{Path: filepath.Join(dir, "rootfs"), Readonly: true},
		Hostname: hostview.HostName,
		Mounts:   all,
		Process: &specs.Process{
			User:            specs.User{UID: id32, GID: id32},
			Args:            []string{sandbox.ShimDir + "/mlgym-shim", "serve"},
			Env:             shim.Environment(nil, nil),
			Cwd:             sandbox.WorkDir,
			NoNewPrivileges: true,
			Capabilities:    &specs.LinuxCapabilities{},
			OOMScoreAdj:     &zero,
			Rlimits: []specs.POSIXRlimit{
				{Type: "RLIMIT_CORE"},
				{Type: "RLIMIT_NOFILE", Soft: 4096, Hard: 4096},
				{Type: "RLIMIT_MEMLOCK", Soft: 64 << 10, Hard: 64 << 10},
				{Type: "RLIMIT_MSGQUEUE", Soft: 0, Hard: 0},
			},
		},
		Linux: &specs.Linux{
			UIDMappings: who.mapping,
			GIDMappings: who.gids,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.UserNamespace},
				{Type: specs.MountNamespace},
				{Type: specs.PIDNamespace},
				{Type: specs.NetworkNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
			},
			RootfsPropagation: "private",
			Seccomp:           syscallfilter.Profile(),
			MaskedPaths:       masked,
			ReadonlyPaths:     []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	if d.opts.Runtime == Runsc {
		spec.Linux.Seccomp = syscallfilter.ProfileForGVisor()
	} else {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	if !d.asRoot && d.opts.Runtime != Runsc {
		spec.Process.OOMScoreAdj = nil
	}
	if d.opts.Runtime == Runsc && !d.asRoot {
		// runsc makes the user namespace of an ordinary user by itself.
		spec.Linux.Namespaces = spec.Linux.Namespaces[1:]
		spec.Linux.UIDMappings, spec.Linux.GIDMappings = nil, nil
	}
	if d.cgroups.usable() {
		spec.Linux.CgroupsPath = d.cgroups.path(wanted.ID)
		spec.Linux.Resources = d.resources(limits)
	}
	return spec, d.showGPUs(spec, wanted.GPUs)
}

// showGPUs adds the device files of GPUs to a configuration.
func (d *Driver) showGPUs(spec *specs.Spec, gpus []int) error {
	devices, err := hostview.GPUDevices(d.Name(), d.opts.Devices, gpus)
	if err != nil || len(devices) == 0 {
		return err
	}
	if spec.Linux.Resources != nil {
		// What a runtime allows to all containers, and what follows.
		spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Access: "rwm"}}
	}
	for _, device := range devices {
		var st unix.Stat_t
		if err := unix.Stat(device.Source, &st); err != nil {
			return fmt.Errorf("GPU device %s: %w", device.Source, err)
		}
		major, minor := int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
		mode := fs.FileMode(st.Mode & 0o777)
		spec.Linux.Devices = append(spec.Linux.Devices, specs.LinuxDevice{Path: device.Target, Type: "c", Major: major, Minor: minor, FileMode: &mode})
		if spec.Linux.Resources != nil {
			spec.Linux.Resources.Devices = append(spec.Linux.Resources.Devices,
				specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "rw"})
		}
	}
	return nil
}

// resources are the limits that cgroups keep.
func (d *Driver) resources(limits sandbox.Limits) *specs.LinuxResources {
	memory := limits.MemoryBytes
	period := uint64(100_000)
	quota := int64(math.Round(limits.CPUs * float64(period)))
	pids := int64(limits.Processes) + shim.OwnThreads
	if d.opts.Runtime == Runsc {
		// gVisor's kernel has threads of its own beside those of the programs.
		memory += sentryBytes
		pids = pids*2 + sentryThreads
	}
	r := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &memory},
		CPU:    &specs.LinuxCPU{Period: &period, Quota: &quota},
		Pids:   &specs.LinuxPids{Limit: &pids},
	}
	if d.cgroups.swap {
		r.Memory.Swap = &memory // memory and swap together
	}
	return r
}

// What gVisor needs for itself beyond what the programs use.
const (
	sentryBytes   = 64 << 20
	sentryThreads = 256
)

// inodes bounds the number of files of a writable place, whose memory the
// kernel does not count as its size.
func inodes(limits sandbox.Limits) int64 { return max(limits.DiskBytes/4096, 16384) }

// nothing is an empty file beside the bundle, which covers files.
const nothing = "nothing"

func writeBundle(dir string, spec *specs.Spec) error {
	if err := os.WriteFile(filepath.Join(dir, nothing), nil, 0o444); err != nil { //nolint:gosec // seen from inside
		return err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600)
}
