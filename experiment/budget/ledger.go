package budget

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mlgym/internal/atomicfile"
	"mlgym/internal/flock"
	"mlgym/model"
)

// The files of a ledger.
const (
	FileName = "budget.json"
	LockName = "budget.lock"
)

const (
	// poll is how often the settling of other processes is looked for. No file
	// system that machines share tells of it.
	poll = 500 * time.Millisecond
	// settleWait bounds the waiting for the lock where a request is over, which
	// its caller's context may be too.
	settleWait = time.Minute
)

// ErrLost says that a ledger was there and is not any more, or is an older copy.
var ErrLost = errors.New("the budget's file is lost; what was spent is not known any more: " +
	"bring the file back, or remove its folder to begin anew")

// Limits of a budget. Zero is no limit.
type Limits struct {
	USD    float64
	Tokens int64
}

func (l Limits) amount() (amount, error) {
	n, err := nano(l.USD)
	if err != nil {
		return amount{}, fmt.Errorf("the limit in USD: %w", err)
	}
	if n == 0 && l.USD > 0 {
		return amount{}, fmt.Errorf("the limit of $%v is less than a billionth of a dollar", l.USD)
	}
	if l.Tokens < 0 || l.Tokens > most {
		return amount{}, fmt.Errorf("the limit of %d tokens is not between 0 and %d", l.Tokens, int64(most))
	}
	return amount{NanoUSD: n, Tokens: l.Tokens}, nil
}

func (a amount) limits() Limits { return Limits{USD: dollars(a.NanoUSD), Tokens: a.Tokens} }

// String says the limits as a person does.
func (l Limits) String() string {
	var parts []string
	if l.USD > 0 {
		parts = append(parts, fmt.Sprintf("$%v", l.USD))
	}
	if l.Tokens > 0 {
		parts = append(parts, fmt.Sprintf("%d tokens", l.Tokens))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " and ")
}

// Ledger is an open budget. It is safe for concurrent use, and has nothing to
// close.
type Ledger struct {
	dir string
	// turn is held by who changes the file, and queue by who reserves, for as
	// long as it waits.
	turn, queue chan struct{}
	// settled is told when this process has settled something.
	settled chan struct{}
}

// Open opens the ledger of a folder, and makes both where there is none. An
// existing ledger keeps its limits: limits that are asked for must be those, or
// zero for whichever it has. [Ledger.SetLimits] changes them.
func Open(ctx context.Context, dir string, limits Limits) (*Ledger, error) {
	want, err := limits.amount()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of a budget: %w", err)
	}
	l := &Ledger{dir: dir, turn: make(chan struct{}, 1), queue: make(chan struct{}, 1), settled: make(chan struct{}, 1)}
	lock, err := flock.Lock(ctx, l.path(LockName))
	if err != nil {
		return nil, fmt.Errorf("open a budget: %w", err)
	}
	err = l.open(lock, want)
	if err = errors.Join(err, lock.Unlock()); err != nil {
		return nil, fmt.Errorf("open a budget: %w", err)
	}
	return l, nil
}

func (l *Ledger) open(lock *flock.File, want amount) error {
	made, changes, err := counted(lock)
	if err != nil {
		return err
	}
	s, err := l.read()
	switch {
	case errors.Is(err, ErrLost) && !made:
		return l.write(lock, &state{Version: version, Limits: want})
	case err != nil:
		return err
	case s.Changes < changes:
		return l.old(s, changes)
	case want != (amount{}) && want != s.Limits:
		return fmt.Errorf("%s has other limits (%v) than those asked for (%v); ask for no limits to keep its own, or set them",
			l.path(FileName), s.Limits.limits(), want.limits())
	}
	return nil
}

func (l *Ledger) path(name string) string { return filepath.Join(l.dir, name) }

// read reads the file, which is whole at any time.
func (l *Ledger) read() (*state, error) {
	path := l.path(FileName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (%w)", ErrLost, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read a budget: %w", err)
	}
	s, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("read the budget %s: %w", path, err)
	}
	return s, nil
}

// counted returns whether a ledger was made under this lock, and how many
// changes of it are known to have been made.
func counted(lock *flock.File) (made bool, changes int64, err error) {
	text, err := lock.Content()
	if err != nil {
		return false, 0, err
	}
	// What is no number is left of a crash; the ledger itself then counts.
	changes, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return len(text) > 0, changes, nil
}

func (l *Ledger) old(s *state, changes int64) error {
	return fmt.Errorf("%s is the state after %d changes, and %d were made: %w", l.path(FileName), s.Changes, changes, ErrLost)
}

func (l *Ledger) write(lock *flock.File, s *state) error {
	s.Changes++
	if err := s.check(); err != nil {
		return fmt.Errorf("change a budget: %w", err)
	}
	data, err := s.encode()
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(l.path(FileName), data, 0o644); err != nil {
		return err
	}
	// Always of the same length, so that no crash leaves half of it.
	if _, err := lock.WriteAt(fmt.Appendf(nil, "%020d\n", s.Changes), 0); err != nil {
		return fmt.Errorf("write %s: %w", l.path(LockName), err)
	}
	return nil
}

