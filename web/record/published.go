package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mlgym/gym"
	"mlgym/runstore"
	"mlgym/search"
	"mlgym/trajectory/mlgym"
)

// publishedStep are the texts of a step that MLGym recorded.
type publishedStep struct{ thought, action, observation string }

// maxKeptText is up to how much text of a published run is held in memory; the
// file of a longer one is read again for each step that is asked for.
const maxKeptText = 8 << 20

// graded stands in MLGym's answer to a validation that succeeded.
var graded = []byte("Evaluation Score: {")

// publishedLimit is after how many steps MLGym ends a run.
const publishedLimit = 50

// trajPath is where the record of a published run is.
func (r *Run) trajPath() string {
	return filepath.Join(r.dir, r.name.Task+string(mlgym.TrajFile))
}

func (r *Run) publishedEntry() mlgym.Entry {
	return mlgym.Entry{Path: r.dir, Folder: filepath.Base(r.dir), Name: *r.name}
}

// refreshPublished reads one of MLGym's folders, where its files changed.
func (r *Run) refreshPublished(ctx context.Context) (bool, error) {
	var now [2]fileState
	now[0], _ = look(r.trajPath()) // the reader says what is wrong
	now[1], _ = look(filepath.Join(r.dir, string(mlgym.ResultsFile)))
	if now == r.folder && r.state.Load().live != "" {
		return false, nil
	}
	s := newState()
	name := r.name
	s.header = Header{
		Source: search.MLGym, ID: filepath.Base(r.dir), Task: name.Task, Model: name.Model,
		Agent: "mlgym", Scaffold: name.Agent, Mode: "published", Variant: "mlgym-published",
		Seed: uint64(max(0, name.Run)), Direction: runstore.Maximize, //nolint:gosec // not negative
		Limits: runstore.Limits{MaxSteps: publishedLimit},
	}
	p := publishedReader{s: s, keep: true}
	run := mlgym.ReadRun(r.publishedEntry(), mlgym.Options{Want: mlgym.FieldObservation | mlgym.FieldThought | mlgym.FieldState}, func(st *mlgym.Step) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.step(st)
		return nil
	})
	if err := ctx.Err(); err != nil {
		return false, err
	}
	r.folder = now
	s.size, s.modified = now[0].size, time.Unix(0, max(now[0].mtime, now[1].mtime)).UTC()
	if now == ([2]fileState{}) {
		s.modified = time.Time{}
	}
	p.finish(run, r.metric)
	r.state.Store(s)
	return true, nil
}

// publishedReader makes a state of a run that MLGym recorded.
type publishedReader struct {
	s      *state
	keep   bool
	kept   int
	graded []int // steps that were answered with a score
}

func (p *publishedReader) step(from *mlgym.Step) {
	s := p.s
	for len(s.steps) < from.Number { // numbers have no gaps
		s.steps = append(s.steps, stepIndex{})
	}
	if n := len(s.steps) - 1; n >= 0 {
		// MLGym says where the agent stood before a step, we where it stood after it.
		s.steps[n].place = s.place(Place{string(from.OpenFile), string(from.WorkingDir)})
	}
	action := string(from.Action)
	st := stepIndex{
		head: headOf(action), action: size32(len(action)), thought: size32(len(from.Thought)),
		observation: size32(len(from.Observation)), lines: size32(lineCount(string(from.Observation))),
		seconds: from.Seconds, group: groupOf(from.Action), cost: math.NaN(), has: hasTurn | hasStep,
	}
	if math.IsNaN(st.seconds) || st.seconds < 0 || st.seconds > 1e7 {
		st.seconds = 0
	}
	switch stop := pseudoAction(action); {
	case stop != "":
		st.marks |= markStop
		st.more().stop = stop
		st.has = hasTurn
	case string(from.Observation) == "Exited (max_steps)", from.Number > publishedLimit && len(from.Observation) == 0:
		st.has = hasTurn
	}
	if bytes.Contains(from.Observation, graded) && bytes.Contains(from.Action, []byte("validate")) {
		p.graded = append(p.graded, from.Number)
	}
	s.before += st.seconds
	s.totals.Steps = from.Number
	s.memory += int64(len(st.head))
	s.steps = append(s.steps, st)
	if !p.keep {
		return
	}
	p.kept += len(from.Thought) + len(action) + len(from.Observation)
	if p.kept > maxKeptText {
		p.keep, s.texts = false, nil
		return
	}
	s.texts = append(s.texts, publishedStep{string(from.Thought), action, string(from.Observation)})
}

// pseudoAction names what ended an episode, where an action records that.
func pseudoAction(action string) gym.Cause {
	endings := []gym.Cause{gym.CauseFormat, gym.CauseContext, gym.CauseCost, gym.CauseAPI, gym.CauseError}
	if cause := gym.Cause(strings.TrimSpace(action)); slices.Contains(endings, cause) {
		return cause
	}
	return ""
}

