package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
	"mlgym/model/replay"
	"mlgym/model/scripted"
)

var update = flag.Bool("update", false, "write the golden cassette of the present version")

const golden = "testdata/v1.jsonl"

func ask(text string) *model.Request {
	return &model.Request{Messages: []model.Message{{Role: model.System, Text: "Be <brief> & kind."}, {Role: model.User, Text: text}}}
}

// answers holds every field that a record can have.
func answers() []scripted.Answer {
	cost := 0.25
	full := scripted.Answer{Response: &model.Response{
		Message: model.Message{
			Role: model.Assistant, Text: "ü <x>", Reasoning: "hm", Opaque: json.RawMessage(`{"provider":"p","data":1}`),
			ToolCalls: []model.ToolCall{{ID: "c", Name: "f", Args: json.RawMessage(`{"x":1.50}`)}},
		},
		Usage:   model.Usage{InputTokens: 5, OutputTokens: 4, CachedTokens: 3, CacheWriteTokens: 1, ReasoningTokens: 2},
		CostUSD: &cost, StopReason: model.StopToolCalls, Model: "m", Latency: 1500 * time.Millisecond,
	}}
	return []scripted.Answer{
		full, scripted.Text("again"),
		scripted.Fail(&model.Error{Kind: model.RateLimited, Provider: "openai", Status: 429, Message: "slow down"}),
	}
}

func requests() []*model.Request {
	temperature, seed := 0.5, int64(9007199254740993)
	full := ask("one")
	full.Messages = append(full.Messages, model.Message{Role: model.Assistant, ToolCalls: []model.ToolCall{{ID: "c", Name: "f", Args: json.RawMessage(`{"b":1.50, "a":2}`)}}})
	full.Tools = []model.ToolSpec{{Name: "f", Description: "d", Parameters: json.RawMessage(`{"type":"object"}`)}}
	full.Temperature, full.Seed, full.MaxTokens, full.Stop = &temperature, &seed, 9, []string{"END"}
	return []*model.Request{full, full, ask("two")}
}

