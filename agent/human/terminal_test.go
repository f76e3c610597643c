package human_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mlgym/agent"
	"mlgym/gym"
)

// openTerminal makes a pseudo-terminal: what a person types goes into person,
// and what the program shows comes out of it.
func openTerminal(t *testing.T) (person, terminal *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here, so line editing is not tested: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pseudo-terminals here, so line editing is not tested: %v", err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here, so line editing is not tested: %v", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return person, terminal
}

// expect reads from the terminal until text was shown.
func expect(t *testing.T, person io.Reader, text string) {
	t.Helper()
	var seen bytes.Buffer
	buf := make([]byte, 256)
	for !strings.Contains(seen.String(), text) {
		n, err := person.Read(buf)
		if err != nil {
			t.Errorf("waiting for %q: %v; seen %q", text, err, seen.String())
			return
		}
		seen.Write(buf[:n])
	}
}

func TestTerminal(t *testing.T) {
	const left, backspace, up, ctrlC, ctrlD = "\x1b[D", "\x7f", "\x1b[A", "\x03", "\x04"
	for _, tt := range []struct {
		name  string
		typed []string // each after a prompt
		want  []string // commands; "!" for a stop, "error" for an error
	}{
		{"a line", []string{"ls\r"}, []string{"ls"}},
		{"editing", []string{"lx" + backspace + "s -a" + left + "l\r"}, []string{"ls -la"}},
		{"history", []string{"ls -la\r", up + "\r"}, []string{"ls -la", "ls -la"}},
		{"several lines", []string{"cat <<E\r", "x\r", "E\r"}, []string{"cat <<E\nx\nE"}},
		{"interrupt clears the line", []string{"rm -rf x" + ctrlC, "ls\r"}, []string{"ls"}},
		{"history survives an interrupt", []string{"ls\r", "x" + ctrlC, up + "\r"}, []string{"ls", "ls"}},
		{"second interrupt leaves", []string{ctrlC, ctrlC}, []string{"error"}},
		{"end of input", []string{ctrlD}, []string{"!"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			person, terminal := openTerminal(t)
			a := newAgent(t, terminal, terminal)
			before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			typed := make(chan struct{})
			go func() {
				defer close(typed)
				for i, keys := range tt.typed {
					prompt := "$ "
					if i > 0 && strings.HasPrefix(tt.typed[0], "cat <<") {
						prompt = "> "
					}
					expect(t, person, prompt)
					if _, err := io.WriteString(person, keys); err != nil {
						t.Error(err)
					}
				}
			}()
			for i, want := range tt.want {
				turn, err := a.Act(t.Context(), gym.Observation{Text: "shown", Step: i, StepsLeft: -1})
				if got := outcome(turn, err); got != want {
					t.Errorf("action %d = %q (%v), want %q", i+1, got, err, want)
				}
			}
			<-typed
			after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *before != *after {
				t.Error("the terminal was left in another mode")
			}
		})
	}
}

func outcome(turn agent.Turn, err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "deadline"
	case err != nil:
		return "error"
	case turn.Stop != "":
		return "!"
	}
	return turn.Action.Command
}
