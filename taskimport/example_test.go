package taskimport_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/task"
	"mlgym/taskcheck"
	"mlgym/taskimport"
)

// TestNew checks the examples as a reviewer would: all has to pass as it is.
func TestNew(t *testing.T) {
	driver := newDriver(t)
	for _, kind := range []task.Kind{task.Files, task.Program} {
		t.Run(string(kind), func(t *testing.T) {
			folder, err := taskimport.New("my-task_1", kind, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			report, err := taskcheck.Check(t.Context(), taskcheck.Config{
				Task: load(t, folder), Tests: os.DirFS(filepath.Join(folder, "tests")), Variant: task.Small, Driver: driver, Key: key, Parallel: 2,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				if !f.OK {
					t.Errorf("%s: %s", f.Name, f.Detail)
				}
			}
			if page := text(t, folder, "README.md"); !strings.HasPrefix(page, "# my-task_1\n") || strings.Contains(page, "EXAMPLE") {
				t.Errorf("the README is not that of the task:\n%s", page)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	out := t.TempDir()
	if _, err := taskimport.New("there", task.Files, out); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		id   string
		kind task.Kind
		want string
	}{
		{"a b", task.Files, "want letters, digits, - and _, at most 64, the first one a letter or digit, such as a-b"},
		{"../x", task.Files, "want letters"},
		{"", task.Files, "want letters"},
		{strings.Repeat("x", 65), task.Files, "want letters"},
		{"other", "file", `kind "file" is not known; did you mean "files"?`},
		{"other", "", "is not known"},
		{"there", task.Files, "exists already: remove it, or give another place"},
	} {
		if folder, err := taskimport.New(tt.id, tt.kind, out); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%q, %q) gave %q and error %v, want one with %q", tt.id, tt.kind, folder, err, tt.want)
		}
	}
}
