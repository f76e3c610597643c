package llamaserver

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestStart(t *testing.T) {
	url := Start(t)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("GET /health of %s: %v", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /health of %s: status %d, body %q, error %v; want 200", url, resp.StatusCode, body, err)
	}
}

func TestStartFails(t *testing.T) {
	binary, _, err := Find()
	if err != nil {
		t.Skipf("no live model: %v", err)
	}
	tests := []struct{ name, binary, model, want string }{
		{"absent binary", "/nonexistent/llama-server", "x", "no such file"},
		{"absent model", binary, "/nonexistent/model.gguf", "/nonexistent/model.gguf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := start(tt.binary, tt.model)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("start(%q, %q) = %v; want an error with %q", tt.binary, tt.model, err, tt.want)
			}
		})
	}
}
