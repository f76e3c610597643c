package oci

import (
	"strings"
	"sync"
)

// What is kept of what a runtime prints: of a long one, the first lines tell
// the reason and the last ones the end.
const (
	headBytes = 1 << 10
	tailBytes = 3 << 10
)

// tail keeps the beginning and the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	head []byte
	text []byte
	cut  bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if room := min(headBytes-len(t.head), n); room > 0 {
		t.head = append(t.head, p[:room]...)
		p = p[room:]
	}
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
		t.cut = true
	}
	return n, nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := string(t.head)
	if t.cut {
		text += " […] "
	}
	return strings.ToValidUTF8(strings.TrimSpace(text+string(t.text)), "\uFFFD")
}
