package shim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mlgym/internal/shim"
	"mlgym/internal/shim/wire"
	"mlgym/sandbox"
)

// peer plays a shim over a pipe. It lives in the agent's world, so it may do
// anything; the client must neither hang nor believe it.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *wire.Reader
	w    *wire.Writer
}

// connect greets a peer and starts it in a goroutine that the test waits for.
func connect(t *testing.T, cfg shim.Config, play func(p *peer)) (*shim.Client, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &peer{t: t, conn: theirs, r: wire.NewReader(theirs), w: wire.NewWriter(theirs)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		hello, err := p.r.Read()
		if err != nil || hello.Type != wire.Hello {
			t.Errorf("greeting %+v, %v", hello, err)
			return
		}
		play(p)
	}()
	client, err := shim.Connect(t.Context(), ours, cfg)
	t.Cleanup(func() {
		if client != nil {
			_ = client.Close()
		}
		<-done
	})
	return client, err
}

func (p *peer) ready() {
	if err := p.w.WriteJSON(wire.Ready, 0, wire.ReadyInfo{Version: wire.Version}); err != nil {
		p.t.Errorf("ready: %v", err)
	}
}

// request reads until a frame of the given type.
func (p *peer) request(want wire.Type) (wire.Frame, bool) {
	for {
		f, err := p.r.Read()
		if err != nil {
			return f, false
		}
		if f.Type == want {
			return f, true
		}
	}
}

// drain reads until the client is gone.
func (p *peer) drain() {
	for {
		if _, err := p.r.Read(); err != nil {
			return
		}
	}
}

func TestConnect(t *testing.T) {
	tests := map[string]struct {
		play func(p *peer)
		want string // "" for success
		lost bool
	}{
		"well": {func(p *peer) { p.ready(); p.drain() }, "", false},
		"another version": {func(p *peer) {
			_ = p.w.WriteJSON(wire.Ready, 0, wire.ReadyInfo{Version: 99})
			p.drain()
		}, "mlgym-shim speaks protocol 99", false},
		"dead at once":    {func(*peer) {}, "the last words", true},
		"no protocol":     {func(p *peer) { _, _ = p.conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) }, "malformed frame", true},
		"half a greeting": {func(p *peer) { _, _ = p.conn.Write([]byte{0, 0, 0, 9, byte(wire.Ready)}) }, "the last words", true},
		"broken JSON":     {func(p *peer) { _ = p.w.Write(wire.Ready, 0, []byte("{")); p.drain() }, "malformed frame", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := connect(t, shim.Config{Diagnose: func() string { return "the last words" }}, tt.play)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("connect: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, sandbox.ErrLost) != tt.lost {
				t.Errorf("connect: %v; want %q, lost: %v", err, tt.want, tt.lost)
			}
		})
	}
}

