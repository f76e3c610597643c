package mlgym

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// windowBytes is how much of a file is in memory at a time. It fits the second
// level cache of the machines of this decade, which is where the time goes.
const windowBytes = 256 << 10

// maxNumberBytes bounds the text of one number.
const maxNumberBytes = 1 << 12

// errShape says that the text is JSON so far, but not what was asked for.
var errShape = errors.New("another type than expected")

// syntaxError is a fault of the JSON text itself.
type syntaxError struct {
	offset int64
	msg    string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("byte %d: %s", e.offset, e.msg)
}

// scanner is a pull parser over a window of a stream. Its methods consume
// exactly one value each. After an error nothing more can be read.
type scanner struct {
	r        io.Reader
	buf      []byte
	pos, end int
	base     int64 // offset of buf[0] in the stream
	size     int64 // of the stream, −1 where it is not known
	eof      bool
	readErr  error
}

func newScanner() *scanner { return &scanner{buf: make([]byte, windowBytes)} }

// reset starts a new stream in the memory of the old one.
func (s *scanner) reset(r io.Reader) {
	s.r, s.pos, s.end, s.base, s.size, s.eof, s.readErr = r, 0, 0, 0, -1, false, nil
}

// fill replaces the window, which must be used up, by the next part of the
// stream. It reports false at the end.
func (s *scanner) fill() bool {
	if s.eof {
		return false
	}
	s.base += int64(s.end)
	s.pos, s.end = 0, 0
	if s.base == s.size {
		s.eof = true // spares a call of the system for each file
		return false
	}
	for range 100 {
		n, err := s.r.Read(s.buf)
		s.end = n
		if err != nil {
			s.eof = true
			if err != io.EOF {
				s.readErr = err
			}
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	s.eof, s.readErr = true, io.ErrNoProgress
	return false
}

func (s *scanner) fail(msg string) error {
	if s.readErr != nil {
		return s.readErr
	}
	return &syntaxError{offset: s.base + int64(s.pos), msg: msg}
}

func (s *scanner) unexpectedEnd() error { return s.fail("the text ends too early") }

// peek returns the next byte that is no white space, without consuming it.
func (s *scanner) peek() (byte, error) {
	for {
		for s.pos < s.end {
			switch c := s.buf[s.pos]; c {
			case ' ', '\n', '\t', '\r':
				s.pos++
			default:
				return c, nil
			}
		}
		if !s.fill() {
			return 0, s.unexpectedEnd()
		}
	}
}

// done checks that nothing but white space follows.
func (s *scanner) done() error {
	c, err := s.peek()
	if err == nil {
		return s.fail(fmt.Sprintf("%q after the end of the value", c))
	}
	return s.readErr
}

// object calls member for each key, standing before the value, which member
// must consume. The key is valid until the next call.
func (s *scanner) object(member func(key []byte) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	var keyRoom [64]byte
	for first := true; ; first = false {
		c, err := s.peek()
		if err != nil {
			return err
		}
		if c == '}' && first {
			s.pos++
			return nil
		}
		key, err := s.text(keyRoom[:0])
		if err != nil {
			return err
		}
		if c, err = s.peek(); err != nil {
			return err
		}
		if c != ':' {
			return s.fail("no colon after a key")
		}
		s.pos++
		if err := member(key); err != nil {
			return err
		}
		more, err := s.more('}')
		if err != nil || !more {
			return err
		}
	}
}

// array calls element for each element, which element must consume.
func (s *scanner) array(element func(i int) error) error {
	if err := s.expect('['); err != nil {
		return err
	}
	for i := 0; ; i++ {
		c, err := s.peek()
		if err != nil {
			return err
		}
		if c == ']' && i == 0 {
			s.pos++
			return nil
		}
		if err := element(i); err != nil {
			return err
		}
		more, err := s.more(']')
		if err != nil || !more {
			return err
		}
	}
}

// expect consumes the opening bracket c. Where a value of another type stands,
// that value is consumed and the error is errShape.
func (s *scanner) expect(c byte) error {
	got, err := s.peek()
	if err != nil {
		return err
	}
	if got == c {
		s.pos++
		return nil
	}
	if err := s.skip(); err != nil {
		return err
	}
	return errShape
}

// more consumes a comma (true) or the closing bracket (false).
func (s *scanner) more(closing byte) (bool, error) {
	c, err := s.peek()
	if err != nil {
		return false, err
	}
	switch c {
	case ',':
		s.pos++
		return true, nil
	case closing:
		s.pos++
		return false, nil
	}
	return false, s.fail(fmt.Sprintf("%q where a comma or %q should stand", c, closing))
}

// skip consumes one value of any type without decoding it.
func (s *scanner) skip() error {
	depth := 0
	for {
		c, err := s.peek()
		if err != nil {
			return err
		}
		switch c {
		case '"':
			s.pos++
			if err := s.skipText(); err != nil {
				return err
			}
		case '{', '[':
			s.pos++
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return s.fail(fmt.Sprintf("%q where a value should stand", c))
			}
			s.pos++
			depth--
		case ',', ':':
			if depth == 0 {
				return s.fail(fmt.Sprintf("%q where a value should stand", c))
			}
			s.pos++
			continue
		default:
			if _, err := s.word(); err != nil {
				return err
			}
		}
		if depth == 0 {
			return nil
		}
	}
}

// skipText consumes the rest of a string whose opening quote is consumed.
func (s *scanner) skipText() error {
	odd := false // an odd number of backslashes ends the part before the window
	for {
		start := s.pos
		for {
			i := bytes.IndexByte(s.buf[s.pos:s.end], '"')
			if i < 0 {
				break
			}
			at := s.pos + i
			s.pos = at + 1
			if !oddBackslashes(s.buf[start:at], odd) {
				return nil
			}
		}
		odd = oddBackslashes(s.buf[start:s.end], odd)
		s.pos = s.end
		if !s.fill() {
			return s.unexpectedEnd()
		}
	}
}

// oddBackslashes reports whether an odd number of backslashes ends text; a
// text of nothing else continues the count of what stood before.
func oddBackslashes(text []byte, before bool) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	odd := n%2 == 1
	if n == len(text) && before {
		return !odd
	}
	return odd
}

