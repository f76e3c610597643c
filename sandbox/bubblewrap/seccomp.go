package bubblewrap

import (
	"bytes"
	"encoding/binary"
	"fmt"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denied are system calls that no research program needs and that have opened
// kernels before: making namespaces, mounting, loading, tracing, key rings,
// asynchronous rings.
var denied = []string{
	"unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig",
	"fsmount", "fspick", "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key",
	"io_uring_setup", "io_uring_enter", "io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load",
	"kexec_file_load", "reboot", "swapon", "swapoff", "quotactl", "acct", "settimeofday", "clock_settime", "adjtimex",
	"clock_adjtime", "sethostname", "setdomainname", "iopl", "ioperm", "lookup_dcookie", "nfsservctl", "vhangup",
	"name_to_handle_at", "open_by_handle_at", "fanotify_init", "process_vm_readv", "process_vm_writev", "kcmp",
	"ptrace", "process_madvise", "pidfd_getfd",
	// Memory that no process holds, so that ending processes would not free it.
	"shmget", "msgget",
}

// families are kinds of sockets that a network namespace does not hold back
// (the hypervisor's), or that only open further parts of the kernel.
var families = []uint64{
	unix.AF_VSOCK, unix.AF_ALG, unix.AF_PACKET, unix.AF_KEY, unix.AF_BLUETOOTH, unix.AF_CAN, unix.AF_TIPC, unix.AF_RDS,
	unix.AF_RXRPC, unix.AF_SMC, unix.AF_XDP, unix.AF_QIPCRTR, unix.AF_NFC, unix.AF_IEEE802154, unix.AF_KCM,
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
	var sockets []seccomp.NameWithConditions
	for _, family := range families {
		for _, name := range []string{"socket", "socketpair"} {
			sockets = append(sockets, seccomp.NameWithConditions{
				Name:       name,
				Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: family}},
			})
		}
	}
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			// The flags of clone3 lie behind a pointer where no filter can see
			// them; "no such call" makes every C library fall back to clone.
			{Names: []string{"clone3"}, Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)},
			{Names: denied, Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)},
			{NamesWithCondtions: clone, Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)},
			{NamesWithCondtions: sockets, Action: seccomp.ActionErrno | seccomp.Action(unix.EAFNOSUPPORT)},
			{
				// The limits of another process: everyone may set those of whoever
				// has the same number, and that is also the shim.
				NamesWithCondtions: []seccomp.NameWithConditions{
					{Name: "prlimit64", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.NotEqual, Value: 0}}},
				},
				Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM),
			},
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
	native, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("assemble the system call filter: %w", err)
	}
	// A processor may understand the calls of another architecture (32-bit
	// ones) under other numbers, and the policy lets them all pass: end whoever
	// makes them.
	const archOffset, word = 4, 4
	raw, err := bpf.Assemble(append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: word},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(native.ID), SkipTrue: 1}, //nolint:gosec // a number of 32 bits
		bpf.RetConstant{Val: uint32(seccomp.ActionKillProcess)},
	}, instructions...))
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
