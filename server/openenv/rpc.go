package openenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/coder/websocket"

	"mlgym/server/httpsession"
	"mlgym/server/session"
)

// The codes of JSON-RPC.
const (
	rpcParse    = -32700
	rpcRequest  = -32600
	rpcMethod   = -32601
	rpcParams   = -32602
	rpcInternal = -32603
	rpcServer   = -32000
)

// rpcMessage is a request of JSON-RPC 2.0.
type rpcMessage struct {
	Version string          `json:"jsonrpc"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	ID      json.RawMessage `json:"id"`
}

// rpcReply is its reply: a result or an error.
type rpcReply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  any             `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *rpcError) Error() string { return e.Message }

func rpcFail(code int, format string, args ...any) *rpcError {
	return &rpcError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// RPC serves POST /mcp with the body that was read already.
func (h *Handler) RPC(w http.ResponseWriter, r *http.Request, body []byte) {
	httpsession.JSON(w, http.StatusOK, h.rpc(r.Context(), body, nil, h.http.Client(r)))
}

// rpc answers one request. s is the session of the connection, nil without one.
func (h *Handler) rpc(ctx context.Context, body []byte, s *session.Session, client string) rpcReply {
	reply := rpcReply{Version: "2.0", ID: json.RawMessage("null")}
	if !json.Valid(body) {
		reply.Error = rpcFail(rpcParse, "Parse error: this is no JSON")
		return reply
	}
	var req rpcMessage
	if err := json.Unmarshal(body, &req); err != nil || req.Version != "2.0" || req.Method == "" {
		reply.Error = rpcFail(rpcRequest, "Invalid request: an object with jsonrpc \"2.0\" and a method is wanted")
		return reply
	}
	var id any
	if err := json.Unmarshal(req.ID, &id); err == nil {
		switch id.(type) {
		case string, float64:
			reply.ID = req.ID
		}
	}
	params, err := fieldsOf(req.Params)
	if err != nil {
		reply.Error = rpcFail(rpcParams, "Params must be an object")
		return reply
	}
	result, err := h.method(ctx, req.Method, params, s, client)
	if err != nil {
		reply.Error = rpcFailure(err)
		return reply
	}
	reply.Result = result
	return reply
}

// rpcFailure turns an error into one of JSON-RPC.
func rpcFailure(err error) *rpcError {
	var rpc *rpcError
	var wrong problems
	var refused *session.RequestError
	var full *session.CapacityError
	switch {
	case errors.As(err, &rpc):
		return rpc
	case errors.As(err, &wrong), errors.As(err, &refused), errors.Is(err, session.ErrUnknown):
		return rpcFail(rpcParams, "Invalid params: %v", err)
	case errors.As(err, &full):
		return &rpcError{Code: rpcServer, Message: err.Error(), Data: map[string]int{"active_sessions": full.Active, "max_sessions": full.Max}}
	case errors.Is(err, session.ErrBusy), errors.Is(err, session.ErrDone), errors.Is(err, session.ErrNotReset):
		return rpcFail(rpcRequest, "%v", err)
	default:
		return rpcFail(rpcInternal, "%v", err)
	}
}

func (h *Handler) method(ctx context.Context, method string, params map[string]json.RawMessage, own *session.Session, client string) (any, error) {
	var id string
	_ = json.Unmarshal(params["session_id"], &id) // of another type: as good as none
	switch method {
	case "tools/list":
		return map[string]any{"tools": tools()}, nil
	case "tools/call":
		s := own
		if s == nil && id == "" {
			return nil, rpcFail(rpcParams, "Invalid params: session_id is wanted (openenv/session/create gives one)")
		}
		if s == nil {
			var err error
			if s, err = h.table.Find(id); err != nil {
				return nil, err
			}
		}
		return h.call(ctx, s, params)
	case "openenv/session/create":
		if own != nil {
			return map[string]string{"session_id": own.ID()}, nil
		}
		s, err := h.table.Open(client, false)
		if err != nil {
			return nil, err
		}
		return map[string]string{"session_id": s.ID()}, nil
	case "openenv/session/close":
		return h.closeSession(id, own)
	default:
		return nil, rpcFail(rpcMethod, "Method not found: %.100q (known: tools/list, tools/call, openenv/session/create, openenv/session/close)", method)
	}
}

func (h *Handler) closeSession(id string, own *session.Session) (any, error) {
	if id == "" {
		return nil, rpcFail(rpcParams, "Invalid params - 'session_id' is required")
	}
	if own != nil && own.ID() == id {
		return nil, rpcFail(rpcRequest, "a session that belongs to a WebSocket ends with it")
	}
	s, err := h.table.Find(id)
	if err != nil {
		return nil, err
	}
	held := h.table.Held(s)
	s.Close()
	if held {
		return map[string]any{"session_id": id, "closed": false, "closing": true}, nil
	}
	return map[string]any{"session_id": id, "closed": true}, nil
}

// call runs a tool in the session's episode, which it begins where there is none.
func (h *Handler) call(ctx context.Context, s *session.Session, params map[string]json.RawMessage) (any, error) {
	var name string
	if err := json.Unmarshal(params["name"], &name); err != nil || name == "" {
		return nil, rpcFail(rpcParams, "Missing 'name' in params")
	}
	data, err := json.Marshal(map[string]any{"type": callTool, "tool_name": name, "arguments": params["arguments"]})
	if err != nil {
		return nil, rpcFail(rpcParams, "Invalid params: %v", err)
	}
	if s.State().EpisodeID == "" {
		request, err := h.choose(reset{index: -1})
		if err != nil {
			return nil, err
		}
		if _, err := s.Reset(ctx, request); err != nil {
			return nil, err
		}
	}
	p, err := perform(ctx, s, data, session.StepOptions{})
	if err != nil {
		return nil, err
	}
	if p.Observation.Error != nil {
		return nil, rpcFail(rpcParams, "Tool not found: %s", name)
	}
	// Clients take "data" for the result, where there is one.
	return map[string]any{"data": p.Observation.Text, "reward": p.Reward, "done": p.Done, "metadata": p.Metadata}, nil
}

// ServeMCPSocket serves WS /mcp: JSON-RPC, with a session of its own.
func (h *Handler) ServeMCPSocket(w http.ResponseWriter, r *http.Request) {
	if !h.enter(w) {
		return
	}
	defer h.open.Done()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // nothing is left to be said
	conn.SetReadLimit(largest * h.http.MaxBodyBytes)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c := &connection{h: h, conn: conn, client: h.http.Client(r), frames: make(chan message, ahead)}
	if c.session, err = h.table.Open(c.client, true); err != nil {
		c.write(ctx, rpcReply{Version: "2.0", ID: json.RawMessage("null"), Error: rpcFailure(err)})
		return
	}
	defer c.session.Close()
	leave := c.attend(ctx, cancel)
	defer leave()
	for {
		select {
		case m := <-c.frames:
			reply := rpcReply{Version: "2.0", ID: json.RawMessage("null")}
			if m.size > int64(len(m.text)) {
				reply.Error = rpcFail(rpcRequest, "Invalid request: %s", m.tooLong(h.http.MaxBodyBytes))
			} else {
				reply = h.rpc(ctx, m.text, c.session, c.client)
			}
			if !c.write(ctx, reply) {
				return
			}
		case <-ctx.Done():
			return
		case <-c.session.Ended():
			_ = conn.Close(websocket.StatusGoingAway, why(c.session))
			return
		case <-h.closing:
			_ = conn.Close(websocket.StatusGoingAway, session.ErrDraining.Error())
			return
		}
	}
}
