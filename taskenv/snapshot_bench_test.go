package taskenv_test

import (
	"bytes"
	"io"
	"testing"

	"mlgym"
	"mlgym/gym"
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
