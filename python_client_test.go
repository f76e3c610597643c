package mlgym_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/internal/cachedir"
	"mlgym/layer"
)

// TestPythonClient installs the Python package as its users do, into a virtual
// environment with what python/tests_client/requirements.txt names, and runs its
// tests against servers of this tree's mlgym, and mypy over its source.
func TestPythonClient(t *testing.T) {
	uv := installedUV(t)
	tmp := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		// Folders for Python's caches would lie in the tree.
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "PYTHONDONTWRITEBYTECODE=1", "MLGYM_BINARY="+filepath.Join(tmp, "mlgym"), "VIRTUAL_ENV=", "MLGYM_URL=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	tests := filepath.Join("python", "tests_client")
	venv := filepath.Join(tmp, "venv")
	python := filepath.Join(venv, "bin", "python")
	run(uv, "venv", "--quiet", "--no-project", "--python", "/usr/bin/python3", venv)
	run(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", filepath.Join(tests, "requirements.txt"))
	run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation", "./python")
	run("go", "build", "-o", tmp+"/", "./cmd/mlgym", "./cmd/mlgym-shim")

	t.Run("mypy", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), python, "-m", "mypy", "--cache-dir", filepath.Join(tmp, "mypy"), "--exclude", "mlgym/adapters", "mlgym")
		cmd.Dir = "python"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	out := run(python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--durations=5", tests)
	t.Log(out)
	if strings.Contains(out, "skipped") || !strings.Contains(out, " passed") {
		t.Error("some tests were skipped, or there were none")
	}
}

// installedUV finds uv, where scripts/install.sh puts it or the variable says.
func installedUV(t *testing.T) string {
	t.Helper()
	if uv := os.Getenv(layer.EnvUV); uv != "" {
		return uv
	}
	cache, err := cachedir.Dir()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(cache, "tools", "bin", "uv"), "/var/cache/mlgym/tools/bin/uv"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	uv, err := exec.LookPath("uv")
	if err != nil {
		t.Skipf("SKIPPED, the Python client was not tested: no uv (pip install uv, or name it with %s): %v", layer.EnvUV, err)
	}
	return uv
}
