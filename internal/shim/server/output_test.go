package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// collect feeds a collector the raw output in pieces of the given size.
func collect(limit, piece int, raw string) *collector {
	c := newCollector(limit)
	for len(raw) > 0 {
		n := min(piece, len(raw))
		_, _ = c.Write([]byte(raw[:n])) // never fails
		raw = raw[n:]
	}
	return c
}

func TestCollectorText(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"nothing", "", ""},
		{"lines", "a\nb\n", "a\nb\n"},
		{"no line end", "a\nb", "a\nb"},
		{"empty lines stay", "\n\na\n\n", "\n\na\n\n"},
		{"tabs stay", "a\tb\n", "a\tb\n"},
		{"line ends of Windows", "a\r\nb\r\n", "a\nb\n"},
		{"more than one return before the end", "a\r\r\nb", "a\nb"},
		{"a progress bar", "10%\r50%\r100%\ndone\n", "100%\ndone\n"},
		{"a progress bar that begins with the return", "\r10%\r50%", "50%"},
		{"a progress bar at its end", "10%\r100%\r", "100%"},
		{"a shorter state after a longer one", "downloading\rdone\n", "done\n"},
		{"returns and nothing else", "\r\r\r", ""},
		{"colours", "\x1b[1;31mred\x1b[0m plain", "red plain"},
		{"the cursor", "a\x1b[2K\x1b[1Gb", "ab"},
		{"a title that a bell ends", "\x1b]0;title\x07text", "text"},
		{"a title that a string terminator ends", "\x1b]0;title\x1b\\text", "text"},
		{"a title without an end", "a\x1b]0;title", "a"},
		{"a character set", "\x1b(Btext", "text"},
		{"a two-byte escape", "\x1bMtext", "text"},
		{"an escape at the end", "text\x1b", "text"},
		{"half a control sequence", "text\x1b[1;3", "text"},
		{"a control sequence that letters break", "\x1b[1é", "é"},
		{"backspace over ASCII", "ab\bc", "ac"},
		{"backspace over two bytes", "é\bx", "x"},
		{"backspace at the start", "\b\bx", "x"},
		{"control characters", "a\x00b\x07c\x7f", `a\x00b\x07c\x7f`},
		{"UTF-8", "é ∑ 😀\n", "é ∑ 😀\n"},
		{"not UTF-8", "a\xff\xfeb\xc3", `a\xff\xfeb\xc3`},
		{"a surrogate is not UTF-8", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"a real replacement character stays", "\ufffd", "\ufffd"},
		{"overlong", "\xc0\x80", `\xc0\x80`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 3, 1 << 20} {
				c := collect(1<<20, piece, tt.raw)
				if peeked := c.peek(); peeked != tt.want {
					t.Errorf("pieces of %d: peek(%q) = %q, want %q", piece, tt.raw, peeked, tt.want)
				}
				got, total := c.text()
				if got != tt.want || total != int64(len(tt.raw)) {
					t.Errorf("pieces of %d: text(%q) = %q, %d bytes; want %q, %d", piece, tt.raw, got, total, tt.want, len(tt.raw))
				}
			}
		})
	}
}

// gap is what stands for the middle of an output that was too long.
var gap = regexp.MustCompile(`(^|\n)\[\.\.\. (\d+) bytes, (\d+) lines left out \.\.\.\]\n`)

// checkBounded compares a bounded text with the whole one.
func checkBounded(t *testing.T, limit int, whole, got string) {
	t.Helper()
	if len(whole) <= limit {
		if got != whole {
			t.Errorf("limit %d: %q, want everything: %q", limit, got, whole)
		}
		return
	}
	for _, at := range gap.FindAllStringSubmatchIndex(got, -1) {
		tail := got[at[1]:]
		bytesOut, _ := strconv.Atoi(got[at[4]:at[5]])
		linesOut, _ := strconv.Atoi(got[at[6]:at[7]])
		// The line end before the gap is the output's own, or was added.
		for _, head := range []string{got[:at[0]], got[:at[3]]} {
			middle := len(whole) - len(tail) - len(head)
			if middle < 0 || !strings.HasPrefix(whole, head) || !strings.HasSuffix(whole, tail) || bytesOut != middle {
				continue
			}
			if lines := strings.Count(whole[len(head):len(whole)-len(tail)], "\n"); lines != linesOut {
				t.Errorf("limit %d: %d lines are said to be left out, it is %d", limit, linesOut, lines)
			}
			if len(head)+len(tail) > limit {
				t.Errorf("limit %d: %d bytes were kept", limit, len(head)+len(tail))
			}
			return
		}
	}
	t.Errorf("limit %d: %q is not the head and tail of %d bytes %.200q…", limit, got, len(whole), whole)
}

