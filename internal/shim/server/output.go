package server

import (
	"bytes"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"
)

// collector takes the raw output of a command and keeps a bounded, readable
// text of it, in time linear in the size of the output:
//
//   - a carriage return takes a line back to its start, so that of a progress
//     bar the last state remains;
//   - terminal escape sequences are removed;
//   - bytes that are no UTF-8, and control characters, become \xNN;
//   - beyond the limit the head and the tail are kept and the middle counted.
//
// It is safe for concurrent use.
type collector struct {
	mu    sync.Mutex
	limit int
	head  []byte
	tail  ring

	line     []byte // the unfinished line
	returned bool   // a carriage return came, what follows overwrites the line
	total    int64  // raw bytes
	kept     int64  // bytes of text produced
	lines    int64  // line ends produced
	last     time.Time
}

// maxLine is how much of an unfinished line can still be taken back.
const maxLine = 64 << 10

func newCollector(limit int) *collector {
	return &collector{limit: limit, tail: ring{size: limit - limit/2}, last: time.Now()}
}

// Write implements io.Writer; it never fails.
func (c *collector) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	c.total += int64(n)
	c.last = time.Now()
	for len(p) > 0 {
		if c.returned {
			c.returned = false
			if p[0] == '\n' {
				c.endLine()
				p = p[1:]
				continue
			}
			if p[0] == '\r' {
				c.returned = true
				p = p[1:]
				continue
			}
			c.line = c.line[:0]
		}
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			c.appendLine(p)
			break
		}
		c.appendLine(p[:i])
		if p[i] == '\n' {
			c.endLine()
		} else {
			c.returned = true
		}
		p = p[i+1:]
	}
	return n, nil
}

func (c *collector) appendLine(p []byte) {
	for len(c.line)+len(p) > maxLine {
		n := maxLine - len(c.line)
		c.line = append(c.line, p[:n]...)
		p = p[n:]
		// Keep what may be the start of a rune for the next piece.
		cut := len(c.line)
		for cut > 0 && cut > len(c.line)-utf8.UTFMax && !utf8.RuneStart(c.line[cut-1]) {
			cut--
		}
		if cut > 0 && c.line[cut-1] >= utf8.RuneSelf {
			cut--
		}
		c.emit(clean(c.line[:cut]))
		c.line = append(c.line[:0], c.line[cut:]...)
	}
	c.line = append(c.line, p...)
}

func (c *collector) endLine() {
	c.emit(append(clean(c.line), '\n'))
	c.line = c.line[:0]
	c.lines++
}

func (c *collector) emit(text []byte) {
	c.kept += int64(len(text))
	if room := c.limit/2 - len(c.head); room > 0 {
		n := min(room, len(text))
		c.head = append(c.head, text[:n]...)
		text = text[n:]
	}
	c.tail.write(text)
}

// lastWrite is when output last arrived.
func (c *collector) lastWrite() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// written is the number of raw bytes so far.
func (c *collector) written() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// peek returns the readable output so far and leaves the unfinished line open.
func (c *collector) peek() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.render()
	return text + string(clean(c.line))
}

// text ends the unfinished line and returns the readable output so far and the number of raw bytes.
func (c *collector) text() (string, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.line) > 0 {
		c.emit(clean(c.line))
		c.line = c.line[:0]
	}
	c.returned = false
	return c.render(), c.total
}

func (c *collector) render() string {
	tail := c.tail.bytes()
	if c.kept <= int64(len(c.head)+len(tail)) {
		return string(c.head) + string(tail)
	}
	head := c.head
	if i := bytes.LastIndexByte(head, '\n'); i > len(head)/2 {
		head = head[:i+1]
	}
	if i := bytes.IndexByte(tail, '\n'); i >= 0 && i < len(tail)/2 {
		tail = tail[i+1:]
	}
	head, tail = trimRuneEnd(head), trimRuneStart(tail)
	left := c.kept - int64(len(head)) - int64(len(tail))
	lines := c.lines - int64(bytes.Count(head, []byte{'\n'})) - int64(bytes.Count(tail, []byte{'\n'}))
	gap := fmt.Sprintf("[... %d bytes, %d lines left out ...]\n", left, max(lines, 0))
	if len(head) > 0 && head[len(head)-1] != '\n' {
		gap = "\n" + gap
	}
	return string(head) + gap + string(tail)
}

