package sandboxtest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ownerAttr starts the owner in a session of its own, so that no signal of a
// terminal reaches it first.
func ownerAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// itself kills a process.
func itself(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Logf("kill %d: %v", pid, err)
	}
}

// firstProcess kills the first process of the sandbox in which pid is one.
func firstProcess(t *testing.T, pid int) {
	t.Helper()
	for pid > 1 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Logf("look for the first process: %v", err)
			return
		}
		parent := 0
		for line := range bytes.Lines(text) {
			fields := strings.Fields(string(line))
			switch {
			case len(fields) < 2:
			case fields[0] == "PPid:":
				parent, _ = strconv.Atoi(fields[1])
			case fields[0] == "NSpid:" && fields[len(fields)-1] == "1" && len(fields) > 2:
				itself(t, pid)
				return
			}
		}
		pid = parent
	}
	t.Fatal("the first process of the sandbox is not found")
}
