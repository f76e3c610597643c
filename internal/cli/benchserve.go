package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"
)

// serveBench is what "bench serve --json" prints. Times are in milliseconds.
type serveBench struct {
	CPUs int `json:"cpus"`
	// StartMS from the start of the process to the first health check that is
	// answered, FirstResetMS from there to the end of the first reset.
	StartMS      float64      `json:"start_ms"`
	FirstResetMS float64      `json:"first_reset_ms"`
	Steps        []stepsBench `json:"steps"`
	// Claim is a reset for which a sandbox is ready, as its client sees it; Cold
	// one for which none is.
	Claim  measure     `json:"claim"`
	Cold   measure     `json:"cold"`
	Forks  []forkBench `json:"forks"`
	Memory memoryBench `json:"memory"`
}

// stepsBench is one load: every session sends its next step when the last one is
// answered.
type stepsBench struct {
	Sessions  int     `json:"sessions"`
	Command   string  `json:"command"`
	Steps     int     `json:"steps"`
	PerSecond float64 `json:"steps_per_second"`
	P50MS     float64 `json:"p50_ms"`
	P95MS     float64 `json:"p95_ms"`
	P99MS     float64 `json:"p99_ms"`
	MaxMS     float64 `json:"max_ms"`
	// ServerCPU and ClientCPU are the processor's seconds for a second, of the
	// server's own process and of the load's; the sandboxes come beside them.
	ServerCPU float64 `json:"server_cpu"`
	ClientCPU float64 `json:"client_cpu"`
}

// forkBench is what it takes to begin another episode from a state.
type forkBench struct {
	Bytes    int64   `json:"bytes"`
	Snapshot measure `json:"snapshot"`
	Restore  measure `json:"restore"`
}

// memoryBench is what sessions take that wait for their next step.
type memoryBench struct {
	Sessions int `json:"sessions"`
	// ServerIdleMB without a session, ServerMB with them all, of the server's
	// process; MachineMB is what the machine had less, for each session.
	ServerIdleMB        float64 `json:"server_idle_mb"`
	ServerMB            float64 `json:"server_mb"`
	MachinePerSessionMB float64 `json:"machine_per_session_mb"`
}

// serveBenchOptions are the flags.
type serveBenchOptions struct {
	sessions []int
	commands []string
	forksMB  []int
	window   time.Duration
	driver   string
	asJSON   bool
}

