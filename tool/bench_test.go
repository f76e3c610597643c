package tool_test

import (
	"fmt"
	"strings"
	"testing"

	"mlgym/tool"
)

// program is a Python file of n functions, six lines each.
func program(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "def f%d(x):\n    if x > %d:\n        return x * 2  # twice\n    return f\"{x}\"\n\n\n", i, i)
	}
	return b.String()
}

func BenchmarkOpen(b *testing.B) {
	for _, bench := range []struct {
		name, content, call string
	}{
		{"small", program(10), "open f.py"},
		{"window", program(1000), "open f.py"},
		{"line", program(1000), "open f.py 3000"},
		{"64MB", strings.Repeat("some line of a data file,1,2,3\n", 2<<20), "open f.py 1000000"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			w := newWorkspace(b, tool.Options{}, map[string]string{"f.py": bench.content})
			b.ReportAllocs()
			for b.Loop() {
				if got := w.shell(bench.call); got.ExitCode != 0 {
					b.Fatal(got.Output)
				}
			}
		})
	}
}

func BenchmarkEdit(b *testing.B) {
	for _, bench := range []struct {
		name   string
		linter bool
	}{{"plain", false}, {"lint", true}} {
		for _, functions := range []int{50, 500} {
			b.Run(fmt.Sprintf("%s/%dlines", bench.name, functions*6), func(b *testing.B) {
				opts := tool.Options{}
				if bench.linter {
					opts.Linter = ruff(b)
				}
				w := newWorkspace(b, opts, map[string]string{"f.py": program(functions)})
				w.shell("open f.py")
				b.ReportAllocs()
				for b.Loop() {
					if got := w.shell("edit 9:9\n        return x * 3\n"); got.ExitCode != 0 {
						b.Fatal(got.Output)
					}
				}
			})
		}
	}
}

func BenchmarkSearchFile(b *testing.B) {
	content := strings.Repeat("some line of a data file,1,2,3\n", 2<<20)
	for _, term := range []string{"needle", "need[l]e", "data"} {
		b.Run(term, func(b *testing.B) {
			w := newWorkspace(b, tool.Options{}, map[string]string{"f": content})
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				w.shell("search_file " + term + " f")
			}
		})
	}
}
