package sandboxtest

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"mlgym/sandbox"
)

func (s *suite) limits(t *testing.T) {
	t.Run("memory of one process", func(t *testing.T) { s.memory(t, memoryHog) })
	t.Run("memory of many processes", func(t *testing.T) { s.memory(t, memoryHerd) })
	t.Run("processes", s.processes)
	t.Run("cpu", s.cpu)
	t.Run("disk", s.disk)
}

// memoryHog takes memory until it is stopped, and says so when it is not.
const memoryHog = `python3 -c '
hold = []
for i in range(64):
    hold.append(bytearray(b"x" * (16 << 20)))
print("TOOK A GIGABYTE")'`

// memoryHerd does it with many processes of moderate size.
const memoryHerd = `for i in $(seq 16); do python3 -c '
import time
hold = bytearray(b"x" * (64 << 20))
print("HERD MEMBER HOLDS 64 MB", flush=True)
time.sleep(4)' & done; wait`

func (s *suite) memory(t *testing.T, hog string) {
	s.limited(t, "memory")
	limits := sandbox.Limits{MemoryBytes: 256 << 20, DiskBytes: 64 << 20, Processes: 128}
	box := s.create(t, sandbox.Spec{Limits: limits})
	res, err := box.(sandbox.Shell).Run(wait(t), sandbox.Script{Text: hog + "; echo exit code $?", Wall: patience})
	if s.lost(t, err) {
		return
	}
	if strings.Contains(res.Output, "TOOK A GIGABYTE") {
		t.Errorf("a gigabyte was had where 256 MB are allowed: %s", res.Output)
	}
	if n := strings.Count(res.Output, "HERD MEMBER HOLDS"); n > 8 {
		t.Errorf("%d processes hold 64 MB each where 256 MB are allowed", n)
	}
	t.Logf("it ended with %q", res.Output)
	s.answers(t, box)
	meter, ok := box.(sandbox.Meter)
	if !ok {
		return
	}
	u, err := meter.Usage(wait(t))
	if err != nil {
		if s.unmetered(t, err) {
			return
		}
		t.Fatalf("usage: %v", err)
	}
	// The runtime's own memory may come on top.
	if u.PeakMemoryBytes > limits.MemoryBytes*3/2 {
		t.Errorf("at most %d bytes were in use at once, allowed are %d", u.PeakMemoryBytes, limits.MemoryBytes)
	}
	t.Logf("usage: %+v", u)
}

// unmetered says whether a driver may fail to say what a sandbox uses: where
// it has told that nothing on this machine counts it.
func (s *suite) unmetered(t *testing.T, err error) bool {
	t.Helper()
	if s.caps.Limits["cpu"] != "none" || errors.Is(err, sandbox.ErrLost) {
		return false
	}
	t.Logf("NOT MEASURED: %v", err)
	return true
}

func (s *suite) processes(t *testing.T) {
	s.limited(t, "processes")
	box := s.create(t, sandbox.Spec{Limits: sandbox.Limits{MemoryBytes: 1 << 30, DiskBytes: 64 << 20, Processes: 64}})
	for name, bomb := range map[string]string{
		"shell": "bomb() { bomb | bomb & }; bomb; sleep 1; echo survived",
		"python": `python3 -c '
import os, time
n = 0
for i in range(400):
    try:
        if os.fork() == 0:
            time.sleep(1000)
    except OSError:
        break
    n += 1
print("CHILDREN", n)'`,
		"threads": `python3 -c '
import threading, time
n = 0
for i in range(400):
    try: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    except RuntimeError: break
    n += 1
print("CHILDREN", n)'`,
	} {
		t.Run(name, func(t *testing.T) {
			res, err := box.(sandbox.Shell).Run(wait(t), sandbox.Script{Text: bomb, Wall: 5 * time.Second, Grace: 100 * time.Millisecond})
			if s.lost(t, err) {
				box = s.create(t, sandbox.Spec{Limits: sandbox.Limits{MemoryBytes: 1 << 30, DiskBytes: 64 << 20, Processes: 64}})
				return
			}
			for line := range strings.Lines(res.Output) {
				if number, ok := strings.CutPrefix(strings.TrimSpace(line), "CHILDREN "); ok {
					if n, err := strconv.Atoi(number); err != nil || n > 64 && !s.OwnKernel {
						t.Errorf("%q children although 64 are allowed", number)
					}
				}
			}
			t.Logf("it ended with exit code %d, deadline %q, output %.300q", res.ExitCode, res.Deadline, res.Output)
			// What the bomb left may still complain into the output of the
			// next script, which must work all the same.
			if res := s.run(t, box, "echo still $((6*7))"); !strings.Contains(res.Output, "still 42\n") {
				t.Errorf("afterwards the shell says %q (exit code %d), want %q in it", res.Output, res.ExitCode, "still 42\n")
			}
			// A program beside the shell starts, too.
			got := s.start(t, box, sandbox.Cmd{Argv: []string{"echo", "usable"}})
			if got.stdout != "usable\n" {
				t.Errorf("a program beside the shell: %+v", got)
			}
		})
	}
}

