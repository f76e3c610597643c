package slurm

import (
	"context"
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

	"github.com/google/go-cmp/cmp"
)

// fake answers commands by their name and records them.
type fake struct {
	answers map[string]answer
	calls   []string
	scripts []string
}

type answer struct {
	out, err string
	failure  error
}

var errExit = errors.New("exit status 1")

func (f *fake) run(_ context.Context, name string, args []string, stdin string) (string, string, error) {
	f.calls = append(f.calls, name+" "+strings.Join(args, " "))
	if name == "sbatch" {
		f.scripts = append(f.scripts, stdin)
	}
	key := name
	if name == "scontrol" {
		key += " " + args[0]
	}
	a := f.answers[key]
	return a.out, a.err, a.failure
}

const config2205 = `Configuration data as of 2026-01-01T00:00:00
AccountingStorageType   = accounting_storage/none
ClusterName             = ci
KillWait                = 30 sec
MaxArraySize            = 1001
MinJobAge               = 300 sec
RequeueExit             = 75,100-102
SchedulerParameters     = batch_sched_delay=0,max_array_tasks=500
SlurmdTimeout           = 10 sec
SLURM_VERSION           = 22.05.8

Slurmctld(primary) at head is UP
`

func TestConfig(t *testing.T) {
	client := NewClient(Options{Run: (&fake{answers: map[string]answer{"scontrol show": {out: config2205}}}).run})
	got, err := client.Config(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Cluster: "ci", MaxArraySize: 1001, MaxArrayTasks: 500, RequeueExit: []int{75, 100, 101, 102},
		KillWait: 30 * time.Second, MinJobAge: 5 * time.Minute, SlurmdTimeout: 10 * time.Second,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got.RequeuesOn(101) || got.RequeuesOn(1) {
		t.Error("RequeuesOn is wrong")
	}
	if _, err := parseConfig("slurm_load_ctl_conf error: no\n"); err == nil {
		t.Error("a configuration without MaxArraySize passes")
	}
}

// TestTasksParsing reads what squeue and sacct print: as recorded from 22.05,
// and in the variations of other releases (padded columns, bars, states of
// their own).
func TestTasksParsing(t *testing.T) {
	job := Job{ID: 17, Indices: "0-3"}
	disabled := answer{err: "Slurm accounting storage is disabled\n", failure: errExit}
	unknownJob := answer{err: "slurm_load_jobs error: Invalid job id specified\n", failure: errExit}
	tests := map[string]struct {
		jobs          []Job
		squeue, sacct answer
		want          []Task
	}{
		"22.05": {
			[]Job{job},
			answer{out: "17|0|COMPLETED|0|n1|None|\n17|1|RUNNING|2|n2|None|\n17|2|PENDING|1||BeginTime|\n17|3|CANCELLED|0|n4|None|\n"},
			disabled,
			[]Task{
				{job, 0, Completed, "", "n1", 0},
				{job, 1, Running, "", "n2", 2},
				{job, 2, Pending, "BeginTime", "", 1},
				{job, 3, Cancelled, "", "n4", 0},
			},
		},
		"padded": {
			[]Job{job},
			answer{out: "17                      |0               |OUT_OF_MEMORY                   |0           |gpu-a-017                      |OutOfMemory        |\n" +
				"17                      |1               |NODE_FAIL                       |0           |gpu-a-018                      |NodeDown           |\n" +
				"17                      |2               |PREEMPTED                       |0           |gpu-a-018                      |None               |\n" +
				"17                      |3               |PENDING                         |0           |                               |launch failed requeued held|\n"},
			disabled,
			[]Task{
				{job, 0, OutOfMemory, "OutOfMemory", "gpu-a-017", 0},
				{job, 1, NodeFail, "NodeDown", "gpu-a-018", 0},
				{job, 2, Preempted, "", "gpu-a-018", 0},
				{job, 3, Pending, "launch failed requeued held", "", 0},
			},
		},
		"a reason with a bar, a state of a newer release": {
			[]Job{{ID: 17}},
			answer{out: "17|5|EXPEDITING|0||(a|b)|\n"},
			disabled,
			[]Task{{Job{ID: 17}, 5, "EXPEDITING", "(a|b)", "", 0}},
		},
		"all forgotten, no accounting": {
			[]Job{{ID: 17, Indices: "4,6"}, {ID: 18}},
			unknownJob, disabled,
			[]Task{{Job: Job{ID: 17, Indices: "4,6"}, Index: 4, State: Unknown}, {Job: Job{ID: 17, Indices: "4,6"}, Index: 6, State: Unknown}, {Job: Job{ID: 18}, Index: -1, State: Unknown}},
		},
		"partly forgotten, accounting knows": {
			[]Job{job},
			answer{out: "17|3|RUNNING|1|n4|None|\n"},
			answer{out: "17_0|COMPLETED|n1\n17_1|CANCELLED by 1000|None assigned\n17_3|COMPLETED|n9\n17_2.batch|FAILED|n1\n"},
			[]Task{
				{job, 0, Completed, "", "n1", 0},
				{job, 1, Cancelled, "", "", 0},
				{Job: job, Index: 2, State: Unknown},
				{job, 3, Running, "", "n4", 1},
			},
		},
		"pending ranges of accounting": {
			[]Job{job},
			unknownJob,
			answer{out: "17_[1-3%2]|PENDING|None assigned\n17_0|TIMEOUT|n1\n"},
			[]Task{{job, 0, Timeout, "", "n1", 0}, {job, 1, Pending, "", "", 0}, {job, 2, Pending, "", "", 0}, {job, 3, Pending, "", "", 0}},
		},
		"an offset": {
			[]Job{{ID: 9, Offset: 5000, Indices: "5000,5002"}},
			answer{out: "9|0|RUNNING|0|n1|None|\n9|2|RUNNING|0|n2|None|\n"},
			disabled,
			[]Task{
				{Job{ID: 9, Offset: 5000, Indices: "5000,5002"}, 5000, Running, "", "n1", 0},
				{Job{ID: 9, Offset: 5000, Indices: "5000,5002"}, 5002, Running, "", "n2", 0},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fake{answers: map[string]answer{"squeue": test.squeue, "sacct": test.sacct}}
			got, err := NewClient(Options{Run: f.run}).Tasks(t.Context(), test.jobs...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("after %q: (-want +got)\n%s", f.calls, diff)
			}
		})
	}
}

func TestTasksClusters(t *testing.T) {
	f := &fake{answers: map[string]answer{"squeue": {out: "CLUSTER: west\n4|0|RUNNING|0|n1|None|\n"}, "sacct": {}}}
	client := NewClient(Options{Run: f.run})
	got, err := client.Tasks(t.Context(), Job{ID: 4, Cluster: "west", Indices: "0"}, Job{ID: 4, Cluster: "east", Indices: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].State != Running || got[1].State != Unknown {
		t.Errorf("tasks = %v, want the first running and the second unknown", got)
	}
	if len(f.calls) != 3 || !strings.Contains(f.calls[0], "--clusters=west") || !strings.Contains(f.calls[2], "sacct --clusters=east") {
		t.Errorf("calls = %q", f.calls)
	}
}

// TestTasksUncertain shows that silence is not taken for "forgotten".
func TestTasksUncertain(t *testing.T) {
	for name, answers := range map[string]map[string]answer{
		"the controller is down":       {"squeue": {err: "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", failure: errExit}},
		"the accounting is down":       {"squeue": {}, "sacct": {err: "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent connection\n", failure: errExit}},
		"columns that nobody asked":    {"squeue": {out: "JOBID PARTITION\n"}},
		"a list that was cut":          {"squeue": {}, "sacct": {out: "1_[1,3,5...]|PENDING|\n"}},
		"a number that is none":        {"squeue": {out: "1|0|RUNNING|x|n1|None|\n"}},
		"another complaint of squeue":  {"squeue": {err: "squeue: error: Invalid user: me\n", failure: errExit}},
		"a program that is not there":  {"squeue": {failure: fmt.Errorf("exec: %w", exec.ErrNotFound)}},
		"an answer that did not come":  {"squeue": {err: "slurm_load_jobs error: Socket timed out on send/recv operation\n", failure: errExit}},
		"a machine without the key":    {"squeue": {err: "squeue: error: Munge encode failed: Failed to access \"/run/munge/munge.socket.2\"\n", failure: errExit}},
		"an index that cannot be":      {"squeue": {out: "1|x|RUNNING|0|n1|None|\n"}},
		"a job's number that is wrong": {"squeue": {out: "x|0|RUNNING|0|n1|None|\n"}},
	} {
		f := &fake{answers: answers}
		if got, err := NewClient(Options{Run: f.run}).Tasks(t.Context(), Job{ID: 1, Indices: "0"}); err == nil {
			t.Errorf("%s: tasks = %v and no error", name, got)
		}
	}
}

func TestAvailable(t *testing.T) {
	config := answer{out: config2205}
	tests := map[string]struct {
		answers   map[string]answer
		version   string
		temporary bool
		says      string
	}{
		"Debian":     {map[string]answer{"sbatch": {out: "slurm-wlm 22.05.8\n"}, "scontrol show": config}, "22.05.8", false, ""},
		"newer":      {map[string]answer{"sbatch": {out: "slurm 25.05.1\n"}, "scontrol show": config}, "25.05.1", false, ""},
		"too old":    {map[string]answer{"sbatch": {out: "slurm 19.05.0\n"}, "scontrol show": config}, "19.05.0", false, "20.11"},
		"not there":  {map[string]answer{"sbatch": {failure: exec.ErrNotFound}}, "", false, "login node"},
		"not Slurm":  {map[string]answer{"sbatch": {out: "hello\n"}}, "", false, "PATH"},
		"no answer":  {map[string]answer{"sbatch": {out: "slurm 24.05.0"}, "scontrol show": {err: "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)", failure: errExit}}, "24.05.0", true, "scontrol ping"},
		"no munge":   {map[string]answer{"sbatch": {out: "slurm 24.05.0"}, "scontrol show": {err: "scontrol: error: Munge encode failed: Failed to access", failure: errExit}}, "24.05.0", false, "munged"},
		"no conf":    {map[string]answer{"sbatch": {out: "slurm 24.05.0"}, "scontrol show": {err: "scontrol: fatal: Could not establish a configuration source", failure: errExit}}, "24.05.0", false, "SLURM_CONF"},
		"other conf": {map[string]answer{"sbatch": {out: "slurm 24.05.0"}, "scontrol show": {err: "scontrol: fatal: Unable to process configuration file", failure: errExit}}, "24.05.0", false, "SLURM_CONF"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			version, err := NewClient(Options{Run: (&fake{answers: test.answers}).run}).Available(t.Context())
			if version != test.version {
				t.Errorf("version = %q, want %q", version, test.version)
			}
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			unavailable := (*UnavailableError)(nil)
			if !errors.As(err, &unavailable) || unavailable.Temporary != test.temporary || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error = %v, want an UnavailableError (temporary %v) that says %q", err, test.temporary, test.says)
			}
		})
	}
}