// change lets do change the state, alone among all processes. Nothing is
// written when do returns an error.
func (l *Ledger) change(ctx context.Context, do func(*state) error) (err error) {
	if err := enter(ctx, l.turn); err != nil {
		return err
	}
	defer func() { <-l.turn }()
	lock, err := flock.Lock(ctx, l.path(LockName))
	if err != nil {
		return fmt.Errorf("change a budget: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	_, changes, err := counted(lock)
	if err != nil {
		return fmt.Errorf("change a budget: %w", err)
	}
	s, err := l.read()
	if err != nil {
		return err
	}
	if s.Changes < changes {
		return l.old(s, changes)
	}
	if err := do(s); err != nil {
		return err
	}
	return l.write(lock, s)
}

func enter(ctx context.Context, one chan struct{}) error {
	select {
	case one <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Limits returns the limits that hold now.
func (l *Ledger) Limits() (Limits, error) {
	s, err := l.read()
	if err != nil {
		return Limits{}, err
	}
	return s.Limits.limits(), nil
}

// SetLimits changes the limits. What is spent and set aside stays: below that, a
// limit refuses every further request.
func (l *Ledger) SetLimits(ctx context.Context, limits Limits) error {
	to, err := limits.amount()
	if err != nil {
		return err
	}
	err = l.change(ctx, func(s *state) error {
		s.Limits = to
		return nil
	})
	l.tell()
	return err
}

// Spent is what a budget has been used for.
type Spent struct {
	// USD and Tokens of all requests that are over.
	USD    float64
	Tokens int64
	// Requests that are over, and how many of them had no known price, which are
	// missing in USD.
	Requests, Unpriced int64
	// PresumedUSD and PresumedTokens are the part of USD and Tokens that holders
	// had set aside when they died.
	PresumedUSD    float64
	PresumedTokens int64
}

// Spent returns what is spent. What is set aside is not part of it.
func (l *Ledger) Spent() (Spent, error) {
	s, err := l.read()
	if err != nil {
		return Spent{}, err
	}
	spent, presumed, _ := s.sums()
	return Spent{
		USD: dollars(spent.NanoUSD), Tokens: spent.Tokens, Requests: spent.Requests, Unpriced: spent.Unpriced,
		PresumedUSD: dollars(presumed.NanoUSD), PresumedTokens: presumed.Tokens,
	}, nil
}

// Reserved is a request that is set aside and not over yet.
type Reserved struct {
	Holder string
	USD    float64
	Tokens int64
	Since  time.Time
}

// Reserved returns what is set aside, the oldest first.
func (l *Ledger) Reserved() ([]Reserved, error) {
	s, err := l.read()
	if err != nil {
		return nil, err
	}
	return reserved(s), nil
}

func reserved(s *state) []Reserved {
	out := make([]Reserved, 0, len(s.Open))
	for _, e := range s.Open {
		if !e.Presumed {
			out = append(out, Reserved{Holder: e.Holder, USD: dollars(e.NanoUSD), Tokens: e.Tokens, Since: e.Since})
		}
	}
	slices.SortStableFunc(out, func(a, b Reserved) int { return a.Since.Compare(b.Since) })
	return out
}

// Release is for a holder that has died: what it had set aside is counted as
// spent, since the provider may have charged it. It returns how many requests
// that were; none is no error.
func (l *Ledger) Release(ctx context.Context, holder string) (int, error) {
	// Looked at first, so that a holder without any costs no writing.
	s, err := l.read()
	if err != nil {
		return 0, err
	}
	of := func(e entry) bool { return e.Holder == holder && !e.Presumed }
	if !slices.ContainsFunc(s.Open, of) {
		return 0, nil
	}
	n := 0
	err = l.change(ctx, func(s *state) error {
		for i := range s.Open {
			if of(s.Open[i]) {
				s.Open[i].Presumed = true
				n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("release what %q had set aside: %w", holder, err)
	}
	l.tell()
	return n, nil
}

// tell wakes the one who waits in this process.
func (l *Ledger) tell() {
	select {
	case l.settled <- struct{}{}:
	default:
	}
}

// Account returns the account of a holder. The name must be of one life of one
// process, if [Ledger.Release] is not to hit a living one: that of a run and its
// attempt, say. It must not be empty.
func (l *Ledger) Account(holder string) model.Account { return &account{l, holder} }

type account struct {
	ledger *Ledger
	holder string
}

// errWait says that only the reservations of others stand in the way.
var errWait = errors.New("set aside by others")

// Reserve implements [model.Account].
func (a *account) Reserve(ctx context.Context, worst model.Charge) (model.Reservation, error) {
	c, err := chargeOf(worst)
	if err != nil {
		return nil, fmt.Errorf("reserve for %q: %w", a.holder, err)
	}
	e := entry{ID: rand.Text(), Holder: a.holder, charge: c}
	if err := a.ledger.reserve(ctx, e); err != nil {
		if ctx.Err() != nil && !errors.Is(err, model.ErrBudget) {
			err = fmt.Errorf("%w: %w", model.ErrBudget, err)
		}
		return nil, err
	}
	return &reservation{ledger: a.ledger, id: e.ID}, nil
}

func chargeOf(c model.Charge) (charge, error) {
	out := charge{amount: amount{Tokens: c.Tokens}, Unpriced: c.CostUSD == nil}
	if c.Tokens < 0 || c.Tokens > most {
		return charge{}, fmt.Errorf("%d tokens are not between 0 and %d", c.Tokens, int64(most))
	}
	if c.CostUSD == nil {
		return out, nil
	}
	var err error
	out.NanoUSD, err = nano(*c.CostUSD)
	return out, err
}

// reserve sets an entry aside, when it is its turn in this process and others
// leave room.
func (l *Ledger) reserve(ctx context.Context, e entry) error {
	if err := enter(ctx, l.queue); err != nil {
		return err
	}
	defer func() { <-l.queue }()
	timer := time.NewTimer(poll)
	defer timer.Stop()
	var seen *state // what stood in the way
	for {
		err := l.change(ctx, func(s *state) error {
			seen = s
			if err := s.room(e.charge); err != nil {
				return err
			}
			e.Since = time.Now().UTC().Round(0)
			s.Open = append(s.Open, e)
			return nil
		})
		if !errors.Is(err, errWait) {
			if err != nil && ctx.Err() != nil && seen != nil && !errors.Is(err, model.ErrBudget) {
				return inTheWay(ctx, seen, e) // ctx ended while it was looked at again
			}
			return err
		}
		timer.Reset(poll)
		select {
		case <-l.settled:
		case <-timer.C:
		case <-ctx.Done():
			return inTheWay(ctx, seen, e)
		}
	}
}

// inTheWay is the error of a request that waited in vain.
func inTheWay(ctx context.Context, s *state, e entry) error {
	open := reserved(s)
	if len(open) == 0 {
		return fmt.Errorf("%w: %w", model.ErrBudget, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %d requests are under way and leave no room for one of %s; the oldest is of %q, since %s: %w",
		model.ErrBudget, len(open), e.charge, open[0].Holder, open[0].Since.Format(time.RFC3339), context.Cause(ctx))
}

// String says a charge as a person does.
func (c charge) String() string {
	if c.Unpriced {
		return fmt.Sprintf("%d tokens", c.Tokens)
	}
	return fmt.Sprintf("%d tokens and $%.4f", c.Tokens, dollars(c.NanoUSD))
}

// room returns nil where a charge fits beside what is spent and set aside,
// errWait where it fits beside what is spent alone, and otherwise why not.
func (s *state) room(c charge) error {
	if s.Limits.NanoUSD > 0 && c.Unpriced {
		return model.ErrNoPrice
	}
	spent, _, reserved := s.sums()
	if limit := s.Limits.NanoUSD; limit > 0 && spent.NanoUSD+c.NanoUSD > limit {
		return fmt.Errorf("%w: $%.4f are spent and the next request may cost $%.4f; the limit is $%.4f",
			model.ErrBudget, dollars(spent.NanoUSD), dollars(c.NanoUSD), dollars(limit))
	}
	if limit := s.Limits.Tokens; limit > 0 && spent.Tokens+c.Tokens > limit {
		return fmt.Errorf("%w: %d tokens are used and the next request may take %d more; the limit is %d",
			model.ErrBudget, spent.Tokens, c.Tokens, limit)
	}
	if limit := s.Limits.NanoUSD; limit > 0 && spent.NanoUSD+reserved.NanoUSD+c.NanoUSD > limit {
		return errWait
	}
	if limit := s.Limits.Tokens; limit > 0 && spent.Tokens+reserved.Tokens+c.Tokens > limit {
		return errWait
	}
	return nil
}

// reservation implements [model.Reservation].
type reservation struct {
	ledger *Ledger
	id     string

	mu   sync.Mutex
	over bool
}

// Settle implements [model.Reservation]. A second call changes nothing; after an
// error it may be called again.
func (r *reservation) Settle(used model.Charge) error {
	c, err := chargeOf(used)
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	return r.end(&c)
}

// Release implements [model.Reservation], as Settle does.
func (r *reservation) Release() error { return r.end(nil) }

func (r *reservation) end(used *charge) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleWait)
	defer cancel()
	err := r.ledger.change(ctx, func(s *state) error {
		i := slices.IndexFunc(s.Open, func(e entry) bool { return e.ID == r.id })
		if i < 0 {
			return nil // an earlier call did it, and failed only after that
		}
		s.Open = slices.Delete(s.Open, i, i+1)
		if used != nil {
			s.Settled = s.Settled.plus(*used)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	r.over = true
	r.ledger.tell()
	return nil
}
