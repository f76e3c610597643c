package slurmtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const deadline = 5 * time.Minute

// TestSideBySide runs two clusters at once, which do not see each other.
func TestSideBySide(t *testing.T) {
	a := Start(t, Options{Nodes: 1})
	b := Start(t, Options{Nodes: 1, Conf: "ClusterName=other"})
	for cluster, want := range map[*Cluster]string{a: "test", b: "other"} {
		out := filepath.Join(t.TempDir(), "out")
		if _, err := cluster.Command(t.Context(), "sbatch", "-W", "-o", out, "--wrap", `echo "$SLURM_CLUSTER_NAME"`); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(out); strings.TrimSpace(string(got)) != want {
			t.Errorf("the job ran on cluster %q, want %q", got, want)
		}
	}
}

// TestDiesWithTheTest starts a cluster in a process that is killed with SIGKILL.
func TestDiesWithTheTest(t *testing.T) {
	if os.Getenv("SLURMTEST_VICTIM") != "" {
		cluster := Start(t, Options{Nodes: 1})
		if _, err := cluster.Command(t.Context(), "sbatch", "-o", "/dev/null", "--wrap", "setsid sleep 4711 & sleep 4711"); err != nil {
			t.Fatal(err)
		}
		err := poll(t.Context(), deadline, func() error {
			out, err := cluster.Command(t.Context(), "squeue", "-h", "-t", "running")
			if err == nil && out == "" {
				err = errors.New("the job does not run")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stdout, "cluster in", cluster.Dir())
		select {}
	}
	if err := supported(); err != nil {
		t.Skip(err)
	}
	victim := exec.Command(os.Args[0], "-test.run=^TestDiesWithTheTest$", "-test.v")
	victim.Env = append(os.Environ(), "SLURMTEST_VICTIM=1")
	pipe, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer victim.Wait()
	defer victim.Process.Kill()
	dir, said := "", ""
	for lines := bufio.NewScanner(pipe); dir == "" && lines.Scan(); {
		_, dir, _ = strings.Cut(lines.Text(), "cluster in ")
		said += lines.Text() + "\n"
	}
	switch {
	case strings.Contains(said, "--- SKIP"):
		t.Skip(said)
	case dir == "":
		t.Fatalf("the other process started no cluster:\n%s", said)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// Slurm says that the job runs before its processes are there.
	var before map[int]string
	err = poll(t.Context(), deadline, func() error {
		if before, err = descendants(victim.Process.Pid); err != nil {
			return err
		}
		counts := map[string]int{}
		for _, program := range before {
			counts[program]++
		}
		if counts["slurmctld"] < 1 || counts["slurmd"] < 1 || counts["munged"] < 1 || counts["sleep"] != 2 {
			return fmt.Errorf("its processes are %v, want the three daemons and two sleeps", counts)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	victim.Process.Kill()
	err = poll(t.Context(), deadline, func() error {
		for pid, program := range before {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("%s is alive (process %d)", program, pid)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestOrphansAreCollected shows that a machine's first process does the work of
// one: a process whose parent ended does not stay as a zombie.
func TestOrphansAreCollected(t *testing.T) {
	cluster := Start(t, Options{Nodes: 1})
	out := filepath.Join(t.TempDir(), "out")
	if _, err := cluster.Command(t.Context(), "sbatch", "-W", "-o", out, "--wrap",
		`(sh -c 'sleep 0.2 & echo $!'); for i in $(seq 100); do sleep 0.1; ls /proc | grep -q . && P=$(cat `+out+`) && [ ! -e /proc/$P ] && echo gone && exit; done`); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(out); !strings.HasSuffix(string(got), "gone\n") {
		t.Errorf("the orphan is there: %q", got)
	}
}
