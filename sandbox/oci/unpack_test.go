package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

type entry struct {
	name string
	kind byte
	mode int64
	link string
	text string
}

func pack(t testing.TB, entries []entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: e.mode, Linkname: e.link, Size: int64(len(e.text)), Devmajor: 8}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// tree describes what lies below dir: mode and content, or the end of a link.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text = "-> " + link
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(content)
		}
		found[strings.TrimPrefix(path, dir+"/")] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnpack(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []entry
		want    map[string]string
	}{
		{
			"ordinary things",
			[]entry{
				{"./", tar.TypeDir, 0o755, "", ""},
				{"./usr/", tar.TypeDir, 0o755, "", ""},
				{"./usr/bin/tool", tar.TypeReg, 0o755, "", "tool"},
				{"./usr/bin/same", tar.TypeLink, 0o755, "./usr/bin/tool", ""},
				{"./bin", tar.TypeSymlink, 0o777, "usr/bin", ""},
				{"./etc/absolute", tar.TypeSymlink, 0o777, "/etc/shadow", ""},
			},
			map[string]string{
				"usr": "drwxr-xr-x", "usr/bin": "drwxr-xr-x", "usr/bin/tool": "-rwxr-xr-x tool", "usr/bin/same": "-rwxr-xr-x tool",
				"bin": "-> usr/bin", "etc": "drwxr-xr-x", "etc/absolute": "-> /etc/shadow",
			},
		},
		{
			"set-user-id bits go, private files become readable",
			[]entry{{"su", tar.TypeReg, 0o6755, "", "x"}, {"key", tar.TypeReg, 0o600, "", "k"}, {"dir", tar.TypeDir, 0o1700, "", ""}},
			map[string]string{"su": "-rwxr-xr-x x", "key": "-rw-r--r-- k", "dir": "drwxr-xr-x"},
		},
		{
			"devices and pipes are left out",
			[]entry{
				{"disk", tar.TypeBlock, 0o666, "", ""},
				{"mem", tar.TypeChar, 0o666, "", ""},
				{"pipe", tar.TypeFifo, 0o666, "", ""},
				{"file", tar.TypeReg, 0o644, "", "f"},
			},
			map[string]string{"file": "-rw-r--r-- f"},
		},
		{
			"an absolute name lies below the root",
			[]entry{{"/etc/passwd", tar.TypeReg, 0o644, "", "mine"}},
			map[string]string{"etc": "drwxr-xr-x", "etc/passwd": "-rw-r--r-- mine"},
		},
		{
			"later entries replace earlier ones, links too",
			[]entry{
				{"a", tar.TypeReg, 0o644, "", "old"},
				{"a", tar.TypeReg, 0o644, "", "new"},
				{"b", tar.TypeSymlink, 0o777, "a", ""},
				{"b", tar.TypeReg, 0o644, "", "own"},
				{"c/d", tar.TypeReg, 0o644, "", "x"},
				{"c", tar.TypeSymlink, 0o777, "a", ""},
			},
			map[string]string{"a": "-rw-r--r-- new", "b": "-rw-r--r-- own", "c": "-> a"},
		},
		{
			"a hard link to a link's target outside takes the link's place only",
			[]entry{{"l", tar.TypeSymlink, 0o777, "/etc/passwd", ""}, {"l", tar.TypeReg, 0o644, "", "safe"}},
			map[string]string{"l": "-rw-r--r-- safe"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unpack(dir, bytes.NewReader(pack(t, c.entries))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, tree(t, dir)); diff != "" {
				t.Errorf("want (-) and got (+) differ:\n%s", diff)
			}
		})
	}
}

