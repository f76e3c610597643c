package sandboxtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"mlgym/sandbox"
)

// Harness is a driver under test and what is known of it.
type Harness struct {
	// New returns the driver. It may skip the test where the machine lacks
	// what the driver needs, saying so.
	New func(t *testing.T) sandbox.Driver
	// Spec is what every sandbox of the suite starts from; its Root, most of
	// all. The suite sets limits, mounts and calls itself.
	Spec sandbox.Spec
	// HostName returns a text that stands on the command line of host
	// processes that belong to the sandbox, such as a runtime's name of it.
	HostName func(id string) string
	// OwnKernel says that programs inside are not processes of the host's
	// kernel, so that neither their names nor their users are seen outside.
	OwnKernel bool
	// RootOutside says why the user inside is root outside after all, where
	// the driver says so itself.
	RootOutside string
	// LostWhenFull says that a sandbox which exceeds its memory or its
	// processes may be lost as a whole, as with gVisor.
	LostWhenFull bool
	// OwnerEnv is added to the environment of the owner that is started to be
	// killed.
	OwnerEnv []string
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	if os.Getenv(ownerVar) == t.Name() {
		own(t, h)
		return
	}
	t.Setenv(secretVar, "mlgym-secret-"+unique())
	s := &suite{Harness: h, driver: h.New(t)}
	s.capabilities(t)
	s.need(t)
	t.Run("Shell", s.shell)
	t.Run("Deadlines", s.deadlines)
	t.Run("Programs", s.programs)
	t.Run("Files", s.files)
	t.Run("Calls", s.calls)
	t.Run("Snapshots", s.snapshots)
	t.Run("Environment", s.environment)
	t.Run("Variables", s.variables)
	t.Run("Interrupts", s.interrupts)
	t.Run("Links", s.links)
	t.Run("Isolation", s.isolation)
	t.Run("Limits", s.limits)
	t.Run("Life", s.life)
}

// secretVar is a variable of the host that no sandbox may show.
const secretVar = "MLGYM_SANDBOXTEST_SECRET"

// suite is one run of the suite.
type suite struct {
	Harness
	driver sandbox.Driver
	caps   sandbox.Capabilities
}

// patience bounds every single wait of the suite. It is no measurement: what
// exceeds it hangs.
const patience = 2 * time.Minute

func (s *suite) capabilities(t *testing.T) {
	prober, ok := s.driver.(sandbox.Prober)
	if !ok {
		t.Log("the driver cannot be asked what it enforces: everything is tried")
		return
	}
	caps, err := prober.Probe(wait(t))
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	s.caps = caps
	t.Logf("driver %s, %s; limits: %v", caps.Driver, caps.Version, caps.Limits)
	for _, note := range caps.Notes {
		t.Logf("note: %s", note)
	}
	if caps.Driver != s.driver.Name() {
		t.Errorf("the capabilities are those of %q, the driver is called %q", caps.Driver, s.driver.Name())
	}
}

// limited skips the test where the driver says that it cannot keep a limit.
func (s *suite) limited(t *testing.T, limit string) {
	t.Helper()
	how, known := s.caps.Limits[limit]
	switch {
	case s.caps.Driver == "":
	case !known:
		t.Errorf("the driver says nothing about the limit %q", limit)
	case how == "none":
		t.Skipf("SKIPPED: the driver says that it cannot limit %s on this machine", limit)
	default:
		t.Logf("%s is limited by %s", limit, how)
	}
}

// need fails early where the root file system lacks what the suite runs.
func (s *suite) need(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	for _, program := range []string{"bash", "python3", "setsid", "nohup", "dd", "find"} {
		res := s.run(t, box, "command -v "+program)
		if res.ExitCode != 0 {
			t.Fatalf("the root file system lacks %s, without which most of the suite says nothing", program)
		}
	}
}

