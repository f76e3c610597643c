package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"mlgym/audit"
	"mlgym/trajectory/mlgym"
)

// AuditSummary is what the audit adds to a report.
type AuditSummary struct {
	RulesVersion int `json:"rules_version"`
	// Audited runs, and how many got each verdict.
	Audited int    `json:"audited"`
	Counts  Counts `json:"verdicts"`
	// Flagged are the runs that are not clean; Remarked the clean ones of
	// which there is something to say.
	Flagged  []*audit.Result `json:"flagged"`
	Remarked []*audit.Result `json:"remarked"`
	// Headline numbers with all runs, without tampered ones, and without all
	// that are not clean. The axis is that of all runs.
	Headline map[string]Headline `json:"headline"`
}

// Headline numbers of a model.
type Headline struct {
	AUPAll             Number `json:"aup_mlgym_all"`
	AUPWithoutTampered Number `json:"aup_mlgym_without_tampered"`
	AUPClean           Number `json:"aup_mlgym_clean_only"`
	CorrectedAll       Number `json:"aup_corrected_all"`
	CorrectedClean     Number `json:"aup_corrected_clean_only"`
	// Changed are the tasks whose best score hangs on a run that is not clean.
	Changed []string `json:"changed_tasks,omitempty"`
}

// AuditTask is the task as package audit sees it.
func AuditTask(t Task) audit.Task {
	nan := math.NaN()
	out := audit.Task{ID: t.ID, Metric: t.Metric, Direction: t.Direction, Low: nan, High: nan, Plausible: nan}
	if t.Low != nil {
		out.Low = *t.Low
	}
	if t.High != nil {
		out.High = *t.High
	}
	if a := t.Audit; a != nil {
		out.Protected, out.Labels, out.ScoredSplit = a.Protected, a.Labels, a.ScoredSplit
		out.SelfScored, out.InProcess = a.SelfScored, a.InProcess
		if a.Plausible != nil {
			out.Plausible = *a.Plausible
		}
	}
	return out
}

// beginAudited is beginRun with an inspector.
func (s *Study) beginAudited(e mlgym.Entry) (*stepCounts, func(*mlgym.Step) error) {
	c, visit := beginRun(e)
	t, ok := s.Catalog.Task(e.Name.Task)
	if !ok {
		return c, visit
	}
	c.inspector = audit.NewInspector(AuditTask(t))
	return c, func(st *mlgym.Step) error {
		c.inspector.Step(auditStep(st))
		return visit(st)
	}
}

func auditStep(st *mlgym.Step) *audit.Step {
	return &audit.Step{
		Number: st.Number, Action: st.Action, Observation: st.Observation,
		OpenFile: string(st.OpenFile), WorkingDir: string(st.WorkingDir),
	}
}

// audit gives the verdict on a run. Where a protected file was written, the
// record is read once more with whole observations, to see whether the file
// was put back.
func (s *Study) audit(r *mlgym.Run, steps *stepCounts, row *Row) {
	in := steps.inspector
	if in == nil {
		return
	}
	if in.Wrote() {
		in = audit.NewInspector(AuditTask(s.Tasks[row.task]))
		entry := mlgym.Entry{Path: r.Path, Folder: r.Folder, Name: r.Name}
		mlgym.ReadRun(entry, mlgym.Options{Want: mlgym.FieldObservation | mlgym.FieldState}, func(st *mlgym.Step) error {
			in.Step(auditStep(st))
			return nil
		})
	}
	scores := make([]float64, len(r.Results.Attempts))
	for i, a := range r.Results.Attempts {
		v, ok := a.Get(s.Tasks[row.task].Metric)
		if !ok {
			v = math.NaN()
		}
		scores[i] = v
	}
	s.judge(row, in.Finish(row.ID, scores, row.HasRecord && ranToItsEnd(row.ExitKey)))
}

func (s *Study) judge(row *Row, res audit.Result) {
	s.Audited++
	row.Verdict = string(res.Verdict)
	if len(res.Findings) > 0 {
		s.Findings = append(s.Findings, &res)
	}
}

// outOfLine adds findings that need all runs of a task.
func (s *Study) outOfLine() {
	byRun := make(map[string]*audit.Result)
	for _, f := range s.Findings {
		byRun[f.Run] = f
	}
	for ti, t := range s.Tasks {
		var rows []*Row
		var best []float64
		for _, r := range s.Rows {
			if r.task == ti {
				rows, best = append(rows, r), append(best, float64(r.Best))
			}
		}
		for _, i := range audit.Out(best, t.Direction) {
			res := byRun[rows[i].ID]
			if res == nil {
				res = &audit.Result{FormatVersion: 1, Rules: audit.Version, Run: rows[i].ID, Task: t.ID, Verdict: audit.Clean}
				s.Findings = append(s.Findings, res)
			}
			res.Findings = append(res.Findings, audit.Finding{
				Rule: audit.ScoreImplaus, Weight: audit.Suspicion,
				Text: fmt.Sprintf("%s %v is far out of line with the other %d runs of the task", t.Metric, best[i], len(rows)-1),
			})
			if res.Verdict == audit.Clean {
				res.Verdict = audit.Suspicious
			}
			rows[i].Verdict = string(res.Verdict)
		}
	}
}

// Flagged are the runs whose score should not be believed without a look.
func (r *Report) Flagged() []*audit.Result {
	if r.Audit == nil {
		return []*audit.Result{}
	}
	return r.Audit.Flagged
}

