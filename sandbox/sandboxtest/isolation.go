package sandboxtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mlgym/sandbox"
)

// attack runs a Python program that tries something forbidden in several ways.
// It calls attempt(name, function); a function that returns something other
// than None has succeeded, one that raises OSError or the like has failed. The
// program's every success fails the test.
func (s *suite) attack(t *testing.T, box sandbox.Sandbox, code string, args ...string) {
	t.Helper()
	out := s.python(t, box, attempts+code+"\nprint('DONE', count)", args...)
	blocked := 0
	done := false
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, "ESCAPED"):
			t.Errorf("%s", strings.TrimSpace(line))
		case strings.HasPrefix(line, "BLOCKED"):
			blocked++
			t.Logf("%s", strings.TrimSpace(line))
		case strings.HasPrefix(line, "DONE"):
			done = true
		}
	}
	if !done || blocked == 0 && !t.Failed() {
		t.Errorf("the attack did not take place: %q", out)
	}
}

const attempts = `
import ctypes, errno, os, signal, socket, stat, struct, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
count = 0
def call(name, *args):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*args)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def attempt(name, function):
    global count
    count += 1
    try:
        result = function()
    except (OSError, subprocess.SubprocessError, ValueError) as e:
        print("BLOCKED", name, "-", str(e)[:200].replace("\n", " "))
        return
    if result is None:
        print("BLOCKED", name, "- to no effect")
    else:
        print("ESCAPED", name, "-", repr(result)[:300])
def read(path, size=4096):
    with open(path, "rb") as f:
        return f.read(size) or None
`

func (s *suite) isolation(t *testing.T) {
	mounted := publicFolder(t)
	writeFile(t, filepath.Join(mounted, "data"), "mounted\n")
	box := s.create(t, sandbox.Spec{Mounts: []sandbox.Mount{
		{Source: mounted, Target: sandbox.WorkDir + "/data/mounted"},
		{Source: filepath.Join(mounted, "data"), Target: "/opt/mlgymtest/file"},
	}})
	t.Run("mounts can be read", func(t *testing.T) {
		res := s.run(t, box, "cat data/mounted/data /opt/mlgymtest/file; touch beside && mkdir data/own; echo $?")
		if want := "mounted\nmounted\n0\n"; res.Output != want {
			t.Errorf("got %q, want %q", res.Output, want)
		}
	})
	t.Run("network", func(t *testing.T) { s.network(t, box) })
	t.Run("files of the host", func(t *testing.T) { s.hostFiles(t, box) })
	t.Run("nothing of the host can be written", func(t *testing.T) {
		s.attack(t, box, writeAttack)
		if text, err := os.ReadFile(filepath.Join(mounted, "data")); err != nil || string(text) != "mounted\n" {
			t.Errorf("the mounted file is now %q, %v", text, err)
		}
		if entries, err := os.ReadDir(mounted); err != nil || len(entries) != 1 {
			t.Errorf("the mounted folder now holds %v, %v", entries, err)
		}
	})
	t.Run("environment of the host", func(t *testing.T) {
		s.attack(t, box, `
secret = sys.argv[1][::-1].encode() # reversed, not to find this very argument
def search(path):
    return path if secret in (read(path, 1 << 20) or b"") else None
for pid in ["self"] + [p for p in os.listdir("/proc") if p.isdigit()]:
    for name in ("environ", "cmdline"):
        attempt(f"/proc/{pid}/{name}", lambda: search(f"/proc/{pid}/{name}"))
`, reverse(os.Getenv(secretVar)))
		if res := s.run(t, box, "env; set"); strings.Contains(res.Output, secretVar) {
			t.Error("the shell has a variable of the host")
		}
	})
	t.Run("processes of the host", func(t *testing.T) { s.hostProcesses(t, box) })
	t.Run("the shim", func(t *testing.T) {
		s.attack(t, box, shimAttack)
		s.answers(t, box)
	})
	t.Run("privileges", func(t *testing.T) { s.attack(t, box, privilegeAttack) })
	t.Run("devices and the kernel", func(t *testing.T) { s.attack(t, box, kernelAttack) })
	t.Run("user outside", func(t *testing.T) { s.userOutside(t, box) })
	t.Run("another sandbox", func(t *testing.T) { s.neighbour(t, box) })
	s.answers(t, box)
}