func (p *publishedReader) finish(run *mlgym.Run, metric func(string) (string, runstore.Direction)) {
	s := p.s
	s.live = search.Finished
	if p.keep {
		s.memory += int64(p.kept) + 48*int64(len(s.texts))
	}
	h := &s.header
	t := run.Trailer
	if t.Statement != "" {
		text := strings.ToValidUTF8(t.Statement, "\uFFFD")
		s.steps[0].head, s.steps[0].observation, s.steps[0].lines = headOf(text), size32(len(text)), size32(lineCount(text))
		s.steps[0].has |= hasStep
		if len(text) <= maxKeptText {
			s.statement = text
			s.memory += int64(len(text))
		}
	}
	s.totals.CostUSD = nil
	if u := t.Usage; u.HasTokens {
		s.totals.TokensIn, s.totals.TokensOut, s.totals.Requests = count(u.TokensSent), count(u.TokensReceived), int(count(u.APICalls))
		s.totals.CostUSD = finite(u.RecordedCostTotal)
	}
	if t.HasExitStatus && t.ExitStatus != "" {
		status, err := gym.ParseExitStatus(t.ExitStatus)
		if err != nil {
			h.Reason = "MLGym's own words: " + t.ExitStatus
		}
		s.end = &endEvent{ExitStatus: status}
		s.status = t.ExitStatus
		s.happened(Event{Kind: EventEnd, Text: t.ExitStatus})
	}
	for _, problem := range run.Problems {
		if problem.Broken || problem.Missing && !run.HasResults && !run.HasTraj {
			h.State = search.Broken
		}
		note := problem.Note
		if problem.Missing {
			note = "is missing"
		}
		h.Problems = append(h.Problems, fmt.Sprintf("%s: %s", filepath.Base(problem.Path), note))
	}
	if h.State == search.Broken {
		s.live = search.Broken
	}
	p.scores(run, metric)
}

func count(x float64) int64 {
	if x >= 0 && x < 1e15 {
		return int64(x)
	}
	return 0
}

// scores gives the evaluations to the validations that were answered with a score;
// the one that is left over is that of the end.
func (p *publishedReader) scores(run *mlgym.Run, metric func(string) (string, runstore.Direction)) {
	s, h := p.s, &p.s.header
	if metric != nil {
		if name, d := metric(h.Task); name != "" {
			h.Metric, h.Direction = name, d
		}
	}
	attempts := run.Results.Attempts
	for _, scores := range append(slices.Clip(attempts), run.Results.Baseline) {
		if h.Metric == "" && len(scores) > 0 {
			h.Metric = scores[0].Name
		}
	}
	if len(run.Results.Baseline) > 0 {
		h.Baseline, _ = scoresOf(run.Results.Baseline)
		h.BaselineScore = scoreOf(h.Baseline, h.Metric)
	}
	matched := len(attempts) == len(p.graded) || len(attempts) == len(p.graded)+1
	if !matched && run.HasTraj {
		h.Problems = append(h.Problems, fmt.Sprintf("%d evaluations and %d validations with a score do not match; of no evaluation is known at which step it was made", len(attempts), len(p.graded)))
	}
	for i, scores := range attempts {
		ev := gym.Evaluation{Kind: gym.Validate}
		ev.Scores, ev.Message = scoresOf(scores)
		last := i == len(attempts)-1 && len(attempts) == len(p.graded)+1
		switch {
		case last:
			ev.Kind, ev.Step = gym.Submit, len(s.steps)-1
		case matched:
			ev.Step = p.graded[i]
		}
		from, to := s.addEvaluations([]gym.Evaluation{ev})
		s.evaluations[from].Final = last
		if ev.Step > 0 {
			x := s.steps[ev.Step].more()
			if x.to == 0 {
				x.from = from
			}
			x.to = to
		}
	}
}

// scoresOf are the scores of an evaluation, and what is to be said of those that
// are no finite numbers, which are left out.
func scoresOf(list mlgym.Scores) (gym.Scores, string) {
	out := gym.Scores{}
	var odd []string
	for _, m := range list {
		if finite(m.Value) == nil {
			odd = append(odd, fmt.Sprintf("the recorded %s is %v", m.Name, m.Value))
			continue
		}
		out[m.Name] = m.Value
	}
	return out, strings.Join(odd, "; ")
}

// errEnough stops the reading of a file.
var errEnough = errors.New("enough was read")

// publishedTexts fills in the texts of steps from a number on.
func (r *Run) publishedTexts(ctx context.Context, s *state, from int, steps []Step) error {
	fill := func(n int, t publishedStep) {
		if i := n - from; i >= 0 && i < len(steps) {
			steps[i].Thought, steps[i].Action, steps[i].Observation = t.thought, t.action, t.observation
		}
	}
	if from == 0 {
		steps[0].Observation = s.statement
	}
	last := from + len(steps) - 1
	if len(s.texts) >= last {
		for n := max(1, from); n <= last; n++ {
			fill(n, s.texts[n-1])
		}
		return nil
	}
	file, info, err := open(r.trajPath())
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	defer file.Close()
	if info.size != s.size {
		return ErrChanged
	}
	_, err = mlgym.ReadTraj(file, mlgym.FieldObservation|mlgym.FieldThought, func(st *mlgym.Step) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if st.Number >= from {
			fill(st.Number, publishedStep{string(st.Thought), string(st.Action), string(st.Observation)})
		}
		if st.Number >= last {
			return errEnough
		}
		return nil
	})
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("read the record: %w", err)
	}
	return nil
}
