package sandboxtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mlgym/internal/cachedir"
	"mlgym/internal/shim"
)

// Main builds mlgym-shim where the environment names none, and runs the tests.
// Call it from TestMain.
func Main(m *testing.M) int {
	if os.Getenv(shim.EnvShim) == "" {
		path, err := build()
		if err != nil {
			fmt.Fprintln(os.Stderr, "sandboxtest:", err)
			return 1
		}
		if err := os.Setenv(shim.EnvShim, path); err != nil {
			fmt.Fprintln(os.Stderr, "sandboxtest:", err)
			return 1
		}
	}
	return m.Run()
}

// build builds the shim into the cache. A binary that is the same as the one
// from the last time keeps its date, by which drivers know it.
func build() (string, error) {
	dir, err := cachedir.Dir("sandboxtest")
	if err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	fresh := filepath.Join(tmp, shim.Name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", fresh, "mlgym/cmd/mlgym-shim")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mlgym-shim: %w\n%s", err, out)
	}
	newText, err := os.ReadFile(fresh)
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, shim.Name)
	if oldText, err := os.ReadFile(target); err == nil && bytes.Equal(oldText, newText) {
		return target, nil
	}
	return target, os.Rename(fresh, target)
}
