package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
)

// Config is what a driver tells the shim.
type Config struct {
	Limits sandbox.Limits
	// Env is added to the environment that every sandbox has: PATH, HOME,
	// USER, SHELL, LANG, TERM.
	Env []string
	// Path are folders inside that stand on PATH before the system's.
	Path []string
	// OnCall answers host calls; nil refuses them.
	OnCall func(ctx context.Context, call sandbox.Call) sandbox.Reply
	// Rlimits asks the shim to set resource limits; right for every driver
	// whose user inside is counted for itself.
	Rlimits bool
	// WatchMemory asks the shim to keep the memory limit by watching.
	WatchMemory bool
	// Diagnose, where set, says more about a connection that broke, such as
	// the last lines that the sandbox's runtime printed.
	Diagnose func() string
}

var (
	_ sandbox.EnvSetter = (*Client)(nil)
	_ sandbox.Watcher   = (*Client)(nil)
)

// Client speaks to one shim. Its methods may be called concurrently.
type Client struct {
	conn io.ReadWriteCloser
	w    *wire.Writer
	cfg  Config

	runMu sync.Mutex // one Run or CallTool at a time

	mu      sync.Mutex
	next    uint32
	streams map[uint32]*stream
	err     error // why the connection ended

	ctx    context.Context //nolint:containedctx // the life of the connection, for OnCall
	cancel context.CancelFunc
	calls  sync.WaitGroup
	asked  atomic.Int32 // calls that are being answered
	done   chan struct{}
}

// stream is one request under way.
type stream struct {
	id     uint32
	result chan wire.Frame // Done or Failed
	recv   map[uint8]*wire.Receiver
	send   map[uint8]*wire.Sender
}

