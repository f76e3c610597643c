package experiments

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mlgym/experiment"
	"mlgym/web/page"
)

// liveEpisodes step once a second each in [BenchmarkLive].
const liveEpisodes = 100

// BenchmarkLive measures the processor time that the server of a live page takes in
// a second: 100 episodes side by side, each with a step a second, written by another
// process as an experiment writes them, and two browsers that listen, in a third
// one. An iteration waits a second:
//
//	go test ./web/experiments -run '^$' -bench Live -benchtime 30x
func BenchmarkLive(b *testing.B) {
	dir := b.TempDir()
	g := newGrid(b, dir, []string{"t1", "t2", "t3", "t4", "t5"}, []string{"a", "b", "c", "d", "e"}, 20, nil) // 500, of which a fifth runs
	for i := range g.cells {
		switch {
		case i < liveEpisodes:
			g.begin(i, 1, experiment.Progress{Step: 1, MaxSteps: 1000})
		case i < 3*liveEpisodes:
			g.done(i, float64(i)/7)
		}
	}
	s := serve(b, dir, page.Options{}, nil)
	path := "experiments/" + s.key() + "/"
	s.get(path, 200)
	start := func(mode string, env ...string) {
		cmd := exec.CommandContext(b.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), append(env, "EXPERIMENTS_TEST_MLGYM="+mode)...)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	start("writes", "EXPERIMENTS_TEST_DIR="+dir)
	for range 2 {
		start("reads", "EXPERIMENTS_TEST_URL="+s.URL+"/"+path+"events?since="+s.mark(path))
	}
	time.Sleep(2 * time.Second) // both have begun
	began, before := time.Now(), used(b)
	for b.Loop() {
		time.Sleep(time.Second)
	}
	took := time.Since(began)
	b.ReportMetric(100*(used(b)-before).Seconds()/took.Seconds(), "%-of-a-core")
	l := s.pages.live(b.Context(), place{Key: s.key(), Dir: dir})
	l.mu.Lock()
	defer l.mu.Unlock()
	b.ReportMetric(float64(l.pace.minute(time.Now()))/min(60, took.Seconds()+2), "steps/s")
}

// used is the processor time of this process.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// writeSteps is the process that runs the experiment.
func writeSteps() int {
	dir := os.Getenv("EXPERIMENTS_TEST_DIR")
	attempts, err := filepath.Glob(filepath.Join(dir, experiment.CellsName, "*", "attempt-1"))
	if err != nil || len(attempts) == 0 {
		fmt.Fprintln(os.Stderr, "there is nothing to write", err)
		return 1
	}
	events, err := os.OpenFile(filepath.Join(dir, experiment.EventsName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ids := make([]experiment.ID, len(attempts))
	for i, a := range attempts {
		text, err := os.ReadFile(filepath.Join(a, "attempt.json"))
		var attempt experiment.Attempt
		if err != nil || json.Unmarshal(text, &attempt) != nil {
			fmt.Fprintln(os.Stderr, "an attempt cannot be read")
			return 1
		}
		ids[i] = attempt.ID
	}
	for step := 2; ; step++ {
		began := time.Now()
		for i, a := range attempts {
			now := time.Now().UTC()
			score, cost := float64(step)/100, float64(step)/1000
			progress, err := json.Marshal(experiment.Progress{Phase: "stepped", Step: step, MaxSteps: 1000, Score: &score, CostUSD: &cost, TokensIn: int64(step) * 900, Seconds: float64(step), At: now})
			if err == nil {
				err = os.WriteFile(filepath.Join(a, "progress.json.tmp"), progress, 0o600)
			}
			if err == nil {
				err = os.Rename(filepath.Join(a, "progress.json.tmp"), filepath.Join(a, "progress.json"))
			}
			var line []byte
			if err == nil {
				line, err = json.Marshal(experiment.Event{At: now, Type: experiment.Stepped, ID: ids[i], Episode: filepath.Base(filepath.Dir(a)), Attempt: 1, Step: step, MaxSteps: 1000, CostUSD: &cost, Seconds: float64(step)})
			}
			if err == nil {
				_, err = events.Write(append(line, '\n'))
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			// Episodes step when they like, not all at once.
			time.Sleep(time.Until(began.Add(time.Duration(i+1) * time.Second / time.Duration(len(attempts)))))
		}
	}
}

// readStream is a browser that listens.
func readStream() int {
	answer, err := http.Get(os.Getenv("EXPERIMENTS_TEST_URL")) //nolint:noctx // it is killed
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	fmt.Fprintln(os.Stderr, "the stream has ended", err)
	return 0
}

// BenchmarkPage renders experiments of 1000 and of 10,000 episodes.
func BenchmarkPage(b *testing.B) {
	for _, seeds := range []int{40, 400} {
		b.Run(fmt.Sprintf("episodes=%d", 25*seeds), func(b *testing.B) { benchmarkPage(b, seeds) })
	}
}

func benchmarkPage(b *testing.B, seeds int) {
	dir := b.TempDir()
	g := newGrid(b, dir, []string{"t1", "t2", "t3", "t4", "t5"}, []string{"a", "b", "c", "d", "e"}, seeds, nil)
	for i := range g.cells {
		g.done(i, float64(i)/7)
	}
	s := serve(b, dir, page.Options{}, nil)
	path := "experiments/" + s.key() + "/"
	b.ReportAllocs()
	for b.Loop() {
		text := s.get(path, 200)
		b.ReportMetric(float64(len(text)), "B/page")
	}
}
