package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
	"mlgym/tool"
)

// socketName is an abstract socket, which lives in the network namespace: every
// sandbox has its own.
const socketName = "@mlgym-shim"

// toolCall is what a command inside sends over the socket, as a line of JSON.
type toolCall struct {
	Name  string   `json:"name"`
	Argv  []string `json:"argv"`
	Dir   string   `json:"dir"`
	Stdin []byte   `json:"stdin,omitempty"`
}

// toolReply is the answer.
type toolReply struct {
	Output   string `json:"output"`
	ExitCode int    `json:"exit_code"`
}

// toolbox serves the tools, to typed calls from outside and to commands inside.
type toolbox struct {
	conn    *conn
	reading chan struct{} // a place for each call that is being read

	mu     sync.Mutex
	runner tool.Runner
}

func newToolbox(c *conn, r tool.Runner) *toolbox {
	return &toolbox{conn: c, reading: make(chan struct{}, maxReading), runner: r}
}

func (t *toolbox) openFile() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.runner.OpenFile()
}

// callTyped runs a tool with typed arguments.
func (t *toolbox) callTyped(ctx context.Context, req wire.ToolRequest) sandbox.Result {
	began := time.Now()
	if req.Args == nil {
		req.Args = json.RawMessage("{}")
	}
	res := t.run(ctx, tool.Invocation{Name: req.Name, Args: req.Args, Dir: t.conn.runner.workingDir()})
	return sandbox.Result{
		Output: res.Output, ExitCode: res.ExitCode, OutputBytes: int64(len(res.Output)),
		Duration: time.Since(began), WorkingDir: t.conn.runner.workingDir(), OpenFile: t.openFile(),
	}
}

// run runs a tool of the inside, one at a time.
func (t *toolbox) run(ctx context.Context, inv tool.Invocation) tool.Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.runner.Run(ctx, inv)
}

// noteAction tells the tools that an action begins; the warning about scrolling
// again and again needs to know.
func (t *toolbox) noteAction(text string) {
	noter, ok := t.runner.(interface{ NoteOtherAction() })
	if !ok || tool.IsScroll(text) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	noter.NoteOtherAction()
}

// listen accepts the commands of the inside until the shim ends.
func (t *toolbox) listen() error {
	l, err := net.Listen("unix", socketName) //nolint:noctx // lives as long as the shim
	if err != nil {
		return fmt.Errorf("open the tools' socket: %w", err)
	}
	places := make(chan struct{}, maxCommands)
	go func() {
		for {
			places <- struct{}{}
			c, err := l.Accept()
			if err != nil {
				t.conn.log.Warn("accept a command", "error", err)
				return
			}
			go func() {
				defer func() { <-places }()
				t.serve(c)
			}()
		}
	}()
	return nil
}

// maxText bounds the text of one call, maxCall the call with it, encoded.
// maxCommands bounds the commands under way, maxReading those whose call is
// being read, each within readWait; further ones wait. Together they bound the
// memory and the descriptors that a flood of calls can take from the shim.
const (
	maxText     = 8 << 20
	maxCall     = 2 * maxText
	maxCommands = 128
	maxReading  = 4
	readWait    = 10 * time.Second
)

func (t *toolbox) serve(c net.Conn) {
	defer c.Close()
	call, err := t.receive(c)
	if err != nil {
		return // not one of our commands
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		// The caller sends nothing more; when it goes, so does its wish.
		_, _ = c.Read(make([]byte, 1))
		cancel()
	}()
	reply, end := t.dispatch(ctx, call)
	if end {
		// The shell must not go on to what stands behind this command, so the
		// command gets no answer: its output goes straight to the shell's, and
		// the action is ended.
		t.conn.runner.endWith(reply.Output)
		<-ctx.Done()
		return
	}
	// A caller that is gone needs no answer.
	_ = json.NewEncoder(c).Encode(reply)
}

// receive reads what a command asks for.
func (t *toolbox) receive(c net.Conn) (call toolCall, err error) {
	t.reading <- struct{}{}
	defer func() { <-t.reading }()
	if err := c.SetReadDeadline(time.Now().Add(readWait)); err != nil {
		return call, err
	}
	if err := json.NewDecoder(io.LimitReader(c, maxCall)).Decode(&call); err != nil {
		return call, err
	}
	return call, c.SetReadDeadline(time.Time{})
}

// dispatch runs a command and says whether it ends the action that it is in.
func (t *toolbox) dispatch(ctx context.Context, call toolCall) (reply toolReply, end bool) {
	spec, ok := tool.Find(call.Name)
	if !ok {
		return toolReply{fmt.Sprintf("%s is not a tool\n", call.Name), 127}, false
	}
	if spec.Outside {
		reply, err := t.conn.call(ctx, sandbox.Call{Name: call.Name, Argv: call.Argv})
		if err != nil {
			return toolReply{fmt.Sprintf("%s: %v\n", call.Name, err), 1}, false
		}
		return toolReply{reply.Output, reply.ExitCode}, reply.EndScript
	}
	res := t.run(ctx, tool.Invocation{Name: call.Name, Argv: call.Argv, Stdin: call.Stdin, Dir: call.Dir})
	return toolReply{res.Output, res.ExitCode}, false
}

// Command is the inside end: it runs the tool of the given name through the
// shim and returns the exit code. It takes standard input only for the tools
// that want text.
func Command(name string, argv []string, stdin io.Reader, stdout io.Writer) (int, error) {
	call := toolCall{Name: name, Argv: argv}
	var err error
	if call.Dir, err = os.Getwd(); err != nil {
		call.Dir = sandbox.WorkDir // a folder that is gone, or locked, is no reason not to submit
	}
	if spec, ok := tool.Find(name); ok && spec.Terminator != "" {
		if call.Stdin, err = io.ReadAll(io.LimitReader(stdin, maxText+1)); err != nil {
			return 1, err
		}
		if len(call.Stdin) > maxText {
			return 1, fmt.Errorf("the text is longer than %d bytes: write it with a program instead", maxText)
		}
	}
	c, err := net.Dial("unix", socketName) //nolint:noctx // ends with the process
	if err != nil {
		return 1, errors.New("the sandbox's tools do not answer")
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(call); err != nil {
		return 1, err
	}
	var reply toolReply
	if err := json.NewDecoder(bufio.NewReader(c)).Decode(&reply); err != nil {
		return 1, errors.New("the sandbox's tools gave no answer")
	}
	if _, err := io.WriteString(stdout, reply.Output); err != nil {
		return 1, err
	}
	return reply.ExitCode, nil
}
