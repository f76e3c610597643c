package tool_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/tool"

	"golang.org/x/sys/unix"
)

func TestCreate(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"func.py": "l1\n", "sub/": ""})
	w.check([]step{
		{"create new.py", "[File: $DIR/new.py (1 lines total)]\n1:\n", 0},
		{"create|a b.py", "[File: $DIR/a b.py (1 lines total)]\n1:\n", 0},
		{`create {"path":"sub/typed.py"}`, "[File: $DIR/sub/typed.py (1 lines total)]\n1:\n", 0},
		{"create func.py", "Error: File 'func.py' already exists. It was opened and not changed.\n" + listing("func.py", 1, 1, 1), 1},
		{"create sub", "Error: 'sub' already exists.\nError: sub is a directory. Only files can be opened; use cd or ls to look around.\n", 1},
		{"create", "Usage: create <filename>\n", 2},
		{"create a b", "Usage: create <filename>\nError: create takes one name (a name with a space in it needs quotes: create \"my file.py\")\n", 2},
		{"create nodir/x.py", "Error: nodir/x.py was not created: there is no directory nodir. Create it first with mkdir -p.\n", 1},
		{"create /proc/x", "Error: /proc/x was not created: there is no directory /proc. Create it first with mkdir -p.\n", 1},
	})
	if got := w.read("new.py"); got != "\n" {
		t.Errorf("a created file holds %q, want one line end", got)
	}
	if got := w.run.OpenFile(); got != w.path("func.py") {
		t.Errorf("OpenFile() = %q, want %q", got, w.path("func.py"))
	}
}

// TestChange lists what edit and insert make of files. The steps before are
// "open f"; the answer is checked in TestEditAnswers.
func TestChange(t *testing.T) {
	for _, test := range []struct{ name, file, call, want string }{
		{"replace one", "a\nb\nc\n", "edit 2:2\nx\n", "a\nx\nc\n"},
		{"replace by more", "a\nb\nc\n", "edit 2:2\nx\ny\n", "a\nx\ny\nc\n"},
		{"replace all", "a\nb\nc\n", "edit 1:3\nx\n", "x\n"},
		{"text without a line end", "a\nb\nc\n", "edit 2:2\nx", "a\nx\nc\n"},
		{"blank lines", "a\nb\nc\n", "edit 2:2\n\n\nx\n\n", "a\n\n\nx\n\nc\n"},
		{"one blank line", "a\nb\nc\n", "edit 2:2\n\n", "a\n\nc\n"},
		{"delete", "a\nb\nc\n", "edit 2:3\n", "a\n"},
		{"delete all", "a\nb\n", "edit 1:2\n", ""},
		{"end beyond the end", "a\nb\n", "edit 2:99\nx\n", "a\nx\n"},
		{"start beyond the end", "a\nb\n", "edit 9:9\nx\n", "a\nb\nx\n"},
		{"empty file", "", "edit 1:1\nx\n", "x\n"},
		{"blank lines of the file", "\n\na\n\n\n", "edit 3:3\nx\n", "\n\nx\n\n\n"},
		{"last line without end stays so", "a\nb", "edit 1:1\nx\n", "x\nb"},
		{"last line without end, replaced", "a\nb", "edit 2:2\nx\n", "a\nx"},
		{"last line without end, appended to", "a\nb", "edit 3:3\nx\n", "a\nb\nx"},
		{"last line without end, deleted", "a\nb", "edit 2:2\n", "a\n"},
		{"carriage returns", "a\r\nb\r\nc\r\n", "edit 2:2\nx\ny\n", "a\r\nx\r\ny\r\nc\r\n"},
		{"carriage returns in both", "a\r\nb\r\n", "edit 2:2\nx\r\ny\r\n", "a\r\nx\r\ny\r\n"},
		{"carriage returns in the text only", "a\nb\n", "edit 2:2\nx\r\ny\r\n", "a\nx\ny\n"},
		{"carriage return of one line is text", "a\nb\n", "edit 2:2\nx\r\ny\n", "a\nx\r\ny\n"},
		{"byte order mark", "\ufeffa\nb\n", "edit 1:1\nx\n", "\ufeffx\nb\n"},
		{"bytes that are no text", "a\n\xff\xfe\nb\n", "edit 1:1\n\xe9\n", "\xe9\n\xff\xfe\nb\n"},
		{"typed", "a\nb\n", `edit {"start_line":1,"end_line":1,"text":"x\n  y"}`, "x\n  y\nb\n"},
		{"typed, delete", "a\nb\n", `edit {"start_line":1,"end_line":1,"text":""}`, "b\n"},
		{"insert", "a\nb\n", "insert 1\nx\ny\n", "a\nx\ny\nb\n"},
		{"insert at the top", "a\nb\n", "insert 0\nx\n", "x\na\nb\n"},
		{"insert at the end", "a\nb\n", "insert 2\nx\n", "a\nb\nx\n"},
		{"insert beyond the end", "a\nb\n", "insert 9\nx\n", "a\nb\nx\n"},
		{"insert into an empty file", "", "insert 0\nx\n", "x\n"},
		{"insert after a last line without end", "a\nb", "insert 2\nx\n", "a\nb\nx"},
		{"insert before a byte order mark's line", "\ufeffa\n", "insert 1\nx\n", "\ufeffa\nx\n"},
		{"insert, typed", "a\nb\n", `insert {"line":1,"text":"x"}`, "a\nx\nb\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkspace(t, tool.Options{}, map[string]string{"f": test.file})
			w.shell("open f")
			var result tool.Result
			if name, args, ok := strings.Cut(test.call, " {"); ok {
				result = w.typed(name, "{"+args)
			} else {
				result = w.shell(test.call)
			}
			if got := w.read("f"); got != test.want || result.ExitCode != 0 {
				t.Errorf("%q makes %q of %q, want %q; it answered %d: %s", test.call, got, test.file, test.want, result.ExitCode, result.Output)
			}
			if left, _ := os.ReadDir(w.dir); len(left) != 1 {
				t.Errorf("after %q the folder holds %v", test.call, left)
			}
		})
	}
}

