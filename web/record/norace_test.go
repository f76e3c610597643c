//go:build !race

package record_test

// slow says that the race detector is at work.
const slow = false
