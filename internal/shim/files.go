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
	s, err := f.c.request(wire.Put, wire.PutRequest{Dir: dir}, nil, []uint8{fdStdin})
	if err != nil {
		return err
	}
	snd := s.send[fdStdin]
	_, sendErr := io.Copy(snd, tar)
	if sendErr == nil {
		sendErr = snd.Close()
	} else {
		_ = snd.Close()
	}
	if err := f.c.wait(ctx, s, nil); err != nil {
		return fmt.Errorf("put files into %s: %w", dir, err)
	}
	if sendErr != nil {
		return fmt.Errorf("put files into %s: %w", dir, sendErr)
	}
	return nil
}

// Get implements [sandbox.Files].
func (f files) Get(ctx context.Context, dst io.Writer, maxBytes int64, paths ...string) error {
	s, err := f.c.request(wire.Get, wire.GetRequest{Paths: paths, MaxBytes: maxBytes}, []uint8{fdStdout}, nil)
	if err != nil {
		return err
	}
	src := s.recv[fdStdout]
	// The shim is not trusted to keep to the bound: tar adds at most a block
	// or two for each file, so twice the bound plus a little is never honest.
	limited := &limitedWriter{w: dst, left: 2*maxBytes + 8<<20}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(limited, src)
		if err != nil {
			src.Discard()
		}
		copied <- err
	}()
	err = f.c.wait(ctx, s, nil)
	if err != nil {
		src.End(io.ErrUnexpectedEOF)
	}
	copyErr := <-copied
	if err == nil {
		err = copyErr
	}
	if err != nil {
		return fmt.Errorf("get files: %w", err)
	}
	return nil
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
