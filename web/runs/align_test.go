package runs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mlgym/search"
)

// signsOf makes signs of letters: case is a difference of the rest of an action only,
// and a digit is of one kind with all digits.
func signsOf(text string) []sign {
	var out []sign
	for _, r := range text {
		s := sign{exact: r, head: r | 0x20, kind: r | 0x20}
		if '0' <= r && r <= '9' {
			s.kind = '0'
		}
		out = append(out, s)
	}
	return out
}

// drawn writes an alignment in two lines.
func drawn(left, right string, pairs []pair) string {
	var a, b, kinds strings.Builder
	put := func(to *strings.Builder, text string, at int) {
		if at < 0 {
			to.WriteByte('.')
		} else {
			to.WriteByte(text[at])
		}
	}
	for _, p := range pairs {
		put(&a, left, p.left)
		put(&b, right, p.right)
		kinds.WriteString(map[string]string{same: "=", similar: "~", different: "x", alone: "|"}[p.kind])
	}
	return a.String() + "\n" + kinds.String() + "\n" + b.String()
}

func TestAlign(t *testing.T) {
	for _, c := range []struct {
		left, right, want string
		prefix            int
	}{
		{"", "", "\n\n", 0},
		{"abc", "abc", "abc\n===\nabc", 3},
		{"abc", "", "abc\n|||\n...", 0},
		{"", "ab", "..\n||\nab", 0},
		{"abc", "abd", "abc\n==x\nabd", 2},
		{"abcd", "abd", "abcd\n==|=\nab.d", 2},
		{"abxyd", "abzd", "abxyd\n==x|=\nabz.d", 2},
		// The same action counts for more than two similar ones.
		{"qA1", "1a", "qA1.\n||=|\n..1a", 0},
		{"abAcd", "abcd", "abAcd\n==|==\nab.cd", 2},
		{"xAz", "yaz", "xAz\nx~=\nyaz", 0},
		{"k1m", "k2m", "k1m\n=~=\nk2m", 1},
	} {
		got, prefix, byNumber := align(signsOf(c.left), signsOf(c.right))
		if text := drawn(c.left, c.right, got); text != c.want || prefix != c.prefix || byNumber {
			t.Errorf("%q and %q: prefix %d\n%s\nwant %d\n%s", c.left, c.right, prefix, text, c.prefix, c.want)
		}
	}
}

// TestAlignmentsAreWhole checks on random actions that each stands in one row, in
// order, and that no alignment without similar pairs would find more that are the same.
func TestAlignmentsAreWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	random := func() string {
		b := make([]byte, r.IntN(30))
		for i := range b {
			b[i] = "abcABC123"[r.IntN(9)]
		}
		return string(b)
	}
	for range 3000 {
		left, right := random(), random()
		pairs, prefix, _ := align(signsOf(left), signsOf(right))
		nextLeft, nextRight, weight := 0, 0, 0
		for i, p := range pairs {
			if p.left >= 0 {
				if p.left != nextLeft {
					t.Fatalf("%q and %q: row %d has %d on the left, want %d", left, right, i, p.left, nextLeft)
				}
				nextLeft++
			}
			if p.right >= 0 {
				if p.right != nextRight {
					t.Fatalf("%q and %q: row %d has %d on the right, want %d", left, right, i, p.right, nextRight)
				}
				nextRight++
			}
			if (p.kind == alone) != (p.left < 0 || p.right < 0) {
				t.Fatalf("%q and %q: row %d is %+v", left, right, i, p)
			}
			if p.kind != alone {
				weight += int(signsOf(left)[p.left].weight(signsOf(right)[p.right]))
			}
			if (i < prefix) != (p.kind == same && i < prefix) {
				t.Fatalf("%q and %q: row %d of a prefix of %d is %q", left, right, i, prefix, p.kind)
			}
		}
		if nextLeft != len(left) || nextRight != len(right) {
			t.Fatalf("%q and %q: %d and %d stand in rows", left, right, nextLeft, nextRight)
		}
		if want := heaviest(signsOf(left), signsOf(right)); weight < want {
			t.Fatalf("%q and %q: weight %d, possible %d\n%s", left, right, weight, want, drawn(left, right, pairs))
		}
	}
}

// heaviest is the weight of the best pairing, by the plainest way there is.
func heaviest(l, r []sign) int {
	table := make([][]int, len(l)+1)
	for i := range table {
		table[i] = make([]int, len(r)+1)
	}
	for i := range l {
		for j := range r {
			table[i+1][j+1] = max(table[i][j+1], table[i+1][j], table[i][j]+int(l[i].weight(r[j])))
		}
	}
	return table[len(l)][len(r)]
}

