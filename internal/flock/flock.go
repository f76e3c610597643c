// Package flock holds a file against other processes, and against others of the
// same process. The kernel lets go of it when its holder ends, however that
// happens.
//
// Where several machines share a folder, its file system has to pass locks on:
// NFS does from version 4 on (and Linux's version 3 with a lock daemon), unless
// it is mounted with nolock or local_lock; Lustre does when it is mounted with
// flock. A file system that knows no locks is an error that wraps
// [ErrUnsupported]; one that only pretends cannot be told from here.
package flock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that the file system knows no locks.
var ErrUnsupported = errors.New("the file system does not lock files; choose a folder on another one " +
	"(a local disk, or a network file system that is mounted with locks)")

// File is an open file that is locked. Its descriptor is not passed on to
// programs that are started.
type File struct{ *os.File }

// Lock opens the file, which is created where there is none, and waits for its
// lock. When ctx ends first, its cause is returned.
func Lock(ctx context.Context, path string) (*File, error) {
	f, held, err := TryLock(path)
	if err != nil || held {
		return f, err
	}
	// The kernel can be asked to wait, but not to give up when ctx ends. The
	// goroutine then goes on until it gets the lock, and lets go of it.
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	got := make(chan error, 1)
	go func() { got <- flock(file, unix.LOCK_EX) }()
	select {
	case err := <-got:
		if err != nil {
			return nil, explain(path, errors.Join(err, file.Close()))
		}
		return &File{file}, nil
	case <-ctx.Done():
		go func() {
			_ = errors.Join(<-got, (&File{file}).Unlock()) // nobody waits for it any more
		}()
		return nil, fmt.Errorf("wait for the lock of %s: %w", path, context.Cause(ctx))
	}
}

// TryLock is Lock without waiting. It returns nil and false where somebody else
// has the lock.
func TryLock(path string) (*File, bool, error) {
	file, err := open(path)
	if err != nil {
		return nil, false, err
	}
	if held, err := try(path, file); !held {
		return nil, false, errors.Join(err, file.Close())
	}
	return &File{file}, true, nil
}

// Held returns whether somebody holds the lock of a file, which is not created
// where there is none; the error then wraps [io/fs.ErrNotExist]. It takes no right
// to write, and keeps nobody from the lock: see try.
func Held(path string) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, err
	}
	switch err := flock(file, unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return false, (&File{file}).Unlock()
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, file.Close()
	default:
		return false, explain(path, errors.Join(err, file.Close()))
	}
}

// Unlock lets go of the lock and closes the file.
func (f *File) Unlock() error {
	// Said outright, since a process that is just being started may have a copy
	// of the descriptor for a moment, and a lock ends with its last copy.
	return errors.Join(flock(f.File, unix.LOCK_UN), f.Close())
}

// Content reads the whole file.
func (f *File) Content() ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}

// Replace makes data the content of the file. A crash in between leaves a part
// of it: it is for what is worthless without the lock.
func (f *File) Replace(data []byte) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(data, 0)
	return err
}

func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o644) //nolint:gosec // others may see that it is held
}

// try takes the lock if nobody has it. Whoever only looks ([Held]) has it in common
// with others who look, for a moment; that is waited for, and told from a holder by
// sharing it.
func try(path string, file *os.File) (bool, error) {
	const patience = 2 * time.Second // a looker may have been stopped in that moment
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		err := flock(file, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return false, explain(path, err)
		}
		switch err := flock(file, unix.LOCK_SH|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil // somebody holds it alone
		case err != nil:
			return false, explain(path, err)
		}
		if err := flock(file, unix.LOCK_UN); err != nil || time.Since(begin) > patience {
			return false, err
		}
	}
}

func flock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how) //nolint:gosec // a descriptor
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func explain(path string, err error) error {
	if errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("lock %s: %w (%w)", path, ErrUnsupported, err)
	}
	return fmt.Errorf("lock %s: %w", path, err)
}
