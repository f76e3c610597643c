package server

import (
	"bytes"
	"cmp"
	"log/slog"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/internal/shim/wire"
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
	set(unix.RLIMIT_NPROC, "processes", uint64(l.Processes)+wire.OwnThreads) //nolint:gosec // positive
	set(unix.RLIMIT_CORE, "core", 0)
}

// warmThreads starts threads that stay for the life of the shim. The runtime
// cannot do without a new thread when it wants one, and an agent that uses up
// all processes would otherwise end the shim with that.
func warmThreads() {
	const threads = wire.OwnThreads - 6
	var ready, release sync.WaitGroup
	ready.Add(threads)
	release.Add(1)
	for range threads {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			release.Wait()
		}()
	}
	ready.Wait()
	release.Done()
}

// watchMemory keeps the memory limit where no control group does: it adds up
// what the processes have in memory and ends the largest ones until the rest
// fits. It is a sampling and can be outrun for a moment.
func watchMemory(limit int64, log *slog.Logger) {
	const every = 50 * time.Millisecond
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	self := os.Getpid()
	for range ticker.C {
		// What is shared is counted for each at first, which is quick, and
		// exactly only where that seems too much.
		if _, most := sizes(self, residentSet); most <= limit {
			continue
		}
		list, sum := sizes(self, resident)
		slices.SortFunc(list, func(a, b processSize) int { return cmp.Compare(b.bytes, a.bytes) })
		for _, p := range list {
			if sum <= limit {
				break
			}
			log.Warn("memory limit reached", "pid", p.pid, "bytes", p.bytes)
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
			sum -= p.bytes
		}
	}
}

type processSize struct {
	pid   int
	bytes int64
}

// sizes measures all processes but the shim.
func sizes(self int, measure func(pid int) int64) (list []processSize, sum int64) {
	for _, pid := range pids() {
		if pid != self {
			size := measure(pid)
			list = append(list, processSize{pid, size})
			sum += size
		}
	}
	return list, sum
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
	return residentSet(pid)
}

// residentSet is all that a process has in memory, what it shares included.
func residentSet(pid int) int64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
