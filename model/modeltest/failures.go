package modeltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
)

// Open makes a model that asks the server at baseURL (without a path) with a key.
type Open func(t *testing.T, baseURL, key string, timeout time.Duration) model.Model

// Body is an error's body in a provider's format.
type Body func(status int, message string) string

// Case is a failing answer and the kind that it must have.
type Case struct {
	Name       string
	Status     int
	Header     map[string]string
	Body       string
	Want       model.ErrorKind
	RetryAfter time.Duration
	// Message is a part that the error must say.
	Message string
}

const secretKey = "sk-test-0123456789abcdefSECRET"

// TestFailures checks what becomes of failing servers: body writes an error in
// the provider's format, and further are cases of its own.
func TestFailures(t *testing.T, open Open, body Body, further ...Case) {
	cases := append([]Case{
		{Name: "rate limited", Status: 429, Header: map[string]string{"Retry-After": "17"}, Body: body(429, "slow down"), Want: model.RateLimited, RetryAfter: 17 * time.Second, Message: "slow down"},
		{Name: "internal error", Status: 500, Body: body(500, "oops"), Want: model.Overloaded, Message: "oops"},
		{Name: "bad gateway with a page", Status: 502, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>\n<h1>Bad gateway</h1>\n</html>", Want: model.Overloaded, Message: "Bad gateway"},
		{Name: "unavailable without a body", Status: 503, Want: model.Overloaded, Message: "service unavailable"},
		{Name: "overloaded", Status: 529, Body: body(529, "overloaded"), Want: model.Overloaded},
		{Name: "wrong key", Status: 401, Body: body(401, "wrong key "+secretKey), Want: model.Unauthorized, Message: "wrong key"},
		{Name: "forbidden", Status: 403, Body: body(403, "not yours"), Want: model.Unauthorized, Message: "not yours"},
		{Name: "unknown model", Status: 404, Body: body(404, "no model of this name"), Want: model.NotFound, Message: "no model of this name"},
		{Name: "unknown path, text", Status: 404, Body: "404 page not found", Want: model.NotFound, Message: "page not found"},
		{Name: "bad request", Status: 400, Body: body(400, "temperature is out of range"), Want: model.BadRequest, Message: "temperature"},
		{Name: "prompt too long", Status: 400, Body: body(400, "prompt is too long: 210000 tokens > 200000 maximum"), Want: model.ContextLength, Message: "210000"},
		{Name: "error as a string", Status: 400, Body: `{"error":"model does not support tools"}`, Want: model.BadRequest, Message: "does not support tools"},
		{Name: "redirect", Status: 302, Header: map[string]string{"Location": "http://elsewhere.invalid/"}, Want: model.BadResponse, Message: "elsewhere.invalid"},
		{Name: "page instead of JSON", Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>login</html>", Want: model.BadResponse},
		{Name: "broken JSON", Status: 200, Body: `{"choices":[`, Want: model.BadResponse},
		{Name: "empty object", Status: 200, Body: `{}`, Want: model.BadResponse},
	}, further...)
	for _, tt := range cases {
		t.Run(tt.Name, func(t *testing.T) { testCase(t, open, tt) })
	}
	t.Run("key in the middle of a long message", func(t *testing.T) {
		testCase(t, open, Case{
			Status: 400, Body: body(400, strings.Repeat("x", 590)+secretKey+strings.Repeat("y", 2000)), Want: model.BadRequest,
		})
	})
	t.Run("connection refused", func(t *testing.T) { testRefused(t, open) })
	t.Run("connection breaks", func(t *testing.T) { testBreaks(t, open) })
	t.Run("answer breaks off", func(t *testing.T) { testBreaksOff(t, open) })
	t.Run("timeout", func(t *testing.T) { testTimeout(t, open) })
	t.Run("cancelled while waiting", func(t *testing.T) { testCancelled(t, open) })
	t.Run("one request per call", func(t *testing.T) { testNoRetry(t, open, body) })
}

var hello = &model.Request{Messages: []model.Message{{Role: model.User, Text: "Hello."}}, MaxTokens: 8}

func testCase(t *testing.T, open Open, tt Case) {
	t.Helper()
	sentKey := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, values := range r.Header {
			sentKey = sentKey || strings.Contains(strings.Join(values, " "), secretKey)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Echo", secretKey)
		for name, value := range tt.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(tt.Status)
		_, _ = io.WriteString(w, tt.Body)
	}))
	defer server.Close()
	_, err := open(t, server.URL, secretKey, 0).Generate(t.Context(), hello)
	var e *model.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v (%T), want a *model.Error", err, err)
	}
	if e.Kind != tt.Want {
		t.Errorf("kind = %q, want %q; error: %v", e.Kind, tt.Want, err)
	}
	wantStatus := tt.Status
	if tt.Status == http.StatusOK {
		wantStatus = 0
	}
	if e.Status != wantStatus {
		t.Errorf("status = %d, want %d", e.Status, wantStatus)
	}
	if diff := cmp.Diff(tt.RetryAfter, e.RetryAfter); diff != "" {
		t.Errorf("retry after (-want +got):\n%s", diff)
	}
	if !strings.Contains(err.Error(), tt.Message) {
		t.Errorf("error = %q, want it to say %q", err, tt.Message)
	}
	if !sentKey {
		t.Error("the request carried no key")
	}
	CheckNoKey(t, err, secretKey)
}

