// Package task holds the specification of a task: what an agent is asked to
// do, what it hands in, and how that is scored.
//
// A task is a folder. task.yaml says everything that a program needs to know
// (docs/format/task.md describes it), description.md is what the agent reads,
// starter/ is what it finds in its workspace, grader/ is what scores its work
// and is never seen by it. The folder may be embedded in the program or lie on
// the user's disk; [Load] reads either.
//
// Reading is strict: an unknown key, a value of another type, a missing key, a
// file that is named and absent are errors that name file, line and key.
package task
