package shim

import (
	"context"
	"errors"
	"io"
	"sync"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
)

// The descriptors of a program as the protocol numbers them.
const (
	fdStdin   = 0
	fdStdout  = 1
	fdStderr  = 2
	fdChannel = 3
)

// process implements [sandbox.Process].
type process struct {
	c       *Client
	s       *stream
	channel io.ReadWriteCloser
	copies  sync.WaitGroup

	once   sync.Once
	waited chan struct{}
	exit   sandbox.Exit
	err    error
}

// Start implements [sandbox.Sandbox].
func (c *Client) Start(ctx context.Context, cmd sandbox.Cmd) (sandbox.Process, error) {
	if len(cmd.Argv) == 0 {
		return nil, errors.New("start a program: no argv")
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	req := wire.StartRequest{
		Argv: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, Timeout: cmd.Timeout,
		Stdin: cmd.Stdin != nil, Stdout: cmd.Stdout != nil, Stderr: cmd.Stderr != nil, Channel: cmd.Channel,
	}
	var recv, send []uint8
	if req.Stdin {
		send = append(send, fdStdin)
	}
	if req.Stdout {
		recv = append(recv, fdStdout)
	}
	if req.Stderr {
		recv = append(recv, fdStderr)
	}
	if req.Channel {
		recv, send = append(recv, fdChannel), append(send, fdChannel)
	}
	s, err := c.request(wire.Start, req, recv, send)
	if err != nil {
		return nil, err
	}
	p := &process{c: c, s: s, waited: make(chan struct{})}
	if req.Channel {
		p.channel = &channel{recv: s.recv[fdChannel], send: s.send[fdChannel]}
	}
	p.copyOut(cmd.Stdout, fdStdout)
	p.copyOut(cmd.Stderr, fdStderr)
	if req.Stdin {
		// Not waited for: cmd.Stdin may block for ever although the program
		// has ended, as with os/exec.
		go func() {
			_, _ = io.Copy(s.send[fdStdin], cmd.Stdin)
			_ = s.send[fdStdin].Close()
		}()
	}
	return p, nil
}

func (p *process) copyOut(dst io.Writer, fd uint8) {
	if dst == nil {
		return
	}
	src := p.s.recv[fd]
	p.copies.Go(func() {
		if _, err := io.Copy(dst, src); err != nil {
			src.Discard()
		}
	})
}

// Channel implements [sandbox.Process].
func (p *process) Channel() io.ReadWriteCloser { return p.channel }

// Kill implements [sandbox.Process].
func (p *process) Kill() error { return p.c.w.Write(wire.Kill, p.s.id) }

// Wait implements [sandbox.Process].
func (p *process) Wait(ctx context.Context) (sandbox.Exit, error) {
	p.once.Do(func() {
		defer close(p.waited)
		p.err = p.c.wait(ctx, p.s, &p.exit)
		p.copies.Wait()
	})
	<-p.waited
	return p.exit, p.err
}

// channel is descriptor 3 of a program.
type channel struct {
	recv *wire.Receiver
	send *wire.Sender
}

func (ch *channel) Read(p []byte) (int, error)  { return ch.recv.Read(p) }
func (ch *channel) Write(p []byte) (int, error) { return ch.send.Write(p) }

func (ch *channel) Close() error {
	ch.recv.Discard()
	return ch.send.Close()
}