func trimRuneEnd(p []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(p); i++ {
		if utf8.RuneStart(p[len(p)-i]) {
			if !utf8.FullRune(p[len(p)-i:]) {
				return p[:len(p)-i]
			}
			break
		}
	}
	return p
}

func trimRuneStart(p []byte) []byte {
	for len(p) > 0 && !utf8.RuneStart(p[0]) {
		p = p[1:]
	}
	return p
}

// clean makes a line readable. The result is a new slice.
func clean(line []byte) []byte {
	out := make([]byte, 0, len(line)+1)
	for len(line) > 0 {
		b := line[0]
		switch {
		case b == 0x1b:
			line = line[escapeLen(line):]
		case b == '\t' || (b >= 0x20 && b < 0x7f):
			n := 1
			for n < len(line) && line[n] >= 0x20 && line[n] < 0x7f {
				n++
			}
			out = append(out, line[:n]...)
			line = line[n:]
		case b == '\b':
			_, n := utf8.DecodeLastRune(out)
			out = out[:len(out)-n]
			line = line[1:]
		case b < utf8.RuneSelf:
			out = appendHex(out, b)
			line = line[1:]
		default:
			r, n := utf8.DecodeRune(line)
			switch {
			case r == utf8.RuneError && n <= 1:
				out = appendHex(out, b)
				n = 1
			case r >= 0x80 && r < 0xa0: // control characters of terminals
				for _, c := range line[:n] {
					out = appendHex(out, c)
				}
			default:
				out = append(out, line[:n]...)
			}
			line = line[n:]
		}
	}
	return out
}

func appendHex(out []byte, b byte) []byte {
	const digits = "0123456789abcdef"
	return append(out, '\\', 'x', digits[b>>4], digits[b&15])
}

// escapeLen is the length of the terminal escape sequence at the start of p:
// ECMA-48 control sequences, operating system commands, two-byte escapes.
func escapeLen(p []byte) int {
	if len(p) < 2 {
		return len(p)
	}
	switch p[1] {
	case '[':
		for i := 2; i < len(p); i++ {
			if p[i] >= 0x40 && p[i] <= 0x7e {
				return i + 1
			}
			if p[i] < 0x20 || p[i] > 0x7e {
				return i
			}
		}
		return len(p)
	case ']':
		for i := 2; i < len(p); i++ {
			if p[i] == 0x07 {
				return i + 1
			}
			if p[i] == 0x1b && i+1 < len(p) && p[i+1] == '\\' {
				return i + 2
			}
		}
		return len(p)
	case '(', ')', '*', '+', '#', '%', ' ':
		return min(3, len(p))
	default:
		if p[1] < utf8.RuneSelf {
			return 2
		}
		return 1
	}
}

// ring keeps the last size bytes written to it.
type ring struct {
	size int
	buf  []byte
	at   int // where the next byte goes, once buf is full
}

func (r *ring) write(p []byte) {
	if len(p) >= r.size {
		p = p[len(p)-r.size:]
	}
	if room := r.size - len(r.buf); room > 0 {
		n := min(room, len(p))
		r.buf = append(r.buf, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := copy(r.buf[r.at:], p)
		r.at = (r.at + n) % r.size
		p = p[n:]
	}
}

func (r *ring) bytes() []byte {
	if len(r.buf) < r.size || r.at == 0 {
		return r.buf
	}
	out := make([]byte, 0, r.size)
	return append(append(out, r.buf[r.at:]...), r.buf[:r.at]...)
}
