package sandboxtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mlgym/sandbox"
)

func (s *suite) life(t *testing.T) {
	t.Run("close leaves no process", s.closeLeavesNothing)
	t.Run("close again, and use after it", s.closeTwice)
	t.Run("a cancelled creation leaves nothing", s.cancelledCreate)
	t.Run("bad specs", s.badSpecs)
	t.Run("many at once", s.manyAtOnce)
	t.Run("a sandbox that dies is lost", s.dies)
	t.Run("usage", s.usage)
	t.Run("killed owner", s.killedOwner)
}

// processes are what the host sees of a sandbox in which the survivors run.
func (s *suite) inhabit(t *testing.T, box sandbox.Sandbox) []watched {
	t.Helper()
	marker := "mlgymtest" + unique()
	res := s.run(t, box, strings.ReplaceAll(survivors, "MARKER", marker)+"\necho ready")
	if !strings.HasSuffix(res.Output, "ready\n") {
		t.Fatalf("the daemons did not start: %q", res.Output)
	}
	inside := hostPIDs(t, marker)
	if len(inside) < 6 && !s.OwnKernel {
		t.Fatalf("the host sees %d of the six daemons", len(inside))
	}
	if s.HostName != nil {
		inside = append(inside, hostPIDs(t, s.HostName(box.ID()))...)
	}
	if len(inside) == 0 {
		t.Fatal("the host sees nothing of the sandbox")
	}
	return watch(t, inside)
}

func (s *suite) closeLeavesNothing(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	all := s.inhabit(t, box)
	if err := box.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	gone(t, all, 0)
	s.noLeftover(t, box.ID())
}

// noLeftover checks that the driver finds nothing of a sandbox.
func (s *suite) noLeftover(t *testing.T, id string) {
	t.Helper()
	pruner, ok := s.driver.(sandbox.Pruner)
	if !ok {
		t.Log("the driver finds no leftovers")
		return
	}
	left, err := pruner.Leftovers(wait(t))
	if err != nil {
		t.Fatalf("leftovers: %v", err)
	}
	for _, l := range left {
		if l.ID == id {
			t.Errorf("left over: %+v", l)
		}
	}
}

