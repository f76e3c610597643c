// Package taskimport turns tasks of other systems into task folders of ours, and
// writes an example to begin a task of one's own with.
//
// [MLGym] reads a task of MLGym: its configuration, those of its data sets, and the
// files that they name. [Harbor] reads a task's directory of Harbor. Both write one
// folder, whole or not at all, and report of every key whether it was kept, changed
// (how) or left (why); the report lies in the folder as IMPORT.md.
//
// What an agent gets is decided here: the evaluation and whatever only it needs go
// into grader/, the rest into starter/. How the evaluation is run is told to
// mlgym_grader.foreign by grader/foreign.json. The source is somebody else's work
// and not trusted: no path of it, and no link, leads out of its folder.
package taskimport
