package report

import (
	"context"
	"io"
	"testing"

	"mlgym/plot"
)

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
