package markup_test

import (
	"fmt"
	"html/template"
	"strings"
	"testing"
	"unicode/utf8"

	"mlgym/web/markup"
)

func TestTerminal(t *testing.T) {
	tests := map[string]struct {
		text string
		want template.HTML
	}{
		"plain":                      {"a\tb\n", "a\tb\n"},
		"escaped":                    {"1 < 2 && 3 > 2", "1 &lt; 2 &amp;&amp; 3 &gt; 2"},
		"a colour":                   {"\x1b[31mred\x1b[0m plain", `<span class="ansi-fg-1">red</span> plain`},
		"bright and background":      {"\x1b[92;41mx\x1b[m", `<span class="ansi-fg-10 ansi-bg-1">x</span>`},
		"256 colours":                {"\x1b[38;5;208;48;5;17mx", `<span class="ansi-fg-208 ansi-bg-17">x</span>`},
		"true colour":                {"\x1b[38;2;255;135;0mx\x1b[48:2::0:0:95my\x1b[38:2:95:95:95mz", `<span class="ansi-fg-208">x</span><span class="ansi-fg-208 ansi-bg-17">y</span><span class="ansi-fg-59 ansi-bg-17">z</span>`},
		"a grey":                     {"\x1b[38;2;100;101;99mx", `<span class="ansi-fg-241">x</span>`},
		"colour of underlines":       {"\x1b[58;5;1;4mx", `<span class="ansi-underline">x</span>`},
		"attributes":                 {"\x1b[1;2;3;4;9mx\x1b[22;23;24;29my", `<span class="ansi-bold ansi-dim ansi-italic ansi-underline ansi-strike">x</span>y`},
		"no underline":               {"\x1b[4:3mx\x1b[4:0my", `<span class="ansi-underline">x</span>y`},
		"inverse":                    {"\x1b[7mx\x1b[31my\x1b[39;42mz\x1b[27m0", `<span class="ansi-inverse">x</span><span class="ansi-bg-1">y</span><span class="ansi-inverse ansi-fg-2">z</span><span class="ansi-bg-2">0</span>`},
		"colours over lines":         {"\x1b[32ma\n\nb", "<span class=\"ansi-fg-2\">a\n\nb</span>"},
		"colours without text":       {strings.Repeat("\x1b[31m\x1b[0m", 100) + "a", "a"},
		"carriage return, line end":  {"a\r\nb\r\r\nc", "a\nb\nc"},
		"progress":                   {"10%\r55%\r100% done\nnext", "100% done\nnext"},
		"shorter over longer":        {"abcdef\rxy", "xycdef"},
		"erased to the end":          {"abcdef\rxy\x1b[K", "xy"},
		"erased line":                {"abcdef\x1b[2K\rxy", "xy"},
		"erased, no return":          {"abcdef\x1b[2Kxy", "xy"},
		"nothing to erase":           {"abc\x1b[K", "abc"},
		"to a column":                {"abcdef\x1b[3Gx\x1b[Gy", "ybxdef"},
		"left and right":             {"abcdef\x1b[4Dx\x1b[Cy\x1b[99Cz", "abxdyfz"},
		"beyond the end":             {"a\x1b[999999999999Cb\x1b[500Gc", "abc"},
		"backspace":                  {"abc\b\bX", "aXc"},
		"backspace at the beginning": {"\b\bab", "ab"},
		"overstruck":                 {"N\bNA\bAME", "NAME"},
		"tab over":                   {"123456789012\r\tX", "12345678X012"},
		"tab when written over":      {"a\tb\rA", "A       b"},
		"colour written over":        {"\x1b[31m####\r\x1b[32m##\x1b[0m", `<span class="ansi-fg-2">##</span><span class="ansi-fg-1">##</span>`},
		"escaped, written over":      {"<<<\r&", "&amp;&lt;&lt;"},
		"other sequences":            {"\x1b[2J\x1b[?25la\x1b(B\x1b7\x1b[5A\x1b]0;title\ab\x1b]8;;https://example.org\x1b\\c\x1bPq#0\x1b\\d\x1b[>4;1m", "abcd"},
		"broken sequences":           {"\x1b[31\x1b]x\x1b", "␛[31␛]x␛"},
		"broken over":                {"ab\r\x1b[\x01", "␛[␁"},
		"controls":                   {"\x00\x07\x7f", "␀␇␡"},
		"bidi":                       {"a\u202eb", "a[U+202E]b"},
		"bidi written over":          {"xxxxxxxxxxx\ra\u202eb", "a[U+202E]bx"},
		"no UTF-8":                   {"a\xffb\xe2\x82", "a\ufffdb\ufffd\ufffd"},
		"scripts stay":               {"naïve 日本 👩\u200d👩\u200d👧 می\u200cخواهم", "naïve 日本 👩\u200d👩\u200d👧 می\u200cخواهم"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := markup.Terminal(tt.text)
			if got != tt.want {
				t.Errorf("Terminal(%q)\n got %q\nwant %q", tt.text, got, tt.want)
			}
			parse(t, got, "span")
		})
	}
}

