// Package syscallfilter is the filter of system calls that every sandbox gets:
// [Profile] in the form of the OCI runtime specification (runc, crun, gVisor,
// Docker), [Program] in the kernel's own (bubblewrap).
package syscallfilter

import (
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// refused are the system calls that no program of a sandbox needs and that
// reach parts of the kernel where faults have let programs out.
var refused = []string{
	// mounts
	"mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig",
	"fsmount", "fspick", "mount_setattr", "statmount", "listmount", "listns", "quotactl", "quotactl_fd", "swapon", "swapoff",
	// namespaces
	"unshare", "setns",
	// looking into other processes
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
	// keys, BPF, performance counters, page faults, asynchronous rings
	"add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd",
	"io_uring_setup", "io_uring_enter", "io_uring_register", "fanotify_init", "lookup_dcookie",
	// memory that no process holds, so that ending processes would not free it
	"shmget", "msgget",
	// the machine
	"reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
	"syslog", "acct", "settimeofday", "stime", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
	"iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "vhangup", "nfsservctl", "uselib", "name_to_handle_at", "open_by_handle_at",
}

// Profile returns the filter. Everything is allowed but what is known to be of
// no use in a sandbox; other architectures' calls are killed.
func Profile() *specs.LinuxSeccomp {
	eperm, enosys, eafnosupport := uint(unix.EPERM), uint(unix.ENOSYS), uint(unix.EAFNOSUPPORT)
	filter := &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{nativeArch()},
		Syscalls: []specs.LinuxSyscall{
			{Names: refused, Action: specs.ActErrno, ErrnoRet: &eperm},
			// Its flags lie behind a pointer, where no filter sees them; glibc
			// falls back to clone when it is told that there is no clone3.
			{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: &enosys},
		},
	}
	for _, flag := range []uint64{
		unix.CLONE_NEWUSER, unix.CLONE_NEWNS, unix.CLONE_NEWPID, unix.CLONE_NEWNET,
		unix.CLONE_NEWIPC, unix.CLONE_NEWUTS, unix.CLONE_NEWCGROUP,
	} {
		filter.Syscalls = append(filter.Syscalls, specs.LinuxSyscall{
			Names: []string{"clone"}, Action: specs.ActErrno, ErrnoRet: &eperm,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: flag, ValueTwo: flag, Op: specs.OpMaskedEqual}},
		})
	}
	// The limits of another process, which may be the shim: the kernel lets
	// everyone set those of whoever has the same number as himself.
	filter.Syscalls = append(filter.Syscalls, specs.LinuxSyscall{
		Names: []string{"prlimit64"}, Action: specs.ActErrno, ErrnoRet: &eperm,
		Args: []specs.LinuxSeccompArg{{Index: 0, Value: 0, Op: specs.OpNotEqual}},
	})
	// Signals to the first process, and to all at once. Linux keeps them from
	// the first process by itself; gVisor does not, and then it is lost.
	for _, pid := range []uint64{1, 0xffffffff} {
		filter.Syscalls = append(filter.Syscalls, specs.LinuxSyscall{
			Names: []string{"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open"}, Action: specs.ActErrno, ErrnoRet: &eperm,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: 0xffffffff, ValueTwo: pid, Op: specs.OpMaskedEqual}},
		})
	}
	// Typing into a terminal that another process reads.
	for _, request := range []uint64{unix.TIOCSTI, unix.TIOCLINUX} {
		filter.Syscalls = append(filter.Syscalls, specs.LinuxSyscall{
			Names: []string{"ioctl"}, Action: specs.ActErrno, ErrnoRet: &eperm,
			Args: []specs.LinuxSeccompArg{{Index: 1, Value: 0xffffffff, ValueTwo: request, Op: specs.OpMaskedEqual}},
		})
	}
	// Sockets that reach past a network namespace: virtual machines' and the
	// kernel's cryptography; raw packets need capabilities and are gone anyway.
	for _, family := range []uint64{
		unix.AF_VSOCK, unix.AF_ALG, unix.AF_PACKET, unix.AF_KEY, unix.AF_BLUETOOTH, unix.AF_CAN, unix.AF_TIPC, unix.AF_RDS,
		unix.AF_RXRPC, unix.AF_SMC, unix.AF_XDP, unix.AF_QIPCRTR, unix.AF_NFC, unix.AF_IEEE802154, unix.AF_KCM,
	} {
		filter.Syscalls = append(filter.Syscalls, specs.LinuxSyscall{
			Names: []string{"socket", "socketpair"}, Action: specs.ActErrno, ErrnoRet: &eafnosupport,
			// The kernel looks at the lower half only, so what a program writes
			// into the upper one must not matter here either.
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: 0xffffffff, ValueTwo: family, Op: specs.OpMaskedEqual}},
		})
	}
	return filter
}

func nativeArch() specs.Arch {
	switch runtime.GOARCH {
	case "arm64":
		return specs.ArchAARCH64
	case "riscv64":
		return specs.ArchRISCV64
	case "ppc64le":
		return specs.ArchPPC64LE
	case "s390x":
		return specs.ArchS390X
	default:
		return specs.ArchX86_64
	}
}

// ProfileForGVisor returns the filter in the form in which gVisor means the
// same. It answers every refusal with EPERM, by which glibc takes clone3 for
// forbidden, and starts no thread at all. A call that is to be traced and has no
// tracer is answered with ENOSYS, and there is none: ptrace is refused.
func ProfileForGVisor() *specs.LinuxSeccomp {
	filter := Profile()
	for i, rule := range filter.Syscalls {
		if rule.ErrnoRet != nil && *rule.ErrnoRet == uint(unix.ENOSYS) {
			filter.Syscalls[i].Action, filter.Syscalls[i].ErrnoRet = specs.ActTrace, nil
		}
	}
	return filter
}
