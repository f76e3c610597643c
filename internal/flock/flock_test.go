package flock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mlgym/internal/flock"
)

// TestMain is also a process that takes a lock, starts a child and waits.
func TestMain(m *testing.M) {
	if path := os.Getenv("FLOCK_TEST_HOLD"); path != "" {
		os.Exit(hold(path))
	}
	os.Exit(m.Run())
}

func hold(path string) int {
	if _, held, err := flock.TryLock(path); err != nil || !held {
		return 3
	}
	// A child that outlives its parent must not inherit the lock.
	child := exec.CommandContext(context.Background(), "sleep", "60")
	if err := child.Start(); err != nil {
		return 4
	}
	if err := os.WriteFile(path+".child", []byte(strconv.Itoa(child.Process.Pid)), 0o600); err != nil {
		return 6
	}
	_ = child.Wait()
	return 0
}

func TestLockKeepsOthersOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := flock.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, held, err := flock.TryLock(path); held || err != nil {
		t.Errorf("TryLock of a held file = %t, %v; want false", held, err)
	}
	if held, err := flock.Held(path); !held || err != nil {
		t.Errorf("Held = %t, %v; want true", held, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := flock.Lock(ctx, path); !errors.Is(err, enough) {
		t.Errorf("waiting until ctx ends: error = %v, want its cause", err)
	}
	got := make(chan error, 1)
	go func() {
		f, err := flock.Lock(t.Context(), path)
		if err == nil {
			err = f.Unlock()
		}
		got <- err
	}()
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
	// The waiter that gave up gets the lock too, and must let go of it.
	last, err := flock.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := last.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestContent(t *testing.T) {
	f, err := flock.Lock(t.Context(), filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "a longer text", "short"} {
		if err := f.Replace([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Content(); string(got) != text || err != nil {
			t.Errorf("content = %q, %v; want %q", got, err, text)
		}
	}
}

func TestHeldOfNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	if held, err := flock.Held(path); held || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Held = %t, %v; want an error that wraps fs.ErrNotExist", held, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("asking made the file")
	}
}

// TestKilledProcessLetsGo also leaves a child of the killed process running.
func TestKilledProcessLetsGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	holder := exec.CommandContext(t.Context(), os.Args[0])
	holder.Env = append(os.Environ(), "FLOCK_TEST_HOLD="+path)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- holder.Wait() }()
	child := ""
	for child == "" {
		select {
		case err := <-ended:
			t.Fatalf("the holder ended early: %v", err)
		case <-time.After(5 * time.Millisecond):
			text, _ := os.ReadFile(path + ".child")
			child = string(text)
		}
	}
	if held, err := flock.Held(path); !held || err != nil {
		t.Fatalf("Held = %t, %v; want true while the holder lives", held, err)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	if _, err := os.Stat("/proc/" + child); err != nil {
		t.Fatalf("the child did not outlive its parent, so this shows nothing: %v", err)
	}
	if held, err := flock.Held(path); held || err != nil {
		t.Errorf("Held = %t, %v; want false after a kill", held, err)
	}
	pid, err := strconv.Atoi(child)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
}

// TestLookersKeepNobodyOut has many look at a file's lock, as pages do that show
// whether a run is alive, while it is taken again and again.
func TestLookersKeepNobodyOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var lookers sync.WaitGroup
	for range 8 {
		lookers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := flock.Held(path); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 5000 {
		f, ok, err := flock.TryLock(path)
		if err != nil || !ok {
			t.Errorf("the lock of a file that nobody holds: %v, %v", ok, err)
			break
		}
		if held, err := flock.Held(path); err != nil || !held {
			t.Errorf("held: %v, %v", held, err)
		}
		if err := f.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	lookers.Wait()
}
