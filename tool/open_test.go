package tool_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"mlgym/tool"
)

func TestOpen(t *testing.T) {
	files := map[string]string{
		"func.py":     "def f():\n\n    return 1\n",
		"noend.txt":   "a\nb",
		"empty.txt":   "",
		"thirty.txt":  numbered(30),
		"big.txt":     numbered(2500),
		"my file.txt": "x\n",
		"sub/":        "",
		"pic.png":     "\x89PNG\r\n\x1a\n\x00",
		"data.bin":    "a\x00b",
		"bytes.txt":   "caf\xe9 \x1b[1m \r x\x7f\u2028ü\t\u0085|\n",
		"crlf.txt":    "a\r\nb\r\n",
		"long.txt":    strings.Repeat("ü", 1500) + "\nb\n",
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"a file with a blank line", []step{{"open func.py", "[File: $DIR/func.py (3 lines total)]\n1:def f():\n2:\n3:    return 1\n", 0}}},
		{"no line end at the end", []step{{"open noend.txt", "[File: $DIR/noend.txt (2 lines total)]\n1:a\n2:b\n", 0}}},
		{"empty file", []step{{"open empty.txt", "[File: $DIR/empty.txt (0 lines total)]\n", 0}}},
		{"empty file at a line", []step{{"open empty.txt 1", "[File: $DIR/empty.txt (0 lines total)]\n", 0}}},
		{"at the top", []step{{"open big.txt", listing("big.txt", 2500, 1, 1000), 0}}},
		{"at a line", []step{{"open big.txt 1500", listing("big.txt", 2500, 1335, 2334), 0}}},
		{"at a line with leading zeros", []step{{"open big.txt 01500", listing("big.txt", 2500, 1335, 2334), 0}}},
		{"at the last line", []step{{"open big.txt 2500", listing("big.txt", 2500, 1501, 2500), 0}}},
		{"absolute path", []step{{"open $DIR/thirty.txt", listing("thirty.txt", 30, 1, 30), 0}}},
		{"name with a space", []step{{"open|my file.txt", "[File: $DIR/my file.txt (1 lines total)]\n1:x\n", 0}}},
		{"line beyond the end", []step{{"open thirty.txt 99", "Warning: <line_number> (99) is greater than the number of lines in the file (30)\nWarning: Setting <line_number> to 30\n" + listing("thirty.txt", 30, 1, 30), 0}}},
		{"line 0", []step{{"open thirty.txt 0", "Warning: <line_number> (0) is less than 1\nWarning: Setting <line_number> to 1\n" + listing("thirty.txt", 30, 1, 30), 0}}},
		{"line is a word", []step{{"open thirty.txt x", "Usage: open \"<path>\" [<line_number>]\nError: <line_number> must be a number (a path with a space in it needs quotes: open \"my file.py\")\n", 2}}},
		{"line is negative", []step{{"open thirty.txt -3", "Usage: open \"<path>\" [<line_number>]\nError: <line_number> must be a number (a path with a space in it needs quotes: open \"my file.py\")\n", 2}}},
		{"line is huge", []step{{"open thirty.txt 99999999999999999999", "Usage: open \"<path>\" [<line_number>]\nError: <line_number> must not be greater than 999999999 (a path with a space in it needs quotes: open \"my file.py\")\n", 2}}},
		{"three arguments", []step{{"open thirty.txt 1 2", "Usage: open \"<path>\" [<line_number>]\nError: at most a path and a line number can be given\n", 2}}},
		{"no argument", []step{{"open", "Usage: open \"<path>\" [<line_number>]\n", 2}}},
		{"empty argument", []step{{"open ", "Usage: open \"<path>\" [<line_number>]\n", 2}}},
		{"missing", []step{{"open nothere.py", "File nothere.py not found\n", 1}}},
		{"missing, one of a near name is there", []step{{"open thirt.txt", "File thirt.txt not found; did you mean \"thirty.txt\"?\n", 1}}},
		{"directory", []step{{"open sub", "Error: sub is a directory. Only files can be opened; use cd or ls to look around.\n", 1}}},
		{"below a file", []step{{"open func.py/x", "Error: func.py/x could not be opened: not a directory\n", 1}}},
		{"image", []step{{"open pic.png", "Error: pic.png is an image file. The tools show text only.\n", 1}}},
		{"binary", []step{{"open data.bin", "Error: data.bin is a binary file. The tools show text only.\n", 1}}},
		{"bytes that are no text", []step{{"open bytes.txt", "[File: $DIR/bytes.txt (1 lines total)]\n1:caf\\xe9 \\x1b[1m \\r x\\x7f\\u2028ü\t\\u0085|\n", 0}}},
		{"carriage returns", []step{{"open crlf.txt", "[File: $DIR/crlf.txt (2 lines total)]\n1:a\n2:b\n", 0}}},
		{"long line", []step{{"open long.txt", "[File: $DIR/long.txt (2 lines total)]\n1:" + strings.Repeat("ü", 1000) + " … (1000 more bytes in this line)\n2:b\n", 0}}},
		{"typed", []step{{`open {"path":"big.txt","line":1500}`, listing("big.txt", 2500, 1335, 2334), 0}}},
		{"typed, negative line", []step{{`open {"path":"thirty.txt","line":-3}`, "Warning: <line_number> (-3) is less than 1\nWarning: Setting <line_number> to 1\n" + listing("thirty.txt", 30, 1, 30), 0}}},
	} {
		t.Run(test.name, func(t *testing.T) { newWorkspace(t, tool.Options{}, files).check(test.steps) })
	}
}

