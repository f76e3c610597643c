package oci_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"mlgym/sandbox"
	"mlgym/sandbox/oci"
)

// smallRoot packs a root file system with bash, a few programs and the
// libraries that they need, taken from this machine.
func smallRoot(t *testing.T) []byte {
	t.Helper()
	files := map[string]bool{}
	for _, program := range []string{"bash", "cat", "ls", "id"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
		files[path] = true
		out, err := exec.Command("ldd", path).Output() //nolint:noctx,gosec // short
		if err != nil {
			t.Skipf("SKIPPED: ldd %s: %v", path, err)
		}
		for field := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(field, "/") {
				files[field] = true
			}
		}
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(h *tar.Header, text []byte) {
		h.Size = int64(len(text))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	for path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		add(&tar.Header{Name: "." + path, Typeflag: tar.TypeReg, Mode: 0o755}, text)
	}
	add(&tar.Header{Name: "./etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:0::/:/bin/bash\nnode:x:1000:1000::/:/bin/bash\n"))
	add(&tar.Header{Name: "./etc/mark", Typeflag: tar.TypeReg, Mode: 0o600}, []byte("lower layer\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// image makes an image of two layers, the second of which changes the first.
func image(t *testing.T, root []byte) v1.Image {
	t.Helper()
	layer := func(text []byte) v1.Layer {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil })
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, text := range map[string]string{"etc/mark": "upper layer\n", "etc/.wh.gone": ""} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer(root), layer(buf.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestRoots(t *testing.T) {
	root := smallRoot(t)
	dir, err := os.MkdirTemp("", "mlgymroots") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // read from inside
		t.Fatal(err)
	}
	cache := filepath.Join(dir, "cache")
	if err := os.Mkdir(cache, 0o755); err != nil { //nolint:gosec // read from inside
		t.Fatal(err)
	}
	driver := oci.New(oci.Options{CacheDir: cache})
	if _, err := driver.Probe(t.Context()); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}

	tarFile := filepath.Join(dir, "root.tar")
	if err := os.WriteFile(tarFile, root, 0o644); err != nil { //nolint:gosec // a test's
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder")
	if out, err := exec.Command("sh", "-c", "mkdir -p "+folder+" && tar -C "+folder+" -xf "+tarFile+" && chmod 644 "+folder+"/etc/mark").CombinedOutput(); err != nil { //nolint:noctx,gosec // short
		t.Fatalf("%v: %s", err, out)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/test/root:1"
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image(t, root)); err != nil {
		t.Fatal(err)
	}
	for kind, c := range map[string]struct{ root, mark string }{
		"folder": {folder, "lower layer\n"},
		"tar":    {tarFile, "lower layer\n"},
		"image":  {reference, "upper layer\n"},
	} {
		t.Run(kind, func(t *testing.T) {
			for range 2 { // the second one finds what the first one unpacked
				box, err := driver.Create(t.Context(), sandbox.Spec{Root: c.root, Mounts: []sandbox.Mount{{Source: dir, Target: "/usr/new/place"}}})
				if err != nil {
					t.Fatal(err)
				}
				res, err := box.(sandbox.Shell).Run(t.Context(), sandbox.Script{Text: "cat /etc/mark; id -un; ls /usr/new/place | cat; echo x > /etc/new"})
				if err := errors.Join(err, box.Close()); err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(res.Output, c.mark) || !strings.Contains(res.Output, "root.tar\n") || !strings.Contains(res.Output, "Read-only file system") {
					t.Errorf("got %q", res.Output)
				}
			}
		})
	}
	if _, err := os.Stat(filepath.Join(folder, "usr/new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was changed: %v", err)
	}
	t.Run("an image that is not there", func(t *testing.T) {
		missing := strings.Replace(reference, "test/root", "test/none", 1)
		_, err := driver.Create(t.Context(), sandbox.Spec{Root: missing})
		if err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("got %v, want an error that names the image", err)
		}
	})
	t.Run("a tar file that leads out", func(t *testing.T) {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: "../evil", Typeflag: tar.TypeReg}), w.Close()); err != nil {
			t.Fatal(err)
		}
		evil := filepath.Join(dir, "evil.tar")
		if err := os.WriteFile(evil, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := driver.Create(t.Context(), sandbox.Spec{Root: evil}); err == nil || !strings.Contains(err.Error(), "../evil") {
			t.Errorf("got %v, want an error that names the entry", err)
		}
	})
}

func TestUnavailable(t *testing.T) {
	for name, c := range map[string]struct {
		opts oci.Options
		fix  string
	}{
		"no such runtime": {oci.Options{Runtime: "kata"}, "runsc"},
		"not installed":   {oci.Options{RuntimePath: "/no/such/runc"}, "apt-get install runc"},
		"not gVisor":      {oci.Options{Runtime: oci.Runsc, RuntimePath: "/no/such/runsc"}, "scripts/runsc.sh"},
	} {
		t.Run(name, func(t *testing.T) {
			driver := oci.New(c.opts)
			for _, try := range []func() error{
				func() error { _, err := driver.Create(t.Context(), sandbox.Spec{}); return err },
				func() error { _, err := driver.Probe(t.Context()); return err },
			} {
				u := (*sandbox.UnavailableError)(nil)
				if err := try(); !errors.As(err, &u) || !strings.Contains(u.Fix, c.fix) {
					t.Errorf("got %v, want a fix with %q", err, c.fix)
				}
			}
		})
	}
	t.Run("a runtime that fails", func(t *testing.T) {
		driver := oci.New(oci.Options{RuntimePath: "/bin/false"})
		if _, err := driver.Probe(t.Context()); err == nil {
			t.Error("got no error")
		}
		if left, err := driver.Leftovers(t.Context()); err != nil || len(left) != 0 && left[0].OwnerPID == os.Getpid() {
			t.Errorf("left over: %v, %v", left, err)
		}
	})
}
