package taskenv

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"mlgym/gym"
	"mlgym/sandbox"
	"mlgym/task"
)

// statement is the text of the observation after Reset.
func statement(cfg Config) string {
	t := cfg.Task
	var b strings.Builder
	text := strings.TrimSpace(t.Description)
	if !strings.HasPrefix(text, "#") {
		text = "# " + t.Name + "\n\n" + text
	}
	b.WriteString(text + "\n\n")
	b.WriteString("## Facts\n\n")
	primary := t.Primary()
	fmt.Fprintf(&b, "Task: %s\n", t.ID)
	fmt.Fprintf(&b, "Workspace: %s\n", sandbox.WorkDir)
	fmt.Fprintf(&b, "Metric: %s (%s)\n", primary.Name, primary.Direction)
	if m := t.Baseline(cfg.Variant); m != nil {
		fmt.Fprintf(&b, "Baseline Score: %s\n", scoresText(m.Scores))
	}
	var files []string
	for _, f := range t.Submission.Files {
		files = append(files, f.Path)
	}
	fmt.Fprintf(&b, "Submission: %s\n", strings.Join(files, ", "))
	if cfg.Variant != task.Full {
		fmt.Fprintf(&b, "Variant: %s\n", cfg.Variant)
	}
	if splits := cfg.Provisions.VisibleSplits(cfg.Mode); len(splits) > 0 {
		fmt.Fprintf(&b, "Data, read-only: %s\n", strings.Join(splits, ", "))
	}
	if cfg.Task.Environment != "" {
		fmt.Fprintf(&b, "Python environment: %s, already first on PATH; nothing can be installed\n", cfg.Task.Environment)
	}
	fmt.Fprintf(&b, "Time for a command: %s; for one that runs python or another training program: %s\n",
		spoken(t.CommandTimeout), spoken(t.TrainingTimeout))
	if cfg.Mode == task.Published {
		b.WriteString("validate and submit score the same test.\n")
	} else {
		b.WriteString("validate scores a validation set; submit scores a separate test, once, and ends the episode.\n")
	}
	b.WriteString("There is no network.\n")
	return b.String()
}

// observe makes the agent's view of a result.
func observe(res sandbox.Result, step int) gym.Observation {
	var notes []string
	switch res.Deadline {
	case "wall":
		notes = append(notes, fmt.Sprintf(
			"The command was stopped after %s, its limit. What it printed until then is above. Long work belongs into the background: job start <command>.",
			spoken(res.DeadlineAfter)))
	case "idle":
		notes = append(notes, fmt.Sprintf(
			"The command was stopped since it printed nothing for %s. Let it print its progress.", spoken(res.DeadlineAfter)))
	case "cancelled":
		notes = append(notes, "The command was stopped from outside. What it printed until then is above.")
	}
	if res.ShellRestarted {
		notes = append(notes, "The shell ended and was replaced by a new one: its variables, functions and aliases are gone; files and working directory are as they were.")
	}
	if note := signalNote(res); note != "" {
		notes = append(notes, note)
	}
	text := res.Output
	for _, note := range notes {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += note + "\n"
	}
	return gym.Observation{Text: text, Step: step, StepsLeft: -1, OpenFile: res.OpenFile, WorkingDir: res.WorkingDir}
}

// signalNote says that a program died of a signal, about which the shell itself
// is silent.
func signalNote(res sandbox.Result) string {
	const base = 128
	if res.Deadline != "" || res.ShellRestarted || res.EndedByCall {
		return ""
	}
	switch sig := syscall.Signal(res.ExitCode - base); sig {
	case syscall.SIGKILL:
		return "The last command was killed (signal 9), most likely since the memory was used up."
	case syscall.SIGILL, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGSYS, syscall.SIGTERM:
		return fmt.Sprintf("The last command was ended by signal %d (%s).", int(sig), sig)
	default:
		return ""
	}
}

// spoken writes a duration as a person would.
func spoken(d time.Duration) string {
	switch {
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= time.Second && d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	default:
		return d.Round(time.Millisecond).String()
	}
}
