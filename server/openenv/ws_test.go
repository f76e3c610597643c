package openenv_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"mlgym/server"
	"mlgym/server/servertest"
	"mlgym/server/session"
)

var update = flag.Bool("update", false, "write the golden files anew")

// transcript are the messages of an episode that uses everything.
var transcript = []string{
	`{"type":"state"}`,
	`{"type":"step","data":{"command":"too early"}}`,
	`{"type":"reset","data":{"seed":7,"episode_id":"first","patience_s":0.05,"unknown":"is not looked at"}}`,
	`{"type":"step","data":{"command":"count"}}`,
	`{"type":"step","data":{"type":"list_tools"}}`,
	`{"type":"step","data":{"type":"call_tool","tool_name":"open","arguments":{"path":"a.py"}}}`,
	`{"type":"step","data":{"type":"call_tool","tool_name":"bash","arguments":{"command":"ls"}}}`,
	`{"type":"step","data":{"type":"call_tool","tool_name":"nothing","arguments":{}}}`,
	`{"type":"step","data":{"command":5,"metadata":{"any":"thing"}}}`,
	`{"type":"step","data":{"command":"validate"}}`,
	`{"type":"step","data":{"command":"hold"}}`,
	`{"type":"step","data":{"command":"ls"}}`,
	`{"type":"snapshot"}`,
	`{"type":"state"}`,
	`{"type":"step","data":{"command":"interrupt"}}`,
	`{"type":"last"}`,
	`{"type":"snapshot"}`,
	`{"type":"mcp","data":{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"bash","arguments":{"command":"ls"}}}}`,
	`{"type":"mcp","data":{"jsonrpc":"2.0","id":"x","method":"nothing"}}`,
	`{"type":"reset","data":{"snapshot":"SNAPSHOT","episode_id":"second"}}`,
	`{"type":"step","data":{"command":"submit"}}`,
	`{"type":"step","data":{"command":"too late"}}`,
	`{"type":"reset","data":{"task":"more","max_steps":3,"seed":0}}`,
	`{"type":"step","data":{"command":"fault"}}`,
	`{"type":"state"}`,
	`{"type":"reset","data":{"task":"refused"}}`,
	`{"type":"reset","data":{"seeds":1}}`,
	`{"type":"nothing"}`,
	`{"type":"state","more":1}`,
	`no JSON`,
}

// TestTranscript compares the messages of an episode with those of the golden file,
// but for ids that are drawn and the list of tools.
func TestTranscript(t *testing.T) {
	c := servertest.Start(t, session.Options{}, server.Options{}).Dial(t, "/ws")
	ids := regexp.MustCompile(`"[0-9a-f]{32}"`)
	tools := regexp.MustCompile(`"tools":\[\{.*\}\]`)
	var out strings.Builder
	snapshot := ""
	for _, m := range transcript {
		fmt.Fprintf(&out, "> %s\n", m)
		c.Send(strings.ReplaceAll(m, "SNAPSHOT", snapshot))
		text := c.Raw()
		var f servertest.Frame
		var saved servertest.Observed
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(f.Data, &saved); err == nil && saved.SnapshotID != "" {
			snapshot = saved.SnapshotID
		}
		masked := ids.ReplaceAll(text, []byte(`"ID"`))
		fmt.Fprintf(&out, "< %s\n", tools.ReplaceAll(masked, []byte(`"tools":["…"]`)))
	}
	c.Send(`{"type":"close"}`)
	c.Closed(websocket.StatusNormalClosure)
	path := filepath.Join("testdata", "transcript.txt")
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("the wire is another one (-want +got; -update writes it anew):\n%s", diff)
	}
}

