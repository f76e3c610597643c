package sandbox

import (
	"context"
	"errors"
	"io"
)

// PutStream puts below dir the tar stream that write makes, while it makes it.
// The error is that of Put, or else that of write.
func PutStream(ctx context.Context, files Files, dir string, write func(io.Writer) error) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		_ = w.CloseWithError(err) // never fails
		written <- err
	}()
	err := files.Put(ctx, dir, r)
	_ = r.Close() // lets the writer end where Put did not take it all
	if writeErr := <-written; err == nil && !errors.Is(writeErr, io.ErrClosedPipe) {
		err = writeErr
	}
	return err
}
