package rollout_test

import (
	"path/filepath"
	"testing"

	"mlgym"
	"mlgym/internal/shim/shimtest"
	"mlgym/rollout"
	"mlgym/runstore"
	"mlgym/sandbox/bubblewrap"
)

// BenchmarkResume goes on with an episode whose first action took 5 s and that was
// cut after the second one: from its checkpoint, and without one. It includes the
// sandbox that is made, and the last two actions.
func BenchmarkResume(b *testing.B) {
	if err := shimtest.Build(); err != nil {
		b.Fatal(err)
	}
	actions := []string{"sleep 5; echo slept > file", "x=1", "cat file; echo $x", "exit_forfeit"}
	part := func(b *testing.B, dir string, failAt int, with bool) error {
		b.Helper()
		store, err := runstore.Open(dir)
		if err != nil {
			if store, err = runstore.Create(dir, runstore.Manifest{RunID: "r", Task: "battleOfSexes"}); err != nil {
				b.Fatal(err)
			}
		}
		defer store.Close()
		env, err := mlgym.Make("battleOfSexes", mlgym.Options{
			Variant: "small", Secret: []byte("the secret of this test, 32 byte"), Driver: bubblewrap.New(bubblewrap.Options{}),
		})
		if err != nil {
			b.Fatal(err)
		}
		defer env.Close()
		past, err := store.Recorded()
		if err != nil {
			b.Fatal(err)
		}
		w, err := store.Trajectory(nil)
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		ep := rollout.Episode{Env: env, Agent: &script{actions: actions, failAt: failAt}, Recorder: w, Resume: past, CheckpointPolicy: always}
		if with {
			ep.Checkpoints = store.Checkpoints()
		}
		_, err = rollout.Run(b.Context(), ep)
		return err
	}
	for name, with := range map[string]bool{"checkpoint": true, "actions": false} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dir := filepath.Join(b.TempDir(), "run")
				if part(b, dir, 3, with) == nil {
					b.Fatal("nothing was cut")
				}
				b.StartTimer()
				if err := part(b, dir, 0, with); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
