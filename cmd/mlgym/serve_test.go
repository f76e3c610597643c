package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"mlgym/sandbox"
)

// served is a process of mlgym serve.
type served struct {
	cmd  *exec.Cmd
	url  string
	errs *bytes.Buffer
}

// serve starts mlgym serve, and returns when it answers.
func serve(t *testing.T, args ...string) *served {
	t.Helper()
	s := &served{cmd: exec.CommandContext(t.Context(), os.Args[0]), errs: &bytes.Buffer{}}
	s.cmd.Args = append([]string{"mlgym", "serve", "--addr", "127.0.0.1:0", "--json", "--task", "battleOfSexes", "--variant", "small", "--memory-mb", "256"}, args...)
	s.cmd.Env = append(os.Environ(), asMlgym+"=1")
	s.cmd.Stderr = s.errs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	var told struct{ URL string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &told)
	}
	if err != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		if strings.Contains(s.errs.String(), "apt-get install bubblewrap") {
			t.Skipf("SKIPPED, there is no sandbox: %s", s.errs)
		}
		t.Fatalf("the first line is %q: %v\n%s", line, err, s.errs)
	}
	s.url = told.URL
	return s
}

// post sends a body and returns the reply.
func (s *served) post(t *testing.T, path, body, session string) (status int, reply string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if session != "" {
		req.Header.Set("X-Session-ID", session)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	if id := res.Header.Get("X-Session-ID"); id != "" && path == "/reset" {
		return res.StatusCode, id
	}
	return res.StatusCode, string(text)
}

// left are the sandboxes of a process.
func left(t *testing.T, pid int) (list []sandbox.Leftover) {
	t.Helper()
	code, out, errs := mlgym("sandbox", "list", "--json")
	if code != 0 {
		t.Fatalf("sandbox list: %d\n%s", code, errs)
	}
	var all []sandbox.Leftover
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.OwnerPID == pid {
			list = append(list, l)
		}
	}
	return list
}

// TestServe: a command under way when the server is told to end is answered; nothing
// is left behind.
func TestServe(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	ready := filepath.Join(t.TempDir(), "ready")
	s := serve(t, "--ready-file", ready)
	if text := read(t, ready); text != s.url+"\n" {
		t.Errorf("the file has %q, the address is %s", text, s.url)
	}
	status, id := s.post(t, "/reset", `{"seed":1}`, "")
	if status != http.StatusOK {
		t.Fatalf("reset: %d %s\n%s", status, id, s.errs)
	}
	if status, body := s.post(t, "/step", `{"action":{"command":"mkfifo go; echo made"}}`, id); status != http.StatusOK || !strings.Contains(body, "made") {
		t.Errorf("a step: %d %s", status, body)
	}
	answered := make(chan string)
	go func() {
		status, body := s.post(t, "/step", `{"action":{"command":"sleep 2; echo late"}}`, id)
		answered <- fmt.Sprint(status, " ", body)
	}()
	for !s.running(t, id) {
		time.Sleep(10 * time.Millisecond) // the request is on its way
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if text := <-answered; !strings.HasPrefix(text, "200 ") || !strings.Contains(text, "late") {
		t.Errorf("the command under way is answered by %s", text)
	}
	if err := s.cmd.Wait(); err != nil || !strings.Contains(s.errs.String(), "draining") {
		t.Errorf("the end: %v\n%s", err, s.errs)
	}
	if list := left(t, s.cmd.Process.Pid); len(list) > 0 {
		t.Errorf("left over: %+v", list)
	}
}

func (s *served) running(t *testing.T, id string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/state", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Session-ID", id)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var st struct {
		Running bool `json:"running"`
	}
	if err := json.NewDecoder(res.Body).Decode(&st); err != nil {
		t.Fatal(err)
	}
	return st.Running
}

// TestServeTwice: the second interrupt does not wait for what runs.
func TestServeTwice(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	s := serve(t, "--warm", "battleOfSexes=0", "--drain", "10m")
	_, id := s.post(t, "/reset", `{"seed":1}`, "")
	if status, body := s.post(t, "/step", `{"action":{"command":"sleep 600"},"timeout_s":0.01}`, id); status != http.StatusOK || !strings.Contains(body, `"running":true`) {
		t.Fatalf("a long command: %d %s", status, body)
	}
	for range 2 {
		if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // two signals at once may be one
	}
	_ = s.cmd.Wait() // it was interrupted
	if list := left(t, s.cmd.Process.Pid); len(list) > 0 {
		t.Errorf("left over: %+v", list)
	}
}

