package taskcheck

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
	"mlgym/taskenv"
)

// MinCheats is how many cheats a task's tests should have.
const MinCheats = 10

// Config is what is to be checked.
type Config struct {
	Task *task.Task
	// Tests is the folder tests of the task; nil leaves out what needs it.
	Tests   fs.FS
	Variant string
	Driver  sandbox.Driver
	Root    string
	// Provisions of the task in the variant.
	Provisions grader.Provisions
	// Key is the secret of the gradings.
	Key []byte
	// Parallel is how many submissions are tried side by side; 0 means 1.
	Parallel int
	// Only tries those parts whose name contains one of these texts; empty means
	// all.
	Only []string
	// Progress is told each finding when it is made, from one goroutine at a
	// time. It may be nil.
	Progress func(Finding)
}

// Finding is one thing that was tried.
type Finding struct {
	// Name is "baseline", "cheat copy_labels" …
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail is a sentence: what is wrong, or what was seen.
	Detail  string     `json:"detail"`
	Scores  gym.Scores `json:"scores,omitempty"`
	Seconds float64    `json:"seconds"`
}

// Report is all that was found.
type Report struct {
	Task     task.ID     `json:"task"`
	Version  int         `json:"version"`
	Digest   task.Digest `json:"digest"`
	Variant  string      `json:"variant"`
	Findings []Finding   `json:"findings"`
	// OK says that nothing is wrong.
	OK bool `json:"ok"`
}

// check is one run of the checks.
type check struct {
	cfg  Config
	spec spec

	mu     sync.Mutex
	report Report
	// baseline is the score of the baseline as measured here, NaN before.
	baseline float64
}

// Check tries everything and reports what was found. The error says that the
// checks themselves could not be run.
func Check(ctx context.Context, cfg Config) (Report, error) {
	if _, err := cfg.Task.Variant(cfg.Variant); err != nil {
		return Report{}, err
	}
	cfg.Parallel = max(1, cfg.Parallel)
	c := &check{cfg: cfg, baseline: math.NaN(), report: Report{
		Task: cfg.Task.ID, Version: cfg.Task.Version, Digest: cfg.Task.Digest, Variant: cfg.Variant, Findings: []Finding{},
	}}
	if cfg.Tests != nil {
		var err error
		if c.spec, err = loadSpec(cfg.Tests); err != nil {
			return Report{}, err
		}
	}
	c.text()
	c.run(ctx, "baseline", c.tryBaseline)
	c.run(ctx, "leaks", c.tryLeaks)
	c.run(ctx, "broken submissions", c.tryBroken)
	if cfg.Tests != nil {
		if err := c.submissions(ctx); err != nil {
			return c.report, err
		}
	}
	if ctx.Err() != nil {
		return c.report, context.Cause(ctx)
	}
	c.report.OK = !slices.ContainsFunc(c.report.Findings, func(f Finding) bool { return !f.OK })
	return c.report, nil
}

// wanted says whether a part is to be tried.
func (c *check) wanted(name string) bool {
	return len(c.cfg.Only) == 0 || slices.ContainsFunc(c.cfg.Only, func(text string) bool { return strings.Contains(name, text) })
}

// run tries one part and keeps what it found.
func (c *check) run(ctx context.Context, name string, try func(context.Context) (Finding, error)) {
	if !c.wanted(name) || ctx.Err() != nil {
		return
	}
	began := time.Now()
	f, err := try(ctx)
	if err != nil {
		f = Finding{Detail: "an error that is not the submission's: " + err.Error()}
	}
	f.Name, f.Seconds = name, time.Since(began).Seconds()
	c.add(f)
}

func (c *check) add(f Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Findings = append(c.report.Findings, f)
	if c.cfg.Progress != nil {
		c.cfg.Progress(f)
	}
}

// text looks at what people and agents read.
func (c *check) text() {
	const name = "description"
	if !c.wanted(name) {
		return
	}
	var missing []string
	words := []string{c.cfg.Task.Primary().Name, "validate", "submit"}
	for _, f := range c.cfg.Task.Submission.Files {
		words = append(words, f.Path)
	}
	for _, word := range words {
		if !strings.Contains(c.cfg.Task.Description, word) {
			missing = append(missing, word)
		}
	}
	f := Finding{Name: name, OK: len(missing) == 0, Detail: "description.md names the files to hand in, the metric, validate and submit"}
	if !f.OK {
		f.Detail = "description.md does not mention " + strings.Join(missing, ", ")
	}
	c.add(f)
}

