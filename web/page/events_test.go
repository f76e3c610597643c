package page_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mlgym/web/page"
)

// TestStream reads events as a browser would, through the whole site.
func TestStream(t *testing.T) {
	s := page.New(page.Options{})
	mux := http.NewServeMux()
	changed := make(chan struct{})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		stream := page.NewStream(w, r)
		n := 0
		_ = stream.Follow(r.Context(), changed, func() error {
			n++
			if n == 1 {
				return stream.Send("1\n2", "text", "a\r\nb\rc\n")
			}
			return stream.Send("", "data", map[string]int{"n": n})
		})
	})
	server := httptest.NewServer(s.Handler(mux, page.Guard{}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Encoding") != "" || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("headers %v", answer.Header)
	}
	lines := bufio.NewScanner(answer.Body)
	event := func() string {
		var out []string
		for lines.Scan() && (lines.Text() != "" || len(out) == 0) {
			out = append(out, lines.Text())
		}
		return strings.Join(out, "|")
	}
	if got := event(); got != "retry: 2000" {
		t.Errorf("got %q", got)
	}
	// The first event comes before anything changed, so nothing holds it back.
	if got, want := event(), "id: 12|event: text|data: a|data: b|data: c|data: "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	changed <- struct{}{}
	if got, want := event(), `event: data|data: {"n":2}`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	close(changed)
	if got, want := event(), `event: data|data: {"n":3}`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if lines.Scan() {
		t.Errorf("after the end came %q", lines.Text())
	}
}