// CheckNoKey fails the test where the key, or a long piece of it, shows in any
// form of the error.
func CheckNoKey(t *testing.T, err error, key string) {
	t.Helper()
	var logged strings.Builder
	logger := slog.New(slog.NewJSONHandler(&logged, nil))
	logger.Error("failed", "error", err)
	raw, marshalErr := json.Marshal(err)
	if marshalErr != nil {
		raw = nil // an error need not marshal
	}
	forms := []string{err.Error(), fmt.Sprintf("%v", err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), logged.String(), string(raw)}
	for e := err; e != nil; e = errors.Unwrap(e) {
		forms = append(forms, e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e))
	}
	for _, form := range forms {
		for start := 0; start+10 <= len(key); start++ {
			if strings.Contains(form, key[start:start+10]) {
				t.Fatalf("the key, or %q of it, is in the error: %s", key[start:start+10], form)
			}
		}
	}
}

func wantKind(t *testing.T, err error, want model.ErrorKind, say string) {
	t.Helper()
	if got := model.KindOf(err); got != want {
		t.Errorf("kind = %q, want %q; error: %v", got, want, err)
	}
	if err != nil && !strings.Contains(err.Error(), say) {
		t.Errorf("error = %q, want it to say %q", err, say)
	}
	if err != nil {
		CheckNoKey(t, err, secretKey)
	}
}

func testRefused(t *testing.T, open Open) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, "http://user:"+secretKey+"@"+address, secretKey, 0).Generate(t.Context(), hello)
	wantKind(t, err, model.Unreachable, address)
	if err != nil && !strings.Contains(err.Error(), "is the server running") {
		t.Errorf("error = %q, want a hint", err)
	}
}

func testBreaks(t *testing.T, open Open) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	_, err := open(t, server.URL, secretKey, 0).Generate(t.Context(), hello)
	wantKind(t, err, model.Unreachable, server.URL)
}

func testBreaksOff(t *testing.T, open Open) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"id":"`)
	}))
	defer server.Close()
	_, err := open(t, server.URL, secretKey, 0).Generate(t.Context(), hello)
	wantKind(t, err, model.Unreachable, server.URL)
}

// hang answers nothing until the client leaves or the test ends.
func hang(t *testing.T, arrived chan<- struct{}) *httptest.Server {
	t.Helper()
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-end:
		}
	}))
	t.Cleanup(func() {
		close(end)
		server.Close()
	})
	return server
}

func testTimeout(t *testing.T, open Open) {
	server := hang(t, make(chan struct{}, 1))
	_, err := open(t, server.URL, secretKey, 50*time.Millisecond).Generate(t.Context(), hello)
	wantKind(t, err, model.Unreachable, "no answer")
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, which is a deadline of the caller; the caller set none", err)
	}
}

func testCancelled(t *testing.T, open Open) {
	arrived := make(chan struct{}, 1)
	server := hang(t, arrived)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	m := open(t, server.URL, secretKey, 0)
	go func() {
		_, err := m.Generate(ctx, hello)
		done <- err
	}()
	<-arrived
	cancel()
	err := <-done
	if !errors.Is(err, context.Canceled) || model.KindOf(err) != "" {
		t.Errorf("error = %v of kind %q, want context.Canceled and no kind", err, model.KindOf(err))
	}
}

func testNoRetry(t *testing.T, open Open, body Body) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Should-Retry", "true")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, body(503, "busy"))
	}))
	defer server.Close()
	_, err := open(t, server.URL, secretKey, 0).Generate(t.Context(), hello)
	wantKind(t, err, model.Overloaded, "busy")
	if requests != 1 {
		t.Errorf("requests = %d, want 1: retries are not the provider's", requests)
	}
}
