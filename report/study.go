package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"mlgym/audit"
)

// Definition is one of the two ways in which a number is defined.
type Definition string

// The definitions.
const (
	// MLGym is the definition of the published evaluation.
	MLGym Definition = "mlgym"
	// Corrected mends what is questionable in it.
	Corrected Definition = "corrected"
)

// Metric is one number of an evaluation.
type Metric struct {
	Name  string `json:"name"`
	Value Number `json:"value"`
}

// Evaluation is one grading within a run.
type Evaluation struct {
	Metrics []Metric
	// Step at which it was made, Seconds of work until then, tokens and
	// dollars used until then; NaN (or 0 for Step) where the record does not
	// say.
	Step                 int
	Seconds, Tokens, USD float64
}

// Get returns the value of a metric.
func (e Evaluation) Get(name string) (float64, bool) {
	for _, m := range e.Metrics {
		if m.Name == name {
			return float64(m.Value), true
		}
	}
	return 0, false
}

// Run is what a report needs of one run, whatever system recorded it.
type Run struct {
	ID, Path    string
	Model, Task string
	// Number tells the runs of one model on one task apart.
	Number int
	// ResultsExist: there is a file of scores, readable or not. HasRecord:
	// the record of the steps is there and could be read.
	ResultsExist, HasRecord bool
	Attempts                []Evaluation
	Baseline                Evaluation
	// ExitKey is the recorded end, see [ExitKey]; meaningless without a record.
	ExitKey string
	// Actions counts the steps of each group in both definitions;
	// the lists of steps have the group of each step.
	Actions, CorrectedActions   [groupCount]int
	ActionSteps, CorrectedSteps []Group
	HasTokens                   bool
	TokensIn, TokensOut         float64
	APICalls                    float64
	// USD is the recorded cost, NaN if none was; the published evaluation
	// ignores it.
	USD float64
	// Conditions names what must be equal for scores to be comparable, such
	// as mode, task version, data variant; empty for MLGym's runs.
	Conditions string
}

// Row is what a study keeps of a run, and what report.json says of it.
type Row struct {
	ID     string `json:"id"`
	Path   string `json:"path"`
	Model  string `json:"model"`
	Task   string `json:"task"`
	Number int    `json:"run"`
	// Attempts is the number of evaluations, BestIndex the first that is
	// strictly better than all before it, −1 if there is none.
	Attempts  int    `json:"attempts"`
	BestIndex int    `json:"best_index"`
	Best      Number `json:"best"`
	Last      Number `json:"last"`
	Baseline  Number `json:"baseline"`

	HasRecord  bool           `json:"has_record"`
	HasResults bool           `json:"has_results"`
	Steps      int            `json:"steps"`
	ExitKey    string         `json:"exit_key,omitempty"`
	Actions    map[string]int `json:"actions,omitempty"`
	TokensIn   Number         `json:"tokens_sent"`
	TokensOut  Number         `json:"tokens_received"`
	APICalls   Number         `json:"api_calls"`
	// CostUSD is computed from the tokens, RecordedUSD is what the run noted.
	CostUSD     Number `json:"cost_usd"`
	RecordedUSD Number `json:"recorded_cost_usd"`
	// Untouched: nothing was edited or run, so a score is that of the starter.
	Untouched bool `json:"untouched,omitempty"`
	// Verdict of the audit, empty if there was none.
	Verdict string `json:"verdict,omitempty"`

	task                        int
	baselineGiven               bool
	bestMetrics                 []Metric
	lastMetrics                 []Metric
	curve                       []Point
	actions                     [groupCount]int
	corrected                   [groupCount]int
	actionSteps, correctedSteps []Group
}

// Point is one improvement of a run's best score.
type Point struct {
	Step                 int
	Seconds, Tokens, USD float64
	Score                float64
}

// Exclusion is something that was left out, and why.
type Exclusion struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Note is something about an input that was used all the same.
type Note struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Study is a set of runs that are compared, in the order of models and tasks
// that decides ties. It is filled by one goroutine.
type Study struct {
	Catalog *Catalog
	Models  []Model
	Tasks   []Task
	// Rows are in the order in which runs were added.
	Rows     []*Row
	Excluded []Exclusion
	Notes    []Note
	// Findings are the results of the audit that found anything, Audited is
	// how many runs were looked through.
	Findings []*audit.Result
	Audited  int

	names map[string]string
	seen  map[string]bool
	cond  map[string]string
}

