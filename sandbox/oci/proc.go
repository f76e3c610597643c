package oci

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"mlgym/sandbox"
)

// clockTick is the unit of times in /proc, which Linux fixes for every program.
const clockTick = time.Second / 100

// stat is what /proc/PID/stat says of a process.
type stat struct {
	start  uint64        // ticks after the machine's start
	cpu    time.Duration // its own and that of children it waited for
	memory int64         // resident bytes
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

// parseStat reads a line of /proc/PID/stat. The name of the program stands in
// parentheses and may hold anything, parentheses too.
func parseStat(line string) (stat, error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("process status %q has no name", line)
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 22 {
		return stat{}, fmt.Errorf("process status %q is too short", line)
	}
	var s stat
	var err error
	number := func(field int) uint64 { // numbered as in proc(5)
		n, parseErr := strconv.ParseUint(fields[field-3], 10, 64)
		if parseErr != nil && err == nil {
			err = fmt.Errorf("process status: field %d: %w", field, parseErr)
		}
		return n
	}
	s.cpu = time.Duration(number(14)+number(15)+number(16)+number(17)) * clockTick //nolint:gosec // small
	s.start = number(22)
	s.memory = int64(number(24)) * int64(os.Getpagesize()) //nolint:gosec // small
	return s, err
}

// usageOfTree adds up what the descendants of a process use, as the kernel
// tells it outside. Processor time of processes whose parents did not wait for
// them is missing from it.
func usageOfTree(pid int) (sandbox.Usage, error) {
	if _, err := readStat(pid); err != nil {
		return sandbox.Usage{}, fmt.Errorf("%w: read its usage: %w", sandbox.ErrLost, err)
	}
	var u sandbox.Usage
	var add func(pid int)
	add = func(pid int) {
		for _, child := range children(pid) {
			if s, err := readStat(child); err == nil {
				u.CPU += s.cpu
				u.MemoryBytes += s.memory
				u.Processes++
			}
			add(child)
		}
	}
	add(pid)
	return u, nil
}
