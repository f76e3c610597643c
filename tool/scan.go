package tool

import (
	"bytes"
	"context"
	"io"
)

const (
	// maxScanLine is how much of a line is searched: what lies beyond is not
	// looked at. It bounds the memory, not the size of files.
	maxScanLine = 1 << 20
	// scanBuffer is how much is read at a time.
	scanBuffer = 256 << 10
)

// scanner finds the matching lines of files one after another.
type scanner struct {
	pattern pattern
	buffer  []byte
	// binary is set when the last file turned out not to be text.
	binary bool
}

// scan calls found for each matching line of a file, with its number, its text
// (valid until found returns) and where in it the match begins. It stops early
// when found says so, and at the first sign that the file is not text.
func (s *scanner) scan(ctx context.Context, file io.Reader, found func(number int, line []byte, at int) bool) error {
	if s.buffer == nil {
		s.buffer = make([]byte, scanBuffer)
	}
	s.binary = false
	held := 0   // bytes of an unfinished line at the start of the buffer
	number := 1 // of the line that begins at the start of the buffer
	skipping := false
	for start := true; ; start = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := file.Read(s.buffer[held:])
		if start && isBinary(s.buffer[:min(n, sniffBytes)]) {
			s.binary = true
			return nil
		}
		text := s.buffer[:held+n]
		atEnd := err == io.EOF
		if err != nil && !atEnd {
			return err
		}
		if skipping {
			// The rest of a line that was too long to be searched whole.
			end := bytes.IndexByte(text, '\n')
			if end < 0 {
				held = 0
				if atEnd {
					return nil
				}
				continue
			}
			text, skipping = text[end+1:], false
			number++
		}
		whole := text
		if !atEnd {
			whole = text[:bytes.LastIndexByte(text, '\n')+1]
		}
		var stop bool
		if number, stop = s.lines(whole, number, found); stop || atEnd {
			return nil
		}
		held = copy(s.buffer, text[len(whole):])
		if held == len(s.buffer) {
			if len(s.buffer) < maxScanLine {
				s.buffer = append(s.buffer, make([]byte, len(s.buffer))...)
				continue
			}
			if at, ok := s.pattern.find(s.buffer); ok && !found(number, s.buffer, at) {
				return nil
			}
			held, skipping = 0, true
		}
	}
}

// lines searches whole lines, and a last one without a line end.
func (s *scanner) lines(text []byte, number int, found func(int, []byte, int) bool) (next int, stop bool) {
	for len(text) > 0 {
		if s.pattern.expression == nil && len(s.pattern.literal) > 0 {
			// Go to the line of the next match at once.
			at := bytes.Index(text, s.pattern.literal)
			if at < 0 {
				return number + bytes.Count(text, []byte{'\n'}), false
			}
			begin := bytes.LastIndexByte(text[:at], '\n') + 1
			number += bytes.Count(text[:begin], []byte{'\n'})
			text = text[begin:]
		}
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		text = rest
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if at, ok := s.pattern.find(line); ok && !found(number, line, at) {
			return number, true
		}
		number++
	}
	return number, false
}