// mode is the one that is tried: hardened, where the task has it.
func (c *check) mode() task.Mode {
	if c.cfg.Task.HasMode(task.Hardened) {
		return task.Hardened
	}
	return c.cfg.Task.Modes[0]
}

// config of a workspace like an agent's.
func (c *check) config() taskenv.Config {
	return taskenv.Config{
		Task: c.cfg.Task, Driver: c.cfg.Driver, Mode: c.mode(), Variant: c.cfg.Variant, Root: c.cfg.Root, Provisions: c.cfg.Provisions,
	}
}

// attempt is a workspace and what was done in it.
type attempt struct {
	check *check
	box   sandbox.Sandbox
	// said is what programs of the attempt printed.
	said strings.Builder
}

func (c *check) open(ctx context.Context) (*attempt, error) {
	box, err := taskenv.NewWorkspace(ctx, c.config(), 0)
	if err != nil {
		return nil, err
	}
	return &attempt{check: c, box: box}, nil
}

// do runs a command as an agent would, within the time for training.
func (a *attempt) do(ctx context.Context, command string) (sandbox.Result, error) {
	shell, ok := a.box.(sandbox.Shell)
	if !ok {
		return sandbox.Result{}, errors.New("this sandbox has no shell")
	}
	t := a.check.cfg.Task
	res, err := shell.Run(ctx, sandbox.Script{Text: command, Wall: max(t.TrainingTimeout, t.CommandTimeout)})
	a.said.WriteString(res.Output)
	return res, err
}

// grade scores what lies in the workspace, as the task says.
func (a *attempt) grade(ctx context.Context, kind gym.Kind) (gym.Evaluation, error) {
	return a.gradeAs(ctx, a.check.cfg.Task, kind)
}

// gradeAs scores what lies in the workspace.
func (a *attempt) gradeAs(ctx context.Context, t *task.Task, kind gym.Kind) (_ gym.Evaluation, err error) {
	logs, err := os.MkdirTemp("", "mlgym-check-")
	if err != nil {
		return gym.Evaluation{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(logs)) }()
	c := a.check.cfg
	eval, err := grader.New(c.Driver, grader.Options{Root: c.Root}).Grade(ctx, grader.Request{
		Task: t, Submission: a.box.Files(), Kind: kind, Mode: a.check.mode(), Variant: c.Variant, Key: c.Key, LogDir: logs, Provisions: c.Provisions,
	})
	players, readErr := fs.Glob(os.DirFS(logs), "player-*.log")
	err = errors.Join(err, readErr)
	for _, name := range append(players, "grader.log") {
		text, readErr := fs.ReadFile(os.DirFS(logs), name)
		if errors.Is(readErr, fs.ErrNotExist) {
			continue
		}
		if name != "grader.log" {
			a.said.Write(text)
		} else if err != nil {
			err = fmt.Errorf("%w\n%s", err, text)
		}
	}
	return eval, err
}

func (c *check) primary(e gym.Evaluation) float64 { return e.Scores[c.cfg.Task.Primary().Name] }

// tryBaseline makes the baseline's submission and grades it: twice for
// validate, which must give the same, and once for submit.
func (c *check) tryBaseline(ctx context.Context) (f Finding, err error) {
	a, err := c.open(ctx)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, a.box.Close()) }()
	if command := c.cfg.Task.BaselineCommand; command != "" {
		res, err := a.do(ctx, command)
		if err != nil {
			return f, err
		}
		if res.ExitCode != 0 || res.Deadline != "" {
			return Finding{Detail: fmt.Sprintf("%s ended with exit code %d %s\n%s", command, res.ExitCode, res.Deadline, end(res.Output))}, nil
		}
	}
	var evals []gym.Evaluation
	for _, kind := range []gym.Kind{gym.Validate, gym.Validate, gym.Submit} {
		e, err := a.grade(ctx, kind)
		if err != nil {
			return f, err
		}
		if e.Problem != gym.Scored {
			return Finding{Detail: fmt.Sprintf("%s: %s: %s", kind, e.Problem, e.Message)}, nil
		}
		evals = append(evals, e)
	}
	score := c.primary(evals[2])
	c.baseline = score
	f = Finding{OK: true, Scores: evals[2].Scores, Detail: fmt.Sprintf("scores %.5g (validate %.5g), graded in %.1f s", score, c.primary(evals[0]), evals[2].Seconds)}
	if d := math.Abs(c.primary(evals[0]) - c.primary(evals[1])); d > c.spec.Repeat {
		f.OK = false
		f.Detail += fmt.Sprintf("; two gradings of it differ by %g, allowed are %g", d, c.spec.Repeat)
	}
	declared := c.cfg.Task.Baseline(c.cfg.Variant)
	switch {
	case declared == nil:
		f.Detail += "; task.yaml has no baseline for this variant, so there is no reward"
	case c.cfg.Tests == nil:
	case math.Abs(score-declared.Scores[c.cfg.Task.Primary().Name]) > c.spec.Tolerance:
		f.OK = false
		f.Detail += fmt.Sprintf("; task.yaml says %g, and %g is how far it may be off", declared.Scores[c.cfg.Task.Primary().Name], c.spec.Tolerance)
	}
	if evals[2].Details["suspicious"] != 0 {
		f.OK = false
		f.Detail += "; the score is beyond the metric's alarm"
	}
	return f, nil
}

