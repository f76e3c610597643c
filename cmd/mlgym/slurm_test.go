package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mlgym/experiment"
	"mlgym/internal/cli"
	"mlgym/slurm/slurmtest"
)

// site is a cluster, and what an experiment on it needs.
type site struct {
	*testing.T
	cluster *slurmtest.Cluster
	env     []string
	dir     string
}

// newSite starts a cluster. An attempt on another of its nodes, which have
// processes of their own, is taken for dead after a few seconds here.
func newSite(t *testing.T, options slurmtest.Options) *site {
	t.Helper()
	cluster := slurmtest.Start(t, options)
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	t.Setenv("MLGYM_STATE", state)
	return &site{t, cluster, []string{
		asMlgym + "=1", "SLURM_CONF=" + cluster.Conf(), "MLGYM_STATE=" + state, experiment.EnvStale + "=6s", "MLGYM_PROBE=handed on",
	}, filepath.Join(dir, "exp")}
}

// command is mlgym on the login node.
func (s *site) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(s.Context(), os.Args[0])
	cmd.Args = append([]string{"mlgym"}, args...)
	cmd.Env = append(os.Environ(), s.env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

// conductor is a command that conducts the experiment.
type conductor struct {
	cmd   *exec.Cmd
	out   *bytes.Buffer // to be read once it ended
	ended chan struct{}
	err   error // of Wait
}

// conduct starts a command that conducts the experiment.
func (s *site) conduct(args ...string) *conductor {
	s.Helper()
	c := &conductor{ended: make(chan struct{})}
	c.cmd, c.out = s.command(args...)
	if err := c.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	go func() { defer close(c.ended); c.err = c.cmd.Wait() }()
	s.Cleanup(func() { _ = c.cmd.Process.Kill(); <-c.ended })
	return c
}

// wait waits until it ends by itself. Nodes that Slurm takes out of service,
// as it does with those that run what a killed controller had forgotten, are put
// back, as operators do.
func (s *site) wait(c *conductor) error {
	s.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); {
		select {
		case <-c.ended:
			return c.err
		case <-tick.C:
		}
		for _, node := range s.cluster.Nodes() {
			if state, err := s.cluster.NodeState(s.Context(), node); err == nil && strings.HasPrefix(state, "drain") {
				_, _ = s.cluster.Command(s.Context(), "scontrol", "update", "NodeName="+node, "State=RESUME") // tried again
			}
		}
	}
	queue, _ := s.cluster.Command(s.Context(), "squeue", "--states=all")
	s.Fatalf("the experiment does not end\nqueue:\n%s\nlogs:\n%s", queue, s.logs())
	return nil
}

