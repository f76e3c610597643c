package board

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// resumption tells when the process goes on after it was stopped (Ctrl-Z, fg).
// The shell and others have then written to the terminal, and the cursor is no
// longer below the picture.
type resumption struct{ C chan os.Signal }

func resumed() resumption {
	r := resumption{make(chan os.Signal, 1)}
	signal.Notify(r.C, unix.SIGCONT)
	return r
}

// Stop ends it.
func (r resumption) Stop() { signal.Stop(r.C) }
