package mcp_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"mlgym/server"
	"mlgym/server/openenv"
	"mlgym/server/servertest"
	"mlgym/server/session"
)

// connect connects the SDK's own client; it may fail.
func connect(t *testing.T, h *servertest.House, query string) (*sdk.ClientSession, error) {
	t.Helper()
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cs, err := client.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: h.URL + "/mcp" + query}, nil)
	if err == nil {
		t.Cleanup(func() { _ = cs.Close() })
	}
	return cs, err
}

func connected(t *testing.T, h *servertest.House, query string) *sdk.ClientSession {
	t.Helper()
	cs, err := connect(t, h, query)
	if err != nil {
		t.Fatalf("connect %s: %v", query, err)
	}
	return cs
}

// use calls a tool and returns its text.
func use(t *testing.T, cs *sdk.ClientSession, name string, args map[string]any) (text string, failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	res, err := cs.CallTool(ctx, &sdk.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	for _, c := range res.Content {
		if part, ok := c.(*sdk.TextContent); ok {
			text += part.Text
		}
	}
	return text, res.IsError
}

func bash(t *testing.T, cs *sdk.ClientSession, command string) string {
	t.Helper()
	text, _ := use(t, cs, "bash", map[string]any{"command": command})
	return text
}

func TestSession(t *testing.T) {
	h := servertest.Start(t, session.Options{Max: 2}, server.Options{})
	cs := connected(t, h, "?seed=5")
	if told := cs.InitializeResult().Instructions; !strings.Contains(told, "the statement\n") || !strings.Contains(told, "submit") {
		t.Errorf("the instructions are %q", told)
	}
	if active, _ := h.Table.Active(); active != 1 {
		t.Errorf("one client holds %d sessions", active)
	}
	list, err := cs.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, one := range list.Tools {
		names[one.Name] = true
		if one.Description == "" || one.InputSchema == nil {
			t.Errorf("the tool %+v", one)
		}
	}
	for _, name := range []string{"task", "begin", "bash", "wait", "interrupt", "open", "edit", "validate", "submit"} {
		if !names[name] {
			t.Errorf("there is no tool %s in %v", name, names)
		}
	}
	for range 2 {
		if text, failed := use(t, cs, "task", nil); text != "the statement\n" || failed {
			t.Errorf("the task is %q", text)
		}
	}
	if text := bash(t, cs, "count"); text != "seed 5, 0 actions\n" {
		t.Errorf("the first command: %q", text)
	}
	if text, _ := use(t, cs, "open", map[string]any{"path": "a.py"}); text != "open {\"path\":\"a.py\"}\n" {
		t.Errorf("a typed tool: %q", text)
	}
	for _, args := range []map[string]any{nil, {"command": 5}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if res, err := cs.CallTool(ctx, &sdk.CallToolParams{Name: "bash", Arguments: args}); err == nil && !res.IsError {
			t.Errorf("bash %v: %+v", args, res)
		}
		cancel()
	}
	// Another client has another episode, and a third one no place.
	other := connected(t, h, "?seed=6")
	if text := bash(t, other, "count"); text != "seed 6, 0 actions\n" {
		t.Errorf("the other client: %q", text)
	}
	if _, err := connect(t, h, ""); err == nil || !strings.Contains(err.Error(), "the server has 2 sessions of at most 2") {
		t.Errorf("a third client of 2: %v", err)
	}
	text, failed := use(t, cs, "submit", nil)
	if strings.Contains(text, "0.75") || !strings.HasPrefix(text, "submit") || failed {
		t.Errorf("submit: %q", text)
	}
}

func TestToTheEndAndAgain(t *testing.T) {
	h := servertest.Start(t, session.Options{Max: 1, Grace: time.Nanosecond}, server.Options{})
	cs := connected(t, h, "?seed=5")
	if text := bash(t, cs, "submit"); text != "submit\nThe episode is over (submitted).\n" {
		t.Errorf("submit: %q", text)
	}
	if text, failed := use(t, cs, "bash", map[string]any{"command": "ls"}); !failed || !strings.Contains(text, "the episode is over") {
		t.Errorf("after the end: %q", text)
	}
	if text, failed := use(t, cs, "begin", map[string]any{"seed": 9}); text != "the statement\n" || failed {
		t.Errorf("begin: %q", text)
	}
	if text := bash(t, cs, "count"); text != "seed 9, 0 actions\n" {
		t.Errorf("the second episode: %q", text)
	}
	if text, failed := use(t, cs, "bash", map[string]any{"command": "fault"}); !failed || !strings.Contains(text, "no fault of yours") {
		t.Errorf("a fault: %q", text)
	}
	if text, failed := use(t, cs, "begin", map[string]any{"task": "refused"}); !failed || !strings.Contains(text, "refused") {
		t.Errorf("begin with a task that is not there: %q", text)
	}
	// A session that the server ended says so, and begin gives another one.
	other, err := h.Table.Open("another client, who needs the place", false)
	if err != nil {
		t.Fatal(err)
	}
	if text, failed := use(t, cs, "bash", map[string]any{"command": "ls"}); !failed || !strings.Contains(text, "call begin") {
		t.Errorf("after the server ended it: %q", text)
	}
	other.Close()
	if text, failed := use(t, cs, "begin", nil); text != "the statement\n" || failed {
		t.Errorf("begin: %q", text)
	}
	if text := bash(t, cs, "count"); text != "seed 5, 0 actions\n" {
		t.Errorf("the third episode: %q", text)
	}
}

func TestWaitAndInterrupt(t *testing.T) {
	h := servertest.Start(t, session.Options{Patience: 20 * time.Millisecond}, server.Options{})
	cs := connected(t, h, "")
	for _, name := range []string{"wait", "interrupt"} {
		if text, failed := use(t, cs, name, nil); text != "Nothing is running.\n" || failed {
			t.Errorf("%s with nothing: %q", name, text)
		}
	}
	if text := bash(t, cs, "hold"); !strings.HasPrefix(text, "The command is still running") {
		t.Errorf("a long command: %q", text)
	}
	if text, _ := use(t, cs, "wait", nil); !strings.HasPrefix(text, "The command is still running") {
		t.Errorf("wait: %q", text)
	}
	if text := bash(t, cs, "ls"); !strings.Contains(text, "this one was not run") {
		t.Errorf("another command: %q", text)
	}
	if text, _ := use(t, cs, "interrupt", nil); text != "interrupted\n" {
		t.Errorf("interrupt: %q", text)
	}
}

// TestAtOnce: calls that come at once are served one after the other, but for an
// interrupt, which reaches the one that is served.
func TestAtOnce(t *testing.T) {
	h := servertest.Start(t, session.Options{Patience: -1}, server.Options{})
	cs := connected(t, h, "?seed=5")
	texts := make(chan string, 8)
	var calls sync.WaitGroup
	for range cap(texts) {
		calls.Go(func() { texts <- bash(t, cs, "count") })
	}
	calls.Wait()
	close(texts)
	seen := map[string]bool{}
	for text := range texts {
		seen[text] = true
	}
	for i := range cap(texts) {
		if want := fmt.Sprintf("seed 5, %d actions\n", i); !seen[want] {
			t.Errorf("%q is missing in %v", want, seen)
		}
	}
	held := make(chan string)
	go func() { held <- bash(t, cs, "hold") }()
	for h.Works.Running() == 0 {
		time.Sleep(time.Millisecond) // the call is on its way
	}
	text, _ := use(t, cs, "interrupt", nil)
	if got := <-held; got != "interrupted\n" || !strings.HasPrefix(text, "The command has ended") {
		t.Errorf("the command: %q; interrupt: %q", got, text)
	}
	// A client that gives a call up leaves the command running.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := cs.CallTool(ctx, &sdk.CallToolParams{Name: "bash", Arguments: map[string]any{"command": "hold"}}); err == nil {
		t.Error("a call that was given up was answered")
	}
	// The server may learn of either first.
	if text, _ := use(t, cs, "interrupt", nil); text != "interrupted\n" && !strings.HasPrefix(text, "The command has ended") {
		t.Errorf("interrupt: %q", text)
	}
	if text, _ := use(t, cs, "wait", nil); text != "Nothing is running.\n" {
		t.Errorf("wait: %q", text)
	}
}