func TestUnpackAttacks(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries func(outside string) []entry
	}{
		{"dots", func(string) []entry { return []entry{{"../evil", tar.TypeReg, 0o644, "", "x"}} }},
		{"dots in the middle", func(string) []entry { return []entry{{"a/../../evil", tar.TypeReg, 0o644, "", "x"}} }},
		{"through an absolute link", func(outside string) []entry {
			return []entry{{"out", tar.TypeSymlink, 0o777, outside, ""}, {"out/evil", tar.TypeReg, 0o644, "", "x"}}
		}},
		{"through a relative link", func(string) []entry {
			return []entry{{"out", tar.TypeSymlink, 0o777, "../outside", ""}, {"out/evil", tar.TypeReg, 0o644, "", "x"}}
		}},
		{"through two links", func(string) []entry {
			return []entry{
				{"a", tar.TypeDir, 0o755, "", ""},
				{"a/up", tar.TypeSymlink, 0o777, "..", ""},
				{"b", tar.TypeSymlink, 0o777, "a/up/../outside", ""},
				{"b/evil", tar.TypeReg, 0o644, "", "x"},
			}
		}},
		{"a folder through a link", func(outside string) []entry {
			return []entry{{"out", tar.TypeSymlink, 0o777, outside, ""}, {"out/evil/", tar.TypeDir, 0o755, "", ""}}
		}},
		{"a hard link out", func(outside string) []entry {
			return []entry{{"out", tar.TypeLink, 0o644, "../outside/precious", ""}, {"out", tar.TypeReg, 0o644, "", "x"}}
		}},
		{"a hard link through a link", func(outside string) []entry {
			return []entry{{"l", tar.TypeSymlink, 0o777, outside, ""}, {"h", tar.TypeLink, 0o644, "l/precious", ""}}
		}},
		{"a hard link to a link", func(outside string) []entry {
			return []entry{{"l", tar.TypeSymlink, 0o777, outside + "/precious", ""}, {"h", tar.TypeLink, 0o644, "l", ""}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			inside, outside := filepath.Join(base, "inside"), filepath.Join(base, "outside")
			for _, dir := range []string{inside, outside} {
				if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // a test's
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(outside, "precious"), []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := unpack(inside, bytes.NewReader(pack(t, c.entries(outside))))
			if err == nil {
				t.Errorf("it was unpacked: %v", tree(t, inside))
			}
			want := map[string]string{"precious": "-rw------- precious"}
			if diff := cmp.Diff(want, tree(t, outside)); diff != "" {
				t.Errorf("outside, want (-) and got (+) differ:\n%s", diff)
			}
			for name, text := range tree(t, inside) {
				if strings.Contains(text, " precious") {
					t.Errorf("%s shows what lies outside", name)
				}
			}
		})
	}
	t.Run("the mode of a folder through a link", func(t *testing.T) {
		outside := t.TempDir()
		if err := os.Chmod(outside, 0o700); err != nil { //nolint:gosec // a test's
			t.Fatal(err)
		}
		inside := t.TempDir()
		_ = unpack(inside, bytes.NewReader(pack(t, []entry{{"d", tar.TypeSymlink, 0o777, outside, ""}, {"d", tar.TypeDir, 0o777, "", ""}})))
		if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the folder outside now has mode %v, %v", info.Mode(), err)
		}
	})
}

func TestUnpackCompressed(t *testing.T) {
	plain := pack(t, []entry{{"file", tar.TypeReg, 0o644, "", strings.Repeat("text ", 1000)}})
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"plain": plain, "gzip": gz.Bytes(), "zstd": encoder.EncodeAll(plain, nil)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := unpack(dir, bytes.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || len(got) != 5000 {
				t.Errorf("got %d bytes, %v; want 5000", len(got), err)
			}
			if err := unpack(t.TempDir(), bytes.NewReader(text[:len(text)/2])); err == nil {
				t.Error("half of it was unpacked without an error")
			}
		})
	}
	if err := unpack(t.TempDir(), strings.NewReader(strings.Repeat("this is no archive ", 100))); err == nil {
		t.Error("text was unpacked as an archive")
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, []entry{{"a/b", tar.TypeReg, 0o644, "", "text"}, {"l", tar.TypeSymlink, 0o777, "../x", ""}, {"h", tar.TypeLink, 0o644, "a/b", ""}}))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, text []byte) {
		base := t.TempDir()
		dir := filepath.Join(base, "dir")
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // a test's
			t.Fatal(err)
		}
		_ = unpack(dir, bytes.NewReader(text))
		if entries, err := os.ReadDir(base); err != nil || len(entries) != 1 {
			t.Errorf("beside the folder lies %v, %v", entries, err)
		}
	})
}

func TestUnpackOnce(t *testing.T) {
	d := New(Options{CacheDir: t.TempDir()})
	calls := 0
	fill := func(dir string) error {
		calls++
		return os.WriteFile(filepath.Join(dir, "f"), nil, 0o600)
	}
	boom := errors.New("boom")
	if _, err := d.unpackOnce("key", func(string) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v, want boom", err)
	}
	for range 2 {
		dir, err := d.unpackOnce("key", fill)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "f")); err != nil {
			t.Error(err)
		}
	}
	if calls != 1 {
		t.Errorf("it was filled %d times, want once", calls)
	}
}
