package report

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadInput: whatever is there, a report is written of the rest, in every
// format, and a sentence says what was done.
func TestBadInput(t *testing.T) {
	const good = `{"agent":[{"Score":0.1}],"baseline":{"Score":-0.25}}`
	blotto := func(model string, n int) string { return runName(model, "blotto", n) }
	for _, c := range []struct {
		name  string
		files map[string]string
		opts  Options
		// want stands in the notes, the exclusions or the page.
		want string
		runs int
	}{
		{"an empty folder", nil, Options{}, "There is nothing to compare", 0},
		{"no run folders", map[string]string{"notes.txt": "x"}, Options{}, "There is nothing to compare", 0},
		{"one model", map[string]string{blotto("gpt4o2", 0) + "/results.json": good}, Options{}, "1 models on 1 tasks", 1},
		{
			"a model alone in the list",
			map[string]string{blotto("gpt4o2", 0) + "/results.json": good, blotto("gpt-o1", 0) + "/results.json": good},
			Options{Models: []string{"gpt4o2"}},
			"model gpt-o1 is not in the list of models", 1,
		},
		{
			"all failed",
			map[string]string{blotto("gpt4o2", 0) + "/results.json": `{"agent":[],"baseline":{}}`, blotto("gpt-o1", 0) + "/results.json": `{"agent":[],"baseline":{}}`},
			Options{},
			"nobody has a score", 2,
		},
		{"all equal", map[string]string{blotto("gpt4o2", 0) + "/results.json": good, blotto("gpt-o1", 0) + "/results.json": good}, Options{}, "2 runs of 2 models", 2},
		{"all zero", map[string]string{blotto("gpt4o2", 0) + "/results.json": `{"agent":[{"Score":0}],"baseline":{"Score":-1}}`}, Options{}, "a score of zero cannot stand in a ratio", 1},
		{"nobody feasible", map[string]string{blotto("gpt4o2", 0) + "/results.json": `{"agent":[{"Score":-0.9}],"baseline":{"Score":-0.25}}`}, Options{}, "nobody is at least as good", 1},
		{"an infinite score", map[string]string{blotto("gpt4o2", 0) + "/results.json": `{"agent":[{"Score":Infinity}],"baseline":{"Score":-0.25}}`}, Options{}, "an infinite score cannot stand in a ratio", 1},
		{
			"a metric that changes its name",
			map[string]string{blotto("gpt4o2", 0) + "/results.json": `{"agent":[{"Score":0.1},{"score":0.2}],"baseline":{"Score":-0.25}}`},
			Options{},
			`the last evaluation has no "Score"`, 1,
		},
		{"only another metric", map[string]string{blotto("gpt4o2", 0) + "/results.json": `{"agent":[{"score":0.2}],"baseline":{"Score":-0.25}}`}, Options{}, "none of 1 evaluations has a usable", 1},
		{"a run twice", map[string]string{"a/" + blotto("gpt4o2", 0) + "/results.json": good, "b/" + blotto("gpt4o2", 0) + "/results.json": good}, Options{}, "is there twice; the first one counts", 1},
		{"a task nobody has declared", map[string]string{runName("gpt4o2", "mystery", 0) + "/results.json": good, blotto("gpt4o2", 0) + "/results.json": good}, Options{}, "nobody has declared task mystery", 1},
		{"a model nobody has listed", map[string]string{blotto("mystery", 0) + "/results.json": good, blotto("gpt4o2", 0) + "/results.json": good}, Options{}, "model mystery is not in the list of models", 1},
		{"only models nobody has listed", map[string]string{blotto("mystery", 0) + "/results.json": good}, Options{}, "1 runs of 1 models", 1},
		{"an empty file", map[string]string{blotto("gpt4o2", 0) + "/results.json": ""}, Options{}, "cannot be read (byte 0: the text ends too early)", 1},
		{"half a file", map[string]string{blotto("gpt4o2", 0) + "/results.json": good[:20]}, Options{}, "the text ends too early", 1},
		{"half a record", map[string]string{blotto("gpt4o2", 0) + "/results.json": good, blotto("gpt4o2", 0) + "/blotto.traj": `{"trajectory": [{"action": "ls"}, {"ac`}, Options{}, "the run is left out of exits", 1},
		{"no scores, a record", map[string]string{blotto("gpt4o2", 0) + "/blotto.traj": `{"trajectory": [], "history": [], "info": {"exit_status": "early_exit"}}`}, Options{}, "counts as failed", 1},
		{"an empty run folder", map[string]string{blotto("gpt4o2", 0) + "/x": ""}, Options{}, "is missing; the run gives no score", 1},
		{"NaN", map[string]string{blotto("gpt4o2", 0) + "/results.json": `{"agent":[{"Score":0.1},{"Score":NaN}],"baseline":{"Score":NaN}}`}, Options{}, "the run gives no last score", 1},
		{"a folder in place of a file", map[string]string{blotto("gpt4o2", 0) + "/results.json/x": ""}, Options{}, "is not a regular file", 1},
		{"a file in a folder of another name", map[string]string{"run0/results.json": good, blotto("gpt4o2", 0) + "/results.json": good}, Options{}, "whose name is not that of a run", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, out := t.TempDir(), t.TempDir()
			for path, text := range c.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			c.opts.Audit = true
			s, err := Collect(t.Context(), []string{root}, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Rows) != c.runs {
				t.Errorf("got %d runs, want %d", len(s.Rows), c.runs)
			}
			formats := []Format{CSV, Markdown, JSON, LaTeX}
			if c.runs == 0 || c.name == "all failed" || c.name == "NaN" {
				formats = nil // all
			}
			if err := Compute(s, Settings{Resamples: 50}).WriteDir(t.Context(), out, formats); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(out, "report.md"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), c.want) {
				t.Errorf("the report does not say %q; it says\n%s", c.want, text[max(0, len(text)-1500):])
			}
			raw, err := os.ReadFile(filepath.Join(out, "report.json"))
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(raw) {
				t.Error("report.json is not JSON")
			}
			for _, name := range []string{"tables/best_scores.csv", "tables/aup_scores.csv", "tables/corrected/last_ranks.csv", "figures/performance_profile.csv", "report.md"} {
				if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read every file; run as another user to test this")
	}
	root := t.TempDir()
	dir := filepath.Join(root, runName("gpt4o2", "blotto", 0))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), []byte("{}"), 0); err != nil {
		t.Fatal(err)
	}
	s, err := Collect(t.Context(), []string{root}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Notes) == 0 || !strings.Contains(s.Notes[0].Text, "permission denied") {
		t.Errorf("notes %+v, want one on the permission", s.Notes)
	}
}