// submissions tries null, reference and cheats.
func (c *check) submissions(ctx context.Context) error {
	cheats, err := c.cheats()
	if err != nil {
		return err
	}
	quick := c.quick()
	c.run(ctx, "null", func(ctx context.Context) (Finding, error) { return c.try(ctx, quick, "null", c.judgeNull) })
	c.run(ctx, "reference", func(ctx context.Context) (Finding, error) {
		return c.try(ctx, c.cfg.Task, "reference", c.judgeReference)
	})
	if c.wanted("cheats") {
		c.add(Finding{Name: "cheats", OK: len(cheats) >= MinCheats, Detail: fmt.Sprintf("%d cheats, want at least %d", len(cheats), MinCheats)})
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, c.cfg.Parallel)
	for _, name := range cheats {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			c.run(ctx, "cheat "+path.Base(name), func(ctx context.Context) (Finding, error) { return c.try(ctx, quick, name, c.judgeCheat) })
		})
	}
	wg.Wait()
	return nil
}

// quick is the task with the parameters that cheats are graded with.
func (c *check) quick() *task.Task {
	if len(c.spec.CheatParameters) == 0 {
		return c.cfg.Task
	}
	t := *c.cfg.Task
	t.Variants = maps.Clone(t.Variants)
	v := t.Variants[c.cfg.Variant]
	v.Parameters = maps.Clone(v.Parameters)
	maps.Copy(v.Parameters, c.spec.CheatParameters)
	t.Variants[c.cfg.Variant] = v
	return &t
}

// cheats lists tests/cheats, without the ending of files.
func (c *check) cheats() ([]string, error) {
	entries, err := fs.ReadDir(c.cfg.Tests, "cheats")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), "_") && !strings.HasPrefix(e.Name(), ".") || strings.HasSuffix(e.Name(), ".py") {
			names = append(names, path.Join("cheats", strings.TrimSuffix(e.Name(), ".py")))
		}
	}
	return names, nil
}

// judge says what the outcome of a submission means.
type judge func(e gym.Evaluation, exitCode int, output string) Finding

// try makes a submission of the tests in a fresh workspace, grades it for
// submit and judges.
func (c *check) try(ctx context.Context, t *task.Task, name string, judge judge) (f Finding, err error) {
	a, err := c.open(ctx)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, a.box.Close()) }()
	exitCode, err := a.make(ctx, name)
	if err != nil {
		return f, err
	}
	e, err := a.gradeAs(ctx, t, gym.Submit)
	if err != nil {
		return f, err
	}
	f = judge(e, exitCode, a.said.String())
	f.Scores = e.Scores
	return f, nil
}

// makeName is the program of a submission's folder that makes it.
const makeName = "make.py"

