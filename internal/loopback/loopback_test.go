package loopback_test

import (
	"testing"

	"mlgym/internal/loopback"
)

func TestIs(t *testing.T) {
	for hostport, want := range map[string]bool{
		"localhost": true, "localhost:80": true, "127.0.0.1": true, "127.8.9.10:1": true, "[::1]:80": true, "::1": true, "[::1]": true,
		"": false, ":80": false, "localhost.example": false, "127.0.0.1.example:80": false, "0.0.0.0:80": false, "192.0.2.1": false, "[::]:80": false,
	} {
		if got := loopback.Is(hostport); got != want {
			t.Errorf("Is(%q) = %v", hostport, got)
		}
	}
}
