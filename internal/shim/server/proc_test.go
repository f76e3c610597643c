package server

import (
	"os"
	"slices"
	"strconv"
	"testing"
)

// TestPIDs compares with the folder as the standard library reads it, as far as
// both were there all the time.
func TestPIDs(t *testing.T) {
	read := func() []int {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
		var out []int
		for _, e := range entries {
			if pid, err := strconv.Atoi(e.Name()); err == nil {
				out = append(out, pid)
			}
		}
		slices.Sort(out)
		return out
	}
	for range 50 {
		before, got, after := read(), pids(), read()
		if !slices.IsSorted(got) {
			t.Fatalf("not in order: %v", got)
		}
		for _, pid := range before {
			if slices.Contains(after, pid) && !slices.Contains(got, pid) {
				t.Errorf("%d is missing", pid)
			}
		}
		if !slices.Contains(got, os.Getpid()) {
			t.Error("this process is missing")
		}
	}
}

func TestDamagedEntriesOfAFolder(t *testing.T) {
	entry := func(name string, length byte) []byte {
		b := make([]byte, 24)
		b[16] = length
		copy(b[19:], name)
		return b
	}
	for name, data := range map[string][]byte{
		"nothing":     nil,
		"short":       make([]byte, 10),
		"no length":   entry("12", 0),
		"beyond":      entry("12", 200),
		"not a pid":   entry("12a", 24),
		"no name":     entry("", 24),
		"a pid twice": append(entry("12", 24), entry("12", 24)...),
	} {
		got := appendPIDs(nil, data)
		want := []int(nil)
		if name == "a pid twice" {
			want = []int{12, 12}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
