// Package replay records what a model answered and answers it again, without
// the model: for tests, and to re-run an episode. The recording, a cassette, is
// a JSON Lines file (docs/format/cassette.md).
//
// A request finds its answer by a hash of what it says ([Key]), so the order of
// different requests does not matter; the same request asked again gets the next
// of the answers recorded for it. A request that was not recorded is an error
// that names the nearest recorded one and where the two differ.
package replay
