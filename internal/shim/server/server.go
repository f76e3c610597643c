package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
	"mlgym/tool"
)

// Tools makes the tools of the sandbox, given what keeps its background jobs.
type Tools func(jobs tool.Jobs) tool.Runner

// conn is the state of the one connection that a shim serves.
type conn struct {
	log    *slog.Logger
	w      *wire.Writer
	reaper *reaper
	runner *runner
	tools  *toolbox
	jobs   *jobs

	work chan func() // actions, one at a time

	mu       sync.Mutex
	env      []string // of programs; replaced and never changed
	next     uint32
	inputs   map[uint32]map[uint8]*wire.Receiver
	outputs  map[uint32]map[uint8]*wire.Sender
	cancels  map[uint32]context.CancelFunc
	programs map[uint32]*program
	calls    map[uint32]chan sandbox.Reply
}

// Serve speaks to mlgym over in and out until in ends. It expects to be the
// first process of its sandbox; when it returns, the program must exit, which
// ends everything else in the sandbox.
func Serve(in io.Reader, out io.Writer, tools Tools, log *slog.Logger) error {
	began := time.Now()
	// The first process of a process namespace is exempt from the default
	// actions of signals only where it has no handlers, and Go installs some:
	// so take every signal and drop it.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	protect()
	warmThreads()

	r := wire.NewReader(in)
	hello, err := r.Read()
	if err != nil {
		return fmt.Errorf("read the greeting: %w", err)
	}
	var cfg wire.Config
	if err := hello.JSON(&cfg); err != nil {
		return err
	}
	w := wire.NewWriter(out)
	if cfg.Version != wire.Version {
		return w.WriteJSON(wire.Ready, 0, wire.ReadyInfo{Version: wire.Version})
	}
	limits := cfg.Limits.WithDefaults()
	if cfg.Rlimits {
		setRlimits(limits, log)
	}
	c := &conn{
		log: log, w: w, reaper: newReaper(), env: cfg.Env, work: make(chan func(), 16), next: 1,
		inputs: map[uint32]map[uint8]*wire.Receiver{}, outputs: map[uint32]map[uint8]*wire.Sender{},
		cancels: map[uint32]context.CancelFunc{}, programs: map[uint32]*program{}, calls: map[uint32]chan sandbox.Reply{},
	}
	go func() {
		for range children {
			c.reaper.reap()
		}
	}()
	c.runner = newRunner(c.reaper, c.env, int(limits.OutputBytes))
	c.runner.crowd = limits.Processes
	c.jobs = newJobs(c.reaper, c.env)
	c.tools = newToolbox(c, tools(c.jobs))
	if err := c.tools.listen(); err != nil {
		return err
	}
	if cfg.WatchMemory {
		go watchMemory(limits.MemoryBytes, log)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := c.runner.start(ctx); err != nil {
		return err
	}
	if err := w.WriteJSON(wire.Ready, 0, wire.ReadyInfo{Version: wire.Version, Startup: time.Since(began)}); err != nil {
		return err
	}
	go func() {
		for f := range c.work {
			f()
		}
	}()
	for {
		f, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.serve(ctx, f); err != nil {
			return err
		}
	}
}

func (c *conn) serve(ctx context.Context, f wire.Frame) error {
	switch f.Type {
	case wire.Run:
		var script wire.RunRequest
		if err := f.JSON(&script); err != nil {
			return err
		}
		ctx := c.cancellable(ctx, f.Stream)
		c.work <- func() {
			c.tools.noteAction(script.Text)
			res, err := c.runner.run(ctx, script)
			res.OpenFile = c.tools.openFile()
			c.finish(f.Stream, res, err)
		}
	case wire.CallTool:
		var req wire.ToolRequest
		if err := f.JSON(&req); err != nil {
			return err
		}
		ctx := c.cancellable(ctx, f.Stream)
		c.work <- func() { c.finish(f.Stream, c.tools.callTyped(ctx, req), nil) }
	case wire.Start:
		var req wire.StartRequest
		if err := f.JSON(&req); err != nil {
			return err
		}
		c.startProgram(f.Stream, req)
	case wire.Kill:
		c.kill(f.Stream)
	case wire.Put:
		var req wire.PutRequest
		if err := f.JSON(&req); err != nil {
			return err
		}
		in := c.addInput(f.Stream, fdStdin)
		go func() {
			err := put(req.Dir, in)
			in.Discard()
			c.finish(f.Stream, struct{}{}, err)
		}()
	case wire.Get:
		var req wire.GetRequest
		if err := f.JSON(&req); err != nil {
			return err
		}
		out := c.addOutput(f.Stream, fdStdout)
		go func() {
			err := get(out, req.MaxBytes, req.Paths)
			if err == nil {
				err = out.Close()
			}
			c.finish(f.Stream, struct{}{}, err)
		}()
	case wire.Snapshot:
		var req wire.SnapshotRequest
		if err := f.JSON(&req); err != nil {
			return err
		}
		out := c.addOutput(f.Stream, fdStdout)
		c.work <- func() {
			err := c.snapshot(ctx, out, req.MaxBytes)
			if err == nil {
				err = out.Close()
			}
			c.finish(f.Stream, struct{}{}, err)
		}
	case wire.Restore:
		in := c.addInput(f.Stream, fdStdin)
		c.work <- func() {
			at, err := c.restore(ctx, in)
			in.Discard()
			c.finish(f.Stream, at, err)
		}
	case wire.SetEnv:
		var req wire.EnvRequest
		if err := f.JSON(&req); err != nil {
			return err
		}
		c.work <- func() { c.finish(f.Stream, struct{}{}, c.setEnv(ctx, req.Env)) }
	case wire.CallReply:
		var reply sandbox.Reply
		if err := f.JSON(&reply); err != nil {
			return err
		}
		c.mu.Lock()
		ch := c.calls[f.Stream]
		delete(c.calls, f.Stream)
		c.mu.Unlock()
		if ch != nil {
			ch <- reply
		}
	case wire.Data, wire.CloseFD, wire.Ack:
		return c.data(f)
	case wire.Hello, wire.Ready, wire.Done, wire.Failed, wire.Call:
		return fmt.Errorf("%w: type %d from mlgym", wire.ErrFrame, f.Type)
	}
	return nil
}

// data passes on what belongs to a stream under way.
func (c *conn) data(f wire.Frame) error {
	fd, _, err := f.FD()
	if err != nil {
		return err
	}
	c.mu.Lock()
	in, out := c.inputs[f.Stream][fd], c.outputs[f.Stream][fd]
	c.mu.Unlock()
	switch {
	case f.Type == wire.Data && in != nil:
		return in.PushFrame(f)
	case f.Type == wire.CloseFD && in != nil:
		in.End(io.EOF)
	case f.Type == wire.Ack && out != nil:
		_, n, err := f.Credit()
		if err != nil {
			return err
		}
		out.Credit(n)
	}
	return nil
}

func (c *conn) cancellable(ctx context.Context, stream uint32) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	c.cancels[stream] = cancel
	c.mu.Unlock()
	return ctx
}

