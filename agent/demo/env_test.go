package demo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mlgym/gym"
)

// smallEnv is an environment with real files and a real shell, without a
// sandbox: just what the agent needs of the tools and of validate.
type smallEnv struct {
	t         *testing.T
	dir       string
	statement string
	// metric is printed by validate.
	metric string
	// referee is a Python program that imports what was submitted and prints
	// one number.
	referee string
	steps   int // limit, 0 is none

	step      int
	openFile  string
	commands  []string
	submitted bool
	score     float64
}

func newEnv(t *testing.T, statement, metric, starter, referee string) *smallEnv {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not installed, so the candidates cannot be run")
	}
	e := &smallEnv{t: t, dir: t.TempDir(), statement: statement, metric: metric, referee: referee}
	name := "strategy.py"
	if strings.Contains(starter, "heuristic_fn") {
		name = "heuristic.py"
	}
	e.put(name, starter)
	e.put("target.py", "def target_column_strategy(history):\n    return 0\n")
	return e
}

func (e *smallEnv) put(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

func (e *smallEnv) observe(text string) gym.Observation {
	left := -1
	if e.steps > 0 {
		left = e.steps - e.step
	}
	return gym.Observation{Text: text, Step: e.step, StepsLeft: left, WorkingDir: e.dir}
}

func (e *smallEnv) Reset(context.Context, gym.ResetOptions) (gym.Observation, error) {
	return e.observe(e.statement), nil
}

func (e *smallEnv) Step(ctx context.Context, a gym.Action) (gym.Transition, error) {
	e.step++
	e.commands = append(e.commands, a.Command)
	text := e.answer(ctx, a.Command)
	return gym.Transition{Observation: e.observe(text), Terminated: e.submitted}, nil
}

func (e *smallEnv) Close() error { return nil }

func (e *smallEnv) answer(ctx context.Context, command string) string {
	word, rest, _ := strings.Cut(command, " ")
	switch word {
	case "open":
		e.openFile = rest
		return e.listing()
	case "edit":
		return e.edit(rest)
	case "validate", "submit":
		e.submitted = word == "submit"
		score, err := e.grade(ctx)
		if err != nil {
			return "Your submission could not be scored: " + err.Error()
		}
		e.score = score
		text, _ := json.Marshal(map[string]float64{e.metric: score})
		return fmt.Sprintf("Your submission is valid: x\nBaseline Score: {\"%s\":0}\nEvaluation Score: %s\n", e.metric, text)
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir = e.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		e.t.Errorf("%q failed: %v\n%s", command, err, out)
	}
	return string(out)
}

func (e *smallEnv) listing() string {
	data, err := os.ReadFile(filepath.Join(e.dir, e.openFile))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	var b strings.Builder
	fmt.Fprintf(&b, "[File: %s (%d lines total)]\n", filepath.Join(e.dir, e.openFile), len(lines))
	for i, line := range lines {
		fmt.Fprintf(&b, "%d:%s\n", i+1, line)
	}
	return b.String()
}

func (e *smallEnv) edit(rest string) string {
	head, text, _ := strings.Cut(rest, "\n")
	text, ok := strings.CutSuffix(text, "end_of_edit")
	from, to, _ := strings.Cut(head, ":")
	start, err1 := strconv.Atoi(from)
	end, err2 := strconv.Atoi(to)
	if !ok || err1 != nil || err2 != nil || e.openFile == "" {
		e.t.Errorf("malformed edit %q with open file %q", head, e.openFile)
		return "Malformed edit command."
	}
	data, err := os.ReadFile(filepath.Join(e.dir, e.openFile))
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(data), "\n")
	if n := len(strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")); start != 1 || end != n {
		e.t.Errorf("edit %s replaces not the whole file of %d lines", head, n)
	}
	e.put(e.openFile, strings.Join(lines[:start-1], "")+text+strings.Join(lines[min(end, len(lines)):], ""))
	return e.listing() + "File updated. Look at the lines above.\n"
}

func (e *smallEnv) grade(ctx context.Context) (float64, error) {
	cmd := exec.CommandContext(ctx, "python3", "-S", "-B", "-c", e.referee)
	cmd.Dir = e.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}
