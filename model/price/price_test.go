package price_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/model"
	"mlgym/model/price"
)

func parse(t *testing.T, text string) price.Table {
	t.Helper()
	table, err := price.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestDefaultPrices(t *testing.T) {
	table, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	million := model.Usage{InputTokens: 1e6, OutputTokens: 1e6}
	tests := []struct {
		name  string
		usage model.Usage
		want  float64
		known bool
	}{
		{"gpt4o2", million, 12.5, true},
		{"llama4-17b-128", million, 1.12, true},
		{"openai/gpt-4o", million, 12.5, true},
		{"openai/gpt-4o-2024-08-06", million, 12.5, true},
		{"openai/gpt-4o-2024-05-13", million, 20, true},
		{"openai/gpt-4o-audio-preview", million, 0, false},
		{"openai/o1-pro", million, 0, false},
		{"openai/gpt-4o-mini", model.Usage{InputTokens: 1e6, CachedTokens: 1e6}, 0.075, true},
		{"anthropic/claude-sonnet-4-20250514", million, 18, true},
		{"anthropic/claude-sonnet-4-5", model.Usage{InputTokens: 3e6, CachedTokens: 1e6, CacheWriteTokens: 1e6}, 3 + 0.3 + 3.75, true},
		{"anthropic/claude-opus-4-99", million, 0, false},
		{"google/gemini-2.5-pro", model.Usage{InputTokens: 200000, OutputTokens: 1e6}, 10.25, true},
		{"google/gemini-2.5-pro", model.Usage{InputTokens: 200001, OutputTokens: 1e6}, 2.5*0.200001 + 15, true},
		{"google/gemini-1.5-pro-002", model.Usage{InputTokens: 1000}, 0.00125, true},
		{"openai/SmolLM2-135M-Instruct", million, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, known := table.Cost(tt.name, tt.usage)
			if known != tt.known || math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("Cost(%q, %+v) = %v, %t; want %v, %t", tt.name, tt.usage, got, known, tt.want, tt.known)
			}
		})
	}
}

func TestLookupOrder(t *testing.T) {
	table := parse(t, `
version: 1
models:
  p/*: {input: 1, output: 1}
  p/big*: {input: 2, output: 1}
  p/bigger: {input: 3, output: 1}
  p/bigger-2025-01-01: {input: 4, output: 1}
`)
	tests := map[string]float64{
		"p/small": 1, "p/big": 2, "p/big-one": 2, "p/bigger": 3, "p/bigger-20240101": 3, "p/bigger@20240101": 3, "p/bigger-latest": 3,
		"p/bigger-2025-01-01": 4, "p/bigger-fast": 2, "q/big": 0,
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			if got, _ := table.Lookup(name); got.InputUSD != want {
				t.Errorf("input price of %q = %v, want %v", name, got.InputUSD, want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown key", "version: 1\nmodels:\n  p/m: {input: 1, output: 2, cache: 3}\n", "test.yaml:3: models.p/m.cache"},
		{"missing price", "version: 1\nmodels:\n  p/m:\n    input: 1\n", "output"},
		{"negative", "version: 1\nmodels:\n  p/m:\n    input: 1\n    output: -2\n", "test.yaml:5: models.p/m.output"},
		{"not a number", "version: 1\nmodels:\n  p/m:\n    input: 1\n    output: .nan\n", "test.yaml:5: models.p/m.output"},
		{"text", "version: 1\nmodels:\n  p/m: {input: cheap, output: 2}\n", "test.yaml:3: models.p/m.input"},
		{"twice", "version: 1\nmodels:\n  p/m: {input: 1, output: 2}\n  p/m: {input: 1, output: 2}\n", "test.yaml:4"},
		{"star inside", "version: 1\nmodels:\n  p/*m: {input: 1, output: 2}\n", "test.yaml:3: models.p/*m"},
		{"version of the future", "version: 2\nmodels: {}\n", "test.yaml:1: version"},
		{"no tokens", "version: 1\nmodels:\n  p/m: {input: 1, output: 2, long: {above_tokens: 0, input: 1, output: 1}}\n", "above_tokens"},
		{"not YAML", "version: [\n", "test.yaml:"},
		{"empty", "", "test.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := price.Parse("test.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%q) = %v, want an error with %q", tt.text, err, tt.want)
			}
		})
	}
}

func TestForUser(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	write := func(name, models string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("version: 1\nmodels:\n"+models), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("mlgym/prices.yaml", "  p/a: {input: 1, output: 1}\n  p/b: {input: 1, output: 1}\n  p/c: {input: 1, output: 1}\n")
	t.Setenv(price.EnvVar, write("env.yaml", "  p/b: {input: 2, output: 1}\n  p/c: {input: 2, output: 1}\n"))
	table, err := price.ForUser(write("flag.yaml", "  p/c: {input: 3, output: 1}\n  openai/gpt-4o: {input: 99, output: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"p/a": 1, "p/b": 2, "p/c": 3, "openai/gpt-4o": 99, "openai/gpt-4o-mini": 0.15} {
		if got, _ := table.Lookup(name); got.InputUSD != want {
			t.Errorf("input price of %q = %v, want %v", name, got.InputUSD, want)
		}
	}
	if _, err := price.ForUser(filepath.Join(dir, "absent.yaml")); err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("ForUser of an absent file = %v, want an error that names it", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("version: 1\nmodels:\n  p/m: {input: 1, output: 2}\n"))
	f.Add([]byte("version: 1\nmodels:\n  p/*: {input: 1, output: 2, long: {above_tokens: 5, input: 1, output: 1}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := price.Parse("f", data)
		if err != nil {
			return
		}
		for _, name := range table.Names() {
			usd, _ := table.Cost(name, model.Usage{InputTokens: 10, OutputTokens: 10})
			if !(usd >= 0) {
				t.Errorf("cost of %q = %v, want from 0", name, usd)
			}
		}
	})
}

// TestDocumentedExample reads the example of the format's page.
func TestDocumentedExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "format", "prices.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/format/prices.md has no YAML example")
	}
	table := parse(t, example)
	if usd, known := table.Cost("openai/local-llama", model.Usage{InputTokens: 1e6}); usd != 0 || !known {
		t.Errorf("cost of openai/local-llama = %v, %t; want 0, true", usd, known)
	}
}
