package machine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mlgym/internal/cachedir"
	"mlgym/machine"
)

// TestMain is also a process that claims.
func TestMain(m *testing.M) {
	if do := os.Getenv("MACHINE_TEST_DO"); do != "" {
		if err := child(do, os.Getenv("MACHINE_TEST_DIR")); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// made is a machine of made numbers: 2 GPUs, 1000 bytes, 4 processors.
func made(dir string) machine.Options {
	return machine.Options{Dir: dir, MemoryBytes: 1000, CPUs: 4, GPUs: []int{0, 1}}
}

func child(do, dir string) error {
	ctx := context.Background()
	m, err := machine.Open(ctx, made(dir))
	if err != nil {
		return err
	}
	switch do {
	case "hold": // both GPUs, until it is killed
		if _, err := m.Claim(ctx, request(2, 600, "killed")); err != nil {
			return err
		}
		// A program that is started must not inherit the lease.
		sleep := exec.CommandContext(ctx, "sleep", "60")
		if err := sleep.Start(); err != nil {
			return err
		}
		fmt.Println(sleep.Process.Pid)
		return sleep.Wait()
	case "hammer":
		for i := range 6 {
			req := request(1, 300, "hammer")
			if i%3 == 2 {
				req = request(0, 500, "hammer")
			}
			if err := hammer(ctx, m, dir, req); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("do what: %q", do)
}

func request(gpus int, memory int64, owner string) machine.Request {
	return machine.Request{Resources: machine.Resources{GPUs: gpus, MemoryBytes: memory}, Owner: owner}
}

// hammer claims, and finds out by other means than the lease whether anybody
// else has the same.
func hammer(ctx context.Context, m *machine.Machine, dir string, req machine.Request) error {
	lease, err := m.Claim(ctx, req)
	if err != nil {
		return err
	}
	marks := filepath.Join(dir, "marks")
	mark := filepath.Join(marks, fmt.Sprintf("memory-%d", os.Getpid()))
	if err := os.WriteFile(mark, []byte(strconv.FormatInt(req.MemoryBytes, 10)), 0o600); err != nil {
		return err
	}
	names := []string{mark}
	for _, gpu := range lease.GPUs() {
		name := filepath.Join(marks, fmt.Sprintf("gpu-%d", gpu))
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("GPU %d is held twice: %w", gpu, err)
		}
		_ = file.Close()
		names = append(names, name)
	}
	if len(names) != 1+req.GPUs {
		return fmt.Errorf("%d GPUs asked for, got %v", req.GPUs, lease.GPUs())
	}
	all, err := filepath.Glob(filepath.Join(marks, "memory-*"))
	if err != nil {
		return err
	}
	sum := int64(0)
	for _, name := range all {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || len(text) == 0 {
			continue // just given back, or just begun
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return err
		}
		sum += n
	}
	if sum > 1000 {
		return fmt.Errorf("%d bytes are claimed together", sum)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return lease.Release()
}

func start(t *testing.T, do, dir string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "MACHINE_TEST_DO="+do, "MACHINE_TEST_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

func open(t *testing.T, opts machine.Options) *machine.Machine {
	t.Helper()
	m, err := machine.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func claim(t *testing.T, m *machine.Machine, req machine.Request) *machine.Lease {
	t.Helper()
	lease, ok, err := m.TryClaim(req)
	if err != nil || !ok {
		t.Fatalf("claim %+v: %t, %v", req, ok, err)
	}
	return lease
}

func release(t *testing.T, lease *machine.Lease) {
	t.Helper()
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(dir, "*.claim"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTwentyProcessesShareTwoGPUs(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "marks"), 0o755); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "MACHINE_TEST_DO=hammer", "MACHINE_TEST_DIR="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestGoroutinesShareTwoGPUs(t *testing.T) {
	dir := t.TempDir()
	m := open(t, made(dir))
	var mu sync.Mutex
	held := map[int]bool{}
	memory := int64(0)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 5 {
				req := request(i%3, 100+int64(i)*20, "goroutine")
				lease, err := m.Claim(t.Context(), req)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, gpu := range lease.GPUs() {
					if held[gpu] {
						t.Errorf("GPU %d is held twice", gpu)
					}
					held[gpu] = true
				}
				if memory += req.MemoryBytes; memory > 1000 {
					t.Errorf("%d bytes are claimed together", memory)
				}
				mu.Unlock()
				mu.Lock()
				for _, gpu := range lease.GPUs() {
					held[gpu] = false
				}
				memory -= req.MemoryBytes
				mu.Unlock()
				if err := lease.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestKilledProcess frees what it held, though a program that it started lives on.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	m := open(t, made(dir))
	cmd, out := start(t, "hold", dir)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(line, err)
	}
	sleeper, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Kill(sleeper, unix.SIGKILL) })
	holders, err := m.Holders()
	if err != nil || len(holders) != 1 || holders[0].PID != cmd.Process.Pid || holders[0].Owner != "killed" ||
		holders[0].Waiting || holders[0].Resources != (machine.Resources{GPUs: 2, MemoryBytes: 600}) || len(holders[0].GPUs) != 2 {
		t.Fatalf("holders = %+v, %v; want the other process with what it holds", holders, err)
	}
	if _, ok, err := m.TryClaim(request(1, 0, "")); ok || err != nil {
		t.Fatalf("TryClaim = %t, %v; want false", ok, err)
	}
	got := make(chan error, 1)
	go func() {
		lease, err := m.Claim(t.Context(), request(2, 1000, "next"))
		if err == nil {
			err = lease.Release()
		}
		got <- err
	}()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := unix.Kill(sleeper, 0); err != nil {
		t.Fatalf("the program that it started has ended too, so this shows less: %v", err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestImpossible(t *testing.T) {
	m := open(t, machine.Options{Dir: t.TempDir(), MemoryBytes: 1 << 30, CPUs: 4, CPUFactor: 2, GPUs: []int{0, 3}})
	for _, tt := range []struct {
		name string
		req  machine.Request
		says string // "" is not ErrImpossible
	}{
		{"memory", request(0, 1<<30+1, ""), "1.0 GiB"},
		{"GPUs", request(3, 0, ""), "2 GPUs"},
		{"this GPU", machine.Request{Want: []int{1}}, "[0 3]"},
		{"processors", machine.Request{Resources: machine.Resources{CPUs: 8.5}}, "4 CPUs"},
		{"negative", request(-1, 0, ""), ""},
		{"a GPU twice", machine.Request{Want: []int{3, 3}}, ""},
		{"another number of GPUs", machine.Request{Want: []int{3}, Resources: machine.Resources{GPUs: 2}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, tryErr := m.TryClaim(tt.req)
			_, err := m.Claim(t.Context(), tt.req)
			for _, err := range []error{tryErr, err} {
				if err == nil || errors.Is(err, machine.ErrImpossible) != (tt.says != "") || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error = %v, want one that says %q", err, tt.says)
				}
			}
		})
	}
	if got := m.Has(); got != (machine.Resources{MemoryBytes: 1 << 30, CPUs: 4, GPUs: 2}) {
		t.Errorf("Has = %+v", got)
	}
	if lease := claim(t, m, machine.Request{Want: []int{3}}); len(lease.GPUs()) != 1 || lease.GPUs()[0] != 3 {
		t.Errorf("GPUs = %v, want 3", lease.GPUs())
	}
}

func TestProcessorsAreShared(t *testing.T) {
	many := machine.Request{Resources: machine.Resources{CPUs: 3}}
	m := open(t, made(t.TempDir()))
	for range 5 {
		claim(t, m, many)
	}
	opts := made(t.TempDir())
	opts.CPUFactor = 1.5
	m = open(t, opts)
	claim(t, m, many)
	last := claim(t, m, many)
	if _, ok, err := m.TryClaim(many); ok || err != nil {
		t.Errorf("beyond the factor: %t, %v; want false", ok, err)
	}
	release(t, last)
	claim(t, m, many)
}

func TestReleaseTwice(t *testing.T) {
	m := open(t, made(t.TempDir()))
	first := claim(t, m, request(2, 1000, ""))
	release(t, first)
	second := claim(t, m, request(2, 1000, ""))
	release(t, first)
	if _, ok, err := m.TryClaim(request(1, 0, "")); ok || err != nil {
		t.Errorf("TryClaim = %t, %v; the second release gave back what is another's", ok, err)
	}
	release(t, second)
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	m := open(t, made(dir))
	claim(t, m, request(1, 700, "the one in the way"))
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for { // until it waits
			if holders, err := m.Holders(); err != nil || len(holders) == 2 {
				break
			}
		}
		cancel(enough)
	}()
	_, err := m.Claim(ctx, request(2, 500, "the one that waits"))
	if !errors.Is(err, enough) {
		t.Fatalf("error = %v, want the context's cause", err)
	}
	for _, says := range []string{"the one in the way", "GPU 0", strconv.Itoa(os.Getpid()), "2 GPUs"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("error %q does not say %q", err, says)
		}
	}
	if strings.Contains(err.Error(), "the one that waits") {
		t.Errorf("error %q names the one that waits as one in the way", err)
	}
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("claims left: %v, want that of the holder", left)
	}
	claim(t, m, request(1, 300, "")) // what was waited for is free again
}

// TestNobodyStarves has many small claims come after a large one.
func TestNobodyStarves(t *testing.T) {
	m := open(t, made(t.TempDir()))
	first, second := claim(t, m, request(1, 0, "")), claim(t, m, request(1, 0, ""))
	got := make(chan *machine.Lease, 1)
	go func() {
		lease, err := m.Claim(t.Context(), request(2, 400, "large"))
		if err != nil {
			t.Error(err)
		}
		got <- lease
	}()
	for {
		holders, err := m.Holders()
		if err != nil {
			t.Fatal(err)
		}
		if len(holders) == 3 && holders[2].Waiting {
			break
		}
	}
	release(t, first)
	if _, ok, err := m.TryClaim(request(1, 0, "small")); ok || err != nil {
		t.Fatalf("a small one goes first: %t, %v", ok, err)
	}
	release(t, claim(t, m, request(0, 600, "of what nobody waits for")))
	release(t, second)
	lease := <-got
	if len(lease.GPUs()) != 2 {
		t.Errorf("GPUs = %v, want both", lease.GPUs())
	}
	release(t, lease)
}

func TestCorruptFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "cut off": `{"version":1,"he`, "of another version": `{"version":2}`, "negative": `{"version":1,"memory_bytes":-5}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m := open(t, made(dir))
			path := filepath.Join(dir, "00000000000000000007-123.claim")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			// Of a dead process: nobody's.
			release(t, claim(t, m, request(2, 1000, "")))
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			// Of a living one: nobody knows what it holds.
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if _, err := file.WriteString(text); err != nil {
				t.Fatal(err)
			}
			if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := m.TryClaim(request(1, 0, "")); ok || err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("TryClaim = %t, %v; want an error that names the file", ok, err)
			}
			if _, err := m.Holders(); err == nil {
				t.Error("Holders tells of no error")
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system to fill; run the tests as root")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=64k", "mlgym-test", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let root mount a tmpfs: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	m := open(t, made(dir))
	first := claim(t, m, request(1, 0, "first"))
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if _, ok, err := m.TryClaim(request(1, 0, "second")); ok || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("TryClaim = %t, %v; want ENOSPC", ok, err)
	}
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("claims: %v, want the first one's", left)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	second := claim(t, m, request(1, 0, "second"))
	release(t, first)
	release(t, second)
}

func TestFolderOfTheCache(t *testing.T) {
	t.Setenv(cachedir.EnvVar, t.TempDir())
	opts := made("")
	opts.MemoryBytes, opts.CPUs = 0, 0
	m, other := open(t, opts), open(t, opts)
	has := m.Has()
	if has.MemoryBytes <= 0 || has.CPUs <= 0 {
		t.Errorf("has = %+v, want some memory and processors", has)
	}
	claim(t, m, request(2, 0, ""))
	if _, ok, err := other.TryClaim(request(1, 0, "")); ok || err != nil {
		t.Errorf("another one with the same folder: %t, %v; want false", ok, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, opts := range map[string]machine.Options{
		"negative memory": {MemoryBytes: -1}, "negative processors": {CPUs: -1}, "GPU twice": {GPUs: []int{1, 1}}, "negative GPU": {GPUs: []int{-1}},
	} {
		opts.Dir = t.TempDir()
		if _, err := machine.Open(t.Context(), opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := machine.Open(t.Context(), machine.Options{Dir: filepath.Join(os.Args[0], "no folder")}); err == nil {
		t.Error("a folder that cannot be made: no error")
	}
}
