package sandboxtest

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"mlgym/sandbox"
)

func (s *suite) shell(t *testing.T) {
	box := s.create(t, sandbox.Spec{Env: []string{"SPEC_VARIABLE=from the spec"}})
	t.Run("first steps", func(t *testing.T) {
		for _, c := range []struct{ name, text, want string }{
			{"where it starts", "pwd", sandbox.WorkDir + "\n"},
			{"the home", `echo "$HOME $USER"; cd; pwd; cd - >/dev/null`, sandbox.HomeDir + " " + sandbox.UserName + "\n" + sandbox.HomeDir + "\n"},
			{"the workspace can be written", "echo text > file && cat file", "text\n"},
			{"/tmp can be written", "echo text > /tmp/file && cat /tmp/file", "text\n"},
			{"files can be executed", "printf '#!/bin/sh\\necho ran\\n' > tool && chmod +x tool && ./tool", "ran\n"},
			{"the spec's environment", `echo "$SPEC_VARIABLE"`, "from the spec\n"},
			{"both outputs in order", "echo one; echo two >&2; echo three", "one\ntwo\nthree\n"},
			{"a pipeline", "printf 'b\\na\\n' | sort", "a\nb\n"},
			{"devices", "echo gone > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c", "3\n3\n"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if res := s.run(t, box, c.text); res.Output != c.want || res.ExitCode != 0 {
					t.Errorf("%q says %q (exit code %d), want %q", c.text, res.Output, res.ExitCode, c.want)
				}
			})
		}
	})
	t.Run("state persists", func(t *testing.T) {
		s.run(t, box, "mkdir -p deep/er; cd deep/er; colour=green; export CITY=Ulm; twice() { echo \"$1$1\"; }; shopt -s nullglob")
		want := sandbox.WorkDir + "/deep/er green Ulm abab nullglob on\n"
		res := s.run(t, box, `echo "$PWD $colour $(printenv CITY) $(twice ab)" $(shopt nullglob)`)
		if res.Output != want {
			t.Errorf("got %q, want %q", res.Output, want)
		}
		if res.WorkingDir != sandbox.WorkDir+"/deep/er" {
			t.Errorf("the working directory is reported as %q", res.WorkingDir)
		}
		s.run(t, box, "shopt -u nullglob; cd "+sandbox.WorkDir)
	})
	t.Run("with set -e and set -u", func(t *testing.T) {
		s.run(t, box, "set -eu; kept=here")
		if res := s.run(t, box, "echo $kept; set +eu"); res.Output != "here\n" || res.ShellRestarted {
			t.Errorf("got %q, restarted %v; want the shell that there was", res.Output, res.ShellRestarted)
		}
	})
	t.Run("programs in the background live on", func(t *testing.T) {
		s.run(t, box, "sleep 1000 & background=$!")
		if res := s.run(t, box, "kill -0 $background && echo alive; kill $background"); !strings.HasPrefix(res.Output, "alive") {
			t.Errorf("got %q, want alive", res.Output)
		}
	})
	s.exitCodes(t, box)
	s.syntax(t, box)
	s.stdin(t, box)
	s.output(t, box)
}

func (s *suite) exitCodes(t *testing.T, box sandbox.Sandbox) {
	t.Run("exit codes", func(t *testing.T) {
		for _, c := range []struct {
			text string
			want int
		}{
			{"true", 0},
			{"false", 1},
			{"(exit 37)", 37},
			{"bash -c 'exit 200'", 200},
			{"no-such-program-at-all", 127},
			{"/etc", 126},
			{"bash -c 'kill -SEGV $$'", 139},
			{"bash -c 'kill -KILL $$'", 137},
			{"false; true", 0},
			{"true; false", 1},
		} {
			if res := s.run(t, box, c.text); res.ExitCode != c.want {
				t.Errorf("%q: exit code %d, want %d", c.text, res.ExitCode, c.want)
			}
		}
	})
	t.Run("the next script sees the last exit code", func(t *testing.T) {
		s.run(t, box, "(exit 9)")
		if res := s.run(t, box, "echo $?"); res.Output != "9\n" {
			t.Errorf("$? is %q, want 9", res.Output)
		}
	})
	t.Run("a shell that ends is replaced and says so", func(t *testing.T) {
		fresh := s.create(t, sandbox.Spec{})
		s.run(t, fresh, "colour=green; mkdir here; cd here")
		res := s.run(t, fresh, "echo before; exit 5")
		if !res.ShellRestarted || res.ExitCode != 5 || !strings.Contains(res.Output, "before\n") {
			t.Errorf("after exit 5: restarted %v, exit code %d, output %q", res.ShellRestarted, res.ExitCode, res.Output)
		}
		res = s.run(t, fresh, `echo "$PWD,$colour"`)
		if want := sandbox.WorkDir + "/here,\n"; res.Output != want || res.ShellRestarted {
			t.Errorf("the next script says %q (restarted %v), want %q", res.Output, res.ShellRestarted, want)
		}
		s.run(t, fresh, "sleep 1000 & kill -9 -1")
		s.answers(t, fresh)
		if got := s.start(t, fresh, sandbox.Cmd{Argv: []string{"bash", "-c", "kill -9 -1; echo killed"}}); got.stdout != "killed\n" {
			t.Errorf("killing everything from beside the shell: %+v", got)
		}
		s.answers(t, fresh) // after the shell was killed while nothing ran in it
	})
}

