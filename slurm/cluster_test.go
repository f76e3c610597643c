package slurm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/slurm"
	"mlgym/slurm/slurmtest"
)

// limit is how long anything may take here. Nothing depends on how long it does.
const limit = 6 * time.Minute

func TestMain(m *testing.M) {
	if what := os.Getenv("TASK_PROGRAM"); what != "" {
		os.Exit(program(what))
	}
	os.Exit(m.Run())
}

// execution is the file that every execution of a task writes.
type execution struct {
	Place slurm.Place
	Args  []string
	Variable,
	GPUs, Dir string
	Signals []string
	Beats   int
	Ended   bool
}

// program is what tasks run: this test, called by Slurm.
func program(what string) int {
	dir := os.Getenv("TASK_DIR")
	place, ok := slurm.FromEnviron(os.Environ())
	if !ok {
		fmt.Fprintln(os.Stderr, "this is no task of an array")
		return 1
	}
	cwd, _ := os.Getwd()
	mine := execution{Place: place, Args: os.Args[1:], Variable: os.Getenv("VARIABLE"), GPUs: os.Getenv("CUDA_VISIBLE_DEVICES"), Dir: cwd}
	path := filepath.Join(dir, fmt.Sprintf("%d.%s.%d.%d.json", place.Index, place.Node, place.Restarts, time.Now().UnixNano()))
	write := func() {
		text, _ := json.Marshal(mine)
		os.WriteFile(path+".new", text, 0o644)
		os.Rename(path+".new", path)
	}
	fmt.Println("hello from", place.Index, "the", place.Restarts, "th time")
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGTERM)
	end := func(code int) int { mine.Ended = true; write(); return code }
	switch what {
	case "note":
		return end(0)
	case "fail":
		return end(3)
	case "again": // the first time, asks to be run again
		if place.Restarts == 0 {
			return end(slurm.ExitRequeue)
		}
		return end(0)
	case "interruptible": // the second time, has nothing left to do
		if place.Restarts > 0 {
			return end(0)
		}
	}
	for {
		mine.Beats++
		write()
		select {
		case s := <-signals:
			mine.Signals = append(mine.Signals, s.String())
			return end(slurm.ExitRequeue)
		case <-time.After(50 * time.Millisecond):
		}
		if _, err := os.Stat(filepath.Join(dir, "finish")); err == nil {
			return end(0)
		}
	}
}

// site is a cluster, a client, and a folder for the tasks of one test.
type site struct {
	*testing.T
	cluster *slurmtest.Cluster
	client  *slurm.Client
	dir     string
}

func at(t *testing.T, cluster *slurmtest.Cluster) site {
	t.Helper()
	return site{t, cluster, slurm.NewClient(slurm.Options{Conf: cluster.Conf()}), t.TempDir()}
}

// array is an array of the program, small enough to share nodes.
func (s site) array(what string, indices ...int) slurm.Array {
	return slurm.Array{
		Name: s.Name(), Argv: []string{os.Args[0], "a", "b c"}, Indices: indices, CPUs: 1, MemoryBytes: 100 << 20,
		Env:     map[string]string{"TASK_PROGRAM": what, "TASK_DIR": s.dir},
		WorkDir: s.dir, OutputPattern: filepath.Join(s.dir, "out.%a"), Requeue: true,
	}
}

func (s site) submit(array slurm.Array) []slurm.Job {
	s.Helper()
	jobs, err := s.client.Submit(s.Context(), array)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := s.client.Cancel(context.WithoutCancel(s.Context()), jobs...); err != nil {
			s.Errorf("clean up: %v", err)
		}
	})
	return jobs
}

// await polls until check says yes.
func (s site) await(what string, check func() (bool, any)) {
	s.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		ok, seen := check()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("waited for %s; seen last: %+v\n%s", what, seen, s.cluster.Log("slurmctld", 30))
		}
	}
}

