package webtest

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mlgym/runstore"
	"mlgym/trajectory"
)

// Pixel is a picture of one dot, as a plotting library would have written it.
var Pixel, _ = base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

// Set is a folder of made-up runs, by what each is for. The values are the folders
// of the runs.
type Set struct {
	Root string
	// Good and Better are ordinary attempts at one task, which begin alike.
	Good, Better string
	// Hostile holds [Hostile] wherever an agent can write.
	Hostile string
	// Long has more than a thousand steps and 4 MB, the first with an observation of
	// 1.8 MB.
	Long string
	// Running goes on: Grow writes into it.
	Running string
	Grow    *Episode
	// Torn was killed within a line; Broken has a line that is none in its middle;
	// Empty has no record, and Bare no manifest.
	Torn, Broken, Empty, Bare string
	// Lines has an observation of a million lines, Binary one of control characters.
	Lines, Binary string
}

// Make makes one run of each kind below root.
func Make(tb testing.TB, root string) *Set {
	tb.Helper()
	s := &Set{Root: root}
	begin := func(name string, m runstore.Manifest) *Episode {
		if m.Seed == 0 {
			m.Seed = 1
		}
		return Begin(tb, filepath.Join(root, "battleOfSexes", name), m)
	}
	at := func(minutes int) time.Time { return Began.Add(time.Duration(minutes) * time.Minute) }

	e := begin("good", runstore.Manifest{Model: "model-a", Created: at(10)})
	s.Good = e.Dir
	e.Submission("1-validate", "strategy.py", []byte("def strategy(history):\n    return 0\n"))
	e.Submission("3-submit", "strategy.py", []byte("def strategy(history):\n    if not history:\n        return 0\n    return history[-1][1]\n"))
	e.Submission("3-submit", "plots/loss.png", Pixel)
	e.Ordinary(1.31)

	e = begin("better", runstore.Manifest{Model: "model-b", Created: at(20), Seed: 2})
	s.Better = e.Dir
	e.Submission("3-submit", "strategy.py", []byte("def strategy(history):\n    return 1 if history else 0\n"))
	e.Add(
		Step{Action: "ls -la", Thought: "I look at what is there.", Observation: "total 12\n-rw-r--r-- 1 agent agent  312 baseline.py\n", Seconds: 1.8},
		Step{Action: "cat strategy.py", Observation: "def strategy(history):\n    return 0\n", Seconds: 1.1},
		Step{Action: "cat baseline.py", Thought: "The opponent matters more.", Observation: "import random\n", Seconds: 1.6},
		Step{Action: "validate", Observation: "Your score: 1.44\n", Score: 1.44, Seconds: 1},
	)
	e.Finish(1.44)

	e = begin("hostile", runstore.Manifest{Model: `<b onmouseover="window.pwned=1">model</b>`, AgentName: Hostile, Created: at(30), Seed: 3})
	s.Hostile = e.Dir
	e.Submission("1-validate", `<img src=x onerror=window.pwned=1>.py`, []byte(Hostile))
	e.Submission("1-validate", "page.html", []byte(Hostile))
	e.Submission("1-validate", "drawing.svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="window.pwned=1"><script>window.pwned=1</script></svg>`))
	e.Add(
		Step{Action: "cat page.html # " + Hostile, Thought: Hostile + "\n\n# Title\n\n[link](javascript:window.pwned=1) ![img](http://192.0.2.1/x.png)\n\n```html\n" + Hostile + "\n```", Observation: Hostile, Score: 1.1, Seconds: 1},
		Step{Action: "edit 1:1 <<end_of_edit\n" + Hostile + "\nend_of_edit", Thought: Hostile, Observation: Hostile + "\n</textarea></title>", Seconds: 1},
	)
	e.Put(trajectory.Event{Note: &trajectory.Note{Text: Hostile}})
	e.Finish(1.1)

	e = begin("long", runstore.Manifest{Model: "model-a", Created: at(40), Seed: 4})
	s.Long = e.Dir
	e.Long(4_000_000, 1_800_000)
	e.Finish(1.2)

	e = begin("running", runstore.Manifest{Model: "model-b", Created: at(50), Seed: 5})
	s.Running, s.Grow = e.Dir, e
	e.Add(Step{Action: "ls", Thought: "The first step.", Observation: "baseline.py\n", Seconds: 1})

	torn := func(name string, n int, spoil func(path string)) string {
		e := begin(name, runstore.Manifest{Model: "model-a", Created: at(60 + n), Seed: uint64(n)}) //nolint:gosec // it is small
		e.Add(Step{Action: "ls", Observation: "baseline.py\n"}, Step{Action: "cat baseline.py", Observation: "import random\n"}, Step{Action: "echo three", Observation: "three\n"})
		e.Leave()
		spoil(filepath.Join(e.Dir, "trajectory.jsonl"))
		return e.Dir
	}
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	s.Torn = torn("torn", 6, func(path string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		must(err)
		_, err = f.WriteString(`{"seq":8,"type":"turn","at":"2026-03-01T09:`)
		must(err)
		must(f.Close())
	})
	s.Broken = torn("broken", 7, func(path string) {
		text, err := os.ReadFile(path)
		must(err)
		lines := strings.SplitAfter(string(text), "\n")
		lines[len(lines)/2] = "this is no record\n"
		must(os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
	})
	s.Empty = torn("empty", 8, func(path string) { must(os.Remove(path)) })
	s.Bare = torn("bare", 9, func(path string) { must(os.Remove(filepath.Join(filepath.Dir(path), "manifest.json"))) })

	e = begin("lines", runstore.Manifest{Model: "model-a", Created: at(80), Seed: 10})
	s.Lines = e.Dir
	e.Add(Step{Action: "yes | head -n 1000000", Observation: strings.Repeat("y\n", 1_000_000), Seconds: 1})
	e.Finish(1)
	e = begin("binary", runstore.Manifest{Model: "model-a", Created: at(90), Seed: 11})
	s.Binary = e.Dir
	var all strings.Builder
	for c := range 256 {
		fmt.Fprintf(&all, "%c", rune(c))
	}
	e.Add(Step{Action: "head -c 256 /dev/urandom", Observation: all.String(), Seconds: 1})
	e.Finish(1)
	return s
}

// Many makes n finished runs of a few steps below root, of five tasks and six models.
func Many(tb testing.TB, root string, n int) {
	tb.Helper()
	for i := range n {
		e := Begin(tb, filepath.Join(root, fmt.Sprintf("run-%05d", i)), runstore.Manifest{
			Task: fmt.Sprintf("task%d", i%5), Model: fmt.Sprintf("model-%c", 'a'+i%6), Seed: uint64(i), Created: Began.Add(time.Duration(i) * time.Minute), //nolint:gosec // it counts from 0
		})
		e.Add(Step{Action: "ls", Observation: "baseline.py\n"})
		e.Finish(1 + float64(i%100)/100)
	}
}
