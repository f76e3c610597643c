package taskimport

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"mlgym/task"
)

// cheatFiles are programs that try to gain without the work, whatever the task is.
//
//go:embed cheats/*.txt
var cheatFiles embed.FS

// attacked is what the cheats of a task are told.
type attacked struct {
	script  string   // the evaluation's name
	secrets []string // names of hidden files
	good    float64  // a score that would be very good
}

// addTests writes the folder tests: what is expected, a submission without work,
// and the cheats.
func addTests(t *tree, s *spec, a attacked) {
	primary, first := s.metrics[0], s.files[0]
	// Without a known score every cheat that scores fails, and is looked at.
	limit, origin := -a.good, "no score is known yet: write the baseline's here once it is measured"
	if base, ok := s.baseline[primary.Name]; ok {
		limit, origin = base, "the baseline's score: what no work earns"
	}
	null := "scored"
	if first.Path != "./" && !first.Optional {
		if _, there := t.files["starter/"+first.Path]; !there && !first.Folder() {
			null = "invalid"
		}
	}
	base := s.baseline[primary.Name]
	tolerance := 0.05 * max(base, -base)
	t.text("tests/check.yaml", fmt.Sprintf(`format: 1
# %s
cheat_limit: %s
# An imported baseline was measured elsewhere: 5 %% of it.
tolerance: %s
repeat: 0
# The evaluation is the source's own: it may score what is broken, if only not well.
broken_outcome: scored
null_outcome: %s
`, origin, number(limit), number(tolerance), null))
	t.text("tests/null/make.py", "\"\"\"Does nothing.\"\"\"\n")
	names := append([]string{"grade.py", "foreign.json"}, a.secrets...)
	var quoted, stems []string
	for _, name := range names {
		quoted = append(quoted, quote(path.Base(name)))
	}
	for _, name := range append([]string{a.script}, a.secrets...) {
		if stem, ok := strings.CutSuffix(path.Base(name), ".py"); ok {
			stems = append(stems, quote(stem))
		}
	}
	if len(stems) == 0 {
		stems = []string{quote("conftest")}
	}
	secret := "foreign.json"
	if len(a.secrets) > 0 {
		secret = a.secrets[0]
	}
	file := first.Path
	if first.Path == "./" {
		file = "submission.txt"
	}
	fill := strings.NewReplacer("@METRIC@", inText(primary.Name), "@GOOD@", number(a.good), "@SCRIPT@", inText(a.script), "@FILE@", inText(file),
		"@SECRET@", inText(secret), "@NAMES@", strings.Join(quoted, ", "), "@STEMS@", strings.Join(stems, ", ")+",", "@MAX@", strconv.FormatInt(first.MaxBytes, 10))
	entries, _ := fs.ReadDir(cheatFiles, "cheats") // embedded
	for _, e := range entries {
		text, _ := fs.ReadFile(cheatFiles, path.Join("cheats", e.Name()))
		t.text("tests/cheats/"+strings.TrimSuffix(e.Name(), ".py.txt")+"/make.py", fill.Replace(string(text)))
	}
}

// inText makes a name fit to stand in quotes in a program.
func inText(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '\'' || r == '\\' || r < ' ' {
			return '_'
		}
		return r
	}, name)
}

// goodScore is a score that no honest work gets by chance.
func goodScore(m task.Metric) float64 {
	if m.Direction == task.Minimize {
		return -1_000_000
	}
	return 1_000_000
}