// awaitTasks polls until all tasks satisfy check, and returns them.
func (s site) awaitTasks(what string, jobs []slurm.Job, check func(slurm.Task) bool) []slurm.Task {
	s.Helper()
	var tasks []slurm.Task
	s.await(what, func() (bool, any) {
		var err error
		if tasks, err = s.client.Tasks(s.Context(), jobs...); err != nil {
			return false, err
		}
		return !slices.ContainsFunc(tasks, func(task slurm.Task) bool { return !check(task) }), show(tasks)
	})
	return tasks
}

// show says more of tasks than their numbers.
func show(tasks []slurm.Task) []string {
	var all []string
	for _, task := range tasks {
		all = append(all, fmt.Sprintf("%s %s %q %q restarts %d", task, task.State, task.Node, task.Reason, task.Restarts))
	}
	return all
}

func in(states ...slurm.State) func(slurm.Task) bool {
	return func(task slurm.Task) bool { return slices.Contains(states, task.State) }
}

// executions returns what the tasks have written so far, by index and restarts.
func (s site) executions() []execution {
	s.Helper()
	paths, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	if err != nil {
		s.Fatal(err)
	}
	var all []execution
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		var one execution
		if err := json.Unmarshal(text, &one); err != nil {
			s.Fatalf("%s: %v", path, err)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b execution) int {
		return 1000*(a.Place.Index-b.Place.Index) + a.Place.Restarts - b.Place.Restarts
	})
	return all
}

func (s site) finish() {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "finish"), nil, 0o644); err != nil {
		s.Fatal(err)
	}
}

// TestCluster tries everything on one cluster of four nodes, whose arrays are
// bounded to 20 tasks.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := slurmtest.Start(t, slurmtest.Options{
		Nodes: 4, CPUs: 4, MemoryMB: 4000, GPUs: 2, GPUType: "fast", SlurmdTimeout: 5 * time.Second,
		Conf: "MaxArraySize=20\nPreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\n" +
			"PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF\nPartitionName=short Nodes=n1 MaxTime=5",
	})
	for _, test := range []struct {
		name string
		run  func(site)
	}{
		{"available", available},
		{"words", wordsArrive},
		{"GPUs", gpus},
		{"resources", resources},
		{"chunks", chunks},
		{"concurrent", concurrent},
		{"cancel", cancel},
		{"requeue", requeue},
		{"exit 75", exitRequeue},
		{"preempted", preempted},
		{"refusals", refusals},
		{"lost nodes", lostNodes},
		{"controller killed", controllerKilled},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := at(t, cluster)
			test.run(s)
			// The next one finds an empty cluster.
			s.await("an empty queue", func() (bool, any) {
				out, err := cluster.Command(context.WithoutCancel(t.Context()), "squeue", "-h")
				if err == nil && strings.TrimSpace(out) != "" {
					_, _ = cluster.Command(context.WithoutCancel(t.Context()), "scancel", "-u", "root")
				}
				return err == nil && strings.TrimSpace(out) == "", fmt.Sprint(out, err)
			})
		})
	}
}

func available(s site) {
	version, err := s.client.Available(s.Context())
	if err != nil || strings.Count(version, ".") < 2 {
		s.Fatalf("version %q, %v", version, err)
	}
	config, err := s.client.Config(s.Context())
	if err != nil || config.MaxArraySize != 20 || !config.RequeuesOn(slurm.ExitRequeue) || config.SlurmdTimeout != 5*time.Second || config.Accounting {
		s.Errorf("config = %+v, %v", config, err)
	}
	tasks, err := s.client.Tasks(s.Context(), slurm.Job{ID: 987654, Indices: "1"})
	if err != nil || len(tasks) != 1 || tasks[0].State != slurm.Unknown {
		s.Errorf("tasks of an unknown job = %+v, %v", show(tasks), err)
	}
	if err := s.client.Cancel(s.Context(), slurm.Job{ID: 987654}); err != nil {
		s.Errorf("cancel an unknown job: %v", err)
	}
	broken := slurm.NewClient(slurm.Options{Conf: filepath.Join(s.dir, "no.conf")})
	if _, err := broken.Available(s.Context()); !errors.As(err, new(*slurm.UnavailableError)) {
		s.Errorf("without a slurm.conf: %v, want an UnavailableError", err)
	}
}

