package taskenv_test

import (
	"encoding/json"
	"strings"
	"testing"

	"mlgym"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/taskenv"
)

// TestSubmissionsThatAreHidden are the agent's doing: a fault of ours would mask
// the episode, and an agent that does badly would gain by it.
func TestSubmissionsThatAreHidden(t *testing.T) {
	for name, command := range map[string]string{
		"no permission":             "chmod 000 strategy.py",
		"no permission above":       "chmod 000 .; cd /",
		"a file for a folder":       "cd ..; rm -rf workspace; echo > workspace",
		"links in a circle":         "cd ..; rm -rf workspace; ln -s workspace workspace",
		"a pipe":                    "rm strategy.py; mkfifo strategy.py",
		"sparse and huge":           "truncate -s 1000G strategy.py || truncate -s 1G strategy.py",
		"rewritten all the time":    "(while :; do head -c 200000 /dev/zero | tr '\\0' '#' > strategy.py; : > strategy.py; done) & sleep 0.2",
		"a link into the processes": "rm strategy.py; ln -s /proc/1/mem strategy.py",
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t, mlgym.Options{})
			step(t, env, command)
			for range 3 {
				step(t, env, "validate") // a fault would be an error
			}
			if tr := step(t, env, "submit"); !tr.Terminated || tr.Info.Fault != "" {
				t.Errorf("submit led to %+v", tr.Info)
			}
		})
	}
}

// TestShellsThatHideTheirEnd keep the shell from reporting.
func TestShellsThatHideTheirEnd(t *testing.T) {
	const descriptors = "for f in /proc/$$/fd/*; do n=${f##*/}; if [ $n -gt 9 ] && [ $n != 255 ]; then "
	for name, commands := range map[string][]string{
		"closed":  {descriptors + `eval "exec $n>&-"; fi; done; sleep 3600`},
		"flooded": {descriptors + `(timeout 1 head -c 1000000 /dev/zero | tr '\0' x > $f) 2>/dev/null; fi; done; echo over`},
		"stopped, its orders full": {
			"(sleep 1; kill -STOP $$; timeout 1 head -c 1000000 /dev/zero > /proc/$$/fd/0) >/dev/null 2>&1 &",
			"job start sleep 3", "job wait 1",
			"echo taken",
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t, mlgym.Options{})
			for _, command := range commands {
				if rest, ok := strings.CutPrefix(command, "job "); ok {
					job(t, env, rest)
					continue
				}
				step(t, env, command)
			}
			wantText(t, step(t, env, "echo works"), "works\n")
		})
	}
}

// job calls the tool without the shell.
func job(t *testing.T, env *taskenv.Env, line string) {
	t.Helper()
	args := map[string]any{"action": "wait", "id": 1}
	if command, ok := strings.CutPrefix(line, "start "); ok {
		args = map[string]any{"action": "start", "command": command}
	}
	data, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.Step(t.Context(), gym.Action{Tool: "job", Args: data}); err != nil {
		t.Fatalf("job %s: %v", line, err)
	}
}

// TestFloodOfValidations asks for gradings and goes away.
func TestFloodOfValidations(t *testing.T) {
	env := newEnv(t, mlgym.Options{})
	tr := step(t, env, `python3 - <<'EOF'
import json, socket
for i in range(2000):
    s = socket.socket(socket.AF_UNIX)
    s.connect("\0mlgym-shim")
    s.sendall(json.dumps({"name": "validate", "argv": []}).encode() + b"\n")
    s.close()
EOF
for i in $(seq 20); do validate >/dev/null; done
echo over`)
	wantText(t, tr, "over\n")
	if n := len(tr.Info.Evaluations); n == 0 || n > 10 {
		t.Errorf("%d gradings were made, want some and at most 10", n)
	}
	if tr := step(t, env, "validate"); len(tr.Info.Evaluations) != 1 {
		t.Errorf("the step after it cannot validate:\n%s", tr.Observation.Text)
	}
}

// TestFloodOfTheToolsSocket sends what no tool sends, from many ends.
func TestFloodOfTheToolsSocket(t *testing.T) {
	env := newEnv(t, mlgym.Options{Limits: sandbox.Limits{MemoryBytes: 512 << 20, DiskBytes: 64 << 20}})
	tr := step(t, env, `timeout 20 python3 - <<'EOF'
import socket, threading
def flood(kind):
    try:
        kept = []
        for i in range(300):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(2)
            s.connect("\0mlgym-shim")
            kept.append(s)
            if kind == 0:
                s.sendall(b'{"name":"open","argv":["' + b'x' * (20 << 20))
            elif kind == 1:
                s.sendall(b'[' * 100000)
            elif kind == 2:
                s.sendall(b'{"name":"validate","argv":["' + b'y' * (15 << 20) + b'"]}')
    except OSError:
        pass
threads = [threading.Thread(target=flood, args=(i % 4,)) for i in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
EOF
echo over`)
	wantText(t, tr, "over\n")
	wantText(t, step(t, env, "open strategy.py"), "row_strategy")
	wantText(t, step(t, env, "validate"), "Evaluation Score")
}
