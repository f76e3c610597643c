//go:build race

package server_test

// raceDetector says that the tests run under it.
const raceDetector = true
