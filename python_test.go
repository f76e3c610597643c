package mlgym_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mlgym"
)

// TestPython runs the unit tests of our Python: of the libraries, the tasks and
// the data sets. Those of a task run in its own environment, which is built
// where it is missing, so that none is skipped for the lack of a library.
func TestPython(t *testing.T) {
	provider, err := mlgym.NewProvider(func(text string, _, _ int64, _ bool) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	library, err := filepath.Abs("python")
	if err != nil {
		t.Fatal(err)
	}
	run := func(folder, python string) {
		t.Run(filepath.ToSlash(folder), func(t *testing.T) {
			if found, err := filepath.Glob(filepath.Join(folder, "test_*.py")); err != nil || len(found) == 0 {
				t.Skipf("SKIPPED: %s has no tests (%v)", folder, err)
			}
			cmd := exec.CommandContext(t.Context(), python, "-B", "-m", "unittest", "discover", "-v", "-s", folder)
			cmd.Env = append(os.Environ(), "PYTHONPATH="+library, "OMP_NUM_THREADS=1")
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), "Ran 0 tests") {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "... skipped") {
					t.Error("a test was skipped: " + line)
				}
			}
		})
	}
	catalog, err := mlgym.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	system, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("SKIPPED, not tested: %v", err)
	}
	for _, id := range catalog.IDs() {
		one, err := catalog.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		python := system
		if one.Environment != "" {
			python = interpreter(t, provider, one.Environment)
		}
		run(filepath.Join("tasks", string(id), "tests"), python)
	}
	for _, id := range mlgym.Datasets().IDs() {
		d, err := mlgym.Datasets().Find(id)
		if err != nil {
			t.Fatal(err)
		}
		// The largest of the shared environments, since tests look at what was
		// prepared with what will read it.
		python := interpreter(t, provider, "torch")
		if d.Environment == "" {
			if python, err = provider.PreparationPython(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		run(filepath.Join("datasets", string(id), "tests"), python)
	}
	run(filepath.Join("python", "tests"), interpreter(t, provider, "torch"))
}

// interpreter builds an environment and returns its Python.
func interpreter(t *testing.T, provider *mlgym.Provider, name string) string {
	t.Helper()
	python, err := provider.EnvironmentPython(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return python
}