// TestQuery: what the address asks for, and what is wrong with it.
func TestQuery(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	cs := connected(t, h, "?task=more&variant=small&mode=hardened&seed=3&max_steps=4")
	bash(t, cs, "ls")
	asked := h.Works.Asked()
	if r := asked[0]; len(asked) != 1 || r.Task != "more" || r.Variant != "small" || r.Mode != "hardened" || *r.Seed != 3 || r.MaxSteps != 4 {
		t.Errorf("asked for were %+v", asked)
	}
	for query, says := range map[string]string{
		"?task=refused": "there is no task", "?seed=-1": "Bad Request", "?seed=x": "Bad Request", "?max_steps=0": "Bad Request",
	} {
		if _, err := connect(t, h, query); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", query, err, says)
		}
	}
	_, body, _ := h.HTTP(t, "POST", "/mcp?seed=x", `{"jsonrpc":"2.0","id":1,"method":"initialize"}`)
	if !strings.Contains(body, "whole number") {
		t.Errorf("a wrong seed is answered by %q", body)
	}
	if active, _ := h.Table.Active(); active != 1 {
		t.Errorf("what was refused left sessions: %d", active)
	}
}

// TestEnd: DELETE, which the client sends in the end, ends the episode.
func TestEnd(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	cs := connected(t, h, "")
	bash(t, cs, "ls")
	if err := cs.Close(); err != nil {
		t.Fatal(err)
	}
	if active, _ := h.Table.Active(); active != 0 {
		t.Errorf("%d sessions are there after the client's end", active)
	}
}

// TestWithoutTask: a server that has no task of its own serves those that are named.
func TestWithoutTask(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{Tasks: []openenv.Task{{ID: "words"}}})
	cs := connected(t, h, "")
	if text, failed := use(t, cs, "bash", map[string]any{"command": "ls"}); !failed || !strings.Contains(text, "call begin with a task") {
		t.Errorf("without a task: %q", text)
	}
	if text, failed := use(t, cs, "begin", map[string]any{"task": "words"}); text != "the statement\n" || failed {
		t.Errorf("begin: %q", text)
	}
	if text := bash(t, cs, "ls"); text != "ls\n" {
		t.Errorf("then: %q", text)
	}
	if h.Works.Made() != 1 {
		t.Errorf("%d environments were made, want 1", h.Works.Made())
	}
}

// TestShutdown ends the sessions of clients that hold a stream open.
func TestShutdown(t *testing.T) {
	h := servertest.Start(t, session.Options{}, server.Options{})
	cs := connected(t, h, "")
	bash(t, cs, "ls")
	if _, err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if active, _ := h.Table.Active(); active != 0 {
		t.Errorf("%d sessions are there", active)
	}
}
