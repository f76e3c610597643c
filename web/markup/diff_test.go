package markup_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"mlgym/web/markup"
)

var rowPattern = regexp.MustCompile(`<tr class="diff-(removed|added|same)"><td class="diff-number">(\d*)</td><td class="diff-number">(\d*)</td><td class="diff-sign">([-+]?)</td><td class="diff-text"><code>(.*)</code></td></tr>`)

// rows are the rows of a comparison as text: numbers, sign, line.
func rows(t *testing.T, before, after string) []string {
	t.Helper()
	got := markup.Diff(before, after)
	parse(t, got)
	var list []string
	for _, m := range rowPattern.FindAllStringSubmatch(string(got), -1) {
		list = append(list, fmt.Sprintf("%s %s %s%s", m[2], m[3], m[4], m[5]))
	}
	return list
}

func numbered(from, to int) string {
	var out strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&out, "line %d\n", i)
	}
	return out.String()
}

func TestDiff(t *testing.T) {
	tests := map[string]struct {
		before, after string
		want          []string
	}{
		"a word":          {"a\nlr = 0.1 # old\nb\n", "a\nlr = 0.3 # old\nb\n", []string{"1 1 a", "2  -lr = 0.<del>1</del> # old", " 2 +lr = 0.<ins>3</ins> # old", "3 3 b"}},
		"words taken out": {"f(a, b, c)\n", "f(a)\n", []string{"1  -f(a<del>, b, c</del>)", " 1 +f(a)"}},
		"nothing alike":   {"abc\n", "xyz\n", []string{"1  -abc", " 1 +xyz"}},
		"a new file":      {"", "a\nb\n", []string{" 1 +a", " 2 +b"}},
		"an emptied file": {"a\nb\n", "", []string{"1  -a", "2  -b"}},
		"escaped":         {"<b>\n", "<b>&\n", []string{"1  -&lt;b&gt;", " 1 +&lt;b&gt;<ins>&amp;</ins>"}},
		"signs in lines":  {"-- a\n@@ b\n", "-- a\n@@ b\n++ c\n", []string{"1 1 -- a", "2 2 @@ b", " 3 +++ c"}},
		"control":         {"a\r\nb\n", "a\nb\n", []string{"1  -a<del>␍</del>", " 1 +a", "2 2 b"}},
		"far apart": {
			numbered(1, 20), strings.ReplaceAll(strings.ReplaceAll(numbered(1, 20), "line 2\n", ""), "line 19\n", "line 19\nnew\n"),
			[]string{"1 1 line 1", "2  -line 2", "3 2 line 3", "4 3 line 4", "5 4 line 5", "17 16 line 17", "18 17 line 18", "19 18 line 19", " 19 +new", "20 20 line 20"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := rows(t, tt.before, tt.after)
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("Diff(%q, %q)\n got %q\nwant %q", clip(tt.before), clip(tt.after), got, tt.want)
			}
		})
	}
}

func TestDiffSays(t *testing.T) {
	tests := map[string]struct{ before, after, want string }{
		"the same":          {"a\n", "a\n", "The texts are the same."},
		"no end now":        {"a\nb\n", "a\nb", "ends without a line end now"},
		"no end before":     {"a\nb", "a\nc\n", "ended without a line end before"},
		"too large":         {strings.Repeat("a\n", 3<<20), "a", "too large"},
		"too many lines":    {numbered(1, 5000), strings.ReplaceAll(numbered(1, 5000), "line", "row"), "8000 more lines"},
		"a long line":       {strings.Repeat("a", 10000), strings.Repeat("b", 3000), "8000 more bytes"},
		"where it is":       {numbered(1, 100), numbered(1, 49) + numbered(51, 100) + "x\n", "line 98 → 97"},
		"a bound of hunks":  {strings.Repeat("a\nb\nc\nd\n", 100), "", "line 1"},
		"million of lines":  {strings.Repeat("x\n", 1<<20), strings.Repeat("x\n", 1<<19), "more lines"},
		"lines with no end": {"a", "b", "diff-removed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := markup.Diff(tt.before, tt.after)
			if !strings.Contains(string(got), tt.want) {
				t.Errorf("Diff says %q, want %q in it", clip(string(got)), tt.want)
			}
			parse(t, got)
		})
	}
}
