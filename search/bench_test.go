package search_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mlgym/search"
	"mlgym/trajectory/mlgym"
)

// published is where MLGym's published runs lie, beside the repository.
const published = "../../shared/evaluation/runs/trajectories"

// study makes a folder of about the given size of links to the published runs
// that have a record, each under several numbers. Nothing of them is copied.
func study(tb testing.TB, bytes int64) string {
	tb.Helper()
	entries, _, err := mlgym.Find(published)
	if err != nil {
		tb.Skipf("the published runs are not here: %v", err)
	}
	root := tb.TempDir()
	for round := 0; bytes > 0; round++ {
		before := bytes
		for _, e := range entries {
			record := e.Name.Task + ".traj"
			from, err := filepath.Abs(e.Path)
			if err != nil {
				tb.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(from, record))
			if err != nil {
				continue
			}
			base, number, _ := strings.Cut(e.Folder, "_run_")
			dir := filepath.Join(root, fmt.Sprintf("%s_run_%d%s", base, round+1, number))
			if err := os.Mkdir(dir, 0o755); err != nil {
				tb.Fatal(err)
			}
			for _, name := range []string{record, "results.json"} {
				if err := os.Symlink(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
					tb.Fatal(err)
				}
			}
			bytes -= info.Size()
		}
		if bytes == before {
			tb.Skip("the published runs here have no record")
		}
	}
	return root
}

// processor reports the time of processors that each operation of a benchmark
// takes, with what the collector of garbage takes beside it: unlike the time that
// passes, it says something on a machine that others use too.
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

// BenchmarkBuild indexes 234 MB of published runs, as large as all of them.
func BenchmarkBuild(b *testing.B) {
	root := study(b, 234e6)
	b.ReportAllocs()
	done := processor(b)
	for b.Loop() {
		x := open(b, b.TempDir())
		sum, err := x.Update(b.Context(), []string{root}, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(sum.Runs), "runs")
		b.ReportMetric(float64(sum.Steps), "steps")
		b.ReportMetric(float64(sum.Bytes)/1e6, "MB-text")
	}
	done()
}

// BenchmarkQuery asks an index of 234 MB of published runs.
func BenchmarkQuery(b *testing.B) {
	root := study(b, 234e6)
	x := open(b, b.TempDir())
	if _, err := x.Update(b.Context(), []string{root}, nil); err != nil {
		b.Fatal(err)
	}
	for _, text := range []string{
		"accuracy", "the", "learn*", "python train.py", "np.random", `"learning rate"`, "adam OR sgd", "error -memory", "-python", "!=", "zzzqq", "./train.py", `"the validation accuracy"`,
	} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			done := processor(b)
			for b.Loop() {
				page, err := x.Query(b.Context(), search.Query{Text: text, Limit: 20})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(page.Steps), "found")
			}
			done()
		})
	}
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Update(b.Context(), []string{root}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRuns lists 10,000 runs with an index that was just opened.
func BenchmarkRuns(b *testing.B) {
	root, dir := b.TempDir(), b.TempDir()
	for i := range 10_000 {
		name := fmt.Sprintf("metagen-m%d__blotto__default__t-0.00__p-0.95__c-4.00__install-0__x_run_%d", i%7, i)
		write(b, filepath.Join(root, name, "results.json"), fmt.Sprintf(`{"agent": [{"Score": 0.%d}], "baseline": {"Score": -0.2}}`, i))
		write(b, filepath.Join(root, name, "blotto.traj"), `{"trajectory": [{"action": "ls", "observation": "train.py"}], "info": {"exit_status": "submitted"}}`)
	}
	x := open(b, dir)
	begin := time.Now()
	if _, err := x.Update(b.Context(), []string{root}, nil); err != nil {
		b.Fatal(err)
	}
	b.Logf("indexed in %v", time.Since(begin))
	begin = time.Now()
	if _, err := x.Update(b.Context(), []string{root}, nil); err != nil {
		b.Fatal(err)
	}
	b.Logf("looked at again in %v", time.Since(begin))
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
	for _, limit := range []int{100, 10_000} {
		b.Run(fmt.Sprint(limit), func(b *testing.B) {
			done := processor(b)
			for b.Loop() {
				x := open(b, dir)
				page, err := x.Runs(b.Context(), search.RunQuery{Sort: search.ByScore, Limit: limit})
				if err != nil || page.Total != 10_000 || len(page.Runs) != limit {
					b.Fatalf("got %d of %d runs, %v", len(page.Runs), page.Total, err)
				}
				if err := x.Close(); err != nil {
					b.Fatal(err)
				}
			}
			done()
		})
	}
}
