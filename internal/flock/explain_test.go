package flock

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnsupported has no file system at hand that cannot lock; this is what the
// kernel says of them.
func TestUnsupported(t *testing.T) {
	for _, tt := range []struct {
		err  unix.Errno
		want bool
	}{{unix.ENOLCK, true}, {unix.EOPNOTSUPP, true}, {unix.ENOSYS, true}, {unix.EINVAL, true}, {unix.EIO, false}} {
		err := explain("/mnt/x", tt.err)
		if errors.Is(err, ErrUnsupported) != tt.want || !errors.Is(err, tt.err) || !strings.Contains(err.Error(), "/mnt/x") {
			t.Errorf("explain(%v) = %v, want unsupported: %t", tt.err, err, tt.want)
		}
	}
}
