package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/internal/cli"
	"mlgym/machine"
)

// TestBusyGPU refuses a GPU that another run has, and leaves no run behind that
// began.
func TestBusyGPU(t *testing.T) {
	t.Setenv("MLGYM_STATE", t.TempDir())
	const gpu = 63 // no machine of the tests has it, so no real run is disturbed
	m, err := machine.Open(t.Context(), machine.Options{GPUs: []int{gpu}})
	if err != nil {
		t.Fatal(err)
	}
	lease, ok, err := m.TryClaim(machine.Request{Want: []int{gpu}, Owner: "a test"})
	if err != nil || !ok {
		t.Fatalf("claim GPU %d: %v, %v", gpu, ok, err)
	}
	ask := func() (int, string) {
		var out, errs bytes.Buffer
		dir := filepath.Join(t.TempDir(), "run")
		code := cli.Main([]string{"run", "--task", "prisonersDilemma", "--agent", "baseline", "--variant", "small", "--gpus", "63", "--out", dir}, nil, &out, &errs)
		return code, errs.String()
	}
	if code, said := ask(); code != 2 || !strings.Contains(said, "another process has one of them") {
		t.Errorf("with the GPU in use: exit code %d\n%s", code, said)
	}
	if err := lease.Release(); err != nil {
		t.Fatal(err)
	}
	if code, said := ask(); code != 1 || !strings.Contains(said, "/dev/nvidia63") {
		t.Errorf("with the GPU free, which is not there: exit code %d\n%s", code, said)
	}
}
