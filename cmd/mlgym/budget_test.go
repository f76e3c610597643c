package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mlgym/experiment"
	"mlgym/internal/cli"
)

// modelAnswers speaks as much of OpenAI's protocol as an agent needs: each answer
// lists the workspace, until it has done so often enough and submits. Each
// request uses 1000 tokens.
func modelAnswers(answered *atomic.Int64) http.Handler {
	var first atomic.Int64 // answers of the scaffold's demonstration, and 1
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Messages []struct{ Role string } `json:"messages"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answered.Add(1)
		turns := int64(0)
		for _, m := range req.Messages {
			if m.Role == "assistant" {
				turns++
			}
		}
		command := "ls"
		const enough = 4
		first.CompareAndSwap(0, turns+1)
		if turns-(first.Load()-1) >= enough {
			command = "submit"
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"id": "x", "object": "chat.completion", "model": "test",
			"choices": []any{map[string]any{
				"index": 0, "finish_reason": "stop",
				"message": map[string]any{"role": "assistant", "content": "DISCUSSION\nI look.\n```\n" + command + "\n```\n"},
			}},
			"usage": map[string]any{"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000},
		})
	})
}

// mlgym runs the command line.
func mlgym(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = cli.Main(args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func status(t *testing.T, dir string) experiment.Status {
	t.Helper()
	code, out, errs := mlgym("experiment", "status", dir, "--json")
	if code != 0 {
		t.Fatalf("status: exit code %d\n%s", code, errs)
	}
	var st experiment.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestBudgetOfAnExperiment spends a budget with several agents at once, never
// goes beyond it, and goes on with a larger one where it was.
func TestBudgetOfAnExperiment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "state"))
	t.Setenv("OPENAI_API_KEY", "sk-a-key-that-must-not-be-recorded-0123456789")
	var answered atomic.Int64
	server := httptest.NewServer(modelAnswers(&answered))
	defer server.Close()
	// A cent for a request of 900 tokens in and 100 out; its worst case, by the
	// length of the answer that is allowed, is more.
	prices := filepath.Join(dir, "prices.yaml")
	const cent = "version: 1\nmodels:\n  openai/test: {input: 10, output: 10}\n"
	if err := os.WriteFile(prices, []byte(cent), 0o600); err != nil {
		t.Fatal(err)
	}
	exp := filepath.Join(dir, "exp")
	grid := []string{
		"experiment", "run", "--tasks", "battleOfSexes", "--models", "openai/test", "--base-url", server.URL + "/v1", "--seeds", "4", "--variant", "small",
		"--max-tokens", "200", "--memory-mb", "256", "--prices", prices, "--parallel", "3", "--out", exp, "--quiet",
	}
	const budget = 0.10
	code, out, errs := mlgym(append(grid, "--budget-usd", fmt.Sprint(budget))...)
	if code != 1 || !strings.Contains(out, "the budget is used up") || !strings.Contains(out, "resume") {
		t.Errorf("with a small budget: exit code %d\n%s%s", code, out, errs)
	}
	st := status(t, exp)
	if st.CostUSD > budget || st.CostUSD < budget/2 {
		t.Errorf("$%.4f of $%.2f were spent", st.CostUSD, budget)
	}
	if st.Failed > 0 || st.Waiting == 0 || st.Done+st.Waiting != st.Total || st.Total != 4 {
		t.Errorf("the episodes are %+v, want some waiting and none failed", st.Counts)
	}
	paid := answered.Load()
	if cost := float64(paid) * 0.01; cost > budget+1e-9 {
		t.Errorf("%d answers cost $%.2f, more than the budget of $%.2f", paid, cost, budget)
	}

	code, out, errs = mlgym("experiment", "resume", exp, "--budget-usd", "5", "--quiet")
	if code != 0 {
		t.Fatalf("with a larger budget: exit code %d\n%s%s", code, out, errs)
	}
	st = status(t, exp)
	if st.Done != 4 {
		t.Errorf("the episodes are %+v, want all done", st.Counts)
	}
	// Nothing that was paid is paid again.
	if got, want := answered.Load(), st.Spent.Tokens/1000; got != want {
		t.Errorf("the server gave %d answers, and the records hold %d", got, want)
	}
	for _, e := range st.Episodes {
		if text := read(t, filepath.Join(exp, e.RunDir, "trajectory.jsonl")); strings.Contains(text, "must-not-be-recorded") {
			t.Errorf("%s holds the key", e.Name)
		}
	}
}

// TestDeadModelServer tries again, gives up what fails for good, and goes on
// with it when the server is back.
func TestDeadModelServer(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MLGYM_STATE", filepath.Join(dir, "state"))
	t.Setenv("OPENAI_API_KEY", "sk-test")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	exp := filepath.Join(dir, "exp")
	code, out, errs := mlgym("experiment", "run", "--tasks", "battleOfSexes", "--models", "openai/test", "--base-url", "http://"+addr+"/v1", "--variant", "small",
		"--max-tokens", "200", "--memory-mb", "256", "--retries", "0", "--request-retries", "0", "--out", exp, "--quiet")
	st := status(t, exp)
	if code != 1 || st.Failed != 1 || !strings.Contains(out, "retry") {
		t.Fatalf("with a dead server: exit code %d, %+v\n%s%s", code, st.Counts, out, errs)
	}
	if e := st.Episodes[0]; e.Message == "" || e.CostUSD != nil && *e.CostUSD != 0 {
		t.Errorf("the failed episode is %+v", e)
	}

	var answered atomic.Int64
	if listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr); err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: modelAnswers(&answered), ReadHeaderTimeout: time.Minute}}
	server.Start()
	defer server.Close()
	code, out, errs = mlgym("experiment", "retry", exp, "--only", "failed", "--quiet")
	if st = status(t, exp); code != 0 || st.Done != 1 || st.Episodes[0].Attempt != 2 {
		t.Errorf("with the server back: exit code %d, %+v\n%s%s", code, st.Episodes, out, errs)
	}
}
