package taskimport

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"mlgym/internal/nearest"
	"mlgym/task"
)

// examples are complete tasks that mlgym task check passes; EXAMPLE stands for
// the id.
//
//go:embed example
var examples embed.FS

// New writes a complete example of a task below out: of kind [task.Files] or
// [task.Program]. It returns the folder, which must not exist, and is named as
// the id.
func New(id string, kind task.Kind, out string) (string, error) {
	if !idPattern.MatchString(id) {
		hint := ""
		if better := idOf(id); better != "" {
			hint = ", such as " + better
		}
		return "", fmt.Errorf("the id %q: want letters, digits, - and _, at most 64, the first one a letter or digit%s", id, hint)
	}
	kinds := []string{string(task.Files), string(task.Program)}
	sub, err := fs.Sub(examples, "example/"+string(kind))
	if kind != task.Files && kind != task.Program || err != nil {
		return "", fmt.Errorf("kind %q is not known%s (one of %s)", kind, nearest.Hint(string(kind), kinds), strings.Join(kinds, ", "))
	}
	t := newTree()
	err = fs.WalkDir(sub, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(sub, name)
		t.text(name, strings.ReplaceAll(string(text), "EXAMPLE", id))
		return err
	})
	if err != nil {
		return "", err
	}
	return t.write(out, id)
}
