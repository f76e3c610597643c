package play

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// bash runs a command as the shell of a sandbox would.
func bash(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", "-c", command).Output()
	if err != nil {
		t.Fatalf("bash: %v, of the command\n%.2000s", err, command)
	}
	return string(out)
}

// FuzzSave writes texts by bash and reads them again: what lies in the file is what was
// in the editor.
func FuzzSave(f *testing.F) {
	for _, seed := range []string{
		"", "x", "x\n", "\n", "\n\n", "END_OF_FILE\n", "END_OF_FILE", "END_OF_FILE\nEND_OF_FILE_2\nEND_OF_FILE_3", "$HOME `id` \\\n'\"", "\x01\x7f\x1b",
		"a\rb", "a\r\nb\r\n", "\u202e🙂\ufeff", "edit 1:2\nx\nend_of_edit\n", "\\", "\t\t<<END\n",
	} {
		f.Add(seed, "file.py")
	}
	f.Add("x", "it's a file")
	f.Add("x", "-n")
	f.Add("x\n", "$(id)`id`\"")
	f.Fuzz(func(t *testing.T, text, name string) {
		name, err := fileName(name)
		if err != nil || strings.Contains(name, "/") || len(name) > 200 {
			t.Skip()
		}
		workspace := t.TempDir()
		command, err := saveCommand(workspace, name, text)
		if err != nil {
			if len(text) <= mostEditBytes && utf8.ValidString(text) && !strings.ContainsRune(text, 0) {
				t.Fatalf("%q is refused: %v", text, err)
			}
			t.Skip()
		}
		if printed := bash(t, command); !readSaved(printed, text) {
			t.Errorf("after saving %q bash printed %q", text, printed)
		}
		got, err := os.ReadFile(filepath.Join(workspace, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != text {
			t.Errorf("saved is %q, want %q", got, text)
		}
		opened, crlf, err := readOpened(bash(t, openCommand(workspace, name)))
		switch {
		case err != nil && !strings.Contains(text, "\r"):
			t.Errorf("%q cannot be opened: %v", text, err)
		case err == nil && fromForm(opened, crlf) != text:
			t.Errorf("opened and saved again is %q, want %q", fromForm(opened, crlf), text)
		}
		files, cut := readList(workspace, bash(t, listCommand(workspace)))
		want := []file{{name, int64(len(text))}}
		if strings.HasPrefix(name, ".") || name == "data" {
			want = nil // hidden, or the data
		}
		if diff := cmp.Diff(want, files); diff != "" || cut {
			t.Errorf("the list of %q (-want +got):\n%s", name, diff)
		}
	})
}

func TestReadList(t *testing.T) {
	const printed = "   12 /w/a.py\n5 /w/b/c d.txt\n  0 /w/empty\n/w/odd\n  7 /elsewhere/x\n 24 total\n-3 /w/x\n99999999999999999999 /w/y\n 3 /w/../etc/passwd\n"
	files, cut := readList("/w", printed)
	want := []file{{"a.py", 12}, {"b/c d.txt", 5}, {"empty", 0}}
	if diff := cmp.Diff(want, files); diff != "" || cut {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
	if _, cut := readList("/w", strings.Repeat("1 /w/x\n", mostFiles+1)); !cut {
		t.Error("a long list is not cut")
	}
}

// TestListCommand leaves out what is hidden, the data, and what Python leaves behind.
func TestListCommand(t *testing.T) {
	workspace := t.TempDir()
	for _, name := range []string{"a.py", "b/c.txt", ".hidden", ".git/config", "data/train.csv", "b/__pycache__/x.pyc", "new\nline"} {
		path := filepath.Join(workspace, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := readList(workspace, bash(t, listCommand(workspace)))
	want := []file{{"a.py", 5}, {"b/c.txt", 5}}
	// The first line of the odd name is all that a list of lines can say of it.
	if diff := cmp.Diff(want, slices.DeleteFunc(files, func(f file) bool { return f.Name == "new" })); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
}

// TestTrim: of a long episode the oldest entries are forgotten, and counted.
func TestTrim(t *testing.T) {
	g := &game{}
	for n := range 3 * mostEntries {
		e := &entry{N: n + 1, Action: "x", Text: strings.Repeat("y", 10_000)}
		g.entries = append(g.entries, e)
		g.bytes += len(e.Action) + len(e.Text)
		g.trim()
		if g.bytes > mostTextBytes || len(g.entries) > mostEntries || g.dropped+len(g.entries) != n+1 {
			t.Fatalf("after %d: %d entries of %d bytes, %d dropped", n+1, len(g.entries), g.bytes, g.dropped)
		}
	}
	if g.dropped == 0 || g.entries[0].N != g.dropped+1 {
		t.Errorf("%d were dropped, and the first is %d", g.dropped, g.entries[0].N)
	}
}
