package llm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mlgym/agent/llm"
	"mlgym/gym"
	"mlgym/model"
)

func TestLimitsAreCheckedBeforeTheyAreExceeded(t *testing.T) {
	usage := model.Usage{InputTokens: 1000, OutputTokens: 100}
	for _, tt := range []struct {
		name   string
		limits llm.Limits
		cause  gym.Cause
	}{
		{"cost", llm.Limits{CostUSD: 0.02}, gym.CauseCost},
		{"tokens", llm.Limits{Tokens: 20000}, gym.CauseTokens},
		{"both, tokens first", llm.Limits{Tokens: 12000, CostUSD: 4}, gym.CauseTokens},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var answers []any
			for range 100 {
				answers = append(answers, fenced("", "ls"))
			}
			m := &scripted{answers: answers, usage: usage}
			a := newAgent(t, llm.Config{Model: m, Limits: tt.limits, ModelName: "test/known", Prices: flat(1)})
			for step := range 100 {
				turn, err := a.Act(t.Context(), observation(step, "ok"))
				if err != nil {
					t.Fatal(err)
				}
				if turn.Stop == "" {
					continue
				}
				spent := a.Spent()
				if turn.Stop != tt.cause || turn.StopReason == "" {
					t.Errorf("stop = %q (%s), want %q with a reason", turn.Stop, turn.StopReason, tt.cause)
				}
				if len(turn.Exchanges) != 0 || len(m.requests) != step {
					t.Errorf("the refused request was sent")
				}
				if step < 2 {
					t.Errorf("stopped after %d steps with %+v spent", step, spent)
				}
				if l := tt.limits.CostUSD; l > 0 && spent.CostUSD > l {
					t.Errorf("spent $%v, limit $%v", spent.CostUSD, l)
				}
				if l := tt.limits.Tokens; l > 0 && spent.Usage.InputTokens+spent.Usage.OutputTokens > l {
					t.Errorf("used %+v, limit %d", spent.Usage, l)
				}
				return
			}
			t.Fatal("the limit never stopped the episode")
		})
	}
}

func TestCostLimitNeedsPrice(t *testing.T) {
	for _, tt := range []struct {
		name, model string
		prices      model.Pricer
		limit       float64
		want        error
	}{
		{"no table", "test/known", nil, 4, llm.ErrNoPrice},
		{"model not in the table", "test/unknown", flat(1), 4, llm.ErrNoPrice},
		{"known", "test/known", flat(1), 4, nil},
		{"free of charge", "test/known", flat(0), 4, nil},
		{"no limit", "test/unknown", flat(1), 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := llm.New(llm.Config{
				Scaffold: open(t, "default"), Model: &scripted{}, ModelName: tt.model, Prices: tt.prices,
				Limits: llm.Limits{CostUSD: tt.limit},
			})
			if !errors.Is(err, tt.want) {
				t.Fatalf("error = %v, want %v", err, tt.want)
			}
			if tt.want != nil && !strings.Contains(err.Error(), tt.model) {
				t.Errorf("error %q does not name the model", err)
			}
		})
	}
}

func TestUnknownCostIsSaid(t *testing.T) {
	m := &scripted{answers: []any{fenced("", "ls")}, usage: model.Usage{InputTokens: 5}}
	a := newAgent(t, llm.Config{Model: m})
	if _, err := a.Act(t.Context(), observation(0, "Task.")); err != nil {
		t.Fatal(err)
	}
	if s := a.Spent(); s.CostKnown || s.CostUSD != 0 || s.Calls != 1 || s.Usage.InputTokens != 5 {
		t.Errorf("spent = %+v, want one call of unknown cost", s)
	}
}