// NewStudy makes a study of the given models and tasks.
func NewStudy(c *Catalog, models []Model, tasks []Task) *Study {
	return &Study{
		Catalog: c, Models: models, Tasks: tasks, Rows: []*Row{}, Excluded: []Exclusion{}, Notes: []Note{},
		names: make(map[string]string), seen: make(map[string]bool), cond: make(map[string]string),
	}
}

// intern makes equal texts share memory: a study has few different ones.
func (s *Study) intern(text string) string {
	if have, ok := s.names[text]; ok {
		return have
	}
	text = strings.Clone(text)
	s.names[text] = text
	return text
}

func (s *Study) note(path, format string, args ...any) {
	s.Notes = append(s.Notes, Note{path, fmt.Sprintf(format, args...)})
}

func (s *Study) exclude(path, format string, args ...any) {
	s.Excluded = append(s.Excluded, Exclusion{path, fmt.Sprintf(format, args...)})
}

// Model returns the position of a model in the study, or −1.
func (s *Study) model(id string) int {
	return slices.IndexFunc(s.Models, func(m Model) bool { return m.ID == id })
}

// Add takes one run into the study, or says in the study why it was left out.
func (s *Study) Add(run *Run) {
	t := slices.IndexFunc(s.Tasks, func(t Task) bool { return t.ID == run.Task })
	switch {
	case s.seen[run.ID]:
		s.exclude(run.Path, "run %s is there twice; the first one counts", run.ID)
		return
	case s.model(run.Model) < 0:
		s.exclude(run.Path, "model %s is not in the list of models", run.Model)
		return
	case t < 0:
		if _, known := s.Catalog.Task(run.Task); known {
			s.exclude(run.Path, "task %s is not in the list of tasks", run.Task)
		} else {
			s.exclude(run.Path, "nobody has declared task %s, so its metric is not known", run.Task)
		}
		return
	}
	if have, ok := s.cond[run.Task]; ok && have != run.Conditions {
		s.exclude(run.Path, "made under %s; other runs of %s were made under %s, and such scores are never mixed",
			conditionText(run.Conditions), run.Task, conditionText(have))
		return
	}
	s.cond[run.Task] = s.intern(run.Conditions)
	s.seen[run.ID] = true
	s.Rows = append(s.Rows, s.reduce(run, t))
}

func conditionText(c string) string {
	if c == "" {
		return "the published conditions"
	}
	return c
}

func (s *Study) reduce(run *Run, task int) *Row {
	t := s.Tasks[task]
	row := &Row{
		ID: run.ID, Path: run.Path, Model: s.intern(run.Model), Task: s.intern(run.Task), Number: run.Number,
		Attempts: len(run.Attempts), BestIndex: -1, Best: none, Last: none, Baseline: none,
		HasRecord: run.HasRecord, HasResults: run.ResultsExist, task: task,
		TokensIn: none, TokensOut: none, APICalls: none, CostUSD: none, RecordedUSD: none,
	}
	if v, ok := run.Baseline.Get(t.Metric); ok {
		row.Baseline, row.baselineGiven = Number(v), true
		if math.IsNaN(v) || math.IsInf(v, 0) {
			s.note(run.Path, "the baseline %s is not finite", t.Metric)
		}
	} else if len(run.Baseline.Metrics) > 0 {
		s.note(run.Path, "the baseline has no %q; the run supplies none", t.Metric)
	}
	values := make([]float64, len(run.Attempts))
	for i, a := range run.Attempts {
		v, ok := a.Get(t.Metric)
		if !ok {
			v = math.NaN()
			if len(a.Metrics) > 0 {
				s.note(run.Path, "evaluation %d has no %q and is passed over", i+1, t.Metric)
			}
		}
		values[i] = v
	}
	if at := t.Direction.Best(values); at >= 0 {
		row.BestIndex, row.Best = at, Number(values[at])
		row.bestMetrics = s.keep(run.Attempts[at].Metrics)
		s.last(run, row, t)
		best := t.Direction.Worst()
		for i, v := range values {
			if !t.Direction.Better(v, best) {
				continue
			}
			best = v
			a := run.Attempts[i]
			row.curve = append(row.curve, Point{a.Step, a.Seconds, a.Tokens, a.USD, v})
		}
	} else if len(run.Attempts) > 0 {
		s.note(run.Path, "none of %d evaluations has a usable %q; the run gives no score", len(run.Attempts), t.Metric)
	}
	if !run.HasRecord {
		return row
	}
	row.Steps = len(run.ActionSteps)
	row.ExitKey = s.intern(run.ExitKey)
	row.actions, row.corrected = run.Actions, run.CorrectedActions
	row.actionSteps, row.correctedSteps = slices.Clone(run.ActionSteps), slices.Clone(run.CorrectedSteps)
	row.Actions = make(map[string]int)
	for g, n := range run.Actions {
		if n > 0 {
			row.Actions[Group(g).String()] = n
		}
	}
	row.Untouched = run.CorrectedActions[Edit]+run.CorrectedActions[Python]+run.CorrectedActions[Bash] == 0
	if run.HasTokens {
		row.TokensIn, row.TokensOut, row.APICalls = Number(run.TokensIn), Number(run.TokensOut), Number(run.APICalls)
		if m := s.Models[s.model(run.Model)]; m.Price != nil {
			row.CostUSD = Number(m.Price.CostUSD(run.TokensIn, run.TokensOut))
		}
	}
	row.RecordedUSD = Number(run.USD)
	return row
}

