// Package redact keeps secrets out of what is written: a [Redactor] replaces
// known values (keys from the environment, the grader's key) and whatever has
// the form of a key of a well-known provider.
//
// It works on whole strings. A secret that a program prints in pieces, or in
// another encoding, is not recognised; secrets must not be where agents can
// read them in the first place.
package redact
