package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
	"mlgym/model/scripted"
)

func TestParseRef(t *testing.T) {
	tests := []struct {
		name, in string
		want     model.Ref
		ok       bool
	}{
		{"plain", "openai/gpt-4o-mini", model.Ref{Provider: "openai", Name: "gpt-4o-mini"}, true},
		{"slashes in the name", "openai/meta-llama/Llama-3", model.Ref{Provider: "openai", Name: "meta-llama/Llama-3"}, true},
		{"no slash", "gpt-4o", model.Ref{}, false},
		{"no provider", "/gpt-4o", model.Ref{}, false},
		{"no name", "openai/", model.Ref{}, false},
		{"empty", "", model.Ref{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := model.ParseRef(tt.in)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("ParseRef(%q) = %+v, %v; want %+v, success: %t", tt.in, got, err, tt.want, tt.ok)
			}
			if tt.ok && got.String() != tt.in {
				t.Errorf("String() = %q, want %q", got.String(), tt.in)
			}
		})
	}
}

func TestError(t *testing.T) {
	cause := errors.New("cause")
	tests := []struct {
		name string
		err  model.Error
		want string
	}{
		{"all", model.Error{Kind: model.RateLimited, Provider: "openai", Status: 429, Message: "slow down", Err: cause}, "openai: rate limited (HTTP 429): slow down"},
		{"cause only", model.Error{Kind: model.Unreachable, Err: cause}, "unreachable: cause"},
		{"kind only", model.Error{Kind: model.BadResponse, Provider: "p"}, "p: bad response"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error() = %q, want %q", got, tt.want)
			}
			if errors.Is(&tt.err, cause) != (tt.err.Err != nil) {
				t.Errorf("the cause is not found in %+v", tt.err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, header, value string
		want                time.Duration
	}{
		{"seconds", "Retry-After", "30", 30 * time.Second},
		{"part of a second", "Retry-After", "0.5", 500 * time.Millisecond},
		{"date", "Retry-After", now.Add(time.Minute).Format(http.TimeFormat), time.Minute},
		{"date in the past", "Retry-After", now.Add(-time.Minute).Format(http.TimeFormat), 0},
		{"negative", "Retry-After", "-3", 0},
		{"absurd", "Retry-After", "1e300", 0},
		{"not a number", "Retry-After", "NaN", 0},
		{"nonsense", "Retry-After", "soon", 0},
		{"milliseconds", "Retry-After-Ms", "250", 250 * time.Millisecond},
		{"absent", "X", "1", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			header.Set(tt.header, tt.value)
			if got := model.RetryAfter(header, now); got != tt.want {
				t.Errorf("RetryAfter(%s: %s) = %v, want %v", tt.header, tt.value, got, tt.want)
			}
		})
	}
}

func TestRedact(t *testing.T) {
	tests := []struct{ name, text, secret, want string }{
		{"plain", "key sk-12345678 is wrong", "sk-12345678", "key [redacted] is wrong"},
		{"in a URL", "?key=a%2Fb%2Bc%3D9", "a/b+c=9", "?key=[redacted]"},
		{"in JSON", `{"k":"a\"b\u003cc9"}`, `a"b<c9`, `{"k":"[redacted]"}`},
		{"a placeholder", "none given", "none", "none given"},
		{"no secret", "text", "", "text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := model.Redact(tt.text, tt.secret); got != tt.want {
				t.Errorf("Redact(%q, %q) = %q, want %q", tt.text, tt.secret, got, tt.want)
			}
		})
	}
}

func TestTransportErrorOfAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := model.TransportError(ctx, "p", "http://h", errors.New("whatever"))
	if !errors.Is(err, context.Canceled) || model.KindOf(err) != "" {
		t.Errorf("TransportError = %v of kind %q, want context.Canceled without a kind", err, model.KindOf(err))
	}
}

func TestArgs(t *testing.T) {
	tests := []struct {
		name, wrote, raw, text string
		object                 map[string]any
	}{
		{"object", `{"x":1}`, `{"x":1}`, `{"x":1}`, map[string]any{"x": 1.0}},
		{"nothing", ``, `{}`, `{}`, map[string]any{}},
		{"cut off", `{"x":`, `"{\"x\":"`, `{"x":`, map[string]any{"malformed": `{"x":`}},
		{"list", `[1]`, `[1]`, `[1]`, map[string]any{"malformed": `[1]`}},
		{"null", `null`, `null`, `null`, map[string]any{"malformed": `null`}},
		{"bytes that are not text", "\xff{", `"\ufffd{"`, "\ufffd{", map[string]any{"malformed": "\ufffd{"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := model.RawArgs(tt.wrote)
			if string(raw) != tt.raw || !json.Valid(raw) {
				t.Errorf("RawArgs(%q) = %s, want %s", tt.wrote, raw, tt.raw)
			}
			if got := model.ArgsText(raw); got != tt.text {
				t.Errorf("ArgsText(%s) = %q, want %q", raw, got, tt.text)
			}
			if diff := cmp.Diff(tt.object, model.ArgsObject(raw)); diff != "" {
				t.Errorf("ArgsObject(%s) (-want +got):\n%s", raw, diff)
			}
		})
	}
}

func TestOpaque(t *testing.T) {
	sealed := model.SealOpaque("p", []int{1, 2})
	var got []int
	if !model.OpenOpaque("p", sealed, &got) || cmp.Diff([]int{1, 2}, got) != "" {
		t.Errorf("OpenOpaque of %s = %v, want [1 2]", sealed, got)
	}
	for name, opaque := range map[string]json.RawMessage{
		"of another provider": model.SealOpaque("q", []int{1}), "absent": nil, "broken": json.RawMessage(`{`), "of another shape": model.SealOpaque("p", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			if model.OpenOpaque("p", opaque, &got) {
				t.Errorf("OpenOpaque(%s) succeeds, want not", opaque)
			}
		})
	}
}

type fixedPrice map[string]float64

func (p fixedPrice) Cost(name string, u model.Usage) (float64, bool) {
	usd, ok := p[name]
	return usd * float64(u.OutputTokens), ok
}

func TestPriced(t *testing.T) {
	answer := scripted.Text("abcd") // one token
	recorded := scripted.Text("abcd")
	cost := 9.0
	recorded.Response.CostUSD = &cost
	half, nothing := 0.5, 0.0
	tests := []struct {
		name, model string
		answer      scripted.Answer
		want        *float64
	}{
		{"known", "p/known", answer, &half},
		{"free", "p/free", answer, &nothing},
		{"unknown", "p/unknown", answer, nil},
		{"already known", "p/known", recorded, &cost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := model.Priced(scripted.New(tt.answer), fixedPrice{"p/known": 0.5, "p/free": 0}, tt.model)
			resp, err := m.Generate(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, resp.CostUSD); diff != "" {
				t.Errorf("cost (-want +got):\n%s", diff)
			}
		})
	}
	if answer.Response.CostUSD != nil {
		t.Error("the inner model's response was changed")
	}
}

func TestStatusErrorIsOneBoundedLine(t *testing.T) {
	err := model.StatusError("p", 500, nil, "a\n\tb\n"+strings.Repeat("ü", 5000))
	if strings.ContainsAny(err.Message, "\n\t") || len(err.Message) > 700 || !strings.HasPrefix(err.Message, "a b ü") || !strings.HasSuffix(err.Message, "ü…") {
		t.Errorf("message = %q of %d bytes, want one bounded line", err.Message, len(err.Message))
	}
}