func wordsArrive(s site) {
	array := s.array("note", 3)
	array.Name, array.Comment = `n "ame' $x ünï`, "a comment, with 'quotes'"
	words := []string{"a b", "it's", `"`, "two\nlines", "dos\r\nline", "$HOME `id` \\", "ünï", "", "\n#SBATCH --time=1\n", "*", "-n", "\xff"}
	array.Argv = append([]string{os.Args[0]}, words...)
	array.Env["VARIABLE"] = "x\r\n'y' $z"
	array.WorkDir = filepath.Join(s.dir, "work dir 'ü'")
	array.OutputPattern = slurm.EscapePattern(filepath.Join(s.dir, "out put 'ü' 5%j 3%% ")) + "%a.txt"
	if err := os.Mkdir(array.WorkDir, 0o755); err != nil {
		s.Fatal(err)
	}
	s.awaitTasks("the end", s.submit(array), in(slurm.Completed))
	all := s.executions()
	if len(all) != 1 {
		s.Fatalf("%d executions", len(all))
	}
	words[len(words)-1] = "\ufffd" // what JSON makes of it
	if diff := cmp.Diff(words, all[0].Args); diff != "" {
		s.Error(diff)
	}
	if all[0].Variable != array.Env["VARIABLE"] || all[0].Dir != array.WorkDir || all[0].Place.Index != 3 || all[0].Place.Cluster != "test" {
		s.Errorf("execution = %+v", all[0])
	}
	if out, err := os.ReadFile(filepath.Join(s.dir, "out put 'ü' 5%j 3%% 3.txt")); err != nil || !strings.Contains(string(out), "hello") {
		s.Errorf("output %q, %v", out, err)
	}
}

func gpus(s site) {
	array := s.array("wait", 0, 1, 2, 3)
	array.GPUs, array.GPUType = 1, "fast"
	array.Extra = []string{"--nodelist=n1"}
	jobs := s.submit(array)
	// Two GPUs, so two run, and each sees one of its own.
	s.await("two tasks", func() (bool, any) { all := s.executions(); return len(all) == 2, all })
	seen := map[string]bool{}
	for _, one := range s.executions() {
		seen[one.GPUs] = true
	}
	if !seen["0"] || !seen["1"] || len(seen) != 2 {
		s.Errorf("CUDA_VISIBLE_DEVICES are %v, want 0 and 1", seen)
	}
	s.finish()
	tasks := s.awaitTasks("the end", jobs, in(slurm.Completed))
	if tasks[0].Node != "n1" || len(s.executions()) != 4 {
		s.Errorf("tasks = %+v, %d executions", show(tasks), len(s.executions()))
	}
}

func resources(s site) {
	array := s.array("wait", 1)
	array.Partition, array.Time, array.CPUs, array.MemoryBytes = "short", 90*time.Second, 2, 512<<20
	jobs := s.submit(array)
	s.awaitTasks("a start", jobs, in(slurm.Running))
	out, err := s.cluster.Command(s.Context(), "squeue", "-h", "-j", jobs[0].String(), "-o", "%P|%l|%C|%m|%j|%N")
	if want := "short|2:00|2|512M|" + s.Name() + "|n1"; err != nil || strings.TrimSpace(out) != want {
		s.Errorf("squeue says %q, %v; want %q", strings.TrimSpace(out), err, want)
	}
}

