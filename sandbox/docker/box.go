package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"mlgym/internal/shim"
	"mlgym/sandbox"
)

const removed = container.WaitConditionRemoved

// How long each step of ending a container is waited for.
const (
	politeWait = 3 * time.Second
	killWait   = 20 * time.Second
)

// running is an attached container: the connection to the shim in it.
type running struct {
	engine *engine
	id     string // the engine's
	attach client.HijackedResponse
	out    *io.PipeReader
	log    *tail
	copied chan struct{} // closed when no more output comes
	wait   client.ContainerWaitResult
	cancel context.CancelFunc // of the wait

	once sync.Once
	err  error
}

// start attaches to a container that was created, and starts it.
func (e *engine) start(ctx context.Context, id string) (_ *running, err error) {
	attached, err := e.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	r := &running{engine: e, id: id, attach: attached.HijackedResponse, log: &tail{}, copied: make(chan struct{})}
	var in *io.PipeWriter
	r.out, in = io.Pipe()
	go func() {
		defer close(r.copied)
		_, err := stdcopy.StdCopy(in, r.log, r.attach.Reader)
		_ = in.CloseWithError(err) // nil is the end of output
	}()
	// The wait must outlive ctx, which is that of the creation only.
	waiting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	defer func() {
		if err != nil {
			r.attach.Close()
			_ = r.out.Close()
			<-r.copied
			cancel()
		}
	}()
	r.wait = e.ContainerWait(waiting, id, client.ContainerWaitOptions{Condition: removed})
	if _, err := e.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return r, nil
}

func (r *running) Read(p []byte) (int, error)  { return r.out.Read(p) }
func (r *running) Write(p []byte) (int, error) { return r.attach.Conn.Write(p) }

// said is the end of what the shim printed.
func (r *running) said() string { return r.log.String() }

// Close ends the container and returns when it is gone.
func (r *running) Close() error {
	r.once.Do(func() { r.err = r.end() })
	return r.err
}

func (r *running) end() error {
	defer r.cancel()
	// The shim ends at the end of its input.
	_ = r.attach.CloseWrite()
	err := r.gone(politeWait)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), killWait)
		defer cancel()
		if _, killErr := r.engine.ContainerKill(ctx, r.id, client.ContainerKillOptions{Signal: "KILL"}); killErr == nil {
			err = r.gone(killWait)
		}
	}
	r.attach.Close()
	_ = r.out.Close()
	<-r.copied
	return err
}

// gone waits until the engine has removed the container.
func (r *running) gone(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.wait.Result:
		return nil
	case err, ok := <-r.wait.Error:
		if !ok || err == nil || strings.Contains(err.Error(), "No such container") {
			return nil
		}
		return fmt.Errorf("wait for container %.12s: %w", r.id, err)
	case <-timer.C:
		return fmt.Errorf("container %.12s did not end", r.id)
	}
}

// box is a running sandbox.
type box struct {
	*shim.Client
	engine *engine
	id     string
	run    *running

	once sync.Once
	err  error
}

var (
	_ sandbox.Sandbox    = (*box)(nil)
	_ sandbox.Shell      = (*box)(nil)
	_ sandbox.ToolCaller = (*box)(nil)
	_ sandbox.Meter      = (*box)(nil)
)

// ID implements [sandbox.Sandbox].
func (b *box) ID() string { return b.id }

// Close implements [sandbox.Sandbox].
func (b *box) Close() error {
	b.once.Do(func() {
		// What the polite end could not do, removal by force can.
		closeErr := b.Client.Close()
		removeErr := b.engine.remove(b.run.id)
		if removeErr != nil {
			b.err = errors.Join(closeErr, removeErr)
		}
		_ = b.engine.Close()
	})
	return b.err
}

// Usage implements [sandbox.Meter].
func (b *box) Usage(ctx context.Context) (sandbox.Usage, error) {
	result, err := b.engine.ContainerStats(ctx, b.run.id, client.ContainerStatsOptions{})
	if err != nil {
		return sandbox.Usage{}, fmt.Errorf("%w: ask the engine for usage: %w", sandbox.ErrLost, err)
	}
	defer result.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(result.Body).Decode(&stats); err != nil {
		return sandbox.Usage{}, fmt.Errorf("read the engine's statistics: %w", err)
	}
	return sandbox.Usage{
		CPU:             time.Duration(stats.CPUStats.CPUUsage.TotalUsage), //nolint:gosec // nanoseconds
		MemoryBytes:     int64(stats.MemoryStats.Usage),                    //nolint:gosec // bytes
		PeakMemoryBytes: int64(stats.MemoryStats.MaxUsage),                 //nolint:gosec // bytes
		Processes:       int(stats.PidsStats.Current),                      //nolint:gosec // few
	}, nil
}

// tailBytes is how much of what the shim prints is kept.
const tailBytes = 4 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(strings.TrimSpace(string(t.text)), "\uFFFD")
}