func (s *suite) syntax(t *testing.T, box sandbox.Sandbox) {
	t.Run("a syntax error runs nothing", func(t *testing.T) {
		for i, text := range []string{
			"touch ran%d\nif true; then\n",
			"touch ran%d\necho 'open quote\n",
			"touch ran%d\nfor x in a b; do echo $x; fi\n",
			"touch ran%d; )",
			"touch ran%d\ncat <(echo x\n",
		} {
			res := s.run(t, box, fmt.Sprintf(text, i))
			if res.ExitCode != 2 || !res.SyntaxError && strings.Contains(text, "\n") {
				t.Errorf("%q: exit code %d, syntax error %v, output %q", text, res.ExitCode, res.SyntaxError, res.Output)
			}
			if res.Output == "" {
				t.Errorf("%q: no message", text)
			}
		}
		if res := s.run(t, box, "ls -d ran*"); res.ExitCode == 0 {
			t.Errorf("lines before the error ran: %s", res.Output)
		}
	})
	t.Run("a here-document with unbalanced text is no error", func(t *testing.T) {
		res := s.run(t, box, "cat <<'END'\nif ( \"unbalanced\nEND\necho done")
		if want := "if ( \"unbalanced\ndone\n"; res.Output != want {
			t.Errorf("got %q, want %q", res.Output, want)
		}
	})
}

func (s *suite) stdin(t *testing.T, box sandbox.Sandbox) {
	t.Run("standard input is at its end", func(t *testing.T) {
		for _, c := range []struct{ text, want string }{
			{"cat; echo $?", "0\n"},
			{"python3; echo $?", "0\n"},
			{"bash; echo $?", "0\n"},
			{"read line; echo $?", "1\n"},
			{"cat\necho second line", "second line\n"},
			{"(cat; echo in a subshell)", "in a subshell\n"},
			{"while read x; do echo never; done; echo end", "end\n"},
		} {
			res := s.run(t, box, c.text)
			if res.Output != c.want || res.Deadline != "" {
				t.Errorf("%q says %q (deadline %q), want %q", c.text, res.Output, res.Deadline, c.want)
			}
		}
	})
}

func (s *suite) output(t *testing.T, box sandbox.Sandbox) {
	limit := int(sandbox.DefaultLimits.OutputBytes)
	t.Run("output is bounded and both ends are kept", func(t *testing.T) {
		res := s.run(t, box, "seq 1000000")
		if res.OutputBytes != 6888896 {
			t.Errorf("its size is reported as %d, want 6888896", res.OutputBytes)
		}
		if len(res.Output) > limit+1024 {
			t.Errorf("%d bytes come back, want at most about %d", len(res.Output), limit)
		}
		if !strings.HasPrefix(res.Output, "1\n2\n3\n") || !strings.HasSuffix(res.Output, "\n999999\n1000000\n") {
			t.Errorf("it begins %q and ends %q", res.Output[:20], res.Output[len(res.Output)-20:])
		}
	})
	t.Run("output is valid UTF-8", func(t *testing.T) {
		res := s.run(t, box, `printf 'caf\xc3\xa9 \xff\xfe\x80 end\n'; head -c 200000 /dev/urandom; printf '\nlast\n'`)
		if !utf8.ValidString(res.Output) {
			t.Error("it is not")
		}
		if !strings.HasPrefix(res.Output, "café ") || !strings.HasSuffix(res.Output, "last\n") {
			t.Errorf("the ends are lost: %.30q", res.Output)
		}
	})
	t.Run("a gigabyte passes in bounded memory", func(t *testing.T) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		res := s.run(t, box, "yes 0123456789abcdef | head -c 1000000000")
		runtime.GC()
		runtime.ReadMemStats(&after)
		if res.OutputBytes != 1_000_000_000 || res.Deadline != "" {
			t.Errorf("got %d bytes (deadline %q), want all", res.OutputBytes, res.Deadline)
		}
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 { //nolint:gosec // small
			t.Errorf("this process holds %d bytes more than before", grown)
		}
		if grown := int64(after.Sys) - int64(before.Sys); grown > 128<<20 { //nolint:gosec // small
			t.Errorf("this process asked for %d bytes meanwhile", grown)
		}
		res = s.run(t, box, "awk '/VmHWM/ {print $2}' /proc/1/status")
		if kb, err := strconv.Atoi(strings.TrimSpace(res.Output)); err == nil && kb > 64<<10 {
			t.Errorf("the shim grew to %d kB", kb)
		}
	})
	t.Run("a line without end", func(t *testing.T) {
		res := s.run(t, box, "head -c 50000000 /dev/zero | tr '\\0' x")
		if res.OutputBytes != 50_000_000 || len(res.Output) > limit+1024 {
			t.Errorf("%d bytes counted, %d come back", res.OutputBytes, len(res.Output))
		}
	})
}
