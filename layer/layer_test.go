package layer

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"mlgym/environments"
	"mlgym/internal/cachedir"
)

// tiny is a lock of one small package.
const tiny = `iniconfig==2.0.0 \
    --hash=sha256:2d91e135bf72d31a410b17c16da610a82cb55f6b0477d1a902134b24a455b8b3 \
    --hash=sha256:b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374
`

func tinyLock() Lock { return Lock{Name: "tiny", Requirements: []byte(tiny)} }

// cacheOfItsOwn lets the test work in an empty cache.
func cacheOfItsOwn(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(cachedir.EnvVar, dir)
	return dir
}

// builds returns what build gives, and skips the test where that needs what this
// machine does not have.
func builds(t *testing.T, b *Builder, l Lock) Layer {
	t.Helper()
	made, err := b.Build(t.Context(), l)
	if known := (*Error)(nil); errors.As(err, &known) && (strings.Contains(known.Reason, "could not be fetched") || known.Fix == fixUV || strings.Contains(known.Fix, "apt-get install python3")) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// nothingLeft checks that neither a layer nor a part of one is there.
func nothingLeft(t *testing.T) {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".lock-") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func TestBuild(t *testing.T) {
	cache := cacheOfItsOwn(t)
	// A person's umask must not keep the sandboxes' users out.
	defer syscall.Umask(syscall.Umask(0o077))
	var mu sync.Mutex
	var stages []Stage
	var last Event
	b := NewBuilder(Options{Progress: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if !strings.HasPrefix(e.Text, "tiny: ") {
			t.Errorf("event %+v does not say whose it is", e)
		}
		if !slices.Contains(stages, e.Stage) {
			stages = append(stages, e.Stage)
		}
		last = e
	}})
	if _, ok := b.Lookup(tinyLock()); ok {
		t.Error("found before it was built")
	}
	made := builds(t, b, tinyLock())
	if made.Name != "tiny" || made.Packages != 1 || made.Bytes < 1000 || made.BuildSeconds <= 0 || !strings.HasPrefix(made.Python, "3.") || made.UV == "" || made.Platform == "" {
		t.Errorf("got %+v", made)
	}
	if want := []Stage{Downloading, Installing, Compiling}; !slices.Equal(stages, want) {
		t.Errorf("got stages %v, want %v", stages, want)
	}
	if last.Total == 0 {
		t.Errorf("the last event %+v counts no files", last)
	}
	works := func(l Layer) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), l.PythonPath(), "-I", "-c", "import iniconfig; print(iniconfig.__file__)").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), l.Dir+"/") {
			t.Errorf("its Python says %q, %v; want a module in %s", out, err, l.Dir)
		}
	}
	works(made)
	if link, err := os.Readlink(made.PythonPath()); err != nil || !strings.HasPrefix(link, "/usr/bin/python3.") {
		t.Errorf("its Python is a link to %s, %v; want the system's by its whole name", link, err)
	}
	compiled, err := filepath.Glob(made.Dir + "/lib/python3*/site-packages/iniconfig/__pycache__/*.pyc")
	if err != nil || len(compiled) == 0 {
		t.Errorf("nothing is compiled: %v", err)
	}
	if err := filepath.WalkDir(made.Dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if want := map[bool]os.FileMode{true: 0o555, false: 0o444}[e.IsDir()]; e.Type()&os.ModeSymlink == 0 && info.Mode().Perm()&want != want {
			t.Errorf("%s cannot be read by others: %v", path, info.Mode())
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(cache, "layers", unfinished+"*"))
	if left != nil {
		t.Errorf("left behind: %v", left)
	}

	t.Run("again", func(t *testing.T) {
		again, err := NewBuilder(Options{UV: "/no/such/uv"}).Build(t.Context(), tinyLock())
		if err != nil || again != made {
			t.Errorf("got %+v, %v; want the layer that is there", again, err)
		}
		if found, ok := b.Lookup(tinyLock()); !ok || found != made {
			t.Errorf("found %+v, %v", found, ok)
		}
		other := tinyLock()
		other.Requirements = append(other.Requirements, '\n')
		if _, ok := b.Lookup(other); ok {
			t.Error("another lock has the same layer")
		}
	})
	t.Run("after its cache was moved", func(t *testing.T) {
		moved := filepath.Join(t.TempDir(), "moved")
		if err := os.Rename(cache, moved); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := os.Rename(moved, cache); err != nil {
				t.Error(err)
			}
		}()
		t.Setenv(cachedir.EnvVar, moved)
		found, ok := b.Lookup(tinyLock())
		if !ok || found.Digest != made.Digest || !strings.HasPrefix(found.Dir, moved) {
			t.Fatalf("found %+v, %v", found, ok)
		}
		works(found)
	})
	t.Run("listed and removed", func(t *testing.T) {
		list, err := List()
		if err != nil || len(list) != 1 || list[0] != made {
			t.Errorf("got %+v, %v; want the one layer", list, err)
		}
		for range 2 {
			if err := Remove(t.Context(), made.Digest); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := b.Lookup(tinyLock()); ok {
			t.Error("found after it was removed")
		}
		nothingLeft(t)
		if err := Remove(t.Context(), "../uv"); err == nil {
			t.Error("a path was taken for a digest")
		}
		if err := b.RemoveDownloads(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestBuildFails(t *testing.T) {
	cacheOfItsOwn(t)
	b := NewBuilder(Options{})
	builds(t, b, tinyLock())
	if list, err := List(); err != nil || Remove(t.Context(), list[0].Digest) != nil {
		t.Fatal(err)
	}
	const hash = " --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n"
	for name, c := range map[string]struct{ lock, reason, output string }{
		"a wrong hash":       {"iniconfig==2.0.0" + hash, "another file of iniconfig==2.0.0", "Computed"},
		"an unknown package": {"mlgym-has-no-such-package==1.0" + hash, "no mlgym-has-no-such-package", "not found"},
		"an unknown version": {"iniconfig==2.0.99" + hash, "no iniconfig==2.0.99", "no version"},
		"a missing hash":     {"iniconfig==2.0.0\n", "without a hash", "iniconfig"},
		"no lock at all":     {"{not a requirement}\n", "could not install", "requirement"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Build(t.Context(), Lock{Name: "mine", Requirements: []byte(c.lock)})
			known := (*Error)(nil)
			if !errors.As(err, &known) || known.Name != "mine" || !strings.Contains(known.Reason, c.reason) || known.Fix == "" || !strings.Contains(known.Output, c.output) {
				t.Errorf("got %v, want an Error with the reason %q and uv's %q", err, c.reason, c.output)
			}
			nothingLeft(t)
		})
	}
	t.Run("no network", func(t *testing.T) {
		t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
		t.Setenv("UV_HTTP_RETRIES", "0")
		t.Setenv("UV_OFFLINE", "")
		if err := b.RemoveDownloads(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := b.Build(t.Context(), tinyLock())
		if known := (*Error)(nil); !errors.As(err, &known) || !strings.Contains(known.Reason, "iniconfig could not be fetched") || !strings.Contains(known.Fix, "UV_DEFAULT_INDEX") {
			t.Errorf("got %v, want an Error that names the package and the fix", err)
		}
		nothingLeft(t)
	})
}

func TestBuildFromSource(t *testing.T) {
	cacheOfItsOwn(t)
	made := builds(t, NewBuilder(Options{}), Lock{Name: "source", Requirements: []byte(
		"docopt==0.6.2 --hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491\n")})
	if out, err := exec.CommandContext(t.Context(), made.PythonPath(), "-c", "import docopt").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// fakeUV is a uv that does as the given shell script says with "pip sync", and
// as the real one otherwise.
func fakeUV(t *testing.T, sync string) string {
	t.Helper()
	real, err := NewBuilder(Options{}).findUV()
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	path := filepath.Join(t.TempDir(), "uv")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nuv="+real+"\nif [ \"$1\" = pip ]; then\n"+sync+"\nfi\nexec $uv \"$@\"\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return path
}

func TestCancelledBuildLeavesNothing(t *testing.T) {
	cacheOfItsOwn(t)
	alive := filepath.Join(t.TempDir(), "alive")
	if err := unix.Mkfifo(alive, 0o600); err != nil {
		t.Fatal(err)
	}
	// A child of uv's holds the pipe open as long as it lives.
	uv := fakeUV(t, "echo 'Downloading something (1.0GiB)' >&2; (echo started; sleep 1000) > "+alive+"; exit 1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		f, err := os.Open(alive)
		if err == nil {
			_, err = f.Read(make([]byte, 1))
			_ = f.Close()
		}
		if err != nil {
			t.Error(err)
		}
		cancel()
	}()
	_, err := NewBuilder(Options{UV: uv}).Build(ctx, tinyLock())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	nothingLeft(t)
	f, err := os.OpenFile(alive, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if !errors.Is(err, unix.ENXIO) {
		t.Errorf("opening the pipe gives %v, %v; want that nobody reads it", f, err)
	}
	f, err = os.OpenFile(alive, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var buf [1]byte
	if n, err := unix.Read(int(f.Fd()), buf[:]); n != 0 || err != nil { //nolint:gosec // a descriptor
		t.Errorf("reading the pipe gives %d, %v; want its end, since what uv started was killed", n, err)
	}
}

func TestConcurrentBuildsGiveOne(t *testing.T) {
	cacheOfItsOwn(t)
	log := filepath.Join(t.TempDir(), "log")
	uv := fakeUV(t, "echo sync >> "+log+"; sleep 0.3")
	builds(t, NewBuilder(Options{}), Lock{Name: "control", Requirements: []byte("# another\n" + tiny)}) // or skips
	var wg sync.WaitGroup
	made := make([]Layer, 3)
	for i := range made {
		wg.Go(func() {
			var err error
			if made[i], err = NewBuilder(Options{UV: uv}).Build(t.Context(), tinyLock()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made[0] != made[1] || made[1] != made[2] {
		t.Errorf("got %+v, want one", made)
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != "sync\n" {
		t.Errorf("installed %q times, %v; want once", text, err)
	}
}

func TestSweep(t *testing.T) {
	cacheOfItsOwn(t)
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	dead, living, foreign := strings.Repeat("d", 32), strings.Repeat("a", 32), ".unfinished-business"
	for _, name := range []string{unfinished + dead + "-1", unfinished + dead + "-2", unfinished + living + "-1", foreign} {
		if err := os.MkdirAll(filepath.Join(dir, name, "lib"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := tryLock(dir, living)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	sweep(dir)
	left, _ := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	if want := []string{filepath.Join(dir, unfinished+living+"-1"), filepath.Join(dir, foreign)}; !slices.Equal(left, want) {
		t.Errorf("left: %v, want %v", left, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lock(ctx, dir, living, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("a lock that is held: got %v, want that waiting ends with its context", err)
	}
}

func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: a small disk can be made by root only")
	}
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=256k,mode=0755"); err != nil {
		t.Skipf("SKIPPED: no small disk: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	t.Setenv(cachedir.EnvVar, small)
	full := func(b *Builder, reason string) {
		t.Helper()
		_, err := b.Build(t.Context(), Lock{Name: "large", Requirements: []byte(
			"packaging==24.2 --hash=sha256:09abb1bccd265c01f4a3aa3f7a7db064b36514d2cba19a2f694fe6150451a759\n" + tiny)})
		known := (*Error)(nil)
		if errors.As(err, &known) && (known.Fix == fixUV || strings.Contains(known.Reason, "could not be fetched")) {
			t.Skipf("SKIPPED: %v", err)
		}
		if !errors.As(err, &known) || !strings.Contains(known.Reason, reason) || !strings.Contains(known.Fix, cachedir.EnvVar) || !strings.Contains(known.Fix, small) {
			t.Errorf("got %v, want an Error with %q that names %s", err, reason, cachedir.EnvVar)
		}
		nothingLeft(t)
	}
	full(NewBuilder(Options{}), "0 MB of the disk are free")
	b := NewBuilder(Options{})
	b.minFree = 1
	full(b, "the disk is full")
}

func TestNoUV(t *testing.T) {
	cacheOfItsOwn(t)
	_, err := NewBuilder(Options{UV: "/no/such/uv"}).Build(t.Context(), tinyLock())
	if known := (*Error)(nil); !errors.As(err, &known) || !strings.Contains(known.Fix, "pip install uv") || !strings.Contains(known.Fix, EnvUV) {
		t.Errorf("got %v, want an Error that says how to get uv", err)
	}
	t.Setenv(EnvUV, "/another/uv")
	_, err = NewBuilder(Options{}).Build(t.Context(), tinyLock())
	if known := (*Error)(nil); !errors.As(err, &known) || !strings.Contains(known.Reason, "/another/uv") {
		t.Errorf("got %v, want an Error that names /another/uv", err)
	}
}

func TestOldUV(t *testing.T) {
	cacheOfItsOwn(t)
	uv := fakeUV(t, "echo \"error: unexpected argument '--require-build-hashes' found\" >&2; exit 2")
	_, err := NewBuilder(Options{UV: uv}).Build(t.Context(), tinyLock())
	if known := (*Error)(nil); !errors.As(err, &known) || !strings.Contains(known.Reason, "too old") {
		t.Errorf("got %v, want an Error that says that uv is too old", err)
	}
	nothingLeft(t)
}

func TestPythonMustBeTheSystems(t *testing.T) {
	cacheOfItsOwn(t)
	own := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(own, []byte("#!/bin/sh\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	for path, reason := range map[string]string{own: "not the system's", "/usr/bin/true": "does not say its version", "/usr/bin/no-such-python": "no such file"} {
		_, err := NewBuilder(Options{Python: path}).Build(t.Context(), tinyLock())
		if known := (*Error)(nil); !errors.As(err, &known) || !strings.Contains(known.Reason, reason) || known.Fix == "" {
			t.Errorf("%s: got %v, want an Error with %q", path, err, reason)
		}
	}
}

func TestEnvironmentOfUV(t *testing.T) {
	got := environment([]string{
		"HOME=/home/me", "SECRET_KEY=x", "VIRTUAL_ENV=/v", "UV_PYTHON=3.9", "UV_TARGET=/t", "UV_CACHE_DIR=/c", "UV_INDEX_MINE_PASSWORD=p", "NO_PROXY=",
		"https_proxy=http://proxy", "PIP_INDEX_URL=https://mirror/simple", "PIP_CERT=/pip.pem", "SSL_CERT_FILE=/own.pem", "PYTHONPATH=/p",
	}, "/cache/uv", "/tmp/x")
	slices.Sort(got)
	want := []string{
		"HOME=/home/me", "NO_COLOR=1", "PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=/own.pem", "TMPDIR=/tmp/x", "UV_CACHE_DIR=/cache/uv",
		"UV_DEFAULT_INDEX=https://mirror/simple", "UV_INDEX_MINE_PASSWORD=p", "UV_NO_PROGRESS=1", "UV_PYTHON_DOWNLOADS=never", "https_proxy=http://proxy",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestFind(t *testing.T) {
	files := fstest.MapFS{
		"torch/requirements.txt": {Data: []byte("cpu")}, "torch/requirements-cuda.txt": {Data: []byte("gpu")},
		"tabular/requirements.txt": {Data: []byte("table")}, "README.md": {}, "empty/x": {},
	}
	for _, c := range []struct{ accelerator, name, want, text string }{
		{"cpu", "torch", "torch", "cpu"}, {"cuda", "torch", "torch (cuda)", "gpu"}, {"cuda", "tabular", "tabular", "table"},
	} {
		t.Setenv(EnvAccelerator, c.accelerator)
		if got, err := Find(files, c.name); err != nil || got.Name != c.want || string(got.Requirements) != c.text {
			t.Errorf("%s with %s: got %s %q, %v", c.name, c.accelerator, got.Name, got.Requirements, err)
		}
	}
	for _, name := range []string{"tourch", "", "..", "empty", "README.md"} {
		if _, err := Find(files, name); err == nil || !strings.Contains(err.Error(), "known: tabular, torch") {
			t.Errorf("%q: got %v, want an error with the names that there are", name, err)
		}
	}
	if _, err := Find(files, "tourch"); err == nil || !strings.Contains(err.Error(), `did you mean "torch"`) {
		t.Errorf("got %v, want the nearest name", err)
	}
	t.Setenv(EnvAccelerator, "tpu")
	if _, err := Find(files, "torch"); err == nil || !strings.Contains(err.Error(), "tpu") {
		t.Errorf("got %v, want an error about %s", err, EnvAccelerator)
	}
}

func TestShippedEnvironmentsAreLocked(t *testing.T) {
	names, err := Environments(environments.Files)
	if err != nil || len(names) < 3 {
		t.Fatalf("got %v, %v; want at least three", names, err)
	}
	for _, name := range names {
		for _, accelerator := range []string{"cpu", "cuda"} {
			t.Setenv(EnvAccelerator, accelerator)
			l, err := Find(environments.Files, name)
			if err != nil {
				t.Fatal(err)
			}
			packages, hashes := count(l.Requirements), int64(strings.Count(string(l.Requirements), "\n    --hash=sha256:"))
			if packages < 5 || hashes < packages {
				t.Errorf("%s has %d packages and %d hashes", l.Name, packages, hashes)
			}
		}
	}
}

func TestWhatALockRemovesIsGone(t *testing.T) {
	cacheOfItsOwn(t)
	b := NewBuilder(Options{})
	whole := builds(t, b, tinyLock())
	less := tinyLock()
	less.Remove = []string{"iniconfig/_parse.py"}
	made := builds(t, b, less)
	if made.Digest == whole.Digest {
		t.Errorf("both have the digest %s", made.Digest)
	}
	name := func(l Layer) string {
		found, err := filepath.Glob(filepath.Join(l.Dir, "lib", "python3*", "site-packages", "iniconfig", "_parse.py"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(found, " ")
	}
	if name(whole) == "" || name(made) != "" {
		t.Errorf("got %q in the whole one and %q in the other, want it in the whole one only", name(whole), name(made))
	}
	less.Remove = []string{"iniconfig/nothing"}
	if _, err := b.Build(t.Context(), less); err == nil || !strings.Contains(err.Error(), "remove.txt lists iniconfig/nothing") {
		t.Errorf("got error %v, want one about what is not there", err)
	}
}

func TestFindReadsWhatToRemove(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		fails      bool
	}{
		{"# a comment\n\na/b  # why\nc\n", "a/b c", false},
		{"../x\n", "", true},
		{"/etc\n", "", true},
		{".\n", "", true},
	} {
		lock, err := Find(fstest.MapFS{
			"x/requirements.txt": {Data: []byte(tiny)},
			"x/remove.txt":       {Data: []byte(tt.text)},
		}, "x")
		if (err != nil) != tt.fails || strings.Join(lock.Remove, " ") != tt.want {
			t.Errorf("%q: got %v %v, want %q", tt.text, lock.Remove, err, tt.want)
		}
	}
}
