package runstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/gym"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// TestCopy goes on with a copy while the old run is still written: neither
// sees what becomes of the other.
func TestCopy(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "copy")
	old, err := runstore.Create(from, runstore.Manifest{Task: "blotto", Agent: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	record, err := old.Trajectory(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	reset := trajectory.Event{Reset: &trajectory.Reset{Seed: 3}}
	if err := record.Write(reset); err != nil {
		t.Fatal(err)
	}
	places, err := old.Evaluation(1, gym.Validate)
	if err != nil {
		t.Fatal(err)
	}
	handed := filepath.Join(places.SubmissionDir, "a.py")
	if err := os.WriteFile(handed, []byte("pass"), 0o600); err != nil {
		t.Fatal(err)
	}

	if err := runstore.Copy(from, to); err != nil {
		t.Fatal(err)
	}
	next, err := runstore.Open(to) // although the old one is locked
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if got, want := next.Manifest().GraderKey.Hex(), old.Manifest().GraderKey.Hex(); got != want {
		t.Errorf("the grader's key is %s, want %s", got, want)
	}
	if err := record.Write(trajectory.Event{Note: &trajectory.Note{Text: "only in the old one"}}); err != nil {
		t.Fatal(err)
	}
	rec, err := next.Recorded()
	if err != nil || rec.Reset == nil || rec.Reset.Seed != 3 {
		t.Fatalf("the copied record is %+v, %v", rec, err)
	}
	text, err := os.ReadFile(next.TrajectoryPath())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(old.TrajectoryPath())
	if err != nil {
		t.Fatal(err)
	}
	if len(text) >= len(whole) {
		t.Errorf("the copy has %d bytes and the old record %d: it grows with it", len(text), len(whole))
	}
	copied, err := os.ReadFile(filepath.Join(to, runstore.SubmissionName, filepath.Base(places.SubmissionDir), "a.py"))
	if diff := cmp.Diff("pass", string(copied)); diff != "" || err != nil {
		t.Errorf("what was handed in: %v\n%s", err, diff)
	}
	again, err := next.Evaluation(1, gym.Validate)
	if err != nil || again.SubmissionDir == filepath.Join(to, runstore.SubmissionName, filepath.Base(places.SubmissionDir)) {
		t.Errorf("the places of a further evaluation are %+v, %v", again, err)
	}
}

func TestCopyRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := runstore.Copy(filepath.Join(dir, "missing"), filepath.Join(dir, "to")); err == nil {
		t.Error("a run that is not there was copied")
	}
	if _, err := os.Stat(filepath.Join(dir, "to")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a failure something is left: %v", err)
	}
	if err := runstore.Copy(dir, dir); err == nil {
		t.Error("a run was copied onto itself")
	}
}