func chunks(s site) {
	var indices []int
	for i := range 45 {
		indices = append(indices, i+7)
	}
	array := s.array("note", indices...)
	array.CPUs = 1
	jobs := s.submit(array)
	if len(jobs) < 3 {
		s.Fatalf("%d arrays for %d tasks where an array has at most 20", len(jobs), len(indices))
	}
	tasks := s.awaitTasks("the end", jobs, in(slurm.Completed))
	var told, ran []int
	for _, task := range tasks {
		told = append(told, task.Index)
	}
	for _, one := range s.executions() {
		ran = append(ran, one.Place.Index)
	}
	if !slices.Equal(told, indices) || !slices.Equal(ran, indices) {
		s.Errorf("told %v, ran %v, want %v", told, ran, indices)
	}
}

func concurrent(s site) {
	// 25 tasks are two arrays here; of both together no more than three may run.
	var indices []int
	for i := range 25 {
		indices = append(indices, i)
	}
	array := s.array("wait", indices...)
	array.Concurrent = 3
	jobs := s.submit(array)
	s.await("three tasks", func() (bool, any) { all := s.executions(); return len(all) >= 3, len(all) })
	running := 0
	tasks, err := s.client.Tasks(s.Context(), jobs...)
	for _, task := range tasks {
		if task.State == slurm.Running {
			running++
		} else if task.Reason == "" {
			s.Errorf("%+v waits without a reason", task)
		}
	}
	if err != nil || running != 3 || len(jobs) != 2 {
		s.Errorf("%d tasks of %d arrays run, want 3 of 2; %v", running, len(jobs), err)
	}
	if err := s.client.Cancel(s.Context(), jobs...); err != nil {
		s.Error(err)
	}
	s.awaitTasks("cancelled tasks", jobs, in(slurm.Cancelled))
	if started := len(s.executions()); started != 3 {
		s.Errorf("%d tasks had started, want 3", started)
	}
}

func cancel(s site) {
	jobs := s.submit(s.array("wait", 0, 1, 2))
	tasks := s.awaitTasks("a start", jobs, in(slurm.Running))
	s.await("three executions", func() (bool, any) { all := s.executions(); return len(all) == 3, all })
	for range 2 { // again is no error
		if err := s.client.CancelTasks(s.Context(), tasks[1]); err != nil {
			s.Fatal(err)
		}
	}
	s.await("the end of one", func() (bool, any) {
		now, err := s.client.Tasks(s.Context(), jobs...)
		return err == nil && now[1].State == slurm.Cancelled && now[0].State == slurm.Running && now[2].State == slurm.Running, show(now)
	})
	// It was told, and although it asked to be run again, it was not.
	if one := s.executions()[1]; !slices.Equal(one.Signals, []string{"terminated"}) || !one.Ended {
		s.Errorf("execution = %+v, want one that was terminated and ended by itself", one)
	}
	for range 2 {
		if err := s.client.Cancel(s.Context(), jobs...); err != nil {
			s.Fatal(err)
		}
	}
	s.awaitTasks("the end", jobs, in(slurm.Cancelled))
	if all := s.executions(); len(all) != 3 {
		s.Errorf("%d executions, want 3", len(all))
	}
	if err := s.client.Cancel(s.Context(), jobs...); err != nil {
		s.Errorf("cancel what has ended: %v", err)
	}
}

func requeue(s site) {
	jobs := s.submit(s.array("interruptible", 4))
	tasks := s.awaitTasks("a start", jobs, in(slurm.Running))
	s.await("an execution", func() (bool, any) { all := s.executions(); return len(all) == 1, all })
	for range 2 {
		if err := s.client.Requeue(s.Context(), tasks[0]); err != nil {
			s.Fatal(err)
		}
	}
	s.awaitTasks("the end", jobs, func(task slurm.Task) bool { return task.State == slurm.Completed && task.Restarts >= 1 })
	if all := s.executions(); len(all) < 2 || !slices.Equal(all[0].Signals, []string{"terminated"}) || all[1].Place.Restarts == 0 {
		s.Errorf("executions = %+v", all)
	}
}

