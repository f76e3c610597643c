package taskimport

import (
	"fmt"
	"strings"
)

// Outcome says what became of one key of the source.
type Outcome string

// The outcomes.
const (
	// Kept means the same here.
	Kept Outcome = "kept"
	// Changed means something else here; the text says what.
	Changed Outcome = "changed"
	// Left has no meaning here; the text says why.
	Left Outcome = "left"
)

// Entry is one line of a report.
type Entry struct {
	// Key of the source, such as "starter_code", or the place that is meant, such
	// as "environment/Dockerfile:3".
	Key     string  `json:"key"`
	Outcome Outcome `json:"outcome"`
	// Text says how, or why.
	Text string `json:"text"`
}

// Report says what an import did.
type Report struct {
	// From is the system: "MLGym" or "Harbor".
	From string `json:"from"`
	// Source is the file or folder that was read.
	Source string `json:"source"`
	// Task is the id of the new task, Folder where it lies.
	Task    string  `json:"task"`
	Folder  string  `json:"folder"`
	Entries []Entry `json:"entries"`
	// Next are the commands to go on with.
	Next []string `json:"next"`
}

func (r *Report) add(o Outcome, key, format string, args ...any) {
	r.Entries = append(r.Entries, Entry{key, o, fmt.Sprintf(format, args...)})
}

// Count counts the entries with an outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, e := range r.Entries {
		if e.Outcome == o {
			n++
		}
	}
	return n
}

// titles of the parts of IMPORT.md.
var titles = []struct {
	outcome Outcome
	title   string
}{{Kept, "Kept"}, {Changed, "Changed"}, {Left, "Left out"}}

// markdown is the text of IMPORT.md.
func (r *Report) markdown(trust string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Imported from %s\n\n", r.From)
	fmt.Fprintf(&b, "This folder was written by `mlgym task import` from %s.\n\n", r.Source)
	b.WriteString("The text, code and data that were taken over belong to their authors, and their licence holds on: look it up at the\n" +
		"source before you pass this folder on.\n")
	for _, part := range titles {
		if r.Count(part.outcome) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		for _, e := range r.Entries {
			if e.Outcome == part.outcome {
				fmt.Fprintf(&b, "- `%s`: %s\n", e.Key, e.Text)
			}
		}
	}
	fmt.Fprintf(&b, "\n## What is trusted\n\n%s\n", trust)
	return b.String()
}
