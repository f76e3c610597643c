package docker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// testImage is what scripts/docker-test-image.sh makes.
const testImage = "mlgym-test:bookworm"

// engineVar names an engine that already runs, for those who want the tests on
// theirs; it must have testImage.
const engineVar = "MLGYM_TEST_DOCKER_HOST"

// startEngine starts an engine of our own, which touches no other: it has a
// socket, a state and data of its own, and makes no network. It returns its
// address. Where that is impossible, the test is skipped out loud.
func startEngine(t *testing.T) string {
	t.Helper()
	if host := os.Getenv(engineVar); host != "" {
		return host
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: starting a Docker engine for the test needs root; " + engineVar + " can name one that runs")
	}
	for _, program := range []string{"dockerd", "containerd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: %s is not installed (apt-get install docker.io)", program)
		}
	}
	// Not below t.TempDir, whose long name would not fit into a socket's.
	dir, err := os.MkdirTemp("", "mlgymdocker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	host := "unix://" + filepath.Join(dir, "docker.sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	engine := exec.Command("dockerd", //nolint:noctx // stopped by the clean-up
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
		"--host", host, "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=overlay2", "--config-file", filepath.Join(dir, "none.json"))
	if err := os.WriteFile(filepath.Join(dir, "none.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	engine.Env = append(os.Environ(), "DOCKER_HOST=")
	engine.Stdout, engine.Stderr = log, log
	engine.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = engine.Process.Signal(syscall.SIGTERM)
		_ = engine.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the engine's log ends:\n%s", text[max(0, len(text)-4000):])
		}
	})
	if err := answers(t.Context(), host); err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Skipf("SKIPPED: no Docker engine can be started here: %v\n%s", err, text[max(0, len(text)-2000):])
	}
	importImage(t, host)
	return host
}

// answers waits until an engine that was just started answers. It tells no one
// when it is ready, so it is asked repeatedly.
func answers(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := client.New(client.WithHost(host))
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(errors.New("it does not answer"), err)
		}
	}
}

// importImage makes testImage from a Debian root file system.
func importImage(t *testing.T, host string) {
	t.Helper()
	script, err := filepath.Abs("../../scripts/docker-test-image.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script) //nolint:noctx,gosec // our own script
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+host)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said += fmt.Sprintln(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Skipf("SKIPPED: no image to test with: %v\n%s", err, said)
	}
}
