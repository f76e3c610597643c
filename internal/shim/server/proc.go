package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is a program that the shim itself started: the shell, a program, a job.
// It leads a session of its own.
type child struct {
	pid  int
	done chan struct{} // closed when it has been reaped
	// status is valid after done.
	status syscall.WaitStatus
}

// reaper starts children and reaps everything that ends below the shim,
// orphans included.
type reaper struct {
	mu       sync.Mutex
	children map[int]*child
}

func newReaper() *reaper { return &reaper{children: map[int]*child{}} }

// start starts a program in a session of its own. The lock is held over fork
// and registration, so that no end is missed.
func (r *reaper) start(argv []string, attr *syscall.ProcAttr) (*child, error) {
	path, err := lookPath(argv[0], attr.Env, attr.Dir)
	if err != nil {
		return nil, err
	}
	if attr.Sys == nil {
		attr.Sys = &syscall.SysProcAttr{}
	}
	attr.Sys.Setsid = true
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: path, Err: err}
	}
	// When memory runs out, the kernel is to end this and not the shim. It is
	// a preference: where it cannot be set, nothing is lost.
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(oomScore), 0)
	c := &child{pid: pid, done: make(chan struct{})}
	r.children[pid] = c
	return c, nil
}

// oomScore makes a process half of the memory's worth more likely to be ended.
const oomScore = "500"

// reap collects everything that has ended. It is called for every SIGCHLD.
func (r *reaper) reap() {
	for {
		r.mu.Lock()
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			r.mu.Unlock()
			continue
		}
		if err != nil || pid <= 0 {
			r.mu.Unlock()
			return
		}
		if c := r.children[pid]; c != nil {
			delete(r.children, pid)
			c.status = status
			close(c.done)
		}
		r.mu.Unlock()
	}
}

// roots returns the pids of the live children.
func (r *reaper) roots() map[int]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[int]bool, len(r.children))
	for pid := range r.children {
		out[pid] = true
	}
	return out
}

// lookPath finds a program on the PATH of env.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, executable(name)
	}
	path := ""
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	for _, d := range filepath.SplitList(path) {
		full := filepath.Join(d, name)
		if executable(full) == nil {
			return full, nil
		}
	}
	return "", &os.PathError{Op: "start", Path: name, Err: syscall.ENOENT}
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return &os.PathError{Op: "start", Path: path, Err: syscall.EACCES}
	}
	return nil
}

// proc is one line of the process table.
type proc struct {
	pid, ppid int
	state     byte
	start     uint64 // clock ticks after boot
}

// readProc reads /proc/PID/stat.
func readProc(pid int) (proc, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return proc{}, false
	}
	// The name is in parentheses and may hold anything; what follows the last
	// parenthesis is fields 3 and on.
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return proc{}, false
	}
	fields := strings.Fields(string(data[i+1:]))
	if len(fields) < 20 {
		return proc{}, false
	}
	p := proc{pid: pid, state: fields[0][0]}
	p.ppid, _ = strconv.Atoi(fields[1])
	p.start, _ = strconv.ParseUint(fields[19], 10, 64)
	return p, true
}

// procDir is /proc, open for good: it is listed around every action.
var procDir = struct {
	mu  sync.Mutex
	fd  int
	buf []byte
}{fd: -1}

// pids lists the processes of the sandbox in ascending order. It reads the folder's
// entries itself: os.ReadDir opens it each time and makes a string of each name,
// which took a quarter of the time that the shim has for an action.
func pids() []int {
	procDir.mu.Lock()
	defer procDir.mu.Unlock()
	if procDir.fd < 0 {
		fd, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil
		}
		procDir.fd, procDir.buf = fd, make([]byte, 16<<10)
	}
	if _, err := unix.Seek(procDir.fd, 0, io.SeekStart); err != nil {
		return nil
	}
	var out []int
	for {
		n, err := unix.ReadDirent(procDir.fd, procDir.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			slices.Sort(out)
			return out
		}
		out = appendPIDs(out, procDir.buf[:n])
	}
}

