package sandboxtest

import (
	"fmt"
	"os"
	"testing"

	"mlgym/internal/shim/shimtest"
)

// Main builds mlgym-shim where the environment names none, and runs the tests.
// Call it from TestMain.
func Main(m *testing.M) int {
	if err := shimtest.Build(); err != nil {
		fmt.Fprintln(os.Stderr, "sandboxtest:", err)
		return 1
	}
	return m.Run()
}
