package board

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"mlgym/experiment"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// status makes the status of an experiment that is under way.
func status(tasks, agents []string, seeds int, states string) experiment.Status {
	metrics := map[string]string{"prisonersDilemma": "Score", "imageClassificationCifar10": "accuracy", "regressionKaggleHousePrice": "r2"}
	s := experiment.Status{Name: "scaffolds-and-models", Active: true, Parallel: 4}
	i := 0
	for _, task := range tasks {
		for _, agent := range agents {
			for seed := range seeds {
				e := experiment.EpisodeStatus{
					ID: experiment.ID(fmt.Sprintf("%016x", i)), Name: fmt.Sprintf("%s-%s-%d", task, agent, seed+1),
					Task: task, Variant: "full", Agent: agent, Seed: uint64(seed + 1), Metric: metrics[task], State: experiment.Waiting,
				}
				if i < len(states) {
					fill(&e, rune(states[i]), i)
				}
				s.Add(e.State)
				if e.CostUSD != nil {
					s.Spent.USD += *e.CostUSD
				}
				s.Spent.Tokens += e.TokensIn + e.TokensOut
				s.Episodes = append(s.Episodes, e)
				i++
			}
		}
	}
	s.CostUSD = s.Spent.USD
	s.Spent.Hours = 2.24
	s.Budget = experiment.Limits{USD: 50, Tokens: 40e6}
	s.PerHour = 9.5
	s.Remaining = new(float64((s.Running+s.Waiting)*3600) / 9.5)
	s.RemainingUSD = new(0.42 * float64(s.Waiting))
	return s
}

func fill(e *experiment.EpisodeStatus, state rune, i int) {
	value := float64((i*37)%100) / 100
	e.Attempt = 1
	e.At = noon.Add(-time.Duration((i*7)%13) * time.Second)
	e.MaxSteps, e.Step = 50, 1+(i*11)%49
	e.CostUSD, e.Seconds = new(0.013*float64(e.Step)), float64(e.Step)*23.4
	e.TokensIn, e.TokensOut = int64(e.Step)*4100, int64(e.Step)*300
	switch state {
	case 'R':
		e.State = experiment.Running
		e.Phase = []string{"thinking", "acting", "resetting", "finishing"}[i%4]
		if i%3 > 0 {
			e.Score = &value
		}
	case 'Q': // for long without a sign
		e.State, e.Phase, e.At, e.Attempt = experiment.Running, "acting", noon.Add(-11*time.Minute), 3
	case 'D':
		e.State, e.ExitStatus, e.Best, e.Submission = experiment.Done, "submission", &value, &value
		if i%4 == 1 {
			e.ExitStatus = "autosubmission (max_steps)"
		}
	case 'N':
		e.State, e.ExitStatus, e.CostUSD = experiment.Done, "submission_not_found (exit_context)", nil
	case 'F':
		e.State, e.Attempt = experiment.Failed, 3
		e.Message = "the model's server: 401 Unauthorized: the key is not known; set OPENAI_API_KEY to one that is valid"
	case 'S':
		e.State, e.Attempt = experiment.Skipped, 0
		e.Message = "needs a GPU with 16 GiB, and there is none here"
	case 'W':
		e.State, e.Message = experiment.Waiting, "again in 40s: the model's server is overloaded"
	}
}

var (
	threeTasks = []string{"prisonersDilemma", "imageClassificationCifar10", "regressionKaggleHousePrice"}
	fourAgents = []string{"demo", "gpt-5-mini", "claude-sonnet-plan", "qwen-local"}
)

