package openenv_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"mlgym/server"
	"mlgym/server/servertest"
	"mlgym/server/session"
)

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%.300s: %v", text, err)
	}
	return v
}

// TestHTTP plays an episode over HTTP, with each of the three ways to name a session.
func TestHTTP(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	for _, c := range []struct {
		name string
		// names are the headers and the field of the body that name the session.
		names func(id string) (headers []string, field string)
	}{
		{"header", func(id string) ([]string, string) { return []string{"X-Session-ID", id}, "" }},
		{"cookie", func(id string) ([]string, string) { return []string{"Cookie", "mlgym_session=" + id}, "" }},
		{"field", func(id string) ([]string, string) { return nil, `,"session_id":"` + id + `"` }},
		{"header before cookie", func(id string) ([]string, string) {
			return []string{"X-Session-ID", id, "Cookie", "mlgym_session=other"}, ""
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, header := h.HTTP(t, "POST", "/reset", `{"seed":7,"episode_id":"e"}`)
			first := decode[servertest.Observed](t, body)
			id := first.Metadata.SessionID
			if status != 200 || first.Observation.Text != "the statement\n" || header.Get("X-Session-ID") != id || !strings.Contains(header.Get("Set-Cookie"), "mlgym_session="+id) {
				t.Fatalf("reset: %d %s %v", status, body, header)
			}
			for _, flag := range []string{"HttpOnly", "SameSite=Strict"} {
				if !strings.Contains(header.Get("Set-Cookie"), flag) {
					t.Errorf("the cookie is %q, want %s", header.Get("Set-Cookie"), flag)
				}
			}
			headers, field := c.names(id)
			do := func(rest string) servertest.Observed {
				t.Helper()
				status, body, _ := h.HTTP(t, "POST", "/step", `{"action":{"command":"count"}`+rest+field+`}`, headers...)
				if status != 200 {
					t.Fatalf("step: %d %s", status, body)
				}
				return decode[servertest.Observed](t, body)
			}
			if got := do(""); got.Observation.Text != "seed 7, 0 actions\n" || got.Metadata.EpisodeID != "e" {
				t.Errorf("the first step: %+v", got)
			}
			for range 2 {
				if got := do(`,"request_id":"r"`); got.Observation.Text != "seed 7, 1 actions\n" {
					t.Errorf("the step that comes twice: %+v", got)
				}
			}
			if headers != nil {
				status, body, _ = h.HTTP(t, "GET", "/state", "", headers...)
				if got := decode[servertest.Observed](t, body); status != 200 || got.SessionID != id || got.StepCount != 2 || got.Seed != 7 {
					t.Errorf("the state: %d %s", status, body)
				}
			}
			for _, want := range []string{`{"closed":true}`, `{"closed":false}`} {
				if status, body, _ = h.HTTP(t, "POST", "/close", `{"any":1`+field+`}`, headers...); status != 200 || body != want {
					t.Errorf("close: %d %s, want %s", status, body, want)
				}
			}
			if status, body, _ = h.HTTP(t, "POST", "/step", `{"action":{"command":"count"}`+field+`}`, headers...); status != 404 {
				t.Errorf("after the end: %d %s", status, body)
			}
		})
	}
}

