package report

import (
	"math"
	"slices"

	"mlgym/stats"
)

// ranks computes mean ranks, fitted strengths, and what goes with them, of the
// models' best scores; the baseline takes no part. Intervals are those of the
// two-level bootstrap: tasks are drawn, then runs within each.
func (n *normalisedRuns) ranks(st *Statistics, draws int, seed uint64) {
	s := n.s
	models := len(s.Models)
	if models < 2 {
		return
	}
	scores := matrix(len(s.Tasks), models+1)
	sizes := n.cellSizes()
	n.drawnBest(n.best, identity(sizes), scores)
	var ranks [][]float64
	for ti, t := range s.Tasks {
		ranks = append(ranks, stats.TiedRanks(scores[ti][:models], t.Direction))
	}
	statistic, p := stats.Friedman(ranks)
	st.Friedman, st.FriedmanP = Number(statistic), Number(p)
	st.CriticalDifference = Number(stats.CriticalDifference(models, len(s.Tasks), alpha))
	directions := make([]stats.Direction, len(s.Tasks))
	for ti, t := range s.Tasks {
		directions[ti] = t.Direction
	}
	combined := stats.Combine(ranks, nil)
	value := make([]float64, 3*models)
	fit(models, scores, ranks, stats.Fit{Prior: strengthPrior}, value)

	// Fits are slower than means; fewer draws are enough for an interval.
	draws = min(draws, 300)
	// One stratum a task: the place of the runs within is drawn by hand, so
	// that a drawn task keeps its models together.
	byTask := make([]int, len(s.Tasks))
	for ti := range byTask {
		for m := range models {
			byTask[ti] += max(len(n.best[ti][m]), 0)
		}
		byTask[ti] = max(byTask[ti], 1)
	}
	drawn := stats.Resample{Sizes: byTask, Tasks: true, Draws: draws, Seed: seed}.Vectors(3*models, func(d stats.Draw, out []float64) {
		best := matrix(len(d.Tasks), models+1)
		dirs := make([]stats.Direction, len(d.Tasks))
		var drawnRanks [][]float64
		for i, ti := range d.Tasks {
			dirs[i] = directions[ti]
			place := 0
			for m := range models {
				best[i][m] = math.NaN()
				size := len(n.best[ti][m])
				for range size {
					// A draw in 0 … total−1 is one in 0 … size−1 as well,
					// evenly where size divides it and nearly so elsewhere.
					j := d.Runs[i][place] % size
					place++
					pick(&best[i][m], n.best[ti][m][j], dirs[i])
				}
			}
			drawnRanks = append(drawnRanks, stats.TiedRanks(best[i][:models], dirs[i]))
		}
		fit(models, best, drawnRanks, stats.Fit{Prior: strengthPrior, Tolerance: 1e-5}, out)
	})
	for m, model := range s.Models {
		ms := st.Models[model.ID]
		ms.Borda = Number(combined.Borda[m])
		for i, e := range []*Estimate{&ms.MeanRank, &ms.PlackettLuce, &ms.BradleyTerry} {
			at := i*models + m
			*e = Estimate{Value: Number(value[at]), TasksAndRuns: interval(stats.Percentile(drawn[at], Level))}
		}
	}
}

// fit writes mean ranks, Plackett–Luce and Bradley–Terry strengths of the
// models into out, one after the other.
func fit(models int, scores, ranks [][]float64, how stats.Fit, out []float64) {
	everyone := make([]int, models)
	for i := range everyone {
		everyone[i] = i
	}
	var who [][]int
	var orders []stats.Tiers
	wins := matrix(models, models)
	for m := range models {
		out[m] = 0
	}
	for t, task := range ranks {
		var order stats.Tiers
		sorted := slices.Clone(everyone)
		slices.SortStableFunc(sorted, func(a, b int) int { return compareNumbers(task[a], task[b]) })
		for _, m := range sorted {
			if math.IsNaN(scores[t][m]) {
				continue // below all others, in no known order
			}
			if last := len(order) - 1; last >= 0 && task[order[last][0]] == task[m] {
				order[last] = append(order[last], m)
			} else {
				order = append(order, []int{m})
			}
		}
		who, orders = append(who, everyone), append(orders, order)
		for a := range models {
			out[a] += task[a] / float64(len(ranks))
			for b := range models {
				switch {
				case a == b:
				case task[a] < task[b]:
					wins[a][b]++
				case task[a] == task[b]:
					wins[a][b] += 0.5
				}
			}
		}
	}
	// With a prior there is always an estimate.
	if pl, err := stats.PlackettLuce(models, who, orders, how); err == nil {
		copy(out[models:], pl)
	}
	if bt, err := stats.BradleyTerry(wins, how); err == nil {
		copy(out[2*models:], bt)
	}
}