func TestIndices(t *testing.T) {
	for text, want := range map[string][]int{
		"": nil, "0": {0}, "0-3,7": {0, 1, 2, 3, 7}, "5,1-2": {1, 2, 5}, "0-9:4": {0, 4, 8}, "3,3": {3},
	} {
		got, err := ParseIndices(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseIndices(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"a", "-1", "3-1", "1-", ",", "0-3:0", "3:2", "0-2000000000", "99999999999", "0-3999998,5-3999999", "1 "} {
		if got, err := ParseIndices(text); err == nil {
			t.Errorf("ParseIndices(%q) = %d indices and no error", text, len(got))
		}
	}
	if got := FormatIndices([]int{9, 1, 0, 2, 2, 5}); got != "0-2,5,9" {
		t.Errorf("FormatIndices = %q", got)
	}
}

func FuzzIndices(f *testing.F) {
	for _, text := range []string{"0-3,7", "0-9:4", "", "1,,2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 40 {
			return
		}
		first, err := ParseIndices(text)
		if err != nil || len(first) > 10_000 {
			return
		}
		again, err := ParseIndices(FormatIndices(first))
		if err != nil || !slices.Equal(first, again) {
			t.Errorf("%q: %v, then %v, %v", text, first, again, err)
		}
	})
}

