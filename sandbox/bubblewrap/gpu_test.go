package bubblewrap_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
)

// fakeGPUs is a folder with the device files of two GPUs, each of which is
// /dev/null in truth.
func fakeGPUs(t *testing.T) string {
	t.Helper()
	dev := filepath.Join(t.TempDir(), "dev")
	if err := errors.Join(os.Mkdir(dev, 0o755), os.Chmod(filepath.Dir(dev), 0o755), os.Chmod(filepath.Dir(filepath.Dir(dev)), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"} {
		if err := os.Symlink(os.DevNull, filepath.Join(dev, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dev
}

func TestGPUs(t *testing.T) {
	harness().New(t) // skips where there is no bubblewrap
	driver := bubblewrap.New(bubblewrap.Options{Devices: fakeGPUs(t)})
	const list = "cd /dev; ls -d nvidia*; echo x > nvidia1 && test -c nvidia1 && echo opened; touch nvidia7 2>&1 | grep -o 'Read-only file system'"
	for name, c := range map[string]struct {
		gpus []int
		want string
	}{
		"none": {nil, "ls: cannot access 'nvidia*': No such file or directory\nbash: nvidia1: Read-only file system\nRead-only file system\n"},
		"one":  {[]int{1}, "nvidia-uvm\nnvidia1\nnvidiactl\nopened\nRead-only file system\n"},
		"two":  {[]int{1, 0}, "nvidia-uvm\nnvidia0\nnvidia1\nnvidiactl\nopened\nRead-only file system\n"},
	} {
		t.Run(name, func(t *testing.T) {
			box, err := driver.Create(t.Context(), sandbox.Spec{GPUs: c.gpus})
			if err != nil {
				t.Fatal(err)
			}
			defer box.Close()
			res, err := box.(sandbox.Shell).Run(t.Context(), sandbox.Script{Text: list, Wall: time.Minute})
			if err != nil || res.Output != c.want {
				t.Errorf("inside: %q, %v; want %q", res.Output, err, c.want)
			}
		})
	}
	_, err := driver.Create(t.Context(), sandbox.Spec{GPUs: []int{2}})
	if u := (*sandbox.UnavailableError)(nil); !errors.As(err, &u) || !strings.Contains(u.Fix, "nvidia1") {
		t.Errorf("a GPU that is not there: %v, want an UnavailableError that names those that are", err)
	}
	if _, err := driver.Create(t.Context(), sandbox.Spec{GPUs: []int{0, 0}}); err == nil {
		t.Error("the same GPU twice was accepted")
	}
}
