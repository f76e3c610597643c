package report

import (
	"math"

	"mlgym/stats"
)

// Counts maps a name to how often it occurs; zero counts are left out.
type Counts map[string]int

// CountsBy maps a model, a task or a step to its counts.
type CountsBy map[string]Counts

func (c CountsBy) add(key, name string, n int) {
	if n == 0 {
		return
	}
	if c[key] == nil {
		c[key] = Counts{}
	}
	c[key][name] += n
}

// Exits counts how runs ended. Only runs with a record take part.
type Exits struct {
	Total    Counts   `json:"categories_total"`
	PerModel CountsBy `json:"categories_per_model"`
	PerTask  CountsBy `json:"categories_per_task"`
	Keys     Counts   `json:"keys_total"`
	KeysPer  CountsBy `json:"keys_per_model"`
	KeysTask CountsBy `json:"keys_per_task"`
}

// Failures counts failed and incomplete runs. Every model and task of the study
// has an entry.
type Failures struct {
	// From runs with a record: failed has no evaluation; incomplete has one
	// and ended neither in Success nor in Max Steps.
	FailedPerModel     Counts `json:"failed_per_model"`
	IncompletePerModel Counts `json:"incomplete_per_model"`
	FailedPerTask      Counts `json:"failed_per_task"`
	IncompletePerTask  Counts `json:"incomplete_per_task"`
	// Runs whose end was neither a submission nor the limit of steps.
	NotCleanPerModel Counts `json:"not_clean_exit_per_model"`
	NotCleanPerTask  Counts `json:"not_clean_exit_per_task"`
	// From the files of scores alone: runs without a usable best attempt.
	NoBestPerModel Counts `json:"no_best_attempt_per_model"`
	NoBestPerTask  Counts `json:"no_best_attempt_per_task"`
}

// ActionCounts counts the steps by group.
type ActionCounts struct {
	Total    int      `json:"total"`
	Groups   Counts   `json:"counts"`
	PerModel CountsBy `json:"per_model"`
	PerTask  CountsBy `json:"per_task"`
	// PerStep is indexed by step number − 1.
	PerStep []Counts `json:"per_step,omitempty"`
}

// Cost is what a model's runs used.
type Cost struct {
	Runs        int    `json:"runs"`
	SumSent     Number `json:"sum_tokens_sent"`
	SumReceived Number `json:"sum_tokens_received"`
	SumUSD      Number `json:"sum_cost"`
	AvgSent     Number `json:"avg_tokens_sent"`
	AvgReceived Number `json:"avg_tokens_received"`
	AvgUSD      Number `json:"avg_cost"`
	// The same over runs that really called a model.
	ZeroRuns       int               `json:"runs_with_zero_tokens"`
	AvgUSDNonZero  Number            `json:"avg_cost_without_zero_runs"`
	AvgSentNonZero Number            `json:"avg_tokens_sent_without_zero_runs"`
	AvgRecorded    Number            `json:"avg_recorded_total_cost"`
	SumCalls       Number            `json:"sum_api_calls"`
	PerTaskUSD     map[string]Number `json:"avg_cost_per_task"`
	// Unpriced says that no price is known, so that no dollars are.
	Unpriced bool `json:"unpriced,omitempty"`
}

func exits(s *Study, d Definition) Exits {
	e := Exits{Counts{}, CountsBy{}, CountsBy{}, Counts{}, CountsBy{}, CountsBy{}}
	for _, r := range s.Rows {
		if !r.HasRecord {
			continue
		}
		e.Keys[r.ExitKey]++
		e.KeysPer.add(r.Model, r.ExitKey, 1)
		e.KeysTask.add(r.Task, r.ExitKey, 1)
		for _, c := range ExitCategories(r.ExitKey, d) {
			e.Total[c]++
			e.PerModel.add(r.Model, c, 1)
			e.PerTask.add(r.Task, c, 1)
		}
	}
	return e
}

func failures(s *Study, d Definition) Failures {
	zero := func() (models, tasks Counts) {
		models, tasks = Counts{}, Counts{}
		for _, m := range s.Models {
			models[m.ID] = 0
		}
		for _, t := range s.Tasks {
			tasks[t.ID] = 0
		}
		return models, tasks
	}
	var f Failures
	f.FailedPerModel, f.FailedPerTask = zero()
	f.IncompletePerModel, f.IncompletePerTask = zero()
	f.NotCleanPerModel, f.NotCleanPerTask = zero()
	f.NoBestPerModel, f.NoBestPerTask = zero()
	for _, r := range s.Rows {
		if r.BestIndex < 0 {
			f.NoBestPerModel[r.Model]++
			f.NoBestPerTask[r.Task]++
		}
		if !r.HasRecord {
			continue
		}
		if r.ExitKey != "submitted" && r.ExitKey != "autosubmission (max_steps)" {
			f.NotCleanPerModel[r.Model]++
			f.NotCleanPerTask[r.Task]++
		}
		if r.Attempts == 0 {
			f.FailedPerModel[r.Model]++
			f.FailedPerTask[r.Task]++
			continue
		}
		complete := false
		for _, c := range ExitCategories(r.ExitKey, d) {
			complete = complete || c == Success || c == MaxSteps
		}
		if !complete {
			f.IncompletePerModel[r.Model]++
			f.IncompletePerTask[r.Task]++
		}
	}
	return f
}