// pictures are the statuses that golden files show.
func pictures() map[string]experiment.Status {
	underWay := status(threeTasks, fourAgents, 5, "DDDDDDDDNDDDDFDDDDDDDSRDRRDQW")
	stopping := underWay
	stopping.Stopping = "the budget of $50.00 is spent"
	stopping.RemainingUSD = new(61.2)
	wide := status(threeTasks, fourAgents, 30, strings.Repeat("DDDR", 20)+strings.Repeat("R", 40)+strings.Repeat("F", 9))
	wide.Parallel = 60
	finished := status(threeTasks[:1], fourAgents[:2], 2, "DDDD")
	finished.Active, finished.Remaining, finished.RemainingUSD = false, nil, nil
	hostile := status(threeTasks, fourAgents, 1, "RDFWRR")
	hostile.Name = "\x1b[2J\x1b[Hgrid\r\nnew\tline \u202eevil"
	for i, name := range []string{
		"\x1b]0;title\x07red\x1b[31m", "実験-プリズナーズ-ジレンマ-エージェント-壱", "z" + strings.Repeat("\u0301", 40) + "algo", "bell\a\b\b\bnul\x00\x9b2J",
		"\xff\xfe not UTF-8", "👩‍👩‍👧‍👦-family-👍🏽-🇨🇭-1️⃣",
	} {
		hostile.Episodes[i].Name = name
		if hostile.Episodes[i].Message != "" {
			hostile.Episodes[i].Message = "first line\nsecond \x1b[5mline\x1b[0m\r" + name
		}
	}
	return map[string]experiment.Status{
		"empty": {}, "planned": status(threeTasks, fourAgents, 2, ""),
		"under-way": underWay, "stopping": stopping, "wide": wide, "finished": finished, "hostile": hostile,
	}
}

func TestRenderGolden(t *testing.T) {
	for name, s := range pictures() {
		for _, size := range [][2]int{{80, 24}, {120, 40}, {40, 10}} {
			file := fmt.Sprintf("%s-%dx%d", name, size[0], size[1])
			t.Run(file, func(t *testing.T) {
				lines := Render(s, Options{Width: size[0], Height: size[1], Now: noon})
				checkPicture(t, lines, size[0], size[1])
				got := strings.Join(lines, "\n") + "\n"
				path := filepath.Join("testdata", file+".txt")
				if *update {
					if err := os.MkdirAll("testdata", 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("the picture differs from %s (-want +got); look at it, and if it is right, run the test with -update:\n%s", path, diff)
				}
			})
		}
	}
}

// checkPicture holds what is true of every picture.
func checkPicture(t *testing.T, lines []string, columns, height int) {
	t.Helper()
	if len(lines) > height || len(lines) == 0 {
		t.Errorf("%d lines, want 1 to %d", len(lines), height)
	}
	for i, l := range lines {
		// Terminals differ in what they join into one character.
		if w := max(ansi.StringWidth(l), ansi.StringWidthWc(l)); w > columns {
			t.Errorf("line %d takes %d columns, want %d at most: %q", i+1, w, columns, l)
		}
		if !utf8.ValidString(l) {
			t.Errorf("line %d is not UTF-8: %q", i+1, l)
		}
		if at := strings.IndexFunc(l, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }); at >= 0 {
			t.Errorf("line %d has a control character at byte %d: %q", i+1, at, l)
		}
	}
}

// TestRenderAnything draws random statuses at random sizes.
func TestRenderAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 23))
	for i := range 800 {
		s, o := randomStatus(rng), Options{Width: 1 + rng.IntN(140), Height: 1 + rng.IntN(60), Now: noon}
		if rng.IntN(4) == 0 {
			o.Now = time.Time{}
		}
		lines := Render(s, o)
		checkPicture(t, lines, o.Width, o.Height)

		// Colours change nothing but colours.
		o.Color = true
		for n, colored := range Render(s, o) {
			if stripped := ansi.Strip(colored); stripped != lines[n] {
				t.Errorf("line %d with colours is %q, without %q", n+1, stripped, lines[n])
			}
		}
		if t.Failed() {
			t.Fatalf("status %d, %dx%d: %+v", i, o.Width, o.Height, s)
		}
	}
}