// cpu gives a sandbox half a processor and four busy processes.
func (s *suite) cpu(t *testing.T) {
	s.limited(t, "cpu")
	box := s.create(t, sandbox.Spec{Limits: sandbox.Limits{CPUs: 0.5, MemoryBytes: 512 << 20, DiskBytes: 64 << 20}})
	meter, ok := box.(sandbox.Meter)
	if !ok {
		t.Fatalf("%T cannot be measured from outside", box)
	}
	before, err := meter.Usage(wait(t))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.run(t, box, "for i in 1 2 3 4; do timeout 3 bash -c 'while :; do :; done' & done; wait")
	wall := time.Since(began)
	after, err := meter.Usage(wait(t))
	if err != nil {
		t.Fatal(err)
	}
	used := after.CPU - before.CPU
	t.Logf("%v of processor time in %v", used, wall)
	if used > wall*65/100 {
		t.Errorf("used %v of processor time in %v, allowed is half of it", used, wall)
	}
	if used < wall/20 {
		t.Errorf("only %v of processor time are counted in %v of work", used, wall)
	}
}

func (s *suite) disk(t *testing.T) {
	s.limited(t, "disk")
	const limit = 48 << 20
	box := s.create(t, sandbox.Spec{Limits: sandbox.Limits{MemoryBytes: 1 << 30, DiskBytes: limit}})
	for _, place := range []string{sandbox.WorkDir, sandbox.HomeDir, "/tmp", "/var/tmp", "/dev/shm"} {
		t.Run(place, func(t *testing.T) {
			res := s.run(t, box, "cd "+place+" && dd if=/dev/zero of=big bs=1M count=10240 2>&1; echo dd: $?; stat -c 'SIZE %s' big; rm -f big; cd "+sandbox.WorkDir)
			_, text, found := strings.Cut(res.Output, "SIZE ")
			if !found {
				if strings.Contains(res.Output, "Permission denied") || strings.Contains(res.Output, "No such file") || strings.Contains(res.Output, "Read-only") {
					t.Skipf("SKIPPED: %s is not a place to write in", place)
				}
				t.Fatalf("got %q", res.Output)
			}
			size, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil || size > limit || size < limit/2 {
				t.Errorf("10 GB written left %q bytes, want about %d", text, int64(limit))
			}
			if strings.Contains(res.Output, "dd: 0\n") {
				t.Errorf("the program was not told: %q", res.Output)
			}
		})
	}
	t.Run("many small files", func(t *testing.T) {
		got := s.python(t, box, `import os
n = 0
try:
    for i in range(200000):
        os.close(os.open(f"small{i}", os.O_CREAT | os.O_WRONLY)); n += 1
except OSError as e:
    print("stopped:", e.strerror)
print(n)
for i in range(n): os.remove(f"small{i}")`)
		t.Logf("%q", got)
	})
	t.Run("several files together", func(t *testing.T) {
		res := s.run(t, box, "for i in 1 2 3 4 5 6 7 8; do head -c 10M /dev/zero > part$i 2>/dev/null; done; du -sb --apparent-size . | cut -f1; rm -f part*")
		size, err := strconv.ParseInt(strings.TrimSpace(res.Output), 10, 64)
		if err != nil || size > limit+1<<20 {
			t.Errorf("together they hold %q bytes, allowed are %d", res.Output, int64(limit))
		}
	})
	s.answers(t, box)
}