// TestServeKilled: of a server that is killed nothing goes on running, and the next
// one, or prune, clears away what it left.
func TestServeKilled(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	s := serve(t, "--warm", "battleOfSexes=2")
	_, id := s.post(t, "/reset", `{"seed":1}`, "")
	if status, body := s.post(t, "/step", `{"action":{"command":"sleep 600"},"timeout_s":0.01}`, id); status != http.StatusOK {
		t.Fatalf("a long command: %d %s", status, body)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait() // killed
	if code, _, errs := mlgym("sandbox", "prune"); code != 0 {
		t.Errorf("prune: %d\n%s", code, errs)
	}
	if list := left(t, s.cmd.Process.Pid); len(list) > 0 {
		t.Errorf("left over: %+v", list)
	}
}

// TestServeWithParent: the server ends with the program that started it.
func TestServeWithParent(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	in, parent, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Args = []string{"mlgym", "serve", "--addr", "127.0.0.1:0", "--with-parent"}
	cmd.Env = append(os.Environ(), asMlgym+"=1")
	cmd.Stdin = in
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := parent.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(out.String(), "http://127.0.0.1:") {
		t.Errorf("%v\n%s%s", err, out.String(), errs.String())
	}
}

// TestMCP works on a task to the end, as an agent does that starts mlgym mcp.
func TestMCP(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Args = []string{"mlgym", "mcp", "--task", "battleOfSexes", "--variant", "small", "--patience", "1s", "--memory-mb", "256"}
	cmd.Env = append(os.Environ(), asMlgym+"=1")
	errs := &bytes.Buffer{}
	cmd.Stderr = errs
	client := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cs, err := client.Connect(ctx, &sdk.CommandTransport{Command: cmd}, nil)
	if err != nil {
		if strings.Contains(errs.String(), "apt-get install bubblewrap") {
			t.Skipf("SKIPPED, there is no sandbox: %s", errs)
		}
		t.Fatalf("%v\n%s", err, errs)
	}
	use := func(name string, args map[string]any) string {
		t.Helper()
		res, err := cs.CallTool(ctx, &sdk.CallToolParams{Name: name, Arguments: args})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := ""
		for _, c := range res.Content {
			if part, ok := c.(*sdk.TextContent); ok {
				text += part.Text
			}
		}
		return text
	}
	finish := func(name string) string {
		t.Helper()
		text := use(name, nil)
		for strings.Contains(text, "still running") {
			text = use("wait", nil)
		}
		return text
	}
	told := cs.InitializeResult().Instructions
	if statement := use("task", nil); statement == "" || !strings.Contains(told, statement) {
		t.Errorf("the instructions are %q, the task is %q", told, statement)
	}
	if text := use("bash", map[string]any{"command": "pwd"}); !strings.HasSuffix(strings.TrimSpace(text), "/workspace") {
		t.Errorf("pwd: %q", text)
	}
	if text := use("bash", map[string]any{"command": "sleep 600"}); !strings.Contains(text, "still running") {
		t.Errorf("a long command: %q", text)
	}
	finish("interrupt")
	if text := use("create", map[string]any{"path": "notes.txt"}); !strings.Contains(text, "notes.txt") {
		t.Errorf("create: %q", text)
	}
	if text := finish("validate"); !strings.Contains(strings.ToLower(text), "score") {
		t.Errorf("validate: %q", text)
	}
	if text := finish("submit"); !strings.Contains(text, "The episode is over (submitted).") {
		t.Errorf("submit: %q", text)
	}
	if text := use("begin", map[string]any{"seed": 3}); text == "" {
		t.Error("another episode has no statement")
	}
	pid := cmd.Process.Pid
	if err := cs.Close(); err != nil {
		t.Errorf("the end: %v\n%s", err, errs)
	}
	if list := left(t, pid); len(list) > 0 {
		t.Errorf("left over: %+v", list)
	}
}

// TestServedPages: a server that records its episodes shows them, to those with the
// token; a client's episode appears while it goes on.
func TestServedPages(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	const token = "0123456789abcdef"
	t.Setenv("MLGYM_TOKEN", token)
	runs := t.TempDir()
	s := serve(t, "--warm", "battleOfSexes=0", "--runs", runs)
	defer func() {
		_ = s.cmd.Process.Signal(syscall.SIGINT)
		_ = s.cmd.Wait()
	}()
	ask := func(method, path, body, session string) (status int, reply, id string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("X-Session-ID", session)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text), res.Header.Get("X-Session-ID")
	}
	_, _, id := ask(http.MethodPost, "/reset", `{"seed":1}`, "")
	if status, body, _ := ask(http.MethodPost, "/step", `{"action":{"command":"echo a step of a client"}}`, id); status != http.StatusOK {
		t.Fatalf("a step: %d %s", status, body)
	}
	key := ""
	for key == "" && t.Context().Err() == nil { // until the list has it; go test's own limit ends a wait in vain
		_, list, _ := ask(http.MethodGet, "/view/runs/", "", "")
		if _, rest, ok := strings.Cut(list, `data-run="`); ok {
			key, _, _ = strings.Cut(rest, `"`)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if status, text, _ := ask(http.MethodGet, "/view/runs/"+key+"/", "", ""); status != http.StatusOK || !strings.Contains(text, "a step of a client") || !strings.Contains(text, "/view/static/page/style.css") {
		t.Errorf("the run's page: %d %s", status, text)
	}
	if res, err := http.Get(s.url + "/view/runs/"); err != nil || res.StatusCode != http.StatusForbidden { //nolint:noctx // it answers
		t.Errorf("without the token: %v, %v", res.StatusCode, err)
	} else {
		res.Body.Close()
	}
}
