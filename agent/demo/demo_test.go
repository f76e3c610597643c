package demo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/agent/demo"
	"mlgym/gym"
)

var (
	_ agent.Agent   = (*demo.Agent)(nil)
	_ agent.Resumer = (*demo.Agent)(nil)
	_ gym.Env       = (*smallEnv)(nil)
)

// The partner of this game answers a 1 of ours with 1, and cooperates at random
// else, so that the best constant is 1.
const dilemma = `
import random
from strategy import row_strategy
rng = random.Random(7)
pay = {(0, 0): 3, (0, 1): 0, (1, 0): 5, (1, 1): 1}
total = 0
for game in range(100):
    history = []
    for r in range(10):
        mine = row_strategy(list(history))
        assert type(mine) is int and mine in (0, 1), mine
        theirs = rng.randrange(2)
        total += pay[mine, theirs]
        history.append((mine, theirs))
print(total / 1000)
`

const coordination = `
from strategy import row_strategy
total = 0
for r in range(10):
    mine = row_strategy([(0, 1)] * r)
    total += {0: 2, 1: 1}[mine] if mine == 0 else 0
print(total / 10)
`

const blotto = `
import random
from strategy import row_strategy
rng = random.Random(3)
total = 0
for game in range(1500):
    mine = row_strategy([])
    assert len(mine) == 6 and sum(mine) == 120 and min(mine) >= 0, mine
    draw = [rng.randint(0, 120) for _ in range(6)]
    theirs = [x * 120 // sum(draw) for x in draw]
    theirs[rng.randrange(6)] += 120 - sum(theirs)
    won = sum((a > b) - (a < b) for a, b in zip(mine, theirs))
    total += (won > 0) - (won < 0)
print(total / 1500)
`

// The number of decisions of a plain backtracking solver.
const sat = `
import random
from heuristic import heuristic_fn
rng = random.Random(5)
decisions = 0
def solve(clauses, assignments, conflicts, history, level):
    global decisions
    rest = [c for c in clauses if not any(abs(x) in assignments and assignments[abs(x)] == (x > 0) for x in c)]
    if not rest:
        return True
    for c in rest:
        if all(abs(x) in assignments for x in c):
            for x in c:
                conflicts[abs(x)] = conflicts.get(abs(x), 0) + 1
            return False
    decisions += 1
    variable, value = heuristic_fn([list(c) for c in rest], dict(assignments), dict(conflicts), list(history), list(level))
    assert type(variable) is int and type(value) is bool, (variable, value)
    assert variable not in assignments and any(variable in map(abs, c) for c in rest), variable
    for v in (value, not value):
        if solve(clauses, {**assignments, variable: v}, conflicts, history + [variable], level + [[variable]]):
            return True
    return False
for _ in range(12):
    clauses = [[rng.choice((-1, 1)) * v for v in rng.sample(range(1, 11), 3)] for _ in range(45)]
    solve(clauses, {}, {}, [], [])
print(decisions)
`

const (
	randomMoves = "import random\n\n\ndef row_strategy(history):\n    return random.Random(len(history)).randrange(2)\n"
	poorSplit   = "def row_strategy(history: list) -> list[int]:\n    return [120, 0, 0, 0, 0, 0]\n"
	lastOpen    = "def heuristic_fn(clauses, assignments, conflict_count, assignment_history, level):\n" +
		"    free = [abs(x) for c in clauses for x in c if abs(x) not in assignments]\n" +
		"    return (max(free), True) if free else (None, True)\n"
)

type played struct {
	turns        []agent.Turn
	observations []gym.Observation
	first        gym.Observation
}

