package openenv

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"mlgym/server/httpsession"
	"mlgym/server/session"
)

// EnvName is the name of the one environment that the tasks API lists.
const EnvName = "mlgym"

// splitNames are the splits of the tasks API. Each has all tasks; what parts them
// are the seeds, which no two of them share.
var splitNames = []string{"train", "validation", "test"}

// splitShift parts the seeds of the splits: they have this many bits of their own.
const splitShift = 50

// splitSeed is the seed of an episode of a split.
func splitSeed(split string, seed uint64) uint64 {
	i := slices.Index(splitNames, split)
	return seed&(1<<splitShift-1) | uint64(i)<<splitShift //nolint:gosec // i is 0, 1 or 2
}

// Choose turns the options of a reset, as a client sent them, into a request.
func (h *Handler) Choose(fields map[string]json.RawMessage) (session.Request, error) {
	asked, err := decodeReset(fields)
	if err != nil {
		return session.Request{}, err
	}
	return h.choose(asked)
}

// choose turns what a client asked for into a session's request.
func (h *Handler) choose(asked reset) (session.Request, error) {
	r := asked.request
	if asked.split != "" || asked.index >= 0 {
		if !slices.Contains(splitNames, asked.split) {
			return r, session.Refuse("split", "there is no split %q (there are %s)", asked.split, strings.Join(splitNames, ", "))
		}
		if asked.index >= len(h.opts.Tasks) {
			return r, session.Refuse("index", "the split has %d tasks, counted from 0", len(h.opts.Tasks))
		}
		if r.Task != "" && asked.index >= 0 {
			return r, session.Refuse("task", "a task is chosen by its name or by split and index, not by both")
		}
		if asked.index >= 0 {
			r.Task = h.opts.Tasks[asked.index].ID
		}
		if r.Seed != nil {
			r.Seed = new(splitSeed(asked.split, *r.Seed))
		}
	}
	if r.Task == "" {
		r.Task = h.opts.Default
	}
	if r.Task == "" && r.Snapshot == "" {
		return r, session.Refuse("task", "a task has to be named, such as %q", h.opts.Tasks[0].ID)
	}
	return r, nil
}

func (h *Handler) listEnvironments(w http.ResponseWriter, _ *http.Request) {
	httpsession.JSON(w, http.StatusOK, []string{EnvName})
}

// known answers 404 where the environment of the path is another one.
func known(w http.ResponseWriter, r *http.Request) bool {
	if strings.EqualFold(r.PathValue("env"), EnvName) {
		return true
	}
	httpsession.Detail(w, http.StatusNotFound, "unknown environment '"+r.PathValue("env")+"'")
	return false
}

func (h *Handler) splits(w http.ResponseWriter, r *http.Request) {
	if !known(w, r) {
		return
	}
	list := make([]map[string]string, len(splitNames))
	for i, name := range splitNames {
		list[i] = map[string]string{"name": name, "type": name}
	}
	httpsession.JSON(w, http.StatusOK, list)
}

// question is the body of a request of the tasks API.
type question struct {
	Split *string `json:"split"`
	Index *int    `json:"index"`
	Start *int    `json:"start"`
	Stop  *int    `json:"stop"`
}

// ask reads such a body, or answers what is wrong with it.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, allowed ...string) (question, bool) {
	var q question
	if !known(w, r) {
		return q, false
	}
	fields, ok := h.body(w, r)
	if !ok {
		return q, false
	}
	var wrong problems
	for name := range fields {
		if !slices.Contains(allowed, name) {
			wrong.add("extra_forbidden", name, "there is no such field")
		}
	}
	read := func(name string, to any) {
		if raw, ok := fields[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				wrong.add("type_error", name, "another type is wanted")
			}
		}
	}
	read("split", &q.Split)
	read("index", &q.Index)
	read("start", &q.Start)
	read("stop", &q.Stop)
	if q.Split == nil {
		wrong.add("missing", "split", "a split is wanted")
	}
	if slices.Contains(allowed, "index") && q.Index == nil {
		wrong.add("missing", "index", "an index is wanted")
	}
	if wrong != nil {
		httpsession.JSON(w, http.StatusUnprocessableEntity, map[string]any{"detail": wrong})
		return q, false
	}
	if !slices.Contains(splitNames, *q.Split) {
		httpsession.Detail(w, http.StatusBadRequest, "there is no split '"+*q.Split+"' (there are "+strings.Join(splitNames, ", ")+")")
		return q, false
	}
	return q, true
}

func (h *Handler) tasks(w http.ResponseWriter, r *http.Request) {
	if _, ok := h.ask(w, r, "split"); ok {
		httpsession.JSON(w, http.StatusOK, map[string]any{"tasks": h.opts.Tasks, "env_name": EnvName})
	}
}

func (h *Handler) numTasks(w http.ResponseWriter, r *http.Request) {
	if _, ok := h.ask(w, r, "split"); ok {
		httpsession.JSON(w, http.StatusOK, map[string]int{"num_tasks": len(h.opts.Tasks)})
	}
}

func (h *Handler) task(w http.ResponseWriter, r *http.Request) {
	q, ok := h.ask(w, r, "split", "index")
	if !ok {
		return
	}
	if *q.Index < 0 || *q.Index >= len(h.opts.Tasks) {
		httpsession.Detail(w, http.StatusBadRequest, "Invalid task index")
		return
	}
	httpsession.JSON(w, http.StatusOK, map[string]any{"task": h.opts.Tasks[*q.Index]})
}

func (h *Handler) taskRange(w http.ResponseWriter, r *http.Request) {
	q, ok := h.ask(w, r, "split", "start", "stop")
	if !ok {
		return
	}
	start, stop := 0, len(h.opts.Tasks)
	if q.Start != nil {
		start = *q.Start
	}
	if q.Stop != nil {
		stop = *q.Stop
	}
	if start < 0 || stop < start {
		httpsession.Detail(w, http.StatusBadRequest, "Invalid task index")
		return
	}
	start, stop = min(start, len(h.opts.Tasks)), min(stop, len(h.opts.Tasks))
	httpsession.JSON(w, http.StatusOK, map[string]any{"tasks": h.opts.Tasks[start:stop]})
}
