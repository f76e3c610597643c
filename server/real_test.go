package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym"
	"mlgym/gym"
	"mlgym/internal/shim/shimtest"
	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/server"
	"mlgym/server/openenv"
	"mlgym/server/servertest"
	"mlgym/server/session"
	"mlgym/server/supply"
)

func TestMain(m *testing.M) {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// real starts a server whose environments are tasks in sandboxes.
func real(t *testing.T, warm map[string]int) *servertest.House {
	t.Helper()
	catalog, err := mlgym.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	all, err := supply.New(supply.Options{
		Driver: bubblewrap.New(bubblewrap.Options{}), Secret: []byte("the secret of this test, 32 byte"), Tasks: catalog, Variant: "small",
		Warm: warm, WarmOthers: -1, Limits: sandbox.Limits{MemoryBytes: 512 << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := all.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := all.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	skipWithoutSandbox(t, all)
	ready, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := all.AwaitWarm(ready); err != nil {
		t.Fatal(err)
	}
	return servertest.Start(t, session.Options{Make: all.Make, Patience: -1}, server.Options{Tasks: []openenv.Task{{ID: "battleOfSexes"}}, Default: "battleOfSexes"})
}

func skipWithoutSandbox(t *testing.T, all *supply.Supply) {
	t.Helper()
	made, err := all.Make(t.Context(), session.Request{Task: "battleOfSexes"})
	if err != nil {
		t.Fatal(err)
	}
	defer made.Env.Close()
	if _, err = made.Env.Reset(t.Context(), gym.ResetOptions{}); err == nil {
		return
	}
	if _, ok := errors.AsType[*sandbox.UnavailableError](err); ok {
		t.Skipf("SKIPPED, nothing of this is tested here: %v", err)
	}
	t.Fatal(err)
}

// clocks is what is another one each time: times, and the ids that the server draws.
var clocks = regexp.MustCompile(`"(seconds|at|session_id|episode_id)":("[^"]*"|[0-9.e+-]+)`)

// play sends commands and returns the replies without what clocks tell.
func play(c *servertest.Client, commands []string) []string {
	out := make([]string, len(commands))
	for i, command := range commands {
		text, _ := json.Marshal(command) //nolint:errchkjson // a string
		c.Send(`{"type":"step","data":{"command":` + string(text) + `}}`)
		out[i] = command + " => " + string(clocks.ReplaceAll(c.Raw(), []byte(`"$1":0`)))
	}
	return out
}

// TestDeterminism: the same seed and actions lead to the same observations, rewards
// and evaluations: in a sandbox that was made for the episode, in one that was ready,
// and from a saved state.
func TestDeterminism(t *testing.T) {
	const seed = 20261126
	const drawn = `python3 -c "import os, random; random.seed(int(os.environ['MLGYM_SEED'])); print([random.random() for _ in range(3)])"`
	begin := []string{
		"ls -A; cat target.py; echo seed $MLGYM_SEED", "validate", "cp strategy.py other.py; cd /tmp; note=kept", drawn,
	}
	rest := []string{
		"pwd; echo $note; cd ~/workspace", drawn, "no_such_command", "(exit 3)", "echo '# noted' >> strategy.py; validate", "open strategy.py", "submit",
	}
	reset := func(c *servertest.Client, rest string) string {
		c.Send(fmt.Sprintf(`{"type":"reset","data":{"seed":%d%s}}`, seed, rest))
		return string(clocks.ReplaceAll(c.Raw(), []byte(`"$1":0`)))
	}
	tasks := []string{"battleOfSexes", "blotto", "prisonersDilemma"}
	if servertest.RaceDetector {
		tasks = tasks[:1]
	}
	cold, warm := real(t, nil), real(t, map[string]int{tasks[0]: 1})
	for _, task := range tasks {
		t.Run(task, func(t *testing.T) {
			named := `,"task":"` + task + `"`
			first := cold.Dial(t, "/ws")
			want := append([]string{reset(first, named)}, play(first, begin)...)
			saved := first.Ask(`{"type":"snapshot"}`, "snapshot").SnapshotID
			ending := play(first, rest)
			want = append(want, ending...)
			if last := want[len(want)-1]; !strings.Contains(last, `"exit_status":"submitted"`) || !strings.Contains(last, `"kind":"submit"`) {
				t.Errorf("the episode ended by %s", last)
			}
			for name, h := range map[string]*servertest.House{"again": cold, "in a sandbox that was ready": warm} {
				c := h.Dial(t, "/ws")
				got := append([]string{reset(c, named)}, play(c, append(append([]string{}, begin...), rest...))...)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s it is another episode (-first +other):\n%s", name, diff)
				}
			}
			fork := cold.Dial(t, "/ws")
			reset(fork, `,"snapshot":"`+saved+`"`)
			if diff := cmp.Diff(ending, play(fork, rest)); diff != "" {
				t.Errorf("from a saved state it is another episode (-first +other):\n%s", diff)
			}
			other := cold.Dial(t, "/ws")
			other.Send(`{"type":"reset","data":{"seed":1` + named + `}}`)
			other.Raw()
			if got := play(other, []string{begin[0], drawn}); got[0] == want[1] || got[1] == want[len(begin)] {
				t.Errorf("another seed is the same episode: %s", got)
			}
		})
	}
}

// TestHostileCommands: whatever a command is or prints, it is answered, and the
// episode goes on.
func TestHostileCommands(t *testing.T) {
	h := real(t, nil)
	c := h.Dial(t, "/ws")
	beside := h.Dial(t, "/ws")
	beside.Reset()
	c.Reset()
	for _, command := range []string{
		"echo a\x00b", "\x00", "printf '\\xff\\xfe\\x00'", "head -c 3000000 /dev/urandom", "yes | head -c 20000000",
		"echo " + strings.Repeat("x", 900_000), "kill -9 $$", "exec false", "exit 7", "cat", "read x; echo $x", "(((((", "\x1b]0;x\x07", "\ufeffls",
		strings.Repeat("(", 100_000), "stty raw; exec 1>&-", "exec 0<&- 1>&- 2>&-", "set -e; false", "trap '' INT TERM; true", "ulimit -n 3; ls",
		`printf '{"type":"observation","data":{}}\n'`,
	} {
		got := c.Step(command)
		if got.Done || got.Metadata.Mask || len(got.Observation.Text) > 1<<20 {
			t.Errorf("%.60q is answered by %d bytes, %+v", command, len(got.Observation.Text), got.Metadata)
		}
	}
	if got := c.Step("echo alive"); got.Observation.Text != "alive\n" {
		t.Errorf("in the end: %+v", got)
	}
	// What kills everything that it can reach ends this episode at most.
	got := c.Step("kill -9 -1; echo still here")
	t.Logf("kill -9 -1: %q, %+v", got.Observation.Text, got.Metadata)
	if got.Done && !got.Metadata.Mask && got.Metadata.ExitStatus == "" {
		t.Errorf("an end without a reason: %+v", got)
	}
	if got := beside.Step("echo alive"); got.Observation.Text != "alive\n" {
		t.Errorf("beside it: %+v", got)
	}
	if got := c.Reset(); got.Observation.Text == "" || c.Step("echo alive").Observation.Text != "alive\n" {
		t.Errorf("after a reset: %+v", got)
	}
}

// TestLongCommand is waited for, interrupted, and found again by a client that was
// gone meanwhile; the shell lives on.
func TestLongCommand(t *testing.T) {
	h := real(t, nil)
	c := h.Dial(t, "/ws")
	id := c.Ask(`{"type":"reset","data":{"patience_s":0.3}}`, "observation").Metadata.SessionID
	c.Step("colour=green")
	if got := c.Step("echo before; sleep 600"); !got.Observation.Running {
		t.Fatalf("a long command: %+v", got)
	}
	if got := c.Step("ls"); !got.Observation.Running || !strings.Contains(got.Observation.Text, "not run") {
		t.Errorf("another one: %+v", got)
	}
	if got := c.Ask(`{"type":"step","data":{"command":"interrupt"}}`, "observation"); got.Observation.Running {
		got = c.Step("wait") // it takes its time on a busy machine
		t.Logf("interrupted late: %+v", got)
	} else if !strings.HasPrefix(got.Observation.Text, "before\n") {
		t.Errorf("interrupted: %+v", got)
	}
	if got := c.Step("echo $colour"); got.Observation.Text != "green\n" {
		t.Errorf("the shell: %+v", got)
	}
	c.Step("mkfifo go; (read -r < go; echo found)")
	_ = c.Conn.CloseNow()
	s, err := h.Table.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	for h.Table.Held(s) {
		time.Sleep(time.Millisecond) // the server finds out
	}
	c = h.Dial(t, "/ws?session_id="+id)
	if got := c.Ask(`{"type":"last"}`, "observation"); !got.Observation.Running {
		t.Errorf("the last reply: %+v", got)
	}
	if status, body, _ := h.HTTP(t, "POST", "/episodes/"+id+"/interrupt", ""); status != 204 {
		t.Errorf("interrupted from beside: %d %s", status, body)
	}
	for got := c.Step("wait"); ; got = c.Step("wait") {
		if !got.Observation.Running {
			break
		}
	}
	if got := c.Step("echo $colour"); got.Observation.Text != "green\n" {
		t.Errorf("the shell: %+v", got)
	}
}
