package trajectory

import (
	"bytes"
	"strings"
	"testing"
)

func TestEveryVersionHasItsMigration(t *testing.T) {
	if got, want := len(migrations())+1, Version; got != want {
		t.Errorf("migrations lead to version %d, want %d", got, want)
	}
}

// TestMigrationsRunInOrder uses two made-up steps, as there is none yet.
func TestMigrationsRunInOrder(t *testing.T) {
	replace := func(old, with string) migration {
		return func(line []byte) ([]byte, error) {
			return bytes.ReplaceAll(line, []byte(old), []byte(with)), nil
		}
	}
	steps := []migration{
		func(line []byte) ([]byte, error) {
			line, err := replace(`"version":1`, `"version":2`)(line)
			if err != nil {
				return nil, err
			}
			return replace("remark", "comment")(line)
		},
		func(line []byte) ([]byte, error) {
			line, err := replace(`"version":2`, `"version":3`)(line)
			if err != nil {
				return nil, err
			}
			return replace("comment", "note")(line)
		},
	}
	for _, test := range []struct{ name, version, word string }{
		{"two steps", "1", "remark"},
		{"one step", "2", "comment"},
		{"no step", "3", "note"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(
				`{"seq":0,"type":"header","header":{"format":"mlgym-trajectory","version":` + test.version + `}}` + "\n" +
					`{"seq":1,"type":"` + test.word + `","` + test.word + `":{"text":"x"}}` + "\n"))
			r.steps = steps
			header, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if header.Header.Version != 3 {
				t.Errorf("header has version %d, want 3", header.Header.Version)
			}
			e, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if e.Note == nil || e.Note.Text != "x" {
				t.Errorf("event = %+v, want a note", e)
			}
		})
	}
}
