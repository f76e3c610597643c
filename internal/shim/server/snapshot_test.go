package server

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// describe lists what is below a folder: names, modes, times, contents, links.
func describe(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s", strings.TrimPrefix(path, dir), info.Mode())
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %s %d %q", info.ModTime().UTC(), len(text), bytes.Trim(text, "\x00"))
		default:
			line += " " + info.ModTime().UTC().String()
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// save returns the files of a folder as a snapshot holds them.
func save(t testing.TB, dir string) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	if err := saveFiles(tw, []string{dir, dir + "-missing"}); err != nil {
		t.Fatal(err)
	}
	if err := writePart(tw, entryEnd, nil); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestFilesComeBack(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	for name, text := range map[string]string{"a/b/deep": "deep", "a/empty": "", "run": "#!", "ä\n\xff \\": "odd", strings.Repeat("n", 255): "long"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	holes, err := os.Create(filepath.Join(dir, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{1 << 20, 5 << 20, 9<<20 + 17} {
		if _, err := holes.WriteAt([]byte("island"), offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := holes.Truncate(20 << 20); err != nil {
		t.Fatal(err)
	}
	if err := holes.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Symlink("run", filepath.Join(dir, "link")), os.Symlink("/etc/passwd", filepath.Join(dir, "a", "out")),
		os.Link(filepath.Join(dir, "run"), filepath.Join(dir, "a", "same")),
		os.Chmod(filepath.Join(dir, "run"), 0o755), os.Mkdir(filepath.Join(dir, "closed"), 0o500), os.Mkdir(filepath.Join(dir, "none"), 0o755),
		os.Chmod(filepath.Join(dir, "none"), 0o700|os.ModeSticky|os.ModeSetgid),
		os.Chtimes(filepath.Join(dir, "run"), at, at), os.Chtimes(filepath.Join(dir, "a"), at, at), os.Chtimes(dir, at, at),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := describe(t, dir)
	text := save(t, dir)
	if len(text) > 1<<20 {
		t.Errorf("the stream has %d bytes; the holes are in it", len(text))
	}
	if err := os.WriteFile(filepath.Join(dir, "stray"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := restoreFiles(tar.NewReader(bytes.NewReader(text)), []string{dir}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, describe(t, dir)); diff != "" {
		t.Errorf("what was saved (-) and what came back (+) differ:\n%s", diff)
	}
	one, err1 := os.Stat(filepath.Join(dir, "run"))
	two, err2 := os.Stat(filepath.Join(dir, "a", "same"))
	if err1 != nil || err2 != nil || !os.SameFile(one, two) {
		t.Errorf("two names of one file came back as two files (%v, %v)", err1, err2)
	}
}

func TestPieces(t *testing.T) {
	for _, c := range []struct {
		text      string
		size, sum int64
		want      []piece
	}{
		{"", 0, 0, nil},
		{"", 10, 0, nil},
		{"0:3,5:5", 10, 8, []piece{{0, 3}, {5, 5}}},
	} {
		got, err := parsePieces(c.text, c.size, c.sum)
		if err != nil || !slices.Equal(got, c.want) || formatPieces(got) != c.text {
			t.Errorf("pieces %q = %v, %v; want %v", c.text, got, err, c.want)
		}
	}
	for _, c := range []struct {
		text      string
		size, sum int64
	}{
		{"0:3", 10, 4},
		{"0:11", 10, 11},
		{"5:5,0:5", 10, 10},
		{"0:5,4:5", 10, 10},
		{"-1:2", 10, 2},
		{"1:-1", 10, -1},
		{"9223372036854775807:9223372036854775807", 10, 9},
		{"x", 10, 0},
		{"1", 10, 0},
		{",", 10, 0},
		{"0:1,", 10, 1},
	} {
		if got, err := parsePieces(c.text, c.size, c.sum); err == nil {
			t.Errorf("pieces %q of %d, %d were read as %v", c.text, c.size, c.sum, got)
		}
	}
}

// FuzzRestoreFiles: whatever the stream holds, nothing beside the place is made
// or changed, and what was taken can be saved and taken again.
func FuzzRestoreFiles(f *testing.F) {
	seed := f.TempDir()
	for _, err := range []error{
		os.WriteFile(filepath.Join(seed, "file"), []byte("text"), 0o600), os.Symlink("..", filepath.Join(seed, "link")), os.Mkdir(filepath.Join(seed, "d"), 0o700),
		os.Truncate(filepath.Join(seed, "file"), 10<<10),
	} {
		if err != nil {
			f.Fatal(err)
		}
	}
	// The place is named alike for every input.
	const placeholder = "/place"
	f.Add([]byte(nil))
	f.Add(bytes.ReplaceAll(save(f, seed), []byte(seed), []byte(placeholder)))
	for _, h := range []*tar.Header{
		{Name: "files/place/../x", Typeflag: tar.TypeReg},
		{Name: "files/place/l", Typeflag: tar.TypeSymlink, Linkname: "/"},
		{Name: "files/place/l", Typeflag: tar.TypeLink, Linkname: "files/place/../secret"},
		{Name: "files/place/p", Typeflag: tar.TypeFifo},
		{Name: "files/place/d", Typeflag: tar.TypeChar},
		{Name: "files/place/s", Typeflag: tar.TypeReg, PAXRecords: map[string]string{paxSize: "4096", paxPieces: ""}},
	} {
		var buf bytes.Buffer
		tw := tar.NewWriter(&buf)
		if err := tw.WriteHeader(h); err != nil {
			f.Fatal(err)
		}
		if err := writePart(tw, entryEnd, nil); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		place := filepath.Join(dir, "place")
		if err := os.Mkdir(place, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &restorer{roots: map[string]*os.Root{}}
		root, err := os.OpenRoot(place)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		r.roots[placeholder] = root
		for tr := tar.NewReader(bytes.NewReader(text)); ; {
			h, err := tr.Next()
			if err != nil {
				break
			}
			if size, _ := strconv.ParseInt(h.PAXRecords[paxSize], 10, 64); size > 1<<20 {
				break // holes may be data here, and take their time
			}
			if r.entry(h, tr) != nil {
				break
			}
		}
		_ = r.finish()
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 {
			t.Fatalf("beside the place: %v, %v", entries, err)
		}
		info, err := os.Stat(filepath.Join(dir, "secret"))
		if err != nil || info.Size() != 6 || info.Mode() != 0o600 {
			t.Fatalf("the file beside the place is %v, %v", info, err)
		}
		tw := tar.NewWriter(io.Discard)
		if err := saveFiles(tw, []string{place}); err != nil {
			t.Fatalf("what was restored cannot be saved: %v", err)
		}
	})
}

// FuzzShellDump: any text is a state or an error, and a state leads to a script
// whose names are names.
func FuzzShellDump(f *testing.F) {
	good := strings.Repeat("x\x00", fixedFields) + "A\x00declare -x A=\"1\"\n\x00end\x00"
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, "A\x00", "A; rm -r /\x00", 1)))
	f.Add([]byte("end\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDump(text)
		if err != nil {
			return
		}
		for name := range d.variables {
			if strings.ContainsAny(name, " \n;'\"$`") {
				t.Errorf("variable %q", name)
			}
		}
		if d.script(d) == "" || d.differs(d) != "" {
			t.Errorf("script %q, a state differs from itself in %q", d.script(d), d.differs(d))
		}
	})
}
