package sandboxtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mlgym/sandbox"
)

// soon is a deadline that scripts of this file are meant to miss.
const soon = 700 * time.Millisecond

// longer calls try with a deadline, and then with twice as much each time for as
// long as what try returns does not hold want: on a busy machine a deadline may come
// before a script has got to where it is to be met. It returns the deadline that
// was late enough.
func longer(t *testing.T, deadline time.Duration, want string, try func(time.Duration) string) time.Duration {
	t.Helper()
	for ; ; deadline *= 2 {
		output := try(deadline)
		if strings.Contains(output, want) {
			return deadline
		}
		if t.Failed() || deadline > patience/4 {
			t.Fatalf("output %q after %v, want %q", output, deadline, want)
		}
		t.Logf("%v were too short: output %q", deadline, output)
	}
}

func (s *suite) deadlines(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	missed := func(t *testing.T, script sandbox.Script, want string) sandbox.Result {
		t.Helper()
		if script.Grace == 0 {
			script.Grace = 200 * time.Millisecond
		}
		res := s.script(t, box, script)
		if res.Deadline != want {
			t.Errorf("%q: deadline %q, want %q (exit code %d, output %q)", script.Text, res.Deadline, want, res.ExitCode, res.Output)
		}
		return res
	}
	t.Run("wall", func(t *testing.T) {
		var res sandbox.Result
		wall := longer(t, soon, "partial\n", func(wall time.Duration) string {
			s.run(t, box, "colour=green")
			res = missed(t, sandbox.Script{Text: "echo partial; sleep 1000; echo never", Wall: wall}, "wall")
			return res.Output
		})
		if !strings.HasPrefix(res.Output, "partial\n") || strings.Contains(res.Output, "never") {
			t.Errorf("output %q, want what was printed before the deadline", res.Output)
		}
		if res.DeadlineAfter != wall || res.ExitCode == 0 {
			t.Errorf("deadline after %v, exit code %d", res.DeadlineAfter, res.ExitCode)
		}
		after := s.run(t, box, `echo "$colour"`)
		if want := map[bool]string{false: "green\n", true: "\n"}[res.ShellRestarted]; after.Output != want {
			t.Errorf("restarted is %v, but the variable is %q", res.ShellRestarted, after.Output)
		}
	})
	t.Run("idle", func(t *testing.T) {
		// Four pauses are more than one deadline: output takes it off.
		longer(t, soon, "1\n2\n3\n4\n", func(idle time.Duration) string {
			text := fmt.Sprintf("for i in 1 2 3 4; do echo $i; sleep %g; done; sleep 1000", 0.3*idle.Seconds())
			return missed(t, sandbox.Script{Text: text, Wall: patience, Idle: idle}, "idle").Output
		})
	})
	t.Run("an interrupt can be answered", func(t *testing.T) {
		code := `import time
try:
    print("started", flush=True)
    while True: time.sleep(0.01) # one long sleep may begin before the signal is seen
except KeyboardInterrupt: print("saved my work", flush=True)`
		longer(t, soon, "started\nsaved my work", func(wall time.Duration) string {
			return missed(t, sandbox.Script{Text: "python3 -c '" + code + "'", Wall: wall, Grace: patience / 2}, "wall").Output
		})
	})
	// outlived checks that nothing is left of programs that a script starts before
	// it prints started.
	outlived := func(t *testing.T, script string) {
		t.Helper()
		marker := "mlgymtest" + unique()
		script = strings.ReplaceAll(script, "MARKER", marker) + "\necho started; sleep 1000"
		longer(t, someStarts, "started\n", func(wall time.Duration) string {
			res := missed(t, sandbox.Script{Text: script, Wall: wall}, "wall")
			s.answers(t, box)
			if left := s.python(t, box, listProcesses, marker); left != "" {
				t.Errorf("still running:\n%s", left)
			}
			beats := func() string { return s.run(t, box, "cat beats-* 2>/dev/null | wc -c").Output }
			if before, after := beats(), s.run(t, box, "sleep 0.3").Output+beats(); after != before {
				t.Errorf("something goes on: %s bytes were written, then %s", before, after)
			}
			return res.Output
		})
	}
	t.Run("nothing outlives its deadline", func(t *testing.T) { outlived(t, survivors) })
	// Each of these is met by a signal by chance only, and by the list of processes,
	// too: what it writes tells.
	t.Run("nothing that forks on outlives its deadline", func(t *testing.T) { outlived(t, relay) })
	t.Run("ignoring every signal", func(t *testing.T) {
		missed(t, sandbox.Script{Text: "trap '' INT TERM HUP QUIT; while :; do :; done", Wall: soon}, "wall")
		s.answers(t, box)
	})
	t.Run("a stopped program", func(t *testing.T) {
		missed(t, sandbox.Script{Text: "bash -c 'kill -STOP $$'", Wall: soon}, "wall")
		s.answers(t, box)
	})
	t.Run("output that never ends", func(t *testing.T) {
		var res sandbox.Result
		longer(t, soon, "y\ny\n", func(wall time.Duration) string {
			res = missed(t, sandbox.Script{Text: "yes", Wall: wall}, "wall")
			return res.Output
		})
		if res.OutputBytes < int64(len(res.Output)) || !strings.HasPrefix(res.Output, "y\ny\n") {
			t.Errorf("%d bytes counted, output begins %.20q", res.OutputBytes, res.Output)
		}
		s.answers(t, box)
	})
}

// someStarts is time enough to start some programs on a machine that is not busy.
const someStarts = 2 * time.Second

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

// relay starts programs that are other processes at every moment, once all of them
// are up: each makes the next one and ends.
const relay = `
cat > relay.sh <<'END'
exec setsid python3 -c 'import os, signal, time
for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT): signal.signal(n, signal.SIG_IGN)
os.write(1, b"up\n")
while not os.path.exists("go"): time.sleep(0.01)
while True:
    if os.fork(): os._exit(0)
    time.sleep(0.0005)
    os.write(2, b".")' MARKER
END
mkfifo up 2>/dev/null; rm -f go
for i in 1 2 3 4 5 6; do (bash relay.sh > up 2> beats-$i &) ; read -r x < up; done
touch go
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
