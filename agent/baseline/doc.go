// Package baseline is an agent that hands in a task's starting point: it runs the
// command that makes the baseline's submission, where the task has one, and
// submits. Its score is what every other agent has to beat.
package baseline
