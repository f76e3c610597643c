// Package gym holds the vocabulary of mlgym and its central contract: an
// environment that is reset, stepped and closed.
//
// The package imports only the standard library. Every other room speaks in
// these words, so a person who has read this package can read the rest.
//
// # Whose fault is it
//
// A mistake of the agent (a failing command, a refused edit, a missing
// submission) is text in an [Observation]. The outcome of a task (a score, the
// end of an episode) is a [Transition]. A Go error from an [Env] is always a
// fault of ours: the sandbox died, the disk is full, the grader could not be
// started. Such faults may be retried; the other two are results.
package gym
