package model_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mlgym/model"
	"mlgym/model/scripted"
)

func fail(kind model.ErrorKind, after time.Duration) scripted.Answer {
	return scripted.Fail(&model.Error{Kind: kind, Provider: "p", RetryAfter: after, Message: "m"})
}

var request = &model.Request{Messages: []model.Message{{Role: model.User, Text: "x"}}}

func TestRetry(t *testing.T) {
	tests := []struct {
		name     string
		opts     model.RetryOptions
		answers  []scripted.Answer
		deadline time.Duration
		attempts int
		min, max time.Duration // of the whole call
		err      string        // part of the error; "" for success
	}{
		{name: "success at once", answers: []scripted.Answer{scripted.Text("a")}, attempts: 1},
		{
			name:    "rate limited, overloaded, unreachable, then success",
			answers: []scripted.Answer{fail(model.RateLimited, 0), fail(model.Overloaded, 0), fail(model.Unreachable, 0), scripted.Text("a")}, attempts: 4,
			min: (1 + 2 + 4) * time.Second / 2, max: (1 + 2 + 4) * time.Second,
		},
		{
			name:    "the server's wait counts",
			answers: []scripted.Answer{fail(model.RateLimited, 90*time.Second), scripted.Text("a")}, attempts: 2,
			min: 90 * time.Second, max: 90 * time.Second,
		},
		{
			name: "a wait that is too long", opts: model.RetryOptions{MaxRetryAfter: time.Minute},
			answers: []scripted.Answer{fail(model.RateLimited, 61*time.Second)}, attempts: 1, err: "1m1s",
		},
		{
			name: "attempts used up", opts: model.RetryOptions{Attempts: 3, Base: 10 * time.Second, Max: 12 * time.Second},
			answers:  []scripted.Answer{fail(model.Overloaded, 0), fail(model.Overloaded, 0), fail(model.Overloaded, 0)},
			attempts: 3, min: 11 * time.Second, max: 22 * time.Second, err: "after 3 attempts",
		},
		{name: "no time left", deadline: 400 * time.Millisecond, answers: []scripted.Answer{fail(model.Overloaded, 0)}, attempts: 1, err: "no time left"},
		{name: "context length", answers: []scripted.Answer{fail(model.ContextLength, 0)}, attempts: 1, err: "context too long"},
		{name: "wrong key", answers: []scripted.Answer{fail(model.Unauthorized, 0)}, attempts: 1, err: "not authorized"},
		{name: "unknown model", answers: []scripted.Answer{fail(model.NotFound, 0)}, attempts: 1, err: "not found"},
		{name: "bad request", answers: []scripted.Answer{fail(model.BadRequest, 0)}, attempts: 1, err: "bad request"},
		{name: "bad response", answers: []scripted.Answer{fail(model.BadResponse, 0)}, attempts: 1, err: "bad response"},
		{name: "another error", answers: []scripted.Answer{scripted.Fail(errors.New("boom"))}, attempts: 1, err: "boom"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := scripted.New(tt.answers...)
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				start := time.Now()
				_, err := model.Retry(inner, tt.opts).Generate(ctx, request)
				took := time.Since(start)
				if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want %q", err, tt.err)
				}
				if got := len(inner.Requests()); got != tt.attempts {
					t.Errorf("attempts = %d, want %d", got, tt.attempts)
				}
				if took < tt.min || took > tt.max {
					t.Errorf("took %v, want from %v to %v", took, tt.min, tt.max)
				}
			})
		})
	}
}

func TestRetryEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := model.Retry(scripted.New(fail(model.Overloaded, time.Minute)), model.RetryOptions{}).Generate(ctx, request)
			done <- err
		}()
		synctest.Wait() // it pauses
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want context.Canceled", err)
		}
	})
}

// TestRetryIsRepeatable checks that the seed alone decides the jitter.
func TestRetryIsRepeatable(t *testing.T) {
	pauses := func(seed uint64) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			m := model.Retry(scripted.New(fail(model.Overloaded, 0), fail(model.Overloaded, 0), scripted.Text("a")), model.RetryOptions{Seed: seed})
			if _, err := m.Generate(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			took = time.Since(start)
		})
		return took
	}
	if a, b := pauses(1), pauses(1); a != b {
		t.Errorf("pauses with one seed = %v and %v, want equal", a, b)
	}
	if a, b := pauses(1), pauses(2); a == b {
		t.Errorf("pauses with two seeds = %v twice, want different", a)
	}
}
