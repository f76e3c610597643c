package budget_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/experiment/budget"
	"mlgym/model"
)

var _ model.Account = (&budget.Ledger{}).Account("x")

// TestMain is also a process that draws on a ledger.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BUDGET_TEST_DIR"); dir != "" {
		os.Exit(child(dir, os.Getenv("BUDGET_TEST_DO")))
	}
	os.Exit(m.Run())
}

// child draws until the ledger refuses, and prints what it has settled, or
// reserves once, says so and never settles.
func child(dir, do string) int {
	ctx := context.Background()
	ledger, err := budget.Open(ctx, dir, budget.Limits{})
	if err != nil {
		fmt.Println(err)
		return 3
	}
	holder := fmt.Sprint("process-", os.Getpid())
	if do == "hold" {
		if _, err := ledger.Account("held").Reserve(ctx, usd(0.6, 60)); err != nil {
			fmt.Println(err)
			return 4
		}
		fmt.Println("reserved")
		select {} // until it is killed
	}
	seed, err := strconv.ParseUint(do, 10, 64)
	if err != nil {
		return 5
	}
	settled, err := draw(ctx, ledger.Account(holder), seed)
	fmt.Println(settled)
	if err != nil {
		fmt.Println(err)
		return 6
	}
	return 0
}

func usd(cost float64, tokens int64) model.Charge {
	return model.Charge{Tokens: tokens, CostUSD: &cost}
}

// largest is the worst case of any request of draw, in cents and in tokens.
const largest = 400

// draw makes requests until one is refused. Costs are whole cents, so that a sum
// of them is known exactly.
func draw(ctx context.Context, account model.Account, seed uint64) (cents int64, err error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for {
		worst := 1 + rng.Int64N(largest)
		r, err := account.Reserve(ctx, usd(float64(worst)/100, worst))
		if errors.Is(err, model.ErrBudget) {
			return cents, nil
		}
		if err != nil {
			return cents, err
		}
		if rng.IntN(8) == 0 {
			if err := r.Release(); err != nil {
				return cents, err
			}
			continue
		}
		used := rng.Int64N(worst + 1)
		if err := r.Settle(usd(float64(used)/100, used)); err != nil {
			return cents, err
		}
		cents += used
	}
}

func open(t testing.TB, dir string, limits budget.Limits) *budget.Ledger {
	t.Helper()
	ledger, err := budget.Open(t.Context(), dir, limits)
	if err != nil {
		t.Fatal(err)
	}
	return ledger
}

// checkEnd compares a ledger that refuses with its limit and with what its users
// say.
func checkEnd(t *testing.T, ledger *budget.Ledger, limit, settled int64) {
	t.Helper()
	spent, err := ledger.Spent()
	if err != nil {
		t.Fatal(err)
	}
	if want := float64(settled) / 100; spent.USD != want || spent.Tokens != settled {
		t.Errorf("spent = $%v and %d tokens, and $%v and %d were settled", spent.USD, spent.Tokens, want, settled)
	}
	if settled > limit {
		t.Errorf("%d cents are spent, limit %d", settled, limit)
	}
	// Each has ended with a refusal, so no request of the largest kind fits.
	if settled <= limit-largest {
		t.Errorf("%d cents are spent, which leaves room for a request of %d below the limit of %d", settled, largest, limit)
	}
	if left, err := ledger.Reserved(); err != nil || len(left) != 0 {
		t.Errorf("still set aside: %v, %v", left, err)
	}
}

func TestGoroutinesNeverExceedTheLimit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits budget.Limits
	}{{"USD", budget.Limits{USD: 300}}, {"tokens", budget.Limits{Tokens: 30_000}}, {"both", budget.Limits{USD: 1000, Tokens: 30_000}}} {
		t.Run(tt.name, func(t *testing.T) {
			ledger := open(t, t.TempDir(), tt.limits)
			var wg sync.WaitGroup
			settled := make([]int64, 100)
			for i := range settled {
				wg.Go(func() {
					var err error
					settled[i], err = draw(t.Context(), ledger.Account(fmt.Sprint("run-", i)), uint64(i))
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			sum := int64(0)
			for _, cents := range settled {
				sum += cents
			}
			checkEnd(t, ledger, 30_000, sum)
		})
	}
}

func TestProcessesNeverExceedTheLimit(t *testing.T) {
	dir := t.TempDir()
	ledger := open(t, dir, budget.Limits{USD: 150})
	outs := make([]strings.Builder, 8)
	var wg sync.WaitGroup
	for i := range outs {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "BUDGET_TEST_DIR="+dir, fmt.Sprint("BUDGET_TEST_DO=", i))
			cmd.Stdout, cmd.Stderr = &outs[i], os.Stderr
			if err := cmd.Run(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, outs[i].String())
			}
		})
	}
	wg.Wait()
	sum := int64(0)
	for i := range outs {
		cents, err := strconv.ParseInt(strings.TrimSpace(outs[i].String()), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += cents
	}
	checkEnd(t, ledger, 15_000, sum)
}

