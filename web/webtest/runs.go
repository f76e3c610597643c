package webtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mlgym/agent"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// Step is a step of a made-up run.
type Step struct {
	Action, Thought, Observation string
	// Score of a validation in this step; NaN where there is none.
	Score float64
	// Seconds that the agent thought.
	Seconds float64
}

// Episode is a made-up run that is being written.
type Episode struct {
	Dir    string
	tb     testing.TB
	run    *runstore.Run
	record *trajectory.Writer
	n      int
	at     time.Time
	last   *gym.Evaluation
}

// Began is when made-up runs begin. It is constant, so that pictures of pages are
// the same each time.
var Began = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// Begin begins a run in a folder. Fields of the manifest that are empty are filled.
func Begin(tb testing.TB, dir string, m runstore.Manifest) *Episode {
	tb.Helper()
	fill := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	fill(&m.Task, "battleOfSexes")
	fill(&m.TaskVersion, "1.0.0")
	fill(&m.Agent, "llm")
	fill(&m.Mode, "hardened")
	fill(&m.Variant, "full")
	fill(&m.PrimaryMetric, "Score")
	fill(&m.MlgymVersion, "0.1.0")
	if m.Direction == "" {
		m.Direction = runstore.Maximize
	}
	if m.Baseline == nil {
		m.Baseline = gym.Scores{m.PrimaryMetric: 1.02}
	}
	if m.Created.IsZero() {
		m.Created = Began
	}
	run, err := runstore.Create(dir, m)
	if err != nil {
		tb.Fatal(err)
	}
	e := &Episode{Dir: dir, tb: tb, run: run, at: m.Created}
	if e.record, err = run.Trajectory(nil); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(e.Leave)
	e.Put(trajectory.Event{Reset: &trajectory.Reset{Seed: m.Seed, Seconds: 0.2, Observation: gym.Observation{
		Text: "# Battle of the sexes\n\nWrite a strategy into `strategy.py` that earns as much as it can over ten rounds.\n\n- `validate` scores what is there\n- `submit` ends the episode\n", StepsLeft: 50, WorkingDir: "/home/agent/workspace",
	}}})
	return e
}

// Put writes an event.
func (e *Episode) Put(event trajectory.Event) {
	e.tb.Helper()
	if event.At.IsZero() {
		e.at = e.at.Add(time.Second)
		event.At = e.at
	}
	if err := e.record.Write(event); err != nil {
		e.tb.Fatal(err)
	}
}

// Add writes steps.
func (e *Episode) Add(steps ...Step) {
	e.tb.Helper()
	for _, s := range steps {
		e.n++
		action := gym.Action{Command: s.Action}
		cost := 0.0021
		e.at = e.at.Add(time.Duration(s.Seconds * float64(time.Second)))
		e.Put(trajectory.Event{Turn: &trajectory.Turn{Step: e.n, Seconds: s.Seconds, Turn: agent.Turn{
			Action: action, Thought: s.Thought,
			Exchanges: []agent.Exchange{{
				Messages:      []model.Message{{Role: model.User, Text: fmt.Sprintf("(open file: n/a)\n(step %d)\nbash-$", e.n)}},
				HistoryLength: 2 * e.n,
				Response: &model.Response{
					Message: model.Message{Role: model.Assistant, Text: s.Thought + "\n```\n" + s.Action + "\n```"}, StopReason: model.StopEnd, Usage: model.Usage{InputTokens: 900 + 40*int64(e.n), OutputTokens: 120}, CostUSD: &cost,
				},
			}},
		}}})
		t := gym.Transition{Observation: gym.Observation{Text: s.Observation, Step: e.n, StepsLeft: 50 - e.n, WorkingDir: "/home/agent/workspace"}}
		t.Info.Seconds = 0.3
		if !math.IsNaN(s.Score) && s.Score != 0 {
			e.last = &gym.Evaluation{Kind: gym.Validate, Step: e.n, Scores: gym.Scores{"Score": s.Score}, Seconds: 0.4, At: e.at}
			t.Info.Evaluations = []gym.Evaluation{*e.last}
		}
		e.Put(trajectory.Event{Step: &trajectory.Step{Step: e.n, Action: action, Transition: t}})
	}
}

