package board

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mlgym/experiment"
)

// screen is a person's end of a pseudo-terminal: an emulator interprets what is
// written to it.
type screen struct {
	t        *testing.T
	person   *os.File
	terminal *os.File
	emulator *vt.Emulator
	seen     strings.Builder // all that was written
	marks    int
}

func newScreen(t *testing.T, columns, height int) *screen {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here, so painting on one is not tested: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pseudo-terminals here, so painting on one is not tested: %v", err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here, so painting on one is not tested: %v", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	s := &screen{t: t, person: person, terminal: terminal, emulator: vt.NewEmulator(columns, height)}
	s.resize(columns, height)
	return s
}

func (s *screen) resize(columns, height int) {
	s.t.Helper()
	size := &unix.Winsize{Col: uint16(columns), Row: uint16(height)}
	if err := unix.IoctlSetWinsize(int(s.terminal.Fd()), unix.TIOCSWINSZ, size); err != nil {
		s.t.Fatal(err)
	}
	s.emulator.Resize(columns, height)
}

// read takes what was written until the text has come, and returns it.
func (s *screen) read(until string) string {
	s.t.Helper()
	from := s.seen.Len()
	buf := make([]byte, 4096)
	for !strings.Contains(s.seen.String()[from:], until) {
		n, err := s.person.Read(buf)
		if err != nil {
			s.t.Fatalf("waiting for %q: %v; seen %q", until, err, s.seen.String()[from:])
		}
		s.seen.Write(buf[:n])
		_, _ = s.emulator.Write(buf[:n])
	}
	return s.seen.String()[from:]
}

// flush takes all that was written to the terminal until now.
func (s *screen) flush() string {
	s.t.Helper()
	// A mark that shows nothing: a sequence that every terminal passes over.
	s.marks++
	mark := fmt.Sprintf("\x1b]9999;mark %d\a", s.marks)
	if _, err := s.terminal.WriteString(mark); err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSuffix(s.read(mark), mark)
}