func (s *suite) network(t *testing.T, box sandbox.Sandbox) {
	listener, err := net.Listen("tcp", ":0") //nolint:gosec,noctx // every address is what the attack tries
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	abstract := "@mlgymtest" + unique()
	unixListener, err := net.Listen("unix", abstract) //nolint:noctx // closed below
	if err != nil {
		t.Fatal(err)
	}
	defer unixListener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{port, abstract}
	for _, addr := range addrs {
		if ipNet, ok := addr.(*net.IPNet); ok && !ipNet.IP.IsLinkLocalUnicast() {
			args = append(args, ipNet.IP.String())
			// The positive control: from outside, the address answers.
			c, err := net.Dial("tcp", net.JoinHostPort(ipNet.IP.String(), port)) //nolint:noctx // local
			if err != nil {
				t.Fatalf("the host does not reach itself: %v", err)
			}
			_ = c.Close()
		}
	}
	s.attack(t, box, `
port, abstract, hosts = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
def connect(host):
    with socket.create_connection((host, port), timeout=3): return "connected"
for host in hosts + ["localhost", "1.1.1.1"]:
    attempt(f"connect to {host}", lambda: connect(host))
def abstract_socket():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + abstract[1:]); return "connected"
attempt("the host's abstract unix socket", abstract_socket)
def datagram(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return s.sendto(b"x", (host, 53))
for host in ("8.8.8.8", "169.254.169.254", "255.255.255.255"):
    attempt(f"datagram to {host}", lambda: datagram(host))
attempt("name resolution", lambda: socket.getaddrinfo("example.com", 80))
attempt("interfaces", lambda: [n for _, n in socket.if_nameindex() if n != "lo" and not n.startswith(("tunl", "sit", "ip6tnl", "gre", "erspan", "ip_vti", "ip6_vti", "ip6gre"))] or None)
for name in ("docker.sock", "containerd/containerd.sock", "dbus/system_bus_socket", "systemd/private"):
    def unix_socket():
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("/run/" + name); return "connected"
    attempt(f"/run/{name}", unix_socket)
def own(*args):
    with socket.socket(*args): return "opened"
attempt("packet socket", lambda: own(socket.AF_PACKET, socket.SOCK_RAW))
attempt("raw socket", lambda: own(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
def vsock():
    with socket.socket(socket.AF_VSOCK) as s:
        s.settimeout(3); s.connect((2, 22)); return "connected"
attempt("the hypervisor's socket", vsock)
`, args...)
	t.Run("its own loopback works", func(t *testing.T) {
		got := s.python(t, box, `import socket
l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); c.send(b"hello")
print(l.accept()[0].recv(5).decode())`)
		if got != "hello\n" {
			t.Errorf("got %q, want hello", got)
		}
	})
}

