package report

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"mlgym/audit"
	"mlgym/gym"
	"mlgym/runstore"
	"mlgym/stats"
	"mlgym/trajectory"
	"mlgym/trajectory/mlgym"
)

// ownRun is a run of ours that was found.
type ownRun struct {
	dir      string
	manifest runstore.Manifest
}

// model is the id under which a run of ours takes part: what its experiment
// calls the agent; else its model, or its agent where it has none, with the
// scaffold where that is not the default.
func (r ownRun) model() string {
	if name := r.manifest.AgentName; name != "" && name != BaselineID {
		return name
	}
	who := r.manifest.Model
	if who == "" {
		who = r.manifest.Agent
	}
	if who == BaselineID {
		who += "-agent" // the baseline of the tables is another participant
	}
	if s := r.manifest.Scaffold; s != "" && s != "default" {
		who += " (" + s + ")"
	}
	return who
}

// conditions name what must be equal for scores to be comparable. Runs that
// MLGym published, imported or not, have none.
func (r ownRun) conditions() string {
	m := r.manifest
	if m.Variant == PublishedVariant {
		return ""
	}
	return fmt.Sprintf("mode %s, task version %s, data %s", m.Mode, m.TaskVersion, m.Variant)
}

// PublishedMode and PublishedVariant are mode and variant of the runs that MLGym
// published, which are also those of imported ones.
const (
	PublishedMode    = "published"
	PublishedVariant = "mlgym-published"
)

// ImportedFrom is the agent's configuration in the manifest of a run that was
// imported from MLGym.
type ImportedFrom struct {
	Folder string `json:"mlgym_folder"`
	// ExitKey is the end of the run in MLGym's words, which are more than ours;
	// empty where the folder holds no readable record of the steps.
	ExitKey string `json:"mlgym_exit_key,omitempty"`
	// NoResults says that the folder holds no file of scores.
	NoResults bool `json:"mlgym_no_results,omitempty"`
}

// ImportManifest is the manifest of a run that is imported from MLGym. The run
// must have been read whole.
func ImportManifest(r *mlgym.Run, c *Catalog) runstore.Manifest {
	from := ImportedFrom{Folder: r.Folder, NoResults: !r.ResultsExist}
	if r.HasTraj {
		from.ExitKey = exitKey(r)
	}
	config, err := json.Marshal(from)
	if err != nil {
		config = nil // texts always encode
	}
	m := runstore.Manifest{
		RunID: importedID(r), Task: r.Name.Task, Mode: PublishedMode, Variant: PublishedVariant,
		Agent: "mlgym", AgentConfig: config, Model: r.Name.Model, Baseline: gym.Scores{},
		Limits: runstore.Limits{MaxSteps: 50, CostUSD: 4}, Reward: "none", Sandbox: runstore.Sandbox{Driver: "docker"},
	}
	for _, b := range r.Results.Baseline {
		if !math.IsNaN(b.Value) && !math.IsInf(b.Value, 0) {
			m.Baseline[b.Name] = b.Value
		}
	}
	if t, ok := c.Task(r.Name.Task); ok {
		m.PrimaryMetric, m.Direction = t.Metric, runstore.Direction(t.DirectionName)
	}
	if model, ok := c.Model(r.Name.Model); ok && model.Price != nil {
		m.Prices = &runstore.Prices{InputUSD: model.Price.InputUSD, OutputUSD: model.Price.OutputUSD}
	}
	return m
}

// importedID names an imported run: short enough for a folder, and different
// for folders that differ in what the rest of their name says.
func importedID(r *mlgym.Run) string {
	sum := sha256.Sum256([]byte(r.Folder))
	return fmt.Sprintf("imported-%s-%s-run_%d-%x", r.Name.Model, r.Name.Task, r.Name.Run, sum[:3])
}

func exitKey(r *mlgym.Run) string {
	var status, last *string
	if r.Trailer.HasExitStatus {
		status = &r.Trailer.ExitStatus
	}
	if r.Trailer.HasLastAction {
		last = &r.Trailer.LastAction
	}
	return ExitKey(status, last)
}

