package experiment

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Process names a running program, so that one that died is not mistaken for
// another with its number.
type Process struct {
	Host string `json:"host"`
	// Boot is the machine's boot, "" where it is not known.
	Boot string `json:"boot,omitempty"`
	// Namespace is that of the process numbers.
	Namespace string `json:"pid_namespace,omitempty"`
	PID       int    `json:"pid"`
	// StartTicks is when it was started, in ticks since the boot.
	StartTicks string `json:"start_ticks,omitempty"`
	// Job of a cluster that it belongs to.
	Job string `json:"job,omitempty"`
}

var thisProcess = sync.OnceValue(func() Process {
	host, _ := os.Hostname() // for people
	p := Process{Host: host, PID: os.Getpid(), Boot: bootID(), Namespace: pidNamespace()}
	p.StartTicks, _ = startTicks(p.PID)
	if job := os.Getenv("SLURM_ARRAY_JOB_ID"); job != "" {
		p.Job = job + "_" + os.Getenv("SLURM_ARRAY_TASK_ID")
	}
	return p
})

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

func pidNamespace() string {
	name, _ := os.Readlink("/proc/self/ns/pid")
	return name
}

// startTicks reads when a process was started, and whether it is still there: a
// dead one that nobody has waited for is not.
func startTicks(pid int) (string, bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", !errors.Is(err, fs.ErrNotExist)
	}
	// The name, in parentheses, may hold anything.
	_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " ")
	fields := strings.Fields(rest)
	const state, start = 0, 19
	if len(fields) <= start || fields[state] == "Z" || fields[state] == "X" {
		return "", false
	}
	return fields[start], true
}

// gone reports whether the process has ended, where that can be known from
// here: on the same boot of the same machine, with the same process numbers.
func (p Process) gone() (gone, known bool) {
	me := thisProcess()
	if p.Boot == "" || p.Boot != me.Boot || p.Namespace != me.Namespace || p.StartTicks == "" {
		return false, false
	}
	ticks, there := startTicks(p.PID)
	return !there || ticks != "" && ticks != p.StartTicks, true
}