func (a *app) benchServeCommand() *cobra.Command {
	var o serveBenchOptions
	cmd := &cobra.Command{
		Use: "serve", Short: "Measure the server: steps a second, claims, forks, memory", Args: args(cobra.NoArgs),
		Long: `serve starts "mlgym serve" as a process of its own and loads it over WebSockets on this
machine, as trainers do: each session sends its next step when the last one was
answered. The steps run in the shells of real sandboxes. The load shares the
processors with the server and the sandboxes; "server cpu" and "load cpu" say how much
of them each took.

claim      a reset for which a sandbox is ready
cold       a reset that has to make its sandbox
fork       save a state (snapshot) and begin an episode from it (restore, into a
           sandbox that is ready), for a workspace of so many megabytes
memory     of the server's process, and what the machine has less for each session`,
		Example: "  mlgym bench serve\n  mlgym bench serve --sessions 64 --commands : --window 10s --json\n  mlgym bench serve --forks-mb 1,1024",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, n := range o.sessions {
				if n < 1 {
					return usagef("--sessions: %d is no number of sessions", n)
				}
			}
			res, err := a.benchServe(cmd.Context(), &o)
			if err != nil {
				return err
			}
			if o.asJSON {
				return a.printJSON(res)
			}
			a.printServeBench(res)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.IntSliceVar(&o.sessions, "sessions", []int{1, 16, 64, 256}, "how many sessions step side by side")
	f.StringSliceVar(&o.commands, "commands", []string{":", "python3 -c pass"}, "what a step runs")
	f.IntSliceVar(&o.forksMB, "forks-mb", []int{1, 100}, "sizes of the workspaces to fork, in megabytes")
	f.DurationVar(&o.window, "window", 3*time.Second, "how long each load lasts")
	f.StringVar(&o.driver, "sandbox", "bubblewrap", "where the steps run")
	return cmd
}

func (a *app) printServeBench(r serveBench) {
	fmt.Fprintf(a.out, "%d processors, times in ms\n\nstart %.0f, first reset %.1f\n\n", r.CPUs, r.StartMS, r.FirstResetMS)
	fmt.Fprintf(a.out, "%8s  %-16s %9s %8s %8s %8s %8s  %10s %8s\n", "sessions", "command", "steps/s", "p50", "p95", "p99", "max", "server cpu", "load cpu")
	for _, s := range r.Steps {
		fmt.Fprintf(a.out, "%8d  %-16s %9.0f %8.2f %8.2f %8.2f %8.2f  %10.2f %8.2f\n",
			s.Sessions, s.Command, s.PerSecond, s.P50MS, s.P95MS, s.P99MS, s.MaxMS, s.ServerCPU, s.ClientCPU)
	}
	line := func(name string, m measure) {
		fmt.Fprintf(a.out, "%-26s median %8.2f  p95 %8.2f  n %d\n", name, m.MedianMS, m.P95MS, m.N)
	}
	fmt.Fprintln(a.out)
	line("claim", r.Claim)
	line("cold", r.Cold)
	for _, f := range r.Forks {
		line(fmt.Sprintf("snapshot of %d MB", f.Bytes>>20), f.Snapshot)
		line(fmt.Sprintf("restore of %d MB", f.Bytes>>20), f.Restore)
	}
	fmt.Fprintf(a.out, "\nmemory: the server %.1f MB without a session, %.1f MB with %d; the machine %.1f MB for each session\n",
		r.Memory.ServerIdleMB, r.Memory.ServerMB, r.Memory.Sessions, r.Memory.MachinePerSessionMB)
}

func (a *app) benchServe(ctx context.Context, o *serveBenchOptions) (res serveBench, err error) {
	most := max(4, slices.Max(append([]int{0}, o.sessions...)))
	res.CPUs = runtime.GOMAXPROCS(0)
	dir, err := os.MkdirTemp("", "mlgym-bench-*")
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.CopyFS(dir, benchTask); err != nil {
		return res, err
	}
	b := &serveLoad{url: "", tell: func(format string, args ...any) { fmt.Fprintf(a.err, format+"\n", args...) }}
	b.tell("starting a server ...")
	stop, err := b.start(ctx, []string{
		"serve", "--addr", "127.0.0.1:0", "--task", filepath.Join(dir, benchTaskID), "--with-parent", "--sandbox", o.driver,
		"--max-sessions", strconv.Itoa(most + 4), "--warm", benchTaskID + "=4", "--disk-mb", "4096", "--memory-mb", "8192", "--snapshots-mb", "16384",
	}, a.err, &res)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if res.Claim, err = b.claims(ctx); err != nil {
		return res, fmt.Errorf("claims: %w", err)
	}
	if err := b.memory(ctx, most, &res.Memory, func() error {
		for _, n := range o.sessions {
			for _, command := range o.commands {
				load, err := b.load(ctx, n, command, o.window)
				if err != nil {
					return err
				}
				res.Steps = append(res.Steps, load)
			}
		}
		return nil
	}); err != nil {
		return res, err
	}
	res.Cold = b.cold
	// Last, since the memory of large workspaces is given back slowly.
	for _, mb := range o.forksMB {
		fork, err := b.forks(ctx, int64(mb)<<20)
		if err != nil {
			return res, fmt.Errorf("forks: %w", err)
		}
		res.Forks = append(res.Forks, fork)
	}
	return res, nil
}

// serveLoad is a server under load.
type serveLoad struct {
	url  string
	pid  int
	tell func(format string, args ...any)
	open []*loadSession
	cold measure
}

// start starts the server and measures how long that takes.
func (b *serveLoad) start(ctx context.Context, args []string, errw io.Writer, res *serveBench) (stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // ourselves
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = errw
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(errors.New("the server did not start"), stop())
	}
	b.url, b.pid = strings.TrimSpace(line), cmd.Process.Pid
	if _, err := b.get(ctx, "/health"); err != nil {
		return nil, errors.Join(err, stop())
	}
	res.StartMS = milliseconds(time.Since(began))
	began = time.Now()
	s, err := b.connect(ctx)
	if err == nil {
		err = s.reset(ctx, nil)
		s.end(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	res.FirstResetMS = milliseconds(time.Since(began))
	return stop, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (b *serveLoad) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// settled waits until the server keeps as many sandboxes ready as it wants to.
func (b *serveLoad) settled(ctx context.Context) error {
	for {
		text, err := b.get(ctx, "/status")
		if err != nil {
			return err
		}
		var status struct {
			Warm map[string]struct {
				Want, Ready int
				LowMemory   bool `json:"low_memory"`
			} `json:"warm"`
		}
		if err := json.Unmarshal(text, &status); err != nil {
			return err
		}
		short := false
		for _, w := range status.Warm {
			short = short || w.Ready < w.Want && !w.LowMemory
		}
		if !short {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// loadSession is one client.
type loadSession struct {
	conn *websocket.Conn
	id   string
}

func (b *serveLoad) connect(ctx context.Context) (*loadSession, error) {
	conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(b.url, "http")+"/ws", nil)
	if err != nil {
		return nil, err
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	conn.SetReadLimit(1 << 20)
	return &loadSession{conn: conn}, nil
}

// ask sends a frame and reads the reply.
func (s *loadSession) ask(ctx context.Context, frame string) ([]byte, error) {
	if err := s.conn.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
		return nil, err
	}
	_, reply, err := s.conn.Read(ctx)
	if err == nil && bytes.HasPrefix(reply, []byte(`{"type":"error"`)) {
		err = fmt.Errorf("the server answered: %s", reply)
	}
	return reply, err
}

func (s *loadSession) reset(ctx context.Context, options map[string]any) error {
	data, err := json.Marshal(map[string]any{"type": "reset", "data": options})
	if err != nil {
		return err
	}
	reply, err := s.ask(ctx, string(data))
	if err != nil {
		return err
	}
	var got struct {
		Data struct {
			Metadata struct {
				SessionID string `json:"session_id"`
			} `json:"metadata"`
		} `json:"data"`
	}
	err = json.Unmarshal(reply, &got)
	s.id = got.Data.Metadata.SessionID
	return err
}

func (s *loadSession) step(ctx context.Context, command string) error {
	data, err := json.Marshal(map[string]any{"type": "step", "data": map[string]string{"command": command}})
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, string(data))
	return err
}

func (s *loadSession) end(ctx context.Context) {
	_ = s.conn.Write(ctx, websocket.MessageText, []byte(`{"type":"close"}`))
	_, _, _ = s.conn.Read(ctx) // the server closes
	_ = s.conn.CloseNow()
}

// claims measures resets for which a sandbox is ready.
func (b *serveLoad) claims(ctx context.Context) (measure, error) {
	b.tell("claims ...")
	s, err := b.connect(ctx)
	if err != nil {
		return measure{}, err
	}
	defer s.end(ctx)
	var times []time.Duration
	for i := range minRepetitions + 1 {
		if err := b.settled(ctx); err != nil {
			return measure{}, err
		}
		began := time.Now()
		if err := s.reset(ctx, nil); err != nil {
			return measure{}, err
		}
		if i > 0 { // the first one warms up
			times = append(times, time.Since(began))
		}
	}
	return summary(times), nil
}

// forks measures what it takes to begin again from a workspace of a size.
func (b *serveLoad) forks(ctx context.Context, size int64) (forkBench, error) {
	b.tell("forks of %d MB ...", size>>20)
	res := forkBench{Bytes: size}
	n := minRepetitions
	const large = 16 << 20
	if size > large {
		n = 5
	}
	s, err := b.connect(ctx)
	if err != nil {
		return res, err
	}
	defer s.end(ctx)
	s.conn.SetReadLimit(1 << 20)
	if err := s.reset(ctx, map[string]any{"patience_s": 0}); err != nil {
		return res, err
	}
	if err := s.step(ctx, fmt.Sprintf("head -c %d /dev/urandom > data.bin; X=1", size)); err != nil {
		return res, err
	}
	other, err := b.connect(ctx)
	if err != nil {
		return res, err
	}
	defer other.end(ctx)
	var saves, restores []time.Duration
	for i := range n + 1 {
		if err := b.settled(ctx); err != nil {
			return res, err
		}
		began := time.Now()
		reply, err := s.ask(ctx, `{"type":"snapshot"}`)
		if err != nil {
			return res, err
		}
		saved := time.Now()
		var got struct {
			Data struct {
				ID string `json:"snapshot_id"`
			} `json:"data"`
		}
		if err := json.Unmarshal(reply, &got); err != nil {
			return res, err
		}
		if err := other.reset(ctx, map[string]any{"snapshot": got.Data.ID}); err != nil {
			return res, err
		}
		restored := time.Now()
		if i > 0 {
			saves, restores = append(saves, saved.Sub(began)), append(restores, restored.Sub(saved))
		}
		if err := b.forget(ctx, got.Data.ID); err != nil {
			return res, err
		}
	}
	res.Snapshot, res.Restore = summary(saves), summary(restores)
	return res, nil
}

func (b *serveLoad) forget(ctx context.Context, id string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, b.url+"/snapshots/"+id, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// memory opens sessions, reads what they take, and runs what is to run in them.
func (b *serveLoad) memory(ctx context.Context, n int, res *memoryBench, run func() error) error {
	b.tell("opening %d sessions ...", n)
	if err := b.settled(ctx); err != nil {
		return err
	}
	res.Sessions, res.ServerIdleMB = n, residentMB(b.pid)
	before := availableMB()
	defer func() {
		for _, s := range b.open {
			_ = s.conn.CloseNow()
		}
	}()
	var cold []time.Duration
	for range n {
		s, err := b.connect(ctx)
		if err != nil {
			return err
		}
		b.open = append(b.open, s)
		began := time.Now()
		if err := s.reset(ctx, map[string]any{"patience_s": 0}); err != nil {
			return err
		}
		cold = append(cold, time.Since(began))
		if err := s.step(ctx, ":"); err != nil {
			return err
		}
	}
	// The first ones found a sandbox ready.
	b.cold = summary(cold[min(len(cold), 4):])
	res.ServerMB = residentMB(b.pid)
	res.MachinePerSessionMB = (before - availableMB()) / float64(n)
	return run()
}

// load has the first n sessions step for a while.
func (b *serveLoad) load(ctx context.Context, n int, command string, window time.Duration) (stepsBench, error) {
	b.tell("%d sessions, %q ...", n, command)
	res := stepsBench{Sessions: n, Command: command}
	frame, err := json.Marshal(map[string]any{"type": "step", "data": map[string]string{"command": command}})
	if err != nil {
		return res, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var all []time.Duration
	var errs error
	serverCPU, clientCPU := cpuSeconds(b.pid), ownCPU()
	began := time.Now()
	for _, s := range b.open[:n] {
		wg.Go(func() {
			var times []time.Duration
			var err error
			for err == nil && time.Since(began) < window {
				sent := time.Now()
				_, err = s.ask(ctx, string(frame))
				times = append(times, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, times...), errors.Join(errs, err)
		})
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	if errs != nil {
		return res, errs
	}
	slices.SortFunc(all, cmp.Compare)
	at := func(q float64) float64 { return milliseconds(all[min(int(q*float64(len(all))), len(all)-1)]) }
	res.Steps, res.PerSecond = len(all), float64(len(all))/took
	res.P50MS, res.P95MS, res.P99MS, res.MaxMS = at(0.5), at(0.95), at(0.99), at(1)
	res.ServerCPU, res.ClientCPU = (cpuSeconds(b.pid)-serverCPU)/took, (ownCPU()-clientCPU)/took
	return res, nil
}

// residentMB is what a process holds of the memory, 0 where that cannot be read.
func residentMB(pid int) float64 {
	return kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:") / 1024
}

// availableMB is what the machine has to give.
func availableMB() float64 { return kilobytes("/proc/meminfo", "MemAvailable:") / 1024 }

func kilobytes(path, field string) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			n, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return n
		}
	}
	return 0
}

// cpuSeconds is the processor's time that a process has used, 0 where that cannot
// be read.
func cpuSeconds(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// Fields are counted behind the name, which may hold spaces: utime and stime
	// are the 12th and 13th from there, in hundredths of a second.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	const utime, stime, hertz = 11, 12, 100
	if len(fields) <= stime {
		return 0
	}
	u, _ := strconv.ParseFloat(fields[utime], 64)
	s, _ := strconv.ParseFloat(fields[stime], 64)
	return (u + s) / hertz
}

// ownCPU is that of this process.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
