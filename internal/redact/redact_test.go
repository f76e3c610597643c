package redact_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/internal/redact"
)

// token makes something that looks like a key of n characters; whole keys do
// not stand in this file, so that scanners do not stumble over them.
func token(n int) string { return strings.Repeat("a1B2", n/4) }

func TestString(t *testing.T) {
	r := redact.New(
		redact.Secret{Name: "SHORT", Value: "1234"},
		redact.Secret{Name: "A", Value: "hunter2hunter2"},
		redact.Secret{Name: "B", Value: "xhunter2hunter2x"},
		redact.Secret{Value: "nameless-secret"},
	)
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "ls -la sk-learn", "ls -la sk-learn"},
		{"known", "a hunter2hunter2 b hunter2hunter2", "a [redacted:A] b [redacted:A]"},
		{"longest first", "xhunter2hunter2x", "[redacted:B]"},
		{"no name", "is nameless-secret.", "is [redacted]."},
		{"too short to hide", "1234", "1234"},
		{"openai", "key sk-" + token(48) + ".", "key [redacted]."},
		{"openai project", "sk-proj-" + token(40) + "_-" + token(8), "[redacted]"},
		{"google", "?key=AIza" + token(36) + "&x", "?key=[redacted]&x"},
		{"hugging face", "hf_" + token(32), "[redacted]"},
		{"github", "https://ghp_" + token(36) + "@github", "https://[redacted]@github"},
		{"header", "Authorization: Bearer " + token(24), "Authorization: Bearer [redacted]"},
		{"two", "sk-" + token(24) + " sk-" + token(24), "[redacted] [redacted]"},
		{"part of a word", "risk-" + token(24), "risk-" + token(24)},
		{"prose with dashes", "sk-learn-contrib-something-longer", "sk-learn-contrib-something-longer"},
		{"short", "sk-1234", "sk-1234"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := r.String(test.text); got != test.want {
				t.Errorf("String(%q) = %q, want %q", test.text, got, test.want)
			}
			text, err := json.Marshal(map[string]any{"a": []string{test.text}, test.text: 1e300})
			if err != nil {
				t.Fatal(err)
			}
			var got, want map[string]any
			if err := json.Unmarshal(r.JSON(text), &got); err != nil {
				t.Fatalf("JSON(%s) = %s: %v", text, r.JSON(text), err)
			}
			want = map[string]any{"a": []any{test.want}, test.want: 1e300}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("JSON(%s) differs (-want +got):\n%s", text, diff)
			}
		})
	}
}

func TestFromEnviron(t *testing.T) {
	got := redact.FromEnviron([]string{
		"OPENAI_API_KEY=" + token(20), "HF_TOKEN=" + token(12), "apikey=" + token(8), "DB_PASSWORD=correct=horse",
		"PATH=/usr/bin:/bin", "MONKEY=not-a-secret", "EMPTY_KEY=", "KEY_NAME=not-a-secret",
	})
	want := []redact.Secret{
		{Name: "OPENAI_API_KEY", Value: token(20)},
		{Name: "HF_TOKEN", Value: token(12)},
		{Name: "apikey", Value: token(8)},
		{Name: "DB_PASSWORD", Value: "correct=horse"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets differ (-want +got):\n%s", diff)
	}
}

func TestNilChangesNothing(t *testing.T) {
	var r *redact.Redactor
	text := "sk-" + token(40)
	if got := r.String(text); got != text {
		t.Errorf("String = %q, want %q", got, text)
	}
	if got := string(r.JSON([]byte(`"` + text + `"`))); got != `"`+text+`"` {
		t.Errorf("JSON = %q", got)
	}
	with := r.With(redact.Secret{Name: "X", Value: "hunter2hunter2"})
	if got, want := with.String("hunter2hunter2"), "[redacted:X]"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":"x\"hunter2hunter2\\","b":[1.50,null,"sk-`+token(32)+`"]}`), `x"hunter\2`)
	f.Fuzz(func(t *testing.T, text []byte, secret string) {
		r := redact.New(redact.Secret{Name: "S", Value: secret})
		got := r.JSON(text)
		if !json.Valid(text) {
			return // it must not panic
		}
		if !json.Valid(got) {
			t.Fatalf("JSON(%q) = %q, which is not valid", text, got)
		}
		if len(secret) < 8 || strings.Contains("[redacted:S]", secret) {
			return
		}
		var s string
		if json.Unmarshal(got, &s) == nil && strings.Contains(s, secret) && !strings.ContainsAny(secret, "[]:") {
			t.Errorf("JSON(%q) = %q, which still holds %q", text, got, secret)
		}
	})
}
