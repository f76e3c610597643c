package tool

import "context"

// manyScrolls is how many scrolls in a row draw a warning.
const manyScrolls = 3

const scrollWarning = `
WARNING: You have scrolled several times in a row, which is a slow way to find something.
If you know what you are looking for, use ` + "`search_file <pattern>`; if you know the line, use `goto <line>`" + `.
`

func scrollUpCommand() command {
	return command{
		name: "scroll_up", usage: "scroll_up", fromArgv: noArguments,
		run: func(r *Session, _ context.Context, _ call) Result { return r.scroll(-1) },
	}
}

func scrollDownCommand() command {
	return command{
		name: "scroll_down", usage: "scroll_down", fromArgv: noArguments,
		run: func(r *Session, _ context.Context, _ call) Result { return r.scroll(+1) },
	}
}

// scroll moves the window so that it continues where the shown part ended,
// with some lines of overlap. A part can be shorter than the window (long
// lines), so it is the shown lines that count.
func (r *Session) scroll(direction int) Result {
	file, problem := r.reopen()
	if problem != "" {
		return refuse("%s", problem)
	}
	defer file.Close()
	w := window{size: r.opts.Window}
	overlap := min(r.opts.Overlap, max(0, r.view.last-r.view.first))
	if direction > 0 {
		w.first = r.view.last + 1 - overlap
		w.focus = w.first // near the end of the file the window begins above it
	} else {
		last := r.view.first - 1 + overlap
		w.first = last - w.size + 1
		w.focus = last
	}
	result := r.showOpen(file, w)
	if result.ExitCode == 0 {
		if r.scrolls++; r.scrolls >= manyScrolls {
			result.Output += scrollWarning
		}
	}
	return result
}
