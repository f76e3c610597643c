package grader

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/gym"
	"mlgym/task"
)

func TestReadFrame(t *testing.T) {
	tests := []struct {
		name  string
		bytes string
		limit int64
		want  string
		err   error
	}{
		{"empty payload", "\x00\x00\x00\x00", 10, "", nil},
		{"payload", "\x00\x00\x00\x03abcd", 10, "abc", nil},
		{"as long as allowed", "\x00\x00\x00\x03abc", 3, "abc", nil},
		{"longer than allowed", "\x00\x00\x00\x04abcd", 3, "", errFrameTooLong},
		{"longer than any frame", "\xff\xff\xff\xff", 1 << 40, "", errFrameTooLong},
		{"nothing", "", 10, "", io.EOF},
		{"half a length", "\x00\x00", 10, "", io.ErrUnexpectedEOF},
		{"length and no payload", "\x00\x00\x00\x03", 10, "", io.ErrUnexpectedEOF},
		{"half a payload", "\x00\x00\x00\x03ab", 10, "", io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readFrame(strings.NewReader(tt.bytes), tt.limit)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("readFrame(%q, %d) = %q, %v, want %q, %v", tt.bytes, tt.limit, got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x03abc"))
	f.Add([]byte("\x04\x00\x00\x00abc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		payload, err := readFrame(bytes.NewReader(data), maxFrame)
		if err != nil {
			return
		}
		if again := makeFrame(payload); !bytes.HasPrefix(data, again) {
			t.Errorf("%q was read from %q and is written as %q", payload, data, again)
		}
	})
}

func TestDecodeRequest(t *testing.T) {
	req, body, err := decodeRequest([]byte("{\"op\":\"ask\",\"player\":\"a\",\"clock\":\"start\"}\n{\"x\":\n1}"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(request{Op: "ask", Player: "a", Clock: "start"}, req); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if got, want := string(body), "{\"x\":\n1}"; got != want {
		t.Errorf("body: got %q, want %q", got, want)
	}
	for _, bad := range []string{"", "[]", "{}", `{"op":1}`, `{"op":"ask","colour":1}`, `{"op":"ask"} {"op":"ask"}`, `{"op":"score","scores":{"a":"1"}}`} {
		if got, _, err := decodeRequest([]byte(bad)); err == nil {
			t.Errorf("decodeRequest(%q) = %+v, want an error", bad, got)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte("{\"op\":\"ask\",\"player\":\"a\"}\n{}"))
	f.Add([]byte(`{"op":"score","scores":{"Score":1e308}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if req, _, err := decodeRequest(data); err == nil && req.Op == "" {
			t.Errorf("%q was taken for a request", data)
		}
	})
}

func TestSeed(t *testing.T) {
	base := Request{
		Task: &task.Task{ID: "a", Version: 1}, Kind: gym.Validate, Mode: task.Published, Variant: "full",
		Key: []byte("0123456789abcdef"), Attempt: 1,
	}
	if got, want := seed(base), seed(base); got != want || len(got) != 64 {
		t.Errorf("got %q and then %q, want 64 digits, the same ones", got, want)
	}
	seen := map[string]string{seed(base): "the first one"}
	for name, change := range map[string]func(*Request){
		"kind":    func(r *Request) { r.Kind = gym.Submit },
		"mode":    func(r *Request) { r.Mode = task.Hardened },
		"variant": func(r *Request) { r.Variant = "small" },
		"key":     func(r *Request) { r.Key = []byte("0123456789abcdeF") },
		"attempt": func(r *Request) { r.Attempt = 2 },
		"task":    func(r *Request) { r.Task = &task.Task{ID: "b", Version: 1} },
		"version": func(r *Request) { r.Task = &task.Task{ID: "a", Version: 2} },
	} {
		changed := base
		change(&changed)
		got := seed(changed)
		if other, ok := seen[got]; ok {
			t.Errorf("another %s gives the seed of %s", name, other)
		}
		seen[got] = "another " + name
	}
}

func TestPrintable(t *testing.T) {
	if got, want := printable("a\nb\x1b[31m\xff"), "a?b?[31m?"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := printable(strings.Repeat("ä", 300)); len(got) > 210 {
		t.Errorf("got %d bytes, want about 200", len(got))
	}
}
