package syscallfilter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"

	"github.com/elastic/go-seccomp-bpf/arch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
)

// What a filter sees of a call (struct seccomp_data), and what it can answer
// (SECCOMP_RET_…). The halves of an argument stand as on a little-endian
// machine, which all of ours are.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
	argBytes     = 8
	half         = 4

	retKillProcess = 0x80000000
	retErrno       = 0x00050000
	retAllow       = 0x7fff0000

	// x32Bit marks the calls of x86-64's 32-bit variant, which would come past
	// every rule under numbers of their own.
	x32Bit = 0x40000000
)

// newer are calls that the table of names does not have yet. Since Linux 5.0
// new calls have the same number on every architecture of ours.
var newer = map[string]int{
	"quotactl_fd": 443, "process_madvise": 440, "mount_setattr": 442, "cachestat": 451,
	"statmount": 457, "listmount": 458, "open_tree_attr": 467, "listns": 470,
}

// Program translates a filter into the kernel's own format, for runtimes that
// take that (bubblewrap). The first rule that fits a call decides. Names that
// this architecture does not have are passed over.
func Program(filter *specs.LinuxSeccomp) ([]byte, error) {
	native, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("translate the system call filter: %w", err)
	}
	if filter.DefaultAction != specs.ActAllow {
		return nil, fmt.Errorf("translate the system call filter: default action %s is not supported", filter.DefaultAction)
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: half},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(native.ID), SkipTrue: 1}, //nolint:gosec // a number of 32 bits
		bpf.RetConstant{Val: retKillProcess},
	}
	if runtime.GOARCH == "amd64" {
		program = append(program,
			bpf.LoadAbsolute{Off: offsetNumber, Size: half},
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32Bit, SkipTrue: 1},
			bpf.RetConstant{Val: retKillProcess})
	}
	for _, rule := range filter.Syscalls {
		if rule.Action != specs.ActErrno || rule.ErrnoRet == nil {
			return nil, fmt.Errorf("translate the system call filter: action %s is not supported", rule.Action)
		}
		ret := bpf.RetConstant{Val: retErrno | uint32(*rule.ErrnoRet)&0xffff} //nolint:gosec // masked
		for _, name := range rule.Names {
			number, ok := native.SyscallNames[name]
			if !ok {
				if number, ok = newer[name]; !ok {
					continue
				}
			}
			conditions, err := conditions(rule.Args)
			if err != nil {
				return nil, err
			}
			// Past the conditions and the answer.
			skip := uint8(len(conditions) + 1) //nolint:gosec // a few instructions
			program = append(program,
				bpf.LoadAbsolute{Off: offsetNumber, Size: half},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipFalse: skip}) //nolint:gosec // a small number
			program = append(program, conditions...)
			program = append(program, ret)
		}
	}
	program = append(program, bpf.RetConstant{Val: retAllow})
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("translate the system call filter: %w", err)
	}
	var buf bytes.Buffer
	if err := binary.Write(&buf, binary.NativeEndian, raw); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// conditions falls through when all arguments fit and otherwise jumps past
// itself and one more instruction.
func conditions(args []specs.LinuxSeccompArg) ([]bpf.Instruction, error) {
	// From the last to the first, so that the way to the end is known.
	var out []bpf.Instruction
	for _, a := range slices.Backward(args) {
		mask, want := ^uint64(0), a.Value
		if a.Op == specs.OpMaskedEqual {
			mask, want = a.Value, a.ValueTwo
		}
		past := func(n int) uint8 { return uint8(len(out) + n + 1) }                               //nolint:gosec // a few instructions
		low, high := uint32(offsetArgs+argBytes*a.Index), uint32(offsetArgs+argBytes*a.Index+half) //nolint:gosec // at most six arguments
		lowMask, highMask := uint32(mask), uint32(mask>>32)                                        //nolint:gosec // halves
		lowWant, highWant := uint32(want)&lowMask, uint32(want>>32)&highMask                       //nolint:gosec // halves
		switch a.Op {
		case specs.OpEqualTo, specs.OpMaskedEqual:
			out = append([]bpf.Instruction{
				bpf.LoadAbsolute{Off: high, Size: half},
				bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: highMask},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: highWant, SkipFalse: past(3)},
				bpf.LoadAbsolute{Off: low, Size: half},
				bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: lowMask},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: lowWant, SkipFalse: past(0)},
			}, out...)
		case specs.OpNotEqual:
			out = append([]bpf.Instruction{
				bpf.LoadAbsolute{Off: high, Size: half},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: highWant, SkipFalse: 2},
				bpf.LoadAbsolute{Off: low, Size: half},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: lowWant, SkipTrue: past(0)},
			}, out...)
		default:
			return nil, fmt.Errorf("translate the system call filter: condition %s is not supported", a.Op)
		}
	}
	return out, nil
}
