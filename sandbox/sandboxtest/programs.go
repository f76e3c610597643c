package sandboxtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"mlgym/sandbox"
)

func (s *suite) programs(t *testing.T) {
	box := s.create(t, sandbox.Spec{Env: []string{"SPEC_VARIABLE=from the spec"}})
	for _, c := range []struct {
		name   string
		cmd    sandbox.Cmd
		stdout string
		stderr string
		code   int
		signal string
	}{
		{"output and code", sandbox.Cmd{Argv: []string{"bash", "-c", "echo out; echo err >&2; exit 7"}}, "out\n", "err\n", 7, ""},
		{"killed by a signal", sandbox.Cmd{Argv: []string{"bash", "-c", "kill -SEGV $$"}}, "", "", 139, "SEGV"},
		{"where it starts", sandbox.Cmd{Argv: []string{"pwd"}}, sandbox.WorkDir + "\n", "", 0, ""},
		{"another folder", sandbox.Cmd{Argv: []string{"pwd"}, Dir: "/tmp"}, "/tmp\n", "", 0, ""},
		{"environment", sandbox.Cmd{Argv: []string{"bash", "-c", `echo "$SPEC_VARIABLE, $OWN"`}, Env: []string{"OWN=from the command"}}, "from the spec, from the command\n", "", 0, ""},
		{"no input is the end of input", sandbox.Cmd{Argv: []string{"cat"}}, "", "", 0, ""},
		{"input", sandbox.Cmd{Argv: []string{"tr", "a-z", "A-Z"}, Stdin: strings.NewReader("shout")}, "SHOUT", "", 0, ""},
		{"arguments are not interpreted", sandbox.Cmd{Argv: []string{"printf", "%s|", "a b", "$HOME", "", "*"}}, "a b|$HOME||*|", "", 0, ""},
		{"input that nobody reads", sandbox.Cmd{Argv: []string{"true"}, Stdin: strings.NewReader(strings.Repeat("x", 1<<20))}, "", "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := s.start(t, box, c.cmd)
			if got.stdout != c.stdout || got.stderr != c.stderr || got.exit.Code != c.code || got.exit.Signal != c.signal {
				t.Errorf("got %q, %q, code %d, signal %q; want %q, %q, %d, %q",
					got.stdout, got.stderr, got.exit.Code, got.exit.Signal, c.stdout, c.stderr, c.code, c.signal)
			}
		})
	}
	t.Run("what cannot be started", func(t *testing.T) {
		for path, want := range map[string]int{"no-such-program": 127, "/no/such/program": 127, "/etc/passwd": 126} {
			got := s.start(t, box, sandbox.Cmd{Argv: []string{path}})
			if got.exit.Code != want || got.exit.StartError == "" {
				t.Errorf("%s: code %d, error %q; want code %d and an error", path, got.exit.Code, got.exit.StartError, want)
			}
		}
		if got := s.start(t, box, sandbox.Cmd{Argv: []string{"true"}, Dir: "/no/such/folder"}); got.exit.StartError == "" {
			t.Errorf("a missing folder: %+v, want an error", got.exit)
		}
	})
	t.Run("megabytes through it", func(t *testing.T) {
		text := strings.Repeat("0123456789abcde\n", 1<<19) // 8 MiB
		got := s.start(t, box, sandbox.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader(text)})
		if got.stdout != text {
			t.Errorf("%d bytes come back, and not the same as the %d sent", len(got.stdout), len(text))
		}
	})
	t.Run("channel", func(t *testing.T) { s.channel(t, box) })
	t.Run("timeout", func(t *testing.T) {
		marker := "mlgymtest" + unique()
		script := strings.ReplaceAll(survivors, "MARKER", marker) + "\necho started; sleep 1000"
		longer(t, someStarts, "started\n", func(timeout time.Duration) string {
			got := s.start(t, box, sandbox.Cmd{Argv: []string{"bash", "-c", script}, Timeout: timeout})
			if !got.exit.TimedOut {
				t.Errorf("got %+v, output %q; want timed out", got.exit, got.stdout)
			}
			if left := s.python(t, box, listProcesses, marker); left != "" {
				t.Errorf("still running:\n%s", left)
			}
			return got.stdout
		})
	})
	t.Run("kill", func(t *testing.T) {
		marker := "mlgymtest" + unique()
		script := strings.ReplaceAll(survivors, "MARKER", marker) + "\necho started; sleep 1000"
		out, in := io.Pipe()
		defer context.AfterFunc(wait(t), func() { _ = in.CloseWithError(context.DeadlineExceeded) })()
		p, err := box.Start(wait(t), sandbox.Cmd{Argv: []string{"bash", "-c", script}, Stdout: in})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("started\n"))); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, out) }()
		if err := p.Kill(); err != nil {
			t.Fatalf("kill: %v", err)
		}
		exit, err := p.Wait(wait(t))
		if err != nil || exit.Code == 0 || exit.TimedOut {
			t.Errorf("wait after kill: %+v, %v", exit, err)
		}
		_ = in.Close()
		if left := s.python(t, box, listProcesses, marker); left != "" {
			t.Errorf("still running:\n%s", left)
		}
	})
	t.Run("wait twice", func(t *testing.T) {
		p, err := box.Start(wait(t), sandbox.Cmd{Argv: []string{"bash", "-c", "exit 3"}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if exit, err := p.Wait(wait(t)); err != nil || exit.Code != 3 {
				t.Errorf("got %+v, %v; want code 3", exit, err)
			}
		}
	})
	t.Run("a cancelled wait returns", func(t *testing.T) {
		p, err := box.Start(wait(t), sandbox.Cmd{Argv: []string{"sleep", "1000"}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(wait(t))
		cancel()
		if _, err := p.Wait(ctx); err == nil {
			t.Error("got no error")
		}
		_ = p.Kill()
	})
	t.Run("many at once", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				text := strings.Repeat(fmt.Sprintf("program %d\n", i), 5000)
				var out bytes.Buffer
				p, err := box.Start(wait(t), sandbox.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader(text), Stdout: &out})
				if err != nil {
					t.Error(err)
					return
				}
				if exit, err := p.Wait(wait(t)); err != nil || exit.Code != 0 || out.String() != text {
					t.Errorf("program %d: %+v, %v, %d bytes of %d", i, exit, err, out.Len(), len(text))
				}
			})
		}
		all.Wait()
	})
	s.answers(t, box)
}

