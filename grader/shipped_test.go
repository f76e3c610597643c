package grader_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mlgym/grader"
	"mlgym/gym"
	"mlgym/task"
)

// shipped says of each task that ships what honest play gives.
var shipped = []struct {
	id   task.ID
	file string
	// tolerance for the baseline's score against ours and the published one,
	// in the variant full for games (seconds), in small for 3SATTime.
	variant   string
	tolerance float64
	// best is what honest play reaches; cheat is the variant cheats are tried
	// in, and slack what chance adds there (five standard errors).
	best, slack float64
}{
	{"battleOfSexes", "strategy.py", task.Full, 0.015, 1.44, 0.06},
	{"prisonersDilemma", "strategy.py", task.Full, 0.025, 2.6251, 0.12},
	{"blotto", "strategy.py", task.Full, 0.012, 0.2465, 0.07},
	// The time is a measurement; its bound is where the alarm is.
	{"3SATTime", "heuristic.py", task.Small, 3, 5.5, 0},
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

func TestPlayersThatDoNothingHaveNoScore(t *testing.T) {
	driver := newDriver(t)
	for _, tt := range shipped {
		t.Run(string(tt.id), func(t *testing.T) {
			box := newAgent(t, driver)
			put(t, box, map[string]string{tt.file: read(t, string(tt.id), "tests", "null.py")})
			got := grade(t, driver, grader.Request{Task: find(t, tt.id), Submission: box.Files(), Variant: task.Small})
			if got.Problem != gym.Invalid || got.Scores != nil || got.Message == "" {
				t.Errorf("got %+v, want no score, a problem and a message", got)
			}
		})
	}
}

func TestCheatsGainNothing(t *testing.T) {
	driver := newDriver(t)
	for _, tt := range shipped {
		what := find(t, tt.id)
		what.Grading.Player.AnswerTimeout = 3 * time.Second // for those that stall
		if tt.id == "3SATTime" {
			what.Variants[task.Small].Parameters["formulas"] = 400
		}
		cheats, err := filepath.Glob(filepath.Join("..", "tasks", string(tt.id), "tests", "cheats", "*.py"))
		if err != nil || len(cheats) < 8 {
			t.Fatalf("%s: got %d cheats (%v), want at least 8", tt.id, len(cheats), err)
		}
		for _, path := range cheats {
			t.Run(string(tt.id)+"/"+strings.TrimSuffix(filepath.Base(path), ".py"), func(t *testing.T) {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				logs := t.TempDir()
				box := newAgent(t, driver)
				put(t, box, map[string]string{tt.file: string(text)})
				got, err := grader.New(driver, grader.Options{}).Grade(t.Context(), grader.Request{
					Task: what, Submission: box.Files(), Kind: gym.Submit, Variant: task.Small, Key: key, LogDir: logs,
				})
				if err != nil {
					showLogs(t, logs)
					t.Fatalf("an error, which says that it was our fault: %v", err)
				}
				m := what.Primary()
				limit := tt.best + tt.slack
				if m.Direction == task.Minimize {
					limit = tt.best - tt.slack
				}
				switch {
				case got.Problem == gym.Scored && m.Better(got.Scores[m.Name], limit):
					t.Errorf("got %v, honest play reaches %v", got.Scores, tt.best)
				case got.Problem != gym.Scored && (got.Scores != nil || got.Message == ""):
					t.Errorf("got %+v, want no score and a message", got)
				}
				t.Logf("%v %s %s", got.Scores, got.Problem, got.Message)
				assertNothingFound(t, logs)
			})
		}
	}
}

// assertNothingFound reads what the searching cheats print.
func assertNothingFound(t *testing.T, logs string) {
	t.Helper()
	players, err := filepath.Glob(filepath.Join(logs, "player-*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range players {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "found: ") && line != "found: nothing\n" {
				t.Errorf("%s: %s", filepath.Base(path), line)
			}
		}
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
