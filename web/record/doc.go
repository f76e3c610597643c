// Package record opens runs for looking: which there are at and below some
// folders, what one of them is and came to, and its steps, each by its number,
// while the run may still be written. It reads runs of mlgym and run folders as
// MLGym publishes them, and writes nothing beside them.
//
// A [Library] lists and searches runs through the index of package search, and
// opens them. A [Run] holds an index of its record: a few hundred bytes a step, and
// where in the file the step stands. Texts are read when they are asked for.
// When the file grows, [Run.Refresh] reads what was appended, and nothing else.
//
// # What is not as it should be
//
// A run is shown as far as it can be read, and [Header].Problems says in words what
// is missing, torn or broken. Errors are for what cannot be shown at all: a run
// that is not there, a step that the record does not have.
//
// Every text of a run, names of files included, may have been written by an
// agent. It may hold HTML, what steers terminals, and, in published runs, bytes
// that are no UTF-8. Nothing here changes it; whoever shows it escapes it. Files
// that an agent handed in are opened without following links.
//
// Everything may be used from several goroutines at once.
package record