// text appends the decoded string that stands here. A value of another type is
// consumed and gives errShape.
func (s *scanner) text(dst []byte) ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return dst, err
	}
	for {
		part := s.buf[s.pos:s.end]
		i := bytes.IndexByte(part, '"')
		if i >= 0 {
			part = part[:i]
		}
		if j := bytes.IndexByte(part, '\\'); j >= 0 {
			dst = append(dst, part[:j]...)
			s.pos += j + 1
			var err error
			if dst, err = s.escape(dst); err != nil {
				return dst, err
			}
			continue
		}
		dst = append(dst, part...)
		if i >= 0 {
			s.pos += i + 1
			return dst, nil
		}
		s.pos = s.end
		if !s.fill() {
			return dst, s.unexpectedEnd()
		}
	}
}

// head appends the beginning of the string that stands here, at least limit
// bytes of it if it is that long, and consumes the rest undecoded.
func (s *scanner) head(dst []byte, limit int) ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return dst, err
	}
	for len(dst) < limit {
		part := s.buf[s.pos:min(s.end, s.pos+limit)]
		i := bytes.IndexByte(part, '"')
		if i >= 0 {
			part = part[:i]
		}
		if j := bytes.IndexByte(part, '\\'); j >= 0 {
			dst = append(dst, part[:j]...)
			s.pos += j + 1
			var err error
			if dst, err = s.escape(dst); err != nil {
				return dst, err
			}
			continue
		}
		dst = append(dst, part...)
		s.pos += len(part)
		if i >= 0 {
			s.pos++
			return dst, nil
		}
		if s.pos == s.end && !s.fill() {
			return dst, s.unexpectedEnd()
		}
	}
	return dst, s.skipText()
}

func (s *scanner) next() (byte, error) {
	if s.pos == s.end && !s.fill() {
		return 0, s.unexpectedEnd()
	}
	c := s.buf[s.pos]
	s.pos++
	return c, nil
}

