// Package replay is an agent that repeats the actions of a record and looks at
// nothing else. Whether the observations are the same as in the record is the
// business of whoever compares the two.
package replay
