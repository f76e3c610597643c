package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostPIDs finds the processes of this machine whose command line holds a
// text, other than this one.
func hostPIDs(t *testing.T, text string) []int {
	t.Helper()
	if text == "" {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && bytes.Contains(line, []byte(text)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// watched are processes that a test waits to see the end of. Each is held by a
// descriptor, so no other process can be taken for it.
type watched struct {
	name string
	fd   int
}

func watch(t *testing.T, pids []int) []watched {
	t.Helper()
	var all []watched
	for _, pid := range pids {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			t.Fatalf("watch process %d: %v", pid, err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		all = append(all, watched{fmt.Sprintf("%d %.80s", pid, strings.ReplaceAll(string(line), "\x00", " ")), fd})
	}
	return all
}

// gone fails the test unless all the processes end within the time.
func gone(t *testing.T, all []watched, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for _, w := range all {
		for {
			left := time.Duration(0)
			if deadline, ok := ctx.Deadline(); ok {
				left = max(time.Until(deadline), 0)
			}
			fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor
			n, err := unix.Poll(fds, int(left/time.Millisecond))
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				t.Fatalf("wait for process %s: %v", w.name, err)
			}
			if n == 0 {
				t.Errorf("process %s still runs", w.name)
			}
			break
		}
	}
}
