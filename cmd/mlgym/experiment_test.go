package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/experiment"
	"mlgym/sandbox"
)

// smallGrid are episodes of seconds, some of many steps.
func smallGrid(out string) []string {
	return []string{
		"experiment", "run", "--tasks", "battleOfSexes,blotto", "--agents", "demo,baseline", "--seeds", "2", "--variant", "small", "--memory-mb", "256",
		"--parallel", "2", "--quiet", "--out", out,
	}
}

// row is what a table says of an episode.
type row struct {
	Name, ExitStatus string
	State            experiment.State
	Steps            int
	Best, Submission *float64
}

func table(st experiment.Status) map[experiment.ID]row {
	out := map[experiment.ID]row{}
	for _, e := range st.Episodes {
		out[e.ID] = row{e.Name, e.ExitStatus, e.State, e.Step, e.Best, e.Submission}
	}
	return out
}

// begin starts mlgym as a process of its own.
func begin(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asMlgym+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

// awaitStep waits until an episode of the experiment has run so many steps.
func awaitStep(t *testing.T, dir string, steps int) {
	t.Helper()
	deadline := time.Now().Add(6 * time.Minute)
	for {
		if store, err := experiment.Open(dir); err == nil {
			st, err := store.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range st.Episodes {
				if e.State == experiment.Running && e.Step >= steps {
					return
				}
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 2 minutes no episode of %s has run %d steps", dir, steps)
		}
		time.Sleep(20 * time.Millisecond) // there is nothing to wait for but the directory
	}
}

// hows says how the attempts that count began.
func hows(t *testing.T, dir string, st experiment.Status) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, e := range st.Episodes {
		var a experiment.Attempt
		if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, filepath.Dir(e.RunDir), "attempt.json"))), &a); err != nil {
			t.Fatal(err)
		}
		out[a.From.How]++
	}
	return out
}

// reported is how many runs a report counts.
func reported(t *testing.T, args ...string) int {
	t.Helper()
	out := filepath.Join(t.TempDir(), "report")
	code, _, errs := mlgym(append(args, "--out", out, "--format", "json", "--resamples", "0", "--no-audit")...)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, errs)
	}
	var report struct {
		Runs []json.RawMessage `json:"runs"`
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(out, "report.json"))), &report); err != nil {
		t.Fatal(err)
	}
	return len(report.Runs)
}

// noSandboxOf checks that nothing that a process started lives on after prune.
func noSandboxOf(t *testing.T, pid int) {
	t.Helper()
	if code, _, errs := mlgym("sandbox", "prune", "--json"); code != 0 {
		t.Errorf("prune: exit code %d\n%s", code, errs)
	}
	code, out, errs := mlgym("sandbox", "list", "--json")
	var left []sandbox.Leftover
	if err := json.Unmarshal([]byte(out), &left); err != nil || code != 0 {
		t.Fatalf("list: exit code %d, %v\n%s", code, err, errs)
	}
	for _, l := range left {
		if l.OwnerPID == pid {
			t.Errorf("left over: %+v", l)
		}
	}
}

// TestKilledExperiment kills an experiment with -9 twice in the middle of
// episodes: it goes on where it was, and its table is that of an undisturbed one.
func TestKilledExperiment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "state"))
	undisturbed, exp := filepath.Join(dir, "undisturbed"), filepath.Join(dir, "exp")
	if code, out, errs := mlgym(smallGrid(undisturbed)...); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	want := table(status(t, undisturbed))

	for kills, args := range [][]string{smallGrid(exp), {"experiment", "resume", exp, "--quiet"}} {
		const early, late = 4, 9 // steps that the second part begins with are no progress
		cmd, out := begin(t, args...)
		awaitStep(t, exp, early+kills*(late-early))
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatalf("it ended before it was killed:\n%s", out)
		}
		noSandboxOf(t, cmd.Process.Pid)
		if st := status(t, exp); st.Active || st.Running > 0 || st.Waiting == 0 || st.Total != len(want) {
			t.Errorf("after kill %d: active %t, %+v; want none running and some waiting", kills+1, st.Active, st.Counts)
		}
	}
	if code, out, errs := mlgym("experiment", "resume", exp, "--quiet"); code != 0 {
		t.Fatalf("resume: exit code %d\n%s%s", code, out, errs)
	}

	st := status(t, exp)
	if diff := cmp.Diff(want, table(st)); diff != "" {
		t.Errorf("the table is not that of an undisturbed run (-undisturbed +killed):\n%s", diff)
	}
	if how := hows(t, exp, st); how[experiment.Continued] == 0 {
		t.Errorf("the attempts that count began %v; want some that were continued", how)
	}
	cells, err := filepath.Glob(filepath.Join(exp, "cells", "*"))
	if err != nil || len(cells) != len(want) {
		t.Errorf("%d cells, %v; want %d", len(cells), err, len(want))
	}
	for _, cell := range cells {
		shown, _ := filepath.Glob(filepath.Join(cell, "attempt-*"))
		outcomes, _ := filepath.Glob(filepath.Join(cell, "outcome*"))
		if len(shown) != 1 || len(outcomes) != 1 {
			t.Errorf("%s has the attempts %v and the outcomes %v; want one of each", cell, shown, outcomes)
		}
	}
	if all, own := reported(t, "report", exp), reported(t, "experiment", "report", exp); all != len(want) || own != len(want) {
		t.Errorf("mlgym report counts %d runs, mlgym experiment report %d; want %d", all, own, len(want))
	}
}