func (s *suite) closeTwice(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	running, err := box.Start(wait(t), sandbox.Cmd{Argv: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := box.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	all.Wait()
	if err := box.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if exit, err := running.Wait(wait(t)); err == nil && exit.Code == 0 {
		t.Error("a program that was running when its sandbox closed has succeeded")
	}
	if _, err := box.(sandbox.Shell).Run(wait(t), sandbox.Script{Text: "true"}); !errors.Is(err, sandbox.ErrLost) {
		t.Errorf("run after close: %v, want sandbox.ErrLost", err)
	}
	if _, err := box.Start(wait(t), sandbox.Cmd{Argv: []string{"true"}}); !errors.Is(err, sandbox.ErrLost) {
		t.Errorf("start after close: %v, want sandbox.ErrLost", err)
	}
	if err := box.Files().Get(wait(t), io.Discard, 1, "x"); !errors.Is(err, sandbox.ErrLost) {
		t.Errorf("get after close: %v, want sandbox.ErrLost", err)
	}
}

func (s *suite) cancelledCreate(t *testing.T) {
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond} {
		spec := s.spec(sandbox.Spec{})
		spec.ID = "test" + unique()
		ctx, cancel := context.WithTimeout(wait(t), after)
		box, err := s.driver.Create(ctx, spec)
		cancel()
		if err == nil {
			// It was quicker than the deadline.
			if err := box.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		s.noLeftover(t, spec.ID)
		if s.HostName != nil {
			gone(t, watch(t, hostPIDs(t, s.HostName(spec.ID))), 0)
		}
	}
}

func (s *suite) badSpecs(t *testing.T) {
	for name, spec := range map[string]sandbox.Spec{
		"a mount that is not there":  {Mounts: []sandbox.Mount{{Source: "/no/such/folder", Target: "/data"}}},
		"a relative mount":           {Mounts: []sandbox.Mount{{Source: "/usr", Target: "data"}}},
		"a mount over the root":      {Mounts: []sandbox.Mount{{Source: "/usr", Target: "/"}}},
		"a mount with dots":          {Mounts: []sandbox.Mount{{Source: "/usr", Target: "/data/../../x"}}},
		"a root that is not there":   {Root: "/no/such/root"},
		"an id with a path in it":    {ID: "../../../tmp/mlgymtest"},
		"an id with spaces":          {ID: "a b"},
		"a mount on the workspace":   {Mounts: []sandbox.Mount{{Source: "/usr", Target: sandbox.WorkDir}}},
		"a mount on processes":       {Mounts: []sandbox.Mount{{Source: "/usr", Target: "/proc/sys"}}},
		"a mount that is no file":    {Mounts: []sandbox.Mount{{Source: "/dev/null", Target: "/data"}}},
		"a mount on a missing place": {Mounts: []sandbox.Mount{{Source: "/usr", Target: ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			full := s.spec(spec)
			full.ID = spec.ID
			if spec.Root != "" {
				full.Root = spec.Root
			}
			box, err := s.driver.Create(wait(t), full)
			if err == nil {
				_ = box.Close()
				t.Fatal("it was created")
			}
			t.Logf("%v", err)
			if errors.Is(err, sandbox.ErrLost) {
				t.Errorf("%v: want the spec blamed, not the sandbox", err)
			}
		})
	}
}

func (s *suite) manyAtOnce(t *testing.T) {
	const n = 20
	boxes := make([]sandbox.Sandbox, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			box, err := s.driver.Create(wait(t), s.spec(sandbox.Spec{}))
			if err != nil {
				t.Errorf("create: %v", err)
				return
			}
			boxes[i] = box
		})
	}
	all.Wait()
	ids := map[string]bool{}
	for i, box := range boxes {
		if box == nil {
			continue
		}
		ids[box.ID()] = true
		all.Go(func() {
			want := fmt.Sprintf("number %d\n", i)
			res, err := box.(sandbox.Shell).Run(wait(t), sandbox.Script{Text: fmt.Sprintf("echo number %d > f; cat f", i), Wall: patience})
			if err != nil || res.Output != want {
				t.Errorf("sandbox %d says %q, %v; want %q", i, res.Output, err, want)
			}
		})
	}
	all.Wait()
	if len(ids) != n {
		t.Errorf("%d different ids of %d", len(ids), n)
	}
	for _, box := range boxes {
		if box != nil {
			all.Go(func() {
				if err := box.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
		}
	}
	all.Wait()
}

// dies kills the runtime of a sandbox from outside.
func (s *suite) dies(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	marker := "mlgymtest" + unique()
	s.sleeper(t, box, marker)
	pids := hostPIDs(t, marker)
	if s.OwnKernel && s.HostName != nil {
		pids = hostPIDs(t, s.HostName(box.ID()))
	}
	if len(pids) == 0 {
		t.Fatal("the host sees nothing of the sandbox")
	}
	kill := firstProcess
	if s.OwnKernel {
		kill = itself
	}
	ended := make(chan error, 1)
	go func() {
		_, err := box.(sandbox.Shell).Run(wait(t), sandbox.Script{Text: "sleep 1000", Wall: patience})
		ended <- err
	}()
	for _, pid := range pids {
		kill(t, pid)
	}
	if err := <-ended; !errors.Is(err, sandbox.ErrLost) {
		t.Errorf("a script in a sandbox that was killed: %v, want sandbox.ErrLost", err)
	}
	if err := box.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	s.noLeftover(t, box.ID())
}

func (s *suite) usage(t *testing.T) {
	box := s.create(t, sandbox.Spec{})
	meter, ok := box.(sandbox.Meter)
	if !ok {
		t.Skip("SKIPPED: the driver measures nothing from outside")
	}
	before, err := meter.Usage(wait(t))
	if err != nil && s.unmetered(t, err) {
		t.Skip("SKIPPED: nothing on this machine counts what a sandbox uses")
	}
	if err != nil {
		t.Fatal(err)
	}
	// gVisor's programs have a clock of their own, which goes on while others have
	// the processor: on a busy machine half a second there is less here, so it is
	// worked again.
	const rounds = 5
	var after sandbox.Usage
	for range rounds {
		s.python(t, box, `import time
while time.process_time() < 0.5: pass`)
		if after, err = meter.Usage(wait(t)); err != nil {
			t.Fatal(err)
		}
		if after.CPU-before.CPU >= 400*time.Millisecond {
			break
		}
	}
	t.Logf("before %+v, after %+v", before, after)
	if grown := after.CPU - before.CPU; grown < 400*time.Millisecond || grown > time.Minute {
		t.Errorf("half a second of work counts as %v of processor time", grown)
	}
	if after.Processes == 0 || after.MemoryBytes == 0 {
		t.Errorf("got %+v, want processes and memory", after)
	}
}

// ownerVar names the test whose sandbox a second process of this binary makes,
// in order to be killed.
const ownerVar = "MLGYM_SANDBOXTEST_OWNER"

// own is that second process.
func own(t *testing.T, h Harness) {
	s := &suite{Harness: h, driver: h.New(t)}
	box, err := s.driver.Create(t.Context(), s.spec(sandbox.Spec{}))
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	marker := os.Getenv(ownerVar + "_MARKER")
	res := s.run(t, box, strings.ReplaceAll(survivors, "MARKER", marker)+"\necho ready")
	if !strings.HasSuffix(res.Output, "ready\n") {
		t.Fatalf("the daemons did not start: %q", res.Output)
	}
	// Busy while it dies, to make it harder.
	go func() {
		_, _ = box.(sandbox.Shell).Run(t.Context(), sandbox.Script{Text: "yes", Wall: patience})
	}()
	fmt.Printf("OWNER READY %s\n", box.ID())
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
}

func (s *suite) killedOwner(t *testing.T) {
	marker := "mlgymtest" + unique()
	name := strings.TrimSuffix(t.Name(), "/Life/killed_owner")
	pattern := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	owner := exec.Command(os.Args[0], "-test.run", pattern, "-test.v") //nolint:gosec,noctx // ourselves; killed below
	owner.Env = append(os.Environ(), ownerVar+"="+name, ownerVar+"_MARKER="+marker)
	owner.Env = append(owner.Env, s.OwnerEnv...)
	owner.SysProcAttr = ownerAttr()
	stdin, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	defer func() {
		if !killed {
			_ = owner.Process.Kill()
			_ = owner.Wait()
		}
	}()
	id, said := "", []string{}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "OWNER READY "); ok {
			id = rest
			break
		}
		said = append(said, lines.Text())
	}
	if id == "" {
		t.Fatalf("the owner ended:\n%s", strings.Join(said, "\n"))
	}
	pids := hostPIDs(t, marker)
	if len(pids) < 6 && !s.OwnKernel {
		t.Fatalf("the host sees %d of the six daemons", len(pids))
	}
	if s.HostName != nil {
		pids = append(pids, hostPIDs(t, s.HostName(id))...)
	}
	if len(pids) == 0 {
		t.Fatal("the host sees nothing of the sandbox")
	}
	all := watch(t, pids)
	s.live(t, id, true)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed = true
	_ = owner.Wait()
	gone(t, all, 30*time.Second)
	s.live(t, id, false)
	s.prune(t, id)
}

// live checks what the driver says of a sandbox that another process owns.
func (s *suite) live(t *testing.T, id string, want bool) {
	t.Helper()
	pruner, ok := s.driver.(sandbox.Pruner)
	if !ok {
		return
	}
	left, err := pruner.Leftovers(wait(t))
	if err != nil {
		t.Fatalf("leftovers: %v", err)
	}
	found := slices.ContainsFunc(left, func(l sandbox.Leftover) bool { return l.ID == id })
	if want && !found {
		t.Errorf("the driver does not list the living sandbox %s: %+v", id, left)
	}
	for _, l := range left {
		if l.ID == id && l.Live != want {
			t.Errorf("listed as %+v, want live %v", l, want)
		}
	}
}

// prune removes what the killed owner left.
func (s *suite) prune(t *testing.T, id string) {
	t.Helper()
	pruner, ok := s.driver.(sandbox.Pruner)
	if !ok {
		t.Log("the driver finds no leftovers")
		return
	}
	left, err := pruner.Leftovers(wait(t))
	if err != nil {
		t.Fatalf("leftovers: %v", err)
	}
	for _, l := range left {
		if l.ID == id {
			t.Logf("left over: %+v", l)
			if err := pruner.Remove(wait(t), l); err != nil {
				t.Errorf("remove %+v: %v", l, err)
			}
		}
	}
	s.noLeftover(t, id)
}
