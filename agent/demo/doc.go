// Package demo is a small agent without a language model that really works on a
// task, so that a newcomer sees the whole loop without a key.
//
// It reads the task statement and the workspace, recognises what kind of program
// is asked for, writes a few simple candidate programs with the ordinary tools,
// measures each with validate, keeps the best, and submits it. What it tries is
// generic for the kind of program (constant moves, copying, splitting evenly,
// counting literals); which candidate is best it learns only from the answers to
// validate. On a task of a kind it does not know, it measures the starting point
// and submits it.
//
// The agent is deterministic given the observations.
package demo
