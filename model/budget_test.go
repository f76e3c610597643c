package model_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/model"
	"mlgym/model/scripted"
)

// account covers everything up to its number of requests, and keeps what it was
// told.
type account struct {
	mu       sync.Mutex
	requests int // that it covers; negative is all
	told     []string
	fail     error // of Settle and Release
}

func (a *account) Reserve(_ context.Context, worst model.Charge) (model.Reservation, error) {
	if a.requests == 0 {
		return nil, fmt.Errorf("spent: %w", model.ErrBudget)
	}
	a.requests--
	return a, a.tell("reserve", worst)
}

func (a *account) Settle(used model.Charge) error {
	return errors.Join(a.tell("settle", used), a.fail)
}

func (a *account) Release() error {
	return errors.Join(a.tell("release", model.Charge{}), a.fail)
}

func (a *account) tell(what string, c model.Charge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	usd := "unknown"
	if c.CostUSD != nil {
		usd = fmt.Sprint(*c.CostUSD)
	}
	if what == "release" {
		a.told = append(a.told, what)
	} else {
		a.told = append(a.told, fmt.Sprintf("%s %d %s", what, c.Tokens, usd))
	}
	return nil
}

// perToken prices input at 1, output at 10 and writing to the cache at 2.
type perToken struct{}

func (perToken) Cost(name string, u model.Usage) (float64, bool) {
	return float64(u.InputTokens + u.CacheWriteTokens + 10*u.OutputTokens), name == "p/known"
}

func answered(in, out int64, usd *float64) scripted.Answer {
	return scripted.Answer{Response: &model.Response{Usage: model.Usage{InputTokens: in, OutputTokens: out}, CostUSD: usd}}
}

func TestBudgeted(t *testing.T) {
	own := 7.5
	// 49 bytes with the framing: 17 tokens to begin with.
	const reserve = "reserve 117 1034"
	limited := &model.Request{Messages: []model.Message{{Role: model.User, Text: "12345678901234567"}}, MaxTokens: 100}
	tests := []struct {
		name, model string
		answer      scripted.Answer
		ended       bool // ctx
		covers      int
		told        []string
		err         error
	}{
		{name: "answered", answer: answered(5, 3, nil), told: []string{reserve, "settle 8 35"}},
		{name: "the answer's own cost is believed", answer: answered(5, 3, &own), told: []string{reserve, "settle 8 7.5"}},
		{name: "no price", model: "p/unknown", answer: answered(5, 3, nil), told: []string{"reserve 117 unknown", "settle 8 unknown"}},
		{name: "no usage is taken as the worst", answer: answered(0, 0, nil), told: []string{reserve, "settle 117 1034"}},
		{name: "no usage and a cost", answer: answered(0, 0, &own), told: []string{reserve, "settle 117 7.5"}},
		{name: "refused by the server", answer: fail(model.RateLimited, 0), told: []string{reserve, "release"}, err: &model.Error{}},
		{name: "unreachable", answer: fail(model.Unreachable, 0), told: []string{reserve, "release"}, err: &model.Error{}},
		{name: "an answer that cannot be read", answer: fail(model.BadResponse, 0), told: []string{reserve, "settle 117 1034"}, err: &model.Error{}},
		{
			name: "a refusal in an odd form", answer: scripted.Fail(&model.Error{Kind: model.BadResponse, Status: 302}),
			told: []string{reserve, "release"}, err: &model.Error{},
		},
		{name: "neither answer nor error", answer: scripted.Answer{}, told: []string{reserve, "release"}, err: errNothing},
		{name: "ended under way", ended: true, answer: answered(5, 3, nil), told: []string{reserve, "settle 117 1034"}, err: context.Canceled},
		{name: "not covered", covers: -1, answer: answered(5, 3, nil), err: model.ErrBudget},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.ended {
				cancel()
			}
			name := tt.model
			if name == "" {
				name = "p/known"
			}
			a := &account{requests: 1 + tt.covers}
			inner := scripted.New(tt.answer)
			resp, err := model.Budgeted(inner, a, model.BudgetOptions{Name: name, Prices: perToken{}}).Generate(ctx, limited)
			var failure *model.Error
			switch {
			case tt.err == nil:
				if err != nil || resp == nil {
					t.Errorf("answer %v, error %v; want an answer", resp, err)
				}
			case errors.Is(tt.err, errNothing):
				if err == nil {
					t.Error("no error")
				}
			case errors.As(tt.err, &failure):
				if !errors.As(err, &failure) {
					t.Errorf("error = %v, want the model's", err)
				}
			case !errors.Is(err, tt.err):
				t.Errorf("error = %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.told, a.told); diff != "" {
				t.Errorf("the account was told (-want +got):\n%s", diff)
			}
			if sent := len(inner.Requests()); tt.covers < 0 && sent != 0 {
				t.Errorf("%d requests were sent that the account does not cover", sent)
			}
		})
	}
}