// wait returns a context that ends when something must be hanging.
func wait(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// unique returns a text that nothing else on the machine holds.
func unique() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// spec completes what a case asks for with the harness's own.
func (s *suite) spec(spec sandbox.Spec) sandbox.Spec {
	base := s.Spec
	base.Purpose = "test"
	base.Limits = spec.Limits
	base.OnCall = spec.OnCall
	base.Path = spec.Path
	base.Env = append(append([]string{}, base.Env...), spec.Env...)
	base.Mounts = append(append([]sandbox.Mount{}, base.Mounts...), spec.Mounts...)
	if base.Limits == (sandbox.Limits{}) {
		base.Limits = sandbox.Limits{MemoryBytes: 1 << 30, DiskBytes: 128 << 20, Processes: 256}
	}
	return base
}

// create makes a sandbox that is closed at the end of the test.
func (s *suite) create(t *testing.T, spec sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	box, err := s.driver.Create(wait(t), s.spec(spec))
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return box
}

// run runs a script in the sandbox's shell.
func (s *suite) run(t *testing.T, box sandbox.Sandbox, text string) sandbox.Result {
	t.Helper()
	return s.script(t, box, sandbox.Script{Text: text, Wall: patience})
}

func (s *suite) script(t *testing.T, box sandbox.Sandbox, script sandbox.Script) sandbox.Result {
	t.Helper()
	shell, ok := box.(sandbox.Shell)
	if !ok {
		t.Fatalf("%T has no shell", box)
	}
	res, err := shell.Run(wait(t), script)
	if err != nil {
		t.Fatalf("run %q: %v", script.Text, err)
	}
	return res
}

// outcome is what a program did.
type outcome struct {
	stdout, stderr string
	exit           sandbox.Exit
}

// start runs a program to its end.
func (s *suite) start(t *testing.T, box sandbox.Sandbox, cmd sandbox.Cmd) outcome {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	p, err := box.Start(wait(t), cmd)
	if err != nil {
		t.Fatalf("start %q: %v", cmd.Argv, err)
	}
	exit, err := p.Wait(wait(t))
	if err != nil {
		t.Fatalf("wait for %q: %v", cmd.Argv, err)
	}
	return outcome{stdout.String(), stderr.String(), exit}
}

// python runs a Python program to its end and returns what it printed. A
// program that fails fails the test: an attack has to reach its last line,
// having noted each failure on the way.
func (s *suite) python(t *testing.T, box sandbox.Sandbox, code string, args ...string) string {
	t.Helper()
	got := s.start(t, box, sandbox.Cmd{Argv: append([]string{"python3", "-c", code}, args...)})
	if got.exit.Code != 0 {
		t.Fatalf("python exits %d (%s %s)\nstdout: %s\nstderr: %s", got.exit.Code, got.exit.Signal, got.exit.StartError, got.stdout, got.stderr)
	}
	return got.stdout
}

// answers checks that a sandbox still works.
func (s *suite) answers(t *testing.T, box sandbox.Sandbox) {
	t.Helper()
	if res := s.run(t, box, "echo still $((6*7))"); !strings.HasSuffix(res.Output, "still 42\n") {
		t.Errorf("afterwards the shell says %q (exit code %d), want %q", res.Output, res.ExitCode, "still 42\n")
	}
}

// lost says whether err is the loss of a sandbox that the harness allows.
func (s *suite) lost(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return false
	}
	if !s.LostWhenFull || !errors.Is(err, sandbox.ErrLost) {
		t.Fatalf("got error %v, want none", err)
	}
	t.Logf("the sandbox was lost, as this driver may: %v", err)
	return true
}

// sleeper leaves a program running inside, with marker on its command line.
func (s *suite) sleeper(t *testing.T, box sandbox.Sandbox, marker string) {
	t.Helper()
	text := "mkfifo " + marker + "; bash -c 'echo up > $0; sleep 1000; true' " + marker + " & read -r line < " + marker + "; rm " + marker + "; disown; echo $line"
	if res := s.run(t, box, text); !strings.HasSuffix(res.Output, "up\n") {
		t.Fatalf("a program in the background does not start: %q", res.Output)
	}
}
