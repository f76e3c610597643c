package tasks_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"mlgym/task"
	"mlgym/tasks"
)

func TestEveryTaskLoadsEmbeddedAndFromDiskAlike(t *testing.T) {
	embedded, err := task.NewCatalog(tasks.Files)
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := task.NewCatalog(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(embedded.IDs()); got < 14 || got != len(onDisk.IDs()) {
		t.Fatalf("got %d embedded tasks and %d on disk, want as many, at least 14", got, len(onDisk.IDs()))
	}
	for _, id := range embedded.IDs() {
		t.Run(string(id), func(t *testing.T) {
			one, err := embedded.Find(id)
			if err != nil {
				t.Fatal(err)
			}
			two, err := onDisk.Find(id)
			if err != nil {
				t.Fatal(err)
			}
			if one.Digest != two.Digest {
				t.Errorf("digest: embedded %s, on disk %s", one.Digest, two.Digest)
			}
			for _, name := range []string{task.Full, task.Small} {
				if _, err := one.Variant(name); err != nil {
					t.Error(err)
				}
			}
			if !one.HasMode(task.Hardened) || !one.HasMode(task.Published) {
				t.Errorf("got modes %v, want both", one.Modes)
			}
			// What cannot be run without data of the user's own may lack a
			// measurement in full; its README says so.
			for name, m := range map[string]*task.Measured{
				"baseline": one.Baseline(task.Small), "reference": one.Reference(task.Small), "published_baseline": one.PublishedBaseline,
			} {
				if m == nil || strings.TrimSpace(m.Origin) == "" || strings.Contains(m.Origin, "PENDING") {
					t.Errorf("%s: got %+v, want scores and where they are from", name, m)
				}
			}
			if n, ok := one.Normalise(task.Small, one.Baseline(task.Small).Scores[one.Primary().Name]); !ok || n != 0 {
				t.Errorf("the baseline is normalised to %g, want 0", n)
			}
			starter, err := one.Starter()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range one.Submission.Files {
				if _, err := fs.Stat(starter, f.Path); err != nil && one.BaselineCommand == "" {
					t.Errorf("the starter lacks %s, and no command makes it", f.Path)
				}
				for _, word := range []string{f.Path, one.Primary().Name, "validate", "submit"} {
					if !strings.Contains(one.Description, word) {
						t.Errorf("the description does not mention %s", word)
					}
				}
			}
			if err := fs.WalkDir(starter, ".", func(name string, _ fs.DirEntry, err error) error {
				if strings.Contains(name, "grade") {
					t.Errorf("the starter holds %s", name)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}