func exitRequeue(s site) {
	jobs := slices.Concat(s.submit(s.array("again", 0)), s.submit(s.array("fail", 1)))
	tasks := s.awaitTasks("the end", jobs, func(task slurm.Task) bool { return task.State.Ended() })
	if tasks[0].State != slurm.Completed || tasks[0].Restarts != 1 || tasks[1].State != slurm.Failed || tasks[1].Restarts != 0 {
		s.Errorf("tasks = %+v, want one run again and completed, and one failed", show(tasks))
	}
	if all := s.executions(); len(all) != 3 {
		s.Errorf("%d executions, want 3", len(all))
	}
	// What was printed before is kept.
	if out, err := os.ReadFile(filepath.Join(s.dir, "out.0")); err != nil || strings.Count(string(out), "hello") != 2 {
		s.Errorf("output %q, %v; want both executions'", out, err)
	}
}

// warn makes Slurm send its warning at least 5 s after the start, when a program
// is sure to wait for it: Slurm may send it up to 60 s early.
func warn(array *slurm.Array) { array.Time, array.SignalBefore = 2*time.Minute, 55*time.Second }

// TestSignalBefore has a cluster of its own, since it takes a minute.
func TestSignalBefore(t *testing.T) {
	t.Parallel()
	s := at(t, slurmtest.Start(t, slurmtest.Options{Nodes: 1}))
	array := s.array("interruptible", 0)
	warn(&array)
	jobs := s.submit(array)
	s.awaitTasks("the end", jobs, in(slurm.Completed))
	all := s.executions()
	if len(all) != 2 || !slices.Equal(all[0].Signals, []string{"user defined signal 1"}) {
		s.Errorf("executions = %+v, want one that was warned, and another", all)
	}
}

func preempted(s site) {
	array := s.array("interruptible", 0, 1, 2, 3)
	array.Exclusive = true
	jobs := s.submit(array)
	s.awaitTasks("four nodes in use", jobs, in(slurm.Running))
	s.await("executions", func() (bool, any) { all := s.executions(); return len(all) == 4, len(all) })
	urgent := s.array("note", 9)
	urgent.Partition, urgent.Exclusive = "urgent", true
	s.awaitTasks("the end of what is urgent", s.submit(urgent), in(slurm.Completed))
	s.await("a task that was run again", func() (bool, any) {
		tasks, err := s.client.Tasks(s.Context(), jobs...)
		done := slices.IndexFunc(tasks, func(task slurm.Task) bool { return task.State == slurm.Completed && task.Restarts == 1 })
		return err == nil && done >= 0, show(tasks)
	})
	told := 0
	for _, one := range s.executions() {
		if slices.Equal(one.Signals, []string{"terminated"}) && one.Ended {
			told++
		}
	}
	if told != 1 {
		s.Errorf("%d executions were told to end, want 1: %+v", told, s.executions())
	}
}

