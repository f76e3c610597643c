package syscallfilter_test

import (
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"mlgym/internal/syscallfilter"
)

// TestGVisorsFilterRefusesTheSame compares the two forms of the filter: only
// what is said to be missing is said in another way, which needs that nothing
// can trace.
func TestGVisorsFilterRefusesTheSame(t *testing.T) {
	action := func(filter *specs.LinuxSeccomp, name string) specs.LinuxSeccompAction {
		for _, rule := range filter.Syscalls {
			if slices.Contains(rule.Names, name) && len(rule.Args) == 0 {
				return rule.Action
			}
		}
		return filter.DefaultAction
	}
	ordinary, gvisor := syscallfilter.Profile(), syscallfilter.ProfileForGVisor()
	if len(ordinary.Syscalls) != len(gvisor.Syscalls) {
		t.Errorf("got %d rules and %d, want as many", len(ordinary.Syscalls), len(gvisor.Syscalls))
	}
	for _, rule := range ordinary.Syscalls {
		for _, name := range rule.Names {
			want := action(ordinary, name)
			if name == "clone3" {
				want = specs.ActTrace
			}
			if got := action(gvisor, name); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	}
	if got := action(gvisor, "ptrace"); got != specs.ActErrno {
		t.Errorf("ptrace: got %s; where there can be a tracer, a call that is to be traced may be let through", got)
	}
}