func play(t *testing.T, env *smallEnv, a agent.Agent) played {
	t.Helper()
	obs, err := env.Reset(t.Context(), gym.ResetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := played{first: obs}
	for range 60 {
		turn, err := a.Act(t.Context(), obs)
		if err != nil {
			t.Fatal(err)
		}
		if turn.Stop != "" {
			t.Fatalf("the agent stopped: %+v", turn)
		}
		if turn.Thought == "" {
			t.Errorf("no thought with %q", turn.Action.Command)
		}
		transition, err := env.Step(t.Context(), turn.Action)
		if err != nil {
			t.Fatal(err)
		}
		obs = transition.Observation
		p.turns = append(p.turns, turn)
		p.observations = append(p.observations, obs)
		if transition.Done() {
			return p
		}
	}
	t.Fatalf("no end after 60 steps; the last commands: %q", env.commands[50:])
	return p
}

const facts = "Metric: %s (%s)\nSubmission: %s\n"

func game(t *testing.T, referee string) *smallEnv {
	t.Helper()
	return newEnv(t, "Play a repeated game.\n\n"+fmt.Sprintf(facts, "Score", "maximize", "strategy.py"), "Score", randomMoves, referee)
}

func TestFindsABetterProgram(t *testing.T) {
	for _, tt := range []struct {
		name    string
		env     func(t *testing.T) *smallEnv
		program string // first line of what is submitted
		steps   int    // at most
	}{
		{"defecting", func(t *testing.T) *smallEnv { return game(t, dilemma) }, "# always 1", 20},
		{"coordinating", func(t *testing.T) *smallEnv { return game(t, coordination) }, "# always 0", 20},
		{"dividing", func(t *testing.T) *smallEnv {
			text := "Split 120 soldiers over six battlefields.\n\n" + fmt.Sprintf(facts, "Score", "maximize", "strategy.py")
			return newEnv(t, text, "Score", poorSplit, blotto)
		}, "# even over ", 20},
		{"branching", func(t *testing.T) *smallEnv {
			text := "Choose variables.\n\n" + fmt.Sprintf(facts, "Decisions", "minimize", "heuristic.py")
			return newEnv(t, text, "Decisions", lastOpen, sat)
		}, "# ", 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := tt.env(t)
			before, err := env.grade(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p := play(t, env, demo.New())
			name := "strategy.py"
			if env.metric == "Decisions" {
				name = "heuristic.py"
			}
			text, err := os.ReadFile(filepath.Join(env.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(text), tt.program) {
				t.Errorf("submitted\n%s\nwant one that begins with %q", text, tt.program)
			}
			better := env.score > before
			if env.metric == "Decisions" {
				better = env.score < before
			}
			if !better {
				t.Errorf("score %v, starting point %v", env.score, before)
			}
			if n := len(p.turns); n > tt.steps || n < 10 {
				t.Errorf("took %d steps, want 10 to %d", n, tt.steps)
			}
			for _, o := range p.observations {
				if strings.Contains(o.Text, "could not be scored") {
					t.Errorf("a candidate is not a valid program: %s", o.Text)
				}
			}
		})
	}
}

func TestGoesBackToTheBest(t *testing.T) {
	t.Run("a candidate", func(t *testing.T) {
		env := game(t, coordination)
		play(t, env, demo.New())
		n := len(env.commands)
		if got := env.commands[n-2]; !strings.HasPrefix(got, "cat > strategy.py <<") {
			t.Errorf("before submit: %q, want the best program written back", got)
		}
	})
	t.Run("the starting point", func(t *testing.T) {
		env := newEnv(t, "A game.\n"+fmt.Sprintf(facts, "Score", "minimize", "strategy.py"), "Score",
			"# tuned\ndef row_strategy(history):\n    return 2\n",
			"import strategy; print({2: 0}.get(strategy.row_strategy([]), 1))")
		play(t, env, demo.New())
		text, err := os.ReadFile(filepath.Join(env.dir, "strategy.py"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# tuned") {
			t.Errorf("submitted\n%s\nwant the starting point, which nothing beats", text)
		}
	})
}

func TestEndsWithinStepLimit(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 6, 7, 8, 9, 10, 12} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			env := game(t, dilemma)
			env.steps = limit
			play(t, env, demo.New())
			if env.step > limit {
				t.Errorf("took %d steps of %d", env.step, limit)
			}
			for i, c := range env.commands {
				if strings.HasPrefix(c, "edit") && env.commands[i+1] != "validate" {
					t.Errorf("what was written at step %d was not measured, but followed by %q", i+1, env.commands[i+1])
				}
			}
			if limit >= 9 && env.score < 2 {
				t.Errorf("with %d steps the score is %v; the first candidates reach more", limit, env.score)
			}
		})
	}
}

