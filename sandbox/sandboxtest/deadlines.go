package sandboxtest

import (
	"strings"
	"testing"
	"time"

	"mlgym/sandbox"
)

// soon is a deadline that scripts of this file are meant to miss.
const soon = 700 * time.Millisecond

func (s *suite) deadlines(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	missed := func(t *testing.T, script sandbox.Script, want string) sandbox.Result {
		t.Helper()
		script.Grace = 200 * time.Millisecond
		res := s.script(t, box, script)
		if res.Deadline != want {
			t.Errorf("%q: deadline %q, want %q (exit code %d, output %q)", script.Text, res.Deadline, want, res.ExitCode, res.Output)
		}
		return res
	}
	t.Run("wall", func(t *testing.T) {
		s.run(t, box, "colour=green")
		res := missed(t, sandbox.Script{Text: "echo partial; sleep 1000; echo never", Wall: soon}, "wall")
		if !strings.HasPrefix(res.Output, "partial\n") || strings.Contains(res.Output, "never") {
			t.Errorf("output %q, want what was printed before the deadline", res.Output)
		}
		if res.DeadlineAfter != soon || res.ExitCode == 0 {
			t.Errorf("deadline after %v, exit code %d", res.DeadlineAfter, res.ExitCode)
		}
		after := s.run(t, box, `echo "$colour"`)
		if want := map[bool]string{false: "green\n", true: "\n"}[res.ShellRestarted]; after.Output != want {
			t.Errorf("restarted is %v, but the variable is %q", res.ShellRestarted, after.Output)
		}
	})
	t.Run("idle", func(t *testing.T) {
		res := missed(t, sandbox.Script{Text: "for i in 1 2 3 4; do echo $i; sleep 0.2; done; sleep 1000", Wall: patience, Idle: soon}, "idle")
		if !strings.HasPrefix(res.Output, "1\n2\n3\n4\n") {
			t.Errorf("output %q, want 1 to 4: output takes the deadline off", res.Output)
		}
	})
	t.Run("an interrupt can be answered", func(t *testing.T) {
		code := `import time
try: time.sleep(1000)
except KeyboardInterrupt: print("saved my work", flush=True)`
		res := s.script(t, box, sandbox.Script{Text: "python3 -c '" + code + "'", Wall: slowStart, Grace: patience})
		if !strings.Contains(res.Output, "saved my work") {
			t.Errorf("output %q, want what the program said when it was interrupted", res.Output)
		}
	})
	t.Run("nothing outlives its deadline", func(t *testing.T) {
		marker := "mlgymtest" + unique()
		script := strings.ReplaceAll(survivors, "MARKER", marker) + "\necho started; sleep 1000"
		res := missed(t, sandbox.Script{Text: script, Wall: slowStart}, "wall")
		if !strings.Contains(res.Output, "started\n") {
			t.Errorf("output %q, want started", res.Output)
		}
		s.answers(t, box)
		if left := s.python(t, box, listProcesses, marker); left != "" {
			t.Errorf("still running:\n%s", left)
		}
	})
	t.Run("ignoring every signal", func(t *testing.T) {
		missed(t, sandbox.Script{Text: "trap '' INT TERM HUP QUIT; while :; do :; done", Wall: soon}, "wall")
		s.answers(t, box)
	})
	t.Run("a stopped program", func(t *testing.T) {
		missed(t, sandbox.Script{Text: "bash -c 'kill -STOP $$'", Wall: soon}, "wall")
		s.answers(t, box)
	})
	t.Run("output that never ends", func(t *testing.T) {
		res := missed(t, sandbox.Script{Text: "yes", Wall: soon}, "wall")
		if res.OutputBytes < int64(len(res.Output)) || !strings.HasPrefix(res.Output, "y\ny\n") {
			t.Errorf("%d bytes counted, output begins %.20q", res.OutputBytes, res.Output)
		}
		s.answers(t, box)
	})
}

// slowStart is time enough for Python to begin its work on a busy machine.
const slowStart = 5 * time.Second

// survivors start programs that try to outlive whoever started them. MARKER is
// their name in the list of processes.
const survivors = `
cat > survivor.sh <<'END'
trap '' INT TERM HUP QUIT
exec python3 -c 'import signal, sys, time
for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT): signal.signal(n, signal.SIG_IGN)
print("up", flush=True)
while True: time.sleep(1000)' MARKER-$1
END
mkfifo up 2>/dev/null
(bash survivor.sh plain > up &) ; read -r x < up
nohup bash survivor.sh nohup > up 2>/dev/null & read -r x < up
setsid bash survivor.sh setsid > up & read -r x < up
setsid --fork bash survivor.sh fork > up & read -r x < up
( ( setsid nohup bash survivor.sh double > up 2>/dev/null & ) & ) ; read -r x < up
bash -c 'setsid bash -c "bash survivor.sh deep > up & disown; exit" & disown; exit' ; read -r x < up
disown -a
`

// listProcesses prints the processes inside whose command line holds a text.
const listProcesses = `import os, sys
for pid in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
    try:
        line = open(f"/proc/{pid}/cmdline").read().replace("\0", " ")
        state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    except OSError:
        continue
    if sys.argv[1] in line and int(pid) != os.getpid() and state != "Z":
        print(pid, state, line)
`
