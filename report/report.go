package report

import (
	"mlgym/stats"
)

// Schema names the version of report.json; docs/format/report.md describes it.
const Schema = "mlgym-report-1"

// Settings choose how a study is computed.
type Settings struct {
	// Definitions to compute; empty means both.
	Definitions []Definition
	// Rounding of the upper end of the profiles' grid, and MaxTau to fix it,
	// so that reports on different lists of models can be compared.
	Rounding stats.Rounding
	MaxTau   float64
	// Resamples of each bootstrap (default 2000), with this seed. Negative
	// leaves the statistics beyond the paper out.
	Resamples int
	Seed      uint64
}

// Report is every number behind the tables and figures.
type Report struct {
	Schema    string   `json:"schema"`
	Generator string   `json:"generator"`
	Inputs    []string `json:"inputs"`
	Models    []Model  `json:"models"`
	Tasks     []Task   `json:"tasks"`
	Runs      struct {
		Used        int `json:"used"`
		WithResults int `json:"with_results"`
		WithRecord  int `json:"with_record"`
		Excluded    int `json:"excluded"`
		Notes       int `json:"notes"`
		Untouched   int `json:"untouched"`
	} `json:"counts"`
	// Definitions has one entry for each definition that was asked for.
	Definitions map[Definition]*Numbers `json:"definitions"`
	// Valid counts the runs that have a file of scores, by model and task.
	Valid         map[string]Counts                    `json:"valid_runs"`
	Cost          map[string]*Cost                     `json:"cost"`
	MetricSummary map[string]map[string]*MetricSummary `json:"metric_summary"`
	Statistics    *Statistics                          `json:"statistics,omitempty"`
	Audit         *AuditSummary                        `json:"audit,omitempty"`
	Rows          []*Row                               `json:"runs"`
	Excluded      []Exclusion                          `json:"excluded"`
	Notes         []Note                               `json:"notes"`

	study *Study
	order []Definition
}

// Numbers are what depends on the definition.
type Numbers struct {
	About       string                 `json:"about"`
	Scores      map[string]*TaskScores `json:"scores"`
	Ranks       map[Kind]*KindRanks    `json:"ranks"`
	Performance *PerformanceNumbers    `json:"performance"`
	Exits       Exits                  `json:"exit"`
	Failures    Failures               `json:"failures"`
	Actions     ActionCounts           `json:"actions"`

	scores   *Scores
	perform  *Performance
	rankings map[Kind]Rankings
}

// TaskScores are the scores on one task, null for none.
type TaskScores struct {
	Metric    string            `json:"metric"`
	Direction string            `json:"direction"`
	Baseline  Number            `json:"baseline"`
	Best      map[string]Number `json:"best_attempt"`
	Last      map[string]Number `json:"best_submission"`
}

// KindRanks are the rankings for one kind of score.
type KindRanks struct {
	PerTask  map[string]TaskRank     `json:"per_task"`
	Combined map[string]CombinedRank `json:"combined"`
}

// TaskRank is the order on one task, best first.
type TaskRank struct {
	Ranked   []string `json:"ranked"`
	Unscored []string `json:"unscored"`
}

// CombinedRank is the order over all tasks. Order is by mean rank.
type CombinedRank struct {
	MeanRank map[string]Number `json:"mean_rank"`
	Borda    map[string]Number `json:"borda"`
	Order    []string          `json:"order"`
}

// PerformanceNumbers are ratios, profiles and areas.
type PerformanceNumbers struct {
	Limit      int                     `json:"max_ratio_ceil"`
	MaxTau     Number                  `json:"max_tau"`
	GridPoints int                     `json:"grid_points"`
	Epsilon    float64                 `json:"epsilon"`
	Best       *PerformanceKindNumbers `json:"best"`
	Last       *PerformanceKindNumbers `json:"last"`
}

// PerformanceKindNumbers are those for one kind of score. Maps are by task,
// then participant, or by participant.
type PerformanceKindNumbers struct {
	Ratios   map[string]map[string]Number `json:"ratios"`
	Feasible map[string][]string          `json:"feasible"`
	Limits   map[string]int               `json:"ratio_ceil"`
	// Problems say why a task has no ratios.
	Problems map[string]string `json:"problems,omitempty"`
	// Profiles as pairs of grid index and number of tasks where that changes.
	Profiles    map[string][][2]int `json:"profile_steps"`
	AUP         map[string]Number   `json:"aup"`
	Rounded     map[string]Number   `json:"aup_rounded3"`
	StepArea    map[string]Number   `json:"aup_exact_step_area"`
	NeverCounts map[string]Number   `json:"aup_exact_if_infeasible_never_counts"`
	Shifted     map[string]Number   `json:"aup_exact_shifted"`
}

var aboutDefinition = map[Definition]string{
	MLGym:     "the definitions of the published evaluation, its questionable choices included",
	Corrected: "corrected definitions: a submission only counts if one was evaluated; one declared baseline a task; unscored participants share ranks; an infeasible participant never reaches a task; exact areas; actions by first word; unlisted crashes are Runtime",
}

