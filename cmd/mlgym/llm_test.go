package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mlgym/internal/cli"
	"mlgym/model/modeltest/llamaserver"
	"mlgym/runstore"
	"mlgym/trajectory"
)

// TestRealModel lets a real, small language model work on a task. It is a weak
// one; what is tested is the loop around it: prompts, re-asks, limits, record,
// and that the recorded exchanges lead to the same episode without the model.
func TestRealModel(t *testing.T) {
	url := llamaserver.Start(t)
	dir := t.TempDir()
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "state"))
	t.Setenv("OPENAI_API_KEY", "sk-a-key-that-must-not-be-recorded-0123456789")
	t.Setenv("ANTHROPIC_API_KEY", "sk-ant-a-key-that-must-not-be-recorded-0123456789")
	for _, tc := range []struct {
		name, model, base, scaffold string
		tokens                      bool
	}{
		{"openai", "openai/smollm2", url + "/v1", "default", true},
		{"openai function calling", "openai/smollm2", url + "/v1", "function-calling", false},
		{"anthropic", "anthropic/smollm2", url, "xml", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			cassette := filepath.Join(t.TempDir(), "cassette.jsonl")
			common := []string{
				"run", "--task", "battleOfSexes", "--variant", "small", "--agent", "llm", "--scaffold", tc.scaffold,
				"--max-steps", "3", "--max-tokens", "100", "--json", "--quiet", "--seed", "5",
			}
			live := append(slices.Clip(common), "--model", tc.model, "--base-url", tc.base, "--record", cassette, "--out", "live")
			if tc.tokens {
				live = append(live, "--record-tokens")
			}
			first := run(t, live...)
			if first.Interrupted || first.ExitStatus.IsZero() || first.Requests == 0 || first.TokensIn == 0 || first.TokensOut == 0 {
				t.Errorf("the episode ended as %+v", first)
			}
			if first.CostUSD != nil {
				t.Errorf("the cost is given as %v although no price is known", *first.CostUSD)
			}
			if first.Steps > 3 {
				t.Errorf("%d steps were taken, want at most 3", first.Steps)
			}
			rec, err := trajectory.Load(filepath.Join("live", runstore.TrajectoryName))
			if err != nil {
				t.Fatal(err)
			}
			if rec.Summary.End == nil {
				t.Error("the record has no end")
			}
			second := run(t, append(common, "--model", "replay/"+cassette, "--out", "again")...)
			if second.ExitStatus != first.ExitStatus || second.Steps != first.Steps || second.TokensOut != first.TokensOut {
				t.Errorf("from the cassette the episode ended as %+v, live as %+v", second, first)
			}
			if tc.tokens {
				for _, dir := range []string{"live", "again"} { // the cassette has them too
					checkTurns(t, dir, first)
				}
			}
			for _, path := range []string{cassette, filepath.Join("live", runstore.TrajectoryName), filepath.Join("live", runstore.ManifestName)} {
				if text := read(t, path); strings.Contains(text, "must-not-be-recorded") {
					t.Errorf("%s holds the key", filepath.Base(path))
				}
			}
		})
	}
}

// checkTurns exports a run and checks that the tokens of all its requests add up to
// what the server counted.
func checkTurns(t *testing.T, dir string, want runstore.Result) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := cli.Main([]string{"export", dir, "--format", "turns", "--unscored"}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("export: exit code %d\n%s", code, errs.String())
	}
	var requests int
	var read, wrote int64
	for line := range bytes.Lines(out.Bytes()) {
		var turn struct {
			Prompt     []int     `json:"prompt_token_ids"`
			Completion []int     `json:"completion_token_ids"`
			LogProbs   []float64 `json:"per_token_logps"`
			Mask       []int     `json:"loss_mask"`
		}
		if err := json.Unmarshal(line, &turn); err != nil {
			t.Fatal(err)
		}
		requests++
		read += int64(len(turn.Prompt))
		wrote += int64(len(turn.Completion))
		if len(turn.Mask) != len(turn.Prompt)+len(turn.Completion) {
			t.Errorf("a loss mask of %d for %d and %d tokens", len(turn.Mask), len(turn.Prompt), len(turn.Completion))
		}
		if len(turn.LogProbs) != 0 && len(turn.LogProbs) != len(turn.Completion) {
			t.Errorf("%d probabilities of %d tokens", len(turn.LogProbs), len(turn.Completion))
		}
	}
	if requests != want.Requests || read != want.TokensIn || wrote != want.TokensOut {
		t.Errorf("%s: %d requests, %d tokens read and %d written; the server counted %d, %d and %d", dir, requests, read, wrote, want.Requests, want.TokensIn, want.TokensOut)
	}
}

// run runs the command line and returns the result that it printed.
func run(t *testing.T, args ...string) runstore.Result {
	t.Helper()
	var out, errs bytes.Buffer
	if code := cli.Main(args, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("mlgym %s: exit code %d\n%s%s", strings.Join(args, " "), code, out.String(), errs.String())
	}
	var result runstore.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatalf("the result is not JSON: %v\n%s", err, out.String())
	}
	return result
}
