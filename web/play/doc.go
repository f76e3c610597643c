// Package play is where a person works on a task in a browser: a statement, a
// terminal, an editor. It is an episode as any other, of package server/session:
// each command is an action, what the editor does is one too, and the record can be
// replayed.
//
// An episode is named by its session in the address, so that a page that is opened
// again, here or elsewhere, goes on with it. What a person sees is held here, within
// bounds, while the session lives and a while longer; the whole stands in the record.
package play
