package task_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"mlgym/task"
)

func TestTheExampleOfTheFormatsPageIsATask(t *testing.T) {
	page, err := os.ReadFile("../docs/format/task.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the page shows no task.yaml")
	}
	files := folder(text)
	files["guess/starter/guess.py"] = &fstest.MapFile{}
	got, err := task.Load(files, "guess")
	if err != nil {
		t.Fatal(err)
	}
	if got.RewardRange != (task.Range{Low: -1, High: 1.5}) {
		t.Errorf("got the range %v, want the defaults, which the page shows", got.RewardRange)
	}
}
