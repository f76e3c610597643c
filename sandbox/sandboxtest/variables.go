package sandboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"mlgym/sandbox"
)

// variables tells a sandbox variables after it was made: whatever runs in it later
// has them as if they had been there from the start.
func (s *suite) variables(t *testing.T) {
	spec := sandbox.Spec{Env: []string{"FIRST=1", "SEED=0", "LAST=3"}}
	values := []string{"SEED=41", `TRICKY=it's $HOME "two"` + "\nlines", "EMPTY="}
	box := s.create(t, spec)
	s.run(t, box, "kept=here; cd /tmp")
	s.setEnv(t, box, values...)
	job := func(t *testing.T, command string) string {
		t.Helper()
		caller, ok := box.(sandbox.ToolCaller)
		if !ok {
			t.Fatalf("%T calls no tools", box)
		}
		var res sandbox.Result
		for _, args := range []map[string]any{{"action": "start", "command": command}, {"action": "wait", "id": 1}, {"action": "show", "id": 1}} {
			text, err := json.Marshal(args)
			if err != nil {
				t.Fatal(err)
			}
			if res, err = caller.CallTool(wait(t), "job", text); err != nil {
				t.Fatal(err)
			}
		}
		return res.Output
	}
	const tell = `printf '%s|' "$SEED" "$TRICKY" "${EMPTY-unset}"`
	const want = "41|it's $HOME \"two\"\nlines||"
	if got := job(t, "printf '%s|' SEED=$SEED; "+tell); !strings.Contains(got, "SEED=41|"+want) {
		t.Errorf("a job says %q", got)
	}
	for _, c := range []struct{ name, text, want string }{
		{"the shell", tell, want},
		{"a program of the shell", "bash -c " + `'` + strings.ReplaceAll(tell, `'`, `'\''`) + `'`, want},
		{"what the shell knew stays", "echo $kept $PWD $?", "here /tmp 0\n"},
		{"the others stay", "echo $FIRST$LAST", "13\n"},
		{"each is there once", "env | grep -c ^SEED=", "1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if res := s.run(t, box, c.text); res.Output != c.want || res.ShellRestarted {
				t.Errorf("%q says %q, want %q", c.text, res.Output, c.want)
			}
		})
	}
	t.Run("beside the shell", func(t *testing.T) {
		if got := s.start(t, box, sandbox.Cmd{Argv: []string{"bash", "-c", tell}}).stdout; got != want {
			t.Errorf("a program says %q, want %q", got, want)
		}
	})
	t.Run("the next shell", func(t *testing.T) {
		s.run(t, box, "exit")
		if res := s.run(t, box, tell); res.Output != want {
			t.Errorf("it says %q, want %q", res.Output, want)
		}
	})
	t.Run("without a shell", func(t *testing.T) {
		s.run(t, box, "exit")
		s.setEnv(t, box, "SEED=42")
		if res := s.run(t, box, "echo $SEED"); res.Output != "42\n" {
			t.Errorf("the next shell says %q, want 42", res.Output)
		}
	})
	t.Run("the order is that of the spec", func(t *testing.T) {
		from := s.create(t, sandbox.Spec{Env: []string{"FIRST=1", "SEED=7", "LAST=3"}})
		to := s.create(t, spec)
		s.setEnv(t, to, "SEED=7")
		for _, argv := range [][]string{{"env"}, {"python3", "-c", "import os; print(list(os.environ.items()))"}} {
			if want, got := s.start(t, from, sandbox.Cmd{Argv: argv}).stdout, s.start(t, to, sandbox.Cmd{Argv: argv}).stdout; got != want {
				t.Errorf("%v says\n%s, want\n%s", argv, got, want)
			}
		}
		const all = "env; declare -p SEED"
		if want, got := s.run(t, from, all).Output, s.run(t, to, all).Output; got != want {
			t.Errorf("the shell says\n%s, want\n%s", got, want)
		}
	})
	t.Run("the shell's seconds begin anew", func(t *testing.T) {
		box := s.create(t, sandbox.Spec{})
		s.run(t, box, "SECONDS=1000")
		s.setEnv(t, box, "SEED=1")
		if res := s.run(t, box, "echo $((SECONDS < 500))"); res.Output != "1\n" {
			t.Errorf("it says %q, want a count that began anew", res.Output)
		}
	})
	t.Run("what cannot be set", func(t *testing.T) {
		for _, v := range []string{"SEED", "=1", "a b=1", "1A=2", "A;touch /tmp/ran=1", "A=b\x00c"} {
			if err := setter(t, box).SetEnv(wait(t), []string{v}); err == nil {
				t.Errorf("SetEnv(%q): no error, want one", v)
			}
		}
		s.run(t, box, "readonly FIXED=1")
		if err := setter(t, box).SetEnv(wait(t), []string{"FIXED=2"}); err == nil {
			t.Error("a read-only variable was set")
		}
		if res := s.run(t, box, "echo $FIXED; ls /tmp/ran"); !strings.HasPrefix(res.Output, "1\n") || res.ExitCode == 0 {
			t.Errorf("afterwards: %q", res.Output)
		}
	})
}

