package openenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"mlgym/server/session"
)

const (
	// ahead is how many messages a client may send before the first is answered.
	ahead = 16
	// writeWait bounds how long a client may take to take a reply.
	writeWait = 30 * time.Second
	// pingEvery is how often a silent connection is tried.
	pingEvery = 30 * time.Second
	// largest is how many times MaxBodyBytes a message may have that is answered
	// by an error rather than by the end of its connection.
	largest = 16
)

// connection is one client's WebSocket.
type connection struct {
	h       *Handler
	conn    *websocket.Conn
	client  string
	session *session.Session
	owned   bool // it ends with a close frame
	frames  chan message
}

// message is one of a client. The text of one that is too large is not kept.
type message struct {
	text []byte
	size int64
}

// tooLong says so of a message whose text was not kept.
func (m message) tooLong(most int64) string {
	return fmt.Sprintf("the message has %d bytes of at most %d", m.size, most)
}

// serveWS serves one connection: a session of its own, or one that is attached to.
func (h *Handler) serveWS(w http.ResponseWriter, r *http.Request) {
	if !h.enter(w) {
		return
	}
	defer h.open.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // it has answered
	}
	defer conn.CloseNow() //nolint:errcheck // nothing is left to be said
	conn.SetReadLimit(largest * h.http.MaxBodyBytes)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c := &connection{h: h, conn: conn, client: h.http.Client(r), frames: make(chan message, ahead)}
	if id := r.URL.Query().Get("session_id"); id != "" {
		c.session, err = h.table.Attach(id)
	} else {
		c.session, err = h.table.Open(c.client, true)
		c.owned = true
	}
	if err != nil {
		c.fail(ctx, err)
		return
	}
	defer func() { h.table.Leave(c.session) }()
	leave := c.attend(ctx, cancel)
	defer leave()
	c.serve(ctx)
}

// attend reads beside the steps: that answers pings during hour-long commands, and
// finds out that the client has gone. What it returns ends it, and the connection.
func (c *connection) attend(ctx context.Context, cancel func()) (stop func()) {
	var beside sync.WaitGroup
	beside.Go(func() { c.read(ctx, cancel) })
	beside.Go(func() { c.keepAlive(ctx) })
	return func() {
		cancel()
		_ = c.conn.CloseNow()
		beside.Wait()
	}
}

// read passes on messages until the connection ends.
func (c *connection) read(ctx context.Context, cancel func()) {
	defer cancel()
	for {
		kind, m, err := c.next(ctx)
		if err != nil {
			return
		}
		if kind != websocket.MessageText {
			_ = c.conn.Close(websocket.StatusUnsupportedData, "messages are text")
			return
		}
		select {
		case c.frames <- m:
		default:
			_ = c.conn.Close(websocket.StatusPolicyViolation, fmt.Sprintf("more than %d messages without waiting for the replies", ahead))
			return
		}
	}
}

// next reads a message, of which it keeps no more than is served.
func (c *connection) next(ctx context.Context) (kind websocket.MessageType, m message, err error) {
	kind, r, err := c.conn.Reader(ctx)
	if err != nil {
		return kind, m, err
	}
	most := c.h.http.MaxBodyBytes
	if m.text, err = io.ReadAll(io.LimitReader(r, most+1)); err != nil {
		return kind, m, err
	}
	if m.size = int64(len(m.text)); m.size <= most {
		return kind, m, nil
	}
	rest, err := io.Copy(io.Discard, r)
	return kind, message{size: m.size + rest}, err
}

// keepAlive finds out about clients that vanished without a word.
func (c *connection) keepAlive(ctx context.Context) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		pong, cancel := context.WithTimeout(ctx, pingEvery)
		err := c.conn.Ping(pong)
		cancel()
		if err != nil {
			_ = c.conn.CloseNow() // the reader ends with it
			return
		}
	}
}

// serve answers each message once, in order.
func (c *connection) serve(ctx context.Context) {
	for {
		select {
		case m := <-c.frames:
			if !c.answer(ctx, m) {
				return
			}
		case <-ctx.Done():
			return
		case <-c.session.Ended():
			_ = c.conn.Close(websocket.StatusGoingAway, why(c.session))
			return
		case <-c.h.closing:
			_ = c.conn.Close(websocket.StatusGoingAway, session.ErrDraining.Error())
			return
		}
	}
}

// why fits the reason of a session's end into a close frame.
func why(s *session.Session) string {
	const most = 120
	text := ""
	if err := s.Why(); err != nil {
		text = err.Error()
	}
	return text[:min(len(text), most)]
}

