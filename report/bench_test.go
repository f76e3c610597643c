package report

import (
	"context"
	"flag"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"mlgym/plot"
)

var generatedRuns = flag.Int("generated-runs", 100_000, "how many small runs BenchmarkManyRuns makes")

// cpu is the time that this process has used on all CPUs.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heapMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// BenchmarkPublishedShape reads and computes a generated tree of the shape of
// all published runs: 676 runs, about 234 MB.
func BenchmarkPublishedShape(b *testing.B) {
	root := b.TempDir()
	bytes := generate(b, root, published())
	for _, c := range []struct {
		name string
		run  func(b *testing.B)
	}{
		{"calculation", func(b *testing.B) {
			s, err := Collect(context.Background(), []string{root}, Options{})
			if err != nil {
				b.Fatal(err)
			}
			Compute(s, Settings{Resamples: -1})
		}},
		{"calculation_and_audit", func(b *testing.B) {
			s, err := Collect(context.Background(), []string{root}, Options{Audit: true})
			if err != nil {
				b.Fatal(err)
			}
			Compute(s, Settings{Resamples: -1})
		}},
		{"tables_and_figures", func(b *testing.B) {
			s, err := Collect(context.Background(), []string{root}, Options{})
			if err != nil {
				b.Fatal(err)
			}
			r := Compute(s, Settings{Resamples: -1, Definitions: []Definition{MLGym}})
			if err := r.WriteDir(context.Background(), b.TempDir(), nil); err != nil {
				b.Fatal(err)
			}
		}},
		{"whole_report", func(b *testing.B) {
			s, err := Collect(context.Background(), []string{root}, Options{Audit: true})
			if err != nil {
				b.Fatal(err)
			}
			if err := Compute(s, Settings{}).WriteDir(context.Background(), b.TempDir(), nil); err != nil {
				b.Fatal(err)
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(bytes)
			begin := cpu()
			n := 0
			for b.Loop() {
				c.run(b)
				n++
			}
			b.ReportMetric((cpu()-begin).Seconds()/float64(n), "cpu-s/op")
		})
	}
}

// BenchmarkManyRuns reads a tree of very many small runs; -generated-runs says
// how many. It is left out with -short.
func BenchmarkManyRuns(b *testing.B) {
	if testing.Short() {
		b.Skip("makes a large tree")
	}
	t := published()
	t.steps, t.observation = 3, 100
	t.runs = max(*generatedRuns/(len(t.models)*len(t.tasks)), 1)
	root := b.TempDir()
	generate(b, root, t)
	for b.Loop() {
		before := heapMB()
		last := 0
		s, err := Collect(context.Background(), []string{root}, Options{Progress: func(done, all int) {
			if done*10/all > last {
				last = done * 10 / all
				b.Logf("%d of %d runs", done, all)
			}
		}})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(heapMB()-before, "MB-kept")
		b.ReportMetric(float64(len(s.Rows)), "runs")
		if err := Compute(s, Settings{Resamples: -1}).WriteDir(context.Background(), b.TempDir(), []Format{CSV, HTML, JSON}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishedStatistics(b *testing.B) {
	_, s := devStudy(b)
	b.ReportAllocs()
	for b.Loop() {
		Compute(s, Settings{})
	}
}

func BenchmarkPublishedTables(b *testing.B) {
	o := readOracle(b)
	root := shared(b, "runs", "trajectories")
	b.ReportAllocs()
	for b.Loop() {
		s, err := Collect(context.Background(), []string{root}, Options{Models: o.Sets["dev5"].Models})
		if err != nil {
			b.Fatal(err)
		}
		Compute(s, Settings{Resamples: -1})
	}
}

func BenchmarkPublishedFigures(b *testing.B) {
	_, s := devStudy(b)
	r := Compute(s, Settings{Resamples: -1})
	b.ReportAllocs()
	for b.Loop() {
		for _, f := range r.Figures(MLGym) {
			for _, format := range []plot.Format{plot.SVG, plot.PNG, plot.PDF} {
				if err := f.Chart.Write(io.Discard, format); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