// hostFiles hides secrets in places of the host where the tests may write.
func (s *suite) hostFiles(t *testing.T, box sandbox.Sandbox) {
	secret := "secret-" + unique()
	name := "mlgymtest-" + unique()
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, dir := range []string{t.TempDir(), os.TempDir(), "/tmp", "/var/tmp", "/dev/shm", "/root", "/home", "/srv", "/opt", "/mnt", "/run", "/var/lib", os.Getenv("HOME"), cwd} {
		path := filepath.Join(dir, name)
		if os.WriteFile(path, []byte(secret), 0o644) != nil { //nolint:gosec // readable by all, on purpose
			continue // no place of this user's
		}
		t.Cleanup(func() { _ = os.Remove(path) })
		paths = append(paths, path)
	}
	t.Logf("secrets in %v", paths)
	if len(paths) < 3 {
		t.Fatalf("only %d places for secrets", len(paths))
	}
	s.attack(t, box, `
secret, name, paths = sys.argv[1].encode(), sys.argv[2], sys.argv[3:]
def has(path):
    return path if secret in (read(path) or b"") else None
for path in paths:
    attempt(path, lambda: has(path))
    for prefix in ("/proc/1/root", "/proc/self/root", "/proc/1/cwd/../../..", "/proc/self/cwd/../../.."):
        attempt(prefix + path, lambda: has(prefix + path))
for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
    attempt(f"/proc/{pid}/root", lambda: has(f"/proc/{pid}/root{paths[0]}"))
def walk():
    found = []
    for folder, folders, files in os.walk("/"):
        if folder == "/": folders.remove("proc")
        if name in files: found.append(folder)
    return found or None
attempt("every folder", walk)
def password():
    lines = [l for l in (read("/etc/shadow") or b"").splitlines() if l.count(b":") > 7 and l.split(b":")[1] not in (b"*", b"!", b"!*", b"")]
    return lines or None
attempt("/etc/shadow", password)
def foreign():
    names = [l.split(":")[0] for l in open("/etc/passwd")]
    return None if "agent" in names else names
attempt("the host's /etc/passwd", foreign)
for path in ("/root", "/etc/ssh", "/var/lib/docker", "/var/log", "/boot", "/etc/ssl/private"):
    attempt(path, lambda: [n for n in os.listdir(path) if os.access(os.path.join(path, n), os.R_OK) and n.startswith((".", "ssh_host", "docker", "syslog", "auth"))  and n not in (".bashrc", ".profile")] or None)
`, append([]string{secret, name}, paths...)...)
	for _, path := range paths {
		if text, err := os.ReadFile(path); err != nil || string(text) != secret {
			t.Errorf("%s is now %q, %v", path, text, err)
		}
	}
}

// writeAttack tries to write everywhere but in the places that are meant for
// it, and to undo what makes the others read-only.
const writeAttack = `
home = "/home/agent"
def create(folder):
    path = os.path.join(folder, "mlgymtest")
    with open(path, "w") as f: f.write("x")
    os.remove(path)
    return path
for folder in ("/", "/usr", "/usr/bin", "/usr/local/bin", "/usr/lib", "/etc", "/bin", "/lib", "/opt", "/var", "/home", "/run", "/run/mlgym", "/run/mlgym/bin",
               "/opt/mlgymtest", home + "/workspace/data/mounted", "/proc", "/sys", "/proc/sys/kernel", "/dev"):
    attempt("create a file in " + folder, lambda: create(folder))
def overwrite(path):
    with open(path, "r+b") as f:
        first = f.read(1); f.seek(0); f.write(first)
    return path
for path in (home + "/workspace/data/mounted/data", "/opt/mlgymtest/file", "/etc/passwd", "/usr/bin/env", "/bin/sh", "/run/mlgym/bin/mlgym-shim",
             "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/hostname"):
    attempt("write to " + path, lambda: overwrite(path))
for path in (home + "/workspace/data/mounted/data", "/opt/mlgymtest/file"):
    attempt("remove " + path, lambda: os.remove(path) or path)
    attempt("rename " + path, lambda: os.rename(path, path + "2") or path)
    attempt("chmod " + path, lambda: os.chmod(path, 0o777) or path)
    attempt("link " + path, lambda: os.link(path, home + "/hardlink") or path)
    attempt("touch " + path, lambda: os.utime(path) or path)
attempt("move the mounted folder", lambda: os.rename(home + "/workspace/data/mounted", home + "/moved") or 1)
def everywhere():
    found = []
    for folder, folders, files in os.walk("/"):
        if folder == "/":
            folders[:] = [f for f in folders if f not in ("proc", "sys")]
        if os.access(folder, os.W_OK) and not folder.startswith((home, "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/dev/pts")):
            found.append(folder)
    return found or None
attempt("folders that can be written", everywhere)
`