func TestUnknownNames(t *testing.T) {
	root := t.TempDir()
	for _, o := range []Options{{Models: []string{"nobody"}}, {Tasks: []string{"nothing"}}, {Models: []string{"gpt4o2", "gpt4o2"}}, {Tasks: []string{"blotto", "blotto"}}} {
		if _, err := Collect(t.Context(), []string{root}, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	if _, err := Collect(t.Context(), []string{filepath.Join(root, "absent")}, Options{}); err == nil {
		t.Error("a folder that is not there: no error")
	}
}

func TestRounding(t *testing.T) {
	for _, c := range []struct {
		x              float64
		scale, decimal string
	}{
		{0.8855, "0.886", "0.885"},
		{0.88, "0.88", "0.88"},
		{0.1, "0.1", "0.1"},
		{0, "0.0", "0.0"},
		{5, "5.0", "5.0"},
		{-0.0004, "-0.0", "-0.0"},
		{math.NaN(), "", ""},
		{math.Inf(1), "inf", "inf"},
		{math.Inf(-1), "-inf", "-inf"},
		{-31167493439488.0, "-31167493439488.0", "-31167493439488.0"},
		{0.0005, "0.0", "0.001"},
		{1e22, "10000000000000000000000.0", "10000000000000000000000.0"},
	} {
		if got := plain(scaleRound(c.x)); got != c.scale {
			t.Errorf("scaled %v: got %s, want %s", c.x, got, c.scale)
		}
		if got := plain(decimalRound(c.x)); got != c.decimal {
			t.Errorf("decimal %v: got %s, want %s", c.x, got, c.decimal)
		}
	}
}

func TestCorrectedGroups(t *testing.T) {
	for action, want := range map[string]Group{
		"cd src && python a.py": Python, "RANK=0 python a.py": Python, "export X=1\npython a.py": Python,
		"# note\npython a.py": Python, "nohup python3 a.py &": Python, "cd ..\nedit 1:2\nx\nend_of_edit": Edit,
		"openssl version": Bash, "editor": Bash, "pythonic": Bash, "./python a.py": Python, "exit_format": Limit, "skip": Limit,
		"memory_read x": Memory, "submit": Submit, "": Bash, "cd src": Bash, "X='a b' python a.py": Python,
		"/usr/bin/python3 a.py": Python, "validate; ls": Validate, "ls | python a.py": Bash, "time python a.py": Python,
	} {
		if got := GroupCorrected([]byte(action)); got != want {
			t.Errorf("%q: got %s, want %s", action, got, want)
		}
	}
}

func FuzzGroupCorrected(f *testing.F) {
	f.Add("cd a && X='b c' python d")
	f.Fuzz(func(t *testing.T, action string) {
		if g := GroupCorrected([]byte(action)); g >= groupCount {
			t.Errorf("%q: group %d", action, g)
		}
	})
}

func TestCatalogExtend(t *testing.T) {
	c := MLGymBench()
	err := c.Extend(strings.NewReader(`{"models":[{"id":"gpt4o2","price":{"input_usd_per_mtok":1,"output_usd_per_mtok":2}},{"id":"mine","name":"Mine"}],
		"tasks":[{"id":"blotto","reference":0.3},{"id":"new","metric":"f1","direction":"maximize"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := c.Model("gpt4o2")
	if m.Name != "GPT-4o" || m.Price.InputUSD != 1 {
		t.Errorf("gpt4o2 is %+v with price %+v", m, m.Price)
	}
	if task, ok := c.Task("new"); !ok || task.Name != "new" {
		t.Errorf("new task: %+v, %v", task, ok)
	}
	if again, _ := MLGymBench().Model("gpt4o2"); again.Price.InputUSD != 2.5 {
		t.Error("extending changed the published catalogue")
	}
	for _, bad := range []string{`{`, `{"task":[]}`, `{"tasks":[{"id":"x","metric":"m","direction":"up"}]}`, `{"tasks":[{"metric":"m","direction":"minimize"}]}`, `{"models":[{}]}`, `{"tasks":[{"id":"blotto","metrc":"x"}]}`, `{"models":[{"id":"x","price":{"input":1}}]}`} {
		if err := MLGymBench().Extend(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}
