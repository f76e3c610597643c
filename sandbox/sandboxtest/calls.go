package sandboxtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/sandbox"
)

func (s *suite) calls(t *testing.T) {
	var mu sync.Mutex
	var got []sandbox.Call
	box := s.create(t, sandbox.Spec{OnCall: func(_ context.Context, call sandbox.Call) sandbox.Reply {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, call)
		if call.Name == "submit" {
			return sandbox.Reply{Output: "submitted\n", EndScript: true}
		}
		return sandbox.Reply{Output: fmt.Sprintf("call %d\n", len(got)), ExitCode: 3}
	}})
	t.Run("a command is answered outside", func(t *testing.T) {
		res := s.run(t, box, "validate one 'two three' ''; echo $?")
		if want := "call 1\n3\n"; res.Output != want {
			t.Errorf("output %q, want %q", res.Output, want)
		}
		want := []sandbox.Call{{Name: "validate", Argv: []string{"one", "two three", ""}}}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("want (-) and got (+) differ:\n%s", diff)
		}
	})
	t.Run("in a pipeline and from a program", func(t *testing.T) {
		res := s.run(t, box, `validate | tr a-z A-Z; python3 -c 'import subprocess; print(subprocess.run(["validate"]).returncode)'`)
		if want := "CALL 2\ncall 3\n3\n"; res.Output != want {
			t.Errorf("output %q, want %q", res.Output, want)
		}
	})
	t.Run("the end of a script", func(t *testing.T) {
		res := s.run(t, box, "echo before; submit; echo after > after; echo after")
		if !res.EndedByCall || !strings.HasPrefix(res.Output, "before\n") || strings.Contains(res.Output, "after") {
			t.Errorf("ended by the call: %v, output %q", res.EndedByCall, res.Output)
		}
		if res := s.run(t, box, "test -e after"); res.ExitCode == 0 {
			t.Error("the rest of the script ran")
		}
		s.answers(t, box)
	})
	t.Run("a tool with typed arguments", func(t *testing.T) {
		caller, ok := box.(sandbox.ToolCaller)
		if !ok {
			t.Fatalf("%T calls no tools", box)
		}
		s.run(t, box, "seq 300 > numbers.txt")
		res, err := caller.CallTool(wait(t), "open", json.RawMessage(`{"path": "numbers.txt"}`))
		if err != nil {
			t.Fatal(err)
		}
		if res.ExitCode != 0 || !strings.Contains(res.Output, "numbers.txt") || !strings.HasSuffix(res.OpenFile, "numbers.txt") {
			t.Errorf("open: exit code %d, open file %q, output %.200q", res.ExitCode, res.OpenFile, res.Output)
		}
		res, err = caller.CallTool(wait(t), "no_such_tool", nil)
		if err != nil || res.ExitCode == 0 || res.Output == "" {
			t.Errorf("an unknown tool: exit code %d, output %q, error %v", res.ExitCode, res.Output, err)
		}
	})
	t.Run("without anyone outside", func(t *testing.T) {
		alone := s.create(t, sandbox.Spec{})
		if res := s.run(t, alone, "validate"); res.ExitCode == 0 {
			t.Errorf("exit code 0, output %q; want a failure", res.Output)
		}
	})
}
