package llm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/agent/llm"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/scaffold"
	"mlgym/scaffolds"
	"mlgym/tool"
)

var (
	_ agent.Agent   = (*llm.Agent)(nil)
	_ agent.Resumer = (*llm.Agent)(nil)
)

// scripted is a model that gives the answers of a list and keeps the requests.
type scripted struct {
	answers  []any // string, model.Response or error
	requests []*model.Request
	usage    model.Usage
	wait     bool
}

func (s *scripted) Generate(ctx context.Context, req *model.Request) (*model.Response, error) {
	s.requests = append(s.requests, req)
	if s.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if len(s.requests) > len(s.answers) {
		return nil, fmt.Errorf("the script has %d answers: %w", len(s.answers), io.EOF)
	}
	switch a := s.answers[len(s.requests)-1].(type) {
	case string:
		return &model.Response{
			Message:    model.Message{Role: model.Assistant, Text: a},
			StopReason: model.StopEnd, Usage: s.usage,
		}, nil
	case model.Response:
		return &a, nil
	case error:
		return nil, a
	}
	return nil, errors.New("the script is wrong")
}

// flat is a price per million tokens, the same for input and output.
type flat float64

func (f flat) Cost(name string, u model.Usage) (float64, bool) {
	return float64(f) * float64(u.InputTokens+u.OutputTokens) / 1e6, name == "test/known"
}