func refusals(s site) {
	for name, test := range map[string]struct {
		change func(*slurm.Array)
		field  string
		says   string
	}{
		"partition":   {func(a *slurm.Array) { a.Partition = "nope" }, "Partition", "main"},
		"GPUs":        {func(a *slurm.Array) { a.GPUs = 9 }, "GPUs", "more than 2"},
		"GPU type":    {func(a *slurm.Array) { a.GPUs, a.GPUType = 1, "slow" }, "GPUs", "of type slow"},
		"memory":      {func(a *slurm.Array) { a.MemoryBytes = 64 << 30 }, "MemoryBytes", "more than 4000"},
		"constraint":  {func(a *slurm.Array) { a.Constraint = "nope" }, "Constraint", "features"},
		"reservation": {func(a *slurm.Array) { a.Reservation = "nope" }, "Reservation", "show reservation"},
		"extra":       {func(a *slurm.Array) { a.Extra = []string{"--nonsense"} }, "Extra", "nonsense"},
	} {
		array := s.array("note", 0)
		test.change(&array)
		jobs, err := s.client.Submit(s.Context(), array)
		refused := (*slurm.RefusedError)(nil)
		if !errors.As(err, &refused) || refused.Field != test.field || !strings.Contains(err.Error(), test.says) || len(jobs) > 0 {
			s.Errorf("%s: %v, %v; want a RefusedError for %s that says %q", name, jobs, err, test.field, test.says)
		}
	}
	// What Slurm takes, but never starts, is told by the reason.
	array := s.array("note", 0)
	array.Partition, array.Time = "short", time.Hour
	jobs, err := s.client.Submit(s.Context(), array)
	if err != nil {
		refused := (*slurm.RefusedError)(nil)
		if !errors.As(err, &refused) || refused.Field != "Time" {
			s.Errorf("too much time: %v", err)
		}
		return
	}
	s.awaitTasks("a reason", jobs, slurm.Task.Stuck)
	if err := s.client.Cancel(s.Context(), jobs...); err != nil {
		s.Error(err)
	}
}

// lostNodes makes one node lose power, and cuts another one off.
func lostNodes(s site) {
	array := s.array("wait", 0, 1)
	array.Exclusive = true
	jobs := s.submit(array)
	before := s.awaitTasks("a start", jobs, in(slurm.Running))
	s.await("two executions", func() (bool, any) { all := s.executions(); return len(all) == 2, all })
	dead, frozen := before[0].Node, before[1].Node
	s.cluster.KillNode(dead)
	if err := s.cluster.FreezeNode(frozen); err != nil {
		s.Fatal(err)
	}
	after := s.awaitTasks("both running elsewhere", jobs, func(task slurm.Task) bool {
		return task.State == slurm.Running && task.Restarts == 1 && task.Node != dead && task.Node != frozen
	})
	s.await("four executions", func() (bool, any) { all := s.executions(); return len(all) == 4, all })
	if state, err := s.cluster.NodeState(s.Context(), frozen); err != nil || !strings.HasPrefix(state, "down") {
		s.Errorf("the frozen node is %q, %v", state, err)
	}

	// The network comes back for the copy alone: now one task runs twice. Nothing
	// but the execution's own name tells the two apart.
	copies := func() (zombie, second execution) {
		all := s.executions()
		return all[2], all[3]
	}
	zombie, second := copies()
	if zombie.Place.Node != frozen || zombie.Place.Restarts != 0 || second.Place.Node != after[1].Node || second.Place.Restarts != 1 {
		s.Fatalf("executions of one task: %+v and %+v", zombie, second)
	}
	if err := s.cluster.ThawJobs(frozen); err != nil {
		s.Fatal(err)
	}
	s.await("two executions of one task at once", func() (bool, any) {
		a, b := copies()
		return a.Beats >= zombie.Beats+3 && b.Beats >= second.Beats+3, []execution{a, b}
	})
	if task, err := s.client.Tasks(s.Context(), jobs...); err != nil || task[1].Node != after[1].Node {
		s.Errorf("Slurm tells of %+v, %v; want the second execution only", show(task), err)
	}

	// When the node is back, Slurm ends the copy there, and only that.
	if err := s.cluster.ThawNode(frozen); err != nil {
		s.Fatal(err)
	}
	s.await("the end of the copy", func() (bool, any) { a, _ := copies(); return a.Ended, a })
	if err := s.cluster.BootNode(dead); err != nil {
		s.Fatal(err)
	}
	for _, node := range []string{dead, frozen} {
		if err := s.cluster.AwaitNode(s.Context(), node, limit, "idle"); err != nil {
			s.Fatal(err)
		}
	}
	s.finish()
	s.awaitTasks("the end", jobs, in(slurm.Completed))
	if all := s.executions(); len(all) != 4 || all[0].Ended || !all[1].Ended || !all[3].Ended {
		s.Errorf("executions = %+v", all)
	}
}