// make brings a submission of the tests into the workspace: a folder, in which
// make.py is run where there is one, or a file that takes the place of the
// task's first.
func (a *attempt) make(ctx context.Context, name string) (exitCode int, err error) {
	tests := a.check.cfg.Tests
	if text, err := fs.ReadFile(tests, name+".py"); err == nil {
		return 0, putFile(ctx, a.box, a.check.cfg.Task.Submission.Files[0].Path, text)
	}
	if info, err := fs.Stat(tests, name); err != nil || !info.IsDir() {
		return 0, fmt.Errorf("tests has neither %s.py nor a folder %s", name, name)
	}
	folder, err := fs.Sub(tests, name)
	if err != nil {
		return 0, err
	}
	if err := taskenv.PutFiles(ctx, a.box, folder); err != nil {
		return 0, err
	}
	if _, err := fs.Stat(folder, makeName); err != nil {
		return 0, nil //nolint:nilerr // the files are the submission
	}
	res, err := a.do(ctx, "python3 "+makeName)
	return res.ExitCode, err
}

// putFile writes one file into the workspace.
func putFile(ctx context.Context, box sandbox.Sandbox, name string, text []byte) error {
	var packed bytes.Buffer
	out := tar.NewWriter(&packed)
	err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))})
	if err != nil {
		return err
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return box.Files().Put(ctx, sandbox.WorkDir, &packed)
}

func (c *check) judgeNull(e gym.Evaluation, exitCode int, output string) Finding {
	score := c.primary(e)
	switch {
	case e.Problem != gym.Scored:
		return Finding{OK: c.spec.Null == "invalid", Detail: fmt.Sprintf("got no score (%s), expected: %s", oneLine(e.Message), c.spec.Null)}
	case exitCode != 0:
		return Finding{Detail: fmt.Sprintf("%s ended with exit code %d\n%s", makeName, exitCode, end(output))}
	case c.cfg.Task.Primary().Better(score, c.baseline):
		return Finding{Detail: fmt.Sprintf("scores %.5g, which is better than the baseline's %.5g", score, c.baseline)}
	}
	return Finding{OK: c.spec.Null == "scored", Detail: fmt.Sprintf("scores %.5g, expected: %s", score, c.spec.Null)}
}

func (c *check) judgeReference(e gym.Evaluation, exitCode int, output string) Finding {
	score := c.primary(e)
	switch {
	case e.Problem != gym.Scored:
		return Finding{Detail: fmt.Sprintf("got no score: %s\n%s", e.Message, end(output))}
	case exitCode != 0:
		return Finding{Detail: fmt.Sprintf("%s ended with exit code %d\n%s", makeName, exitCode, end(output))}
	case !math.IsNaN(c.baseline) && !c.cfg.Task.Primary().Better(score, c.baseline):
		return Finding{Detail: fmt.Sprintf("scores %.5g, which is not better than the baseline's %.5g", score, c.baseline)}
	case e.Details["suspicious"] != 0:
		return Finding{Detail: fmt.Sprintf("scores %.5g, which is beyond the metric's alarm", score)}
	}
	text := fmt.Sprintf("scores %.5g", score)
	if declared := c.cfg.Task.Reference(c.cfg.Variant); declared != nil {
		text += fmt.Sprintf(" (task.yaml says %.5g)", declared.Scores[c.cfg.Task.Primary().Name])
	}
	return Finding{OK: true, Detail: text}
}

func (c *check) judgeCheat(e gym.Evaluation, _ int, output string) Finding {
	for line := range strings.Lines(output) {
		if found, ok := strings.CutPrefix(strings.TrimSpace(line), "found:"); ok && strings.TrimSpace(found) != "nothing" {
			return Finding{Detail: "it found something: " + oneLine(found)}
		}
	}
	score := c.primary(e)
	switch {
	case e.Problem != gym.Scored && (e.Scores != nil || e.Message == ""):
		return Finding{Detail: fmt.Sprintf("got %v without a message, want no score and a message", e.Scores)}
	case e.Problem != gym.Scored:
		return Finding{OK: true, Detail: "gains nothing: " + oneLine(e.Message)}
	case c.cfg.Task.Primary().Better(score, c.spec.CheatLimit):
		return Finding{Detail: fmt.Sprintf("scores %.5g, which is better than the limit %.5g", score, c.spec.CheatLimit)}
	}
	return Finding{OK: true, Detail: fmt.Sprintf("gains nothing: scores %.5g, the limit is %.5g", score, c.spec.CheatLimit)}
}

// oneLine is the beginning of a text, for a finding.
func oneLine(text string) string {
	const most = 160
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// end is the end of what a program said.
func end(output string) string {
	const most = 1500
	if len(output) > most {
		output = "…" + strings.ToValidUTF8(output[len(output)-most:], "")
	}
	return strings.TrimSpace(output)
}
