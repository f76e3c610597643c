package atomicfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mlgym/internal/atomicfile"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func TestWriteFileReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	for _, test := range []struct {
		text string
		perm fs.FileMode
	}{{"first", 0o644}, {"second", 0o600}, {"", 0o600}} {
		if err := atomicfile.WriteFile(path, []byte(test.text), test.perm); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != test.text {
			t.Errorf("content = %q, %v; want %q", got, err, test.text)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != test.perm {
			t.Errorf("mode = %v, %v; want %v", info.Mode().Perm(), err, test.perm)
		}
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("the folder holds %q, want a.json only", got)
	}
}

func TestWriteFileIntoMissingFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "a")
	if err := atomicfile.WriteFile(path, nil, 0o644); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error = %v, want one that wraps fs.ErrNotExist and names %s", err, path)
	}
}

func TestFullDiskKeepsTheOldFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system to fill; run the tests as root")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=64k", "mlgym-test", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let root mount a tmpfs: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	path := filepath.Join(dir, "a")
	old := bytes.Repeat([]byte("o"), 20_000)
	if err := atomicfile.WriteFile(path, old, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.WriteFile(path, make([]byte, 200_000), 0o644); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
		t.Errorf("error = %v, want one that wraps ENOSPC and names %s", err, path)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, old) {
		t.Errorf("the old content is gone (%d bytes, %v)", len(got), err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("the folder holds %q, want the old file only", got)
	}
}