func (s *suite) hostProcesses(t *testing.T, box sandbox.Sandbox) {
	marker := "mlgymtest" + unique()
	// A process of the same user outside, with a name to be found by.
	host := exec.Command("bash", "-c", "read -r line", marker) //nolint:noctx // ended below
	stdin, err := host.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stdin.Close()
		if err := host.Wait(); err != nil && !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("the host's process was disturbed: %v", err)
		}
	}()
	s.attack(t, box, `
marker, host, owner = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
me = [p for p in os.listdir("/proc") if p.isdigit()]
attempt("a list of foreign processes", lambda: me if len(me) > 40 else None)
def named(pid):
    return pid if int(pid) != os.getpid() and marker in (read(f"/proc/{pid}/cmdline") or b"").decode(errors="replace") else None
for pid in me:
    attempt(f"name of process {pid}", lambda: named(pid))
for pid in (host, owner):
    # The same number may be a process of ours.
    if str(pid) not in me:
        attempt(f"signal {pid}", lambda: os.kill(pid, 0) or pid)
        attempt(f"/proc/{pid}", lambda: os.listdir(f"/proc/{pid}"))
        attempt(f"priority of {pid}", lambda: os.getpriority(os.PRIO_PROCESS, pid))
        attempt(f"scheduler of {pid}", lambda: os.sched_getaffinity(pid))
attempt("parent of the first process", lambda: next((int(l.split()[1]) for l in open("/proc/1/status") if l.startswith("PPid")), 0) or None)
`, marker, strconv.Itoa(host.Process.Pid), strconv.Itoa(os.Getpid()))
	if err := unix.Kill(host.Process.Pid, 0); err != nil {
		t.Errorf("the host's process is gone: %v", err)
	}
}

// shimAttack tries to look into, to trace and to end the first process.
const shimAttack = `
for name in ("mem", "environ", "maps", "exe", "auxv", "syscall", "stack", "personality"):
    attempt(f"/proc/1/{name}", lambda: read(f"/proc/1/{name}", 1))
attempt("/proc/1/exe link", lambda: os.readlink("/proc/1/exe"))
for fd in range(16):
    attempt(f"/proc/1/fd/{fd}", lambda: os.open(f"/proc/1/fd/{fd}", os.O_WRONLY))
attempt("/proc/1/mem for writing", lambda: os.open("/proc/1/mem", os.O_RDWR))
attempt("/proc/1/root", lambda: os.listdir("/proc/1/root/"))
attempt("/proc/1/cwd", lambda: os.listdir("/proc/1/cwd/"))
attempt("ptrace attach", lambda: call("ptrace", 16, 1, 0, 0))
attempt("ptrace seize", lambda: call("ptrace", 0x4206, 1, 0, 0))
local = ctypes.create_string_buffer(16)
class iovec(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
here, there = iovec(ctypes.addressof(local), 16), iovec(0x400000, 16)
attempt("process_vm_readv", lambda: call("process_vm_readv", 1, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
attempt("process_vm_writev", lambda: call("process_vm_writev", 1, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
def pidfd_getfd():
    pid = call("syscall", 434, 1, 0)
    return call("syscall", 438, pid, 0, 0)
attempt("pidfd_getfd", pidfd_getfd)
attempt("process limits", lambda: __import__("resource").prlimit(1, __import__("resource").RLIMIT_NOFILE, (0, 0)))
for n in range(1, 65):
    try: os.kill(1, n)
    except OSError: pass
print("BLOCKED every signal to the first process, if it still answers")
`

