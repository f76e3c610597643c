package server

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
)

// The descriptors of a program as the protocol numbers them.
const (
	fdStdin   = 0
	fdStdout  = 1
	fdStderr  = 2
	fdChannel = 3
)

// program is one started program and the stream that speaks of it.
type program struct {
	conn *conn
	id   uint32
	req  wire.StartRequest

	child  *child
	since  mark
	inputs map[uint8]*wire.Receiver // from mlgym: standard input, channel
	output map[uint8]*wire.Sender   // to mlgym
	copies sync.WaitGroup

	channel   *os.File
	abandoned chan struct{}
	once      sync.Once
}

// ends are the descriptors of one program: those that it gets, and ours.
type ends struct {
	theirs []*os.File // by descriptor; nil means /dev/null
	ours   map[uint8]*os.File
}

func (e *ends) close() {
	for _, f := range e.theirs {
		if f != nil {
			_ = f.Close()
		}
	}
}

// connect makes the pipes that the request asks for.
func connect(req wire.StartRequest) (e *ends, err error) {
	e = &ends{theirs: make([]*os.File, 3), ours: map[uint8]*os.File{}}
	defer func() {
		if err != nil {
			e.close()
			for _, f := range e.ours {
				_ = f.Close()
			}
		}
	}()
	if req.Stdin {
		if e.theirs[fdStdin], e.ours[fdStdin], err = os.Pipe(); err != nil {
			return e, err
		}
	}
	for fd, wanted := range map[uint8]bool{fdStdout: req.Stdout, fdStderr: req.Stderr} {
		if wanted {
			if e.ours[fd], e.theirs[fd], err = os.Pipe(); err != nil {
				return e, err
			}
		}
	}
	if req.Channel {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return e, err
		}
		if err := syscall.SetNonblock(pair[0], true); err != nil {
			return e, err
		}
		e.ours[fdChannel] = os.NewFile(uintptr(pair[0]), "channel")
		e.theirs = append(e.theirs, os.NewFile(uintptr(pair[1]), "channel"))
	}
	return e, nil
}

// start starts the program. When it cannot be started, that is its result.
func (p *program) start(env []string) error {
	e, err := connect(p.req)
	if err != nil {
		return err
	}
	defer e.close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{Dir: p.req.Dir, Env: append(append([]string{}, env...), p.req.Env...)}
	if attr.Dir == "" {
		attr.Dir = sandbox.WorkDir
	}
	for _, f := range e.theirs {
		if f == nil {
			f = null
		}
		attr.Files = append(attr.Files, f.Fd())
	}
	p.since = now()
	p.child, err = p.conn.reaper.start(p.req.Argv, attr)
	if err != nil {
		for _, f := range e.ours {
			_ = f.Close()
		}
		return err
	}
	p.plumb(e)
	return nil
}

// plumb copies between the stream and the program.
func (p *program) plumb(e *ends) {
	p.channel = e.ours[fdChannel]
	for fd, in := range p.inputs {
		f := e.ours[fd]
		// Ends when mlgym closes the stream, or with the program.
		p.copies.Go(func() {
			if _, err := io.Copy(f, in); err != nil {
				in.Discard()
			}
			if fd == fdChannel {
				_ = closeWrite(f)
			} else {
				_ = f.Close()
			}
		})
	}
	for fd, out := range p.output {
		f := e.ours[fd]
		p.copies.Go(func() {
			buf := make([]byte, 32<<10)
			for {
				n, err := f.Read(buf)
				if n > 0 {
					if _, werr := out.Write(buf[:n]); werr != nil {
						break
					}
				}
				if err != nil {
					break
				}
			}
			_ = out.Close()
			if fd != fdChannel {
				_ = f.Close()
			}
		})
	}
}

func closeWrite(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var shutErr error
	err = raw.Control(func(fd uintptr) { shutErr = syscall.Shutdown(int(fd), syscall.SHUT_WR) })
	return errors.Join(err, shutErr)
}

// wait returns how the program ended, once its output has ended too.
func (p *program) wait() sandbox.Exit {
	began := time.Now()
	var exit sandbox.Exit
	var timeout <-chan time.Time
	if p.req.Timeout > 0 {
		timer := time.NewTimer(p.req.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-p.child.done:
	case <-timeout:
		exit.TimedOut = true
		p.kill()
		<-p.child.done
	}
	exit.Duration = time.Since(began)
	exit.Code, exit.Signal = exitOf(p.child.status)
	for _, in := range p.inputs {
		in.End(io.EOF)
		in.Discard()
	}
	p.settleOutput()
	return exit
}

// settleOutput waits for the output to end. A program that left something
// behind that still holds its output open is given a moment, then cut off.
func (p *program) settleOutput() {
	ended := make(chan struct{})
	go func() {
		p.copies.Wait()
		close(ended)
	}()
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		// What still holds the output open is ended; what was written goes
		// out, however slowly it is taken.
		p.conn.reaper.killTree(p.since, p.child)
		select {
		case <-ended:
		case <-p.abandoned:
			for _, out := range p.output {
				out.Abort(io.ErrClosedPipe)
			}
			<-ended
		}
	}
	if p.channel != nil {
		_ = p.channel.Close()
	}
}

// abandon ends the program for somebody who no longer wants its output.
func (p *program) abandon() {
	p.once.Do(func() { close(p.abandoned) })
	p.kill()
}

// kill ends the program and everything that it started.
func (p *program) kill() {
	p.conn.reaper.killTree(p.since, p.child)
}
