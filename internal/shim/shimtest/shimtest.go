// Package shimtest builds mlgym-shim for tests that make sandboxes.
package shimtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"mlgym/internal/cachedir"
	"mlgym/internal/shim"
	_ "mlgym/internal/shim/server" // so that a change there makes cached test results void
)

// Build builds mlgym-shim from the tree at hand and lets shim.Dir find it. It
// is called from TestMain of packages whose tests make sandboxes.
func Build() error {
	if os.Getenv(shim.EnvShim) != "" {
		return nil
	}
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return fmt.Errorf("find the source of mlgym-shim: no caller")
	}
	root := filepath.Join(filepath.Dir(file), "..", "..", "..")
	dir, err := cachedir.Dir("test-shim")
	if err != nil {
		return err
	}
	// Go leaves an up-to-date binary as it is, so its time, by which shim.Dir
	// knows it, does not change from one test to the next.
	target := filepath.Join(dir, shim.Name)
	cmd := exec.Command("go", "build", "-o", target, "./cmd/mlgym-shim") //nolint:noctx // bounded by the test
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build mlgym-shim: %w\n%s", err, out)
	}
	return os.Setenv(shim.EnvShim, target)
}
