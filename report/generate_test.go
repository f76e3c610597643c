package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// tree says what a generated tree of run folders holds.
type tree struct {
	models []string
	tasks  []Task
	runs   int // of each model on each task
	steps  int // of each run, on average
	// observation is the mean size of an observation.
	observation int
}

// published is of the shape of the published runs: 13 models, 676 runs, 234 MB.
func published() tree {
	t := tree{tasks: MLGymBench().Tasks, runs: 4, steps: 24, observation: 7300}
	for _, m := range MLGymBench().Models {
		t.models = append(t.models, m.ID)
	}
	return t
}

var (
	madeActions = []string{
		"ls -la\n", "open \"baseline.py\"\n", "edit 10:20\n    x = model(batch[\"pixel_values\"])\n    loss = f(x)\nend_of_edit\n",
		"python baseline.py\n", "validate\n", "search_dir \"loss\"\n", "cd src && python train.py\n",
	}
	madeExits = []string{"submitted", "submitted", "submitted", "autosubmission (max_steps)", "evaluation_format_error (submit)", "autosubmission (exit_cost)", "", "submission_not_found (max_steps)"}
)

// generate writes the tree below root with all CPUs and returns its size.
func generate(tb testing.TB, root string, t tree) (bytes int64) {
	tb.Helper()
	type work struct {
		model string
		task  Task
		run   int
		seed  uint64
	}
	jobs := make(chan work)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for w := range jobs {
				n, err := t.write(root, w.model, w.task, w.run, rand.New(rand.NewPCG(7, w.seed)))
				mu.Lock()
				bytes += n
				mu.Unlock()
				if err != nil {
					tb.Error(err)
				}
			}
		})
	}
	seed := uint64(0)
	for _, m := range t.models {
		for _, task := range t.tasks {
			for i := range t.runs {
				jobs <- work{m, task, i, seed}
				seed++
			}
		}
	}
	close(jobs)
	wg.Wait()
	return bytes
}

func (t tree) write(root, model string, task Task, run int, rng *rand.Rand) (int64, error) {
	dir := filepath.Join(root, runName(model, task.ID, run))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	score := func() float64 { return *task.Baseline + (*task.Reference-*task.Baseline)*(rng.Float64()*1.3-0.3) }
	var scores []string
	var graded int
	f, err := os.Create(filepath.Join(dir, task.ID+".traj"))
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	observation := func() string {
		var b strings.Builder
		size := int(float64(t.observation) * rng.ExpFloat64())
		for b.Len() < size {
			fmt.Fprintf(&b, "epoch %d: loss=\"%.4f\" acc=%.3f\n\tpath: /home/agent/workspace/%x.py\n", rng.IntN(90), rng.Float64(), rng.Float64(), rng.Uint32())
		}
		return b.String()
	}
	text := func(s string) string {
		raw, _ := json.Marshal(s)
		return string(raw)
	}
	steps := 1 + rng.IntN(2*t.steps)
	fmt.Fprintf(w, `{"environment": "mlgym_main", "trajectory": [`)
	history := []string{`{"role": "system", "content": ` + text(observation()) + `, "agent": "primary_0"}`}
	for i := range steps {
		action, obs := madeActions[rng.IntN(len(madeActions))], observation()
		if i == steps-1 {
			action, obs = "submit\n", ""
		}
		if action == "validate\n" {
			s := fmt.Sprintf(`{%q: %v}`, task.Metric, score())
			scores = append(scores, s)
			obs = fmt.Sprintf("Your code produced a valid submission artefact.\nBaseline Score: {'x': 1}\nEvaluation Score: %s", strings.ReplaceAll(s, `"`, "'"))
			graded++
		}
		if i > 0 {
			w.WriteString(", ")
		}
		fmt.Fprintf(w, `{"action": %s, "observation": %s, "response": %s, "state": "{\"open_file\": \"n/a\", \"working_dir\": \"/home/agent/workspace\"}", "thought": "think", "execution_time": %.3f}`,
			text(action), text(obs), text("DISCUSSION\n"+action), rng.Float64())
		history = append(history,
			fmt.Sprintf(`{"role": "assistant", "content": %s, "thought": "think", "action": %s, "agent": "primary_0"}`, text(action), text(action)),
			fmt.Sprintf(`{"role": "user", "content": %s, "agent": "primary_0"}`, text(obs)))
	}
	exit := madeExits[rng.IntN(len(madeExits))]
	if exit == "submitted" {
		scores = append(scores, fmt.Sprintf(`{%q: %v}`, task.Metric, score()))
	}
	fmt.Fprintf(w, `], "history": [%s], "info": {"exit_status": %q, "submission": "", "summarizer": {}, "model_stats": {"total_cost": 1.5, "task_cost": 1.5, "tokens_sent": %d, "tokens_received": %d, "api_calls": %d}}}`,
		strings.Join(history, ", "), exit, rng.IntN(900000), rng.IntN(9000), steps)
	if err := w.Flush(); err != nil {
		return 0, err
	}
	size, err := f.Seek(0, 1)
	if err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	results := fmt.Sprintf(`{"agent": [%s], "baseline": {%q: %v}}`, strings.Join(scores, ", "), task.Metric, *task.Baseline)
	return size, os.WriteFile(filepath.Join(dir, "results.json"), []byte(results), 0o644)
}
