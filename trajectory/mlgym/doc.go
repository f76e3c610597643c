// Package mlgym reads the run folders that MLGym publishes: one folder a run,
// holding results.json (scores) and {task}.traj (the record of the episode).
//
// The records reach several megabytes each and a study has hundreds of them, so
// everything here streams: a record is scanned once, only the fields asked for
// are decoded, and nothing of it is kept. Broken, missing and half-written
// files are described by [Problem] values and never stop the reading of other
// runs.
//
// The scanner checks the structure of the JSON text (brackets, commas, string
// ends) and accepts the numbers that Python writes beside the standard: NaN,
// Infinity and -Infinity. It does not check what stands inside strings that
// nobody asked for.
package mlgym
