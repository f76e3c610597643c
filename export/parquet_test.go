package export_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"mlgym/environments"
	"mlgym/export"
	"mlgym/layer"
)

// columnar are the formats that are written as Parquet.
func columnar() []export.Format {
	return []export.Format{export.SFT, export.DPO, export.OpenAIMessages, export.Turns, export.Transitions}
}

// mixed makes runs that fill every column at least once, and leave it empty once.
func mixed(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, attempt{name: "a", task: "one", commands: []string{"ls", "submit"}, score: new(1.0), model: true, tokens: true})
	write(t, root, attempt{name: "b", task: "one", commands: []string{"pwd"}, score: new(0.0), model: true})
	write(t, root, attempt{name: "c", task: "two", commands: []string{"ls", "wörld 🌟"}, score: new(2.0), reward: 0.5})
	write(t, root, attempt{name: "d", task: "two", commands: []string{"edit"}, tool: "edit", score: new(3.0)})
	write(t, root, attempt{name: "e", task: "two", commands: []string{"ls"}})
	return root
}

// encode writes all runs.
func encode(t *testing.T, root string, o export.Options) ([]byte, export.Stats) {
	t.Helper()
	chosen, _, err := export.Choose([]string{root}, export.Filter{Unscored: true})
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	stats, err := export.Write(t.Context(), &buf, chosen, o)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), stats
}

// plain is a row of Parquet as JSON has it: what is null there is left out here, and
// a tool's arguments are no text.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if value = plain(value); value != nil {
				out[key] = value
			}
		}
		if text, ok := out["args"].(string); ok {
			var args any
			if json.Unmarshal([]byte(text), &args) == nil {
				out["args"] = args
			}
		}
		return out
	case []any:
		out := []any{}
		for _, value := range v {
			out = append(out, plain(value))
		}
		return out
	}
	return v
}

func decodeLines(t *testing.T, text []byte) []any {
	t.Helper()
	var out []any
	for line := range bytes.Lines(text) {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, plain(v))
	}
	return out
}

// TestParquetIsTheSame reads every format back and compares it with its JSON.
func TestParquetIsTheSame(t *testing.T) {
	root := mixed(t)
	for _, format := range columnar() {
		t.Run(string(format), func(t *testing.T) {
			text, want := encode(t, root, export.Options{Format: format})
			file, stats := encode(t, root, export.Options{Format: format, Encoding: export.Parquet})
			if diff := cmp.Diff(want, stats); diff != "" || stats.Lines == 0 {
				t.Errorf("stats (-json +parquet)\n%s", diff)
			}
			r := parquet.NewGenericReader[any](bytes.NewReader(file))
			defer r.Close()
			rows := make([]any, r.NumRows())
			if n, err := r.Read(rows); n != len(rows) {
				t.Fatalf("read %d of %d rows: %v", n, len(rows), err)
			}
			var again bytes.Buffer
			for _, row := range rows {
				if err := json.NewEncoder(&again).Encode(plain(row)); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(decodeLines(t, text), decodeLines(t, again.Bytes())); diff != "" {
				t.Errorf("(-json +parquet)\n%s", diff)
			}
		})
	}
}

func TestParquetRefuses(t *testing.T) {
	root := mixed(t)
	chosen, _, err := export.Choose([]string{root}, export.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export.Write(t.Context(), &bytes.Buffer{}, chosen, export.Options{Format: export.ATIF, Encoding: export.Parquet}); !errors.Is(err, export.ErrNoParquet) {
		t.Errorf("atif as Parquet: %v, want ErrNoParquet", err)
	}
	if _, err := export.Write(t.Context(), full{}, chosen, export.Options{Format: export.SFT, Encoding: export.Parquet}); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the writer's error", err)
	}
	for _, tt := range []struct{ name, file, want string }{
		{"", "x.parquet", "parquet"}, {"", "x.jsonl", "jsonl"}, {"", "", "jsonl"}, {"jsonl", "x.parquet", "jsonl"}, {"parquet", "", "parquet"}, {"parquett", "", "did you mean"},
	} {
		got, err := export.ParseEncoding(tt.name, tt.file)
		if string(got) != tt.want && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("encoding %q of %q: %q, %v; want %q", tt.name, tt.file, got, err, tt.want)
		}
	}
}

// loadParquet reads a Parquet file as people do, and prints its rows as JSON Lines.
const loadParquet = `
import json, sys
import pandas
import pyarrow.parquet as pq

file, kept = sys.argv[1:]
rows = pq.read_table(file).to_pylist()
assert len(pandas.read_parquet(file)) == len(rows), "pandas has other rows"
try:
    import datasets
except ImportError:
    print("no datasets", file=sys.stderr)
else:
    datasets.disable_progress_bars()
    loaded = datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=kept)
    assert loaded.to_list() == rows, "datasets has other rows"
for row in rows:
    print(json.dumps(row))
`

// TestParquetInPython reads every format with pyarrow, pandas and datasets.
func TestParquetInPython(t *testing.T) {
	lock, err := layer.Find(environments.Files, "torch")
	if err != nil {
		t.Fatal(err)
	}
	built, ok := layer.NewBuilder(layer.Options{}).Lookup(lock)
	if !ok {
		t.Skip("SKIPPED, not tested with pyarrow: the environment torch is not built here; mlgym task prepare builds it")
	}
	python := built.PythonPath()
	root := mixed(t)
	for _, format := range columnar() {
		t.Run(string(format), func(t *testing.T) {
			text, _ := encode(t, root, export.Options{Format: format})
			file, _ := encode(t, root, export.Options{Format: format, Encoding: export.Parquet})
			path := filepath.Join(t.TempDir(), "runs.parquet")
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), python, "-B", "-c", loadParquet, path, t.TempDir())
			cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "OMP_NUM_THREADS=1")
			var problems bytes.Buffer
			cmd.Stderr = &problems
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, problems.String())
			}
			if strings.Contains(problems.String(), "no datasets") {
				t.Error("the environment has no datasets, so load_dataset was not tried")
			}
			if diff := cmp.Diff(decodeLines(t, text), decodeLines(t, out)); diff != "" {
				t.Errorf("(-json +pyarrow)\n%s", diff)
			}
		})
	}
}