// TestKilledProcess has a reservation whose holder is killed stand in the way
// until it is released, and count as spent from then on.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	ledger := open(t, dir, budget.Limits{USD: 1})
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "BUDGET_TEST_DIR="+dir, "BUDGET_TEST_DO=hold")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "reserved\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err = ledger.Account("b").Reserve(ctx, usd(0.5, 5))
	if !errors.Is(err, model.ErrBudget) {
		t.Fatalf("error = %v, want ErrBudget", err)
	}
	if left, err := ledger.Reserved(); err != nil || len(left) != 1 || left[0].Holder != "held" || left[0].USD != 0.6 {
		t.Fatalf("set aside = %+v, %v; want that of the killed process", left, err)
	}
	if n, err := ledger.Release(t.Context(), "held"); n != 1 || err != nil {
		t.Fatalf("Release = %d, %v; want 1", n, err)
	}
	if n, err := ledger.Release(t.Context(), "held"); n != 0 || err != nil {
		t.Errorf("second Release = %d, %v; want 0", n, err)
	}
	spent, err := ledger.Spent()
	want := budget.Spent{USD: 0.6, Tokens: 60, Requests: 1, PresumedUSD: 0.6, PresumedTokens: 60}
	if diff := cmp.Diff(want, spent); diff != "" || err != nil {
		t.Errorf("spent (-want +got), %v:\n%s", err, diff)
	}
	if _, err := ledger.Account("b").Reserve(t.Context(), usd(0.5, 5)); !errors.Is(err, model.ErrBudget) {
		t.Errorf("error = %v, want ErrBudget: the killed one's worst case is spent", err)
	}
	if _, err := ledger.Account("b").Reserve(t.Context(), usd(0.4, 5)); err != nil {
		t.Errorf("what is left cannot be used: %v", err)
	}
}

func reserve(t *testing.T, l *budget.Ledger, holder string, c model.Charge) model.Reservation {
	t.Helper()
	r, err := l.Account(holder).Reserve(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func settle(t *testing.T, r model.Reservation, c model.Charge) {
	t.Helper()
	if err := r.Settle(c); err != nil {
		t.Fatal(err)
	}
}

func TestReserveWaitsForOthers(t *testing.T) {
	for _, tt := range []struct {
		name string
		// end is how the reservation of 8 ends, by the same process or another.
		end     func(*testing.T, model.Reservation, *budget.Ledger)
		other   bool
		refused bool
		took    time.Duration // at most
	}{
		{"little was used", func(t *testing.T, r model.Reservation, _ *budget.Ledger) { settle(t, r, usd(2, 2)) }, false, false, 0},
		{"nothing was used", func(t *testing.T, r model.Reservation, _ *budget.Ledger) {
			if err := r.Release(); err != nil {
				t.Error(err)
			}
		}, false, false, 0},
		{"all was used", func(t *testing.T, r model.Reservation, _ *budget.Ledger) { settle(t, r, usd(8, 8)) }, false, true, 0},
		{"another process used little", func(t *testing.T, r model.Reservation, _ *budget.Ledger) { settle(t, r, usd(2, 2)) }, true, false, time.Second},
		{"the limit was raised", func(t *testing.T, _ model.Reservation, l *budget.Ledger) {
			if err := l.SetLimits(t.Context(), budget.Limits{USD: 13}); err != nil {
				t.Error(err)
			}
		}, false, false, 0},
		{"the holder died", func(t *testing.T, _ model.Reservation, l *budget.Ledger) {
			if _, err := l.Release(t.Context(), "a"); err != nil {
				t.Error(err)
			}
		}, false, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				mine := open(t, dir, budget.Limits{USD: 10})
				theirs := mine
				if tt.other {
					theirs = open(t, dir, budget.Limits{})
				}
				first := reserve(t, theirs, "a", usd(8, 8))
				done := make(chan error, 1)
				go func() {
					_, err := mine.Account("b").Reserve(t.Context(), usd(5, 5))
					done <- err
				}()
				time.Sleep(3*time.Second + 100*time.Millisecond)
				select {
				case err := <-done:
					t.Fatalf("did not wait: %v", err)
				default:
				}
				ended := time.Now()
				tt.end(t, first, theirs)
				err := <-done
				if errors.Is(err, model.ErrBudget) != tt.refused || (err != nil) != tt.refused {
					t.Errorf("error = %v, want refused: %t", err, tt.refused)
				}
				if took := time.Since(ended); took > tt.took {
					t.Errorf("noticed after %v, want %v at most", took, tt.took)
				}
			})
		})
	}
}