// escape appends what the escape sequence after a backslash stands for. A lone
// half of a surrogate pair becomes U+FFFD.
func (s *scanner) escape(dst []byte) ([]byte, error) {
	c, err := s.next()
	if err != nil {
		return dst, err
	}
	switch c {
	case '"', '\\', '/':
		return append(dst, c), nil
	case 'b':
		return append(dst, '\b'), nil
	case 'f':
		return append(dst, '\f'), nil
	case 'n':
		return append(dst, '\n'), nil
	case 'r':
		return append(dst, '\r'), nil
	case 't':
		return append(dst, '\t'), nil
	case 'u':
	default:
		return dst, s.fail(fmt.Sprintf("unknown escape \\%c", c))
	}
	r, err := s.hex4()
	if err != nil {
		return dst, err
	}
	for utf16.IsSurrogate(r) {
		// Only the second half of a pair, written as an escape, may follow.
		if r >= 0xDC00 {
			return utf8.AppendRune(dst, utf8.RuneError), nil
		}
		if s.pos == s.end && !s.fill() {
			return dst, s.unexpectedEnd()
		}
		if s.buf[s.pos] != '\\' {
			return utf8.AppendRune(dst, utf8.RuneError), nil
		}
		s.pos++
		c, err := s.next()
		if err != nil {
			return dst, err
		}
		if c != 'u' {
			dst = utf8.AppendRune(dst, utf8.RuneError)
			s.pos-- // c was read from this window
			return s.escape(dst)
		}
		low, err := s.hex4()
		if err != nil {
			return dst, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(dst, pair), nil
		}
		dst = utf8.AppendRune(dst, utf8.RuneError)
		r = low
	}
	return utf8.AppendRune(dst, r), nil
}

func (s *scanner) hex4() (rune, error) {
	var r rune
	for range 4 {
		c, err := s.next()
		if err != nil {
			return 0, err
		}
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, s.fail("four hexadecimal digits should follow \\u")
		}
		r = r<<4 | rune(c)
	}
	return r, nil
}

// word consumes a bare word: a number, true, false, null, NaN, Infinity.
func (s *scanner) word() (string, error) {
	var room [32]byte
	w := room[:0]
	for {
		for s.pos < s.end {
			switch c := s.buf[s.pos]; c {
			case ' ', '\n', '\t', '\r', ',', ':', '}', ']', '{', '[', '"':
				return s.checkWord(w)
			default:
				if len(w) == maxNumberBytes {
					return "", s.fail("a word of this length is no value")
				}
				w = append(w, c)
				s.pos++
			}
		}
		if !s.fill() {
			if s.readErr != nil {
				return "", s.readErr
			}
			return s.checkWord(w)
		}
	}
}

func (s *scanner) checkWord(w []byte) (string, error) {
	switch string(w) {
	case "true", "false", "null", "NaN", "Infinity", "-Infinity":
		return string(w), nil
	}
	if len(w) == 0 || w[0] != '-' && (w[0] < '0' || w[0] > '9') || !numeric(w) {
		return "", s.fail(fmt.Sprintf("%.20q is no value", w))
	}
	return string(w), nil
}

// numeric keeps out what strconv.ParseFloat takes and JSON does not.
func numeric(w []byte) bool {
	for _, c := range w {
		switch {
		case '0' <= c && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
		default:
			return false
		}
	}
	return true
}

// number consumes a number, NaN or an infinity. A value of another type is
// consumed and gives errShape.
func (s *scanner) number() (float64, error) {
	c, err := s.peek()
	if err != nil {
		return 0, err
	}
	if c == '"' || c == '{' || c == '[' {
		if err := s.skip(); err != nil {
			return 0, err
		}
		return 0, errShape
	}
	w, err := s.word()
	if err != nil {
		return 0, err
	}
	switch w {
	case "true", "false", "null":
		return 0, errShape
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	x, err := strconv.ParseFloat(w, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, s.fail(fmt.Sprintf("%.20q is no number", w))
	}
	return x, nil
}