func open(t testing.TB, name string) *scaffold.Scaffold {
	t.Helper()
	s, err := scaffold.Open(scaffolds.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	// What the tools are is not the business of these tests.
	s.Tools = nil
	return s
}

func newAgent(t testing.TB, cfg llm.Config) *llm.Agent {
	t.Helper()
	if cfg.Scaffold == nil {
		cfg.Scaffold = open(t, "default")
	}
	cfg.Tools = []tool.Spec{{Name: "open"}, {Name: "validate"}, {Name: "submit"}}
	a, err := llm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func observation(step int, text string) gym.Observation {
	return gym.Observation{Text: text, Step: step, StepsLeft: 10 - step, WorkingDir: "/workspace"}
}

func fenced(thought, command string) string {
	return thought + "\n\n```\n" + command + "\n```\n"
}

func TestActReadsCommand(t *testing.T) {
	m := &scripted{answers: []any{fenced("Look first.", "ls -la"), fenced("Measure.", "validate")}}
	a := newAgent(t, llm.Config{Model: m})

	turn, err := a.Act(t.Context(), observation(0, "Improve the score."))
	if err != nil {
		t.Fatal(err)
	}
	if turn.Action.Command != "ls -la" || turn.Thought != "Look first." {
		t.Errorf("turn = %+v, want the command and the thought of the answer", turn)
	}
	if _, err := a.Act(t.Context(), observation(1, "strategy.py")); err != nil {
		t.Fatal(err)
	}
	got := m.requests[1].Messages
	last := got[len(got)-1]
	if last.Role != model.User || !strings.HasPrefix(last.Text, "strategy.py\n") ||
		!strings.Contains(last.Text, "(Current step: 1, remaining steps: 9)") {
		t.Errorf("message after the first step = %q", last.Text)
	}
	if before := got[len(got)-2]; before.Role != model.Assistant || before.Text != m.answers[0] {
		t.Errorf("the model's own answer came back as %q", before.Text)
	}
	if !strings.Contains(got[len(got)-3].Text, "Improve the score.") {
		t.Errorf("task message = %q, want the statement in it", got[len(got)-3].Text)
	}
}

func TestReasks(t *testing.T) {
	bad := "I would list the files."
	for _, tt := range []struct {
		name     string
		answers  []any
		requests int
		stop     gym.Cause
		command  string
	}{
		{"first answer good", []any{fenced("", "ls")}, 1, "", "ls"},
		{"second answer good", []any{bad, fenced("", "ls")}, 2, "", "ls"},
		{"third answer good", []any{bad, "", fenced("", "ls")}, 3, "", "ls"},
		{"three readings fail", []any{bad, bad, bad, fenced("", "ls")}, 3, gym.CauseFormat, ""},
		{"interactive program", []any{fenced("", "vim a.py"), fenced("", "ls")}, 2, "", "ls"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &scripted{answers: tt.answers}
			turn, err := newAgent(t, llm.Config{Model: m}).Act(t.Context(), observation(0, "Task."))
			if err != nil {
				t.Fatal(err)
			}
			if len(m.requests) != tt.requests || turn.Stop != tt.stop || turn.Action.Command != tt.command {
				t.Errorf("got %d requests, stop %q, command %q; want %d, %q, %q",
					len(m.requests), turn.Stop, turn.Action.Command, tt.requests, tt.stop, tt.command)
			}
			if len(turn.Exchanges) != tt.requests {
				t.Errorf("got %d exchanges, want %d", len(turn.Exchanges), tt.requests)
			}
			for i, e := range turn.Exchanges {
				read := i == len(turn.Exchanges)-1 && tt.stop == ""
				if (e.Problem == "") != read {
					t.Errorf("exchange %d has problem %q", i, e.Problem)
				}
			}
			if tt.stop != "" && turn.StopReason == "" {
				t.Error("a stop without a reason")
			}
		})
	}
}

func TestReaskSaysRulesAndIsForgotten(t *testing.T) {
	m := &scripted{answers: []any{"no block", fenced("", "ls"), fenced("", "pwd")}}
	a := newAgent(t, llm.Config{Model: m})
	for step := range 2 {
		if _, err := a.Act(t.Context(), observation(step, "text")); err != nil {
			t.Fatal(err)
		}
	}
	reask := m.requests[1].Messages
	if last := reask[len(reask)-1].Text; !strings.Contains(last, "no fenced block") || !strings.Contains(last, "Attempts left for this step: 2") {
		t.Errorf("re-ask = %q, want the problem and the attempts left", last)
	}
	if got := reask[len(reask)-2].Text; got != "no block" {
		t.Errorf("before the re-ask stands %q, want the malformed answer", got)
	}
	for _, msg := range m.requests[2].Messages {
		if strings.Contains(msg.Text, "no block") {
			t.Errorf("the history of the next step holds the malformed answer: %q", msg.Text)
		}
	}
}

func TestCutOffAnswerIsExplained(t *testing.T) {
	cut := model.Response{Message: model.Message{Text: "```\ncat > a"}, StopReason: model.StopMaxTokens}
	m := &scripted{answers: []any{cut, fenced("", "ls")}}
	turn, err := newAgent(t, llm.Config{Model: m}).Act(t.Context(), observation(0, "Task."))
	if err != nil {
		t.Fatal(err)
	}
	if p := turn.Exchanges[0].Problem; !strings.Contains(p, "not closed") || !strings.Contains(p, "cut off") {
		t.Errorf("problem = %q, want that the answer was cut off", p)
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		stop gym.Cause // "" is an error
	}{
		{"context too long", &model.Error{Kind: model.ContextLength}, gym.CauseContext},
		{"wrong key", fmt.Errorf("wrapped: %w", &model.Error{Kind: model.Unauthorized}), gym.CauseAPI},
		{"unknown model", &model.Error{Kind: model.NotFound}, gym.CauseAPI},
		{"bad request", &model.Error{Kind: model.BadRequest}, gym.CauseAPI},
		{"unreadable response", &model.Error{Kind: model.BadResponse}, gym.CauseAPI},
		{"unreachable", &model.Error{Kind: model.Unreachable}, ""},
		{"overloaded", &model.Error{Kind: model.Overloaded}, ""},
		{"rate limited", &model.Error{Kind: model.RateLimited}, ""},
		{"anything else", io.ErrUnexpectedEOF, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &scripted{answers: []any{tt.err, fenced("", "ls")}}
			a := newAgent(t, llm.Config{Model: m})
			turn, err := a.Act(t.Context(), observation(0, "Task."))
			if turn.Stop != tt.stop {
				t.Errorf("stop = %q, want %q", turn.Stop, tt.stop)
			}
			if tt.stop == "" && !errors.Is(err, tt.err) {
				t.Errorf("error = %v, want it to wrap %v", err, tt.err)
			}
			if tt.stop != "" && (err != nil || turn.StopReason == "") {
				t.Errorf("error = %v, reason = %q; want no error and a reason", err, turn.StopReason)
			}
			if len(turn.Exchanges) != 1 || turn.Exchanges[0].Error == "" {
				t.Errorf("exchanges = %+v, want the failed one with its error", turn.Exchanges)
			}
			if tt.stop != "" {
				return
			}
			// The agent stands where it stood, so the same call may be made again.
			turn, err = a.Act(t.Context(), observation(0, "Task."))
			if err != nil || turn.Action.Command != "ls" {
				t.Errorf("second call = %+v, %v; want the command", turn, err)
			}
			if diff := cmp.Diff(m.requests[0], m.requests[1]); diff != "" {
				t.Errorf("the request changed after a failure (-first +second):\n%s", diff)
			}
		})
	}
}

func TestCancelledContextIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	turn, err := newAgent(t, llm.Config{Model: &scripted{wait: true}, Limits: llm.Limits{Wall: time.Hour}}).
		Act(ctx, observation(0, "Task."))
	if !errors.Is(err, context.Canceled) || turn.Stop != "" {
		t.Errorf("got stop %q, error %v; want context.Canceled", turn.Stop, err)
	}
}