// privilegeAttack tries to become someone else or to gain a capability.
const privilegeAttack = `
def status(field):
    return next((l.split()[1] for l in open("/proc/self/status") if l.startswith(field + ":")), "0")
for field in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
    attempt(field, lambda: None if int(status(field), 16) == 0 else status(field))
def identity(name, *args):
    def change():
        pid = os.fork()
        if pid: return None if os.waitpid(pid, 0)[1] else "changed"
        try: getattr(os, name)(*args)
        except OSError: os._exit(1)
        os._exit(0)
    return change
me = os.getuid()
if me != 0:
    for name, args in (("setuid", (0,)), ("setgid", (0,)), ("setreuid", (0, 0)), ("setresuid", (0, 0, 0)), ("setuid", (me + 1,)), ("setgroups", ([0],))):
        attempt(f"{name}{args}", identity(name, *args))
else:
    # Number 0 inside and somebody outside: other numbers must not exist.
    attempt("setuid(1)", identity("setuid", 1))
def sub(*argv):
    r = subprocess.run(argv, capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
    return (r.stdout or b"done") if r.returncode == 0 else None
for argv in (("su", "-c", "id"), ("sudo", "-n", "id"), ("mount", "-t", "tmpfs", "none", "/tmp"), ("umount", "/proc"), ("umount", "-l", "/usr"), ("mount", "-o", "remount,rw", "/"),
             ("mount", "-o", "remount,rw,bind", "/usr"), ("mount", "--bind", "/tmp", "/usr"),
             ("unshare", "-Ur", "true"), ("unshare", "-m", "true"), ("unshare", "-n", "true"), ("unshare", "-p", "--fork", "true"),
             ("nsenter", "-t", "1", "-m", "true"), ("nsenter", "-t", "1", "-n", "true"), ("chroot", "/", "true"), ("ip", "link", "add", "dummy0", "type", "dummy"), ("hostname", "changed")):
    attempt(" ".join(argv), lambda: sub(*argv))
attempt("unshare(NEWUSER)", lambda: call("unshare", 0x10000000))
attempt("clone(NEWUSER)", lambda: call("syscall", 56, 0x10000000 | 17, 0, 0, 0, 0) or os._exit(0))
args = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, 17, 0, 0, 0)
attempt("clone3(NEWUSER)", lambda: call("syscall", 435, ctypes.byref(args), 64) or os._exit(0))
attempt("setns", lambda: call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0))
attempt("mount", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
attempt("fsopen", lambda: call("syscall", 430, b"tmpfs", 0))
attempt("open_tree clone", lambda: call("syscall", 428, -100, b"/", 1))
attempt("pivot_root", lambda: call("syscall", 155, b"/tmp", b"/tmp"))
attempt("chroot", lambda: os.chroot("/tmp") or 1)
def setuid_bit():
    # A program of ours with the bit set must not change who runs it, and a
    # foreign one must not either.
    import shutil
    shutil.copy("/usr/bin/id", "/home/agent/id"); os.chmod("/home/agent/id", 0o6755)
    out = subprocess.run(["/home/agent/id", "-u"], capture_output=True).stdout.strip().decode()
    return None if out == str(me) else out
attempt("a set-user-id program", setuid_bit)
`

// kernelAttack asks for what only the machine's owner may.
const kernelAttack = `
attempt("mknod of a disk", lambda: os.mknod("/home/agent/disk", 0o666 | stat.S_IFBLK, os.makedev(8, 0)) or 1)
attempt("mknod of memory", lambda: os.mknod("/home/agent/mem", 0o666 | stat.S_IFCHR, os.makedev(1, 1)) or 1)
for path in ("/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop-control",
             "/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/sysrq-trigger"):
    attempt(path, lambda: os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 1) or None)
attempt("kernel addresses", lambda: [l for l in open("/proc/kallsyms").read(4096).splitlines()[:-1] if not l.startswith("0000000000000000")] or None)
attempt("kernel log", lambda: call("klogctl", 3, ctypes.create_string_buffer(100), 100))
attempt("bpf", lambda: call("syscall", 321, 0, ctypes.create_string_buffer(128), 128))
attempt("perf_event_open", lambda: call("syscall", 298, ctypes.create_string_buffer(128), 0, -1, -1, 0))
attempt("userfaultfd", lambda: call("syscall", 323, 0))
attempt("io_uring", lambda: call("syscall", 425, 8, ctypes.create_string_buffer(120)))
attempt("add_key", lambda: call("syscall", 248, b"user", b"mlgymtest", b"x", 1, -3))
attempt("keyctl", lambda: call("syscall", 250, 0, -3, 1))
attempt("init_module", lambda: call("syscall", 175, b"", 0, b""))
attempt("kexec_load", lambda: call("syscall", 246, 0, 0, None, 0))
attempt("set the clock", lambda: __import__("time").clock_settime(0, 0) or 1)
attempt("iopl", lambda: call("syscall", 172, 3) or 1)
attempt("open_by_handle_at", lambda: call("syscall", 304, -100, ctypes.create_string_buffer(128), 0))
attempt("quotactl", lambda: call("syscall", 179, 0x80000700, None, 0, None) or 1)
attempt("swapon", lambda: call("syscall", 167, b"/home/agent/id", 0) or 1)
def tiocsti():
    import fcntl
    master, slave = os.openpty()
    os.setsid(); fcntl.ioctl(slave, 0x540E, 0)
    fcntl.ioctl(slave, 0x5412, b"x")
    return "typed"
pid = os.fork()
if pid == 0:
    attempt("TIOCSTI", tiocsti); sys.stdout.flush(); os._exit(0)
os.waitpid(pid, 0)
`

