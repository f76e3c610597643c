package metrics_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"mlgym/experiment"
	"mlgym/experiment/metrics"
)

func snapshot() experiment.Status {
	score, usd := 1.5, 0.25
	st := experiment.Status{
		Name: "grid", Active: true, Counts: experiment.Counts{Total: 4, Done: 1, Running: 1, Waiting: 1, Failed: 1},
		Spent: experiment.Spent{USD: 2.5, Unpriced: 1, Tokens: 1000, Hours: 0.5}, Budget: experiment.Limits{USD: 10},
	}
	st.Episodes = []experiment.EpisodeStatus{
		{Name: "a.demo.s0", Task: "a", Agent: "demo", State: experiment.Running, Progress: experiment.Progress{Step: 7, Score: &score, CostUSD: &usd, Seconds: 3}},
		{Name: "b.demo.s0", Task: "b", Agent: "demo", State: experiment.Done},
	}
	return st
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestMetrics(t *testing.T) {
	server := httptest.NewServer(metrics.Handler(snapshot))
	defer server.Close()
	code, text := get(t, server.URL)
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	for _, want := range []string{
		`mlgym_experiment_episodes{experiment="grid",state="running"} 1`,
		`mlgym_experiment_episodes{experiment="grid",state="skipped"} 0`,
		`mlgym_experiment_episodes_ended_total{experiment="grid",state="failed"} 1`,
		`mlgym_experiment_cost_usd_total{experiment="grid"} 2.5`,
		`mlgym_experiment_tokens_total{experiment="grid"} 1000`,
		`mlgym_experiment_run_seconds_total{experiment="grid"} 1800`,
		`mlgym_experiment_budget_usd{experiment="grid"} 10`,
		`mlgym_experiment_active{experiment="grid"} 1`,
		`mlgym_experiment_episode_step{agent="demo",episode="a.demo.s0",experiment="grid",task="a"} 7`,
		`mlgym_experiment_episode_score{agent="demo",episode="a.demo.s0",experiment="grid",task="a"} 1.5`,
		`process_resident_memory_bytes`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(text, "b.demo.s0") {
		t.Error("an episode that does not run has a series of its own")
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "mlgym_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestNamesThatAreNotUTF8(t *testing.T) {
	st := snapshot()
	st.Name, st.Episodes[0].Name, st.Episodes[0].Agent = "gr\xffid", "a\xfe", "\xff"
	server := httptest.NewServer(metrics.Handler(func() experiment.Status { return st }))
	defer server.Close()
	code, text := get(t, server.URL)
	if want := `mlgym_experiment_episode_step{agent="\uFFFD",episode="a\uFFFD",experiment="gr\uFFFDid",task="a"} 7`; code != http.StatusOK || !strings.Contains(text, strings.ReplaceAll(want, `\uFFFD`, "\uFFFD")) {
		t.Errorf("status %d, and no %s", code, want)
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	bound, wait, err := metrics.Serve(ctx, "127.0.0.1:0", snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if code, text := get(t, "http://"+bound+"/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz: %d %q", code, text)
	}
	if code, text := get(t, "http://"+bound+"/metrics"); code != http.StatusOK || !strings.Contains(text, "mlgym_experiment_episodes") {
		t.Errorf("/metrics: %d %q", code, text)
	}
	if _, _, err := metrics.Serve(ctx, bound, snapshot); err == nil || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("a busy port: %v, want an error that says what to do", err)
	}
	if _, _, err := metrics.Serve(ctx, "nonsense", snapshot); err == nil || !strings.Contains(err.Error(), "HOST:PORT") {
		t.Errorf("no address: %v, want an error that says what one is", err)
	}
	cancel()
	if err := wait(); err != nil {
		t.Errorf("after the end: %v", err)
	}
}
