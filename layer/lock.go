package layer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// unfinished begins the names of folders that are being built or removed. The
// digest follows, so that it is known whose lock guards them.
const unfinished = ".unfinished-"

// lockPoll is how often a lock that somebody else holds is tried again. The
// kernel can be asked to wait for it, but not to give up when ctx ends.
const lockPoll = 100 * time.Millisecond

// errHeld says that somebody else holds a lock.
var errHeld = errors.New("held by another process")

// tryLock takes the lock of a layer, and returns what lets go of it. The kernel
// lets go of it too, when the process ends.
func tryLock(dir, digest string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock-"+digest), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock a layer: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) //nolint:gosec // a descriptor
	switch {
	case err == nil:
		return func() { _ = f.Close() }, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		err = errHeld
	}
	_ = f.Close()
	return nil, fmt.Errorf("lock a layer: %w", err)
}

// lock waits until no other process builds or removes the layer. waiting, where
// it is set, is called once if there is somebody to wait for.
func lock(ctx context.Context, dir, digest string, waiting func()) (unlock func(), err error) {
	for {
		unlock, err := tryLock(dir, digest)
		if err == nil || !errors.Is(err, errHeld) {
			return unlock, err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// sweep removes what killed processes left half done. What a living one is at
// work on is locked, and stays.
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, unfinished+"*"))
	for _, folder := range left {
		digest, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), unfinished), "-")
		if !validDigest.MatchString(digest) {
			continue
		}
		if unlock, err := tryLock(dir, digest); err == nil {
			_ = os.RemoveAll(folder)
			unlock()
		}
	}
}