// appendPIDs adds the entries whose name is a number. An entry is a linux_dirent64:
// inode and offset of 8 bytes each, its length in 2, a type in 1, and the name up to
// a zero byte.
func appendPIDs(out []int, entries []byte) []int {
	const atLength, atName = 16, 19
	for len(entries) > atName {
		length := int(binary.NativeEndian.Uint16(entries[atLength:]))
		if length <= atName || length > len(entries) {
			return out
		}
		pid, digits := 0, 0
		for _, c := range entries[atName:length] {
			if c < '0' || c > '9' {
				if c != 0 {
					digits = 0
				}
				break
			}
			pid, digits = 10*pid+int(c-'0'), digits+1
		}
		if digits > 0 {
			out = append(out, pid)
		}
		entries = entries[length:]
	}
	return out
}

// mark remembers which processes there were, so that later ones can be told
// from them.
type mark struct {
	pids  []int // in ascending order
	ticks uint64
}

// ticksPerSecond is USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

func now() mark {
	m := mark{pids: pids()}
	var ts unix.Timespec
	// Start times of processes are given in this clock.
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err == nil {
		m.ticks = uint64(ts.Sec)*ticksPerSecond + uint64(ts.Nsec)/(uint64(time.Second)/ticksPerSecond) //nolint:gosec // a clock
	}
	return m
}

// since lists the live processes that root started after the mark: those below
// root, and orphans (whose parent ended, so that they now belong to the shim).
// Processes of the shim's other children are left out.
func (r *reaper) since(m mark, root int) []proc {
	list, _ := r.look(m, root)
	return list
}

// look is since, and counts those later ones that were gone before they could be
// looked at, whoever's they were.
func (r *reaper) look(m mark, root int) (out []proc, gone int) {
	self := os.Getpid()
	table := map[int]proc{}
	for _, pid := range pids() {
		if p, ok := readProc(pid); ok {
			table[pid] = p
		} else if _, old := slices.BinarySearch(m.pids, pid); !old {
			gone++
		}
	}
	// After the table, so that no child in it is missing here.
	known := r.roots()
	for pid, p := range table {
		if pid == self || pid == root || p.state == 'Z' || known[pid] {
			continue
		}
		if _, old := slices.BinarySearch(m.pids, pid); old && (m.ticks == 0 || p.start <= m.ticks) {
			continue
		}
		top := pid
		for range table {
			parent := table[top].ppid
			if parent == self || parent == 0 {
				break
			}
			if _, ok := table[parent]; !ok {
				break
			}
			top = parent
		}
		if top == root || !known[top] {
			out = append(out, p)
		}
	}
	return out, gone
}

// killSince sends a signal to all that since lists.
func (r *reaper) killSince(m mark, root int, sig syscall.Signal) int {
	list := r.since(m, root)
	for _, p := range list {
		_ = syscall.Kill(p.pid, sig)
	}
	return len(list)
}