func actions(s *Study, d Definition) ActionCounts {
	a := ActionCounts{Groups: Counts{}, PerModel: CountsBy{}, PerTask: CountsBy{}}
	for _, r := range s.Rows {
		counts := &r.actions
		if d == Corrected {
			counts = &r.corrected
		}
		for g, n := range counts {
			if n == 0 {
				continue
			}
			name := Group(g).String()
			a.Total += n
			a.Groups[name] += n
			a.PerModel.add(r.Model, name, n)
			a.PerTask.add(r.Task, name, n)
		}
		steps := r.actionSteps
		if d == Corrected {
			steps = r.correctedSteps
		}
		for i, g := range steps {
			if i == len(a.PerStep) {
				a.PerStep = append(a.PerStep, Counts{})
			}
			a.PerStep[i][g.String()]++
		}
	}
	return a
}

func costs(s *Study) map[string]*Cost {
	type sums struct{ n, sent, received, usd, recorded, calls, zero float64 }
	all := make(map[string]*sums)
	perTask := make(map[string]map[string]*sums)
	for _, r := range s.Rows {
		if r.TokensIn.IsNone() {
			continue
		}
		if all[r.Model] == nil {
			all[r.Model], perTask[r.Model] = &sums{}, make(map[string]*sums)
		}
		if perTask[r.Model][r.Task] == nil {
			perTask[r.Model][r.Task] = &sums{}
		}
		for _, to := range []*sums{all[r.Model], perTask[r.Model][r.Task]} {
			to.n++
			to.sent += float64(r.TokensIn)
			to.received += float64(r.TokensOut)
			to.usd += float64(r.CostUSD)
			to.recorded += float64(r.RecordedUSD)
			to.calls += float64(r.APICalls)
			if r.TokensIn == 0 && r.TokensOut == 0 {
				to.zero++
			}
		}
	}
	out := make(map[string]*Cost)
	for _, m := range s.Models {
		t := all[m.ID]
		if t == nil {
			continue
		}
		c := &Cost{
			Runs: int(t.n), SumSent: Number(t.sent), SumReceived: Number(t.received), SumUSD: Number(t.usd),
			AvgSent: Number(t.sent / t.n), AvgReceived: Number(t.received / t.n), AvgUSD: Number(t.usd / t.n),
			ZeroRuns: int(t.zero), AvgUSDNonZero: Number(t.usd / (t.n - t.zero)), AvgSentNonZero: Number(t.sent / (t.n - t.zero)),
			AvgRecorded: Number(t.recorded / t.n), SumCalls: Number(t.calls),
			PerTaskUSD: make(map[string]Number), Unpriced: m.Price == nil,
		}
		for task, p := range perTask[m.ID] {
			c.PerTaskUSD[task] = Number(p.usd / p.n)
		}
		out[m.ID] = c
	}
	return out
}

// MetricSummary describes the runs of one model on one task.
type MetricSummary struct {
	Best   map[string]*ValueSummary `json:"best_attempt"`
	Last   map[string]*ValueSummary `json:"last_attempt"`
	Failed int                      `json:"failed_runs"`
}

// ValueSummary describes the values of one metric, in run order.
type ValueSummary struct {
	Values []Number `json:"values"`
	N      int      `json:"n"`
	Min    Number   `json:"min"`
	Max    Number   `json:"max"`
	Mean   Number   `json:"mean"`
	// Std is the population standard deviation.
	Std Number `json:"std"`
}

func metricSummaries(s *Study, cells [][][]*Row) map[string]map[string]*MetricSummary {
	out := make(map[string]map[string]*MetricSummary)
	for ti, t := range s.Tasks {
		out[t.ID] = make(map[string]*MetricSummary)
		for mi, m := range s.Models {
			sum := &MetricSummary{Best: map[string]*ValueSummary{}, Last: map[string]*ValueSummary{}}
			for _, r := range cells[ti][mi] {
				if r.BestIndex < 0 {
					sum.Failed++
					continue
				}
				collect(sum.Best, r.bestMetrics)
				collect(sum.Last, r.lastMetrics)
			}
			finish(sum.Best)
			finish(sum.Last)
			out[t.ID][m.ID] = sum
		}
	}
	return out
}

func collect(into map[string]*ValueSummary, metrics []Metric) {
	for _, m := range metrics {
		if into[m.Name] == nil {
			into[m.Name] = &ValueSummary{}
		}
		into[m.Name].Values = append(into[m.Name].Values, m.Value)
	}
}

func finish(summaries map[string]*ValueSummary) {
	for _, v := range summaries {
		values := make([]float64, len(v.Values))
		for i, x := range v.Values {
			values[i] = float64(x)
		}
		d := stats.Summarize(values)
		v.N, v.Min, v.Max, v.Mean, v.Std = d.N, Number(d.Min), Number(d.Max), Number(d.Mean), Number(d.PopStd)
		if math.IsInf(d.Mean, 0) {
			v.Std = none
		}
	}
}
