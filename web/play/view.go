package play

import (
	"html/template"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"mlgym/gym"
	"mlgym/task"
	"mlgym/web/markup"
)

// starterNames are the files that a task puts into the workspace.
func starterNames(t *task.Task) ([]file, error) {
	starter, err := t.Starter()
	if err != nil {
		return nil, err
	}
	var out []file
	err = fs.WalkDir(starter, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		bytes := int64(-1)
		if info, err := d.Info(); err == nil {
			bytes = info.Size()
		}
		if _, err := fileName(name); err == nil && len(out) < mostFiles {
			out = append(out, file{name, bytes})
		}
		return nil
	})
	return out, err
}

// entryView is an entry as a page shows it.
type entryView struct {
	N           int
	Kind        kind
	Name        string
	Command     string // what the history holds, escaped as in addresses; "" for what the editor did
	Prompt      string
	Action      template.HTML
	Text        template.HTML
	Empty       bool
	Running     bool
	Interrupted bool
	Elapsed     float64
	Step        int
	ExitCode    int
	Deadline    string
	Seconds     float64
	Problem     string
	Scores      []scoreView
}

// scoreView is a grading.
type scoreView struct {
	Kind    gym.Kind
	Score   *float64
	Problem gym.Problem
	// Verdict against the baseline: "better", "worse", "" where one of them is missing.
	Verdict string
}

// statusView says where the episode stands.
type statusView struct {
	Step, Left      int
	MaxSteps        int
	Dir, OpenFile   string
	Metric          string
	Direction       task.Direction
	Baseline        *float64
	Best, Final     *scoreView
	Running, Over   bool
	Why             string
	Status          string
	Scored          bool
	Fault           string
	Seconds         float64
	Record, RunPath string
	Reward          float64
}

// filesView is the list of files beside the editor.
type filesView struct {
	ID     string
	Files  []file
	Cut    bool
	Listed bool
	Open   string
	Busy   bool
	Most   int64
}

// docView is what scripts put into the editor.
type docView struct {
	Name     string `json:"name"`
	Text     string `json:"text"`
	Kind     kind   `json:"kind"`
	Problem  string `json:"problem"`
	Note     string `json:"note"`
	Language string `json:"language"`
}

func (g *game) prompt(dir string) string {
	if w := g.workspace(); w != "" && (dir == w || strings.HasPrefix(dir, w+"/")) {
		return path.Base(w) + strings.TrimPrefix(dir, w)
	}
	return dir
}

func (g *game) score(ev *gym.Evaluation) *scoreView {
	if ev == nil {
		return nil
	}
	m := g.task.Primary()
	v := &scoreView{Kind: ev.Kind, Problem: ev.Problem}
	if x, ok := ev.Scores[m.Name]; ok && ev.Problem == gym.Scored {
		v.Score = &x
		if b := g.baseline(); b != nil {
			switch {
			case m.Better(x, *b):
				v.Verdict = "better"
			case m.Better(*b, x):
				v.Verdict = "worse"
			}
		}
	}
	return v
}

func (g *game) baseline() *float64 {
	b := g.task.Baseline(g.state.Variant)
	if b == nil {
		return nil
	}
	x, ok := b.Scores[g.task.Primary().Name]
	if !ok {
		return nil
	}
	return &x
}

// view makes what a page shows of an entry. The caller holds mu.
func (g *game) view(e *entry) entryView {
	v := entryView{
		N: e.N, Kind: e.Kind, Name: e.Name, Prompt: markup.Head(g.prompt(e.Dir), 60), Running: e.Running, Interrupted: e.Interrupted,
		Step: e.Step, ExitCode: e.ExitCode, Deadline: e.Deadline, Seconds: e.Seconds, Problem: e.Problem,
		Action: markup.Shell(strings.TrimRight(e.Action, "\n")), Empty: e.Text == "",
	}
	if e.Kind == typed {
		v.Command = url.PathEscape(e.Action)
	}
	if e.Running {
		v.Elapsed = time.Since(e.Began).Seconds()
		return v
	}
	v.Text = markup.Terminal(e.Text)
	for i := range e.Evaluations {
		v.Scores = append(v.Scores, *g.score(&e.Evaluations[i]))
	}
	return v
}

// since returns the entries that changed after a revision, the last most of them.
func (g *game) since(rev int64, most int) (out []entryView, earlier int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := max(0, len(g.entries)-most)
	if rev == 0 { // a page, which needs not have everything
		size := 0
		for i := len(g.entries) - 1; i >= from; i-- {
			if size += len(g.entries[i].Text) + len(g.entries[i].Action); size > shownBytes {
				from = min(i+1, len(g.entries)-1)
			}
		}
	}
	for _, e := range g.entries[from:] {
		if e.rev > rev {
			out = append(out, g.view(e))
		}
	}
	return out, g.dropped + from
}

func (g *game) statusNow() (v statusView, rev, filesRev, docRev int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.task.Primary()
	v = statusView{
		Step: g.step, Left: g.left, MaxSteps: g.state.MaxSteps, Dir: g.prompt(g.dir), OpenFile: g.openFile, Metric: m.Name, Direction: m.Direction,
		Baseline: g.baseline(), Best: g.score(g.best), Final: g.score(g.final), Running: g.running != nil, Over: g.over, Why: g.why,
		Fault: g.fault, Record: g.record, Seconds: time.Since(g.began).Seconds(), Reward: g.reward,
	}
	if g.over {
		v.Status, v.Scored = g.status.String(), g.status.Scored()
	}
	if !g.ended.IsZero() {
		v.Seconds = g.ended.Sub(g.began).Seconds()
	}
	return v, g.rev, g.filesRev, g.docRev
}

func (g *game) filesNow() filesView {
	g.mu.Lock()
	defer g.mu.Unlock()
	return filesView{
		ID: g.s.ID(), Files: slices.Clone(g.files), Cut: g.filesCut, Listed: g.listed, Open: g.doc.Name, Most: mostEditBytes,
		Busy: g.over || g.why != "",
	}
}

func (g *game) docNow() docView {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := docView{Name: g.doc.Name, Text: g.doc.Text, Kind: g.doc.Kind, Problem: g.doc.Problem, Note: g.doc.Note}
	switch path.Ext(d.Name) {
	case ".py":
		d.Language = "python"
	case ".sh":
		d.Language = "shell"
	case ".yaml", ".yml":
		d.Language = "yaml"
	}
	return d
}
