package trajectory

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"mlgym/gym"
)

// Difference is a place where an execution differs from its record.
type Difference struct {
	// Step of the action, 0 for the reset; the last step + 1 for the end.
	Step int `json:"step"`
	// Field that differs: "observation", "exit_code", "deadline", "scores",
	// "problem", "reward", "terminated", "truncated", "exit_status",
	// "working_dir", "open_file", "shell_restarted", "fault", "missing".
	Field string `json:"field"`
	// Recorded and Got are shortened to what a person can read.
	Recorded string `json:"recorded"`
	Got      string `json:"got"`
}

func (d Difference) String() string {
	return fmt.Sprintf("step %d: %s: recorded %s, got %s", d.Step, d.Field, d.Recorded, d.Got)
}

// tolerance of scores and rewards, relative and absolute: far below what a
// score is reported with, and above what another order of summation does.
const tolerance = 1e-9

// CompareTransitions returns where a step differs from the recorded one. Text
// is compared as [MaskVolatile] leaves it; times are not compared.
func CompareTransitions(step int, recorded, got gym.Transition) []Difference {
	c := comparison{step: step}
	c.observations(recorded.Observation, got.Observation)
	c.value("exit_code", recorded.Info.ExitCode, got.Info.ExitCode)
	c.value("deadline", recorded.Info.Deadline, got.Info.Deadline)
	c.value("shell_restarted", recorded.Info.ShellRestarted, got.Info.ShellRestarted)
	c.value("fault", MaskVolatile(recorded.Info.Fault), MaskVolatile(got.Info.Fault))
	c.value("terminated", recorded.Terminated, got.Terminated)
	c.value("truncated", recorded.Truncated, got.Truncated)
	c.value("exit_status", recorded.Info.ExitStatus.String(), got.Info.ExitStatus.String())
	if !near(recorded.Reward, got.Reward) {
		c.add("reward", fmt.Sprint(recorded.Reward), fmt.Sprint(got.Reward))
	}
	c.evaluations(recorded.Info.Evaluations, got.Info.Evaluations)
	return c.found
}

// CompareObservations returns where an observation differs from the recorded
// one.
func CompareObservations(step int, recorded, got gym.Observation) []Difference {
	c := comparison{step: step}
	c.observations(recorded, got)
	return c.found
}

type comparison struct {
	step  int
	found []Difference
}

func (c *comparison) add(field, recorded, got string) {
	c.found = append(c.found, Difference{Step: c.step, Field: field, Recorded: recorded, Got: got})
}

func (c *comparison) value(field string, recorded, got any) {
	if recorded != got {
		c.add(field, fmt.Sprintf("%#v", recorded), fmt.Sprintf("%#v", got))
	}
}

func (c *comparison) observations(recorded, got gym.Observation) {
	if a, b := MaskVolatile(recorded.Text), MaskVolatile(got.Text); a != b {
		ra, rb := firstDifference(a, b)
		c.add("observation", ra, rb)
	}
	c.value("working_dir", recorded.WorkingDir, got.WorkingDir)
	c.value("open_file", recorded.OpenFile, got.OpenFile)
}

func (c *comparison) evaluations(recorded, got []gym.Evaluation) {
	if len(recorded) != len(got) {
		c.add("scores", fmt.Sprintf("%d evaluations", len(recorded)), fmt.Sprintf("%d evaluations", len(got)))
		return
	}
	for i, r := range recorded {
		g := got[i]
		if r.Kind != g.Kind || r.Problem != g.Problem {
			c.add("problem", fmt.Sprintf("%s %q", r.Kind, r.Problem), fmt.Sprintf("%s %q", g.Kind, g.Problem))
		}
		if !sameScores(r.Scores, g.Scores) {
			c.add("scores", FormatScores(r.Scores), FormatScores(g.Scores))
		}
	}
}

func sameScores(a, b gym.Scores) bool {
	if len(a) != len(b) || (a == nil) != (b == nil) {
		return false
	}
	for name, x := range a {
		if y, ok := b[name]; !ok || !near(x, y) {
			return false
		}
	}
	return true
}

// FormatScores writes scores for people, metrics in alphabetical order; "none"
// where there are none.
func FormatScores(scores gym.Scores) string {
	if scores == nil {
		return "none"
	}
	parts := make([]string, 0, len(scores))
	for name, x := range scores {
		parts = append(parts, fmt.Sprintf("%s %.6g", name, x))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= tolerance*max(1, math.Abs(a), math.Abs(b))
}

// maxShown bounds a line of a Difference, in bytes.
const maxShown = 200

// firstDifference returns the first lines in which two texts differ.
func firstDifference(a, b string) (string, string) {
	for line := 1; ; line++ {
		la, ra, moreA := strings.Cut(a, "\n")
		lb, rb, moreB := strings.Cut(b, "\n")
		if la != lb || moreA != moreB {
			return shownLine(line, la, lb, moreA && !moreB), shownLine(line, lb, la, moreB && !moreA)
		}
		if !moreA {
			return "", "" // the texts are equal
		}
		a, b = ra, rb
	}
}

// shownLine shows a line from a little before where it differs from another.
func shownLine(n int, line, other string, longer bool) string {
	const before = 40
	same := 0
	for same < len(line) && same < len(other) && line[same] == other[same] {
		same++
	}
	text := line
	if same > before && len(line) > maxShown {
		text = "…" + strings.ToValidUTF8(line[same-before:], "")
	}
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	text = fmt.Sprintf("line %d: %q", n, text)
	if longer {
		text += " and more lines"
	}
	return text
}