func TestUnknownTask(t *testing.T) {
	for _, tt := range []struct{ name, statement, starter string }{
		{"unknown function", "Do.\n" + fmt.Sprintf(facts, "Score", "maximize", "strategy.py"), "def predict(x):\n    return x\n"},
		{"no metric", "Do.\n", randomMoves},
		{"another file is handed in", "Do.\n" + fmt.Sprintf(facts, "Score", "maximize", "out.csv"), randomMoves},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := newEnv(t, tt.statement, "Score", tt.starter, "print(1)")
			play(t, env, demo.New())
			n := len(env.commands)
			if diff := cmp.Diff([]string{"validate", "submit"}, env.commands[n-2:]); diff != "" {
				t.Errorf("last commands (-want +got):\n%s", diff)
			}
			text, err := os.ReadFile(filepath.Join(env.dir, "strategy.py"))
			if err != nil || string(text) != tt.starter {
				t.Errorf("the starting point was changed: %q, %v", text, err)
			}
		})
	}
}

// scripted answers the same to everything of a kind.
func scripted(answers map[string]string, command string) string {
	for prefix, answer := range answers {
		if strings.HasPrefix(command, prefix) {
			return answer
		}
	}
	return ""
}

func TestRefusedEditAndMissingScores(t *testing.T) {
	answers := map[string]string{
		"grep":     "strategy.py:3:def row_strategy(history):\n",
		"open":     "[File: /workspace/strategy.py (4 lines total)]\n1:x\n",
		"edit":     "Nothing was changed. ERRORS:\n",
		"validate": "There is no score.\n",
	}
	a := demo.New()
	obs := gym.Observation{Text: "Do.\n" + fmt.Sprintf(facts, "Score", "maximize", "strategy.py"), StepsLeft: -1}
	var commands []string
	for range 40 {
		turn, err := a.Act(t.Context(), obs)
		if err != nil {
			t.Fatal(err)
		}
		commands = append(commands, turn.Action.Command)
		if turn.Action.Command == "submit" {
			break
		}
		obs.Text = scripted(answers, turn.Action.Command)
	}
	edits, writes := 0, 0
	for _, c := range commands {
		if strings.HasPrefix(c, "edit") {
			edits++
		}
		if strings.HasPrefix(c, "cat >") {
			writes++
		}
	}
	if edits != 1 || writes < 5 {
		t.Errorf("%d edits and %d writes through the shell; want 1 and all candidates", edits, writes)
	}
	n := len(commands)
	if diff := cmp.Diff([]string{"cp starter_copy.py strategy.py", "submit"}, commands[n-2:]); diff != "" {
		t.Errorf("last commands (-want +got):\n%s", diff)
	}
	if turn, err := a.Act(t.Context(), obs); err != nil || turn.Stop != gym.CauseError {
		t.Errorf("after submit: %+v, %v; want a stop", turn, err)
	}
}

func TestResumeContinuesAsWithoutTheCut(t *testing.T) {
	env := game(t, dilemma)
	p := play(t, env, demo.New())
	for cut := range p.turns {
		a := demo.New()
		if err := a.Resume(t.Context(), p.first, p.turns[:cut], p.observations[:cut]); err != nil {
			t.Fatal(err)
		}
		obs := p.first
		if cut > 0 {
			obs = p.observations[cut-1]
		}
		turn, err := a.Act(t.Context(), obs)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.turns[cut], turn); diff != "" {
			t.Errorf("after a cut at %d (-without +with):\n%s", cut, diff)
		}
	}
	foreign := []agent.Turn{{Action: gym.Action{Command: "pwd"}}}
	if err := demo.New().Resume(t.Context(), p.first, foreign, p.observations[:1]); err == nil {
		t.Error("a record of another agent was resumed")
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := demo.New().Act(ctx, gym.Observation{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}

func ExampleNew() {
	turn, _ := demo.New().Act(context.Background(), gym.Observation{Text: "Metric: Score (maximize)", StepsLeft: 50})
	fmt.Println(turn.Thought)
	fmt.Println(turn.Action.Command)
	// Output:
	// A new task. First I look at which files there are.
	// ls
}
