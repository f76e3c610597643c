package demo

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"mlgym/agent"
	"mlgym/gym"
)

// starterCopy is where the starting point is kept, below the workspace.
const starterCopy = "starter_copy.py"

// Agent searches over candidate programs. It implements [agent.Agent] and
// [agent.Resumer].
type Agent struct {
	task  statement
	place place
	// then takes in the observation that the last action leads to; nil before
	// the first action.
	then func(text string)
	// next decides the next action.
	next func() agent.Turn

	// queue holds the candidates that are still to be tried, and refine makes
	// more of the best one, once.
	queue  []candidate
	refine func(best candidate) []candidate

	// starter is the score of the starting point, best the best so far; its
	// name is "" while that is the starting point.
	starter   *float64
	best      candidate
	bestScore *float64
	// current is what is in the file, with its number of lines.
	current      candidate
	currentLines int
	// mayEdit is false once an edit was refused.
	mayEdit   bool
	tried     int
	stepsLeft int
	submitted bool
}

// New returns an agent for one episode.
func New() *Agent { return &Agent{mayEdit: true} }

// Act implements [agent.Agent].
func (a *Agent) Act(ctx context.Context, obs gym.Observation) (agent.Turn, error) {
	if err := ctx.Err(); err != nil {
		return agent.Turn{}, err
	}
	a.stepsLeft = obs.StepsLeft
	switch {
	case a.submitted:
		return agent.Turn{Stop: gym.CauseError, StopReason: "submit did not end the episode"}, nil
	case a.next == nil:
		a.task = readStatement(obs.Text)
		a.next = a.look
	case a.then != nil:
		a.then(obs.Text)
	}
	switch {
	case a.stepsLeft == 1:
		return a.submit("This is the last step, so I submit what is there."), nil
	case a.stepsLeft == 2 && a.current.name != a.best.name:
		return a.restore(), nil
	}
	return a.next(), nil
}

// Resume implements [agent.Resumer]: the agent lives through the episode again,
// and refuses a record that is not its own. After an error the agent is of no
// further use.
func (a *Agent) Resume(ctx context.Context, first gym.Observation, turns []agent.Turn, observations []gym.Observation) error {
	if len(turns) != len(observations) {
		return fmt.Errorf("resuming: %d turns and %d observations", len(turns), len(observations))
	}
	*a = *New()
	obs := first
	for i, turn := range turns {
		again, err := a.Act(ctx, obs)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(again.Action, turn.Action) {
			return fmt.Errorf("resuming: action %d of the record is not what this agent does", i+1)
		}
		obs = observations[i]
	}
	return nil
}

func (a *Agent) do(thought, command string, then func(text string)) agent.Turn {
	a.then = then
	return agent.Turn{Thought: thought, Action: gym.Action{Command: command}}
}

func (a *Agent) look() agent.Turn {
	return a.do("A new task. First I look at which files there are.", "ls", func(string) { a.next = a.findFunction })
}

func (a *Agent) findFunction() agent.Turn {
	return a.do(
		"The task asks for a program. I look which function it has to provide.",
		`grep -nE '^def [A-Za-z_]+\(' *.py`,
		func(text string) {
			a.place = findPlace(text, a.task.files)
			if a.place.function == "" || a.task.metric == "" {
				a.next = a.giveUp
				return
			}
			a.next = a.open
		})
}

func (a *Agent) giveUp() agent.Turn {
	reason := "I know no candidates for this kind of task"
	if a.task.metric == "" {
		reason = "The statement does not say which metric counts"
	}
	return a.do(reason+", so I measure the starting point and leave it as it is.", "validate", func(string) {
		a.next = func() agent.Turn {
			return a.submit("There is nothing that I could improve here. I submit the starting point.")
		}
	})
}

func (a *Agent) open() agent.Turn {
	return a.do(
		fmt.Sprintf("%s is in %s. I read it before I change it.", a.place.function, a.place.file),
		"open "+a.place.file,
		func(text string) {
			a.currentLines = totalLines(text)
			a.queue, a.refine = candidates(a.place.function, a.task.text, text)
			a.next = a.keepStarter
		})
}

func (a *Agent) keepStarter() agent.Turn {
	return a.do("I keep a copy of the starting point, so that I can always go back to it.",
		fmt.Sprintf("cp %s %s", a.place.file, starterCopy),
		func(string) { a.next = a.measureStarter })
}

func (a *Agent) measureStarter() agent.Turn {
	return a.do("How good is the starting point? Without this number I could not tell whether a change helps.", "validate",
		func(text string) {
			a.starter = readScore(text, a.task.metric)
			a.bestScore = a.starter
			a.next = a.decide
		})
}

