package markup_test

import (
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"mlgym/web/markup"
)

func seed(f *testing.F) {
	f.Helper()
	for _, text := range hostile {
		f.Add(text)
	}
}

func FuzzPlain(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := parse(t, markup.Plain(text), "none"), revealed(text); got != want {
			t.Errorf("Plain(%q) shows %q, want %q", text, got, want)
		}
	})
}

// goesBack has what makes a terminal lose or drop text.
var goesBack = regexp.MustCompile("[\r\b\x1b]")

func FuzzTerminal(f *testing.F) {
	seed(f)
	f.Add("\x1b[31ma\r\x1b[42;1mb\x1b[Kc\b\b\x1b[3Gd\te\n\x1b[0mf")
	f.Add("\x1b[38;2;1;2;3;48:5:9;7mx\x1b[2Ky\x1b]0;t\x07z")
	f.Fuzz(func(t *testing.T, text string) {
		got := parse(t, markup.Terminal(text), "span")
		if strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("Terminal(%q) shows %q: lines were lost or made", text, got)
		}
		if want := revealed(text); !goesBack.MatchString(text) && got != want {
			t.Errorf("Terminal(%q) shows %q, want %q", text, got, want)
		}
	})
}

func FuzzMarkdown(f *testing.F) {
	seed(f)
	f.Add("# a\n\n- [x] b\n> c\n\n|d|e|\n|-|-:|\n|f|\n\n[g]: https://example.org\n[g] ![g] **h *i* ~~j~~**\n")
	f.Fuzz(func(t *testing.T, text string) { parse(t, markup.Markdown(text)) })
}

func FuzzCode(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, "a.py")
	}
	f.Add(program, "python")
	f.Add("a: [1, {b: c}]\n", "yaml")
	f.Fuzz(func(t *testing.T, text, name string) {
		if got, want := parse(t, markup.Code(text, name), "span"), revealed(text); got != want {
			t.Errorf("Code(%q, %q) shows %q, want %q", text, name, got, want)
		}
	})
}

func FuzzShell(f *testing.F) {
	seed(f)
	f.Add("cat > a.py <<'EOF'\nx\nEOF\nedit 1:2\ny\nend_of_edit\ninsert 0 <<end_of_insert\nz\nend_of_insert")
	f.Fuzz(func(t *testing.T, action string) {
		if got, want := parse(t, markup.Shell(action), "span"), revealed(action); got != want {
			t.Errorf("Shell(%q) shows %q, want %q", action, got, want)
		}
		kind, first, last, body, ok := markup.EditBody(action)
		if ok && (!strings.Contains(action, body) || kind != "edit" && kind != "insert" || first < 0 || last < 0 || body != "" && !strings.HasSuffix(body, "\n")) {
			t.Errorf("EditBody(%q) = %q, %d, %d, %q", action, kind, first, last, body)
		}
	})
}

func FuzzDiff(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, "x\n"+text)
	}
	f.Add("a\nb\nc\n", "a\nB\nc")
	f.Add("lr = 1\n", "lr = 2\r\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		got := markup.Diff(before, after)
		parse(t, got)
		if len(before)+len(after) > 1500 || before == after {
			return
		}
		// The rows are lines of the texts, under their numbers, and with the lines
		// that are only in one of them the texts grow and shrink as they do.
		texts := [2][]string{lines(before), lines(after)}
		balance := 0
		for _, m := range rowPattern.FindAllStringSubmatch(string(got), -1) {
			balance += strings.Count(m[4], "+") - strings.Count(m[4], "-")
			for side, number := range m[2:4] {
				if number == "" {
					continue
				}
				n, err := strconv.Atoi(number)
				if err != nil || n < 1 || n > len(texts[side]) {
					t.Fatalf("Diff(%q, %q) shows a line %s of side %d", before, after, number, side)
				}
				if shown, want := parse(t, template.HTML(m[5])), revealed(texts[side][n-1]); shown != want {
					t.Errorf("Diff(%q, %q) shows line %d as %q, want %q", before, after, n, shown, want)
				}
			}
		}
		if want := len(texts[1]) - len(texts[0]); balance != want {
			t.Errorf("Diff(%q, %q) adds %d lines more than it removes, want %d", before, after, balance, want)
		}
	})
}

// lines are the lines of a text.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func FuzzHead(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, 20)
	}
	f.Fuzz(func(t *testing.T, text string, runes int) {
		got := markup.Head(text, runes)
		if n := len([]rune(got)); n > max(runes, 0) {
			t.Errorf("Head(%q, %d) = %q has %d runes", text, runes, got, n)
		}
		if want := revealed(got); got != want || strings.ContainsAny(got, "\n\t") {
			t.Errorf("Head(%q, %d) = %q holds what cannot be seen", text, runes, got)
		}
	})
}
