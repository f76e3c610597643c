package web_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mlgym/search"
	"mlgym/web/record"
	"mlgym/web/webtest"
)

// TestBrowser drives the pages as people use them: the real program serves runs of all
// kinds, Chromium opens its pages, and each spec of browsertest says what has to
// be seen there. With MLGYM_SCREENSHOTS=DIR a picture of what failed is kept there.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	b := newBrowser(t)
	specs, err := filepath.Glob("browsertest/*.spec.mjs")
	if err != nil || len(specs) == 0 {
		t.Fatal("no specs", err)
	}
	b.serve(t)
	for _, spec := range specs {
		t.Run(strings.TrimSuffix(filepath.Base(spec), ".spec.mjs"), func(t *testing.T) { b.run(t, spec) })
	}
}

// TestScreenshots takes pictures of the pages instead of trying them, into the folder
// MLGYM_SCREENSHOTS_OF_ALL. scripts/screenshots.sh calls it; nothing else does.
func TestScreenshots(t *testing.T) {
	if os.Getenv("MLGYM_SCREENSHOTS_OF_ALL") == "" {
		t.Skip("MLGYM_SCREENSHOTS_OF_ALL is not set: scripts/screenshots.sh takes pictures of the pages")
	}
	b := newBrowser(t)
	b.serve(t)
	b.run(t, "browsertest/screenshots.mjs")
}

// TestMeasureInBrowser measures what a reader waits for; scripts/view_bench.sh calls it.
func TestMeasureInBrowser(t *testing.T) {
	if os.Getenv("MLGYM_VIEW_BENCH") == "" {
		t.Skip("MLGYM_VIEW_BENCH is not set: scripts/view_bench.sh measures the pages")
	}
	b := newBrowser(t)
	b.serve(t)
	b.run(t, "browsertest/bench.mjs")
}

// browser is what specs run in.
type browser struct {
	program string
	set     *webtest.Set
	env     []string
}

// newBrowser builds the program, fetches what drives the browser, and makes the runs.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	for _, name := range []string{"node", "npm", "chromium"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED, the pages were not tried in a browser: no %s (Debian's packages nodejs, npm, chromium)", name)
		}
	}
	tmp := t.TempDir()
	b := &browser{program: filepath.Join(tmp, "mlgym")}
	b.command(t, "..", "go", "build", "-o", tmp+"/", "./cmd/mlgym", "./cmd/mlgym-shim")
	if stale(t, "browsertest/package-lock.json", "browsertest/node_modules/.package-lock.json") {
		b.command(t, "browsertest", "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	}
	root := filepath.Join(tmp, "runs")
	b.set = webtest.Make(t, root)
	b.env = append(os.Environ(), "MLGYM_PROGRAM="+b.program, "MLGYM_VIEW_ROOT="+root, "MLGYM_CACHE_OF_VIEW="+filepath.Join(tmp, "cache"))
	keys, err := json.Marshal(keysOf(t, b.set))
	if err != nil {
		t.Fatal(err)
	}
	b.env = append(b.env, "MLGYM_VIEW_RUNS="+string(keys))
	return b
}

// stale reports whether a is younger than b, or b is not there.
func stale(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(b)
	return err != nil || x.ModTime().After(y.ModTime())
}

func (b *browser) command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// keysOf names the pages of the runs of a set.
func keysOf(t *testing.T, s *webtest.Set) map[string]record.Key {
	t.Helper()
	x, err := search.Open(t.Context(), t.TempDir(), search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	library := record.NewLibrary(record.LibraryOptions{Roots: []string{s.Root}, Index: x})
	defer library.Close()
	out := map[string]record.Key{}
	for name, dir := range map[string]string{
		"good": s.Good, "better": s.Better, "hostile": s.Hostile, "long": s.Long, "running": s.Running, "torn": s.Torn,
		"broken": s.Broken, "empty": s.Empty, "bare": s.Bare, "lines": s.Lines, "binary": s.Binary,
	} {
		out[name] = library.Key(dir)
	}
	return out
}

// serve starts the program on the runs; it ends with the test.
func (b *browser) serve(t *testing.T) {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, b.program, "view", b.set.Root, "--addr", "127.0.0.1:0", "--ready-file", ready, "--control", "--play")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("mlgym view said:\n%s", log.String())
		}
	})
	for {
		if address, err := os.ReadFile(ready); err == nil {
			b.env = append(b.env, "MLGYM_VIEW="+strings.TrimSpace(string(address)))
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("mlgym view ended: %v\n%s", err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// run runs one spec; each of its tests is one of ours.
func (b *browser) run(t *testing.T, spec string) {
	abs, err := filepath.Abs(spec)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "run.mjs", abs)
	cmd.Dir = "browsertest"
	cmd.Env = b.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 4<<20)
	tests := 0
	for lines.Scan() {
		var result struct {
			Name, Error string
			OK          bool
			Seconds     float64
		}
		if json.Unmarshal(lines.Bytes(), &result) != nil {
			t.Log(lines.Text())
			continue
		}
		tests++
		t.Run(result.Name, func(t *testing.T) {
			if !result.OK {
				t.Error(result.Error)
			}
		})
	}
	if tests == 0 || err != nil && !t.Failed() {
		t.Errorf("%v\n%s", err, errs.String())
	}
}
