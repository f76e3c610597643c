package nearest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/internal/nearest"
)

func TestNames(t *testing.T) {
	known := []string{"battleOfSexes", "prisonersDilemma", "blotto", "3SATTime", "titanic"}
	tests := []struct {
		name, got string
		want      []string
	}{
		{"exact", "blotto", []string{"blotto"}},
		{"one letter missing", "bloto", []string{"blotto"}},
		{"two letters swapped", "bltoto", []string{"blotto"}},
		{"other case", "PRISONERSDILEMMA", []string{"prisonersDilemma"}},
		{"part of a name", "battle", []string{"battleOfSexes"}},
		{"nothing like it", "frobnicate", nil},
		{"empty", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, nearest.Names(tt.got, known)); diff != "" {
				t.Errorf("Names(%q) (-want +got):\n%s", tt.got, diff)
			}
		})
	}
}

func TestNamesOffersTheClosestFirstAndNoMoreThanThree(t *testing.T) {
	got := nearest.Names("abcd", []string{"abce", "abcd", "abdc", "xbcd", "abcde"})
	if diff := cmp.Diff([]string{"abcd", "abcde", "abce"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHint(t *testing.T) {
	if got, want := nearest.Hint("bloto", []string{"blotto"}), `; did you mean "blotto"?`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := nearest.Hint("zzzzzz", []string{"blotto"}); got != "" {
		t.Errorf("got %q for a name that is close to none, want nothing", got)
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
		{"ab", "ba", 1},
		{"größe", "grösse", 2},
	}
	for _, tt := range tests {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			if got := nearest.Distance(pair[0], pair[1]); got != tt.want {
				t.Errorf("Distance(%q, %q) = %d, want %d", pair[0], pair[1], got, tt.want)
			}
		}
	}
}
