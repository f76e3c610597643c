package docker_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mlgym/sandbox"
	"mlgym/sandbox/docker"
	"mlgym/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { os.Exit(sandboxtest.Main(m)) }

// ownerHost tells the second process of the suite which engine to use.
const ownerHost = "MLGYM_TEST_DOCKER_OWNER_HOST"

func TestConformance(t *testing.T) {
	host := os.Getenv(ownerHost)
	if host == "" {
		host = startEngine(t)
	}
	sandboxtest.Run(t, sandboxtest.Harness{
		New: func(*testing.T) sandbox.Driver {
			return docker.New(docker.Options{Host: host, Image: testImage})
		},
		OwnerEnv: []string{ownerHost + "=" + host},
	})
	t.Run("a missing image", func(t *testing.T) {
		d := docker.New(docker.Options{Host: host, Image: "registry.invalid/no/such:image"})
		_, err := d.Create(t.Context(), sandbox.Spec{})
		u := (*sandbox.UnavailableError)(nil)
		if !errors.As(err, &u) || !strings.Contains(u.Fix, "docker pull registry.invalid/no/such:image") {
			t.Errorf("got %v, want what to pull", err)
		}
	})
	t.Run("a GPU that is not there", func(t *testing.T) {
		if _, err := os.Stat("/dev/nvidia0"); err == nil {
			t.Skip("SKIPPED: this machine has a GPU")
		}
		d := docker.New(docker.Options{Host: host, Image: testImage})
		box, err := d.Create(t.Context(), sandbox.Spec{GPUs: []int{0}})
		u := (*sandbox.UnavailableError)(nil)
		if !errors.As(err, &u) || !strings.Contains(u.Fix, "container toolkit") {
			t.Errorf("got %v, %v; want an UnavailableError that names the toolkit", box, err)
		}
	})
}

func TestNoEngine(t *testing.T) {
	d := docker.New(docker.Options{Host: "unix://" + filepath.Join(t.TempDir(), "none.sock")})
	for name, try := range map[string]func() error{
		"create": func() error { _, err := d.Create(t.Context(), sandbox.Spec{}); return err },
		"probe":  func() error { _, err := d.Probe(t.Context()); return err },
	} {
		u := (*sandbox.UnavailableError)(nil)
		if err := try(); !errors.As(err, &u) || !strings.Contains(u.Fix, "docker.io") {
			t.Errorf("%s: %v, want an UnavailableError that names the package", name, err)
		}
	}
	if left, err := d.Leftovers(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("leftovers without an engine: %v, %v; want none", left, err)
	}
}

func TestEngineElsewhere(t *testing.T) {
	d := docker.New(docker.Options{Host: "tcp://127.0.0.1:1"})
	if _, err := d.Create(t.Context(), sandbox.Spec{}); err == nil {
		t.Error("a sandbox was created on an engine that is not there")
	}
}
