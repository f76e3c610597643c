//go:build !race

package servertest

// RaceDetector says that the tests run under it, which makes much of what is large slow.
const RaceDetector = false
