package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/term"

	"mlgym"
	"mlgym/dataset"
	"mlgym/task"
)

// unaskedDownload is how many bytes a run fetches without being asked to.
const unaskedDownload = 1 << 30

// provide makes what a run needs beside the task's folder, and tells what it
// does. Large downloads have to be asked for.
func (a *app) provide(ctx context.Context, t *task.Task, variant string, quiet bool) (mlgym.Provided, error) {
	return a.prepareTask(ctx, t, variant, unaskedDownload, quiet)
}

// prepareTask makes what a task needs; see [mlgym.Provider.Prepare].
func (a *app) prepareTask(ctx context.Context, t *task.Task, variant string, maxDownload int64, quiet bool) (mlgym.Provided, error) {
	if t.Environment == "" && len(t.Datasets) == 0 {
		return mlgym.Provided{}, nil
	}
	b := a.newPreparing(quiet)
	defer b.end()
	provider, err := mlgym.NewProvider(b.tell)
	if err != nil {
		return mlgym.Provided{}, err
	}
	given, err := provider.Prepare(ctx, t, variant, maxDownload, b.tell)
	return given, unprepared(err)
}

// unprepared marks those errors of a preparation that are the user's to mend.
func unprepared(err error) error {
	var refused *dataset.RefusedError
	var missing *dataset.MissingError
	var unknown *dataset.UnknownError
	var large *mlgym.LargeError
	if errors.As(err, &refused) || errors.As(err, &missing) || errors.As(err, &unknown) || errors.As(err, &large) {
		return usage(err)
	}
	return err
}

// preparing tells on standard error how a preparation goes: one line that is
// written over on a terminal, a line for each new thing elsewhere.
type preparing struct {
	w     io.Writer
	live  bool
	quiet bool
	last  string
	at    time.Time
	shown bool
}

func (a *app) newPreparing(quiet bool) *preparing {
	p := &preparing{w: a.err, quiet: quiet}
	if f, ok := a.err.(*os.File); ok {
		p.live = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// tell implements [mlgym.Progress].
func (p *preparing) tell(text string, done, total int64, bytes bool) {
	const every = 100 * time.Millisecond
	if p.quiet {
		return
	}
	fresh := text != p.last
	if !p.live {
		if fresh {
			fmt.Fprintln(p.w, text)
			p.last = text
		}
		return
	}
	if !fresh && time.Since(p.at) < every && done < total {
		return
	}
	p.last, p.at = text, time.Now()
	fmt.Fprintf(p.w, "\r\x1b[K%s", clip(text+counted(done, total, bytes), 79))
	p.shown = true
}

func counted(done, total int64, bytes bool) string {
	number := func(n int64) string {
		if bytes {
			return dataset.Size(n)
		}
		return strconv.FormatInt(n, 10)
	}
	switch {
	case total > 0:
		return fmt.Sprintf("  %s of %s (%d%%)", number(done), number(total), min(100, done*100/total))
	case done > 0:
		return "  " + number(done)
	default:
		return ""
	}
}

// end leaves the terminal with a clean line.
func (p *preparing) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
