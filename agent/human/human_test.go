package human_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/agent"
	"mlgym/agent/human"
	"mlgym/gym"
	"mlgym/tool"
)

var (
	_ agent.Agent   = (*human.Agent)(nil)
	_ agent.Resumer = (*human.Agent)(nil)
	_ io.Closer     = (*human.Agent)(nil)
)

func newAgent(t *testing.T, in io.Reader, out io.Writer) *human.Agent {
	t.Helper()
	a, err := human.New(human.Config{In: in, Out: out, Tools: tool.All()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestActions(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		want        []string // commands; "!cause" for a stop
	}{
		{"one line", "ls -la\n", []string{"ls -la", "!exit_error"}},
		{"no line end", "ls", []string{"ls", "!exit_error"}},
		{"carriage return", "ls\r\npwd\r\n", []string{"ls", "pwd"}},
		{"empty lines are passed over", "\n  \nls\n", []string{"ls"}},
		{"here-document", "cat > a <<'EOF'\nx\n\n:quit\nEOF\nls\n", []string{"cat > a <<'EOF'\nx\n\n:quit\nEOF", "ls"}},
		{"loop", "for i in 1 2; do\necho $i\ndone\nls\n", []string{"for i in 1 2; do\necho $i\ndone", "ls"}},
		{"open quote", "echo 'a\nb'\nls\n", []string{"echo 'a\nb'", "ls"}},
		{"continued line", "echo a \\\nb\nls\n", []string{"echo a \\\nb", "ls"}},
		{"edit", "edit 1:2\nit's\n\n:stop\nend_of_edit\nls\n", []string{"edit 1:2\nit's\n\n:stop\nend_of_edit", "ls"}},
		{"insert after another command", "open a && insert 3\n\tx\nend_of_insert\nls\n", []string{"open a && insert 3\n\tx\nend_of_insert", "ls"}},
		{"wrong bash is for the shell to say", "echo )\nls\n", []string{"echo )", "ls"}},
		{"here-document without an end", "cat <<EOF\nx\n", []string{"cat <<EOF\nx", "!exit_error"}},
		{"validate and submit", ":validate\n:submit\n", []string{"validate", "submit"}},
		{"give up", ":quit\n", []string{"exit_forfeit"}},
		{"stop", ":stop I am tired\n", []string{"!exit_error"}},
		{"a quote in a line for the agent itself", ":tools it's\nls\n", []string{"ls"}},
		{"help, then an action", ":help\n:nonsense\nls\n", []string{"ls"}},
		{"end of input", "", []string{"!exit_error", "!exit_error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAgent(t, strings.NewReader(tt.typed), io.Discard)
			for i, want := range tt.want {
				turn, err := a.Act(t.Context(), gym.Observation{Step: i})
				if err != nil {
					t.Fatal(err)
				}
				got := turn.Action.Command
				if turn.Stop != "" {
					got = "!" + string(turn.Stop)
					if turn.StopReason == "" {
						t.Error("a stop without a reason")
					}
				}
				if got != want {
					t.Errorf("action %d = %q, want %q", i+1, got, want)
				}
			}
		})
	}
}

func TestObservationIsShown(t *testing.T) {
	for _, tt := range []struct {
		name string
		obs  gym.Observation
		want string
	}{
		{
			"output",
			gym.Observation{Text: "a\nb\n\n", Step: 2, StepsLeft: 3, WorkingDir: "/workspace", OpenFile: "/workspace/a.py"},
			"a\nb\n--- step 2, 3 left, in /workspace, open /workspace/a.py (:help) ---\n",
		},
		{"no output and no limit", gym.Observation{Step: 2, StepsLeft: -1}, "(no output)\n--- step 2 (:help) ---\n"},
		{
			"escape sequences",
			gym.Observation{Text: "\x1b[2J\x1b]0;title\x07é\tx\r\u202e", StepsLeft: -1},
			"\ufffd[2J\ufffd]0;title\ufffdé\tx\ufffd\ufffd\n--- step 0 (:help) ---\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if _, err := newAgent(t, strings.NewReader("ls\n"), &out).Act(t.Context(), tt.obs); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != tt.want {
				t.Errorf("shown\n%q\nwant\n%q", got, tt.want)
			}
		})
	}
}

func TestHelpNamesWhatThereIs(t *testing.T) {
	for typed, want := range map[string]string{
		":help":       ":submit",
		":tools":      "edit <",
		":tools edit": "end_of_edit",
		":tools none": "no tool \"none\"",
		":submitt":    "no :submitt",
	} {
		var out bytes.Buffer
		if _, err := newAgent(t, strings.NewReader(typed+"\nls\n"), &out).Act(t.Context(), gym.Observation{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s answers\n%s\nwant %q in it", typed, out.String(), want)
		}
	}
}

func TestCancelEndsAWaitingRead(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The person is asked once the observation is shown; then the run is
	// cancelled.
	a := newAgent(t, read, writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	}))
	if _, err := a.Act(ctx, gym.Observation{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	if _, err := a.Act(t.Context(), gym.Observation{}); err == nil {
		t.Error("a cancelled agent went on")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestInputFromFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "actions")
	if err := os.WriteFile(name, []byte("ls\nsubmit\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a := newAgent(t, file, io.Discard)
	for _, want := range []string{"ls", "submit"} {
		if turn, err := a.Act(t.Context(), gym.Observation{}); err != nil || turn.Action.Command != want {
			t.Errorf("got %+v, %v; want %q", turn, err, want)
		}
	}
}

func TestHugeLineIsAnError(t *testing.T) {
	a := newAgent(t, strings.NewReader(strings.Repeat("x", 2<<20)), io.Discard)
	if turn, err := a.Act(t.Context(), gym.Observation{}); err == nil || !strings.Contains(err.Error(), "a line has more than") {
		t.Errorf("got %+v, %v; want that the line is too long", turn.Stop, err)
	}
}

func TestOutputThatFails(t *testing.T) {
	full := errors.New("disk full")
	a := newAgent(t, strings.NewReader("ls\n"), writerFunc(func([]byte) (int, error) { return 0, full }))
	if _, err := a.Act(t.Context(), gym.Observation{}); !errors.Is(err, full) {
		t.Errorf("error = %v, want %v", err, full)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []human.Config{{In: strings.NewReader("")}, {Out: io.Discard}} {
		if _, err := human.New(cfg); err == nil {
			t.Errorf("New(%+v) = nil error", cfg)
		}
	}
}

func ExampleNew() {
	a, err := human.New(human.Config{In: strings.NewReader("ls\n:submit\n"), Out: os.Stdout})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	for _, obs := range []gym.Observation{{Text: "Improve strategy.py.", StepsLeft: 2}, {Text: "strategy.py", Step: 1, StepsLeft: 1}} {
		turn, _ := a.Act(context.Background(), obs)
		fmt.Println("action:", turn.Action.Command)
	}
	// Output:
	// Improve strategy.py.
	// --- step 0, 2 left (:help) ---
	// action: ls
	// strategy.py
	// --- step 1, 1 left (:help) ---
	// action: submit
}