// endSince ends what since lists and returns when it is gone. A process that was
// killed is there until it has had time to die, and one that makes its successor and
// ends is met by chance, so that one round is not enough, nor is one that finds
// nothing. What cannot die (it waits for a disk) is left after a while.
func (r *reaper) endSince(m mark, root int) {
	const quietRounds, longest = 3, 5 * time.Millisecond
	deadline := time.Now().Add(settle)
	wait := 50 * time.Microsecond
	for quiet := 0; quiet < quietRounds && time.Now().Before(deadline); {
		list, gone := r.look(m, root)
		for _, p := range list {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
		if quiet++; len(list) > 0 || gone > 0 {
			quiet = 0
			wait = min(2*wait, longest)
		}
		time.Sleep(wait)
	}
}

// interruptSince sends SIGINT to what since lists, once to each program: told holds
// the names of those that got it. Bash makes a process first and the program out of
// it then; a signal in between is lost, and bash, which got one too, would take what
// ends later for a program that ends by itself and go on with the next command.
func (r *reaper) interruptSince(m mark, root int, told map[int]string) {
	for _, p := range r.since(m, root) {
		name := programOf(p.pid)
		if before, ok := told[p.pid]; ok && before == name {
			continue
		}
		told[p.pid] = name
		_ = syscall.Kill(p.pid, syscall.SIGINT)
	}
}

// programOf is the name of the program that a process runs, "" where it has ended.
func programOf(pid int) string {
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return string(name)
}

// killAll ends all that since lists, round after round until there is nothing
// left, and returns the size of the largest round. What is stopped first cannot
// fork in the meantime.
func (r *reaper) killAll(m mark, root int) int {
	n := 0
	for range killRounds {
		r.killSince(m, root, syscall.SIGSTOP)
		k := r.killSince(m, root, syscall.SIGKILL)
		if k == 0 {
			break
		}
		n = max(n, k)
	}
	return n
}

// killEverything ends all processes of the sandbox but the shim: jobs and
// programs too. (A signal to all at once is what the sandbox's filter refuses.)
func killEverything() {
	self := os.Getpid()
	for range killRounds {
		live := 0
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			live = 0
			for _, pid := range pids() {
				if p, ok := readProc(pid); ok && pid != self && p.state != 'Z' {
					_ = syscall.Kill(pid, sig)
					live++
				}
			}
		}
		if live == 0 {
			return
		}
	}
}

// killTree ends root and all that it started after the mark. Processes may be
// forking while it works, so it goes on until a round finds none.
func (r *reaper) killTree(m mark, c *child) {
	select {
	case <-c.done:
	default:
		_ = syscall.Kill(-c.pid, syscall.SIGKILL)
		_ = syscall.Kill(c.pid, syscall.SIGKILL)
	}
	r.endSince(m, c.pid)
}

// killRounds bounds the rounds of killing; each finds what the last one missed.
const killRounds = 1000

// trainingNames are the programs whose commands get the training deadline.
var trainingNames = []string{"python", "torchrun", "accelerate", "deepspeed"}

// training reports whether one of the processes really runs a training program:
// by the file that it executes, or by the script that its interpreter runs.
func training(list []proc) bool {
	for _, p := range list {
		dir := "/proc/" + strconv.Itoa(p.pid)
		if exe, err := os.Readlink(dir + "/exe"); err == nil && isTraining(exe) {
			return true
		}
		cmdline, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			continue
		}
		args := bytes.SplitN(cmdline, []byte{0}, 3)
		if len(args) > 2 && isTraining(string(args[1])) {
			return true
		}
	}
	return false
}

func isTraining(path string) bool {
	name := filepath.Base(path)
	for _, known := range trainingNames {
		rest, ok := strings.CutPrefix(name, known)
		if ok && strings.Trim(rest, "0123456789.") == "" {
			return true
		}
	}
	return false
}

// exitOf turns a wait status into the code that a shell would give and the
// name of the signal, if there was one.
func exitOf(status syscall.WaitStatus) (code int, signal string) {
	if status.Signaled() {
		return 128 + int(status.Signal()), signalName(status.Signal())
	}
	return status.ExitStatus(), ""
}

func signalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGHUP: "HUP", syscall.SIGINT: "INT", syscall.SIGQUIT: "QUIT", syscall.SIGILL: "ILL",
		syscall.SIGABRT: "ABRT", syscall.SIGBUS: "BUS", syscall.SIGFPE: "FPE", syscall.SIGKILL: "KILL",
		syscall.SIGSEGV: "SEGV", syscall.SIGPIPE: "PIPE", syscall.SIGALRM: "ALRM", syscall.SIGTERM: "TERM",
		syscall.SIGXCPU: "XCPU", syscall.SIGXFSZ: "XFSZ", syscall.SIGSYS: "SYS",
	}
	if name, ok := names[s]; ok {
		return name
	}
	return strconv.Itoa(int(s))
}
