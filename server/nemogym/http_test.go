package nemogym_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mlgym/server"
	"mlgym/server/servertest"
	"mlgym/server/session"
)

type reply struct {
	Observation *string `json:"observation"`
	Reward      float64 `json:"reward"`
	Terminated  bool    `json:"terminated"`
	Truncated   bool    `json:"truncated"`
	Info        struct {
		SessionID   string              `json:"session_id"`
		Task        string              `json:"task"`
		Idempotent  bool                `json:"supports_step_idempotency"`
		Outputs     []map[string]string `json:"tool_outputs"`
		ExitStatus  string              `json:"exit_status"`
		Running     bool                `json:"running"`
		Mask        bool                `json:"mask_sample"`
		Failure     string              `json:"failure_kind"`
		Evaluations []json.RawMessage   `json:"evaluations"`
	} `json:"info"`
}

// TestEpisode plays as NeMo Gym's agents do: a cookie, rows with further keys, and
// steps that come again.
func TestEpisode(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	const row = `"responses_create_params":{"input":[]},"task":"words","seed":7,"other":"key"`
	status, body, header := h.HTTP(t, "POST", "/reset", "{"+row+"}")
	var first reply
	if err := json.Unmarshal([]byte(body), &first); err != nil || status != 200 || first.Observation == nil || *first.Observation != "the statement\n" || !first.Info.Idempotent {
		t.Fatalf("reset: %d %s", status, body)
	}
	cookie, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	step := func(id string, calls ...string) reply {
		t.Helper()
		output := make([]string, len(calls))
		for i, command := range calls {
			args, err := json.Marshal(fmt.Sprintf(`{"command":%q}`, command))
			if err != nil {
				t.Fatal(err)
			}
			output[i] = fmt.Sprintf(`{"type":"function_call","name":"bash","call_id":"c%d","arguments":%s}`, i, args)
		}
		status, body, _ := h.HTTP(t, "POST", "/step", fmt.Sprintf(`{%s,"_ng_step_request_id":%q,"response":{"output":[%s]}}`, row, id, strings.Join(output, ",")), "Cookie", cookie)
		var got reply
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
			t.Fatalf("step %v: %d %s", calls, status, body)
		}
		return got
	}
	outputs := func(r reply) string {
		var list []string
		for _, o := range r.Info.Outputs {
			list = append(list, o["call_id"]+": "+o["output"])
		}
		return strings.Join(list, "")
	}
	// Each of several calls is run once, however often the message comes.
	for range 3 {
		got := step("1", "count", "validate", "count")
		if want := "c0: seed 7, 0 actions\nc1: validate\nc2: seed 7, 2 actions\n"; outputs(got) != want || got.Reward != 0.5 || len(got.Info.Evaluations) != 1 {
			t.Errorf("the step is %q with %+v, want %q", outputs(got), got, want)
		}
	}
	for range 2 {
		got := step("2", "submit", "count")
		if want := "c0: submit\nc1: The episode is over; this was not run.\n"; outputs(got) != want || !got.Terminated || got.Info.ExitStatus != "submitted" || got.Reward != 0.25 {
			t.Errorf("the end is %q with %+v, want %q", outputs(got), got, want)
		}
	}
	if status, body, _ := h.HTTP(t, "POST", "/step", `{"response":{"output":[{"type":"message","content":"ls"}]}}`, "Cookie", cookie); status != 409 {
		t.Errorf("after the end: %d %s", status, body)
	}
	// The session goes on with another episode, which fails.
	if status, body, _ = h.HTTP(t, "POST", "/reset", "{"+row+"}", "Cookie", cookie); status != 200 {
		t.Errorf("the second reset: %d %s", status, body)
	}
	if got := step("1", "fault"); !got.Truncated || !got.Info.Mask || got.Info.Failure != "infrastructure" || got.Reward != 0 {
		t.Errorf("a fault: %+v", got)
	}
	if status, body, _ = h.HTTP(t, "POST", "/close", "{}", "Cookie", cookie); status != 200 || body != `{"closed":true}` {
		t.Errorf("close: %d %s", status, body)
	}
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/step", `{"response":{"output":[]}}`, 404},
		{"/step", `{"response":5}`, 422},
		{"/reset", `{"responses_create_params":{},"task":"refused"}`, 422},
		{"/reset", `{"responses_create_params":{},"seed":"x"}`, 422},
	} {
		if status, body, _ := h.HTTP(t, "POST", c.path, c.body, "Cookie", cookie); status != c.want {
			t.Errorf("POST %s %s: %d %s, want %d", c.path, c.body, status, body, c.want)
		}
	}
}