// imported is what a manifest says of where a run came from.
func (r ownRun) imported() (ImportedFrom, bool) {
	var from ImportedFrom
	if r.manifest.Variant != PublishedVariant || json.Unmarshal(r.manifest.AgentConfig, &from) != nil {
		return from, false
	}
	return from, true
}

// findOwn lists the runs of ours at and below root.
func findOwn(root string) (found []ownRun, excluded []Exclusion) {
	for e, err := range runstore.List(root) {
		if err != nil {
			// Folders that cannot be read are described by the other search.
			if !errors.Is(err, fs.ErrPermission) || e.Manifest.RunID != "" {
				excluded = append(excluded, Exclusion{e.Dir, err.Error()})
			}
			continue
		}
		found = append(found, ownRun{e.Dir, e.Manifest})
	}
	return found, excluded
}

// declare is the task as the manifest of a run declares it.
func (r ownRun) declare() (Task, bool) {
	m := r.manifest
	if m.PrimaryMetric == "" || m.Direction == "" {
		return Task{}, false
	}
	t := Task{ID: m.Task, Name: m.Task, Short: m.Task, Metric: m.PrimaryMetric, DirectionName: string(m.Direction)}
	if m.Direction == runstore.Minimize {
		t.Direction = stats.Minimize
	}
	if v, ok := m.Baseline[m.PrimaryMetric]; ok {
		t.Baseline = &v
	}
	return t, true
}

// ownRead is what was read of a run of ours.
type ownRead struct {
	run      *Run
	problems []string
	verdict  audit.Result
}

// read reads the record of a run, one event at a time.
func (r ownRun) read(task Task, known, look bool) (out ownRead) {
	m := r.manifest
	run := &Run{
		ID: m.RunID, Path: r.dir, Model: r.model(), Task: m.Task, USD: math.NaN(), Conditions: r.conditions(),
	}
	out.run = run
	for name, v := range m.Baseline {
		run.Baseline.Metrics = append(run.Baseline.Metrics, Metric{name, Number(v)})
	}
	_, err := os.Stat(filepath.Join(r.dir, runstore.ResultName))
	run.ResultsExist = err == nil
	rec, err := trajectory.Open(filepath.Join(r.dir, runstore.TrajectoryName))
	if err != nil {
		out.problems = append(out.problems, reason(err)+"; the run is left out of exits, actions, cost and failures")
		return out
	}
	defer rec.Close()
	var inspector *audit.Inspector
	if look && known {
		rules := AuditTask(task)
		_, foreign := r.imported()
		rules.GraderElsewhere = !foreign
		inspector = audit.NewInspector(rules)
	}
	if err := r.events(rec, run, inspector); err != nil {
		out.problems = append(out.problems, reason(err)+"; the record is used up to there")
	}
	if rec.Torn() > 0 {
		out.problems = append(out.problems, "the last line of the record is torn; it is used up to there")
	}
	from, foreign := r.imported()
	run.HasRecord = !foreign || from.ExitKey != ""
	run.ResultsExist = run.ResultsExist && !(foreign && from.NoResults)
	if inspector != nil {
		scores := make([]float64, len(run.Attempts))
		for i, a := range run.Attempts {
			if v, ok := a.Get(task.Metric); ok {
				scores[i] = v
			} else {
				scores[i] = math.NaN()
			}
		}
		out.verdict = inspector.Finish(run.ID, scores, ranToItsEnd(run.ExitKey))
	}
	return out
}

