package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/sandbox"
)

// cgroups is what this machine has of them. The zero value has none.
type cgroups struct {
	version int    // 0, 1 or 2
	root    string // /sys/fs/cgroup
	swap    bool   // swap can be bounded
}

// group is the parent of all cgroups of this driver.
const group = "mlgym-oci"

// controllers of v1 in which a sandbox's group is looked for.
var controllers = []string{"memory", "pids", "cpu", "cpuacct", "cpu,cpuacct", "devices", "freezer", "blkio", "cpuset", "net_cls", "net_prio", "net_cls,net_prio", "perf_event", "hugetlb", "rdma", "misc", "systemd"}

// findCgroups looks for cgroups whose memory, pids and cpu controllers this
// process may use.
func findCgroups(root string) cgroups {
	var st unix.Statfs_t
	if unix.Statfs(root, &st) != nil {
		return cgroups{}
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		text, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
		if err != nil {
			return cgroups{}
		}
		have := strings.Fields(string(text))
		for _, want := range []string{"memory", "pids", "cpu"} {
			if !slices.Contains(have, want) {
				return cgroups{}
			}
		}
		// In a container, the root may hold processes and refuse to delegate.
		if os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory +pids +cpu"), 0) != nil || !canMake(filepath.Join(root, group)) {
			return cgroups{}
		}
		return cgroups{version: 2, root: root, swap: true}
	}
	for _, want := range []string{"memory", "pids", "cpu"} {
		if !canMake(filepath.Join(root, want, group)) {
			return cgroups{}
		}
	}
	_, err := os.Stat(filepath.Join(root, "memory", "memory.memsw.limit_in_bytes"))
	return cgroups{version: 1, root: root, swap: err == nil}
}

func canMake(dir string) bool {
	err := os.Mkdir(dir, 0o755) //nolint:gosec // the mode of every cgroup
	return err == nil || errors.Is(err, fs.ErrExist)
}

func (c cgroups) usable() bool { return c.version != 0 }

// path is the group of a sandbox as runtimes want it.
func (c cgroups) path(id string) string { return "/" + group + "/" + id }

// name says which version there is.
func (c cgroups) name() string { return "cgroup v" + strconv.Itoa(c.version) }

// dirs are the folders of a sandbox's group.
func (c cgroups) dirs(id string) []string {
	if !c.usable() {
		return nil
	}
	if c.version == 2 {
		return []string{filepath.Join(c.root, group, id)}
	}
	var dirs []string
	for _, controller := range controllers {
		dirs = append(dirs, filepath.Join(c.root, controller, group, id))
	}
	return dirs
}

// ids are the sandboxes that have a group.
func (c cgroups) ids() []string {
	if !c.usable() {
		return nil
	}
	seen := map[string]bool{}
	for _, dir := range c.dirs(".") {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			if entry.IsDir() && sandbox.ValidID(entry.Name()) {
				seen[entry.Name()] = true
			}
		}
	}
	ids := make([]string, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// kill ends every process of a group.
func (c cgroups) kill(id string) {
	for _, dir := range c.dirs(id) {
		if os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) == nil {
			continue
		}
		for _, pid := range c.procs(dir) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// procs are the processes of a group and of those below it.
func (c cgroups) procs(dir string) []int {
	var pids []int
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil //nolint:nilerr // a group that has gone has no processes
		}
		text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for line := range strings.Lines(string(text)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// remove removes the folders of a group, inner ones first.
func (c cgroups) remove(id string) error {
	var errs []error
	for _, dir := range c.dirs(id) {
		var found []string
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return nil
		})
		for _, path := range slices.Backward(found) {
			if err := unix.Rmdir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, &fs.PathError{Op: "remove cgroup", Path: path, Err: err})
			}
		}
	}
	return errors.Join(errs...)
}

// usage reads what a group used.
func (c cgroups) usage(id string) (sandbox.Usage, error) {
	if c.version == 2 {
		dir := filepath.Join(c.root, group, id)
		stat, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
		if err != nil {
			return sandbox.Usage{}, err
		}
		u := sandbox.Usage{
			MemoryBytes:     number(dir, "memory.current"),
			PeakMemoryBytes: number(dir, "memory.peak"),
			Processes:       int(number(dir, "pids.current")),
		}
		for line := range strings.Lines(string(stat)) {
			if value, ok := strings.CutPrefix(line, "usage_usec "); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
				u.CPU = time.Duration(n) * time.Microsecond
			}
		}
		return u, nil
	}
	at := func(controller string) string { return filepath.Join(c.root, controller, group, id) }
	if _, err := os.Stat(at("memory")); err != nil {
		return sandbox.Usage{}, err
	}
	return sandbox.Usage{
		CPU:             time.Duration(number(at("cpuacct"), "cpuacct.usage")),
		MemoryBytes:     number(at("memory"), "memory.usage_in_bytes"),
		PeakMemoryBytes: number(at("memory"), "memory.max_usage_in_bytes"),
		Processes:       int(number(at("pids"), "pids.current")),
	}, nil
}

// number reads a file that holds one number, 0 where it does not.
func number(dir, name string) int64 {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}
