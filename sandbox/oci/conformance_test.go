package oci_test

import (
	"errors"
	"os"
	"testing"

	"mlgym/sandbox"
	"mlgym/sandbox/oci"
	"mlgym/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { os.Exit(sandboxtest.Main(m)) }

// harness returns the harness of a runtime, or skips the test out loud.
func harness(runtime string) sandboxtest.Harness {
	return sandboxtest.Harness{
		New: func(t *testing.T) sandbox.Driver {
			t.Helper()
			driver := oci.New(oci.Options{Runtime: runtime})
			if _, err := driver.Probe(t.Context()); err != nil {
				if unavailable := (*sandbox.UnavailableError)(nil); errors.As(err, &unavailable) {
					t.Skipf("SKIPPED: %v", err)
				}
				t.Fatal(err)
			}
			return driver
		},
		HostName:     oci.ContainerName,
		OwnKernel:    runtime == oci.Runsc,
		LostWhenFull: runtime == oci.Runsc,
	}
}

func TestPublicDataIsHidden(t *testing.T) {
	for _, runtime := range []string{oci.Runc, oci.Crun, oci.Runsc} {
		t.Run(runtime, func(t *testing.T) { sandboxtest.PublicData(t, harness(runtime)) })
	}
}

func TestConformanceRunc(t *testing.T) { sandboxtest.Run(t, harness(oci.Runc)) }

func TestConformanceCrun(t *testing.T) { sandboxtest.Run(t, harness(oci.Crun)) }

func TestConformanceRunsc(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: gVisor is slow, and -short was asked for")
	}
	sandboxtest.Run(t, harness(oci.Runsc))
}

func TestConformanceRuncAsOrdinaryUser(t *testing.T) {
	sandboxtest.AsOrdinaryUser(t, func(t *testing.T) { sandboxtest.Run(t, harness(oci.Runc)) })
}

func TestConformanceCrunAsOrdinaryUser(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: like runc, and -short was asked for")
	}
	sandboxtest.AsOrdinaryUser(t, func(t *testing.T) { sandboxtest.Run(t, harness(oci.Crun)) })
}

func TestConformanceRunscAsOrdinaryUser(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: gVisor is slow, and -short was asked for")
	}
	sandboxtest.AsOrdinaryUser(t, func(t *testing.T) { sandboxtest.Run(t, harness(oci.Runsc)) })
}
