// Package agent is the contract of something that turns observations into
// actions: a scaffold around a language model, a person, the replay of a
// record, a fixed program.
package agent