// Finish ends the episode with a score: submitted.
func (e *Episode) Finish(score float64) {
	e.tb.Helper()
	final := gym.Evaluation{Kind: gym.Submit, Step: e.n, Scores: gym.Scores{"Score": score}, At: e.at}
	e.Put(trajectory.Event{End: &trajectory.End{
		ExitStatus: gym.EndedBy(gym.CauseSteps, final), Cause: gym.CauseSteps, Final: &final,
		Transition: &gym.Transition{Truncated: true, Info: gym.Info{Evaluations: []gym.Evaluation{final}}},
	}})
	if err := e.record.Close(); err != nil {
		e.tb.Fatal(err)
	}
	if _, err := e.run.Seal(); err != nil {
		e.tb.Fatal(err)
	}
	e.Leave()
}

// Leave lets go of the run as it is, as a process does that is killed.
func (e *Episode) Leave() {
	_ = e.record.Close()
	_ = e.run.Close()
}

// Submission puts a file into the folder of an evaluation's files.
func (e *Episode) Submission(evaluation string, name string, body []byte) {
	e.tb.Helper()
	path := filepath.Join(e.Dir, "submission", evaluation, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		e.tb.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		e.tb.Fatal(err)
	}
}

// Hostile is text that would do something if a page took it for its own.
const Hostile = `<script>window.pwned=1</script><img src=x onerror="window.pwned=1"></pre></div><style>body{display:none}</style>` +
	`<a href="javascript:window.pwned=1">click</a> {{.Secret}} </script> <!-- --> <iframe srcdoc="<script>parent.pwned=1</script>"></iframe> ` + "\x1b[31mred\x1b[0m \u202egnp.exe \x07"

// Ordinary writes the steps of a short and plausible attempt, and ends it.
func (e *Episode) Ordinary(score float64) {
	e.tb.Helper()
	e.Add(
		Step{Action: "ls -la", Thought: "I look at what is there.", Observation: "total 12\n-rw-r--r-- 1 agent agent  312 baseline.py\n-rw-r--r-- 1 agent agent  201 strategy.py\n", Seconds: 2.1},
		Step{Action: "cat strategy.py", Thought: "Now the **starter**: what does it play?\n\n1. its inputs\n2. its moves", Observation: "def strategy(history):\n    return 0\n", Seconds: 1.4},
		Step{Action: "validate", Thought: "First the baseline.", Observation: "Your score: 1.02\n", Score: 1.02, Seconds: 0.9},
		Step{Action: "edit 1:2 <<end_of_edit\ndef strategy(history):\n    if not history:\n        return 0\n    return history[-1][1]\nend_of_edit", Thought: "Follow the other one.", Observation: "File: strategy.py (4 lines)\n1:def strategy(history):\n2:    if not history:\n3:        return 0\n4:    return history[-1][1]\n", Seconds: 3.2},
		Step{Action: "python strategy.py && echo $?", Observation: "\x1b[32mok\x1b[0m\n0\n", Seconds: 1.2},
		Step{Action: "cat > train.py <<'EOF'\nimport numpy as np\n\nrng = np.random.default_rng(0)\nprint(rng.random())\nEOF\npython train.py", Thought: "A small search over the probabilities.", Observation: "epoch 1 loss 0.91\repoch 2 loss 0.64\repoch 3 loss 0.52\n0.6369616873214543\n", Seconds: 4.8},
		Step{Action: "validate", Thought: "How good is it?", Observation: fmt.Sprintf("Your score: %g\n", score), Score: score, Seconds: 1.1},
	)
	e.Finish(score)
}

// Long writes steps until the record has about the given size, one of which has an
// observation of one-1.8 MB; the record has thousands of steps if size allows.
func (e *Episode) Long(size int, observation int) {
	e.tb.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	line := func() string {
		var b strings.Builder
		for range 9 {
			fmt.Fprintf(&b, "loss=%.5f ", r.Float64())
		}
		return b.String()
	}
	big := strings.Repeat(line()+"\n", observation/100)
	e.Add(Step{Action: "python train.py --verbose", Thought: "Train.", Observation: big, Seconds: 3})
	actions := []string{"ls", "cat train.py", "python evaluate.py", "edit 3:4 <<end_of_edit\nx = 1\nend_of_edit", "grep -n loss log.txt", "sed -i s/0.1/0.2/ train.py"}
	for written := len(big); written < size; {
		s := Step{Action: actions[r.IntN(len(actions))], Thought: "Step by step: " + line(), Observation: strings.Repeat(line()+"\n", 1+r.IntN(8)), Seconds: r.Float64() * 4}
		if e.n%97 == 0 {
			s.Action, s.Score = "validate", 1+r.Float64()/2
		}
		written += len(s.Action) + len(s.Thought) + len(s.Observation) + 700
		e.Add(s)
	}
}
