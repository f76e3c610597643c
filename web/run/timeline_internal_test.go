package run

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func here(int) string { return "" }

// TestTimelines checks that every step of a timeline has its place, whatever its
// duration, and that what is drawn stays bounded.
func TestTimelines(t *testing.T) {
	durations := map[string]func(i int) float64{
		"even":     func(int) float64 { return 2 },
		"none":     func(int) float64 { return 0 },
		"one long": func(i int) float64 { return map[bool]float64{true: 1e6, false: 0.001}[i == 7] },
		"growing":  func(i int) float64 { return float64(i * i) },
		"odd": func(i int) float64 {
			return []float64{math.NaN(), math.Inf(1), -5, 1e308, 1}[i%5]
		},
	}
	for name, seconds := range durations {
		for _, n := range []int{1, 2, 7, 119, 120, 121, 600, 601, 1505, 100_000} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				groups := []string{"Edit", "Bash", "Python", "unheard of"}
				steps := make([]lapse, n)
				marks := []mark{{Step: 1, Kind: "validate"}, {Step: n, Kind: "submit"}}
				for i := range steps {
					steps[i] = lapse{i + 1, groups[i%len(groups)], seconds(i), "x"}
				}
				for range 300 {
					marks = append(marks, mark{Step: n, Kind: "validate"})
				}
				for kind, bars := range map[string][]bar{"share": equalBars(steps), "time": timedBars(steps)} {
					next, x := 1, 0.0
					for _, b := range bars {
						if b.from != next || b.to < b.from || math.Abs(b.x-x) > 1e-6*1000 || !(b.width >= 0) {
							t.Fatalf("%s: the bar %+v follows step %d at %g", kind, b, next-1, x)
						}
						next, x = b.to+1, b.x+b.width
					}
					if next != n+1 || math.Abs(x-1000) > 1e-3 || len(bars) > maxBars {
						t.Errorf("%s: %d bars end with step %d of %d at %g", kind, len(bars), next-1, n, x)
					}
				}
				line := newTimeline(steps, marks, here)
				if len(line.Marks) > maxMarks || line.Left != len(marks)-len(line.Marks) {
					t.Errorf("%d marks, %d left out, of %d", len(line.Marks), line.Left, len(marks))
				}
				size := 0
				for _, d := range append(line.Share, line.Time...) {
					size += len(d.Path)
					if strings.ContainsAny(string(d.Path), "NIe") {
						t.Fatalf("a path is no path: %.200s", d.Path)
					}
				}
				if size > 60_000 {
					t.Errorf("the paths have %d bytes", size)
				}
			})
		}
	}
}

func TestChartStaysInside(t *testing.T) {
	title := func(measured) string { return "" }
	base := 1.0
	for name, values := range map[string][]float64{
		"ordinary": {1, 2, 1.5},
		"equal":    {1, 1, 1},
		"huge":     {-math.MaxFloat64, math.MaxFloat64, 0},
		"tiny":     {5e-324, 1e-323},
		"odd":      {math.NaN(), 1, math.Inf(1), 2, math.Inf(-1)},
	} {
		var list []measured
		for i, v := range values {
			list = append(list, measured{i * 10, "validate", v})
		}
		c := newChart("m", list, &base, 20, title, here)
		if c == nil {
			t.Errorf("%s: there is no chart", name)
			continue
		}
		for _, p := range c.Points {
			if !(p.X >= 0 && p.X <= 100 && p.Y >= 0 && p.Y <= 100) {
				t.Errorf("%s: a point lies at %g, %g", name, p.X, p.Y)
			}
		}
		if !(c.Baseline >= 0 && c.Baseline <= 100) {
			t.Errorf("%s: the baseline lies at %g", name, c.Baseline)
		}
	}
	if c := newChart("m", []measured{{1, "validate", 2}}, nil, 20, title, here); c != nil {
		t.Error("one score has a chart")
	}
	var many []measured
	for i := range 5000 {
		many = append(many, measured{i, "validate", float64(i)})
	}
	if c := newChart("m", many, nil, 5000, title, here); len(c.Points) > maxPoints || c.Points[0].Step != 0 || c.Points[len(c.Points)-1].Step != 4999 {
		t.Errorf("%d points", len(c.Points))
	}
}

func TestMeanings(t *testing.T) {
	for status, want := range map[string]string{
		"submitted":                          "The agent submitted its work, which was graded.",
		"autosubmission (exit_cost)":         "limit of cost",
		"submission_not_found (exit_format)": "could not be read",
		"unknown_error":                      "fault outside",
		"<b>":                                "not one that mlgym knows",
	} {
		if got := meaning(status); !strings.Contains(got, want) {
			t.Errorf("%s means %q, want %q", status, got, want)
		}
	}
	if statusClass("submitted") != "good" || statusClass("autosubmission (max_steps)") != "warn" || statusClass("x") != "bad" {
		t.Error("the classes of exit statuses")
	}
}

func TestPlainNames(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a.py", "sub/a.py", "ä.py", "ö.py", "a b", "a_b", "x\xff", "x\xfe", strings.Repeat("long/", 60) + "x", strings.Repeat("y", 250)} {
		plain := plainName(name)
		if other, twice := seen[plain]; twice {
			t.Errorf("%q and %q are both called %q", name, other, plain)
		}
		seen[plain] = name
		if len(plain) > 200 || strings.Trim(plain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") != "" {
			t.Errorf("%q is called %q", name, plain)
		}
	}
}