// TestInTurn has a large request wait, and a small one that would fit behind it.
func TestInTurn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, dir, budget.Limits{Tokens: 10})
		first := reserve(t, l, "a", model.Charge{Tokens: 6})
		order := make(chan string, 2)
		for _, request := range []struct {
			name   string
			tokens int64
		}{{"large", 8}, {"small", 1}} {
			go func() {
				if _, err := l.Account(request.name).Reserve(t.Context(), model.Charge{Tokens: request.tokens}); err != nil {
					t.Error(err)
				}
				order <- request.name
			}()
			time.Sleep(time.Second)
		}
		if len(order) != 0 {
			t.Fatalf("%s was served while another waited or nothing was left", <-order)
		}
		settle(t, first, model.Charge{Tokens: 1})
		if got := <-order + " " + <-order; got != "large small" {
			t.Errorf("served: %s; want large small", got)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, dir, budget.Limits{Tokens: 10})
		reserve(t, l, "the one in the way", model.Charge{Tokens: 6})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 3 { // the first waits for others, two wait for it
			wg.Go(func() {
				_, err := l.Account(fmt.Sprint(i)).Reserve(ctx, model.Charge{Tokens: 5})
				if !errors.Is(err, model.ErrBudget) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error = %v, want ErrBudget and the context's", err)
				}
				if i == 0 && !strings.Contains(err.Error(), "the one in the way") {
					t.Errorf("error %q does not say who is in the way", err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
	})
}

func TestHolderThoughtDead(t *testing.T) {
	l := open(t, t.TempDir(), budget.Limits{USD: 10})
	settle(t, reserve(t, l, "other", usd(1, 1)), usd(1, 1))
	late := reserve(t, l, "a", usd(8, 8))
	if n, err := l.Release(t.Context(), "a"); n != 1 || err != nil {
		t.Fatalf("Release = %d, %v", n, err)
	}
	for range 2 { // twice changes nothing
		settle(t, late, usd(3, 3))
		spent, err := l.Spent()
		if diff := cmp.Diff(budget.Spent{USD: 4, Tokens: 4, Requests: 2}, spent); diff != "" || err != nil {
			t.Errorf("spent (-want +got), %v:\n%s", err, diff)
		}
	}
}

// TestMoreThanTheWorst has an estimate that was wrong: what was spent is spent.
func TestMoreThanTheWorst(t *testing.T) {
	l := open(t, t.TempDir(), budget.Limits{USD: 10})
	settle(t, reserve(t, l, "a", usd(8, 8)), usd(12, 12))
	if _, err := l.Account("a").Reserve(t.Context(), usd(0, 0)); !errors.Is(err, model.ErrBudget) {
		t.Errorf("error = %v, want ErrBudget", err)
	}
	if spent, err := l.Spent(); spent.USD != 12 || err != nil {
		t.Errorf("spent = %+v, %v; want $12", spent, err)
	}
}

func TestUnknownPrice(t *testing.T) {
	l := open(t, t.TempDir(), budget.Limits{USD: 10})
	if _, err := l.Account("a").Reserve(t.Context(), model.Charge{Tokens: 1}); !errors.Is(err, model.ErrNoPrice) || errors.Is(err, model.ErrBudget) {
		t.Errorf("error = %v, want ErrNoPrice", err)
	}
	l = open(t, t.TempDir(), budget.Limits{Tokens: 10})
	settle(t, reserve(t, l, "a", model.Charge{Tokens: 5}), model.Charge{Tokens: 4})
	settle(t, reserve(t, l, "a", usd(1, 5)), usd(1, 4))
	spent, err := l.Spent()
	if diff := cmp.Diff(budget.Spent{USD: 1, Tokens: 8, Requests: 2, Unpriced: 1}, spent); diff != "" || err != nil {
		t.Errorf("spent (-want +got), %v:\n%s", err, diff)
	}
}

func TestChargesThatAreNone(t *testing.T) {
	l := open(t, t.TempDir(), budget.Limits{})
	good := reserve(t, l, "a", usd(1, 1))
	for _, c := range []model.Charge{usd(-1, 0), usd(math.NaN(), 0), usd(math.Inf(1), 0), usd(1e10, 0), {Tokens: -1}, {Tokens: math.MaxInt64}} {
		if _, err := l.Account("a").Reserve(t.Context(), c); err == nil {
			t.Errorf("%+v was set aside", c)
		}
		if err := good.Settle(c); err == nil {
			t.Errorf("%+v was settled", c)
		}
	}
	settle(t, good, usd(1, 1))
	if _, err := l.Account("").Reserve(t.Context(), usd(1, 1)); err == nil {
		t.Error("a holder without a name has something set aside")
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	if _, err := budget.Open(t.Context(), dir, budget.Limits{USD: -1}); err == nil {
		t.Error("a negative limit was taken")
	}
	open(t, dir, budget.Limits{USD: 1.5})
	l := open(t, dir, budget.Limits{})
	if got, err := l.Limits(); got != (budget.Limits{USD: 1.5}) || err != nil {
		t.Errorf("limits = %+v, %v; want those of the first opening", got, err)
	}
	open(t, dir, budget.Limits{USD: 1.5})
	if _, err := budget.Open(t.Context(), dir, budget.Limits{USD: 2}); err == nil || !strings.Contains(err.Error(), "$1.5") {
		t.Errorf("other limits: error = %v, want one that says what there is", err)
	}
	for _, want := range []budget.Limits{{USD: 1}, {USD: 2, Tokens: 5}, {}, {USD: 100}} {
		if err := l.SetLimits(t.Context(), want); err != nil {
			t.Errorf("to %v: %v", want, err)
		}
		if got, err := open(t, dir, budget.Limits{}).Limits(); got != want || err != nil {
			t.Errorf("limits = %+v, %v; want %+v", got, err, want)
		}
	}
	if err := l.SetLimits(t.Context(), budget.Limits{Tokens: -1}); err == nil {
		t.Error("a negative limit was set")
	}
}

// TestLoweredLimit refuses what no longer fits, and keeps what was spent.
func TestLoweredLimit(t *testing.T) {
	l := open(t, t.TempDir(), budget.Limits{})
	charge := model.Charge{Tokens: 60}
	r, err := l.Account("one").Reserve(t.Context(), charge)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Settle(charge); err != nil {
		t.Fatal(err)
	}
	if err := l.SetLimits(t.Context(), budget.Limits{Tokens: 100}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Account("one").Reserve(t.Context(), charge); !errors.Is(err, model.ErrBudget) {
		t.Errorf("a second request of 60 tokens below a limit of 100: %v, want ErrBudget", err)
	}
}

func TestLostAndDamagedFiles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(path string, old []byte) error
		lost   bool
	}{
		{"removed", func(path string, _ []byte) error { return os.Remove(path) }, true},
		{"an older copy", func(path string, old []byte) error { return os.WriteFile(path, old, 0o644) }, true},
		{"cut off", func(path string, _ []byte) error { return os.Truncate(path, 40) }, false},
		{"empty", func(path string, _ []byte) error { return os.Truncate(path, 0) }, false},
		{"of another version", func(path string, _ []byte) error { return os.WriteFile(path, []byte(`{"version": 2}`), 0o644) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, budget.FileName)
			l := open(t, dir, budget.Limits{USD: 10})
			old, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			settle(t, reserve(t, l, "a", usd(1, 1)), usd(1, 1))
			if err := tt.damage(path, old); err != nil {
				t.Fatal(err)
			}
			_, reserveErr := l.Account("a").Reserve(t.Context(), usd(1, 1))
			_, openErr := budget.Open(t.Context(), dir, budget.Limits{USD: 10})
			for what, err := range map[string]error{"reserve": reserveErr, "open": openErr} {
				if err == nil || errors.Is(err, budget.ErrLost) != tt.lost || errors.Is(err, model.ErrBudget) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: error = %v, want one that names the file, lost: %t", what, err, tt.lost)
				}
			}
		})
	}
}