func setter(t *testing.T, box sandbox.Sandbox) sandbox.EnvSetter {
	t.Helper()
	set, ok := box.(sandbox.EnvSetter)
	if !ok {
		t.Fatalf("%T is no sandbox.EnvSetter", box)
	}
	return set
}

func (s *suite) setEnv(t *testing.T, box sandbox.Sandbox, env ...string) {
	t.Helper()
	if err := setter(t, box).SetEnv(wait(t), env); err != nil {
		t.Fatalf("set variables: %v", err)
	}
}

// interrupts ends actions from outside, whose results are still wanted.
func (s *suite) interrupts(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	// interrupt runs text, which must write into the pipe "up" before it lingers, and
	// interrupts it then.
	// What is to answer has all the time (long) that a busy machine may take for it.
	const long = patience / 2
	interrupt := func(t *testing.T, text string, grace time.Duration) sandbox.Result {
		t.Helper()
		s.run(t, box, "rm -f up; mkfifo up")
		ctx, cancel := context.WithCancelCause(wait(t))
		defer cancel(nil)
		type ended struct {
			res sandbox.Result
			err error
		}
		done := make(chan ended, 1)
		shell, ok := box.(sandbox.Shell)
		if !ok {
			t.Fatalf("%T has no shell", box)
		}
		go func() {
			res, err := shell.Run(ctx, sandbox.Script{Text: text, Wall: patience, Grace: grace})
			done <- ended{res, err}
		}()
		s.start(t, box, sandbox.Cmd{Argv: []string{"cat", "up"}})
		cancel(sandbox.ErrInterrupted)
		got := <-done
		if got.err != nil {
			t.Fatalf("the interrupted script: %v", got.err)
		}
		if got.res.Deadline != "cancelled" {
			t.Errorf("its deadline is %q, want cancelled", got.res.Deadline)
		}
		return got.res
	}
	t.Run("what was printed is kept, and so is the shell", func(t *testing.T) {
		res := interrupt(t, "mine=yes; cd /tmp; echo before; echo > ~/workspace/up; sleep 1000; echo after", long)
		if strings.TrimSpace(res.Output) != "before" || res.ExitCode == 0 || res.ShellRestarted {
			t.Errorf("output %q, exit code %d, restarted %v", res.Output, res.ExitCode, res.ShellRestarted)
		}
		if res := s.run(t, box, "echo $mine $PWD; cd; cd workspace"); res.Output != "yes /tmp\n" {
			t.Errorf("afterwards the shell says %q", res.Output)
		}
	})
	t.Run("what answers an interrupt may say so", func(t *testing.T) {
		// One long sleep would not do: a signal that comes between Python's last look
		// for signals and its going to sleep is seen after the sleep.
		res := interrupt(t, `python3 -c 'import time
try:
    open("up", "w").write("x")
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    print("stopping")'`, long)
		if !strings.Contains(res.Output, "stopping\n") {
			t.Errorf("output %q, want what the program said of it", res.Output)
		}
	})
	t.Run("what ignores it is ended by force", func(t *testing.T) {
		res := interrupt(t, `python3 -c 'import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN); print("stubborn", flush=True); open("up", "w").write("x"); time.sleep(1000)'`, time.Second)
		if !strings.HasPrefix(res.Output, "stubborn\n") {
			t.Errorf("output %q", res.Output)
		}
		s.answers(t, box)
	})
	t.Run("before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(wait(t))
		cancel(sandbox.ErrInterrupted)
		shell, ok := box.(sandbox.Shell)
		if !ok {
			t.Fatalf("%T has no shell", box)
		}
		if _, err := shell.Run(ctx, sandbox.Script{Text: "sleep 1000", Wall: patience}); err != nil {
			t.Errorf("run: %v, want a result", err)
		}
		s.answers(t, box)
	})
	t.Run("another cause has no result", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(wait(t))
		cause := errors.New("enough")
		cancel(cause)
		shell, ok := box.(sandbox.Shell)
		if !ok {
			t.Fatalf("%T has no shell", box)
		}
		if _, err := shell.Run(ctx, sandbox.Script{Text: "sleep 1000", Wall: patience}); !errors.Is(err, cause) {
			t.Errorf("run: %v, want %v", err, cause)
		}
		s.answers(t, box)
	})
	t.Run("a tool", func(t *testing.T) {
		caller, ok := box.(sandbox.ToolCaller)
		if !ok {
			t.Fatalf("%T calls no tools", box)
		}
		if _, err := caller.CallTool(wait(t), "job", json.RawMessage(`{"action": "start", "command": "sleep 1000"}`)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(wait(t))
		cancel(sandbox.ErrInterrupted)
		res, err := caller.CallTool(ctx, "job", json.RawMessage(`{"action": "wait", "id": 1, "seconds": 600}`))
		if err != nil || res.Output == "" {
			t.Errorf("the tool: output %q, %v; want what it says of a job that runs", res.Output, err)
		}
		s.run(t, box, "job stop 1")
	})
}
