package board

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"mlgym/experiment"
)

const (
	// paintEvery bounds how often a terminal is painted.
	paintEvery = 200 * time.Millisecond
	// mostPending is how many lines of a log wait to be shown; of more the
	// oldest are left out.
	mostPending = 1000
)

// Live paints an experiment's picture on a terminal, five times a second at
// most, and in place: what was on the screen before stays above it. Each paint
// takes the size of the terminal anew and writes the lines that changed; it
// hides the cursor and shows it again in the same Write, so that the cursor is
// there however the process ends.
//
// Live is a writer of a log: its lines go above the picture. While it lives,
// nothing else may be written to the terminal.
type Live struct {
	painter painter

	mu      sync.Mutex
	pending []string
	lost    int
	partial []byte

	closing sync.Once
	stop    chan struct{}
	done    chan struct{}
}

// NewLive begins to paint on the terminal what snapshot returns, which is
// called by one goroutine at a time. Close ends it.
func NewLive(terminal *os.File, color bool, snapshot func() experiment.Status) *Live {
	l := newLive(terminal, color, snapshot)
	go l.run()
	return l
}

func newLive(terminal *os.File, color bool, snapshot func() experiment.Status) *Live {
	return &Live{
		painter: painter{terminal: terminal, color: color, snapshot: snapshot, now: time.Now},
		stop:    make(chan struct{}), done: make(chan struct{}),
	}
}

func (l *Live) run() {
	defer close(l.done)
	tick := time.NewTicker(paintEvery)
	defer tick.Stop()
	again := resumed()
	defer again.Stop()
	for {
		l.painter.paint(l.takePending(false))
		select {
		case <-tick.C:
		case <-again.C:
			l.painter.forget()
		case <-l.stop:
			l.painter.paint(l.takePending(true))
			return
		}
	}
}

// Write takes lines of a log, which are shown above the picture with the next
// paint; what follows the last line end waits for its own. It never fails and
// does not wait for the terminal. After Close, what is written is dropped.
func (l *Live) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		line, rest, ended := bytes.Cut(l.partial, []byte("\n"))
		if !ended && len(line) <= mostTextBytes {
			return len(p), nil
		}
		if !ended {
			line, rest = l.partial[:mostTextBytes], l.partial[mostTextBytes:]
		}
		l.pend(string(line))
		l.partial = append([]byte(nil), rest...)
	}
}

func (l *Live) pend(line string) {
	if len(l.pending) == mostPending {
		l.pending = l.pending[1:]
		l.lost++
	}
	l.pending = append(l.pending, line)
}

// takePending returns the lines that wait, at the end also one without its end.
func (l *Live) takePending(end bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end && len(l.partial) > 0 {
		l.pend(string(l.partial))
		l.partial = nil
	}
	out := l.pending
	if l.lost > 0 {
		out = append([]string{"… " + count(int64(l.lost)) + " lines of the log are left out here"}, out...)
	}
	l.pending, l.lost = nil, 0
	return out
}

// Close shows the last lines of the log and a last picture, which stays, with
// the cursor below it, and returns when all is written. It may be called more
// than once, and by several goroutines.
func (l *Live) Close() {
	l.closing.Do(func() { close(l.stop) })
	<-l.done
}

// painter knows what is on the terminal.
type painter struct {
	terminal *os.File
	color    bool
	snapshot func() experiment.Status
	now      func() time.Time

	shown           []string // the lines of the picture, above the cursor
	columns, height int      // of the terminal, when they were painted
}

// forget leaves the picture where it is; the next one is painted below.
func (p *painter) forget() { p.shown = nil }

// paint brings the terminal from the picture that is on it to a new one, with
// lines of a log above it. Nothing is cleared before it is written over, and
// all goes out in one Write.
func (p *painter) paint(log []string) {
	columns, height, err := term.GetSize(int(p.terminal.Fd()))
	if err != nil || columns < 1 || height < 1 {
		columns, height = 80, 24
	}
	// The line of the cursor stays free.
	lines := Render(p.snapshot(), Options{Width: columns, Height: max(height-1, 1), Color: p.color, Now: p.now()})

	var out strings.Builder
	if p.columns > 0 && (columns != p.columns || height != p.height) {
		p.resized(&out, columns, height)
	}
	p.columns, p.height = columns, height
	if len(log) == 0 && out.Len() == 0 && slices.Equal(lines, p.shown) {
		return
	}
	if up := len(p.shown); up > 0 {
		out.WriteString(ansi.CursorUp(up))
	}
	for _, text := range log {
		for _, part := range wrapped(plain(text), columns) {
			writeLine(&out, part, columns)
		}
	}
	for i, text := range lines {
		// What is on the screen already is stepped over.
		if len(log) == 0 && i < len(p.shown) && p.shown[i] == text {
			out.WriteString("\r\n")
			continue
		}
		writeLine(&out, text, columns)
	}
	// The rest of a picture or of lines that was higher.
	out.WriteString(ansi.EraseScreenBelow)
	p.shown = lines
	p.send(out.String())
}

// resized removes a picture that was painted at another size, so that the next
// one takes its place. Most terminals break the lines that are on them anew
// when they become narrower. One that cuts them instead (xterm, the console)
// loses a few lines above the picture, which is less than an old picture's
// remains in each of the others.
func (p *painter) resized(out *strings.Builder, columns, height int) {
	up := len(p.shown)
	if columns < p.columns {
		up = rewrapped(p.shown, columns)
	}
	if up = min(up, height-1); up > 0 {
		out.WriteString("\r" + ansi.CursorUp(up) + ansi.EraseScreenBelow)
	}
	p.shown = nil
}

// send writes what changes the screen as one frame. Lines are not wrapped by
// the terminal, should it find a character wider than we do.
func (p *painter) send(text string) {
	frame := ansi.SetModeSynchronizedOutput + ansi.HideCursor + ansi.ResetModeAutoWrap +
		text +
		ansi.SetModeAutoWrap + ansi.ShowCursor + ansi.ResetModeSynchronizedOutput
	// A terminal that is gone has nobody who could be told.
	_, _ = p.terminal.WriteString(frame)
}

// writeLine writes over the line of the cursor, and goes to the next one.
func writeLine(out *strings.Builder, text string, columns int) {
	out.WriteString("\r")
	// What is left of the old line is erased after the new one is there, so that
	// nothing flickers; but after the last column, the sequence would erase the
	// character there. Of a line that some terminals draw narrower, it goes first.
	joined, apart := ansi.StringWidth(text), ansi.StringWidthWc(text)
	fills := max(joined, apart) >= columns
	if fills && joined != apart {
		out.WriteString(ansi.EraseLineRight)
	}
	out.WriteString(text)
	if !fills {
		out.WriteString(ansi.EraseLineRight)
	}
	out.WriteString("\r\n")
}

// wrapped breaks a plain text into lines; an empty one is a line.
func wrapped(text string, columns int) []string {
	first, rest := take(cells(text), columns)
	out := []string{joined(first)}
	for len(rest) > 0 {
		if first, rest = take(rest, columns); len(first) == 0 {
			break // a wide character, and one column
		}
		out = append(out, joined(first))
	}
	return out
}

// rewrapped is how many lines of a terminal with so many columns the picture
// takes when its lines are broken anew.
func rewrapped(shown []string, columns int) int {
	total := 0
	for _, text := range shown {
		total += max((ansi.StringWidth(text)+columns-1)/columns, 1)
	}
	return total
}