func (c *conn) addInput(stream uint32, fd uint8) *wire.Receiver {
	in := wire.NewReceiver(c.w, stream, fd)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inputs[stream] == nil {
		c.inputs[stream] = map[uint8]*wire.Receiver{}
	}
	c.inputs[stream][fd] = in
	return in
}

func (c *conn) addOutput(stream uint32, fd uint8) *wire.Sender {
	out := wire.NewSender(c.w, stream, fd)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outputs[stream] == nil {
		c.outputs[stream] = map[uint8]*wire.Sender{}
	}
	c.outputs[stream][fd] = out
	return out
}

// finish sends the result of a stream and forgets it.
func (c *conn) finish(stream uint32, result any, err error) {
	c.mu.Lock()
	for _, in := range c.inputs[stream] {
		in.End(io.EOF)
	}
	for _, out := range c.outputs[stream] {
		out.Abort(io.ErrClosedPipe)
	}
	if cancel := c.cancels[stream]; cancel != nil {
		cancel()
	}
	delete(c.inputs, stream)
	delete(c.outputs, stream)
	delete(c.cancels, stream)
	delete(c.programs, stream)
	c.mu.Unlock()
	if err != nil {
		err = c.w.WriteJSON(wire.Failed, stream, failureOf(err))
	} else if err = c.w.WriteJSON(wire.Done, stream, result); err != nil {
		// A result that is no frame must not leave the other side waiting.
		err = c.w.WriteJSON(wire.Failed, stream, failureOf(err))
	}
	if err != nil {
		// The other side is gone; the reader will find out and end us.
		c.log.Debug("send a result", "error", err)
	}
}

