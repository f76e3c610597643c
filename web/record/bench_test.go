package record_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"mlgym/agent"
	"mlgym/model"
	"mlgym/runstore"
)

// long writes a run of a model with outputs of about so many bytes, one of them of
// 1.8 MB.
func long(tb testing.TB, dir string, steps, size int) *writer {
	w := begin(tb, dir)
	w.put(reset("Task."))
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	var text strings.Builder
	for text.Len() < 1800<<10 {
		fmt.Fprintf(&text, "epoch %d: loss=%.4f \"quoted\" path\\name\n", r.IntN(1000), r.Float64())
	}
	output := text.String()
	for n := 1; n <= steps; n++ {
		o := output[:size+r.IntN(size)]
		if n == steps/2 && size > 1000 {
			o = output
		}
		fresh := []model.Message{say(model.Assistant, "python train.py"), say(model.User, o)}
		a := sh(fmt.Sprintf("python train.py --seed %d", n))
		w.put(turn(n, a, "Let me train with another seed and look at the loss.", agentAnswer(2*n, fresh)), step(n, a, o))
	}
	w.n = steps
	return w
}

func agentAnswer(history int, fresh []model.Message) agent.Exchange {
	return answer(history, fresh, "python train.py")
}

// BenchmarkOpen opens a record of 4 MB, one text of which has 1.8 MB.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "run")
	w := long(b, dir, 50, 2500)
	w.close()
	run := openRun(b, dir)
	b.SetBytes(run.Header().RecordBytes)
	b.ResetTimer()
	for b.Loop() {
		openRun(b, dir)
	}
}

// BenchmarkRefresh reads one step that was appended.
func BenchmarkRefresh(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "run")
	w := long(b, dir, 50, 2500)
	run := openRun(b, dir)
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		w.add("a line of output\n")
		b.StartTimer()
		if !refresh(b, run) {
			b.Fatal("nothing new")
		}
	}
}

// BenchmarkRefreshNothing looks at a run to which nothing was written.
func BenchmarkRefreshNothing(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "run")
	long(b, dir, 50, 2500)
	run := openRun(b, dir)
	for b.Loop() {
		refresh(b, run)
	}
}

// BenchmarkStep reads one step.
func BenchmarkStep(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "run")
	long(b, dir, 50, 2500)
	run := openRun(b, dir)
	for name, n := range map[string]int{"small": 3, "1.8MB": 25} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				stepOf(b, run, n)
			}
		})
	}
	b.Run("prompt", func(b *testing.B) {
		for b.Loop() {
			if _, err := run.Prompt(b.Context(), 50); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPublished opens the longest of the published runs.
func BenchmarkPublished(b *testing.B) {
	var best string
	var size int64
	for _, e := range publishedRuns(b) {
		if h := openRun(b, e.Path).Header(); h.RecordBytes > size {
			best, size = e.Path, h.RecordBytes
		}
	}
	b.SetBytes(size)
	b.ResetTimer()
	for b.Loop() {
		openRun(b, best)
	}
}

// TestMemory opens a record of many steps.
func TestMemory(t *testing.T) {
	const steps = 20_000
	dir := filepath.Join(t.TempDir(), "run")
	w := begin(t, dir)
	w.put(reset("Task."))
	w.close()
	output := strings.Repeat(`output\n`, 60)
	file, err := os.OpenFile(filepath.Join(dir, runstore.TrajectoryName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	for n := 1; n <= steps; n++ {
		fmt.Fprintf(out, `{"seq":%d,"type":"turn","at":"2026-01-02T03:04:05Z","turn":{"step":%d,"seconds":1,"turn":{"action":{"command":"python train.py --with --some --options %d"},`+
			`"thought":"Let me see.","exchanges":[{"messages":[{"role":"user","text":"%s"}],"history_length":%d,"response":{"message":{"role":"assistant","text":"python"},"usage":{"input_tokens":10},"cost_usd":0.5}}]}}}`+"\n", 2*n, n, n, output, n)
		fmt.Fprintf(out, `{"seq":%d,"type":"step","at":"2026-01-02T03:04:06Z","step":{"step":%d,"action":{"command":"x"},"transition":{"observation":{"text":"%s","working_dir":"/w"},"info":{"exit_code":0}}}}`+"\n", 2*n+1, n, output)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // small
	}
	before := heap()
	run := openRun(t, dir)
	got := (heap() - before) / steps
	t.Logf("%d bytes a step", got)
	if run.Len() != steps || got > 500 {
		t.Errorf("%d steps, %d bytes each; want at most 500; problems %q", run.Len(), got, run.Header().Problems)
	}
	if b := run.Briefs(steps-1, 10); len(b) != 2 || b[1].Number != steps {
		t.Errorf("the last steps: %+v", b)
	}
	if s := stepOf(t, run, steps); s.Observation != strings.Repeat("output\n", 60) {
		t.Errorf("the last step: %+v", s)
	}
}
