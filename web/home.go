package web

import (
	"net/http"

	"mlgym/search"
	"mlgym/web/page"
	"mlgym/web/record"
)

// home is the first page: what goes on, and what came last.
func (v *Viewer) home(w http.ResponseWriter, r *http.Request) {
	v.opts.Library.Touch()
	const newest = 12
	type state struct {
		Name string
		Runs int
	}
	data := struct {
		Progress record.Progress
		Roots    []string
		Latest   []record.Entry
		Total    int
		States   []state
		Problem  string
	}{Progress: v.opts.Library.Progress(), Roots: v.opts.Roots}
	var err error
	if data.Latest, data.Total, err = v.opts.Library.Runs(r.Context(), search.RunQuery{Limit: newest}); err != nil {
		data.Problem = err.Error()
	}
	if values, err := v.opts.Library.Values(r.Context(), search.Filter{}); err == nil {
		for _, c := range values.States {
			data.States = append(data.States, state{c.Value, c.Runs})
		}
	}
	v.room.Render(w, r, page.Page{Title: "Overview", Template: "home", Data: data})
}
