package grader_test

import (
	"math"
	"testing"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/task"
)

// shipped says of tasks that need no environment what honest play gives. What
// cheats get is tried by package taskcheck, for every task.
var shipped = []struct {
	id   task.ID
	file string
	// tolerance for the baseline's score against ours and the published one,
	// in the variant full for games (seconds), in small for 3SATTime.
	variant   string
	tolerance float64
}{
	{"battleOfSexes", "strategy.py", task.Full, 0.015},
	{"prisonersDilemma", "strategy.py", task.Full, 0.025},
	{"blotto", "strategy.py", task.Full, 0.012},
	{"3SATTime", "heuristic.py", task.Small, 3},
}

func TestBaselineAndReferenceScoreAsTheyShould(t *testing.T) {
	driver := newDriver(t)
	for _, tt := range shipped {
		t.Run(string(tt.id), func(t *testing.T) {
			what := find(t, tt.id)
			box := newAgent(t, driver)
			score := func(text string, kind gym.Kind) gym.Evaluation {
				put(t, box, map[string]string{tt.file: text})
				got := grade(t, driver, grader.Request{Task: what, Submission: box.Files(), Kind: kind, Variant: tt.variant})
				if got.Problem != gym.Scored || got.Kind != kind || got.Seconds <= 0 || got.At.IsZero() {
					t.Fatalf("got %+v, want a score", got)
				}
				return got
			}
			name := what.Primary().Name
			baseline := score(read(t, string(tt.id), "starter", tt.file), gym.Submit)
			for origin, want := range map[string]float64{
				"published": what.PublishedBaseline.Scores[name],
				"ours":      what.Baseline(tt.variant).Scores[name],
			} {
				if got := baseline.Scores[name]; math.Abs(got-want) > tt.tolerance {
					t.Errorf("baseline: got %v, want %v (%s) ± %v", got, want, origin, tt.tolerance)
				}
			}
			reference := score(read(t, string(tt.id), "tests", "reference.py"), gym.Validate)
			if b, r := baseline.Scores[name], reference.Scores[name]; !what.Primary().Better(r, b) {
				t.Errorf("reference: got %v, want better than the baseline's %v", r, b)
			}
			if reference.Details["suspicious"] != 0 {
				t.Errorf("the reference's score %v is marked as suspicious", reference.Scores)
			}
		})
	}
}

func TestSeeds(t *testing.T) {
	driver := newDriver(t)
	what := find(t, "prisonersDilemma")
	box := newAgent(t, driver)
	put(t, box, map[string]string{"strategy.py": read(t, "prisonersDilemma", "starter", "strategy.py")})
	g := grader.New(driver, grader.Options{})
	score := func(kind gym.Kind, mode task.Mode, attempt int, secret string) float64 {
		got, err := g.Grade(t.Context(), grader.Request{
			Task: what, Submission: box.Files(), Kind: kind, Mode: mode, Variant: task.Small,
			Key: []byte(secret), Attempt: attempt,
		})
		if err != nil || got.Problem != gym.Scored {
			t.Fatalf("%+v %v", got, err)
		}
		return got.Scores["Score"]
	}
	const one, two = "0123456789abcdef", "0123456789abcdeF"
	first := score(gym.Validate, task.Hardened, 1, one)
	for _, tt := range []struct {
		name string
		got  float64
		same bool
	}{
		{"hardened, the same again", score(gym.Validate, task.Hardened, 1, one), true},
		{"hardened, a later attempt", score(gym.Validate, task.Hardened, 7, one), true},
		{"hardened, submit", score(gym.Submit, task.Hardened, 1, one), false},
		{"hardened, another run", score(gym.Validate, task.Hardened, 1, two), false},
		{"published, attempt 1", score(gym.Validate, task.Published, 1, one), false},
		{"published, attempt 2", score(gym.Validate, task.Published, 2, one), false},
	} {
		if (tt.got == first) != tt.same {
			t.Errorf("%s: got %v after %v at first, want the same: %v", tt.name, tt.got, first, tt.same)
		}
	}
	again := score(gym.Validate, task.Published, 2, one)
	if other := score(gym.Validate, task.Published, 3, one); other == again {
		t.Errorf("published: attempts 2 and 3 both got %v, want fresh numbers", again)
	}
}