func compareNumbers(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// sensitivity computes the rankings without each task and without each model.
func sensitivity(s *Study, set Settings, maxTau float64) []*Sensitivity {
	var out []*Sensitivity
	compute := func(what, id string, part *Study) {
		cells := part.cells()
		published := Score(part, cells, MLGym).Perform(part.Tasks, set.Rounding, set.MaxTau)
		corrected := Score(part, cells, Corrected).Perform(part.Tasks, set.Rounding, maxTau)
		models := len(part.Models)
		if len(published.Best.AUP) == 0 {
			return
		}
		row := &Sensitivity{
			What: what, ID: id, MaxTau: Number(published.MaxTau),
			AUP: part.byParticipant(published.Best.AUP), Area: part.byParticipant(corrected.Best.NeverCounts),
		}
		for _, o := range []struct {
			values []float64
			to     *[]string
		}{{published.Best.AUP, &row.Order}, {corrected.Best.NeverCounts, &row.ByArea}} {
			order := stats.Rank(o.values[:models], stats.Maximize, nil).Order()
			*o.to = part.ids(order)
		}
		out = append(out, row)
	}
	if len(s.Tasks) > 1 {
		for ti, t := range s.Tasks {
			compute("task", t.ID, s.withoutTask(ti))
		}
	}
	if len(s.Models) > 1 {
		for mi, m := range s.Models {
			part := s.Only(func(r *Row) bool { return r.Model != m.ID })
			part.Models = slices.Delete(slices.Clone(s.Models), mi, mi+1)
			compute("model", m.ID, part)
		}
	}
	return out
}

// withoutTask is the study without one of its tasks.
func (s *Study) withoutTask(ti int) *Study {
	part := *s
	part.Tasks = slices.Delete(slices.Clone(s.Tasks), ti, ti+1)
	part.Rows = nil
	for _, r := range s.Rows {
		if r.task == ti {
			continue
		}
		if r.task > ti {
			moved := *r
			moved.task--
			r = &moved
		}
		part.Rows = append(part.Rows, r)
	}
	return &part
}

// anytime computes curves over steps and seconds, and over tokens and dollars
// where the records say what was spent by each evaluation.
func (n *normalisedRuns) anytime(st *Statistics, cells [][][]*Row) {
	const points = 51
	units := []struct {
		name string
		of   func(Point) float64
	}{
		{"steps", func(p Point) float64 { return float64(p.Step) }},
		{"seconds", func(p Point) float64 { return p.Seconds }},
		{"tokens", func(p Point) float64 { return p.Tokens }},
		{"usd", func(p Point) float64 { return p.USD }},
	}
	for _, u := range units {
		curves := make([][]stats.Curve, len(n.s.Models))
		end := 0.0
		for m := range n.s.Models {
			for _, ti := range n.tasks {
				t := n.s.Tasks[ti]
				for _, r := range cells[ti][m] {
					if !r.HasRecord || r.BestIndex >= 0 && (len(r.curve) == 0 || r.curve[0].Step == 0 || math.IsNaN(u.of(r.curve[0]))) {
						continue
					}
					if r.BestIndex < 0 && u.name != "steps" && u.name != "seconds" {
						continue
					}
					var c stats.Curve
					best := 0.0
					for _, p := range r.curve {
						v := stats.Normalize(p.Score, *t.Baseline, *t.Reference, ClipLow, ClipHigh)
						// Until something better is there, the starter is.
						if best = max(best, v); v < best {
							continue
						}
						c.X, c.Y = append(c.X, u.of(p)), append(c.Y, best)
						end = max(end, u.of(p))
					}
					curves[m] = append(curves[m], c)
				}
			}
		}
		if end <= 0 {
			continue
		}
		grid := make([]float64, points)
		for i := range grid {
			grid[i] = end * float64(i) / (points - 1)
		}
		a := &Anytime{Unit: u.name, Grid: numbers(grid), Mean: map[string][]Number{}, Area: map[string]Number{}, Runs: map[string]int{}}
		for m, model := range n.s.Models {
			if len(curves[m]) == 0 {
				continue
			}
			a.Mean[model.ID] = numbers(stats.MeanCurve(curves[m], grid, 0))
			a.Runs[model.ID] = len(curves[m])
			area := 0.0
			for _, c := range curves[m] {
				area += c.Area(end, 0)
			}
			a.Area[model.ID] = Number(area / float64(len(curves[m])))
		}
		st.Anytime[u.name] = a
	}
}
