package openenv

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"mlgym/server/httpsession"
	"mlgym/server/session"
)

// refuse answers an error.
func refuse(w http.ResponseWriter, err error) {
	data, _ := failure(err)
	status := httpsession.Status(err)
	var wrong problems
	switch {
	case errors.As(err, &wrong), status == http.StatusUnprocessableEntity:
		httpsession.JSON(w, http.StatusUnprocessableEntity, map[string]any{"detail": data.Errors})
	case data.Code == codeCapacity:
		w.Header().Set("Retry-After", "5")
		httpsession.JSON(w, status, map[string]any{
			"detail": data.Message, "code": data.Code, "active_sessions": data.ActiveSessions, "max_sessions": data.MaxSessions,
		})
	default:
		httpsession.Detail(w, status, data.Message)
	}
}

// body reads a body that is an object.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, bool) {
	body, ok := h.http.Read(w, r)
	if !ok {
		return nil, false
	}
	fields, err := fieldsOf(body)
	if err != nil {
		httpsession.JSON(w, http.StatusUnprocessableEntity, map[string]any{"detail": problems{{Type: "json_invalid", Loc: []string{"body"}, Msg: "a JSON object is wanted"}}})
		return nil, false
	}
	return fields, true
}

// Reset serves POST /reset. Other than the protocol's own server, which forgets the
// environment at once, it keeps a session for the steps that follow.
func (h *Handler) Reset(w http.ResponseWriter, r *http.Request, fields map[string]json.RawMessage) {
	asked, err := decodeReset(fields)
	if err != nil {
		refuse(w, err)
		return
	}
	request, err := h.choose(asked)
	if err != nil {
		refuse(w, err)
		return
	}
	s, err := h.http.NamedOrNew(w, r, fields)
	if err != nil {
		refuse(w, err)
		return
	}
	reply, err := s.Reset(r.Context(), request)
	if err != nil {
		refuse(w, err)
		return
	}
	httpsession.JSON(w, http.StatusOK, encode(reply))
}

// Step serves POST /step.
func (h *Handler) Step(w http.ResponseWriter, r *http.Request, fields map[string]json.RawMessage) {
	var o session.StepOptions
	var wrong problems
	if _, ok := fields["action"]; !ok {
		wrong.add("missing", "action", "an action is wanted")
	}
	if raw, ok := fields["timeout_s"]; ok && !isNull(raw) {
		var s float64
		if err := json.Unmarshal(raw, &s); err != nil || s <= 0 || s > 7*24*3600 {
			wrong.add("greater_than", "timeout_s", "a number above 0 is wanted")
		}
		o.Patience = new(time.Duration(s * float64(time.Second)))
	}
	if raw, ok := fields["request_id"]; ok && !isNull(raw) {
		if err := json.Unmarshal(raw, &o.RequestID); err != nil || len(o.RequestID) > maxEpisodeID {
			wrong.add("string_type", "request_id", "a string of at most %d characters is wanted", maxEpisodeID)
		}
	}
	if wrong == nil {
		if _, err := decodeAction(fields["action"]); err != nil {
			_ = errors.As(err, &wrong)
			for i := range wrong {
				wrong[i].Loc = append([]string{"body", "action"}, wrong[i].Loc...)
			}
		}
	}
	if wrong != nil {
		refuse(w, wrong)
		return
	}
	s, err := h.http.Named(r, fields)
	if err == nil && s == nil {
		err = session.ErrNotReset
	}
	if err != nil {
		refuse(w, err)
		return
	}
	p, err := perform(r.Context(), s, fields["action"], o)
	if err != nil {
		refuse(w, err)
		return
	}
	httpsession.JSON(w, http.StatusOK, p)
}

func (h *Handler) state(w http.ResponseWriter, r *http.Request) {
	s, err := h.http.Named(r, nil)
	switch {
	case err != nil:
		refuse(w, err)
	case s == nil:
		httpsession.JSON(w, http.StatusOK, encodeState(session.State{}))
	default:
		httpsession.JSON(w, http.StatusOK, encodeState(s.State()))
	}
}

func (h *Handler) snapshot(w http.ResponseWriter, r *http.Request) {
	s, err := h.table.Find(r.PathValue("session"))
	if err != nil {
		refuse(w, err)
		return
	}
	saved, err := s.Snapshot(r.Context())
	if err != nil {
		refuse(w, err)
		return
	}
	httpsession.JSON(w, http.StatusOK, snapshotData(saved))
}

// interrupt stops what runs in a session, from beside the request that waits for it.
func (h *Handler) interrupt(w http.ResponseWriter, r *http.Request) {
	s, err := h.table.Find(r.PathValue("session"))
	if err != nil {
		refuse(w, err)
		return
	}
	s.Interrupt()
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) forget(w http.ResponseWriter, r *http.Request) {
	if err := h.table.Forget(r.PathValue("id")); err != nil {
		httpsession.Detail(w, http.StatusNotFound, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) health(w http.ResponseWriter, _ *http.Request) {
	if h.table.Draining() {
		httpsession.JSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unhealthy"})
		return
	}
	httpsession.JSON(w, http.StatusOK, map[string]string{"status": "healthy"})
}