// answer serves one message, and reports whether the connection goes on.
func (c *connection) answer(ctx context.Context, m message) bool {
	if m.size > int64(len(m.text)) {
		return c.fail(ctx, problems{{Type: "too_long", Loc: []string{}, Msg: m.tooLong(c.h.http.MaxBodyBytes)}})
	}
	f, code, err := decodeFrame(m.text)
	if err != nil {
		d, _ := failure(err)
		d.Code = code
		return c.send(ctx, "error", d)
	}
	switch f.Type {
	case "reset":
		return c.reset(ctx, f.Data)
	case "step":
		return c.step(ctx, f.Data)
	case "state":
		return c.send(ctx, "state", encodeState(c.session.State()))
	case "mcp":
		return c.send(ctx, "mcp", c.h.rpc(ctx, f.Data, c.session, c.client))
	case "snapshot":
		s, err := c.session.Snapshot(ctx)
		if err != nil {
			return c.fail(ctx, err)
		}
		return c.send(ctx, "snapshot", snapshotData(s))
	case "last":
		reply, ok := c.session.Last()
		if !ok {
			return c.fail(ctx, session.ErrNotReset)
		}
		return c.send(ctx, "observation", encode(reply))
	case "close":
		if c.owned {
			c.session.Close()
		}
		_ = c.conn.Close(websocket.StatusNormalClosure, "")
		return false
	default:
		return c.send(ctx, "error", errorData{
			Message: fmt.Sprintf("Unknown message type: %.100q (known: reset, step, state, mcp, snapshot, last, close)", f.Type), Code: codeUnknownType,
		})
	}
}

func (c *connection) reset(ctx context.Context, data json.RawMessage) bool {
	fields, err := fieldsOf(data)
	if err != nil {
		return c.fail(ctx, err)
	}
	asked, err := decodeReset(fields)
	if err != nil {
		return c.fail(ctx, err)
	}
	if asked.attach != "" {
		return c.attach(ctx, asked.attach)
	}
	request, err := c.h.choose(asked)
	if err != nil {
		return c.fail(ctx, err)
	}
	reply, err := c.session.Reset(ctx, request)
	if err != nil {
		return c.fail(ctx, err)
	}
	return c.send(ctx, "observation", encode(reply))
}

// attach takes over a session that lost its connection, in place of this one's.
func (c *connection) attach(ctx context.Context, id string) bool {
	other, err := c.h.table.Attach(id)
	if err != nil {
		return c.fail(ctx, session.Refuse("attach", "%w", err))
	}
	reply, ok := other.Last()
	if c.owned {
		c.session.Close()
	} else {
		c.h.table.Leave(c.session)
	}
	c.session, c.owned = other, true
	if !ok {
		return c.fail(ctx, session.ErrNotReset)
	}
	if state := other.State(); state.Running {
		reply.Running = true
	}
	return c.send(ctx, "observation", encode(reply))
}

func (c *connection) step(ctx context.Context, data json.RawMessage) bool {
	p, err := perform(ctx, c.session, data, session.StepOptions{})
	if err != nil {
		return c.fail(ctx, err)
	}
	return c.send(ctx, "observation", p)
}

// perform runs an action of a client.
func perform(ctx context.Context, s *session.Session, data json.RawMessage, o session.StepOptions) (payload, error) {
	a, err := decodeAction(data)
	if err != nil {
		return payload{}, err
	}
	if a.list || a.action.IsZero() && a.tool != "" && a.tool != BashTool {
		return withoutStep(s, a), nil
	}
	reply, err := s.Step(ctx, a.action, o)
	if err != nil {
		return payload{}, err
	}
	p := encode(reply)
	if a.tool != "" {
		p.Observation.ToolName = a.tool
		p.Observation.Result = &p.Observation.Text
	}
	return p, nil
}

// withoutStep answers what the environment need not see: which tools there are, and
// that one is not among them.
func withoutStep(s *session.Session, a act) payload {
	s.Count()
	reply, _ := s.Last()
	state := s.State()
	reply.SessionID, reply.EpisodeID, reply.Task, reply.Running = state.SessionID, state.EpisodeID, state.Task, state.Running
	reply.Observation.Text = ""
	reply.Reward = new(float64)
	p := encode(reply)
	if a.list {
		p.Observation.Tools = tools()
		return p
	}
	p.Observation.ToolName = a.tool
	p.Observation.Error = &toolError{Type: "tool_not_found", Message: fmt.Sprintf("there is no tool %q", a.tool)}
	p.Observation.Text = p.Observation.Error.Message + "\n"
	return p
}

// fail sends an error frame, and reports whether the connection goes on.
func (c *connection) fail(ctx context.Context, err error) bool {
	if ctx.Err() != nil && !errors.Is(err, session.ErrClosed) {
		return false
	}
	data, final := failure(err)
	ok := c.send(ctx, "error", data)
	if final {
		_ = c.conn.Close(websocket.StatusTryAgainLater, data.Code)
		return false
	}
	return ok
}

// send writes a frame.
func (c *connection) send(ctx context.Context, kind string, data any) bool {
	return c.write(ctx, struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}{kind, data})
}

// write writes a message.
func (c *connection) write(ctx context.Context, v any) bool {
	text, err := json.Marshal(v)
	if err != nil {
		c.h.opts.Log.Error("encode a reply", "error", err)
		_ = c.conn.Close(websocket.StatusInternalError, "the reply could not be encoded")
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	return c.conn.Write(ctx, websocket.MessageText, text) == nil
}
