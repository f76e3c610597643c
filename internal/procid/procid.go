// Package procid names running processes, so that what they left behind can be told
// from what they still use: by another process, later, perhaps in another container
// that shares a folder.
package procid

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// ID names a process of this machine for ever. A number alone is used again.
type ID struct {
	PID int `json:"pid"`
	// Start is when it began, in clock ticks after the machine's boot.
	Start uint64 `json:"start"`
	// Boot is the machine's boot, and Namespace that of the process numbers; "" in
	// notes of earlier versions.
	Boot      string `json:"boot,omitempty"`
	Namespace string `json:"pid_namespace,omitempty"`
}

var here = sync.OnceValues(func() (boot, namespace string) {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // "" where there is none
	namespace, _ = os.Readlink("/proc/self/ns/pid")
	return strings.TrimSpace(string(text)), namespace
})

// Self names this process.
func Self() (ID, error) {
	start, err := startOf(os.Getpid())
	boot, namespace := here()
	return ID{PID: os.Getpid(), Start: start, Boot: boot, Namespace: namespace}, err
}

// Alive reports whether the process still runs. Where that cannot be known from
// here, since its number is one of another container's on this machine, it is taken
// to run: what is in use must not be removed.
func (id ID) Alive() bool {
	boot, namespace := here()
	if id.Boot != "" && boot != "" && id.Boot != boot {
		return false
	}
	if id.Namespace != "" && namespace != "" && id.Namespace != namespace {
		return true
	}
	start, err := startOf(id.PID)
	return err == nil && (id.Start == 0 || start == id.Start)
}

// startOf reads field 22 of /proc/PID/stat. The second one, the name in
// parentheses, may hold anything.
func startOf(pid int) (uint64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const field = 22 - 3
	if len(fields) <= field {
		return 0, fmt.Errorf("process status %q is too short", text)
	}
	return strconv.ParseUint(fields[field], 10, 64)
}