func TestSplit(t *testing.T) {
	text := func(parts []part) string {
		var all []string
		for _, p := range parts {
			all = append(all, fmt.Sprintf("%d+%s", p.offset, FormatIndices(p.indices)))
		}
		return strings.Join(all, " ")
	}
	span := func(low, high int) (indices []int) {
		for i := low; i <= high; i++ {
			indices = append(indices, i)
		}
		return indices
	}
	tests := map[string]struct {
		indices     []int
		size, tasks int
		want        string
	}{
		"one":              {[]int{3}, 10, 0, "0+3"},
		"fits":             {span(0, 9), 10, 0, "0+0-9"},
		"one too many":     {span(0, 10), 10, 0, "0+0-9 10+10"},
		"starts high":      {[]int{25, 34, 35}, 10, 0, "25+25,34 35+35"},
		"shuffled, double": {[]int{12, 3, 12, 0}, 10, 0, "0+0,3 12+12"},
		"bounded tasks":    {span(0, 6), 10, 3, "0+0-2 0+3-5 0+6"},
	}
	for name, test := range tests {
		if got := text(split(test.indices, test.size, test.tasks)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	// The list itself has to fit into an argument.
	var odd []int
	for i := range 40_000 {
		odd = append(odd, 2*i+1)
	}
	parts := split(odd, 4_000_000, 0)
	count := 0
	for _, p := range parts {
		if list := FormatIndices(p.indices); len(list) > maxListBytes {
			t.Errorf("a list has %d bytes", len(list))
		}
		count += len(p.indices)
	}
	if len(parts) < 2 || count != len(odd) {
		t.Errorf("%d parts with %d indices, want at least 2 with %d", len(parts), count, len(odd))
	}
}

// TestLanes checks that never more run at once than allowed, whatever the number
// of parts: those that do not wait for each other share the bound.
func TestLanes(t *testing.T) {
	for concurrent := 1; concurrent <= 12; concurrent++ {
		for parts := 1; parts <= 12; parts++ {
			total, lanes := 0, map[int]int{}
			for i := range parts {
				limit, after := lane(concurrent, parts, i)
				if limit < 1 {
					t.Fatalf("part %d of %d has the limit %d", i, parts, limit)
				}
				if after == 0 {
					lanes[i] = limit
					total += limit
				} else if previous := lanes[i%after]; limit > previous {
					t.Errorf("%d at once, %d parts: part %d has %d, the one before it in its lane %d", concurrent, parts, i, limit, previous)
				}
			}
			if total != concurrent && parts <= concurrent || total > concurrent {
				t.Errorf("%d at once, %d parts: %d run at once", concurrent, parts, total)
			}
		}
	}
	if limit, after := lane(0, 3, 1); limit != 0 || after != 0 {
		t.Errorf("without a bound: %d after %d", limit, after)
	}
}

func TestSubmitFlags(t *testing.T) {
	f := &fake{answers: map[string]answer{"scontrol show": {out: config2205}, "sbatch": {out: "hello from the site\n31;west\n"}}}
	client := NewClient(Options{Run: f.run})
	jobs, err := client.Submit(t.Context(), Array{
		Name: "näme with space", Comment: "c", Argv: []string{"/bin/x"}, Indices: []int{2, 0, 1, 1500}, Concurrent: 3,
		Partition: "gpu", Account: "lab", QOS: "low", Constraint: "a|b", Reservation: "r", Time: 26*time.Hour + 30*time.Second,
		CPUs: 4, MemoryBytes: 1<<30 + 1, GPUs: 2, GPUType: "a100", Exclusive: true, WorkDir: "/w d", OutputPattern: "/o/%A_%a",
		Requeue: true, SignalBefore: 90 * time.Second, Extra: []string{"--nice=5", "--mem-per-gpu=1G"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Job{{31, "west", 0, "0-2"}, {31, "west", 1500, "1500"}}
	if diff := cmp.Diff(want, jobs); diff != "" {
		t.Error(diff)
	}
	rest := " --job-name=näme with space --nodes=1 --ntasks=1 --open-mode=append --export=ALL --comment=c --partition=gpu --account=lab --qos=low" +
		" --constraint=a|b --reservation=r --chdir=/w d --output=/o/%A_%a --time=1-02:00:30 --cpus-per-task=4 --mem=1025M" +
		" --gres=gpu:a100:2 --exclusive --requeue --signal=B:USR1@90 --nice=5 --mem-per-gpu=1G"
	wantCalls := []string{"scontrol show config", "sbatch --parsable --array=0-2%2" + rest, "sbatch --parsable --array=0%1" + rest}
	if diff := cmp.Diff(wantCalls, f.calls); diff != "" {
		t.Error(diff)
	}
}

func TestArrayChecks(t *testing.T) {
	good := Array{Argv: []string{"x"}, Indices: []int{0}}
	for says, change := range map[string]func(*Array){
		"Argv":             func(a *Array) { a.Argv = nil },
		"NUL":              func(a *Array) { a.Argv = []string{"x", "a\x00b"} },
		"no indices":       func(a *Array) { a.Indices = nil },
		"negative":         func(a *Array) { a.Indices = []int{-1} },
		"CPUs":             func(a *Array) { a.CPUs = -1 },
		"variable":         func(a *Array) { a.Env = map[string]string{"A B": ""} },
		"belongs":          func(a *Array) { a.Env = map[string]string{"SLURM_JOB_ID": "1"} },
		"holds a NUL":      func(a *Array) { a.Env = map[string]string{"A": "\x00"} },
		"65535":            func(a *Array) { a.SignalBefore = 24 * time.Hour },
		"not less":         func(a *Array) { a.SignalBefore, a.Time = time.Hour, time.Hour },
		"GPUType":          func(a *Array) { a.GPUType = "a100" },
		"Name":             func(a *Array) { a.Name = "a\nb" },
		"backslash":        func(a *Array) { a.OutputPattern = `/a\b` },
		"absolute":         func(a *Array) { a.WorkDir = "x" },
		"own: Indices":     func(a *Array) { a.Extra = []string{"--array=1"} },
		"own: Time":        func(a *Array) { a.Extra = []string{"-t5"} },
		"own: Partition":   func(a *Array) { a.Extra = []string{"--part=x"} },
		"own: MemoryBytes": func(a *Array) { a.Extra = []string{"--mem=5"} },
		"by mlgym":         func(a *Array) { a.Extra = []string{"--wait"} },
		"no flag":          func(a *Array) { a.Extra = []string{"--nice", "5"} },
	} {
		array := good
		change(&array)
		f := &fake{}
		if _, err := NewClient(Options{Run: f.run}).Submit(t.Context(), array); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error = %v, want one that says %q", err, says)
		}
		if len(f.calls) > 0 {
			t.Errorf("%s: %q was run", says, f.calls)
		}
	}
	for _, word := range []string{"--mem-per-cpu=5", "--gpus-per-node=2", "-x n1", "--exclude=n1", "--mail-type=END", "--wait-all-nodes=1", "--nodelist=n1", "--gres-flags=enforce-binding"} {
		if err := checkExtra([]string{word}); err != nil {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestSubmitFailures(t *testing.T) {
	array := Array{Argv: []string{"x"}, Indices: []int{0}, GPUs: 9, Partition: "p"}
	tests := map[string]struct {
		sbatch       answer
		refused      *RefusedError
		maybe        bool
		unavailable  bool
		memoryOfNode string
	}{
		"GPUs": {
			sbatch:  answer{err: "sbatch: error: Batch job submission failed: Requested node configuration is not available\n", failure: errExit},
			refused: &RefusedError{"Batch job submission failed: Requested node configuration is not available", "GPUs", "9 GPUs are asked for, no node of partition p has more than 6"},
		},
		"limits": {
			sbatch:  answer{err: "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n", failure: errExit},
			refused: &RefusedError{"AssocMaxSubmitJobLimit; Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "", complaints[0].detail},
		},
		"busy":      {sbatch: answer{err: "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", failure: errExit}, unavailable: true, maybe: true},
		"down":      {sbatch: answer{err: "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n", failure: errExit}, unavailable: true},
		"cancelled": {sbatch: answer{failure: context.Canceled}, maybe: true},
		"garbage":   {sbatch: answer{out: "hello\n"}, maybe: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fake{answers: map[string]answer{
				"scontrol show": {out: config2205}, "sbatch": test.sbatch,
				"sinfo": {out: "8|8000|gpu:2\n128|512000+|gpu:a100:4(S:0-1),gpu:h100:2(S:2,3)\nnonsense\n"},
			}}
			jobs, err := NewClient(Options{Run: f.run}).Submit(t.Context(), array)
			if err == nil || len(jobs) > 0 {
				t.Fatalf("jobs = %v, error = %v", jobs, err)
			}
			refused, unavailable := (*RefusedError)(nil), (*UnavailableError)(nil)
			if errors.As(err, &refused); !cmp.Equal(refused, test.refused) {
				t.Errorf("refused:\n%s", cmp.Diff(test.refused, refused))
			}
			if errors.As(err, &unavailable) != test.unavailable || errors.Is(err, ErrMaybeSubmitted) != test.maybe {
				t.Errorf("error = %v, want unavailable %v, maybe submitted %v", err, test.unavailable, test.maybe)
			}
		})
	}
}

// TestSubmitKeepsParts shows that what was submitted before a refusal is told.
func TestSubmitKeepsParts(t *testing.T) {
	calls := 0
	run := func(_ context.Context, name string, args []string, _ string) (string, string, error) {
		if name != "sbatch" {
			return config2205, "", nil
		}
		if calls++; calls == 2 {
			return "", "sbatch: error: Batch job submission failed: no\n", errExit
		}
		return fmt.Sprintln(calls), "", nil
	}
	jobs, err := NewClient(Options{Run: run}).Submit(t.Context(), Array{Argv: []string{"x"}, Indices: []int{0, 2000, 4000}})
	if err == nil || len(jobs) != 1 || jobs[0].ID != 1 {
		t.Errorf("jobs = %v, error = %v; want the first job and an error", jobs, err)
	}
}

func TestCancelAndRequeueCommands(t *testing.T) {
	job := Job{ID: 7, Offset: 100, Indices: "100-110"}
	f := &fake{answers: map[string]answer{
		"scancel":          {err: "scancel: error: Kill job error on job id 7: Invalid job id specified\nscancel: error: Kill job error on job id 8: Job/step already completing or completed\n", failure: errExit},
		"scontrol requeue": {err: "Job is pending execution for job 7_3\n", failure: errExit},
	}}
	client := NewClient(Options{Run: f.run})
	if err := client.Cancel(t.Context(), job, Job{ID: 8}); err != nil {
		t.Error(err)
	}
	if err := client.CancelTasks(t.Context(), Task{Job: job, Index: 100}, Task{Job: job, Index: 102}, Task{Job: job, Index: 101}); err != nil {
		t.Error(err)
	}
	if err := client.Requeue(t.Context(), Task{Job: job, Index: 103}); err != nil {
		t.Error(err)
	}
	want := []string{"scancel 7,8", "scancel 7_[0-2]", "scontrol requeue 7_3"}
	want[0] = "scancel 7 8"
	if diff := cmp.Diff(want, f.calls); diff != "" {
		t.Error(diff)
	}
	f.answers["scancel"] = answer{err: "scancel: error: Kill job error on job id 7: Access/permission denied\n", failure: errExit}
	if err := client.Cancel(t.Context(), job); err == nil {
		t.Error("a job of somebody else was cancelled")
	}
	f.calls = nil
	if err := client.Cancel(t.Context()); err != nil || len(f.calls) > 0 {
		t.Errorf("nothing to cancel: %v, %q", err, f.calls)
	}
}

func TestStates(t *testing.T) {
	for text, want := range map[string]State{"CANCELLED by 1000": Cancelled, "PENDING+": Pending, "": Unknown, " running ": Running, "NEW_ONE": "NEW_ONE"} {
		if got := parseState(text); got != want {
			t.Errorf("parseState(%q) = %q, want %q", text, got, want)
		}
	}
	for _, state := range []State{Pending, Running, Completing, Suspended, Requeued, RequeueHold, "NEW_ONE"} {
		if state.Ended() || state.Retryable() {
			t.Errorf("%s has ended", state)
		}
	}
	for state, retryable := range map[State]bool{Completed: false, Failed: false, Cancelled: false, OutOfMemory: false, Timeout: true, NodeFail: true, Preempted: true, Unknown: true} {
		if !state.Ended() || state.Retryable() != retryable {
			t.Errorf("%s: ended %v, retryable %v", state, state.Ended(), state.Retryable())
		}
	}
	for reason, want := range map[string]bool{"launch failed requeued held": true, "(JobHeldAdmin)": true, "Priority": false, "Resources": false, "PartitionTimeLimit": true, "": false} {
		if got := (Task{State: Pending, Reason: reason}).Stuck(); got != want {
			t.Errorf("Stuck for %q = %v", reason, got)
		}
	}
	if (Task{State: Running, Reason: "JobHeldAdmin"}).Stuck() {
		t.Error("a running task is stuck")
	}
}

func TestEnviron(t *testing.T) {
	outer := []string{"PATH=/bin", "SLURM_CONF=/a", "SLURM_JOB_ID=1", "SLURM_RESTART_COUNT=4", "SQUEUE_PARTITION=x", "SCANCEL_INTERACTIVE=1", "SBATCH_WAIT=1", "SBATCH_ACCOUNT=lab", "SLURM_JWT=t", "SLURMD_NODENAME=n"}
	want := []string{"PATH=/bin", "SBATCH_ACCOUNT=lab", "SLURM_JWT=t", "SLURM_CONF=/b"}
	if got := environ(outer, "/b"); !slices.Equal(got, want) {
		t.Errorf("environ = %q, want %q", got, want)
	}
	if got := environ(outer, ""); !slices.Contains(got, "SLURM_CONF=/a") {
		t.Errorf("environ = %q, without the caller's SLURM_CONF", got)
	}
}

func TestFromEnviron(t *testing.T) {
	inside := []string{"SLURM_ARRAY_TASK_ID=3", "SLURM_ARRAY_JOB_ID=10", "SLURM_JOB_ID=13", "SLURM_RESTART_COUNT=2", "SLURMD_NODENAME=n1", "SLURM_CLUSTER_NAME=c"}
	want := Place{Cluster: "c", Node: "n1", Array: 10, Job: 13, Index: 3, Restarts: 2}
	if got, ok := FromEnviron(inside); !ok || got != want {
		t.Errorf("FromEnviron = %+v, %v", got, ok)
	}
	for i := range 4 {
		if place, ok := FromEnviron(append(slices.Clone(inside), inside[i][:strings.IndexByte(inside[i], '=')+1]+"x")); ok {
			t.Errorf("%s passes: %+v", inside[i], place)
		}
	}
	if _, ok := FromEnviron([]string{"HOME=/"}); ok {
		t.Error("this is no task")
	}
}

// TestScript runs the scripts in the shells that are here. The one that stays
// beside the program has to tell a signal of its own from the program's end.
func TestScript(t *testing.T) {
	words := []string{"a b", "it's", `"`, "two\nlines", "dos\r\nline", "$HOME `id` \\", "ünï", "", "#SBATCH --time=1", "*", "\n#SBATCH --array=0-9\n", "-n"}
	shells := []string{}
	for _, name := range []string{"dash", "bash", "busybox"} {
		if path, err := exec.LookPath(name); err == nil {
			shells = append(shells, path)
		} else {
			t.Logf("no %s here", name)
		}
	}
	for _, shell := range shells {
		t.Run(filepath.Base(shell), func(t *testing.T) {
			// run gives the program's output, the code, and whether it was requeued.
			run := func(array Array, offset int, requeues bool, during func(*os.Process, string)) (string, int, bool) {
				t.Helper()
				dir := t.TempDir()
				write := func(name, text string) {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				write("scontrol", "#!/bin/sh\necho \"$@\" >>"+dir+"/requeued\n")
				script := array.script(offset, requeues)
				if strings.Contains(script, "\r") {
					t.Error("a carriage return is in the script")
				}
				write("script", script)
				args := []string{filepath.Join(dir, "script")}
				if filepath.Base(shell) == "busybox" {
					args = append([]string{"sh"}, args...)
				}
				// One that its signal does not reach would run for ever.
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, shell, args...)
				cmd.WaitDelay = time.Second
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
				cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "SLURM_ARRAY_TASK_ID=4", "SLURM_JOB_ID=77", "DIR="+dir)
				var out strings.Builder
				cmd.Stdout, cmd.Stderr = &out, &out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if during != nil {
					during(cmd.Process, dir)
				}
				cmd.Wait()
				requeued, _ := os.ReadFile(filepath.Join(dir, "requeued"))
				if len(requeued) > 0 && string(requeued) != "requeue 77\n" {
					t.Errorf("scontrol was run with %q", requeued)
				}
				return out.String(), cmd.ProcessState.ExitCode(), len(requeued) > 0
			}
			await := func(dir string) {
				for range 600 {
					if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
				t.Fatal("the program did not start")
			}
			for _, requeues := range []bool{true, false} {
				array := Array{Requeue: true, Env: map[string]string{"SLURM_": "", "V": "x\r\n'y'"}, Argv: append([]string{"sh", "-c", `printf '<%s>' "$V" "$SLURM_ARRAY_TASK_ID" "$@"; exit 3`, "sh"}, words...)}
				delete(array.Env, "SLURM_")
				out, code, requeued := run(array, 1000, requeues, nil)
				if want := "<x\r\n'y'><1004><" + strings.Join(words, "><") + ">"; out != want || code != 3 || requeued {
					t.Errorf("requeues %v: output %q, code %d, requeued %v; want %q, 3, false", requeues, out, code, requeued, want)
				}
			}
			leave := func(code int) Array {
				return Array{Requeue: true, Argv: []string{"sh", "-c", `trap 'echo usr1; exit '$0 USR1; trap 'echo term; exit '$0 TERM; : >"$DIR/ready"; while :; do sleep 0.05; done`, fmt.Sprint(code)}}
			}
			send := func(signal syscall.Signal) func(*os.Process, string) {
				return func(p *os.Process, dir string) { await(dir); p.Signal(signal) }
			}
			if out, code, requeued := run(leave(75), 0, true, send(syscall.SIGUSR1)); out != "usr1\n" || code != 75 || requeued {
				t.Errorf("exec: output %q, code %d, requeued %v", out, code, requeued)
			}
			if out, code, requeued := run(leave(75), 0, false, send(syscall.SIGUSR1)); out != "usr1\n" || code != 75 || !requeued {
				t.Errorf("saved before the end: output %q, code %d, requeued %v", out, code, requeued)
			}
			if out, code, requeued := run(leave(9), 0, false, send(syscall.SIGUSR1)); out != "usr1\n" || code != 9 || requeued {
				t.Errorf("failed: output %q, code %d, requeued %v", out, code, requeued)
			}
			// Slurm's SIGTERM reaches both processes.
			both := func(p *os.Process, dir string) {
				await(dir)
				p.Signal(syscall.SIGTERM)
				for _, child := range children(t, p.Pid) {
					syscall.Kill(child, syscall.SIGTERM)
				}
			}
			if out, code, requeued := run(leave(75), 0, false, both); out != "term\n" || code != 75 || requeued {
				t.Errorf("cancelled: output %q, code %d, requeued %v; what was cancelled must not come back", out, code, requeued)
			}
			killed := func(p *os.Process, dir string) {
				await(dir)
				for _, child := range children(t, p.Pid) {
					syscall.Kill(child, syscall.SIGKILL)
				}
			}
			if _, code, requeued := run(leave(75), 0, false, killed); code != 137 || requeued {
				t.Errorf("killed: code %d, requeued %v", code, requeued)
			}
			if _, code, requeued := run(Array{Requeue: true, Argv: []string{"sh", "-c", "exit 75"}}, 0, false, nil); code != 75 || !requeued {
				t.Errorf("asked by itself: code %d, requeued %v", code, requeued)
			}
			if _, code, requeued := run(Array{Argv: []string{"sh", "-c", "exit 75"}}, 0, false, nil); code != 75 || requeued {
				t.Errorf("not to be requeued: code %d, requeued %v", code, requeued)
			}
		})
	}
}

func children(t *testing.T, pid int) []int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Skip("the kernel does not list children: ", err)
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		child := 0
		fmt.Sscan(field, &child)
		pids = append(pids, child)
	}
	return pids
}