// TestInterruptedExperiment ends gently with the first interrupt, says how to go
// on, and goes on from the last step.
func TestInterruptedExperiment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "state"))
	exp := filepath.Join(dir, "exp")
	cmd, out := begin(t, smallGrid(exp)...)
	awaitStep(t, exp, 3)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says more
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(out.String(), "go on        mlgym experiment resume "+exp) || !strings.Contains(out.String(), "a stop was asked for") {
		t.Errorf("exit code %d, want 1 and how to go on:\n%s", code, out)
	}
	noSandboxOf(t, cmd.Process.Pid)
	st := status(t, exp)
	if st.Active || st.Running > 0 || st.Waiting == 0 || st.Failed > 0 {
		t.Errorf("after the interrupt: active %t, %+v", st.Active, st.Counts)
	}
	stopped := 0
	for _, e := range st.Episodes {
		if strings.HasPrefix(e.Message, "stopped") && e.Step > 0 {
			stopped++
		}
	}
	if stopped == 0 {
		t.Errorf("no episode says that it was stopped: %+v", st.Episodes)
	}
	if code, out, errs := mlgym("experiment", "resume", exp, "--quiet"); code != 0 {
		t.Fatalf("resume: exit code %d\n%s%s", code, out, errs)
	}
	st = status(t, exp)
	if how := hows(t, exp, st); st.Done != st.Total || how[experiment.Continued] < stopped {
		t.Errorf("%+v, the attempts that count began %v; want all done, and %d continued", st.Counts, how, stopped)
	}
}

// TestFlagsAndFileAgree names the same episodes, however they are asked for, and
// says where they stand in the words that programs read.
func TestFlagsAndFileAgree(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "state"))
	file := filepath.Join(dir, "grid.yaml")
	const grid = "format: 1\ntasks: [blotto]\nagents: [{agent: baseline}]\nseeds: [1]\nsettings: {variant: small, memory_mb: 256, max_steps: 9}\n"
	if err := os.WriteFile(file, []byte(grid), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, fromFlags := filepath.Join(dir, "file"), filepath.Join(dir, "flags")
	for _, args := range [][]string{
		{file, "--out", fromFile},
		{"--tasks", "blotto", "--agents", "baseline", "--seeds", "1,0", "--variant", "small", "--memory-mb", "256", "--max-steps", "9", "--out", fromFlags},
	} {
		if code, out, errs := mlgym(append([]string{"experiment", "run", "--quiet"}, args...)...); code != 0 {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	a, b := status(t, fromFile), status(t, fromFlags)
	if len(b.Episodes) != 2 || a.Episodes[0].ID != b.Episodes[0].ID || *a.Episodes[0].Submission != *b.Episodes[0].Submission {
		t.Errorf("the file has %+v, the flags %+v; want the same first episode", a.Episodes, b.Episodes)
	}
	_, out, _ := mlgym("experiment", "status", fromFlags, "--json")
	var words map[string]any
	if err := json.Unmarshal([]byte(out), &words); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]float64{"total": 2, "done": 2, "running": 0, "waiting": 0, "failed": 0, "cost_usd": 0} {
		if got, ok := words[key].(float64); !ok || got != want {
			t.Errorf("status --json has %s: %v, want %v", key, words[key], want)
		}
	}
	// What is done is not run again, and what is not failed is not tried again.
	if code, out, errs := mlgym("experiment", "retry", fromFlags, "--only", "unscored"); code != 0 || !strings.Contains(errs, "0 episodes are tried again") {
		t.Errorf("retry: exit code %d\n%s%s", code, out, errs)
	}
	if after := status(t, fromFlags); len(after.Episodes) != 2 || after.Episodes[0].Attempt != 1 || after.Episodes[1].Attempt != 1 {
		t.Errorf("after a retry of nothing: %+v", after.Episodes)
	}
}
