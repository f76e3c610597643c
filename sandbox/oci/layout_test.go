package oci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/sandbox"
)

func TestParseStat(t *testing.T) {
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 30 40"
	for _, name := range []string{"sh", "a b", ") S 1 (", "))))"} {
		s, err := parseStat("77 (" + name + ")" + tail)
		if err != nil || s.start != 4242 || s.cpu != (11+12+13+14)*clockTick || s.memory != 30*int64(os.Getpagesize()) {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
	}
	for _, bad := range []string{"", "77", "77 (sh", "77 (sh) S 1 2", "77 (sh) S" + strings.Repeat(" x", 30)} {
		if s, err := parseStat(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9 10 11 12")
	f.Fuzz(func(_ *testing.T, line string) { _, _ = parseStat(line) })
}

func TestPlanRootOpensFoldersForMountpoints(t *testing.T) {
	image := t.TempDir()
	for _, dir := range []string{"usr/share/doc", "usr/bin", "etc", "opt/there"} {
		if err := os.MkdirAll(filepath.Join(image, dir), 0o755); err != nil { //nolint:gosec // a test's
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"usr/share/file": "file", "etc/passwd": "root:x:0:0::/:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/hosts": "",
	} {
		if err := os.WriteFile(filepath.Join(image, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/bin", filepath.Join(image, "bin")); err != nil {
		t.Fatal(err)
	}
	p, err := planRoot(lower{dir: image}, []sandbox.Mount{
		{Source: image, Target: "/usr/share/new/place"},
		{Source: image, Target: "/opt2/there"},
		{Source: filepath.Join(image, "etc/hosts"), Target: "/data/file"},
	}, map[string]string{"/app": "/home/agent/workspace", "/opt": "/home/agent/opt", "/srv/a/b": "/home/agent/b"}, sandbox.UserID)
	if err != nil {
		t.Fatal(err)
	}
	at := t.TempDir()
	binds, err := p.build(at, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, b := range binds {
		if source, ok := strings.CutPrefix(b.Source, image+"/"); ok {
			got[b.Target] = source
		}
	}
	for link, want := range map[string]string{"app": "/home/agent/workspace", "opt": "/home/agent/opt", "srv/a/b": "/home/agent/b"} {
		if got, err := os.Readlink(filepath.Join(at, link)); err != nil || got != want {
			t.Errorf("/%s leads to %q, %v; want %q", link, got, err, want)
		}
	}
	want := map[string]string{"/usr/bin": "usr/bin", "/usr/share/doc": "usr/share/doc", "/usr/share/file": "usr/share/file"}
	delete(got, "/etc/passwd")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shown from the image, want (-) and got (+) differ:\n%s", diff)
	}
	for _, place := range []string{"usr/share/new/place", "data/file", "home/agent", "tmp", "proc", "dev/shm", "var/tmp"} {
		if _, err := os.Lstat(filepath.Join(at, place)); err != nil {
			t.Error(err)
		}
	}
	passwd, err := os.ReadFile(filepath.Join(at, "etc/passwd"))
	if err != nil || !strings.Contains(string(passwd), "agent:x:1000:1000:") || strings.Contains(string(passwd), "ubuntu") || !strings.Contains(string(passwd), "root:") {
		t.Errorf("passwd is %q, %v; want root and agent", passwd, err)
	}
}

func TestPlanRootRefuses(t *testing.T) {
	image := t.TempDir()
	for _, dir := range []string{"usr", "var"} {
		if err := os.Mkdir(filepath.Join(image, dir), 0o755); err != nil { //nolint:gosec // a test's
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(image, "var/link")); err != nil {
		t.Fatal(err)
	}
	if _, err := planRoot(lower{dir: image}, []sandbox.Mount{{Source: image, Target: "/var/link/x"}}, nil, sandbox.UserID); err == nil {
		t.Error("a mount below a link was planned")
	}
	if _, err := planRoot(lower{host: true}, []sandbox.Mount{{Source: image, Target: "/usr/local/x"}}, nil, sandbox.UserID); err == nil || !strings.Contains(err.Error(), "hidden") {
		t.Errorf("a mount in a hidden folder: got %v, want an error that says so", err)
	}
	if _, err := planRoot(lower{dir: t.TempDir()}, nil, nil, sandbox.UserID); err == nil {
		t.Error("an empty folder was taken as a root file system")
	}
}
