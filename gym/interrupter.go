package gym

// Interrupter is an Env whose action under way can be stopped.
type Interrupter interface {
	// Interrupt stops the action under way, as a person's Ctrl-C would; what it
	// printed until then is the observation of its Step, which returns soon and
	// without an error, the shell lives on, and so does the episode. An evaluation
	// under way is not left half done: it goes on to its end and counts, and this
	// Step, or the next, tells of it. Interrupt does not wait, may be called from
	// any goroutine at any time, and has no effect where no action runs.
	Interrupt()
}