// channel talks to a program over its descriptor 3.
func (s *suite) channel(t *testing.T, box sandbox.Sandbox) {
	code := `import os, socket
f = socket.socket(fileno=3).makefile("rwb", buffering=0)
for line in f:
    f.write(line.upper())
print("end of the channel")`
	var out strings.Builder
	p, err := box.Start(wait(t), sandbox.Cmd{Argv: []string{"python3", "-c", code}, Channel: true, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	ch := p.Channel()
	for i := range 50 {
		want := fmt.Sprintf("MESSAGE %d\n", i)
		if _, err := io.WriteString(ch, strings.ToLower(want)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(ch, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	if err := ch.Close(); err != nil {
		t.Errorf("close the channel: %v", err)
	}
	if exit, err := p.Wait(wait(t)); err != nil || exit.Code != 0 || out.String() != "end of the channel\n" {
		t.Errorf("the program ends with %+v, %v and says %q", exit, err, out.String())
	}

	// When the program goes, the channel ends.
	p, err = box.Start(wait(t), sandbox.Cmd{Argv: []string{"bash", "-c", "echo bye >&3; exit 4"}, Channel: true})
	if err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(p.Channel()); err != nil || string(said) != "bye\n" {
		t.Errorf("the channel gives %q, %v; want bye and its end", said, err)
	}
	if exit, err := p.Wait(wait(t)); err != nil || exit.Code != 4 {
		t.Errorf("got %+v, %v; want code 4", exit, err)
	}
}
