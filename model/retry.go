package model

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// RetryOptions configure [Retry]. The zero value is usable.
type RetryOptions struct {
	// Attempts is the total number of tries, the first included; 0 means 6.
	Attempts int
	// Base is the pause after the first failure; it doubles with each further
	// one up to Max. 0 means 1 s and 60 s.
	Base, Max time.Duration
	// MaxRetryAfter is the longest pause that a server may ask for; where it asks
	// for more its error is returned at once. 0 means 10 minutes.
	MaxRetryAfter time.Duration
	// Seed makes the jitter repeatable.
	Seed uint64
	// Logger is told of each pause; nil is silent.
	Logger *slog.Logger
}

func (o RetryOptions) withDefaults() RetryOptions {
	if o.Attempts <= 0 {
		o.Attempts = 6
	}
	if o.Base <= 0 {
		o.Base = time.Second
	}
	if o.Max <= 0 {
		o.Max = 60 * time.Second
	}
	if o.MaxRetryAfter <= 0 {
		o.MaxRetryAfter = 10 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Retry returns a Model that asks m again after errors that are
// [Error.Retryable], and after no other. The pause before retry n is
// min(Max, Base·2ⁿ), of which a random half is taken off (so that parallel
// callers spread), and at least what the server asked for. Where the caller's
// deadline would pass during a pause, the last error is returned at once.
func Retry(m Model, opts RetryOptions) Model {
	opts = opts.withDefaults()
	return &retrier{next: m, opts: opts, rng: rand.New(rand.NewPCG(opts.Seed, 0x6d6f64656c))}
}

type retrier struct {
	next Model
	opts RetryOptions

	mu  sync.Mutex // guards rng
	rng *rand.Rand
}

// Generate answers the request, after retries where they help.
func (r *retrier) Generate(ctx context.Context, req *Request) (*Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := r.next.Generate(ctx, req)
		if err == nil {
			return resp, nil
		}
		var failure *Error
		if !errors.As(err, &failure) || !failure.Retryable() {
			return nil, err
		}
		if attempt >= r.opts.Attempts {
			return nil, fmt.Errorf("after %d attempts: %w", attempt, err)
		}
		if failure.RetryAfter > r.opts.MaxRetryAfter {
			return nil, fmt.Errorf("the server asks to wait %s, longer than the %s allowed: %w",
				failure.RetryAfter, r.opts.MaxRetryAfter, err)
		}
		pause := max(r.pause(attempt), failure.RetryAfter)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
			return nil, fmt.Errorf("no time left to retry after attempt %d: %w", attempt, err)
		}
		r.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "model request failed; retrying",
			slog.Int("attempt", attempt), slog.Duration("pause", pause), slog.String("error", err.Error()))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("while waiting to retry: %w", ctx.Err())
		}
	}
}

func (r *retrier) pause(attempt int) time.Duration {
	d := r.opts.Base
	for range attempt - 1 {
		if d >= r.opts.Max/2 {
			d = r.opts.Max
			break
		}
		d *= 2
	}
	d = min(d, r.opts.Max)
	r.mu.Lock()
	defer r.mu.Unlock()
	return d - time.Duration(r.rng.Float64()*float64(d)/2)
}
