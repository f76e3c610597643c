package cachedir_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mlgym/internal/cachedir"
)

// TestAPersonsUmaskKeepsNobodyOut makes folders as someone would who lets nobody
// read what he makes: sandboxes run as other users and have to enter.
func TestAPersonsUmaskKeepsNobodyOut(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	root := filepath.Join(t.TempDir(), "cache")
	t.Setenv(cachedir.EnvVar, root)
	if err := os.MkdirAll(filepath.Join(root, "made", "before"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := cachedir.Dir("made", "before", "and", "now")
	if err != nil {
		t.Fatal(err)
	}
	for at := dir; at != filepath.Dir(root); at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o755 {
			t.Errorf("%s has the mode %o, want 755", at, got)
		}
	}
}