// rows are the lines on the screen, without empty ones at its end.
func (s *screen) rows() []string {
	var out []string
	for row := range strings.SplitSeq(s.emulator.String(), "\n") {
		out = append(out, strings.TrimRight(row, " \r"))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

func (s *screen) expect(want []string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.rows()); diff != "" {
		s.t.Errorf("the screen (-want +got):\n%s", diff)
	}
	if position := s.emulator.CursorPosition(); position.X != 0 || position.Y != len(want) {
		s.t.Errorf("the cursor is at column %d of line %d, want column 0 of line %d", position.X, position.Y, len(want))
	}
	if s.emulator.CursorHidden() {
		s.t.Error("the cursor is hidden")
	}
}

// testPainter paints at noon what status points to.
func (s *screen) testPainter(status *experiment.Status) *painter {
	return &painter{terminal: s.terminal, snapshot: func() experiment.Status { return *status }, now: func() time.Time { return noon }}
}

func TestPaint(t *testing.T) {
	s := newScreen(t, 80, 24)
	current := pictures()["under-way"]
	p := s.testPainter(&current)
	picture := func(columns, height int) []string {
		return Render(current, Options{Width: columns, Height: height, Now: noon})
	}
	if _, err := s.terminal.WriteString("$ mlgym experiment run\r\n"); err != nil {
		t.Fatal(err)
	}

	// The first picture scrolls what was there.
	p.paint(nil)
	s.flush()
	s.expect(picture(80, 23))

	// Nothing new, nothing written.
	p.paint(nil)
	if text := s.flush(); text != "" {
		t.Errorf("an unchanged picture was painted: %q", text)
	}

	// A change is painted over.
	current.Episodes = slices.Clone(current.Episodes)
	current.Episodes[22].Step = 48
	p.paint(nil)
	if text := s.flush(); !strings.Contains(text, "ifar10-demo-3 ") || strings.Contains(text, "ifar10-demo-5 ") {
		t.Errorf("one line has changed, and this was written: %q", text)
	}
	s.expect(picture(80, 23))

	// A lower picture leaves nothing of the higher one.
	current = pictures()["finished"]
	p.paint(nil)
	s.flush()
	s.expect(picture(80, 23))

	// Lines of a log stand above it; what steers terminals is taken out.
	p.paint([]string{"first", "second \x1b[2J\x1b[31mred", strings.Repeat("long ", 20)})
	s.flush()
	log := []string{"first", "second red", strings.TrimRight(strings.Repeat("long ", 16), " "), "long long long long"}
	s.expect(append(slices.Clone(log), picture(80, 23)...))

	// Wider, and higher.
	s.resize(120, 40)
	p.paint(nil)
	s.flush()
	s.expect(append(slices.Clone(log), picture(120, 39)...))

	// A picture that fills the terminal.
	current = pictures()["wide"]
	p.paint(nil)
	s.flush()
	s.expect(picture(120, 39))

	// Lower: the first lines of both pictures are the same, and no longer on the
	// screen.
	s.reopen(120, 20)
	p.paint(nil)
	s.flush()
	s.expect(picture(120, 19))

	// Narrower, and lower.
	s.reopen(40, 10)
	p.paint(nil)
	s.flush()
	s.expect(picture(40, 9))

	// Narrower, with a log above: it stays, and nothing of the old picture does.
	s.reopen(80, 40)
	current = pictures()["finished"]
	p.paint([]string{"a line of the log"})
	s.flush()
	s.reopen(30, 40)
	p.paint(nil)
	s.flush()
	rows := s.rows()
	s.expect(append(rows[:len(rows)-len(picture(30, 39))], picture(30, 39)...))
	if text := strings.Join(rows, "\n"); strings.Count(text, "a line of the log") != 1 || strings.Count(text, "100%") != 1 {
		t.Errorf("after the terminal became narrower:\n%s", text)
	}
}

// reopen changes the size as most terminals do: lines that are too wide are broken
// anew, and what no longer fits leaves at the top. (The emulator's own Resize
// cuts.)
func (s *screen) reopen(columns, height int) {
	s.t.Helper()
	rows := s.rows()
	s.emulator = vt.NewEmulator(columns, height)
	s.resize(columns, height)
	for _, row := range rows {
		_, _ = s.emulator.WriteString(row + "\r\n")
	}
}

// TestPaintHostile: names and messages with escape codes and characters of all
// widths lead to the picture that Render returns, also where lines are as wide as
// the terminal.
func TestPaintHostile(t *testing.T) {
	for _, columns := range []int{20, 40, 57, 80} {
		s := newScreen(t, columns, 24)
		current := pictures()["hostile"]
		p := s.testPainter(&current)
		p.paint(nil)
		s.flush()
		lines := Render(current, Options{Width: columns, Height: 23, Now: noon})
		rows := s.rows()
		if len(rows) != len(lines) {
			t.Fatalf("at %d columns %d lines are on the screen, want %d:\n%s", columns, len(rows), len(lines), strings.Join(rows, "\n"))
		}
		for i, row := range rows {
			// The emulator joins characters as it likes; what is ASCII is exact.
			ascii := func(r rune) rune {
				if r > '~' {
					return -1
				}
				return r
			}
			if got, want := strings.Map(ascii, row), strings.Map(ascii, lines[i]); got != want {
				t.Errorf("line %d at %d columns is %q, want %q", i+1, columns, got, want)
			}
		}
	}
}

// TestPaintDoesNotFlicker looks at the screen after each piece of what is
// written for 1000 snapshots: no line that holds text before and after a frame is
// empty in between, and nothing clears the screen.
func TestPaintDoesNotFlicker(t *testing.T) {
	s := newScreen(t, 80, 24)
	current := pictures()["under-way"]
	current.Episodes = slices.Clone(current.Episodes)
	p := s.testPainter(&current)
	p.paint(nil)
	s.flush()
	written := 0
	for i := range 1000 {
		e := &current.Episodes[22+i%6]
		e.Step = 1 + i%50
		e.Seconds += 0.2
		current.Spent.Hours += 0.2 / 3600
		var log []string
		if i%100 == 50 {
			log = []string{fmt.Sprintf("line %d of the log", i)}
		}
		before := vt.NewEmulator(80, 24)
		careful := i%40 == 0 // looking is slow, and a log moves lines
		if careful {
			_, _ = before.WriteString(strings.Join(s.rows(), "\r\n") + "\r\n")
		}
		rowsBefore := s.rows()
		p.paint(log)
		frame := s.flush()
		written += len(frame)
		rowsAfter := s.rows()
		for _, sequence := range []string{"\x1b[2J", "\x1b[3J", "\x1b[1J", "\x1bc", "\x1b[H", "\x1b[?1049h", "\x1b[?47h"} {
			if strings.Contains(frame, sequence) {
				t.Fatalf("frame %d clears the screen with %q", i, sequence)
			}
		}
		if strings.Count(frame, "\x1b[?25l") != strings.Count(frame, "\x1b[?25h") {
			t.Fatalf("frame %d hides the cursor and does not show it: %q", i, frame)
		}
		if !careful {
			continue
		}
		cut := strings.NewReplacer("\x1b[K", "\x00\x1b[K\x00", "\x1b[J", "\x00\x1b[J\x00", "\n", "\n\x00")
		for part := range strings.SplitSeq(cut.Replace(frame), "\x00") {
			_, _ = before.WriteString(part)
			now := (&screen{emulator: before}).rows()
			for r := range min(len(rowsBefore), len(rowsAfter)) {
				if rowsBefore[r] != "" && rowsAfter[r] != "" && (r >= len(now) || now[r] == "") {
					t.Fatalf("in frame %d line %d is empty after %q", i, r+1, part)
				}
			}
		}
	}
	s.expect(Render(current, Options{Width: 80, Height: 23, Now: noon}))
	t.Logf("%d bytes a frame", written/1000)
}

// TestLive runs the real thing: a goroutine, a log, a changing experiment.
func TestLive(t *testing.T) {
	s := newScreen(t, 80, 24)
	var mu sync.Mutex
	current := status(threeTasks[:1], fourAgents[:1], 3, "R")
	live := NewLive(s.terminal, true, func() experiment.Status {
		mu.Lock()
		defer mu.Unlock()
		return current
	})
	s.read("prisonersDilemma-demo-1")
	fmt.Fprintf(live, "a line\nand half a ")
	s.read("a line")
	mu.Lock()
	current = status(threeTasks[:1], fourAgents[:1], 3, "DR")
	mu.Unlock()
	s.read("ended")
	fmt.Fprintf(live, "line\nthe last line, without an end")
	mu.Lock()
	current = pictures()["finished"]
	mu.Unlock()
	live.Close()
	live.Close()
	s.flush()
	lines := Render(pictures()["finished"], Options{Width: 80, Height: 23})
	s.expect(append([]string{"a line", "and half a line", "the last line, without an end"}, lines...))
	if _, err := fmt.Fprintln(live, "too late"); err != nil {
		t.Errorf("a write after Close failed: %v", err)
	}
}

// TestLiveResumes: after Ctrl-Z and fg the picture is painted below what others
// wrote, and not over it.
func TestLiveResumes(t *testing.T) {
	s := newScreen(t, 80, 24)
	current := pictures()["finished"]
	live := NewLive(s.terminal, false, func() experiment.Status { return current })
	s.read("prisonersDilemma-gpt-5-mini-2")
	s.flush()
	if _, err := s.terminal.WriteString("$ fg\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(os.Getpid(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.read("prisonersDilemma-gpt-5-mini-2")
	live.Close()
	s.flush()
	lines := Render(current, Options{Width: 80, Height: 23})
	s.expect(append(append(slices.Clone(lines), "$ fg"), lines...))
}

// TestLiveRestsBetweenPaints counts paints in ten seconds of a bubble's time.
func TestLiveRestsBetweenPaints(t *testing.T) {
	s := newScreen(t, 80, 24)
	drained := make(chan struct{})
	go func() { // so that no write waits
		defer close(drained)
		buf := make([]byte, 4096)
		for {
			if n, err := s.person.Read(buf); err != nil || strings.Contains(string(buf[:n]), "the end") {
				return
			}
		}
	}()
	resumed().Stop() // starts what the bubble must not own
	synctest.Test(t, func(t *testing.T) {
		var paints atomic.Int64
		live := NewLive(s.terminal, false, func() experiment.Status {
			return experiment.Status{Name: fmt.Sprintf("paint %d", paints.Add(1))}
		})
		for i := range 1000 {
			fmt.Fprintf(live, "line %d\n", i)
			time.Sleep(10 * time.Millisecond)
		}
		live.Close()
		if n := paints.Load(); n < 50 || n > 52 {
			t.Errorf("%d paints in ten seconds, want 50 to 52", n)
		}
	})
	if _, err := s.terminal.WriteString("the end"); err != nil {
		t.Fatal(err)
	}
	<-drained
}

// TestLiveKeepsUp: a log that is faster than the terminal loses its oldest
// lines, and says so.
func TestLiveKeepsUp(t *testing.T) {
	l := newLive(nil, false, nil)
	for i := range mostPending + 7 {
		fmt.Fprintf(l, "line %d\n", i)
	}
	fmt.Fprint(l, strings.Repeat("x", 3*mostTextBytes))
	got := l.takePending(true)
	// Two lines of x are full, and the third is there since the end has come.
	if want := mostPending + 1; len(got) != want || got[0] != "… 10 lines of the log are left out here" || got[1] != "line 10" {
		t.Errorf("%d lines, beginning with %q; want %d", len(got), got[:2], want)
	}
	if got := l.takePending(true); len(got) != 0 {
		t.Errorf("lines are shown twice: %q", got)
	}
}

func TestRewrapped(t *testing.T) {
	shown := []string{"", "12345", "1234567890", "12345678901", "\x1b[31m12345678901\x1b[m"}
	if got := rewrapped(shown, 5); got != 1+1+2+3+3 {
		t.Errorf("rewrapped at 5 columns: %d lines, want 10", got)
	}
}
