package hostview

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/sandbox"
)

// fill makes files below a folder; a name that ends in "/" is a folder, one
// with "->" a link.
func fill(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		name, link, isLink := strings.Cut(name, "->")
		at := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case isLink:
			err = errors.Join(err, os.Symlink(link, at))
		case strings.HasSuffix(name, "/"):
			err = errors.Join(err, os.MkdirAll(at, 0o755))
		default:
			err = errors.Join(err, os.WriteFile(at, nil, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestHiddenPaths(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, root,
		"usr/local/bin/tool", "usr/local/share/datasets/x", "usr/share/doc/datasets/x", "usr/share/datasets/fashion/labels",
		"usr/share/seaborn-data->../lib/elsewhere", "usr/lib/elsewhere/titanic.csv", "usr/share/nltk_data->/srv/nltk", "usr/share/gretl->../../srv/gretl", "srv/gretl/x",
		"usr/lib/R/library/base/x", "usr/lib/bible.data", "usr/lib/bible.data.conc", "lib->usr/lib", "usr/lib/python3.11/os.py",
		"usr/lib/python3/dist-packages/sklearn/datasets/data/iris.csv", "usr/lib/python3/dist-packages/sklearn/datasets/base.py",
		"usr/lib/python3/dist-packages/sklearn/datasets/tests/data/titanic.gz",
		"usr/share/my cache/x", "var/cache/x")
	var got []string
	for _, h := range hiddenBelow(root, append([]string{"/usr/share/my cache", "/var/cache"}, hidden...)) {
		kind := ""
		if h.IsDir {
			kind = "/"
		}
		got = append(got, strings.TrimPrefix(h.Path, root)+kind)
	}
	want := []string{
		"/usr/lib/R/", "/usr/lib/bible.data", "/usr/lib/bible.data.conc", "/usr/lib/elsewhere/",
		"/usr/lib/python3/dist-packages/sklearn/datasets/data/", "/usr/lib/python3/dist-packages/sklearn/datasets/tests/", "/usr/local/", "/usr/share/datasets/", "/usr/share/my cache/",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-) and got (+) differ:\n%s", diff)
	}
}

func TestHiddenPathsOfThisMachine(t *testing.T) {
	for _, h := range HiddenPaths() {
		if h.Path == "/usr/local" {
			return
		}
	}
	if _, err := os.Stat("/usr/local"); err == nil {
		t.Errorf("got %v, want /usr/local among them", HiddenPaths())
	}
}

func BenchmarkHiddenPaths(b *testing.B) {
	for b.Loop() {
		HiddenPaths()
	}
}

func TestGPUDevices(t *testing.T) {
	dev := t.TempDir()
	fill(t, dev, "nvidia0->/dev/null", "nvidia1->/dev/null", "nvidiactl->/dev/null", "nvidia-uvm->/dev/null", "nvidia-caps/nvidia-cap1->/dev/null")
	got, err := GPUDevices("test", dev, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	want := []Device{
		{filepath.Join(dev, "nvidia1"), "/dev/nvidia1"},
		{filepath.Join(dev, "nvidiactl"), "/dev/nvidiactl"},
		{filepath.Join(dev, "nvidia-uvm"), "/dev/nvidia-uvm"},
		{filepath.Join(dev, "nvidia-caps/nvidia-cap1"), "/dev/nvidia-caps/nvidia-cap1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-) and got (+) differ:\n%s", diff)
	}
	if none, err := GPUDevices("test", "/no/such/folder", nil); err != nil || none != nil {
		t.Errorf("no GPU asked for: got %v, %v", none, err)
	}
	unavailable := func(dev string, gpus []int, reason, fix string) {
		t.Helper()
		_, err := GPUDevices("test", dev, gpus)
		u := (*sandbox.UnavailableError)(nil)
		if !errors.As(err, &u) || !strings.Contains(u.Reason, reason) || !strings.Contains(u.Fix, fix) {
			t.Errorf("%v: got %v, want the reason %q and the fix %q", gpus, err, reason, fix)
		}
	}
	unavailable(dev, []int{0, 2}, "nvidia2", "nvidia0")
	unavailable(t.TempDir(), []int{0}, "nvidia0", "ask for no GPU")
	if err := os.Remove(filepath.Join(dev, "nvidia-uvm")); err != nil {
		t.Fatal(err)
	}
	unavailable(dev, []int{0}, "nvidia-uvm", "nvidia-modprobe")
}

func TestDriverFolders(t *testing.T) {
	root := t.TempDir()
	if got := driverFolders(root); got != nil {
		t.Errorf("without a driver there: %v", got)
	}
	if err := os.MkdirAll(filepath.Join(root, "usr/local/nvidia"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := driverFolders(root); len(got) != 1 || got[0] != "/usr/local/nvidia" {
		t.Errorf("got %v", got)
	}
}