// TestHostilePeer sends the client what no shim sends, in the middle of a Run.
func TestHostilePeer(t *testing.T) {
	finish := func(p *peer, stream uint32) {
		_ = p.w.WriteJSON(wire.Done, stream, sandbox.Result{Output: "ok"})
		p.drain()
	}
	tests := map[string]struct {
		play func(p *peer, stream uint32)
		lost bool // the connection must end; else the Run must succeed
	}{
		"greets again and again": {func(p *peer, stream uint32) {
			for range 10 {
				p.ready()
			}
			finish(p, stream)
		}, false},
		"answers a stream that is not there": {func(p *peer, stream uint32) {
			_ = p.w.WriteJSON(wire.Done, stream+2, sandbox.Result{Output: "for nobody"})
			_ = p.w.Write(wire.Data, stream+4, []byte("\x01x"))
			finish(p, stream)
		}, false},
		"answers twice": {func(p *peer, stream uint32) {
			_ = p.w.WriteJSON(wire.Done, stream, sandbox.Result{Output: "ok"})
			finish(p, stream)
		}, false},
		"sends data to a descriptor that is not there": {func(p *peer, stream uint32) {
			_ = p.w.Write(wire.Data, stream, []byte("\x09x"))
			_ = p.w.WriteAck(stream, 9, 5)
			finish(p, stream)
		}, false},
		"sends data without a descriptor": {func(p *peer, stream uint32) {
			_ = p.w.Write(wire.Data, stream)
			p.drain()
		}, true},
		"gives too much credit": {func(p *peer, stream uint32) {
			_ = p.w.Write(wire.Ack, stream, []byte{1, 255, 255, 255, 255})
			p.drain()
		}, true},
		"sends what only mlgym sends": {func(p *peer, stream uint32) {
			_ = p.w.Write(wire.Run, stream, []byte("{}"))
			p.drain()
		}, true},
		"calls with broken JSON": {func(p *peer, _ uint32) {
			_ = p.w.Write(wire.Call, 1, []byte("{"))
			p.drain()
		}, true},
		"announces a frame that is too long": {func(p *peer, _ uint32) {
			_, _ = p.conn.Write([]byte{255, 255, 255, 255})
			p.drain()
		}, true},
		"dies": {func(*peer, uint32) {}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			client, err := connect(t, shim.Config{}, func(p *peer) {
				p.ready()
				if f, ok := p.request(wire.Run); ok {
					tt.play(p, f.Stream)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Run(t.Context(), sandbox.Script{Text: "true"})
			if tt.lost {
				if !errors.Is(err, sandbox.ErrLost) {
					t.Errorf("run: %+v, %v; want ErrLost", res, err)
				}
				<-client.Done()
				if _, err := client.Run(t.Context(), sandbox.Script{Text: "true"}); !errors.Is(err, sandbox.ErrLost) {
					t.Errorf("run after the end: %v; want ErrLost", err)
				}
				return
			}
			if err != nil || res.Output != "ok" {
				t.Errorf("run: %+v, %v; want ok", res, err)
			}
		})
	}
}

// TestCall: what the inside asks is answered, also where nobody serves it.
func TestCall(t *testing.T) {
	served := func(_ context.Context, call sandbox.Call) sandbox.Reply {
		return sandbox.Reply{Output: "served " + call.Name}
	}
	for name, tt := range map[string]struct {
		onCall func(context.Context, sandbox.Call) sandbox.Reply
		want   sandbox.Reply
	}{
		"served":    {served, sandbox.Reply{Output: "served validate"}},
		"by nobody": {nil, sandbox.Reply{Output: "validate is not available here\n", ExitCode: 127}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan sandbox.Reply, 1)
			_, err := connect(t, shim.Config{OnCall: tt.onCall}, func(p *peer) {
				defer close(got)
				p.ready()
				if err := p.w.WriteJSON(wire.Call, 7, sandbox.Call{Name: "validate"}); err != nil {
					t.Errorf("call: %v", err)
					return
				}
				f, ok := p.request(wire.CallReply)
				var reply sandbox.Reply
				if !ok || f.Stream != 7 || json.Unmarshal(f.Payload, &reply) != nil {
					t.Errorf("reply %+v", f)
					return
				}
				got <- reply
				p.drain()
			})
			if err != nil {
				t.Fatal(err)
			}
			if reply := <-got; reply != tt.want {
				t.Errorf("reply %+v, want %+v", reply, tt.want)
			}
		})
	}
}

// TestCloseEndsACall that is under way, and waits for it.
func TestCloseEndsACall(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	client, err := connect(t, shim.Config{OnCall: func(ctx context.Context, _ sandbox.Call) sandbox.Reply {
		close(began)
		<-ctx.Done()
		close(ended)
		return sandbox.Reply{}
	}}, func(p *peer) {
		p.ready()
		_ = p.w.WriteJSON(wire.Call, 1, sandbox.Call{Name: "validate"})
		p.drain()
	})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	_ = client.Close()
	select {
	case <-ended:
	default:
		t.Error("Close returned while a call was under way")
	}
}

// TestCancelledRun kills inside and gives the reason.
func TestCancelledRun(t *testing.T) {
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	killed := make(chan bool, 1)
	client, err := connect(t, shim.Config{}, func(p *peer) {
		p.ready()
		run, ok := p.request(wire.Run)
		cancel(reason)
		kill, killedToo := p.request(wire.Kill)
		killed <- ok && killedToo && kill.Stream == run.Stream
		_ = p.w.WriteJSON(wire.Done, run.Stream, sandbox.Result{Deadline: "cancelled"})
		p.drain()
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Run(ctx, sandbox.Script{Text: "sleep 100", Wall: time.Hour}); !errors.Is(err, reason) {
		t.Errorf("run: %v, want %v", err, reason)
	}
	if !<-killed {
		t.Error("nothing was killed inside")
	}
}

// TestLateReader: output that came before the end is read after it.
func TestLateReader(t *testing.T) {
	client, err := connect(t, shim.Config{}, func(p *peer) {
		p.ready()
		f, ok := p.request(wire.Start)
		if !ok {
			return
		}
		_ = p.w.Write(wire.Data, f.Stream, []byte("\x03last words"))
		_ = p.w.WriteJSON(wire.Done, f.Stream, sandbox.Exit{Code: 3})
		p.drain()
	})
	if err != nil {
		t.Fatal(err)
	}
	process, err := client.Start(t.Context(), sandbox.Cmd{Argv: []string{"x"}, Channel: true})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := process.Wait(t.Context()); err != nil || exit.Code != 3 {
		t.Errorf("wait: %+v, %v; want exit code 3", exit, err)
	}
	text, err := io.ReadAll(process.Channel())
	if err != nil || string(text) != "last words" {
		t.Errorf("channel: %q, %v; want the last words", text, err)
	}
}
