package tool_test

import (
	"os"
	"strings"
	"testing"

	"mlgym/tool"
)

const noFile = "No file open. Use the open command first.\n"

func TestGoto(t *testing.T) {
	files := map[string]string{"big.txt": numbered(2500), "empty.txt": ""}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"middle", []step{{"goto 1500", listing("big.txt", 2500, 1335, 2334), 0}}},
		{"end", []step{{"goto 2500", listing("big.txt", 2500, 1501, 2500), 0}}},
		{"top", []step{{"goto 0", listing("big.txt", 2500, 1, 1000), 0}}},
		{"beyond the end", []step{{"goto 2501", "Error: <line> must be less than or equal to 2500\n", 1}}},
		{"no argument", []step{{"goto", "Usage: goto <line>\n", 2}}},
		{"a word", []step{{"goto x", "Usage: goto <line>\nError: <line> must be a number\n", 2}}},
		{"two arguments", []step{{"goto 1 2", "Usage: goto <line>\nError: goto takes one line number at a time\n", 2}}},
		{"typed", []step{{`goto {"line":"1500"}`, listing("big.txt", 2500, 1335, 2334), 0}}},
		{"typed, negative", []step{{`goto {"line":-1}`, listing("big.txt", 2500, 1, 1000), 0}}},
		{"empty file", []step{{"open empty.txt", "[File: $DIR/empty.txt (0 lines total)]\n", 0}, {"goto 1", "[File: $DIR/empty.txt (0 lines total)]\n", 0}, {"scroll_down", "[File: $DIR/empty.txt (0 lines total)]\n", 0}, {"scroll_up", "[File: $DIR/empty.txt (0 lines total)]\n", 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkspace(t, tool.Options{}, files)
			w.shell("open big.txt")
			w.check(test.steps)
		})
	}
}

func TestScroll(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"big.txt": numbered(2500)})
	w.shell("open big.txt")
	w.check([]step{
		{"scroll_down", listing("big.txt", 2500, 999, 1998), 0},
		{"scroll_down", listing("big.txt", 2500, 1501, 2500), 0},
		{"open big.txt 2500", listing("big.txt", 2500, 1501, 2500), 0},
		{"scroll_down", listing("big.txt", 2500, 1501, 2500), 0},
		{"scroll_up", listing("big.txt", 2500, 503, 1502), 0},
		{"goto 600", listing("big.txt", 2500, 435, 1434), 0},
		{"scroll_up {}", listing("big.txt", 2500, 1, 1000), 0},
		{"scroll_up now", "Usage: scroll_up\nError: it takes no argument\n", 2},
	})
}

func TestScrollWindow(t *testing.T) {
	for _, test := range []struct {
		name  string
		opts  tool.Options
		steps []step
	}{
		{"small", tool.Options{Window: 4, Overlap: 1}, []step{{"scroll_down", listing("f", 10, 4, 7), 0}, {"scroll_up", listing("f", 10, 1, 4), 0}}},
		{"no overlap", tool.Options{Window: 4, Overlap: -1}, []step{{"scroll_down", listing("f", 10, 5, 8), 0}}},
		{"overlap as large as the window", tool.Options{Window: 2, Overlap: 9}, []step{{"scroll_down", listing("f", 10, 2, 3), 0}}},
		{"one line", tool.Options{Window: 1}, []step{{"scroll_down", listing("f", 10, 2, 2), 0}, {"scroll_up", listing("f", 10, 1, 1), 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkspace(t, test.opts, map[string]string{"f": numbered(10)})
			w.shell("open f")
			w.check(test.steps)
		})
	}
}

func TestScrollWarning(t *testing.T) {
	w := newWorkspace(t, tool.Options{Window: 2}, map[string]string{"f": numbered(30)})
	w.shell("open f")
	warned := func() bool { return strings.Contains(w.shell("scroll_down").Output, "WARNING: You have scrolled") }
	sequence := func(what string, want ...bool) {
		t.Helper()
		for i, want := range want {
			if got := warned(); got != want {
				t.Errorf("%s: scroll %d warns: %v, want %v", what, i+1, got, want)
			}
		}
	}
	sequence("from the start", false, false, true, true)
	w.shell("search_file l7")
	sequence("after another tool", false, false)
	w.run.NoteOtherAction()
	sequence("after another action", false, false, true)
	w.shell("no_such_tool")
	sequence("after an unknown tool", false)
}

func TestIsScroll(t *testing.T) {
	for action, want := range map[string]bool{"scroll_down": true, " scroll_up\n": true, "scroll_down; ls": false, "": false, "ls": false} {
		if got := tool.IsScroll(action); got != want {
			t.Errorf("IsScroll(%q) = %v, want %v", action, got, want)
		}
	}
}

func TestNoFileOpen(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, nil)
	w.check([]step{
		{"goto 1", noFile, 1},
		{"scroll_up", noFile, 1},
		{"scroll_down", noFile, 1},
		{"search_file x", noFile, 1},
		{"edit 1:1\nx\n", noFile, 1},
		{"insert 1\nx\n", noFile, 1},
		{`edit {"start_line":1,"end_line":1,"text":"x"}`, noFile, 1},
	})
}

func TestOpenFileIsGone(t *testing.T) {
	w := newWorkspace(t, tool.Options{}, map[string]string{"f": "l1\n"})
	w.shell("open f")
	if err := os.Remove(w.path("f")); err != nil {
		t.Fatal(err)
	}
	const gone = "Error: the open file $DIR/f is not there any more. Use the open command to open another one.\n"
	w.check([]step{{"goto 1", gone, 1}, {"scroll_up", gone, 1}, {"edit 1:1\nx\n", gone, 1}})
	if got := w.shell("search_file x"); got.ExitCode == 0 {
		t.Errorf("search_file in a file that is gone = %+v", got)
	}
	if _, err := os.Stat(w.path("f")); err == nil {
		t.Error("an edit of a file that is gone made it again")
	}
}
