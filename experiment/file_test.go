package experiment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const whole = `format: 1
name: all-of-it
tasks: [blotto, ./mine]
agents:
  - {name: b, agent: baseline}
  - agent: llm
    model: openai/gpt
    scaffold: own.yaml
    base_url: http://127.0.0.1:1/v1
    max_tokens: 100
    record_tokens: true
seeds: [3, 5]
settings: {variant: small, max_steps: 7, cost_limit: 1.5, time_limit: 90m, memory_mb: 64, gpus: 0}
task_settings:
  blotto: {max_steps: 9}
parallel: 3
gradings: 1
retries: 0
budget: {usd: 10, tokens: 1000, hours: 2.5}
without_gpu: small
prices: p.yaml
machine: {memory_mb: 1000, cpus: 2, gpus: [1]}
on: slurm
slurm: {partition: gpu, time: 4h, args: [--nice=10]}
`

// TestFileKeepsItsMeaning reads a file with every key, writes it, and reads it
// again.
func TestFileKeepsItsMeaning(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "grid.yaml")
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if f.Tasks[1] != filepath.Join(dir, "mine") || f.Agents[1].Scaffold != filepath.Join(dir, "own.yaml") || f.Prices != filepath.Join(dir, "p.yaml") {
		t.Errorf("paths are not those beside the file: %q, %q, %q", f.Tasks[1], f.Agents[1].Scaffold, f.Prices)
	}
	if *f.Settings.TimeLimit != 90*time.Minute || f.MaxRetries() != 0 || f.Slurm.Time != 4*time.Hour {
		t.Errorf("got %+v", f)
	}
	text, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeFile("again", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(f, again); diff != "" {
		t.Errorf("what was written is not what was read (-was +is):\n%s\n%s", diff, text)
	}
	spec := f.spec("blotto", f.Agents[1])
	if spec.MaxSteps != 9 || spec.CostUSD != 1.5 || spec.CostIfKnown || spec.Variant != "small" || spec.Box.MemoryBytes != 64<<20 || !spec.RecordTokens {
		t.Errorf("the episodes of blotto are %+v", spec)
	}
	if other := f.spec(f.Tasks[1], f.Agents[0]); other.MaxSteps != 7 {
		t.Errorf("the settings of one task count for another: %+v", other)
	}
}

func TestFileRefuses(t *testing.T) {
	tests := []struct{ name, from, to, want string }{
		{"another format", "format: 1", "format: 2", "format: version 2 is not known"},
		{"an unknown key", "parallel: 3", "paralel: 3", `did you mean "parallel"`},
		{"no task", "tasks: [blotto, ./mine]", "tasks: []", "an experiment needs a task"},
		{"a task twice", "./mine]", "blotto]", "blotto is named twice"},
		{"two agents of a name", "{name: b, agent: baseline}", "{name: openai/gpt, agent: baseline}", "are both called openai/gpt"},
		{"a person as an agent", "agent: baseline", "agent: human", "human is no agent of an experiment"},
		{"settings of another task", "  blotto: {max", "  bloto: {max", "bloto is not among the tasks"},
		{"no seeds", "seeds: [3, 5]", "seeds: []", "the list of seeds is empty"},
		{"a seed twice", "seeds: [3, 5]", "seeds: [3, 3]", "seed 3 is named twice"},
		{"a seed below 0", "seeds: [3, 5]", "seeds: [-1]", "whole numbers from 0 on"},
		{"words for seeds", "seeds: [3, 5]", "seeds: many", "want a number, such as 4"},
		{"too many seeds", "seeds: [3, 5]", "seeds: 100000000", "want 1 to"},
		{"a negative budget", "usd: 10", "usd: -1", "budget.usd: must not be negative"},
		{"an unknown place", "on: slurm", "on: kubernetes", `"kubernetes" is not known`},
		{"negative retries", "retries: 0", "retries: -1", "retries: must not be negative"},
		{"text for a number", "parallel: 3", "parallel: three", "want a whole number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(whole, tt.from, tt.to, 1)
			if text == whole {
				t.Fatalf("%q is not in the file", tt.from)
			}
			_, err := DecodeFile("grid.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "grid.yaml") {
				t.Errorf("got %v, want an error of grid.yaml with %q", err, tt.want)
			}
		})
	}
}

func TestSeeds(t *testing.T) {
	for _, tt := range []struct {
		seeds any
		want  []uint64
	}{
		{nil, []uint64{0}}, {int64(3), []uint64{0, 1, 2}}, {[]any{int64(7), int64(2)}, []uint64{7, 2}}, {[]uint64{4}, []uint64{4}},
	} {
		got, err := (&File{Seeds: tt.seeds}).seeds()
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("seeds %v: %v\n%s", tt.seeds, err, diff)
		}
	}
}

func FuzzDecodeFile(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("format: 1\ntasks: [a]\nagents: [{agent: demo}]\nseeds: 2\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := DecodeFile("f", text)
		if err != nil {
			return
		}
		out, err := file.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeFile("g", out)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, out)
		}
		a, _ := file.seeds()
		b, _ := again.seeds()
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("the seeds have changed:\n%s", diff)
		}
	})
}

// TestEncodeNumbers keeps numbers that are written with an exponent elsewhere.
func TestEncodeNumbers(t *testing.T) {
	for _, n := range []float64{1e-7, 0.25, 3, 1e15, 123456789.5} {
		f := File{Format: FileFormat, Tasks: []string{"blotto"}, Agents: []Agent{{Agent: "demo"}}, Budget: Limits{USD: n, Hours: n}}
		text, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeFile("f", text)
		if err != nil || got.Budget != f.Budget {
			t.Errorf("%v is read again as %+v, %v:\n%s", n, got, err, text)
		}
	}
}
