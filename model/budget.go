package model

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrBudget says that a request was not sent, since an [Account] could not cover
// what it may cost. It is no fault of the episode that asks: it may go on when
// the account has more.
var ErrBudget = errors.New("the shared budget does not cover the request")

// ErrNoPrice says that a limit in USD was asked for a model whose price is not
// known.
var ErrNoPrice = errors.New("a cost limit needs the price of the model, which is not known; " +
	"add the model to a price table, or run without a cost limit")

// Charge is what one request takes.
type Charge struct {
	// Tokens in and out.
	Tokens int64
	// CostUSD is nil where no price is known.
	CostUSD *float64
}

// Account is a budget that many models draw on. It is safe for concurrent use.
type Account interface {
	// Reserve sets aside what a request takes at worst. It may wait until others
	// have settled. An error wraps [ErrBudget] where the account cannot cover the
	// request, also where ctx ended while it waited, and [ErrNoPrice] where the
	// account has a limit in USD and the charge no cost.
	Reserve(ctx context.Context, worst Charge) (Reservation, error)
}

// Reservation is a part of an [Account]. Either Settle or Release is called,
// once; a reservation that is neither stays set aside.
type Reservation interface {
	// Settle replaces what was set aside by what was used, more or less.
	Settle(used Charge) error
	// Release gives all of it back.
	Release() error
}

// BudgetOptions configure [Budgeted].
type BudgetOptions struct {
	// Name, PROVIDER/NAME, is how Prices knows the model.
	Name string
	// Prices may be nil where the account has no limit in USD.
	Prices Pricer
}

// Budgeted returns a Model that sends a request only when the account covers its
// worst case, as an [Estimator] sees it, at the price of tokens that are not in
// the provider's cache. Otherwise it returns an error that wraps [ErrBudget] and
// sends nothing. A response's own cost is believed before the price table.
//
// It belongs between a provider and [Retry], so that each attempt is reserved and
// paid for itself and nothing is set aside during a pause. Two of one account
// must not be put around one another: one would wait for the other.
//
// An answer is settled with its usage; with the worst case where the server does
// not report one, where an answer came that cannot be read, and where ctx ended
// while the request was under way, since the provider may charge it. Any other
// failure costs nothing, also one by which the connection broke or the server
// took too long: what a provider charges for those is not known here.
func Budgeted(m Model, account Account, opts BudgetOptions) Model {
	return &budgeted{next: m, account: account, opts: opts}
}

type budgeted struct {
	next    Model
	account Account
	opts    BudgetOptions

	mu       sync.Mutex // guards estimate
	estimate Estimator
}

// Generate answers the request if the account covers it.
func (b *budgeted) Generate(ctx context.Context, req *Request) (*Response, error) {
	worst := b.worst(req)
	reservation, err := b.account.Reserve(ctx, worst)
	if err != nil {
		return nil, fmt.Errorf("before asking %s: %w", b.opts.Name, err)
	}
	resp, err := b.next.Generate(ctx, req)
	if err == nil && resp == nil {
		err = errors.New("the model returned neither an answer nor an error")
	}
	switch {
	case err == nil:
		err = reservation.Settle(b.used(req, resp, worst))
		if err != nil {
			err = fmt.Errorf("account for an answer of %s: %w", b.opts.Name, err)
		}
	case mayBeCharged(ctx, err):
		err = errors.Join(err, reservation.Settle(worst))
	default:
		err = errors.Join(err, reservation.Release())
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// mayBeCharged says that a provider has probably computed an answer that is not
// here. A BadResponse with a status is a refusal in an odd form; one without is
// an answer that could not be read.
func mayBeCharged(ctx context.Context, err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind == BadResponse && (e.Status == 0 || e.Status/100 == 2)
	}
	return ctx.Err() != nil
}

func (b *budgeted) worst(req *Request) Charge {
	b.mu.Lock()
	usage := b.estimate.Worst(req)
	b.mu.Unlock()
	worst := Charge{Tokens: usage.Total(), CostUSD: b.cost(usage)}
	// Writing to the provider's cache may cost more than not using it.
	usage.CacheWriteTokens = usage.InputTokens
	if written := b.cost(usage); written != nil && (worst.CostUSD == nil || *written > *worst.CostUSD) {
		worst.CostUSD = written
	}
	return worst
}

func (b *budgeted) used(req *Request, resp *Response, worst Charge) Charge {
	used := worst
	if resp.Usage.Total() > 0 {
		b.mu.Lock()
		b.estimate.Learn(req, resp.Usage)
		b.mu.Unlock()
		used = Charge{Tokens: resp.Usage.Total(), CostUSD: b.cost(resp.Usage)}
	}
	if resp.CostUSD != nil {
		used.CostUSD = resp.CostUSD
	}
	return used
}

// cost is nil where no price is known.
func (b *budgeted) cost(usage Usage) *float64 {
	if b.opts.Prices == nil {
		return nil
	}
	usd, known := b.opts.Prices.Cost(b.opts.Name, usage)
	if !known {
		return nil
	}
	return &usd
}
