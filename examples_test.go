package mlgym_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"mlgym/stats"
)

// exampleEpisode is a line of what examples/reinforce records.
type exampleEpisode struct {
	Draw   []float64 `json:"draw"`
	Reward float64   `json:"reward"`
	Masked bool      `json:"masked"`
}

// TestExamples runs the examples that need no trainer's library, in a short form
// against servers of this tree's mlgym, and checks that something is learned: from
// what was recorded, with fixed seeds, and with a margin that a policy which does
// not learn fails to reach.
func TestExamples(t *testing.T) {
	uv := installedUV(t)
	tmp := t.TempDir()
	python := filepath.Join(tmp, "venv", "bin", "python")
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=python",
			"MLGYM_BINARY="+filepath.Join(tmp, "mlgym"), "VIRTUAL_ENV=", "MLGYM_URL=", "MLGYM_TOKEN=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	run(uv, "venv", "--quiet", "--no-project", "--python", "/usr/bin/python3", filepath.Join(tmp, "venv"))
	run(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", filepath.Join("python", "tests_client", "requirements.txt"))
	run("go", "build", "-o", tmp+"/", "./cmd/mlgym", "./cmd/mlgym-shim")

	reinforce := func(t *testing.T, rate, episodes string) []exampleEpisode {
		t.Helper()
		out := t.TempDir()
		run(python, filepath.Join("examples", "reinforce", "train.py"), "--task", "battleOfSexes", "--episodes", episodes, "--seeds", "1",
			"--batch", "8", "--learning-rate", rate, "--spread-rate", "0", "--no-final", "--no-plot", "--quiet", "--out", out)
		return readExample(t, filepath.Join(out, "episodes.jsonl"))
	}
	// In simulations of the game the last quarter of 48 such episodes was at least 0.87
	// better than the first with this rate, and at most 0.15 with a rate of 0.
	const margin = 0.5
	var learned []exampleEpisode
	t.Run("reinforce learns", func(t *testing.T) {
		learned = reinforce(t, "2", "48")
		if got := quarters(learned); got < margin {
			t.Errorf("the last quarter is %.3f better than the first, want %.1f at least", got, margin)
		}
	})
	t.Run("reinforce without learning does not", func(t *testing.T) {
		same := reinforce(t, "0", "32")
		if got := quarters(same); got >= margin {
			t.Errorf("with a learning rate of 0 the last quarter is %.3f better than the first: the check of learning proves nothing", got)
		}
		if len(learned) == 0 {
			t.Fatal("there is nothing to compare with")
		}
		// Before the first update both are the same policy with the same seeds.
		for i := range 8 {
			if !slices.Equal(same[i].Draw, learned[i].Draw) || same[i].Reward != learned[i].Reward {
				t.Errorf("episode %d: %+v, and with the same seed %+v", i, same[i], learned[i])
			}
		}
	})
	t.Run("rejection sampling", func(t *testing.T) {
		out := t.TempDir()
		run(python, filepath.Join("examples", "rejection_sampling", "sample.py"), "--task", "battleOfSexes", "--episodes", "20",
			"--best", "4", "--min-score", "0.7", "--out", out)
		var result map[string]struct {
			Episodes int     `json:"episodes"`
			Mean     float64 `json:"mean"`
			Least    float64 `json:"least"`
		}
		text, err := os.ReadFile(filepath.Join(out, "result.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &result); err != nil {
			t.Fatal(err)
		}
		before, kept, after := result["collected"], result["kept"], result["after"]
		if before.Episodes != 20 || kept.Episodes < 2 || kept.Episodes > 4 || kept.Least < 0.7 || after.Episodes != 20 {
			t.Errorf("got %s", text)
		}
		if after.Mean < before.Mean+0.1 {
			t.Errorf("after learning from the best, the mean score is %.3f, before %.3f", after.Mean, before.Mean)
		}
		for _, name := range []string{"sft.jsonl", "sft.parquet"} {
			if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func readExample(t *testing.T, path string) []exampleEpisode {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var out []exampleEpisode
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var e exampleEpisode
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if e.Masked {
			t.Errorf("a fault of ours: %s", lines.Text())
		}
		out = append(out, e)
	}
	if lines.Err() != nil || len(out) < 32 {
		t.Fatalf("%s has %d episodes: %v", path, len(out), lines.Err())
	}
	return out
}

// quarters returns how much better the last quarter is than the first.
func quarters(episodes []exampleEpisode) float64 {
	rewards := make([]float64, len(episodes))
	for i, e := range episodes {
		rewards[i] = e.Reward
	}
	n := len(rewards) / 4
	return stats.Mean(rewards[len(rewards)-n:]) - stats.Mean(rewards[:n])
}