// Compute makes a report of a study.
func Compute(s *Study, set Settings) *Report {
	r := &Report{
		Schema: Schema, Generator: "mlgym", Inputs: []string{}, Models: s.Models, Tasks: s.Tasks,
		Definitions: make(map[Definition]*Numbers), Valid: make(map[string]Counts),
		Rows: s.Rows, Excluded: s.Excluded, Notes: s.Notes, study: s, order: set.Definitions,
	}
	if len(r.order) == 0 {
		r.order = []Definition{MLGym, Corrected}
	}
	for _, m := range s.Models {
		r.Valid[m.ID] = Counts{}
	}
	for _, row := range s.Rows {
		r.Runs.Used++
		if row.HasResults {
			r.Runs.WithResults++
			r.Valid[row.Model][row.Task]++
		}
		if row.HasRecord {
			r.Runs.WithRecord++
		}
		if row.Untouched {
			r.Runs.Untouched++
		}
	}
	r.Runs.Excluded, r.Runs.Notes = len(s.Excluded), len(s.Notes)
	cells := s.cells()
	published := Score(s, cells, MLGym).Perform(s.Tasks, set.Rounding, set.MaxTau)
	for _, d := range r.order {
		n := &Numbers{About: aboutDefinition[d], Exits: exits(s, d), Failures: failures(s, d), Actions: actions(s, d)}
		n.scores = Score(s, cells, d)
		if n.perform = published; d != MLGym {
			// On the same axis, so that the two can be laid side by side.
			n.perform = n.scores.Perform(s.Tasks, set.Rounding, published.MaxTau)
		}
		n.rankings = map[Kind]Rankings{Best: n.scores.Rank(s.Tasks, Best), Last: n.scores.Rank(s.Tasks, Last)}
		n.describe(s)
		r.Definitions[d] = n
	}
	r.Cost = costs(s)
	r.MetricSummary = metricSummaries(s, cells)
	r.Audit = summariseAudit(s, set, published.MaxTau)
	if set.Resamples >= 0 {
		r.Statistics = statistics(s, cells, set)
	}
	return r
}

// byParticipant names the entries of a list.
func (s *Study) byParticipant(values []float64) map[string]Number {
	m := make(map[string]Number, len(values))
	for p, v := range values {
		m[s.participant(p)] = Number(v)
	}
	return m
}

func (s *Study) ids(positions []int) []string {
	out := make([]string, 0, len(positions))
	for _, p := range positions {
		out = append(out, s.participant(p))
	}
	return out
}

func (n *Numbers) describe(s *Study) {
	n.Scores = make(map[string]*TaskScores)
	for ti, t := range s.Tasks {
		sc := &TaskScores{Metric: t.Metric, Direction: t.DirectionName, Baseline: Number(n.scores.Best[ti][len(s.Models)])}
		sc.Best = s.byParticipant(n.scores.Best[ti][:len(s.Models)])
		sc.Last = s.byParticipant(n.scores.Last[ti][:len(s.Models)])
		n.Scores[t.ID] = sc
	}
	n.Ranks = make(map[Kind]*KindRanks)
	for k, r := range n.rankings {
		kr := &KindRanks{PerTask: make(map[string]TaskRank), Combined: make(map[string]CombinedRank)}
		for ti, t := range s.Tasks {
			kr.PerTask[t.ID] = TaskRank{s.ids(r.PerTask[ti].Scored), s.ids(r.PerTask[ti].Unscored)}
		}
		for rule, c := range r.Combined {
			kr.Combined[rule] = CombinedRank{s.byParticipant(c.MeanRank), s.byParticipant(c.Borda), s.ids(c.ByMeanRank)}
		}
		n.Ranks[k] = kr
	}
	p := n.perform
	n.Performance = &PerformanceNumbers{
		Limit: p.Limit, MaxTau: Number(p.MaxTau), GridPoints: stats.GridPoints, Epsilon: stats.Epsilon,
		Best: s.describeKind(&p.Best), Last: s.describeKind(&p.Last),
	}
}

func (s *Study) describeKind(kp *KindPerformance) *PerformanceKindNumbers {
	out := &PerformanceKindNumbers{
		Ratios: make(map[string]map[string]Number), Feasible: make(map[string][]string), Limits: make(map[string]int),
		Problems: make(map[string]string), Profiles: make(map[string][][2]int),
		AUP: s.byParticipant(kp.AUP), Rounded: make(map[string]Number), StepArea: s.byParticipant(kp.StepArea),
		NeverCounts: s.byParticipant(kp.NeverCounts), Shifted: s.byParticipant(kp.Shifted),
	}
	for ti, t := range s.Tasks {
		out.Feasible[t.ID] = []string{}
		for p, ok := range kp.Tasks[ti].Feasible {
			if ok {
				out.Feasible[t.ID] = append(out.Feasible[t.ID], s.participant(p))
			}
		}
		if err := kp.Problems[ti]; err != nil {
			out.Problems[t.ID] = err.Error()
			continue
		}
		out.Ratios[t.ID] = s.byParticipant(kp.Tasks[ti].Ratio)
		out.Limits[t.ID] = kp.Tasks[ti].Limit
	}
	for p, profile := range kp.Profiles {
		id := s.participant(p)
		out.Rounded[id] = Number(scaleRound(kp.AUP[p]))
		steps := [][2]int{}
		for i, v := range profile {
			n := int(v*float64(len(s.Tasks)) + 0.5)
			if len(steps) == 0 || steps[len(steps)-1][1] != n {
				steps = append(steps, [2]int{i, n})
			}
		}
		out.Profiles[id] = steps
	}
	return out
}
