// Package run has the pages of one run: its facts, its timeline and its steps, the
// prompt that the model saw at each, the files it had handed in, the logs of its
// gradings, and a search inside.
//
// # How much is sent
//
// A page holds the first steps of a run, as many as fit into [firstBytes]; a script
// asks for the others as the reader comes near them, and lets go of those that are far
// away. Each text is folded to its first and last lines, and the rest is sent in parts
// when it is asked for. So neither the length of a run nor the size of an output decides
// how long a page takes. Without scripts, and in an export, the steps come in pages of
// [perPage].
//
// # What is trusted
//
// Nothing that an agent wrote: see package page. Files of a submission are served as
// text, but for pictures, which are known by their first bytes.
package run
