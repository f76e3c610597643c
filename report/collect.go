package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"mlgym/audit"
	"mlgym/trajectory/mlgym"
)

// Options choose what is collected.
type Options struct {
	// Catalog of tasks and models; nil means [MLGymBench].
	Catalog *Catalog
	// Models and Tasks take part in this order; empty means those of the
	// catalogue, in its order, of which there are runs.
	Models, Tasks []string
	// EveryModel takes in models of which there are runs and that nobody has
	// listed, after the listed ones.
	EveryModel bool
	// Keep, if not nil, chooses the runs that are read by the mode and the variant of
	// their data. Those that MLGym published have [PublishedMode] and
	// [PublishedVariant]. What it refuses is nowhere mentioned.
	Keep func(mode, variant string) bool
	// Audit says that records are looked through for tampering.
	Audit bool
	// Progress, if not nil, is told now and then how many runs of all that
	// were found are read.
	Progress func(done, all int)
}

// ErrNotFolder is wrapped when runs are looked for in something else.
var ErrNotFolder = mlgym.ErrNotFolder

// ErrTwice is wrapped when a name is asked for more than once.
var ErrTwice = errors.New("is in the list twice")

// UnknownError says that a name was asked for which nothing has.
type UnknownError struct {
	What, Name string
	Known      []string
}

func (e *UnknownError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("no %s is named %q", e.What, e.Name)
	}
	return fmt.Sprintf("no %s is named %q; there are %s", e.What, e.Name, strings.Join(e.Known, ", "))
}

// Collect reads the runs at and below the given folders.
func Collect(ctx context.Context, roots []string, o Options) (*Study, error) {
	catalog := o.Catalog
	if catalog == nil {
		catalog = MLGymBench()
	}
	var entries []mlgym.Entry
	var own []ownRun
	var excluded []Exclusion
	for _, root := range roots {
		found, problems, err := mlgym.Find(root)
		if err != nil {
			return nil, fmt.Errorf("runs in %s: %w", root, err)
		}
		if o.Keep == nil || o.Keep(PublishedMode, PublishedVariant) {
			entries = append(entries, found...)
		}
		for _, p := range problems {
			excluded = append(excluded, Exclusion{p.Path, p.Note})
		}
		runs, broken := findOwn(root)
		for _, r := range runs {
			if o.Keep == nil || o.Keep(r.manifest.Mode, r.manifest.Variant) {
				own = append(own, r)
			}
		}
		excluded = append(excluded, broken...)
	}
	slices.SortStableFunc(own, func(a, b ownRun) int { return strings.Compare(a.manifest.RunID, b.manifest.RunID) })
	catalog = withDeclared(catalog, own)
	models, err := chooseModels(catalog, o, entries, own)
	if err != nil {
		return nil, err
	}
	tasks, err := chooseTasks(catalog, o.Tasks, entries, own)
	if err != nil {
		return nil, err
	}
	s := NewStudy(catalog, models, tasks)
	s.Excluded = append(s.Excluded, excluded...)
	done, all := 0, len(entries)+len(own)
	progress := func() {
		done++
		if o.Progress != nil && (done%16 == 0 || done == all) {
			o.Progress(done, all)
		}
	}
	read := mlgym.Options{Want: mlgym.FieldHead}
	begin := beginRun
	if o.Audit {
		read.Want |= mlgym.FieldState
		begin = s.beginAudited
	}
	err = mlgym.Read(ctx, entries, read, begin, func(r *mlgym.Run, steps *stepCounts) error {
		if row := s.addMLGym(r, steps); row != nil && o.Audit {
			s.audit(r, steps, row)
		}
		progress()
		return nil
	})
	if err == nil {
		err = s.addOwn(ctx, own, o.Audit, progress)
	}
	if err == nil && o.Audit {
		s.outOfLine()
	}
	return s, err
}

// withDeclared is the catalogue with the tasks that the runs themselves
// declare, and the prices that they noted.
func withDeclared(c *Catalog, own []ownRun) *Catalog {
	more := *c
	more.Tasks, more.Models = slices.Clone(c.Tasks), slices.Clone(c.Models)
	for _, r := range own {
		declared, ok := r.declare()
		at := slices.IndexFunc(more.Tasks, func(t Task) bool { return t.ID == r.manifest.Task })
		_, foreign := r.imported()
		switch {
		case ok && at < 0:
			more.Tasks = append(more.Tasks, declared)
		case ok && !foreign && declared.Baseline != nil && declared.Metric == more.Tasks[at].Metric:
			// The baseline of the task's own version and data.
			more.Tasks[at].Baseline = declared.Baseline
		}
		if _, known := more.Model(r.model()); !known && r.manifest.Prices != nil {
			m, _ := more.Model(r.model())
			m.Price = &Price{r.manifest.Prices.InputUSD, r.manifest.Prices.OutputUSD}
			more.Models = append(more.Models, m)
		}
	}
	return &more
}

func chooseModels(c *Catalog, o Options, entries []mlgym.Entry, own []ownRun) ([]Model, error) {
	present, ours := make(map[string]bool), make(map[string]bool)
	for _, e := range entries {
		present[e.Name.Model] = true
	}
	for _, r := range own {
		present[r.model()], ours[r.model()] = true, true
	}
	var models []Model
	if len(o.Models) > 0 {
		for _, id := range o.Models {
			m, known := c.Model(id)
			if !known && !present[id] {
				var names []string
				for _, m := range c.Models {
					names = append(names, m.ID)
				}
				return nil, &UnknownError{"model", id, names}
			}
			if slices.ContainsFunc(models, func(have Model) bool { return have.ID == id }) {
				return nil, fmt.Errorf("model %s %w", id, ErrTwice)
			}
			models = append(models, m)
		}
		return models, nil
	}
	for _, m := range c.Models {
		if ours[m.ID] || present[m.ID] && (!m.Unlisted || o.EveryModel) {
			models = append(models, m)
			delete(ours, m.ID)
			delete(present, m.ID)
		}
	}
	// Agents of ours always take part; nobody has listed them.
	if o.EveryModel {
		ours = present
	}
	for _, id := range sortedKeys(ours) {
		m, _ := c.Model(id)
		models = append(models, m)
	}
	if len(models) > 0 {
		return models, nil
	}
	// Nothing of the published list: whatever there is.
	for _, id := range sortedKeys(present) {
		m, _ := c.Model(id)
		models = append(models, m)
	}
	return models, nil
}

