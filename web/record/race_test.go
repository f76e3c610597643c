//go:build race

package record_test

// slow says that the race detector is at work, with which everything takes ten
// times as long.
const slow = true
