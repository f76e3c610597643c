package markup_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mlgym/web/markup"
)

func TestFold(t *testing.T) {
	tests := map[string]struct {
		text            string
		lines, maxBytes int
		want            markup.Folded
	}{
		"empty":                   {"", 4, 100, markup.Folded{Whole: true}},
		"fits":                    {"1\n2\n3\n4\n", 4, 100, markup.Folded{Head: "1\n2\n3\n4\n", Whole: true}},
		"fits without end":        {"1\n2\n3\n4", 4, 100, markup.Folded{Head: "1\n2\n3\n4", Whole: true}},
		"one line more":           {"1\n2\n3\n4\n5\n", 4, 100, markup.Folded{Head: "1\n2\n", Tail: "4\n5\n", HiddenLines: 1, HiddenBytes: 2}},
		"odd":                     {"1\n2\n3\n4\n5\n", 3, 100, markup.Folded{Head: "1\n2\n", Tail: "5\n", HiddenLines: 2, HiddenBytes: 4}},
		"one line":                {"1\n2\n3\n", 1, 100, markup.Folded{Head: "1\n", HiddenLines: 2, HiddenBytes: 4}},
		"less than one":           {"1\n2\n3\n", -5, 100, markup.Folded{Head: "1\n", HiddenLines: 2, HiddenBytes: 4}},
		"long line":               {"0123456789abcdefghij", 4, 8, markup.Folded{Head: "0123", Tail: "ghij", HiddenLines: 1, HiddenBytes: 12}},
		"long lines, cut between": {"12345\n12345\n12345\n12345\n12345\n", 4, 16, markup.Folded{Head: "12345\n", Tail: "12345\n", HiddenLines: 3, HiddenBytes: 18}},
		"not within a rune":       {"ééééééééé", 4, 7, markup.Folded{Head: "éé", Tail: "é", HiddenLines: 1, HiddenBytes: 12}},
		"not within a sequence":   {"12\x1b[31mred and so on and on\x1b[0mx", 4, 8, markup.Folded{Head: "12", Tail: "x", HiddenLines: 1, HiddenBytes: 29}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := markup.Fold(tt.text, tt.lines, tt.maxBytes)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Fold(%q, %d, %d) (-want +got):\n%s", tt.text, tt.lines, tt.maxBytes, diff)
			}
		})
	}
}

func FuzzFold(f *testing.F) {
	f.Add("a\nb\nc\nd\n", 2, 5)
	f.Add("é\x1b[31mé\xff\n\n\n", 3, 4)
	f.Add(strings.Repeat("x", 100), 1, 1)
	f.Fuzz(func(t *testing.T, text string, lines, maxBytes int) {
		got := markup.Fold(text, lines, maxBytes)
		if len(got.Head)+got.HiddenBytes+len(got.Tail) != len(text) || !strings.HasPrefix(text, got.Head) || !strings.HasSuffix(text, got.Tail) {
			t.Fatalf("Fold(%q, %d, %d) = %+v is not the text", text, lines, maxBytes, got)
		}
		if got.Whole != (got.HiddenBytes == 0) || got.Whole != (got.HiddenLines == 0) || got.Whole && got.Tail != "" {
			t.Fatalf("Fold(%q, %d, %d) = %+v contradicts itself", text, lines, maxBytes, got)
		}
		if shown := len(got.Head) + len(got.Tail); shown > max(maxBytes, 1) {
			t.Fatalf("Fold(%q, %d, %d) shows %d bytes", text, lines, maxBytes, shown)
		}
		if n := strings.Count(strings.TrimSuffix(got.Head, "\n"), "\n") + strings.Count(strings.TrimSuffix(got.Tail, "\n"), "\n"); n > max(lines, 1) {
			t.Fatalf("Fold(%q, %d, %d) shows %d line ends", text, lines, maxBytes, n)
		}
		if utf8.ValidString(text) && !(utf8.ValidString(got.Head) && utf8.ValidString(got.Tail)) {
			t.Fatalf("Fold(%q, %d, %d) = %+v cuts a character", text, lines, maxBytes, got)
		}
	})
}

func TestHead(t *testing.T) {
	tests := map[string]struct {
		text  string
		runes int
		want  string
	}{
		"short":           {"make it so", 20, "make it so"},
		"exact":           {"abcde", 5, "abcde"},
		"cut":             {"abcdef", 5, "abcd…"},
		"cut at a space":  {"abc def", 5, "abc…"},
		"runes":           {"日本語の文", 4, "日本語…"},
		"first line":      {"\n  \n a\tb   c  \nd", 20, "a b c"},
		"colours":         {"\x1b[31mred\x1b[0m \x1b]0;t\ax", 20, "red x"},
		"controls":        {"a\x00\u202eb\x1b\x01c", 20, "abc"},
		"no UTF-8":        {"a\xffb", 20, "a\ufffdb"},
		"nothing":         {" \n\x00\n", 20, ""},
		"no room":         {"abc", 0, ""},
		"room for a mark": {"abc", 1, "…"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := markup.Head(tt.text, tt.runes); got != tt.want {
				t.Errorf("Head(%q, %d) = %q, want %q", tt.text, tt.runes, got, tt.want)
			}
		})
	}
}