// revealed is what Plain must show, said another way than in the package.
func revealed(text string) string {
	var out strings.Builder
	for i, r := range strings.ReplaceAll(text, "\r\n", "\n") {
		_ = i
		switch {
		case r == '\n' || r == '\t':
			out.WriteRune(r)
		case r < 0x20:
			out.WriteRune([]rune("␀␁␂␃␄␅␆␇␈␉␊␋␌␍␎␏␐␑␒␓␔␕␖␗␘␙␚␛␜␝␞␟")[r])
		case r == 0x7f:
			out.WriteRune('␡')
		case r == utf8.RuneError:
			out.WriteRune('\ufffd')
		case r >= 0x80 && r < 0xa0, r == 0xad, r == 0x61c, r >= 0x180b && r <= 0x180f, r == 0x115f, r == 0x1160,
			r == 0x200b, r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f,
			r == 0x3164, r == 0xfeff, r == 0xffa0, r >= 0xfff9 && r <= 0xfffb, r >= 0x1d173 && r <= 0x1d17a, r >= 0xe0000 && r <= 0xe0fff:
			fmt.Fprintf(&out, "[U+%04X]", r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

func TestHostile(t *testing.T) {
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			if got, want := parse(t, markup.Plain(text)+"", "none"), revealed(text); got != want {
				t.Errorf("Plain(%q) shows %q, want %q", text, got, want)
			}
			parse(t, markup.Terminal(text), "span")
			parse(t, markup.Markdown(text))
			parse(t, markup.Shell(text), "span")
			for _, language := range []string{"a.html", "python", "bash", "json", "md", "diff", text} {
				if got, want := parse(t, markup.Code(text, language), "span"), revealed(text); got != want {
					t.Errorf("Code(%q, %q) shows %q, want %q", text, language, got, want)
				}
			}
			parse(t, markup.Diff(text, "x"))
			parse(t, markup.Diff("x\n"+text, text+"y"))
			parse(t, template.HTML(template.HTMLEscapeString(markup.Head(text, 20))), "none")
		})
	}
}

// TestLinear runs through inputs for which a careless implementation takes time
// that grows with the square. It says nothing about seconds: such an
// implementation would not come back within the time that go test allows.
func TestLinear(t *testing.T) {
	const million = 1 << 20
	tests := map[string]string{
		"carriage returns":         strings.Repeat("\r", million) + "x",
		"returns with a character": strings.Repeat("\rx", million),
		"long line, returns":       strings.Repeat("x", million) + strings.Repeat("\ry", million),
		"long line, erased":        strings.Repeat("x", million) + strings.Repeat("\r\x1b[K", million),
		"long line, line erased":   strings.Repeat("x", million) + strings.Repeat("\x1b[2K", million),
		"backspaces":               strings.Repeat("x", million) + strings.Repeat("\b", million),
		"columns":                  strings.Repeat("x", million) + strings.Repeat("\x1b[1048576C", million/8),
		"tabs":                     strings.Repeat("\t", million) + "\r",
		"colours":                  strings.Repeat("\x1b[31mx\x1b[0m", million),
		"colours without text":     strings.Repeat("\x1b[31m", million),
		"long colour":              "\x1b[" + strings.Repeat("1;", million) + "mx",
		"colons":                   "\x1b[38:" + strings.Repeat("2:", million) + "mx",
		"broken sequences":         strings.Repeat("\x1b[", million),
		"unended titles":           strings.Repeat("\x1b]0;", million),
		"unended title":            "\x1b]0;" + strings.Repeat("x", million),
		"unended numbers":          "\x1b[" + strings.Repeat("1", million),
		"spaces in sequence":       strings.Repeat("\x1b ", million),
		"one line":                 strings.Repeat("x", million),
		"line ends":                strings.Repeat("\n", million),
		"nul":                      strings.Repeat("\x00", million),
		"no UTF-8":                 strings.Repeat("\xff", million),
		"tags":                     strings.Repeat("<", million),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			part := text[:len(text)/8] // for those that read no more than some of it
			for function, got := range map[string]int{
				"Terminal": len(markup.Terminal(text)), "Plain": len(markup.Plain(text)), "Code": len(markup.Code(part, "a.py")),
				"Shell": len(markup.Shell(part)), "Markdown": len(markup.Markdown(part)), "Diff": len(markup.Diff(part, part+"y")),
			} {
				if limit := 12*len(text) + 4096; got > limit {
					t.Errorf("%s makes %d bytes of %d", function, got, len(text))
				}
			}
			markup.Head(text, 80)
			markup.Fold(text, 40, 4000)
		})
	}
}
