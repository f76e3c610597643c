package strictyaml_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/internal/strictyaml"
)

type inner struct {
	Path  string `yaml:"path"`
	Bytes int64  `yaml:"max_bytes,optional"`
}

type document struct {
	Name    string             `yaml:"name"`
	Count   int                `yaml:"count,optional"`
	Ratio   *float64           `yaml:"ratio,optional"`
	On      bool               `yaml:"on,optional"`
	Wait    time.Duration      `yaml:"wait,optional"`
	Files   []inner            `yaml:"files,optional"`
	Scores  map[string]float64 `yaml:"scores,optional"`
	Options map[string]any     `yaml:"options,optional"`
	Hidden  string             `yaml:"-"`
}

func TestDecode(t *testing.T) {
	const text = `name: a # a comment
count: 0x10
ratio: 2
on: true
wait: 1m30s
files:
  - path: "7"
    max_bytes: 9
scores: {x: 1, y: -2.5}
options:
  list: [1, two, 3.5, true]
`
	ratio := 2.0
	want := document{
		Name: "a", Count: 16, Ratio: &ratio, On: true, Wait: 90 * time.Second,
		Files:   []inner{{"7", 9}},
		Scores:  map[string]float64{"x": 1, "y": -2.5},
		Options: map[string]any{"list": []any{int64(1), "two", 3.5, true}},
	}
	var got document
	lines, err := strictyaml.Decode("f.yaml", []byte(text), &got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := lines["files[0].max_bytes"]; got != 8 {
		t.Errorf("line of files[0].max_bytes: got %d, want 8", got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "f.yaml: the file is empty"},
		{"only a comment", "# x\n", "f.yaml: the file is empty"},
		{"unknown key", "name: a\ncuont: 3\n", `f.yaml:2: cuont: unknown key; did you mean "count"?`},
		{"unknown key, nothing near", "name: a\nzzzzzzzz: 3\n", "f.yaml:2: zzzzzzzz: unknown key; known here: name, count"},
		{"unknown key inside", "name: a\nfiles:\n  - path: x\n    max_byte: 3\n", `f.yaml:4: files[0].max_byte: unknown key; did you mean "max_bytes"?`},
		{"missing", "count: 3\n", "f.yaml:1: name: missing"},
		{"missing inside", "name: a\nfiles:\n  - max_bytes: 3\n", "files[0].path: missing"},
		{"number for text", "name: 3\n", "f.yaml:1: name: want text, got the number 3"},
		{"nothing for text", "name:\n", "f.yaml:1: name: want text, got nothing"},
		{"text for number", "name: a\ncount: three\n", `f.yaml:2: count: want a whole number, got the text "three"`},
		{"quoted number", "name: a\ncount: \"3\"\n", `f.yaml:2: count: want a whole number`},
		{"fraction for integer", "name: a\ncount: 1.5\n", "f.yaml:2: count: want a whole number, got the number 1.5"},
		{"infinite", "name: a\nratio: .inf\n", "f.yaml:2: ratio: want a number"},
		{"text for bool", "name: a\non: yes\n", `f.yaml:2: on: want true or false, got the text "yes"`},
		{"number for duration", "name: a\nwait: 30\n", "f.yaml:2: wait: want a duration such as 90s or 30m, got the number 30"},
		{"negative duration", "name: a\nwait: -3s\n", "f.yaml:2: wait: want a duration"},
		{"mapping for list", "name: a\nfiles: {path: x}\n", "f.yaml:2: files: want a list, got keys and values"},
		{"list for mapping", "- 1\n", "f.yaml:1: want keys and values, got a list"},
		{"twice", "name: a\nname: b\n", "f.yaml:2: "},
		{"anchor", "name: &x a\n", "f.yaml:1: name: want text"},
		{"two documents", "name: a\n---\nname: b\n", "more than one document"},
		{"not YAML", "name: [a\n", "f.yaml:1: not YAML"},
		{"tab", "name: a\nfiles:\n\t- path: x\n", "f.yaml:3: not YAML"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got document
			_, err := strictyaml.Decode("f.yaml", []byte(tt.text), &got)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Decode(%q): got error %v, want one with %q", tt.text, err, tt.want)
			}
		})
	}
}

func TestDecodeReportsEveryProblem(t *testing.T) {
	var got document
	_, err := strictyaml.Decode("f.yaml", []byte("count: x\non: 3\n"), &got)
	for _, want := range []string{"name: missing", "f.yaml:1: count", "f.yaml:2: on"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want it to have %q", err, want)
		}
	}
	var one *strictyaml.Error
	if !errors.As(err, &one) || one.File != "f.yaml" {
		t.Errorf("got error %v, want one that holds a *strictyaml.Error", err)
	}
}

func TestLinesAt(t *testing.T) {
	lines := strictyaml.Lines{"": 1, "a": 2, "a.b": 3, "list": 5}
	for _, tt := range []struct {
		key  string
		want int
	}{{"a.b", 3}, {"a.b.c[0]", 3}, {"a.x", 2}, {"list[4].y", 5}, {"zzz", 1}} {
		if got := lines.At("f", tt.key, "bad").Line; got != tt.want {
			t.Errorf("At(%q): got line %d, want %d", tt.key, got, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\ncount: 3\nfiles:\n  - path: x\n"))
	f.Add([]byte("name: {a: [1, 2\n"))
	f.Add([]byte("options: {a: &x 1, b: *x}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got document
		if _, err := strictyaml.Decode("f.yaml", data, &got); err == nil && got.Hidden != "" {
			t.Errorf("a field without a key was set: %q", got.Hidden)
		}
	})
}