func TestCollectorBounds(t *testing.T) {
	var numbers strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&numbers, "line %d\n", i)
	}
	outputs := map[string]string{
		"many lines":               numbers.String(),
		"one long line":            strings.Repeat("x", 2*maxLine+3),
		"one long line of letters": strings.Repeat("é", maxLine+1),
		"wide letters":             strings.Repeat("😀\n", 2_000),
		"not UTF-8":                strings.Repeat("\xff\xfe\n", 2_000),
		"long and short":           strings.Repeat("y", 30_000) + "\nshort\n" + strings.Repeat("z", 30_000),
		"more than a line's worth": strings.Repeat("é\xff", maxLine/2),
		"line ends":                strings.Repeat("\n", 5_000),
		"exactly the limit":        strings.Repeat("a", 1000),
		"one more than the limit":  strings.Repeat("a", 1001),
		"bytes that go on only":    strings.Repeat("\x80", maxLine+7),
	}
	for name, raw := range outputs {
		t.Run(name, func(t *testing.T) {
			whole, _ := collect(1<<30, 1<<20, raw).text()
			for _, limit := range []int{0, 1, 2, 7, 999, 1000, 65536} {
				for _, piece := range []int{61, 4093, 1 << 20} {
					got, _ := collect(limit, piece, raw).text()
					if !utf8.ValidString(got) {
						t.Errorf("limit %d: not UTF-8", limit)
					}
					if limit > 1 {
						checkBounded(t, limit, whole, got)
					}
				}
			}
		})
	}
}

// TestCollectorMemory: however much is printed, what is held is bounded.
func TestCollectorMemory(t *testing.T) {
	const limit = 64 << 10
	for name, piece := range map[string]string{
		"lines":          "some text of a line\n",
		"no line ends":   "some text without an end ",
		"a progress bar": "\r 50% |#####     |",
		"escapes":        "\x1b]0;no end ",
	} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(limit)
			block := []byte(strings.Repeat(piece, 5000))
			for range 20 { // some 2 MB
				_, _ = c.Write(block) // never fails
			}
			if held := cap(c.head) + cap(c.tail.buf) + cap(c.line); held > 2*limit+2*maxLine {
				t.Errorf("%d bytes are held after %d", held, c.written())
			}
			text, total := c.text()
			if len(text) > limit+100 {
				t.Errorf("the text has %d bytes, the limit is %d", len(text), limit)
			}
			if want := int64(20 * len(block)); total != want {
				t.Errorf("%d bytes are counted, want %d", total, want)
			}
		})
	}
}