// TestErrors: what is wrong is answered by its code, and the connection goes on.
func TestErrors(t *testing.T) {
	c := servertest.Start(t, session.Options{}, server.Options{}).Dial(t, "/ws")
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	resetWith := func(data string) string { return `{"type":"reset","data":{` + data + `}}` }
	stepWith := func(data string) string { return `{"type":"step","data":` + data + `}` }
	const invalidJSON, unknownType, validation, execution = "INVALID_JSON", "UNKNOWN_TYPE", "VALIDATION_ERROR", "EXECUTION_ERROR"
	for _, m := range []struct{ name, text, want, says string }{
		{"nothing", "", invalidJSON, ""},
		{"half a message", `{"type":"reset"`, invalidJSON, ""},
		{"two messages", `{"type":"state"}{"type":"state"}`, invalidJSON, ""},
		{"invalid UTF-8", "{\"type\":\"step\",\"data\":{\"command\":\"\xff\"}}", invalidJSON, ""},
		{"a NUL byte", "{\"type\":\"step\",\"data\":{\"command\":\"\x00\"}}", invalidJSON, ""},
		{"deep nesting", `{"type":"step","data":` + deep + `}`, invalidJSON, ""},
		{"deep nesting alone", deep, invalidJSON, ""},
		{"NaN", resetWith(`"seed":NaN`), invalidJSON, ""},
		{"a list", `[]`, validation, "object"},
		{"null", `null`, validation, "object"},
		{"a number", `5`, validation, "object"},
		{"no type", `{}`, unknownType, "known:"},
		{"a type that is a number", `{"type":5}`, unknownType, "known:"},
		{"a type that nobody knows", `{"type":"Reset"}`, unknownType, `"Reset"`},
		{"a very long type", `{"type":"` + strings.Repeat("x", 10_000) + `"}`, unknownType, "known:"},
		{"a further field", `{"type":"state","session":"x"}`, validation, "session"},

		{"reset: a list", `{"type":"reset","data":[]}`, validation, "object"},
		{"reset: a negative seed", resetWith(`"seed":-1`), validation, "seed"},
		{"reset: half a seed", resetWith(`"seed":1.5`), validation, "seed"},
		{"reset: a seed that floating point loses", resetWith(`"seed":18014398509481985`), validation, "seed"},
		{"reset: a seed of words", resetWith(`"seed":"7"`), validation, "seed"},
		{"reset: a long episode id", resetWith(`"episode_id":"` + strings.Repeat("x", 256) + `"`), validation, "255"},
		{"reset: no steps", resetWith(`"max_steps":0`), validation, "max_steps"},
		{"reset: negative patience", resetWith(`"patience_s":-1`), validation, "patience_s"},
		{"reset: patience for a month", resetWith(`"patience_s":2592000`), validation, "patience_s"},
		{"reset: a task that is a number", resetWith(`"task":5`), validation, "task"},
		{"reset: a task that is refused", resetWith(`"task":"refused"`), validation, "task"},
		{"reset: misspelt", resetWith(`"max_step":5`), validation, `"max_steps"`},
		{"reset: an unknown split", resetWith(`"split":"training","index":0`), validation, "train"},
		{"reset: an index without split", resetWith(`"index":0`), validation, "split"},
		{"reset: an index too far", resetWith(`"split":"train","index":2`), validation, "2 tasks"},
		{"reset: task and index", resetWith(`"split":"train","index":0,"task":"words"`), validation, "not by both"},
		{"reset: an unknown snapshot", resetWith(`"snapshot":"x"`), validation, "snapshot"},
		{"reset: an unknown session", resetWith(`"attach":"x"`), validation, "attach"},
		{"step before reset", stepWith(`{"command":"ls"}`), execution, "reset"},
		{"snapshot before reset", `{"type":"snapshot"}`, execution, "reset"},
		{"last before reset", `{"type":"last"}`, execution, "reset"},

		{"step: nothing", `{"type":"step"}`, validation, "command"},
		{"step: null", stepWith(`null`), validation, "command"},
		{"step: a list", stepWith(`["ls"]`), validation, "object"},
		{"step: text", stepWith(`"ls"`), validation, "object"},
		{"step: a command that is an object", stepWith(`{"command":{}}`), validation, "command"},
		{"step: a command that is null", stepWith(`{"command":null}`), validation, "command"},
		{"step: a further field", stepWith(`{"command":"ls","comand":"ls"}`), validation, "comand"},
		{"step: metadata that is text", stepWith(`{"command":"ls","metadata":"x"}`), validation, "metadata"},
		{"step: an unknown kind", stepWith(`{"type":"tool","command":"ls"}`), validation, "call_tool"},
		{"step: a kind that is a number", stepWith(`{"type":1,"command":"ls"}`), validation, "type"},
		{"step: no tool", stepWith(`{"type":"call_tool","arguments":{}}`), validation, "tool_name"},
		{"step: a tool without a name", stepWith(`{"type":"call_tool","tool_name":"","arguments":{}}`), validation, "tool_name"},
		{"step: a list of arguments", stepWith(`{"type":"call_tool","tool_name":"open","arguments":[]}`), validation, "arguments"},
		{"step: bash without a command", stepWith(`{"type":"call_tool","tool_name":"bash","arguments":{}}`), validation, "bash"},
	} {
		t.Run(m.name, func(t *testing.T) {
			got := c.Ask(m.text, "error")
			if got.Code != m.want || !strings.Contains(got.Message, m.says) {
				t.Errorf("the error is %+v, want %s with %q", got, m.want, m.says)
			}
			if len(got.Message) > 1000 {
				t.Errorf("the message has %d bytes", len(got.Message))
			}
			if st := c.Ask(`{"type":"state"}`, "state"); st.SessionID == "" {
				t.Errorf("then the state is %+v", st)
			}
		})
	}
	c.Reset()
	c.Step("submit")
	if got := c.Ask(stepWith(`{"command":"ls"}`), "error"); got.Code != execution {
		t.Errorf("a step after the end: %+v", got)
	}
	c.Reset()
	c.Step("ls")
}