func (r ownRun) events(rec *trajectory.Reader, run *Run, inspector *audit.Inspector) error {
	totals := trajectory.NewTotals()
	started := r.manifest.Created
	end := gym.ExitStatus{Outcome: gym.UnknownError}
	spent := func() (tokens, usd float64) {
		usd = math.NaN()
		if totals.CostUSD != nil {
			usd = *totals.CostUSD
		}
		return float64(totals.TokensIn + totals.TokensOut), usd
	}
	var open, dir string
	var undone *gym.Action // decided on and not executed
	defer func() {
		run.ExitKey = end.String()
		if from, ok := r.imported(); ok {
			run.ExitKey = from.ExitKey
			if undone != nil {
				run.count([]byte(undone.Command)) // MLGym counts it
			}
		}
		run.HasTokens = totals.Requests > 0 || totals.TokensIn > 0
		run.TokensIn, run.TokensOut, run.APICalls = float64(totals.TokensIn), float64(totals.TokensOut), float64(totals.Requests)
		if totals.CostUSD != nil {
			run.USD = *totals.CostUSD
		}
	}()
	for {
		e, err := rec.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		tokens, usd := spent()
		for _, ev := range e.Evaluations() {
			if ev.Problem != gym.Scored {
				continue
			}
			// What can be expected is known of full data, whose gradings are exact enough.
			if inspector != nil && r.manifest.Variant != "" && r.manifest.Variant != "full" {
				inspector.Noise(ev.Details["standard_error"])
			}
			made := Evaluation{Step: ev.Step, Seconds: math.NaN(), Tokens: tokens, USD: usd}
			if !ev.At.IsZero() {
				made.Seconds = ev.At.Sub(started).Seconds()
			}
			for _, name := range sortedKeys(ev.Scores) {
				made.Metrics = append(made.Metrics, Metric{name, Number(ev.Scores[name])})
			}
			run.Attempts = append(run.Attempts, made)
		}
		switch e.Type {
		case trajectory.TypeReset:
			started = e.At
			open, dir = e.Reset.Observation.OpenFile, e.Reset.Observation.WorkingDir
		case trajectory.TypeTurn:
			totals.AddExchanges(e.Turn.Turn.Exchanges)
			undone = &e.Turn.Turn.Action
			if e.Turn.Turn.Stop != "" {
				run.count([]byte(e.Turn.Turn.Stop))
				undone = nil
			}
		case trajectory.TypeFault:
			totals.AddExchanges(e.Fault.Exchanges)
		case trajectory.TypeStep:
			action := []byte(e.Step.Action.Command)
			if e.Step.Action.Tool != "" {
				action = append([]byte(e.Step.Action.Tool), ' ')
				action = append(action, e.Step.Action.Args...)
			}
			run.count(action)
			undone = nil
			if inspector != nil {
				inspector.Step(&audit.Step{
					Number: e.Step.Step, Action: action,
					Observation: []byte(e.Step.Transition.Observation.Text), OpenFile: open, WorkingDir: dir,
				})
			}
			open, dir = e.Step.Transition.Observation.OpenFile, e.Step.Transition.Observation.WorkingDir
			if s := e.Step.Transition.Info.ExitStatus; !s.IsZero() {
				end = s
			}
		case trajectory.TypeEnd:
			end = e.End.ExitStatus
		case trajectory.TypeHeader, trajectory.TypeNote, trajectory.TypeResume:
		}
	}
}

// count adds a step to the counts of a run.
func (r *Run) count(action []byte) {
	g, first := GroupMLGym(action), GroupCorrected(action)
	r.Actions[g]++
	r.CorrectedActions[first]++
	r.ActionSteps, r.CorrectedSteps = append(r.ActionSteps, g), append(r.CorrectedSteps, first)
}

// addOwn reads runs of ours with all CPUs and takes them in, in order.
func (s *Study) addOwn(ctx context.Context, runs []ownRun, look bool, progress func()) error {
	const ahead = 64
	for len(runs) > 0 {
		n := min(ahead, len(runs))
		read := make([]ownRead, n)
		var wg sync.WaitGroup
		next := make(chan int)
		for range min(runtime.GOMAXPROCS(0), n) {
			wg.Go(func() {
				for i := range next {
					t := slices.IndexFunc(s.Tasks, func(t Task) bool { return t.ID == runs[i].manifest.Task })
					if t < 0 {
						read[i] = runs[i].read(Task{}, false, false)
						continue
					}
					read[i] = runs[i].read(s.Tasks[t], true, look)
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		wg.Wait()
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, r := range read {
			before := len(s.Rows)
			s.Add(r.run)
			progress()
			if len(s.Rows) == before {
				continue
			}
			row := s.Rows[before]
			for _, p := range r.problems {
				s.note(r.run.Path, "%s", p)
			}
			if row.CostUSD.IsNone() && row.HasRecord {
				row.CostUSD = row.RecordedUSD
			}
			if r.verdict.Verdict != "" {
				s.judge(row, r.verdict)
			}
		}
		runs = runs[n:]
	}
	return nil
}

func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "open the record: ")
}
