package slurm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Array is one program, to be run once for each index. Only Argv and Indices
// have to be given; what is left out is the site's default.
type Array struct {
	// Name and Comment are shown by squeue. Name is the program's where it is empty.
	Name, Comment string
	// Argv is the program and its arguments, handed over byte by byte, whatever they
	// hold but NUL. SLURM_ARRAY_TASK_ID tells the program its index; [FromEnviron]
	// reads it.
	Argv []string
	// Env are variables for the program, beside those of the caller, which sbatch
	// hands on. They are part of the job's script, which operators can read: keys
	// and passwords belong into files.
	Env map[string]string
	// Indices are the indices to run, not negative; order and repetition do not count.
	Indices []int
	// Concurrent bounds how many run at once; 0 is no bound.
	Concurrent int

	Partition, Account, QOS, Constraint, Reservation string

	// Time is the limit for one task, rounded up to minutes by Slurm.
	Time time.Duration
	// CPUs are the processors of one task.
	CPUs int
	// MemoryBytes is the memory of one task, rounded up to MiB.
	MemoryBytes int64
	// GPUs are the GPUs of one task; its CUDA_VISIBLE_DEVICES names them.
	GPUs int
	// GPUType is the site's name for a kind of GPU, "" for any.
	GPUType string
	// Exclusive asks for whole nodes.
	Exclusive bool

	// WorkDir is the folder that the program starts in, an absolute path that the
	// nodes see too; the caller's where it is empty.
	WorkDir string
	// OutputPattern is the file for both outputs, with Slurm's patterns (%A the
	// job, %a Slurm's index); "slurm-%A_%a.out" in WorkDir where it is empty. What
	// is to be taken as it stands goes through [EscapePattern]. A task that is run
	// again appends.
	OutputPattern string
	// Requeue lets a task be run again after a lost node, a preemption, or an exit
	// with [ExitRequeue]; see the package's comment. Without it, only the exit does,
	// and that only on a site with RequeueExit=75, which asks nobody.
	Requeue bool
	// SignalBefore asks for SIGUSR1 to the program that long before its time is up.
	// Slurm's clock is coarse: it may come up to 60 s earlier. Leave more than that
	// before it, since a program that does not expect it yet is killed by it.
	SignalBefore time.Duration
	// Extra are further flags of sbatch, each a word of its own ("--nice=100").
	// Those for which there is a field above are refused.
	Extra []string
}

// RefusedError is a submission that Slurm refused.
type RefusedError struct {
	// Message is what sbatch said.
	Message string
	// Field is the field of [Array] that caused it, "" where that is not known.
	Field string
	// Detail says what would be accepted, "" where that is not known.
	Detail string
}