func randomStatus(rng *rand.Rand) experiment.Status {
	number := func() float64 {
		switch rng.IntN(12) {
		case 0:
			return math.NaN()
		case 1:
			return math.Inf(1 - 2*rng.IntN(2))
		case 2:
			return -rng.Float64()
		default:
			return rng.Float64() * math.Pow(10, float64(rng.IntN(12)-3))
		}
	}
	maybe := func() *float64 {
		if rng.IntN(3) == 0 {
			return nil
		}
		return new(number())
	}
	text := func() string {
		pieces := []string{
			"prisoner", "-", "é", "e\u0301\u0302\u0303\u0304\u0305", "実", "👩‍👩‍👧", "🇨🇭", "👍🏽", "❤️", "1️⃣", "\x1b[31m", "\x1b", "\x9b", "\u009b", "\xff", "\r", "\n", "\t", " ",
			"\u202e", "\u200b", "\ufeff", "ก็็็", "नमस्ते", "한", "\u1112\u1161\u11ab", "ﷺ", "\U0001F3FB", "\x1b]8;;http://x\x07", "\u2028", "\x7f", "ẞ", "\u0600",
		}
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		return b.String()
	}
	states := []experiment.State{experiment.Waiting, experiment.Running, experiment.Done, experiment.Failed, experiment.Skipped, "odd"}
	s := experiment.Status{
		Name: text(), Active: rng.IntN(2) == 0, Parallel: rng.IntN(5), PerHour: number(), Remaining: maybe(), RemainingUSD: maybe(),
		Spent:  experiment.Spent{USD: number(), Unpriced: rng.IntN(3), Tokens: int64(rng.Uint64()), Hours: number()},
		Budget: experiment.Limits{USD: number() * float64(rng.IntN(2)), Tokens: rng.Int64N(1e9), Hours: number()},
	}
	if rng.IntN(3) == 0 {
		s.Stopping = text()
	}
	tasks, agents := 1+rng.IntN(12), 1+rng.IntN(12)
	var names [24]string
	for i := range names {
		names[i] = text()
	}
	for range rng.IntN(120) {
		e := experiment.EpisodeStatus{
			Name: text(), Task: names[rng.IntN(tasks)], Variant: text(), Agent: names[12+rng.IntN(agents)], State: states[rng.IntN(len(states))],
			Attempt: rng.IntN(1200), Metric: text(), Best: maybe(), ExitStatus: text(), Message: text(),
		}
		e.Progress = experiment.Progress{
			Phase: text(), Step: rng.IntN(2000), MaxSteps: rng.IntN(2) * rng.IntN(2000), Score: maybe(), CostUSD: maybe(), Seconds: number(),
			At: noon.Add(-time.Duration(rng.Int64N(int64(time.Hour)))),
		}
		s.Add(e.State)
		s.Episodes = append(s.Episodes, e)
	}
	if rng.IntN(8) == 0 { // what a file with nonsense may say
		s.Counts = experiment.Counts{Total: rng.IntN(9) - 3, Done: rng.IntN(9) - 3, Running: rng.IntN(1e9), Failed: -1}
	}
	return s
}

// TestFailuresAreSeen: however much else there is, a failure has a line, and its
// column in the bar.
func TestFailuresAreSeen(t *testing.T) {
	s := status(threeTasks, fourAgents, 800, strings.Repeat("R", 4000)+"F"+strings.Repeat("D", 4000))
	for _, size := range [][2]int{{80, 24}, {120, 40}, {40, 10}} {
		text := strings.Join(Render(s, Options{Width: size[0], Height: size[1], Now: noon}), "\n")
		for _, want := range []string{"×", "\nF "} {
			if !strings.Contains(text, want) {
				t.Errorf("at %dx%d the picture has no %q:\n%s", size[0], size[1], want, text)
			}
		}
	}
}

// TestColorsSayNothingAlone: without colours every state has a letter, a glyph
// and a word.
func TestColorsSayNothingAlone(t *testing.T) {
	text := strings.Join(Render(status(threeTasks, fourAgents, 3, "RDFSW"), Options{Width: 80, Height: 24, Now: noon}), "\n")
	for _, want := range []string{"\nR ", "\nD ", "\nF ", "\nS ", "\nW ", "█ 1 done", "▒ 1 running", "░ 32 waiting", "× 1 failed", "- 1 skipped"} {
		if !strings.Contains(text, want) {
			t.Errorf("the picture has no %q:\n%s", want, text)
		}
	}
}

