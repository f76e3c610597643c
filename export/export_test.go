package export_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mlgym/agent"
	"mlgym/export"
	"mlgym/gym"
	"mlgym/model"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// attempt is a run to be made.
type attempt struct {
	name     string
	task     string
	commands []string
	score    *float64
	reward   float64
	model    bool   // a model was asked
	tokens   bool   // and its server told its tokens
	sum      bool   // requests were made that were not recorded
	tool     string // the commands are calls of it
	minimize bool
	cut      bool
	fault    bool
}

// write makes a run as an episode would leave it.
func write(t *testing.T, root string, a attempt) string {
	t.Helper()
	dir := filepath.Join(root, a.name)
	m := runstore.Manifest{
		RunID: a.name, Task: a.task, TaskVersion: "1", Variant: "small", Mode: "hardened", Agent: "demo", PrimaryMetric: "Score", Direction: runstore.Maximize, MlgymVersion: "1.2",
	}
	if a.minimize {
		m.Direction = runstore.Minimize
	}
	if a.model {
		m.Agent, m.Model = "llm", "openai/x"
	}
	run, err := runstore.Create(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	w, err := run.Trajectory(nil)
	if err != nil {
		t.Fatal(err)
	}
	put := func(e trajectory.Event) {
		t.Helper()
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	first := gym.Observation{Text: "Do " + a.task + "."}
	put(trajectory.Event{Reset: &trajectory.Reset{Observation: first}})
	sent := []model.Message{{Role: model.System, Text: "You are an agent."}, {Role: model.User, Text: first.Text}}
	fresh := sent
	for i, command := range a.commands {
		turn := agent.Turn{Action: gym.Action{Command: command}, Thought: "I think."}
		if a.tool != "" {
			turn.Action = gym.Action{Tool: a.tool, Args: json.RawMessage(fmt.Sprintf(`{"text":%q,"n":[%d]}`, command, i))}
		}
		if a.sum && i == len(a.commands)-1 {
			turn.Exchanges = []agent.Exchange{{Problem: "sum", Response: &model.Response{Usage: model.Usage{InputTokens: 100}}}}
		}
		if a.model {
			usd := 0.5
			refused := agent.Exchange{Messages: fresh, HistoryLength: len(sent), Problem: "no command", Response: &model.Response{
				Message: model.Message{Role: model.Assistant, Text: "hm"}, Usage: model.Usage{InputTokens: 10, OutputTokens: 1}, CostUSD: &usd,
			}}
			again := []model.Message{{Role: model.Assistant, Text: "hm"}, {Role: model.User, Text: "Say a command."}}
			var tokens, partly *model.TokenRecord
			if a.tokens {
				tokens = &model.TokenRecord{PromptIDs: []int{1, 2, 3 + i}, IDs: []int{40, 50 + i}, LogProbs: []float64{-0.5, 0}}
				partly = &model.TokenRecord{PromptIDs: []int{1, 2}, IDs: []int{60}}
			}
			refused.Response.Tokens = partly
			answer := model.Message{Role: model.Assistant, Text: "I run " + command, ToolCalls: []model.ToolCall{{ID: "c1", Name: "bash", Args: json.RawMessage(`{"command":"x"}`)}}}
			turn.Exchanges = []agent.Exchange{refused, {
				Messages: again, HistoryLength: len(sent) + 2,
				Response: &model.Response{Message: answer, Usage: model.Usage{InputTokens: 20, OutputTokens: 5, CachedTokens: 4}, CostUSD: &usd, Model: "x-1", StopReason: model.StopEnd, Tokens: tokens},
			}}
			fresh = []model.Message{answer, {Role: model.ToolResult, ToolCallID: "c1", Text: fmt.Sprintf("out of %s", command)}}
			sent = append(slices.Clip(sent), fresh...)
		}
		put(trajectory.Event{Turn: &trajectory.Turn{Step: i + 1, Turn: turn}})
		put(trajectory.Event{Step: &trajectory.Step{Step: i + 1, Action: turn.Action, Transition: gym.Transition{
			Observation: gym.Observation{Text: "out of " + command, Step: i + 1}, Reward: a.reward,
		}}})
	}
	switch {
	case a.cut:
		return dir
	case a.fault:
		put(trajectory.Event{Fault: &trajectory.Fault{Source: trajectory.FromEnv, Message: "lost"}})
		put(trajectory.Event{End: &trajectory.End{ExitStatus: gym.ExitStatus{Outcome: gym.EarlyExit}}})
	default:
		evaluation := gym.Evaluation{Kind: gym.Submit, Problem: gym.NotFound}
		if a.score != nil {
			evaluation = gym.Evaluation{Kind: gym.Submit, Scores: gym.Scores{"Score": *a.score}}
		}
		put(trajectory.Event{End: &trajectory.End{
			ExitStatus: gym.EndedBy(gym.CauseSteps, evaluation), Cause: gym.CauseSteps, Final: &evaluation,
			Transition: &gym.Transition{Reward: 0.25, Truncated: true, Info: gym.Info{Evaluations: []gym.Evaluation{evaluation}}},
		}})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Seal(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lines exports with no filter but the one given.
func lines(t *testing.T, root string, f export.Filter, o export.Options) ([]map[string]any, export.Stats) {
	t.Helper()
	chosen, _, err := export.Choose([]string{root}, f)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	stats, err := export.Write(t.Context(), &buf, chosen, o)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for line := range strings.Lines(buf.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		out = append(out, m)
	}
	if len(out) != stats.Lines {
		t.Errorf("%d lines, the stats say %d", len(out), stats.Lines)
	}
	return out, stats
}

func TestChoose(t *testing.T) {
	root := t.TempDir()
	for _, a := range []attempt{
		{name: "a", task: "one", commands: []string{"x"}, score: new(1.0), reward: 1},
		{name: "b", task: "one", commands: []string{"x"}, score: new(3.0), reward: 3},
		{name: "c", task: "one", commands: []string{"y"}, score: new(2.0), model: true},
		{name: "d", task: "two", commands: []string{"y"}, score: new(5.0), minimize: true},
		{name: "e", task: "two", commands: []string{"z"}, score: new(4.0), minimize: true},
		{name: "cut", task: "one", commands: []string{"x"}, cut: true},
		{name: "fault", task: "one", commands: []string{"x"}, fault: true},
		{name: "unscored", task: "one", commands: []string{"x"}},
		{name: "z1", task: "one", score: new(9.0), reward: 9}, // as one whose scores alone were published
		{name: "z2", task: "one", score: new(9.0), reward: 9},
	} {
		write(t, root, a)
	}
	tests := []struct {
		name string
		f    export.Filter
		want string
	}{
		{"all with a score", export.Filter{}, "a b c d e"},
		{"without a score as well", export.Filter{Unscored: true}, "a b c d e unscored"},
		{"a task", export.Filter{Tasks: []string{"two"}}, "d e"},
		{"a model", export.Filter{Agents: []string{"openai/x"}}, "c"},
		{"a variant that there is not", export.Filter{Variants: []string{"full"}}, ""},
		{"a score, either way", export.Filter{MinScore: new(2.0)}, "b c"},
		{"a score where less is better", export.Filter{Tasks: []string{"two"}, MinScore: new(4.5)}, "e"},
		{"a reward", export.Filter{MinReward: new(3.0)}, "b"},
		{"an end", export.Filter{ExitStatus: []string{"submitted"}}, ""},
		{"another end", export.Filter{ExitStatus: []string{"autosubmission (max_steps)", "autosubmission (exit_steps)"}, Tasks: []string{"two"}}, "d e"},
		{"a verdict", export.Filter{Verdict: func(dir string) bool { return filepath.Base(dir) != "b" }}, "a c d e"},
		{"the best of each task", export.Filter{Best: 1}, "b e"},
		{"the best two", export.Filter{Best: 2}, "b c d e"},
		{"none that did the same", export.Filter{Dedupe: true}, "a c d e"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chosen, left, err := export.Choose([]string{root, filepath.Join(root, "a")}, tt.f)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range chosen {
				got = append(got, filepath.Base(c.Dir))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got)\n%s\nleft out: %+v", diff, left)
			}
			if len(chosen)+len(left) != 10 {
				t.Errorf("%d chosen and %d left out of 10", len(chosen), len(left))
			}
		})
	}
}

func talk(line map[string]any, key string) string {
	list, _ := line[key].([]any)
	var out []string
	for _, m := range list {
		m, _ := m.(map[string]any)
		text := fmt.Sprintf("%v: %v", m["role"], m["content"])
		if calls, ok := m["tool_calls"].([]any); ok {
			text += fmt.Sprintf(" [%d call]", len(calls))
		}
		if id, ok := m["tool_call_id"]; ok {
			text += fmt.Sprintf(" (answers %v)", id)
		}
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

func TestConversation(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls", "submit"}, score: new(1.0), model: true})
	write(t, root, attempt{name: "b", task: "one", commands: []string{"ls", "submit"}, score: new(1.0)})
	got, _ := lines(t, root, export.Filter{}, export.Options{Format: export.SFT})
	want := []string{
		"system: You are an agent.\nuser: Do one.\nassistant: I run ls [1 call]\ntool: out of ls (answers c1)\nassistant: I run submit [1 call]",
		"user: Do one.\nassistant: I think.\n\nls\nuser: out of ls\nassistant: I think.\n\nsubmit",
	}
	for i, w := range want {
		if diff := cmp.Diff(w, talk(got[i], "messages")); diff != "" {
			t.Errorf("run %d (-want +got)\n%s", i, diff)
		}
	}
}

func TestRequests(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls", "submit"}, score: new(1.0), model: true})
	write(t, root, attempt{name: "b", task: "one", commands: []string{"ls"}, score: new(1.0)})
	got, stats := lines(t, root, export.Filter{}, export.Options{Format: export.OpenAIMessages})
	if len(got) != 4 || stats.Runs != 1 || len(stats.Left) != 1 {
		t.Fatalf("%d lines of %d runs, %d left out; want 4 of 1, 1 left out", len(got), stats.Runs, len(stats.Left))
	}
	want := "system: You are an agent.\nuser: Do one.\nassistant: I run ls [1 call]\ntool: out of ls (answers c1)\nassistant: hm\nuser: Say a command."
	if diff := cmp.Diff(want, talk(got[3], "messages")); diff != "" {
		t.Errorf("the last request (-want +got)\n%s", diff)
	}
	for i, accepted := range []bool{false, true, false, true} {
		if got[i]["accepted"] != accepted {
			t.Errorf("answer %d is accepted: %v, want %v", i, got[i]["accepted"], accepted)
		}
	}
}

func TestTransitions(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls", "pwd"}, score: new(1.0), reward: 0.5})
	got, _ := lines(t, root, export.Filter{}, export.Options{Format: export.Transitions})
	if len(got) != 2 {
		t.Fatalf("%d lines, want 2", len(got))
	}
	text := func(v any) any { m, _ := v.(map[string]any); return m["text"] }
	if text(got[0]["observation"]) != "Do one." || text(got[0]["next_observation"]) != "out of ls" || text(got[1]["observation"]) != "out of ls" {
		t.Errorf("the observations do not follow one another: %v", got)
	}
	if got[0]["truncated"] != false || got[1]["truncated"] != true || got[1]["terminated"] != false {
		t.Errorf("the end is not that of the last step: %v", got)
	}
	total := got[0]["reward"].(float64) + got[1]["reward"].(float64)
	if total != 1.25 {
		t.Errorf("the rewards add up to %v, want 1.25 with that of the final grading", total)
	}
}

func TestPairs(t *testing.T) {
	root := t.TempDir()
	for i, score := range []float64{1, 4, 2, 3} {
		write(t, root, attempt{name: fmt.Sprint("up", i), task: "up", commands: []string{fmt.Sprint("do ", score)}, score: new(score)})
		write(t, root, attempt{name: fmt.Sprint("down", i), task: "down", commands: []string{fmt.Sprint("do ", score)}, score: new(score), minimize: true})
	}
	write(t, root, attempt{name: "other", task: "up", commands: []string{"x"}, score: new(0.0), model: true}) // opens otherwise
	got, stats := lines(t, root, export.Filter{Agents: []string{"demo"}}, export.Options{Format: export.DPO})
	var pairs []string
	for _, l := range got {
		pairs = append(pairs, talk(l, "chosen")+" > "+talk(l, "rejected"))
	}
	think := "assistant: I think.\n\ndo "
	want := []string{think + "1 > " + think + "4", think + "2 > " + think + "3", think + "4 > " + think + "1", think + "3 > " + think + "2"}
	if diff := cmp.Diff(want, pairs); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if stats.Runs != 8 {
		t.Errorf("%d runs were used, want 8", stats.Runs)
	}
	if got, _ := lines(t, root, export.Filter{Agents: []string{"demo"}}, export.Options{Format: export.DPO, MinGap: 2}); len(got) != 2 {
		t.Errorf("with a gap of 2: %d pairs, want 2", len(got))
	}
	if got, _ := lines(t, root, export.Filter{Agents: []string{"demo"}}, export.Options{Format: export.DPO, Pairs: 1}); len(got) != 2 {
		t.Errorf("with one pair for a task: %d pairs, want 2", len(got))
	}
	if _, stats := lines(t, root, export.Filter{Tasks: []string{"up"}}, export.Options{Format: export.DPO}); len(stats.Left) != 1 || !strings.Contains(stats.Left[0].Why, "opens otherwise") {
		t.Errorf("of two scaffolds: left out %+v, want one pair", stats.Left)
	}
}

// TestATIF checks the rules of the format that are not its types.
func TestATIF(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls", "submit"}, score: new(1.0), model: true})
	write(t, root, attempt{name: "b", task: "one", commands: []string{"ls"}, score: new(1.0)})
	got, _ := lines(t, root, export.Filter{}, export.Options{Format: export.ATIF})
	if len(got) != 2 {
		t.Fatalf("%d lines, want 2", len(got))
	}
	for _, line := range got {
		if line["schema_version"] != "ATIF-v1.7" {
			t.Errorf("schema_version is %v", line["schema_version"])
		}
		steps, _ := line["steps"].([]any)
		for i, s := range steps {
			s, _ := s.(map[string]any)
			if s["step_id"] != float64(i+1) {
				t.Errorf("step %d has step_id %v", i+1, s["step_id"])
			}
			calls := map[any]bool{}
			list, _ := s["tool_calls"].([]any)
			for _, c := range list {
				c, _ := c.(map[string]any)
				calls[c["tool_call_id"]] = true
				if _, ok := c["arguments"].(map[string]any); !ok {
					t.Errorf("the arguments of step %d are %v", i+1, c["arguments"])
				}
			}
			if s["source"] != "agent" && (len(list) > 0 || s["metrics"] != nil) {
				t.Errorf("step %d of %v has what only an agent's has", i+1, s["source"])
			}
			if o, ok := s["observation"].(map[string]any); ok {
				for _, r := range o["results"].([]any) {
					if id := r.(map[string]any)["source_call_id"]; !calls[id] {
						t.Errorf("step %d answers %v, a call of another step", i+1, id)
					}
				}
			}
		}
	}
	final, _ := got[0]["final_metrics"].(map[string]any)
	if final["total_prompt_tokens"] != float64(60) || final["total_cost_usd"] != float64(2) {
		t.Errorf("the totals are %v, want those of all requests, refused ones included", final)
	}
}

func TestDamagedRecord(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls"}, score: new(1.0)})
	dir := write(t, root, attempt{name: "b", task: "one", commands: []string{"ls"}, score: new(1.0)})
	damage(t, filepath.Join(dir, runstore.TrajectoryName))
	got, stats := lines(t, root, export.Filter{}, export.Options{Format: export.SFT})
	if len(got) != 1 || len(stats.Left) != 1 || !strings.Contains(stats.Left[0].Dir, "b") {
		t.Errorf("%d lines, left out %+v; want one of each", len(got), stats.Left)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterFails(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls"}, score: new(1.0)})
	chosen, _, err := export.Choose([]string{root}, export.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export.Write(t.Context(), full{}, chosen, export.Options{Format: export.SFT}); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

func TestParseFormat(t *testing.T) {
	if _, err := export.ParseFormat("dpoo"); err == nil || !strings.Contains(err.Error(), "dpo") {
		t.Errorf("got %v, want an error with the nearest name", err)
	}
	for _, f := range export.Formats() {
		if got, err := export.ParseFormat(string(f)); got != f || err != nil {
			t.Errorf("%s: %v, %v", f, got, err)
		}
	}
}

// damage puts a line into the middle of a record that is none.
func damage(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("no event\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTokens exports runs of which one has tokens: they belong to the call that they
// were told with, and what is not known is absent.
func TestTokens(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls", "submit"}, score: new(1.0), model: true, tokens: true})
	write(t, root, attempt{name: "b", task: "one", commands: []string{"ls"}, score: new(1.0), model: true})
	write(t, root, attempt{name: "c", task: "one", commands: []string{"ls"}, score: new(1.0)})
	keys := []string{"prompt_token_ids", "completion_token_ids", "per_token_logps", "loss_mask"}
	pick := func(v any) string {
		line, _ := v.(map[string]any)
		var out []string
		for _, key := range keys {
			out = append(out, fmt.Sprint(line[key]))
		}
		return strings.Join(out, " ")
	}
	const (
		first  = "[1 2 3] [40 50] [-0.5 0] [0 0 0 1 1]"
		second = "[1 2 4] [40 51] [-0.5 0] [0 0 0 1 1]"
		partly = "[1 2] [60] <nil> [0 0 1]"
		none   = "<nil> <nil> <nil> <nil>"
	)
	for _, tt := range []struct {
		format export.Format
		want   []string // of the lines
		left   int
		strict []string // with RequireTokens
		lost   int
	}{
		{export.OpenAIMessages, []string{partly, first, partly, second, none, none}, 1, []string{first, second}, 2},
		{export.Turns, []string{partly, first, partly, second, none, none}, 1, []string{first, second}, 2},
		{export.SFT, []string{first + " " + second, "", ""}, 0, []string{first + " " + second}, 2},
		{export.ATIF, []string{"[1 2 3] [40 50] [-0.5 0] [1 2 4] [40 51] [-0.5 0]", "<nil> <nil> <nil>", ""}, 0, []string{"[1 2 3] [40 50] [-0.5 0] [1 2 4] [40 51] [-0.5 0]"}, 2},
	} {
		t.Run(string(tt.format), func(t *testing.T) {
			for _, require := range []bool{false, true} {
				want, left := tt.want, tt.left
				if require {
					want, left = tt.strict, tt.lost
				}
				got, stats := lines(t, root, export.Filter{}, export.Options{Format: tt.format, RequireTokens: require})
				var texts []string
				for _, line := range got {
					switch tt.format {
					case export.SFT:
						var calls []string
						messages, _ := line["messages"].([]any)
						tokens, _ := line["tokens"].([]any)
						for _, x := range tokens {
							calls = append(calls, pick(x))
							x, _ := x.(map[string]any)
							at, _ := x["message"].(float64)
							if m, _ := messages[int(at)].(map[string]any); m["role"] != "assistant" {
								t.Errorf("tokens of message %v, which is %v", at, m)
							}
						}
						texts = append(texts, strings.Join(calls, " "))
					case export.ATIF:
						var calls []string
						steps, _ := line["steps"].([]any)
						for _, s := range steps {
							s, _ := s.(map[string]any)
							if m, ok := s["metrics"].(map[string]any); ok {
								calls = append(calls, fmt.Sprint(m["prompt_token_ids"]), fmt.Sprint(m["completion_token_ids"]), fmt.Sprint(m["logprobs"]))
							}
						}
						texts = append(texts, strings.Join(calls, " "))
					default:
						texts = append(texts, pick(line))
					}
				}
				if diff := cmp.Diff(want, texts); diff != "" {
					t.Errorf("required: %v (-want +got)\n%s", require, diff)
				}
				if len(stats.Left) != left || stats.Runs != 3-left {
					t.Errorf("required: %v: %d runs, left out %+v; want %d left out", require, stats.Runs, stats.Left, left)
				}
			}
		})
	}
	chosen, _, err := export.Choose([]string{root}, export.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []export.Format{export.DPO, export.Transitions} {
		if _, err := export.Write(t.Context(), full{}, chosen, export.Options{Format: format, RequireTokens: true}); err == nil || errors.Is(err, errFull) {
			t.Errorf("tokens required of %s: %v, want a refusal", format, err)
		}
	}
}

// TestTurns checks that a line has the keys of a TrainingTurn and no other, a name of
// its own, and the reward of its episode.
func TestTurns(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls", "submit"}, score: new(1.0), reward: 0.5, model: true, tokens: true})
	got, _ := lines(t, root, export.Filter{}, export.Options{Format: export.Turns, RequireTokens: true})
	if len(got) != 2 {
		t.Fatalf("%d lines, want 2", len(got))
	}
	var ids []any
	for _, line := range got {
		ids = append(ids, line["node_id"])
		var keys []string
		for key := range line {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		want := []string{"completion_token_ids", "loss_mask", "metadata", "node_id", "per_token_logps", "prompt_token_ids", "request", "response"}
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Errorf("keys (-want +got)\n%s", diff)
		}
		if m, _ := line["metadata"].(map[string]any); m["reward"] != 1.25 || m["run_id"] != "a" || m["task"] != "one" || m["accepted"] != true {
			t.Errorf("metadata %v", m)
		}
	}
	if diff := cmp.Diff([]any{"a/1/1", "a/2/1"}, ids); diff != "" {
		t.Errorf("names (-want +got)\n%s", diff)
	}
	request, _ := got[0]["request"].(map[string]any)
	if want := "system: You are an agent.\nuser: Do one.\nassistant: hm\nuser: Say a command."; talk(request, "messages") != want || request["model"] != "openai/x" {
		t.Errorf("request %v", request)
	}
	response, _ := got[0]["response"].(map[string]any)
	if m, _ := response["message"].(map[string]any); m["content"] != "I run ls" || response["stop_reason"] != "end" {
		t.Errorf("response %v", response)
	}
}

// TestSumsAreNoRequests exports a run whose only exchange is the sum of what requests
// cost that were not recorded.
func TestSumsAreNoRequests(t *testing.T) {
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls"}, score: new(1.0), sum: true})
	for _, format := range []export.Format{export.OpenAIMessages, export.Turns} {
		got, stats := lines(t, root, export.Filter{}, export.Options{Format: format})
		if len(got) != 0 || len(stats.Left) != 1 || !strings.Contains(stats.Left[0].Why, "no model was asked") {
			t.Errorf("%s: %v, left out %+v; want nothing", format, got, stats.Left)
		}
	}
	got, _ := lines(t, root, export.Filter{}, export.Options{Format: export.SFT})
	if want := "user: Do one.\nassistant: I think.\n\nls"; talk(got[0], "messages") != want {
		t.Errorf("got %s, want %s", talk(got[0], "messages"), want)
	}
	got, _ = lines(t, root, export.Filter{}, export.Options{Format: export.ATIF})
	if steps, _ := got[0]["steps"].([]any); len(steps) != 2 {
		t.Errorf("%d steps of ATIF, want the task and what the agent did", len(steps))
	}
}
