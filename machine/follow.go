package machine

import (
	"os"

	"golang.org/x/sys/unix"
)

// watch returns what is closed at the next release that is noticed.
func (m *Machine) watch() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// tell wakes all who wait in this process.
func (m *Machine) tell() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}

// follow has the kernel tell of releases by other processes, which remove their
// file, until the returned function is called. One watcher serves all claims of
// this process that wait. Where there is none (a network's file system, too many
// watchers) only looking is left.
func (m *Machine) follow() (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting++
	if m.waiting == 1 {
		m.follower = m.startFollower()
	}
	return func() {
		m.mu.Lock()
		m.waiting--
		var last *follower
		if m.waiting == 0 {
			last, m.follower = m.follower, nil
		}
		m.mu.Unlock()
		if last != nil {
			last.stop()
		}
	}
}

// follower reads events of the kernel.
type follower struct {
	events *os.File
	done   chan struct{}
}

func (m *Machine) startFollower() *follower {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	f := &follower{events: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{})} //nolint:gosec // a descriptor
	// Removed files only: opening and closing is what looking does itself.
	if _, err := unix.InotifyAddWatch(fd, m.dir, unix.IN_DELETE); err != nil {
		_ = f.events.Close()
		return nil
	}
	go func() {
		defer close(f.done)
		buffer := make([]byte, 4096)
		for {
			if _, err := f.events.Read(buffer); err != nil {
				return
			}
			m.tell()
		}
	}()
	return f
}

func (f *follower) stop() {
	_ = f.events.Close()
	<-f.done
}
