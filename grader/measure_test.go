package grader_test

import (
	"os"
	"path/filepath"
	"testing"

	"mlgym/grader"
	"mlgym/task"
)

// TestMeasure grades starter and reference of each task in full and prints what
// task.yaml records. It runs where MLGYM_MEASURE is set.
func TestMeasure(t *testing.T) {
	if os.Getenv("MLGYM_MEASURE") == "" {
		t.Skip("SKIPPED: set MLGYM_MEASURE=1 to measure baselines in full, which takes minutes")
	}
	driver := newDriver(t)
	for _, tt := range shipped {
		for name, path := range map[string]string{
			"starter": filepath.Join(string(tt.id), "starter", tt.file), "reference": filepath.Join(string(tt.id), "tests", "reference.py"),
		} {
			box := newAgent(t, driver)
			put(t, box, map[string]string{tt.file: read(t, path)})
			for attempt := range 3 {
				got := grade(t, driver, grader.Request{
					Task: find(t, tt.id), Submission: box.Files(), Variant: task.Full, Mode: task.Published, Attempt: attempt,
				})
				t.Logf("%s %s: %v in %.1f s %v", tt.id, name, got.Scores, got.Seconds, got.Details)
			}
		}
	}
}
