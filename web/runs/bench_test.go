package runs_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mlgym/runstore"
	"mlgym/search"
	"mlgym/web/page"
	"mlgym/web/record"
	"mlgym/web/runs"
	"mlgym/web/webtest"
)

// processor reports the time of processors that each operation takes, which says
// something also on a machine that others use.
func processor(b *testing.B) func() {
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	return func() { b.ReportMetric(float64(spent()-before)/1e6/float64(b.N), "cpu-ms/op") }
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkList asks for pages of a list of 10,000 runs; "start" also opens the index,
// as the first page after a start does.
func BenchmarkList(b *testing.B) {
	root := b.TempDir()
	for i := range 10_000 {
		name := fmt.Sprintf("metagen-m%d__task%d__default__t-0.00__p-0.95__c-4.00__install-0__x_run_%d", i%7, i%13, i)
		write(b, filepath.Join(root, name, "results.json"), fmt.Sprintf(`{"agent": [{"Score": 0.%d}], "baseline": {"Score": -0.2}}`, i))
		write(b, filepath.Join(root, name, fmt.Sprintf("task%d.traj", i%13)), `{"trajectory": [{"action": "ls", "observation": "train.py"}], "info": {"exit_status": "submitted"}}`)
	}
	dir := b.TempDir()
	x, err := search.Open(b.Context(), dir, search.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	if _, err := x.Update(b.Context(), []string{root}, nil); err != nil {
		b.Fatal(err)
	}
	serve := func(x *search.Index) *view {
		// Not started: the pages are of what the index has, as in the first moment.
		lib := record.NewLibrary(record.LibraryOptions{Roots: []string{root}, Index: x})
		v := &view{tb: b, lib: lib, mux: http.NewServeMux()}
		runs.New(page.New(page.Options{}), lib).Register(v.mux)
		return v
	}
	v := serve(x)
	for _, path := range []string{"runs/", "runs/?sort=score&page=57", "runs/?task=task3&model=m2&sort=cost", "runs/?q=run_99", "runs/fragment"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			done := processor(b)
			for b.Loop() {
				b.ReportMetric(float64(len(v.page(path))), "bytes")
			}
			done()
		})
	}
	b.Run("start", func(b *testing.B) {
		done := processor(b)
		for b.Loop() {
			x, err := search.Open(b.Context(), dir, search.Options{})
			if err != nil {
				b.Fatal(err)
			}
			if body := serve(x).page("runs/"); !strings.Contains(body, "of 10\u202f000 runs") {
				b.Fatal("not all runs are listed")
			}
			if err := x.Close(); err != nil {
				b.Fatal(err)
			}
		}
		done()
	})
}

// BenchmarkCompare compares two runs of about 1,900 steps that differ throughout, the
// longest that are compared each step with each, and two of 4 MB.
func BenchmarkCompare(b *testing.B) {
	root := b.TempDir()
	for i, name := range []string{"a", "b"} {
		e := webtest.Begin(b, filepath.Join(root, name), runstore.Manifest{})
		var steps []webtest.Step
		for n := range 1900 {
			steps = append(steps, webtest.Step{Action: fmt.Sprintf("echo %d %d", i, n*(3-i)%911), Observation: "x", Seconds: 1})
		}
		e.Add(steps...)
		e.Finish(1)
		e = webtest.Begin(b, filepath.Join(root, name+"-long"), runstore.Manifest{})
		e.Long(4_000_000, 1_800_000)
		e.Finish(1)
	}
	v := open(b, false, root)
	key := func(name string) string { return v.key(filepath.Join(root, name)) }
	long := "compare/" + key("a-long") + "," + key("b-long") + "/"
	for name, path := range map[string]string{"steps": "compare/" + key("a") + "," + key("b") + "/", "4MB": long, "1.8MB-beside": long + "step/1,1"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			done := processor(b)
			for b.Loop() {
				b.ReportMetric(float64(len(v.page(path))), "bytes")
			}
			done()
		})
	}
}