func (e *RefusedError) Error() string {
	text := "sbatch refused the array: " + e.Message
	if e.Field != "" {
		text += " (" + e.Field + ")"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// ErrMaybeSubmitted is part of an error of [Client.Submit] after which the last
// array may be in the queue although its number is not known: the answer was
// lost. `squeue --name=NAME` finds it.
var ErrMaybeSubmitted = errors.New("the array may have been queued all the same")

// maxListBytes bounds one --array flag, since the kernel bounds an argument.
const maxListBytes = 60_000

// Submit submits an array, as several of Slurm's where one is not enough
// (MaxArraySize). Of several, it returns those submitted before an error beside
// the error: they run. Errors are [*RefusedError], [*UnavailableError], and plain
// ones for an Array that cannot be right.
func (c *Client) Submit(ctx context.Context, array Array) ([]Job, error) {
	if err := array.check(); err != nil {
		return nil, err
	}
	config, err := c.Config(ctx)
	if err != nil {
		return nil, err
	}
	if config.MaxArraySize < 2 {
		return nil, &RefusedError{Message: "this cluster has job arrays switched off (MaxArraySize)", Field: "Indices"}
	}
	var jobs []Job
	parts := split(array.Indices, config.MaxArraySize, config.MaxArrayTasks)
	for i, part := range parts {
		limit, after := lane(array.Concurrent, len(parts), i)
		args := array.flags(part, limit)
		if after > 0 {
			args = append(args, "--dependency=afterany:"+jobs[i-after].String())
		}
		job, err := c.sbatch(ctx, args, array.script(part.offset, config.RequeuesOn(ExitRequeue)))
		if err != nil {
			return jobs, c.explain(ctx, array, err)
		}
		job.Offset, job.Indices = part.offset, FormatIndices(part.indices)
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// part is what goes into one array of Slurm's.
type part struct {
	offset  int
	indices []int // the caller's
}

// split cuts indices into arrays: Slurm's indices stay below size, and there are
// at most tasks of them (0 for no bound).
func split(indices []int, size, tasks int) []part {
	var parts []part
	var current part
	bytes := 0
	for _, index := range slices.Compact(slices.Sorted(slices.Values(indices))) {
		digits := len(strconv.Itoa(index)) + 1
		full := tasks > 0 && len(current.indices) >= tasks || bytes+digits > maxListBytes
		if len(current.indices) > 0 && (full || index-current.offset >= size) {
			parts = append(parts, current)
			current, bytes = part{}, 0
		}
		if len(current.indices) == 0 && index >= size {
			current.offset = index
		}
		current.indices = append(current.indices, index)
		bytes += digits
	}
	return append(parts, current)
}

// lane shares a bound on what runs at once among several arrays, since Slurm
// bounds each by itself: part i may run limit tasks at once, after part i-after
// has ended (0 for after none).
func lane(concurrent, parts, i int) (limit, after int) {
	if concurrent <= 0 {
		return 0, 0
	}
	lanes := min(concurrent, parts)
	limit = concurrent / lanes
	if i%lanes < concurrent%lanes {
		limit++
	}
	if i >= lanes {
		after = lanes
	}
	return limit, after
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// check refuses what cannot be right, before anybody is asked.
func (a Array) check() error {
	if len(a.Argv) == 0 || a.Argv[0] == "" {
		return errors.New("array: no program to run (Argv)")
	}
	for _, argument := range a.Argv {
		if strings.ContainsRune(argument, 0) {
			return fmt.Errorf("array: the argument %q holds a NUL, which no program can be given", argument)
		}
	}
	for name, value := range a.Env {
		if !variable.MatchString(name) {
			return fmt.Errorf("array: %q is no name of an environment variable", name)
		}
		if strings.HasPrefix(name, "SLURM") {
			return fmt.Errorf("array: the variable %s belongs to Slurm", name)
		}
		if strings.ContainsRune(value, 0) {
			return fmt.Errorf("array: the value of the variable %s holds a NUL", name)
		}
	}
	if len(a.Indices) == 0 {
		return errors.New("array: no indices")
	}
	for _, index := range a.Indices {
		if index < 0 {
			return fmt.Errorf("array: the index %d is negative", index)
		}
	}
	for field, number := range map[string]int64{
		"Concurrent": int64(a.Concurrent), "CPUs": int64(a.CPUs), "GPUs": int64(a.GPUs), "MemoryBytes": a.MemoryBytes,
		"Time": int64(a.Time), "SignalBefore": int64(a.SignalBefore),
	} {
		if number < 0 {
			return fmt.Errorf("array: %s is negative", field)
		}
	}
	if a.SignalBefore > 65535*time.Second {
		return fmt.Errorf("array: SignalBefore is %v; Slurm takes at most 65535 s", a.SignalBefore)
	}
	if a.Time > 0 && a.SignalBefore >= a.Time {
		return fmt.Errorf("array: SignalBefore (%v) is not less than Time (%v)", a.SignalBefore, a.Time)
	}
	if a.GPUType != "" && a.GPUs == 0 {
		return fmt.Errorf("array: GPUType is %q, but GPUs is 0", a.GPUType)
	}
	for field, text := range map[string]string{
		"Name": a.Name, "Comment": a.Comment, "Partition": a.Partition, "Account": a.Account, "QOS": a.QOS,
		"Constraint": a.Constraint, "Reservation": a.Reservation, "GPUType": a.GPUType, "WorkDir": a.WorkDir, "OutputPattern": a.OutputPattern,
	} {
		if strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("array: %s is %q; control characters would spoil the listings of Slurm", field, text)
		}
	}
	if a.WorkDir != "" && !filepath.IsAbs(a.WorkDir) {
		return fmt.Errorf("array: WorkDir is %q, which is not absolute", a.WorkDir)
	}
	if strings.Contains(a.OutputPattern, `\`) {
		return fmt.Errorf("array: OutputPattern is %q; Slurm cannot be told a backslash there", a.OutputPattern)
	}
	return checkExtra(a.Extra)
}

// EscapePattern makes of a path the part of an [Array].OutputPattern that means
// that path.
func EscapePattern(path string) string { return strings.ReplaceAll(path, "%", "%%") }

// flagsOfFields are the flags that a field of [Array] stands for, or that would
// break what Submit reads and promises.
var flagsOfFields = map[string]string{
	"-J": "Name", "--job-name": "Name", "--comment": "Comment", "-a": "Indices", "--array": "Indices",
	"-p": "Partition", "--partition": "Partition", "-A": "Account", "--account": "Account", "-q": "QOS", "--qos": "QOS",
	"-C": "Constraint", "--constraint": "Constraint", "--reservation": "Reservation", "-t": "Time", "--time": "Time",
	"-c": "CPUs", "--cpus-per-task": "CPUs", "--mem": "MemoryBytes", "--gres": "GPUs", "--exclusive": "Exclusive",
	"-D": "WorkDir", "--chdir": "WorkDir", "-o": "OutputPattern", "--output": "OutputPattern", "--requeue": "Requeue", "--no-requeue": "Requeue",
	"--signal": "SignalBefore", "-d": "", "--dependency": "", "--parsable": "", "--wrap": "", "-W": "", "--wait": "", "--test-only": "",
	"-Q": "", "--quiet": "", "-h": "", "--help": "", "--usage": "", "-V": "", "--version": "", "-N": "", "--nodes": "", "-n": "", "--ntasks": "",
	"--export": "", "--export-file": "", "--open-mode": "",
}

func checkExtra(extra []string) error {
	for _, word := range extra {
		if !strings.HasPrefix(word, "-") || word == "-" || word == "--" {
			return fmt.Errorf("array: %q in Extra is no flag; write flags and values as one word (--nice=100)", word)
		}
		if strings.ContainsFunc(word, unicode.IsControl) {
			return fmt.Errorf("array: %q in Extra holds control characters", word)
		}
		name, _, _ := strings.Cut(word, "=")
		if !strings.HasPrefix(name, "--") {
			name = name[:2]
		}
		for flag, field := range flagsOfFields {
			// sbatch takes the beginning of a long flag for the flag.
			short := len(name) > 4 && strings.HasPrefix(name, "--") && strings.HasPrefix(flag, name) && !slices.Contains(longer, name)
			if flag != name && !short {
				continue
			}
			if field == "" {
				return fmt.Errorf("array: the flag %s in Extra is set, or cannot be used, by mlgym", word)
			}
			return fmt.Errorf("array: the flag %s in Extra has a field of its own: %s", word, field)
		}
	}
	return nil
}

// longer are flags of sbatch that are also the beginning of another one.
var longer = []string{"--mem", "--wait"}

// flags are the arguments of sbatch for a part.
func (a Array) flags(p part, limit int) []string {
	own := make([]int, len(p.indices))
	for i, index := range p.indices {
		own[i] = index - p.offset
	}
	list := FormatIndices(own)
	if limit > 0 {
		list += fmt.Sprintf("%%%d", limit)
	}
	name := a.Name
	if name == "" {
		name = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return '_'
			}
			return r
		}, filepath.Base(a.Argv[0]))
	}
	flags := []string{
		"--parsable", "--array=" + list, "--job-name=" + name, "--nodes=1", "--ntasks=1", "--open-mode=append", "--export=ALL",
	}
	add := func(flag, value string) {
		if value != "" {
			flags = append(flags, flag+"="+value)
		}
	}
	add("--comment", a.Comment)
	add("--partition", a.Partition)
	add("--account", a.Account)
	add("--qos", a.QOS)
	add("--constraint", a.Constraint)
	add("--reservation", a.Reservation)
	add("--chdir", a.WorkDir)
	add("--output", a.OutputPattern)
	if a.Time > 0 {
		flags = append(flags, "--time="+formatTime(a.Time))
	}
	if a.CPUs > 0 {
		flags = append(flags, fmt.Sprint("--cpus-per-task=", a.CPUs))
	}
	if a.MemoryBytes > 0 {
		flags = append(flags, fmt.Sprintf("--mem=%dM", a.mebibytes()))
	}
	switch {
	case a.GPUs > 0 && a.GPUType != "":
		flags = append(flags, fmt.Sprintf("--gres=gpu:%s:%d", a.GPUType, a.GPUs))
	case a.GPUs > 0:
		flags = append(flags, fmt.Sprintf("--gres=gpu:%d", a.GPUs))
	}
	if a.Exclusive {
		flags = append(flags, "--exclusive")
	}
	if a.Requeue {
		flags = append(flags, "--requeue")
	} else {
		flags = append(flags, "--no-requeue")
	}
	if a.SignalBefore > 0 {
		flags = append(flags, fmt.Sprintf("--signal=B:USR1@%d", int(a.SignalBefore.Seconds())))
	}
	return append(flags, a.Extra...)
}

func (a Array) mebibytes() int64 {
	const mebibyte = 1 << 20
	whole := a.MemoryBytes / mebibyte
	if a.MemoryBytes%mebibyte > 0 {
		whole++
	}
	return whole
}

// formatTime writes days-hours:minutes:seconds.
func formatTime(limit time.Duration) string {
	seconds := int64((limit + time.Second - 1) / time.Second)
	return fmt.Sprintf("%d-%02d:%02d:%02d", seconds/86400, seconds/3600%24, seconds/60%60, seconds%60)
}

func (c *Client) sbatch(ctx context.Context, args []string, script string) (Job, error) {
	out, err := c.run(ctx, script, "sbatch", args...)
	if err != nil {
		return Job{}, err
	}
	// "12" or "12;cluster", perhaps after words of a site's plugin.
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(out), "\n")) {
		number, cluster, _ := strings.Cut(strings.TrimSpace(line), ";")
		if id, err := strconv.ParseInt(number, 10, 64); err == nil {
			return Job{ID: id, Cluster: cluster}, nil
		}
	}
	return Job{}, fmt.Errorf("sbatch answered %q, which holds no job's number: %w", out, ErrMaybeSubmitted)
}
