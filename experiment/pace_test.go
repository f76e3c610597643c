package experiment

import (
	"strings"
	"testing"
	"time"
)

func TestPaceFromEnv(t *testing.T) {
	for text, want := range map[string]pace{
		"":    usualPace,
		"45s": usualPace,
		"9s":  {beat: time.Second, stale: 9 * time.Second, again: 9 * time.Second},
		"3m":  {beat: 5 * time.Second, stale: 3 * time.Minute, again: 3 * time.Minute},
		"1h":  {beat: 5 * time.Second, stale: time.Hour, again: time.Hour},
	} {
		t.Setenv(EnvStale, text)
		if got, err := paceFromEnv(); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"45", "1s", "-3m", "2h", "soon"} {
		t.Setenv(EnvStale, text)
		if _, err := Create(t.TempDir()); err == nil || !strings.Contains(err.Error(), EnvStale) {
			t.Errorf("%q: %v, want an error that names the variable", text, err)
		}
	}
}