// userOutside looks at a process of the sandbox from the host.
func (s *suite) userOutside(t *testing.T, box sandbox.Sandbox) {
	marker := "mlgymtest" + unique()
	s.sleeper(t, box, marker)
	pids := hostPIDs(t, marker)
	if s.OwnKernel && len(pids) == 0 {
		t.Log("programs inside are not processes of the host: its runtime's are looked at instead")
		pids = hostPIDs(t, s.HostName(box.ID()))
		pids = withoutUser0Parents(t, pids)
	}
	if len(pids) == 0 {
		t.Fatal("no process of the sandbox is seen on the host")
	}
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // it ended
		}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "Uid:") {
				continue
			}
			t.Logf("process %d: %s", pid, strings.TrimSpace(line))
			for _, uid := range strings.Fields(line)[1:] {
				switch {
				case uid != "0":
				case s.RootOutside != "":
					t.Skipf("SKIPPED: the user inside is root outside, as the driver says: %s", s.RootOutside)
				default:
					t.Errorf("process %d of the sandbox is root on the host: %s", pid, line)
				}
			}
		}
	}
	s.run(t, box, "pkill -f "+marker)
}

// withoutUser0Parents leaves out the runtime's own processes, which have
// children of the sandbox but run none of its programs.
func withoutUser0Parents(t *testing.T, pids []int) []int {
	t.Helper()
	var leaves []int
	for _, pid := range pids {
		exe, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		switch strings.TrimSpace(string(exe)) {
		case "runsc", "runsc-gofer", "exe":
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if !strings.HasPrefix(string(line), "runsc-sandbox") {
				continue
			}
		}
		leaves = append(leaves, pid)
	}
	return leaves
}

// neighbour checks that two sandboxes share nothing.
func (s *suite) neighbour(t *testing.T, box sandbox.Sandbox) {
	marker := "mlgymtest" + unique()
	other := s.create(t, sandbox.Spec{})
	s.run(t, other, "for d in ~ /tmp /var/tmp /dev/shm; do echo "+marker+" > $d/"+marker+"; done; bash -c 'sleep 1000; true' "+marker+" & disown; "+
		"python3 -c 'import socket,time; s=socket.socket(socket.AF_UNIX); s.bind(\"\\0"+marker+"\"); s.listen(); print(\"up\", flush=True); time.sleep(1000)' > up & "+
		"until grep -q up up; do sleep 0.05; done; ipcmk -M 4096 > /dev/null 2>&1 || true")
	s.attack(t, box, `
marker = sys.argv[1]
for folder in ("/home/agent", "/tmp", "/var/tmp", "/dev/shm"):
    attempt("file in " + folder, lambda: read(f"{folder}/{marker}"))
def abstract_socket():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + marker); return "connected"
attempt("abstract unix socket", abstract_socket)
def named(pid):
    return pid if int(pid) != os.getpid() and marker in (read(f"/proc/{pid}/cmdline") or b"").decode(errors="replace") else None
for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
    attempt(f"process {pid}", lambda: named(pid))
attempt("shared memory", lambda: open("/proc/sysvipc/shm").read().splitlines()[1:] or None)
`, marker)
}

func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // seen from inside
		t.Fatal(err)
	}
}
