package bubblewrap

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mlgym/internal/cachedir"
	"mlgym/internal/hostview"
	"mlgym/internal/procid"
)

// TestDriversAreShownInWhatIsHidden looks at the order: a driver's folder lies in
// one that is covered, so it is put there between the cover and its lock.
func TestDriversAreShownInWhatIsHidden(t *testing.T) {
	if !slices.ContainsFunc(hostview.HiddenPaths(), func(h hostview.Hidden) bool { return h.Path == "/usr/local" }) {
		t.Skip("SKIPPED: this machine has no /usr/local")
	}
	const folder = "/usr/local/nvidia"
	args, err := rootArguments("", "/etc", nil, []string{folder})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"--tmpfs", "/usr/local", "--ro-bind", folder, folder, "--remount-ro", "/usr/local"}
	at := slices.Index(args, "/usr/local") - 1
	if at < 0 || !slices.Equal(args[at:at+len(want)], want) {
		t.Errorf("got %v, want among them %v", args, want)
	}
	args, err = rootArguments("", "/etc", nil, nil)
	if err != nil || slices.Contains(args, folder) {
		t.Errorf("without GPUs the folder is shown: %v, %v", args, err)
	}
}

// TestNotesOfOthers are not taken for leftovers: one that is being written, one of
// another container, whose process has no number here.
func TestNotesOfOthers(t *testing.T) {
	t.Setenv(cachedir.EnvVar, t.TempDir())
	dir, err := cachedir.Dir(leaseDir)
	if err != nil {
		t.Fatal(err)
	}
	self, err := procid.Self()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := self
	elsewhere.PID, elsewhere.Namespace = 1<<22, "pid:[1]"
	dead := self
	dead.PID = 1 << 22
	for id, text := range map[string]any{"here": lease{ID: "here", owner: self}, "elsewhere": lease{ID: "elsewhere", owner: elsewhere}, "dead": lease{ID: "dead", owner: dead}} {
		data, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, id+".json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for id, age := range map[string]time.Duration{"begun": 0, "torn": time.Hour} {
		path := filepath.Join(dir, id+".json")
		then := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte(`{"id":`), 0o600), os.Chtimes(path, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := New(Options{}).Leftovers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, l := range left {
		if l.What != "cgroup" {
			got[l.ID] = l.Live
		}
	}
	want := map[string]bool{"here": true, "elsewhere": true, "begun": true, "torn": false, "dead": false}
	if !maps.Equal(got, want) {
		t.Errorf("alive are %v, want %v", got, want)
	}
}
