package server

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/sandbox"
)

// protect keeps the programs of the sandbox, which run as the same user, from
// looking into the shim or tracing it.
func protect() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	// What the process that made the sandbox left open by mistake ends here.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// setRlimits limits the shim and so everything that it starts.
func setRlimits(l sandbox.Limits, log *slog.Logger) {
	set := func(what int, name string, value uint64) {
		var now unix.Rlimit
		if err := unix.Getrlimit(what, &now); err != nil {
			return
		}
		value = min(value, now.Max)
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			log.Warn("set a resource limit", "limit", name, "error", err)
		}
	}
	set(unix.RLIMIT_NPROC, "processes", uint64(l.Processes)) //nolint:gosec // positive
	set(unix.RLIMIT_CORE, "core", 0)
	set(unix.RLIMIT_FSIZE, "file size", uint64(l.DiskBytes)) //nolint:gosec // positive
}

// watchMemory keeps the memory limit where no control group does: it adds up
// what the processes have in memory and ends the largest when that is too much.
// It is a sampling and can be outrun for a moment.
func watchMemory(limit int64, log *slog.Logger) {
	const every = 100 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	self := os.Getpid()
	for range ticker.C {
		var sum, most int64
		largest := 0
		for _, pid := range pids() {
			if pid == self {
				continue
			}
			size := resident(pid)
			sum += size
			if size > most {
				most, largest = size, pid
			}
		}
		if sum > limit && largest != 0 {
			log.Warn("memory limit reached", "pid", largest, "bytes", most)
			_ = syscall.Kill(largest, syscall.SIGKILL)
		}
	}
}

// resident is what a process alone has in memory: its private pages and its
// share of the others, or where that cannot be read its resident set.
func resident(pid int) int64 {
	dir := "/proc/" + strconv.Itoa(pid)
	if data, err := os.ReadFile(dir + "/smaps_rollup"); err == nil {
		for line := range bytes.Lines(data) {
			if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
				n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 10, 64)
				return n << 10
			}
		}
	}
	f, err := os.Open(dir + "/statm")
	if err != nil {
		return 0
	}
	defer f.Close()
	var size, rss int64
	if _, err := fmt.Fscan(bufio.NewReader(f), &size, &rss); err != nil {
		return 0
	}
	return rss * int64(os.Getpagesize())
}