func TestOpenKeepsTheOpenFile(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"a.txt": "l1\n", "sub/": ""})
	if got := w.run.OpenFile(); got != "" {
		t.Errorf("OpenFile() = %q before anything was opened", got)
	}
	w.shell("open a.txt")
	w.shell("open nothere")
	w.shell("open sub")
	if got := w.run.OpenFile(); got != w.path("a.txt") {
		t.Errorf("OpenFile() = %q after failures to open another, want %q", got, w.path("a.txt"))
	}
}

func TestOpenLinks(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"real.txt": "l1\n"})
	for link, target := range map[string]string{"link": "real.txt", "loop": "loop", "dead": "gone"} {
		if err := os.Symlink(target, w.path(link)); err != nil {
			t.Fatal(err)
		}
	}
	w.check([]step{
		{"open link", "Note: link is a symbolic link to real.txt\n" + listing("real.txt", 1, 1, 1), 0},
		{"open dead", "File dead not found: it is a symbolic link to gone, which does not exist\n", 1},
		{"edit 1:1\nx\n", "[File: $DIR/real.txt (1 lines total)]\n1:x\n" + updated, 0},
	})
	if info, err := os.Lstat(w.path("link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("after an edit through it the link is %v, %v; want a link", info.Mode(), err)
	}
	if got := w.shell("open loop"); got.ExitCode != 1 || !strings.Contains(got.Output, "loop could not be opened") {
		t.Errorf("open of a link to itself = %+v", got)
	}
}

func TestOpenNeverWaits(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, nil)
	if err := syscall.Mkfifo(w.path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.check([]step{
		{"open pipe", "Error: pipe is not a regular file (a named pipe).\n", 1},
		{"open /dev/zero", "Error: /dev/zero is not a regular file (a device).\n", 1},
		{"search_file x pipe", "Error: pipe is not a regular file (a named pipe).\n", 1},
		{"search_dir x", "No matches found for \"x\" in $DIR\n", 0},
	})
}

// TestHugeFile uses a file of 10 GB without blocks on the disk. It must be
// refused at once by what would read it whole or hold it in memory.
func TestHugeFile(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"huge.txt": strings.Repeat("x\n", 8000)})
	if err := os.Truncate(w.path("huge.txt"), 10<<30); err != nil {
		t.Skip("no such large file here: " + err.Error())
	}
	const refusal = "Error: huge.txt has 10.0 GiB, more than the 256.0 MiB that can be handled here. Use shell commands such as head, tail, grep or sed -n '1000,1040p' to look at parts of it.\n"
	w.check([]step{
		{"open huge.txt", refusal, 1},
		{"open huge.txt 7", refusal, 1},
		{"create huge.txt", "Error: 'huge.txt' already exists.\n" + refusal, 1},
	})
	w.write("mid.txt", strings.Repeat("x\n", 8000))
	if err := os.Truncate(w.path("mid.txt"), 40<<20); err != nil {
		t.Fatal(err)
	}
	w.shell("open mid.txt")
	w.check([]step{{"edit 1:1\ny\n", "Error: $DIR/mid.txt has 40.0 MiB, more than the 32.0 MiB that can be edited here. Change it with a program such as sed.\n", 1}})
}

func TestLongLinesAreBounded(t *testing.T) {
	line := strings.Repeat("x", 20_000) + "\n"
	w := newWorkspace(t, tool.Options{}, map[string]string{"wide.txt": strings.Repeat(line, 100)})
	got := w.shell("open wide.txt")
	if len(got.Output) > 64<<10 {
		t.Fatalf("a file of long lines is shown by %d bytes", len(got.Output))
	}
	// Scrolling reaches every line all the same, also at the end, where the
	// window cannot move on, and back again.
	first, last := shownRange(t, got.Output)
	if first != 1 {
		t.Fatalf("open shows lines %d to %d", first, last)
	}
	for last < 100 {
		got = w.shell("scroll_down")
		f, l := shownRange(t, got.Output)
		if f > last+1 || l <= last {
			t.Fatalf("scroll_down after lines to %d shows %d to %d", last, f, l)
		}
		first, last = f, l
	}
	for first > 1 {
		got = w.shell("scroll_up")
		f, l := shownRange(t, got.Output)
		if l < first-1 || f >= first {
			t.Fatalf("scroll_up after lines from %d shows %d to %d", first, f, l)
		}
		first = f
	}
	for _, line := range []int{1, 50, 100} {
		f, l := shownRange(t, w.typed("goto", `{"line":`+itoa(line)+`}`).Output)
		if line < f || line > l {
			t.Errorf("goto %d shows %d to %d", line, f, l)
		}
	}
}
