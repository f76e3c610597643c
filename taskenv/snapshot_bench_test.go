package taskenv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"mlgym"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/taskenv"
)

// BenchmarkSnapshot saves and restores an episode with the starter's files alone,
// and with 100 MB and with 2000 small files more in its workspace.
func BenchmarkSnapshot(b *testing.B) {
	for _, c := range []struct{ name, command string }{
		{"starter", "true"},
		{"100MB", "head -c 100000000 /dev/urandom > large"},
		{"2000files", "mkdir many; for i in $(seq 2000); do echo $i > many/$i; done"},
	} {
		env := benchEnv(b)
		if _, err := env.Reset(b.Context(), gym.ResetOptions{Seed: 1}); err != nil {
			b.Skipf("SKIPPED: %v", err)
		}
		if _, err := env.Step(b.Context(), gym.Action{Command: c.command}); err != nil {
			b.Fatal(err)
		}
		var state bytes.Buffer
		if err := env.Snapshot(b.Context(), &state); err != nil {
			b.Fatal(err)
		}
		b.Run("save/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(state.Len()))
			for b.Loop() {
				if err := env.Snapshot(b.Context(), io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
		other := benchEnv(b)
		b.Run("restore/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(state.Len()))
			for b.Loop() {
				if _, err := other.Restore(b.Context(), gym.ResetOptions{Seed: 1}, bytes.NewReader(state.Bytes())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFork1MB and BenchmarkFork1GB continue an episode, whose workspace has that
// size, in another sandbox, which was ready. What is timed is saving it and restoring
// it, one after the other ("kept") or the one into the other ("piped"), and the first
// action that follows.
func BenchmarkFork1MB(b *testing.B) { benchFork(b, 1<<20) }

// BenchmarkFork1GB takes seconds and gigabytes: it runs where MLGYM_BENCH_LARGE is
// set.
func BenchmarkFork1GB(b *testing.B) {
	if os.Getenv("MLGYM_BENCH_LARGE") == "" {
		b.Skip("SKIPPED: MLGYM_BENCH_LARGE is not set, and this takes 4 GB of memory")
	}
	benchFork(b, 1<<30)
}

func benchFork(b *testing.B, size int64) {
	b.Helper()
	cfg := config(b, mlgym.Options{Limits: sandbox.Limits{DiskBytes: 2 << 30, MemoryBytes: 6 << 30}})
	make := func(cfg taskenv.Config) *taskenv.Env {
		b.Helper()
		env, err := taskenv.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		return env
	}
	env := make(cfg)
	defer env.Close()
	if _, err := env.Reset(b.Context(), gym.ResetOptions{Seed: 1}); err != nil {
		b.Skipf("SKIPPED: %v", err)
	}
	tr, err := env.Step(b.Context(), gym.Action{Command: fmt.Sprintf("head -c %d /dev/urandom > large; cksum large", size)})
	if err != nil {
		b.Fatal(err)
	}
	want := tr.Observation.Text
	for _, way := range []string{"kept", "piped"} {
		b.Run(way, func(b *testing.B) {
			b.SetBytes(size)
			var times []time.Duration
			for b.Loop() {
				b.StopTimer()
				ready, err := taskenv.Prepare(b.Context(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				other := make(claimOnce(cfg, ready))
				b.StartTimer()
				began := time.Now()
				if err := fork(b.Context(), env, other, way == "piped"); err != nil {
					b.Fatal(err)
				}
				if _, err := other.Step(b.Context(), gym.Action{Command: "true"}); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(began))
				b.StopTimer()
				tr, err := other.Step(b.Context(), gym.Action{Command: "cksum large"})
				if err != nil || tr.Observation.Text != want {
					b.Fatalf("the fork has %q, %v; want %q", tr.Observation.Text, err, want)
				}
				if err := other.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(times[0].Microseconds())/1000, "best-ms")
		})
	}
}

// fork continues the episode of one environment in another.
func fork(ctx context.Context, from, to *taskenv.Env, piped bool) error {
	opts := gym.ResetOptions{Seed: 1}
	if !piped {
		var state bytes.Buffer
		if err := from.Snapshot(ctx, &state); err != nil {
			return err
		}
		_, err := to.Restore(ctx, opts, &state)
		return err
	}
	r, w := io.Pipe()
	saved := make(chan error, 1)
	go func() {
		err := from.Snapshot(ctx, w)
		saved <- errors.Join(err, w.CloseWithError(err))
	}()
	_, err := to.Restore(ctx, opts, r)
	return errors.Join(err, r.Close(), <-saved)
}

func benchEnv(b *testing.B) *taskenv.Env {
	b.Helper()
	env, err := mlgym.Make("battleOfSexes", mlgym.Options{
		Variant: "small", Secret: []byte("the secret of this test, 32 byte"), Driver: bubblewrap.New(bubblewrap.Options{}),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = env.Close() })
	return env
}
