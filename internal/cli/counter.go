package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// counter shows how far something is, on one line of a terminal that is
// written again and again; elsewhere it is silent.
type counter struct {
	w     io.Writer
	what  string
	shown bool
}

func newCounter(w io.Writer, what string) *counter {
	c := &counter{what: what}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.w = w
	}
	return c
}

func (c *counter) show(done, all int) {
	if c.w != nil {
		fmt.Fprintf(c.w, "\r%d of %d %s", done, all, c.what)
		c.shown = true
	}
}

// end clears the line.
func (c *counter) end() {
	if c.shown {
		fmt.Fprint(c.w, "\r\x1b[K")
	}
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
