package bubblewrap_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"mlgym/sandbox"
)

// attack runs a Python program in a sandbox and returns what it printed. The
// sandbox has to answer afterwards.
func attack(t *testing.T, program string) string {
	t.Helper()
	box, err := harness().New(t).Create(t.Context(), sandbox.Spec{Limits: sandbox.Limits{MemoryBytes: 128 << 20, DiskBytes: 64 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	shell, ok := box.(sandbox.Shell)
	if !ok {
		t.Fatal("no shell")
	}
	res, err := shell.Run(t.Context(), sandbox.Script{Text: "python3 -u - <<'EOF'\n" + program + "\nEOF", Wall: time.Minute})
	if err != nil {
		t.Fatalf("the attack ended the sandbox: %v", err)
	}
	after, err := shell.Run(t.Context(), sandbox.Script{Text: "echo works", Wall: time.Minute})
	if err != nil || after.Output != "works\n" {
		t.Errorf("after the attack the sandbox says %q, %v", after.Output, err)
	}
	return res.Output
}

// TestForeignArchitecture makes system calls by the numbers of 32-bit programs,
// which a filter of 64-bit numbers does not know.
func TestForeignArchitecture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIPPED: machine code for amd64")
	}
	got := attack(t, `
import ctypes, mmap
m = mmap.mmap(-1, 4096, prot=7)
m.write(bytes.fromhex("5389f889f389d1cd805bc3"))  # int 0x80 with the three arguments
number = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int)
call = number(ctypes.addressof(ctypes.c_char.from_buffer(m)))
print("started")
print("a 32-bit call was made", call(310, 0x10000000, 0))  # unshare(CLONE_NEWUSER)
`)
	if !strings.Contains(got, "started") || strings.Contains(got, "was made") {
		t.Errorf("got %q, want a program that starts and is ended by its 32-bit call", got)
	}
}

// TestFamiliesOfSockets opens sockets that no network namespace holds back.
func TestFamiliesOfSockets(t *testing.T) {
	got := attack(t, `
import socket
for family in (40, 38, 17, 15, 44):
    for kind in (1, 2, 3, 5):
        try:
            socket.socket(family, kind)
            print("opened", family, kind)
        except OSError as e:
            if e.errno != 97:
                print(family, kind, e)
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 4
socket_call = {"x86_64": 41, "aarch64": 198}[__import__("platform").machine()]
for family in (40, 38):
    if libc.syscall(socket_call, family | 1 << 32, 1, 0) >= 0 or ctypes.get_errno() != errno.EAFNOSUPPORT:
        print("opened", family, "with a dirty upper half", ctypes.get_errno())
socket.socket(socket.AF_INET), socket.socket(socket.AF_INET6), socket.socketpair()
print("done")
`)
	if got != "done\n" {
		t.Errorf("got %q, want only: done", got)
	}
}

// TestLimitsOfTheShim sets resource limits of the first process, by which it
// could be ended.
func TestLimitsOfTheShim(t *testing.T) {
	got := attack(t, `
import resource
for what, value in ((resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_CPU, 1), (resource.RLIMIT_AS, 4096)):
    try:
        resource.prlimit(1, what, (value, value))
        print("set", what)
    except PermissionError:
        pass
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
print("own limit", resource.getrlimit(resource.RLIMIT_NOFILE))
`)
	if got != "own limit (100, 100)\n" {
		t.Errorf("got %q, want only its own limit set", got)
	}
}

// TestFullPlaces fills everything that can be written to, which lies in memory,
// and then uses up what is left: that must end a program and not the shim.
func TestFullPlaces(t *testing.T) {
	got := attack(t, `
import os
for place in ("/tmp", "/dev/shm", "/home/agent"):
    with open(place + "/full", "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(1 << 20))
        except OSError as e:
            print(place, e.strerror)
if os.fork() == 0:
    everything = b"x" * (600 << 20)
print("ended by", os.wait()[1])
`)
	want := "/tmp No space left on device\n/dev/shm No space left on device\n/home/agent No space left on device\nended by 9\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