// reference does the same with everything in memory and without care for cost.
func reference(raw string) string {
	var out strings.Builder
	lines := strings.Split(raw, "\n")
	for i, line := range lines {
		last := ""
		for state := range strings.SplitSeq(line, "\r") {
			if state != "" {
				last = state
			}
		}
		out.WriteString(referenceLine(last))
		if i < len(lines)-1 {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

var escapes = regexp.MustCompile("^\x1b(?:" +
	"\\[[ -?]*[@-~]" + // a control sequence
	"|\\[[ -?]*" + // one that breaks off
	"|\\](?s:.*?)(?:\x07|\x1b\\\\|$)" + // an operating system command
	"|[()*+#% ](?s:.)?" + // three bytes
	"|[\x00-\x7f]" + // two bytes
	"|)")

func referenceLine(line string) string {
	var out []string // one element for each letter
	// The patterns are about bytes: read the line as letters of one byte.
	wide := make([]rune, 0, len(line))
	for _, b := range []byte(line) {
		wide = append(wide, rune(b))
	}
	for i := 0; i < len(line); {
		if line[i] == 0x1b {
			i += len([]rune(escapes.FindString(string(wide[i:]))))
			continue
		}
		r, n := utf8.DecodeRuneInString(line[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			for _, hex := range fmt.Sprintf(`\x%02x`, line[i]) {
				out = append(out, string(hex))
			}
		case r >= 0x80 && r < 0xa0: // control characters of terminals
			for _, b := range []byte(line[i : i+n]) {
				for _, hex := range fmt.Sprintf(`\x%02x`, b) {
					out = append(out, string(hex))
				}
			}
		case r == '\b':
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		case r == '\t' || r >= 0x20 && r != 0x7f:
			out = append(out, line[i:i+n])
		default:
			for _, hex := range fmt.Sprintf(`\x%02x`, r) {
				out = append(out, string(hex))
			}
		}
		i += n
	}
	return strings.Join(out, "")
}

// FuzzCollector compares the collector with the reference, whatever the pieces,
// and its bounded texts with its whole one.
func FuzzCollector(f *testing.F) {
	f.Add([]byte("10%\r50%\r100%\ndone\n"), 3, 10)
	f.Add([]byte("\x1b[1;31mred\x1b[0m\b\b\xffé\r\n\r\r\n\x1b]0;t\x07x\x1b]0;t\x1b\\"), 1, 5)
	f.Add([]byte("\x1b(\x1b#8\x1b[\x1b\xc3\xa9"), 2, 3)
	f.Add([]byte("😀😀😀\n😀"), 2, 7)
	f.Add([]byte("a\u009bm\u0085b\b\b"), 2, 7)
	f.Fuzz(func(t *testing.T, raw []byte, piece, limit int) {
		if len(raw) > 4096 {
			return // the reference is slow, and beyond maxLine a line is given up piece by piece
		}
		piece = 1 + int(uint(piece)%uint(len(raw)+1))
		want := reference(string(raw))
		c := collect(1<<30, piece, string(raw))
		if peeked := c.peek(); peeked != want {
			t.Errorf("pieces of %d: peek = %q, want %q", piece, peeked, want)
		}
		got, _ := c.text()
		if got != want {
			t.Fatalf("pieces of %d: text = %q, want %q", piece, got, want)
		}
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		limit = 2 + int(uint(limit)%4096)
		bounded, _ := collect(limit, piece, string(raw)).text()
		checkBounded(t, limit, want, bounded)
	})
}

// TestSink: a mark is found however the bytes are cut, nothing of it reaches
// the text, and nothing else is lost.
func TestSink(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	mark := []byte("abcabcabd")
	for range 300 {
		before := bytes.Repeat([]byte("abcab"), rng.IntN(4))
		before = append(before, mark[:rng.IntN(len(mark))]...)
		if bytes.Contains(append(bytes.Clone(before), mark[:len(mark)-1]...), mark) {
			continue
		}
		after := []byte("after")
		s := newSink(newCollector(1 << 20))
		seen := s.expect(mark)
		all := append(append(bytes.Clone(before), mark...), after...)
		for rest := all; len(rest) > 0; {
			n := 1 + rng.IntN(len(rest))
			s.write(rest[:n])
			rest = rest[n:]
		}
		select {
		case <-seen:
		default:
			t.Fatalf("the mark %q was not seen in %q", mark, all)
		}
		if got, _ := s.swap(newCollector(0)).text(); got != string(before)+string(after) {
			t.Fatalf("text = %q, want %q", got, string(before)+string(after))
		}
	}
}

// TestSinkGivesUp: bytes that were held back as the start of a mark come out
// when another mark is expected.
func TestSinkGivesUp(t *testing.T) {
	s := newSink(newCollector(1 << 20))
	s.expect([]byte("mark"))
	s.write([]byte("text mar"))
	s.expect(nil)
	s.write([]byte("ch"))
	if got, _ := s.swap(newCollector(0)).text(); got != "text march" {
		t.Errorf("text = %q, want %q", got, "text march")
	}
}

func BenchmarkCollector(b *testing.B) {
	for name, piece := range map[string]string{
		"lines": "2026-01-01 12:00:00 epoch 12 loss 0.1234\n", "progress bar": "\r 50% |#####     | 12/24",
		"colours": "\x1b[1;31mred\x1b[0m plain\n",
	} {
		b.Run(name, func(b *testing.B) {
			block := []byte(strings.Repeat(piece, 1<<20/len(piece)))
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				c := newCollector(64 << 10)
				_, _ = c.Write(block)
				_, _ = c.text()
			}
		})
	}
}
