package pool_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mlgym"
	"mlgym/grader"
	"mlgym/gym"
	"mlgym/internal/shim/shimtest"
	"mlgym/pool"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/task"
	"mlgym/taskenv"
)

// ownerVar makes the test binary an owner of a pool that waits to be killed.
const ownerVar = "MLGYM_POOLTEST_OWNER"

func TestMain(m *testing.M) {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(ownerVar) != "" {
		if err := own(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func config() (taskenv.Config, error) {
	tasks, err := mlgym.Tasks()
	if err != nil {
		return taskenv.Config{}, err
	}
	what, err := tasks.Find(task.ID("battleOfSexes"))
	if err != nil {
		return taskenv.Config{}, err
	}
	driver := bubblewrap.New(bubblewrap.Options{})
	return taskenv.Config{
		Task: what, Driver: driver, Grader: grader.New(driver, grader.Options{}), Variant: "small",
		Key: func(uint64) []byte { return []byte("the key of the gradings") },
	}, nil
}

// filled returns a pool with n sandboxes, from which environments of the
// configuration claim.
func filled(ctx context.Context, n int) (*pool.Pool, taskenv.Config, error) {
	cfg, err := config()
	if err != nil {
		return nil, cfg, err
	}
	p := pool.New(pool.Options{ReserveBytes: -1})
	p.Set("task", n, func(ctx context.Context) (*taskenv.Ready, error) { return taskenv.Prepare(ctx, cfg) })
	cfg.Claim = func(ctx context.Context) (*taskenv.Ready, error) {
		ready, _ := p.Claim(ctx, "task")
		return ready, nil
	}
	if err := p.Wait(ctx, "task"); err != nil {
		return nil, cfg, errors.Join(err, p.Close())
	}
	return p, cfg, nil
}

func fill(tb testing.TB, n int) (*pool.Pool, taskenv.Config) {
	tb.Helper()
	p, cfg, err := filled(tb.Context(), n)
	if _, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		tb.Skipf("SKIPPED, nothing of this is tested here: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Errorf("close the pool: %v", err)
		}
	})
	return p, cfg
}

// own fills a pool and waits to be killed.
func own() error {
	if _, _, err := filled(context.Background(), 3); err != nil {
		return err
	}
	fmt.Println("filled")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

// TestEpisodesFromThePool plays episodes in sandboxes that were ready.
func TestEpisodesFromThePool(t *testing.T) {
	p, cfg := fill(t, 2)
	for seed := range uint64(3) {
		env, err := taskenv.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := env.Reset(t.Context(), gym.ResetOptions{Seed: seed}); err != nil {
			t.Fatal(err)
		}
		tr, err := env.Step(t.Context(), gym.Action{Command: "echo seed $MLGYM_SEED; ls"})
		if want := fmt.Sprintf("seed %d\n", seed); err != nil || !strings.HasPrefix(tr.Observation.Text, want) || !strings.Contains(tr.Observation.Text, "strategy.py") {
			t.Errorf("the episode says %q, %v; want %q and the starter", tr.Observation.Text, err, want)
		}
		if err := env.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Wait(t.Context(), "task"); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Stats()["task"]; got.Claimed != 3 || got.Misses != 0 || got.Failures != 0 || got.Ready != 2 {
		t.Errorf("stats %+v", got)
	}
}

// TestKilledOwner kills the owner of a pool with signal 9; nothing of it is left.
func TestKilledOwner(t *testing.T) {
	_, cfg := fill(t, 0)
	pruner, ok := cfg.Driver.(sandbox.Pruner)
	if !ok {
		t.Fatalf("%T is no sandbox.Pruner", cfg.Driver)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), ownerVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "filled\n" {
		_ = cmd.Wait()
		t.Fatalf("the owner says %q, %v", line, err)
	}
	owner := cmd.Process.Pid
	count := func() (live, dead int) {
		t.Helper()
		left, err := pruner.Leftovers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range left {
			switch {
			case l.OwnerPID != owner:
			case l.Live:
				live++
			default:
				dead++
			}
		}
		return live, dead
	}
	if live, _ := count(); live != 3 {
		t.Fatalf("%d sandboxes of the owner live, want 3", live)
	}
	inside := descendants(t, owner)
	if len(inside) < 9 { // bwrap, shim, shell
		t.Errorf("the owner has the processes %v, want those of three sandboxes", inside)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if live, dead := count(); live != 0 || dead < 3 {
		t.Errorf("after the kill %d live and %d leftovers are found, want none and the notes", live, dead)
	}
	if removed, err := pool.Reconcile(t.Context(), cfg.Driver); err != nil || removed < 3 {
		t.Errorf("Reconcile removed %d, %v", removed, err)
	}
	if live, dead := count(); live+dead != 0 {
		t.Errorf("after Reconcile %d live and %d leftovers are found", live, dead)
	}
	deadline := time.Now().Add(time.Minute)
	for pid, start := range inside {
		for {
			now, ok := statOf(pid)
			if !ok || now.start != start || now.state == "Z" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("process %d of a sandbox lives on", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// process is one line of the process table.
type process struct {
	ppid  int
	state string
	start string
}

func statOf(pid int) (p process, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return p, false
	}
	p.state, p.start = fields[0], fields[19]
	_, err = fmt.Sscan(fields[1], &p.ppid)
	return p, err == nil
}

// descendants returns when the processes below one were started.
func descendants(t *testing.T, root int) map[int]string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	table := map[int]process{}
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		if p, ok := statOf(pid); ok {
			table[pid] = p
		}
	}
	below := map[int]string{}
	for pid, p := range table {
		for at := p.ppid; at > 1; at = table[at].ppid {
			if at == root {
				below[pid] = p.start
				break
			}
		}
	}
	return below
}

// BenchmarkReset begins episodes: in sandboxes that were ready, and in ones made
// for them. The pool is filled outside the time.
func BenchmarkReset(b *testing.B) {
	p, claiming := fill(b, 8)
	making := claiming
	making.Claim = nil
	for _, c := range []struct {
		name string
		cfg  taskenv.Config
	}{{"claimed", claiming}, {"made", making}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var times []time.Duration
			for b.Loop() {
				b.StopTimer()
				if err := p.Wait(b.Context(), "task"); err != nil {
					b.Fatal(err)
				}
				fresh, err := taskenv.New(c.cfg)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				began := time.Now()
				if _, err := fresh.Reset(b.Context(), gym.ResetOptions{Seed: 1}); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
				b.StopTimer()
				if err := fresh.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			report(b, times)
		})
	}
}

// report adds the median and the 99th percentile.
func report(b *testing.B, times []time.Duration) {
	b.Helper()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}
