package export

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"mlgym/runstore"
	"mlgym/trajectory"
)

// Filter chooses runs. Zero fields do not restrict.
type Filter struct {
	Tasks    []string
	Agents   []string // an agent's or a model's name
	Variants []string
	Modes    []string
	// MinScore is the least value of the task's primary metric that a final
	// submission has to reach (the largest, where less is better).
	MinScore *float64
	// MinReward is the least sum of rewards.
	MinReward *float64
	// ExitStatus are the ends that are taken, such as "submitted".
	ExitStatus []string
	// Verdict says of a run's directory whether it is taken; nil takes all.
	Verdict func(dir string) bool
	// Best keeps so many runs of each task, variant, mode and version by their
	// final score; 0 keeps all.
	Best int
	// Dedupe keeps one of runs on a task in which the agent did the same.
	Dedupe bool
	// Unscored keeps runs without a final score as well, where no other field asks
	// for one.
	Unscored bool
}

// Chosen is a run that is exported.
type Chosen struct {
	Dir      string
	Manifest runstore.Manifest
	Result   runstore.Result
}

// score is the final one, by the primary metric.
func (c *Chosen) score() (float64, bool) {
	v, ok := c.Result.Submission[c.Manifest.PrimaryMetric]
	return v, ok
}

// better reports whether a run's final score is better than another's.
func (c *Chosen) better(than *Chosen) bool {
	a, aok := c.score()
	b, bok := than.score()
	if !aok || !bok {
		return aok && !bok
	}
	return c.Manifest.Direction.Better(a, b)
}

// group names what must be equal for scores to be comparable.
type group struct{ task, version, variant, mode, metric string }

func (c *Chosen) group() group {
	m := c.Manifest
	return group{m.Task, m.TaskVersion, m.Variant, m.Mode, m.PrimaryMetric}
}

// LeftOut says why a run was not taken.
type LeftOut struct{ Dir, Why string }

// Choose looks at the runs below the roots, in the order of their paths. A run
// that cannot be read is left out, and never stops the rest.
func Choose(roots []string, f Filter) (chosen []*Chosen, left []LeftOut, err error) {
	seen := map[string]bool{}
	for _, root := range roots {
		for e, err := range runstore.List(root) {
			if err != nil {
				left = append(left, LeftOut{e.Dir, err.Error()})
				continue
			}
			dir, err := filepath.Abs(e.Dir)
			if err != nil {
				return nil, nil, err
			}
			if seen[dir] {
				continue
			}
			seen[dir] = true
			c := &Chosen{Dir: e.Dir, Manifest: e.Manifest}
			if why := f.manifest(e.Manifest); why != "" {
				left = append(left, LeftOut{e.Dir, why})
				continue
			}
			if c.Result, err = runstore.Summarise(e.Dir); err != nil {
				left = append(left, LeftOut{e.Dir, err.Error()})
				continue
			}
			if why := f.result(c); why != "" {
				left = append(left, LeftOut{e.Dir, why})
				continue
			}
			chosen = append(chosen, c)
		}
	}
	if f.Dedupe {
		chosen, left = dedupe(chosen, left)
	}
	chosen, left = f.best(chosen, left)
	return chosen, left, nil
}

// manifest says why a run is not taken, as far as its manifest tells.
func (f Filter) manifest(m runstore.Manifest) string {
	for _, c := range []struct {
		what string
		want []string
		got  []string
	}{
		{"task", f.Tasks, []string{m.Task}},
		{"agent", f.Agents, []string{m.Agent, m.AgentName, m.Model}},
		{"variant", f.Variants, []string{m.Variant}},
		{"mode", f.Modes, []string{m.Mode}},
	} {
		if len(c.want) > 0 && !slices.ContainsFunc(c.got, func(g string) bool { return g != "" && slices.Contains(c.want, g) }) {
			return c.what + " not asked for"
		}
	}
	return ""
}

func (f Filter) result(c *Chosen) string {
	r := c.Result
	score, scored := c.score()
	switch {
	case r.Interrupted:
		return "the run has not ended"
	case r.Fault != "":
		return "a fault of the infrastructure ended it: " + r.Fault
	case r.Steps == 0 && r.Requests == 0:
		return "nothing was done in it, or its record is not there" // it would stand among the best all the same
	case !scored && !f.Unscored:
		return "no final score"
	case f.MinScore != nil && (!scored || c.Manifest.Direction.Better(*f.MinScore, score)):
		return "the score is not good enough"
	case f.MinReward != nil && r.Reward < *f.MinReward:
		return "the reward is too small"
	case len(f.ExitStatus) > 0 && !slices.Contains(f.ExitStatus, r.ExitStatus.String()):
		return "it ended as " + r.ExitStatus.String()
	case f.Verdict != nil && !f.Verdict(c.Dir):
		return "the audit's verdict"
	}
	return ""
}

// best keeps the best runs of each group; of equals the earlier path.
func (f Filter) best(chosen []*Chosen, left []LeftOut) ([]*Chosen, []LeftOut) {
	if f.Best <= 0 {
		return chosen, left
	}
	ranked := slices.Clone(chosen)
	slices.SortStableFunc(ranked, func(a, b *Chosen) int {
		switch {
		case a.better(b):
			return -1
		case b.better(a):
			return 1
		}
		return 0
	})
	kept, taken := map[*Chosen]bool{}, map[group]int{}
	for _, c := range ranked {
		if taken[c.group()] < f.Best {
			taken[c.group()]++
			kept[c] = true
		}
	}
	var out []*Chosen
	for _, c := range chosen {
		if kept[c] {
			out = append(out, c)
		} else {
			left = append(left, LeftOut{c.Dir, fmt.Sprintf("not among the best %d", f.Best)})
		}
	}
	return out, left
}

// dedupe keeps the first of runs in which the agent did the same.
func dedupe(chosen []*Chosen, left []LeftOut) ([]*Chosen, []LeftOut) {
	first := map[string]string{}
	var out []*Chosen
	for _, c := range chosen {
		key, err := actions(c)
		if err != nil {
			left = append(left, LeftOut{c.Dir, err.Error()})
			continue
		}
		if same, ok := first[key]; ok {
			left = append(left, LeftOut{c.Dir, "the same actions as " + same})
			continue
		}
		first[key] = c.Dir
		out = append(out, c)
	}
	return out, left
}

// actions names what an agent did on a task.
func actions(c *Chosen) (_ string, err error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%+v\n", c.group())
	err = each(c.Dir, func(e *trajectory.Event) error {
		if e.Step != nil {
			fmt.Fprintf(sum, "%q %q %q\n", e.Step.Action.Command, e.Step.Action.Tool, e.Step.Action.Args)
		}
		return nil
	})
	return string(sum.Sum(nil)), err
}

// each calls fn for every event of a run's record.
func each(dir string, fn func(*trajectory.Event) error) (err error) {
	r, err := trajectory.Open(filepath.Join(dir, runstore.TrajectoryName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(&e); err != nil {
			return err
		}
	}
}

// ranked orders a group's runs, the best first.
func ranked(runs []*Chosen) []*Chosen {
	out := slices.Clone(runs)
	slices.SortStableFunc(out, func(a, b *Chosen) int {
		x, _ := a.score()
		y, _ := b.score()
		if a.Manifest.Direction == runstore.Minimize {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(y, x)
	})
	return out
}
