package providers_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mlgym/model"
	"mlgym/model/modeltest/llamaserver"
	"mlgym/model/price"
	"mlgym/model/providers"
	"mlgym/model/replay"
)

func TestParseRef(t *testing.T) {
	tests := []struct{ name, in, err string }{
		{"known", "openai/gpt-4o", ""},
		{"misspelt", "opanai/gpt-4o", `did you mean "openai"`},
		{"another case", "Anthropic/claude", `did you mean "anthropic"`},
		{"far from all", "zzzzzzzzzz/m", "providers: openai, anthropic, google, replay"},
		{"no provider", "gpt-4o", "PROVIDER/NAME"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := providers.ParseRef(tt.in)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseRef(%q) = %v, want %q", tt.in, err, tt.err)
			}
		})
	}
}

func TestKeyFrom(t *testing.T) {
	environment := map[string]string{"OPENAI_API_KEY": "a", "GEMINI_API_KEY": "", "GOOGLE_API_KEY": " b\n"}
	for provider, want := range map[string]string{"openai": "a", "google": "b", "anthropic": "", "replay": ""} {
		if got := providers.KeyFrom(provider, func(name string) string { return environment[name] }); got != want {
			t.Errorf("key of %s = %q, want %q", provider, got, want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name string
		ref  model.Ref
		err  string
	}{
		{"no key", model.Ref{Provider: "openai", Name: "m"}, "OPENAI_API_KEY"},
		{"no key of Anthropic", model.Ref{Provider: "anthropic", Name: "m"}, "ANTHROPIC_API_KEY"},
		{"no key of Google", model.Ref{Provider: "google", Name: "m"}, "GEMINI_API_KEY"},
		{"no cassette", model.Ref{Provider: "replay", Name: "/nonexistent.jsonl"}, "/nonexistent.jsonl"},
		{"unknown provider", model.Ref{Provider: "opanai", Name: "m"}, `did you mean "openai"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := providers.Open(t.Context(), tt.ref, providers.Options{})
			if m != nil || err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Open(%v) = %v, %v; want an error with %q", tt.ref, m, err, tt.err)
			}
		})
	}
}

// TestOpenWraps checks that retries and prices stand around the provider.
func TestOpenWraps(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if requests++; requests == 1 {
			w.Header().Set("Retry-After-Ms", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = io.WriteString(w, `{"choices":[{"finish_reason":"stop","message":{"content":"x"}}],"usage":{"prompt_tokens":1000000,"completion_tokens":0}}`)
	}))
	defer server.Close()
	prices, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"gpt-4o-mini": 0.15, "unheard-of": -1} {
		requests = 0
		m, err := providers.Open(t.Context(), model.Ref{Provider: "openai", Name: name}, providers.Options{
			BaseURL: server.URL, Prices: prices, Retry: &model.RetryOptions{Base: time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := m.Generate(t.Context(), &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}}})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case want < 0 && resp.CostUSD != nil:
			t.Errorf("cost of %s = %v, want unknown", name, *resp.CostUSD)
		case want >= 0 && (resp.CostUSD == nil || *resp.CostUSD != want):
			t.Errorf("cost of %s = %v, want %v", name, resp.CostUSD, want)
		}
	}
}

// TestRecordAndReplay records a live model's answers and opens the cassette by
// its name.
func TestRecordAndReplay(t *testing.T) {
	url := llamaserver.Start(t)
	live, err := providers.Open(t.Context(), model.Ref{Provider: "openai", Name: "smollm2"}, providers.Options{BaseURL: url + "/v1"})
	if err != nil {
		t.Fatal(err)
	}
	var cassette bytes.Buffer
	recorder, err := replay.NewRecorder(live, &cassette)
	if err != nil {
		t.Fatal(err)
	}
	req := &model.Request{Messages: []model.Message{{Role: model.User, Text: "Say hello."}}, MaxTokens: 12}
	want, err := recorder.Generate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hello.jsonl")
	if err := os.WriteFile(path, cassette.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := providers.ParseRef("replay/" + path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := providers.Open(t.Context(), ref, providers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Generate(t.Context(), req)
	if err != nil || got.Message.Text != want.Message.Text || got.Usage != want.Usage {
		t.Errorf("replayed = %+v, %v; want %+v", got, err, want)
	}
}
