package grader

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"sync/atomic"
	"time"

	"mlgym/sandbox"
)

// playerDir is where the harness lies in a player sandbox.
const playerDir = sandbox.HomeDir + "/player"

// player is a program in its own sandbox.
type player struct {
	box     sandbox.Sandbox
	process sandbox.Process
	channel io.ReadWriteCloser
	reader  *bufio.Reader
	log     *logFile
	// submission says that the agent's program runs here, and not one of the
	// grader's own.
	submission bool
	// waited is the time for which answers were waited.
	waited time.Duration
	// failed says why the player can no longer be asked; "" means it can.
	failed string
	// late says that it failed because it did not answer in time.
	late bool
}

// startPlayer brings the files into box and starts the harness.
func startPlayer(ctx context.Context, box sandbox.Sandbox, files *tarball, python, harness string, log *logFile) (*player, error) {
	if err := files.put(ctx, box); err != nil {
		return nil, fmt.Errorf("start player: %w", err)
	}
	process, err := box.Start(ctx, sandbox.Cmd{
		Argv:    []string{python, "-I", "-B", path.Join(playerDir, "harness.py"), harness},
		Stdout:  log,
		Stderr:  log,
		Channel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start player: %w", err)
	}
	channel := process.Channel()
	if channel == nil {
		return nil, errors.New("start player: the sandbox gave no channel")
	}
	return &player{box: box, process: process, channel: channel, reader: bufio.NewReaderSize(channel, 1<<16), log: log}, nil
}

// ask sends a question and waits for the answer. Whatever the player does
// instead of answering is told in failed; the player is then ended. The error is
// the end of ctx.
func (p *player) ask(ctx context.Context, question []byte, timeout time.Duration, maxBytes int64) (answer []byte, err error) {
	if p.failed != "" {
		return nil, nil
	}
	var late atomic.Bool
	killed := make(chan struct{})
	clock := time.AfterFunc(timeout, func() {
		defer close(killed)
		late.Store(true)
		p.end()
	})
	aborted := make(chan struct{})
	abort := context.AfterFunc(ctx, func() {
		defer close(aborted)
		p.end()
	})
	began := time.Now()
	_, err = p.channel.Write(makeFrame(question))
	if err == nil {
		answer, err = readFrame(p.reader, maxBytes)
	}
	p.waited += time.Since(began)
	if !clock.Stop() {
		<-killed
	}
	if !abort() {
		<-aborted
	}
	if err == nil && !late.Load() {
		return answer, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	switch {
	case late.Load():
		p.late = true
		p.failed = fmt.Sprintf("did not answer within %s", timeout.Round(time.Millisecond))
	case errors.Is(err, errFrameTooLong):
		p.failed = fmt.Sprintf("gave an answer that is longer than the %d bytes allowed", maxBytes)
	default:
		p.failed = p.ending(ctx)
	}
	p.end()
	return nil, nil
}

// ending says how the program ended that no longer answers.
func (p *player) ending(ctx context.Context) string {
	const grace = 5 * time.Second // it closed its channel and may still be at work
	wait, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	exit, err := p.process.Wait(wait)
	switch {
	case err != nil && wait.Err() != nil:
		return "closed its channel without an answer"
	case err != nil:
		return "ended together with its sandbox (did it use too much memory?)"
	case exit.Signal == "KILL":
		return "was killed (did it use too much memory?)"
	case exit.Signal != "":
		return "was ended by the signal " + exit.Signal
	default:
		return fmt.Sprintf("ended with exit code %d without an answer", exit.Code)
	}
}

// end kills the program. It may be called from any goroutine.
func (p *player) end() {
	// The error says that it has ended already, or that the sandbox is lost;
	// the sandbox is closed in any case.
	_ = p.process.Kill()
	_ = p.channel.Close()
}

// usage is the processor time of the sandbox, read from outside where the
// driver can, else the time that was waited.
func (p *player) usage(ctx context.Context, log *slog.Logger) (seconds float64, metered bool) {
	if meter, ok := p.box.(sandbox.Meter); ok {
		used, err := meter.Usage(ctx)
		if err == nil && used.CPU > 0 {
			return used.CPU.Seconds(), true
		}
		log.Warn("processor time of a player is not known", "error", err)
	}
	return p.waited.Seconds(), false
}