func TestEditAnswers(t *testing.T) {
	files := map[string]string{"f": "l1\nl2\nl3\n", "big.txt": numbered(2500)}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"success", []step{{"edit 2:2\nx\n", "[File: $DIR/f (3 lines total)]\n1:l1\n2:x\n3:l3\n" + updated, 0}}},
		{"insert", []step{{"insert 3\nx\n", "[File: $DIR/f (4 lines total)]\n1:l1\n2:l2\n3:l3\n4:x\n" + updated, 0}}},
		{"window", []step{{"open big.txt", listing("big.txt", 2500, 1, 1000), 0}, {"edit 1500:1500\nl1500\n", listing("big.txt", 2500, 1335, 2334) + updated, 0}, {"scroll_up", listing("big.txt", 2500, 337, 1336), 0}}},
		{"appended", []step{{"edit 7:9\nl4\n", listing("f", 4, 1, 4) + "Note: the file had only 3 lines, so the text was appended.\n" + updated, 0}}},
		{"end before start", []step{{"edit 3:2\nx\n", "Error: end_line (2) is less than start_line (3). Nothing was changed. To put text between two lines use insert.\n", 1}}},
		{"line 0", []step{{"edit 0:0\nx\n", "Error: start_line (0) is less than 1; lines are counted from 1. Nothing was changed. To put text before the first line use insert 0.\n", 1}}},
		{"typed, negative", []step{{`edit {"start_line":-1,"end_line":1,"text":"x"}`, "Error: start_line (-1) is less than 1; lines are counted from 1. Nothing was changed. To put text before the first line use insert 0.\n", 1}}},
		{"delete what is not there", []step{{"edit 5:6\n", "Error: there is nothing to delete: the file has only 3 lines. Nothing was changed.\n", 1}}},
		{"one number", []step{{"edit 3\nx\n", "Usage: edit <start_line>:<end_line>\n<replacement_text>\nend_of_edit\n", 2}}},
		{"start is a word", []step{{"edit a:3\nx\n", "Usage: edit <start_line>:<end_line>\n<replacement_text>\nend_of_edit\nError: start_line must be a number\n", 2}}},
		{"end is a word", []step{{"edit 1:b\nx\n", "Usage: edit <start_line>:<end_line>\n<replacement_text>\nend_of_edit\nError: end_line must be a number\n", 2}}},
		{"end is missing", []step{{"edit 1:\nx\n", "Usage: edit <start_line>:<end_line>\n<replacement_text>\nend_of_edit\nError: end_line must be a number\n", 2}}},
		{"insert without a line", []step{{"insert\nx\n", "Usage: insert <line_number>\n<text_to_add>\nend_of_insert\n", 2}}},
		{"insert at a word", []step{{"insert a\nx\n", "Usage: insert <line_number>\n<text_to_add>\nend_of_insert\nError: line_number must be a number\n", 2}}},
		{"insert nothing", []step{{"insert 1\n", "Error: there is no text to insert. Nothing was changed.\n", 1}}},
		{"insert typed, negative", []step{{`insert {"line":-1,"text":"x"}`, "Error: line_number (-1) is less than 0. Nothing was changed.\n", 1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkspace(t, tool.Options{}, files)
			w.shell("open f")
			w.check(test.steps)
			if last := test.steps[len(test.steps)-1]; last.code != 0 && w.read("f") != files["f"] {
				t.Errorf("a refusal left the file as %q", w.read("f"))
			}
		})
	}
}

func TestEditKeepsTheMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o755, 0o600, 0o664} {
		w := newWorkspace(t, tool.Options{}, map[string]string{"run.sh": "a\n"})
		if err := os.Chmod(w.path("run.sh"), mode); err != nil {
			t.Fatal(err)
		}
		w.shell("open run.sh")
		w.check([]step{{"edit 1:1\nx\n", "[File: $DIR/run.sh (1 lines total)]\n1:x\n" + updated, 0}})
		info, err := os.Stat(w.path("run.sh"))
		if err != nil || info.Mode() != mode {
			t.Errorf("mode after an edit is %v, %v; want %v", info.Mode(), err, mode)
		}
	}
}

func TestEditReadOnly(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"f": "a\n"})
	if err := os.Chmod(w.path("f"), 0o555); err != nil {
		t.Fatal(err)
	}
	w.shell("open f")
	w.check([]step{
		{"edit 1:1\nx\n", "Error: $DIR/f is read-only and cannot be edited\n", 1},
		{"insert 1\nx\n", "Error: $DIR/f is read-only and cannot be edited\n", 1},
	})
	if got := w.read("f"); got != "a\n" {
		t.Errorf("a read-only file became %q", got)
	}
}

// smallDisk mounts a file system of 64 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("mlgym", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a full disk cannot be made here (mounting needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	w := &workspace{t: t, dir: dir, run: tool.NewRunner(tool.Options{})}
	content := numbered(1000)
	w.write("f", content)
	w.shell("open f")
	w.check([]step{{"edit 1:1\n" + strings.Repeat("more\n", 20_000), "Error: the edit was not made and $DIR/f is as it was: no space is left on the disk. Remove files that are not needed and try again.\n", 1}})
	if got := w.read("f"); got != content {
		t.Errorf("after an edit on a full disk the file has %d bytes, want %d", len(got), len(content))
	}
	// The file of another user is changed in its place.
	if err := os.Chown(w.path("f"), 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if got := w.shell("edit 1:1\n" + strings.Repeat("more\n", 20_000)); got.ExitCode != 1 || w.read("f") != content {
		t.Errorf("after an edit in place on a full disk the file has %d bytes, want %d; answered %+v", len(w.read("f")), len(content), got)
	}
	if got := w.shell("edit 1:1\nx\n"); got.ExitCode != 0 || w.read("f") != "x\n"+strings.TrimPrefix(content, "l1\n") {
		t.Errorf("an edit in place is answered with %+v", got)
	}
	w.write("g", strings.Repeat("x", 40<<10))
	if err := os.WriteFile(w.path("rest"), make([]byte, 64<<10), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	if got := w.shell("create h"); got.ExitCode != 1 || !strings.Contains(got.Output, "no space is left") {
		t.Errorf("create on a full disk = %+v", got)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 3 {
		t.Errorf("the full disk holds %v, want f, g and rest", left)
	}
	if hidden, _ := filepath.Glob(filepath.Join(dir, ".*")); len(hidden) > 0 {
		t.Errorf("left behind: %v", hidden)
	}
}

// TestMountedFile edits a file over which nothing can be renamed, since it is a
// mount of its own, and then does so on a full disk.
func TestMountedFile(t *testing.T) {
	dir := smallDisk(t)
	w := &workspace{t: t, dir: dir, run: tool.NewRunner(tool.Options{})}
	w.write("source", "a\nb\n")
	w.write("f", "")
	if err := unix.Mount(w.path("source"), w.path("f"), "", unix.MS_BIND, ""); err != nil {
		t.Skipf("a file cannot be mounted here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(w.path("f"), unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	w.shell("open f")
	w.check([]step{
		{"edit 1:1\nlonger\n", "[File: $DIR/f (2 lines total)]\n1:longer\n2:b\n" + updated, 0},
		{"edit 1:1\nx\n", "[File: $DIR/f (2 lines total)]\n1:x\n2:b\n" + updated, 0},
	})
	if got := w.read("source"); got != "x\nb\n" {
		t.Errorf("the mounted file is %q", got)
	}
	got := w.shell("edit 1:1\n" + strings.Repeat("more\n", 20_000))
	if after := w.read("source"); after != "x\nb\n" || got.ExitCode != 1 {
		t.Errorf("after an edit on a full disk the mounted file has %d bytes; answered %+v", len(after), got)
	}
}

// TestEditAsOrdinaryUser runs the tests of this package that depend on rights
// once more without those of root.
func TestEditAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("no setpriv here: " + err.Error())
	}
	dir, err := os.MkdirTemp("/tmp", "tool")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), setpriv, "--reuid=1000", "--regid=1000", "--clear-groups", program, "-test.run=^(TestRights|TestEditReadOnly|TestChange)$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	output, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: TestRights") {
		t.Errorf("as user 1000: %v\n%s", err, output)
	}
}

