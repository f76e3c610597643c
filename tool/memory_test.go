package tool_test

import (
	"testing"

	"mlgym/tool"
)

// TestMemory: a session that was saved goes on in another one as if nothing had
// happened.
func TestMemory(t *testing.T) {
	w := newWorkspace(t, tool.Options{Window: 10}, map[string]string{"a.txt": numbered(100)})
	w.shell("open a.txt 50")
	w.shell("scroll_down")
	w.shell("scroll_down")
	saved, err := w.run.Save()
	if err != nil {
		t.Fatal(err)
	}
	want := w.shell("scroll_down")
	w.run = tool.NewRunner(tool.Options{Window: 10})
	if err := w.run.Load(saved); err != nil {
		t.Fatal(err)
	}
	if got := w.shell("scroll_down"); got != want {
		t.Errorf("after Load the third scroll shows\n%s\nwant\n%s", got.Output, want.Output)
	}
	if got, want := w.run.OpenFile(), w.path("a.txt"); got != want {
		t.Errorf("open file %q, want %q", got, want)
	}
}

func TestMemoryThatNobodyHad(t *testing.T) {
	for _, saved := range []string{
		``, `[]`, `{"file":"cmVsYXRpdmU="}`, `{"file":"L2EvLi4vYg=="}`, `{"first":-1}`, `{"last":5,"total":4}`, `{"scrolls":-1}`,
		`{"first":7,"last":3,"total":9}`, `{"total":9223372036854775807}`, `{"file":7}`,
	} {
		run := tool.NewRunner(tool.Options{})
		if err := run.Load([]byte(saved)); err == nil {
			t.Errorf("Load(%s): no error, want one", saved)
		}
		if run.OpenFile() != "" {
			t.Errorf("Load(%s) was refused, and changed the open file to %q", saved, run.OpenFile())
		}
	}
}