func TestAlignByNumber(t *testing.T) {
	long := func(n, from int) []sign {
		out := make([]sign, n)
		for i := range out {
			out[i] = sign{int32(from + i), int32(from + i), int32(i % 3)} //nolint:gosec // small
		}
		return out
	}
	left, right := long(2500, 0), long(2600, 1)
	pairs, prefix, byNumber := align(left, right)
	if !byNumber || prefix != 0 || len(pairs) != 2600 || pairs[2599] != (pair{-1, 2599, alone}) || pairs[5] != (pair{5, 5, similar}) {
		t.Errorf("by number: %v, %d rows, %+v, %+v", byNumber, len(pairs), pairs[5], pairs[len(pairs)-1])
	}
	// What is the same at the ends costs nothing.
	right = append(append(long(2400, 0), sign{-1, -1, -1}), long(2500, 0)[2400:]...)
	pairs, prefix, byNumber = align(left, right)
	if byNumber || prefix != 2400 || len(pairs) != 2501 || pairs[2400] != (pair{-1, 2400, alone}) {
		t.Errorf("by number: %v, prefix %d, %d rows", byNumber, prefix, len(pairs))
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		unit      string
		want      string
	}{
		{0, 1, plainUnit, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{0.91, 0.93, plainUnit, "0.910 0.915 0.920 0.925 0.930"},
		{-250, 40, plainUnit, "-300 -200 -100 0 100"},
		{5, 5, plainUnit, "4.4 4.6 4.8 5.0 5.2 5.4 5.6"},
		{0, 0, plainUnit, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{0, 7200, timeUnit, "0 30 min 60 min 90 min 120 min"},
		{0, 61, timeUnit, "0 15 s 30 s 45 s 60 s 75 s"},
		{0, 0.07, dollarUnit, "$0.00 $0.02 $0.04 $0.06 $0.08"},
		{0, 2.5e7, plainUnit, "0 5e+06 1e+07 1.5e+07 2e+07 2.5e+07"},
	} {
		s := bounds{c.low, c.high, true}
		var names []string
		for _, tick := range s.ticks(5, c.unit) {
			names = append(names, tick.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("from %g to %g %s: %q, want %q", c.low, c.high, c.unit, got, c.want)
		}
		if s.low > c.low || s.high < c.high {
			t.Errorf("from %g to %g: the axis goes from %g to %g", c.low, c.high, s.low, s.high)
		}
	}
}

// TestPulse looks once a second for all who listen, and not while nobody does.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looked, generation atomic.Int64
		p := &pulse{every: time.Second, look: func() news {
			looked.Add(1)
			return news{Generation: generation.Load()}
		}}
		one, leaveOne := p.listen()
		two, leaveTwo := p.listen()
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		wait(3500 * time.Millisecond)
		if n := looked.Load(); n != 4 {
			t.Errorf("looked %d times in 3.5 s for two listeners, want 4", n)
		}
		select {
		case <-one:
			t.Error("told of nothing")
		default:
		}
		generation.Store(1)
		wait(time.Second)
		generation.Store(2)
		wait(time.Second)
		<-one
		<-two
		select {
		case <-one:
			t.Error("told twice, though nobody asked in between")
		default:
		}
		leaveOne()
		leaveOne()
		generation.Store(3)
		wait(time.Second)
		<-two
		leaveTwo()
		before := looked.Load()
		wait(time.Minute)
		if n := looked.Load() - before; n != 0 {
			t.Errorf("looked %d times for nobody", n)
		}
		_, leave := p.listen()
		wait(1500 * time.Millisecond)
		if n := looked.Load() - before; n != 2 {
			t.Errorf("looked %d times for a new listener, want 2", n)
		}
		leave()
	})
}

func TestPieces(t *testing.T) {
	for _, c := range []struct {
		text  string
		marks []search.Span
		want  string
	}{
		{"a <b> c", []search.Span{{Start: 2, End: 5}}, "a [&lt;b&gt;] c"},
		{"aé", []search.Span{{Start: 1, End: 3}}, "a[é]"},
		{"abc", nil, "abc"},
		// Marks that do not fit are left out.
		{"abc", []search.Span{{Start: 1, End: 9}, {Start: -1, End: 1}, {Start: 2, End: 1}, {Start: 0, End: 1}}, "[a]bc"},
	} {
		var got strings.Builder
		for _, p := range pieces(search.Snippet{Text: c.text, Marks: c.marks}).Pieces {
			if p.Marked {
				fmt.Fprintf(&got, "[%s]", p.Text)
			} else {
				got.WriteString(string(p.Text))
			}
		}
		if got.String() != c.want {
			t.Errorf("%q with %v: %q, want %q", c.text, c.marks, got.String(), c.want)
		}
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1.00 k", 9996: "10.0 k", 12_345: "12.3 k", 999_499: "999 k", 999_500: "1.00 M", 1_234_567_890: "1.23 G"} {
		if got := short(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
