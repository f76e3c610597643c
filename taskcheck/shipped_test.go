package taskcheck_test

import (
	"os"
	"path/filepath"
	"testing"

	"mlgym"
	"mlgym/task"
	"mlgym/taskcheck"
)

// TestShippedTasks runs the whole check of every task that ships, in its small
// variant: what "mlgym task check tasks/ID" does.
func TestShippedTasks(t *testing.T) {
	driver := newDriver(t)
	folders, err := filepath.Glob("../tasks/*/" + task.FileName)
	if err != nil || len(folders) < 14 {
		t.Fatalf("got %d tasks (%v), want 14", len(folders), err)
	}
	provider, err := mlgym.NewProvider(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range folders {
		id := filepath.Base(filepath.Dir(file))
		t.Run(id, func(t *testing.T) {
			loaded, err := task.Load(os.DirFS("../tasks"), id)
			if err != nil {
				t.Fatal(err)
			}
			given, err := provider.Prepare(t.Context(), loaded, task.Small, 0, func(text string, _, _ int64, _ bool) { t.Log(text) })
			if err != nil {
				t.Fatalf("prepare: %v", err)
			}
			report, err := taskcheck.Check(t.Context(), taskcheck.Config{
				Task: loaded, Tests: os.DirFS(filepath.Join("..", "tasks", id, "tests")), Variant: task.Small, Driver: driver,
				Provisions: given.Provisions, Key: []byte("a secret of these tests, of 32 b"), Parallel: 2,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				if !f.OK {
					t.Errorf("%s: %s", f.Name, f.Detail)
					continue
				}
				t.Logf("%s (%.1f s): %s", f.Name, f.Seconds, f.Detail)
			}
		})
	}
}
