package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// What is left to the system and to mlgym itself: the larger of so many bytes and
// that part of all.
const (
	reserveBytes = 512 << 20
	reservePart  = 20
)

// bounds are what this process may use.
type bounds struct {
	memory int64
	cpus   float64 // 0 where nothing limits them but their number
}

// readBounds reads them from the files below root, which is / but for tests.
func readBounds(root string) (bounds, error) {
	text, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return bounds{}, err
	}
	var b bounds
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemTotal: %d kB", &kib); n == 1 {
			b.memory = kib << 10
		}
	}
	if b.memory <= 0 {
		return bounds{}, errors.New("/proc/meminfo does not say MemTotal")
	}
	for _, g := range groups(root) {
		for _, limit := range []string{"memory.max", "memory.limit_in_bytes"} {
			if n, ok := number(filepath.Join(g, limit)); ok && n > 0 {
				b.memory = min(b.memory, n)
			}
		}
		if cpus := quota(g); cpus > 0 && (b.cpus == 0 || cpus < b.cpus) {
			b.cpus = cpus
		}
	}
	return b, nil
}

// quota is the number of processors that a group may use, 0 for no limit.
func quota(group string) float64 {
	q, ok := number(filepath.Join(group, "cpu.cfs_quota_us"))
	period, known := number(filepath.Join(group, "cpu.cfs_period_us"))
	if !ok || !known {
		text, _ := os.ReadFile(filepath.Join(group, "cpu.max")) // absent where there is no limit
		if n, _ := fmt.Sscanf(string(text), "%d %d", &q, &period); n != 2 {
			return 0
		}
	}
	if q <= 0 || period <= 0 {
		return 0
	}
	return float64(q) / float64(period)
}

// number reads a file of one number; "max" and an absent file are none.
func number(name string) (int64, bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// groups returns the folders of the control groups of this process and of all
// groups above, of both versions. What cannot be read is no limit.
func groups(root string) []string {
	own, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(own)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		controllers := strings.Split(fields[1], ",")
		if fields[1] != "" && !slices.Contains(controllers, "memory") && !slices.Contains(controllers, "cpu") {
			continue
		}
		for mount := range strings.Lines(string(mounts)) {
			at, top, ok := cgroupMount(mount, controllers)
			if !ok {
				continue
			}
			// A mount may begin below the root; a path outside of it is that of
			// another namespace.
			rel, inside := strings.CutPrefix(fields[2], strings.TrimSuffix(top, "/"))
			if !inside || strings.Contains(rel, "..") {
				rel = ""
			}
			for rel = path.Join("/", rel); ; rel = path.Dir(rel) {
				dir := filepath.Join(root, at, rel)
				if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
					out = append(out, dir)
				}
				if rel == "/" {
					break
				}
			}
		}
	}
	return out
}

// cgroupMount reads a line of mountinfo: where the controllers are mounted (one
// empty name is version 2), and which group is its top.
func cgroupMount(line string, controllers []string) (at, top string, ok bool) {
	before, after, found := strings.Cut(line, " - ")
	fields, kind := strings.Fields(before), strings.Fields(after)
	if !found || len(fields) < 5 || len(kind) < 3 {
		return "", "", false
	}
	switch kind[0] {
	case "cgroup2":
		ok = controllers[0] == ""
	case "cgroup":
		options := strings.Split(kind[2], ",")
		ok = controllers[0] != "" && !slices.ContainsFunc(controllers, func(c string) bool { return !slices.Contains(options, c) })
	}
	return fields[4], fields[3], ok
}