func TestHTTPErrors(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	_, body, _ := h.HTTP(t, "POST", "/reset", `{}`)
	id := decode[servertest.Observed](t, body).Metadata.SessionID
	mine := []string{"X-Session-ID", id}
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		want                     int
		says                     string
	}{
		{"no session", "POST", "/step", `{"action":{"command":"ls"}}`, nil, 409, "reset first"},
		{"a session that nobody has", "POST", "/step", `{"action":{"command":"ls"}}`, []string{"X-Session-ID", "x"}, 404, "no such session"},
		{"a reset of a session that nobody has", "POST", "/reset", `{}`, []string{"X-Session-ID", "x"}, 404, "no such session"},
		{"no action", "POST", "/step", `{}`, mine, 422, "action"},
		{"an action that is text", "POST", "/step", `{"action":"ls"}`, mine, 422, "object"},
		{"a further field", "POST", "/step", `{"action":{"command":"ls","cmd":1}}`, mine, 422, `"body","action","cmd"`},
		{"no time", "POST", "/step", `{"action":{"command":"ls"},"timeout_s":0}`, mine, 422, "timeout_s"},
		{"time that is text", "POST", "/step", `{"action":{"command":"ls"},"timeout_s":"1"}`, mine, 422, "timeout_s"},
		{"time for ever", "POST", "/step", `{"action":{"command":"ls"},"timeout_s":1e300}`, mine, 422, "timeout_s"},
		{"a number for a request", "POST", "/step", `{"action":{"command":"ls"},"request_id":5}`, mine, 422, "request_id"},
		{"a long request", "POST", "/step", `{"action":{"command":"ls"},"request_id":"` + strings.Repeat("x", 256) + `"}`, mine, 422, "255"},
		{"no JSON", "POST", "/step", `{`, mine, 422, "JSON object"},
		{"a list", "POST", "/reset", `[]`, nil, 422, "JSON object"},
		{"deep nesting", "POST", "/step", `{"action":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, mine, 422, "JSON object"},
		{"a task that is refused", "POST", "/reset", `{"task":"refused"}`, nil, 422, "refused"},
		{"a misspelt option", "POST", "/reset", `{"patience":1,"max_step":2}`, nil, 422, "max_steps"},
		{"a large body", "POST", "/step", `{"action":{"command":"` + strings.Repeat("x", 1<<20) + `"}}`, mine, 413, "bytes"},
		{"another method", "GET", "/step", "", nil, 405, ""},
		{"another path", "GET", "/nothing", "", nil, 404, ""},
		{"the state of nobody", "GET", "/state", "", []string{"X-Session-ID", "x"}, 404, "no such session"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, _ := h.HTTP(t, c.method, c.path, c.body, c.headers...)
			if status != c.want || !strings.Contains(body, c.says) {
				t.Errorf("%d %s, want %d with %q", status, body, c.want, c.says)
			}
		})
	}
	if active, _ := h.Table.Active(); active > 2 {
		t.Errorf("%d sessions are there: what was refused left some", active)
	}
	// Two requests at once, and one that does not wait long.
	status, body, _ := h.HTTP(t, "POST", "/step", `{"action":{"command":"hold"},"timeout_s":0.01}`, mine...)
	if got := decode[servertest.Observed](t, body); status != 200 || !got.Observation.Running {
		t.Errorf("a step with little time: %d %s", status, body)
	}
	waits := make(chan int)
	go func() {
		status := 409 // as long as the one below is served
		for status == 409 {
			status, _, _ = h.HTTP(t, "POST", "/step", `{"action":{"command":"wait"}}`, mine...)
		}
		waits <- status
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // until the other one waits
		status, body, _ = h.HTTP(t, "POST", "/step", `{"action":{"command":"wait"},"timeout_s":0.001}`, mine...)
		if status == 409 && strings.Contains(body, "another request") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("two at once: %d %s", status, body)
		}
	}
	s, err := h.Table.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	s.Interrupt()
	if status := <-waits; status != 200 {
		t.Errorf("the one that waited: %d", status)
	}
}

// TestPages are what clients ask before they begin.
func TestPages(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	for path, want := range map[string]string{
		"/health":            `"healthy"`,
		"/metadata":          `"mlgym"`,
		"/schema":            `"required":["command"]`,
		"/openapi.json":      `"/reset"`,
		"/state":             `"episode_id":null`,
		"/status":            `"max_sessions":64`,
		"/list_environments": `["mlgym"]`,
		"/mlgym/splits":      `{"name":"validation","type":"validation"}`,
	} {
		status, body, header := h.HTTP(t, "GET", path, "")
		if status != 200 || !strings.Contains(body, want) || header.Get("Content-Type") != "application/json" || !json.Valid([]byte(body)) {
			t.Errorf("GET %s: %d %.300s, want %s", path, status, body, want)
		}
	}
}

func TestTasks(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	for _, c := range []struct {
		path, body string
		want       int
		says       string
	}{
		{"/mlgym/tasks", `{"split":"train"}`, 200, `"task":"more"`},
		{"/MLGym/tasks", `{"split":"test"}`, 200, `"env_name":"mlgym"`},
		{"/other/tasks", `{"split":"train"}`, 404, "unknown environment"},
		{"/mlgym/tasks", `{"split":"dev"}`, 400, "train, validation, test"},
		{"/mlgym/tasks", `{}`, 422, "split"},
		{"/mlgym/tasks", `{"split":5}`, 422, "split"},
		{"/mlgym/tasks", `{"split":"train","n":1}`, 422, "extra_forbidden"},
		{"/mlgym/tasks", `[]`, 422, "object"},
		{"/mlgym/num_tasks", `{"split":"validation"}`, 200, `{"num_tasks":2}`},
		{"/mlgym/task", `{"split":"train","index":1}`, 200, `"task":"more"`},
		{"/mlgym/task", `{"split":"train","index":2}`, 400, "Invalid task index"},
		{"/mlgym/task", `{"split":"train","index":-1}`, 400, "Invalid task index"},
		{"/mlgym/task", `{"split":"train"}`, 422, "index"},
		{"/mlgym/task_range", `{"split":"train","start":1}`, 200, `"task":"more"`},
		{"/mlgym/task_range", `{"split":"train","start":0,"stop":99}`, 200, `"task":"words"`},
		{"/mlgym/task_range", `{"split":"train","start":5}`, 400, "Invalid"},
		{"/mlgym/task_range", `{"split":"train","start":-1}`, 400, "Invalid"},
	} {
		if status, body, _ := h.HTTP(t, "POST", c.path, c.body); status != c.want || !strings.Contains(body, c.says) {
			t.Errorf("POST %s %s: %d %s, want %d with %q", c.path, c.body, status, body, c.want, c.says)
		}
	}
	// The same seed is another one in each split, and the same one each time.
	seeds := map[uint64]string{}
	for range 2 {
		for _, split := range []string{"train", "validation", "test"} {
			c := h.Dial(t, "/ws")
			got := c.Ask(fmt.Sprintf(`{"type":"reset","data":{"split":%q,"index":1,"seed":3}}`, split), "observation")
			st := c.Ask(`{"type":"state"}`, "state")
			if other, ok := seeds[st.Seed]; got.Done || st.Task != "more" || ok && other != split {
				t.Errorf("split %s: %+v; the seed is that of %s", split, st, other)
			}
			seeds[st.Seed] = split
		}
	}
	if len(seeds) != 3 {
		t.Errorf("the seeds are %v", seeds)
	}
}

type rpcReply struct {
	Version string           `json:"jsonrpc"`
	ID      *json.RawMessage `json:"id"`
	Result  struct {
		SessionID string            `json:"session_id"`
		Closed    *bool             `json:"closed"`
		Closing   bool              `json:"closing"`
		Data      string            `json:"data"`
		Done      bool              `json:"done"`
		Tools     []json.RawMessage `json:"tools"`
	} `json:"result"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// TestRPC: the methods of OpenEnv over POST /mcp, and over the WebSocket /mcp.
func TestRPC(t *testing.T) {
	h := servertest.Start(t, session.Options{Max: 3}, server.Options{})
	post := func(body string) rpcReply {
		t.Helper()
		status, reply, _ := h.HTTP(t, "POST", "/mcp", body)
		if status != 200 {
			t.Errorf("%.100s: status %d", body, status)
		}
		return decode[rpcReply](t, reply)
	}
	ws := h.Dial(t, "/mcp")
	ask := func(body string) rpcReply {
		t.Helper()
		ws.Send(body)
		return decode[rpcReply](t, string(ws.Raw()))
	}
	for _, c := range []struct {
		name, body string
		code       int
		says       string
	}{
		{"nothing", ``, -32700, "Parse"},
		{"half", `{`, -32700, "Parse"},
		{"no version", `{}`, -32600, "jsonrpc"},
		{"an old version", `{"jsonrpc":"1.0","method":"tools/list"}`, -32600, "jsonrpc"},
		{"no method", `{"jsonrpc":"2.0","id":1}`, -32600, "method"},
		{"a batch", `[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]`, -32600, "object"},
		{"deep nesting", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), -32700, "Parse"},
		{"a method that nobody knows", `{"jsonrpc":"2.0","id":1,"method":"tools/delete"}`, -32601, "tools/list"},
		{"a list of params", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}`, -32602, "object"},
		{"a session that nobody has", `{"jsonrpc":"2.0","id":1,"method":"openenv/session/close","params":{"session_id":"x"}}`, -32602, "no such session"},
		{"no session to close", `{"jsonrpc":"2.0","id":1,"method":"openenv/session/close"}`, -32602, "session_id"},
		{"no tool", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"session_id":"x"}}`, -32602, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for how, send := range map[string]func(string) rpcReply{"POST": post, "WebSocket": ask} {
				if how == "POST" && c.body == "" {
					continue // that is no request with a body
				}
				if got := send(c.body); got.Error == nil || got.Error.Code != c.code || !strings.Contains(got.Error.Message, c.says) || got.Version != "2.0" {
					t.Errorf("%s: %+v %+v, want %d with %q", how, got, got.Error, c.code, c.says)
				}
			}
		})
	}
	if got := post(`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"bash"}}`); got.Error == nil || !strings.Contains(got.Error.Message, "session_id") {
		t.Errorf("a call without a session: %+v", got)
	}
	// A session by POST, which a WebSocket shares.
	id := post(`{"jsonrpc":"2.0","id":1,"method":"openenv/session/create","params":{}}`).Result.SessionID
	call := func(command string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"bash","arguments":{"command":%q},"session_id":%q}}`, command, id)
	}
	if got := post(call("count")); !strings.HasSuffix(got.Result.Data, ", 0 actions\n") {
		t.Errorf("a call: %+v %+v", got, got.Error)
	}
	shared := h.Dial(t, "/ws?session_id="+id)
	if got := shared.Step("count"); !strings.HasSuffix(got.Observation.Text, ", 1 actions\n") {
		t.Errorf("over the WebSocket: %+v", got)
	}
	if got := post(call("submit")); !got.Result.Done {
		t.Errorf("submit: %+v", got)
	}
	if got := post(call("ls")); got.Error == nil || got.Error.Code != -32600 {
		t.Errorf("after the end: %+v", got)
	}
	if got := post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing","session_id":"` + id + `"}}`); got.Error == nil || !strings.Contains(got.Error.Message, "Tool not found") {
		t.Errorf("a tool that is not there: %+v", got)
	}
	if got := post(`{"jsonrpc":"2.0","id":1,"method":"openenv/session/close","params":{"session_id":"` + id + `"}}`); got.Result.Closed == nil || *got.Result.Closed || !got.Result.Closing {
		t.Errorf("closing what a connection holds: %+v", got)
	}
	// The WebSocket's own session.
	if got := ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); len(got.Result.Tools) < 5 {
		t.Errorf("the tools are %+v", got)
	}
	own := ask(`{"jsonrpc":"2.0","id":1,"method":"openenv/session/create"}`).Result.SessionID
	if got := ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"bash","arguments":{"command":"count"}}}`); !strings.HasSuffix(got.Result.Data, ", 0 actions\n") {
		t.Errorf("a call: %+v", got)
	}
	if got := ask(`{"jsonrpc":"2.0","id":1,"method":"openenv/session/close","params":{"session_id":"` + own + `"}}`); got.Error == nil || got.Error.Code != -32600 {
		t.Errorf("closing its own session: %+v", got)
	}
	if got := ask(`{"jsonrpc":"2.0","id":7,"method":"x","params":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`); got.Error == nil || !strings.Contains(got.Error.Message, "bytes") {
		t.Errorf("a large message: %+v", got)
	}
}
