package bubblewrap_test

import (
	"errors"
	"testing"

	"mlgym/sandbox"
	"mlgym/sandbox/bubblewrap"
	"mlgym/sandbox/sandboxtest"
)

func harness() sandboxtest.Harness {
	return sandboxtest.Harness{
		New: func(t *testing.T) sandbox.Driver {
			t.Helper()
			driver := bubblewrap.New(bubblewrap.Options{})
			if _, err := driver.Probe(t.Context()); err != nil {
				if unavailable := (*sandbox.UnavailableError)(nil); errors.As(err, &unavailable) {
					t.Skipf("SKIPPED: %v", err)
				}
				t.Fatal(err)
			}
			return driver
		},
	}
}

func TestConformance(t *testing.T) { sandboxtest.Run(t, harness()) }

func TestConformanceAsOrdinaryUser(t *testing.T) {
	sandboxtest.AsOrdinaryUser(t, func(t *testing.T) { sandboxtest.Run(t, harness()) })
}

func TestPublicDataIsHidden(t *testing.T) { sandboxtest.PublicData(t, harness()) }
