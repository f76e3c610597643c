package trajectory_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/trajectory"
)

// TestResumeFromACheckpoint: the step of the checkpoint is written, read and
// told; a record without it stays as it was.
func TestResumeFromACheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.jsonl")
	events := completeEvents()
	for i, e := range events {
		if e.Resume != nil {
			resume := *e.Resume
			resume.Checkpoint, resume.Steps = 1, 1
			events[i].Resume = &resume
		}
	}
	write(t, path, events)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	got, _ := readAll(t, text)
	for _, e := range got {
		if e.Resume != nil {
			found++
			if e.Resume.Checkpoint != 1 || e.Resume.Steps != 1 {
				t.Errorf("read %+v, want checkpoint 1 and 1 step", e.Resume)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d resumptions, want 1", found)
	}
	var out bytes.Buffer
	if err := trajectory.Render(&out, trajectory.NewReader(bytes.NewReader(text)), trajectory.RenderOptions{}); err != nil {
		t.Fatal(err)
	}
	if want := "resumed from the checkpoint of step 1, 1 steps executed once more"; !strings.Contains(out.String(), want) {
		t.Errorf("the transcript lacks %q:\n%s", want, out.String())
	}
	if bytes.Contains(golden(t, "v1-complete.jsonl"), []byte(`"checkpoint"`)) {
		t.Error("the golden record of version 1 was changed")
	}
}