func TestWallTime(t *testing.T) {
	t.Run("between requests", func(t *testing.T) {
		now := time.Unix(1000, 0)
		m := &scripted{answers: []any{fenced("", "ls"), fenced("", "ls")}}
		a := newAgent(t, llm.Config{Model: m, Limits: llm.Limits{Wall: time.Hour}, Now: func() time.Time { return now }})
		if turn, err := a.Act(t.Context(), observation(0, "Task.")); err != nil || turn.Stop != "" {
			t.Fatalf("first turn: %+v, %v", turn, err)
		}
		now = now.Add(time.Hour)
		turn, err := a.Act(t.Context(), observation(1, "ok"))
		if err != nil || turn.Stop != gym.CauseTime || len(m.requests) != 1 {
			t.Errorf("got stop %q, error %v, %d requests; want exit_time and no request", turn.Stop, err, len(m.requests))
		}
	})
	t.Run("time used before a cut counts", func(t *testing.T) {
		a := newAgent(t, llm.Config{Model: &scripted{}, Limits: llm.Limits{Wall: time.Hour}, Elapsed: time.Hour})
		turn, err := a.Act(t.Context(), observation(0, "Task."))
		if err != nil || turn.Stop != gym.CauseTime {
			t.Errorf("got stop %q, error %v; want exit_time", turn.Stop, err)
		}
	})
	t.Run("during a request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newAgent(t, llm.Config{Model: &scripted{wait: true}, Limits: llm.Limits{Wall: time.Minute}})
			start := time.Now()
			turn, err := a.Act(t.Context(), observation(0, "Task."))
			if err != nil || turn.Stop != gym.CauseTime {
				t.Errorf("got stop %q, error %v; want exit_time", turn.Stop, err)
			}
			if took := time.Since(start); took != time.Minute {
				t.Errorf("gave up after %v, want 1m", took)
			}
		})
	})
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  llm.Config
	}{
		{"no scaffold", llm.Config{Model: &scripted{}}},
		{"no model", llm.Config{Scaffold: open(t, "default")}},
		{"negative limit", llm.Config{Scaffold: open(t, "default"), Model: &scripted{}, Limits: llm.Limits{Tokens: -1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := llm.New(tt.cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}

// sharedBudget covers so many requests; waiting for others takes until ctx ends.
type sharedBudget struct {
	covers int
	wait   bool
}

func (s *sharedBudget) Reserve(ctx context.Context, _ model.Charge) (model.Reservation, error) {
	if s.covers == 0 && s.wait {
		<-ctx.Done()
		return nil, fmt.Errorf("others have set the rest aside: %w (%w)", model.ErrBudget, ctx.Err())
	}
	if s.covers == 0 {
		return nil, fmt.Errorf("all is spent: %w", model.ErrBudget)
	}
	s.covers--
	return s, nil
}

func (*sharedBudget) Settle(model.Charge) error { return nil }
func (*sharedBudget) Release() error            { return nil }

// TestSharedBudgetCutsAndDoesNotEnd has the budget of many episodes run out in
// one of them: that is no end of the episode, which goes on when there is more.
func TestSharedBudgetCutsAndDoesNotEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait bool
	}{{"spent", false}, {"set aside by others until the episode's own time is up", true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := &scripted{answers: []any{fenced("", "ls"), fenced("", "pwd")}}
				budget := &sharedBudget{covers: 1, wait: tt.wait}
				m := model.Retry(model.Budgeted(inner, budget, model.BudgetOptions{Name: "test/known"}), model.RetryOptions{})
				now := time.Now()
				a := newAgent(t, llm.Config{Model: m, Limits: llm.Limits{Wall: time.Minute}, Now: func() time.Time { return now }})
				if _, err := a.Act(t.Context(), observation(0, "Task.")); err != nil {
					t.Fatal(err)
				}
				turn, err := a.Act(t.Context(), observation(1, "ok"))
				if !errors.Is(err, model.ErrBudget) || turn.Stop != "" {
					t.Fatalf("got stop %q, error %v; want no stop and ErrBudget", turn.Stop, err)
				}
				if len(inner.requests) != 1 {
					t.Errorf("%d requests were sent, want 1", len(inner.requests))
				}
				budget.covers = 1
				turn, err = a.Act(t.Context(), observation(1, "ok"))
				if err != nil || turn.Action.Command != "pwd" {
					t.Errorf("with more in the budget: %+v, %v; want the next command", turn, err)
				}
			})
		})
	}
}