// Connect greets the shim at the other end of conn and returns when its shell
// answers. On error conn is closed.
func Connect(ctx context.Context, conn io.ReadWriteCloser, cfg Config) (*Client, error) {
	c := &Client{
		conn:    conn,
		w:       wire.NewWriter(conn),
		cfg:     cfg,
		next:    2,
		streams: map[uint32]*stream{},
		done:    make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	ready := make(chan error, 1)
	go c.read(ready)
	hello := wire.Config{
		Version: wire.Version, Limits: cfg.Limits.WithDefaults(), Env: Environment(cfg.Path, cfg.Env),
		Rlimits: cfg.Rlimits, WatchMemory: cfg.WatchMemory,
	}
	if err := c.w.WriteJSON(wire.Hello, 0, hello); err != nil {
		_ = c.Close()
		return nil, c.lost(fmt.Errorf("greet the shim: %w", err))
	}
	select {
	case err := <-ready:
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		return c, nil
	case <-c.done:
		// Closed before anybody is asked what went wrong: a driver's connection
		// waits for its runtime, which then has said all that it will say.
		_ = c.Close()
		return nil, c.lost(nil)
	case <-ctx.Done():
		_ = c.Close()
		return nil, fmt.Errorf("wait for the shim: %w", context.Cause(ctx))
	}
}

// Done implements [sandbox.Watcher]: it is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection, and with it the shim and all it started. It
// returns when the client's own goroutines have ended.
func (c *Client) Close() error {
	err := c.conn.Close()
	c.cancel()
	<-c.done
	c.calls.Wait()
	return err
}

// lost makes the error of a connection that ended.
func (c *Client) lost(err error) error {
	c.mu.Lock()
	if err == nil {
		err = c.err
	}
	c.mu.Unlock()
	text := ""
	if c.cfg.Diagnose != nil {
		if said := c.cfg.Diagnose(); said != "" {
			text = ": " + said
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w%s", sandbox.ErrLost, text)
	}
	return fmt.Errorf("%w: %w%s", sandbox.ErrLost, err, text)
}

// Environment is that of everything inside, with what a Spec adds. PYTHONUNBUFFERED lets a program
// that is cut off leave behind what it printed.
func Environment(path, extra []string) []string {
	folders := slices.Concat([]string{sandbox.ShimDir}, path, []string{"/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin", sandbox.ShimDir + "/" + fallbacks})
	return append([]string{
		"PATH=" + strings.Join(folders, ":"),
		"HOME=" + sandbox.HomeDir, "USER=" + sandbox.UserName, "LOGNAME=" + sandbox.UserName,
		"SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=dumb", "PYTHONUNBUFFERED=1",
	}, extra...)
}

func (c *Client) read(ready chan<- error) {
	r := wire.NewReader(c.conn)
	var err error
	greeted := false
	for err == nil {
		var f wire.Frame
		if f, err = r.Read(); err != nil {
			break
		}
		if f.Type == wire.Ready && !greeted {
			greeted = true
			ready <- checkVersion(f)
			continue
		}
		err = c.dispatch(f)
	}
	c.mu.Lock()
	c.err = err
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	c.cancel()
	for _, s := range streams {
		s.abort()
		close(s.result)
	}
	close(c.done)
}

func checkVersion(f wire.Frame) error {
	var info wire.ReadyInfo
	if err := f.JSON(&info); err != nil {
		return err
	}
	if info.Version != wire.Version {
		return fmt.Errorf("mlgym-shim speaks protocol %d, mlgym %d: build both from the same source", info.Version, wire.Version)
	}
	return nil
}

// abort ends the data of a stream whose connection is gone.
func (s *stream) abort() {
	for _, r := range s.recv {
		r.End(sandbox.ErrLost)
	}
	for _, snd := range s.send {
		snd.Abort(sandbox.ErrLost)
	}
}

func (c *Client) dispatch(f wire.Frame) error {
	if f.Type == wire.Call {
		return c.answer(f)
	}
	c.mu.Lock()
	s := c.streams[f.Stream]
	c.mu.Unlock()
	if s == nil {
		return nil // the end of a stream that was given up
	}
	switch f.Type {
	case wire.Data:
		fd, _, err := f.FD()
		if err != nil {
			return err
		}
		if r := s.recv[fd]; r != nil {
			return r.PushFrame(f)
		}
	case wire.CloseFD:
		fd, _, err := f.FD()
		if err != nil {
			return err
		}
		if r := s.recv[fd]; r != nil {
			r.End(io.EOF)
		}
	case wire.Ack:
		fd, n, err := f.Credit()
		if err != nil {
			return err
		}
		if snd := s.send[fd]; snd != nil {
			snd.Credit(n)
		}
	case wire.Done, wire.Failed:
		c.mu.Lock()
		delete(c.streams, f.Stream)
		c.mu.Unlock()
		for _, r := range s.recv {
			r.End(io.EOF)
		}
		for _, snd := range s.send {
			snd.Abort(io.ErrClosedPipe)
		}
		s.result <- f
		close(s.result)
	case wire.Hello, wire.Ready, wire.Run, wire.CallTool, wire.Start, wire.Kill, wire.Put, wire.Get, wire.Call, wire.CallReply, wire.Snapshot, wire.Restore, wire.SetEnv:
		return fmt.Errorf("%w: type %d from the shim", wire.ErrFrame, f.Type)
	}
	return nil
}

// answer serves a call from inside in a goroutine of its own, so that a long
// grading does not hold up the connection.
func (c *Client) answer(f wire.Frame) error {
	if len(f.Payload) > wire.MaxCallBytes {
		return fmt.Errorf("%w: a call of %d bytes", wire.ErrFrame, len(f.Payload))
	}
	var call sandbox.Call
	if err := f.JSON(&call); err != nil {
		return err
	}
	// The shim keeps to this; one that was taken over must not fill our memory.
	if c.asked.Add(1) > wire.MaxCalls {
		return fmt.Errorf("%w: more than %d calls are under way", wire.ErrFrame, wire.MaxCalls)
	}
	c.calls.Go(func() {
		reply := sandbox.Reply{Output: fmt.Sprintf("%s is not available here\n", call.Name), ExitCode: 127}
		if c.cfg.OnCall != nil {
			reply = c.cfg.OnCall(c.ctx, call)
		}
		// Before the answer, upon which the shim may call again.
		c.asked.Add(-1)
		// If the connection is gone, there is nobody to tell.
		_ = c.w.WriteJSON(wire.CallReply, f.Stream, reply)
	})
	return nil
}

// open starts a stream that receives and sends the given descriptors.
func (c *Client) open(recv, send []uint8) (*stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams == nil {
		return nil, sandbox.ErrLost
	}
	s := &stream{id: c.next, result: make(chan wire.Frame, 1), recv: map[uint8]*wire.Receiver{}, send: map[uint8]*wire.Sender{}}
	c.next += 2
	for _, fd := range recv {
		s.recv[fd] = wire.NewReceiver(c.w, s.id, fd)
	}
	for _, fd := range send {
		s.send[fd] = wire.NewSender(c.w, s.id, fd)
	}
	c.streams[s.id] = s
	return s, nil
}

// request opens a stream and sends its first frame.
func (c *Client) request(t wire.Type, v any, recv, send []uint8) (*stream, error) {
	s, err := c.open(recv, send)
	if err != nil {
		return nil, c.lost(nil)
	}
	if err := c.w.WriteJSON(t, s.id, v); err != nil {
		return nil, c.lost(err)
	}
	return s, nil
}

// wait returns the stream's result decoded into v. When ctx ends first, what
// runs is killed inside and the result of that is waited for a short while. It is
// then lost, unless ctx ended with [sandbox.ErrInterrupted]: an interrupt has a
// result like any other end.
func (c *Client) wait(ctx context.Context, s *stream, v any) error {
	var f wire.Frame
	var ok bool
	select {
	case f, ok = <-s.result:
	case <-ctx.Done():
		_ = c.w.Write(wire.Kill, s.id)
		interrupted := errors.Is(context.Cause(ctx), sandbox.ErrInterrupted)
		timer := time.NewTimer(killWait)
		if interrupted {
			timer.Reset(interruptWait)
		}
		defer timer.Stop()
		select {
		case f, ok = <-s.result:
		case <-timer.C:
			return context.Cause(ctx)
		}
		if ok && !interrupted {
			return context.Cause(ctx)
		}
	}
	if !ok {
		return c.lost(nil)
	}
	if f.Type == wire.Failed {
		return failure(f)
	}
	if v == nil {
		return nil
	}
	return f.JSON(v)
}

// killWait bounds how long a cancelled request is waited for.
const killWait = 10 * time.Second

// interruptWait bounds how long an interrupted request is waited for: the grace of
// its programs, their end by force, and another shell where that took the shell
// along.
const interruptWait = time.Minute

func failure(f wire.Frame) error {
	var fail wire.Failure
	if err := f.JSON(&fail); err != nil {
		return err
	}
	switch fail.Code {
	case wire.CodeNotExist:
		return fmt.Errorf("%s: %w", fail.Message, fs.ErrNotExist)
	case wire.CodeTooLarge:
		return fmt.Errorf("%s: %w", strings.TrimSuffix(fail.Message, ": "+sandbox.ErrTooLarge.Error()), sandbox.ErrTooLarge)
	case wire.CodeNoSnapshot:
		return fmt.Errorf("%w: %s", sandbox.ErrNoSnapshot, strings.TrimPrefix(fail.Message, sandbox.ErrNoSnapshot.Error()+": "))
	default:
		return errors.New(fail.Message)
	}
}

// Run implements [sandbox.Shell].
func (c *Client) Run(ctx context.Context, script sandbox.Script) (sandbox.Result, error) {
	c.runMu.Lock()
	defer c.runMu.Unlock()
	return c.result(ctx, wire.Run, script)
}

// CallTool implements [sandbox.ToolCaller].
func (c *Client) CallTool(ctx context.Context, name string, args json.RawMessage) (sandbox.Result, error) {
	c.runMu.Lock()
	defer c.runMu.Unlock()
	return c.result(ctx, wire.CallTool, wire.ToolRequest{Name: name, Args: args})
}

// SetEnv implements [sandbox.EnvSetter].
func (c *Client) SetEnv(ctx context.Context, env []string) error {
	c.runMu.Lock()
	defer c.runMu.Unlock()
	s, err := c.request(wire.SetEnv, wire.EnvRequest{Env: env}, nil, nil)
	if err == nil {
		err = c.wait(ctx, s, nil)
	}
	if err != nil {
		return fmt.Errorf("set variables: %w", err)
	}
	return nil
}

func (c *Client) result(ctx context.Context, t wire.Type, req any) (sandbox.Result, error) {
	s, err := c.request(t, req, nil, nil)
	if err != nil {
		return sandbox.Result{}, err
	}
	var res sandbox.Result
	return res, c.wait(ctx, s, &res)
}
