package tool

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// view is a part of a file that is shown: the lines first to last, counted
// from 1, of total. An empty file has first 1 and last 0.
type view struct{ first, last, total int }

// window is what is to be shown of a file.
type window struct {
	// first is the line at the top and size the number of lines; both are
	// fitted to the file.
	first, size int
	// fixed says that the top stays where it is near the end of the file,
	// where the window is cut off rather than moved up.
	fixed bool
	// focus is the line around which lines are kept where the window is too
	// large to be shown whole; 0 is the first line of the window.
	focus int
	// budget bounds the text, in bytes; 0 means maxShown.
	budget int
}

// show writes the window in the shape of a listing and says what it shows.
// The file is read twice, to count the lines and to take those of the window,
// so its size does not matter to the memory used.
func show(file io.ReadSeeker, path string, w window, buffer []byte) (string, view, error) {
	total, err := countLines(file, buffer)
	if err != nil {
		return "", view{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", view{}, err
	}
	first := w.first
	if !w.fixed {
		first = max(1, min(first, total-w.size+1))
	}
	lines, err := readLines(file, buffer, first, min(total, first+w.size-1))
	if err != nil {
		return "", view{}, err
	}
	focus := 0
	if w.focus > 0 {
		focus = w.focus - first
	}
	from, to := fit(lines, focus, w.budget)
	v := view{first: first + from, last: first + to - 1, total: total}

	var out strings.Builder
	fmt.Fprintf(&out, "[File: %s (%d lines total)]\n", shownPath(path), total)
	if above := v.first - 1; above > 0 {
		fmt.Fprintf(&out, "(%d more lines above)\n", above)
	}
	for _, line := range lines[from:to] {
		out.Write(line)
		out.WriteByte('\n')
	}
	if below := total - v.last; below > 0 {
		fmt.Fprintf(&out, "(%d more lines below)\n", below)
	}
	return out.String(), v, nil
}

// fit chooses the lines [from, to) that fit into budget bytes: that in focus,
// then a sixth of the budget above it, as much as possible below it, and with
// what remains again above.
func fit(lines [][]byte, focus, budget int) (from, to int) {
	if len(lines) == 0 {
		return 0, 0
	}
	if budget == 0 {
		budget = maxShown
	}
	focus = max(0, min(focus, len(lines)-1))
	left := budget - len(lines[focus]) - 1
	from, to = focus, focus+1
	up := func(reserve int) {
		for from > 0 && left-len(lines[from-1])-1 >= reserve {
			from--
			left -= len(lines[from]) + 1
		}
	}
	up(budget - budget/6)
	for to < len(lines) && left-len(lines[to])-1 >= 0 {
		left -= len(lines[to]) + 1
		to++
	}
	up(0)
	return from, to
}

// countLines counts the lines of a file, a last one without a line end
// included.
func countLines(file io.Reader, buffer []byte) (int, error) {
	lines, ended := 0, true
	for {
		n, err := file.Read(buffer)
		if n > 0 {
			lines += bytes.Count(buffer[:n], []byte{'\n'})
			ended = buffer[n-1] == '\n'
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if !ended {
		lines++
	}
	return lines, nil
}

// readLines gives the lines first to last of a file as "number:text". It keeps
// no more of a line than is shown of it.
func readLines(file io.Reader, buffer []byte, first, last int) ([][]byte, error) {
	if last < first {
		return nil, nil
	}
	var (
		lines  = make([][]byte, 0, last-first+1)
		number = 1
		head   = make([]byte, 0, maxShownLine+1) // the beginning of the line
		length = 0                               // of the line so far
	)
	finish := func() {
		text := head
		if length == len(head) {
			text = bytes.TrimSuffix(head, []byte{'\r'})
			length = len(text)
		}
		line := append(strconv.AppendInt(make([]byte, 0, len(text)+12), int64(number), 10), ':')
		lines = append(lines, appendHead(line, text, length, maxShownLine))
		head, length = head[:0], 0
	}
	for number <= last {
		n, err := file.Read(buffer)
		chunk := buffer[:n]
		if ends := 0; number < first {
			if ends = bytes.Count(chunk, []byte{'\n'}); number+ends < first {
				number += ends
				chunk = nil
			}
		}
		for len(chunk) > 0 && number <= last {
			piece, rest, ended := bytes.Cut(chunk, []byte{'\n'})
			chunk = rest
			if number >= first {
				head = append(head, piece[:min(len(piece), cap(head)-len(head))]...)
				length += len(piece)
				if ended {
					finish()
				}
			}
			if ended {
				number++
			}
		}
		if err == io.EOF {
			if length > 0 && number <= last {
				finish()
			}
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}