// TestFailedWriteKeepsWhatIsSetAside has the folder refuse a settling, which
// then can be done again.
func TestFailedWriteKeepsWhatIsSetAside(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, budget.Limits{USD: 10})
	r := reserve(t, l, "a", usd(5, 5))
	moved := dir + ".moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if err := r.Settle(usd(2, 2)); err == nil {
		t.Fatal("a settling without a folder succeeds")
	}
	if err := os.Rename(moved, dir); err != nil {
		t.Fatal(err)
	}
	if left, err := l.Reserved(); len(left) != 1 || err != nil {
		t.Fatalf("set aside = %v, %v; want what was not settled", left, err)
	}
	settle(t, r, usd(2, 2))
	if spent, err := l.Spent(); spent.USD != 2 || err != nil {
		t.Errorf("spent = %+v, %v; want $2", spent, err)
	}
}

// TestSumsDoNotDrift settles what floats cannot add.
func TestSumsDoNotDrift(t *testing.T) {
	l := open(t, t.TempDir(), budget.Limits{USD: 3})
	for range 30 {
		settle(t, reserve(t, l, "a", usd(0.1, 1)), usd(0.1, 1))
	}
	if spent, err := l.Spent(); spent.USD != 3 || err != nil {
		t.Errorf("spent = %v, %v; want 3 exactly", spent.USD, err)
	}
	if _, err := l.Account("a").Reserve(t.Context(), usd(1e-9, 0)); !errors.Is(err, model.ErrBudget) {
		t.Errorf("a billionth above the limit: error = %v, want ErrBudget", err)
	}
}