// decide tries the next candidate or comes to an end.
func (a *Agent) decide() agent.Turn {
	if len(a.queue) == 0 && a.refine != nil && a.best.name != "" {
		a.queue, a.refine = a.refine(a.best), nil
	}
	// A try takes an edit and a validation; after it, going back to the best and
	// submitting must still be possible.
	const steps = 4
	if len(a.queue) == 0 || a.stepsLeft >= 0 && a.stepsLeft < steps {
		return a.finish()
	}
	try := a.queue[0]
	a.queue = a.queue[1:]
	return a.write(try, fmt.Sprintf("%sCandidate %d, %s: %s", a.standing(), a.tried+1, try.name, try.idea))
}

func (a *Agent) write(try candidate, thought string) agent.Turn {
	a.tried++
	if !a.mayEdit || a.currentLines == 0 {
		return a.overwrite(try, thought)
	}
	command := fmt.Sprintf("edit 1:%d\n%send_of_edit", a.currentLines, try.source)
	return a.do(thought, command, func(text string) {
		if !strings.Contains(text, "File updated") {
			a.mayEdit = false
			a.next = func() agent.Turn {
				return a.overwrite(try, "The edit was not accepted, so I write the file with the shell instead.")
			}
			return
		}
		a.wrote(try)
	})
}

// overwrite writes the file through a here-document.
func (a *Agent) overwrite(try candidate, thought string) agent.Turn {
	command := fmt.Sprintf("cat > %s <<'END_OF_FILE'\n%sEND_OF_FILE", a.place.file, try.source)
	return a.do(thought, command, func(string) { a.wrote(try) })
}

func (a *Agent) wrote(try candidate) {
	a.current, a.currentLines = try, strings.Count(try.source, "\n")
	a.next = a.measure
}

func (a *Agent) measure() agent.Turn {
	try := a.current
	return a.do("What is it worth?", "validate", func(text string) {
		score := readScore(text, a.task.metric)
		try.score = score
		a.current = try
		if score != nil && (a.bestScore == nil || a.task.better(*score, *a.bestScore)) {
			a.best, a.bestScore = try, score
		}
		a.next = a.decide
	})
}

// standing says where the search stands.
func (a *Agent) standing() string {
	switch {
	case a.tried == 0 && a.starter == nil:
		return "The starting point has no score. "
	case a.tried == 0:
		return fmt.Sprintf("The starting point has %s %.4g. ", a.task.metric, *a.starter)
	case a.current.score == nil:
		return fmt.Sprintf("No score for %s. ", a.current.name)
	case a.current.name == a.best.name:
		return fmt.Sprintf("%s is the best so far with %s %.4g. ", a.current.name, a.task.metric, *a.current.score)
	default:
		return fmt.Sprintf("%s reaches %s %.4g, not better than %.4g. ", a.current.name, a.task.metric, *a.current.score, *a.bestScore)
	}
}

func (a *Agent) finish() agent.Turn {
	if a.current.name != a.best.name {
		return a.restore()
	}
	return a.submitBest()
}

// restore brings the best version back.
func (a *Agent) restore() agent.Turn {
	best := a.best
	then := func(string) {
		a.current = best
		a.next = a.submitBest
	}
	if best.name == "" {
		return a.do(a.standing()+"Nothing was better than the starting point, so I bring it back.",
			fmt.Sprintf("cp %s %s", starterCopy, a.place.file), then)
	}
	return a.do(fmt.Sprintf("%sThe best of %d was %s. I bring it back.", a.standing(), a.tried, best.name),
		fmt.Sprintf("cat > %s <<'END_OF_FILE'\n%sEND_OF_FILE", a.place.file, best.source), then)
}

func (a *Agent) submitBest() agent.Turn {
	if a.bestScore == nil {
		return a.submit("Nothing has a score. I submit what is there.")
	}
	if a.starter == nil {
		return a.submit(fmt.Sprintf("I submit %s: %s %.4g.", a.best.name, a.task.metric, *a.bestScore))
	}
	if a.best.name == "" {
		return a.submit(fmt.Sprintf("I submit the starting point: %s %.4g.", a.task.metric, *a.bestScore))
	}
	return a.submit(fmt.Sprintf("I submit %s: %s %.4g, against %.4g of the starting point. The best of several measurements looks "+
		"a little better than it is; the final score comes from a fresh one.", a.best.name, a.task.metric, *a.bestScore, *a.starter))
}

func (a *Agent) submit(thought string) agent.Turn {
	a.submitted = true
	return a.do(thought, "submit", nil)
}
