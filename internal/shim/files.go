package shim

import (
	"context"
	"fmt"
	"io"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
)

// Files implements [sandbox.Sandbox].
func (c *Client) Files() sandbox.Files { return files{c} }

type files struct{ c *Client }

// Put implements [sandbox.Files].
func (f files) Put(ctx context.Context, dir string, tar io.Reader) error {
	if err := f.c.transmit(ctx, wire.Put, wire.PutRequest{Dir: dir}, tar, nil); err != nil {
		return fmt.Errorf("put files into %s: %w", dir, err)
	}
	return nil
}

// Get implements [sandbox.Files].
func (f files) Get(ctx context.Context, dst io.Writer, maxBytes int64, paths ...string) error {
	// The shim is not trusted to keep to the bound: tar adds at most a block
	// or two for each file, so twice the bound plus a little is never honest.
	if err := f.c.receive(ctx, wire.Get, wire.GetRequest{Paths: paths, MaxBytes: maxBytes}, dst, 2*maxBytes+8<<20); err != nil {
		return fmt.Errorf("get files: %w", err)
	}
	return nil
}

// transmit makes a request that takes a stream, and decodes its result into v.
func (c *Client) transmit(ctx context.Context, t wire.Type, req any, src io.Reader, v any) error {
	s, err := c.request(t, req, nil, []uint8{fdStdin})
	if err != nil {
		return err
	}
	snd := s.send[fdStdin]
	stop := context.AfterFunc(ctx, func() { snd.Abort(context.Cause(ctx)) })
	defer stop()
	_, sendErr := io.Copy(snd, src)
	if sendErr == nil {
		sendErr = snd.Close()
	} else {
		_ = snd.Close()
	}
	if err := c.wait(ctx, s, v); err != nil {
		return err
	}
	return sendErr
}

// receive makes a request that answers with a stream of at most limit bytes.
func (c *Client) receive(ctx context.Context, t wire.Type, req any, dst io.Writer, limit int64) error {
	s, err := c.request(t, req, []uint8{fdStdout}, nil)
	if err != nil {
		return err
	}
	src := s.recv[fdStdout]
	limited := &limitedWriter{w: dst, left: limit}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(limited, src)
		if err != nil {
			src.Discard()
		}
		copied <- err
	}()
	err = c.wait(ctx, s, nil)
	if err != nil {
		src.End(io.ErrUnexpectedEOF)
	}
	copyErr := <-copied
	if err == nil {
		err = copyErr
	}
	return err
}

type limitedWriter struct {
	w    io.Writer
	left int64
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, sandbox.ErrTooLarge
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}
