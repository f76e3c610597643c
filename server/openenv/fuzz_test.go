package openenv

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/server/httpsession"
	"mlgym/server/session"
	"mlgym/server/session/sessiontest"
)

var messages = []string{
	`{"type":"reset","data":{"seed":7,"episode_id":"e","task":"t","variant":"small","max_steps":3,"patience_s":0.5}}`,
	`{"type":"reset","data":{"split":"train","index":0}}`,
	`{"type":"reset","data":{"snapshot":"x","attach":"y","reward":"none","mode":"published"}}`,
	`{"type":"step","data":{"command":"ls\u0000"}}`,
	`{"type":"step","data":{"command":1e400}}`,
	`{"type":"step","data":{"type":"call_tool","tool_name":"open","arguments":{"path":"a"}}}`,
	`{"type":"step","data":{"type":"call_tool","tool_name":"bash","arguments":{"command":"ls"}}}`,
	`{"type":"step","data":{"type":"list_tools"}}`,
	`{"type":"state"}`, `{"type":"mcp","data":{"jsonrpc":"2.0","id":1,"method":"tools/list"}}`,
	`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"open","arguments":{}}}`,
	`{}`, `null`, `[]`, `5`, `{"type":null,"data":null}`, `{"TYPE":"reset"}`, "\xff", `{"type":"step","data":{"command":"\ud800"}}`,
}

// FuzzDecode decodes messages as every decoder does: none panics, and what is
// accepted is what it is read as when it is written again.
func FuzzDecode(f *testing.F) {
	for _, m := range messages {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		frame, code, err := decodeFrame(text)
		if (err == nil) != (code == "") {
			t.Fatalf("code %q with %v", code, err)
		}
		for _, data := range []json.RawMessage{frame.Data, text} {
			checkAction(t, data)
			checkReset(t, data)
		}
	})
}

func checkAction(t *testing.T, data json.RawMessage) {
	t.Helper()
	a, err := decodeAction(data)
	if err != nil {
		return
	}
	sent := map[string]any{}
	switch {
	case a.list:
		sent["type"] = listTools
	case a.tool == BashTool:
		sent["type"], sent["tool_name"], sent["arguments"] = callTool, a.tool, map[string]string{"command": a.action.Command}
	case a.tool != "":
		sent["type"], sent["tool_name"], sent["arguments"] = callTool, a.tool, a.action.Args
	default:
		sent["command"] = a.action.Command
	}
	text, err := json.Marshal(sent)
	if err != nil {
		t.Fatalf("%q is read as %+v, which cannot be written: %v", data, a, err)
	}
	again, err := decodeAction(text)
	if err != nil {
		t.Fatalf("%q is read as %+v and written as %q: %v", data, a, text, err)
	}
	a.action.Args, again.action.Args = compact(t, a.action.Args), compact(t, again.action.Args)
	if diff := cmp.Diff(a, again, cmp.AllowUnexported(act{})); diff != "" {
		t.Errorf("%q is written as %q, which is another action:\n%s", data, text, diff)
	}
}

func compact(t *testing.T, args json.RawMessage) json.RawMessage {
	t.Helper()
	if len(args) == 0 {
		return nil
	}
	var v any
	if err := json.Unmarshal(args, &v); err != nil {
		return bytes.Clone(args) // a number that floating point does not know
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func checkReset(t *testing.T, data json.RawMessage) {
	t.Helper()
	fields, err := fieldsOf(data)
	if err != nil {
		return
	}
	r, err := decodeReset(fields)
	if err != nil {
		return
	}
	if r.index < -1 || r.request.MaxSteps < 0 || len(r.request.EpisodeID) > maxEpisodeID {
		t.Errorf("%q is accepted as %+v", data, r)
	}
	if seed := r.request.Seed; seed != nil && *seed > maxSeed {
		t.Errorf("%q has the seed %d", data, *seed)
	}
	if patience := r.request.Patience; patience != nil && *patience < 0 {
		t.Errorf("%q has the patience %s", data, *patience)
	}
}

// FuzzRPC answers any message by valid JSON-RPC.
func FuzzRPC(f *testing.F) {
	for _, m := range messages {
		f.Add([]byte(m))
	}
	works := &sessiontest.Works{}
	table := session.NewTable(session.Options{Make: works.Make})
	f.Cleanup(table.Close)
	h := New(Options{Sessions: &httpsession.Sessions{Table: table}, Tasks: []Task{{ID: "words"}}, Default: "words"})
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("hold")) || bytes.Contains(text, []byte("sleep")) {
			t.Skip("it would take its time")
		}
		s, err := table.Open("fuzz", false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		reply := h.rpc(t.Context(), text, s, "fuzz")
		if (reply.Result == nil) == (reply.Error == nil) || reply.Version != "2.0" || !json.Valid(reply.ID) {
			t.Errorf("%q is answered by %+v", text, reply)
		}
		if _, err := json.Marshal(reply); err != nil {
			t.Errorf("%q is answered by %+v, which cannot be written: %v", text, reply, err)
		}
	})
}