func TestRights(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may do everything; TestEditAsOrdinaryUser runs this as another user")
	}
	w := newWorkspace(t, tool.Options{}, map[string]string{"closed/f": "a\nb\n", "secret": "a\n"})
	w.shell("open closed/f")
	// A folder in which nothing can be made: the file itself is changed.
	if err := os.Chmod(w.path("closed"), 0o555); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(w.path("secret"), 0); err != nil {
		t.Fatal(err)
	}
	w.check([]step{
		{"edit 1:1\nlonger\n", "[File: $DIR/closed/f (2 lines total)]\n1:longer\n2:b\n" + updated, 0},
		{"create closed/new", "Error: closed/new was not created: permission denied\n", 1},
		{"open secret", "Error: secret could not be opened: permission denied\n", 1},
		{"search_file a secret", "Error: secret could not be opened: permission denied\n", 1},
		{"search_dir longer", "Note: 1 files or directories could not be read.\nFound 1 matches for \"longer\" in $DIR:\n$DIR/closed/f (1 matches)\nEnd of matches for \"longer\" in $DIR\n", 0},
	})
	if err := os.Chmod(w.path("closed"), 0); err != nil {
		t.Fatal(err)
	}
	w.check([]step{
		{"open closed/f", "Error: closed/f may not be read: permission denied\n", 1},
		{"find_file f", "Note: 1 directories could not be read.\nNo matches found for \"f\" in $DIR\n", 0},
	})
	if err := os.Chmod(w.path("closed"), 0o755); err != nil {
		t.Fatal(err)
	}
}
