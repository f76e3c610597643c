package sandboxtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mlgym/sandbox"
)

// privateVar tells the second process of [PublicData] what it is.
const privateVar = "MLGYM_SANDBOXTEST_PRIVATE"

// PublicData checks that public data sets, which packages install on the host
// and in which an agent would find hidden labels, cannot be found inside. The
// host's folders are changed for that, in a view of the file system that only a
// second process has: the test must reach PublicData both times. It needs root.
func PublicData(t *testing.T, h Harness) {
	if os.Getenv(privateVar) == t.Name() {
		publicData(t, h)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: changing the host's folders, if only for a test of its own, needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v") //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), privateVar+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("in a view of its own:\n%s", out)
	switch {
	case err != nil:
		t.Errorf("in a view of its own: %v", err)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Skip("SKIPPED, for the reason above")
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Error("in a view of its own, the test did not run")
	}
}

func publicData(t *testing.T, h Harness) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Skipf("SKIPPED: no view of its own: %v", err)
	}
	changes := t.TempDir()
	if err := unix.Mount("tmpfs", changes, "tmpfs", 0, "size=16m,mode=0755"); err != nil {
		t.Skipf("SKIPPED: no view of its own: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(changes, unix.MNT_DETACH) })
	upper, work := filepath.Join(changes, "upper"), filepath.Join(changes, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		t.Fatal(err)
	}
	// Over the whole of /usr, since not every runtime shows a mount below it.
	if err := unix.Mount("overlay", "/usr", "overlay", 0, "lowerdir=/usr,upperdir="+upper+",workdir="+work); err != nil {
		t.Skipf("SKIPPED: no view of its own: %v", err)
	}
	name, secret := "mlgymtest"+unique(), "labels-"+unique()
	for _, folder := range []string{
		"/usr/share/datasets/fashion", "/usr/share/some-dataset", "/usr/share/nltk_data/corpora/x", "/usr/lib/R/library/x/data", "/usr/lib/R/site-library/titanic",
		"/usr/local/share/data", "/usr/lib/elsewhere/data", "/usr/share/seen",
	} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(folder, name), secret)
	}
	writeFile(t, "/usr/lib/bible.data", secret)
	if err := os.Symlink("../lib/elsewhere", "/usr/share/linked-dataset"); err != nil {
		t.Fatal(err)
	}
	s := &suite{Harness: h, driver: h.New(t)}
	box := s.create(t, sandbox.Spec{})
	if res := s.run(t, box, "cat /usr/share/seen/"+name); res.Output != secret {
		t.Fatalf("got %q, want a control that is seen: is the host's /usr shown at all?", res.Output)
	}
	s.attack(t, box, `
name, secret = sys.argv[1], sys.argv[2].encode()
def has(path):
    return path if secret in (read(path) or b"") else None
for path in ("/usr/share/datasets/fashion/", "/usr/share/some-dataset/", "/usr/share/nltk_data/corpora/x/", "/usr/lib/R/library/x/data/", "/usr/lib/R/site-library/titanic/",
             "/usr/local/share/data/", "/usr/lib/elsewhere/data/", "/usr/share/linked-dataset/data/", "/lib/R/library/x/data/"):
    attempt(path, lambda: has(path + name))
attempt("a file", lambda: has("/usr/lib/bible.data"))
def walk():
    found = []
    for folder, folders, files in os.walk("/"):
        if folder == "/": folders.remove("proc")
        if name in files and folder != "/usr/share/seen": found.append(folder)
    return found or None
attempt("every folder", walk)
def create(folder):
    open(folder + "/mlgymtest", "w").close()
    return folder
for folder in ("/usr/share/datasets", "/usr/lib/R", "/usr/lib/elsewhere"):
    attempt("write into " + folder, lambda: create(folder))
attempt("what covers it", lambda: call("umount2", b"/usr/share/datasets", 2) or 1)
`, name, secret)
}
