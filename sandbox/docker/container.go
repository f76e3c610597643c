package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"mlgym/internal/cachedir"
	"mlgym/internal/hostview"
	"mlgym/internal/procid"
	"mlgym/internal/shim"
	"mlgym/internal/syscallfilter"
	"mlgym/sandbox"
)

// The labels by which leftovers are known.
const (
	labelID    = "mlgym.id"
	labelOwner = "mlgym.owner"
	labelStart = "mlgym.owner.start"
	// What number and start belong to: the machine's boot, the container.
	labelBoot      = "mlgym.owner.boot"
	labelNamespace = "mlgym.owner.pid_namespace"
	labelPurpose   = "mlgym.purpose"
)

// containerName is the container's name for a sandbox.
func containerName(id string) string { return "mlgym-" + id }

// containerOptions describe the container of a sandbox.
func containerOptions(e *engine, spec sandbox.Spec, image, shimDir string) (client.ContainerCreateOptions, error) {
	none := client.ContainerCreateOptions{}
	mounts, parents := planMounts(spec.Mounts)
	names, err := nameFiles()
	if err != nil {
		return none, err
	}
	security := []string{"no-new-privileges"}
	if !e.podman {
		// Podman takes a path on its own side instead, and has a good default.
		profile, err := json.Marshal(syscallfilter.Profile())
		if err != nil {
			return none, err
		}
		security = append(security, "seccomp="+string(profile))
	}
	tmpfs := map[string]string{}
	own := fmt.Sprintf("rw,exec,nosuid,nodev,size=%d,mode=0755,uid=%d,gid=%d", spec.Limits.DiskBytes, sandbox.UserID, sandbox.GroupID)
	for _, dir := range append([]string{sandbox.HomeDir, sandbox.WorkDir}, parents...) {
		tmpfs[dir] = own
	}
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		tmpfs[dir] = fmt.Sprintf("rw,exec,nosuid,nodev,size=%d,mode=1777", spec.Limits.DiskBytes)
	}
	pids := int64(spec.Limits.Processes) + shim.OwnThreads
	off := false
	host := &container.HostConfig{
		AutoRemove:     true,
		NetworkMode:    "none",
		IpcMode:        "private",
		CgroupnsMode:   "private",
		ReadonlyRootfs: true,
		CapDrop:        []string{"ALL"},
		SecurityOpt:    security,
		Tmpfs:          tmpfs,
		ShmSize:        spec.Limits.DiskBytes,
		Init:           &off,
		LogConfig:      container.LogConfig{Type: "none"},
		RestartPolicy:  container.RestartPolicy{Name: "no"},
		Resources: container.Resources{
			Ulimits: []*container.Ulimit{{Name: "core"}, {Name: "nofile", Soft: 4096, Hard: 4096}},
		},
		Mounts: append([]mount.Mount{
			bind(shimDir, sandbox.ShimDir),
			bind(filepath.Join(names, "passwd"), "/etc/passwd"),
			bind(filepath.Join(names, "group"), "/etc/group"),
		}, mounts...),
	}
	if len(spec.GPUs) > 0 {
		request := container.DeviceRequest{Driver: "nvidia", Capabilities: [][]string{{"gpu"}}}
		for _, gpu := range spec.GPUs {
			request.DeviceIDs = append(request.DeviceIDs, strconv.Itoa(gpu))
		}
		host.DeviceRequests = []container.DeviceRequest{request}
	}
	if !slices.Contains(e.without, "memory") {
		host.Memory, host.MemorySwap = spec.Limits.MemoryBytes, spec.Limits.MemoryBytes
	}
	if !slices.Contains(e.without, "processes") {
		host.PidsLimit = &pids
	}
	if !slices.Contains(e.without, "cpu") {
		// The engine refuses more than there are.
		host.NanoCPUs = int64(min(spec.Limits.CPUs, float64(max(e.cpus, 1))) * 1e9)
	}
	self, err := procid.Self()
	if err != nil {
		return none, err
	}
	return client.ContainerCreateOptions{
		Name: containerName(spec.ID),
		Config: &container.Config{
			Image:        image,
			User:         fmt.Sprintf("%d:%d", sandbox.UserID, sandbox.GroupID),
			Hostname:     hostview.HostName,
			Entrypoint:   []string{sandbox.ShimDir + "/mlgym-shim"},
			Cmd:          []string{"serve"},
			WorkingDir:   sandbox.WorkDir,
			Env:          shim.Environment(nil, nil),
			OpenStdin:    true,
			StdinOnce:    true, // the end of the connection is the end of input
			AttachStdin:  true,
			AttachStdout: true,
			AttachStderr: true,
			Healthcheck:  &container.HealthConfig{Test: []string{"NONE"}},
			Labels: map[string]string{
				labelID:    spec.ID,
				labelOwner: strconv.Itoa(self.PID),
				labelStart: strconv.FormatUint(self.Start, 10),
				labelBoot:  self.Boot, labelNamespace: self.Namespace,
				labelPurpose: spec.Purpose,
			},
		},
		HostConfig: host,
	}, nil
}

func bind(source, target string) mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: true}
}

// planMounts turns mounts, which were checked, into the engine's. Folders between
// the home and a target, which the engine would make root's, are returned as
// parents.
func planMounts(wanted []sandbox.Mount) (mounts []mount.Mount, parents []string) {
	for _, m := range wanted {
		mounts = append(mounts, bind(m.Source, m.Target))
		for dir := path.Dir(m.Target); strings.HasPrefix(dir, sandbox.HomeDir+"/"); dir = path.Dir(dir) {
			if !slices.Contains(parents, dir) {
				parents = append(parents, dir)
			}
		}
	}
	return mounts, parents
}

// nameFiles returns a folder with the passwd and group files of every sandbox.
func nameFiles() (string, error) {
	dir, err := cachedir.Dir("docker")
	if err != nil {
		return "", err
	}
	files := hostview.EtcFiles(sandbox.UserID, nil, nil)
	for _, name := range []string{"passwd", "group"} {
		path, text := filepath.Join(dir, name), files[name]
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := replace(path, text); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// replace writes a file that others can read, at once or not at all.
func replace(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, writeErr := tmp.Write(text)
	err = errors.Join(writeErr, tmp.Chmod(0o644), tmp.Close()) //nolint:gosec // sandboxes read it
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
