package runstore

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// ThisHost returns the facts of this machine, which are read once. What cannot be
// read stays zero.
func ThisHost() Host { return thisHost() }

var thisHost = sync.OnceValue(readHost)

func readHost() Host {
	h := Host{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), GoVersion: runtime.Version()}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if fields := strings.Fields(field(string(text), "MemTotal")); len(fields) > 0 {
			if kib, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				h.MemoryBytes = kib << 10
			}
		}
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		h.CPUModel = field(string(text), "model name")
	}
	return h
}

// field returns the value of the first line "name: value".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