func TestExchangesRebuildRequests(t *testing.T) {
	var answers []any
	for i := range 9 {
		if i == 3 {
			answers = append(answers, "malformed")
		}
		answers = append(answers, fenced("", fmt.Sprintf("echo %d", i)))
	}
	m := &scripted{answers: answers}
	a := newAgent(t, llm.Config{Model: m})
	var exchanges []agent.Exchange
	for step := range 9 {
		turn, err := a.Act(t.Context(), observation(step, strings.Repeat("line\n", step+1)))
		if err != nil {
			t.Fatal(err)
		}
		exchanges = append(exchanges, turn.Exchanges...)
	}
	var before []model.Message
	for i, e := range exchanges {
		whole := append(before[:e.HistoryLength-len(e.Messages):e.HistoryLength-len(e.Messages)], e.Messages...)
		if diff := cmp.Diff(m.requests[i].Messages, whole); diff != "" {
			t.Fatalf("exchange %d does not rebuild its request (-sent +rebuilt):\n%s", i, diff)
		}
		before = whole
	}
	if n := len(exchanges[1].Messages); n != 2 {
		t.Errorf("the second exchange records %d messages, want 2 (answer and observation)", n)
	}
	final := m.requests[len(m.requests)-1].Messages
	var told []string
	for _, msg := range final {
		if strings.Contains(msg.Text, "left out") {
			told = append(told, msg.Text)
		}
	}
	// 8 observations of actions: the first and the last five are kept.
	want := []string{"(Output of step 2 left out: 3 lines.)", "(Output of step 3 left out: 4 lines.)"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("elided observations (-want +got):\n%s", diff)
	}
}

func TestResumeContinuesAsWithoutTheCut(t *testing.T) {
	answers := []any{fenced("a", "one"), "malformed", fenced("b", "two"), fenced("c", "three")}
	usage := model.Usage{InputTokens: 100, OutputTokens: 10}
	whole := &scripted{answers: answers, usage: usage}
	a := newAgent(t, llm.Config{Model: whole, ModelName: "test/known", Prices: flat(1)})
	var turns []agent.Turn
	var after []gym.Observation
	for step := range 3 {
		turn, err := a.Act(t.Context(), observation(step, fmt.Sprint("output ", step)))
		if err != nil {
			t.Fatal(err)
		}
		if step < 2 {
			turns = append(turns, turn)
			after = append(after, observation(step+1, fmt.Sprint("output ", step+1)))
		}
	}
	// A record goes through JSON.
	text, err := json.Marshal(turns)
	if err != nil {
		t.Fatal(err)
	}
	var read []agent.Turn
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	rest := &scripted{answers: answers[3:], usage: usage}
	b := newAgent(t, llm.Config{Model: rest, ModelName: "test/known", Prices: flat(1)})
	if err := b.Resume(t.Context(), observation(0, "output 0"), read, after); err != nil {
		t.Fatal(err)
	}
	turn, err := b.Act(t.Context(), after[1])
	if err != nil {
		t.Fatal(err)
	}
	if turn.Action.Command != "three" {
		t.Errorf("command = %q, want three", turn.Action.Command)
	}
	if diff := cmp.Diff(whole.requests[3], rest.requests[0]); diff != "" {
		t.Errorf("request after the cut (-without +with):\n%s", diff)
	}
	if diff := cmp.Diff(a.Spent(), b.Spent()); diff != "" {
		t.Errorf("spent (-without +with the cut):\n%s", diff)
	}
}

func TestResumeRefusesRecordWithoutAnswers(t *testing.T) {
	a := newAgent(t, llm.Config{Model: &scripted{}})
	turns := []agent.Turn{{Action: gym.Action{Command: "ls"}}}
	if err := a.Resume(t.Context(), observation(0, "Task."), turns, []gym.Observation{observation(1, "x")}); err == nil {
		t.Error("a record without the model's answers was resumed")
	}
	if err := a.Resume(t.Context(), observation(0, "Task."), turns, nil); err == nil {
		t.Error("turns without observations were resumed")
	}
}

// TestTokensAreAskedFor where the configuration says so, and recorded as they came.
func TestTokensAreAskedFor(t *testing.T) {
	want := &model.TokenRecord{PromptIDs: []int{1, 2}, IDs: []int{3}, LogProbs: []float64{-0.5}}
	for _, wanted := range []bool{false, true} {
		answer := model.Response{Message: model.Message{Role: model.Assistant, Text: fenced("", "ls")}, Tokens: want}
		m := &scripted{answers: []any{answer}}
		turn, err := newAgent(t, llm.Config{Model: m, Tokens: wanted}).Act(t.Context(), observation(0, "Task."))
		if err != nil {
			t.Fatal(err)
		}
		if m.requests[0].Tokens != wanted {
			t.Errorf("the request asks for tokens: %v, want %v", m.requests[0].Tokens, wanted)
		}
		if got := turn.Exchanges[0].Response.Tokens; got != want {
			t.Errorf("the turn has %+v, want %+v", got, want)
		}
	}
}
