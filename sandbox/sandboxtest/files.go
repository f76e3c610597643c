package sandboxtest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/sandbox"
)

// entry is what a test puts into an archive and finds there.
type entry struct {
	Type byte
	Mode int64
	Link string
	Text string
}

func archive(t *testing.T, names []string, entries map[string]entry) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range names {
		e := entries[name]
		h := &tar.Header{Name: name, Typeflag: e.Type, Mode: e.Mode, Linkname: e.Link, Size: int64(len(e.Text))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.Text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

func list(t *testing.T, r io.Reader) map[string]entry {
	t.Helper()
	found := map[string]entry{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		e := entry{Type: h.Typeflag, Mode: h.Mode & 0o777, Link: h.Linkname, Text: string(text)}
		if e.Type == tar.TypeSymlink {
			e.Mode = 0
		}
		found[strings.TrimSuffix(h.Name, "/")] = e
	}
}

func (s *suite) files(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	tree := map[string]entry{
		"src":            {Type: tar.TypeDir, Mode: 0o755},
		"src/main.py":    {Type: tar.TypeReg, Mode: 0o644, Text: "print('hello')\n"},
		"src/run.sh":     {Type: tar.TypeReg, Mode: 0o755, Text: "#!/bin/sh\necho ran\n"},
		"src/empty":      {Type: tar.TypeReg, Mode: 0o600},
		"src/ä ö\n.txt":  {Type: tar.TypeReg, Mode: 0o644, Text: "odd name"},
		"src/link":       {Type: tar.TypeSymlink, Link: "main.py"},
		"src/shadow":     {Type: tar.TypeSymlink, Link: "/etc/shadow"},
		"src/sub":        {Type: tar.TypeDir, Mode: 0o700},
		"src/sub/deeper": {Type: tar.TypeReg, Mode: 0o644, Text: strings.Repeat("block of text\n", 100_000)},
	}
	names := []string{"src", "src/main.py", "src/run.sh", "src/empty", "src/ä ö\n.txt", "src/link", "src/shadow", "src/sub", "src/sub/deeper"}
	t.Run("put", func(t *testing.T) {
		if err := box.Files().Put(wait(t), "project/new", archive(t, names, tree)); err != nil {
			t.Fatal(err)
		}
		res := s.run(t, box, "cd project/new/src && ./run.sh && python3 link && stat -c '%U %a' main.py sub empty && readlink shadow; cd "+sandbox.WorkDir)
		if want := "ran\nhello\nagent 644\nagent 700\nagent 600\n/etc/shadow\n"; res.Output != want {
			t.Errorf("inside: %q, want %q", res.Output, want)
		}
	})
	t.Run("get what was put", func(t *testing.T) {
		var buf bytes.Buffer
		if err := box.Files().Get(wait(t), &buf, 64<<20, "project/new/src"); err != nil {
			t.Fatal(err)
		}
		want := map[string]entry{}
		for name, e := range tree {
			want["project/new/"+name] = e
		}
		if diff := cmp.Diff(want, list(t, &buf)); diff != "" {
			t.Errorf("want (-) and got (+) differ:\n%s", diff)
		}
	})
	t.Run("put replaces, and follows no link", func(t *testing.T) {
		s.run(t, box, "mkdir -p d; echo mine > d/target; ln -s target d/name; ln -s /tmp d/folder")
		err := box.Files().Put(wait(t), "d", archive(t, []string{"name"}, map[string]entry{"name": {Type: tar.TypeReg, Mode: 0o644, Text: "new"}}))
		if err != nil {
			t.Fatal(err)
		}
		if res := s.run(t, box, "cat d/target; test -L d/name || cat d/name"); res.Output != "mine\nnew" {
			t.Errorf("got %q, want the link replaced and its target kept", res.Output)
		}
	})
	t.Run("a missing path", func(t *testing.T) {
		err := box.Files().Get(wait(t), io.Discard, 1<<20, "no/such/file")
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		s.run(t, box, "head -c 3000000 /dev/zero > large; truncate -s 20G sparse 2>/dev/null || truncate -s 100M sparse")
		for path, limit := range map[string]int64{"large": 1 << 20, "sparse": 10 << 20, ".": 1 << 20} {
			var n counter
			err := box.Files().Get(wait(t), &n, limit, path)
			if !errors.Is(err, sandbox.ErrTooLarge) {
				t.Errorf("%s with %d bytes allowed: %v, want sandbox.ErrTooLarge", path, limit, err)
			}
			if int64(n) > 2*limit+8<<20 {
				t.Errorf("%s: %d bytes were sent although %d are allowed", path, n, limit)
			}
		}
		s.run(t, box, "rm -f large sparse")
	})
	t.Run("pipes and devices do not hang it", func(t *testing.T) {
		s.run(t, box, "mkdir odd; mkfifo odd/pipe; ln -s /dev/zero odd/zero; ln -s loop odd/loop; echo text > odd/file")
		var buf bytes.Buffer
		if err := box.Files().Get(wait(t), &buf, 1<<20, "odd"); err != nil {
			t.Fatal(err)
		}
		if got := list(t, &buf)["odd/file"].Text; got != "text\n" {
			t.Errorf("the file beside them is %q", got)
		}
	})
	t.Run("no space", func(t *testing.T) {
		s.limited(t, "disk")
		err := box.Files().Put(wait(t), "big", archive(t, []string{"f"}, map[string]entry{"f": {Type: tar.TypeReg, Mode: 0o644, Text: strings.Repeat("x", 200<<20)}}))
		if err == nil {
			t.Error("200 MB fit into 128 MB")
		}
		s.run(t, box, "rm -rf big")
		s.answers(t, box)
	})
	t.Run("a broken archive", func(t *testing.T) {
		if err := box.Files().Put(wait(t), "broken", strings.NewReader(strings.Repeat("no tar ", 500))); err == nil {
			t.Error("got no error")
		}
		s.answers(t, box)
	})
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