func (c *conn) startProgram(stream uint32, req wire.StartRequest) {
	p := &program{conn: c, id: stream, req: req, inputs: map[uint8]*wire.Receiver{}, output: map[uint8]*wire.Sender{}, abandoned: make(chan struct{})}
	for fd, wanted := range map[uint8]bool{fdStdin: req.Stdin, fdChannel: req.Channel} {
		if wanted {
			p.inputs[fd] = c.addInput(stream, fd)
		}
	}
	for fd, wanted := range map[uint8]bool{fdStdout: req.Stdout, fdStderr: req.Stderr, fdChannel: req.Channel} {
		if wanted {
			p.output[fd] = c.addOutput(stream, fd)
		}
	}
	c.mu.Lock()
	env := c.env
	c.mu.Unlock()
	if err := p.start(env); err != nil {
		code := 126
		if errors.Is(err, syscall.ENOENT) {
			code = 127
		}
		c.finish(stream, sandbox.Exit{Code: code, StartError: err.Error()}, nil)
		return
	}
	c.mu.Lock()
	c.programs[stream] = p
	c.mu.Unlock()
	go func() { c.finish(stream, p.wait(), nil) }()
}

func (c *conn) kill(stream uint32) {
	c.mu.Lock()
	cancel, p, outs, ins := c.cancels[stream], c.programs[stream], c.outputs[stream], c.inputs[stream]
	c.mu.Unlock()
	switch {
	case cancel != nil:
		cancel()
	case p != nil:
		go p.abandon()
	default:
		for _, out := range outs {
			out.Abort(io.ErrClosedPipe)
		}
		for _, in := range ins {
			in.End(io.ErrUnexpectedEOF)
		}
	}
}

// call asks the outside and waits for its answer. A call whose caller has gone
// counts as under way until it is answered, since the outside is still at it.
func (c *conn) call(ctx context.Context, call sandbox.Call) (sandbox.Reply, error) {
	payload, err := json.Marshal(call)
	if err != nil {
		return sandbox.Reply{}, err
	}
	if len(payload) > wire.MaxCallBytes {
		return sandbox.Reply{}, errors.New("the arguments are too long")
	}
	c.runner.calls.begin()
	defer c.runner.calls.end()
	ch := make(chan sandbox.Reply, 1)
	c.mu.Lock()
	if len(c.calls) >= wire.MaxCalls {
		c.mu.Unlock()
		return sandbox.Reply{}, errors.New("too many calls are under way")
	}
	id := c.next
	c.next += 2
	c.calls[id] = ch
	c.mu.Unlock()
	if err := c.w.Write(wire.Call, id, payload); err != nil {
		return sandbox.Reply{}, err
	}
	select {
	case reply := <-ch:
		return reply, nil
	case <-ctx.Done():
		return sandbox.Reply{}, context.Cause(ctx)
	}
}