func TestDivide(t *testing.T) {
	for _, tt := range []struct {
		numbers []int
		columns int
		want    []int
	}{
		{[]int{1, 1}, 10, []int{5, 5}},
		{[]int{10000, 1, 0}, 10, []int{9, 1, 0}},
		{[]int{1000, 1, 1, 1}, 5, []int{2, 1, 1, 1}},
		{[]int{1, 1, 1}, 10, []int{4, 3, 3}},
		{[]int{0, 0}, 10, []int{0, 0}},
		{[]int{5, 5, 5}, 2, []int{0, 0, 0}},
	} {
		if diff := cmp.Diff(tt.want, divide(tt.numbers, tt.columns)); diff != "" {
			t.Errorf("divide(%v, %d) (-want +got):\n%s", tt.numbers, tt.columns, diff)
		}
	}
}

func TestPlain(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"as it is", "as it is"},
		{"  two\n\nlines\t ", "two lines"},
		{"\x1b[31mred\x1b[0m \x1b]0;title\x07x", "red x"},
		{"c1 \u009b31mred", "c1 31mred"},
		{"bell\a nul\x00 del\x7f", "bell nul del"},
		{"\u202egnp.exe", "gnp.exe"},
		{"e\u0301t\u00e9", "e\u0301t\u00e9"},
		{"\u0301\u0301x", "x"},
		{"z" + strings.Repeat("\u0301", 9), "z\u0301\u0301\u0301"},
		{"❤\ufe0f 1\ufe0f\u20e3", "❤ 1"},
		{"a\u200bb\ufeffc", "abc"},
		{"\xff\xfe", "\uFFFD"},
		{"実験", "実験"},
		{"", ""},
	} {
		if got := plain(tt.text); got != tt.want {
			t.Errorf("plain(%q) = %q, want %q", tt.text, got, tt.want)
		}
		if got := plain(plain(tt.text)); got != tt.want {
			t.Errorf("plain(plain(%q)) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, tt := range []struct {
		text        string
		most        int
		end, middle string
	}{
		{"prisonersDilemma-demo-1", 30, "prisonersDilemma-demo-1", "prisonersDilemma-demo-1"},
		{"prisonersDilemma-demo-1", 11, "prisonersD…", "priso…emo-1"},
		{"prisonersDilemma-demo-1", 10, "prisoners…", "pris…emo-1"},
		{"実験実験実験", 6, "実験…", "実…験"},
		{"実験", 1, "…", "…"},
		{"abc", 0, "", ""},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…", "e\u0301…"},
	} {
		if got := clip(tt.text, tt.most); got != tt.end {
			t.Errorf("clip(%q, %d) = %q, want %q", tt.text, tt.most, got, tt.end)
		}
		if got := clipMiddle(tt.text, tt.most); got != tt.middle {
			t.Errorf("clipMiddle(%q, %d) = %q, want %q", tt.text, tt.most, got, tt.middle)
		}
	}
}

func TestAmounts(t *testing.T) {
	for got, want := range map[string]string{
		usd(0): "$0.00", usd(0.0123): "$0.012", usd(1.5): "$1.50", usd(1234.5): "$1234", usd(2e7): "$2e+07",
		count(999): "999", count(12345): "12.3k", count(1234567): "1.23M", count(150e6): "150M", count(-2000): "-2.00k",
		duration(0): "0s", duration(59.4): "59s", duration(252): "4m12s", duration(8064): "2h14m", duration(90000): "1d01h",
		duration(math.NaN()): "?", duration(math.Inf(1)): "long", duration(-5): "0s",
		cause("autosubmission (max_steps)"): "max steps", cause("submission"): "submission", cause("x (exit_cost)"): "cost",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	s := status(threeTasks, fourAgents, 834, strings.Repeat("DDDDDDDDR", 800)+strings.Repeat("F", 500))
	for _, size := range [][2]int{{80, 24}, {120, 40}} {
		b.Run(fmt.Sprintf("%d-episodes-%dx%d", len(s.Episodes), size[0], size[1]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Render(s, Options{Width: size[0], Height: size[1], Color: true, Now: noon})
			}
		})
	}
}
