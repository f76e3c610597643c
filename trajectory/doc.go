// Package trajectory is the record of one episode: a versioned, append-only
// file of JSON lines, one [Event] per line, written before the next step is
// taken.
//
// A record begins with a header and a reset. Then each decision of the agent
// is a turn, written before it is executed, followed by the step that it led
// to. Faults, notes and resumptions stand where they happened; an end closes
// the record. The format is described in docs/format/trajectory.md.
//
// # What survives
//
// Every event is handed to the operating system in one write before
// [Writer.Write] returns, so the death of the process (also by SIGKILL) loses
// nothing but the line being written. Events that hold what cannot be had
// again (evaluations, faults, the header, the end) are also synchronised to
// the disk before Write returns, so a power cut loses at most the steps since
// the last of these.
//
// A [Reader] tolerates a torn last line and reports it; anything else that is
// not a record is a [*CorruptError] with its line number.
package trajectory