var errNothing = errors.New("any")

// TestBudgetedBelowRetry has each attempt reserved for itself, nothing set aside
// during pauses, and a refusal that is not asked for again.
func TestBudgetedBelowRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &account{requests: 3}
		inner := scripted.New(fail(model.Overloaded, 0), fail(model.RateLimited, 0), answered(2, 1, nil), answered(2, 1, nil))
		m := model.Retry(model.Budgeted(inner, a, model.BudgetOptions{Name: "p/known", Prices: perToken{}}), model.RetryOptions{})
		if _, err := m.Generate(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		if _, err := m.Generate(t.Context(), request); !errors.Is(err, model.ErrBudget) {
			t.Errorf("error = %v, want ErrBudget", err)
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("a refusal was asked for again for %v", took)
		}
		want := []string{"reserve 1036 10264", "release", "reserve 1036 10264", "release", "reserve 1036 10264", "settle 3 12"}
		if diff := cmp.Diff(want, a.told); diff != "" {
			t.Errorf("the account was told (-want +got):\n%s", diff)
		}
	})
}

func TestBudgetedTellsWhatTheAccountCannotKeep(t *testing.T) {
	for name, answer := range map[string]scripted.Answer{"answered": answered(2, 1, nil), "failed": fail(model.Overloaded, 0)} {
		t.Run(name, func(t *testing.T) {
			a := &account{requests: 1, fail: errors.New("disk full")}
			_, err := model.Budgeted(scripted.New(answer), a, model.BudgetOptions{Name: "p/known"}).Generate(t.Context(), request)
			if !errors.Is(err, a.fail) {
				t.Errorf("error = %v, want it to wrap the account's", err)
			}
		})
	}
}

func TestEstimator(t *testing.T) {
	var e model.Estimator
	long := &model.Request{Messages: []model.Message{{Text: "0123456789012345678901234567890123456789012345678901234567890123456789"}}} // 102 bytes
	worst := func(limit int) model.Usage {
		req := *long
		req.MaxTokens = limit
		return e.Worst(&req)
	}
	steps := []struct {
		name  string
		do    func()
		limit int
		want  model.Usage
	}{
		{"at first", func() {}, 0, model.Usage{InputTokens: 35, OutputTokens: 1024}},
		{"limited", func() {}, 50, model.Usage{InputTokens: 35, OutputTokens: 50}},
		{"fewer tokens per byte", func() { e.Learn(long, model.Usage{InputTokens: 10, OutputTokens: 10}) }, 0, model.Usage{InputTokens: 11, OutputTokens: 1024}},
		{"more", func() { e.Learn(long, model.Usage{InputTokens: 102, OutputTokens: 5000}) }, 0, model.Usage{InputTokens: 103, OutputTokens: 5000}},
		{"the most is kept", func() { e.Learn(long, model.Usage{InputTokens: 1, OutputTokens: 1}) }, 0, model.Usage{InputTokens: 103, OutputTokens: 5000}},
		{"an answer without its request", func() { e.LearnAnswer(model.Usage{InputTokens: 1e6, OutputTokens: 6000}) }, 0, model.Usage{InputTokens: 103, OutputTokens: 6000}},
	}
	for _, step := range steps {
		step.do()
		if got := worst(step.limit); got != step.want {
			t.Errorf("%s: worst = %+v, want %+v", step.name, got, step.want)
		}
	}
}