// TestCommandsThatAreNoText: clients that read a model's reply as JSON send what it
// meant there.
func TestCommandsThatAreNoText(t *testing.T) {
	c := servertest.Start(t, session.Options{}, server.Options{}).Dial(t, "/ws")
	c.Reset()
	for sent, want := range map[string]string{
		"5": "5\n", "1.50": "1.50\n", "true": "true\n", "false": "false\n", "-1e3": "-1e3\n",
		`"\u0000x"`: "\x00x\n", `"\ud800"`: "\ufffd\n", `"ünï"`: "ünï\n", `""`: "",
	} {
		if got := c.Ask(`{"type":"step","data":{"command":`+sent+`}}`, "observation").Observation.Text; got != want {
			t.Errorf("the command %s is run as %q, want %q", sent, got, want)
		}
	}
}

// TestSizes: too much is an error, far too much the end of the connection, and no
// other session sees any of it.
func TestSizes(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	other := h.Dial(t, "/ws")
	other.Reset()
	c := h.Dial(t, "/ws")
	c.Reset()
	command := func(size int) string {
		frame := `{"type":"step","data":{"command":""}}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	const most = 1 << 20
	if got := c.Ask(command(most), "observation"); len(got.Observation.Text) < most-100 {
		t.Errorf("a message of 1 MiB is answered by %d bytes", len(got.Observation.Text))
	}
	for _, size := range []int{most + 1, 16 * most} {
		got := c.Ask(command(size), "error")
		if got.Code != "VALIDATION_ERROR" || !strings.Contains(got.Message, fmt.Sprintf("%d bytes of at most %d", size, most)) {
			t.Errorf("a message of %d bytes is answered by %+v", size, got)
		}
		c.Step("ls")
	}
	c.Send(command(16*most + 1))
	c.Closed(websocket.StatusMessageTooBig)
	other.Step("ls")

	// 100 MB: the server need not take them all before it ends the connection.
	far := 100_000_000
	if servertest.RaceDetector {
		far /= 4
	}
	huge := h.Dial(t, "/ws")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_ = huge.Conn.Write(ctx, websocket.MessageText, []byte(command(far)))
	if _, _, err := huge.Conn.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("%d bytes are answered: %v", far, err)
	}
	if got := other.Step("count").Observation.Text; got != "seed 7, 1 actions\n" {
		t.Errorf("the other session: %q", got)
	}
}

func TestBinaryFrames(t *testing.T) {
	c := servertest.Start(t, session.Options{}, server.Options{}).Dial(t, "/ws")
	if err := c.Conn.Write(t.Context(), websocket.MessageBinary, []byte(`{"type":"state"}`)); err != nil {
		t.Fatal(err)
	}
	c.Closed(websocket.StatusUnsupportedData)
}

// TestInOrder: messages that come ahead are answered one after the other.
func TestInOrder(t *testing.T) {
	c := servertest.Start(t, session.Options{}, server.Options{}).Dial(t, "/ws")
	c.Reset()
	const ahead = 10
	for range ahead {
		c.Send(`{"type":"step","data":{"command":"count"}}`)
	}
	for i := range ahead {
		if _, got := c.Receive(); got.Observation.Text != fmt.Sprintf("seed 7, %d actions\n", i) {
			t.Errorf("reply %d is %q", i, got.Observation.Text)
		}
	}
}

// TestFlood: who sends without end is sent away; its session can be had again, and
// the one beside goes on.
func TestFlood(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	other, c := h.Dial(t, "/ws"), h.Dial(t, "/ws")
	other.Reset()
	id := c.Reset().Metadata.SessionID
	c.Send(`{"type":"step","data":{"command":"hold"}}`)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sentAway := make(chan struct{})
	go func() {
		defer close(sentAway)
		c.Closed(websocket.StatusPolicyViolation)
	}()
	for range 1_000_000 {
		if err := c.Conn.Write(ctx, websocket.MessageText, []byte(`{"type":"state"}`)); err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		t.Fatal("nobody stopped the flood")
	}
	<-sentAway
	other.Step("ls")
	again := attached(t, h, id)
	if got := again.Step("interrupt"); got.Observation.Text != "interrupted\n" {
		t.Errorf("the session of the flood: %+v", got)
	}
}

// attached attaches to a session as soon as its connection has let it go.
func attached(t *testing.T, h *servertest.House, id string) *servertest.Client {
	t.Helper()
	s, err := h.Table.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); h.Table.Held(s); {
		if time.Now().After(deadline) {
			t.Fatal("the session is held for ever")
		}
		time.Sleep(time.Millisecond) // the server finds out by itself
	}
	return h.Dial(t, "/ws?session_id="+id)
}

// TestAttach: a client that vanished in the middle of a step finds the result.
func TestAttach(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	c := h.Dial(t, "/ws")
	id := c.Reset().Metadata.SessionID
	if taken := h.Dial(t, "/ws?session_id="+id); taken != nil {
		if _, got := taken.Receive(); got.Code != "SESSION_ERROR" {
			t.Errorf("a session that is held: %+v", got)
		}
		taken.Closed(websocket.StatusTryAgainLater)
	}
	c.Step("count")
	c.Send(`{"type":"step","data":{"command":"sleep 50ms"}}`)
	s, err := h.Table.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	for !s.State().Running {
		time.Sleep(time.Millisecond) // the message is on its way
	}
	_ = c.Conn.CloseNow()
	c = attached(t, h, id)
	if got := c.Ask(`{"type":"last"}`, "observation"); got.Observation.Text != "seed 7, 0 actions\n" {
		t.Errorf("the reply that was had last is %+v", got)
	}
	if got := c.Step("wait"); got.Observation.Text != "slept\n" || got.Observation.Step != 2 {
		t.Errorf("the result: %+v", got)
	}
	_ = c.Conn.CloseNow()

	// The same by a reset, of a connection that had a session of its own.
	s2, err := h.Table.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	for h.Table.Held(s2) {
		time.Sleep(time.Millisecond) // likewise
	}
	other := h.Dial(t, "/ws")
	own := other.Reset().Metadata.SessionID
	got := other.Ask(`{"type":"reset","data":{"attach":"`+id+`"}}`, "observation")
	if got.Metadata.SessionID != id || got.Observation.Text != "slept\n" {
		t.Errorf("attached: %+v", got)
	}
	if got := other.Step("count"); got.Observation.Text != "seed 7, 2 actions\n" {
		t.Errorf("then: %+v", got)
	}
	if _, err := h.Table.Find(own); err == nil {
		t.Error("the session that was left is still there")
	}
	gone := h.Dial(t, "/ws?session_id="+own)
	if _, got := gone.Receive(); got.Code != "SESSION_ERROR" {
		t.Errorf("a session that is gone: %+v", got)
	}
}

// TestPing: a connection is alive while its command runs.
func TestPing(t *testing.T) {
	c := servertest.Start(t, session.Options{}, server.Options{}).Dial(t, "/ws")
	c.Reset()
	c.Send(`{"type":"step","data":{"command":"sleep 200ms"}}`)
	reply := make(chan string)
	go func() {
		_, got := c.Receive()
		reply <- got.Observation.Text
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Conn.Ping(ctx); err != nil {
		t.Error(err)
	}
	select {
	case text := <-reply:
		t.Errorf("the command was over before the ping: %q", text)
	default:
	}
	if text := <-reply; text != "slept\n" {
		t.Errorf("the reply is %q", text)
	}
}

func TestCapacity(t *testing.T) {
	h := servertest.Start(t, session.Options{Max: 2}, server.Options{})
	first := h.Dial(t, "/ws")
	h.Dial(t, "/ws").Reset()
	first.Reset()
	for _, path := range []string{"/ws", "/mcp"} {
		c := h.Dial(t, path)
		var full struct {
			Data struct {
				Code   string `json:"code"`
				Active int    `json:"active_sessions"`
				Max    int    `json:"max_sessions"`
			} `json:"data"`
			Error struct {
				Code int            `json:"code"`
				Data map[string]int `json:"data"`
			} `json:"error"`
		}
		if err := json.Unmarshal(c.Raw(), &full); err != nil {
			t.Fatal(err)
		}
		switch {
		case path == "/ws" && (full.Data.Code != "CAPACITY_REACHED" || full.Data.Active != 2 || full.Data.Max != 2):
			t.Errorf("/ws is answered by %+v", full.Data)
		case path == "/mcp" && (full.Error.Code != -32000 || full.Error.Data["max_sessions"] != 2):
			t.Errorf("/mcp is answered by %+v", full.Error)
		}
	}
	status, body, header := h.HTTP(t, "POST", "/reset", "{}")
	if status != 503 || !strings.Contains(body, "CAPACITY_REACHED") || header.Get("Retry-After") == "" {
		t.Errorf("POST /reset: %d %s", status, body)
	}
	first.Send(`{"type":"close"}`)
	first.Closed(websocket.StatusNormalClosure)
	h.Dial(t, "/ws").Reset() // its place is free at once
}

// TestFork: several connections go on from one state, and it can be forgotten.
func TestFork(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	c := h.Dial(t, "/ws")
	id := c.Reset().Metadata.SessionID
	c.Step("validate")
	saved := c.Ask(`{"type":"snapshot"}`, "snapshot").SnapshotID
	status, body, _ := h.HTTP(t, "POST", "/episodes/"+id+"/snapshot", "")
	if status != 200 || !strings.Contains(body, "snapshot_id") {
		t.Errorf("over HTTP: %d %s", status, body)
	}
	for range 3 {
		child := h.Dial(t, "/ws")
		got := child.Ask(`{"type":"reset","data":{"snapshot":"`+saved+`"}}`, "observation")
		if got.Observation.Step != 1 || child.Step("count").Observation.Text != "seed 7, 1 actions\n" {
			t.Errorf("a child: %+v", got)
		}
	}
	for _, want := range []int{204, 404} {
		if status, body, _ := h.HTTP(t, "DELETE", "/snapshots/"+saved, ""); status != want {
			t.Errorf("forget: %d %s, want %d", status, body, want)
		}
	}
	if got := c.Ask(`{"type":"reset","data":{"snapshot":"`+saved+`"}}`, "error"); got.Code != "VALIDATION_ERROR" {
		t.Errorf("a snapshot that was forgotten: %+v", got)
	}
	if status, _, _ := h.HTTP(t, "POST", "/episodes/nobody/snapshot", ""); status != 404 {
		t.Errorf("a snapshot of nobody: %d", status)
	}
}

// TestDrain: the reply of the command under way arrives; then the connection ends.
func TestDrain(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	c, idle := h.Dial(t, "/ws"), h.Dial(t, "/ws")
	id := c.Reset().Metadata.SessionID
	c.Send(`{"type":"step","data":{"command":"sleep 300ms"}}`)
	s, err := h.Table.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	for !s.State().Running {
		time.Sleep(time.Millisecond) // the message is on its way
	}
	ended := make(chan int)
	go func() {
		cut, err := h.Shutdown(t.Context())
		if err != nil {
			t.Error(err)
		}
		ended <- cut
	}()
	for !h.Table.Draining() {
		time.Sleep(time.Millisecond) // it is about to
	}
	if status, _, _ := h.HTTP(t, "GET", "/health", ""); status != 503 {
		t.Errorf("its health is %d", status)
	}
	late := h.Dial(t, "/ws")
	if _, got := late.Receive(); got.Code != "SESSION_ERROR" {
		t.Errorf("a new session: %+v", got)
	}
	late.Closed(websocket.StatusTryAgainLater)
	if _, got := c.Receive(); got.Observation.Text != "slept\n" {
		t.Errorf("the command's reply: %+v", got)
	}
	c.Closed(websocket.StatusGoingAway)
	idle.Closed(websocket.StatusGoingAway)
	if cut := <-ended; cut != 0 {
		t.Errorf("%d commands were cut off", cut)
	}
}
