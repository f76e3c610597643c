package experiments

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Control acts on experiments, by their directories. It is safe for concurrent use.
type Control interface {
	// Stop asks whoever runs the experiment to finish the steps under way and end; at
	// once where hard is set. It does not wait for that.
	Stop(ctx context.Context, dir string, hard bool) error
	// Resume begins to run what is left, and does not wait for it.
	Resume(ctx context.Context, dir string) error
	// Retry begins to run episodes once more: those that "failed", or those that are
	// "unscored".
	Retry(ctx context.Context, dir, only string) error
}

// Teller is a [Control] that has something to say of what it began earlier, such as
// why it ended; text is "" where it has not.
type Teller interface {
	Tell(dir string) (text string, bad bool)
}

// confirmation asks before something that cannot be taken back.
type confirmation struct {
	Key, Name            string
	Title, Text, Button  string
	Action, Field, Value string
}

// act answers a form of an experiment's page.
func (p *Pages) act(do func(ctx context.Context, r *http.Request, l *live) (done string, ask *confirmation, err error)) http.HandlerFunc {
	return p.site.Action(func(w http.ResponseWriter, r *http.Request) {
		if p.control == nil {
			p.room.Error(w, r, http.StatusForbidden, section, "Experiments cannot be controlled from here; use mlgym experiment stop, resume and retry.")
			return
		}
		l, ok := p.find(w, r)
		if !ok {
			return
		}
		done, ask, err := do(r.Context(), r, l)
		switch {
		case ask != nil:
			ask.Key, ask.Name = l.Key, l.Name
			p.room.Render(w, r, pageOf(l, ask.Title, "experiments/"+l.Key+"/", "confirm", ask))
			return
		case err != nil:
			p.site.Log().Warn("an action on an experiment failed", "dir", l.Dir, "error", err)
			done = "That did not work: " + err.Error()
		}
		l.mu.Lock()
		l.note = note{Text: done, Bad: err != nil, At: time.Now()}
		l.looked = time.Time{}
		l.mu.Unlock()
		http.Redirect(w, r, p.site.URL("experiments/"+l.Key+"/"), http.StatusSeeOther)
	})
}

func (p *Pages) stop(ctx context.Context, r *http.Request, l *live) (string, *confirmation, error) {
	hard := r.PostFormValue("how") == "now"
	if hard && r.PostFormValue("sure") != "yes" {
		return "", &confirmation{
			Title: "Stop at once?", Button: "Stop at once", Action: "stop", Field: "how", Value: "now",
			Text: "Steps under way are cut, and executed again when the experiment goes on. Pause, instead, finishes them first. Nothing that is done is lost either way.",
		}, nil
	}
	if err := p.control.Stop(ctx, l.Dir, hard); err != nil {
		return "", nil, err
	}
	if hard {
		return "A stop at once was asked for.", nil, nil
	}
	return "A pause was asked for: steps under way are finished first.", nil, nil
}

func (p *Pages) resume(ctx context.Context, _ *http.Request, l *live) (string, *confirmation, error) {
	if err := p.control.Resume(ctx, l.Dir); err != nil {
		return "", nil, err
	}
	return "It goes on: what it needs is prepared, and episodes begin.", nil, nil
}

func (p *Pages) retry(ctx context.Context, r *http.Request, l *live) (string, *confirmation, error) {
	only := r.PostFormValue("only")
	switch {
	case only != "failed" && only != "unscored":
		return "", nil, fmt.Errorf("%q can not be tried again: say failed or unscored", only)
	case only == "unscored" && r.PostFormValue("sure") != "yes":
		return "", &confirmation{
			Title: "Run episodes without a score once more?", Button: "Run them once more", Action: "retry", Field: "only", Value: "unscored",
			Text: "An agent that hands in nothing has a result, which is that it failed. To run such episodes again until they succeed, and to count only the last, is not honest. What they had is kept beside them, and counted by nobody.",
		}, nil
	}
	if err := p.control.Retry(ctx, l.Dir, only); err != nil {
		return "", nil, err
	}
	return "Episodes are tried again: " + only + ".", nil, nil
}