// mlgym runs a command and returns its exit code and what it printed.
func (s *site) mlgym(args ...string) (int, string) {
	s.Helper()
	cmd, out := s.command(args...)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// status is what status --json prints.
func (s *site) status() (experiment.Status, bool) {
	s.Helper()
	var st experiment.Status
	cmd, _ := s.command("experiment", "status", s.dir, "--json")
	cmd.Stdout, cmd.Stderr = nil, nil
	out, err := cmd.Output()
	if err != nil {
		return st, false // it is not there yet
	}
	if err := json.Unmarshal(out, &st); err != nil {
		s.Fatalf("status is not JSON: %v\n%s", err, out)
	}
	if c := st.Counts; c.Done+c.Running+c.Waiting+c.Failed+c.Skipped != c.Total {
		s.Errorf("the counts do not add up: %+v", c)
	}
	return st, true
}

// reached waits for a state of the experiment and returns false where its conductor
// ended before.
func (s *site) reached(c *conductor, check func(experiment.Status) bool) bool {
	s.Helper()
	for {
		if st, ok := s.status(); ok && check(st) {
			return true
		}
		select {
		case <-c.ended:
			return false
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// await polls the experiment until check says yes.
func (s *site) await(what string, c *conductor, check func(experiment.Status) bool) experiment.Status {
	s.Helper()
	var st experiment.Status
	for deadline := time.Now().Add(8 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		var ok bool
		if st, ok = s.status(); ok && check(st) {
			return st
		}
		select {
		case <-c.ended:
			s.Fatalf("waited for %s, and it ended: %v\n%s\n%s", what, c.err, c.out, s.logs())
		default:
		}
	}
	queue, _ := s.cluster.Command(s.Context(), "squeue", "--states=all")
	s.Fatalf("waited for %s; seen last: %+v\nqueue:\n%s\nlogs:\n%s", what, st, queue, s.logs())
	return st
}

// logs are what jobs and attempts have printed.
func (s *site) logs() string {
	var all strings.Builder
	for _, pattern := range []string{"slurm/*.out", "cells/*/attempt-*/log.txt", "cells/*/.attempt-*/log.txt"} {
		files, _ := filepath.Glob(filepath.Join(s.dir, pattern))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			fmt.Fprintf(&all, "%s:\n%s\n", file, text[max(0, len(text)-2000):])
		}
	}
	return all.String()
}

// grid are small episodes, of which 12 take a minute on two processors.
func grid(seeds string) []string {
	return []string{
		"--tasks", "prisonersDilemma,battleOfSexes", "--agents", "demo", "--seeds", seeds, "--variant", "small", "--memory-mb", "600",
		"--slurm-poll", "1s", "--quiet",
	}
}

// long are episodes of several seconds each also on a fast machine, so that there
// is time to do something to them.
func long(seeds string) []string { return append(grid(seeds), "--variant", "full") }

// runningOn are the nodes on which episodes are under way that have taken a
// step.
func runningOn(st experiment.Status) []string {
	var nodes []string
	for _, e := range st.Episodes {
		if e.State == experiment.Running && e.Step >= 2 && e.Job != nil && e.Job.State == "RUNNING" && !slices.Contains(nodes, e.Job.Node) {
			nodes = append(nodes, e.Job.Node)
		}
	}
	return nodes
}

// scores are the results by episode.
func scores(t *testing.T, st experiment.Status) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, e := range st.Episodes {
		if e.Submission == nil {
			t.Errorf("%s has no score: %+v", e.Name, e)
			continue
		}
		out[e.Name] = *e.Submission
	}
	return out
}

// once checks that every episode has one outcome and one run that counts.
func (s *site) once(st experiment.Status) {
	s.Helper()
	for _, e := range st.Episodes {
		cell := filepath.Join(s.dir, strings.Split(e.RunDir, string(filepath.Separator))[0], strings.Split(e.RunDir, string(filepath.Separator))[1])
		outcomes, _ := filepath.Glob(filepath.Join(cell, "outcome.json*"))
		attempts, _ := filepath.Glob(filepath.Join(cell, "attempt-*"))
		if len(outcomes) != 1 || len(attempts) != 1 || filepath.Join(attempts[0], "run") != filepath.Join(s.dir, e.RunDir) {
			s.Errorf("%s: outcomes %v, attempts that count %v, the run is %s", e.Name, outcomes, attempts, e.RunDir)
		}
	}
	code, out := s.mlgym("report", s.dir, "--format", "csv", "--out", s.TempDir())
	if want := fmt.Sprintf("%d runs", st.Total); code != 0 || !strings.Contains(out, want) {
		s.Errorf("report of the directory: exit code %d, want %s:\n%s", code, want, out)
	}
}

// TestSlurm loses a node, and has another one frozen until its work was taken
// over and then come back, in the middle of an experiment.
func TestSlurm(t *testing.T) {
	s := newSite(t, slurmtest.Options{Nodes: 4, CPUs: 2, MemoryMB: 5000})
	c := s.conduct(append([]string{"experiment", "run", "--on", "slurm", "--out", s.dir}, grid("6")...)...)
	seen := s.await("episodes under way on two nodes", c, func(st experiment.Status) bool { return len(runningOn(st)) >= 2 })
	nodes := runningOn(seen)
	dead, frozen := nodes[0], nodes[1]
	s.cluster.KillNode(dead)
	if err := s.cluster.FreezeNode(frozen); err != nil {
		t.Fatal(err)
	}
	victims := map[experiment.ID]int{}
	for _, e := range seen.Episodes {
		if e.State == experiment.Running && e.Job != nil && (e.Job.Node == dead || e.Job.Node == frozen) {
			victims[e.ID] = e.Attempt
		}
	}
	for _, node := range []string{dead, frozen} {
		if err := s.cluster.AwaitNode(t.Context(), node, 6*time.Minute, "down", "down*"); err != nil {
			t.Fatal(err)
		}
	}
	s.await("what the lost nodes had to be taken over", c, func(st experiment.Status) bool {
		return !slices.ContainsFunc(st.Episodes, func(e experiment.EpisodeStatus) bool {
			before, victim := victims[e.ID]
			return victim && e.Attempt <= before && e.State != experiment.Done
		})
	})
	// The processes go on while Slurm cannot end them: they have to find out by
	// themselves that they were taken for dead.
	if err := s.cluster.ThawJobs(frozen); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(c); err != nil {
		t.Fatalf("%v\n%s\n%s", err, c.out, s.logs())
	}
	st, _ := s.status()
	if st.Done != 12 || st.Total != 12 {
		t.Fatalf("%+v\n%s", st.Counts, c.out)
	}
	s.once(st)

	local := filepath.Join(t.TempDir(), "local")
	if code, out := s.mlgym(append([]string{"experiment", "run", "--out", local}, grid("6")...)...); code != 0 {
		t.Fatalf("the same grid here: exit code %d\n%s", code, out)
	}
	here := *s
	here.dir = local
	undisturbed, _ := here.status()
	want, got := scores(t, undisturbed), scores(t, st)
	for name, score := range want {
		if got[name] != score {
			t.Errorf("%s: %v on the cluster, %v here", name, got[name], score)
		}
	}
	for i := range st.Episodes {
		if st.Episodes[i].ID != undisturbed.Episodes[i].ID {
			t.Errorf("%s is %s on the cluster and %s here", st.Episodes[i].Name, st.Episodes[i].ID, undisturbed.Episodes[i].ID)
		}
	}
}

// TestSlurmResume kills whoever conducts the experiment, and the controller of
// the cluster for a while: what runs and waits there is not submitted again.
func TestSlurmResume(t *testing.T) {
	s := newSite(t, slurmtest.Options{Nodes: 2, CPUs: 2, MemoryMB: 5000})
	c := s.conduct(append([]string{"experiment", "run", "--on", "slurm", "--out", s.dir}, long("5")...)...)
	s.await("an episode under way", c, func(st experiment.Status) bool { return len(runningOn(st)) >= 1 })
	if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.ended
	submitted := s.submissions()

	c = s.conduct("experiment", "resume", s.dir, "--on", "slurm", "--slurm-poll", "1s", "--quiet")
	s.await("the experiment to be conducted again", c, func(st experiment.Status) bool { return st.Active })

	// USR1 is what Slurm sends when the time is nearly up: the job saves, exits
	// with 75, is run again, and the episode goes on.
	var cut experiment.EpisodeStatus
	var refused error
	signalled := s.reached(c, func(st experiment.Status) bool {
		for _, e := range st.Episodes {
			// The signal can arrive although scancel says that it did not.
			if e.ID == cut.ID && e.State == experiment.Waiting {
				return true
			}
			if e.State == experiment.Running && e.Step >= 2 && e.Job != nil && e.Job.State == "RUNNING" {
				cut = e
				_, refused = s.cluster.Command(t.Context(), "scancel", "--signal=USR1", "--batch", e.Job.Job)
				return refused == nil
			}
		}
		return false
	})
	switch {
	case signalled:
	case refused != nil:
		t.Logf("SKIPPED in part: the busy cluster passed no signal on before the experiment ended: %v", refused)
		cut = experiment.EpisodeStatus{}
	default:
		t.Fatalf("no episode was seen to run before the experiment ended\n%s\n%s", c.out, s.logs())
	}
	if now := s.submissions(); now != submitted {
		t.Errorf("%d submissions, of which %d were made before; nothing was missing", now, submitted)
	}
	// What the controller had not written down is forgotten: a task may be run
	// twice, or be held because its node runs it already.
	s.cluster.KillController()
	if err := s.cluster.RestartController(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(c); err != nil {
		t.Fatalf("%v\n%s\n%s", err, c.out, s.logs())
	}
	st, _ := s.status()
	// Ten episodes on four processors: some still run when the conductor is back.
	if st.Done != 10 || st.Total != 10 {
		t.Fatalf("%+v\n%s", st.Counts, c.out)
	}
	s.once(st)
	for _, e := range st.Episodes {
		if e.ID != cut.ID {
			continue
		}
		var a experiment.Attempt
		text := read(t, filepath.Join(s.dir, filepath.Dir(e.RunDir), "attempt.json"))
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatal(err)
		}
		if a.N < 2 || a.From.How != experiment.Continued || a.From.Step < cut.Step {
			t.Errorf("after USR1 at step %d the episode's last attempt is %+v", cut.Step, a)
		}
	}
}

func (s *site) submissions() int {
	s.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(read(s.T, filepath.Join(s.dir, "jobs.json"))), &list); err != nil {
		s.Fatal(err)
	}
	return len(list)
}

// TestSlurmStop stops an experiment from another terminal, and goes on.
func TestSlurmStop(t *testing.T) {
	s := newSite(t, slurmtest.Options{Nodes: 1, CPUs: 2, MemoryMB: 5000})
	c := s.conduct(append([]string{"experiment", "run", "--on", "slurm", "--out", s.dir}, long("1")...)...)
	s.await("an episode under way", c, func(st experiment.Status) bool { return len(runningOn(st)) >= 1 })
	// The one under way may end by itself just before; the other never begins.
	if code, said := s.mlgym("experiment", "stop", s.dir); code != 0 || !strings.Contains(said, "Stopped: 0 of 2 done") && !strings.Contains(said, "Stopped: 1 of 2 done") {
		t.Errorf("stop: exit code %d\n%s\n%s", code, said, s.logs())
	}
	if err := s.wait(c); c.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(c.out.String(), "a stop was asked for") {
		t.Errorf("the stopped command: %v\n%s", err, c.out)
	}
	if queue, err := s.cluster.Command(t.Context(), "squeue", "--noheader"); err != nil || strings.TrimSpace(queue) != "" {
		t.Errorf("in the queue after the stop (%v):\n%s", err, queue)
	}
	if code, said := s.mlgym("experiment", "resume", s.dir, "--quiet"); code != 0 {
		t.Errorf("resume: exit code %d\n%s\n%s", code, said, s.logs())
	}
	st, _ := s.status()
	s.once(st)
}

// TestSlurmGPUs has episodes wait for the one GPU of a node that is free. The
// devices are made up, so what is seen is which one their sandboxes ask for, and
// what is said where a node cannot run episodes.
func TestSlurmGPUs(t *testing.T) {
	if _, err := os.Stat("/dev/nvidia0"); err == nil {
		t.Skip("SKIPPED: this machine has GPUs, and those of the cluster are made up")
	}
	s := newSite(t, slurmtest.Options{Nodes: 1, CPUs: 4, MemoryMB: 12000, GPUs: 2})
	if _, err := s.cluster.Command(t.Context(), "sbatch", "--gres=gpu:1", "--mem=10", "--output=/dev/null", "--wrap", "sleep 600"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if out, err := s.cluster.Command(t.Context(), "squeue", "--noheader", "--states=running"); err == nil && out != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the job that takes the first GPU does not run")
		}
	}
	code, out := s.mlgym(append([]string{"experiment", "run", "--on", "slurm", "--out", s.dir, "--gpus", "1"}, grid("1")...)...)
	const says = "there is no /dev/nvidia1"
	if code != 1 || !strings.Contains(out, "was submitted 5 times") || !strings.Contains(out, says) {
		t.Errorf("exit code %d, want 1 and the reason:\n%s\n%s", code, out, s.logs())
	}
	st, _ := s.status()
	if st.Waiting != 2 {
		t.Errorf("%+v: what a node lacks costs no episode", st.Counts)
	}
	for _, e := range st.Episodes {
		if !strings.Contains(e.Message, says) || e.Job == nil || e.Job.State != "FAILED" {
			t.Errorf("%s: %q, job %+v; want that %s", e.Name, e.Message, e.Job, says)
		}
	}
	if logs := s.logs(); strings.Contains(logs, "/dev/nvidia0") {
		t.Errorf("an episode got the GPU of another job:\n%s", logs)
	}
}