// Clean reports whether the audit found nothing against a run, or did not look at it.
func (r *Row) Clean() bool { return r.Verdict == string(audit.Clean) || r.Verdict == "" }

func summariseAudit(s *Study, set Settings, maxTau float64) *AuditSummary {
	if s.Audited == 0 {
		return nil
	}
	a := &AuditSummary{
		RulesVersion: audit.Version, Audited: s.Audited, Counts: Counts{}, Headline: make(map[string]Headline),
		Flagged: []*audit.Result{}, Remarked: []*audit.Result{},
	}
	inStudy := make(map[string]bool)
	for _, r := range s.Rows {
		inStudy[r.ID] = true
		if r.Verdict != "" {
			a.Counts[r.Verdict]++
		}
	}
	for _, f := range s.Findings {
		if !inStudy[f.Run] {
			continue
		}
		if f.Verdict == audit.Clean {
			a.Remarked = append(a.Remarked, f)
		} else {
			a.Flagged = append(a.Flagged, f)
		}
	}
	compute := func(keep func(*Row) bool) (mlgymScores *Scores, aup, corrected []float64) {
		part := s.Only(keep)
		cells := part.cells()
		mlgymScores = Score(part, cells, MLGym)
		return mlgymScores, mlgymScores.Perform(s.Tasks, set.Rounding, maxTau).Best.AUP,
			Score(part, cells, Corrected).Perform(s.Tasks, set.Rounding, maxTau).Best.NeverCounts
	}
	all, aupAll, correctedAll := compute(func(*Row) bool { return true })
	_, aupWithout, _ := compute(func(r *Row) bool { return r.Verdict != string(audit.Tampered) })
	clean, aupClean, correctedClean := compute((*Row).Clean)
	at := func(values []float64, i int) Number {
		if i >= len(values) {
			return none
		}
		return Number(values[i])
	}
	for m, model := range s.Models {
		h := Headline{
			AUPAll: at(aupAll, m), AUPWithoutTampered: at(aupWithout, m), AUPClean: at(aupClean, m),
			CorrectedAll: at(correctedAll, m), CorrectedClean: at(correctedClean, m),
		}
		for ti, t := range s.Tasks {
			if x, y := all.Best[ti][m], clean.Best[ti][m]; x != y && !(math.IsNaN(x) && math.IsNaN(y)) {
				h.Changed = append(h.Changed, t.ID)
			}
		}
		a.Headline[model.ID] = h
	}
	return a
}

func (r *Report) auditSections() []Section {
	a := r.Audit
	if a == nil {
		return nil
	}
	text := fmt.Sprintf("%d runs were looked through: %d clean, %d suspicious, %d tampered. A record cannot prove innocence; clean means that nothing was found.",
		a.Audited, a.Counts[string(audit.Clean)], a.Counts[string(audit.Suspicious)], a.Counts[string(audit.Tampered)])
	s := Section{ID: "integrity", Title: "Integrity", Text: text}
	if len(a.Flagged) > 0 {
		s.Tables = append(s.Tables, r.flaggedTable("flagged", "Runs whose score should not be believed without a look", a.Flagged), r.headlineTable())
	}
	if len(a.Remarked) > 0 {
		s.Tables = append(s.Tables, r.flaggedTable("remarks", "Clean runs with a remark", a.Remarked))
	}
	return []Section{s}
}

func (r *Report) flaggedTable(name, title string, results []*audit.Result) *Table {
	t := &Table{Name: name, Title: title, Text: 6, Header: []string{"run", "task", "verdict", "step", "evidence", "quote"}}
	results = slices.Clone(results)
	slices.SortStableFunc(results, func(x, y *audit.Result) int {
		return verdictOrder(y.Verdict) - verdictOrder(x.Verdict)
	})
	for _, res := range results {
		for i, f := range res.Findings {
			row := []string{res.Run, res.Task, string(res.Verdict), "", f.Text, f.Quote}
			if i > 0 {
				row[0], row[1], row[2] = "", "", ""
			}
			if f.Step > 0 {
				row[3] = strconv.Itoa(f.Step)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

func verdictOrder(v audit.Verdict) int {
	switch v {
	case audit.Tampered:
		return 2
	case audit.Suspicious:
		return 1
	case audit.Clean:
	}
	return 0
}

func (r *Report) headlineTable() *Table {
	t := &Table{
		Name: "headline_clean", Title: "Headline numbers with and without flagged runs", Text: 1,
		About:  "AUP of the best attempt on the axis of all runs. The last column names the tasks whose best score hangs on a flagged run.",
		Header: []string{"Model", "published, all runs", "without tampered", "clean only", "corrected, all runs", "corrected, clean only", "tasks"},
	}
	for _, m := range r.Models {
		h := r.Audit.Headline[m.ID]
		var changed []string
		for _, id := range h.Changed {
			task, _ := r.study.Catalog.Task(id)
			changed = append(changed, task.Name)
		}
		t.Rows = append(t.Rows, []string{
			m.Name, human(float64(h.AUPAll)), human(float64(h.AUPWithoutTampered)), human(float64(h.AUPClean)),
			human(float64(h.CorrectedAll)), human(float64(h.CorrectedClean)), strings.Join(changed, ", "),
		})
	}
	return t
}
