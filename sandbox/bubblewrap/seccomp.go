package bubblewrap

import (
	"bytes"
	"encoding/binary"
	"fmt"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denied are system calls that no research program needs and that have opened
// kernels before: making namespaces, mounting, loading, tracing of the kernel,
// key rings, asynchronous rings.
var denied = []string{
	"unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig",
	"fsmount", "fspick", "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key",
	"io_uring_setup", "io_uring_enter", "io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load",
	"kexec_file_load", "reboot", "swapon", "swapoff", "quotactl", "acct", "settimeofday", "clock_settime", "adjtimex",
	"clock_adjtime", "sethostname", "setdomainname", "iopl", "ioperm", "lookup_dcookie", "nfsservctl", "vhangup",
	"name_to_handle_at", "open_by_handle_at", "fanotify_init", "process_vm_readv", "process_vm_writev", "kcmp",
}

// namespaceFlags are the flags of clone that make namespaces.
var namespaceFlags = []uint64{
	unix.CLONE_NEWUSER, unix.CLONE_NEWNS, unix.CLONE_NEWPID, unix.CLONE_NEWNET,
	unix.CLONE_NEWIPC, unix.CLONE_NEWUTS, unix.CLONE_NEWCGROUP,
}

// filter returns the program that bwrap loads, in the kernel's own format.
func filter() ([]byte, error) {
	var clone []seccomp.NameWithConditions
	for _, flag := range namespaceFlags {
		clone = append(clone, seccomp.NameWithConditions{
			Name:       "clone",
			Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: flag}},
		})
	}
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			// The flags of clone3 lie behind a pointer where no filter can see
			// them; "no such call" makes every C library fall back to clone.
			{Names: []string{"clone3"}, Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)},
			{Names: denied, Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)},
			{NamesWithCondtions: clone, Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)},
			{
				// Typing into the terminal of whoever started us.
				NamesWithCondtions: []seccomp.NameWithConditions{
					{Name: "ioctl", Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.Equal, Value: unix.TIOCSTI}}},
					{Name: "ioctl", Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.Equal, Value: unix.TIOCLINUX}}},
				},
				Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM),
			},
		},
	}
	instructions, err := policy.Assemble()
	if err != nil {
		return nil, fmt.Errorf("assemble the system call filter: %w", err)
	}
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		return nil, fmt.Errorf("assemble the system call filter: %w", err)
	}
	var buf bytes.Buffer
	for _, ins := range raw {
		if err := binary.Write(&buf, binary.NativeEndian, ins); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), nil
}