func chooseTasks(c *Catalog, asked []string, entries []mlgym.Entry, own []ownRun) ([]Task, error) {
	var tasks []Task
	for _, id := range asked {
		t, ok := c.Task(id)
		if !ok {
			var names []string
			for _, t := range c.Tasks {
				names = append(names, t.ID)
			}
			return nil, &UnknownError{"declared task", id, names}
		}
		if slices.ContainsFunc(tasks, func(have Task) bool { return have.ID == id }) {
			return nil, fmt.Errorf("task %s %w", id, ErrTwice)
		}
		tasks = append(tasks, t)
	}
	if len(asked) > 0 {
		return tasks, nil
	}
	present := make(map[string]bool)
	for _, e := range entries {
		present[e.Name.Task] = true
	}
	for _, r := range own {
		present[r.manifest.Task] = true
	}
	for _, t := range c.Tasks {
		if present[t.ID] {
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// stepCounts is what is kept of the steps of a run while it is read.
type stepCounts struct {
	mlgym, corrected [groupCount]int
	groups, firsts   []Group
	seconds          float64
	// graded are the steps that were answered with a score, end the last step.
	graded []Evaluation
	end    Evaluation
	// inspector looks for tampering, nil where nobody asked.
	inspector *audit.Inspector
}

// scoreMark stands in what MLGym answers to a validation that succeeded.
var scoreMark = []byte("Evaluation Score: {")

func beginRun(mlgym.Entry) (*stepCounts, func(*mlgym.Step) error) {
	c := &stepCounts{groups: make([]Group, 0, 52)}
	return c, func(st *mlgym.Step) error {
		g := GroupMLGym(st.Action)
		c.mlgym[g]++
		first := GroupCorrected(st.Action)
		c.corrected[first]++
		c.groups, c.firsts = append(c.groups, g), append(c.firsts, first)
		c.seconds += st.Seconds
		c.end = Evaluation{Step: st.Number, Seconds: c.seconds, Tokens: math.NaN(), USD: math.NaN()}
		if bytes.Contains(st.Observation, scoreMark) && bytes.Contains(st.Action, []byte("validate")) {
			c.graded = append(c.graded, c.end)
		}
		return nil
	}
}

// addMLGym takes in a run of MLGym's and returns its row, nil if it was left
// out.
func (s *Study) addMLGym(r *mlgym.Run, steps *stepCounts) *Row {
	run := &Run{
		ID: r.Folder, Path: r.Path, Model: r.Name.Model, Task: r.Name.Task, Number: r.Name.Run,
		ResultsExist: r.ResultsExist, HasRecord: r.HasTraj && r.Trailer.HasTrajectory, USD: math.NaN(),
	}
	// One evaluation more than validations that were answered with a score is
	// the one made of the submission, at the end.
	graded := steps.graded
	if len(r.Results.Attempts) == len(graded)+1 {
		graded = append(graded, steps.end)
	}
	for i, scores := range r.Results.Attempts {
		e := Evaluation{Metrics: metrics(scores), Seconds: math.NaN(), Tokens: math.NaN(), USD: math.NaN()}
		if len(graded) == len(r.Results.Attempts) {
			e.Step, e.Seconds = graded[i].Step, graded[i].Seconds
		}
		run.Attempts = append(run.Attempts, e)
	}
	run.Baseline.Metrics = metrics(r.Results.Baseline)
	if run.HasRecord {
		run.ExitKey = exitKey(r)
		run.Actions, run.CorrectedActions, run.ActionSteps = steps.mlgym, steps.corrected, steps.groups
		run.CorrectedSteps = steps.firsts
		u := r.Trailer.Usage
		// The sister task's records are never part of the cost.
		run.HasTokens = u.HasTokens && !strings.Contains(r.Name.Task, "rlMountainCarContinuousReinforce")
		run.TokensIn, run.TokensOut, run.APICalls, run.USD = u.TokensSent, u.TokensReceived, u.APICalls, u.RecordedCostTotal
	}
	if r.Path != "" {
		run.Path = filepath.Clean(r.Path)
	}
	before := len(s.Rows)
	s.Add(run)
	if len(s.Rows) == before {
		return nil
	}
	for _, p := range r.Problems {
		switch {
		case p.Missing && p.File == mlgym.ResultsFile:
			s.note(p.Path, "is missing; the run gives no score and counts as failed")
		case p.Missing:
			s.note(p.Path, "is missing; the run is left out of exits, actions, cost and failures")
		case p.Broken && p.File == mlgym.ResultsFile:
			s.note(p.Path, "cannot be read (%s); the run gives no score and counts as failed", p.Note)
		case p.Broken:
			s.note(p.Path, "cannot be read (%s); the run is left out of exits, actions, cost and failures", p.Note)
		default:
			s.note(p.Path, "%s", p.Note)
		}
	}
	return s.Rows[before]
}

func metrics(scores mlgym.Scores) []Metric {
	out := make([]Metric, len(scores))
	for i, m := range scores {
		out[i] = Metric{m.Name, Number(m.Value)}
	}
	return out
}