// TestSlurmUnfitNode runs the worker as on a node that has another version,
// another secret, or lacks what a task needs: that is said, the job fails, and
// the episode is left to other nodes.
func TestSlurmUnfitNode(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "state"))
	exp := filepath.Join(dir, "exp")
	// Planned here, and stopped before anything is run.
	if code, out := cliMain("experiment", "run", "--tasks", "prisonersDilemma", "--agents", "baseline", "--variant", "small", "--budget-hours", "0.0000001", "--out", exp, "--quiet"); code != 1 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	file := filepath.Join(exp, experiment.FileName)
	head, _, found := strings.Cut(read(t, file), "budget:")
	if !found {
		t.Fatalf("no budget in:\n%s", head)
	}
	if err := os.WriteFile(file, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	cells, err := filepath.Glob(filepath.Join(exp, "cells", "*"))
	if err != nil || len(cells) != 1 {
		t.Fatalf("cells %v, %v", cells, err)
	}
	jobs := fmt.Sprintf(`[{"submission":1,"jobs":[{"id":7}],"units":[[%q]]}]`, filepath.Base(cells[0]))
	if err := os.WriteFile(filepath.Join(exp, "jobs.json"), []byte(jobs), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := cliMain("experiment", "worker", exp, "1"); code != 2 || !strings.Contains(out, "mlgym experiment resume") {
		t.Errorf("outside a job: exit code %d\n%s", code, out)
	}
	for name, value := range map[string]string{"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_JOB_ID": "7", "SLURM_JOB_ID": "7"} {
		t.Setenv(name, value)
	}
	if code, out := cliMain("experiment", "worker", exp, "1", "--planned-by", "v0.0.1"); code != 1 || !strings.Contains(out, "submitted by mlgym v0.0.1") {
		t.Errorf("another version: exit code %d\n%s", code, out)
	}
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "other"))
	code, out := cliMain("experiment", "worker", exp, "1")
	if code != 1 || !strings.Contains(out, "another secret for its gradings") || !strings.Contains(out, "MLGYM_STATE") {
		t.Errorf("another secret: exit code %d\n%s", code, out)
	}
	if log := read(t, filepath.Join(cells[0], "attempt-1", "log.txt")); !strings.Contains(log, "another secret") {
		t.Errorf("the attempt's log:\n%s", log)
	}
	if _, err := os.Stat(filepath.Join(cells[0], "outcome.json")); err == nil {
		t.Error("the episode was given up for what is wrong with a node")
	}
	for _, name := range []string{"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID"} {
		t.Setenv(name, "")
	}
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "state"))
	if code, out := cliMain("experiment", "status", exp); code != 0 || !strings.Contains(out, "another secret") {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
	if code, out := cliMain("experiment", "resume", exp, "--quiet"); code != 0 {
		t.Errorf("resume where the secret is right: exit code %d\n%s", code, out)
	}
}

// cliMain runs a command in this process.
func cliMain(args ...string) (int, string) {
	var out bytes.Buffer
	code := cli.Main(args, strings.NewReader(""), &out, &out)
	return code, out.String()
}
