package oci

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// privately calls fn on a thread of its own with mounts of its own, when the
// driver runs as root: what fn mounts is seen by the programs that fn starts
// and by nobody else, and vanishes with the last of them, even after a crash.
func (d *Driver) privately(fn func() error) error {
	if !d.asRoot {
		return fn()
	}
	return onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return d.unavailable("run as an ordinary user, or give the container CAP_SYS_ADMIN",
				"root may not make a mount namespace here: %v", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if d.opts.Runtime == Crun && d.cgroups.version == 1 {
			// crun refuses to work where the empty v2 hierarchy is mounted
			// beside v1, as older systemd does; it need not see it.
			_ = unix.Unmount("/sys/fs/cgroup/unified", unix.MNT_DETACH)
		}
		return fn()
	})
}

// onOwnThread calls fn on a thread that ends afterwards. It is never the main
// thread, which cannot end and whose namespaces speak for the whole process.
func onOwnThread(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			result <- onOwnThread(fn)
			return
		}
		// Not unlocked: the thread ends with this goroutine.
		result <- fn()
	}()
	return <-result
}
