package mlgym_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mlgym"
	"mlgym/layer"
)

// TestAdapters runs the tests of the trainers' adapters, each with the trainer's
// own code as its lock file installs it, against servers of this tree's mlgym.
func TestAdapters(t *testing.T) {
	provider, err := mlgym.NewProvider(func(text string, _, _ int64, _ bool) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	builder := layer.NewBuilder(layer.Options{})
	library, err := filepath.Abs("python")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "./cmd/mlgym", "./cmd/mlgym-shim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, group := range []struct {
		name  string
		torch bool // the packages lie on top of the environment torch
		files []string
	}{
		{"openenv", false, []string{"test_openenv.py", "test_skyrl.py", "test_nemogym.py"}},
		{"verifiers", false, []string{"test_verifiers.py"}},
		{"verl", true, []string{"test_verl.py"}},
		{"trl", true, []string{"test_trl.py", "test_examples.py"}},
	} {
		t.Run(group.name, func(t *testing.T) {
			lock, err := os.ReadFile(filepath.Join(library, "adapters-requirements-"+group.name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			built, err := builder.Build(t.Context(), layer.Lock{Name: "adapters-" + group.name, Requirements: lock})
			if err != nil {
				t.Fatal(err)
			}
			python, path := built.PythonPath(), library
			if group.torch {
				packages, err := filepath.Glob(filepath.Join(built.Dir, "lib", "python3*", "site-packages"))
				if err != nil || len(packages) != 1 {
					t.Fatalf("site-packages of %s: %v, %v", built.Dir, packages, err)
				}
				python, path = interpreter(t, provider, "torch"), library+":"+packages[0]
			}
			args := append([]string{"-B", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--durations=3"}, group.files...)
			cmd := exec.CommandContext(t.Context(), python, args...)
			cmd.Dir = filepath.Join(library, "tests_adapters")
			home := t.TempDir() // for what the libraries keep of their own
			cmd.Env = append(os.Environ(), "PYTHONPATH="+path, "MLGYM_BINARY="+filepath.Join(bin, "mlgym"), "MLGYM_URL=", "MLGYM_TOKEN=",
				"OMP_NUM_THREADS=1", "HF_HUB_OFFLINE=1", "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, ".cache"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
			if text := string(out); strings.Contains(text, "skipped") || !strings.Contains(text, " passed") {
				t.Error("some tests were skipped, or there were none")
			}
		})
	}
}