func record(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	recorder, err := replay.NewRecorder(scripted.New(answers()...), &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range requests() {
		if _, err := recorder.Generate(t.Context(), req); err != nil && model.KindOf(err) != model.RateLimited {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func open(t *testing.T, cassette []byte) *replay.Model {
	t.Helper()
	m, err := replay.New("test.jsonl", bytes.NewReader(cassette))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func checkReplays(t *testing.T, m *replay.Model) {
	t.Helper()
	for i, req := range requests() {
		want := answers()[i]
		got, err := m.Generate(t.Context(), req)
		if want.Err != nil {
			if err == nil || err.Error() != want.Err.Error() || model.KindOf(err) != model.KindOf(want.Err) {
				t.Errorf("answer %d = error %v, want %v", i, err, want.Err)
			}
			continue
		}
		if err != nil {
			t.Errorf("answer %d = error %v", i, err)
			continue
		}
		if diff := cmp.Diff(want.Response, got); diff != "" {
			t.Errorf("answer %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestRoundTrip(t *testing.T) { checkReplays(t, open(t, record(t))) }

// TestGolden reads the cassette that the first release of version 1 wrote, and
// checks that the same is written today.
func TestGolden(t *testing.T) {
	if *update {
		if err := os.WriteFile(golden, record(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := replay.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	checkReplays(t, m)
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(record(t))); diff != "" {
		t.Errorf("cassette (-want +got):\n%s", diff)
	}
}

func TestKey(t *testing.T) {
	base := requests()[0]
	key := func(change func(*model.Request)) string {
		req := *base
		req.Messages = append([]model.Message(nil), base.Messages...)
		change(&req)
		k, err := replay.Key(&req)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	same := key(func(*model.Request) {})
	tests := []struct {
		name   string
		change func(*model.Request)
		equal  bool
	}{
		{"tokens asked for", func(r *model.Request) { r.Tokens = true }, true},
		{"opaque data", func(r *model.Request) { r.Messages[1].Opaque = json.RawMessage(`1`) }, true},
		{"blanks and order in arguments", func(r *model.Request) {
			r.Messages[2].ToolCalls = []model.ToolCall{{ID: "c", Name: "f", Args: json.RawMessage(`{"a":2,"b":1.50}`)}}
		}, true},
		{"text", func(r *model.Request) { r.Messages[1].Text = "other" }, false},
		{"role", func(r *model.Request) { r.Messages[1].Role = model.System }, false},
		{"seed beyond the precision of a float", func(r *model.Request) { seed := *r.Seed - 1; r.Seed = &seed }, false},
		{"tools", func(r *model.Request) { r.Tools = nil }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := key(tt.change); (got == same) != tt.equal {
				t.Errorf("key = %s against %s, want equal: %t", got, same, tt.equal)
			}
		})
	}
}

// TestTokensAreKept replays what was recorded with tokens, to whoever asks.
func TestTokensAreKept(t *testing.T) {
	want := &model.TokenRecord{PromptIDs: []int{1, 2}, IDs: []int{3}, LogProbs: []float64{-0.5}}
	var out bytes.Buffer
	recorder, err := replay.NewRecorder(scripted.New(scripted.Answer{Response: &model.Response{Tokens: want}}), &out)
	if err != nil {
		t.Fatal(err)
	}
	req := ask("one")
	req.Tokens = true
	if _, err := recorder.Generate(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	m, err := replay.New("c", &out)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Generate(t.Context(), ask("one"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Tokens); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMissing(t *testing.T) {
	long := strings.Repeat("same ", 100)
	var out bytes.Buffer
	recorder, err := replay.NewRecorder(scripted.New(scripted.Text("a"), scripted.Text("b"), scripted.Text("c")), &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []*model.Request{ask("first"), ask(long + "old"), {Messages: []model.Message{{Role: model.User, Text: "alone"}}}} {
		if _, err := recorder.Generate(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	warm := ask("first")
	temperature := 1.0
	warm.Temperature = &temperature
	tests := []struct {
		name string
		req  *model.Request
		line int
		want string
	}{
		{"another text", ask("other"), 2, `messages[1].text: recorded "first", asked "other"`},
		{"the end of a long text", ask(long + "new"), 3, `messages[1].text from byte `},
		{"a value more", warm, 2, `temperature: recorded absent, asked 1`},
		{"a message more", &model.Request{Messages: append(ask("first").Messages, model.Message{Role: model.User, Text: "x"})}, 2, `messages[2]: recorded absent`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := open(t, out.Bytes()).Generate(t.Context(), tt.req)
			var missing *replay.MissingError
			if !errors.As(err, &missing) || model.KindOf(err) != model.NotFound {
				t.Fatalf("error = %v, want a MissingError of kind %q", err, model.NotFound)
			}
			if missing.Line != tt.line || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %q of line %d, want line %d and %q", err, missing.Line, tt.line, tt.want)
			}
		})
	}
	t.Run("asked once more", func(t *testing.T) {
		m := open(t, out.Bytes())
		if _, err := m.Generate(t.Context(), ask("first")); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Generate(t.Context(), ask("first")); err == nil || !strings.Contains(err.Error(), "recorded 1 times and is asked once more") {
			t.Errorf("error = %v, want that it was recorded once", err)
		}
	})
}

func TestTornEnd(t *testing.T) {
	whole := record(t)
	lastLine := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for _, keep := range []int{lastLine, lastLine + 1, len(whole) - 2} {
		if got := open(t, whole[:keep]).Len(); got != 2 {
			t.Errorf("exchanges in the first %d of %d bytes = %d, want 2", keep, len(whole), got)
		}
	}
	if got := open(t, whole[:len(whole)-1]).Len(); got != 3 {
		t.Errorf("exchanges without the last line break = %d, want 3", got)
	}
}

func TestReadErrors(t *testing.T) {
	head := `{"format":"mlgym-cassette","version":1}` + "\n"
	whole := string(record(t))
	tests := []struct{ name, text, want string }{
		{"empty", "", "empty"},
		{"another format", "{}\n", "test.jsonl:1: not a cassette"},
		{"version of the future", strings.Replace(head, "1", "2", 1), "test.jsonl:1: the cassette has version 2"},
		{"broken record", head + "{\n{}\n", "test.jsonl:2"},
		{"unknown field", head + `{"key":"x","request":{},"response":{},"extra":1}` + "\n", "extra"},
		{"neither response nor error", head + `{"key":"x","request":{}}` + "\n", "either a response or an error"},
		{"edited request", strings.Replace(whole, "one", "two", 1), "was the request edited?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := replay.New("test.jsonl", strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

type brokenWriter struct{ after int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.after == 0 {
		return 0, errors.New("disk full")
	}
	w.after--
	return len(p), nil
}

func TestRecorderErrors(t *testing.T) {
	if _, err := replay.NewRecorder(scripted.New(), &brokenWriter{}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("NewRecorder on a full disk = %v, want the reason", err)
	}
	recorder, err := replay.NewRecorder(scripted.New(scripted.Text("a")), &brokenWriter{after: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := recorder.Generate(t.Context(), ask("x")); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("Generate on a full disk = %v, want the reason", err)
	}
	var out bytes.Buffer
	recorder, err = replay.NewRecorder(scripted.New(scripted.Fail(context.Canceled)), &out)
	if err != nil {
		t.Fatal(err)
	}
	before := out.Len()
	if _, err := recorder.Generate(t.Context(), ask("x")); !errors.Is(err, context.Canceled) || out.Len() != before {
		t.Errorf("Generate = %v, %d bytes recorded; want context.Canceled and none", err, out.Len()-before)
	}
}

func FuzzRead(f *testing.F) {
	seed, err := os.ReadFile(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"format":"mlgym-cassette","version":1}` + "\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := replay.New("f", bytes.NewReader(data))
		if err != nil {
			return
		}
		// Whatever was read answers or fails, and does not crash.
		_, _ = m.Generate(t.Context(), ask("x"))
	})
}