// last finds the last entry of a run: the last one that has the metric, which
// then gives no score if it is NaN or the worst infinity.
func (s *Study) last(run *Run, row *Row, t Task) {
	for i, attempt := range slices.Backward(run.Attempts) {
		v, ok := attempt.Get(t.Metric)
		if !ok {
			if i == len(run.Attempts)-1 {
				s.note(run.Path, "the last evaluation has no %q; an earlier one counts as the last", t.Metric)
			}
			continue
		}
		row.lastMetrics = s.keep(attempt.Metrics)
		if t.Direction.Better(v, t.Direction.Worst()) {
			row.Last = Number(v)
		} else {
			s.note(run.Path, "the last %q is %s; the run gives no last score", t.Metric, plainOrNaN(v))
		}
		return
	}
}

func plainOrNaN(v float64) string {
	if math.IsNaN(v) {
		return "NaN"
	}
	return plain(v)
}

func (s *Study) keep(metrics []Metric) []Metric {
	out := make([]Metric, len(metrics))
	for i, m := range metrics {
		out[i] = Metric{s.intern(m.Name), m.Value}
	}
	return out
}

// Only returns a study of the rows that keep lets through, sharing the rest.
func (s *Study) Only(keep func(*Row) bool) *Study {
	part := *s
	part.Rows = nil
	for _, r := range s.Rows {
		if keep(r) {
			part.Rows = append(part.Rows, r)
		}
	}
	return &part
}

// Select returns a study of some of the models and tasks, in the order of this one, and
// of the rows that keep lets through; nil means all of them. What the rows say is not
// computed anew, such as a verdict that needed all runs of a task.
func (s *Study) Select(models, tasks []string, keep func(*Row) bool) *Study {
	part := *s
	part.Models, part.Tasks, part.Rows = nil, nil, []*Row{}
	for _, m := range s.Models {
		if models == nil || slices.Contains(models, m.ID) {
			part.Models = append(part.Models, m)
		}
	}
	for _, t := range s.Tasks {
		if tasks == nil || slices.Contains(tasks, t.ID) {
			part.Tasks = append(part.Tasks, t)
		}
	}
	part.Audited = 0
	for _, r := range s.Rows {
		t := slices.IndexFunc(part.Tasks, func(t Task) bool { return t.ID == r.Task })
		if t < 0 || part.model(r.Model) < 0 || keep != nil && !keep(r) {
			continue
		}
		row := *r
		row.task = t
		part.Rows = append(part.Rows, &row)
		if r.Verdict != "" {
			part.Audited++
		}
	}
	return &part
}

// of returns the rows of one model on one task, in the order of their names.
func (s *Study) cells() [][][]*Row {
	cells := make([][][]*Row, len(s.Tasks))
	for t := range cells {
		cells[t] = make([][]*Row, len(s.Models))
	}
	at := make(map[string]int, len(s.Models))
	for i, m := range s.Models {
		at[m.ID] = i
	}
	for _, r := range s.Rows {
		m := at[r.Model]
		cells[r.task][m] = append(cells[r.task][m], r)
	}
	for t := range cells {
		for m := range cells[t] {
			slices.SortStableFunc(cells[t][m], func(a, b *Row) int { return strings.Compare(a.ID, b.ID) })
		}
	}
	return cells
}

// participant is the id of a participant: a model, or the baseline.
func (s *Study) participant(p int) string {
	if p < len(s.Models) {
		return s.Models[p].ID
	}
	return BaselineID
}
