// Package grader scores what an agent hands in, where the agent cannot touch
// it.
//
// Three worlds share no file and no process. The agent's sandbox gives up only
// the files that the task declares; they are checked (regular files, bounded,
// text where they are programs) and kept. A fresh grader sandbox runs the task's
// grade.py. Where the submission is a program, it runs in player sandboxes that
// the grader asks for, under a small harness of ours, and each speaks to this
// package through a framed channel of its own; this package passes messages on,
// keeps the clocks and ends everything afterwards. docs/format/grader-protocol.md
// is the protocol.
//
// # Whose fault is it
//
// What the submission does wrong (it is missing, cannot be loaded, crashes,
// answers nonsense or too late) is an evaluation with a problem and a message,
// and never a number. What the grader does wrong (it crashes, gives no score, a
// score that is not finite or out of bounds) is an error.
package grader