func controllerKilled(s site) {
	// What the controller has written, it knows afterwards. What it has just taken
	// it may have forgotten altogether.
	old := s.submit(s.array("wait", 0))
	s.awaitTasks("a start", old, in(slurm.Running))
	started := time.Now()
	s.await("a state that was written", func() (bool, any) {
		info, err := os.Stat(filepath.Join(s.cluster.Dir(), "state", "job_state"))
		return err == nil && info.ModTime().After(started), err
	})
	fresh := s.submit(s.array("wait", 1))
	s.cluster.KillController()
	impatient := slurm.NewClient(slurm.Options{Conf: s.cluster.Conf(), Timeout: 2 * time.Second})
	_, err := impatient.Tasks(s.Context(), old...)
	unavailable := (*slurm.UnavailableError)(nil)
	if !errors.As(err, &unavailable) || !unavailable.Temporary {
		s.Errorf("without a controller: %v, want an UnavailableError that may pass", err)
	}
	if err := s.cluster.RestartController(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.finish()
	// Whether an execution was kept or the task is run again depends on what had
	// been written; both are right, and the task ends.
	s.awaitTasks("the end", old, in(slurm.Completed))
	tasks := s.awaitTasks("an end, or oblivion", fresh, in(slurm.Completed, slurm.Unknown))
	s.Logf("the array submitted last is %s", tasks[0].State)
	if all := s.executions(); len(all) == 0 || !slices.ContainsFunc(all, func(one execution) bool { return one.Place.Index == 0 && one.Ended }) {
		s.Errorf("executions = %+v, want one of task 0 that ended", all)
	}
}

// TestPlainSite is a cluster that does not requeue by exit code and forgets what
// has ended.
func TestPlainSite(t *testing.T) {
	t.Parallel()
	cluster := slurmtest.Start(t, slurmtest.Options{Nodes: 1, CPUs: 4, Conf: "RequeueExit=\nMinJobAge=2"})
	s := at(t, cluster)
	config, err := s.client.Config(t.Context())
	if err != nil || config.RequeuesOn(slurm.ExitRequeue) {
		t.Fatalf("config = %+v, %v", config, err)
	}
	again := s.array("again", 0)
	warned := s.array("interruptible", 1)
	warn(&warned)
	stays := s.array("wait", 2)
	stays.Name = "stays"
	jobs := slices.Concat(s.submit(again), s.submit(warned))
	cancelled := s.submit(stays)
	s.awaitTasks("a start", cancelled, in(slurm.Running))
	s.await("its execution", func() (bool, any) {
		all := s.executions()
		return slices.ContainsFunc(all, func(one execution) bool { return one.Place.Index == 2 }), all
	})
	if err := s.client.Cancel(t.Context(), cancelled...); err != nil {
		t.Fatal(err)
	}
	// It asks to be run again, and must not be; Slurm forgets it within a minute.
	s.awaitTasks("the end", cancelled, in(slurm.Cancelled, slurm.Unknown))
	s.await("second executions", func() (bool, any) {
		all := s.executions()
		ended := func(index int) bool {
			return slices.ContainsFunc(all, func(one execution) bool { return one.Place.Index == index && one.Place.Restarts == 1 && one.Ended })
		}
		return ended(0) && ended(1), all
	})
	s.awaitTasks("oblivion", slices.Concat(jobs, cancelled), in(slurm.Unknown))
	var signals [][]string
	for _, one := range s.executions() {
		signals = append(signals, one.Signals)
	}
	if want := [][]string{nil, nil, {"user defined signal 1"}, nil, {"terminated"}}; !slices.EqualFunc(signals, want, slices.Equal) {
		t.Errorf("signals = %q, want %q: five executions, one warned and one cancelled", signals, want)
	}
}
