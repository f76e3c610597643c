package tasks

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"unicode/utf8"

	"mlgym/task"
	"mlgym/web/markup"
)

// The bounds of what a page shows of a starter.
const (
	mostFiles     = 100
	mostFileBytes = 128 << 10
)

// starterFile is a file that the agent finds in its workspace.
type starterFile struct {
	Name  string
	Bytes int64
	Lines int
	// Code is "" where the file is not shown, and Why says the reason.
	Code template.HTML
	Why  string
}

// starterFiles reads what the agent finds in its workspace.
func starterFiles(t *task.Task) (out []starterFile, problems []string) {
	starter, err := t.Starter()
	if err != nil {
		return nil, []string{err.Error()}
	}
	left := 0
	err = fs.WalkDir(starter, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if len(out) == mostFiles {
			left++
			return nil
		}
		f, err := readStarter(starter, name, d)
		if err != nil {
			problems = append(problems, fmt.Sprintf("The starter file %s cannot be read: %v", name, err))
			return nil
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		problems = append(problems, "The starter cannot be read: "+err.Error())
	}
	if left > 0 {
		problems = append(problems, fmt.Sprintf("The starter has %d further files, which are not shown.", left))
	}
	return out, problems
}

func readStarter(starter fs.FS, name string, d fs.DirEntry) (starterFile, error) {
	info, err := d.Info()
	if err != nil {
		return starterFile{}, err
	}
	f := starterFile{Name: name, Bytes: info.Size()}
	if f.Bytes > mostFileBytes {
		f.Why = "too long to be shown here"
		return f, nil
	}
	text, err := fs.ReadFile(starter, name)
	if err != nil {
		return f, err
	}
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		f.Why = "no text"
		return f, nil
	}
	f.Lines = bytes.Count(text, []byte("\n"))
	f.Code = markup.Code(string(text), name)
	return f, nil
}
